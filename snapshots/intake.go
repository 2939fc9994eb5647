package snapshots

import (
	"fmt"
	"io"
)

// intake is a file on its way to the sink.
type intake struct {
	w      io.Writer
	sum    *digest
	shared bool // the sum is the sink's
}

// begin starts a file. What comes after its first opened bytes is a segment of its own.
func (c *capture) begin(f File, opened int64) (intake, error) {
	w, err := c.sink.Begin(f)
	if err != nil {
		return intake{}, fmt.Errorf("store %q: %w", f.Path, err)
	}
	if sum := summedBy(w); sum != nil {
		sum.split = opened
		return intake{w, sum, true}, nil
	}
	return intake{w: w, sum: newDigest(opened)}, nil
}

// summedBy is the digest of what a sink in this process makes of what it is given, so that once is
// enough; nil for one that makes none.
func summedBy(w io.Writer) *digest {
	for {
		switch at := w.(type) {
		case *arrivalWriter:
			return at.open.sum
		case interface{ Unwrap() io.Writer }: // passes on all that it is given
			w = at.Unwrap()
		default:
			return nil
		}
	}
}

// write hands a piece to the sink, and sums it up.
func (in *intake) write(data []byte) (err error) {
	if in.shared {
		_, err = in.w.Write(data)
		return err
	}
	_, err = in.sum.beside(in.w.Write, data)
	return err
}
