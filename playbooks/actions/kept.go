package actions

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"filippo.io/age"

	"clawback/forensics/agents/openclaw"
	"clawback/revoke/discover"
	"clawback/snapshots"
)

// What is kept of evidence for the desk to read it.
const (
	maxKeptBytes = 512 << 20 // of databases
	maxKeptSmall = 64 << 20  // of what they may refer to
	maxSmallFile = 1 << 20
	maxKeptFiles = 10_000
	keptPrefix   = "clawback-kept-"
)

// kept is what the desk reads of the evidence itself: the agent's databases, and what they may refer
// to or be referred to by. It is taken while the evidence comes by, as nobody at the desk may be able
// to open the package, and stands in a folder in memory, under the names of the host.
type kept struct {
	dir           string
	root          *os.Root
	files         int
	bytes, small  int64
	databases     []string
	torn          map[string]string // why a database may be
	installations []openclaw.Installation
}

// newKept makes the folder. It removes those of programs that died.
func newKept() (*kept, error) {
	place, err := memory()
	if err != nil {
		return nil, err
	}
	sweepKept(place)
	dir, err := os.MkdirTemp(place, keptPrefix+strconv.Itoa(os.Getpid())+"-")
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &kept{dir: dir, root: root, torn: map[string]string{}}, nil
}

func sweepKept(place string) {
	list, _ := filepath.Glob(filepath.Join(place, keptPrefix+"*"))
	for _, dir := range list {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), keptPrefix), "-")
		n, err := strconv.Atoi(pid)
		info, statErr := os.Lstat(dir)
		if err != nil || statErr != nil || n <= 1 || !errors.Is(syscall.Kill(n, 0), syscall.ESRCH) {
			continue
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && info.IsDir() && int(stat.Uid) == os.Getuid() {
			_ = os.RemoveAll(dir) // the next one tries again
		}
	}
}

// wipe ends it. It may be called more than once, and of none.
func (k *kept) wipe() error {
	if k == nil || k.root == nil {
		return nil
	}
	root := k.root
	k.root = nil
	return errors.Join(root.Close(), os.RemoveAll(k.dir))
}

// begin returns what takes the content of a captured file; nil for what is not kept.
func (k *kept) begin(f snapshots.File) *keptFile {
	name := f.Path
	if k.files >= maxKeptFiles || path.Clean(name) != name || !filepath.IsLocal(name) || strings.ContainsRune(name, 0) {
		return nil
	}
	budget, most, limit := &k.bytes, int64(maxKeptBytes), int64(maxKeptBytes)
	if databaseOf(name) == "" && databaseOf(strings.TrimSuffix(name, "-shm")) == "" {
		if budget, most, limit = &k.small, maxKeptSmall, maxSmallFile; f.Size > limit {
			return nil
		}
	}
	w := &keptFile{k: k, name: name, budget: budget, most: most, limit: limit}
	w.err = k.root.MkdirAll(path.Dir(name), 0o700)
	if w.err == nil {
		w.out, w.err = k.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	}
	k.files++
	return w
}

// end takes note of a captured file, kept or not.
func (k *kept) end(f snapshots.File, w *keptFile) {
	err := w.close(f)
	main := databaseOf(f.Path)
	if main == "" {
		return
	}
	switch {
	case err != nil:
		k.torn[main] = fmt.Sprintf("%s was not kept for the desk: %v", path.Base(f.Path), err)
	case f.Verdict != snapshots.Stable || w == nil:
		k.torn[main] = fmt.Sprintf("%s was captured as %q: what was read may be torn", path.Base(f.Path), f.Verdict)
	}
	if w == nil || err != nil || main != f.Path {
		return
	}
	k.databases = append(k.databases, main)
	state, _ := discover.DatabaseFile(main)
	if !slices.ContainsFunc(k.installations, func(in openclaw.Installation) bool { return in.StateDir == state }) {
		k.installations = append(k.installations, openclaw.Installation{StateDir: state, Home: path.Dir(state)})
	}
}

