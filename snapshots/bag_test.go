package snapshots

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
)

func newBag(t testing.TB) (*Bag, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "evidence")
	b, err := NewBag(dir, Info{Source: "root@web-1", Incident: "inc-1", Tool: "clawback test", Time: time.Date(2026, 11, 20, 3, 18, 27, 5, time.UTC)})
	must(t, err)
	t.Cleanup(func() { b.Close() })
	return b, b.path
}

// send delivers a file as an honest host does.
func send(t testing.TB, b *Bag, path, text string) {
	t.Helper()
	sum := sha256.Sum256([]byte(text))
	f := File{Path: path, Source: "state", Size: int64(len(text))}
	w, err := b.Begin(f)
	must(t, err)
	_, err = w.Write([]byte(text))
	must(t, err)
	f.Bytes, f.SHA256, f.Verdict = f.Size, hex.EncodeToString(sum[:]), Stable
	must(t, b.End(f))
}

func seal(t testing.TB, b *Bag) Sealed {
	t.Helper()
	s, err := b.Seal()
	must(t, err)
	return s
}

func entries(t testing.TB, path string) []Entry {
	t.Helper()
	var all []Entry
	_, err := Check{Entry: func(e Entry) { all = append(all, e) }}.Verify(path)
	must(t, err)
	return all
}

// unpacked is the folder that any tar and zstd make of a package.
func unpacked(t testing.TB, path string, identities ...age.Identity) string {
	t.Helper()
	file, err := os.Open(path)
	must(t, err)
	defer file.Close()
	var in io.Reader = file
	if len(identities) > 0 {
		in, err = age.Decrypt(file, identities...)
		must(t, err)
	}
	plain, err := zstd.NewReader(in)
	must(t, err)
	defer plain.Close()
	dir := t.TempDir()
	top := ""
	for r := tar.NewReader(plain); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return filepath.Join(dir, top)
		}
		must(t, err)
		name := filepath.Join(dir, h.Name)
		if h.Typeflag == tar.TypeDir {
			top = h.Name
			must(t, os.Mkdir(name, h.FileInfo().Mode()))
			continue
		}
		must(t, os.MkdirAll(filepath.Dir(name), 0o700))
		out, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, h.FileInfo().Mode())
		must(t, err)
		_, err = io.Copy(out, r)
		must(t, errors.Join(err, out.Close(), os.Chtimes(name, h.ModTime, h.ModTime)))
	}
}

// sha256sum runs the program that a third person would.
func sha256sum(t testing.TB, dir string) error {
	t.Helper()
	program, err := exec.LookPath("sha256sum")
	if err != nil {
		skip(t, "needs sha256sum (package coreutils)")
	}
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		dir = unpacked(t, dir)
	}
	cmd := exec.Command(program, "--check", "--strict", "--quiet", manifestName)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func TestBagIsAsRFC8493WantsIt(t *testing.T) {
	b, dir := newBag(t)
	send(t, b, "home/ada/.openclaw/openclaw.json", "{}")
	send(t, b, "volatile/net/tcp", "sockets")
	must(t, b.End(File{Path: "home/ada/link", Verdict: Listed, Target: "/etc"}))
	s := seal(t, b)
	folder := unpacked(t, dir)
	want := map[string]string{
		"bagit.txt": "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n",
		"bag-info.txt": "Bagging-Date: 2026-11-20\nBag-Software-Agent: clawback test\nExternal-Identifier: inc-1\nEvidence-Source: root@web-1\n" +
			"Capture-Began: 2026-11-20T03:18:27.000000005Z\nPayload-Oxum: 9.2\n",
		"manifest-sha256.txt":                   digestOf("{}") + "  data/home/ada/.openclaw/openclaw.json\n" + digestOf("sockets") + "  data/volatile/net/tcp\n",
		"data/home/ada/.openclaw/openclaw.json": "{}",
		"data/volatile/net/tcp":                 "sockets",
	}
	for name, text := range want {
		got, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil || string(got) != text {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, got, text)
		}
	}
	tags, err := os.ReadFile(filepath.Join(folder, tagManifestName))
	must(t, err)
	file, err := os.ReadFile(dir)
	must(t, err)
	if s.Package != digestOf(string(file)) {
		t.Errorf("the package is not %s", s.Package)
	}
	if s.Path != dir || s.Files != 2 || s.Bytes != 9 || s.Manifest != digestOf(want["manifest-sha256.txt"]) || s.Digest != digestOf(string(tags)) || len(s.Problems) > 0 {
		t.Errorf("%+v", s)
	}
	if err := sha256sum(t, dir); err != nil {
		t.Error(err)
	}
	for _, path := range []string{dir, folder} {
		r, err := Verify(path)
		if err != nil || r.Files != 2 || r.Bytes != 9 || r.Digest != s.Digest || r.Package != "" && r.Package != s.Package {
			t.Errorf("%+v %v", r, err)
		}
	}
	all := entries(t, dir)
	if len(all) != 3 || all[0].Stored != "home/ada/.openclaw/openclaw.json" || all[2].Stored != "" || all[2].File.Target != "/etc" {
		t.Errorf("%+v", all)
	}
}

