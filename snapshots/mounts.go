package snapshots

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxStuck     = 8        // readings that one file system may leave unanswered before it is given up
	maxSilences  = 2        // readings that one process may, whose memory the kernel cannot get at
	inProcess    = 1 << 63  // with the number of a process, in place of a device
	noFileSystem = 1 << 62  // in place of a device: another program is asked
	maxMountLine = 64 << 10 // bytes of a line of mountinfo
)

// leftAloneError is a file system that is not entered, or not any more.
type leftAloneError struct{ why string }

func (e leftAloneError) Error() string { return e.why }

// networked are the types of file systems whose answers come, or do not, from another machine.
var networked = map[string]bool{
	"9p": true, "afs": true, "beegfs": true, "ceph": true, "cifs": true, "coda": true, "gfs2": true, "glusterfs": true, "gpfs": true,
	"lustre": true, "ncpfs": true, "nfs": true, "nfs4": true, "ocfs2": true, "orangefs": true, "pvfs2": true, "smb3": true, "smbfs": true,
}

// leftAlone says why a file system of this type is not entered, "" where it is. Whoever serves it
// decides what is read, when an answer comes and whether one does: on FUSE, any account can.
func leftAlone(fsType string) string {
	switch {
	case fsType == "fuse", fsType == "fuseblk", strings.HasPrefix(fsType, "fuse."):
		return "on a FUSE file system: not entered"
	case networked[fsType]:
		return "on a network file system (" + fsType + "): not entered: preserve it where it is served"
	case fsType == "autofs":
		return "where a file system would be mounted: not entered"
	}
	return ""
}

// fileSystems is what a capture knows of those below its root. The root's own is entered whatever
// it is. It is used by several goroutines.
type fileSystems struct {
	mu      sync.Mutex
	top     uint64            // device of the root
	mounted func() bool       // whether something was mounted or unmounted since it was last asked
	alone   map[uint64]string // those that are not entered: why, by device
	stuck   map[uint64]int    // readings left behind, by device
}

// refused returns a leftAloneError for a file system that is not to be asked.
func (f *fileSystems) refused(device uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch n := f.stuck[device]; {
	case device&inProcess != 0 && n >= maxSilences:
		return leftAloneError{fmt.Sprintf("what the kernel tells of this process did not come %d times: the capture gave up on it", n)}
	case device&inProcess == 0 && n >= maxStuck:
		return leftAloneError{fmt.Sprintf("its file system did not answer %d times: the capture gave up on it", n)}
	}
	if device == f.top {
		return nil
	}
	if f.mounted != nil && f.mounted() {
		// Devices are numbered anew: what a number meant may be another file system by now.
		if alone, err := readMounts(); err == nil {
			f.alone = alone
		}
	}
	if why := f.alone[device]; why != "" {
		return leftAloneError{why}
	}
	return nil
}

// left counts a reading that was left behind.
func (f *fileSystems) left(device uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stuck[device]++
	if device&inProcess != 0 {
		f.stuck[inProcess]++
	}
}

// patience is how long a file system may keep us waiting: half as long after each time that it did
// not answer, so that no number of them uses up the time of the others.
func (f *fileSystems) patience(device uint64, most time.Duration) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if device&inProcess != 0 {
		device = inProcess
	}
	return most >> min(f.stuck[device], 3)
}

// trail is the way of one goroutine into the file systems. Its owner sees from it which of them
// does not answer.
type trail struct {
	systems *fileSystems
	at      atomic.Uint64 // device of the one that is asked now
	fixed   bool          // at stays: it is a process
}

func (f *fileSystems) trail() *trail {
	t := &trail{systems: f}
	t.at.Store(f.top)
	return t
}

// process is the trail to what /proc tells of a process: who makes it hang is that process, and not
// the file system on which it lies with all the others.
func (f *fileSystems) process(pid string) *trail {
	t := &trail{systems: f, fixed: true}
	n, _ := strconv.ParseUint(pid, 10, 32) // names that are no number share 0
	t.at.Store(inProcess | n)
	return t
}

