package actions

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"clawback/forensics/incident"
	"clawback/playbooks"
	"clawback/playbooks/containment"
	"clawback/playbooks/engine"
)

// action makes an engine.Action of a function.
type action func(context.Context, playbooks.Step, engine.Recorder) error

func (f action) Run(ctx context.Context, s playbooks.Step, r engine.Recorder) error {
	return f(ctx, s, r)
}

// repeated is an action of which a resumed run may need another run although it is done.
type repeated struct {
	action
	again func(playbooks.Step) bool
}

// Repeat implements engine.Repeater.
func (r repeated) Repeat(s playbooks.Step) bool { return r.again(s) }

// describe records what the host said before anything was changed: what runs the agent and what
// brings it back.
func (r *Response) describe(_ context.Context, _ playbooks.Step, rec engine.Recorder) error {
	d := r.Description
	out := incident.Described{
		Hostname: d.Hostname, Kernel: d.Kernel, Processes: len(d.Processes),
		ClockAheadMS: d.Now.Sub(r.Clock.Now()).Milliseconds(),
	}
	for _, i := range d.Installations {
		out.Installations = append(out.Installations, fmt.Sprintf("/%s of %s (generation %s)", i.StateDir, accountName(i.User, i.UID), i.Generation))
	}
	for _, u := range d.Units {
		out.Units = append(out.Units, fmt.Sprintf("%s (%s, %s): %s", u.Name, u.Manager, u.Active, u.Why))
	}
	for _, v := range d.Revivers {
		text := v.Kind + " " + v.Name
		if v.Detail != "" {
			text += ": " + v.Detail
		}
		if v.Ask != "" {
			text += " (ask " + v.Ask + ")"
		}
		out.Revivers = append(out.Revivers, text)
	}
	for _, p := range d.Problems {
		out.Problems = append(out.Problems, p.Path+": "+p.Reason)
	}
	out.Installations, out.Units, out.Revivers, out.Problems = bounded(out.Installations), bounded(out.Units), bounded(out.Revivers), bounded(out.Problems)
	rec.Note(incident.TypeDescribed, out)
	return nil
}

func accountName(user string, uid int) string {
	if user == "" {
		return fmt.Sprintf("uid %d", uid)
	}
	return user
}

// thawed reports whether an agent that was frozen may act again by now, since nobody knows what came
// over its machine: unless it was killed, it is frozen anew.
func (r *Response) thawed(playbooks.Step) bool {
	if r.Before == nil {
		return false
	}
	for _, step := range r.Before.State.Steps {
		if step.Uses == "agent.stop" && step.Status == incident.Done {
			return false
		}
	}
	return true
}

func (r *Response) freeze(ctx context.Context, _ playbooks.Step, rec engine.Recorder) error {
	defer r.testAuthorities()
	f, err := r.Host.Freeze(ctx)
	if err != nil {
		r.killNow(ctx, rec, "it could not be frozen: "+err.Error())
		return hinted{err: fmt.Errorf("freeze the agent on %s: %w", r.Host.Name(), err),
			hint: "the agent may still act: cut its network at the hypervisor or the cloud now; revocation goes on"}
	}
	r.mu.Lock()
	r.frozen = &f
	r.mu.Unlock()
	out := incident.Frozen{
		Processes: len(f.Processes), TookMS: float64(f.Took.Microseconds()) / 1000,
		Complete: f.Complete(), Still: len(f.Escaped) == 0, How: f.How, Proof: f.Proof, Problems: f.Problems,
	}
	for _, p := range f.Escaped {
		out.Problems = append(out.Problems, stillRuns(p))
	}
	rec.Note(incident.TypeFrozen, out)
	switch {
	case len(f.Escaped) > 0:
		r.killNow(ctx, rec, stillRuns(f.Escaped[0]))
		return hinted{err: errors.New("not everything of the agent stood still"),
			hint: "see below whether the kill held; where it did not, cut the machine's network at the hypervisor or the cloud"}
	case !f.Complete():
		// All that was found stands still: its memory is worth more than what is in doubt.
		return hinted{err: errors.New("what was found of the agent stands still, but not all is as it should be: " + f.Problems[0]),
			hint: "its evidence is taken before it is killed; look at what is named, and watch that nothing starts the agent anew until then"}
	}
	return nil
}

func stillRuns(p containment.Process) string {
	return fmt.Sprintf("process %d (%s) still ran", p.PID, p.Name)
}

// killNow kills an agent that cannot be held, before its evidence is taken: every second in which it
// acts is worse than what is lost of its memory. Its files are captured afterwards all the same.
func (r *Response) killNow(ctx context.Context, rec engine.Recorder, because string) {
	if ctx.Err() != nil {
		return
	}
	if r.Attended {
		a, err := rec.Ask(ctx, incident.Question{Kind: incident.Typed, Title: "Kill the agent at once, before its evidence is taken?",
			Text: []string{"On " + r.Host.Name() + ".", "It could not be frozen, so it may still act: " + because + ".",
				"What is in its memory is lost, which cannot be undone; its files are captured afterwards."},
			Type: strings.TrimSpace("kill " + engine.Spoken(r.Host.Name()))})
		if err != nil || a.Choice != incident.Yes {
			return
		}
	}
	s, err := r.Host.Stop(ctx)
	if err != nil {
		rec.Note(incident.TypeWarning, incident.Warning{Text: "the agent could not be frozen, nor killed at once: " + err.Error(),
			Hint: "power the machine off, or cut its network at the hypervisor or the cloud"})
		return
	}
	r.wasStopped(s, because, rec)
}

