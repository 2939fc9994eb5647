package openclaw

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// tree makes files below a new directory, named by slash-separated paths; a name that ends in "/"
// is a directory.
func tree(t *testing.T, files map[string]string) (*os.Root, string) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		at := filepath.Join(dir, name)
		if strings.HasSuffix(name, "/") {
			must(t, os.MkdirAll(at, 0o700))
			continue
		}
		must(t, os.MkdirAll(filepath.Dir(at), 0o700))
		must(t, os.WriteFile(at, []byte(content), 0o600))
	}
	root, err := os.OpenRoot(dir)
	must(t, err)
	t.Cleanup(func() { _ = root.Close() })
	return root, dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestLocate(t *testing.T) {
	root, dir := tree(t, map[string]string{
		"etc/passwd":                                                 "root:x:0:0:root:/root:/bin/sh\nclaw:x:0:0::/srv/claw:/bin/sh\nbroken\nx:y:z:w::/q:\n",
		"root/.moldbot/moldbot.json":                                 "{}",
		"home/ann/.openclaw/openclaw.json":                           "{agents:{defaults:{workspace:'~/work'},list:[{id:'a',workspace:'/srv/shared'},{workspace:'/nowhere'}]}, // cut",
		"home/ann/work/":                                             "",
		"srv/shared/":                                                "",
		"home/ann/.openclaw/workspace/":                              "",
		"home/ann/.openclaw/workspace-two/":                          "",
		"home/ann/.openclaw-dev/clawdbot.json":                       "{}",
		"home/ann/.openclaw-/":                                       "",
		"home/ann/.openclawx/":                                       "",
		"home/bob/.clawdbot/":                                        "",
		"home/cat/.openclaw/state/openclaw.sqlite":                   "",
		"home/dan/.openclaw/agents/main/agent/openclaw-agent.sqlite": "",
		"home/dan/.openclaw/agents/main/sessions/session-sqlite-import-archive/": "",
		"srv/claw/.moltbot-night/moltbot.json":                                   "{}",
		"var/lib/openclaw/openclaw.json":                                         "{}",
		"var/lib/openclaw/agents/":                                               "",
		"var/lib/other/agents/":                                                  "",
		"etc/systemd/system/openclaw.service":                                    "[Service]\nEnvironment=A=1 \"OPENCLAW_STATE_DIR=/data/claw\"\n",
		"etc/systemd/system/other.service":                                       "[Service]\nEnvironment=OPENCLAW_STATE_DIR=/data/other\n",
		"home/ann/.config/systemd/user/openclaw-gateway.service":                 "[Service]\nEnvironment=OPENCLAW_HOME=%h/moved\n",
		"data/claw/openclaw.json":                                                "{}",
		"data/other/":                                                            "",
		"home/ann/moved/.openclaw/":                                              "",
		"opt/.openclaw/openclaw.json":                                            "{}", // nobody's home
	})
	must(t, os.Symlink("/home/ann/.openclaw", filepath.Join(dir, "home/bob/.openclaw")))
	found, problems := Locate(root)

	want := map[string]Installation{
		"root/.moldbot":            {Config: "root/.moldbot/moldbot.json", Home: "root", Generation: "A"},
		"home/ann/.openclaw":       {Config: "home/ann/.openclaw/openclaw.json", Home: "home/ann", Generation: "A"},
		"home/ann/.openclaw-dev":   {Config: "home/ann/.openclaw-dev/clawdbot.json", Home: "home/ann", Profile: "dev", Generation: "A"},
		"home/bob/.clawdbot":       {Home: "home/bob", Generation: "A"},
		"home/cat/.openclaw":       {Home: "home/cat", Generation: "B"},
		"home/dan/.openclaw":       {Home: "home/dan", Generation: "C"},
		"srv/claw/.moltbot-night":  {Config: "srv/claw/.moltbot-night/moltbot.json", Home: "srv/claw", Profile: "night", Generation: "A"},
		"data/claw":                {Config: "data/claw/openclaw.json", Home: map[bool]string{true: "root", false: "data/claw"}[os.Getuid() == 0], Generation: "A"},
		"home/ann/moved/.openclaw": {Home: "home/ann/moved", Generation: "A"},
		"var/lib/openclaw":         {Config: "var/lib/openclaw/openclaw.json", Home: "var/lib/openclaw", Generation: "A"},
	}
	for _, in := range found {
		w, ok := want[in.StateDir]
		delete(want, in.StateDir)
		if !ok || in.Config != w.Config || in.Home != w.Home || in.Profile != w.Profile || in.Generation != w.Generation || in.UID != os.Getuid() {
			t.Errorf("found %+v, want %+v", in, w)
		}
		if os.Getuid() == 0 && in.User != "root" {
			t.Errorf("%s belongs to user %q", in.StateDir, in.User)
		}
		if in.StateDir == "home/ann/.openclaw" && strings.Join(in.Workspaces, " ") != "home/ann/.openclaw/workspace home/ann/.openclaw/workspace-two home/ann/work srv/shared" {
			t.Errorf("workspaces %q", in.Workspaces)
		}
	}
	for dir := range want {
		t.Errorf("%s was not found", dir)
	}
	if len(problems) != 1 || !strings.Contains(problems[0].Reason, "B or C") {
		t.Errorf("problems %+v, want one about the generation", problems)
	}
}

