package snapshots

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"os"
	"syscall"

	"clawback/forensics/disk"
)

// spill takes what is too much for memory, in a file without a name. Its key is in memory alone, so
// that what is left of the file on the disk says nothing.
type spill struct {
	file disk.File
	key  cipher.Block
	next uint64 // number of the piece that comes next: no two are encrypted alike
	end  int64  // of what is in use
	buf  []byte
}

// spilled is where a piece is.
type spilled struct {
	number uint64
	at     int64
	size   int
}

// newSpill makes the file at a path and takes its name away, before anything is in it.
func newSpill(on disk.FS, path string) (*spill, error) {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails
	key, err := aes.NewCipher(secret[:])
	if err != nil {
		return nil, err
	}
	file, err := on.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := on.Remove(path); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &spill{file: file, key: key}, nil
}

func (s *spill) crypt(number uint64, out, in []byte) {
	var start [aes.BlockSize]byte
	binary.BigEndian.PutUint64(start[:], number)
	cipher.NewCTR(s.key, start[:]).XORKeyStream(out, in)
}

func (s *spill) put(piece []byte) (spilled, error) {
	at := spilled{s.next, s.end, len(piece)}
	s.buf = append(s.buf[:0], piece...)
	s.crypt(at.number, s.buf, s.buf)
	if _, err := s.file.WriteAt(s.buf, at.at); err != nil {
		return at, err
	}
	s.next++
	s.end += int64(len(piece))
	return at, nil
}

// get returns a piece, until the next call.
func (s *spill) get(at spilled) ([]byte, error) {
	s.buf = append(s.buf[:0], make([]byte, at.size)...)
	if _, err := s.file.ReadAt(s.buf, at.at); err != nil {
		return nil, err
	}
	s.crypt(at.number, s.buf, s.buf)
	return s.buf, nil
}

// reset forgets all pieces, so that their room is used again.
func (s *spill) reset() {
	if s != nil {
		s.end = 0
	}
}

func (s *spill) close() error {
	if s == nil {
		return nil
	}
	return s.file.Close()
}
