package containment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"
)

// minWait is how long the agent must have stayed down, at least, before Check proves something.
const minWait = 2 * time.Second

// maxWait is how long Check waits at most for a timer that was paused to have been due. What is due
// later is said, with its time.
const maxWait = 2 * time.Minute

// Stop kills the agent without a last word, so that nothing brings it back: it freezes what moves,
// blocks the units, sends SIGKILL to everything, and moves the queue of pending work aside. A unit
// that could not be blocked is left frozen, because killing it would start a fresh one.
func (a *Agent) Stop(ctx context.Context) (Stopped, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer urgently()()
	v := a.begin(ctx)
	defer v.close()
	s := Stopped{Wait: minWait}
	f, err := v.freeze(ctx)
	if err != nil {
		return s, err
	}
	var paused []Reviver
	v.blockUnits(ctx, &paused)
	v.lingerOff(&paused)
	for _, r := range paused {
		if r.Paused {
			s.Did = append(s.Did, r.Name+": "+r.Detail)
		}
	}
	v.Killed = true
	v.problem(v.save())
	spared := v.killUnits(ctx, &s, f.Processes)
	if err := v.killRest(ctx, &s, f.Processes, spared); err != nil {
		return s, err
	}
	for _, u := range v.units {
		for _, name := range u.Triggers { // a socket listens again when its service is gone
			v.pause(ctx, u.manager, name)
		}
	}
	for _, p := range v.Paused {
		if wait := time.Until(p.Due); !p.Due.IsZero() && wait <= maxWait {
			s.Wait = max(s.Wait, wait.Round(time.Millisecond))
		}
	}
	s.Held = v.holdQueues()
	s.Took, s.Problems = time.Since(v.start), v.problems
	return s, nil
}

// killUnits sends SIGKILL to every unit that cannot come back, and returns the cgroups of the others.
func (v *visit) killUnits(ctx context.Context, s *Stopped, frozen []Process) (spared []string) {
	for _, group := range v.strays {
		v.problems = append(v.problems, group+" is left frozen: killed, it might start anew")
		spared = append(spared, group)
	}
	for _, u := range v.units {
		s.Wait = max(s.Wait, 2*u.RestartDelay)
		if err := u.manager.Blocked(ctx, u.Name); err != nil {
			v.problemOnce(fmt.Errorf("%s could still start: %w", u.Name, err))
			v.problems = append(v.problems, u.Name+" is left frozen: killed, it would start anew")
			spared = append(spared, u.Cgroup)
			continue
		}
		if u.Cgroup == "" && u.Active != "restarting" {
			continue // nothing runs
		}
		if isFreezer(u.manager) {
			v.killFrozen(ctx, u, frozen)
		}
		if err := u.manager.Kill(ctx, u.Name); err != nil {
			v.problem(fmt.Errorf("kill %s: %w", u.Name, err))
			if isFreezer(u.manager) { // killed by others, it might start anew
				spared = append(spared, u.Cgroup)
				continue
			}
		}
		if group := v.cgroup(u.Cgroup); group != nil {
			if err := group.Kill(); err != nil {
				v.problem(fmt.Errorf("kill cgroup of %s: %w", u.Name, err))
			}
		}
		s.Did = append(s.Did, "SIGKILL to all of "+u.Name)
	}
	return spared
}

// killFrozen sends SIGKILL to each process of a container but the first, while none of them can move: an
// engine lets them go on for a moment between its own SIGKILL to the first and their end. That one is
// left to the engine, which may take its death by others for a reason to start it again.
func (v *visit) killFrozen(ctx context.Context, u unit, frozen []Process) {
	inside := slices.DeleteFunc(slices.Clone(frozen), func(p Process) bool { return u.Cgroup == "" || !below(u.Cgroup, p.Cgroup) })
	slices.SortFunc(inside, func(a, b Process) int { return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.PID, b.PID)) })
	for _, p := range inside[min(1, len(inside)):] {
		if err := v.signal(ctx, p, syscall.SIGKILL); err != nil {
			v.problemOnce(err)
		}
	}
}

// killRest sends SIGKILL to every process that is left, all of which stand still, until scans find none.
func (v *visit) killRest(ctx context.Context, s *Stopped, frozen []Process, spared []string) error {
	isSpared := func(p Process) bool {
		return slices.ContainsFunc(spared, func(group string) bool { return group != "" && below(group, p.Cgroup) })
	}
	s.Killed = slices.DeleteFunc(slices.Clone(frozen), isSpared)
	start := time.Now()
	signalled := false
	var quiet quietness
	for {
		found, doubt, err := v.scan(ctx)
		if err != nil {
			return err
		}
		found = slices.DeleteFunc(found, isSpared)
		if len(found) == 0 {
			if errors.Is(doubt, ErrMissed) && time.Since(start) > missedFor {
				doubt = ErrBusy
			}
			if quiet.enough(doubt) {
				break
			}
			continue
		}
		if quiet = (quietness{}); time.Since(start) > stillFor {
			v.problems = append(v.problems, fmt.Sprintf("%d processes are still alive, the first is %d (%s)", len(found), found[0].PID, found[0].Name))
			break
		}
		if err := v.killEach(ctx, found); err != nil {
			return err
		}
		signalled = true
		for _, p := range found {
			if !slices.ContainsFunc(s.Killed, p.same) {
				s.Killed = append(s.Killed, p)
			}
		}
	}
	if signalled {
		s.Did = append(s.Did, "SIGKILL to each process")
	}
	return nil
}

// killEach stops what moves, then kills: a process that lives must not see another die.
func (v *visit) killEach(ctx context.Context, found []Process) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} {
		for _, p := range found {
			if sig == syscall.SIGSTOP && p.Still() {
				continue
			}
			if err := v.signal(ctx, p, sig); err != nil {
				v.problemOnce(err)
			}
		}
	}
	return nil
}
