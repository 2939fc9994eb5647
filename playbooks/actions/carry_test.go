package actions

import (
	"context"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks"
	"clawback/playbooks/containment"
	"clawback/playbooks/engine"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/discover"
	"clawback/revoke/fake"
	"clawback/revoke/providers"
	"clawback/snapshots"
)

func killSwitch(t *testing.T) playbooks.Playbook {
	t.Helper()
	p, err := playbooks.Builtin(playbooks.KillSwitch, Names())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The kill switch against a host and providers on which everything works.
func TestCarry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &machine{}
		r := newResponse(t, h)
		fakes := simulated(t, r)
		reports := 0
		r.Report = func(context.Context) (incident.Report, error) {
			reports++
			return incident.Report{Markdown: "report.md"}, nil
		}
		r.Score = func() incident.Adversary { return incident.Adversary{CallsAfterAlarm: 3} }
		h.discover = finds(foundAt(fakes["github"].Mint("github.pat"), "a"), foundAt(fakes["slack"].Mint("slack.bot"), "b"))
		s, err := carry(t, t.Context(), r, killSwitch(t))
		if err != nil || s.Exit == nil || *s.Exit != incident.ExitContained || s.Count(credential.Dead) != 2 || len(s.Sealed) != 2 {
			t.Errorf("%v, exit %v, %d dead, sealed %d", err, s.Exit, s.Count(credential.Dead), len(s.Sealed))
		}
		if s.Report == nil || reports < 2 || s.Adversary == nil || s.Adversary.CallsAfterAlarm != 3 || s.Interrupted != "" {
			t.Errorf("report %v of %d, adversary %v", s.Report, reports, s.Adversary)
		}
		if !h.asked("close") || slices.Index(h.calls, "close") != len(h.calls)-1 {
			t.Errorf("the host is not left last: %v", h.calls)
		}
	})
}

// Whatever fails, the report is written and the record closed with what is true.
func TestCarryWhateverFails(t *testing.T) {
	for name, c := range map[string]struct {
		host func() *machine
		exit int
	}{
		"every verb":          {broken, incident.ExitNothing},
		"all but the capture": {func() *machine { h := broken(); h.capture = nil; return h }, incident.ExitPartial},
		"all but the freeze":  {func() *machine { h := broken(); h.freeze = nil; return h }, incident.ExitEvidence},
		"the search":          {func() *machine { return &machine{discover: broken().discover} }, incident.ExitPartial},
		"the isolation":       {func() *machine { return &machine{isolate: broken().isolate} }, incident.ExitPartial},
		"the kill":            {func() *machine { return &machine{stop: broken().stop} }, incident.ExitPartial},
		"the look":            {func() *machine { return &machine{check: broken().check} }, incident.ExitPartial},
		"a panic": {func() *machine {
			return &machine{freeze: func(context.Context) (containment.Frozen, error) { panic("a fault") }}
		}, incident.ExitPartial},
		"a panic in the search": {func() *machine {
			return &machine{discover: func(context.Context, func(discover.Found)) (discover.Summary, error) { panic("a fault") }}
		}, incident.ExitPartial},
		"nothing": {func() *machine { return &machine{} }, incident.ExitContained},
		"leaving": {func() *machine { return &machine{close: broken().close} }, incident.ExitContained},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := c.host()
				reports := 0
				r := newResponse(t, h)
				r.Report = func(context.Context) (incident.Report, error) {
					reports++
					return incident.Report{Markdown: "report.md"}, nil
				}
				s, err := carry(t, t.Context(), r, killSwitch(t))
				if err != nil || s.Exit == nil || *s.Exit != c.exit {
					t.Errorf("%v; exit code %v (%d), want %d", err, s.Exit, s.ExitCode(), c.exit)
				}
				if s.Report == nil || reports < 2 {
					t.Errorf("report %v of %d", s.Report, reports)
				}
				for id, step := range s.Steps {
					if step.Status == incident.Waiting || step.Status == incident.Running {
						t.Errorf("%s is left %s", id, step.Status)
					}
					if step.Status == incident.Failed && step.Outcome.Hint == "" && !strings.Contains(step.Outcome.Error, "fault of clawback") {
						t.Errorf("%s failed, and nothing says what to do: %s", id, step.Outcome.Error)
					}
				}
				if left := len(s.Warnings) > 0; left != (h.close != nil) {
					t.Errorf("warnings %v", s.Warnings)
				}
			})
		})
	}
}

