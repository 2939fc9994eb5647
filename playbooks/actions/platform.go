package actions

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks"
	"clawback/playbooks/engine"
	"clawback/playbooks/host"
	"clawback/playbooks/platform"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/snapshots"
)

// Platform is what the machine under response runs on.
type Platform struct {
	Provider  string // whose authority it takes
	Authority func(context.Context) (revoke.Authority, error)
	Wall      platform.Wall
	Disks     platform.Disks // nil where it keeps no copies
	Logs      platform.Logs  // nil where it keeps none
}

// atPlatforms is the action of a step that does something at each platform, and says before what.
type atPlatforms struct {
	action
	says func() []string
}

// Announce implements engine.Announcer.
func (a atPlatforms) Announce(playbooks.Step) ([]string, string) { return a.says(), "" }

// Will says what the platforms will be asked to do.
func (r *Response) Will() (lines []string) {
	for _, p := range r.Platforms {
		for _, will := range p.Wall.Will() {
			lines = append(lines, p.Wall.Name()+": "+will)
		}
	}
	return lines
}

// WillCopy says of what copies are kept.
func (r *Response) WillCopy() (lines []string) {
	for _, p := range r.Platforms {
		if p.Disks != nil {
			lines = append(lines, p.Disks.Name()+": a snapshot of each of its disks, tagged as evidence; they cost until somebody deletes them")
		}
	}
	return lines
}

var errNoPlatform = engine.Skipped{Reason: "the configuration does not say what it runs on: isolation: {cloud: …, kubernetes: …}"}

var errNoDisks = engine.Skipped{Reason: "nothing that the configuration names of what it runs on keeps copies of its disks"}

// incidentID is how things are named that an incident makes elsewhere.
func (r *Response) incidentID() string {
	if r.Before != nil && r.Before.State.Declared.Incident != "" {
		return r.Before.State.Declared.Incident
	}
	return filepath.Base(r.Dir)
}

// usable refuses an authority that the agent's host held: whoever owns that undoes what is done with it.
func (r *Response) usable(ctx context.Context, p Platform) error {
	provider := p.Provider
	a, err := p.Authority(ctx)
	if errors.Is(err, ErrRisk) {
		return hinted{err: err, hint: "do it from another machine, or accept it with --accept-risk " + RiskAuthorityOnSuspect}
	}
	if err != nil {
		return hinted{err: fmt.Errorf("%s: %w", provider, err), hint: r.Authorities.hint(provider)}
	}
	c := credential.Credential{Provider: provider, Kind: a.Kind, Secret: a.Secret, Ref: identifiers(a.Secret)}
	if r.heldByHost(c) {
		return hinted{err: fmt.Errorf("the authority of %s was found on the agent's host, so whoever owns that has it too: nobody is asked with it", provider),
			hint: "name another in the configuration and run " + r.resume() + ", or " + cutOutside}
	}
	return nil
}

// isolatePlatform cuts the machine off outside of it. One platform that fails does not hold up the next.
func (r *Response) isolatePlatform(ctx context.Context, _ playbooks.Step, rec engine.Recorder) error {
	if len(r.Platforms) == 0 {
		return errNoPlatform
	}
	var failed []error
	for i, p := range r.Platforms {
		if err := r.usable(ctx, p); err != nil {
			failed = append(failed, err)
			continue
		}
		copied := func() error { return r.copyLogs(ctx, p, r.podsPart(i), rec) }
		if err := r.isolateAt(ctx, p, rec, copied); err != nil {
			failed = append(failed, err)
		}
	}
	return joined(failed)
}

// logsCopy is how long the copy of what a platform keeps of the agent's own words may take.
const logsCopy = 3 * time.Minute

// copyLogs seals what a platform keeps of what the agent said, as a part of the evidence of its own.
func (r *Response) copyLogs(ctx context.Context, p Platform, part string, rec engine.Recorder) error {
	if p.Logs == nil {
		return nil
	}
	err := r.copyBeside(ctx, logsCopy, part, p.Wall.Name(), rec, func(ctx context.Context, sink snapshots.Sink) (snapshots.Captured, error) {
		return p.Logs.Preserve(ctx, r.incidentID(), sink)
	})
	if errors.Is(err, ErrNothing) {
		rec.Note(incident.TypeWarning, incident.Warning{Text: p.Wall.Name() + " has no pod of the agent's, so none of its logs is there to be copied"})
		return nil
	}
	if err != nil {
		return hinted{err: fmt.Errorf("copy what %s keeps of the agent's logs: %w", p.Wall.Name(), err), hint: hintOr(err, "take them by hand while the pods are kept, with kubectl logs --all-containers and --previous; "+r.resume()+" tries again")}
	}
	return nil
}

