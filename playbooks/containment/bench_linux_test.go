package containment

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

const (
	forkers    = 200
	freezes    = 20
	medianGoal = 50 * time.Millisecond
	worstGoal  = 100 * time.Millisecond
)

// forking is a script that keeps that many processes at work, each of which forks all the time, and
// makes a file "all" in a folder once they are all there.
func forking(dir string) string {
	return fmt.Sprintf(`i=0; while [ $i -lt %d ]; do (while :; do (:); done) & i=$((i+1)); done; : >%s/all; wait`, forkers, dir)
}

func allFork(b *testing.B, dir string) {
	b.Helper()
	eventually(b, "all of them fork", func() bool {
		_, err := os.Stat(filepath.Join(dir, "all"))
		return err == nil
	})
}

// BenchmarkFreeze freezes 200 processes that fork all the time, 20 times: a tree of processes of which
// nothing but the program is known, by SIGSTOP, and a unit of systemd's, by its control group.
func BenchmarkFreeze(b *testing.B) {
	b.Run("tree", func(b *testing.B) {
		for range b.N {
			report(b, func() time.Duration { return freezeTree(b) })
		}
	})
	b.Run("unit", func(b *testing.B) {
		for range b.N {
			report(b, func() time.Duration { return freezeUnit(b) })
		}
	})
}

func report(b *testing.B, freeze func() time.Duration) {
	b.Helper()
	var took []time.Duration
	for range freezes {
		took = append(took, freeze())
	}
	slices.Sort(took)
	median, worst := took[len(took)/2], took[len(took)-1]
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	b.ReportMetric(ms(median), "ms-median")
	b.ReportMetric(ms(worst), "ms-worst")
	b.ReportMetric(float64(median)/float64(medianGoal), "median/50ms")
	b.ReportMetric(float64(worst)/float64(worstGoal), "worst/100ms")
	b.ReportMetric(0, "ns/op")
}

// freezeTree freezes once, and returns how long it took from the verb's start to the last thread stopped.
func freezeTree(b *testing.B) time.Duration {
	b.Helper()
	dir := b.TempDir()
	shell := copyOf(b, "/bin/sh", filepath.Join(dir, "opt/openclaw"))
	cmd := exec.Command(shell, "-c", forking(dir))
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		for pids := running(shell); len(pids) > 0; pids = running(shell) {
			for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} {
				for _, pid := range pids {
					_ = syscall.Kill(pid, sig)
				}
			}
		}
		_ = cmd.Wait()
	}()
	allFork(b, dir)
	root, err := os.OpenRoot(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer root.Close()
	a, err := New(root)
	if err != nil {
		b.Fatal(err)
	}
	f, err := a.Freeze(b.Context())
	if err != nil || len(f.Escaped) > 0 || len(f.Processes) < forkers {
		b.Fatalf("%d processes frozen, %d escaped, %q: %v", len(f.Processes), len(f.Escaped), f.Problems, err)
	}
	return f.Took
}

// freezeUnit is the same for a service, by a process of its own as on a real host.
func freezeUnit(b *testing.B) time.Duration {
	b.Helper()
	s := startSystemd(b, map[string]string{"openclaw-gateway.service": "[Service]\nTasksMax=infinity\nRestart=always\nExecStart=$SD/forking\n"})
	defer s.end()
	if err := os.WriteFile(filepath.Join(s.dir, "forking"), []byte("#!/bin/sh\n"+forking(s.dir)+"\n"), 0o755); err != nil {
		b.Fatal(err)
	}
	s.run("systemctl", "start", "openclaw-gateway.service")
	allFork(b, s.dir)
	var f Frozen
	s.verb("freeze", &f)
	if len(f.Escaped) > 0 || len(f.Processes) < forkers {
		text, _ := json.Marshal(f)
		b.Fatalf("freeze: %.1000s", text)
	}
	return f.Took
}

func copyOf(b *testing.B, from, to string) string {
	b.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		b.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o755); err != nil {
		b.Fatal(err)
	}
	return to
}
