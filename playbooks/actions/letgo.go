package actions

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks/containment"
	"clawback/playbooks/engine"
)

// letGoTimeout is how long a host has to take back what was done to it, and to say how it stands.
const letGoTimeout = 3 * time.Minute

// LetGo takes back what the response did to its host, which a person found to be a false alarm: what is
// incident.Thaw or incident.Restore. The intent is durable before the host is asked, and how the host
// stands afterwards is recorded whatever happens. Its connection is closed. What cut the host off from
// outside of it is taken back first, by incident.Restore alone: without that nobody reaches it.
func (r *Response) LetGo(ctx context.Context, j *journal.Journal, what, by, why string) (incident.State, error) {
	r.Actions()
	defer r.vault.close()
	always := context.WithoutCancel(ctx)
	r.Before.Resumed.For = incident.ToLetGo
	if err := record(always, j, incident.TypeResumed, r.Before.Resumed); err != nil {
		return r.Before.State, err
	}
	r.warnBefore(notesOf{j})
	if err := record(always, j, incident.TypeLetGo, incident.LetGo{What: what, By: by, Why: why}); err != nil {
		return r.Before.State, err
	}
	var opened error
	if what == incident.Restore {
		opening, done := engine.WithDeadline(always, r.Clock, letGoTimeout)
		opened = r.reopenAll(opening, j, by, why)
		done()
	}
	asking, cancel := engine.WithDeadline(always, r.Clock, letGoTimeout)
	defer cancel()
	r.reachHost(asking)
	do := r.Host.Thaw
	if what == incident.Restore {
		do = r.Host.Restore
	}
	out := incident.LetGone{What: what}
	failed := do(asking)
	if failed != nil {
		out.Error = incident.Cut(failed.Error(), maxReason)
	}
	d, err := r.Host.Describe(asking)
	if err != nil {
		out.Left = []string{"nobody could look how it stands: " + incident.Cut(err.Error(), maxReason)}
	} else {
		standsAfter(d, &out)
	}
	if what == incident.Restore {
		proof, left := r.giveBack(always, j, by, why)
		out.Proof, out.Left = bounded(append(out.Proof, proof...)), bounded(append(out.Left, left...))
	}
	notesOf{j}.Note(incident.TypeLetGone, out)
	r.leave(j)
	if failed == nil && len(out.Left) > 0 {
		failed = errors.New(strings.Join(out.Left, "; "))
	}
	state, err := r.conclude(always, j)
	return state, errors.Join(opened, failed, err)
}

// reachHost connects to a host that could not be reached before its platform let the desk in.
func (r *Response) reachHost(ctx context.Context) {
	if r.Reach == nil {
		return
	}
	h, err := r.Reach(ctx)
	if err != nil {
		h = Gone{Target: r.Host.Name(), Far: r.Host.Remote(), Why: err}
	}
	r.Host = h
}

// standsAfter says what a look at the host shows of what was taken back.
func standsAfter(d containment.Description, out *incident.LetGone) {
	acts := 0
	for _, p := range d.Processes {
		if p.Still() {
			out.Left = append(out.Left, fmt.Sprintf("process %d (%s) stands still", p.PID, p.Name))
			continue
		}
		acts++
	}
	switch {
	case len(d.Processes) == 0:
		out.Proof = append(out.Proof, "/proc: no process of the agent runs")
	case acts == len(d.Processes):
		out.Proof = append(out.Proof, fmt.Sprintf("/proc/PID/stat: none of %s of the agent stands still", plural(acts, "process", "processes")))
	}
	out.Left = append(out.Left, d.Changed...)
	if out.What == incident.Restore {
		out.Left = append(out.Left, d.Walls...)
	}
	if len(out.Left) == 0 {
		out.Proof = append(out.Proof, "nothing that it takes back is left")
	}
	if out.What == incident.Thaw && len(d.Walls) > 0 {
		out.Proof = append(out.Proof, "of the network, left as it is: "+strings.Join(d.Walls, ", "))
	}
	out.Left, out.Proof = bounded(out.Left), bounded(out.Proof)
}
