package containment

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxContainers bounds how many containers of the agent one engine is believed to have.
const maxContainers = 256

// engine is a Docker, or a Podman, that answers on a socket.
type engine struct {
	name   string // "docker", "podman", "podman of user 1000"
	socket string
	uid    int // whose it is; what another than root's claims is held against whose cgroup it is

	rigid   *bool             // whether it never changes a restart policy; nil is not known yet
	telling sync.Mutex        // held while an Account is read: a capture may leave a slow one behind
	waited  time.Duration     // for its answers, in all
	silent  error             // why it is not asked any more
	ids     map[string]string // of the containers that it listed, by their unit's name
}

var _ interface {
	Manager
	freezer
	teller
} = (*engine)(nil)

func (e *engine) Name() string { return e.name }
func (e *engine) Close()       {}

// list asks for all containers, also those that do not run.
func (e *engine) list(ctx context.Context) ([]listed, error) {
	data, err := e.ask(ctx, "GET", "/containers/json?all=1", nil, maxTold)
	if err != nil {
		return nil, err
	}
	var all []listed
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, fmt.Errorf("list of containers: %w", err)
	}
	all = slices.DeleteFunc(all, func(c listed) bool { return !containerID.MatchString(c.ID) })
	e.ids = map[string]string{}
	for _, c := range all {
		e.ids[c.unitName()] = c.ID
	}
	return all, nil
}

// Units implements Manager.
func (e *engine) Units(ctx context.Context, mains []Process, homes []Home) ([]Unit, error) {
	all, err := e.list(ctx)
	if err != nil {
		return nil, err
	}
	var units []Unit
	var failed []error
	for _, c := range all {
		why := c.why(homes)
		if why == "" && !slices.ContainsFunc(mains, func(p Process) bool { return strings.Contains(p.Cgroup, c.ID) }) {
			continue
		}
		if len(units) == maxContainers {
			failed = append(failed, fmt.Errorf("it names more than %d containers as the agent's", maxContainers))
			break
		}
		now, err := e.inspect(ctx, c.ID)
		if errors.Is(err, errNoContainer) {
			continue
		}
		if err != nil {
			failed = append(failed, err)
			continue
		}
		if why = cmp.Or(why, now.runs(mains)); why == "" {
			continue
		}
		u, err := e.unit(c, now)
		failed = append(failed, err)
		u.Why = why
		units = append(units, u)
	}
	if len(units) > 0 {
		units[0].Starters = append(units[0].Starters, holders(all)...)
	}
	return units, errors.Join(failed...)
}

// holders lists the containers from which others can be started.
func holders(all []listed) (out []Reviver) {
	for _, c := range all {
		if c.holdsSocket() {
			out = append(out, Reviver{Kind: "container", Name: c.unitName(), Detail: "can start containers: it has the engine's socket", Ask: "who runs " + c.name()})
		}
	}
	return out
}

// unit reads a container as it stands. The kernel tells which cgroup it has: when the engine's word for
// its process does not lead into a cgroup of its own, none.
func (e *engine) unit(c listed, now inspected) (Unit, error) {
	u := Unit{
		Name: c.unitName(), Manager: e.name, Active: printable(now.State.Status), Image: printable(c.Image),
		Restart: printable(now.HostConfig.RestartPolicy.String()), Starters: starters(now.Config.Labels),
		Removed: now.HostConfig.AutoRemove,
	}
	switch {
	case now.State.Paused:
		u.Active = "paused"
	case now.State.Restarting:
		u.Active = "restarting"
	case !now.State.Running:
		u.Active = "inactive"
	}
	if !now.State.Running || now.State.Restarting {
		return u, nil
	}
	var err error
	if u.Cgroup, err = e.cgroup(c.ID, now.State.Pid); err != nil {
		return u, fmt.Errorf("%s: %w", u.Name, err)
	}
	return u, nil
}

// cgroup is the container's: that part of its process's path which carries its id.
func (e *engine) cgroup(id string, pid int) (string, error) {
	if pid <= 1 {
		return "", fmt.Errorf("it runs, and has the process %d", pid)
	}
	data, err := readBounded(procPath(pid, "cgroup"), 1<<16)
	if err != nil {
		return "", err
	}
	group := unifiedPath(string(data))
	for strings.Contains(path.Dir(group), id) {
		group = path.Dir(group)
	}
	mine := e.uid == 0 || strings.Contains(group, fmt.Sprintf("/user@%d.service/", e.uid)) || strings.Contains(group, fmt.Sprintf("/user-%d.slice/", e.uid))
	if !strings.Contains(path.Base(group), id) || !mine {
		return "", fmt.Errorf("the engine claims the process %d, which is in %q and not the container's", pid, group)
	}
	return group, nil
}

// errNoContainer is returned for a container that does not exist any more.
var errNoContainer = errors.New("no such container")

// inspect reads one container, by its full id.
func (e *engine) inspect(ctx context.Context, id string) (inspected, error) {
	var c inspected
	data, err := e.ask(ctx, "GET", "/containers/"+id+"/json", nil, maxTold)
	var no *refusal
	if errors.As(err, &no) && no.status == 404 {
		return c, errNoContainer
	}
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return c, fmt.Errorf("container %s: %w", id[:shortID], err)
	}
	if c.ID != id {
		return c, fmt.Errorf("asked of container %s, it tells of another", id[:shortID])
	}
	return c, nil
}

// find is the full id of a unit: engines take the beginning of an id as well, but a name before it.
func (e *engine) find(ctx context.Context, unit string) (string, error) {
	if !containerUnit.MatchString(unit) {
		return "", fmt.Errorf("%q is not a container", unit)
	}
	if e.ids[unit] == "" {
		if _, err := e.list(ctx); err != nil {
			return "", err
		}
	}
	if id := e.ids[unit]; id != "" {
		return id, nil
	}
	return "", errNoContainer
}

