package containment

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

const (
	// stillFor bounds the hunt for processes that fork faster than they can be stopped.
	stillFor = 5 * time.Second
	// missedFor bounds the wait for a scan in which no process ended before it could be told whose it
	// was. On a busy machine there may be none.
	missedFor = time.Second
	// quietScans in a row must find nothing that moves: a child that was forked while a scan ran
	// shows in the next.
	quietScans = 2
	// busyScans must, where processes of whoever came and went while they ran.
	busyScans = 20
)

// Freeze stops every process of the agent where it stands: it loses nothing and can do nothing, not
// even run a signal handler. Then it makes sure that none of its units can be started. The
// managers' service watchdogs go next, because they would replace a frozen agent by a fresh one.
func (a *Agent) Freeze(ctx context.Context) (Frozen, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer urgently()()
	v := a.begin(ctx)
	defer v.close()
	f, err := v.freeze(ctx)
	if err != nil {
		return f, err
	}
	v.blockUnits(ctx, &f.Paused)
	v.lingerOff(&f.Paused)
	f.Problems = v.problems
	return f, nil
}

// freeze is the part of Freeze that stops what runs. By names first, which takes milliseconds and asks
// nobody: a manager waits for its turn on a processor that the agent keeps busy. Then by what the
// managers, the installations on disk and the processes found so far give away.
func (v *visit) freeze(ctx context.Context) (Frozen, error) {
	var f Frozen
	for group := range v.sys.Groups() {
		v.freezeGroup(ctx, group, path.Base(group), &f)
	}
	v.connect(ctx)
	// A container engine, which may hang, is asked when what shows by itself has been stopped.
	v.askUnits(ctx, slices.DeleteFunc(slices.Clone(v.managers), isFreezer), nil)
	v.freezeUnits(ctx, &f)
	if _, err := v.stopAll(ctx); err != nil {
		return f, err
	}
	v.locate()
	found, err := v.stopAll(ctx)
	if err != nil {
		return f, err
	}
	v.findUnits(ctx, found)
	v.freezeUnits(ctx, &f)
	v.freezeStrays(ctx, found, &f)
	if f.Processes, err = v.stopAll(ctx); err != nil {
		return f, err
	}
	f.Took = v.stood.Sub(v.start)
	v.proveFrozen(&f)
	v.keepPorts(f.Processes)
	return f, nil
}

func (v *visit) freezeGroup(ctx context.Context, at, unit string, f *Frozen) {
	group := v.cgroup(at)
	if group == nil || slices.Contains(v.Cgroups, at) && isFrozen(group) {
		return
	}
	if !slices.Contains(v.Cgroups, at) {
		v.Cgroups = append(v.Cgroups, at)
		v.problem(v.save())
	}
	if err := group.Freeze(ctx, true); err != nil {
		v.problem(fmt.Errorf("freeze %s: %w", unit, err))
		return
	}
	v.stood = time.Now()
	f.How = append(f.How, "cgroup freezer of "+unit)
}

// freezeStrays freezes the cgroups of units that no manager told of, such as those of a user's manager
// that does not answer. It may replace them all the same, which is a problem.
func (v *visit) freezeStrays(ctx context.Context, found []Process, f *Frozen) {
	for _, p := range found {
		group, name := unitGroup(p.Cgroup)
		if group == "" || slices.Contains(v.traits.Cgroups, group) || slices.Contains(v.strays, group) {
			continue
		}
		v.strays = append(v.strays, group)
		v.problem(fmt.Errorf("%s: the manager of %s cannot be asked, and may start it again", name, group))
		v.freezeGroup(ctx, group, name, f)
	}
}

// unitGroup is the part of a cgroup's path that is a unit of the agent, and the unit's name.
func unitGroup(path string) (group, name string) {
	for rest := path; len(rest) > 1; rest = filepath.Dir(rest) {
		if name := filepath.Base(rest); agentUnit.MatchString(name) {
			return rest, name
		}
	}
	return "", ""
}

// freezeUnits turns off the watchdogs that guard the agent's units and freezes the units' cgroups.
func (v *visit) freezeUnits(ctx context.Context, f *Frozen) {
	for _, m := range v.managers {
		w, ok := m.(watcher)
		if ok && slices.ContainsFunc(v.units, func(u unit) bool { return u.manager == m }) {
			v.watchdogsOff(ctx, m.Name(), w, f)
		}
	}
	for _, u := range v.units {
		if z, ok := u.manager.(freezer); ok {
			v.freezeBy(ctx, z, u, f)
		} else {
			v.freezeGroup(ctx, u.Cgroup, u.Name, f)
		}
	}
	for _, u := range v.units {
		if u.Watchdog > 0 && u.Cgroup != "" {
			v.watchdogOff(ctx, u)
		}
	}
}

