package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/creack/pty"
)

// startBound is what a person does not notice: how long "clawback version" may take.
const startBound = 50 * time.Millisecond

// shipped builds the program as it is shipped.
func shipped(b *testing.B) string {
	b.Helper()
	bin := filepath.Join(b.TempDir(), "clawback")
	build := exec.Command("go", "build", "-trimpath", "-o", bin, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	return bin
}

// BenchmarkVersion starts the program, from nothing to its exit.
func BenchmarkVersion(b *testing.B) {
	bin := shipped(b)
	for b.Loop() {
		if err := exec.Command(bin, "version").Run(); err != nil {
			b.Fatal(err)
		}
	}
	perOp := b.Elapsed() / time.Duration(b.N)
	b.ReportMetric(float64(perOp)/float64(startBound), "of-50ms-bound")
}

const (
	idleBound = 0.005 // of one processor
	watched   = time.Minute
)

// onLine is a console on a terminal of 80x24, and how many bytes came from it.
type onLine struct {
	cmd   *exec.Cmd
	tty   *os.File
	bytes atomic.Int64
	first chan struct{} // closed with the first byte
	over  sync.WaitGroup
}

func startOnLine(b *testing.B, env []string, bin string, args ...string) *onLine {
	b.Helper()
	o := &onLine{cmd: exec.Command(bin, args...), first: make(chan struct{})}
	o.cmd.Env = append(env, "TERM=xterm-256color")
	var err error
	if o.tty, err = pty.StartWithSize(o.cmd, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		b.Fatal(err)
	}
	o.over.Go(func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := o.tty.Read(buf)
			if n > 0 && o.bytes.Add(int64(n)) == int64(n) {
				close(o.first)
			}
			if err != nil {
				return
			}
		}
	})
	return o
}

func (o *onLine) end() {
	_ = o.cmd.Process.Kill()
	_ = o.cmd.Wait()
	_ = o.tty.Close()
	o.over.Wait()
}

// used is the processor time that the threads of a process have used, to the nanosecond: those of
// /proc/PID/stat are counted by ticks, with which a process falls in step that wakes by the clock.
func used(b *testing.B, pid int) (all time.Duration) {
	b.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(threads) == 0 {
		b.Fatalf("no threads of %d: %v", pid, err)
	}
	for _, name := range threads {
		stat, err := os.ReadFile(name)
		if err != nil {
			b.Fatal(err)
		}
		ns, err := strconv.ParseInt(strings.Fields(string(stat))[0], 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		all += time.Duration(ns)
	}
	return all
}

// BenchmarkBadLine watches a drill for a minute, on a terminal of 80x24, and counts what goes down the line;
// then it looks for half a minute how much a console costs that waits for somebody.
func BenchmarkBadLine(b *testing.B) {
	bin := shipped(b)
	for range b.N {
		state := b.TempDir()
		env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + state, "XDG_STATE_HOME=" + state, "TMPDIR=" + b.TempDir()}
		drill := exec.Command(bin, "drill", "--auto", "--seed", "7")
		drill.Env = env
		if err := drill.Start(); err != nil {
			b.Fatal(err)
		}
		for tick := time.NewTicker(50 * time.Millisecond); ; <-tick.C {
			if found, _ := filepath.Glob(filepath.Join(state, "clawback/incidents/*/journal.jsonl")); len(found) > 0 {
				break
			}
		}
		line := startOnLine(b, env, bin, "watch")
		<-line.first
		<-time.After(watched)
		b.ReportMetric(float64(line.bytes.Load())/1e3, "kB/min")
		line.end()
		_ = drill.Process.Kill()
		_ = drill.Wait()

		// The drill's own world goes on while it waits, so it is another console on it that is looked at.
		waits := startOnLine(b, env, bin, "drill", "--seed", "8")
		<-waits.first
		<-time.After(3 * time.Second) // until it waits at its first question
		line = startOnLine(b, env, bin, "watch")
		<-line.first
		<-time.After(3 * time.Second)
		before, sent := used(b, line.cmd.Process.Pid), line.bytes.Load()
		<-time.After(watched / 2)
		idle := float64(used(b, line.cmd.Process.Pid)-before) / float64(watched/2)
		b.ReportMetric(float64(line.bytes.Load()-sent)/(watched/2).Seconds(), "idle-B/s")
		b.ReportMetric(100*idle, "idle-%")
		b.ReportMetric(idle/idleBound, "of-0.5%-bound")
		line.end()
		waits.end()
	}
}
