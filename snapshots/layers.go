package snapshots

import (
	"bufio"
	"context"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLayers bounds, in bytes, what is taken of the disks of the agent's containers.
const maxLayers = 4 << 30

// mountLine is one line of a mountinfo.
//
// Source: https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
type mountLine struct {
	device string // major:minor
	root   string // of the mount, in its file system
	at     string // in the namespace of the process
	fsType string
	upper  string // of an overlay: the folder that takes what is changed
}

func parseMountLine(line string) (m mountLine, ok bool) {
	mount, super, _ := strings.Cut(line, " - ")
	fields, of := strings.Fields(mount), strings.Fields(super)
	if len(fields) < 6 || len(of) < 3 {
		return m, false
	}
	m = mountLine{device: fields[2], root: unescape(fields[3]), at: unescape(fields[4]), fsType: of[0]}
	for option := range strings.SplitSeq(of[2], ",") {
		if upper, is := strings.CutPrefix(option, "upperdir="); is {
			m.upper = unescape(upper)
		}
	}
	return m, true
}

// unescape undoes the kernel's \040 for what would break its lines.
func unescape(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				out.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

func parseMountLines(info io.Reader) (all []mountLine) {
	lines := bufio.NewScanner(info)
	lines.Buffer(make([]byte, 4096), maxMountLine)
	for lines.Scan() {
		if m, ok := parseMountLine(lines.Text()); ok {
			all = append(all, m)
		}
	}
	return all
}

// layerTargets are the disks of the containers that the agent's processes run in: what was changed of
// their image, and their volumes. It is what docker commit would make an image of, and more, without a
// byte written to the suspect disk.
func (c *capture) layerTargets(ctx context.Context) (all []target) {
	if c.opts.Proc == nil {
		return nil
	}
	proc := c.opts.Proc
	self, err := awaitOn(ctx, c, c.systems.process("self"), func(*trail) (string, error) { return proc.Readlink("self") })
	if err != nil {
		return nil // not the machine's own /proc
	}
	ours, err := c.mountsOf(ctx, self)
	if err != nil {
		c.problem("proc/self/mountinfo", err.Error())
		return nil
	}
	bound := &purse{maxLayers, maxLayers}
	for _, pid := range c.opts.Processes {
		theirs, err := c.mountsOf(ctx, strconv.Itoa(pid))
		if err != nil {
			continue // it has ended, or is told of where its state is taken
		}
		for _, folder := range layers(ours, theirs) {
			t := target{base: path.Dir(folder), pattern: literal(path.Base(folder)), source: "container", purse: bound}
			if !slices.ContainsFunc(all, func(o target) bool { return o.base == t.base && o.pattern == t.pattern }) {
				all = append(all, t)
			}
		}
	}
	return all
}

func (c *capture) mountsOf(ctx context.Context, pid string) ([]mountLine, error) {
	return awaitOn(ctx, c, c.systems.process(pid), func(t *trail) ([]mountLine, error) {
		dir, err := t.enter(c.opts.Proc, pid)
		if err != nil {
			return nil, err
		}
		defer unix.Close(dir)
		fd, err := openFile(dir, "mountinfo")
		if err != nil {
			return nil, err
		}
		info := os.NewFile(uintptr(fd), "mountinfo")
		defer info.Close()
		return parseMountLines(io.LimitReader(info, maxMounts)), nil
	})
}

// maxMounts is how many bytes of one process's mounts are looked at.
const maxMounts = 1 << 20

// machines are the folders of a machine's own programs, and what its kernel makes up.
var machines = []string{"bin", "boot", "dev", "lib", "lib32", "lib64", "proc", "sbin", "sys", "usr"}

// layers returns the folders below our root that the disk of a container consists of, nothing for a
// process that has our own: its layer of changes, then what is mounted into it from our disks. Folders
// as large as a machine are not: /, /home.
func layers(ours, theirs []mountLine) (folders []string) {
	top := slices.IndexFunc(theirs, func(m mountLine) bool { return m.at == "/" })
	if top < 0 || slices.ContainsFunc(ours, func(m mountLine) bool {
		return m.at == "/" && m.device == theirs[top].device && m.root == theirs[top].root
	}) {
		return nil
	}
	take := func(folder string) {
		folder = strings.TrimPrefix(path.Clean("/"+folder), "/")
		first, _, deeper := strings.Cut(folder, "/")
		if deeper && !slices.Contains(machines, first) && !slices.Contains(folders, folder) {
			folders = append(folders, folder)
		}
	}
	upper := theirs[top].upper
	if upper != "" {
		take(upper)
	}
	for _, m := range theirs {
		// An engine that copies its images (vfs, btrfs, zfs) knows no layer of changes: the whole is taken.
		if leftAlone(m.fsType) != "" || m.at == "/" && upper != "" {
			continue
		}
		for _, o := range ours {
			if o.device == m.device && below(m.root, strings.TrimSuffix(o.root, "/")) {
				take(o.at + "/" + strings.TrimPrefix(m.root, o.root))
				break
			}
		}
	}
	return folders
}
