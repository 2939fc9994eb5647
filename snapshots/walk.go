package snapshots

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"clawback/forensics/agents/openclaw"
)

const (
	maxNames = 100_000 // of one folder
	maxDepth = 100     // folders below one another
)

// target is a place to take whole: a path below the root, whose parts after base may be patterns
// of path.Match. Links are followed in base only.
type target struct {
	base, pattern string
	source        string
	home          string // of the account that base is claimed for
	agents        bool   // only what is named like the agent
	latest        bool   // the latest first, by the time in the names of a journal
	purse         *purse
}

// takeTarget finds what the target names and takes it, except the paths that come later.
func (c *capture) takeTarget(ctx context.Context, t target, later []string) error {
	if err := c.over(ctx); err != nil {
		return c.leave(File{Path: path.Join(t.base, t.pattern), Source: t.source}, "not searched: "+err.Error())
	}
	if t.pattern == "" {
		return c.takePath(ctx, t.base, t, later)
	}
	base, err := c.resolve(ctx, t.base, t.home)
	if err != nil {
		return c.refuse(t.base, t.source, err)
	}
	paths := c.expand(ctx, base, t.pattern)
	if t.agents {
		paths = slices.DeleteFunc(paths, func(p string) bool { return !namedLikeAgent(path.Base(p)) })
	}
	if t.latest {
		slices.SortStableFunc(paths, func(a, b string) int { return cmp.Compare(lastPart(b), lastPart(a)) })
	}
	return c.takePaths(ctx, paths, t, later)
}

func (c *capture) takePaths(ctx context.Context, paths []string, t target, later []string) error {
	for i, p := range paths {
		if c.share.spent(c) {
			c.putOff(func(ctx context.Context) error { return c.takePaths(ctx, paths[i:], t, later) })
			return nil
		}
		if err := c.takePath(ctx, p, t, later); err != nil {
			return err
		}
	}
	return nil
}

// takePath takes one path of a target. Links on the way to it are followed for an account's own
// things, which people do link from elsewhere; in folders such as /tmp anyone may plant them.
func (c *capture) takePath(ctx context.Context, p string, t target, later []string) error {
	real := p
	var err error
	if t.home != "" || t.pattern == "" {
		real, err = c.resolve(ctx, p, t.home)
	} else {
		root := c.root
		_, err = await(ctx, c, func(t *trail) (os.FileInfo, error) { return localRoot{root, t}.Lstat(p) })
	}
	if err != nil {
		return c.refuse(p, t.source, err)
	}
	if real != p {
		link := File{Path: p, Source: t.source, Target: real, Verdict: Listed, Problem: "a link leads to the target: taken there"}
		if err := c.finish(link, intake{}); err != nil {
			return err
		}
	}
	later = slices.DeleteFunc(slices.Clone(later), func(w string) bool { return w == p || w == real })
	return c.walk(ctx, []string{real}, t, later)
}

// refuse reports a place that cannot be taken. One that does not exist is no matter.
func (c *capture) refuse(p, source string, err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	c.problem(p, err.Error())
	return c.leave(File{Path: p, Source: source}, err.Error())
}

// resolve returns where a path leads, without links, if that is a place that may be taken:
// whoever owns a home may point a link in it at the whole machine.
func (c *capture) resolve(ctx context.Context, p, home string) (string, error) {
	disk := c.root
	return await(ctx, c, func(t *trail) (string, error) {
		root := localRoot{disk, t}
		real, err := openclaw.Resolve(root, p)
		if err != nil {
			return "", err
		}
		for _, kernel := range []string{"proc", "sys", "dev"} {
			if below(real, kernel) {
				return "", fmt.Errorf("it leads to %q, which the kernel makes up: not taken", real)
			}
		}
		if home == "" || p == home {
			return real, nil
		}
		return real, belongs(root, real, home)
	})
}