// A signal ends the steps, not the account of them.
func TestCarryInterrupted(t *testing.T) {
	for signal, exit := range map[string]int{"interrupt": incident.ExitInterrupted, "terminated": incident.ExitTerminated} {
		for _, during := range []string{"freeze", "capture", "revoke"} {
			t.Run(signal+" during "+during, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := context.WithCancelCause(t.Context())
					hang := func(ctx context.Context, here string) error {
						if here != during {
							return nil
						}
						time.AfterFunc(time.Second, func() { cancel(Interruption{signal}) })
						<-ctx.Done()
						return ctx.Err()
					}
					h := &machine{}
					h.freeze = func(ctx context.Context) (containment.Frozen, error) {
						return containment.Frozen{Processes: []containment.Process{{PID: 7}}}, hang(ctx, "freeze")
					}
					h.capture = func(ctx context.Context, part string, sink snapshots.Sink) (snapshots.Captured, error) {
						err := whole(sink, "a", "x")
						return snapshots.Captured{Files: 1}, errors.Join(err, hang(ctx, "capture"))
					}
					r := newResponse(t, h)
					fakes := simulated(t, r)
					h.discover = finds(foundAt(fakes["github"].Mint("github.pat"), "a"))
					if during == "revoke" {
						fakes["github"].Knobs().SetStayAlive(true)
						time.AfterFunc(20*time.Second, func() { cancel(Interruption{signal}) })
					}
					s, err := carry(t, ctx, r, killSwitch(t))
					if err != nil || s.Interrupted != signal || s.Exit == nil || *s.Exit != exit || s.Report == nil {
						t.Errorf("%v; interrupted by %q, exit %v, report %v", err, s.Interrupted, s.Exit, s.Report)
					}
					if during == "revoke" && (len(s.Credentials) != 1 || s.Credentials[0].Life == credential.Dead || !s.Credentials[0].Life.Settled()) {
						t.Errorf("nothing says how it stands: %+v", s.Credentials)
					}
					if during == "freeze" && h.asked("stop") || !h.asked("close") {
						t.Errorf("asked for %v", h.calls)
					}
				})
			})
		}
	}
	for signal, text := range map[string]string{"interrupt": "interrupted", "terminated": "terminated"} {
		if got := (Interruption{signal}).Error(); got != text {
			t.Errorf("%s reads %q", signal, got)
		}
	}
}

// A report that cannot be written is a grave warning; the record is closed all the same.
func TestCarryWithoutReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newResponse(t, &machine{})
		r.Report = func(context.Context) (incident.Report, error) { return incident.Report{}, os.ErrPermission }
		s, err := carry(t, t.Context(), r, killSwitch(t))
		if !errors.Is(err, os.ErrPermission) || s.Report != nil || s.ExitCode() != incident.ExitPartial {
			t.Errorf("%v, %v, exit code %d", err, s.Report, s.ExitCode())
		}
		if !slices.ContainsFunc(s.Warnings, func(w incident.Warning) bool { return w.Grave && strings.Contains(w.Hint, "clawback report CLAW-1") }) {
			t.Errorf("warnings %+v", s.Warnings)
		}
	})
}

// A record that no disk takes never holds up a response: it is shown, and counts against it.
func TestCarryWithoutADisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &machine{}
		e := &engine.Engine{Journal: journal.Refused(os.ErrPermission, time.Now), Playbook: killSwitch(t), Clock: fake.Wall{}}
		s, err := newResponse(t, h).Carry(t.Context(), e, incident.Declared{})
		_ = e.Journal.Close()
		if err != nil || !h.asked("stop") || s.Exit == nil || s.Trouble == "" || *s.Exit != incident.ExitPartial {
			t.Errorf("%v; asked for %v, exit %v, trouble %q", err, h.calls, s.Exit, s.Trouble)
		}
	})
}

