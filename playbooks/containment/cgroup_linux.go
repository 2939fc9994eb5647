package containment

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// freezeWait bounds how long the kernel may take to stop a group; a process in an uninterruptible
// wait can hold it up.
const freezeWait = 2 * time.Second

// cgroup2 is the directory of a control group, version 2
// (https://docs.kernel.org/admin-guide/cgroup-v2.html#core-interface-files).
type cgroup2 string

func (g cgroup2) file(name string) string { return filepath.Join(string(g), name) }

func (g cgroup2) Freeze(ctx context.Context, on bool) error {
	value := "0"
	if on {
		value = "1"
	}
	if err := os.WriteFile(g.file("cgroup.freeze"), []byte(value), 0); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, freezeWait)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if frozen, err := g.Frozen(); err != nil || frozen == on {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not say frozen %s: %w", g.file("cgroup.events"), value, ctx.Err())
		case <-tick.C:
		}
	}
}

func (g cgroup2) Frozen() (bool, error) {
	data, err := readBounded(g.file("cgroup.events"), 1<<16)
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(string(data)) {
		if field := strings.Fields(line); len(field) == 2 && field[0] == "frozen" {
			return field[1] == "1", nil
		}
	}
	return false, fmt.Errorf("%s has no line frozen", g.file("cgroup.events"))
}

func (g cgroup2) Kill() error {
	err := os.WriteFile(g.file("cgroup.kill"), []byte("1"), 0)
	if os.IsNotExist(err) || errors.Is(err, syscall.ENODEV) {
		return nil // emptied and removed meanwhile, or Linux before 5.14: the manager's kill did it
	}
	return err
}

// cgroupMount finds where cgroup v2 is mounted with its root, from mountinfo; "" where it is not.
func cgroupMount(mountinfo string) string {
	for line := range strings.Lines(mountinfo) {
		before, after, ok := strings.Cut(line, " - ")
		field := strings.Fields(before)
		if ok && len(field) > 4 && field[3] == "/" && strings.HasPrefix(after, "cgroup2 ") {
			return field[4]
		}
	}
	return ""
}

// unifiedPath is a process's group from /proc/PID/cgroup: that of cgroup v2 or, where only version 1
// is in use, that of systemd's own hierarchy.
func unifiedPath(data string) string {
	path := "/"
	for line := range strings.Lines(data) {
		line = strings.TrimSuffix(line, "\n")
		if v2, ok := strings.CutPrefix(line, "0::"); ok && v2 != "/" {
			return v2
		}
		if _, v1, ok := strings.Cut(line, ":name=systemd:"); ok {
			path = v1
		}
	}
	return path
}

// freezerMount finds where the freezer of cgroup v1 is mounted, from mountinfo; "" where it is not.
// Container engines pause by it on hosts that are not all of version 2:
// https://docs.kernel.org/admin-guide/cgroup-v1/freezer-subsystem.html
func freezerMount(mountinfo string) string {
	for line := range strings.Lines(mountinfo) {
		before, after, ok := strings.Cut(line, " - ")
		field, kind := strings.Fields(before), strings.Fields(after)
		if ok && len(field) > 4 && field[3] == "/" && len(kind) == 3 && kind[0] == "cgroup" && slices.Contains(strings.Split(kind[2], ","), "freezer") {
			return field[4]
		}
	}
	return ""
}

// freezerPath is a process's group of that freezer, from /proc/PID/cgroup; "" without one.
func freezerPath(data string) string {
	for line := range strings.Lines(data) {
		field := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(field) == 3 && slices.Contains(strings.Split(field[1], ","), "freezer") {
			return field[2]
		}
	}
	return ""
}

// halted reports whether that group stands still.
func (m *machine) halted(group string) bool {
	if m.halts == "" || group == "" || group == "/" || slices.Contains(strings.Split(group, "/"), "..") {
		return false
	}
	state, err := readBounded(filepath.Join(m.halts, group, "freezer.state"), 64)
	return err == nil && string(state) == "FROZEN\n"
}
