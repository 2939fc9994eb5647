package containment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
)

// thaw lets what was frozen go on. What was stopped in a verb whose record is lost is found again
// by its state.
func (v *visit) thaw(ctx context.Context) {
	var kept []string
	for _, path := range v.Cgroups {
		if group := v.cgroup(path); group != nil {
			if err := group.Freeze(ctx, false); err != nil {
				v.problem(fmt.Errorf("thaw cgroup %s: %w", path, err))
				kept = append(kept, path)
			}
		}
	}
	v.Cgroups = kept
	var frozen []unitName
	for _, u := range v.Frozen {
		z, ok := v.managerNamed(u.Manager).(freezer)
		if !ok {
			v.problems = append(v.problems, fmt.Sprintf("let %s go on: %s cannot be asked", u.Name, u.Manager))
			frozen = append(frozen, u)
			continue
		}
		if err := z.Freeze(ctx, u.Name, false); err != nil {
			v.problem(fmt.Errorf("let %s go on: %w", u.Name, err))
			frozen = append(frozen, u)
		}
	}
	v.Frozen = frozen
	for _, p := range v.traits.Known {
		if err := v.signal(ctx, p, syscall.SIGCONT); err != nil {
			v.problem(err)
		}
	}
	v.Halted, v.Ports = nil, nil
}

// watchdogsOn gives every service its watchdog back, counting from now, and lets the managers act on it.
func (v *visit) watchdogsOn(ctx context.Context) {
	for _, l := range v.Limits {
		w, ok := v.managerNamed(l.Manager).(watcher)
		if !ok {
			continue
		}
		if err := w.SetWatchdog(ctx, l.Name, l.Limit); err != nil {
			v.problem(fmt.Errorf("turn the watchdog of %s on again: %w", l.Name, err))
		}
	}
	v.Limits = nil
	var kept []string
	for _, name := range v.Watchdogs {
		w, ok := v.managerNamed(name).(watcher)
		if !ok {
			v.problems = append(v.problems, "turn watchdogs on again: the "+name+" manager cannot be reached")
			kept = append(kept, name)
			continue
		}
		if err := w.SetWatchdogs(ctx, true); err != nil {
			v.problem(fmt.Errorf("turn the watchdogs of the %s manager on again: %w", name, err))
			kept = append(kept, name)
		}
	}
	v.Watchdogs = kept
}

// unblockUnits makes units startable again, then starts the sockets, timers and paths that were
// stopped, and enables what was disabled. The agent's services themselves are not started.
func (v *visit) unblockUnits(ctx context.Context) {
	var blocked []unitName
	for _, m := range v.managers {
		var names []string
		for _, u := range v.Blocked {
			if u.Manager == m.Name() {
				names = append(names, u.Name)
			}
		}
		b, ok := m.(blocker)
		if !ok {
			continue
		}
		// Sockets first: none can be started once a timer or a dependent has started its service.
		sockets := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return unitType(name) != "socket" })
		if err := b.Unblock(ctx, sockets); err != nil {
			v.problem(fmt.Errorf("unblock sockets of the %s manager: %w", m.Name(), err))
		}
		v.resume(ctx, func(p Paused) bool { return p.Manager == m.Name() && slices.Contains(sockets, p.Name) })
		if err := b.Unblock(ctx, names); err != nil {
			v.problem(fmt.Errorf("unblock units of the %s manager: %w", m.Name(), err))
			for _, name := range names {
				blocked = append(blocked, unitName{Manager: m.Name(), Name: name})
			}
		}
	}
	for _, u := range v.Blocked {
		if v.managerNamed(u.Manager) == nil {
			v.problems = append(v.problems, fmt.Sprintf("unblock %s: the %s manager cannot be reached", u.Name, u.Manager))
			blocked = append(blocked, u)
		}
	}
	v.Blocked = blocked

	v.resume(ctx, func(Paused) bool { return true })
	v.lingerOn()
}

// resume gives back what was paused of the units that are chosen.
func (v *visit) resume(ctx context.Context, chosen func(Paused) bool) {
	var paused []Paused
	for _, p := range v.Paused {
		if !chosen(p) {
			paused = append(paused, p)
			continue
		}
		m := v.managerNamed(p.Manager)
		if m == nil {
			paused = append(paused, p)
			continue
		}
		if err := m.Resume(ctx, p); err != nil {
			v.problem(fmt.Errorf("resume %s: %w", p.Name, err))
			paused = append(paused, p)
		}
	}
	v.Paused = paused
}

func (v *visit) managerNamed(name string) Manager {
	for _, m := range v.managers {
		if m.Name() == name {
			return m
		}
	}
	return nil
}

// failed is the error of a verb that returns nothing but whether it did all that it had to.
func (v *visit) failed(verb string) error {
	if len(v.problems) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %w", verb, errors.New(strings.Join(v.problems, "; ")))
}

// Restore undoes Isolate, moves the queue back and gives back what Stop and Freeze changed: units
// can start again, watchdogs and triggers are as they were. It starts no service.
func (a *Agent) Restore(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	v, err := a.visit(ctx)
	if err != nil {
		return err
	}
	defer v.close()
	v.locate()
	v.releaseQueues()
	if !v.Killed {
		if _, err := v.processes(ctx); err != nil {
			v.problem(err)
		}
	}
	v.thaw(ctx)
	v.unblockUnits(ctx)
	v.watchdogsOn(ctx)
	iso := a.sys.Isolator()
	v.reconnect(ctx)
	if iso != nil {
		v.reopenSpaces(ctx, iso)
	}
	v.Killed = v.Killed && len(v.problems) > 0
	v.problem(v.save())
	if iso != nil {
		v.problem(iso.Restore(ctx))
	}
	return v.failed("restore")
}
