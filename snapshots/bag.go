package snapshots

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"

	"filippo.io/age"

	"clawback/forensics/disk"
)

// Names in a bag (RFC 8493).
const (
	declarationName = "bagit.txt"
	infoName        = "bag-info.txt"
	manifestName    = "manifest-sha256.txt"
	indexName       = "index.jsonl"
	tagManifestName = "tagmanifest-sha256.txt"
	payload         = "data/"

	declaration   = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
	partialSuffix = ".partial"
	spillSuffix   = ".spill"
)

// What a bag takes of a host that floods it, where Info says nothing.
const (
	defaultBagBytes = 64 << 30
	defaultBagFiles = 1_000_000
	maxClaim        = 64 << 10 // bytes of one text of a File
	maxBagProblems  = 1000
)

var (
	// ErrEmpty is returned by Seal for a bag without one file: there is no evidence to seal.
	ErrEmpty = errors.New("no file was captured: there is nothing to seal")
	// ErrFlood is returned when a host sends more than the bag takes.
	ErrFlood = errors.New("the host sent more than the bag takes")
	errOrder = errors.New("files of a capture out of order")
)

// Info is what a bag says of itself.
type Info struct {
	Source   string // where the evidence comes from: "root@web-1", "/mnt/disk"
	Incident string // its id
	Tool     string // name and version of the program that writes the bag
	Time     time.Time
	Hold     string // why the evidence is under a legal hold; "" where it is not

	MaxBytes int64 // of content; 0: 64 GiB
	MaxFiles int   // listed ones counted; 0: 1,000,000

	// Recipients are those who can open it; none: anybody. With them nothing of the evidence is
	// written to the disk in the clear.
	Recipients []age.Recipient

	Disk disk.FS // that takes the bag; nil: this machine's

	frame int // bytes in one of the package; 0: frameSize
}

// Entry is one line of a bag's index: what the host claimed of a file, and what arrived.
type Entry struct {
	Stored  string `json:"stored,omitempty"` // its name in the bag, below "data/"; none for what was not opened
	Bytes   int64  `json:"bytes"`            // that arrived
	SHA256  string `json:"sha256,omitempty"` // of what arrived
	Problem string `json:"problem,omitempty"`
	File    File   `json:"file"` // the host's claim
}

// Suffixes of a package's name.
const (
	Suffix       = ".tar.zst"
	LockedSuffix = Suffix + ".age"
)

// Bag is a Sink that packs evidence: BagIt, with an index of what the host said of each file, in one
// file as it comes. It believes no name, size or hash. Its methods are for one goroutine.
//
// Everything is written to PATH.partial, which becomes PATH when it is sealed and not before.
type Bag struct {
	path     string
	top      string // the folder that all is below, once it is unpacked
	info     Info
	names    *names
	payload  tally
	entries  int
	open     *arrival
	pack     *packer  // nil once it is closed
	content  *waiting // of the open file
	index    tagFile
	manifest tagFile
	holes    int64 // bytes
	faults   []string
	err      error // the first failure to write: what comes after would have a gap
}

type tally struct {
	files int
	bytes int64
}

// arrival is the file that Begin started.
type arrival struct {
	file   File
	stored string
	sum    *digest
}

// tagFile is a tag file that grows line by line.
type tagFile struct {
	*waiting
	sum hash.Hash
}

func (t tagFile) line(text string) error {
	t.sum.Write([]byte(text))
	_, err := t.Write([]byte(text))
	return err
}

// NewBag starts a package that Seal will name name.tar.zst, or name.tar.zst.age where it is encrypted.
// It refuses, with fs.ErrExist, to touch what is there or left of an earlier try at PATH.partial. One
// that is not sealed is left by Close.
func NewBag(name string, info Info) (*Bag, error) {
	name = filepath.Clean(name)
	info.MaxBytes = cmp.Or(info.MaxBytes, defaultBagBytes)
	info.MaxFiles = cmp.Or(info.MaxFiles, defaultBagFiles)
	if info.Disk == nil {
		info.Disk = disk.OS{}
	}
	if info.Time.IsZero() {
		info.Time = time.Now()
	}
	b := &Bag{path: name + Suffix, top: storedPart(filepath.Base(name)) + "/", info: info, names: newNames()}
	if len(info.Recipients) > 0 {
		b.path = name + LockedSuffix
	}
	if err := b.start(); err != nil {
		_ = b.Close() // the first error is the one that matters
		return nil, b.about("start", err)
	}
	return b, nil
}

