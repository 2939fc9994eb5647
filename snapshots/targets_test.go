package snapshots

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"clawback/forensics/agents/openclaw"
)

// TestWhatTheMachineKeeps has what a distribution keeps of the agent and its accounts, and what is
// none of ours beside it.
func TestWhatTheMachineKeeps(t *testing.T) {
	uid := os.Getuid()
	taken := map[string]string{ // and their source
		"run/utmp":                                                                "auth-log",
		"var/log/lastlog":                                                         "auth-log",
		"run/systemd/transient/openclaw-x.timer":                                  "unit",
		"run/systemd/system/openclaw.service.d/z.conf":                            "unit",
		"usr/lib/systemd/system/clawdbot.service":                                 "unit",
		"var/lib/systemd/linger/ada":                                              "unit",
		"home/ada/.local/share/systemd/user/x.timer":                              "unit",
		fmt.Sprintf("run/user/%d/systemd/transient/run-1.service", uid):           "unit",
		"var/spool/cron/atjobs/a0001":                                             "cron",
		"var/spool/at/a0002":                                                      "cron",
		"etc/anacrontab":                                                          "cron",
		"var/lib/dpkg/status":                                                     "packages",
		"var/log/apt/history.log":                                                 "packages",
		"var/lib/rpm/rpmdb.sqlite":                                                "packages",
		"usr/lib/node_modules/openclaw/package.json":                              "package",
		"usr/lib/node_modules/.package-lock.json":                                 "package",
		"home/ada/.nvm/versions/node/v22/lib/node_modules/.package-lock.json":     "package",
		"home/ada/.nvm/versions/node/v22/lib/node_modules/openclaw/dist/index.js": "package",
		fmt.Sprintf("var/log/journal/0123/user-%d.journal", uid):                  "journal",
		"var/log/journal/0123/system.journal":                                     "journal",
		"run/log/journal/0123/system.journal":                                     "journal",
	}
	others := []string{
		"usr/lib/systemd/system/ssh.service", "run/user/4711/systemd/transient/x", "var/lib/dpkg/available", "var/log/journal/0123/user-4711.journal",
		"usr/lib/node_modules/npm/package.json", "home/bob/.local/share/systemd/user/x.timer",
	}
	files := agentTree()
	for name := range taken {
		files[name] = name
	}
	for _, name := range others {
		files[name] = name
	}
	dir, root := tree(t, files)
	for link, to := range map[string]string{
		"etc/systemd/system/multi-user.target.wants/openclaw.service": "/etc/systemd/system/openclaw.service",
		"usr/lib/systemd/user/default.target.wants/moltbot.service":   "../moltbot.service",
		"etc/systemd/system/multi-user.target.wants/ssh.service":      "/lib/systemd/system/ssh.service",
	} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, link)), 0o755))
		must(t, os.Symlink(to, filepath.Join(dir, link)))
		f, is := m1(t, root).files[link]
		if want := !strings.Contains(link, "ssh"); is != want || want && (f.Verdict != Listed || f.Target != to || f.Source != "unit") {
			t.Errorf("%s: %+v", link, f)
		}
	}
	m, c := captureFiles(t, root, Options{})
	for name, source := range taken {
		if f := m.files[name]; m.content[name] != name || f.Source != source || f.Verdict != Stable {
			t.Errorf("%s: %+v", name, f)
		}
	}
	for _, name := range others {
		if f, is := m.files[name]; is {
			t.Errorf("%+v", f)
		}
	}
	if len(c.Left) > 0 {
		t.Errorf("%+v", c)
	}
	first, last := m.order[0], m.order[len(m.order)-1]
	if first != "run/utmp" || m.files[last].Source != "journal" {
		t.Errorf("%s is first, %s last", first, last)
	}
}

func m1(t *testing.T, root *os.Root) *memory { m, _ := captureFiles(t, root, Options{}); return m }

