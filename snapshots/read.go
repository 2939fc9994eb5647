package snapshots

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

const chunkSize = 256 << 10

// maxTail bounds what is read of a file beyond the size that it had when it was opened.
const maxTail = 64 << 20

// stage says what a message from a reading tells.
type stage int

const (
	ended    stage = iota // the file is done, with all that is known of it
	opened                // the file is open, its content follows
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
	root  *os.Root
	trail *trail
	path  string // below root, without links
	file  File   // with Path and Source; after the start the goroutine's own
	limit int64  // bytes
	held  bool   // path leads to what a process holds open
	live  bool   // the kernel makes the content while it is read: its size says 0
	got   int64  // bytes of content sent
	at    func(point, path string)
	pool  buffers
	out   chan message
	quit  chan struct{} // closed by the owner when it listens no more
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
		if st.Size > r.limit {
			r.send(message{stage: tooLarge, file: r.file})
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
	if before.Size > r.limit {
		r.send(message{stage: tooLarge, file: r.file})
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
	r.end(r.judge(dir, fd, name, seen, before, verdict))
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
	tail, err := r.copy(fd, min(maxTail, r.limit-size))
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
	var done int64
	for done < n {
		buf := r.pool.get()
		r.hook("chunk")
		got, err := readFrom(fd, buf[:min(int64(chunkSize), n-done)])
		if got <= 0 || err != nil {
			r.pool.put(buf)
			return done, err
		}
		done += int64(got)
		r.got += int64(got)
		if !r.send(message{stage: content, data: buf[:got]}) {
			return done, errUnheard
		}
	}
	return done, nil
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
	case err == nil:
		r.file.note("its name has led to more than one file meanwhile: this is the one that was opened")
		moved = Replaced
	case errors.Is(err, fs.ErrNotExist):
		r.file.note("its name was removed while it was read")
		moved = Vanished
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

// fail ends the file with an error of the host's file system.
func (r *reading) fail(what string, err error) {
	if errors.Is(err, fs.ErrNotExist) {
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
