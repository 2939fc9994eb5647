package tree

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"clawback/forensics/disk"
)

func signer(t testing.TB) *Signer {
	t.Helper()
	secret, verifier, err := NewKey(Origin("INC-20261101-0203"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := ParseKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	if s.Verifier() != verifier {
		t.Fatalf("the key is %s, made as %s", s.Verifier(), verifier)
	}
	return s
}

func line(n int) []byte { return fmt.Appendf(nil, `{"seq":%d}`, n) }

func open(t testing.TB, dir string, s *Signer) *Tree {
	t.Helper()
	tr, err := Open(disk.OS{}, dir, s)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func add(t testing.TB, tr *Tree, until int) {
	t.Helper()
	for n := int(tr.Size()); n < until; n++ {
		if err := tr.Add(line(n)); err != nil {
			t.Fatal(err)
		}
	}
}

func seal(t testing.TB, tr *Tree) Checkpoint {
	t.Helper()
	c, err := tr.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// reference computes roots and tiles the plain way, with every hash at hand.
type reference struct{ hashes []tlog.Hash }

func (r *reference) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = r.hashes[x]
	}
	return out, nil
}

func (r *reference) add(t testing.TB, n int) {
	t.Helper()
	h, err := tlog.StoredHashes(int64(n), line(n), r)
	if err != nil {
		t.Fatal(err)
	}
	r.hashes = append(r.hashes, h...)
}

func TestBuilderAgainstEveryHash(t *testing.T) {
	var r reference
	full := make(map[string][]byte)
	b := Builder{Full: func(path string, content []byte) { full[path] = content }}
	check := func() {
		n := int64(b.Size())
		want, err := tlog.TreeHash(n, &r)
		if err != nil || b.Root() != want {
			t.Fatalf("root of %d lines: %v, want %v (%v)", n, b.Root(), want, err)
		}
		got := make(map[string][]byte)
		b.Partial(func(path string, content []byte) { got[path] = bytes.Clone(content) })
		names := slices.Sorted(func(yield func(string) bool) {
			for p := range got {
				if !yield(p) {
					return
				}
			}
		})
		expected := partialPaths(n)
		slices.Sort(expected)
		if !slices.Equal(names, expected) {
			t.Fatalf("%d lines have the partial tiles %q, want %q", n, names, expected)
		}
		for _, tile := range tlog.NewTiles(height, 0, n) {
			data, err := tlog.ReadTileData(tile, &r)
			if err != nil {
				t.Fatal(err)
			}
			have := got[path(tile)]
			if tile.W == width {
				have = full[path(tile)]
			}
			if !bytes.Equal(have, data) {
				t.Fatalf("%d lines: tile %s is not what its hashes say", n, path(tile))
			}
		}
	}
	check()
	for n := range 66_000 {
		if err := b.Add(line(n)); err != nil {
			t.Fatal(err)
		}
		r.add(t, n)
		if n < 3 || n%256 < 2 && n < 1300 || n%9973 == 0 || n >= 65534 && n <= 65537 {
			check()
		}
	}
}

func TestPaths(t *testing.T) {
	for _, c := range []struct {
		level int
		n     int64
		w     int
		want  string
	}{
		{0, 0, 256, "tile/0/000"}, {-1, 0, 1, "tile/entries/000.p/1"}, {0, 1234067 * 256, 256, "tile/0/x001/x234/067"},
		{1, 70000, 17, "tile/1/001.p/17"}, {2, 70000, 1, "tile/2/000.p/1"}, {-1, 70000, 112, "tile/entries/273.p/112"},
	} {
		if got := path(tile(c.level, c.n, c.w)); got != c.want {
			t.Errorf("level %d at %d: %s, want %s", c.level, c.n, got, c.want)
		}
	}
}

// Whatever is sealed before, on the way and after a restart, the files are those of a tree that was
// written at once.
func TestTreeOnDisk(t *testing.T) {
	s := signer(t)
	const size = 700
	once := t.TempDir()
	whole := open(t, once, s)
	add(t, whole, size)
	want := seal(t, whole)

	dir := t.TempDir()
	for _, upTo := range []int{1, 2, 255, 256, 257, 511, 512, 699, size} {
		tr := open(t, dir, s) // as after a crash: the lines come again from the first
		add(t, tr, upTo)
		if c := seal(t, tr); c.Size != uint64(upTo) {
			t.Fatalf("sealed %d lines, not %d", c.Size, upTo)
		}
	}
	got, err := ReadCheckpoint(dir, s.Verifier())
	if err != nil || got.Root != want.Root || got.Size != size {
		t.Fatalf("the checkpoint is %+v (%v), want %+v", got, err, want)
	}
	_ = filepath.WalkDir(filepath.Join(once, Dir), func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			t.Fatal(err)
		}
		if d.IsDir() {
			return nil
		}
		rel, _ := filepath.Rel(once, p)
		a, _ := os.ReadFile(p)
		b, err := os.ReadFile(filepath.Join(dir, rel))
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs (%v)", rel, err)
		}
		info, _ := os.Stat(p)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", rel, info.Mode())
		}
		return nil
	})
}

