package actions

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"clawback/forensics/incident"
	"clawback/playbooks/containment"
	"clawback/playbooks/host"
)

// walled is a machine whose isolation can be tried from outside.
type walled struct {
	*machine
	in     error
	before host.Attempt
	after  host.Attempt
	out    error // of the attempt after
	tried  []netip.AddrPort
}

func (w *walled) WayIn(context.Context) (string, error) {
	if w.in != nil {
		return "", w.in
	}
	return "a second connection logged in", nil
}

func (w *walled) WayOut(_ context.Context, to netip.AddrPort) (host.Attempt, error) {
	w.tried = append(w.tried, to)
	if !w.asked("isolate") {
		return w.before, nil
	}
	return w.after, w.out
}

func attempt(to string, o host.Outcome) host.Attempt {
	return host.Attempt{To: netip.MustParseAddrPort(to), Outcome: o}
}

// What a test of the isolation says, who is asked, and what becomes of the isolation.
func TestIsolationIsTested(t *testing.T) {
	const desk = "10.0.0.1:9"
	open, shut := attempt(desk, host.Answered), attempt(desk, host.Silent)
	cut := errors.New("connect to web-1: timed out")
	for name, c := range map[string]struct {
		host     walled
		attended bool
		answer   string
		reopen   error
		fails    string // "" for success
		warns    bool
		asked    int
		reopened bool
	}{
		"it holds":                    {host: walled{before: open, after: shut}},
		"the desk was never answered": {host: walled{before: shut, after: shut}, warns: true},
		"nothing is known":            {host: walled{out: errBroken}, warns: true},
		"another address":             {host: walled{before: open, after: attempt("10.0.0.2:9", host.Silent)}, warns: true},
		"it leaks":                    {host: walled{before: open, after: open}, fails: "10.0.0.1:9 still answers the host"},
		"it leaks, unseen before":     {host: walled{after: open}, fails: "still answers"},
		"a leak asks nobody":          {host: walled{before: open, after: open}, attended: true, fails: "still answers"},
		"locked out, nobody there":    {host: walled{in: cut, before: open, after: shut}, fails: "timed out"},
		"locked out, it stays":        {host: walled{in: cut, before: open, after: shut}, attended: true, answer: incident.No, fails: "cannot come back", asked: 1},
		"locked out, opened again":    {host: walled{in: cut, before: open, after: shut}, attended: true, answer: incident.Yes, fails: "opened again by dana", asked: 1, reopened: true},
		"locked out, and stuck":       {host: walled{in: cut, before: open, after: shut}, attended: true, answer: incident.Yes, reopen: errBroken, fails: errBroken.Error(), asked: 1, reopened: true},
	} {
		t.Run(name, func(t *testing.T) {
			h := &c.host
			h.machine = &machine{reopen: func(context.Context) error { return c.reopen }}
			r := newResponse(t, h.machine)
			r.Host, r.Attended = h, c.attended
			rec := &recorder{answer: incident.Answer{Choice: c.answer, By: "dana"}}
			err := r.isolate(t.Context(), book("host.isolate").Phases[0].Steps[0], rec)
			if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("isolate: %v, want %q", err, c.fails)
			}
			var hint interface{ Hint() string }
			if err != nil && (!errors.As(err, &hint) || !strings.Contains(hint.Hint(), "the cloud or the hypervisor")) {
				t.Errorf("it does not say who can: %v", hint)
			}
			if len(rec.asked) != c.asked || h.asked("reopen") != c.reopened || h.asked("restore") || h.asked("thaw") {
				t.Errorf("asked %d times, then %v", len(rec.asked), h.calls)
			}
			if slices.Contains(rec.lines, "note "+incident.TypeWarning) != c.warns {
				t.Errorf("on record: %v", rec.lines)
			}
			i, in := slices.Index(rec.lines, "note "+incident.TypeIsolated), slices.Index(rec.lines, "note "+incident.TypeIsolationTested)
			if i < 0 || in < i {
				t.Fatalf("on record: %v", rec.lines)
			}
			tested := rec.data[in].(incident.IsolationTested)
			if tested.Holds() != (c.fails == "" && !c.warns) || (tested.Lost != "") != (h.in != nil) {
				t.Errorf("on record: %+v", tested)
			}
			if intent := slices.Index(rec.lines, "intent "+incident.TypeLetGo); (intent >= 0) != c.reopened {
				t.Errorf("opened again, and on record: %v", rec.lines)
			}
		})
	}
}

