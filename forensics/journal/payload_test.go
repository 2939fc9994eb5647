package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestLongDataIsAPayload(t *testing.T) {
	dir := t.TempDir()
	j, err := Create(dir, Holder{}, ticking())
	if err != nil {
		t.Fatal(err)
	}
	// The longest data that a line takes, and one byte more.
	room := MaxLine - len(`{"v":1,"seq":1,"time":"2026-11-22T02:17:00.001Z","type":"note","prev":"","data":{"step":""}}`)
	fits := step{strings.Repeat("x", room)}
	if err := j.Append(t.Context(), "note", fits); err != nil {
		t.Fatal(err)
	}
	room -= 64 // of the hash of the line before
	for _, s := range []step{{strings.Repeat("x", room)}, {strings.Repeat("x", room+1)}, big("<\u202e")} {
		if err := j.Append(t.Context(), "note", s); err != nil {
			t.Fatal(err)
		}
	}
	all := map[string]func(yield func(Entry, error) bool){"journal": j.Entries(t.Context()), "file": Read(dir)}
	for name, entries := range all {
		n := 0
		for e, err := range entries {
			if err != nil {
				t.Fatal(err)
			}
			n++
			var s step
			if err := e.Decode(&s); err != nil {
				t.Error(err)
			}
			if len(e.Line()) > MaxLine || (e.Payload != nil) != (n > 2) || n <= 2 && len(e.Line()) != MaxLine {
				t.Errorf("%s: line %d has %d bytes, payload %v", name, n, len(e.Line()), e.Payload)
			}
			if n == 4 && s != big("<\u202e") {
				t.Errorf("%s: %d bytes of text came back", name, len(s.Step))
			}
			b, err := e.Content()
			if err != nil || bytes.ContainsAny(b, "<\u202e") {
				t.Errorf("%s: entry %d shows what steers a terminal, %v", name, n, err)
			}
		}
		if n != 4 {
			t.Errorf("%s: %d entries", name, n)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	want := `{"v":1,"seq":3,"time":"2026-11-22T02:17:00.003Z","type":"note","prev":"`
	if lines := bytes.SplitAfter(content0(t, dir), nl); !bytes.HasPrefix(lines[2], []byte(want)) ||
		!bytes.HasSuffix(lines[2], fmt.Appendf(nil, `","payload":{"sha256":"%s","bytes":%d}}`+"\n", hashLine(mustMarshal(t, step{strings.Repeat("x", room+1)})), room+1+len(`{"step":""}`))) {
		t.Errorf("the line is %s", lines[2])
	}
	info, err := os.Stat(filepath.Join(dir, PayloadFolder))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	files, err := filepath.Glob(filepath.Join(dir, PayloadFolder, "*"))
	if err != nil || len(files) != 2 {
		t.Errorf("%q, %v", files, err)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Mode() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
	}
}

func mustMarshal(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPayloadsThatAreNot(t *testing.T) {
	dir := t.TempDir()
	j, err := Create(dir, Holder{}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Append(t.Context(), "note", big("x")); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	var e Entry
	for got, err := range Read(dir) {
		if err != nil {
			t.Fatal(err)
		}
		e = got
	}
	path := filepath.Join(dir, e.Payload.name())
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(t.TempDir(), "payload")
	if err := os.WriteFile(elsewhere, good, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, make := range map[string]func() error{
		"missing":  func() error { return nil },
		"changed":  func() error { return os.WriteFile(path, bytes.Replace(good, []byte("xx"), []byte("xy"), 1), 0o600) },
		"cut":      func() error { return os.WriteFile(path, good[:len(good)-1], 0o600) },
		"longer":   func() error { return os.WriteFile(path, append(bytes.Clone(good), '\n'), 0o600) },
		"a link":   func() error { return os.Symlink(elsewhere, path) },
		"a folder": func() error { return os.Mkdir(path, 0o700) },
		"a FIFO":   func() error { return syscall.Mkfifo(path, 0o600) },
	} {
		if err := errors.Join(os.RemoveAll(path), make()); err != nil {
			t.Fatal(err)
		}
		var s step
		if err := e.Decode(&s); err == nil || s != (step{}) || !strings.Contains(err.Error(), e.Payload.name()) {
			t.Errorf("%s: Decode returned %v", name, err)
		}
	}
	if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, good, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := e.Decode(&step{}); err != nil {
		t.Errorf("the payload itself: %v", err)
	}
	alone, err := Parse(e.Line())
	if err != nil {
		t.Fatal(err)
	}
	if err := alone.Decode(&step{}); err == nil || !strings.Contains(err.Error(), e.Payload.name()) {
		t.Errorf("a line without its folder: %v", err)
	}
}

// Whatever its digest, what can be read in two ways is refused.
func TestPayloadHasOneForm(t *testing.T) {
	for text, good := range map[string]bool{
		`{"a":1,"b":{"x":1,"X":2}}`: true, `"x"`: true, `null`: true,
		`{"a":1,"a":2}`: false, `{"a":1,"A":2}`: false, `{"a":{"x":1,"x":2}}`: false,
		`{"a": 1}`: false, `{"a":1}x`: false, `{`: false, `"<"`: false, "": false,
	} {
		p := Payload{hashLine([]byte(text)), int64(len(text))}
		if err := p.check([]byte(text)); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
	}
	j := InMemory(time.Now)
	defer func() { _ = j.Close() }()
	long := strings.Repeat("x", MaxLine)
	for name, data := range map[string]any{
		"a key twice":      json.RawMessage(`{"a":"` + long + `","a":2}`),
		"keys that differ": map[string]string{"step": long, "Step": ""},
	} {
		if err := j.Append(t.Context(), "note", data); err == nil {
			t.Errorf("%s: it was written", name)
		}
	}
}

func TestParseTakesOneFormOfAPayload(t *testing.T) {
	sum := hashLine(nil)
	line := func(payload string) []byte {
		return []byte(`{"v":1,"seq":1,"time":"2026-11-22T02:17:00.001Z","type":"note","prev":"",` + payload + `}`)
	}
	if e, err := Parse(line(`"payload":{"sha256":"` + sum + `","bytes":70000}`)); err != nil || e.Payload.Bytes != 70000 {
		t.Fatal(err)
	}
	for name, payload := range map[string]string{
		"both":         `"data":{},"payload":{"sha256":"` + sum + `","bytes":1}`,
		"null":         `"payload":null`,
		"data and nil": `"data":{},"payload":null`,
		"empty":        `"payload":{}`,
		"no size":      `"payload":{"sha256":"` + sum + `","bytes":0}`,
		"below zero":   `"payload":{"sha256":"` + sum + `","bytes":-1}`,
		"too large":    `"payload":{"sha256":"` + sum + fmt.Sprintf(`","bytes":%d}`, MaxPayload+1),
		"short digest": `"payload":{"sha256":"` + sum[2:] + `","bytes":1}`,
		"upper case":   `"payload":{"sha256":"` + strings.ToUpper(sum) + `","bytes":1}`,
		"a path":       `"payload":{"sha256":"../../../../../../etc/passwd","bytes":1}`,
		"more":         `"payload":{"sha256":"` + sum + `","bytes":1,"x":1}`,
		"twice":        `"payload":{"sha256":"` + sum + `","sha256":"` + sum + `","bytes":1}`,
	} {
		if _, err := Parse(line(payload)); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}
