package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
)

// record writes n entries and returns their lines.
func record(t testing.TB, n int) [][]byte {
	t.Helper()
	d := newDisk(t)
	j := start(d, &payloadMemory{}, nil, ticking())
	for i := range n {
		if err := j.Note("note", step{fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return bytes.SplitAfter(bytes.TrimSuffix(d.content(t), []byte("\n")), []byte("\n"))
}

// readAll counts what is read of a record before its first fault.
func readAll(content []byte) (n int, err error) {
	read(bytes.NewReader(content), nil, func(_ Entry, fault error) bool {
		if err = fault; err == nil {
			n++
		}
		return true
	})
	return n, err
}

func TestReadNoticesEveryChange(t *testing.T) {
	lines := record(t, 5)
	whole := append(bytes.Join(lines, nil), '\n')
	if n, err := readAll(whole); n != 5 || err != nil {
		t.Fatalf("the record itself: %d entries, %v", n, err)
	}
	end := lines[4]
	tests := map[string]struct {
		content []byte
		entries int // that hold
		says    string
	}{
		"removed":           {join(lines[0], lines[1], lines[3], end, nl), 2, "line 3: entry 4 stands where entry 3 belongs"},
		"removed first":     {join(lines[1:]...), 0, "line 1: entry 2 stands where entry 1 belongs"},
		"swapped":           {join(lines[0], lines[2], lines[1], lines[3], end, nl), 1, "entry 3 stands where entry 2"},
		"twice":             {join(lines[0], lines[1], lines[1], lines[2]), 2, "entry 2 stands where entry 3"},
		"data":              {bytes.Replace(whole, []byte(`"step":"2"`), []byte(`"step":"7"`), 1), 3, "line 4: entry 4 does not carry the hash of entry 3"},
		"hash":              {replaceIn(lines, 2, `"prev":"`, `"prev":"0`), 2, "does not carry the hash"},
		"first has a prev":  {replaceIn(lines, 0, `"prev":""`, `"prev":"00"`), 0, "the first entry names one before it"},
		"blank line":        {join(lines[0], nl, lines[1]), 1, "line 2: not an entry"},
		"carriage return":   {replaceIn(lines, 1, "\n", "\r\n"), 1, "line 2: not an entry"},
		"other version":     {replaceIn(lines, 0, `"v":1`, `"v":2`), 0, "version 2"},
		"binary":            {[]byte("\x7fELF\x00\x01\n"), 0, "not an entry"},
		"a line of no end":  {bytes.Repeat([]byte{'x'}, MaxLine+2), 0, "line 1: more than"},
		"longest line":      {append(bytes.Repeat([]byte{'x'}, MaxLine), '\n'), 0, "line 1: not an entry"},
		"torn in the first": {lines[0][:10], 0, ErrTorn.Error()},
		"torn in the last":  {whole[:len(whole)-1], 4, ErrTorn.Error()},
		"zeros at the end":  {join(lines[0], make([]byte, 4096)), 1, ErrTorn.Error()},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			n, err := readAll(test.content)
			if n != test.entries || err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%d entries, %v", n, err)
			}
			if torn := test.says == ErrTorn.Error(); errors.Is(err, ErrTorn) != torn {
				t.Errorf("%v is torn: %v", err, !torn)
			}
		})
	}
	t.Run("any byte", func(t *testing.T) {
		for i := range len(whole) - len(end) - 1 { // the last line is held by nothing after it
			b := bytes.Clone(whole)
			b[i] ^= 0x04
			if n, err := readAll(b); err == nil {
				t.Fatalf("byte %d (%q) was changed to %q, and %d entries read", i, whole[i], b[i], n)
			}
		}
	})
	t.Run("time", func(t *testing.T) {
		e, _ := Parse(bytes.TrimSpace(lines[1]))
		prev, _ := Parse(bytes.TrimSpace(lines[0]))
		prev.Time = e.Time.Add(1)
		if err := Check(prev, e); err == nil || !strings.Contains(err.Error(), "older") {
			t.Errorf("Check returned %v", err)
		}
	})
	t.Run("missing", func(t *testing.T) {
		for _, err := range Read(t.TempDir()) {
			if !errors.Is(err, os.ErrNotExist) {
				t.Errorf("Read gave %v", err)
			}
		}
	})
}

