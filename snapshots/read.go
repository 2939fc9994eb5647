package snapshots

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

const chunkSize = 256 << 10

// maxTail bounds what is read of a file beyond the size that it had when it was opened.
const maxTail = 64 << 20

// maxRotated bounds the names under which a file is looked for that was renamed.
const maxRotated = 1000

// stage says what a message from a reading tells.
type stage int

const (
	ended    stage = iota // the file is done, with all that is known of it
	opened                // the file is open, its content follows
	hole                  // the next so many bytes of its content are zeros that take no place
	content               // the next piece of its content
	folder                // it is a folder: nothing was read
	tooLarge              // it is longer than the limit: nothing was read
	alone                 // it lies where nothing is read: why
	nothing               // it is not what was looked for
)

type message struct {
	stage stage
	file  File
	data  []byte
	why   string
	size  int64 // of a hole, or of the content that takes place
	holes int64 // bytes
}

// buffers are those that nobody uses. A reading that is left behind keeps its own.
type buffers chan []byte

func (b buffers) get() []byte {
	select {
	case buf := <-b:
		return buf
	default:
		return make([]byte, chunkSize)
	}
}

func (b buffers) put(buf []byte) {
	select {
	case b <- buf[:chunkSize]:
	default:
	}
}

// reading looks at one path and reads it, in a goroutine of its own, which holds nothing but its
// own descriptors: a file system that does not answer keeps it, and its owner goes on without it.
type reading struct {
	root   *os.Root
	trail  *trail
	path   string // below root, without links
	file   File   // with Path and Source; after the start the goroutine's own
	most   int64  // bytes of the file
	limit  int64  // bytes of it that take place
	hollow int64  // bytes of it that do not
	set    *set   // that this is the last file of
	held   bool   // path leads to what a process holds open
	live   bool   // the kernel makes the content while it is read: its size says 0
	got    int64  // bytes of content sent, holes counted
	holes  []Hole // that come
	at     func(point, path string)
	pool   buffers
	out    chan message
	quit   chan struct{} // closed by the owner when it listens no more
}

func (r *reading) run() {
	dir, err := r.trail.enter(r.root, path.Dir(r.path))
	if err != nil {
		r.fail("open its folder", err)
		return
	}
	defer unix.Close(dir)
	if r.held {
		r.hold(dir, path.Base(r.path))
		return
	}
	r.look(dir, path.Base(r.path))
}

// look decides by lstat what is to be done with the name.
func (r *reading) look(dir int, name string) {
	st, err := r.trail.lstat(dir, name)
	if err != nil {
		r.fail("look at it", err)
		return
	}
	r.file.describe(st)
	switch {
	case isType(st, unix.S_IFDIR):
		r.send(message{stage: folder, file: r.file})
	case isType(st, unix.S_IFREG):
		if place := min(st.Size, 512*int64(st.Blocks)); st.Size > r.most || place > r.limit {
			r.send(message{stage: tooLarge, file: r.file, size: place})
			return
		}
		r.hook("look")
		r.open(dir, name, st)
	default:
		if isType(st, unix.S_IFLNK) {
			if r.file.Target, err = linkIn(dir, name); err != nil {
				r.file.note("read link: " + err.Error())
			}
		}
		r.end(Listed)
	}
}

