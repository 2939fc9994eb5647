package witness

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"clawback/forensics/journal"
)

// Dir keeps a copy of the record on a mounted share: DIR/INCIDENT/journal.jsonl, each line durable
// before the next delivery, and each checkpoint as DIR/INCIDENT/checkpoint-SIZE. No symbolic link is
// followed below DIR. A share that hangs holds up nobody: what waits for it is left behind, once.
type Dir struct {
	path string
	busy chan struct{} // capacity 1: somebody uses the share
	copy *shareCopy    // as the newest use left it; nil when nobody knows
	hang func()        // of a test
}

// NewDir does not touch the share yet: it may hang.
func NewDir(path string) (*Dir, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("path %q does not begin with /", path)
	}
	return &Dir{path: filepath.Clean(path), busy: make(chan struct{}, 1)}, nil
}

// Kind is "dir".
func (*Dir) Kind() string { return "dir" }

// Send returns nil once the copy holds the delivery and the share says that it is durable.
func (d *Dir) Send(ctx context.Context, delivery Delivery) error {
	select {
	case d.busy <- struct{}{}:
	case <-ctx.Done():
		return errors.New("the share still hangs since an earlier attempt")
	}
	result := make(chan error, 1)
	go func() { // left behind when the share hangs; no second one begins before it ends
		err := d.keep(delivery)
		<-d.busy
		result <- err
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the share hangs: %w", context.Cause(ctx))
	}
}

// keep is one use of the share.
func (d *Dir) keep(delivery Delivery) (err error) {
	if d.hang != nil {
		d.hang()
	}
	if strings.ContainsAny(delivery.Incident, "/\x00") || strings.Trim(delivery.Incident, ".") == "" {
		return fmt.Errorf("%q cannot name a folder", delivery.Incident)
	}
	folder, err := openFolder(d.path, delivery.Incident)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	if len(delivery.Entries) > 0 {
		known := d.copy
		d.copy = nil // until this went well
		c, err := openCopy(folder, known)
		if err == nil {
			err = errors.Join(c.add(delivery), c.file.Close())
		}
		if err != nil {
			return err
		}
		d.copy = c
	}
	if delivery.Checkpoint != nil {
		return keepCheckpoint(folder, delivery)
	}
	return nil
}

// openFolder opens DIR/INCIDENT, and makes it when DIR is there: an empty mount point would take
// the copy and keep it on the wrong disk, so DIR itself is never made.
func openFolder(dir, incident string) (*os.File, error) {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	parent, err := unix.Open(dir, flags&^unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	share := os.NewFile(uintptr(parent), dir)
	defer func() { _ = share.Close() }()
	err = unix.Mkdirat(parent, incident, 0o700)
	if err == nil {
		err = share.Sync()
	}
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, &os.PathError{Op: "mkdir", Path: filepath.Join(dir, incident), Err: err}
	}
	fd, err := unix.Openat(parent, incident, flags, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: filepath.Join(dir, incident), Err: err}
	}
	return os.NewFile(uintptr(fd), filepath.Join(dir, incident)), nil
}

// openIn opens a regular file in a folder and follows no link.
func openIn(folder *os.File, name string, flags int) (*os.File, error) {
	path := filepath.Join(folder.Name(), name)
	fd, err := unix.Openat(int(folder.Fd()), name, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, f.Close(), fmt.Errorf("%s is not a regular file", path))
	}
	return f, nil
}

// shareCopy is the copy of the record on the share.
type shareCopy struct {
	file *os.File
	size int64         // of its whole lines
	last journal.Entry // of them
}

// openCopy opens the copy. known is what it was when it was last used by this process; else it is
// read whole, and a last line that is not whole is cut.
func openCopy(folder *os.File, known *shareCopy) (*shareCopy, error) {
	f, err := openIn(folder, journal.FileName, unix.O_RDWR|unix.O_CREAT|unix.O_APPEND)
	if err != nil {
		return nil, err
	}
	c := &shareCopy{file: f}
	info, err := f.Stat()
	if err == nil && known != nil && info.Size() == known.size {
		c.size, c.last = known.size, known.last
		return c, nil
	}
	if err == nil {
		err = c.read()
	}
	if err == nil && c.size < info.Size() {
		err = f.Truncate(c.size)
	}
	if err == nil && c.size == 0 {
		err = folder.Sync() // its name is new
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return c, nil
}

// read reads the copy up to its last whole line.
func (c *shareCopy) read() error {
	lines := bufio.NewReaderSize(c.file, 64<<10)
	for {
		line, err := readLine(lines)
		if errors.Is(err, io.EOF) {
			return nil // what is not whole is of a write that failed
		}
		var e journal.Entry
		if err == nil {
			e, err = journal.Parse(line)
		}
		if err == nil {
			err = journal.Check(c.last, e)
		}
		if err != nil {
			return fmt.Errorf("%s was changed after entry %d: %w", c.file.Name(), c.last.Seq, err)
		}
		c.last = e
		c.size += int64(len(line)) + 1
	}
}

func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case len(line) > journal.MaxLine:
			return nil, fmt.Errorf("a line has more than %d bytes", journal.MaxLine)
		}
	}
}

// add appends what the copy does not hold yet of a delivery, as a whole or not at all.
func (c *shareCopy) add(d Delivery) error {
	entries := d.Entries
	if c.last.Seq+1 < d.First {
		return &BehindError{c.last.Seq, fmt.Errorf("%s ends at entry %d, and held entry %d before: it was cut", c.file.Name(), c.last.Seq, d.First-1)}
	}
	if skip := c.last.Seq + 1 - d.First; skip > 0 {
		skip = min(skip, uint64(len(entries)))
		if newest := entries[skip-1]; newest.Seq == c.last.Seq && newest.Hash() != c.last.Hash() {
			return fmt.Errorf("%s holds another entry %d than the record does", c.file.Name(), newest.Seq)
		}
		entries = entries[skip:]
	}
	if len(entries) == 0 {
		return c.file.Sync()
	}
	if err := journal.Check(c.last, entries[0]); err != nil {
		return fmt.Errorf("%s holds another history than the record: %w", c.file.Name(), err)
	}
	var b bytes.Buffer
	for _, e := range entries {
		b.Write(e.Line())
		b.WriteByte('\n')
	}
	_, err := c.file.Write(b.Bytes())
	if err == nil {
		err = c.file.Sync()
	}
	if err != nil {
		return errors.Join(err, c.file.Truncate(c.size)) // no half line for whoever reads it meanwhile
	}
	c.size += int64(b.Len())
	c.last = entries[len(entries)-1]
	return nil
}

// keepCheckpoint writes a checkpoint once. One that was half written is completed; another one of
// the same size is left as it is, for it is the proof that there were two histories.
func keepCheckpoint(folder *os.File, d Delivery) error {
	name := fmt.Sprintf("checkpoint-%d", d.Size)
	f, err := openIn(folder, name, unix.O_RDWR|unix.O_CREAT)
	if err != nil {
		return err
	}
	there, err := io.ReadAll(io.LimitReader(f, int64(len(d.Checkpoint))+1))
	if err == nil && !bytes.HasPrefix(d.Checkpoint, there) {
		err = &LaterError{fmt.Errorf("%s is there already, and is another one: the record had two histories", f.Name()), time.Minute}
	} else if err == nil {
		_, err = f.WriteAt(d.Checkpoint, 0)
		if err == nil {
			err = f.Sync()
		}
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = folder.Sync()
	}
	return err
}
