package discover

import (
	"cmp"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/klauspost/compress/zstd"

	"clawback/revoke/discover/sift"
)

// What one packed file may become. What lies beyond is a Problem.
const (
	maxExpanded = 128 << 20 // bytes of text
	maxPacked   = 128 << 20 // bytes that are read of the file
	maxFrame    = 32 << 20  // bytes that a zstd decoder keeps
	maxInside   = 20_000    // matches
)

// packed reports whether a name says that a file is compressed: some do not show it in their first bytes.
func packed(name string) bool {
	return slices.Contains([]string{".gz", ".zst", ".zstd"}, path.Ext(name))
}

// expanded makes the text that a compressed file holds, or that is encoded in UTF-16. It returns
// sift.ErrNoText where a file is neither.
func expanded(f io.ReaderAt) (io.ReadCloser, error) {
	var head [4]byte
	n, err := f.ReadAt(head[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	in := io.NewSectionReader(f, 0, maxPacked)
	switch text := string(head[:n]); {
	case strings.HasPrefix(text, "\x1f\x8b"):
		return gzip.NewReader(in)
	case text == "\x28\xb5\x2f\xfd":
		d, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxFrame), zstd.WithDecoderMaxWindow(maxFrame))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	case strings.HasPrefix(text, "\xff\xfe"):
		return io.NopCloser(&wide{in: in, order: binary.LittleEndian}), nil
	case strings.HasPrefix(text, "\xfe\xff"):
		return io.NopCloser(&wide{in: in, order: binary.BigEndian}), nil
	}
	return nil, sift.ErrNoText
}

// first searches the first window of a file, or all of one that is packed.
func (t *texts) first(s *sift.Searcher, f io.ReaderAt, name string) (text sift.File, r sift.Result, whole bool, err error) {
	whole = packed(name)
	for range 2 { // what its name says first, then the other
		if whole {
			r, err = searchExpanded(t.ctx, s, f, name, t.expands)
		} else {
			text, r, err = s.First(f, name)
		}
		if !errors.Is(err, sift.ErrNoText) {
			break
		}
		whole = !whole
	}
	return text, r, whole, err
}

// searchExpanded searches what a packed file becomes, up to most bytes, window by window, and holds no
// more of it. An error beside a result says why it ends early.
func searchExpanded(ctx context.Context, s *sift.Searcher, f io.ReaderAt, name string, most int64) (sift.Result, error) {
	in, err := expanded(f)
	if err != nil {
		return sift.Result{}, err
	}
	defer in.Close() // opened for reading only
	text := &ahead{in: in}
	file, all, err := s.First(text, strings.TrimSuffix(name, path.Ext(name)))
	for at := int64(sift.Step); err == nil; at += sift.Step {
		var more sift.Result
		more, err = s.Window(file, at)
		switch {
		case ctx.Err() != nil:
			return all, ctx.Err()
		case more.Bytes == 0 && err == nil:
			return all, nil
		case at >= most:
			return all, fmt.Errorf("it expands to more than %d bytes: the rest was not searched", most)
		case len(all.Matches) > maxInside:
			all.Limited = true
			return all, nil
		}
		for _, m := range more.Matches {
			m.Line += all.Lines
			all.Matches = append(all.Matches, m)
		}
		all.Bytes += more.Bytes
		all.Lines += more.Lines
		all.Limited = all.Limited || more.Limited
	}
	if err != nil && !errors.Is(err, sift.ErrNoText) {
		err = fmt.Errorf("compressed, and does not expand: %w: what follows was not searched", err)
	}
	return all, err
}

// ahead is a stream that is read in windows, each of which begins near the end of the one before.
type ahead struct {
	in   io.Reader
	buf  []byte
	from int64 // of buf in the stream
	err  error
}

func (a *ahead) ReadAt(p []byte, at int64) (int, error) {
	if at < a.from {
		return 0, errors.New("a stream is not read backwards")
	}
	if have := a.from + int64(len(a.buf)); at > have {
		return 0, cmp.Or(a.err, io.EOF)
	}
	for need := int(at-a.from) + len(p); len(a.buf) < need && a.err == nil; {
		a.buf = slices.Grow(a.buf, need-len(a.buf))
		var n int
		n, a.err = a.in.Read(a.buf[len(a.buf):need])
		a.buf = a.buf[:len(a.buf)+n]
	}
	n := copy(p, a.buf[at-a.from:])
	if old := len(a.buf) - sift.Step; old > sift.Step { // more than any window goes back
		a.from += int64(old)
		a.buf = a.buf[:copy(a.buf, a.buf[old:])]
	}
	if n < len(p) {
		return n, a.err
	}
	return n, nil
}

// wide makes UTF-8 of UTF-16. What is no character becomes U+FFFD.
type wide struct {
	in    io.Reader
	order binary.ByteOrder
	raw   [32 << 10]byte
	units []uint16
	text  []byte // made, and not yet read
	begun bool
	err   error
}

func (w *wide) Read(p []byte) (int, error) {
	for len(w.text) == 0 && w.err == nil {
		w.fill()
	}
	n := copy(p, w.text)
	w.text = w.text[n:]
	if n > 0 || len(p) == 0 {
		return n, nil
	}
	return 0, w.err
}

func (w *wide) fill() {
	n, err := io.ReadFull(w.in, w.raw[:])
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	w.err = err
	for i := 0; i+1 < n; i += 2 {
		w.units = append(w.units, w.order.Uint16(w.raw[i:]))
	}
	if !w.begun && len(w.units) > 0 {
		w.begun, w.units = true, w.units[1:] // the mark
	}
	last := len(w.units)
	if err == nil && last > 0 && w.units[last-1] >= 0xd800 && w.units[last-1] < 0xdc00 {
		last-- // the other half comes with the next part
	}
	w.text = []byte(string(utf16.Decode(w.units[:last])))
	w.units = append(w.units[:0], w.units[last:]...)
}
