package incident

import (
	"encoding/json"
	"strings"
	"testing"

	"clawback/forensics/journal"
)

// brokers folds entries about brokers.
func brokers(t *testing.T, entries ...any) State {
	t.Helper()
	var s State
	for i, v := range entries {
		typ := TypeBroker
		if _, ok := v.(BrokerDone); ok {
			typ = TypeBrokerDone
		}
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		s = Fold(s, journal.Entry{V: 1, Seq: uint64(i + 1), Time: began, Type: typ, Data: data})
	}
	if s.Unreadable > 0 {
		t.Fatalf("unreadable: %+v", s.Warnings)
	}
	return s
}

// How a broker stood before the first attempt counts until the agent was let back: later looks see
// our own work.
func TestBrokerWas(t *testing.T) {
	on, off := json.RawMessage(`{"on":true}`), json.RawMessage(`{"on":false}`)
	first, second := BrokerIntent{Broker: "tasks", Was: on}, BrokerIntent{Broker: "tasks", Was: off}
	done := BrokerDone{Broker: "tasks", Holds: true}
	back, failed := BrokerDone{Broker: "tasks", Holds: true, Back: true}, BrokerDone{Broker: "tasks", Back: true, Error: "it hangs"}
	for name, c := range map[string]struct {
		entries []any
		was     string
		back    bool
	}{
		"cut":                  {[]any{first, done}, string(on), false},
		"died in between":      {[]any{first}, string(on), false},
		"cut again":            {[]any{first, second, done}, string(on), false},
		"let back":             {[]any{first, done, BrokerIntent{Broker: "tasks", Back: true}, back}, string(on), true},
		"not let back":         {[]any{first, done, BrokerIntent{Broker: "tasks", Back: true}, failed}, string(on), false},
		"and cut after that":   {[]any{first, done, BrokerIntent{Broker: "tasks", Back: true}, back, second, done}, string(off), false},
		"nobody knew at first": {[]any{BrokerIntent{Broker: "tasks"}, first, done}, string(on), false},
	} {
		b := brokers(t, c.entries...).Broker("tasks")
		if string(b.Was) != c.was || b.Back != c.back {
			t.Errorf("%s: was %s, back %v", name, b.Was, b.Back)
		}
	}
}

func TestBrokerLines(t *testing.T) {
	for want, v := range map[string]any{
		"broker: cutting account openclaw off tasks (redis mq:6379)":               BrokerIntent{Broker: "tasks", Where: "redis mq:6379", Agent: "openclaw"},
		"broker: dana lets account openclaw back to tasks (redis mq:6379): a test": BrokerIntent{Broker: "tasks", Where: "redis mq:6379", Agent: "openclaw", Back: true, By: "dana", Why: "a test"},
		"cut off: tasks: turned off; not held: others":                             BrokerDone{Broker: "tasks", Holds: true, Did: []string{"turned off"}, Left: []string{"others"}},
		"NOT CUT OFF: tasks: nothing was done; it hangs":                           BrokerDone{Broker: "tasks", Error: "it hangs"},
		"let back: tasks: turned on":                                               BrokerDone{Broker: "tasks", Holds: true, Back: true, Did: []string{"turned on"}},
		"NOT LET BACK: tasks: nothing was done; it hangs":                          BrokerDone{Broker: "tasks", Back: true, Error: "it hangs"},
	} {
		data, _ := json.Marshal(v)
		typ := TypeBroker
		if _, ok := v.(BrokerDone); ok {
			typ = TypeBrokerDone
		}
		word, text, ok := Line(State{}, journal.Entry{Type: typ, Data: data})
		if got := word + ": " + text; !ok || got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Evidence of a broker or a cluster is none of the host: with that alone, nothing is preserved of the agent.
func TestBrokerEvidenceIsNotTheHosts(t *testing.T) {
	s := State{Sealed: []Sealed{{Part: BrokerPart("tasks"), Path: "evidence/broker-tasks"}, {Part: PodsPart(0)}, {Part: PodsPart(1)}}}
	if s.Preserved() || s.Summarize("").Evidence.Sealed {
		t.Error("it counts as evidence of the host")
	}
	if !strings.Contains(strings.Join(whats(s), " "), "the evidence") {
		t.Errorf("not open: %v", whats(s))
	}
	s.Sealed = append(s.Sealed, Sealed{Part: "files"})
	if !s.Preserved() || !s.Summarize("").Evidence.Sealed {
		t.Error("the host's does not count")
	}
}

func whats(s State) (all []string) {
	for _, m := range s.OpenMatters() {
		all = append(all, m.What)
	}
	return all
}