// podsPart is what the evidence of the i-th platform's logs is called: those count that keep some.
func (r *Response) podsPart(i int) string {
	n := 0
	for _, before := range r.Platforms[:i] {
		if before.Logs != nil {
			n++
		}
	}
	return incident.PodsPart(n)
}

// ofPods reports whether a part of the evidence is of a platform of this response.
func (r *Response) ofPods(part string) bool {
	for i, p := range r.Platforms {
		if p.Logs != nil && part == r.podsPart(i) {
			return true
		}
	}
	return false
}

// joined is several failures with the hint of the first.
func joined(failed []error) error {
	if len(failed) == 0 {
		return nil
	}
	return hinted{err: errors.Join(failed...), hint: hintOr(failed[0], "")}
}

// hintOr is the hint of an error, or another where it has none.
func hintOr(err error, otherwise string) string {
	var h engine.Hinter
	if errors.As(err, &h) && h.Hint() != "" {
		return h.Hint()
	}
	return otherwise
}

// isolateAt cuts the machine off at one platform. What that keeps of the agent is copied even where it
// failed: then it may be the last time that it can be.
func (r *Response) isolateAt(ctx context.Context, p Platform, rec engine.Recorder, copied func() error) error {
	on, replaced := p.Wall.Name(), r.replacedBefore(p.Wall.Name())
	result, err := p.Wall.Isolate(ctx, platform.Order{Incident: r.incidentID(), Intent: func(was []incident.PlatformWas) error {
		replaced = append(replaced, was...)
		return rec.Intent(ctx, incident.TypePlatformIntent, incident.PlatformIntent{On: on, Was: was})
	}})
	done := doneAt(on, result, err)
	if outside, ok := r.Host.(host.Outside); ok && err == nil {
		answer, lost := outside.WayIn(ctx)
		if done.WayIn = incident.Cut(answer, maxReason); lost != nil {
			done.Lost = incident.Cut(lost.Error(), maxReason)
		}
	}
	rec.Note(incident.TypePlatformDone, done)
	missed := copied()
	switch {
	case err != nil:
		return hinted{err: errors.Join(fmt.Errorf("cut off %s: %w", on, err), missed), hint: hintOr(err, r.resume()+" tries again, clawback restore gives back what was changed; or have whoever runs it do it by hand")}
	case done.Lost != "":
		lost := r.lockedOutAt(ctx, p, done, replaced, rec)
		return hinted{err: errors.Join(lost, missed), hint: hintOr(lost, "")}
	}
	return missed
}

// replacedBefore is what the runs before replaced at a platform and did not give back.
func (r *Response) replacedBefore(on string) []incident.PlatformWas {
	if r.Before == nil {
		return nil
	}
	for _, p := range r.Before.State.Platforms {
		if p.On == on && p.Open() {
			return slices.Clone(p.Was)
		}
	}
	return nil
}

func doneAt(on string, result platform.Result, err error) incident.PlatformDone {
	d := incident.PlatformDone{On: on, Did: bounded(result.Did), Proof: bounded(result.Proof), Left: bounded(result.Left)}
	if err != nil {
		d.Error = incident.Cut(err.Error(), maxReason)
	}
	return d
}

// lockedOutAt keeps a machine cut off to which the desk could not come back, unless a person decides
// otherwise.
func (r *Response) lockedOutAt(ctx context.Context, p Platform, done incident.PlatformDone, replaced []incident.PlatformWas, rec engine.Recorder) error {
	stays := hinted{err: fmt.Errorf("%s is cut off, and the desk cannot come back: %s", done.On, done.Lost),
		hint: "see that from: in the configuration names this desk as the machine sees it; clawback restore opens it again without the machine's help"}
	if !r.Attended {
		return stays
	}
	a, err := rec.Ask(ctx, incident.Question{Kind: incident.Confirm, Title: "Open it again outside of the machine?",
		Text: []string{done.On + " is cut off, and a second connection of this desk did not get through: " + done.Lost,
			"Its evidence and its agent are out of reach until it is open again.", "Opened again, whoever is on it has the way out back."}})
	if err != nil || a.Choice != incident.Yes {
		return stays
	}
	if err := r.reopenAt(ctx, p, replaced, a.By, "the desk could not come back", rec); err != nil {
		return err
	}
	return hinted{err: errors.New(done.On + " is not cut off: it was opened again by " + a.By), hint: cutOutside}
}

