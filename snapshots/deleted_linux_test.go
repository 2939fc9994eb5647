package snapshots

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// captureHeld takes the volatile state of processes of this machine.
func captureHeld(t *testing.T, opts Options, pids ...int) (*memory, Captured) {
	t.Helper()
	proc, err := os.OpenRoot("/proc")
	if err != nil {
		skip(t, "needs a mounted /proc: "+err.Error())
	}
	defer proc.Close()
	_, root := tree(t, nil)
	m := newMemory(t)
	opts.Proc, opts.Processes = proc, pids
	c, err := Capture(t.Context(), root, "volatile", opts, m)
	must(t, err)
	return m, c
}

// held makes a file, opens it and removes its name.
func held(t *testing.T, name, text string) *os.File {
	t.Helper()
	at := filepath.Join(t.TempDir(), name)
	write(t, at, text)
	f, err := os.OpenFile(at, os.O_RDWR, 0)
	must(t, err)
	t.Cleanup(func() { f.Close() })
	must(t, os.Remove(at))
	return f
}

func TestDeletedFilesAreTakenWhereTheyAreHeld(t *testing.T) {
	pid := os.Getpid()
	name := func(f *os.File) string { return fmt.Sprintf("volatile/processes/%d/fd/%d", pid, f.Fd()) }
	plain := held(t, "loot.tar", "what it stole")
	twice, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", plain.Fd()))
	must(t, err)
	defer twice.Close()
	grows := held(t, "log", "before ")
	large := held(t, "large", "")
	must(t, large.Truncate(largeFile+1))
	memfd, err := unix.MemfdCreate("payload", unix.MFD_CLOEXEC)
	must(t, err)
	payload := os.NewFile(uintptr(memfd), "payload")
	defer payload.Close()
	_, err = payload.WriteString("in memory alone")
	must(t, err)
	linked := filepath.Join(t.TempDir(), "linked")
	write(t, linked, "has another name")
	must(t, os.Link(linked, linked+"2"))
	other, err := os.Open(linked)
	must(t, err)
	defer other.Close()
	must(t, os.Remove(linked))
	still := filepath.Join(t.TempDir(), "still there")
	write(t, still, "still there")
	named, err := os.Open(still)
	must(t, err)
	defer named.Close()
	pipe := filepath.Join(t.TempDir(), "fifo")
	mkfifo(t, pipe)
	fifo, err := os.OpenFile(pipe, os.O_RDWR, 0)
	must(t, err)
	defer fifo.Close()
	must(t, os.Remove(pipe))

	m, c := captureHeld(t, Options{at: func(point, path string) {
		if point == "open" && path == name(grows) {
			_, err := grows.WriteAt([]byte("after"), 7)
			must(t, err)
		}
	}}, pid)
	for f, want := range map[*os.File]string{plain: "what it stole", grows: "before after", payload: "in memory alone", other: "has another name"} {
		got := m.files[name(f)]
		if got.Verdict != DeletedOpen || m.content[name(f)] != want || !strings.HasSuffix(got.Target, " (deleted)") || got.Source != "deleted" {
			t.Errorf("%q, %+v", m.content[name(f)], got)
		}
	}
	if f := m.files[name(grows)]; !strings.Contains(f.Problem, Grew) || f.Size != 7 {
		t.Errorf("%+v", f)
	}
	if f := m.files[name(other)]; !strings.Contains(f.Problem, "1 others lead to it") {
		t.Errorf("%+v", f)
	}
	for _, f := range []*os.File{twice, named, fifo} {
		if got, taken := m.files[name(f)]; taken {
			t.Errorf("%+v", got)
		}
	}
	if last := m.order[len(m.order)-1]; last != name(large) || m.files[last].Bytes != largeFile+1 {
		t.Errorf("the last one is %s: %+v", last, m.files[last])
	}
	if len(c.Problems) > 0 {
		t.Errorf("%q", c.Problems)
	}
}

func TestDeletedProgram(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	must(t, err)
	program, err := os.ReadFile(sleep)
	must(t, err)
	at := filepath.Join(t.TempDir(), "miner")
	must(t, os.WriteFile(at, program, 0o755))
	run := exec.Command(at, "1000")
	must(t, run.Start())
	defer func() { _ = run.Process.Kill(); _ = run.Wait() }()
	must(t, os.Remove(at))
	m, _ := captureHeld(t, Options{}, run.Process.Pid)
	name := fmt.Sprintf("volatile/processes/%d/exe", run.Process.Pid)
	if f := m.files[name]; f.Verdict != DeletedOpen || m.content[name] != string(program) || f.Target != at+" (deleted)" {
		t.Errorf("%+v", f)
	}
}

func TestDeletedFilesOverTheLimit(t *testing.T) {
	f := held(t, "x", strings.Repeat("x", 100))
	name := fmt.Sprintf("volatile/processes/%d/fd/%d", os.Getpid(), f.Fd())
	m, c := captureHeld(t, Options{MaxFileBytes: 99}, os.Getpid())
	if got := m.files[name]; got.Verdict != Listed || !strings.Contains(strings.Join(c.Left, "\n"), name) {
		t.Errorf("%+v %q", got, c.Left)
	}
}
