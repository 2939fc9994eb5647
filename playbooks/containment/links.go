package containment

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
)

// maxLinks bounds how many connections of the agent's containers one engine is believed to have.
const maxLinks = 256

// Link is a container's connection to a network of its engine.
type Link struct {
	Manager string `json:"manager"`
	Unit    string `json:"unit"`
	Network string `json:"network"`           // its id
	Name    string `json:"name"`              // the network's, for people
	Address string `json:"address,omitempty"` // that it had there, for the record
	// Settings are those by which the container was connected, in the engine's own words.
	Settings json.RawMessage `json:"settings,omitempty"`
}

func (l Link) String() string { return fmt.Sprintf("%s in the network %s", l.Unit, l.Name) }

func (l Link) same(o Link) bool {
	return l.Manager == o.Manager && l.Unit == o.Unit && l.Network == o.Network
}

// linker is a Manager that connects what it runs to networks.
type linker interface {
	// Links lists the networks that a unit is connected to now.
	Links(ctx context.Context, unit string) ([]Link, error)
	// Disconnect takes a unit out of a network, and Connect puts it back: with the same names, and an
	// address that the engine chooses where none was asked for. That either is gone is no error.
	Disconnect(ctx context.Context, l Link) error
	Connect(ctx context.Context, l Link) error
}

// disconnect takes the agent's containers out of their networks at their engines as well: what was done
// in a container's own network, whoever may change that can take back from inside.
func (v *visit) disconnect(ctx context.Context, found []Process, cut Suspect, done *Isolated) {
	for _, u := range v.units {
		at, ok := u.manager.(linker)
		if !ok || !u.alone(found, cut.Spaces) {
			continue
		}
		links, err := at.Links(ctx, u.Name)
		if err != nil {
			done.Problems = append(done.Problems, fmt.Sprintf("list the networks of %s: %v", u.Name, err))
			continue
		}
		for _, l := range links {
			if len(v.Links) >= maxLinks {
				done.Problems = append(done.Problems, fmt.Sprintf("%s stays: there are more than %d such connections", l, maxLinks))
				continue
			}
			if !slices.ContainsFunc(v.Links, l.same) {
				v.Links = append(v.Links, l)
				v.problem(v.save())
			}
			if err := at.Disconnect(ctx, l); err != nil {
				done.Problems = append(done.Problems, fmt.Sprintf("disconnect %s: %v", l, err))
				continue
			}
			how := fmt.Sprintf("%s: disconnected by %s from the network %s", l.Unit, l.Manager, l.Name)
			if l.Address != "" {
				how += ", where it was " + l.Address
			}
			done.How = append(done.How, how)
		}
		if left, err := at.Links(ctx, u.Name); err == nil && len(left) == 0 && len(links) > 0 {
			done.Proof = append(done.Proof, fmt.Sprintf("%s is in no network, says %s", u.Name, u.Manager))
		}
	}
}

// alone reports whether a process of the unit has a network that is the agent's alone.
func (u unit) alone(found []Process, spaces []Space) bool {
	return u.Cgroup != "" && slices.ContainsFunc(found, func(p Process) bool {
		return below(u.Cgroup, p.Cgroup) && slices.ContainsFunc(spaces, func(s Space) bool { return slices.Contains(s.pids, p.PID) })
	})
}

// reconnect gives the containers their networks back.
func (v *visit) reconnect(ctx context.Context) {
	var kept []Link
	for _, l := range v.Links {
		at, ok := v.managerNamed(l.Manager).(linker)
		if !ok {
			v.problems = append(v.problems, fmt.Sprintf("put %s again: %s cannot be asked", l, l.Manager))
			kept = append(kept, l)
			continue
		}
		if err := at.Connect(ctx, l); err != nil {
			v.problem(fmt.Errorf("put %s again: %w", l, err))
			kept = append(kept, l)
		}
	}
	v.Links = kept
}
