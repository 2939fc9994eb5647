package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"filippo.io/age"

	"clawback/playbooks/containment"
	"clawback/playbooks/host/wire"
	"clawback/revoke/discover"
	"clawback/snapshots"
)

// TestMain lets the test binary be the program itself.
func TestMain(m *testing.M) {
	if os.Getenv("CLAWBACK_TEST_MAIN") != "" {
		main()
	}
	os.Exit(m.Run())
}

func tree(t *testing.T, token string) string {
	t.Helper()
	dir := t.TempDir()
	state := filepath.Join(dir, "home/ada/.openclaw")
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(state, "openclaw.json"), []byte(`{"channels":{"slack":{"botToken":"`+token+`"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func slackToken() string { return "xoxb-" + "123456789012-123456789012-" + rand.Text() }

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{}, {"exec"}, {"--root", "/", "describe"}, {"describe", "extra"}, {"describe", "--endpoint=x"},
		{"discover"}, {"discover", "--recipient=age1nonsense"}, {"capture"}, {"describe", "--part=files"}, {"restore", "--undo"},
		{"restore", "--keep=siem=10.0.0.5:6514"}, {"isolate", "--keep=siem"}, {"isolate", "--undo", "--keep=siem=10.0.0.5:6514"},
	} {
		var out, errs bytes.Buffer
		if code := run(args, &out, &errs); code != 2 || out.Len() > 0 || errs.Len() == 0 {
			t.Errorf("%q: exit %d, printed %q and %q", args, code, &out, &errs)
		}
	}
	var out bytes.Buffer
	if code := run([]string{"version"}, &out, io.Discard); code != 0 || !strings.Contains(out.String(), "protocol") {
		t.Errorf("version: exit %d, %q", code, &out)
	}
}

func TestVerbsAnswerInTheProtocol(t *testing.T) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	token := slackToken()
	root := "--root=" + tree(t, token)

	var out, errs bytes.Buffer
	if code := run([]string{"discover", root, "--recipient=" + identity.Recipient().String()}, &out, &errs); code != 0 {
		t.Fatalf("discover: exit %d: %s", code, &errs)
	}
	if bytes.Contains(out.Bytes(), []byte(token)) {
		t.Error("a secret left in the clear")
	}
	opened := false
	r := wire.Reader{Identity: identity, Found: func(f discover.Found) { opened = opened || f.Secret.Reveal("value") == token }}
	if err := r.Read(&out, "discover", &discover.Summary{}); err != nil || !opened {
		t.Errorf("discover: %v, token found: %v", err, opened)
	}

	for verb, result := range map[string]any{
		"describe": &containment.Description{}, "freeze": &containment.Frozen{}, "thaw": nil,
		"stop": &containment.Stopped{}, "check": &containment.Checked{}, "restore": nil,
	} {
		out.Reset()
		if code := run([]string{verb, root}, &out, &errs); code != 0 {
			t.Errorf("%s: exit %d: %s", verb, code, &errs)
		}
		if err := (&wire.Reader{}).Read(&out, verb, result); err != nil {
			t.Errorf("%s: %v", verb, err)
		}
	}
	out.Reset()
	if code := run([]string{"describe", "--root=/nonexistent"}, &out, &errs); code != 1 {
		t.Errorf("a root that does not exist: exit %d", code)
	}
	if err := (&wire.Reader{}).Read(&out, "describe", &containment.Description{}); err == nil {
		t.Error("a root that does not exist is described")
	}
}

// What is planted in masses must not end the search, and must not hide that something was left out.
func TestDiscoverTellsWhatItLeftOut(t *testing.T) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	dir := tree(t, slackToken())
	var env strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&env, "K%d_API_KEY=%s\n", i, rand.Text())
	}
	if err := os.WriteFile(filepath.Join(dir, "home/ada/.openclaw/.env"), []byte(env.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if code := run([]string{"discover", "--root=" + dir, "--recipient=" + identity.Recipient().String()}, &out, &errs); code != 0 {
		t.Fatalf("exit %d: %s", code, &errs)
	}
	n := 0
	r := wire.Reader{Identity: identity, Found: func(discover.Found) { n++ }}
	var sum discover.Summary
	if err := r.Read(&out, "discover", &sum); err != nil {
		t.Fatal(err)
	}
	told := len(sum.Problems) > 0 && strings.HasSuffix(sum.Problems[len(sum.Problems)-1].Reason, "were left out: look here by hand")
	if n != 10_000 || sum.Found <= n || !told {
		t.Errorf("%d of %d finds arrived, problems %v", n, sum.Found, sum.Problems)
	}
}

// deaf takes nothing: the desk is gone.
type deaf struct{}

func (deaf) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestFreezeIsDoneThoughNobodyListens(t *testing.T) {
	dir := tree(t, slackToken())
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	agent := exec.Command(sleep, "1000")
	agent.Dir = filepath.Join(dir, "home/ada/.openclaw")
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = agent.Process.Kill(); _ = agent.Wait() }()
	if code := run([]string{"freeze", "--root=" + dir}, deaf{}, io.Discard); code != 1 {
		t.Errorf("exit %d", code)
	}
	var out bytes.Buffer
	run([]string{"describe", "--root=" + dir}, &out, io.Discard)
	var d containment.Description
	if err := (&wire.Reader{}).Read(&out, "describe", &d); err != nil || len(d.Processes) != 1 || !d.Processes[0].Still() {
		t.Errorf("after freeze: %+v, %v", d.Processes, err)
	}
}

// The program must open no network socket, whatever it meets.
func TestNoNetworkSocket(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs strace, which CI must have")
		}
		t.Skip("needs strace")
	}
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	root := "--root=" + tree(t, slackToken())
	for _, args := range [][]string{
		{"describe", "--root=/"}, {"describe", root}, {"discover", root, "--recipient=" + identity.Recipient().String()},
		{"capture", root, "--part=files"}, {"capture", root, "--part=volatile"}, {"freeze", root}, {"thaw", root}, {"check", root}, {"check", "--root=/"},
	} {
		trace := filepath.Join(t.TempDir(), "trace")
		cmd := exec.Command("strace", append([]string{"-f", "-o", trace, "-e", "trace=socket,connect,sendto,execve", self}, args...)...)
		cmd.Env = []string{"CLAWBACK_TEST_MAIN=1", "PATH=/nonexistent", "HTTPS_PROXY=http://192.0.2.1:1", "DBUS_SYSTEM_BUS_ADDRESS=tcp:host=192.0.2.1,port=1"}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%q: %v: %.500s", args, err, out)
			continue
		}
		calls, err := os.ReadFile(trace)
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(calls, []byte("execve(")); n != 1 {
			t.Errorf("%q: %d programs were run, not 1:\n%s", args, n, calls)
		}
		if bad := regexp.MustCompile(`AF_INET|AF_PACKET|AF_VSOCK`).Find(calls); bad != nil {
			t.Errorf("%q: opened %s:\n%s", args, bad, calls)
		}
	}
}

// The host's program knows no provider and has no way to a network but the kernel's own sockets.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	banned := regexp.MustCompile(`^(net/http|crypto/tls|.*aws-sdk.*|.*go-github.*|.*stripe.*|.*slack-go.*|.*charmbracelet.*|.*sqlite.*|` +
		`clawback/(tui|cmd/clawback|playbooks/engine|playbooks/actions|playbooks/drill|forensics/(journal|incident|report|detect).*|snapshots/deposit|revoke|revoke/(providers|fake|revoketest).*))$`)
	for pkg := range strings.Lines(string(out)) {
		if pkg = strings.TrimSpace(pkg); banned.MatchString(pkg) {
			t.Errorf("clawback-host reaches %s", pkg)
		}
	}
	own, err := exec.Command("go", "list", "-deps", "-f", `{{if and .Module (eq .Module.Path "clawback")}}{{.ImportPath}}: {{.Imports}}{{end}}`, ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(own)) {
		if strings.Contains(line, "os/user") {
			t.Errorf("looks accounts up by os/user: %s", line)
		}
	}
}

func TestCaptureGoesThroughTheProtocol(t *testing.T) {
	var out bytes.Buffer
	if code := run([]string{"capture", "--root=" + tree(t, slackToken()), "--part=files"}, &out, io.Discard); code != 0 {
		t.Fatalf("exit %d", code)
	}
	var s lastFile
	var c snapshots.Captured
	if err := (&wire.Reader{Sink: &s}).Read(&out, "capture", &c); err != nil || c.Files == 0 || !strings.HasSuffix(s.path, "openclaw.json") {
		t.Errorf("capture = %+v, %v, last %q", c, err, s.path)
	}
}

// lastFile is a Sink that remembers the last path.
type lastFile struct{ path string }

func (s *lastFile) Begin(snapshots.File) (io.Writer, error) { return io.Discard, nil }
func (s *lastFile) End(f snapshots.File) error {
	if f.SHA256 != "" {
		s.path = f.Path
	}
	return nil
}