// keptFile is one that is being kept. What goes wrong with it never ends the capture.
type keptFile struct {
	k      *kept
	name   string
	out    *os.File
	at     int64
	budget *int64
	most   int64 // of all like it
	limit  int64 // of this one
	err    error
}

func (w *keptFile) write(b []byte) {
	if w == nil || w.err != nil {
		return
	}
	if *w.budget += int64(len(b)); *w.budget > w.most || w.at+int64(len(b)) > w.limit {
		w.err = errors.New("it is too large for the desk's memory")
		return
	}
	var n int
	n, w.err = w.out.WriteAt(b, w.at)
	w.at += int64(n)
}

func (w *keptFile) hole(n int64) {
	if w != nil {
		w.at += n
	}
}

// close ends it. A file that could not be kept is not there.
func (w *keptFile) close(f snapshots.File) error {
	if w == nil {
		return nil
	}
	err := w.err
	if w.out != nil {
		if err == nil {
			err = w.out.Truncate(w.at)
		}
		err = errors.Join(err, w.out.Close())
	}
	if err == nil && f.Bytes != w.at {
		return nil // as the host says otherwise, it is not stable: see its entry in the index
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		_ = w.k.root.Remove(w.name) // it goes with the folder
	}
	return err
}

// keptSink passes a capture on, and keeps what the desk reads.
type keptSink struct {
	snapshots.Sink
	k    *kept
	open *keptFile
}

func (s *keptSink) Begin(f snapshots.File) (io.Writer, error) {
	w, err := s.Sink.Begin(f)
	if err != nil {
		return nil, err
	}
	s.open = s.k.begin(f)
	return keptWriter{w, s.open}, nil
}

func (s *keptSink) End(f snapshots.File) error {
	w := s.open
	s.open = nil
	s.k.end(f, w)
	return s.Sink.End(f)
}

type keptWriter struct {
	out io.Writer
	w   *keptFile
}

func (w keptWriter) Write(b []byte) (int, error) {
	n, err := w.out.Write(b)
	w.w.write(b[:n])
	return n, err
}

// Unwrap is where all goes: snapshots.Capture asks what it sums up.
func (w keptWriter) Unwrap() io.Writer { return w.out }

// Hole implements snapshots.HoleWriter.
func (w keptWriter) Hole(n int64) error {
	w.w.hole(n)
	return snapshots.WriteHole(w.out, n)
}

// keepFrom keeps what the desk reads of a package that an earlier run sealed.
func keepFrom(bag string, identities []age.Identity) (*kept, error) {
	files := map[string]snapshots.File{}
	report, err := snapshots.Check{Identities: identities, Entry: func(e snapshots.Entry) {
		if len(files) < maxKeptFiles && e.Stored != "" && (databaseOf(strings.TrimSuffix(e.File.Path, "-shm")) != "" || e.Bytes <= maxSmallFile) {
			e.File.Size = cmp.Or(e.File.Size, e.Bytes)
			files[e.Stored] = e.File
		}
	}}.Verify(bag)
	if err != nil {
		return nil, err
	}
	if report.Closed {
		return nil, errors.New("they stand in evidence that is encrypted, and the run that saw it come has ended")
	}
	k, err := newKept()
	if err != nil {
		return nil, err
	}
	var open *keptFile
	last := ""
	end := func() {
		if f, ok := files[last]; ok {
			k.end(f, open)
		}
		open = nil
	}
	_, err = snapshots.Check{Identities: identities, File: func(stored string) io.Writer {
		end()
		last = stored
		f, ok := files[stored]
		if !ok {
			return nil
		}
		if open = k.begin(f); open == nil {
			return nil
		}
		return keptWriter{io.Discard, open}
	}}.Verify(bag)
	end()
	if err != nil {
		return nil, errors.Join(err, k.wipe())
	}
	return k, nil
}
