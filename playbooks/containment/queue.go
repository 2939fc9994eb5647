package containment

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"clawback/forensics/agents/openclaw"
)

// heldDir is where, inside a state directory, what the agent would resume at its next start waits.
const heldDir = ".clawback-held"

// queued is what makes a starting agent go on with its work, below a state directory.
var queued = []string{"delivery-queue", "subagents/runs.json", "cron/jobs.json", "restart-sentinel.json"}

// holdQueues moves the pending work of every installation aside and returns what it moved.
func (v *visit) holdQueues() (held []string) {
	for _, in := range v.installed {
		if in.Generation != "A" {
			v.problems = append(v.problems, in.StateDir+": its pending work is in a database and was not moved aside")
		}
		moved, err := v.moveAll(in.StateDir, "", heldDir)
		v.problem(err)
		for _, name := range moved {
			held = append(held, path.Join(in.StateDir, name))
		}
	}
	return held
}

// releaseQueues moves back what holdQueues moved.
func (v *visit) releaseQueues() {
	for _, in := range v.installed {
		_, err := v.moveAll(in.StateDir, heldDir, "")
		v.problem(err)
	}
}

// moveAll moves a queue as the function of that name, and waits for no file system that does not
// answer. What that still moves later is where the next visit looks for it.
func (v *visit) moveAll(stateDir, from, to string) ([]string, error) {
	moved, err := openclaw.Await(v.disk, stateDir, func() ([]string, error) { return moveAll(v.root, stateDir, from, to) })
	if errors.Is(err, openclaw.ErrSilent) {
		err = fmt.Errorf("queue of %s: %w", stateDir, openclaw.ErrSilent)
	}
	return moved, err
}

// moveAll renames the queue's files from one folder of a state directory to another, and returns
// those that were there. It overwrites nothing and leaves the state directory by no link.
func moveAll(root *os.Root, stateDir, from, to string) (moved []string, err error) {
	state, err := root.OpenRoot(stateDir)
	if err != nil {
		return nil, fmt.Errorf("queue of %s: %w", stateDir, err)
	}
	defer state.Close()
	var problems []error
	for _, name := range queued {
		err := move(state, path.Join(from, name), path.Join(to, name))
		switch {
		case err == nil:
			moved = append(moved, name)
		case !errors.Is(err, fs.ErrNotExist):
			problems = append(problems, fmt.Errorf("queue of %s: %w", stateDir, err))
		}
	}
	if from == heldDir {
		for _, dir := range []string{"subagents", "cron", "."} {
			_ = state.Remove(path.Join(heldDir, dir)) // only when it is empty
		}
	}
	return moved, errors.Join(problems...)
}

func move(state *os.Root, from, to string) error {
	if _, err := state.Lstat(from); err != nil {
		return err
	}
	if _, err := state.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("move %s: %s is in the way", from, to)
	}
	if err := state.MkdirAll(path.Dir(to), 0o700); err != nil {
		return err
	}
	return state.Rename(from, to)
}
