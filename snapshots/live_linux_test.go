package snapshots

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestVolatile(t *testing.T) {
	if _, err := os.Stat("/proc/self/environ"); err != nil {
		skip(t, "needs a mounted /proc: "+err.Error())
	}
	proc, err := os.OpenRoot("/proc")
	must(t, err)
	defer proc.Close()
	_, root := tree(t, nil)
	odd := filepath.Join(t.TempDir(), "fd\n1 -> forged")
	f, err := os.Create(odd)
	must(t, err)
	defer f.Close()

	m := newMemory(t)
	pid := os.Getpid()
	c, err := Capture(t.Context(), root, "volatile", Options{Proc: proc, Processes: []int{pid, 1 << 30}}, m)
	must(t, err)
	mine := fmt.Sprintf("volatile/processes/%d/", pid)
	for name, want := range map[string]string{
		"volatile/net/route":       "Iface",
		"volatile/net/tcp":         "local_address",
		"volatile/net/arp":         "IP address",
		"volatile/processes/table": fmt.Sprintf("%q", strings.Join(os.Args, "\x00")+"\x00"),
		mine + "cmdline":           strings.Join(os.Args, "\x00") + "\x00",
		mine + "status":            fmt.Sprintf("Pid:\t%d\n", pid),
		mine + "maps":              "[stack]",
		mine + "links":             fmt.Sprintf("fd/%d -> %q\n", f.Fd(), odd),
		"volatile/mounts":          " / ",
		"volatile/uptime":          ".",
	} {
		if got := m.content[name]; !strings.Contains(got, want) || m.files[name].Verdict != Stable || m.files[name].Source != "volatile" {
			t.Errorf("%s has no %q: %+v", name, want, m.files[name])
		}
	}
	environ, err := os.ReadFile("/proc/self/environ")
	must(t, err)
	if m.content[mine+"environ"] != string(environ) {
		t.Error("the environment is not as the kernel gives it")
	}
	if gone := m.files["volatile/processes/1073741824/environ"]; gone.Verdict != Vanished {
		t.Errorf("a process that does not exist: %+v", gone)
	}
	for name := range m.files {
		if strings.HasPrefix(name, mine+"net/") {
			t.Errorf("%s: the same network twice", name)
		}
	}
	if len(c.Left) > 0 {
		t.Errorf("%+v", c)
	}
}

func TestVolatileOfADisk(t *testing.T) {
	_, root := tree(t, map[string]string{"proc/self/environ": "A=b"})
	m := newMemory(t)
	c, err := Capture(t.Context(), root, "volatile", Options{Processes: []int{1}}, m)
	if err != nil || len(m.files) > 0 || len(c.Problems) != 1 || !strings.Contains(c.Problems[0], "no volatile state") {
		t.Errorf("%v %+v %v", err, c, m.files)
	}
}

// TestOtherNetworkNamespace has a process in a network of its own, as in a container.
func TestWhatOthersTell(t *testing.T) {
	proc, err := os.OpenRoot("/proc")
	if err != nil {
		skip(t, "needs a mounted /proc: "+err.Error())
	}
	defer proc.Close()
	_, root := tree(t, nil)
	m := newMemory(t)
	tell := func(words string, err error) func(context.Context) ([]byte, error) {
		return func(context.Context) ([]byte, error) { return []byte(words), err }
	}
	c, err := Capture(t.Context(), root, "volatile", Options{Proc: proc, Told: []Told{
		{"containers/gw-0123/inspect.json", tell(`{"Id":1}`, nil)},
		{"containers/gw-0123/log", tell("the end", errors.New("cut at 7 bytes"))},
	}}, m)
	must(t, err)
	if f := m.files["volatile/containers/gw-0123/inspect.json"]; f.Verdict != Stable || m.content[f.Path] != `{"Id":1}` {
		t.Errorf("%+v", f)
	}
	if f := m.files["volatile/containers/gw-0123/log"]; f.Verdict != Failed || m.content[f.Path] != "the end" || !strings.Contains(f.Problem, "cut at 7 bytes") {
		t.Errorf("%+v", f)
	}
	if len(c.Problems) != 1 {
		t.Errorf("%q", c.Problems)
	}
}