// belongs checks that a path outside of a home is no other account's.
func belongs(root openclaw.Root, real, home string) error {
	home, err := openclaw.Resolve(root, home)
	if err != nil {
		return err
	}
	switch {
	case real == home: // a service account whose home is the state directory
		return nil
	case below(home, real):
		return fmt.Errorf("it leads to %q, above the home: not taken as a whole", real)
	case below(real, home):
		return nil
	}
	of, err1 := root.Lstat(real)
	by, err2 := root.Lstat(home)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if owner, account := ownerOf(of), ownerOf(by); owner != account && account != 0 {
		return fmt.Errorf("it leads to %q, which belongs to uid %d and not to its account (uid %d): not taken", real, owner, account)
	}
	return nil
}

// expand returns the paths that a pattern leads to below base, sorted. A part without a wildcard
// need not exist.
func (c *capture) expand(ctx context.Context, base, pattern string) []string {
	paths := []string{base}
	for part := range strings.SplitSeq(pattern, "/") {
		var next []string
		for _, p := range paths {
			if !strings.ContainsAny(part, `*?[\`) {
				next = append(next, path.Join(p, part))
				continue
			}
			names, _ := c.names(ctx, p) // what cannot be listed is reported there
			for _, name := range names {
				if ok, _ := path.Match(part, name); ok { // the patterns are ours
					next = append(next, path.Join(p, name))
				}
			}
		}
		paths = next
	}
	return paths
}

// walk takes paths without links and, where one is a folder, all that lies in it. The last is taken first.
func (c *capture) walk(ctx context.Context, rest []string, t target, later []string) error {
	for len(rest) > 0 {
		p := rest[len(rest)-1]
		if c.seen[p] || slices.Contains(later, p) {
			rest = rest[:len(rest)-1]
			continue
		}
		if c.share.spent(c) {
			c.putOff(func(ctx context.Context) error { return c.walk(ctx, rest, t, later) })
			return nil
		}
		if err := c.over(ctx); err != nil {
			return c.leaveAll(rest, t, err)
		}
		rest = rest[:len(rest)-1]
		c.seen[p] = true
		it := item{root: c.root, path: p, name: p, source: t.sourceOf(p), purse: t.purse}
		if isSet, err := c.takeSet(ctx, it, c.sets[p]); isSet || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		isFolder, err := c.take(ctx, it)
		if err != nil {
			return err
		}
		if !isFolder {
			continue
		}
		names, err := c.list(ctx, p, t)
		if err != nil {
			return err
		}
		c.findSets(p, names)
		for _, name := range slices.Backward(names) {
			rest = append(rest, path.Join(p, name))
		}
	}
	return nil
}

// list returns what is in a folder, and puts a folder that cannot be listed on record. An error
// is the sink's.
func (c *capture) list(ctx context.Context, p string, t target) ([]string, error) {
	if strings.Count(p, "/") >= maxDepth {
		return nil, c.leave(File{Path: p, Source: t.sourceOf(p)}, fmt.Sprintf("more than %d folders deep", maxDepth))
	}
	names, err := c.names(ctx, p)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return names, c.finish(File{Path: p, Source: t.sourceOf(p), Verdict: Failed, Problem: "list: " + err.Error()}, intake{})
	}
	return names, nil
}

// names lists a folder, sorted.
func (c *capture) names(ctx context.Context, p string) ([]string, error) {
	root := c.root
	type listing struct {
		names []string
		more  bool
	}
	l, err := await(ctx, c, func(t *trail) (listing, error) {
		names, more, err := t.names(root, p, maxNames)
		return listing{names, more}, err
	})
	if l.more {
		err = fmt.Errorf("more than %d entries: only so many are taken", maxNames)
	}
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w: run as root to read it", err)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) {
		c.problem(p, "list: "+err.Error())
	}
	slices.Sort(l.names)
	return l.names, err
}

// leaveAll leaves out what a walk had still to take.
func (c *capture) leaveAll(paths []string, t target, why error) error {
	for _, p := range slices.Backward(paths) {
		if len(c.out.Left) >= maxReports {
			break
		}
		if err := c.leave(File{Path: p, Source: t.sourceOf(p)}, why.Error()); err != nil {
			return err
		}
	}
	return nil
}

// below reports whether a path is dir or lies in it.
func below(p, dir string) bool {
	return dir == "." || p == dir || strings.HasPrefix(p, dir+"/")
}

func ownerOf(info os.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}
