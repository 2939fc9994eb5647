package snapshots

import (
	"context"
	"path"
	"slices"
	"strings"

	"clawback/forensics/agents/openclaw"
)

// target is a place to take whole: a path below the root, whose parts after base may be patterns
// of path.Match. Links are followed in base only.
type target struct {
	base, pattern string
	source        string
	home          string // of the account that base is claimed for
}

// The first names of the agent's files, today's and those of its earlier lives.
var agentNames = []string{"openclaw", "clawdbot", "moltbot", "moldbot"}

// What an account's home holds besides the state directory.
var (
	accountFiles = []string{
		".bash_history", ".zsh_history", ".ash_history", ".sh_history", ".local/share/fish/fish_history",
		".python_history", ".node_repl_history", ".ssh/authorized_keys",
	}
	toolCredentials = []string{".aws/credentials", ".config/gh/hosts.yml"}
)

// files takes what OpenClaw and its account left on disk.
func (c *capture) files(ctx context.Context) error {
	type located struct {
		found    []openclaw.Installation
		problems []openclaw.Problem
	}
	root := c.root
	l, err := await(ctx, c, func(t *trail) (located, error) {
		found, problems := openclaw.Locate(localRoot{root, t})
		return located{found, problems}, nil
	})
	if err != nil {
		c.problem(".", "locate installations: "+err.Error())
	}
	for _, p := range l.problems {
		c.problem(p.Path, p.Reason)
	}
	var later []string // workspaces lie in state directories, but come last
	for _, in := range l.found {
		later = append(later, in.Workspaces...)
	}
	for _, t := range targets(l.found, c.homes(ctx, l.found)) {
		if err := c.takeTarget(ctx, t, later); err != nil {
			return err
		}
	}
	return c.last(ctx)
}

// homes lists the home of each account, the agent's first.
func (c *capture) homes(ctx context.Context, found []openclaw.Installation) []string {
	var homes []string
	for _, in := range found {
		homes = append(homes, in.Home)
	}
	homes = append(homes, "root")
	names, _ := c.names(ctx, "home")
	for _, name := range names {
		homes = append(homes, path.Join("home", name))
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(homes, func(h string) bool {
		twice := seen[h]
		seen[h] = true
		return twice
	})
}

// targets lists what to take in its order: what is overwritten soonest first, what is largest
// and can wait last.
func targets(found []openclaw.Installation, homes []string) []target {
	var all []target
	add := func(home, base, source string, patterns ...string) {
		for _, p := range patterns {
			all = append(all, target{base: base, pattern: p, source: source, home: home})
		}
	}
	for _, n := range agentNames {
		// A logger that starts deletes dated logs older than a day.
		add("", "tmp", "log", n+"*", "systemd-private-*"+n+"*/tmp/"+n+"*")
	}
	for _, in := range found {
		add(in.Home, in.StateDir, "", "*.json*", ".env*", "logs", "credentials", "devices", "identity", "cron", "agents", "state", "")
		if in.Config != "" && !below(in.Config, in.StateDir) {
			add(in.Home, path.Dir(in.Config), "config", literal(path.Base(in.Config))+"*")
		}
	}
	for _, n := range agentNames {
		add("", "etc/systemd/system", "unit", n+"*")
		add("", "etc/systemd/user", "unit", n+"*")
	}
	for _, in := range found {
		add(in.Home, in.Home, "unit", ".config/systemd/user")
	}
	add("", "var/spool/cron", "cron", "")
	add("", "etc", "cron", "crontab", "cron.d")
	for _, in := range found {
		add(in.Home, in.Home, "account", accountFiles...)
	}
	add("", "var/log", "auth-log", "auth.log*", "secure*", "wtmp*", "btmp*")
	for _, home := range homes {
		add(home, home, "credential", toolCredentials...)
	}
	for _, in := range found {
		add(in.Home, in.Home, "skill", ".agents/skills")
	}
	for _, in := range found {
		for _, w := range in.Workspaces {
			add(in.Home, w, "workspace", "")
		}
	}
	return all
}

// sourceOf says why a path is taken.
func (t target) sourceOf(p string) string {
	if t.source != "" {
		return t.source
	}
	rel := strings.TrimPrefix(strings.TrimPrefix(p, t.base), "/")
	top, _, _ := strings.Cut(rel, "/")
	name := path.Base(p)
	isConfig := slices.ContainsFunc(agentNames, func(n string) bool { return strings.HasPrefix(name, n+".json") })
	switch {
	case top == "credentials", top == "identity", top == "devices", strings.HasPrefix(name, "auth"), strings.HasPrefix(name, ".env"):
		return "credential"
	case strings.Contains(rel, "/sessions/"):
		return "transcript"
	case top == "logs":
		return "log"
	case top == "cron":
		return "cron"
	case isConfig && top == rel:
		return "config"
	}
	return "state"
}

// literal makes a pattern of path.Match that matches the name alone.
func literal(name string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
}
