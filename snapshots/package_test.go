package snapshots

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	seekable "github.com/SaveTheRbtz/zstd-seekable-format-go/pkg"
	"github.com/klauspost/compress/zstd"

	"clawback/forensics/disk"
	"clawback/forensics/disk/disktest"
)

// pieces packs files in small frames, with little memory for what waits.
func packPieces(t testing.TB, info Info, files map[string]string) (path string, sealed Sealed) {
	t.Helper()
	info.frame = 4 << 10
	b, err := NewBag(filepath.Join(t.TempDir(), "evidence"), info)
	must(t, err)
	defer b.Close()
	b.content.most, b.index.most, b.manifest.most = 16<<10, 0, 0
	for _, name := range slices.Sorted(maps.Keys(files)) {
		send(t, b, name, files[name])
	}
	sealed = seal(t, b)
	return sealed.Path, sealed
}

// mixed are files that are smaller than a frame, as large, and that wait on the disk.
func mixed() map[string]string {
	files := map[string]string{"empty": "", "frame": random(4 << 10), "more": random(4<<10 + 1), "block": random(512)}
	for i := range 300 {
		files[fmt.Sprintf("small/%03d", i)] = random(i)
	}
	files["large"], files["larger"] = random(500_001), strings.Repeat("text that packs well ", 50_000)
	return files
}

func TestPackageOfManyFrames(t *testing.T) {
	files := mixed()
	path, _ := packPieces(t, Info{}, files)
	r, err := Verify(path)
	if err != nil || r.Files != len(files) {
		t.Errorf("%+v %v", r, err)
	}
	folder := unpacked(t, path)
	for name, want := range files {
		if got, err := os.ReadFile(filepath.Join(folder, "data", name)); err != nil || string(got) != want {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	got := map[string]string{}
	_, err = Check{File: func(stored string) io.Writer {
		if strings.HasPrefix(stored, "small") {
			return nil
		}
		got[stored] = ""
		return writerFunc(func(b []byte) (int, error) { got[stored] += string(b); return len(b), nil })
	}}.Verify(path)
	must(t, err)
	if len(got) != 6 || got["large"] != files["large"] || got["larger"] != files["larger"] {
		t.Errorf("%d files were handed out", len(got))
	}
	if names := namesOf(t, filepath.Dir(path)); len(names) != 2 {
		t.Errorf("beside the package: %q", names)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// TestSeekTable reads a package by its table with somebody else's reader.
func TestSeekTable(t *testing.T) {
	path, _ := packPieces(t, Info{}, mixed())
	file, err := os.Open(path)
	must(t, err)
	defer file.Close()
	decoder, err := zstd.NewReader(nil)
	must(t, err)
	defer decoder.Close()
	r, err := seekable.NewReader(file, decoder)
	must(t, err)
	defer r.Close()
	_, err = file.Seek(0, io.SeekStart)
	must(t, err)
	plain, err := zstd.NewReader(file) // which begins to read at once
	must(t, err)
	defer plain.Close()
	whole, err := io.ReadAll(plain)
	must(t, err)
	if size, err := r.Seek(0, io.SeekEnd); err != nil || size != int64(len(whole)) {
		t.Fatalf("it has %d bytes, %v; the stream has %d", size, err, len(whole))
	}
	for _, at := range []int{0, 4095, 4096, 300_000, len(whole) - 10} {
		got := make([]byte, 10)
		_, err := r.Seek(int64(at), io.SeekStart)
		must(t, err)
		if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, whole[at:at+10]) {
			t.Errorf("at %d: %q %v", at, got, err)
		}
	}
}

// What is unpacked does no harm, whatever the host says of it.
func TestMembersAreHarmless(t *testing.T) {
	b, path := newBag(t)
	at := time.Date(2026, 4, 12, 3, 18, 27, 123456789, time.UTC)
	value := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, f := range []File{
		{Path: "setuid", Mode: 0o104777, UID: 0, GID: 0, Modified: at, Xattrs: map[string]string{
			"user.note": value("a\x00b\n"), "security.capability": value("cap"), "system.posix_acl_access": value("acl"), "trusted.x": value("t"),
			"user.a=b": value("x"), "user.\xff": value("x"), "user.broken": "%%%", "user." + strings.Repeat("x", 300): value("x")}},
		{Path: "device", Mode: 0o60666, UID: 1000, Modified: time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC)},
		{Path: "late", UID: 1 << 30, Modified: time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC), Xattrs: map[string]string{"user.huge": value(random(100_000))}},
	} {
		_, err := b.Begin(f)
		must(t, err)
		f.SHA256, f.Verdict = digestOf(""), Stable
		must(t, b.End(f))
	}
	must(t, b.End(File{Path: "link", Verdict: Listed, Target: "/etc/passwd", Mode: 0o120777}))
	seal(t, b)
	if _, err := Verify(path); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	must(t, err)
	defer file.Close()
	plain, err := zstd.NewReader(file)
	must(t, err)
	defer plain.Close()
	names := []string{}
	for r := tar.NewReader(plain); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		names = append(names, h.Name)
		folder := h.Typeflag == tar.TypeDir && h.Mode == 0o700
		if !folder && (h.Typeflag != tar.TypeReg || h.Mode != 0o600) || h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "" {
			t.Errorf("%+v", h)
		}
		records := maps.Clone(h.PAXRecords)
		delete(records, "mtime")
		switch h.Name {
		case "evidence/data/setuid":
			if !h.ModTime.Equal(at) || !maps.Equal(records, map[string]string{"SCHILY.xattr.user.note": "a\x00b\n"}) {
				t.Errorf("%v %q", h.ModTime, records)
			}
		default:
			if len(records) > 0 || h.ModTime.Year() < 1970 || h.ModTime.Year() > 2500 {
				t.Errorf("%s: %v %q", h.Name, h.ModTime, records)
			}
		}
	}
	if want := []string{"evidence/", "evidence/bagit.txt", "evidence/data/setuid", "evidence/data/device", "evidence/data/late",
		"evidence/index.jsonl", "evidence/manifest-sha256.txt", "evidence/bag-info.txt", "evidence/tagmanifest-sha256.txt"}; !slices.Equal(names, want) {
		t.Errorf("%q", names)
	}
	if e := entries(t, path); len(e) != 4 || e[0].File.Mode != 0o104777 || len(e[0].File.Xattrs) != 8 || e[3].File.Target != "/etc/passwd" {
		t.Errorf("the claims are gone: %+v", e)
	}
}