// Nobody there to be asked, or a question that ends without an answer: it stays isolated.
func TestLockedOutStaysIsolated(t *testing.T) {
	h := &walled{machine: &machine{}, in: errBroken}
	r := newResponse(t, h.machine)
	r.Host, r.Attended = h, true
	err := r.isolate(t.Context(), book("host.isolate").Phases[0].Steps[0], &recorder{err: context.DeadlineExceeded})
	if err == nil || !strings.Contains(err.Error(), "cannot come back") || h.asked("reopen") {
		t.Errorf("%v; %v", err, h.calls)
	}
	h = &walled{machine: &machine{}, in: errBroken}
	r.Host = h
	rec := &recorder{answer: incident.Answer{Choice: incident.Yes, By: "dana"}, refuses: errBroken}
	if err := r.isolate(t.Context(), book("host.isolate").Phases[0].Steps[0], rec); !errors.Is(err, errBroken) || h.asked("reopen") {
		t.Errorf("opened again although that is not on record: %v; %v", err, h.calls)
	}
}

// What is kept, and what the isolation is tried on, come from the desk.
func TestIsolateKeeps(t *testing.T) {
	siem := containment.Keep{Name: "siem", Addr: netip.MustParseAddrPort("10.0.0.5:6514")}
	h := &walled{machine: &machine{}, before: attempt("10.0.0.9:443", host.Answered), after: attempt("10.0.0.9:443", host.Silent)}
	r := newResponse(t, h.machine)
	r.Host, r.Keep, r.Forbidden = h, []containment.Keep{siem}, netip.MustParseAddrPort("10.0.0.9:443")
	if err := r.isolate(t.Context(), book("host.isolate").Phases[0].Steps[0], &recorder{}); err != nil {
		t.Error(err)
	}
	if !slices.Equal(h.kept.Keep, r.Keep) || !slices.Equal(h.tried, []netip.AddrPort{r.Forbidden, r.Forbidden}) {
		t.Errorf("kept %v, tried %v", h.kept, h.tried)
	}
}

// Of an agent that is cut off alone, the host counts what it dropped; what is left open fails the step.
func TestIsolateAgentAlone(t *testing.T) {
	step := book("host.isolate").Phases[0].Steps[0]
	step.With = map[string]any{"only": "agent"}
	for name, c := range map[string]struct {
		claims  containment.Isolated
		err     error
		dropped uint64
		in      error
		fails   string
		warns   bool
	}{
		"it holds":           {dropped: 7},
		"nothing came by":    {warns: true},
		"some of it is free": {claims: containment.Isolated{Problems: []string{"process 7 (node) can make new connections"}}, dropped: 7, fails: "process 7 (node) can make"},
		"refused":            {err: errBroken, fails: errBroken.Error()},
		"locked out":         {dropped: 7, in: errBroken, fails: "cannot come back"},
	} {
		t.Run(name, func(t *testing.T) {
			h := &walled{machine: &machine{isolate: func(context.Context) (containment.Isolated, error) { return c.claims, c.err }}, in: c.in}
			h.describe = func(context.Context) (containment.Description, error) {
				return containment.Description{Dropped: c.dropped}, nil
			}
			r := newResponse(t, h.machine)
			r.Host, r.Keep = h, []containment.Keep{{Name: "siem", Addr: netip.MustParseAddrPort("10.0.0.5:6514")}}
			rec := &recorder{}
			err := r.isolate(t.Context(), step, rec)
			if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("isolate: %v, want %q", err, c.fails)
			}
			if !h.kept.Only || len(h.kept.Keep) > 0 || len(h.tried) > 0 {
				t.Errorf("asked for %+v, tried %v", h.kept, h.tried)
			}
			if slices.Contains(rec.lines, "note "+incident.TypeWarning) != c.warns {
				t.Errorf("on record: %v", rec.lines)
			}
			if in := slices.Index(rec.lines, "note "+incident.TypeIsolationTested); (in < 0) != (c.err != nil) {
				t.Errorf("on record: %v", rec.lines)
			} else if in >= 0 && rec.data[in].(incident.IsolationTested).Holds() != (c.dropped > 0 && c.in == nil) {
				t.Errorf("on record: %+v", rec.data[in])
			}
		})
	}
}
