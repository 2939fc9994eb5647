package containment

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// What an engine says is its claim, and its sockets in /run/user may be an impostor's: only names and
// ids of these forms are believed, shown, and put into a request's path.
var (
	containerID   = regexp.MustCompile(`^[0-9a-f]{64}$`)
	containerName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$`)
	containerUnit = regexp.MustCompile(`^([a-zA-Z0-9][a-zA-Z0-9_.-]{0,127})/([0-9a-f]{12})$`)
	restartPolicy = regexp.MustCompile(`^(no|always|unless-stopped|on-failure)$`)
)

// shortID is how many digits of a container's id people are shown, as the engines' own tools do.
const shortID = 12

// maxWords bounds, in bytes, what is passed on of what an engine says.
const maxWords = 300

// printable makes what an engine says short, and free of what a terminal would act on.
func printable(s string) string {
	s = strings.TrimSpace(s)
	s = s[:min(len(s), maxWords)]
	quoted := strconv.QuoteToGraphic(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// listed is one container as GET /containers/json tells of it, in Docker's API and in that of Podman:
// https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerList
type listed struct {
	ID     string `json:"Id"`
	Names  []string
	Image  string
	Labels map[string]string
	State  string
	Mounts []mount
}

type mount struct {
	Source string
	RW     bool
}

// inspected is one container as GET /containers/ID/json tells of it, as far as it matters here.
type inspected struct {
	ID    string `json:"Id"`
	State struct {
		Status                      string
		Running, Paused, Restarting bool
		Pid                         int
	}
	HostConfig struct {
		RestartPolicy policy
		AutoRemove    bool
	}
	Config struct {
		Image  string
		Labels map[string]string
	}
	NetworkSettings struct {
		Networks map[string]attachment // by their names
	}
}

// policy is after what end an engine starts a container again.
type policy struct {
	Name              string
	MaximumRetryCount int `json:",omitempty"`
}

// none reports whether the engine leaves the container down, also when the engine itself starts.
func (p policy) none() bool { return p.Name == "" || p.Name == "no" }

func (p policy) String() string {
	if p.MaximumRetryCount > 0 {
		return fmt.Sprintf("%s:%d", p.Name, p.MaximumRetryCount)
	}
	return cmp.Or(p.Name, "no")
}

// parsePolicy reads what String writes.
func parsePolicy(s string) (policy, error) {
	name, count, limited := strings.Cut(s, ":")
	p := policy{Name: name}
	if limited {
		if _, err := fmt.Sscanf(count, "%d", &p.MaximumRetryCount); err != nil {
			return p, fmt.Errorf("%q is no restart policy", s)
		}
	}
	if !restartPolicy.MatchString(p.Name) || p.MaximumRetryCount < 0 {
		return p, fmt.Errorf("%q is no restart policy", s)
	}
	return p, nil
}

// name is the container's own, rather than one that a link of another gave it.
func (c listed) name() string {
	for _, n := range c.Names {
		if n = strings.TrimPrefix(n, "/"); containerName.MatchString(n) {
			return n
		}
	}
	return "unnamed"
}

// unitName names a container for people and, with its id, beyond a name that another takes later.
func (c listed) unitName() string { return c.name() + "/" + c.ID[:shortID] }

// why tells how a container gives itself away as the agent's, or "".
func (c listed) why(homes []Home) string {
	switch image := imageName(c.Image); {
	case c.Labels["openclaw.sandbox"] == "1": // https://docs.openclaw.ai/gateway/sandboxing
		return "label openclaw.sandbox=1"
	case agentContainer(c.name()):
		return "its name"
	case agentContainer(c.Labels["com.docker.compose.service"]):
		return "its service in compose"
	case agentContainer(image):
		return "its image " + printable(image)
	}
	for _, m := range c.Mounts {
		for _, h := range homes {
			if m.RW && below(h.Path, path.Clean(m.Source)) {
				return "it writes to " + h.Path
			}
		}
	}
	return ""
}

// runs tells which of the agent's processes is what the container is there for: its first, or what an
// init in its place started. One that somebody started in a container of his own is not.
func (c inspected) runs(mains []Process) string {
	for _, p := range mains {
		if strings.Contains(p.Cgroup, c.ID) && (p.PID == c.State.Pid || p.PPID == c.State.Pid) {
			return fmt.Sprintf("its process %d: %s", p.PID, p.Why)
		}
	}
	return ""
}

func agentContainer(name string) bool {
	return agentName.MatchString(strings.ReplaceAll(name, "_", "-"))
}

// imageName is the last part of an image's name: "ghcr.io/openclaw/openclaw:latest" is "openclaw".
func imageName(ref string) string {
	ref, _, _ = strings.Cut(ref, "@")
	name, _, _ := strings.Cut(path.Base(ref), ":")
	return name
}

// holdsSocket reports whether who is in the container can ask the engine to start others.
func (c listed) holdsSocket() bool {
	return slices.ContainsFunc(c.Mounts, func(m mount) bool {
		base := path.Base(m.Source)
		return base == "docker.sock" || base == "podman.sock"
	})
}

// controller is what replaces a container at once when it ends, whatever its restart policy.
func controller(labels map[string]string) (r Reviver, ok bool) {
	for _, c := range []struct{ label, kind, ask string }{
		{"com.docker.swarm.service.name", "swarm", "a manager of the swarm, to scale the service to 0"},
		{"io.kubernetes.pod.name", "kubernetes", "who runs the cluster, to take the pod out of its controller"},
		{"com.hashicorp.nomad.alloc_id", "nomad", "who runs Nomad, to stop the job"},
		{"PODMAN_SYSTEMD_UNIT", "systemd", "who runs this host, to stop the unit from starting it"},
	} {
		name := labels[c.label]
		// A unit of the agent's name is blocked by its own manager.
		if name != "" && !(c.kind == "systemd" && agentUnit.MatchString(name)) {
			return Reviver{Kind: c.kind, Name: printable(name), Detail: "starts another when it ends", Ask: c.ask}, true
		}
	}
	return Reviver{}, false
}

// starters lists who may start a container again, and whom to call: no engine can be made to refuse.
func starters(labels map[string]string) (out []Reviver) {
	if r, ok := controller(labels); ok {
		out = append(out, r)
	}
	for _, label := range []string{"com.docker.compose.project", "io.podman.compose.project"} {
		if name := labels[label]; name != "" {
			out = append(out, Reviver{Kind: "compose", Name: printable(name), Detail: "starts it with its next up", Ask: "who deploys this compose project"})
		}
	}
	if labels["autoheal"] == "true" { // https://github.com/willfarrell/docker-autoheal
		out = append(out, Reviver{Kind: "autoheal", Name: "autoheal", Detail: "restarts it when it is unhealthy", Ask: "who runs autoheal on this host"})
	}
	return out
}

// otherContainers lists the container engines that run the agent's processes and could not be asked: an
// engine starts anew what it misses.
func otherContainers(processes []Process, asked []unit) (out []Reviver) {
	seen := map[string]bool{}
	for _, p := range processes {
		if slices.ContainsFunc(asked, func(u unit) bool { return u.Image != "" && u.Cgroup != "" && below(u.Cgroup, p.Cgroup) }) {
			continue
		}
		for _, engine := range []string{"docker", "kubepods", "libpod", "containerd", "lxc"} {
			if strings.Contains(p.Cgroup, engine) && !seen[p.Cgroup] {
				seen[p.Cgroup] = true
				out = append(out, Reviver{Kind: "container", Name: p.Cgroup, Detail: "run by " + engine + ", which was not asked",
					Ask: "who runs this engine, to set the restart policy to no, or scale to 0, before the kill"})
			}
		}
	}
	return out
}

// Account is one thing that a container engine tells of a container of the agent: how it is set up, its
// log, and the files that it changed.
type Account struct {
	Name string // "openclaw-gateway-0123456789ab/inspect.json"
	Read func(ctx context.Context) ([]byte, error)
}

// teller is a Manager that knows more of a unit than the kernel shows.
type teller interface {
	accounts(unit string) []Account
}

// Accounts lists what the engines can tell of the agent's containers. The list is of containers as they
// are now: a killed one may be gone, with its files, when its engine was told to remove it.
func (a *Agent) Accounts(ctx context.Context) ([]Account, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	v, err := a.visit(ctx)
	if err != nil {
		return nil, err
	}
	defer v.close()
	if !slices.ContainsFunc(v.managers, func(m Manager) bool { _, ok := m.(teller); return ok }) {
		return nil, nil
	}
	v.locate()
	v.findUnits(ctx, nil)
	mains, err := v.processes(ctx)
	if err != nil {
		return nil, err
	}
	v.findUnits(ctx, mains)
	var out []Account
	for _, u := range v.units {
		if t, ok := u.manager.(teller); ok {
			out = append(out, t.accounts(u.Name)...)
		}
	}
	return out, nil
}
