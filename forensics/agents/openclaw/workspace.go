package openclaw

import (
	"path"
	"slices"
	"strings"

	"clawback/forensics/agents/openclaw/json5"
)

const (
	maxConfig     = 16 << 20
	maxWorkspaces = 200
)

// workspaces adds to the workspaces in the state directory those that the configuration names,
// where they exist. A fault of the configuration is for those to report who search it.
func (l *locator) workspaces(in Installation) []string {
	out := in.Workspaces
	if in.Config == "" {
		return out
	}
	data, err := ReadFile(l.root, in.Config, maxConfig)
	if err != nil {
		return out
	}
	_ = json5.Scan(data, func(v json5.Value) {
		if v.Kind != json5.String || len(out) >= maxWorkspaces || !namesWorkspace(v.Path) {
			return
		}
		name := v.Text
		switch {
		case name == "~" || strings.HasPrefix(name, "~/"):
			name = path.Join(in.Home, name[1:])
		case !strings.HasPrefix(name, "/"):
			name = path.Join(in.Home, name)
		}
		at, err := Resolve(l.root, name)
		if err != nil || slices.Contains(out, at) {
			return
		}
		if info, err := l.root.Lstat(at); err == nil && info.IsDir() {
			out = append(out, at)
		}
	})
	return out
}

// namesWorkspace reports whether a path of the configuration is agents.defaults.workspace, or that
// of one agent: agents.list[] until 2026.4, agents.entries.<id> since.
func namesWorkspace(p []json5.Step) bool {
	if len(p) < 3 || p[0].Key != "agents" || p[len(p)-1].Key != "workspace" {
		return false
	}
	switch p[1].Key {
	case "defaults":
		return len(p) == 3
	case "list", "entries":
		return len(p) == 4
	}
	return false
}
