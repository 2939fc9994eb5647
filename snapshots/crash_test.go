package snapshots

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"clawback/forensics/disk/disktest"
)

// packed is what pack puts into a bag: one file is too large to wait in memory.
var packed = map[string]string{"home/ada/.openclaw/openclaw.json": "{}", "home/ada/log": random(160 << 10), "etc/crontab": "x", "empty": ""}

func random(n int) string {
	text := make([]byte, n)
	_, _ = rand.Read(text)
	return string(text)
}

// pack writes and seals a bag, and goes on after a failure as a careless caller would.
func pack(d *disktest.Disk, dir string) error {
	b, err := NewBag(dir, Info{Source: "root@web-1", Time: time.Unix(0, 0), Disk: d, frame: 4 << 10})
	if err != nil {
		return err
	}
	defer b.Close()
	b.content.most = 16 << 10
	var errs []error
	for _, name := range []string{"home/ada/.openclaw/openclaw.json", "home/ada/log", "etc/crontab", "empty"} {
		f := File{Path: name, Bytes: int64(len(packed[name])), SHA256: digestOf(packed[name]), Verdict: Stable}
		w, err := b.Begin(f)
		if err == nil {
			_, err = w.Write([]byte(packed[name]))
		}
		errs = append(errs, err, b.End(f))
	}
	errs = append(errs, b.End(File{Path: "link", Verdict: Listed}))
	_, err = b.Seal()
	if err == nil && errors.Join(errs...) != nil {
		return fmt.Errorf("it was sealed in spite of %w", errors.Join(errs...))
	}
	return err
}

// complete says whether there is a bag at dir, and fails when it is not whole: what has the name is sealed.
func complete(t *testing.T, what, dir string) bool {
	t.Helper()
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if _, err := Verify(dir); err != nil {
		t.Errorf("%s: it has the name of a sealed bag: %v", what, err)
		return true
	}
	n, folder := 0, unpacked(t, dir)
	for _, e := range entries(t, dir) {
		if e.Stored == "" {
			continue
		}
		n++
		if b, err := os.ReadFile(filepath.Join(folder, "data", e.Stored)); err != nil || string(b) != packed[e.File.Path] {
			t.Errorf("%s: %s: %v", what, e.File.Path, err)
		}
	}
	if n != len(packed) {
		t.Errorf("%s: %d files in a sealed bag", what, n)
	}
	return true
}

// TestBagAtEveryCrash ends the writing of a bag at each operation, and loses the power there.
func TestBagAtEveryCrash(t *testing.T) {
	points := 0
	for k := 1; ; k++ {
		top := t.TempDir()
		d, err := disktest.New(top)
		must(t, err)
		d.DieAt(k)
		err = pack(d, filepath.Join(top, "evidence", "files"))
		over := d.Count() < k
		if over != (err == nil) {
			t.Errorf("death at %d: %v", k, err)
		}
		worlds := map[string]string{"killed": top, "names lost": t.TempDir(), "contents lost": t.TempDir()}
		must(t, d.PowerLoss(worlds["names lost"], disktest.Names))
		must(t, d.PowerLoss(worlds["contents lost"], disktest.Contents))
		for name, world := range worlds {
			points++
			sealed := complete(t, fmt.Sprintf("%s, %q", name, d.List()[d.Count()-1]), filepath.Join(world, "evidence", "files"+Suffix))
			if over && !sealed {
				t.Errorf("%s: a sealed bag was lost", name)
			}
		}
		if over {
			break
		}
	}
	t.Logf("%d crashes tried", points)
	if points < 60 {
		t.Errorf("%d crashes are too few for this: what was not tried?", points)
	}
}

func TestBagAtEveryFault(t *testing.T) {
	for _, fault := range []error{syscall.ENOSPC, syscall.EIO} {
		for _, on := range []bool{false, true} {
			for k := 1; ; k++ {
				top := t.TempDir()
				d, err := disktest.New(top)
				must(t, err)
				if on {
					d.FailFrom(k, fault)
				} else {
					d.FailAt(k, fault)
				}
				dir := filepath.Join(top, "evidence", "files")
				err = pack(d, dir)
				if d.Count() < k {
					must(t, err)
					break
				}
				what := fmt.Sprintf("%s, from there on %v", d.List()[k-1], on)
				if !errors.Is(err, fault) || strings.Contains(err.Error(), "it was sealed") {
					t.Errorf("%s: %v", what, err)
				}
				if errors.Is(fault, syscall.ENOSPC) && err != nil && !strings.Contains(err.Error(), "make room") {
					t.Errorf("%s: %v says no way out", what, err)
				}
				complete(t, what, dir+Suffix)
			}
		}
	}
}

func TestDiscard(t *testing.T) {
	b, dir := newBag(t)
	must(t, b.End(File{Path: "link", Verdict: Listed}))
	must(t, b.Discard())
	if names := namesOf(t, filepath.Dir(dir)); len(names) > 0 {
		t.Errorf("%q is left", names)
	}
}
