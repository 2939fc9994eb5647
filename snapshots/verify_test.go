package snapshots

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sealedBag is a small package, unpacked.
func sealedBag(t testing.TB) string {
	t.Helper()
	return unpacked(t, sealedPackage(t))
}

func sealedPackage(t testing.TB) string {
	t.Helper()
	b, dir := newBag(t)
	send(t, b, "a", "evidence")
	send(t, b, "b/c\n", "more")
	must(t, b.End(File{Path: "link", Verdict: Listed, Target: "/etc"}))
	seal(t, b)
	if _, err := Verify(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestEveryBitCounts flips each bit of each file of a bag.
func TestEveryBitCounts(t *testing.T) {
	dir := sealedBag(t)
	var files []string
	must(t, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if !d.IsDir() {
			files = append(files, name)
		}
		return err
	}))
	if len(files) != 7 {
		t.Fatalf("%q", files)
	}
	for _, name := range files {
		good, err := os.ReadFile(name)
		must(t, err)
		payload := strings.Contains(name, "/data/")
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		must(t, err)
		for i := range 8 * len(good) {
			flip := func(bit byte) {
				_, err := f.WriteAt([]byte{good[i/8] ^ bit}, int64(i/8))
				must(t, err)
			}
			flip(1 << (i % 8))
			_, err := Verify(dir)
			if broken := (*BrokenError)(nil); !errors.As(err, &broken) {
				t.Fatalf("%s: bit %d was flipped and %v", name, i, err)
			}
			if payload && sha256sum(t, dir) == nil {
				t.Fatalf("%s: bit %d was flipped and sha256sum is content", name, i)
			}
			flip(0)
		}
		must(t, f.Close())
	}
	if _, err := Verify(dir); err != nil {
		t.Error(err)
	}
}

func TestVerifySaysWhatIsWrong(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func(t *testing.T, dir string)
		first string
		also  string
	}{
		{"payload changed", func(t *testing.T, dir string) { write(t, dir+"/data/a", "EVIDENCE") }, "data/a: changed", ""},
		{"payload grown", func(t *testing.T, dir string) { appendTo("x")(t, dir+"/data/a") }, "data/a: changed", "Payload-Oxum"},
		{"payload gone", func(t *testing.T, dir string) { remove(t, dir+"/data/a") }, "data/a: missing", "Payload-Oxum"},
		{"payload added", func(t *testing.T, dir string) { write(t, dir+"/data/new", "x") }, "data/new: in the bag, but in no manifest", "Payload-Oxum"},
		{"file added at the top", func(t *testing.T, dir string) { write(t, dir+"/note", "x") }, "note: in the bag, but in no manifest", ""},
		{"tag manifest gone", func(t *testing.T, dir string) { remove(t, dir+"/"+tagManifestName) }, "not a sealed bag", ""},
		{"manifest gone", func(t *testing.T, dir string) { remove(t, dir+"/"+manifestName) }, manifestName + ": missing", "data/a: in the bag"},
		{"index gone", func(t *testing.T, dir string) { remove(t, dir+"/"+indexName) }, indexName + ": missing", ""},
		{"payload is a link", func(t *testing.T, dir string) {
			write(t, dir+"x", "evidence")
			remove(t, dir+"/data/a")
			must(t, os.Symlink(dir+"x", dir+"/data/a"))
		}, "data/a: not a regular file", "data/a: missing"},
		{"payload is a FIFO", func(t *testing.T, dir string) { remove(t, dir+"/data/a"); mkfifo(t, dir+"/data/a") }, "data/a: not a regular file", ""},
		{"index tells a file twice", func(t *testing.T, dir string) {
			text, err := os.ReadFile(dir + "/" + indexName)
			must(t, err)
			line, _, _ := strings.Cut(string(text), "\n")
			reseal(t, dir, indexName, string(text)+line+"\n")
		}, "second time", ""},
		{"index misses a file", func(t *testing.T, dir string) {
			text, err := os.ReadFile(dir + "/" + indexName)
			must(t, err)
			_, rest, _ := strings.Cut(string(text), "\n")
			reseal(t, dir, indexName, rest)
		}, "does not tell of data/a", ""},
		{"index cut off", func(t *testing.T, dir string) { reseal(t, dir, indexName, `{"stored":"a"`) }, "line 1: cut off", ""},
		{"manifest reaches out", func(t *testing.T, dir string) {
			text, err := os.ReadFile(dir + "/" + manifestName)
			must(t, err)
			reseal(t, dir, manifestName, string(text)+digestOf("x")+"  data/../../x\n")
		}, "line 3 is not", ""},
		{"manifest lists tags", func(t *testing.T, dir string) {
			text, err := os.ReadFile(dir + "/" + manifestName)
			must(t, err)
			reseal(t, dir, manifestName, string(text)+digestOf(declaration)+"  bagit.txt\n")
		}, "not payload", ""},
		{"another version", func(t *testing.T, dir string) {
			reseal(t, dir, declarationName, strings.Replace(declaration, "1.0", "9.9", 1))
		}, "not that of a BagIt 1.0 bag", ""},
		{"another size stated", func(t *testing.T, dir string) { reseal(t, dir, infoName, "Payload-Oxum: 1.1\n") }, `Payload-Oxum is "1.1"`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := sealedBag(t)
			tc.spoil(t, dir)
			r, err := Verify(dir)
			var broken *BrokenError
			if !errors.As(err, &broken) || !strings.Contains(broken.Faults[0].String(), tc.first) || !strings.Contains(err.Error(), dir) {
				t.Errorf("error %v, want %q", err, tc.first)
			}
			all := ""
			for _, f := range r.Faults {
				all += f.String() + "\n"
			}
			if !strings.Contains(all, tc.also) {
				t.Errorf("no %q in\n%s", tc.also, all)
			}
		})
	}
}

// reseal changes a tag file and makes the tag manifest fit, as one would who may write to the bag.
func reseal(t *testing.T, dir, name, text string) {
	t.Helper()
	old, err := os.ReadFile(filepath.Join(dir, name))
	must(t, err)
	write(t, filepath.Join(dir, name), text)
	tags, err := os.ReadFile(filepath.Join(dir, tagManifestName))
	must(t, err)
	write(t, filepath.Join(dir, tagManifestName), strings.Replace(string(tags), digestOf(string(old)), digestOf(text), 1))
}

func TestVerifyOfNoFolder(t *testing.T) {
	if _, err := Verify(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := Verify(t.TempDir()); err == nil {
		t.Error("an empty folder verifies")
	}
}
