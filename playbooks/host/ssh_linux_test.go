package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"clawback/playbooks/containment"
	"clawback/playbooks/host/wire"
	"clawback/revoke/discover"
	"clawback/snapshots"
)

// TestMain also plays the agent on the host: it writes a line every few milliseconds.
func TestMain(m *testing.M) {
	acts := os.Getenv("CLAWBACK_TEST_ACTS")
	if acts == "" {
		code := m.Run()
		_ = os.RemoveAll(programDir)
		os.Exit(code)
	}
	f, err := os.OpenFile(acts, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		os.Exit(1)
	}
	for range time.Tick(5 * time.Millisecond) {
		fmt.Fprintln(f, "act")
	}
}

// needRoot skips without root. In CI that is a failure: the test must run there.
func needRoot(t *testing.T, programs ...string) {
	t.Helper()
	missing := ""
	if os.Geteuid() != 0 {
		missing = "root"
	}
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			missing = name
		}
	}
	switch {
	case missing == "":
	case os.Getenv("CI") == "true":
		t.Fatalf("needs %s, which CI must have", missing)
	default:
		t.Skipf("needs %s", missing)
	}
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for tick := time.NewTicker(5 * time.Millisecond); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func sh(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
}

// server is an sshd of the test's own on loopback, with its own keys.
type server struct {
	cmd    *exec.Cmd
	config string // of the client, in which the host is called "web-1"
}

