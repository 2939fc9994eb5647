package snapshots

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"

	"golang.org/x/sys/unix"
)

const (
	minHole  = 64 << 10 // bytes: a smaller one is read
	maxHoles = 1000     // of one file: what comes after is read
	maxSeeks = 200_000  // for the holes of one file
	maxSkip  = 64 << 20 // bytes of a hole that are hashed before anybody looks at the time again
)

var zeros [64 << 10]byte

// WriteHole writes n zeros, as a hole where w takes one.
func WriteHole(w io.Writer, n int64) error {
	if holes, ok := w.(HoleWriter); ok {
		return holes.Hole(n)
	}
	for n > 0 {
		wrote, err := w.Write(zeros[:min(n, int64(len(zeros)))])
		if err != nil {
			return err
		}
		n -= int64(wrote)
	}
	return nil
}

// holesIn finds the holes in the first size bytes of an open file, none where its file system
// cannot tell.
func holesIn(fd int, size int64) (holes []Hole) {
	at := int64(0)
	for range maxSeeks {
		data, err := unix.Seek(fd, at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) { // nothing but a hole up to the end
			data, err = size, nil
		}
		if err != nil {
			return holes
		}
		if data = min(data, size); data-at >= minHole {
			holes = append(holes, Hole{Offset: at, Bytes: data - at})
		}
		if data >= size || len(holes) == maxHoles {
			return holes
		}
		if at, err = unix.Seek(fd, data, unix.SEEK_HOLE); err != nil || at <= data {
			return holes
		}
	}
	return holes
}

func holesOf(holes []Hole) (bytes int64) {
	for _, h := range holes {
		bytes += h.Bytes
	}
	return bytes
}

// measure looks for holes in an open file and reports whether it is within the limits. Whoever
// listens is told where it is not.
func (r *reading) measure(fd int, st unix.Stat_t) bool {
	if !r.live && st.Size <= r.most && st.Size-512*int64(st.Blocks) >= minHole {
		r.file.Holes = holesIn(fd, st.Size)
		r.holes = r.file.Holes
	}
	hollow := holesOf(r.file.Holes)
	if st.Size <= r.most && st.Size-hollow <= r.limit && hollow <= r.hollow {
		return true
	}
	r.send(message{stage: tooLarge, file: r.file, size: st.Size - hollow, holes: hollow})
	return false
}

// digest sums up what comes of a file: all of it and, apart from that, what comes after the size
// that it had when it was opened.
type digest struct {
	all, tail hash.Hash
	split     int64 // bytes
	size      int64 // bytes that came
	head      string
}

func newDigest(size int64) *digest { return &digest{all: sha256.New(), split: size} }

func (d *digest) Write(p []byte) (int, error) {
	if first := d.split - d.size; d.tail == nil && first < int64(len(p)) {
		d.all.Write(p[:max(first, 0)])
		d.head, d.tail = d.String(), sha256.New()
		d.all.Write(p[max(first, 0):])
		d.tail.Write(p[max(first, 0):])
	} else {
		d.all.Write(p)
		if d.tail != nil {
			d.tail.Write(p)
		}
	}
	d.size += int64(len(p))
	return len(p), nil
}

// beside sums up what is written while it is being written, and returns what the writer does. A digest
// of what was not written is of no more use.
func (d *digest) beside(write func([]byte) (int, error), p []byte) (int, error) {
	if len(p) < 16<<10 { // not worth the trouble
		n, err := write(p)
		d.Write(p[:n])
		return n, err
	}
	summed := make(chan struct{})
	go func() {
		defer close(summed)
		d.Write(p)
	}()
	n, err := write(p)
	<-summed
	return n, err
}

// String is the SHA-256 of all that came.
func (d *digest) String() string { return hex.EncodeToString(d.all.Sum(nil)) }

// segments are those of a file that grew.
func (d *digest) segments() []Segment {
	if d.tail == nil {
		return nil
	}
	return []Segment{
		{Bytes: d.split, SHA256: d.head},
		{Bytes: d.size - d.split, SHA256: hex.EncodeToString(d.tail.Sum(nil))},
	}
}
