package snapshots

import (
	"context"
	"path"
	"slices"
	"strings"

	"clawback/forensics/agents/openclaw"
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
	for _, t := range targets(l.found, c.homes(ctx, l.found), c.packages(ctx, l.found), c.layerTargets(ctx)) {
		c.share = c.shareNow()
		if err := c.takeTarget(ctx, t, later); err != nil {
			return err
		}
	}
	c.share = nil
	for _, goOn := range c.rests {
		if err := goOn(ctx); err != nil {
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
