package actions

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks/containment"
	"clawback/playbooks/platform/broker"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/discover"
	"clawback/snapshots"
)

// station is a broker that does what a test says.
type station struct {
	name string
	cut  func(context.Context) error
	look func(context.Context) error
	copy func(context.Context, snapshots.Sink) (snapshots.Captured, error)

	mu     sync.Mutex
	off    bool
	sticky bool // what is done has no effect
	proof  []string
	calls  []string
}

func (s *station) called(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, what)
}

func (s *station) Name() string          { return s.name }
func (s *station) Where() string         { return "toy mq:1" }
func (s *station) Agent() string         { return "openclaw" }
func (s *station) ByHand() (a, b string) { return "TURN OFF", "TURN ON" }

func (s *station) Look(ctx context.Context) (broker.Standing, error) {
	s.called("look")
	if s.look != nil {
		if err := s.look(ctx); err != nil {
			return broker.Standing{}, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	was, _ := json.Marshal(map[string]bool{"on": !s.off, "also": true})
	return broker.Standing{Who: "admin", Off: s.off, Queues: []broker.Queue{{Name: "tasks", Kind: "list", Messages: 7}}, Was: was, Proof: s.proof}, nil
}

func (s *station) set(off bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.sticky {
		s.off = off
	}
}

func (s *station) Cut(ctx context.Context) (broker.Done, error) {
	s.called("cut")
	if s.cut != nil {
		if err := s.cut(ctx); err != nil {
			return broker.Done{}, err
		}
	}
	s.set(true)
	return broker.Done{Did: []string{"turned off"}}, nil
}

func (s *station) Hold(context.Context) (broker.Done, error) {
	s.called("hold")
	return broker.Done{Left: []string{"others go on"}}, nil
}

func (s *station) Preserve(ctx context.Context, sink snapshots.Sink) (snapshots.Captured, error) {
	s.called("copy")
	if s.copy != nil {
		return s.copy(ctx, sink)
	}
	return snapshots.Captured{Files: 1}, whole(sink, "messages/tasks.jsonl", "a message")
}

func (s *station) Restore(_ context.Context, was json.RawMessage) (broker.Done, error) {
	s.called("restore " + string(was))
	s.set(false)
	return broker.Done{Did: []string{"turned on"}}, nil
}

func TestBrokersAreHeld(t *testing.T) {
	r := newResponse(t, &machine{})
	a, b := &station{name: "a"}, &station{name: "b"}
	r.Brokers = []broker.Broker{a, b}
	s := play(t, r, "broker.hold")
	want(t, s, "hold", incident.Done, "")
	for _, b := range []*station{a, b} {
		if !slices.Equal(b.calls, []string{"look", "cut", "hold", "look", "copy"}) {
			t.Errorf("%s: %v", b.name, b.calls)
		}
		on := s.Broker(b.name)
		if on == nil || !on.Touched() || !on.Done.Holds || string(on.Was) == "" || on.ByHand != "TURN ON" || !slices.Equal(on.Done.Left, []string{"others go on"}) {
			t.Errorf("on record: %+v", on)
		}
		if _, err := snapshots.Verify(filepath.Join(r.Dir, "evidence", "broker-"+b.name+".tar.zst")); err != nil {
			t.Error(err)
		}
	}
	if s.Preserved() || len(s.Sealed) != 2 {
		t.Errorf("sealed: %+v", s.Sealed)
	}
}

func TestNoBroker(t *testing.T) {
	want(t, play(t, newResponse(t, &machine{}), "broker.hold"), "hold", incident.Skipped, "names no broker")
}

// The intent is on record before anything is changed.
func TestBrokerIntentComesFirst(t *testing.T) {
	r := newResponse(t, &machine{})
	r.Actions()
	rec := new(recorder)
	b := &station{name: "a"}
	r.Brokers = []broker.Broker{b, &station{name: "b"}}
	b.cut = func(context.Context) error {
		if !slices.Contains(rec.lines, "intent "+incident.TypeBroker) {
			t.Error("it is done before it is on record")
		}
		return nil
	}
	if err := r.holdBroker(t.Context(), b, rec); err != nil {
		t.Error(err)
	}
	b = &station{name: "b"}
	if err := r.holdBroker(t.Context(), b, &recorder{refuses: errBroken}); !errors.Is(err, errBroken) || slices.Contains(b.calls, "cut") {
		t.Errorf("without a record: %v, %v", err, b.calls)
	}
}

// One broker that fails, hangs or panics holds up none of the others, and its content is copied all the same.
func TestBrokersFailAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newResponse(t, &machine{})
		hang := func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) }
		fine, refuses, hangs, sticks := &station{name: "fine"}, &station{name: "refuses"}, &station{name: "hangs"}, &station{name: "sticks", sticky: true}
		blind, panics := &station{name: "blind"}, &station{name: "panics"}
		refuses.cut = func(context.Context) error { return broker.ErrRefused }
		hangs.cut, hangs.look = hang, hang
		blind.look = func(context.Context) error { return broker.ErrTooLarge }
		panics.look = func(context.Context) error { panic("a message") }
		hangs.copy = func(ctx context.Context, _ snapshots.Sink) (snapshots.Captured, error) {
			return snapshots.Captured{}, hang(ctx)
		}
		r.Brokers = []broker.Broker{fine, refuses, hangs, sticks, blind, panics}
		began := time.Now()
		s := play(t, r, "broker.hold")
		if took := time.Since(began); took != brokerLook+brokerCut+brokerCopy {
			t.Errorf("it took %s", took)
		}
		want(t, s, "hold", incident.Failed, "cut the agent off refuses: the broker refused")
		want(t, s, "hold", incident.Failed, "cut the agent off hangs: the deadline has passed")
		want(t, s, "hold", incident.Failed, "cut the agent off sticks: a look afterwards shows that it is not cut off")
		want(t, s, "hold", incident.Failed, "cut the agent off blind: the answer is larger")
		want(t, s, "hold", incident.Failed, "a fault of clawback itself")
		want(t, s, "hold", incident.Failed, "at toy mq:1: TURN OFF")
		if !s.Broker("fine").Done.Holds || s.Broker("refuses").Touched() || !s.Broker("blind").Touched() || s.Broker("blind").Done.Holds {
			t.Errorf("%+v, %+v, %+v", s.Broker("fine"), s.Broker("refuses"), s.Broker("blind"))
		}
		for _, b := range []*station{fine, refuses, sticks, blind} {
			if !slices.Contains(b.calls, "copy") {
				t.Errorf("%s was not copied: %v", b.name, b.calls)
			}
		}
		if strings.Contains(s.Steps["hold"].Outcome.Error, "a message") {
			t.Error("a panic was quoted")
		}
	})
}

