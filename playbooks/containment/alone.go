package containment

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Cut is what an isolation takes off the network, and what it leaves.
type Cut struct {
	Keep []Keep // stays in reach of an isolated machine
	Only bool   // the agent alone, and not its machine
}

// Suspect is what of a machine is the agent's and nobody else's.
type Suspect struct {
	Groups   []Group      // control groups, in the machine's own network
	Accounts []int        // user ids, likewise
	Sockets  []OpenSocket // of the agent's processes, likewise
	Spaces   []Space      // networks of its own, such as a container's
	Spared   []string     // accounts that are not cut off, and why
	Free     []string     // processes that can make new connections all the same, and why
}

// Group is a control group of version 2.
type Group struct {
	Path string
	ID   uint64 // by which the kernel knows it: its folder's inode
}

// OpenSocket is a socket of the machine's own network. One that is not connected has no remote end.
type OpenSocket struct {
	Connection
	UDP bool
}

// Space is a network namespace.
type Space struct {
	ID   uint64 `json:"id"`  // its inode
	Who  string `json:"who"` // a process in it, for people: "1234 (node)"
	pids []int  // of the processes in it
}

// profiler is a System that tells the agent's processes from others by what a packet filter knows of them.
type profiler interface {
	Suspect(ctx context.Context, found []Process, desk []Connection) (Suspect, error)
}

// maxRounds bounds how often an agent that acts is looked at again while it is cut off.
const maxRounds = 3

var errNobody = errors.New("no process of the agent runs here: there is nothing to cut off alone")

// isolateAgent cuts off the agent, and nobody else on its machine. It looks again afterwards: what acts
// may have moved meanwhile.
func (a *Agent) isolateAgent(ctx context.Context, iso Isolator, desk []Connection) (Isolated, error) {
	sys, ok := a.sys.(profiler)
	if !ok {
		return Isolated{}, errors.New("isolate: what is the agent's alone cannot be told here")
	}
	v, err := a.visit(ctx)
	if err != nil {
		return Isolated{}, err
	}
	defer v.close()
	v.locate()
	v.findUnits(ctx, nil)
	var done Isolated
	var before Suspect
	var found []Process
	for range maxRounds {
		if found, err = v.processes(ctx); err != nil {
			return done, err
		}
		v.findUnits(ctx, found)
		if found, err = v.processes(ctx); err != nil {
			return done, err
		}
		if len(found) == 0 {
			return done, fmt.Errorf("isolate: %w", errNobody)
		}
		now, err := sys.Suspect(ctx, found, desk)
		if err != nil {
			return done, fmt.Errorf("isolate: %w", err)
		}
		if done.How != nil && now.within(before) {
			break
		}
		before = now
		for _, s := range now.Spaces {
			if !slices.ContainsFunc(v.Spaces, func(o Space) bool { return o.ID == s.ID }) {
				v.Spaces = append(v.Spaces, s)
			}
		}
		v.problem(v.save())
		if done, err = iso.Alone(ctx, desk, now); err != nil {
			return done, err
		}
		done.Problems = append(done.Problems, now.Free...)
		done.Kept = append(done.Kept, now.Spared...)
	}
	v.disconnect(ctx, found, before, &done)
	done.Problems = append(done.Problems, v.problems...)
	return done, nil
}

// within reports whether nothing of s is missing in what was cut off.
func (s Suspect) within(cut Suspect) bool {
	return !slices.ContainsFunc(s.Groups, func(g Group) bool { return !slices.Contains(cut.Groups, g) }) &&
		!slices.ContainsFunc(s.Accounts, func(id int) bool { return !slices.Contains(cut.Accounts, id) }) &&
		!slices.ContainsFunc(s.Spaces, func(n Space) bool {
			return !slices.ContainsFunc(cut.Spaces, func(o Space) bool { return o.ID == n.ID })
		}) && len(s.Free) <= len(cut.Free) && (len(s.Free) == 0 ||
		!slices.ContainsFunc(s.Sockets, func(o OpenSocket) bool { return !slices.Contains(cut.Sockets, o) }))
}

// reopenSpaces gives the agent's own networks back.
func (v *visit) reopenSpaces(ctx context.Context, iso Isolator) {
	var kept []Space
	for _, s := range v.Spaces {
		if err := iso.ReopenSpace(ctx, s); err != nil {
			v.problem(err)
			kept = append(kept, s)
		}
	}
	v.Spaces = kept
}
