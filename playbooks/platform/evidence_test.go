package platform

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"

	"clawback/snapshots"
)

var errDesk = errors.New("no space left on device")

// desk keeps what it is given, until it has no room.
type desk struct {
	room  int // bytes; less than 0: no file can be begun
	ends  bool
	got   bytes.Buffer
	files []snapshots.File
}

func (d *desk) Begin(snapshots.File) (io.Writer, error) {
	if d.room < 0 {
		return nil, errDesk
	}
	return d, nil
}

func (d *desk) Write(p []byte) (int, error) {
	n := min(len(p), d.room)
	d.got.Write(p[:n])
	if d.room -= n; n < len(p) {
		return n, errDesk
	}
	return n, nil
}

func (d *desk) End(f snapshots.File) error {
	d.files = append(d.files, f)
	if d.ends {
		return errDesk
	}
	return nil
}

// What is copied is summed up as far as it came. A source that fails costs its own file; a desk that
// cannot write costs the rest.
func TestEvidence(t *testing.T) {
	broken := errors.New("the connection broke")
	for name, c := range map[string]struct {
		desk    desk
		most    int64
		changed bool
		fails   error
		want    error
		verdict string
		bytes   string
		left    bool
	}{
		"all of it":        {desk: desk{room: 99}, most: 99, verdict: snapshots.Stable, bytes: "one two"},
		"just all":         {desk: desk{room: 7}, most: 7, verdict: snapshots.Stable, bytes: "one two"},
		"it changed":       {desk: desk{room: 99}, most: 99, changed: true, verdict: snapshots.Modified, bytes: "one two"},
		"it breaks":        {desk: desk{room: 99}, most: 99, fails: broken, verdict: snapshots.Timeout, bytes: "one two", left: true},
		"too much":         {desk: desk{room: 99}, most: 5, verdict: snapshots.Timeout, bytes: "one ", left: true},
		"no room":          {desk: desk{room: 4}, most: 99, want: ErrSink, verdict: snapshots.Timeout, bytes: "one ", left: true},
		"no end":           {desk: desk{room: 99, ends: true}, most: 99, want: ErrSink, verdict: snapshots.Stable, bytes: "one two"},
		"not even a begin": {desk: desk{room: -1}, most: 99, want: ErrSink},
	} {
		e := Collect(&c.desk, "toy", c.most)
		err := e.File("a/b", func(w io.Writer) (bool, error) {
			for _, part := range []string{"one ", "two"} {
				if _, err := io.WriteString(w, part); err != nil {
					return false, err
				}
			}
			return c.changed, c.fails
		})
		if !errors.Is(err, c.want) || c.want != nil && !errors.Is(err, errDesk) {
			t.Errorf("%s: %v", name, err)
		}
		out, err := e.End(t.Context(), err)
		if !errors.Is(err, c.want) || (len(out.Left) > 0) != c.left || c.left && !strings.HasPrefix(out.Left[0], "a/b: not all of it: ") {
			t.Errorf("%s: %v, left out %q", name, err, out.Left)
		}
		if c.verdict == "" {
			continue
		}
		sum := sha256.Sum256([]byte(c.bytes))
		f := c.desk.files[0]
		if f.Verdict != c.verdict || f.Source != "toy" || f.Size != int64(len(c.bytes)) || f.SHA256 != hex.EncodeToString(sum[:]) || c.desk.got.String() != c.bytes {
			t.Errorf("%s: %+v, on the desk %q", name, f, c.desk.got.String())
		}
	}
}

// No name leads out of its folder, and no two names to one file.
func TestFileName(t *testing.T) {
	seen := make(map[string]string)
	for _, name := range []string{"a", "a/b", "a%2Fb", "../../etc/passwd", "..", ".", "%2E.", "%2E"} {
		got := FileName("f", name, "")
		rest, ok := strings.CutPrefix(got, "f/")
		if was, twice := seen[got]; twice || !ok || strings.Contains(rest, "/") || rest == "." || rest == ".." {
			t.Errorf("%q is %q, as %q was", name, got, was)
		}
		seen[got] = name
	}
	if got := FileName("f", "queue", ".jsonl"); got != "f/queue.jsonl" {
		t.Error(got)
	}
}