// What only a person can take away is a failed step that says what to do, and is never called taken away.
func TestBrokerByHand(t *testing.T) {
	r := newResponse(t, &machine{})
	b := &station{name: "a", proof: []string{"nothing shows whether it is refused"}}
	b.cut = func(context.Context) error { return broker.ErrByHand }
	r.Brokers = []broker.Broker{b}
	s := play(t, r, "broker.hold")
	want(t, s, "hold", incident.Failed, broker.ErrByHand.Error())
	want(t, s, "hold", incident.Failed, "at toy mq:1: TURN OFF")
	if on := s.Broker("a"); on.Done.Holds || !slices.Equal(on.Done.Proof, b.proof) || !slices.Contains(b.calls, "hold") || !slices.Contains(b.calls, "copy") {
		t.Errorf("on record: %+v, %v", on.Done, b.calls)
	}
	j := stopped(t)
	note(t, j, incident.TypeBroker, incident.BrokerIntent{Broker: "a", Where: "toy mq:1", Agent: "openclaw", Was: json.RawMessage(`{"on":true,"also":true}`), ByHand: "TURN ON"})
	note(t, j, incident.TypeBrokerDone, incident.BrokerDone{Broker: "a", Did: []string{"paused"}, Error: "by hand"})
	r = takeUp(t, &machine{}, j)
	r.Brokers = []broker.Broker{b}
	proof, left := r.giveBack(t.Context(), j, "dana", "a false alarm")
	if text := strings.Join(proof, ""); len(left) > 0 || strings.Contains(text, "has its access") || !strings.Contains(text, "TURN ON") {
		t.Errorf("let go: %q, %q", proof, left)
	}
}

