package snapshots

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// How files are opened on a host whose owner may be hostile: no link is followed, no FIFO waited
// for, no terminal acquired.
const openFlags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC

// What is read of one file's extended attributes.
const (
	maxXattrs    = 64
	maxXattrSize = 16 << 10 // all values together
)

// openIn opens one name in an open folder.
func openIn(dir int, name string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// openFile opens a regular file in an open folder for reading.
func openFile(dir int, name string) (int, error) { return openQuietly(dir, name, openFlags) }

// openFollowing opens what a link of /proc in an open folder leads to.
func openFollowing(dir int, name string) (int, error) {
	return openQuietly(dir, name, openFlags&^unix.O_NOFOLLOW)
}

func openQuietly(dir int, name string, flags int) (int, error) {
	fd, err := openIn(dir, name, flags|noAtime)
	if err == unix.EPERM { // only its owner and root may leave the access time alone
		return openIn(dir, name, flags)
	}
	return fd, err
}

func linkIn(dir int, name string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dir, name, buf)
	return string(buf[:max(n, 0)]), err
}

func readFrom(fd int, buf []byte) (int, error) {
	for {
		n, err := unix.Read(fd, buf)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// names lists the folder at dir, a path without links, and says whether there are more than
// limit names in it.
func (t *trail) names(root *os.Root, dir string, limit int) (names []string, more bool, err error) {
	at, err := t.enter(root, dir)
	if err != nil {
		return nil, false, err
	}
	defer unix.Close(at)
	fd, err := openIn(at, ".", openFlags|unix.O_DIRECTORY)
	if err != nil {
		return nil, false, err
	}
	f := os.NewFile(uintptr(fd), dir)
	defer f.Close()
	names, err = f.Readdirnames(limit + 1)
	if err != nil && err != io.EOF {
		return names, false, err
	}
	if len(names) > limit {
		return names[:limit], true, nil
	}
	return names, false, nil
}

func readAt(fd int, buf []byte, offset int64) (int, error) {
	for {
		n, err := unix.Pread(fd, buf, offset)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

func isType(st unix.Stat_t, typ uint32) bool { return uint32(st.Mode)&unix.S_IFMT == typ }

func sameFile(a, b unix.Stat_t) bool { return a.Dev == b.Dev && a.Ino == b.Ino }

// describe takes over what stat says of the file.
func (f *File) describe(st unix.Stat_t) {
	f.Mode = uint32(st.Mode)
	f.UID, f.GID = int(st.Uid), int(st.Gid)
	f.Device, f.Inode, f.Links = uint64(st.Dev), uint64(st.Ino), uint64(st.Nlink)
	f.Size = st.Size
	f.Modified = f.when("modified", st.Mtim)
	f.Changed = f.when("changed", st.Ctim)
}

// when converts a time of the file. Anyone may set a time that JSON cannot hold.
func (f *File) when(what string, ts unix.Timespec) time.Time {
	t := time.Unix(ts.Unix()).UTC()
	if y := t.Year(); y < 0 || y > 9999 {
		f.note(fmt.Sprintf("its %s time is out of range: %d seconds since 1970", what, int64(ts.Sec)))
		return time.Time{}
	}
	return t
}

// note adds to what is wrong with the file.
func (f *File) note(problem string) {
	if f.Problem != "" {
		f.Problem += "; "
	}
	f.Problem += problem
}

// readXattrs takes over the extended attributes of an open file. A file system without them is
// no problem.
func (f *File) readXattrs(fd int) {
	n, err := unix.Flistxattr(fd, nil)
	if n == 0 && err == nil {
		return
	}
	list := make([]byte, max(n, 0))
	if err == nil {
		n, err = unix.Flistxattr(fd, list)
	}
	if err != nil {
		if !errors.Is(err, unix.ENOTSUP) && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM) {
			f.note("its extended attributes could not be listed: " + err.Error())
		}
		return
	}
	room := maxXattrSize
	for name := range strings.SplitSeq(strings.TrimRight(string(list[:n]), "\x00"), "\x00") {
		if name == "" {
			continue
		}
		value := make([]byte, room)
		size, err := unix.Fgetxattr(fd, name, value)
		if errors.Is(err, unix.ERANGE) || len(f.Xattrs) == maxXattrs {
			f.note("it has more extended attributes than are taken")
			return
		}
		if err != nil {
			continue // gone meanwhile
		}
		if f.Xattrs == nil {
			f.Xattrs = map[string]string{}
		}
		if !utf8.ValidString(name) {
			name = strconv.Quote(name)
		}
		f.Xattrs[name] = base64.StdEncoding.EncodeToString(value[:size])
		room -= size
	}
}

// typeName says what a file is that is not a regular one.
func typeName(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return "a folder"
	case unix.S_IFLNK:
		return "a link"
	case unix.S_IFIFO:
		return "a FIFO"
	case unix.S_IFSOCK:
		return "a socket"
	case unix.S_IFCHR, unix.S_IFBLK:
		return "a device"
	}
	return "a special file"
}