// open opens what look found to be a regular file, and believes fstat alone from there on.
func (r *reading) open(dir int, name string, seen unix.Stat_t) {
	fd, err := openFile(dir, name)
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENXIO) { // a link, a socket or an absent device by now
		r.file.note("it was a regular file when it was listed, and another thing when it was to be opened: " + err.Error())
		r.end(Replaced)
		return
	}
	if err != nil {
		r.fail("open it", err)
		return
	}
	defer unix.Close(fd)
	before, err := fstat(fd)
	if err != nil {
		r.fail("look at it", err)
		return
	}
	r.file.describe(before)
	if !isType(before, unix.S_IFREG) {
		r.file.note("it was a regular file when it was listed, and " + typeName(r.file.Mode) + " when it was opened: nothing was read")
		r.end(Replaced)
		return
	}
	if !r.measure(fd, before) {
		return
	}
	if !r.live {
		r.file.readXattrs(fd)
	}
	if !r.send(message{stage: opened, file: r.file}) {
		return
	}
	r.hook("open")
	verdict := r.read(fd, before.Size)
	if r.live || verdict == "" { // nobody listens
		r.end(verdict)
		return
	}
	verdict = r.judge(dir, fd, name, seen, before, verdict)
	if r.set != nil && (verdict == Stable || verdict == Grew) {
		verdict = r.judgeSet(dir, verdict)
	}
	r.end(verdict)
}

// read sends the content: what was there at opening, then what was appended since.
func (r *reading) read(fd int, size int64) string {
	frozen := size
	if r.live {
		frozen = r.limit
	}
	n, err := r.copy(fd, frozen)
	switch {
	case errors.Is(err, errUnheard):
		return ""
	case r.live && errors.Is(err, unix.ESRCH):
		r.file.note("its process ended while it was read")
		return Vanished
	case err != nil:
		r.file.note("read: " + err.Error())
		return Failed
	case r.live && n == r.limit:
		r.file.note("cut off at the limit")
		return Failed
	case r.live:
		return Stable
	case n < size:
		r.file.note(fmt.Sprintf("%d bytes when it was opened, %d could be read", size, n))
		return Shrank
	}
	r.hook("read")
	tail, err := r.copy(fd, min(maxTail, r.most-size, r.limit-(size-holesOf(r.file.Holes))))
	switch {
	case errors.Is(err, errUnheard):
		return ""
	case err != nil:
		r.file.note("read what was appended: " + err.Error())
		return Failed
	case tail > 0:
		return Grew
	}
	return Stable
}

// errUnheard ends a reading whose owner has gone on.
var errUnheard = errors.New("abandoned")

// copy sends up to n bytes, and returns how many it found before the end of the file.
func (r *reading) copy(fd int, n int64) (int64, error) {
	from := r.got
	for end := from + n; r.got < end; {
		got, err := r.piece(fd, end)
		if got <= 0 || err != nil {
			return r.got - from, err
		}
	}
	return r.got - from, nil
}

// piece sends what comes next: a hole, or as much of the content as fits in a buffer.
func (r *reading) piece(fd int, end int64) (int64, error) {
	for len(r.holes) > 0 && r.got >= r.holes[0].Offset+r.holes[0].Bytes {
		r.holes = r.holes[1:]
	}
	if len(r.holes) > 0 {
		if r.got >= r.holes[0].Offset {
			return r.skip(fd, min(end, r.holes[0].Offset+r.holes[0].Bytes))
		}
		end = min(end, r.holes[0].Offset)
	}
	buf := r.pool.get()
	r.hook("chunk")
	part := buf[:min(int64(chunkSize), end-r.got)]
	var got int
	var err error
	if r.live {
		got, err = readFrom(fd, part)
	} else {
		got, err = readAt(fd, part, r.got)
	}
	if got <= 0 || err != nil {
		r.pool.put(buf)
		return 0, err
	}
	r.got += int64(got)
	if !r.send(message{stage: content, data: buf[:got]}) {
		return int64(got), errUnheard
	}
	return int64(got), nil
}

// skip sends a hole, as far as the file still goes.
func (r *reading) skip(fd int, end int64) (int64, error) {
	st, err := fstat(fd)
	if err != nil {
		return 0, err
	}
	n := min(end, st.Size, r.got+maxSkip) - r.got
	if n <= 0 {
		return 0, nil
	}
	r.got += n
	if !r.send(message{stage: hole, size: n}) {
		return n, errUnheard
	}
	return n, nil
}

