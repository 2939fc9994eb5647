package snapshots

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// pathFlags open a name for looking at it: neither its file system nor an automounter is asked, and
// a link is opened itself.
const pathFlags = unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC

const mountInfo = "/proc/self/mountinfo"

// deviceOf is the device of an open file, as the kernel knows it without asking the file system.
func deviceOf(fd int) (uint64, error) {
	for {
		var st unix.Statx_t
		err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC|unix.AT_NO_AUTOMOUNT, 0, &st)
		switch {
		case err == nil:
			return unix.Mkdev(st.Dev_major, st.Dev_minor), nil
		case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM): // before Linux 4.11, and where it is filtered
			old, err := fstat(fd)
			return uint64(old.Dev), err
		case !errors.Is(err, unix.EINTR):
			return 0, err
		}
	}
}

// watchMounts returns a function that tells whether something was mounted or unmounted since it was
// last asked, and one that ends the watch.
func watchMounts() (mounted func() bool, end func(), err error) {
	// Not by os.Open: the runtime would poll it, and see the news before us.
	fd, err := openIn(unix.AT_FDCWD, mountInfo, unix.O_RDONLY|unix.O_CLOEXEC)
	if err != nil {
		return nil, nil, err
	}
	return func() bool {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLPRI}}
		n, err := unix.Poll(poll, 0)
		return err != nil || n > 0
	}, func() { _ = unix.Close(fd) }, nil
}

func readMounts() (map[uint64]string, error) {
	f, err := os.Open(mountInfo)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	alone, err := parseMounts(f)
	if err != nil {
		return alone, fmt.Errorf("%s: %w", mountInfo, err)
	}
	return alone, nil
}

// lstat describes a name in an open folder.
func (t *trail) lstat(dir int, name string) (st unix.Stat_t, err error) {
	fd, err := openIn(dir, name, pathFlags)
	if err != nil {
		return st, err
	}
	defer unix.Close(fd)
	if err := t.step(fd); err != nil {
		return st, err
	}
	return fstat(fd)
}
