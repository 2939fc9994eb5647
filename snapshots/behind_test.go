package snapshots

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"testing"
)

// failsAt takes so many bytes, and then no more.
type failsAt struct {
	left int
	got  bytes.Buffer
}

var errFull = errors.New("the disk is full")

func (f *failsAt) Write(p []byte) (int, error) {
	n := min(f.left, len(p))
	f.got.Write(p[:n])
	if f.left -= n; n < len(p) {
		f.left = 0
		return n, errFull
	}
	return n, nil
}

// What is written behind arrives whole and in order, or its error does, and then nothing after the gap.
func TestBehind(t *testing.T) {
	all := make([]byte, (2*behindCount+1)*behindSize+behindSize/3)
	_, _ = rand.Read(all)
	for name, room := range map[string]int{
		"enough room": len(all), "none": 0, "some": 3*behindSize + 5, "all but the last byte": len(all) - 1,
	} {
		disk := &failsAt{left: room}
		b := writeBehind(disk)
		var err error
		for from, piece := 0, 1; err == nil && from < len(all); piece = 3*piece%200_003 + 1 {
			to := min(from+piece, len(all))
			var n int
			if n, err = b.Write(all[from:to]); err == nil && n != to-from {
				t.Errorf("%s: %d of %d bytes", name, n, to-from)
			}
			from = to
		}
		closed, again := b.Close(), b.Close()
		want := error(nil)
		if room < len(all) {
			want = errFull
		}
		if !errors.Is(closed, want) || !errors.Is(again, want) || err != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v, at the end %v, and again %v", name, err, closed, again)
		}
		if !bytes.Equal(disk.got.Bytes(), all[:room]) {
			t.Errorf("%s: %d bytes arrived, or not in order", name, disk.got.Len())
		}
	}
	if err := writeBehind(io.Discard).Close(); err != nil {
		t.Errorf("nothing at all: %v", err)
	}
}