func TestBagIsForItsOwnerAlone(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	b, dir := newBag(t)
	send(t, b, "a/b/c", "x")
	seal(t, b)
	for _, name := range []string{dir, dir + DigestSuffix} {
		info, err := os.Stat(name)
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
	err := filepath.WalkDir(unpacked(t, dir), func(name string, d fs.DirEntry, err error) error {
		must(t, err)
		info, err := d.Info()
		must(t, err)
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s: %v", name, info.Mode())
		}
		return nil
	})
	must(t, err)
}

func TestNothingIsSealedBeforeSeal(t *testing.T) {
	b, dir := newBag(t)
	send(t, b, "a", "x")
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s exists before it is sealed", dir)
	}
	must(t, b.Close())
	if _, err := Verify(dir + partialSuffix); err == nil {
		t.Errorf("a bag that was not sealed verifies: %v", err)
	}
	if _, err := NewBag(strings.TrimSuffix(dir, Suffix), Info{}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("it would write over what is left: %v", err)
	}
	if _, err := b.Seal(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("sealed after it was closed: %v", err)
	}
}

func TestSealRefusesToReplace(t *testing.T) {
	b, dir := newBag(t)
	send(t, b, "a", "x")
	write(t, dir, "other") // rename alone would replace it
	if _, err := b.Seal(); !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
	if _, err := NewBag(strings.TrimSuffix(dir, Suffix), Info{}); !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
}

func TestEmptyBagIsNoEvidence(t *testing.T) {
	b, dir := newBag(t)
	must(t, b.End(File{Path: "link", Verdict: Listed}))
	if _, err := b.Seal(); !errors.Is(err, ErrEmpty) {
		t.Error(err)
	}
	if _, err := os.Lstat(dir); err == nil {
		t.Error("it was sealed")
	}
}

func TestHostThatLies(t *testing.T) {
	b, dir := newBag(t)
	send(t, b, "honest", "x")
	for _, f := range []File{
		{Path: "hash", Bytes: 4, SHA256: digestOf("other")},
		{Path: "bytes", Bytes: 5, SHA256: digestOf("text")},
		{Path: "no claim"},
		{Path: "huge claim", Bytes: 4, SHA256: strings.Repeat("f", 1<<20)},
	} {
		w, err := b.Begin(File{Path: f.Path})
		must(t, err)
		_, err = w.Write([]byte("text"))
		must(t, err)
		must(t, b.End(f))
	}
	must(t, b.End(File{Path: "without content", Bytes: 4, SHA256: digestOf("text"), Verdict: Stable}))
	s := seal(t, b)
	if len(s.Problems) != 5 {
		t.Errorf("%q", s.Problems)
	}
	for _, e := range entries(t, dir)[1:] {
		if e.Problem == "" {
			t.Errorf("%s: no problem", e.File.Path)
		}
		if e.Stored != "" && e.SHA256 != digestOf("text") {
			t.Errorf("%s: kept as %s", e.File.Path, e.SHA256)
		}
	}
	if e := entries(t, dir)[1]; e.File.SHA256 != digestOf("other") {
		t.Errorf("the host's claim is gone: %+v", e)
	}
	if err := sha256sum(t, dir); err != nil {
		t.Error("the manifest must hold what arrived:", err)
	}
	if _, err := Verify(dir); err != nil {
		t.Error(err)
	}
}

func TestHostThatMixesFilesUp(t *testing.T) {
	b, _ := newBag(t)
	w, err := b.Begin(File{Path: "a"})
	must(t, err)
	if _, err := b.Begin(File{Path: "b"}); !errors.Is(err, errOrder) {
		t.Error(err)
	}
	if err := b.End(File{Path: "b"}); !errors.Is(err, errOrder) {
		t.Error(err)
	}
	must(t, b.End(File{Path: "a"}))
	if _, err := w.Write([]byte("late")); !errors.Is(err, errOrder) {
		t.Error(err)
	}
}

