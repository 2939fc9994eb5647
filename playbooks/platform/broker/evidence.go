package broker

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"clawback/snapshots"
)

// evidence writes what is copied of one broker, and keeps it within bounds.
type evidence struct {
	sink  snapshots.Sink
	left  int64 // bytes that may still come
	began time.Time
	out   snapshots.Captured
}

func collect(sink snapshots.Sink) *evidence {
	return &evidence{sink: sink, left: maxBytes, began: time.Now()}
}

// errFull means that a bound is reached: what came before it is whole.
var errFull = errors.New("more than is taken of one broker")

// errSink means that the desk could not write.
var errSink = errors.New("the evidence could not be written")

// file copies one queue. write says what of it was left out in its error; what it wrote until then
// is kept all the same. The queue may have changed meanwhile where changed says so.
func (e *evidence) file(name string, write func(w io.Writer) (changed bool, err error)) error {
	f := snapshots.File{Path: name, Source: "broker", Mode: 0o100600}
	w, err := e.sink.Begin(f)
	if err != nil {
		return fmt.Errorf("%w: %w", errSink, err)
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
		return fmt.Errorf("%w: %w", errSink, err)
	}
	if errors.Is(failed, errSink) {
		return failed
	}
	return nil
}

// json writes what is known of a queue besides its messages.
func (e *evidence) json(name string, v any) error {
	return e.file(name, func(w io.Writer) (bool, error) {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return false, enc.Encode(v)
	})
}

func (e *evidence) skip(format string, args ...any) {
	e.out.Left = append(e.out.Left, fmt.Sprintf(format, args...))
}

func (e *evidence) end(ctx context.Context, err error) (snapshots.Captured, error) {
	e.out.Took = time.Since(e.began)
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return e.out, err
}

type bounded struct {
	e   *evidence
	w   io.Writer
	sum hash.Hash
	n   int64
}

func (b *bounded) Write(p []byte) (int, error) {
	if int64(len(p)) > b.e.left {
		return 0, errFull
	}
	n, err := b.w.Write(p)
	b.n, b.e.left = b.n+int64(n), b.e.left-int64(n)
	b.sum.Write(p[:n])
	if err != nil {
		err = fmt.Errorf("%w: %w", errSink, err)
	}
	return n, err
}

// value is bytes of a message, readable where they are text.
type value []byte

// MarshalJSON writes a string, or for what is no text {"base64": …}.
func (v value) MarshalJSON() ([]byte, error) {
	if utf8.Valid(v) {
		return json.Marshal(string(v))
	}
	return json.Marshal(map[string]string{"base64": base64.StdEncoding.EncodeToString(v)})
}

// line writes one line of JSON.
func line(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// fileName is the name of a queue as a file below a folder: it may hold slashes.
func fileName(folder, queue, ext string) string {
	safe := strings.NewReplacer("%", "%25", "/", "%2F").Replace(queue)
	if safe == "." || safe == ".." {
		safe = "%2E" + safe[1:]
	}
	return folder + "/" + safe + ext
}