func isFreezer(m Manager) bool { _, ok := m.(freezer); return ok }

// freezeBy lets the unit's manager freeze it. What a manager does not freeze is stopped process by process.
func (v *visit) freezeBy(ctx context.Context, z freezer, u unit, f *Frozen) {
	is := unitName{Manager: u.Manager, Name: u.Name}
	switch {
	case u.Active == "restarting": // it would start again in a moment
		v.pause(ctx, u.manager, u.Name)
		return
	case u.Cgroup == "":
		return
	case u.Active == "paused" && !slices.Contains(v.Frozen, is):
		v.still = append(v.still, u) // by somebody else, who may let it go on
		return
	case !slices.Contains(v.Frozen, is):
		v.Frozen = append(v.Frozen, is)
		v.problem(v.save())
	}
	err := z.Freeze(ctx, u.Name, true)
	switch {
	case errors.Is(err, errNotRunning):
		v.pause(ctx, u.manager, u.Name)
	case err != nil:
		v.problem(fmt.Errorf("pause %s: %w", u.Name, err))
	case u.Active != "paused":
		v.stood = time.Now()
		f.How = append(f.How, u.Manager+" pause of "+u.Name)
		fallthrough
	default:
		v.still = append(v.still, u)
	}
}

func (v *visit) watchdogsOff(ctx context.Context, manager string, w watcher, f *Frozen) {
	on, err := w.Watchdogs(ctx)
	if err != nil {
		v.problem(fmt.Errorf("watchdogs of the %s manager: %w", manager, err))
	}
	if !on {
		return
	}
	if !slices.Contains(v.Watchdogs, manager) {
		v.Watchdogs = append(v.Watchdogs, manager)
		v.problem(v.save())
	}
	if err := w.SetWatchdogs(ctx, false); err != nil {
		v.problem(fmt.Errorf("turn the watchdogs of the %s manager off: %w", manager, err))
		return
	}
	f.Paused = append(f.Paused, Reviver{Kind: "watchdog", Name: manager + " manager", Detail: "ServiceWatchdogs off, for all of its services", Paused: true})
}

// watchdogOff turns off the watchdog of one service. The manager forgets at a reload that it guards
// none at all, and anybody may make it reload; this it remembers.
func (v *visit) watchdogOff(ctx context.Context, u unit) {
	w, ok := u.manager.(watcher)
	if !ok {
		return
	}
	if !slices.ContainsFunc(v.Limits, func(l limit) bool { return l.Manager == u.Manager && l.Name == u.Name }) {
		v.Limits = append(v.Limits, limit{u.Manager, u.Name, u.Watchdog})
		v.problem(v.save())
	}
	if err := w.SetWatchdog(ctx, u.Name, 0); err != nil {
		v.problem(fmt.Errorf("turn the watchdog of %s off: %w", u.Name, err))
	}
}

// cgroup is the control group of that path, nil where it cannot be frozen.
func (v *visit) cgroup(path string) Cgroup {
	if path == "" || path == "/" {
		return nil
	}
	return v.sys.Cgroup(path)
}

func isFrozen(g Cgroup) bool {
	frozen, err := g.Frozen()
	return err == nil && frozen
}

// stopAll stops what still moves, one by one, until scan after scan finds nothing that does. What
// outruns it for stillFor is left moving and shows in the result. When the last that any scan saw
// move was stopped is in v.stood.
func (v *visit) stopAll(ctx context.Context) ([]Process, error) {
	start := time.Now()
	var quiet quietness
	for {
		found, doubt, err := v.scan(ctx)
		if err != nil {
			return nil, err
		}
		moving := slices.DeleteFunc(slices.Clone(found), Process.Still)
		if len(moving) == 0 && v.stood.IsZero() {
			v.stood = time.Now()
		}
		switch {
		case len(moving) > 0 && time.Since(start) > stillFor:
			v.stood = time.Now()
			return found, nil
		case len(moving) > 0:
			quiet = quietness{}
			if err := v.chase(ctx, moving); err != nil {
				return nil, err
			}
		case errors.Is(doubt, ErrMissed) && time.Since(start) > missedFor:
			v.problemOnce(fmt.Errorf("%w: the agent may have some among them", ErrMissed))
			return found, nil
		case quiet.enough(doubt):
			return found, nil
		}
	}
}