func (e *engine) look(ctx context.Context, unit string) (inspected, error) {
	id, err := e.find(ctx, unit)
	if err != nil {
		return inspected{}, err
	}
	return e.inspect(ctx, id)
}

// do sends one command on a container.
func (e *engine) do(ctx context.Context, id, command string, body any) error {
	_, err := e.ask(ctx, "POST", "/containers/"+id+"/"+command, body, maxHead)
	return err
}

// Freeze implements freezer: it pauses the container.
func (e *engine) Freeze(ctx context.Context, unit string, on bool) error {
	c, err := e.look(ctx, unit)
	switch {
	case errors.Is(err, errNoContainer):
		return nil
	case err != nil:
		return err
	case c.State.Paused == on || !on && !c.State.Running:
		return nil
	case on && (c.State.Restarting || !c.State.Running):
		return errNotRunning
	}
	command := "unpause"
	if on {
		command = "pause"
	}
	failed := e.do(ctx, c.ID, command, nil)
	c, err = e.inspect(ctx, c.ID)
	switch {
	case err == nil && c.State.Paused == on:
		return nil
	case err == nil && on && !c.State.Running, err == nil && c.State.Restarting:
		return errNotRunning
	}
	return errors.Join(failed, err, fmt.Errorf("it says paused: %t", c.State.Paused))
}

// isRigid reports whether the engine is a Podman that cannot change a restart policy, as before 5.1. None
// starts again what was killed through it, whatever the policy, until a boot:
// https://docs.podman.io/en/latest/markdown/podman-run.1.html#restart-policy
func (e *engine) isRigid(ctx context.Context) bool {
	if !strings.HasPrefix(e.name, "podman") {
		return false
	}
	if e.rigid == nil {
		var its struct{ Version string }
		data, err := e.ask(ctx, "GET", "/version", nil, maxTold)
		if err != nil || json.Unmarshal(data, &its) != nil {
			return false
		}
		var major, minor int
		_, err = fmt.Sscanf(its.Version, "%d.%d", &major, &minor)
		old := err == nil && (major < 5 || major == 5 && minor < 1)
		e.rigid = &old
	}
	return *e.rigid
}

// Standing implements Manager. A container that waits to be started again counts as active.
func (e *engine) Standing(ctx context.Context, unit string) (Paused, error) {
	c, err := e.look(ctx, unit)
	if err != nil && !errors.Is(err, errNoContainer) {
		return Paused{}, err
	}
	p := Paused{Manager: e.name, Name: unit, Active: c.State.Restarting}
	if p.Enabled = !c.HostConfig.RestartPolicy.none() && !e.isRigid(ctx); p.Enabled {
		p.Policy = c.HostConfig.RestartPolicy.String()
	}
	return p, nil
}

// Pause implements Manager: the restart policy becomes no, and a container that waits to be started
// again does not wait any more.
func (e *engine) Pause(ctx context.Context, p Paused) error {
	id, err := e.find(ctx, p.Name)
	if err != nil {
		return err
	}
	if err := e.setPolicy(ctx, id, policy{Name: "no"}); err != nil {
		return err
	}
	if !p.Active {
		return nil
	}
	return e.kill(ctx, id)
}

// Resume implements Manager: it gives the restart policy back, and starts nothing.
func (e *engine) Resume(ctx context.Context, p Paused) error {
	id, err := e.find(ctx, p.Name)
	if errors.Is(err, errNoContainer) || err == nil && p.Policy == "" {
		return nil
	}
	if err != nil {
		return err
	}
	was, err := parsePolicy(p.Policy)
	if err != nil {
		return err
	}
	return e.setPolicy(ctx, id, was)
}

func (e *engine) setPolicy(ctx context.Context, id string, p policy) error {
	if err := e.do(ctx, id, "update", map[string]policy{"RestartPolicy": p}); err != nil {
		return fmt.Errorf("set the restart policy to %s: %w", p, err)
	}
	return nil
}

// Blocked implements Manager: nothing brings the container back by itself. Whoever reaches the engine can
// still start it, which no engine can be made to refuse.
func (e *engine) Blocked(ctx context.Context, unit string) error {
	c, err := e.look(ctx, unit)
	switch {
	case errors.Is(err, errNoContainer):
		return nil
	case err != nil:
		return err
	case c.HostConfig.RestartPolicy.none():
	case e.isRigid(ctx) && (c.State.Paused || !c.State.Running): // to be killed by it, or was
	default:
		return fmt.Errorf("its restart policy is %s", printable(c.HostConfig.RestartPolicy.String()))
	}
	if by, ok := controller(c.Config.Labels); ok {
		return fmt.Errorf("%s %s %s: call %s", by.Kind, by.Name, by.Detail, by.Ask)
	}
	return nil
}

// Kill implements Manager. It is never a stop, which lets a paused container go on for a last word.
func (e *engine) Kill(ctx context.Context, unit string) error {
	id, err := e.find(ctx, unit)
	if errors.Is(err, errNoContainer) {
		return nil
	}
	if err != nil {
		return err
	}
	return e.kill(ctx, id)
}

func (e *engine) kill(ctx context.Context, id string) error {
	failed := e.do(ctx, id, "kill?signal=KILL", nil)
	if failed == nil {
		return nil
	}
	c, err := e.inspect(ctx, id)
	if errors.Is(err, errNoContainer) || err == nil && !c.State.Running && !c.State.Restarting {
		return nil // dead already
	}
	return errors.Join(failed, err)
}
