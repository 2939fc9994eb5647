package containment

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// blockUnits makes sure that no unit of the agent can be started, by whom or what ever: the services
// themselves, what triggers them, and what they would run when they end.
func (v *visit) blockUnits(ctx context.Context, paused *[]Reviver) {
	for _, m := range v.managers {
		var services, triggers, followers []string
		for _, u := range v.units {
			if u.manager == m {
				services = append(services, u.Name)
				triggers = append(triggers, u.Triggers...)
				followers = append(followers, u.Followers...)
			}
		}
		if len(services) == 0 {
			continue
		}
		others := unique(append(triggers, followers...), services)
		v.block(ctx, m, services, others)
		for _, name := range services {
			v.pause(ctx, m, name)
			*paused = append(*paused, Reviver{Kind: "restart", Name: name, Detail: v.howBlocked(m, name), Paused: v.blocked(ctx, m, name)})
		}
		for _, name := range unique(triggers, nil) {
			detail := "start refused"
			if v.pause(ctx, m, name).Active {
				detail = "stopped, " + detail
			}
			if due := v.due(m.Name(), name); !due.IsZero() {
				detail += "; it was due at " + due.UTC().Format(time.DateTime) + "Z"
			}
			*paused = append(*paused, Reviver{Kind: unitType(name), Name: name, Detail: detail, Paused: v.blocked(ctx, m, name)})
		}
		for _, name := range unique(followers, append(services, triggers...)) {
			*paused = append(*paused, Reviver{Kind: "follower", Name: name, Detail: "start refused", Paused: v.blocked(ctx, m, name)})
		}
	}
}

// block writes down and then makes the change that keeps units from being started.
func (v *visit) block(ctx context.Context, m Manager, services, others []string) {
	for _, name := range append(slices.Clone(services), others...) {
		u := unitName{Manager: m.Name(), Name: name, Service: slices.Contains(services, name)}
		if !slices.ContainsFunc(v.Blocked, func(b unitName) bool { return b.Manager == u.Manager && b.Name == u.Name }) {
			v.Blocked = append(v.Blocked, u)
		}
	}
	v.problem(v.save())
	all := append(slices.Clone(services), others...)
	if !slices.ContainsFunc(all, func(name string) bool { return m.Blocked(ctx, name) != nil }) {
		return // by an earlier verb
	}
	if b, ok := m.(blocker); ok {
		if err := b.Block(ctx, services, others); err != nil {
			v.problem(fmt.Errorf("block units of the %s manager: %w", m.Name(), err))
		}
	}
	if w, ok := m.(watcher); ok && slices.Contains(v.Watchdogs, m.Name()) { // the reload turned them on
		if err := w.SetWatchdogs(ctx, false); err != nil {
			v.problem(fmt.Errorf("turn the watchdogs of the %s manager off: %w", m.Name(), err))
		}
	}
}

// howBlocked says what keeps a service from coming back.
func (v *visit) howBlocked(m Manager, name string) string {
	if _, ok := m.(blocker); ok {
		return "drop-in: silent end, no restart, no start"
	}
	for _, p := range v.Paused {
		if p.Manager == m.Name() && p.Name == name && p.Policy != "" {
			return "restart policy no, was " + p.Policy
		}
	}
	return "nothing starts it again by itself"
}

func (v *visit) blocked(ctx context.Context, m Manager, name string) bool {
	err := m.Blocked(ctx, name)
	if err != nil {
		v.problem(fmt.Errorf("%s could still start: %w", name, err))
	}
	return err == nil
}

// pause stops a trigger, and disables a unit so that a reboot does not bring it back.
func (v *visit) pause(ctx context.Context, m Manager, name string) (p Paused) {
	p, err := m.Standing(ctx, name)
	if err != nil {
		v.problem(fmt.Errorf("state of %s: %w", name, err))
		return p
	}
	if !p.Active && !p.Enabled {
		return p
	}
	if i := slices.IndexFunc(v.Paused, func(o Paused) bool { return o.Manager == p.Manager && o.Name == p.Name }); i < 0 || p.Policy == "" {
		v.Paused = append(v.Paused, p)
	} else if p.Enabled { // somebody set it again
		v.Paused[i] = p
	}
	v.problem(v.save())
	if err := m.Pause(ctx, p); err != nil {
		v.problem(fmt.Errorf("pause %s: %w", name, err))
	}
	return p
}

// due is when a timer that was paused would have fired.
func (v *visit) due(manager, name string) (at time.Time) {
	for _, p := range v.Paused {
		if p.Manager == manager && p.Name == name {
			at = p.Due
		}
	}
	return at
}

// unique sorts names and drops repeated ones and those in not.
func unique(names, not []string) []string {
	out := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(not, n) })
	slices.Sort(out)
	return slices.Compact(out)
}

func unitType(name string) string { return name[strings.LastIndex(name, ".")+1:] }
