package main

import (
	"bufio"
	"bytes"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"clawback/forensics/incident"
	"clawback/revoke/fake"
)

// running is a run of clawback that has begun.
type running struct {
	d              *desk
	cmd            *exec.Cmd
	stdout, stderr *lockedBuffer
}

// lockedBuffer can be read while a process writes to it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.b.Bytes())
}

func (d *desk) start(cmd *exec.Cmd) *running {
	d.t.Helper()
	r := &running{d: d, cmd: cmd, stdout: new(lockedBuffer), stderr: new(lockedBuffer)}
	if cmd.Stdout == nil {
		cmd.Stdout = r.stdout
	}
	cmd.Stderr = r.stderr
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = cmd.Process.Kill() }) // of a test that gave up; afterwards nothing
	return r
}

func (r *running) wait() ended {
	r.d.t.Helper()
	e := r.d.wait(r.cmd, new(bytes.Buffer), new(bytes.Buffer))
	e.stdout, e.stderr = r.stdout.bytes(), r.stderr.bytes()
	return e
}

// A signal in the middle of a run: the revocation that is under way is finished and recorded, no
// other begins, and the report is written.
func TestRealInterrupted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		signal syscall.Signal
		want   int
	}{{syscall.SIGINT, incident.ExitInterrupted}, {syscall.SIGTERM, incident.ExitTerminated}} {
		t.Run(c.signal.String(), func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			held := d.hold("slack.bot")
			revoking, answer := make(chan struct{}), make(chan struct{})
			var once sync.Once
			d.city.fakes["slack"].Knobs().SetFault(func(r *http.Request) fake.Fault {
				if strings.HasSuffix(r.URL.Path, "auth.revoke") {
					once.Do(func() { close(revoking) })
					<-answer
				}
				return fake.Fault{}
			})
			run := d.start(d.command(d.killArgs()...))
			<-revoking
			if err := run.cmd.Process.Signal(c.signal); err != nil {
				t.Fatal(err)
			}
			eventually(t, 20*time.Second, "it says that it ends", func() bool {
				return bytes.Contains(run.stderr.bytes(), []byte("what is under way is finished"))
			})
			close(answer)
			r := run.wait()
			r.check(t)
			r.wants(t, c.want)
			if d.city.fakes["slack"].Alive(held[0]) {
				t.Error("the revocation was not finished")
			}
			if !bytes.Contains(r.stdout, []byte(`"credential.receipt"`)) {
				t.Errorf("the revocation's answer is not on record\n%s", r.stdout)
			}
			if text := r.reportText(t); !strings.Contains(text, "interrupt") && !strings.Contains(text, "terminated") {
				t.Errorf("the report does not say that the run was ended\n%s", text)
			}
		})
	}
}

// Whoever loses the connection to the desk, or the program that reads its output, must not end the response.
func TestRealLostTerminal(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.hold("slack.bot")
	asked := make(chan struct{}, 1000)
	d.city.fakes["slack"].Knobs().SetFault(func(*http.Request) fake.Fault {
		asked <- struct{}{}
		return fake.Fault{}
	})
	cmd := d.command(d.killArgs("--deadline", shortDeadline)...)
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	run := d.start(cmd)
	if _, err := bufio.NewReader(pipe).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	_ = pipe.Close()
	<-asked
	for range 3 {
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	r := run.wait()
	if !r.busy() {
		r.wants(t, incident.ExitUnproved, "unproved")
	}
	state := d.recorded()
	if len(state.Terminals) != 1 || state.Terminals[0].State != "lost" || !strings.Contains(d.consoleLog(), "clawback watch "+state.Declared.Incident) {
		t.Errorf("terminals on record: %+v; console.log: %q", state.Terminals, d.consoleLog())
	}
	out := d.run(d.command("report"))
	out.wants(t, 0)
	verified := d.run(d.command("verify"))
	verified.wants(t, 0)
}
