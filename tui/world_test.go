package tui

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks"
	"clawback/playbooks/engine"
	"clawback/revoke"
	"clawback/revoke/credential"
)

// world is a small response: the real engine and journal, over actions that only pretend.
type world struct {
	dir    string
	engine *engine.Engine
	done   chan struct{} // the record is closed
}

type pretend func(context.Context, playbooks.Step, engine.Recorder) error

func (p pretend) Run(ctx context.Context, s playbooks.Step, r engine.Recorder) error {
	return p(ctx, s, r)
}

// pretendRevoke kills some credentials, and waits for a person with the last.
type pretendRevoke struct{ byHand chan credential.Fingerprint }

func (pretendRevoke) Announce(playbooks.Step) ([]string, string) {
	return []string{"6 GitHub tokens, 1 Stripe key. GitHub mails the owner of each."}, "revoke 7"
}

func (p pretendRevoke) Command(_ context.Context, c incident.Command) error {
	if c.Kind != incident.ByHand {
		return engine.ErrNoTaker
	}
	p.byHand <- c.Credential
	return nil
}

func (p pretendRevoke) Run(ctx context.Context, _ playbooks.Step, r engine.Recorder) error {
	manual := pretendFound(r, "stripe", "stripe.api_key", "sk_live_…9fQ2", true)
	r.Note(incident.TypeLife, incident.Life{Fingerprint: manual, Life: credential.Manual})
	for i := range 6 {
		f := pretendFound(r, "github", "github.pat", fmt.Sprintf("ghp_…%04d", 1000+37*i), false)
		if err := pretendKill(ctx, r, f, 400*time.Millisecond); err != nil {
			return err
		}
	}
	select {
	case f := <-p.byHand:
		return pretendKill(ctx, r, f, time.Second)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func pretendFound(r engine.Recorder, provider, kind, masked string, manual bool) credential.Fingerprint {
	f := incident.Found{Credential: credential.Credential{
		Provider: provider, Kind: kind, Masked: masked, Fingerprint: print(provider + masked), Tier: 3,
		Sources: []credential.Source{{Path: "home/claw/.openclaw/openclaw.json", Line: 12}},
	}, Manual: manual}
	if manual {
		f.Steps, f.Link = stripeSteps, "https://dashboard.stripe.com/apikeys"
	}
	r.Note(incident.TypeFound, f)
	return f.Fingerprint
}

func pretendKill(ctx context.Context, r engine.Recorder, f credential.Fingerprint, every time.Duration) error {
	if err := r.Intent(ctx, incident.TypeRevoke, incident.Revoke{Fingerprint: f}); err != nil {
		return err
	}
	r.Note(incident.TypeReceipt, incident.Receipt{Fingerprint: f, Answer: "202 Accepted"})
	for i := range 3 {
		if err := (revoke.Wall{}).Sleep(ctx, every); err != nil {
			return err
		}
		r.Note(incident.TypeProbe, incident.Probe{Fingerprint: f, Outcome: "refused", Answer: "401 Bad credentials", From: "bastion-2",
			Try: i + 1, Row: i + 1, SpanMS: int64(i) * every.Milliseconds(), BudgetMS: 2 * every.Milliseconds()})
	}
	r.Note(incident.TypeLife, incident.Life{Fingerprint: f, Life: credential.Dead, Evidence: "401 Bad credentials ×3, seen from bastion-2"})
	return nil
}

func ask(q incident.Question) pretend {
	return func(ctx context.Context, _ playbooks.Step, r engine.Recorder) error {
		_, err := r.Ask(ctx, q)
		return err
	}
}

// newWorld starts a response in dir. It ends with ctx, or when its playbook does.
func newWorld(ctx context.Context, dir string) (*world, error) {
	j, err := journal.Create(dir, journal.Holder{}, time.Now)
	if err != nil {
		return nil, err
	}
	step := func(id, title, uses, gate string, needs ...string) playbooks.Step {
		return playbooks.Step{ID: id, Title: title, Uses: uses, Gate: gate, Needs: needs, OnFailure: playbooks.GoOn}
	}
	kill := step("revoke", "Revoke all, prove each one dead", "credentials.revoke", playbooks.Typed, "freeze")
	kill.Irreversible = "What a provider revoked stays revoked."
	w := &world{dir: dir, done: make(chan struct{})}
	w.engine = &engine.Engine{
		Journal: j, Clock: revoke.Wall{},
		Playbook: playbooks.Playbook{Name: "suspected-compromise", Title: "suspected compromise", Attended: true, Phases: []playbooks.Phase{
			{ID: "freeze", Title: "Freeze", Steps: []playbooks.Step{step("freeze", "Freeze the agent", "agent.freeze", playbooks.Confirm)}},
			{ID: "revoke", Title: "Revoke", Steps: []playbooks.Step{kill}},
			{ID: "analyse", Title: "Analyse", Steps: []playbooks.Step{
				step("timeline", "Read the timeline", "person.guide", playbooks.Auto, "revoke"),
				step("cause", "How did they get in?", "person.decide", playbooks.Auto, "timeline"),
			}},
			{ID: "review", Title: "Review", Steps: []playbooks.Step{step("report", "Write the report", "report.write", playbooks.Auto, "cause")}},
		}},
		Actions: map[string]engine.Action{
			"agent.freeze": pretend(func(_ context.Context, _ playbooks.Step, r engine.Recorder) error {
				r.Note(incident.TypeFrozen, incident.Frozen{Processes: 14, TookMS: 31, Complete: true})
				return nil
			}),
			"credentials.revoke": pretendRevoke{make(chan credential.Fingerprint, 1)},
			"person.guide":       ask(questions["guide"]),
			"person.decide":      ask(questions["choice"]),
			"report.write": pretend(func(_ context.Context, _ playbooks.Step, r engine.Recorder) error {
				r.Note(incident.TypeReport, incident.Report{Markdown: "report.md"})
				return os.WriteFile(filepath.Join(dir, "report.md"), []byte(sampleReport), 0o600)
			}),
		},
	}
	go func() {
		defer close(w.done)
		_ = j.Note(incident.TypeDeclared, incident.Declared{
			Incident: "INC-20261122-0317", Mode: incident.Drill, Playbook: "suspected-compromise", Target: "claw-lab", Responder: "dana", Desk: "bastion-2",
		})
		if w.engine.Run(ctx) != nil {
			_ = j.Note(incident.TypeInterrupted, incident.Interrupted{Signal: "interrupt"})
		}
		_ = j.Note(incident.TypeClosed, incident.Closed{Exit: 0})
		_ = j.Close()
	}()
	return w, nil
}

// consoleDir is set in a child that shows a world on its terminal.
const consoleDir = "CLAWBACK_TEST_CONSOLE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(consoleDir); dir != "" {
		if err := showWorld(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func showWorld(dir string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w, err := newWorld(ctx, dir)
	if err != nil {
		return err
	}
	err = Run(context.Background(), Options{
		Journal: w.engine.Journal.Cursor(), Submit: w.engine.Submit, Interrupt: func() error { cancel(); return nil }, By: "dana", Dir: dir, Instead: "clawback drill --auto",
	})
	cancel()
	<-w.done
	return err
}
