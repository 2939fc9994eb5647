package actions

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"clawback/forensics/incident"
	"clawback/playbooks"
	"clawback/playbooks/containment"
	"clawback/playbooks/engine"
	"clawback/playbooks/host"
)

// wayOutBefore bounds the look at the way out before it is closed: nothing holds an isolation up.
const wayOutBefore = 3 * time.Second

const cutOutside = "have whoever runs the cloud or the hypervisor cut the machine off there"

// isolate cuts the host off the network, and tries whether that holds: a way out of the host, and a
// second way in of the desk's. Whatever comes of the test it stays isolated, unless a person decides
// otherwise.
func (r *Response) isolate(ctx context.Context, step playbooks.Step, rec engine.Recorder) error {
	if text(step.With["only"]) == "agent" {
		return r.isolateAgent(ctx, rec)
	}
	outside, testable := r.Host.(host.Outside)
	var before host.Attempt
	if testable {
		looking, cancel := engine.WithDeadline(ctx, r.Clock, wayOutBefore)
		before, _ = outside.WayOut(looking, r.Forbidden) // what is not known stays so
		cancel()
	}
	i, err := r.Host.Isolate(ctx, containment.Cut{Keep: r.Keep})
	if err != nil {
		return hinted{err: fmt.Errorf("isolate %s: %w", r.Host.Name(), err),
			hint: r.also(err, "cut the machine off at the hypervisor, the cloud or the switch; keep your own SSH connection")}
	}
	rec.Note(incident.TypeIsolated, incident.Isolated{How: i.How, Kept: i.Kept, Proof: i.Proof, Problems: i.Problems})
	if !testable {
		return nil
	}
	t := r.tryWalls(ctx, outside, before)
	rec.Note(incident.TypeIsolationTested, t)
	return r.judgeWalls(ctx, t, rec)
}

// isolateAgent cuts off the agent alone. Of that nothing shows from outside but that the desk can come
// back: the host counts what it drops.
func (r *Response) isolateAgent(ctx context.Context, rec engine.Recorder) error {
	const whole = "clawback isolate without --only-agent cuts the whole machine off"
	i, err := r.Host.Isolate(ctx, containment.Cut{Only: true})
	if err != nil {
		return hinted{err: fmt.Errorf("cut off the agent alone on %s: %w", r.Host.Name(), err), hint: r.also(err, whole)}
	}
	rec.Note(incident.TypeIsolated, incident.Isolated{Only: true, How: bounded(i.How), Kept: bounded(i.Kept), Proof: bounded(i.Proof), Problems: bounded(i.Problems)})
	t := incident.IsolationTested{Only: true, WayIn: "the desk is the machine itself"}
	if outside, ok := r.Host.(host.Outside); ok {
		answer, err := outside.WayIn(ctx)
		if t.WayIn = incident.Cut(answer, maxReason); err != nil {
			t.Lost = incident.Cut(err.Error(), maxReason)
		}
	}
	if d, err := r.Host.Describe(ctx); err != nil {
		t.Said = incident.Cut(err.Error(), maxReason)
	} else {
		t.Dropped = d.Dropped
	}
	rec.Note(incident.TypeIsolationTested, t)
	switch {
	case t.Lost != "":
		return r.lockedOut(ctx, t, rec)
	case len(i.Problems) > 0:
		return hinted{err: errors.New("not all of the agent is cut off: " + i.Problems[0]), hint: whole}
	case !t.Holds():
		rec.Note(incident.TypeWarning, incident.Warning{Text: "that the agent is cut off is what the host says: " + t.Out(), Hint: whole})
	}
	return nil
}

// tryWalls tries both ways at once.
func (r *Response) tryWalls(ctx context.Context, outside host.Outside, before host.Attempt) incident.IsolationTested {
	t := incident.IsolationTested{Before: string(before.Outcome)}
	var both sync.WaitGroup
	both.Go(func() {
		answer, err := outside.WayIn(ctx)
		if t.WayIn = incident.Cut(answer, maxReason); err != nil {
			t.Lost = incident.Cut(err.Error(), maxReason)
		}
	})
	var after host.Attempt
	var failed error
	both.Go(func() { after, failed = outside.WayOut(ctx, r.Forbidden) })
	both.Wait()
	t.To, t.After, t.Said = reached(before.To, after.To), string(after.Outcome), incident.Cut(after.Said, maxReason)
	if failed != nil {
		t.Said = incident.Cut(failed.Error(), maxReason)
	}
	if before.To.IsValid() && after.To.IsValid() && before.To != after.To {
		t.Before = "" // of another address
	}
	return t
}

func reached(before, after netip.AddrPort) string {
	for _, to := range []netip.AddrPort{after, before} {
		if to.IsValid() {
			return to.String()
		}
	}
	return ""
}

// judgeWalls is what a test of the isolation means for the step.
func (r *Response) judgeWalls(ctx context.Context, t incident.IsolationTested, rec engine.Recorder) error {
	switch {
	case t.Lost != "":
		return r.lockedOut(ctx, t, rec)
	case t.After == incident.WasAnswered:
		return hinted{err: errors.New("the isolation does not hold: " + t.Out()),
			hint: cutOutside + "; what is on the machine may be undoing it as root"}
	case !t.Holds():
		rec.Note(incident.TypeWarning, incident.Warning{Text: "the isolation is not proved from outside: " + t.Out(),
			Hint: "name an address in the configuration that answers the machine, as isolation: {probe: 10.0.0.9:443}; " + cutOutside})
	}
	return nil
}

// lockedOut keeps a machine isolated to which the desk could not come back, and asks whether it shall
// stay so where somebody can answer.
func (r *Response) lockedOut(ctx context.Context, t incident.IsolationTested, rec engine.Recorder) error {
	table := "clawback"
	if t.Only {
		table = "clawback-agent"
	}
	stays := hinted{err: errors.New("it is isolated, and the desk cannot come back: " + t.Lost),
		hint: "on its own console nft delete table inet " + table + " opens it again; while this link holds, clawback restore does; " + cutOutside}
	if !r.Attended {
		return stays
	}
	a, err := rec.Ask(ctx, incident.Question{Kind: incident.Confirm, Title: "Open the machine's network again?",
		Text: []string{"It is isolated, and a second connection of this desk did not get through: " + t.Lost,
			"If the connection in use is lost, nobody gets in but over the machine's own console.",
			"Opened again, whoever is on it has the way out back. The agent stays as it is."}})
	if err != nil || a.Choice != incident.Yes {
		return stays
	}
	if err := rec.Intent(ctx, incident.TypeLetGo, incident.LetGo{What: incident.Reopen, By: a.By, Why: "the desk could not come back"}); err != nil {
		return errors.Join(stays, err)
	}
	out := incident.LetGone{What: incident.Reopen}
	failed := r.Host.Reopen(ctx)
	if failed != nil {
		out.Error = incident.Cut(failed.Error(), maxReason)
	}
	rec.Note(incident.TypeLetGone, out)
	if failed != nil {
		return hinted{err: fmt.Errorf("open the network of %s again: %w", r.Host.Name(), failed), hint: stays.hint}
	}
	return hinted{err: errors.New("the machine is not isolated: its network was opened again by " + a.By), hint: cutOutside}
}