// What was left out of a copy is no success, and what is whole of it is sealed.
func TestBrokerCopiedInPart(t *testing.T) {
	r := newResponse(t, &machine{})
	b := &station{name: "a"}
	b.copy = func(_ context.Context, sink snapshots.Sink) (snapshots.Captured, error) {
		return snapshots.Captured{Left: []string{"jobs: more than is taken"}}, whole(sink, "messages/tasks.jsonl", "a message")
	}
	r.Brokers = []broker.Broker{b}
	s := play(t, r, "broker.hold")
	want(t, s, "hold", incident.Failed, "1 thing left out, the first is jobs")
	if len(s.Sealed) != 1 || s.Steps["hold"].Outcome.Gate {
		t.Errorf("sealed %+v, gate %v", s.Sealed, s.Steps["hold"].Outcome.Gate)
	}
}

// A resumed run neither copies twice nor forgets how the broker stood at first.
func TestBrokersResumed(t *testing.T) {
	r := newResponse(t, &machine{})
	b := &station{name: "a"}
	b.cut = func(context.Context) error { return broker.ErrRefused }
	r.Brokers = []broker.Broker{b}
	j := journal.InMemory(time.Now)
	defer j.Close()
	note(t, j, incident.TypeDeclared, incident.Declared{Incident: "CLAW-1", Mode: incident.Real})
	note(t, j, incident.TypeBroker, incident.BrokerIntent{Broker: "a", Where: "toy mq:1", Agent: "openclaw", Was: json.RawMessage(`{"on":true,"also":true}`)})
	r.Actions()
	sealed, err := r.seal(t.Context(), "broker-a", "evidence/broker-a", "toy", nil, b.Preserve)
	if err != nil {
		t.Fatal(err)
	}
	note(t, j, incident.TypeSealed, sealed)
	b.off, b.calls, b.cut = true, nil, nil
	if r.Before, err = Recall(j.Entries(t.Context()), incident.Resumed{By: "dana"}); err != nil {
		t.Fatal(err)
	}
	rec := new(recorder)
	if err := r.holdBroker(t.Context(), b, rec); err != nil || slices.Contains(b.calls, "copy") || slices.Contains(rec.lines, "note "+incident.TypeSealed) {
		t.Errorf("again: %v, %v, %v", err, b.calls, rec.lines)
	}
	note(t, j, incident.TypeBroker, rec.data[0])
	note(t, j, incident.TypeBrokerDone, rec.data[1])
	s, err := foldAll(t.Context(), j)
	if err != nil || !same(s.Broker("a").Was, json.RawMessage(`{"also":true,"on":true}`)) {
		t.Errorf("was %s: %v", s.Broker("a").Was, err)
	}
}

func TestBrokerPartIsOfTheConfiguration(t *testing.T) {
	r := newResponse(t, &machine{})
	r.Brokers = []broker.Broker{&station{name: "a"}}
	for part, fine := range map[string]bool{"broker-a": true, "broker-b": false, "broker-": false, "broker-../../x": false} {
		if _, _, _, err := r.standing(part, new(recorder)); (err == nil) != fine {
			t.Errorf("%s: %v", part, err)
		}
	}
}

// An access that the agent's host held, or that would have to be used on it, is not used.
func TestBrokerAuthority(t *testing.T) {
	password := credential.NewFingerprintKey().Bytes()
	own := revoke.Authority{Kind: BrokerKind, Secret: credential.NewSecret(map[string]string{"user": "admin", "password": string(password)})}
	found := discover.Found{Provider: "unknown", Kind: "unknown", Secret: credential.NewSecret(map[string]string{"value": string(password)})}
	for name, c := range map[string]struct {
		suspect, accepted, held bool
		fails                   string
	}{
		"from elsewhere":       {},
		"on the host":          {suspect: true, fails: ErrRisk.Error()},
		"the risk is accepted": {suspect: true, accepted: true},
		"the host held it":     {held: true, fails: errHeld.Error()},
	} {
		r := newResponse(t, &machine{})
		r.Authorities = &Authorities{Suspect: c.suspect, Accepted: c.accepted,
			Load: map[string]func(context.Context) (revoke.Authority, error){BrokerAuthority("a"): func(context.Context) (revoke.Authority, error) { return own, nil }}}
		r.Actions()
		if c.held {
			r.seen[Credential(r.Key, found).Fingerprint] = true
		}
		b := &station{name: "a"}
		r.Brokers = []broker.Broker{b}
		err := r.holdBroker(t.Context(), b, new(recorder))
		if (err != nil) != (c.fails != "") || err != nil && !strings.Contains(err.Error(), c.fails) || (err != nil) != (len(b.calls) == 0) {
			t.Errorf("%s: %v, %v", name, err, b.calls)
		}
	}
}

