package discover

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"clawback/forensics/agents/openclaw"
	"clawback/revoke/discover/sift"
)

// No file that an attacker leaves keeps the search from the others, leads it out of the root or
// holds it up.
func TestHostileTexts(t *testing.T) {
	first, last, odd, outside := pat(), pat(), pat(), pat()
	elsewhere := t.TempDir()
	must(t, os.WriteFile(filepath.Join(elsewhere, "x.txt"), []byte(outside), 0o600))
	dir := tree(t, map[string]string{
		state + "openclaw.json":       "{}",
		state + "workspace/a/b/c.txt": "\xff\xfe\xc0\xaf " + odd + "\xff\n",
		state + "workspace/bin":       "\x7fELF\x00\x00" + pat(),
		state + "workspace/0":         "",
	})
	at := func(name string) string { return filepath.Join(dir, state, "workspace", name) }
	must(t, os.Symlink(elsewhere, at("out")))
	must(t, os.Symlink(filepath.Join(elsewhere, "x.txt"), at("out.txt")))
	must(t, os.Symlink("..", at("a/up")))
	must(t, os.Symlink("loop", at("loop")))
	must(t, syscall.Mkfifo(at("fifo"), 0o600))
	special := 1
	if os.Getuid() == 0 && syscall.Mknod(at("zero"), syscall.S_IFCHR|0o600, 1<<8|5) == nil {
		special++
	}
	if l, err := net.Listen("unix", at("s")); err == nil {
		defer l.Close()
		special++
	}
	huge, err := os.Create(at("huge.txt")) // one line of 1 GB, most of it a hole
	must(t, err)
	_, err = huge.WriteAt([]byte(first+strings.Repeat(" ", 2000)), 0)
	must(t, err)
	_, err = huge.WriteAt([]byte(" "+last), 1<<30)
	must(t, err)
	must(t, huge.Close())
	locked := os.Getuid() != 0
	if locked {
		must(t, os.WriteFile(at("locked"), []byte(pat()), 0))
	}

	start := time.Now()
	found, summary := search(t, dir, places)
	if d := time.Since(start); d > time.Minute {
		t.Errorf("took %v", d)
	}
	for _, value := range []string{first, last, odd} {
		if len(placesOf(found, value)) != 1 {
			t.Errorf("found at %q", placesOf(found, value))
		}
	}
	if len(found) != 3 {
		t.Errorf("%d found: %s", len(found), showAll(found))
	}
	if summary.Skipped[notText] != 1 || summary.Skipped[notRegular] != special || summary.Skipped[notFollowed] != 4 {
		t.Errorf("skipped %v", summary.Skipped)
	}
	if denied := slices.ContainsFunc(summary.Problems, func(p openclaw.Problem) bool { return strings.HasSuffix(p.Path, "locked") }); denied != locked || len(summary.Problems) > 1 {
		t.Errorf("problems %+v", summary.Problems)
	}
}

// oddTree is a tree with a file system mounted in it that never answers, a directory without end
// and a file that shrinks while it is read.
type oddTree struct {
	rootTree
	never chan struct{}
}

func (o oddTree) list(dir string) (lister, error) {
	switch {
	case strings.HasSuffix(dir, "/hung"):
		<-o.never
	case strings.HasSuffix(dir, "/many"):
		return &endless{left: 1_000_000}, nil
	}
	l, err := o.rootTree.list(dir)
	return oddDir{l, o.never}, err
}

type oddDir struct {
	lister
	never chan struct{}
}

func (o oddDir) open(base string) (textFile, error) {
	if base == "slow.txt" {
		<-o.never
	}
	f, err := o.lister.open(base)
	if err == nil && base == "shrinks.txt" {
		return shrinking{f}, nil
	}
	return f, err
}

type shrinking struct{ textFile }

func (s shrinking) size() int64 { return 64 << 20 }

// endless lists entries that are no files.
type endless struct {
	lister
	left int
}

func (e *endless) Close() error { return nil }

func (e *endless) next() ([]fs.DirEntry, error) {
	if e.left <= 0 {
		return nil, io.EOF
	}
	e.left -= listBatch
	return slices.Repeat([]fs.DirEntry{pipeEntry{}}, listBatch), nil
}

type pipeEntry struct{ fs.DirEntry }

func (pipeEntry) Name() string      { return "x" }
func (pipeEntry) Type() fs.FileMode { return fs.ModeNamedPipe }

