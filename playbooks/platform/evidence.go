package platform

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"

	"clawback/snapshots"
)

// Evidence writes what the desk copies of something beside the host, and keeps it within bounds.
type Evidence struct {
	sink   snapshots.Sink
	source string
	left   int64 // bytes that may still come
	began  time.Time
	out    snapshots.Captured
}

// Collect writes files of a source ("broker") to a sink, of at most so many bytes in all.
func Collect(sink snapshots.Sink, source string, most int64) *Evidence {
	return &Evidence{sink: sink, source: source, left: most, began: time.Now()}
}

// ErrFull means that a bound is reached: what came before it is whole.
var ErrFull = errors.New("more than is taken of it")

// ErrSink means that the desk could not write.
var ErrSink = errors.New("the evidence could not be written")

// File copies one thing. write says what of it was left out in its error; what it wrote until then
// is kept all the same. It may have changed meanwhile where changed says so.
func (e *Evidence) File(name string, write func(w io.Writer) (changed bool, err error)) error {
	f := snapshots.File{Path: name, Source: e.source, Mode: 0o100600}
	w, err := e.sink.Begin(f)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSink, err)
	}
	b := &bounded{e: e, w: w, sum: sha256.New()}
	changed, failed := write(b)
	f.Bytes, f.Size, f.SHA256, f.Verdict = b.n, b.n, hex.EncodeToString(b.sum.Sum(nil)), snapshots.Stable
	switch {
	case failed != nil:
		f.Verdict, f.Problem = snapshots.Timeout, "not all of it: "+failed.Error()
		e.out.Left = append(e.out.Left, fmt.Sprintf("%s: not all of it: %v", name, failed))
	case changed:
		f.Verdict, f.Problem = snapshots.Modified, "it changed while it was read"
	}
	e.out.Files++
	e.out.Bytes += b.n
	if err := e.sink.End(f); err != nil {
		return fmt.Errorf("%w: %w", ErrSink, err)
	}
	if errors.Is(failed, ErrSink) {
		return failed
	}
	return nil
}

// JSON writes what is known of a thing besides its content.
func (e *Evidence) JSON(name string, v any) error {
	return e.File(name, func(w io.Writer) (bool, error) {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return false, enc.Encode(v)
	})
}

// Skip says what is left out.
func (e *Evidence) Skip(format string, args ...any) {
	e.out.Left = append(e.out.Left, fmt.Sprintf(format, args...))
}

// Problem says what is to be known of what was copied.
func (e *Evidence) Problem(format string, args ...any) {
	e.out.Problems = append(e.out.Problems, fmt.Sprintf(format, args...))
}

// End is what was copied, up to the error that ended it.
func (e *Evidence) End(ctx context.Context, err error) (snapshots.Captured, error) {
	e.out.Took = time.Since(e.began)
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return e.out, err
}

type bounded struct {
	e   *Evidence
	w   io.Writer
	sum hash.Hash
	n   int64
}

func (b *bounded) Write(p []byte) (int, error) {
	if int64(len(p)) > b.e.left {
		return 0, ErrFull
	}
	n, err := b.w.Write(p)
	b.n, b.e.left = b.n+int64(n), b.e.left-int64(n)
	b.sum.Write(p[:n])
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrSink, err)
	}
	return n, err
}

// FileName is the name of a thing as a file below a folder: it may hold slashes.
func FileName(folder, name, ext string) string {
	safe := strings.NewReplacer("%", "%25", "/", "%2F").Replace(name)
	if safe == "." || safe == ".." {
		safe = "%2E" + safe[1:]
	}
	return folder + "/" + safe + ext
}
