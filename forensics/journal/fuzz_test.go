package journal

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"clawback/forensics/disk/disktest"
)

// FuzzOpen reads, follows and re-opens any bytes as a record: all three see the same lines, and
// re-opening loses none of them.
func FuzzOpen(f *testing.F) {
	_, whole := written(f, 3)
	for _, seed := range [][]byte{nil, whole, whole[:len(whole)-5], append(bytes.Clone(whole), 0, 0), []byte("{}\n"), nl,
		[]byte(`{"v":1,"seq":1,"time":"2026-11-22T02:17:00.001Z","type":"note","prev":"","payload":{"sha256":"` + hashLine(nil) + `","bytes":7}}` + "\n")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		dir := t.TempDir()
		overwrite(t, dir, content)
		var lines []byte
		var fault error
		for e, err := range Read(dir) {
			if fault = err; err == nil {
				lines = append(append(lines, e.Line()...), '\n')
				_ = e.Decode(new(any))
			}
		}
		if !bytes.HasPrefix(content, lines) || fault == nil && len(lines) != len(content) {
			t.Fatalf("%q was read as %q, %v", content, lines, fault)
		}
		followed(t, dir, lines, fault)

		d, err := disktest.New(dir) // does not wait for fsyncs
		if err != nil {
			t.Fatal(err)
		}
		j, cut, err := OpenOn(d, dir, Holder{}, ticking())
		rest := content[len(lines):]
		if torn := bytes.IndexByte(rest, '\n') < 0; (err == nil) != torn {
			t.Fatalf("Open returned %v, and behind the last whole line is %q", err, rest)
		}
		if err != nil {
			if got := content0(t, dir); !bytes.Equal(got, content) {
				t.Fatalf("it was changed to %q", got)
			}
			return
		}
		if int(cut) != len(rest) {
			t.Errorf("%d bytes cut of %q", cut, rest)
		}
		if err := errors.Join(j.Append(t.Context(), "note", nil), j.Close()); err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(content0(t, dir), lines) {
			t.Fatal("lines were lost")
		}
		for _, err := range Read(dir) {
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}

func followed(t *testing.T, dir string, lines []byte, fault error) {
	t.Helper()
	for c := Follow(dir); ; {
		e, err := c.Next(t.Context())
		if err != nil {
			if len(lines) > 0 || (err == io.EOF) != (fault == nil) {
				t.Fatalf("a follower ended with %v before %q, and a reader with %v", err, lines, fault)
			}
			return
		}
		rest, same := bytes.CutPrefix(lines, append(bytes.Clone(e.Line()), '\n'))
		if !same {
			t.Fatalf("a follower saw %s instead of %q", e.Line(), lines)
		}
		lines = rest
	}
}

// FuzzPayload loads any bytes as a payload of their own digest.
func FuzzPayload(f *testing.F) {
	for _, seed := range []string{`{"a":1}`, `{"a":1,"a":2}`, `"\u0000"`, `[[[`, `{"k":1,"K":2}`} {
		f.Add([]byte(seed))
	}
	dir := f.TempDir()
	if err := os.Mkdir(filepath.Join(dir, PayloadFolder), 0o700); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p := Payload{hashLine(b), int64(len(b))}
		path := filepath.Join(dir, p.name())
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.Remove(path) }()
		e := Entry{Seq: 1, Type: "note", Payload: &p, from: &payloadFolder{dir: dir}}
		got, err := e.Content()
		if err == nil && !bytes.Equal(got, b) {
			t.Errorf("%q was loaded as %q", b, got)
		}
	})
}
