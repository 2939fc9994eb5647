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

func (t *trail) lstat(dir int, name string) (unix.Stat_t, error) { return lstatIn(dir, name) }
