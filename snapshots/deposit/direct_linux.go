package deposit

import (
	"context"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// renameNew gives a file its name, unless something has it.
func renameNew(folder *os.File, from, to string) error {
	fd := int(folder.Fd())
	err := unix.Renameat2(fd, from, fd, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // NFS and others do not know the flag
		return linkNew(fd, from, to)
	}
	return err
}

// readDirect reads a file past the page cache. Not every file system can.
func readDirect(ctx context.Context, folder *os.File, name string) (string, int64, error) {
	in, err := openIn(folder, name, unix.O_RDONLY|unix.O_DIRECT, 0)
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = in.Close() }()
	block, err := unix.Mmap(-1, 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON) // aligned, as it has to be
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = unix.Munmap(block) }()
	sum := newSum()
	for n := int64(0); ; {
		if err := context.Cause(ctx); err != nil {
			return "", 0, err
		}
		got, err := unix.Read(int(in.Fd()), block)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return "", 0, err
		case got == 0:
			return sum.hex(), n, nil
		}
		sum.Write(block[:got])
		if n += int64(got); got%512 != 0 { // its end: no aligned read can follow
			return sum.hex(), n, atEnd(in, n)
		}
	}
}

// atEnd makes sure that a short read was the last.
func atEnd(in *os.File, n int64) error {
	info, err := in.Stat()
	if err == nil && info.Size() != n {
		err = errors.New("a short read in the middle")
	}
	return err
}

// forget drops what the page cache holds of a file that is flushed.
func forget(f *os.File) { _ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) }