func startServer(t *testing.T) *server {
	t.Helper()
	needRoot(t, "ssh", "sshd", "ssh-keygen")
	dir := t.TempDir()
	for _, name := range []string{"host", "user"} {
		sh(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, name))
	}
	must(t, os.MkdirAll("/run/sshd", 0o755))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	must(t, l.Close())
	key, err := os.ReadFile(filepath.Join(dir, "host.pub"))
	must(t, err)
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o600))
		return path
	}
	write("known_hosts", "[127.0.0.1]:"+port+" "+string(key))
	daemon := write("sshd_config", `ListenAddress 127.0.0.1:`+port+`
HostKey DIR/host
AuthorizedKeysFile DIR/user.pub
StrictModes no
UsePAM no
PidFile none
PasswordAuthentication no
PermitRootLogin prohibit-password
`)
	s := &server{config: write("ssh_config", `Host web-1
HostName 127.0.0.1
Port `+port+`
User root
IdentityFile DIR/user
IdentitiesOnly yes
UserKnownHostsFile DIR/known_hosts
GlobalKnownHostsFile /dev/null
StrictHostKeyChecking yes
ForwardAgent yes
`)}
	sshd, err := exec.LookPath("sshd")
	must(t, err)
	s.cmd = exec.Command(sshd, "-D", "-e", "-f", daemon)
	must(t, s.cmd.Start())
	t.Cleanup(func() {
		s.cut()
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	})
	eventually(t, "sshd listens", func() bool {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return s
}

// cut kills the sessions of the server, as a network that goes away would end them.
func (s *server) cut() {
	for _, pid := range descendants(s.cmd.Process.Pid) {
		if name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); strings.HasPrefix(string(name), "sshd") {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

func descendants(pid int) (all []int) {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, field := range strings.Fields(string(data)) {
		if child, err := strconv.Atoi(field); err == nil {
			all = append(append(all, child), descendants(child)...)
		}
	}
	return all
}

var programDir string

// program builds the host's program once.
var program = sync.OnceValues(func() (path string, err error) {
	if programDir, err = os.MkdirTemp("", "clawback-program-"); err != nil {
		return "", err
	}
	path = filepath.Join(programDir, "clawback-host")
	cmd := exec.Command("go", "build", "-o", path, "clawback/cmd/clawback-host")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// world is a tree with an installation, and an agent at work in it.
type world struct{ dir, acts string }

func startWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dir: t.TempDir()}
	w.acts = filepath.Join(w.dir, "acts")
	state := filepath.Join(w.dir, "home/ada/.openclaw")
	for name, content := range map[string]string{
		"openclaw.json":                `{"channels":{"slack":{"botToken":"` + "xoxb-" + strings.Repeat("1", 12) + "-" + strings.Repeat("2", 12) + "-" + random(t) + `"}}}`,
		"delivery-queue/1.json":        "{}",
		"agents/main/sessions/a.jsonl": strings.Repeat(`{"type":"session"}`+"\n", 1<<19),
	} {
		path := filepath.Join(state, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, []byte(content), 0o600))
	}
	exe, err := os.Executable()
	must(t, err)
	data, err := os.ReadFile(exe)
	must(t, err)
	agent := filepath.Join(w.dir, "openclaw-gateway")
	must(t, os.WriteFile(agent, data, 0o755))
	cmd := exec.Command(agent)
	cmd.Dir = state
	cmd.Env = append(os.Environ(), "CLAWBACK_TEST_ACTS="+w.acts)
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	eventually(t, "the agent acts", func() bool { return w.size() > 0 })
	return w
}

func random(t *testing.T) string {
	t.Helper()
	data := make([]byte, 12)
	f, err := os.Open("/dev/urandom")
	must(t, err)
	defer f.Close()
	_, err = io.ReadFull(f, data)
	must(t, err)
	return fmt.Sprintf("%x", data)
}

func (w *world) size() int64 {
	info, err := os.Stat(w.acts)
	if err != nil {
		return 0
	}
	return info.Size()
}

// sink counts what arrives; slow is called with the first bytes of each file.
type sink struct {
	begun, ended []string
	first        func(path string)
}

type sinkWriter struct {
	s    *sink
	path string
	seen bool
}

func (w *sinkWriter) Write(p []byte) (int, error) {
	if !w.seen && w.s.first != nil {
		w.seen = true
		w.s.first(w.path)
	}
	return len(p), nil
}

func (s *sink) Begin(f snapshots.File) (io.Writer, error) {
	s.begun = append(s.begun, f.Path)
	return &sinkWriter{s: s, path: f.Path}, nil
}

func (s *sink) End(f snapshots.File) error { s.ended = append(s.ended, f.Path); return nil }

// leftovers are the folders that a connection makes on this machine, as the host and as the desk of
// this process: others may be at work beside it.
func leftovers() []string {
	var all []string
	for _, pattern := range []string{"/dev/shm/clawback-??????????", "/run/clawback-??????????", "/run/user/*/clawback-??????????", fmt.Sprintf("/tmp/clawback-%d-*", os.Getpid())} {
		found, _ := filepath.Glob(pattern)
		all = append(all, found...)
	}
	return all
}

func dial(t *testing.T, s *server, w *world, opts ...SSHOption) *SSH {
	t.Helper()
	path, err := program()
	must(t, err)
	h, err := DialSSH(context.Background(), "web-1", append([]SSHOption{WithConfig(s.config), WithProgram(path), WithRoot(w.dir)}, opts...)...)
	must(t, err)
	return h
}

func TestRealVerbsOverSSH(t *testing.T) {
	ctx := context.Background()
	before := leftovers()
	h := dial(t, startServer(t), startWorld(t))
	w := &world{dir: h.opts.root, acts: filepath.Join(h.opts.root, "acts")}
	d, err := h.Describe(ctx)
	must(t, err)
	if len(d.Installations) != 1 || len(d.Processes) != 1 {
		t.Errorf("Describe = %+v", d)
	}
	f, err := h.Freeze(ctx)
	must(t, err)
	if !f.Complete() || len(f.Processes) != 1 {
		t.Errorf("Freeze = %+v", f)
	}
	frozen := w.size()
	for _, part := range []string{"volatile", "files"} {
		var s sink
		c, err := h.Capture(ctx, part, &s)
		if err != nil || c.Files == 0 || len(s.ended) < c.Files {
			t.Errorf("Capture %s = %+v, %v", part, c, err)
		}
	}
	var found []discover.Found
	sum, err := h.Discover(ctx, func(f discover.Found) { found = append(found, f) })
	if err != nil || sum.Found != len(found) || !slices.ContainsFunc(found, func(f discover.Found) bool { return f.Provider == "slack" && !f.Secret.Empty() }) {
		t.Errorf("Discover = %+v, %v, %d finds", sum, err, len(found))
	}
	if c, err := h.Check(ctx); err != nil || c.Down {
		t.Errorf("Check of a frozen agent = %+v, %v", c, err)
	}
	if w.size() != frozen {
		t.Error("the agent acted while it was frozen")
	}
	must(t, h.Thaw(ctx))
	eventually(t, "the agent goes on", func() bool { return w.size() > frozen })
	if st, err := h.Stop(ctx); err != nil || len(st.Killed) != 1 || len(st.Held) != 1 {
		t.Errorf("Stop = %+v, %v", st, err)
	}
	if c, err := h.Check(ctx); err != nil || !c.Down {
		t.Errorf("Check = %+v, %v", c, err)
	}
	must(t, h.Restore(ctx))
	must(t, h.Reopen(ctx)) // what was never closed
	var failed *wire.FailedError
	if _, err := h.Isolate(ctx, containment.Cut{}); !errors.As(err, &failed) {
		t.Errorf("Isolate of a folder = %v", err)
	}
	must(t, h.Close())
	if after := leftovers(); !slices.Equal(before, after) {
		t.Errorf("left on the host: %v, before: %v", after, before)
	}
	if _, err := h.Describe(ctx); err == nil {
		t.Error("a closed host answered")
	}
}

func TestRealLinkIsCut(t *testing.T) {
	ctx := context.Background()
	srv, w := startServer(t), startWorld(t)
	h := dial(t, srv, w)
	_, err := h.Freeze(ctx)
	must(t, err)
	frozen := w.size()

	cut := ""
	s := sink{first: func(path string) {
		if cut == "" && strings.HasSuffix(path, ".jsonl") {
			cut = path
			srv.cut()
		}
	}}
	_, err = h.Capture(ctx, "files", &s)
	var link *LinkError
	if !errors.As(err, &link) || link.Verb != "capture" {
		t.Fatalf("Capture = %v, want a LinkError of capture", err)
	}
	if cut == "" || slices.Contains(s.ended, cut) {
		t.Errorf("%q passed for whole: %v", cut, s.ended)
	}
	if _, err := h.Check(ctx); !errors.As(err, &link) {
		t.Errorf("Check over a lost link = %v", err)
	}
	if err := h.Close(); err == nil || !strings.Contains(err.Error(), "may still be there") {
		t.Errorf("Close over a lost link = %v", err)
	}

	// A new connection finds the agent as it was left, and can go on.
	h = dial(t, srv, w)
	d, err := h.Describe(ctx)
	must(t, err)
	if len(d.Processes) != 1 || !d.Processes[0].Still() || w.size() != frozen {
		t.Errorf("after the cut: %+v, %d bytes of acts, were %d", d.Processes, w.size(), frozen)
	}
	must(t, h.Thaw(ctx))
	eventually(t, "the agent goes on", func() bool { return w.size() > frozen })
	must(t, h.Close())
	for _, dir := range leftovers() {
		if strings.HasPrefix(dir, "/dev/shm/") {
			must(t, os.RemoveAll(dir)) // what the cut left, as Close said
		}
	}
}

func TestRealLyingProgram(t *testing.T) {
	srv, w := startServer(t), startWorld(t)
	head := `printf '{"type":"header","protocol":2,"verb":"%s"}\n' "$1"; `
	for name, c := range map[string]struct {
		script string
		want   any
	}{
		"floods without lines":   {`yes x | tr -d '\n'`, new(*ClaimError)},
		"floods before a header": {`yes`, new(*ClaimError)},
		"floods after a header":  {head + `yes '{"type":"found"}'`, new(*ClaimError)},
		"answers another verb":   {`echo '{"type":"header","protocol":2,"verb":"thaw"}'`, new(*ClaimError)},
		"floods its errors":      {`yes >&2 & sleep 0.2; kill $!; ` + head + `echo '{"type":"trailer","result":{"down":true}}'`, nil},
		"goes on afterwards":     {head + `echo '{"type":"trailer","result":{"down":true}}'; exec yes`, nil},
		"says that it failed":    {head + `printf '{"type":"trailer","error":"\\u001b[2Jno"}\n'`, new(*wire.FailedError)},
	} {
		t.Run(name, func(t *testing.T) {
			script := filepath.Join(t.TempDir(), "program")
			must(t, os.WriteFile(script, []byte("#!/bin/sh\n[ \"$1\" = version ] && exit 0\n"+c.script+"\n"), 0o755))
			h := dial(t, srv, w, WithProgram(script), WithLimits(wire.Limits{Line: 1 << 20, Total: 1 << 20}))
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			got, err := h.Check(ctx)
			switch {
			case c.want == nil && (err != nil || !got.Down):
				t.Errorf("Check = %+v, %v", got, err)
			case c.want != nil && !errors.As(err, c.want):
				t.Errorf("Check = %v, want %T", err, c.want)
			case c.want != nil && (!strings.Contains(err.Error(), "check") || !strings.Contains(err.Error(), "web-1")):
				t.Errorf("%q names neither verb nor host", err)
			}
			must(t, h.Close())
		})
	}
	t.Run("dies in the middle", func(t *testing.T) {
		script := filepath.Join(t.TempDir(), "program")
		must(t, os.WriteFile(script, []byte("#!/bin/sh\n[ \"$1\" = version ] && exit 0\n"+head+"echo why it died >&2; exit 3\n"), 0o755))
		h := dial(t, srv, w, WithProgram(script))
		_, err := h.Check(context.Background())
		var link *LinkError
		if !errors.Is(err, wire.ErrCut) || errors.As(err, &link) || !strings.Contains(err.Error(), "why it died") {
			t.Errorf("Check = %v", err)
		}
		must(t, h.Close())
	})
	t.Run("hangs", func(t *testing.T) {
		script := filepath.Join(t.TempDir(), "program")
		must(t, os.WriteFile(script, []byte("#!/bin/sh\n[ \"$1\" = version ] && exit 0\n"+head+"exec sleep 1000\n"), 0o755))
		h := dial(t, srv, w, WithProgram(script))
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		defer cancel()
		if _, err := h.Check(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Check = %v", err)
		}
		must(t, h.Close())
	})
}

func TestRealUnreachable(t *testing.T) {
	srv := startServer(t)
	before := leftovers()
	var link *LinkError
	if _, err := DialSSH(context.Background(), "nobody@web-1", WithConfig(srv.config)); !errors.As(err, &link) {
		t.Errorf("refused key: %v", err)
	}
	if _, err := DialSSH(context.Background(), "web-1", WithConfig(srv.config), WithProgram("/nonexistent")); err == nil {
		t.Error("a program that does not exist")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := DialSSH(ctx, "web-1", WithConfig(srv.config)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if after := leftovers(); !slices.Equal(before, after) {
		t.Errorf("left: %v, before: %v", after, before)
	}
}

func TestLocal(t *testing.T) {
	w := startWorld(t)
	h, err := NewLocal(w.dir)
	must(t, err)
	var s sink
	if c, err := h.Capture(context.Background(), "volatile", &s); err != nil || c.Files == 0 {
		t.Errorf("Capture = %+v, %v", c, err)
	}
	f, err := h.Freeze(context.Background())
	if err != nil || len(f.Processes) != 1 {
		t.Errorf("Freeze = %+v, %v", f, err)
	}
	must(t, h.Thaw(context.Background()))
	must(t, h.Close())
	if _, err := NewLocal(filepath.Join(w.dir, "none")); err == nil {
		t.Error("a root that does not exist")
	}
	if _, err := NewLocal(w.dir, WithContainment(containment.WithSystem(nil))); err != nil {
		t.Error(err)
	}
}
