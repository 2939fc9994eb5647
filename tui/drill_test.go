package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"clawback/forensics/disk"
	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks"
	"clawback/playbooks/engine"
	"clawback/revoke"
	"clawback/revoke/credential"
)

const drillLink = "https://dashboard.stripe.com/apikeys"

// drill is a response in which everything that cannot be undone can happen: the real engine and the real
// journal over actions that pretend, and what they say is hostile.
type drill struct {
	engine  *engine.Engine
	stop    context.CancelFunc
	over    chan struct{} // the record is closed
	entries []journal.Entry
}

// hasty is the disk, which is not told to hold on to anything: thousands of drills would wait for it.
type hasty struct{ disk.OS }

type hastyFile struct{ disk.File }

func (hastyFile) Sync() error { return nil }

func (h hasty) OpenFile(name string, flag int, perm fs.FileMode) (disk.File, error) {
	f, err := h.OS.OpenFile(name, flag, perm)
	return hastyFile{f}, err
}

func (hasty) SyncDir(string) error { return nil }

// drillRevocation takes every command there is about a credential.
type drillRevocation struct {
	of     *drill
	byHand chan credential.Fingerprint
	spared credential.Fingerprint
	added  *atomic.Int64
}

func (r drillRevocation) Announce(playbooks.Step) ([]string, string) {
	return []string{hostileTexts[0], "Breaks: deploy-bot."}, "revoke 3"
}

func (r drillRevocation) Command(ctx context.Context, c incident.Command) error {
	switch {
	case c.Kind == incident.ByHand:
		select {
		case r.byHand <- c.Credential:
			return nil
		default:
			return engine.ErrNoTaker
		}
	case c.Kind == incident.Retry && c.Credential == r.spared:
		return r.kill(ctx, c.Credential)
	}
	return engine.ErrNoTaker
}

func (r drillRevocation) Add(ctx context.Context, a incident.Addition, record func(incident.Command) error) error {
	f := print(fmt.Sprint("added ", r.added.Add(1)))
	if err := record(incident.Command{Kind: incident.Add, Credential: f, Text: a.Kind, By: a.By}); err != nil {
		return err
	}
	found := incident.Found{Credential: credential.Credential{Provider: a.Provider, Kind: a.Kind, Masked: "…added", Fingerprint: f, Tier: 3}}
	if err := r.of.engine.Journal.Note(incident.TypeFound, found); err != nil {
		return err
	}
	return r.kill(ctx, f)
}

func (r drillRevocation) kill(ctx context.Context, f credential.Fingerprint) error {
	j := r.of.engine.Journal
	return errors.Join(j.Append(ctx, incident.TypeRevoke, incident.Revoke{Fingerprint: f}),
		j.Note(incident.TypeLife, incident.Life{Fingerprint: f, Life: credential.Dead, Evidence: hostileTexts[1]}))
}