func (b *Bag) start() error {
	if err := b.free(); err != nil {
		return err
	}
	if err := disk.MkdirAll(b.info.Disk, filepath.Dir(b.path), 0o700); err != nil {
		return err
	}
	out, err := b.info.Disk.OpenFile(b.path+partialSuffix, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	spillAt := func() (*spill, error) { return newSpill(b.info.Disk, b.path+spillSuffix) }
	if b.pack, err = newPacker(out, b.info, spillAt); err != nil {
		return errors.Join(err, out.Close())
	}
	b.content = b.pack.waiting(maxWaiting)
	b.index = tagFile{b.pack.waiting(maxTagBytes), sha256.New()}
	b.manifest = tagFile{b.pack.waiting(maxTagBytes), sha256.New()}
	header, err := member{name: b.top, modified: b.info.Time}.header()
	if err != nil {
		return err
	}
	if err := b.pack.write(header); err != nil {
		return err
	}
	return b.addTag(declarationName, declaration)
}

// free reports whether nothing has the package's name.
func (b *Bag) free() error {
	if _, err := os.Lstat(b.path); !errors.Is(err, fs.ErrNotExist) {
		return cmp.Or(err, error(&fs.PathError{Op: "create", Path: b.path, Err: fs.ErrExist}))
	}
	return nil
}

// Begin starts a file. Its content is hashed while it is written.
func (b *Bag) Begin(f File) (io.Writer, error) {
	if err := b.admit(); err != nil {
		return nil, err
	}
	if b.open != nil {
		return nil, fmt.Errorf("%w: %q begins before %q has ended", errOrder, f.Path, b.open.file.Path)
	}
	b.open = &arrival{file: f, stored: b.names.place(f.Path), sum: newDigest(f.Size)}
	return (*arrivalWriter)(b), nil
}

// admit says whether one more entry may come.
func (b *Bag) admit() error {
	if b.err != nil {
		return b.err
	}
	if b.pack == nil {
		return fmt.Errorf("evidence %s: %w", b.path, os.ErrClosed)
	}
	if b.entries >= b.info.MaxFiles {
		return fmt.Errorf("evidence %s: %w: %d files", b.path, ErrFlood, b.info.MaxFiles)
	}
	return nil
}

// arrivalWriter takes the content of the open file.
type arrivalWriter Bag

func (w *arrivalWriter) Write(p []byte) (int, error) {
	b := (*Bag)(w)
	if b.err != nil {
		return 0, b.err
	}
	a := b.open
	if a == nil {
		return 0, fmt.Errorf("%w: content after its end", errOrder)
	}
	if b.payload.bytes+a.sum.size-b.holes+int64(len(p)) > b.info.MaxBytes {
		return 0, fmt.Errorf("evidence %s: %w: %d bytes", b.path, ErrFlood, b.info.MaxBytes)
	}
	n, err := a.sum.beside(b.content.Write, p)
	if err != nil {
		return n, b.fail("write", err)
	}
	return n, nil
}

// Hole leaves a hole, which reads as zeros and takes no place.
func (w *arrivalWriter) Hole(n int64) error {
	b := (*Bag)(w)
	if b.err != nil {
		return b.err
	}
	a := b.open
	if a == nil || n < 0 {
		return fmt.Errorf("%w: a hole of %d bytes", errOrder, n)
	}
	if n > b.info.MaxBytes-b.holes { // they take time
		return fmt.Errorf("evidence %s: %w: holes of %d bytes", b.path, ErrFlood, b.info.MaxBytes)
	}
	b.holes += n
	if err := b.content.hole(n); err != nil {
		return b.fail("write", err)
	}
	return WriteHole(a.sum, n)
}

// End closes the open file, or takes note of one that was not opened.
func (b *Bag) End(f File) error {
	a := b.open
	if a == nil {
		if err := b.admit(); err != nil {
			return err
		}
		e := Entry{File: f}
		if f.Bytes != 0 || f.SHA256 != "" {
			e.Problem = "the host claims content that it did not send"
		}
		return b.record(e)
	}
	if b.err != nil {
		return b.err
	}
	if f.Path != a.file.Path {
		return fmt.Errorf("%w: %q ends while %q is open", errOrder, f.Path, a.file.Path)
	}
	return b.store(a, f)
}

// store finishes the open file and compares what arrived with what the host says of it.
func (b *Bag) store(a *arrival, f File) error {
	b.open = nil
	name := payload + a.stored
	if err := b.content.end(memberOf(b.top+name, a.sum.size, f)); err != nil {
		return b.fail("write", err)
	}
	e := Entry{Stored: a.stored, Bytes: a.sum.size, SHA256: a.sum.String(), File: f}
	if f.Bytes != e.Bytes || f.SHA256 != e.SHA256 {
		e.Problem = fmt.Sprintf("what arrived is not what the host says it sent: %d bytes, SHA-256 %s arrived; %d bytes, SHA-256 %q claimed",
			e.Bytes, e.SHA256, f.Bytes, clip(f.SHA256, 64))
	}
	if e.Problem == "" && len(f.Segments) > 0 && !slices.Equal(f.Segments, a.sum.segments()) {
		e.Problem = "its parts are not what the host says they are"
	}
	b.payload.files++
	b.payload.bytes += a.sum.size
	if err := b.manifest.line(manifestLine(e.SHA256, name)); err != nil {
		return b.fail("write", err)
	}
	return b.record(e)
}

// record adds an entry to the index.
func (b *Bag) record(e Entry) error {
	b.entries++
	e.File.clip()
	if e.Problem != "" && len(b.faults) < maxBagProblems {
		b.faults = append(b.faults, fmt.Sprintf("%q: %s", clip(e.File.Path, 1000), e.Problem))
	}
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("describe %q: %w", e.File.Path, err)
	}
	if err := b.index.line(string(line) + "\n"); err != nil {
		return b.fail("write", err)
	}
	return nil
}