func TestTreeGoesOnBehindACrash(t *testing.T) {
	s, dir := signer(t), t.TempDir()
	tr := open(t, dir, s)
	add(t, tr, 300)
	seal(t, tr)
	// A crash while the next tiles were written, before their checkpoint.
	torn := filepath.Join(dir, Dir, "tile", "entries", "001.p", "100")
	if err := os.WriteFile(torn, []byte{0, 9, 'x'}, 0o600); err != nil {
		t.Fatal(err)
	}
	tr = open(t, dir, s)
	add(t, tr, 356)
	seal(t, tr)
	b, err := os.ReadFile(torn)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := ParseBundle(b)
	if err != nil || len(lines) != 100 || !bytes.Equal(lines[99], line(355)) {
		t.Errorf("the bundle has %d lines (%v)", len(lines), err)
	}
}

func TestTreeNeverContradictsItself(t *testing.T) {
	s, dir := signer(t), t.TempDir()
	tr := open(t, dir, s)
	add(t, tr, 10)
	before := seal(t, tr)
	tr = open(t, dir, s)
	add(t, tr, 9)
	if err := tr.Add([]byte("another line")); !errors.Is(err, ErrChanged) {
		t.Errorf("Add returned %v", err)
	}
	if err := tr.Add(line(10)); !errors.Is(err, ErrChanged) {
		t.Errorf("Add returned %v", err)
	}
	if c, err := tr.Checkpoint(); !errors.Is(err, ErrChanged) || c.Size != 10 {
		t.Errorf("Checkpoint returned %+v, %v", c, err)
	}
	if now, err := ReadCheckpoint(dir, s.Verifier()); err != nil || now.Root != before.Root {
		t.Errorf("the checkpoint is %+v (%v)", now, err)
	}
	if _, err := Open(disk.OS{}, dir, signer(t)); !errors.Is(err, ErrForeign) {
		t.Errorf("Open with another key returned %v", err)
	}
	tr = open(t, t.TempDir(), s)
	if err := tr.Add(make([]byte, MaxLine)); err != nil {
		t.Error(err)
	}
	if tr.Add(make([]byte, MaxLine+1)) == nil {
		t.Error("a line that is too long was added")
	}
	if _, err := tr.Checkpoint(); err == nil {
		t.Error("a tree with a hole was sealed")
	}
}

func TestParseBundle(t *testing.T) {
	for _, c := range []struct {
		bundle []byte
		lines  int
		ok     bool
	}{
		{nil, 0, true}, {[]byte{0, 0}, 1, true}, {[]byte{0, 1, 'x', 0, 2, 'y', 'z'}, 2, true},
		{[]byte{0}, 0, false}, {[]byte{0, 2, 'x'}, 0, false}, {[]byte{255, 255}, 0, false}, {[]byte{0, 1, 'x', 0}, 1, false},
		{make([]byte, 2*256), 256, true}, {make([]byte, 2*257), 256, false},
	} {
		lines, err := ParseBundle(c.bundle)
		if len(lines) != c.lines || (err == nil) != c.ok {
			t.Errorf("%d bytes gave %d lines, %v", len(c.bundle), len(lines), err)
		}
	}
}

