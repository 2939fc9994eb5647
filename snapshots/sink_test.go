package snapshots

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// memory is a Sink that keeps what it gets and holds the capture to the contract of Sink.
type memory struct {
	t       testing.TB
	files   map[string]File
	content map[string]string
	order   []string
	open    *bytes.Buffer
	name    string
}

func newMemory(t testing.TB) *memory {
	return &memory{t: t, files: map[string]File{}, content: map[string]string{}}
}

func (m *memory) Begin(f File) (io.Writer, error) {
	if m.open != nil {
		m.t.Errorf("%q begins before %q has ended", f.Path, m.name)
	}
	m.open, m.name = &bytes.Buffer{}, f.Path
	return m.open, nil
}

func (m *memory) End(f File) error {
	if _, twice := m.files[f.Path]; twice {
		m.t.Errorf("%q came twice", f.Path)
	}
	m.files[f.Path] = f
	m.order = append(m.order, f.Path)
	if f.Verdict == "" {
		m.t.Errorf("%q has no verdict", f.Path)
	}
	if m.open == nil {
		if f.Bytes != 0 || f.SHA256 != "" {
			m.t.Errorf("%q was not opened and claims content", f.Path)
		}
		return nil
	}
	sum := sha256.Sum256(m.open.Bytes())
	if f.Path != m.name || f.Bytes != int64(m.open.Len()) || f.SHA256 != hex.EncodeToString(sum[:]) {
		m.t.Errorf("%q ends with %d bytes, SHA-256 %s; %q got %d bytes, %x", f.Path, f.Bytes, f.SHA256, m.name, m.open.Len(), sum)
	}
	m.content[f.Path] = m.open.String()
	m.open = nil
	return nil
}

// tree makes the files in a new folder and opens it as a root.
func tree(t testing.TB, files map[string]string) (string, *os.Root) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		write(t, filepath.Join(dir, name), text)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return dir, root
}

func write(t testing.TB, name, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(name), 0o755))
	must(t, os.WriteFile(name, []byte(text), 0o644))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func captureFiles(t testing.TB, root *os.Root, opts Options) (*memory, Captured) {
	t.Helper()
	m := newMemory(t)
	c, err := Capture(context.Background(), root, "files", opts, m)
	must(t, err)
	return m, c
}

func mkfifo(t testing.TB, name string) {
	t.Helper()
	must(t, syscall.Mkfifo(name, 0o644))
}

// needRoot skips a test that only root can run, except in CI, where it must run.
func needRoot(t testing.TB, why string) {
	t.Helper()
	if os.Getuid() != 0 {
		skip(t, "needs root "+why)
	}
}

func skip(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// ada is the state directory of agentTree.
const ada = "home/ada/.openclaw/"

// agentTree is a small installation and what lies around it.
func agentTree() map[string]string {
	return map[string]string{
		"etc/passwd":                                             fmt.Sprintf("ada:x:%d:%d::/home/ada:/bin/sh\n", os.Getuid(), os.Getgid()),
		"tmp/openclaw/openclaw-2026-04-12.log":                   "{}\n",
		"tmp/openclaw-1000/gateway.lock":                         "{}\n",
		"tmp/other/secret.log":                                   "not ours\n",
		ada + "openclaw.json":                                    "{gateway: {}}\n",
		ada + "openclaw.json.bak.1":                              "{}\n",
		ada + ".env":                                             "A=b\n",
		ada + "agents/main/sessions/5d0c.jsonl":                  "{}\n",
		ada + "agents/main/sessions/5d0c.jsonl.deleted.1":        "{}\n",
		ada + "agents/main/sessions/5d0c.jsonl.reset.1":          "{}\n",
		ada + "agents/main/agent/auth-profiles.json":             "{}\n",
		ada + "credentials/whatsapp/a/creds.json":                "{}\n",
		ada + "cron/jobs.json":                                   "{}\n",
		ada + "devices/paired.json":                              "{}\n",
		ada + "logs/config-audit.jsonl":                          "{}\n",
		ada + "state/openclaw.sqlite":                            "db",
		ada + "state/openclaw.sqlite-shm":                        "shm",
		ada + "state/openclaw.sqlite-wal":                        "wal",
		ada + "something/unheard/of":                             "x",
		ada + "workspace/SOUL.md":                                "be good\n",
		ada + "workspace/skills/x/SKILL.md":                      "# x\n",
		"home/ada/.agents/skills/y/SKILL.md":                     "# y\n",
		"home/ada/.bash_history":                                 "ls\n",
		"home/ada/.aws/credentials":                              "[default]\n",
		"home/ada/notes.txt":                                     "private\n",
		"home/ada/.config/systemd/user/openclaw-gateway.service": "[Service]\n",
		"home/bob/.config/gh/hosts.yml":                          "github.com:\n",
		"home/bob/.bash_history":                                 "not the agent's\n",
		"root/.aws/credentials":                                  "[default]\n",
		"etc/systemd/system/openclaw.service":                    "[Service]\n",
		"etc/systemd/system/openclaw.service.d/override.conf":    "[Service]\n",
		"etc/systemd/system/ssh.service":                         "[Service]\n",
		"etc/cron.d/x":                                           "* * * * *\n",
		"var/spool/cron/crontabs/ada":                            "* * * * *\n",
		"var/log/auth.log":                                       "a\n",
		"var/log/auth.log.1":                                     "b\n",
		"var/log/secure":                                         "c\n",
		"var/log/syslog":                                         "not taken\n",
	}
}

// hostileNames are file names that lead a careless program astray.
func hostileNames() []string {
	return []string{
		"new\nline", "carriage\rreturn", `back\slash`, `back\nslash`, "per%cent", "%0A", "quo\"te", "a'b", " lead", "trail ", "tab\t", "-rf", "*", "\xff\xfe", "\xff\xfd",
		"\x1b[31mred", "é", "e\u0301", "…", "=", "==2", "=2E", "CON", "A", "a", "~", "#", "data:stream", strings.Repeat("n", 255), strings.Repeat("\n", 255), strings.Repeat("m", 254) + "\x01",
		"\u202egpj.exe", "...", ".hidden", "$(reboot)", "`reboot`", ";reboot", "\x7f", "\x01",
	}
}
