// Package deposit puts sealed evidence where whoever has this desk cannot change it: in buckets that
// lock what they are given, and in directories such as a mounted WORM share. What it says of a file
// it has read back from there.
package deposit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"

	"clawback/forensics/disk"
	"clawback/forensics/incident"
)

// Place is somewhere to put evidence. Nothing that lies there is ever replaced or removed.
type Place interface {
	Kind() string                  // "directory", "s3"
	Folder(incident string) string // where the files of an incident lie, as people write it
	// Put puts a file into the folder of an incident and reads it back. A file that lies there already
	// with the same content is read back instead; with other content it is an error. hold puts it under
	// a legal hold, where the place has such a thing. With an error nothing is proved.
	Put(ctx context.Context, incident string, f File, hold bool) (incident.DepositedFile, error)
}

// ErrOther means that a place holds other content under the same name.
var ErrOther = errors.New("other content lies there under this name")

// File is a file of this desk, with what it has to hold.
type File struct {
	Path   string
	SHA256 string // hex
	Bytes  int64
}

// Name is what it is called in a place.
func (f File) Name() string { return filepath.Base(f.Path) }

// Look reads a file to learn what it holds.
func Look(ctx context.Context, path string) (File, error) {
	in, err := disk.OpenRegular(path)
	if err != nil {
		return File{}, err
	}
	defer func() { _ = in.Close() }()
	digest, n, err := digestOf(ctx, in)
	if err != nil {
		return File{}, fmt.Errorf("read %s: %w", path, err)
	}
	return File{path, digest, n}, nil
}

// open opens the file, which has to be as long as it was.
func (f File) open() (*os.File, error) {
	in, err := disk.OpenRegular(f.Path)
	if err != nil {
		return nil, err
	}
	if info, err := in.Stat(); err != nil || info.Size() != f.Bytes {
		_ = in.Close()
		return nil, fmt.Errorf("%s has another size than it had: %w", f.Path, errors.Join(err, ErrOther))
	}
	return in, nil
}

// is compares what was read back with what has to be there.
func (f File) is(digest string, n int64) error {
	if digest != f.SHA256 || n != f.Bytes {
		return fmt.Errorf("%w: %d bytes with the SHA-256 %s, not %d bytes with %s", ErrOther, n, digest, f.Bytes, f.SHA256)
	}
	return nil
}

// sum is a SHA-256 in the making.
type sum struct{ hash.Hash }

func newSum() sum { return sum{sha256.New()} }

func (s sum) hex() string { return hex.EncodeToString(s.Sum(nil)) }

// digestOf reads to the end, or until ctx is done.
func digestOf(ctx context.Context, r io.Reader) (string, int64, error) {
	sum := newSum()
	n, err := io.CopyBuffer(struct{ io.Writer }{sum}, stoppable{ctx, r}, make([]byte, 1<<20))
	return sum.hex(), n, err
}

// stoppable is a reader that ends with its context.
type stoppable struct {
	ctx context.Context
	r   io.Reader
}

func (s stoppable) Read(b []byte) (int, error) {
	if err := context.Cause(s.ctx); err != nil {
		return 0, err
	}
	return s.r.Read(b)
}

// checkIncident refuses a name that would lead out of its folder.
func checkIncident(name string) error {
	if strings.ContainsAny(name, "/\x00") || strings.Trim(name, ".") == "" {
		return fmt.Errorf("%q cannot name a folder", name)
	}
	return nil
}
