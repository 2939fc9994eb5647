package snapshots

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"runtime"
	"slices"
	"sync"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"

	"clawback/forensics/disk"
)

const (
	frameSize     = 2 << 20   // bytes of the tar stream in one frame: half of it took 4 to 8 % longer
	encoderWindow = 128 << 10 // bytes; more is slower and packs an agent's files no better
	maxWorkers    = 8         // that compress
	maxWaiting    = 32 << 20  // compressed bytes of an open file that wait in memory for its size to be known
	maxTagBytes   = 8 << 20   // the same, of the index and of the manifest
)

// frame is a piece of the tar stream, compressed on its own.
type frame struct {
	size   int // bytes of the stream
	times  int // that it stands there in a row
	packed []byte
	aside  *spilled      // in place of packed
	done   chan struct{} // closed when it is compressed
}

// packer makes a package of a tar stream. Its methods are for one goroutine.
type packer struct {
	frame    int // bytes of the stream in one
	out      io.Writer
	lock     io.Closer // flushes what is encrypted; nil: in the clear
	behind   *behind   // to the file and its sum
	file     disk.File
	sum      hash.Hash // of the file
	table    seekTable
	encoder  *zstd.Encoder
	jobs     chan job
	workers  sync.WaitGroup
	buffers  chan []byte // empty ones; as many as there are bound the memory
	loose    []byte      // end of the stream, not yet a frame
	queue    []*frame    // compressed or being so, in the order of the stream
	zero     *frame      // of nothing but zeros
	spillAt  func() (*spill, error)
	contents []*waiting
}

type job struct {
	frame *frame
	raw   []byte
}

func newPacker(file disk.File, info Info, spillAt func() (*spill, error)) (*packer, error) {
	n := min(runtime.GOMAXPROCS(0), maxWorkers)
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(n),
		zstd.WithWindowSize(encoderWindow), zstd.WithEncoderCRC(true), zstd.WithZeroFrames(true))
	if err != nil {
		return nil, err
	}
	p := &packer{frame: cmp.Or(info.frame, frameSize), file: file, sum: sha256.New(), encoder: encoder, spillAt: spillAt, jobs: make(chan job, n), buffers: make(chan []byte, 2*n+4)}
	p.behind = writeBehind(io.MultiWriter(file, p.sum))
	p.out = p.behind
	if len(info.Recipients) > 0 {
		locked, err := age.Encrypt(p.behind, info.Recipients...)
		if err != nil {
			return nil, errors.Join(err, p.behind.Close())
		}
		p.out, p.lock = locked, locked
	}
	for range cap(p.buffers) {
		p.buffers <- nil // made when it is used
	}
	for range n {
		p.workers.Go(p.compress)
	}
	p.loose = p.buffer()
	p.zero = &frame{size: p.frame, packed: encoder.EncodeAll(make([]byte, p.frame), nil)}
	return p, nil
}

func (p *packer) compress() {
	var out []byte
	for j := range p.jobs {
		out = p.encoder.EncodeAll(j.raw, out[:0])
		j.frame.packed = slices.Clone(out)
		close(j.frame.done)
		p.buffers <- j.raw[:0]
	}
}

func (p *packer) buffer() []byte {
	b := <-p.buffers
	if b == nil {
		b = make([]byte, 0, p.frame)
	}
	return b
}

// cut makes a frame of a buffer and returns an empty one.
func (p *packer) cut(raw []byte) (*frame, []byte) {
	f := &frame{size: len(raw), times: 1, done: make(chan struct{})}
	p.jobs <- job{f, raw}
	return f, p.buffer()
}

// write adds to the stream what is small, or whose size was known before.
func (p *packer) write(text []byte) error {
	for len(text) > 0 {
		n := copy(p.loose[len(p.loose):p.frame], text)
		p.loose, text = p.loose[:len(p.loose)+n], text[n:]
		if len(p.loose) < p.frame {
			continue
		}
		if err := p.flush(); err != nil {
			return err
		}
	}
	return nil
}

// flush ends the frame that small things gather in.
func (p *packer) flush() error {
	if len(p.loose) == 0 {
		return nil
	}
	var f *frame
	f, p.loose = p.cut(p.loose)
	p.queue = append(p.queue, f)
	return p.drain(2 * maxWorkers)
}

// drain writes what waits, but for the newest frames, which may still be compressed.
func (p *packer) drain(keep int) error {
	for len(p.queue) > keep {
		f := p.queue[0]
		p.queue[0] = nil
		p.queue = p.queue[1:]
		<-f.done
		if err := p.put(f.packed, f.size, 1); err != nil {
			return err
		}
	}
	return nil
}

// put writes a frame.
func (p *packer) put(packed []byte, size, times int) error {
	for range times {
		if err := p.table.add(packed, size); err != nil {
			return err
		}
		if _, err := p.out.Write(packed); err != nil {
			return err
		}
	}
	return nil
}

// finish writes the end of the stream and the table of its frames, and returns the SHA-256 of the
// package. The file is still to be synced.
func (p *packer) finish() (digest string, err error) {
	if err := p.write(tarEnd); err != nil {
		return "", err
	}
	if err := p.flush(); err != nil {
		return "", err
	}
	if err := p.drain(0); err != nil {
		return "", err
	}
	if _, err := p.out.Write(p.table.frame()); err != nil {
		return "", err
	}
	if p.lock != nil {
		if err := p.lock.Close(); err != nil {
			return "", err
		}
	}
	if err := p.behind.Close(); err != nil {
		return "", err
	}
	return hex.EncodeToString(p.sum.Sum(nil)), nil
}

// close ends the workers and the files.
func (p *packer) close() error {
	close(p.jobs)
	p.workers.Wait()
	var errs []error
	for _, c := range p.contents {
		errs = append(errs, c.spill.close())
	}
	_ = p.behind.Close() // which a finished package has told
	return errors.Join(append(errs, p.file.Close())...)
}
