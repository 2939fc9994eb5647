//go:build !linux

package snapshots

import "golang.org/x/sys/unix"

const pathFlags = openFlags | unix.O_DIRECTORY

func deviceOf(fd int) (uint64, error) {
	st, err := fstat(fd)
	return uint64(st.Dev), err
}

func watchMounts() (mounted func() bool, end func(), err error) {
	return func() bool { return false }, func() {}, nil
}

func readMounts() (map[uint64]string, error) { return nil, nil }

func (t *trail) lstat(dir int, name string) (st unix.Stat_t, err error) {
	for {
		err = unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW)
		if err != unix.EINTR {
			return st, err
		}
	}
}
