package snapshots

import (
	"io"
	"sync"
	"sync/atomic"
)

const (
	behindSize  = 256 << 10 // bytes that are written at once
	behindCount = 8         // of which so many wait at most
)

// behind writes what it is given in order and a little later, so that who compresses does not wait for
// the disk. What could not be written is an error of a later call, of Close at the latest.
type behind struct {
	to      io.Writer
	next    []byte // what gathers
	full    chan []byte
	empty   chan []byte
	failed  atomic.Pointer[error]
	writing sync.WaitGroup
	closed  bool
}

func writeBehind(to io.Writer) *behind {
	b := &behind{to: to, full: make(chan []byte, behindCount), empty: make(chan []byte, behindCount)}
	for range behindCount {
		b.empty <- nil // made when it is used
	}
	b.writing.Go(b.write)
	return b
}

func (b *behind) write() {
	for piece := range b.full {
		if b.failed.Load() == nil { // nothing follows a gap
			if _, err := b.to.Write(piece); err != nil {
				b.failed.Store(&err)
			}
		}
		b.empty <- piece[:0]
	}
}

// Write takes p, which it copies.
func (b *behind) Write(p []byte) (n int, err error) {
	for n < len(p) {
		if b.next == nil {
			if b.next = <-b.empty; b.next == nil {
				b.next = make([]byte, 0, behindSize)
			}
		}
		if err := b.failed.Load(); err != nil {
			return n, *err
		}
		m := copy(b.next[len(b.next):behindSize], p[n:])
		b.next = b.next[:len(b.next)+m]
		n += m
		if len(b.next) == behindSize {
			b.full <- b.next
			b.next = nil
		}
	}
	return n, nil
}

// Close writes what is left, and returns what of all could not be written. Once more it does nothing.
func (b *behind) Close() error {
	if !b.closed {
		b.closed = true
		if len(b.next) > 0 {
			b.full <- b.next
		}
		close(b.full)
		b.writing.Wait()
	}
	if err := b.failed.Load(); err != nil {
		return *err
	}
	return nil
}
