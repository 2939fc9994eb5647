package containment

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// The test binary plays the agent, and runs verbs in namespaces that the test itself is not in.
func TestMain(m *testing.M) {
	switch role := os.Getenv("CLAWBACK_TEST_ROLE"); role {
	case "":
		os.Exit(m.Run())
	case "agent":
		playAgent()
	case "child":
		playChild()
	case "burst": // forks once and is gone, again and again: a new pid all the time
		playBurst()
	case "metronome":
		for range time.Tick(50 * time.Millisecond) {
			act("beat")
		}
	case "fugitive": // ends again and again, so that its engine starts it anew
		act("fled")
		os.Exit(1)
	case "look":
		pid, err := strconv.Atoi(os.Args[1])
		if err != nil {
			fatal(err)
		}
		p := (&machine{}).readProc(pid)
		if p == nil || p.Exe != "" {
			fatal(fmt.Errorf("it is seen as %+v", p))
		}
		fmt.Print(p.ending)
	case "hidden": // keeps its own account from looking at it, until its input ends
		hide()
		fmt.Println("hidden")
		_, _ = io.Copy(io.Discard, os.Stdin)
	case "survivor": // holds what is named open
		playSurvivor()
	case "talk": // to each address that is named, over a connection that stays and over new ones
		playTalk()
	case "connect":
		conn, err := net.Dial("unix", os.Args[1])
		if err != nil {
			fatal(err)
		}
		conn.Close()
	default:
		runVerb(role)
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// act appends one line to the file that counts what the agent does.
func act(what string) {
	f, err := os.OpenFile(os.Getenv("CLAWBACK_TEST_ACTS"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		fatal(err)
	}
	fmt.Fprintln(f, what)
	f.Close()
}

// playAgent acts all the time and when it is told to end, answers its watchdog, and forks children that
// leave its session.
func playAgent() {
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM, syscall.SIGCONT, syscall.SIGHUP)
	spawn("child", "/")
	if os.Getenv("CLAWBACK_TEST_BURST") != "" {
		spawn("burst", "")
	}
	notify, _ := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	act("started")
	fmt.Println("hello") // for a container's log
	tick := time.NewTicker(10 * time.Millisecond)
	for {
		select {
		case <-tick.C:
			act("tick")
			if notify != nil {
				notify.Write([]byte("WATCHDOG=1"))
			}
		case sig := <-terminated:
			act("signal " + sig.String())
		}
	}
}

// spawn starts the test binary in another role and, for a dir, in a session of its own there.
func spawn(role, dir string) {
	exe, err := os.Executable()
	if err != nil {
		fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "CLAWBACK_TEST_ROLE="+role)
	if dir != "" {
		cmd.Dir = dir
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	}
	if err := cmd.Start(); err != nil {
		fatal(err)
	}
	if role != "burst" {
		go cmd.Wait()
	}
}

func playChild() {
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM, syscall.SIGCONT, syscall.SIGHUP)
	for {
		select {
		case <-time.After(10 * time.Millisecond):
			act("child")
		case sig := <-terminated:
			act("child signal " + sig.String())
		}
	}
}

func playBurst() {
	act("burst")
	time.Sleep(5 * time.Millisecond)
	spawn("burst", "")
}

// runVerb runs one verb on the machine that it finds itself on, and prints its result.
func runVerb(verb string) {
	dieInTime()
	root, err := os.OpenRoot("/")
	if err != nil {
		fatal(err)
	}
	a, err := New(root)
	if err != nil {
		fatal(err)
	}
	ctx := context.Background()
	var result any
	switch verb {
	case "describe":
		result, err = a.Describe(ctx)
	case "freeze":
		result, err = a.Freeze(ctx)
	case "thaw":
		err = a.Thaw(ctx)
	case "isolate agent":
		result, err = a.Isolate(ctx, Cut{Only: true})
	case "reopen":
		err = a.Reopen(ctx)
	case "stop":
		result, err = a.Stop(ctx)
	case "check":
		result, err = a.Check(ctx)
	case "accounts":
		result, err = readAccounts(ctx, a)
	case "layers":
		result, err = captureLayers(ctx, a, root)
	case "restore":
		err = a.Restore(ctx)
	default:
		err = fmt.Errorf("no role %q", verb)
	}
	if err != nil {
		fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		fatal(err)
	}
}

// dieInTime has this process end by SIGKILL, which nothing can catch: at the nth time that it comes by
// its ledger, or after so many microseconds.
func dieInTime() {
	die := func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) }
	if n, err := strconv.Atoi(os.Getenv("CLAWBACK_TEST_DIES_AT")); err == nil {
		saving = func() {
			if n--; n == 0 {
				die()
			}
		}
	}
	if us, err := strconv.Atoi(os.Getenv("CLAWBACK_TEST_DIES_AFTER")); err == nil {
		time.AfterFunc(time.Duration(us)*time.Microsecond, die)
	}
}

// readAccounts reads all that the engines tell.
func readAccounts(ctx context.Context, a *Agent) (map[string][]byte, error) {
	accounts, err := a.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string][]byte{}
	for _, account := range accounts {
		if all[account.Name], err = account.Read(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", account.Name, err)
		}
	}
	return all, nil
}

// needRoot skips without root. In CI that is a failure: the test must run there.
func needRoot(t testing.TB, programs ...string) {
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

// testBinary copies the test binary to dir/name.
func testBinary(t testing.TB, dir, name string) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// eventually waits until done says so.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
		if done() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// lines counts the lines of a file.
func lines(path string) int {
	data, _ := os.ReadFile(path)
	n := 0
	for _, b := range data {
		if b == '\n' {
			n++
		}
	}
	return n
}
