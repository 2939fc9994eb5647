package openclaw

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// hangs is a root in which some calls about some files are never answered.
type hangs struct {
	Root
	never chan struct{}
	asked func(call, name string) bool // whether a call hangs
}

func (h hangs) wait(call, name string) {
	if h.asked(call, path.Clean(name)) {
		<-h.never
	}
}

func (h hangs) Lstat(name string) (fs.FileInfo, error) {
	h.wait("lstat", name)
	return h.Root.Lstat(name)
}

func (h hangs) Readlink(name string) (string, error) {
	h.wait("readlink", name)
	return h.Root.Readlink(name)
}

func (h hangs) OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	h.wait("open", name)
	return h.Root.OpenFile(name, flag, perm)
}

// hanging runs f in a bubble, with a root in which calls about the paths that hung names do not return.
func hanging(t *testing.T, root *os.Root, hung func(call, name string) bool, f func(t *testing.T, root Root)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		never := make(chan struct{})
		defer synctest.Wait()
		defer close(never)
		f(t, hangs{root, never, hung})
	})
}

func below(dir string) func(call, name string) bool {
	return func(_, name string) bool { return name == dir || strings.HasPrefix(name, dir+"/") }
}

// What hangs is waited for once, named once, and keeps nobody from the rest.
func TestLocateWhereFileSystemsHang(t *testing.T) {
	files := map[string]string{
		"etc/passwd":                                             "u:x:0:0::/home/u:/bin/sh\n",
		"home/u/.openclaw/openclaw.json":                         "{}",
		"home/u/.openclaw/agents/a/x":                            "",
		"home/v/.openclaw/openclaw.json":                         "{}",
		"home/u/.config/systemd/user/openclaw-gateway.service":   "[Service]\nEnvironment=OPENCLAW_STATE_DIR=/data/claw\n",
		"data/claw/openclaw.json":                                "{}",
		"home/u/.config/systemd/user/openclaw-gateway-x.service": "",
	}
	for name, c := range map[string]struct {
		hung    func(call, name string) bool
		silent  string
		without []string // installations
	}{
		"nothing":            {func(string, string) bool { return false }, "", nil},
		"a state directory":  {below("home/u/.openclaw"), "home/u/.openclaw", nil},
		"a directory in it":  {below("home/u/.openclaw/agents"), "home/u/.openclaw/agents", nil},
		"its files alone":    {func(call, name string) bool { return call == "open" && name == "home/u/.openclaw/openclaw.json" }, "home/u/.openclaw/openclaw.json", nil},
		"where a unit leads": {below("data/claw"), "data/claw", nil},
		"a home":             {below("home/u"), "home/u", []string{"home/u/.openclaw", "data/claw"}},
		"the accounts":       {below("etc/passwd"), "etc/passwd", nil},
		"a unit": {func(call, name string) bool {
			return call == "open" && strings.HasSuffix(name, "gateway.service")
		}, "home/u/.config/systemd/user/openclaw-gateway.service", []string{"data/claw"}},
	} {
		t.Run(name, func(t *testing.T) {
			root, _ := tree(t, files)
			hanging(t, root, c.hung, func(t *testing.T, root Root) {
				start := time.Now()
				found, problems := Locate(root)
				if d := time.Since(start); d > 2*Patience {
					t.Errorf("took %v", d)
				}
				want := slices.DeleteFunc([]string{"data/claw", "home/u/.openclaw", "home/v/.openclaw"}, func(dir string) bool { return slices.Contains(c.without, dir) })
				var got []string
				for _, in := range found {
					got = append(got, in.StateDir)
					if in.UID != os.Getuid() || in.StateDir == c.silent && in.Generation != "" {
						t.Errorf("%+v", in)
					}
				}
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Errorf("found %q, want %q", got, want)
				}
				if c.silent == "" && len(problems) == 0 {
					return
				}
				if len(problems) != 1 || problems[0].Path != c.silent || !strings.Contains(problems[0].Reason, "did not answer within 4s") {
					t.Errorf("problems %+v", problems)
				}
			})
		})
	}
}

// A file system that lets its root be seen and nothing else is left alone as a whole; one that hangs
// beside what answers is not taken for the whole.
func TestWhatIsSilent(t *testing.T) {
	root, _ := tree(t, map[string]string{"m/a/b": "", "m/c/d": "", "n/x": "x", "n/y/z": ""})
	for name, c := range map[string]struct {
		hung   func(call, name string) bool
		ask    string
		silent string
	}{
		"all but the root": {func(call, name string) bool {
			return strings.HasPrefix(name, "m/") || call == "open" && name == "m"
		}, "m/a/b", "m"},
		"one directory": {below("m/a"), "m/a/b", "m/a"},
		"one file":      {below("m/a/b"), "m/a/b", "m/a/b"},
		"the root":      {func(string, string) bool { return true }, "m/a/b", "."},
	} {
		t.Run(name, func(t *testing.T) {
			hanging(t, root, c.hung, func(t *testing.T, root Root) {
				p := Patiently(t.Context(), root, time.Minute)
				for range 3 {
					if _, err := Resolve(p, c.ask); !errors.Is(err, ErrSilent) {
						t.Errorf("error %v", err)
					}
				}
				problems := p.Problems()
				if len(problems) != 1 || problems[0].Path != c.silent {
					t.Errorf("silent %+v, want %s", problems, c.silent)
				}
				if len(p.Problems()) > 0 {
					t.Error("it is told twice")
				}
				if _, err := ReadFile(p, "n/x", 10); (err == nil) != (c.silent != ".") {
					t.Errorf("another file: %v", err)
				}
			})
		})
	}
}

// Many that hang do not add up, and whoever ends the search is not kept waiting either.
func TestManyHang(t *testing.T) {
	root, _ := tree(t, map[string]string{"m/": ""})
	one := func(_, name string) bool { return strings.HasPrefix(name, "m/") }
	hanging(t, root, one, func(t *testing.T, root Root) {
		p := Patiently(t.Context(), root, 64*time.Second)
		start := time.Now()
		for i := range 100 {
			_, _ = p.Lstat("m/" + strings.Repeat("x", i+1))
		}
		if d := time.Since(start); d > 4*time.Minute {
			t.Errorf("took %v", d)
		}
	})
	hanging(t, root, one, func(t *testing.T, root Root) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := Patiently(ctx, root, time.Hour).Lstat("m/x"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}
