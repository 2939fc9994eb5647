package snapshots

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// PartMemory is the part of the evidence that Capture does not take: an image of the machine's memory, which
// a program of the team's own makes. See CaptureImage.
const PartMemory = "memory"

// memoryImage is what an image of a machine's memory is called in the evidence.
const memoryImage = "memory/image.lime"

// errNoImage means that a program which images memory gave nothing.
var errNoImage = errors.New("not one byte of it came")

// CaptureImage takes the image of a machine's memory into sink while it comes. ended waits for the program
// that makes it and says how it ended: an image that broke off is kept and said to be broken. An error means
// that there is none, or that sink refused.
func CaptureImage(ctx context.Context, image io.Reader, ended func() error, sink Sink) (Captured, error) {
	started := time.Now()
	f := File{Path: memoryImage, Source: "memory", Verdict: Modified,
		Problem: "the machine went on while its memory was imaged: it is of no one moment"}
	from := bufio.NewReaderSize(image, chunkSize)
	if _, err := from.Peek(1); err != nil {
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return Captured{}, errors.Join(errNoImage, err, ended(), context.Cause(ctx))
	}
	w, err := sink.Begin(f)
	if err != nil {
		return Captured{}, errors.Join(fmt.Errorf("store %q: %w", f.Path, err), ended())
	}
	to := &imageWriter{sink: w, sum: newDigest(math.MaxInt64)}
	_, broken := io.Copy(to, from)
	broken = errors.Join(broken, ended())
	if to.refused != nil {
		return Captured{}, fmt.Errorf("store %q: %w", f.Path, to.refused)
	}
	c := Captured{Files: 1, Bytes: to.sum.size}
	f.Bytes, f.SHA256 = to.sum.size, to.sum.String()
	switch {
	case ctx.Err() != nil:
		f.Verdict, broken = Timeout, context.Cause(ctx)
	case broken != nil:
		f.Verdict = Failed
	}
	if broken != nil {
		f.note("it broke off: " + broken.Error())
		c.Left = []string{fmt.Sprintf("%q: the rest of it: %v", f.Path, broken)}
	}
	c.Took = time.Since(started)
	if err := sink.End(f); err != nil {
		return c, fmt.Errorf("store %q: %w", f.Path, err)
	}
	return c, nil
}

// imageWriter hashes what it hands on, and remembers whether it was the sink that failed.
type imageWriter struct {
	sink    io.Writer
	sum     *digest
	refused error
}

func (w *imageWriter) Write(p []byte) (int, error) {
	n, err := w.sum.beside(w.sink.Write, p)
	w.refused = err
	return n, err
}