// clip bounds what a host may say of a file.
func (f *File) clip() {
	for _, s := range []*string{&f.Path, &f.Source, &f.Target, &f.SHA256, &f.Verdict, &f.Problem} {
		*s = clip(*s, maxClaim)
	}
	if len(f.Holes) > maxHoles || len(f.Segments) > 2 {
		f.Holes, f.Segments = nil, nil
		f.note("it was said to have more holes or parts than any file has")
	}
	for i := range f.Segments {
		f.Segments[i].SHA256 = clip(f.Segments[i].SHA256, digestSize)
	}
	size := 0
	for name, value := range f.Xattrs {
		size += len(name) + len(value)
	}
	if size > 4*maxClaim {
		f.Xattrs = nil
		f.note("its extended attributes were too large for the index")
	}
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + fmt.Sprintf("… (%d bytes)", len(s))
}

// fail keeps the first failure to write, and names the way out.
func (b *Bag) fail(what string, err error) error {
	if b.err == nil {
		b.err = b.about(what, err)
	}
	return b.err
}

func (b *Bag) about(what string, err error) error {
	way := ""
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		way = ": make room there, or capture into another folder"
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		way = ": choose a folder that you may write to"
	case errors.Is(err, fs.ErrExist):
		way = ": evidence is never overwritten: choose another name, or move it away"
	}
	return fmt.Errorf("%s evidence %s: %w%s", what, b.path, err, way)
}

// Close leaves the bag. If it was not sealed, what it holds stays in PATH.partial.
func (b *Bag) Close() error {
	b.open = nil
	if b.pack == nil {
		return nil
	}
	err := b.pack.close()
	b.pack = nil
	if err != nil {
		return b.about("close", err)
	}
	return nil
}

// Discard leaves a bag that is not worth sealing, and removes PATH.partial.
func (b *Bag) Discard() error {
	if err := errors.Join(b.Close(), b.info.Disk.Remove(b.path+partialSuffix)); err != nil {
		return b.about("discard", err)
	}
	return nil
}

// oneLine makes a value of bag-info.txt of a claim: a line end in it would begin another value.
func oneLine(s string) string {
	s = strings.ToValidUTF8(clip(s, 1000), "\uFFFD")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s))
}