func TestFileSystemsThatHang(t *testing.T) {
	before, after := pat(), pat()
	dir := tree(t, map[string]string{
		state + "openclaw.json":         "{}",
		state + "workspace/a.txt":       before,
		state + "workspace/slow.txt":    pat(),
		state + "workspace/shrinks.txt": pat(),
		state + "workspace/hung/x.txt":  pat(),
		state + "workspace/many/x.txt":  "",
		state + "workspace/z/z.txt":     after,
	})
	root, err := os.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	synctest.Test(t, func(t *testing.T) {
		never := make(chan struct{})
		defer close(never)
		var found []Found
		s := newScan(t.Context(), root, places, func(f Found) { found = append(found, f) })
		s.files = oddTree{rootTree{root}, never}
		start := time.Now()
		summary, err := s.run(nil)
		must(t, err)
		if d := time.Since(start); d > 2*patience {
			t.Errorf("took %v", d)
		}
		if len(placesOf(found, before)) != 1 || len(placesOf(found, after)) != 1 {
			t.Error("what the hung ones are not was not searched")
		}
		for _, name := range []string{"slow.txt", "hung"} {
			if !slices.ContainsFunc(summary.Problems, func(p openclaw.Problem) bool {
				return p.Path == state+"workspace/"+name && strings.Contains(p.Reason, "did not answer")
			}) {
				t.Errorf("no problem names %s: %+v", name, summary.Problems)
			}
		}
		if len(summary.Problems) != 2 || summary.Skipped[notRegular] != 1_000_000 {
			t.Errorf("problems %+v, skipped %v", summary.Problems, summary.Skipped)
		}
	})
}

// stalled is a file of which a part in the middle cannot be read, nor the call that tries be ended.
type stalled struct {
	textFile
	never           chan struct{}
	reading, closed *atomic.Int32
}

func (s stalled) ReadAt(p []byte, at int64) (int, error) {
	if at > sift.Step/2 && at < sift.Step { // the second window, and what stands before it
		s.reading.Add(1)
		<-s.never
		s.reading.Add(-1)
	}
	return s.textFile.ReadAt(p, at)
}

func (s stalled) Close() error {
	s.closed.Add(1)
	return s.textFile.Close()
}

type stalledTree struct {
	rootTree
	file stalled
}

type stalledDir struct {
	lister
	file stalled
}

func (s stalledTree) list(dir string) (lister, error) {
	l, err := s.rootTree.list(dir)
	return stalledDir{l, s.file}, err
}

func (s stalledDir) open(base string) (textFile, error) {
	f, err := s.lister.open(base)
	if err != nil || base != "stalls.txt" {
		return f, err
	}
	s.file.textFile = f
	return s.file, nil
}

// A part of a file that does not answer costs that part. The file stays open for the call that still
// reads it: its descriptor must not become another's meanwhile.
func TestWindowThatHangs(t *testing.T) {
	first, last := pat(), pat()
	dir := tree(t, map[string]string{state + "openclaw.json": "{}",
		state + "workspace/stalls.txt": first + strings.Repeat("\n", 3<<20) + last + "\n", state + "workspace/whole.txt": strings.Repeat("\n", 3<<20)})
	root, err := os.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	synctest.Test(t, func(t *testing.T) {
		file := stalled{never: make(chan struct{}), reading: new(atomic.Int32), closed: new(atomic.Int32)}
		defer close(file.never)
		var found []Found
		s := newScan(t.Context(), root, places, func(f Found) { found = append(found, f) })
		s.files = stalledTree{rootTree{root}, file}
		summary, err := s.run(nil)
		must(t, err)
		if len(placesOf(found, first)) != 1 || len(placesOf(found, last)) != 1 {
			t.Error("what stands around the part was not found")
		}
		if len(summary.Problems) != 1 || summary.Problems[0].Path != state+"workspace/stalls.txt" {
			t.Errorf("problems %+v", summary.Problems)
		}
		if file.reading.Load() != 1 || file.closed.Load() != 0 {
			t.Errorf("closed %d times under %d calls that read", file.closed.Load(), file.reading.Load())
		}
	})
}

// slowTree is on a disk that takes its time for each read, and answers all of them.
type slowTree struct{ rootTree }

type slowDir struct{ lister }

type slowFile struct{ textFile }

func (s slowTree) list(dir string) (lister, error) {
	l, err := s.rootTree.list(dir)
	return slowDir{l}, err
}