func TestHostThatFloods(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "evidence")
	b, err := NewBag(dir, Info{MaxBytes: 10, MaxFiles: 2})
	must(t, err)
	defer b.Close()
	send(t, b, "a", "12345")
	w, err := b.Begin(File{Path: "b"})
	must(t, err)
	if _, err := w.Write([]byte("123456")); !errors.Is(err, ErrFlood) {
		t.Error(err)
	}
	must(t, b.End(File{Path: "b"}))
	if _, err := b.Begin(File{Path: "c"}); !errors.Is(err, ErrFlood) {
		t.Error(err)
	}
	if err := b.End(File{Path: "d"}); !errors.Is(err, ErrFlood) {
		t.Error(err)
	}
	seal(t, b) // what came before the flood is evidence
	if _, err := Verify(b.path); err != nil {
		t.Error(err)
	}
}

func TestCaptureThatBreaksOff(t *testing.T) {
	b, dir := newBag(t)
	send(t, b, "a", "x")
	w, err := b.Begin(File{Path: "half", Size: 100})
	must(t, err)
	_, err = w.Write([]byte("some"))
	must(t, err)
	s := seal(t, b)
	e := entries(t, dir)[1]
	if s.Files != 2 || len(s.Problems) != 1 || e.File.Verdict != Failed || e.Bytes != 4 || !strings.Contains(e.File.Problem, "broke off") {
		t.Errorf("%+v %+v", s, e)
	}
	if _, err := Verify(dir); err != nil {
		t.Error(err)
	}
}

func TestClaimedNamesStayInTheBag(t *testing.T) {
	b, dir := newBag(t)
	claimed := append(hostileNames(), "/etc/passwd", "../../etc/passwd", "a/../../../x", "..", ".", "", "/", "//", "a//b", "a/", "nul\x00byte",
		strings.Repeat("long/", 2000), strings.Repeat("x", 5000), strings.Repeat("../", 100)+"x", "A/b", "a/B", "dup", "dup", "dup", "DUP", "dup==2",
		"file", "file/below", "file/below/that", "folder/x", "folder", `..\..\x`, "bagit.txt", "../manifest-sha256.txt", "data/../x")
	for i, name := range claimed {
		send(t, b, name, fmt.Sprint(i))
	}
	s := seal(t, b)
	if s.Files != len(claimed) || len(s.Problems) > 0 {
		t.Errorf("%+v", s)
	}
	folded, folder := map[string]bool{}, unpacked(t, dir)
	for i, e := range entries(t, dir) {
		got, err := os.ReadFile(filepath.Join(folder, "data", e.Stored))
		if err != nil || string(got) != fmt.Sprint(i) || e.File.Path != claimed[i] || folded[strings.ToLower(e.Stored)] {
			t.Errorf("%q as %q: %v", claimed[i], e.Stored, err)
		}
		folded[strings.ToLower(e.Stored)] = true
	}
	if names := namesOf(t, filepath.Dir(dir)); !slices.Equal(names, []string{"evidence" + Suffix, "evidence" + Suffix + DigestSuffix}) {
		t.Errorf("beside the bag: %q", names)
	}
	if err := sha256sum(t, dir); err != nil {
		t.Error(err)
	}
	if _, err := Verify(dir); err != nil {
		t.Error(err)
	}
}

func namesOf(t testing.TB, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	must(t, err)
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

func TestInfoStaysOnItsLine(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "evidence")
	b, err := NewBag(dir, Info{Source: "web\nPayload-Oxum: 0.0\r\n\x1b[31m", Tool: "t"})
	must(t, err)
	send(t, b, "a", "x")
	seal(t, b)
	if _, err := Verify(b.path); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(filepath.Join(unpacked(t, b.path), infoName))
	must(t, err)
	if strings.Count(string(text), "\n") != 5 || strings.Contains(string(text), "\x1b") {
		t.Errorf("%q", text)
	}
}

// TestCaptureIntoBag is the whole way, with names that lead programs astray.
func TestCaptureIntoBag(t *testing.T) {
	files := agentTree()
	for i, name := range hostileNames() {
		files[ada+"logs/"+name] = fmt.Sprint(i)
	}
	_, root := tree(t, files)
	b, dir := newBag(t)
	c, err := Capture(t.Context(), root, "files", Options{}, b)
	must(t, err)
	s := seal(t, b)
	if s.Files != c.Files || s.Bytes != c.Bytes || len(s.Problems) > 0 {
		t.Errorf("%+v %+v", c, s)
	}
	if err := sha256sum(t, dir); err != nil {
		t.Error(err)
	}
	if _, err := Verify(dir); err != nil {
		t.Error(err)
	}
	folder := unpacked(t, dir)
	for _, e := range entries(t, dir) {
		if e.Stored == "" {
			continue
		}
		got, err := os.ReadFile(filepath.Join(folder, "data", e.Stored))
		if err != nil || string(got) != files[e.File.Path] {
			t.Errorf("%q: %q, %v", e.File.Path, got, err)
		}
	}
}
