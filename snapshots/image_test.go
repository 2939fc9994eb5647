package snapshots

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestCaptureImage(t *testing.T) {
	broke := errors.New("exit status 1: no kcore")
	nothing := func() error { return nil }
	bytes := strings.Repeat("page", 200_000)
	for name, tc := range map[string]struct {
		image   io.Reader
		ended   func() error
		verdict string
		left    string // of what is said to be missing
		none    string // of the error where there is no image
	}{
		"whole":                     {strings.NewReader(bytes), nothing, Modified, "", ""},
		"the program fails after":   {strings.NewReader(bytes), func() error { return broke }, Failed, "no kcore", ""},
		"it cannot be read further": {io.MultiReader(strings.NewReader(bytes), failingReader{broke}), nothing, Failed, "no kcore", ""},
		"nothing came":              {strings.NewReader(""), nothing, "", "", "not one byte"},
		"the program fails at once": {strings.NewReader(""), func() error { return broke }, "", "", "no kcore"},
		"it cannot be read at all":  {failingReader{broke}, nothing, "", "", "no kcore"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory(t)
			c, err := CaptureImage(t.Context(), tc.image, tc.ended, m)
			if tc.none != "" {
				if err == nil || !strings.Contains(err.Error(), tc.none) || len(m.files) > 0 {
					t.Errorf("%v %+v", err, m.files)
				}
				return
			}
			must(t, err)
			if f := m.files[memoryImage]; f.Verdict != tc.verdict || m.content[memoryImage] != bytes || c.Bytes != int64(len(bytes)) {
				t.Errorf("%+v %+v", f, c)
			}
			if missing := strings.Join(c.Left, ""); (missing != "") != (tc.left != "") || !strings.Contains(missing, tc.left) {
				t.Errorf("left %q", missing)
			}
		})
	}
}

func TestCaptureImageUntilTheTimeIsUp(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	m := newMemory(t)
	late := errors.New("30m are up")
	c, err := CaptureImage(ctx, io.MultiReader(strings.NewReader("page"), readerFunc(func([]byte) (int, error) { cancel(late); return 0, io.EOF })), func() error { return ctx.Err() }, m)
	if f := m.files[memoryImage]; err != nil || f.Verdict != Timeout || len(c.Left) != 1 || !strings.Contains(c.Left[0], "30m are up") {
		t.Errorf("%v %+v %+v", err, f, c)
	}
}

func TestCaptureImageEndsWhereTheDeskCannotWrite(t *testing.T) {
	full := errors.New("no space left")
	for name, sink := range map[string]Sink{"begin": &brokenSink{begin: full}, "write": &brokenSink{write: full}, "end": &brokenSink{end: full}} {
		waited := false
		_, err := CaptureImage(t.Context(), strings.NewReader("page"), func() error { waited = true; return nil }, sink)
		if !errors.Is(err, full) || !waited {
			t.Errorf("%s: %v, waited %v", name, err, waited)
		}
	}
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
