package drill

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"strconv"
	"syscall"

	"clawback/forensics/agents/openclaw"
	"clawback/playbooks/containment"
)

// system is a machine on which nothing runs but the drill's own child and what that started: every
// other process, whatever its name, is neither seen nor touched.
type system struct{ child int }

// Groups implements containment.System: the child is in none of its own.
func (s system) Groups() iter.Seq[string] { return func(func(string) bool) {} }

// Newcomers implements containment.System: the drill's agent does not fork in a hurry.
func (s system) Newcomers(context.Context, containment.Traits) ([]containment.Process, error) {
	return nil, nil
}

func (s system) Processes(context.Context, containment.Traits) ([]containment.Process, error) {
	var found []containment.Process
	todo := []int{s.child}
	for len(todo) > 0 {
		pid := todo[0]
		todo = todo[1:]
		p, err := readProcess(pid)
		if err != nil {
			continue // it has ended
		}
		p.Why = "the drill's own child"
		found = append(found, p)
		todo = append(todo, children(pid)...)
	}
	return found, nil
}

func readProcess(pid int) (containment.Process, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return containment.Process{}, err
	}
	open, closing := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || closing < open {
		return containment.Process{}, errors.New("unreadable stat")
	}
	fields := bytes.Fields(stat[closing+1:]) // from field 3, the state, on
	if len(fields) < 20 || fields[0][0] == 'Z' || fields[0][0] == 'X' {
		return containment.Process{}, containment.ErrGone
	}
	ppid, _ := strconv.Atoi(string(fields[1]))
	start, _ := strconv.ParseUint(string(fields[19]), 10, 64)
	return containment.Process{
		PID: pid, PPID: ppid, Start: start, Name: string(stat[open+1 : closing]), UID: os.Getuid(), State: string(fields[0]),
	}, nil
}

func children(pid int) []int {
	var pids []int
	threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, t := range threads {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, t.Name()))
		for _, f := range bytes.Fields(b) {
			if child, err := strconv.Atoi(string(f)); err == nil {
				pids = append(pids, child)
			}
		}
	}
	return pids
}

func (s system) Signal(_ context.Context, p containment.Process, sig syscall.Signal) error {
	handle, err := os.FindProcess(p.PID) // by a pidfd, where the kernel has them
	if err != nil {
		return containment.ErrGone
	}
	defer func() { _ = handle.Release() }()
	if now, err := readProcess(p.PID); err != nil || now.Start != p.Start {
		return containment.ErrGone
	}
	if err := handle.Signal(sig); err != nil {
		return containment.ErrGone
	}
	return nil
}

func (system) Managers(context.Context) ([]containment.Manager, []openclaw.Problem) { return nil, nil }
func (system) Cgroup(string) containment.Cgroup                                     { return nil }
func (system) Isolator() containment.Isolator                                       { return nil }