// TestEncrypted looks at every byte that reaches the disk, what is removed again included.
func TestEncrypted(t *testing.T) {
	identity, err := age.GenerateX25519Identity()
	must(t, err)
	stranger, err := age.GenerateX25519Identity()
	must(t, err)
	top := t.TempDir()
	d, err := disktest.New(top)
	must(t, err)
	seen := &watched{Disk: d}
	clear := "evidence that nobody may see in the clear"
	files := map[string]string{"a/secret-name": clear, "large": random(200_000) + clear + random(200_000)}
	path, sealed := packPieces(t, Info{Recipients: []age.Recipient{identity.Recipient()}, Disk: seen}, files)
	if !strings.HasSuffix(path, LockedSuffix) {
		t.Errorf("it is called %s", path)
	}
	if len(seen.bytes) < 700_000 { // package and what waited
		t.Errorf("%d bytes were seen: this would show nothing", len(seen.bytes))
	}
	for _, text := range []string{clear[:20], "secret-name", "bagit", files["large"][100:140], files["large"][len(files["large"])-90_000:][:40]} {
		if bytes.Contains(seen.bytes, []byte(text)) {
			t.Errorf("%q reached the disk", text)
		}
	}
	r, err := Verify(path)
	if err != nil || !r.Closed || !r.Encrypted || r.Files != 0 || r.Package != sealed.Package {
		t.Errorf("%+v %v", r, err)
	}
	r, err = Check{Identities: []age.Identity{identity}}.Verify(path)
	if err != nil || r.Closed || r.Files != 2 || r.Digest != sealed.Digest {
		t.Errorf("%+v %v", r, err)
	}
	r, err = Check{Identities: []age.Identity{stranger}}.Verify(path)
	if err == nil || !r.Closed {
		t.Errorf("%+v %v", r, err)
	}
	folder := unpacked(t, path, identity)
	if err := sha256sum(t, folder); err != nil {
		t.Error(err)
	}
}

// watched is a disk that remembers what is written.
type watched struct {
	*disktest.Disk
	bytes []byte
}

func (w *watched) OpenFile(name string, flag int, perm fs.FileMode) (disk.File, error) {
	f, err := w.Disk.OpenFile(name, flag, perm)
	return watchedFile{f, w}, err
}

