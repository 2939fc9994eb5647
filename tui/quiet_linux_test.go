package tui

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	tea "github.com/charmbracelet/bubbletea"
	"golang.org/x/sys/unix"

	"clawback/forensics/incident"
)

// quietEnv is set in the child in which the console may ask the system for nothing.
const quietEnv = "CLAWBACK_TEST_QUIET"

// Update and View do no I/O, or a slow disk or a dead link would hold up every key: each key of each screen
// and dialog is pressed on a thread of its own, and the kernel ends the process at the first system call
// beyond what Go itself needs for memory and scheduling.
func TestUpdateDoesNoIO(t *testing.T) {
	if os.Getenv(quietEnv) != "" {
		pressAllQuietly(t)
		return
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestUpdateDoesNoIO$", "-test.v")
	cmd.Env = append(os.Environ(), quietEnv+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		if len(out) > 8000 {
			out = out[:8000]
		}
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(string(out), "keys were pressed") {
		t.Fatalf("nothing was pressed:\n%s", out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "keys were pressed") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

// TestOnlyRunStartsGoroutines belongs to it: what Update would start beside itself no filter would see.
func TestOnlyRunStartsGoroutines(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	starts := map[string]bool{"tui.go": true, "accessible.go": true, "lineeditor.go": true} // Run, and the console of lines
	for _, name := range files {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if text := string(src); !strings.HasSuffix(name, "_test.go") && !starts[name] && (strings.Contains(text, "\tgo ") || strings.Contains(text, ".Go(")) {
			t.Errorf("%s starts a goroutine", name)
		}
	}
}

// aQuietThread runs what it is given on a thread that can ask the system for next to nothing.
func aQuietThread(t *testing.T) (do func(func())) {
	type job struct {
		do   func()
		done chan struct{}
	}
	jobs, ready := make(chan job), make(chan error)
	event := eventOfTheScheduler(t)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		ready <- allowOnly(event)
		for j := range jobs {
			j.do()
			close(j.done)
		}
	}()
	if err := <-ready; err != nil {
		t.Fatalf("the kernel takes no filter of system calls: %v", err)
	}
	t.Cleanup(func() { close(jobs) })
	return func(f func()) {
		j := job{f, make(chan struct{})}
		jobs <- j
		<-j.done
	}
}

// eventOfTheScheduler is the descriptor by which Go wakes up who waits for the network or a timer.
func eventOfTheScheduler(t *testing.T) uint32 {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		var fd uint32
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		if _, no := fmt.Sscan(e.Name(), &fd); err == nil && no == nil && strings.Contains(to, "[eventfd]") {
			return fd
		}
	}
	t.Fatal("Go waits for the network by something new")
	return 0
}

// allowOnly takes from the calling thread every system call that Go does not need to run.
func allowOnly(event uint32) error {
	const load, equal, give = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	var filter []unix.SockFilter
	add := func(code uint16, k uint32, yes, no uint8) {
		filter = append(filter, unix.SockFilter{Code: code, K: k, Jt: yes, Jf: no})
	}
	add(load, 0, 0, 0) // the number of the call
	for _, call := range []uint32{
		unix.SYS_FUTEX, unix.SYS_MMAP, unix.SYS_MUNMAP, unix.SYS_MADVISE, unix.SYS_MPROTECT, unix.SYS_MINCORE, unix.SYS_MEMBARRIER, unix.SYS_PRCTL,
		unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY, unix.SYS_CLOCK_GETTIME, unix.SYS_NANOSLEEP, unix.SYS_GETPID, unix.SYS_GETTID, unix.SYS_TGKILL,
		unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_RT_SIGACTION, unix.SYS_SIGALTSTACK, unix.SYS_RESTART_SYSCALL, unix.SYS_EPOLL_PWAIT,
		unix.SYS_CLONE, unix.SYS_CLONE3, unix.SYS_EXIT, unix.SYS_EXIT_GROUP, unix.SYS_TIMER_CREATE, unix.SYS_TIMER_SETTIME, unix.SYS_TIMER_DELETE,
	} {
		add(equal, call, 0, 1)
		add(give, unix.SECCOMP_RET_ALLOW, 0, 0)
	}
	add(equal, unix.SYS_READ, 1, 0)
	add(equal, unix.SYS_WRITE, 0, 4)
	add(load, 16, 0, 0) // its first argument
	add(equal, event, 1, 0)
	add(equal, 2, 0, 1) // where Go says what was refused
	add(give, unix.SECCOMP_RET_ALLOW, 0, 0)
	add(give, unix.SECCOMP_RET_TRAP, 0, 0)
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
}

// pressAllQuietly presses each key of each screen and dialog, and sends what else a console gets.
func pressAllQuietly(t *testing.T) {
	aside = aQuietThread(t)
	defer func() { aside = func(do func()) { do() } }()
	nowhere, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = nowhere.Close() }()
	pressed := 0
	for _, p := range sights() {
		there := func() *keyboard {
			k := p.at(t, p.story, 80, 24, map[string]string{"TERM": "xterm-256color"})
			k.c.o.Suspend, k.c.o.Output = func() error { return nil }, nowhere
			k.view()
			return k
		}
		k := there()
		for _, name := range keysAt(k.c) {
			top, screen := k.c.top(), k.c.screen
			k.send(keyNamed(t, name))
			k.view()
			pressed++
			if k.quit || k.c.top() != top || k.c.screen != screen {
				k = there()
			}
		}
		k.paste("a paste")
		more := p.story(t)
		n := len(more.entries)
		more.add(incident.TypeNote, incident.Note{Text: "later", By: "lee"})
		for _, msg := range []tea.Msg{tickMsg{}, tea.WindowSizeMsg{Width: 40, Height: 8}, tea.WindowSizeMsg{Width: 132, Height: 50}, entriesMsg(more.entries[n:]), endMsg{}} {
			k.send(msg)
			k.view()
		}
	}
	t.Logf("%d keys were pressed", pressed+pressHomeQuietly(t))
}

// pressHomeQuietly presses each key of each page of Home, and of each thing that Declare asks.
func pressHomeQuietly(t *testing.T) (pressed int) {
	for _, to := range [][]string{{}, {"r"}, {"p"}, {"?"}, {"s"}, {"s", "3"}, {"s", "3", "web-9"}, {"s", "enter"}, {"s", "enter", "enter"}, {"s", "enter", "enter", "enter"}} {
		there := func() *atHome {
			k := newAtHome(t, sampleHome(), 80, 24, map[string]string{"TERM": "xterm-256color"})
			k.press(append(slices.Clone(to), "rest")...)
			k.view()
			return k
		}
		k := there()
		at := k.h.page
		names := []string{"x", "7", " ", "backspace", "ctrl+u"}
		for _, b := range append(at.keys(k.h), k.h.globalKeys()...) {
			names = append(names, b.keys...)
		}
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			k.send(keyNamed(t, name))
			k.view()
			pressed++
			k = there()
		}
		for _, msg := range []tea.Msg{paste("a paste"), tea.WindowSizeMsg{Width: 40, Height: 8}, tea.WindowSizeMsg{Width: 132, Height: 50}} {
			k.send(msg)
			k.view()
		}
	}
	return pressed
}

func paste(text string) tea.Msg {
	return tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(text), Paste: true}
}

// keysAt are the keys of the topmost layer, those of every screen, and some that are letters.
func keysAt(c *console) (names []string) {
	var l layer = c.screen
	if o := c.top(); o != nil {
		l = o
	}
	for _, b := range append(l.keys(c), c.globalKeys()...) {
		names = append(names, b.keys...)
	}
	names = append(names, "x", "7", " ", "backspace", "ctrl+u", "ctrl+c")
	slices.Sort(names)
	return slices.Compact(names)
}

// keyNamed is the message of a key as Bubble Tea calls it.
func keyNamed(t *testing.T, name string) tea.KeyMsg {
	if msg, ok := named[name]; ok {
		return msg
	}
	for kind := tea.KeyType(-128); kind < 128; kind++ {
		if msg := (tea.KeyMsg{Type: kind}); kind != tea.KeyRunes && msg.String() == name {
			return msg
		}
	}
	if len([]rune(name)) != 1 {
		t.Fatalf("no key is called %q", name)
	}
	return tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(name)}
}
