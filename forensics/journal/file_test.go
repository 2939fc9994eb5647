package journal

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// testDisk is the file of a journal under test: a real one, whose faults and fsyncs the test controls.
type testDisk struct {
	*os.File
	dir string

	mu        sync.Mutex
	room      int64 // bytes that the file may grow to; 0 for no limit
	writeErr  error
	syncErr   error
	syncs     int
	syncing   chan struct{} // announces each fsync, where given
	goOn      chan struct{} // and waits here before it returns
	truncated int
}

var errNoSpace = errors.New("no space left on device")

func newDisk(t testing.TB) *testDisk {
	dir := t.TempDir()
	f, err := os.OpenFile(filepath.Join(dir, FileName), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return &testDisk{File: f, dir: dir}
}

func (d *testDisk) WriteAt(b []byte, off int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.writeErr != nil {
		return 0, d.writeErr
	}
	if d.room > 0 && off+int64(len(b)) > d.room {
		n, err := d.File.WriteAt(b[:max(0, d.room-off)], off)
		return n, errors.Join(err, errNoSpace)
	}
	return d.File.WriteAt(b, off)
}

func (d *testDisk) Sync() error {
	d.mu.Lock()
	d.syncs++
	err := d.syncErr
	d.mu.Unlock()
	if d.syncing != nil {
		d.syncing <- struct{}{}
		<-d.goOn
	}
	return err
}

func (d *testDisk) Truncate(size int64) error {
	d.mu.Lock()
	d.truncated++
	d.mu.Unlock()
	return d.File.Truncate(size)
}

// set changes the faults.
func (d *testDisk) set(change func(*testDisk)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

func (d *testDisk) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.syncs
}

func (d *testDisk) content(t testing.TB) []byte {
	t.Helper()
	b, err := io.ReadAll(io.NewSectionReader(d.File, 0, 1<<30))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// ticking is a clock that moves by a millisecond each time it is read.
func ticking() func() time.Time {
	var mu sync.Mutex
	now := time.Date(2026, 11, 22, 3, 17, 0, 0, time.FixedZone("CET", 3600))
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(time.Millisecond)
		return now
	}
}

type step struct {
	Step string `json:"step"`
}