type watchedFile struct {
	disk.File
	w *watched
}

func (f watchedFile) Write(b []byte) (int, error) {
	f.w.bytes = append(f.w.bytes, b...)
	return f.File.Write(b)
}

func (f watchedFile) WriteAt(b []byte, at int64) (int, error) {
	f.w.bytes = append(f.w.bytes, b...)
	return f.File.WriteAt(b, at)
}

// TestHugeHoleIsQuick: many zeros take no more than their hash does.
func TestHugeHoleIsQuick(t *testing.T) {
	b, path := newBag(t)
	w, err := b.Begin(File{Path: "hollow"})
	must(t, err)
	const size = 3<<30 + 12345
	started := time.Now()
	must(t, b.content.hole(size))
	if took := time.Since(started); took > time.Second {
		t.Errorf("it took %v", took)
	}
	_, err = w.Write([]byte("x"))
	must(t, err)
	if b.content.size != size+1 {
		t.Errorf("%d bytes", b.content.size)
	}
	b.open = nil
	must(t, b.content.end(memberOf(b.top+"data/hollow", size+1, File{})))
	must(t, b.Close())
	if info, err := os.Stat(path + partialSuffix); err != nil || info.Size() > 1<<20 {
		t.Errorf("%d bytes, %v", info.Size(), err)
	}
}