func TestOtherNetworkNamespace(t *testing.T) {
	files := map[string]string{"uptime": "1 1", "modules": "", "version": "v", "sys/kernel/random/boot_id": "b"}
	for _, pid := range []string{"7", "8", "9"} {
		for _, name := range processFiles {
			files[pid+"/"+name] = name
		}
		files[pid+"/net/tcp"] = "sockets as " + pid + " sees them"
		files[pid+"/fd/x"], files[pid+"/ns/x"] = "", ""
	}
	dir, proc := tree(t, files)
	must(t, os.Symlink("7", filepath.Join(dir, "self")))
	for pid, ns := range map[string]string{"7": "net:[1]", "8": "net:[2]", "9": "net:[2]"} {
		must(t, os.Symlink(ns, filepath.Join(dir, pid, "ns/net")))
	}
	m := newMemory(t)
	_, err := Capture(t.Context(), proc, "volatile", Options{Proc: proc, Processes: []int{7, 8, 9}}, m)
	must(t, err)
	for name, want := range map[string]string{
		"volatile/net/tcp": "sockets as 7 sees them", "volatile/processes/8/net/tcp": "sockets as 8 sees them",
		"volatile/processes/7/net/tcp": "", "volatile/processes/9/net/tcp": "",
	} {
		if got := m.content[name]; got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestVolatileLimits(t *testing.T) {
	files := map[string]string{"self/ns/net": "", "7/fd/x": ""}
	for _, name := range processFiles {
		files["7/"+name] = strings.Repeat("x", 100)
	}
	_, proc := tree(t, files)
	m := newMemory(t)
	_, err := Capture(t.Context(), proc, "volatile", Options{Proc: proc, Processes: []int{7}, MaxFileBytes: 100 - 1}, m)
	must(t, err)
	if f := m.files["volatile/processes/7/maps"]; f.Verdict != Listed || f.Problem == "" {
		t.Errorf("%+v", f)
	}
}

// TestProcessesThatHang has more processes that keep the kernel from reading them than a file
// system may leave readings unanswered: the others, and the rest of the machine, are still taken.
func TestProcessesThatHang(t *testing.T) {
	files := map[string]string{"uptime": "1 1", "modules": "", "version": "v", "sys/kernel/random/boot_id": "b"}
	var pids []int
	for pid := range 13 {
		pids = append(pids, pid+1)
		for _, name := range processFiles {
			files[fmt.Sprintf("%d/%s", pid+1, name)] = name
		}
		files[fmt.Sprintf("%d/fd/x", pid+1)] = ""
	}
	dir, proc := tree(t, files)
	must(t, os.Symlink("13", filepath.Join(dir, "self")))
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		m := newMemory(t)
		c, err := Capture(t.Context(), proc, "volatile", Options{Proc: proc, Processes: pids, at: func(point, path string) {
			dir := filepath.Dir(path)
			if point == "brief" && path != "13" || point == "look" && strings.HasPrefix(dir, "volatile/processes/") && dir != "volatile/processes/13" {
				<-release
			}
		}}, m)
		must(t, err)
		for _, name := range append([]string{"links"}, processFiles...) {
			if f := m.files["volatile/processes/13/"+name]; name != "links" && f.Verdict != Stable || f.Verdict == Timeout {
				t.Errorf("%+v", f)
			}
		}
		if f := m.files["volatile/processes/3/stat"]; f.Verdict != Timeout {
			t.Errorf("%+v", f)
		}
		if f := m.files["volatile/processes/3/maps"]; f.Verdict != Listed || !strings.Contains(f.Problem, "gave up") {
			t.Errorf("%+v", f)
		}
		if table := m.content["volatile/processes/table"]; !strings.Contains(table, `"stat" "cmdline"`) || !strings.Contains(table, "\"12\": "+errStuck.Error()) {
			t.Errorf("%s", table)
		}
		if m.content["volatile/version"] != "v" || c.Took > 2*time.Minute {
			t.Errorf("%+v", c)
		}
		close(release)
	})
}

// TestProcessEndsWhileItIsRead has one that is gone when its file is open: that is no failure.
func TestProcessEndsWhileItIsRead(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	must(t, err)
	run := exec.Command(sleep, "1000")
	must(t, run.Start())
	status := fmt.Sprintf("volatile/processes/%d/status", run.Process.Pid)
	m, c := captureHeld(t, Options{at: func(point, path string) {
		if point == "open" && path == status {
			_ = run.Process.Kill()
			_ = run.Wait()
		}
	}}, run.Process.Pid)
	if f := m.files[status]; f.Verdict != Vanished || !strings.Contains(f.Problem, "its process ended") {
		t.Errorf("%+v", f)
	}
	if f := m.files[strings.Replace(status, "status", "maps", 1)]; f.Verdict != Vanished {
		t.Errorf("%+v", f)
	}
	for _, p := range c.Problems {
		if strings.Contains(p, "status") || strings.Contains(p, "maps") {
			t.Errorf("%s", p)
		}
	}
}