var nl = []byte("\n")

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func replaceIn(lines [][]byte, n int, old, new string) []byte {
	changed := slices.Clone(lines)
	changed[n] = bytes.Replace(lines[n], []byte(old), []byte(new), 1)
	return append(bytes.Join(changed, nil), '\n')
}

func TestParseTakesOneFormAlone(t *testing.T) {
	const good = `{"v":1,"seq":1,"time":"2026-11-22T02:17:00.001Z","type":"note","prev":"","data":{"a":{"x":1,"X":2},"b":[{"a":1},{"a":2}]}}`
	if e, err := Parse([]byte(good)); err != nil || string(e.Line()) != good {
		t.Fatalf("%s, %v", e.Line(), err)
	}
	change := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	for name, line := range map[string]string{
		"empty":              "",
		"null":               "null",
		"array":              "[" + good + "]",
		"two values":         good + good,
		"blank at the end":   good + " ",
		"blank inside":       change(`,"seq"`, `, "seq"`),
		"unknown key":        change(`"v":1`, `"v":1,"w":1`),
		"no data":            change(good[strings.Index(good, `,"data"`):], "}"),
		"no type":            change(`"note"`, `""`),
		"sequence zero":      change(`"seq":1`, `"seq":0`),
		"sequence below":     change(`"seq":1`, `"seq":-1`),
		"other order":        change(`"v":1,"seq":1`, `"seq":1,"v":1`),
		"key twice":          change(`"seq":1`, `"seq":2,"seq":1`),
		"key in another way": change(`"seq":1`, `"seq":1,"Seq":1`),
		"escaped key":        change(`"seq"`, `"\u0073eq"`),
		"other zone":         change(`.001Z`, `.001+02:00`),
		"zero as a zone":     change(`.001Z`, `.001+00:00`),
		"zeros in the time":  change(`.001Z`, `.0010Z`),
		"float":              change(`"seq":1`, `"seq":1.0`),
		"raw <":              change(`"note"`, `"<"`),
		"data twice":         change(`"data":`, `"data":{},"data":`),
		"key of data twice":  change(`"data":{`, `"data":{"b":1,`),
		"other case":         change(`"data":{`, `"data":{"B":1,`),
		"long s":             change(`"data":{"a"`, `"data":{"s":1,"ſ"`),
		"kelvin":             change(`"data":{"a"`, `"data":{"k":1,"K"`),
		"escaped twice":      change(`"data":{`, `"data":{"\u0062":1,`),
		"deep inside":        change(`{"x":1,"X":2}`, `{"x":1,"x":2}`),
		"deep, escaped":      change(`{"x":1,"X":2}`, `{"x":1,"\u0078":2}`),
		"in a list":          change(`{"a":2}`, `{"a":2,"c":0,"a":2}`),
		"too deep":           change(`[{"a":1}`, strings.Repeat("[", 20000)+`{"a":1}`),
		"too long":           change(`"x":1`, `"x":"`+strings.Repeat("x", MaxLine)+`"`),
	} {
		if _, err := Parse([]byte(line)); err == nil {
			t.Errorf("%s: %.200s was taken", name, line)
		}
	}
	for name, line := range map[string]string{
		"keys in values":               change(`"x":1`, `"x":"\"x\":\"x\":{"`),
		"colons":                       change(`"x":1`, `"x":":","y":"y:"`),
		"a string ends in a backslash": change(`"x":1`, `"x":"\\","y":"x"`),
	} {
		if _, err := Parse([]byte(line)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCursorsComeAtAnyTime(t *testing.T) {
	const n = 800 // more than one chunk
	for name, j := range map[string]*Journal{"disk": start(newDisk(t), &payloadMemory{}, nil, ticking()), "memory": InMemory(ticking()), "refused": Refused(io.ErrShortWrite, ticking())} {
		t.Run(name, func(t *testing.T) {
			early, slow := j.Cursor(), j.Cursor()
			read := func(c *Cursor, want int) {
				t.Helper()
				for i := range want {
					if e, err := c.Next(t.Context()); err != nil || e.Seq == 0 {
						t.Fatalf("entry %d: %v", i, err)
					}
				}
			}
			for i := range n {
				if err := j.Note("note", step{strings.Repeat("x", i)}); err != nil {
					t.Fatal(err)
				}
			}
			read(early, n)
			read(slow, 1) // it has read a chunk ahead
			late := j.Cursor()
			if err := j.Note("note", step{"more"}); err != nil {
				t.Fatal(err)
			}
			read(early, 1)
			_ = j.Close()
			total := int(j.Length())
			read(slow, total-1)
			read(late, total)
			read(j.Cursor(), total)
			read(early, total-n-1)
			for _, c := range []*Cursor{early, slow, late} {
				for range 2 {
					if _, err := c.Next(t.Context()); err != io.EOF {
						t.Errorf("after the last entry: %v", err)
					}
				}
			}
			count := 0
			for _, err := range j.Entries(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				count++
			}
			if count != total {
				t.Errorf("%d of %d entries", count, total)
			}
		})
	}
}

func TestCursorWaits(t *testing.T) {
	j := InMemory(ticking())
	defer func() { _ = j.Close() }()
	c := j.Cursor()
	why := errors.New("the console was left")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if _, err := c.Next(ctx); !errors.Is(err, why) {
		t.Errorf("Next returned %v", err)
	}
	if err := j.Append(t.Context(), "note", step{"here"}); err != nil {
		t.Fatal(err)
	}
	if e, err := c.Next(ctx); err != nil || e.Seq != 1 { // what is there is given, whatever ctx says
		t.Errorf("Next returned %v", err)
	}
	got := make(chan Entry)
	go func() {
		e, _ := c.Next(t.Context())
		got <- e
	}()
	if err := j.Append(t.Context(), "note", step{"next"}); err != nil {
		t.Fatal(err)
	}
	if e := <-got; e.Seq != 2 {
		t.Errorf("entry %d came", e.Seq)
	}
}

func TestCursorNoticesAChangedRecord(t *testing.T) {
	d := newDisk(t)
	j := start(d, &payloadMemory{}, nil, ticking())
	defer func() { _ = j.Close() }()
	for _, s := range []string{"one", "two"} {
		if err := j.Append(t.Context(), "note", step{s}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.File.WriteAt(bytes.Replace(d.content(t), []byte("one"), []byte("won"), 1), 0); err != nil {
		t.Fatal(err)
	}
	c := j.Cursor()
	if _, err := c.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 { // it ends there, however often it is asked
		if _, err := c.Next(t.Context()); err == nil || !strings.Contains(err.Error(), "does not carry the hash") {
			t.Errorf("Next returned %v", err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, line := range record(f, 3) {
		f.Add(bytes.TrimSpace(line))
	}
	f.Add([]byte(`{"v":1,"seq":1,"time":"2026-11-22T02:17:00Z","type":"a","prev":"","data":{"\u0061":[{},"\\",{"a":{}}]}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := Parse(line)
		if err != nil {
			return
		}
		if !bytes.Equal(e.Line(), line) || bytes.IndexByte(line, '\n') >= 0 {
			t.Fatalf("%q was taken as %q", line, e.Line())
		}
		var v any
		if err := e.Decode(&v); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzRead(f *testing.F) {
	whole := append(bytes.Join(record(f, 3), nil), '\n')
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Add([]byte("\n\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		var taken []byte
		read(bytes.NewReader(content), nil, func(e Entry, err error) bool {
			if errors.Is(err, ErrTorn) && bytes.HasSuffix(content, nl) {
				t.Fatalf("%q is torn", content)
			}
			if err == nil {
				taken = append(append(taken, e.Line()...), '\n')
			}
			return true
		})
		if !bytes.HasPrefix(content, taken) {
			t.Fatalf("%q was read as %q", content, taken)
		}
	})
}
