package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks/drill/tree"
	"clawback/playbooks/engine"
	"clawback/revoke/credential"
)

// desk is one responder's place: a program, a state directory, a target, and simulated providers
// as the only ones that it can reach.
type desk struct {
	t    *testing.T
	city *city
	dir  string // everything of this desk is below it
	root string // the target
	env  []string
	bin  string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, city: newCity(t), dir: t.TempDir()}
	d.root = filepath.Join(d.dir, "disk")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d.bin = filepath.Join(d.dir, "clawback")
	for _, err := range []error{
		os.Mkdir(d.root, 0o700), os.Mkdir(filepath.Join(d.dir, "tmp"), 0o700), os.Symlink(self, d.bin),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	d.env = []string{
		"PATH=" + os.Getenv("PATH"), "USER=tester", "HOME=" + d.dir, "TMPDIR=" + filepath.Join(d.dir, "tmp"),
		"XDG_STATE_HOME=" + filepath.Join(d.dir, "state"), "XDG_CONFIG_HOME=" + filepath.Join(d.dir, "config"),
	}
	return d
}

// hold makes the target an installation that holds one live credential of each kind.
func (d *desk) hold(kinds ...string) []credential.Credential {
	d.t.Helper()
	var held []credential.Credential
	for _, kind := range kinds {
		k, _ := credential.Lookup(kind)
		held = append(held, d.city.fakes[k.Provider].Mint(kind))
	}
	if _, err := tree.Generate(d.root, rand.New(rand.NewPCG(5, 6)), held); err != nil {
		d.t.Fatal(err)
	}
	return held
}

// write puts a file into the target.
func (d *desk) write(name, text string) string {
	d.t.Helper()
	path := filepath.Join(d.root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
	return path
}

func (d *desk) config() string { return filepath.Join(d.dir, "clawback.yaml") }

// authorise gives the desk an authority for every provider.
func (d *desk) authorise() {
	d.t.Helper()
	d.env = append(d.env, d.city.authorities(d.t, d.config())...)
	d.env = append(d.env, "CLAWBACK_CONFIG="+d.config())
}

// ended is a run of clawback that is over.
type ended struct {
	code    int
	stdout  []byte
	stderr  []byte
	summary incident.Summary
	state   incident.State
	maxRSS  int64 // bytes
	took    time.Duration
}

// command prepares clawback without starting it.
func (d *desk) command(args ...string) *exec.Cmd {
	cmd := exec.Command(d.bin, args...)
	cmd.Env = d.env
	cmd.Dir = d.dir
	return cmd
}

// killArgs is the kill switch at this desk's target, with the providers of its city alone.
func (d *desk) killArgs(more ...string) []string {
	args := append([]string{"kill", "--yes", "--json", "--root", d.root}, d.city.args...)
	return append(args, more...)
}

// kill runs the kill switch and checks what every run has to keep to.
func (d *desk) kill(more ...string) ended {
	d.t.Helper()
	r := d.run(d.command(d.killArgs(more...)...))
	r.check(d.t)
	return r
}

// busy reports whether the run says that other processes of the machine came and went so fast that
// a freeze could not be called complete: then it proves nothing else.
func (r *ended) busy() bool {
	return bytes.Contains(r.stderr, []byte("came and went faster than they could be read"))
}

// unlessBusy does something again where the machine was too busy for it.
func unlessBusy(t *testing.T, do func() ended) ended {
	t.Helper()
	var r ended
	for range 4 {
		if r = do(); !r.busy() {
			return r
		}
	}
	t.Fatalf("the machine was too busy for a freeze, again and again\n%s", r.stderr)
	return r
}

// run runs a command to its end, within two minutes.
func (d *desk) run(cmd *exec.Cmd) ended {
	d.t.Helper()
	var stdout, stderr bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout = &stdout
	}
	if cmd.Stderr == nil {
		cmd.Stderr = &stderr
	}
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	return d.wait(cmd, &stdout, &stderr)
}

func (d *desk) wait(cmd *exec.Cmd, stdout, stderr *bytes.Buffer) ended {
	d.t.Helper()
	began := time.Now()
	most, stop := peak(cmd.Process.Pid), make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for tick := time.NewTicker(20 * time.Millisecond); ; {
			select {
			case <-tick.C:
				most = max(most, peak(cmd.Process.Pid))
			case <-stop:
				tick.Stop()
				return
			}
		}
	})
	hung := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Signal(syscall.SIGQUIT) })
	defer hung.Stop()
	err := cmd.Wait()
	close(stop)
	watching.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		d.t.Fatalf("%v: %v", cmd.Args, err)
	}
	r := ended{
		code: cmd.ProcessState.ExitCode(), stdout: stdout.Bytes(), stderr: stderr.Bytes(), took: time.Since(began),
		maxRSS: most,
	}
	return r
}

// peak is the most memory that a process has had, in bytes; 0 where that cannot be read. What the
// system says at its end would count what the process had that started it.
func peak(pid int) int64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, line, _ := strings.Cut(string(status), "VmHWM:")
	fields := strings.Fields(line)
	if len(fields) == 0 {
		return 0
	}
	kb, _ := strconv.ParseInt(fields[0], 10, 64)
	return kb << 10
}

