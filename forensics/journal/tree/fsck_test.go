package tree

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fsck is a program of others that checks a tree: tessera's, built outside of this module.
const fsck = "github.com/transparency-dev/tessera/cmd/fsck@v1.0.4"

func buildFsck(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	build := exec.CommandContext(ctx, "go", "install", fsck)
	build.Dir = bin // outside of this module
	build.Env = append(os.Environ(), "GOBIN="+bin, "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("go install %s: %v\n%s", fsck, err, out)
		}
		t.Skipf("an independent implementation, %s, cannot be fetched and built: %v", fsck, err)
	}
	return filepath.Join(bin, "fsck")
}

// accepts runs fsck over a tree. Its exit code says nothing, since it is 0 for trees that are not
// whole, and it may never end: what counts is that it says what it checked.
func accepts(t *testing.T, bin, dir string, s *Signer, c Checkpoint, patience time.Duration) (bool, string) {
	t.Helper()
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(s.Verifier()), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, bin, "--ui=false", "--storage_url=file://"+filepath.Join(dir, Dir)+"/", "--public_key="+key).CombinedOutput()
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	success := fmt.Sprintf("Successfully fsck'd log with size %d and root %s (%x)", c.Size, c.Root, c.Root[:])
	for said := range strings.Lines(string(out)) {
		if strings.HasSuffix(strings.TrimSpace(said), success) {
			return true, string(out)
		}
	}
	return false, string(out)
}

func TestAnotherImplementationAcceptsTheTree(t *testing.T) {
	if testing.Short() {
		t.Skip("short: it builds a program of others")
	}
	t.Parallel()
	bin, s := buildFsck(t), signer(t)
	dir := t.TempDir()
	for _, size := range []int{1, 255, 256, 257, 70_000} {
		tr := open(t, dir, s) // it grows, over checkpoints and restarts
		add(t, tr, size)
		c := seal(t, tr)
		if ok, out := accepts(t, bin, dir, s, c, 2*time.Minute); !ok {
			t.Errorf("%d lines, root %s: %s", size, c.Root, out)
		}
	}
	for name, spoil := range map[string]func(t *testing.T, dir string){
		"a flipped byte in a tile":  func(t *testing.T, dir string) { flip(t, filepath.Join(dir, Dir, "tile", "0", "001")) },
		"a flipped byte in an edge": func(t *testing.T, dir string) { flip(t, filepath.Join(dir, Dir, "tile", "1", "000.p", "2")) },
		"a flipped byte in a bundle": func(t *testing.T, dir string) {
			flip(t, filepath.Join(dir, Dir, "tile", "entries", "000"))
		},
		"a missing bundle": func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, Dir, "tile", "entries", "001")); err != nil {
				t.Fatal(err)
			}
		},
		"a bad signature": func(t *testing.T, dir string) {
			p := filepath.Join(dir, Dir, CheckpointName)
			b, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			other, err := Checkpoint{Origin: s.Origin(), Size: 600}.sign(signer(t))
			if err != nil {
				t.Fatal(err)
			}
			signature := other.Note[strings.Index(string(other.Note), "\u2014"):]
			if err := os.WriteFile(p, append(b[:strings.Index(string(b), "\u2014")], signature...), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			tr := open(t, dir, s)
			add(t, tr, 600)
			c := seal(t, tr)
			if ok, out := accepts(t, bin, dir, s, c, time.Minute); !ok {
				t.Fatalf("it is refused while it is whole: %s", out)
			}
			spoil(t, dir)
			if ok, _ := accepts(t, bin, dir, s, c, 10*time.Second); ok {
				t.Error("it is accepted")
			}
		})
	}
}

func flip(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