func TestBrokerAuthorityIsTested(t *testing.T) {
	for want, err := range map[string]error{incident.AuthorityUsable: nil, incident.AuthorityRefused: broker.ErrRefused, incident.AuthorityUnreachable: os.ErrDeadlineExceeded} {
		a := &Authorities{
			Load: map[string]func(context.Context) (revoke.Authority, error){BrokerAuthority("a"): func(context.Context) (revoke.Authority, error) { return revoke.Authority{Kind: BrokerKind}, nil }},
			Try:  map[string]func(context.Context) (string, error){BrokerAuthority("a"): func(context.Context) (string, error) { return "admin", err }},
		}
		var got incident.Authority
		a.Test(t.Context(), newResponse(t, &machine{}).Clock, nil, []string{BrokerAuthority("a")}, nil, func(out incident.Authority) { got = out })
		if got.Outcome != want || (err == nil) != (got.Who == "admin") {
			t.Errorf("%v: %+v", err, got)
		}
	}
}

// What a false alarm cut off at brokers is given back, as it stood before.
func TestLetGoOfBrokers(t *testing.T) {
	for name, c := range map[string]struct {
		what   string
		done   *incident.BrokerDone
		config bool
		sticky bool
		asked  bool
		fails  string
	}{
		"restore":          {what: incident.Restore, config: true, asked: true},
		"thaw":             {what: incident.Thaw, config: true},
		"died in between":  {what: incident.Restore, config: true, asked: true},
		"never done":       {what: incident.Restore, config: true, done: &incident.BrokerDone{Broker: "a", Error: "it hangs"}},
		"not known":        {what: incident.Restore, fails: "not in the configuration any more; by hand: TURN ON"},
		"it has no effect": {what: incident.Restore, config: true, sticky: true, asked: true, fails: "it does not stand as it stood before; by hand: TURN ON"},
	} {
		j := stopped(t)
		note(t, j, incident.TypeBroker, incident.BrokerIntent{Broker: "a", Where: "toy mq:1", Agent: "openclaw", Was: json.RawMessage(`{"on":true,"also":true}`), ByHand: "TURN ON"})
		switch {
		case c.done != nil:
			note(t, j, incident.TypeBrokerDone, *c.done)
		case name != "died in between":
			note(t, j, incident.TypeBrokerDone, incident.BrokerDone{Broker: "a", Holds: true, Did: []string{"turned off"}})
		}
		r := takeUp(t, &machine{}, j)
		b := &station{name: "a", off: true, sticky: c.sticky}
		if c.config {
			r.Brokers = []broker.Broker{b}
		}
		s, err := r.LetGo(t.Context(), j, c.what, "dana", "a false alarm")
		if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%s: %v, want %q", name, err, c.fails)
		}
		if (len(b.calls) > 0) != c.asked || c.asked && !same(json.RawMessage(strings.TrimPrefix(b.calls[0], "restore ")), json.RawMessage(`{"also":true,"on":true}`)) {
			t.Errorf("%s: %v", name, b.calls)
		}
		if c.asked && s.Broker("a").Back == c.sticky {
			t.Errorf("%s: on record: %+v", name, s.Broker("a"))
		}
	}
}

// With a broker's evidence alone the agent is not killed: that holds nothing of its memory.
func TestBrokerEvidenceOpensNoGate(t *testing.T) {
	for part, lost := range map[string]bool{incident.BrokerPart("a"): true, "volatile": false} {
		j := journal.InMemory(time.Now)
		note(t, j, incident.TypeDeclared, incident.Declared{Incident: "CLAW-1", Mode: incident.Real})
		note(t, j, incident.TypeSealed, incident.Sealed{Part: part, Path: "evidence/" + part})
		r := takeUp(t, &machine{}, j)
		r.frozen = &containment.Frozen{Processes: []containment.Process{{PID: 7}}}
		if err, held := r.unpreserved(); (err != nil) != lost || !held {
			t.Errorf("with %s alone: %v, held %v", part, err, held)
		}
		_ = j.Close()
	}
}
