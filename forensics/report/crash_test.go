package report_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"clawback/forensics/disk/disktest"
	"clawback/forensics/report"
)

var reportNames = []string{report.MarkdownName, report.JSONName}

// old is what a report says before it is replaced.
const old = "an older report"

// overOld writes a report over an older one on a disk that prepare makes unreliable, and returns
// the disk, its folder and the error.
func overOld(t *testing.T, prepare func(*disktest.Disk)) (*disktest.Disk, string, error) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range reportNames {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(old), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d, err := disktest.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	prepare(d)
	all := histories["contained"](t)
	_, err = report.WriteOn(d, dir, fold(all), seq(all))
	return d, dir, err
}

func oldOrNew(t *testing.T, what, dir string, fresh map[string]string) {
	t.Helper()
	for _, name := range reportNames {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != old && string(b) != fresh[name] {
			t.Errorf("%s: %s has %d bytes, %v", what, name, len(b), err)
		}
	}
}

func TestReportIsReplacedAsAWholeOrNotAtAll(t *testing.T) {
	d, dir, err := overOld(t, func(*disktest.Disk) {})
	if err != nil {
		t.Fatal(err)
	}
	fresh := map[string]string{}
	lost := t.TempDir()
	if err := d.PowerLoss(lost, disktest.Names); err != nil {
		t.Fatal(err)
	}
	for _, name := range reportNames {
		b, err := os.ReadFile(filepath.Join(dir, name))
		after, afterErr := os.ReadFile(filepath.Join(lost, name))
		if err := errors.Join(err, afterErr); err != nil || len(b) < len(old) || string(b) != string(after) {
			t.Errorf("%s: %d bytes, and %d after a loss of power, %v", name, len(b), len(after), err)
		}
		fresh[name] = string(b)
	}
	for k := range d.Count() {
		what := d.List()[k]
		died, dir, err := overOld(t, func(d *disktest.Disk) { d.DieAt(k + 1) })
		if !errors.Is(err, disktest.ErrDead) {
			t.Errorf("%s: death gave %v", what, err)
		}
		oldOrNew(t, what, dir, fresh)
		for _, loss := range []disktest.Loss{disktest.Names, disktest.Contents} {
			lost := t.TempDir()
			if err := died.PowerLoss(lost, loss); err != nil {
				t.Fatal(err)
			}
			oldOrNew(t, what, lost, fresh)
		}
		for _, fault := range []error{syscall.ENOSPC, syscall.EIO} {
			for _, fail := range []func(*disktest.Disk, int, error){(*disktest.Disk).FailAt, (*disktest.Disk).FailFrom} {
				_, dir, err := overOld(t, func(d *disktest.Disk) { fail(d, k+1, fault) })
				if !errors.Is(err, fault) {
					t.Errorf("%s: %v", what, err)
				}
				oldOrNew(t, what, dir, fresh)
			}
		}
	}
}
