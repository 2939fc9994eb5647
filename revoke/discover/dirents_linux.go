package discover

import (
	"bytes"
	"encoding/binary"
	"io"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// directory reads a directory on with the types that stand in it. What opened it below an os.Root would
// ask for each entry instead, which is slow, and ends at the first one that hangs.
type directory struct {
	fd  int
	buf []byte
	now []byte // what of buf is not handed out yet
}

func directoryOf(f *os.File) *directory { return &directory{fd: int(f.Fd())} }

// next returns at most n entries, and io.EOF behind the last one.
func (e *directory) next(n int) (out []fs.DirEntry, err error) {
	if e.buf == nil {
		e.buf = make([]byte, 64<<10)
	}
	for len(out) < n {
		if len(e.now) == 0 {
			var got int
			if got, err = unix.Getdents(e.fd, e.buf); err == unix.EINTR {
				continue
			}
			if err != nil || got <= 0 {
				break
			}
			e.now = e.buf[:got]
		}
		d, ok := e.take()
		if !ok {
			e.now = nil
		} else if d.name != "." && d.name != ".." {
			out = append(out, d)
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	if err != nil {
		return nil, os.NewSyscallError("getdents64", err)
	}
	return nil, io.EOF
}

// take cuts one entry off, as the kernel writes it: struct linux_dirent64 of getdents(2).
func (e *directory) take() (d dirent, ok bool) {
	const size, kind, name = 16, 18, 19
	if len(e.now) <= name {
		return d, false
	}
	length := int(binary.NativeEndian.Uint16(e.now[size:]))
	if length <= name || length > len(e.now) {
		return d, false
	}
	record := e.now[:length]
	e.now = e.now[length:]
	text := record[name:]
	if end := bytes.IndexByte(text, 0); end >= 0 {
		text = text[:end]
	}
	d = dirent{e.fd, string(text), 0}
	if i := slices.IndexFunc(kinds, func(k kindOf) bool { return k.dt == record[kind] }); i >= 0 {
		d.kind = kinds[i].mode
	} else {
		d.kind = d.ask() // some file systems do not say
	}
	return d, true
}

type kindOf struct {
	dt   byte
	st   uint32
	mode fs.FileMode
}

var kinds = []kindOf{
	{unix.DT_REG, unix.S_IFREG, 0}, {unix.DT_DIR, unix.S_IFDIR, fs.ModeDir}, {unix.DT_LNK, unix.S_IFLNK, fs.ModeSymlink},
	{unix.DT_FIFO, unix.S_IFIFO, fs.ModeNamedPipe}, {unix.DT_SOCK, unix.S_IFSOCK, fs.ModeSocket},
	{unix.DT_CHR, unix.S_IFCHR, fs.ModeDevice | fs.ModeCharDevice}, {unix.DT_BLK, unix.S_IFBLK, fs.ModeDevice},
}

// dirent is the name and the type of one entry.
type dirent struct {
	dir  int
	name string
	kind fs.FileMode
}

func (d dirent) Name() string      { return d.name }
func (d dirent) IsDir() bool       { return d.kind.IsDir() }
func (d dirent) Type() fs.FileMode { return d.kind }

// Info is not to be had: nobody asks for more than a type.
func (d dirent) Info() (fs.FileInfo, error) { return nil, fs.ErrInvalid }

func (d dirent) ask() fs.FileMode {
	var st unix.Stat_t
	if err := unix.Fstatat(d.dir, d.name, &st, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT); err != nil {
		return fs.ModeIrregular
	}
	i := slices.IndexFunc(kinds, func(k kindOf) bool { return k.st == st.Mode&unix.S_IFMT })
	if i < 0 {
		return fs.ModeIrregular
	}
	return kinds[i].mode
}