func (s slowDir) open(base string) (textFile, error) {
	f, err := s.lister.open(base)
	return slowFile{f}, err
}

func (s slowFile) ReadAt(p []byte, at int64) (int, error) {
	<-time.After(patience / 2)
	return s.textFile.ReadAt(p, at)
}

// What is slow as a whole is searched: a call alone tells whether its file system answers.
func TestSlowIsNotSilent(t *testing.T) {
	value := pat()
	noise := make([]byte, 64<<10) // what does not shrink takes many reads
	_, _ = rand.Read(noise)
	dir := tree(t, map[string]string{
		state + "openclaw.json":      "{}",
		state + "workspace/a.log.gz": gzipped(t, base64.StdEncoding.EncodeToString(noise)+"\n"+value+"\n"),
	})
	root, err := os.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	synctest.Test(t, func(t *testing.T) {
		var found []Found
		s := newScan(t.Context(), root, places, func(f Found) { found = append(found, f) })
		s.files = slowTree{rootTree{root}}
		start := time.Now()
		summary, err := s.run(nil)
		must(t, err)
		if time.Since(start) < 2*patience {
			t.Error("it is not slow")
		}
		if len(placesOf(found, value)) != 1 || len(summary.Problems) > 0 {
			t.Errorf("found %s, problems %+v", showAll(found), summary.Problems)
		}
	})
}

// The search of a text may take as long as it does, and a read behind it no longer than any.
func TestWatching(t *testing.T) {
	for name, c := range map[string]struct {
		before, call, after time.Duration
		silent              bool
	}{
		"work alone":         {5 * patience, 0, 3 * patience, false},
		"a read that hangs":  {0, 100 * patience, 0, true},
		"one behind work":    {patience / 2, 100 * patience, 0, true},
		"one that answers":   {patience / 2, patience - 1, 2 * patience, false},
		"one behind so much": {7*patience + patience/3, 100 * patience, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start, given := time.Now(), make(chan int, 1)
				n, err := watching(func(w *watch) (int, error) {
					<-time.After(c.before)
					w.begin()
					<-time.After(c.call)
					w.end()
					<-time.After(c.after)
					return 1, nil
				}, func(n int) { given <- n })
				took := time.Since(start)
				if !c.silent {
					if n != 1 || err != nil || took != c.before+c.call+c.after {
						t.Errorf("%d, %v after %v", n, err, took)
					}
					return
				}
				if !errors.Is(err, errSilent) || took < c.before+patience || took > c.before+2*patience {
					t.Errorf("%v after %v", err, took)
				}
				if <-given != 1 {
					t.Error("what came late was lost")
				}
			})
		})
	}
}

// The order of the finds does not depend on which searcher is faster, and an end from outside is obeyed.
func TestTextsAreSearchedInOrder(t *testing.T) {
	files := map[string]string{state + "openclaw.json": "{}"}
	for i := range 60 {
		files[fmt.Sprintf("%sworkspace/%02d.txt", state, i)] = strings.Repeat("x\n", (i%3)*700_000) + "\n" + pat()
	}
	dir := tree(t, files)
	var orders [2]string
	for i := range orders {
		found, _ := search(t, dir, places)
		for _, f := range found {
			orders[i] += f.Source.String() + "\n"
		}
	}
	if orders[0] != orders[1] || strings.Count(orders[0], "\n") != 60 {
		t.Errorf("%s\nthen\n%s", orders[0], orders[1])
	}
	root, err := os.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	if _, err := Scan(ctx, root, Options{}, func(Found) { n++; cancel() }); err == nil || n != 1 {
		t.Errorf("%d found, error %v", n, err)
	}
}

// A transcript that cannot be searched is named: it is not one of a workspace's thousand binaries.
func TestCompressedTranscriptIsNamed(t *testing.T) {
	name := state + "agents/main/sessions/s.jsonl.deleted.1775985601000.zst"
	dir := tree(t, map[string]string{
		state + "openclaw.json":      "{}",
		name:                         "\x28\xb5\x2f\xfd\x00\x58" + secret() + "\x00\x00\xff\xfe",
		state + "workspace/some.bin": "\x00\x01\x02" + secret(),
	})
	_, summary := search(t, dir, places)
	if len(summary.Problems) != 1 || summary.Problems[0].Path != name || !strings.Contains(summary.Problems[0].Reason, "compressed") {
		t.Errorf("problems %+v", summary.Problems)
	}
}