// A playbook that cannot be carried out says so in a record that is whole.
func TestCarryAnUnknownAction(t *testing.T) {
	s, err := carry(t, t.Context(), newResponse(t, &machine{}), book("agent.persuade"))
	if err != nil || s.ExitCode() != incident.ExitNothing || len(s.Warnings) != 1 || !s.Warnings[0].Grave {
		t.Errorf("%v, exit code %d, %+v", err, s.ExitCode(), s.Warnings)
	}
}

// A rehearsal looks, and neither touches the host nor sends anything.
func TestRehearse(t *testing.T) {
	h := &machine{}
	r := newResponse(t, h)
	sent := 0
	var err error
	r.Providers, err = providers.New(func(name string) revoke.Env {
		return revoke.Env{HTTP: revoke.NewClient(counter{&sent}), Authority: r.Authorities.For(name), Sleep: r.Clock.Sleep, Now: r.Clock.Now}
	})
	if err != nil {
		t.Fatal(err)
	}
	var found []discover.Found
	for _, p := range providers.Fakes(r.Clock) {
		for _, kind := range p.Kinds() {
			found = append(found, foundAt(p.Mint(kind), kind))
		}
	}
	h.discover = finds(found...)
	j := journal.InMemory(time.Now)
	defer j.Close()
	s, err := r.Rehearse(t.Context(), j, killSwitch(t), incident.Declared{DryRun: true})
	if err != nil || len(s.Credentials) != len(found) || s.Host == nil || len(s.Plan.Phases) == 0 || s.Exit == nil || *s.Exit != 0 {
		t.Errorf("%v, %d of %d credentials, host %v, exit %v", err, len(s.Credentials), len(found), s.Host, s.Exit)
	}
	if sent > 0 || !slices.Equal(h.calls, []string{"discover"}) {
		t.Errorf("%d requests, asked for %v", sent, h.calls)
	}
	looks := []string{
		incident.TypeDeclared, incident.TypePlan, incident.TypeDescribed, incident.TypeFound, incident.TypeSource,
		incident.TypeSearched, incident.TypeClosed,
	}
	for e, err := range j.Entries(t.Context()) {
		if err != nil || !slices.Contains(looks, e.Type) {
			t.Errorf("entry %s, %v", e.Type, err)
		}
	}
	if entries, err := os.ReadDir(r.Dir); err != nil || len(entries) > 0 {
		t.Errorf("it wrote %v, %v", entries, err)
	}
}

// What a rehearsal could not search is on its record.
func TestRehearseABrokenHost(t *testing.T) {
	j := journal.InMemory(time.Now)
	defer j.Close()
	s, err := newResponse(t, broken()).Rehearse(t.Context(), j, killSwitch(t), incident.Declared{DryRun: true})
	if err != nil || s.Exit == nil || len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0].Text, errBroken.Error()) {
		t.Errorf("%v, %+v", err, s.Warnings)
	}
}

// What looks on can neither announce a change nor ask.
func TestOnlooker(t *testing.T) {
	j := journal.InMemory(time.Now)
	defer j.Close()
	o := onlooker{j}
	if err := o.Intent(t.Context(), incident.TypeRevoke, incident.Revoke{}); err == nil || j.Length() > 0 {
		t.Errorf("it took an intent: %v", err)
	}
	if _, err := o.Ask(t.Context(), incident.Question{}); err == nil || j.Length() > 0 {
		t.Errorf("it asked: %v", err)
	}
}

// counter counts requests, and sends none.
type counter struct{ n *int }

func (c counter) RoundTrip(r *http.Request) (*http.Response, error) {
	*c.n++
	return revoke.Refuse{}.RoundTrip(r)
}