func FuzzParseBundle(f *testing.F) {
	f.Add([]byte{0, 1, 'x', 0, 2, 'y', 'z'})
	f.Add([]byte{255, 255})
	f.Fuzz(func(t *testing.T, bundle []byte) {
		lines, err := ParseBundle(bundle)
		if len(lines) > width {
			t.Fatalf("%d lines", len(lines))
		}
		var b Builder
		for _, l := range lines {
			if err := b.Add(l); err != nil {
				t.Fatal(err)
			}
		}
		if err == nil && len(lines) < width && !bytes.Equal(b.bundle, bundle) {
			t.Fatal("another bundle came out")
		}
	})
}

func FuzzOpenCheckpoint(f *testing.F) {
	s := signer(f)
	good, err := Checkpoint{Origin: s.Origin(), Size: 7}.sign(s)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good.Note)
	f.Add([]byte("clawback/x\n1\nAAAA\n\n— clawback/x AAAA\n"))
	f.Fuzz(func(t *testing.T, signed []byte) {
		c, err := OpenCheckpoint(signed, s.Verifier())
		if err == nil && (c.Origin != good.Origin || c.Size != good.Size || c.Root != good.Root) {
			t.Fatalf("a checkpoint that was never signed: %+v", c)
		}
		_, _ = parseCheckpoint(string(signed))
	})
}

// BenchmarkTree seals 100,000 lines on disk, as a long response does: a checkpoint every 4,096 lines.
func BenchmarkTree(b *testing.B) {
	const lines = 100_000
	text := make([]byte, 300)
	_, _ = rand.Read(text)
	s := signer(b)
	for b.Loop() {
		tr := open(b, b.TempDir(), s)
		for n := range lines {
			if err := tr.Add(text); err != nil {
				b.Fatal(err)
			}
			if n%mostUnsealed == 0 {
				seal(b, tr)
			}
		}
		seal(b, tr)
	}
	took := b.Elapsed() / time.Duration(b.N)
	began := time.Now()
	for range lines {
		_ = sha256.Sum256(text)
	}
	b.ReportMetric(float64(took)/float64(time.Since(began)), "of-sha256")
	b.ReportMetric(float64(took.Nanoseconds())/lines, "ns/entry")
}

// A pipe that somebody holds open gives no end of anything.
func TestReadNoteWaitsForNoPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), CheckpointName)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	theirs, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = theirs.Close() }()
	if b, err := ReadNote(path); err == nil {
		t.Errorf("it was read: %q", b)
	}
}

// A tile is not written through a link that lies in its place.
func TestTileThroughALink(t *testing.T) {
	dir := t.TempDir()
	theirs, tile := filepath.Join(dir, "theirs"), filepath.Join(dir, Dir, "tile", "0", "000.p", "1")
	err := errors.Join(os.MkdirAll(filepath.Dir(tile), 0o700), os.WriteFile(theirs, []byte("text"), 0o600), os.Symlink(theirs, tile))
	if err != nil {
		t.Fatal(err)
	}
	secret, _, err := NewKey(Origin("INC-1"))
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ParseKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	on, err := Open(disk.OS{}, dir, signer)
	if err != nil {
		t.Fatal(err)
	}
	if err := on.Add([]byte("line")); err != nil {
		t.Fatal(err)
	}
	if c, err := on.Checkpoint(); err == nil {
		t.Errorf("it was sealed: %+v", c)
	}
	if b, err := os.ReadFile(theirs); err != nil || string(b) != "text" {
		t.Errorf("what the link leads to is %q now, %v", b, err)
	}
}