// summaryKeys is the summary's form, as scripts rely on it.
const summaryKeys = "type incident mode exit credentials total dead alive manual unverified failed skipped " +
	"agent frozen_ms down evidence files bytes sealed timings freeze_ms all_dead_ms slowest_chain_ms adversary calls_after_alarm report"

// check holds a run with --json to what is promised of every one: a record whose chain is unbroken,
// a summary as the last line that agrees with the exit code, and nothing that steers a terminal.
func (r *ended) check(t *testing.T) {
	t.Helper()
	safeText(t, "stderr", r.stderr)
	safeText(t, "stdout", r.stdout)
	lines := bytes.Split(bytes.TrimSuffix(r.stdout, []byte("\n")), []byte("\n"))
	last := lines[len(lines)-1]
	if err := json.Unmarshal(last, &r.summary); err != nil {
		t.Fatalf("the last line is no summary: %v: %.200q\n%s", err, last, r.stderr)
	}
	if keys := strings.Join(keysOf(t, last), " "); keys != summaryKeys {
		t.Errorf("the summary's keys are %s", keys)
	}
	var before journal.Entry
	for _, line := range lines[:len(lines)-1] {
		e, err := journal.Parse(line)
		if err == nil {
			err = journal.Check(before, e)
		}
		if err != nil {
			t.Fatalf("stdout is not the record: %v: %.200q", err, line)
		}
		r.state, before = incident.Fold(r.state, e), e
	}
	s, n := r.summary, r.summary.Credentials
	switch {
	case s.Exit != r.code:
		t.Errorf("the process ended with %d, its summary says %d\n%s", r.code, s.Exit, r.stderr)
	case r.state.Exit == nil || *r.state.Exit != r.code:
		t.Errorf("the process ended with %d, its record says %v\n%s", r.code, r.state.Exit, r.stderr)
	case n.Dead+n.Alive+n.Manual+n.Unverified+n.Failed+n.Skipped != n.Total:
		t.Errorf("the credentials do not add up: %+v", n)
	case r.code == 0 && (!r.state.Declared.Leak && (!s.Agent.Down || !s.Evidence.Sealed) || n.Dead != n.Total):
		t.Errorf("exit 0 and not contained: %s", last)
	}
	if s.Report != "" {
		for _, path := range []string{s.Report, strings.TrimSuffix(s.Report, ".md") + ".json"} {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Errorf("the report is not where the summary says: %v", err)
			}
			safeText(t, path, text)
		}
	}
}

// keysOf lists the keys of a JSON text in their order.
func keysOf(t *testing.T, text []byte) (keys []string) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	value := false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return keys
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, delim := token.(json.Delim); delim {
			value = false
			continue
		}
		if value = !value; value {
			keys = append(keys, token.(string))
		}
	}
}

// safeText complains about what could steer a terminal, or hide or reorder text.
func safeText(t *testing.T, where string, text []byte) {
	t.Helper()
	for i := 0; i < len(text); {
		c, n := utf8.DecodeRune(text[i:])
		i += n
		if c == '\n' || c == '\t' {
			continue
		}
		if c == utf8.RuneError && n == 1 || unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c) {
			t.Errorf("%s holds %U: %q", where, c, text[max(0, i-60):min(len(text), i+60)])
			return
		}
	}
}

// wants complains unless the run ended as it should and said on stderr what it should.
func (r *ended) wants(t *testing.T, code int, says ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("ended with %d, want %d\n%s", r.code, code, r.stderr)
	}
	for _, text := range says {
		if !bytes.Contains(r.stderr, []byte(text)) {
			t.Errorf("it does not say %q\n%s", text, r.stderr)
		}
	}
}

// contained wants exit 0, or 3 where all that failed is the freeze, on a machine that was too busy
// for it (see busy) or too slow for its deadline.
func (r *ended) contained(t *testing.T, says ...string) {
	t.Helper()
	want := incident.ExitContained
	for id, step := range r.state.Steps {
		late := strings.Contains(step.Outcome.Error, engine.ErrDeadline.Error())
		switch {
		case step.Status != incident.Failed:
		case id == "freeze" && (late || r.busy()):
			want = incident.ExitPartial
		default:
			t.Errorf("step %s failed: %s", id, step.Outcome.Error)
		}
	}
	r.wants(t, want, says...)
}

// reportText is the report that the summary names.
func (r *ended) reportText(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(r.summary.Report)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// eventually waits for a condition, and fails with what was not seen.
func eventually(t *testing.T, within time.Duration, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	over := time.After(within)
	for !holds() {
		select {
		case <-tick.C:
		case <-over:
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}

// needs skips a test that lacks something of its machine, and fails it in CI.
func needs(t *testing.T, what string, there bool) {
	t.Helper()
	switch {
	case there:
	case os.Getenv("CI") == "true":
		t.Fatal("this needs " + what)
	default:
		t.Skip("this needs " + what)
	}
}

func needsProgram(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	needs(t, name, err == nil)
	return path
}

func needsRoot(t *testing.T) {
	t.Helper()
	needs(t, "root", os.Getuid() == 0)
}