// chase stops what moves, and whom it forked meanwhile, until nobody new comes. A scan reads all
// processes of the machine, which takes so long that what forks all the time is never caught up with.
func (v *visit) chase(ctx context.Context, moving []Process) error {
	start := time.Now()
	for nobody := 0; nobody < quietScans && time.Since(start) < stillFor; {
		if err := v.stopEach(ctx, moving); err != nil {
			return err
		}
		if len(moving) > 0 {
			v.stood = time.Now()
		}
		var err error
		if moving, err = v.sys.Newcomers(ctx, v.traits); err != nil {
			return fmt.Errorf("list processes: %w", err)
		}
		for _, p := range moving {
			v.know(p)
		}
		if nobody++; len(moving) > 0 {
			nobody = 0
		}
	}
	return nil
}

// quietness counts scans in a row that found nothing that moves.
type quietness struct{ scans, need int }

// enough counts one more scan, and reports whether nothing that moves can be left. On a busy machine
// each scan may overlook a process, and none overlooks what goes on forking again and again.
func (q *quietness) enough(doubt error) bool {
	switch {
	case errors.Is(doubt, ErrMissed):
		*q = quietness{}
		return false
	case doubt != nil:
		q.need = busyScans
	}
	q.scans++
	return q.scans >= max(q.need, quietScans)
}

func (v *visit) stopEach(ctx context.Context, moving []Process) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("freeze: %w", err)
	}
	fresh := false
	for _, p := range moving {
		if !slices.ContainsFunc(v.Halted, p.same) {
			v.Halted = append(v.Halted, p)
			fresh = true
		}
	}
	if fresh {
		v.problem(v.save())
	}
	for _, p := range moving {
		if err := v.signal(ctx, p, syscall.SIGSTOP); err != nil {
			v.problemOnce(err)
		}
	}
	return nil
}

// problemOnce notes an error that would otherwise repeat with every scan.
func (v *visit) problemOnce(err error) {
	if !slices.Contains(v.problems, err.Error()) {
		v.problem(err)
	}
}

// proveFrozen says what shows that nothing moves, from the kernel's own files.
func (v *visit) proveFrozen(f *Frozen) {
	stopped, stopping, frozen := 0, 0, 0
	for _, p := range f.Processes {
		switch {
		case p.State == stateFrozen:
			frozen++
		case p.State == stateStopping:
			stopping++
		case p.Still():
			stopped++
		default:
			f.Escaped = append(f.Escaped, p)
		}
	}
	if stopping > 0 {
		f.Proof = append(f.Proof, fmt.Sprintf("/proc/PID/status: SIGSTOP pends for %d processes, which wait in the kernel or for a processor", stopping))
	}
	if stopped > 0 {
		f.How = append(f.How, "SIGSTOP")
		f.Proof = append(f.Proof, fmt.Sprintf("/proc/PID/stat: all threads of %d of %d processes in state T", stopped, len(f.Processes)-frozen))
	}
	for _, u := range v.still {
		all, held := 0, 0
		for _, p := range f.Processes {
			if below(u.Cgroup, p.Cgroup) {
				if all++; p.State == stateFrozen {
					held++
				}
			}
		}
		f.Proof = append(f.Proof, fmt.Sprintf("%s: %s says paused; /proc and the freezer of its cgroup: %d of %d processes frozen", u.Name, u.Manager, held, all))
	}
	for _, path := range v.Cgroups {
		group := v.cgroup(path)
		if group == nil {
			continue
		}
		switch ok, err := group.Frozen(); {
		case err != nil:
			v.problem(fmt.Errorf("events of cgroup %s: %w", path, err))
		case ok:
			f.Proof = append(f.Proof, path+"/cgroup.events: frozen 1")
		default:
			v.problems = append(v.problems, path+"/cgroup.events: frozen 0")
		}
	}
}

// Thaw undoes Freeze: the agent goes on where it stood.
func (a *Agent) Thaw(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	v, err := a.visit(ctx)
	if err != nil {
		return err
	}
	defer v.close()
	if v.Killed {
		return fmt.Errorf("thaw: the agent was killed, it cannot go on; restore gives back what was changed")
	}
	v.findUnits(ctx, nil)
	v.locate()
	if _, err := v.processes(ctx); err != nil {
		return err
	}
	v.thaw(ctx)
	v.unblockUnits(ctx)
	v.watchdogsOn(ctx)
	v.problem(v.save())
	return v.failed("thaw")
}