// writer is the record, as what asks nobody needs it.
type writer interface {
	Intent(ctx context.Context, typ string, data any) error
	Note(typ string, data any)
}

// reopenAt gives a platform back what was. The intent is durable before.
func (r *Response) reopenAt(ctx context.Context, p Platform, was []incident.PlatformWas, by, why string, rec writer) error {
	on := p.Wall.Name()
	if err := rec.Intent(ctx, incident.TypePlatformUndo, incident.PlatformUndo{On: on, By: by, Why: why}); err != nil {
		return err
	}
	result, err := p.Wall.Restore(ctx, r.incidentID(), was)
	rec.Note(incident.TypePlatformUndone, doneAt(on, result, err))
	if err == nil && len(result.Left) > 0 {
		err = errors.New(strings.Join(result.Left, "; "))
	}
	if err != nil {
		return hinted{err: fmt.Errorf("open %s again: %w", on, err), hint: "what it had before is on record, under " + incident.TypePlatformIntent + ": give it back by hand where clawback restore cannot"}
	}
	return nil
}

// reopenAll takes back what the runs before did at the platforms.
func (r *Response) reopenAll(ctx context.Context, j *journal.Journal, by, why string) error {
	var failed []error
	for _, was := range r.Before.State.Platforms {
		if !was.Open() {
			continue
		}
		i := slices.IndexFunc(r.Platforms, func(p Platform) bool { return p.Wall.Name() == was.On })
		if i < 0 {
			failed = append(failed, fmt.Errorf("%s is cut off, and the configuration does not name it any more", was.On))
			continue
		}
		err := r.usable(ctx, r.Platforms[i])
		if err == nil {
			err = r.reopenAt(ctx, r.Platforms[i], was.Was, by, why, notesOf{j})
		}
		if err != nil {
			failed = append(failed, err)
		}
	}
	return joined(failed)
}

// snapshotDisks has the platforms keep copies of the machine's disks.
func (r *Response) snapshotDisks(ctx context.Context, _ playbooks.Step, rec engine.Recorder) error {
	var failed []error
	any := false
	for _, p := range r.Platforms {
		if p.Disks == nil {
			continue
		}
		any = true
		if err := r.snapshotAt(ctx, p, rec); err != nil {
			failed = append(failed, err)
		}
	}
	if !any {
		return errNoDisks
	}
	return joined(failed)
}

func (r *Response) snapshotAt(ctx context.Context, p Platform, rec engine.Recorder) error {
	if err := r.usable(ctx, p); err != nil {
		return err
	}
	on := p.Disks.Name()
	kept, err := p.Disks.Snapshot(ctx, r.incidentID(), func(volumes []string) error {
		return rec.Intent(ctx, incident.TypeSnapshotIntent, incident.SnapshotIntent{On: on, Volumes: volumes})
	})
	if len(kept.Disks) > 0 || len(kept.Left) > 0 {
		rec.Note(incident.TypeSnapshots, kept)
	}
	pending := slices.ContainsFunc(kept.Disks, func(d incident.DiskSnapshot) bool { return !d.Completed() })
	switch {
	case err != nil:
		return hinted{err: fmt.Errorf("copy the disks of %s: %w", on, err), hint: hintOr(err, r.resume()+" tries again; what is there already is not made twice")}
	case len(kept.Left) > 0:
		return hinted{err: fmt.Errorf("copy the disks of %s: none is kept of %s", on, strings.Join(kept.Left, ", ")), hint: r.resume() + " tries again"}
	case pending:
		return hinted{err: fmt.Errorf("the copies of the disks of %s are not there yet: %s", on, strings.Join(kept.Lines(), "; ")),
			hint: "they go on without clawback, and show the moment at which they began; " + r.resume() + " sees whether they are there"}
	}
	return nil
}