func TestPersonActions(t *testing.T) {
	s := playbooks.Step{ID: "x", Title: "Look", With: map[string]any{
		"text": []any{"one", "two", 3},
		"options": []any{
			map[string]any{"id": "keep", "title": "Keep it", "text": "why"}, map[string]any{"id": "rebuild", "title": "Rebuild"},
		},
	}}
	for choice, wanted := range map[string]error{
		incident.Yes: nil, incident.No: engine.Skipped{Reason: "left open by dana"}, incident.Later: engine.Skipped{Reason: "left open by dana"},
	} {
		rec := &recorder{answer: incident.Answer{Choice: choice, By: "dana"}}
		if err := guide(t.Context(), s, rec); err != wanted {
			t.Errorf("%s: %v, want %v", choice, err, wanted)
		}
		if q := rec.asked[0]; q.Kind != incident.Guide || q.Title != "Look" || !slices.Equal(q.Text, []string{"one", "two", ""}) {
			t.Errorf("asked %+v", q)
		}
	}
	s.With["questions"] = []any{"How?", "What?"}
	for choice, wanted := range map[string]error{
		incident.Yes: nil, incident.Later: engine.Skipped{Reason: "2 of 2 questions left open by dana"},
	} {
		rec := &recorder{answer: incident.Answer{Choice: choice, By: "dana"}}
		if err := guide(t.Context(), s, rec); err != wanted {
			t.Errorf("in writing, %s: %v, want %v", choice, err, wanted)
		}
		if q := rec.asked; len(q) != 2 || q[1].Kind != incident.Written || q[1].Title != "What?" || !slices.Equal(q[0].Text, []string{"one", "two", ""}) {
			t.Errorf("asked %+v", q)
		}
	}
	rec := &recorder{}
	if err := decide(t.Context(), s, rec); err != nil {
		t.Error(err)
	}
	options := []incident.Option{{ID: "keep", Title: "Keep it", Text: "why"}, {ID: "rebuild", Title: "Rebuild"}}
	if q := rec.asked[0]; q.Kind != incident.Choice || !slices.Equal(q.Options, options) {
		t.Errorf("asked %+v", q)
	}
	rec = &recorder{err: engine.ErrUnanswered}
	delete(s.With, "questions")
	if err := errors.Join(guide(t.Context(), s, rec), decide(t.Context(), s, rec)); !errors.Is(err, engine.ErrUnanswered) || len(rec.asked) != 2 {
		t.Errorf("unanswered: %v", err)
	}
	if got := texts(playbooks.Step{With: map[string]any{"text": "one"}}, "text"); !slices.Equal(got, []string{"one"}) {
		t.Errorf("%q", got)
	}
}

// What the host said of the agent is put down in words.
func TestDescribe(t *testing.T) {
	r := newResponse(t, &machine{})
	r.Description = containment.Description{
		Hostname: "web-1", Now: time.Now().Add(time.Hour),
		Units:    []containment.Unit{{Name: "openclaw.service", Manager: "system", Active: "active", Why: "its name"}},
		Revivers: []containment.Reviver{{Kind: "cron", Name: "root", Detail: "@reboot", Ask: "root"}},
	}
	s := play(t, r, "host.describe")
	if s.Host == nil || s.Host.Hostname != "web-1" || s.Host.ClockAheadMS < 3_500_000 ||
		!slices.Equal(s.Host.Units, []string{"openclaw.service (system, active): its name"}) ||
		!slices.Equal(s.Host.Revivers, []string{"cron root: @reboot (ask root)"}) {
		t.Errorf("%+v", s.Host)
	}
}

func TestNames(t *testing.T) {
	names := Names()
	slices.Sort(names)
	if len(names) != 16 || !slices.Contains(names, "agent.freeze") {
		t.Errorf("%v", names)
	}
	for _, name := range []string{playbooks.KillSwitch, playbooks.SuspectedCompromise} {
		if _, err := playbooks.Builtin(name, names); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Validate("x.yaml", []byte("name: x\n")); err == nil {
		t.Error("a playbook without phases is taken")
	}
}