// TestJournalsAreBoundedAndTheLatestFirst has more of them than is taken.
func TestJournalsAreBoundedAndTheLatestFirst(t *testing.T) {
	const at = "var/log/journal/0123/"
	names := []string{
		at + "system.journal", at + "system@b-0000000000000009-0006500000000003.journal",
		at + "system@a-0000000000000100-0006500000000002.journal~", at + "system@c-0000000000000001-0006500000000001.journal",
	}
	files := map[string]string{ada + "openclaw.json": "{}"}
	for _, name := range names {
		files[name] = strings.Repeat("j", 8192)
	}
	_, root := tree(t, files)
	c := &capture{root: root, opts: Options{}.withDefaults(), sink: newMemory(t), seen: map[string]bool{}, sets: map[string][]string{},
		systems: &fileSystems{stuck: map[uint64]int{}}, pool: make(buffers, 4), bytesLeft: defaultBytes, holesLeft: defaultBytes}
	bound := &purse{3 * 8192, 3 * 8192}
	for _, target := range journalTargets(nil) {
		target.purse = bound
		must(t, c.takeTarget(t.Context(), target, nil))
	}
	if m := c.sink.(*memory); !slices.Equal(m.order, names) || m.files[names[2]].Verdict != Stable || !strings.Contains(m.files[names[3]].Problem, "for its kind") {
		t.Errorf("%q, %+v", m.order, m.files[names[3]])
	}
}

// TestPackageOfARunningAgent finds the program by the process that runs it, and is not led astray
// by what a process may call itself.
func TestPackageOfARunningAgent(t *testing.T) {
	files := agentTree()
	for _, name := range []string{
		"opt/claw/package.json", "opt/claw/dist/index.js", "home/ada/package.json", "home/ada/x.js", "package.json", "home/ada/src/agent/package.json", "home/ada/src/agent/bin/run.mjs",
	} {
		files[name] = name
	}
	dir, root := tree(t, files)
	must(t, os.MkdirAll(filepath.Join(dir, "usr/bin"), 0o755))
	must(t, os.Symlink("../../opt/claw/dist/index.js", filepath.Join(dir, "usr/bin/claw")))
	found := []openclaw.Installation{{Home: "home/ada", UID: os.Getuid()}}
	for cmdline, want := range map[string]string{
		"node\x00/usr/bin/claw\x00gateway\x00":                       "opt/claw",
		"node\x00--inspect\x00/opt/claw/dist/index.js\x00":           "opt/claw",
		"node\x00bin/run.mjs\x00":                                    "home/ada/src/agent",
		"node\x00/home/ada/x.js\x00":                                 "", // the home is no package
		"node\x00/etc/passwd\x00":                                    "",
		"node\x00/nonexistent/x.js\x00/opt/claw/dist/index.js\x00":   "",
		"openclaw-gateway":                                           "",
		"node\x00../../../../../../../../opt/claw/dist/index.js\x00": "opt/claw",
		"": "",
	} {
		procDir, proc := tree(t, map[string]string{"7/cmdline": cmdline, "7/stat": "x"})
		must(t, os.Symlink("/home/ada/src/agent", filepath.Join(procDir, "7/cwd")))
		systems := &fileSystems{stuck: map[uint64]int{}}
		got, err := packageOf(systems.process("7"), Options{Proc: proc}, localRoot{root, systems.trail()}, "7", found)
		if err != nil || got != want {
			t.Errorf("%q: %q, want %q, %v", cmdline, got, want, err)
		}
	}
	m, _ := captureWith(t, root, "node\x00/usr/bin/claw\x00")
	if f := m.files["opt/claw/dist/index.js"]; f.Source != "package" || f.Verdict != Stable {
		t.Errorf("%+v", f)
	}
}

// captureWith captures files beside one process with a command line.
func captureWith(t *testing.T, root *os.Root, cmdline string) (*memory, Captured) {
	t.Helper()
	_, proc := tree(t, map[string]string{"7/cmdline": cmdline})
	return captureFiles(t, root, Options{Proc: proc, Processes: []int{7}})
}
