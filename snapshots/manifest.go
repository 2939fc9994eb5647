package snapshots

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
)

const (
	maxManifestLine = digestSize + 2 + len(payload) + 2*maxStored + 1
	maxIndexLine    = 8 << 20
)

// manifest is a parsed manifest: hash by name.
type manifest map[string]string

// parseManifest reads a manifest as strictly as Seal writes it: one way to say a thing, so that
// no changed bit means the same. It reports each faulty line and goes on with the next.
func parseManifest(r io.Reader, fault func(string)) manifest {
	m := manifest{}
	for n, line := range lines(r, maxManifestLine, fault) {
		digest, name, ok := cutManifestLine(line)
		switch {
		case !ok:
			fault(fmt.Sprintf("line %d is not a SHA-256, two spaces, a name and a line end", n))
		case m[name] != "":
			fault(fmt.Sprintf("line %d names %s for the second time", n, name))
		default:
			m[name] = digest
		}
	}
	return m
}

func cutManifestLine(line string) (digest, name string, ok bool) {
	line, ok = strings.CutSuffix(line, "\n")
	if !ok || len(line) < digestSize+3 {
		return "", "", false
	}
	digest, name = line[:digestSize], line[digestSize+2:]
	if !isDigest(digest) || line[digestSize:digestSize+2] != "  " || !validStored(name) {
		return "", "", false
	}
	return digest, name, true
}

func isDigest(s string) bool {
	return len(s) == digestSize && strings.Trim(s, "0123456789abcdef") == ""
}

// lines yields the lines of r with their line ends, counted from 1, and stops at one that is
// longer than limit or cannot be read.
func lines(r io.Reader, limit int, fault func(string)) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		buf := bufio.NewReaderSize(r, 64<<10)
		for n := 1; ; n++ {
			line, err := readLine(buf, limit)
			if errors.Is(err, io.EOF) && line == "" {
				return
			}
			if err != nil && !errors.Is(err, io.EOF) {
				fault(fmt.Sprintf("line %d: %v", n, err))
				return
			}
			if !yield(n, line) {
				return
			}
		}
	}
}

var errLongLine = errors.New("longer than any line that belongs here")

func readLine(r *bufio.Reader, limit int) (string, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > limit {
			return "", errLongLine
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return string(line), err
		}
	}
}

// parseIndex yields the entries of an index and ends after the first error.
func parseIndex(r io.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		broken := ""
		for n, line := range lines(r, maxIndexLine, func(s string) { broken = s }) {
			e, err := parseEntry(line)
			if err != nil {
				yield(Entry{}, fmt.Errorf("line %d: %w", n, err))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
		if broken != "" {
			yield(Entry{}, errors.New(broken))
		}
	}
}

func parseEntry(line string) (e Entry, err error) {
	if !strings.HasSuffix(line, "\n") {
		return e, errors.New("cut off")
	}
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		return e, err
	}
	switch {
	case e.Stored == "" && (e.Bytes != 0 || e.SHA256 != ""):
		return e, errors.New("content without a name in the bag")
	case e.Stored != "" && (!validStored(e.Stored) || !isDigest(e.SHA256) || e.Bytes < 0):
		return e, errors.New("no valid name, size or hash")
	}
	return e, nil
}