// changed compares the file with what it was before the content was read.
func (r *reading) changed(fd int, before unix.Stat_t, verdict string) (after unix.Stat_t, _ string) {
	after, err := fstat(fd)
	if err != nil {
		r.file.note("look at it again: " + err.Error())
		return after, Failed
	}
	if after.Size > r.got && (verdict == Stable || verdict == Grew) {
		r.file.note(fmt.Sprintf("it still grows: %d bytes by now", after.Size))
		verdict = Grew
	}
	if verdict == Stable && after.Size < before.Size {
		r.file.note(fmt.Sprintf("cut to %d bytes after it was read", after.Size))
		verdict = Shrank
	}
	if verdict == Stable && (after.Mtim != before.Mtim || after.Ctim != before.Ctim) {
		verdict = Modified
	}
	return after, verdict
}

// judge compares the file and its name with what they were before the content was read.
func (r *reading) judge(dir, fd int, name string, seen, before unix.Stat_t, verdict string) string {
	after, verdict := r.changed(fd, before, verdict)
	if verdict == Failed {
		return verdict
	}
	named, err := r.trail.lstat(dir, name)
	moved := ""
	switch {
	case err == nil && sameFile(named, after) && sameFile(seen, before):
		return verdict
	case err == nil, errors.Is(err, fs.ErrNotExist):
		moved = r.moved(dir, name, after, err == nil)
	default:
		r.file.note("look at its name again: " + err.Error())
		moved = Replaced
	}
	if verdict == Shrank || verdict == Failed { // the worse news
		return verdict
	}
	if verdict == Grew {
		r.file.note("it grew while it was read")
	}
	return moved
}

// moved says what became of the name of a file that it does not lead to any more.
func (r *reading) moved(dir int, name string, file unix.Stat_t, taken bool) string {
	switch to := r.renamed(dir, name, file); {
	case to != "":
		r.file.note(fmt.Sprintf("it was renamed to %q while it was read", to))
		return Rotated
	case taken:
		r.file.note("its name has led to more than one file meanwhile: this is the one that was opened")
		return Replaced
	}
	r.file.note("its name was removed while it was read")
	return Vanished
}

// renamed looks for a file in its folder under names that a rotated log is given: "x.log.1",
// "x.log-20261123", "x.1.log".
func (r *reading) renamed(dir int, name string, file unix.Stat_t) string {
	fd, err := openIn(dir, ".", openFlags|unix.O_DIRECTORY)
	if err != nil {
		return ""
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	names, _ := f.Readdirnames(maxNames) // those that come suffice
	stem := strings.TrimSuffix(name, path.Ext(name))
	tries := 0
	for _, n := range names {
		if n == name || !strings.HasPrefix(n, stem) {
			continue
		}
		if tries++; tries > maxRotated {
			return ""
		}
		if st, err := r.trail.lstat(dir, n); err == nil && sameFile(st, file) {
			return n
		}
	}
	return ""
}

// fail ends the file with an error of the host's file system.
func (r *reading) fail(what string, err error) {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) { // or its process has ended
		r.end(Vanished)
		return
	}
	if left := (leftAloneError{}); errors.As(err, &left) {
		r.send(message{stage: alone, file: r.file, why: left.why})
		return
	}
	text := err.Error()
	if errors.Is(err, fs.ErrPermission) {
		text += ": run as root to read it"
	}
	r.file.note(what + ": " + text)
	r.end(Failed)
}

func (r *reading) end(verdict string) {
	r.file.Verdict = verdict
	r.send(message{stage: ended, file: r.file})
}

// send reports whether the owner still listens.
func (r *reading) send(m message) bool {
	select {
	case r.out <- m:
		return true
	case <-r.quit:
		return false
	}
}

func (r *reading) hook(point string) {
	if r.at != nil {
		r.at(point, r.file.Path)
	}
}

func fstat(fd int) (st unix.Stat_t, err error) {
	for {
		err = unix.Fstat(fd, &st)
		if err != unix.EINTR {
			return st, err
		}
	}
}
