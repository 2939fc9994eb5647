package snapshots

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

const (
	zstdMagic  = 0xFD2FB528
	maxBlock   = 128 << 10 // bytes, by RFC 8878
	maxPacked  = frameSize + 4<<10
	rleBlock   = 1
	badBlock   = 3
	blockBytes = 3 // of a block's header
)

var (
	errFrame    = errors.New("a frame is not one that a package has")
	errTable    = errors.New("its frames are not those of the table at its end")
	errTrailing = errors.New("something follows its end")
	errBomb     = errors.New("it holds more than a package does")
)

// frames reads the tar stream of a package, whose frames have to be such as a packer writes. All
// that it takes is bounded, whoever made the package.
type frames struct {
	in      *bufio.Reader
	decoder *zstd.Decoder
	table   seekTable
	packed  []byte
	raw     []byte // of the frame
	rest    []byte // of raw
	left    int64  // bytes that it may still hold
	err     error
}

func newFrames(in io.Reader, most int64) (*frames, error) {
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(frameSize), zstd.WithDecoderMaxWindow(frameSize),
		zstd.WithDecoderLowmem(true), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	return &frames{in: bufio.NewReaderSize(in, 64<<10), decoder: decoder, left: most}, nil
}

func (f *frames) Read(b []byte) (int, error) {
	for len(f.rest) == 0 {
		if f.err == nil {
			f.err = f.next()
		}
		if f.err != nil {
			return 0, f.err
		}
	}
	n := copy(b, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

// next reads a frame, or the table that stands behind all of them.
func (f *frames) next() error {
	head, err := f.in.Peek(4)
	if err != nil {
		return cutOff(err)
	}
	if binary.LittleEndian.Uint32(head) == skippableMagic {
		return f.end()
	}
	f.packed = f.packed[:0]
	size, err := f.walk()
	if err != nil {
		return err
	}
	if f.left -= int64(size); f.left < 0 {
		return errBomb
	}
	if f.raw, err = f.decoder.DecodeAll(f.packed, f.raw[:0]); err != nil {
		return fmt.Errorf("a frame does not decompress: %w", err)
	}
	if len(f.raw) != size {
		return errFrame
	}
	f.rest = f.raw
	return f.table.add(f.packed, size)
}

// walk reads a frame as a whole, without decompressing it, and returns the size of its content.
// Source: RFC 8878, section 3.1.1
func (f *frames) walk() (size int, err error) {
	head, err := f.take(5)
	if err != nil {
		return 0, err
	}
	flags := head[4]
	single, width := flags&(1<<5) != 0, 1<<(flags>>6)
	if binary.LittleEndian.Uint32(head) != zstdMagic || flags&0b11111 != 1<<2 || width == 8 || width == 1 && !single { // a checksum, no dictionary, nothing reserved
		return 0, errFrame
	}
	if !single {
		if _, err := f.take(1); err != nil { // of the window
			return 0, err
		}
	}
	field, err := f.take(width)
	if err != nil {
		return 0, err
	}
	switch width {
	case 1:
		size = int(field[0])
	case 2:
		size = int(binary.LittleEndian.Uint16(field)) + 256
	default:
		size = int(binary.LittleEndian.Uint32(field))
	}
	if size == 0 || size > frameSize {
		return 0, errFrame
	}
	for last := false; !last; {
		h, err := f.take(blockBytes)
		if err != nil {
			return 0, err
		}
		block := uint32(h[0]) | uint32(h[1])<<8 | uint32(h[2])<<16
		last = block&1 != 0
		kind, n := block>>1&3, int(block>>3)
		if kind == badBlock || n > maxBlock {
			return 0, errFrame
		}
		if kind == rleBlock {
			n = 1
		}
		if _, err := f.take(n); err != nil {
			return 0, err
		}
	}
	_, err = f.take(4) // the checksum
	return size, err
}

// take reads the next n bytes of a frame.
func (f *frames) take(n int) ([]byte, error) {
	at := len(f.packed)
	if at+n > maxPacked {
		return nil, errFrame
	}
	f.packed = append(f.packed, make([]byte, n)...)
	if _, err := io.ReadFull(f.in, f.packed[at:]); err != nil {
		return nil, cutOff(err)
	}
	return f.packed[at:], nil
}

// end checks the table of the frames, behind which nothing follows.
func (f *frames) end() error {
	want := f.table.frame()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(f.in, got); err != nil {
		return cutOff(err)
	}
	if !bytes.Equal(got, want) {
		return errTable
	}
	switch _, err := f.in.ReadByte(); {
	case err == nil:
		return errTrailing
	case !errors.Is(err, io.EOF):
		return err
	}
	return io.EOF
}

// cutOff is an error of reading where more had to come.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it is cut off")
	}
	return err
}