// A package needs something that says what it has to be.
func TestDigestBesideThePackage(t *testing.T) {
	path := sealedPackage(t)
	whole, err := os.ReadFile(path)
	must(t, err)
	digest := digestOf(string(whole))
	good := digestLine(digest, path)
	for name, tc := range map[string]struct {
		beside string // "" for none
		record string
		says   string
	}{
		"beside":            {good, "", ""},
		"on record":         {"", digest, ""},
		"both":              {good, digest, ""},
		"none":              {"", "", "missing"},
		"another on record": {good, digestOf("x"), "the record says"},
		"another beside":    {digestLine(digestOf("x"), path), digest, ".sha256 says"},
		"another name":      {digestLine(digest, "other"), "", "as sha256sum writes it"},
		"two lines":         {good + good, "", "as sha256sum writes it"},
		"upper case":        {strings.ToUpper(good), "", "as sha256sum writes it"},
	} {
		must(t, os.RemoveAll(path+DigestSuffix))
		if tc.beside != "" {
			write(t, path+DigestSuffix, tc.beside)
		}
		_, err := Check{Digest: tc.record}.Verify(path)
		if tc.says == "" && err != nil || tc.says != "" && (err == nil || !strings.Contains(err.Error(), tc.says)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEveryBitOfAPackage flips each bit of a small package and of the digest beside it.
func TestEveryBitOfAPackage(t *testing.T) {
	identity, err := age.GenerateX25519Identity()
	must(t, err)
	for name, info := range map[string]Info{"clear": {}, "encrypted": {Recipients: []age.Recipient{identity.Recipient()}}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, _ := packPieces(t, info, map[string]string{"a": "evidence", "b": random(200)})
			check := Check{Identities: []age.Identity{identity}}
			inside := 0
			for _, file := range []string{path, path + DigestSuffix} {
				good, err := os.ReadFile(file)
				must(t, err)
				step := 1
				if testing.Short() {
					step = 61
				}
				for i := 0; i < 8*len(good); i += step {
					bad := bytes.Clone(good)
					bad[i/8] ^= 1 << (i % 8)
					must(t, os.WriteFile(file, bad, 0o600))
					r, err := check.Verify(path)
					if broken := (*BrokenError)(nil); !errors.As(err, &broken) {
						t.Fatalf("%s: bit %d was flipped and %v", file, i, err)
					}
					if len(r.Faults) > 1 {
						inside++
					}
				}
				must(t, os.WriteFile(file, good, 0o600))
			}
			t.Logf("%d flips show without the digest, too", inside)
			if _, err := check.Verify(path); err != nil {
				t.Error(err)
			}
		})
	}
}

// layer is a public tool that looks at one thing. It returns whether it is content.
type layer struct {
	name string
	run  func(ctx context.Context, dir string) bool
}

func shell(script string) func(context.Context, string) bool {
	return func(ctx context.Context, dir string) bool {
		cmd := exec.CommandContext(ctx, "sh", "-c", "set -e; "+script)
		cmd.Dir = dir
		return cmd.Run() == nil
	}
}

// TestEveryLayerNotices flips bits of a package that is signed and encrypted, and of the one inside,
// and lets the public tools look at each layer: too many processes for every bit, so that it takes one
// in some hundred, another one in each byte, and all regions. Ours sees every one of them.
func TestEveryLayerNotices(t *testing.T) {
	for _, tool := range []string{"age", "ssh-keygen", "zstd", "tar", "sha256sum"} {
		if _, err := exec.LookPath(tool); err != nil {
			skip(t, "needs "+tool)
		}
	}
	identity, err := age.GenerateX25519Identity()
	must(t, err)
	files := map[string]string{"a": "evidence", "b": random(9000)}
	for name, tc := range map[string]struct {
		info   Info
		layers []layer
		all    []string // that notice each flip
	}{
		"encrypted": {Info{Recipients: []age.Recipient{identity.Recipient()}}, []layer{
			{"sha256sum", shell("sha256sum --strict --status -c evidence.tar.zst.age.sha256")},
			{"ssh-keygen", shell("ssh-keygen -Y verify -f signers -I a -n evidence@clawback -s evidence.tar.zst.age.sig < evidence.tar.zst.age")},
			{"age", shell("age -d -i identity evidence.tar.zst.age > /dev/null")},
		}, []string{"sha256sum", "ssh-keygen", "age"}},
		"clear": {Info{}, []layer{
			{"sha256sum", shell("sha256sum --strict --status -c evidence.tar.zst.sha256")},
			{"ssh-keygen", shell("ssh-keygen -Y verify -f signers -I a -n evidence@clawback -s evidence.tar.zst.sig < evidence.tar.zst")},
			{"zstd", shell("zstd -dqc evidence.tar.zst > /dev/null")},
			{"tar and manifests", shell("rm -rf evidence; zstd -dqc evidence.tar.zst | tar -x; cd evidence; sha256sum --strict --status -c tagmanifest-sha256.txt; sha256sum --strict --status -c manifest-sha256.txt")},
		}, []string{"sha256sum", "ssh-keygen"}},
	} {
		t.Run(name, func(t *testing.T) {
			path, _ := packPieces(t, tc.info, files)
			dir := filepath.Dir(path)
			write(t, filepath.Join(dir, "identity"), identity.String()+"\n")
			if out, err := exec.Command("sh", "-c", `cd "$1"; chmod 600 identity; ssh-keygen -q -t ed25519 -N '' -f key && ssh-keygen -q -Y sign -n evidence@clawback -f key "$2" && echo "a $(cut -d' ' -f1,2 key.pub)" > signers`, "sh", dir, path).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			for _, l := range tc.layers {
				if !l.run(t.Context(), dir) {
					t.Fatalf("%s does not accept it", l.name)
				}
			}
			good, err := os.ReadFile(path)
			must(t, err)
			noticed, flips := map[string]int{}, 0
			for _, at := range sample(len(good)) {
				bad := bytes.Clone(good)
				bad[at/8] ^= 1 << (at % 8)
				must(t, os.WriteFile(path, bad, 0o600))
				flips++
				if _, err := (Check{Identities: []age.Identity{identity}}).Verify(path); err == nil {
					t.Errorf("bit %d: we do not notice", at)
				}
				for _, l := range tc.layers {
					if !l.run(t.Context(), dir) {
						noticed[l.name]++
					}
				}
			}
			t.Logf("of %d flips of %d bits: %v", flips, 8*len(good), noticed)
			for _, name := range tc.all {
				if noticed[name] != flips {
					t.Errorf("%s notices %d of %d", name, noticed[name], flips)
				}
			}
		})
	}
}

// sample are bits of a file of so many bytes: those of its beginning and end one by one in each
// eighth byte, and between them some sixty, another one of its byte each time.
func sample(size int) (bits []int) {
	for i := 0; i < min(size, 200); i += 8 {
		bits = append(bits, 8*i+i/8%8, 8*(size-1-i)+i/8%8)
	}
	step := max(size/60, 1)
	for i, n := 200, 0; i < size-200; i, n = i+step, n+1 {
		bits = append(bits, 8*i+n%8)
	}
	return bits
}

func someIdentity(t testing.TB) []age.Identity {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	must(t, err)
	return []age.Identity{identity}
}
