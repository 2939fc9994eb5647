package containment

import (
	"context"
	"fmt"
)

// Check looks whether the agent is down and stays so: no process, nothing on its ports, no active
// unit; and a start of each unit that Stop blocked is tried and must be refused. Down needs all of
// it, and nothing that could not be looked at.
func (a *Agent) Check(ctx context.Context) (Checked, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	v, err := a.visit(ctx)
	if err != nil {
		return Checked{}, err
	}
	defer v.close()
	v.locate()
	v.findUnits(ctx, nil)
	var c Checked
	active := v.checkUnits(ctx, &c)
	if c.Processes, err = v.processes(ctx); err != nil {
		return c, err
	}
	if len(c.Processes) == 0 {
		c.Proof = append(c.Proof, "/proc: no process of the agent")
	}
	v.checkPorts(&c)
	c.Problems = v.problems
	c.Down = len(c.Processes) == 0 && len(c.Listening) == 0 && active == 0 && len(c.Problems) == 0
	return c, nil
}

// checkUnits counts the units that are not down. It tries to start what was blocked only where the
// manager confirms the block: a test must not be what brings the agent back.
func (v *visit) checkUnits(ctx context.Context, c *Checked) (active int) {
	for _, b := range v.Blocked {
		m := v.managerNamed(b.Manager)
		if m == nil {
			v.problems = append(v.problems, fmt.Sprintf("%s: the %s manager cannot be asked", b.Name, b.Manager))
			continue
		}
		if err := m.Blocked(ctx, b.Name); err != nil {
			v.problem(fmt.Errorf("%s could still start: %w", b.Name, err))
			continue
		}
		starts, ok := m.(starter)
		if !ok || !b.Service || !v.Killed {
			continue
		}
		if err := starts.Start(ctx, b.Name); err == nil {
			v.problem(fmt.Errorf("%s started when it was tried: %w", b.Name, m.Kill(ctx, b.Name)))
		} else {
			c.Proof = append(c.Proof, fmt.Sprintf("%s: start refused: %v", b.Name, err))
		}
	}
	v.findUnits(ctx, nil)
	for _, u := range v.units {
		c.Units = append(c.Units, u.Unit)
		if u.Active != "inactive" && u.Active != "failed" {
			active++
			continue
		}
		c.Proof = append(c.Proof, fmt.Sprintf("%s: %s", u.Name, u.Active)+u.startable())
	}
	return active
}

// startable says who can start a container again, which no engine refuses; "" of other units.
func (u Unit) startable() string {
	if u.Image == "" {
		return ""
	}
	text := fmt.Sprintf(", restart policy %s; %s refuses nobody a start", u.Restart, u.Manager)
	for _, by := range u.Starters {
		text += fmt.Sprintf(", %s %s %s: ask %s", by.Kind, by.Name, by.Detail, by.Ask)
	}
	return text
}