// stop kills the agent without a last word. It destroys what was in memory, so it waits for the
// evidence, unless the agent could not be frozen: then every second of it is worse. Where nothing
// runs nothing is destroyed.
func (r *Response) stop(ctx context.Context, step playbooks.Step, rec engine.Recorder) error {
	lost, held := r.unpreserved()
	if lost != nil && held && !r.Accepted[RiskLoseEvidence] {
		do := "make room at the desk and run it again with " + r.resume()
		if errors.Is(lost, errNotCaptured) {
			do = "carry out a playbook that captures it, with an evidence.capture step before this one"
		}
		return hinted{gate: true,
			err:  fmt.Errorf("the agent stays frozen and is not killed: its evidence is not sealed (%w)", lost),
			hint: r.next(lost, do+", or accept the loss with --accept-risk "+RiskLoseEvidence)}
	}
	if r.died(step) {
		r.look(ctx, rec)
	}
	s, err := r.Host.Stop(ctx)
	if err != nil {
		return hinted{err: fmt.Errorf("kill the agent on %s: %w", r.Host.Name(), err),
			hint: r.also(err, "power the machine off, or cut its network at the hypervisor or the cloud")}
	}
	gaveUp := ""
	switch {
	case lost == nil:
	case held:
		gaveUp = fmt.Sprintf("the loss was accepted with --accept-risk %s: %v", RiskLoseEvidence, lost)
	default:
		gaveUp = fmt.Sprintf("it did not stand still: %v", lost)
	}
	r.wasStopped(s, gaveUp, rec)
	return nil
}

// errNotCaptured means that no evidence of a running agent was taken at all.
var errNotCaptured = errors.New("none was captured")

// unpreserved says which evidence a kill would destroy; nil where it is sealed, or where nothing runs.
// held reports whether the agent stands still, so that it can wait.
func (r *Response) unpreserved() (lost error, held bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	held = r.frozen != nil && len(r.frozen.Escaped) == 0
	switch {
	case r.stopped != nil, held && len(r.frozen.Processes) == 0:
		return nil, held
	case len(r.unsealed) > 0:
		return r.unsealed[0], held
	case !r.captured && (r.Before == nil || !r.Before.State.Preserved()):
		return errNotCaptured, held
	}
	return nil, held
}

// maxReason bounds why something was done, which may quote a host.
const maxReason = 2 << 10

// wasStopped takes down a kill. gaveUp says why evidence was given up for it, or is "".
func (r *Response) wasStopped(s containment.Stopped, gaveUp string, rec engine.Recorder) {
	r.mu.Lock()
	r.stopped = &s
	r.mu.Unlock()
	rec.Note(incident.TypeStopped, incident.Stopped{Killed: len(s.Killed), Did: s.Did, Held: s.Held, Problems: s.Problems,
		WaitMS: s.Wait.Milliseconds(), GaveUp: incident.Cut(gaveUp, maxReason)})
	if gaveUp != "" {
		rec.Note(incident.TypeWarning, incident.Warning{Text: "evidence was given up for the kill: " + incident.Cut(gaveUp, maxReason),
			Hint: "what was in the agent's memory is lost; its files are as they were"})
	}
}

// look records how the agent stands, before a kill is repeated of which nobody knows how far it came.
func (r *Response) look(ctx context.Context, rec engine.Recorder) {
	c, err := r.Host.Check(ctx)
	if err != nil {
		rec.Note(incident.TypeWarning, incident.Warning{Text: "nobody could look how far the kill came before it is repeated: " + err.Error()})
		return
	}
	rec.Note(incident.TypeChecked, incident.Checked{Down: c.Down, Proof: c.Proof, Problems: checkProblems(c)})
}

// check looks whether the agent stays down once anything that restarts it has had its time.
func (r *Response) check(ctx context.Context, _ playbooks.Step, rec engine.Recorder) error {
	wait, killed := r.settling()
	if !killed {
		return engine.Skipped{Reason: "the agent was not killed"}
	}
	if err := r.Clock.Sleep(ctx, wait); err != nil {
		return err
	}
	c, err := r.Host.Check(ctx)
	if err != nil {
		return hinted{err: fmt.Errorf("look whether the agent stays down on %s: %w", r.Host.Name(), err),
			hint: r.also(err, "nothing is known of the agent since it was killed: look at the machine")}
	}
	rec.Note(incident.TypeChecked, incident.Checked{Down: c.Down, Proof: c.Proof, Problems: checkProblems(c)})
	if !c.Down {
		return hinted{err: errors.New("the agent is not down: " + firstOr(checkProblems(c), "the host gave no reason")),
			hint: "cut the machine off the network at the hypervisor or the cloud, then find what starts it"}
	}
	r.gatewayIsDown(rec, c.Proof)
	return nil
}

// settling returns how long what restarts the agent has to be given since it was killed.
func (r *Response) settling() (wait time.Duration, killed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped != nil {
		return r.stopped.Wait, true
	}
	if r.Before == nil || r.Before.State.Stopped == nil {
		return 0, false
	}
	return time.Duration(r.Before.State.Stopped.WaitMS) * time.Millisecond, true
}

func checkProblems(c containment.Checked) []string {
	problems := c.Problems
	for _, p := range c.Processes {
		problems = append(problems, fmt.Sprintf("process %d (%s) runs: %s", p.PID, p.Name, p.Why))
	}
	for _, port := range c.Listening {
		problems = append(problems, fmt.Sprintf("something listens on port %d", port))
	}
	return problems
}

func firstOr(list []string, otherwise string) string {
	if len(list) > 0 {
		return list[0]
	}
	return otherwise
}