// Run revokes what was found, the last one by the hands of a person.
func (r drillRevocation) Run(ctx context.Context, _ playbooks.Step, rec engine.Recorder) error {
	for i := range 2 {
		f := pretendFound(rec, "github", "github.pat", fmt.Sprintf("ghp_…%04d%s", i, hostileTexts[2+i]), false)
		if err := pretendKill(ctx, rec, f, 200*time.Millisecond); err != nil {
			return err
		}
	}
	select {
	case f := <-r.byHand:
		return r.kill(ctx, f)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// drillBook is its playbook; where it is approved, two people have to.
func drillBook(approvals int) playbooks.Playbook {
	step := func(id, title, uses, gate string, needs ...string) playbooks.Step {
		return playbooks.Step{ID: id, Title: title, Why: hostileTexts[4], Uses: uses, Gate: gate, Needs: needs, OnFailure: playbooks.GoOn}
	}
	revoke := step("revoke", "Revoke all, prove each one dead", "credentials.revoke", playbooks.Typed, "freeze")
	revoke.Irreversible, revoke.Approvals = "What a provider revoked stays revoked.", approvals
	stop := step("stop", "Kill the agent", "agent.stop", playbooks.Confirm, "freeze")
	stop.Irreversible = "Its memory is gone with it."
	return playbooks.Playbook{Name: "drill", Title: "drill" + hostileTexts[0], Attended: true, Phases: []playbooks.Phase{
		{ID: "freeze", Title: "Freeze", Steps: []playbooks.Step{
			step("discover", "Find every credential", "credentials.discover", playbooks.Auto),
			step("freeze", "Freeze the agent", "agent.freeze", playbooks.Confirm),
		}},
		{ID: "revoke", Title: "Revoke" + hostileTexts[5], Steps: []playbooks.Step{revoke, stop}},
		{ID: "review", Title: "Review", Steps: []playbooks.Step{
			step("timeline", "Read the timeline", "person.guide", playbooks.Auto, "revoke", "stop"),
			step("cause", "How did they get in?", "person.decide", playbooks.Auto, "timeline"),
			step("report", "Write the report", "report.write", playbooks.Auto, "cause"),
		}},
	}}
}

// newDrill begins a drill with its record in dir.
func newDrill(t testing.TB, dir string, approvals int) *drill {
	j, err := journal.CreateOn(hasty{}, dir, journal.Holder{}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	d := &drill{over: make(chan struct{})}
	taker := drillRevocation{d, make(chan credential.Fingerprint, 1), print("awsAKIA…spared"), new(atomic.Int64)}
	d.engine = &engine.Engine{
		Journal: j, Clock: revoke.Wall{}, Target: "claw-lab", Playbook: drillBook(approvals),
		Approvals: engine.Approvals{Requester: "dana"},
		Actions: map[string]engine.Action{
			"credentials.discover": pretend(func(_ context.Context, _ playbooks.Step, r engine.Recorder) error {
				spared := pretendFound(r, "aws", "aws.access_key", "AKIA…spared", false)
				r.Note(incident.TypeCommand, incident.Command{Kind: incident.Skip, Credential: spared, Text: "the shop would stop", By: "lee"})
				r.Note(incident.TypeLife, incident.Life{Fingerprint: spared, Life: credential.Skipped, Reason: incident.ReasonDecision})
				manual := pretendFound(r, "stripe", "stripe.api_key", "sk_live_…9fQ2", true)
				r.Note(incident.TypeLife, incident.Life{Fingerprint: manual, Life: credential.Manual})
				r.Note(incident.TypeWarning, incident.Warning{Text: hostileTexts[1] + hostileTexts[14]})
				return nil
			}),
			"agent.freeze": pretend(func(_ context.Context, _ playbooks.Step, r engine.Recorder) error {
				r.Note(incident.TypeFrozen, incident.Frozen{Processes: 14, TookMS: 31, Complete: true})
				return nil
			}),
			"agent.stop": pretend(func(_ context.Context, _ playbooks.Step, r engine.Recorder) error {
				r.Note(incident.TypeStopped, incident.Stopped{Killed: 14})
				return nil
			}),
			"credentials.revoke": taker,
			"person.guide":       ask(questions["guide"]),
			"person.decide":      ask(questions["choice"]),
			"report.write": pretend(func(_ context.Context, _ playbooks.Step, r engine.Recorder) error {
				r.Note(incident.TypeReport, incident.Report{Markdown: "report.md"})
				return nil
			}),
		},
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.stop = cancel
	var running sync.WaitGroup
	cursor := j.Cursor()
	running.Go(func() {
		for {
			e, err := cursor.Next(context.Background())
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				t.Errorf("read the record: %v", err)
				return
			}
			d.entries = append(d.entries, e)
		}
	})
	go func() {
		defer close(d.over)
		_ = j.Note(incident.TypeDeclared, incident.Declared{
			Incident: "DRILL-20261122-0317", Mode: incident.Drill, Playbook: "drill", Target: "claw-lab", Responder: "dana", Desk: "bastion-2",
		})
		if d.engine.Run(ctx) != nil {
			_ = j.Note(incident.TypeInterrupted, incident.Interrupted{Signal: "interrupt"})
		}
		_ = j.Note(incident.TypeClosed, incident.Closed{Exit: 0})
		_ = j.Close()
		running.Wait()
	}()
	return d
}