// others is the trail to what other programs on the machine tell: no file system is at fault when they do not.
func (f *fileSystems) others() *trail {
	t := &trail{systems: f, fixed: true}
	t.at.Store(noFileSystem)
	return t
}

// step looks on which file system an open descriptor lies, without asking that, and returns a
// leftAloneError where it is not to be asked.
func (t *trail) step(fd int) error {
	if t.fixed {
		return nil
	}
	device, err := deviceOf(fd)
	if err != nil {
		return err
	}
	if device == t.at.Load() {
		return nil
	}
	if err := t.systems.refused(device); err != nil {
		return err
	}
	t.at.Store(device)
	return nil
}

// enter opens the folder at dir, a path without links, below root, for looking up names in it.
// Every part is opened in its parent and none may be a link: os.Root would follow links that stay
// inside, which below "/" is everywhere.
func (t *trail) enter(root *os.Root, dir string) (int, error) {
	if err := t.systems.refused(t.at.Load()); err != nil {
		return -1, err
	}
	top, err := root.OpenFile(".", openFlags|unix.O_DIRECTORY, 0)
	if err != nil {
		return -1, err
	}
	defer top.Close()
	at, err := openIn(int(top.Fd()), ".", pathFlags)
	if err != nil {
		return -1, err
	}
	if device, err := deviceOf(at); err == nil && !t.fixed {
		t.at.Store(device) // of /proc, it may be
	}
	for part := range strings.SplitSeq(path.Clean(dir), "/") {
		next, err := openIn(at, part, pathFlags)
		_ = unix.Close(at) // opened for looking only
		if err != nil {
			return -1, err
		}
		at = next
		if err := t.step(at); err != nil {
			_ = unix.Close(at)
			return -1, err
		}
	}
	return at, nil
}

// localRoot is a root without the file systems that are left alone.
type localRoot struct {
	root  *os.Root
	trail *trail
}

func (l localRoot) Name() string { return l.root.Name() }

func (l localRoot) Lstat(name string) (fs.FileInfo, error) {
	if err := l.reach(name); err != nil {
		return nil, &fs.PathError{Op: "look at", Path: name, Err: err}
	}
	return l.root.Lstat(name)
}

func (l localRoot) Readlink(name string) (string, error) {
	if err := l.reach(name); err != nil {
		return "", &fs.PathError{Op: "read link", Path: name, Err: err}
	}
	return l.root.Readlink(name)
}

func (l localRoot) OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	if err := l.reach(name); err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return l.root.OpenFile(name, flag, perm)
}

// reach returns a leftAloneError for a name on a file system that is left alone, and nothing of
// what else may be wrong with it: that the root tells.
func (l localRoot) reach(name string) error {
	t := l.trail.systems.trail() // several may ask at once
	dir, err := t.enter(l.root, path.Dir(name))
	if err == nil {
		defer unix.Close(dir)
		_, err = t.lstat(dir, path.Base(name))
	}
	l.trail.at.Store(t.at.Load())
	if alone := (leftAloneError{}); errors.As(err, &alone) {
		return alone
	}
	return nil
}

// parseMounts reads a mountinfo, and returns the file systems that are not to be entered, by device.
func parseMounts(r io.Reader) (map[uint64]string, error) {
	alone := map[uint64]string{}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 4096), maxMountLine)
	for lines.Scan() {
		mount, super, _ := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(mount)
		fsType, _, _ := strings.Cut(super, " ")
		why := leftAlone(fsType)
		if len(fields) < 3 || why == "" {
			continue
		}
		major, minor, _ := strings.Cut(fields[2], ":")
		m, err1 := strconv.ParseUint(major, 10, 32)
		n, err2 := strconv.ParseUint(minor, 10, 32)
		if err1 != nil || err2 != nil {
			return alone, fmt.Errorf("a mount of device %q", fields[2])
		}
		alone[unix.Mkdev(uint32(m), uint32(n))] = why
	}
	return alone, lines.Err()
}