func TestLocateHostileTree(t *testing.T) {
	root, dir := tree(t, map[string]string{"home/a/.openclaw": "a file", "home/b/": "", "home/c/": "", "home/d/": "", "home/e/.openclaw/": ""})
	outside := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(outside, ".openclaw"), 0o700))
	must(t, os.Symlink(".openclaw", filepath.Join(dir, "home/b/.openclaw")))
	must(t, syscall.Mkfifo(filepath.Join(dir, "home/c/.openclaw"), 0o600))
	must(t, os.Symlink(outside, filepath.Join(dir, "home/d/.openclaw"))) // absolute: stays below the root
	must(t, syscall.Mkfifo(filepath.Join(dir, "home/e/.openclaw/openclaw.json"), 0o600))
	must(t, os.Mkdir(filepath.Join(dir, "etc"), 0o700))
	must(t, syscall.Mkfifo(filepath.Join(dir, "etc/passwd"), 0o600))

	found, problems := Locate(root)
	if len(found) != 1 || found[0].StateDir != "home/e/.openclaw" {
		t.Errorf("found %+v", found)
	}
	got := map[string]string{}
	for _, p := range problems {
		got[p.Path] = p.Reason
	}
	for name, reason := range map[string]string{
		"etc/passwd":       "a FIFO: not a regular file",
		"home/a/.openclaw": "where a state directory is expected",
		"home/b/.openclaw": "circle",
		"home/c/.openclaw": "a FIFO where a state directory is expected",
		"home/d/.openclaw": "not on this disk",
	} {
		if !strings.Contains(got[name], reason) {
			t.Errorf("%s: problem %q, want %q", name, got[name], reason)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("more problems than expected: %v", got)
	}
}

func TestReadFile(t *testing.T) {
	root, dir := tree(t, map[string]string{"a/file": "12345", "a/dir/": "", "etc/real": "x"})
	must(t, syscall.Mkfifo(filepath.Join(dir, "a/fifo"), 0o600))
	for link, target := range map[string]string{
		"a/absolute": "/etc/real", "a/up": "../../../../etc/real", "a/self": "self", "a/out": "/no/such", "a/chain": "up", "a/adir": "/etc", "a/tofifo": "fifo",
	} {
		must(t, os.Symlink(target, filepath.Join(dir, link)))
	}
	for _, c := range []struct {
		name string
		max  int64
		want string
		err  error
	}{
		{"a/file", 5, "12345", nil},
		{"/a/../a/./file", 5, "12345", nil},
		{"a/file", 4, "", ErrTooLarge},
		{"a/dir", 9, "", ErrNotRegular},
		{"a/fifo", 9, "", ErrNotRegular},
		{"a/tofifo", 9, "", ErrNotRegular},
		{"a/absolute", 9, "x", nil},
		{"a/up", 9, "x", nil},
		{"a/chain", 9, "x", nil},
		{"a/adir/real", 9, "x", nil},
		{"../../etc/real", 9, "x", nil}, // the root's parent is the root
		{"a/self", 9, "", syscall.ELOOP},
		{"a/out", 9, "", ErrDangling},
		{"a/adir/missing", 9, "", fs.ErrNotExist},
		{"a/file/x", 9, "", syscall.ENOTDIR},
	} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			data, err := ReadFile(root, c.name, c.max)
			if string(data) != c.want || !errors.Is(err, c.err) {
				t.Errorf("%s: read %q, %v; want %q, %v", c.name, data, err, c.want, c.err)
			}
		}()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: the read hangs", c.name)
		}
	}
}

func TestReadDirIsBounded(t *testing.T) {
	root, _ := tree(t, map[string]string{"d/1": "", "d/2": "", "d/3": ""})
	if e, err := ReadDir(root, "d", 3); len(e) != 3 || err != nil {
		t.Errorf("three of three entries: %d, %v", len(e), err)
	}
	if e, err := ReadDir(root, "d", 2); len(e) != 2 || !errors.Is(err, ErrTooLarge) {
		t.Errorf("two of three entries: %d, %v", len(e), err)
	}
}
