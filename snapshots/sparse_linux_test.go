package snapshots

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// sparse makes a file of a size, with data at some offsets and holes elsewhere.
func sparse(t testing.TB, name string, size int64, data map[int64]string) {
	t.Helper()
	write(t, name, "")
	must(t, os.Truncate(name, size))
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	must(t, err)
	for at, text := range data {
		_, err = f.WriteAt([]byte(text), at)
		must(t, err)
	}
	must(t, f.Close())
	var st unix.Stat_t
	must(t, unix.Stat(name, &st))
	if st.Size-512*st.Blocks < minHole {
		skip(t, "needs a file system with sparse files for "+os.TempDir())
	}
}

const mega = 1 << 20

func TestHolesStayHoles(t *testing.T) {
	dir, root := tree(t, map[string]string{ada + "openclaw.json": "{}"})
	text := strings.Repeat("evidence", 8192) // 64 KiB
	sparse(t, filepath.Join(dir, ada, "logs/middle"), 30*mega, map[int64]string{0: text, 10 * mega: text, 30*mega - 3: "end"})
	sparse(t, filepath.Join(dir, ada, "logs/ends"), 20*mega, map[int64]string{5 * mega: text})
	sparse(t, filepath.Join(dir, ada, "logs/all"), 7*mega+1, nil)
	m, c := captureFiles(t, root, Options{MaxBytes: mega}) // of data
	for name, holes := range map[string]int{"middle": 2, "ends": 2, "all": 1} {
		f := m.files[ada+"logs/"+name]
		want, err := os.ReadFile(filepath.Join(dir, f.Path))
		must(t, err)
		if m.content[f.Path] != string(want) || f.Verdict != Stable || len(f.Holes) != holes || f.Bytes != int64(len(want)) {
			t.Errorf("%s: %+v", name, f)
		}
		for _, h := range f.Holes {
			if h.Bytes < minHole || strings.Trim(string(want[h.Offset:h.Offset+h.Bytes]), "\x00") != "" {
				t.Errorf("%s: no hole: %+v", name, h)
			}
		}
	}
	if len(c.Left) > 0 {
		t.Errorf("holes were counted as data: %q", c.Left)
	}

	bagDir := filepath.Join(t.TempDir(), "bag")
	b, err := NewBag(bagDir, Info{MaxBytes: 100 * mega})
	must(t, err)
	_, err = Capture(t.Context(), root, "files", Options{}, b)
	must(t, err)
	_, err = b.Seal()
	must(t, err)
	folder := unpacked(t, b.path)
	for _, name := range []string{"middle", "ends", "all"} {
		got, err := os.ReadFile(filepath.Join(folder, "data", ada, "logs", name))
		must(t, err)
		if string(got) != m.content[ada+"logs/"+name] {
			t.Errorf("%s: %d bytes", name, len(got))
		}
	}
	if st, err := os.Stat(b.path); err != nil || st.Size() > 64<<10 {
		t.Errorf("holes take place: %d bytes, %v", st.Size(), err)
	}
	if report, err := Verify(b.path); err != nil || len(report.Faults) > 0 {
		t.Errorf("%+v %v", report, err)
	}
	check := exec.Command("sha256sum", "--strict", "--quiet", "-c", "manifest-sha256.txt")
	check.Dir = folder
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// TestHolesChange has a sparse file that changes while it is read.
func TestHolesChange(t *testing.T) {
	for name, tc := range map[string]struct {
		do      func(t *testing.T, file string)
		verdict string
		bytes   int64
	}{
		"cut inside a hole":  {truncate(5 * mega), Shrank, 5 * mega},
		"a hole gets filled": {overwrite, Modified, 10 * mega},
		"grows":              {appendTo("tail"), Grew, 10*mega + 4},
	} {
		t.Run(name, func(t *testing.T) {
			dir, root := tree(t, map[string]string{ada + "openclaw.json": "{}"})
			sparse(t, filepath.Join(dir, subject), 10*mega, map[int64]string{9 * mega: "x"})
			m, _ := captureFiles(t, root, Options{at: func(point, path string) {
				if point == "open" && path == subject {
					tc.do(t, filepath.Join(dir, subject))
				}
			}})
			if f := m.files[subject]; f.Verdict != tc.verdict || f.Bytes != tc.bytes {
				t.Errorf("%+v", f)
			}
		})
	}
}

// TestHollowDecoysDoNotStarveTheRest has many files of holes in the folder that is taken first: they
// cost no budget and come last, and the time that they may cost is bounded.
func TestHollowDecoysDoNotStarveTheRest(t *testing.T) {
	dir, root := tree(t, agentTree())
	for i := range 10 {
		sparse(t, filepath.Join(dir, fmt.Sprintf("tmp/openclaw/0%d", i)), 32*mega, nil)
	}
	m, c := captureFiles(t, root, Options{MaxHoles: 100 * mega})
	soul, decoy := slices.Index(m.order, ada+"workspace/SOUL.md"), slices.Index(m.order, "tmp/openclaw/00")
	if soul < 0 || decoy < soul || m.files["tmp/openclaw/00"].Verdict != Stable {
		t.Errorf("SOUL.md is number %d, the first decoy %d: %+v", soul, decoy, m.files["tmp/openclaw/00"])
	}
	if f := m.files["tmp/openclaw/09"]; f.Verdict != Listed || !strings.Contains(f.Problem, "bytes of holes") || len(c.Left) != 7 {
		t.Errorf("%+v %q", f, c.Left)
	}
}

// TestManyHoles has more of them than are listed.
func TestManyHoles(t *testing.T) {
	dir, root := tree(t, map[string]string{ada + "openclaw.json": "{}"})
	data := map[int64]string{}
	for i := range int64(maxHoles + 50) {
		data[i*128<<10] = "x"
	}
	sparse(t, filepath.Join(dir, subject), (maxHoles+50)*128<<10, data)
	m, _ := captureFiles(t, root, Options{})
	want, err := os.ReadFile(filepath.Join(dir, subject))
	must(t, err)
	if f := m.files[subject]; len(f.Holes) != maxHoles || m.content[subject] != string(want) || f.Verdict != Stable {
		t.Errorf("%d holes, %s %s", len(f.Holes), f.Verdict, f.Problem)
	}
}

func sumOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// TestTailIsASegment has a file that grew: the hash of what was there when it was opened is kept.
func TestTailIsASegment(t *testing.T) {
	for _, text := range []string{"", "abc", strings.Repeat("0123456789abcdef", chunkSize/16), strings.Repeat("x", chunkSize+1)} {
		dir, root := tree(t, map[string]string{ada + "openclaw.json": "{}", subject: text})
		m, _ := captureFiles(t, root, Options{at: func(point, path string) {
			if point == "open" && path == subject {
				appendTo("tail")(t, filepath.Join(dir, path))
			}
		}})
		want := []Segment{{int64(len(text)), sumOf(text)}, {4, sumOf("tail")}}
		if f := m.files[subject]; !slices.Equal(f.Segments, want) || f.SHA256 != sumOf(text+"tail") || f.Verdict != Grew {
			t.Errorf("%d bytes: %+v", len(text), f)
		}
		if f := m.files[ada+"openclaw.json"]; f.Segments != nil {
			t.Errorf("%+v", f)
		}
	}
}

// TestFalseSegments has a host that says of the parts of a file what is not true.
func TestFalseSegments(t *testing.T) {
	for name, tc := range map[string]struct {
		segments []Segment
		fault    bool
	}{
		"true":           {[]Segment{{3, sumOf("abc")}, {4, sumOf("tail")}}, false},
		"none":           {nil, false},
		"another hash":   {[]Segment{{3, sumOf("abd")}, {4, sumOf("tail")}}, true},
		"another length": {[]Segment{{4, sumOf("abct")}, {3, sumOf("ail")}}, true},
		"too many":       {[]Segment{{3, sumOf("abc")}, {2, sumOf("ta")}, {2, sumOf("il")}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := NewBag(filepath.Join(t.TempDir(), "bag"), Info{})
			must(t, err)
			defer b.Close()
			w, err := b.Begin(File{Path: "a", Size: 3})
			must(t, err)
			for _, piece := range []string{"a", "bcta", "il"} { // not as the host cuts it
				_, err = w.Write([]byte(piece))
				must(t, err)
			}
			must(t, b.End(File{Path: "a", Size: 3, Bytes: 7, SHA256: sumOf("abctail"), Segments: tc.segments, Verdict: Grew}))
			if fault := len(b.faults) > 0; fault != tc.fault {
				t.Errorf("%q", b.faults)
			}
		})
	}
}

func TestBagTakesNoFloodOfHoles(t *testing.T) {
	b, err := NewBag(filepath.Join(t.TempDir(), "bag"), Info{MaxBytes: 1000})
	must(t, err)
	defer b.Close()
	w, err := b.Begin(File{Path: "a"})
	must(t, err)
	must(t, WriteHole(w, 1000))
	if err := WriteHole(w, 1); err == nil {
		t.Error("it took more")
	}
	var plain bytes.Buffer
	must(t, WriteHole(&plain, 100_000))
	if plain.Len() != 100_000 || bytes.Trim(plain.Bytes(), "\x00") != nil {
		t.Errorf("%d bytes", plain.Len())
	}
}
