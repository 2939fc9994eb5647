package wire

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"filippo.io/age"

	"clawback/revoke/credential"
	"clawback/revoke/discover"
	"clawback/snapshots"
)

// kept is a Sink that remembers what came.
type kept struct {
	content map[string]*bytes.Buffer
	ended   []snapshots.File
}

func (k *kept) Begin(f snapshots.File) (io.Writer, error) {
	if k.content == nil {
		k.content = map[string]*bytes.Buffer{}
	}
	k.content[f.Path] = &bytes.Buffer{}
	return k.content[f.Path], nil
}

func (k *kept) End(f snapshots.File) error { k.ended = append(k.ended, f); return nil }

// answer is what an honest host sends: finds or files.
func answer(t testing.TB, verb string, recipient age.Recipient, send func(w *Writer)) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, verb, "test", recipient)
	if err != nil {
		t.Fatal(err)
	}
	send(w)
	if err := w.Close(snapshots.Captured{Files: 1}, nil); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func sendFile(t testing.TB, w *Writer, path string, content []byte, sum string) {
	t.Helper()
	out, err := w.Begin(snapshots.File{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.End(snapshots.File{Path: path, Bytes: int64(len(content)), SHA256: sum, Verdict: snapshots.Stable}); err != nil {
		t.Fatal(err)
	}
}

// sumOfThousand is the SHA-256 of a thousand zeros.
var sumOfThousand = fmt.Sprintf("%x", sha256.Sum256(make([]byte, 1000)))

const sumOfHello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

func TestSecretsTravelSealed(t *testing.T) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	value := rand.Text()
	sent := discover.Found{Provider: "slack", Kind: "slack.bot", Secret: credential.Value(value), Source: credential.Source{Path: "x"}}
	stream := answer(t, "discover", identity.Recipient(), func(w *Writer) {
		if err := w.Found(sent); err != nil {
			t.Fatal(err)
		}
	})
	if bytes.Contains(stream, []byte(value)) {
		t.Error("the secret is in the stream")
	}
	var got []discover.Found
	r := Reader{Identity: identity, Found: func(f discover.Found) { got = append(got, f) }}
	var sum snapshots.Captured
	if err := r.Read(io.MultiReader(strings.NewReader("Welcome!\nstdin: is not a tty\n"), bytes.NewReader(stream)), "discover", &sum); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || !got[0].Secret.Equal(sent.Secret) || got[0].Sealed != nil || sum.Files != 1 {
		t.Errorf("got %+v, %+v", got, sum)
	}

	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	got = nil
	r = Reader{Identity: other, Found: func(f discover.Found) { got = append(got, f) }}
	if err := r.Read(bytes.NewReader(stream), "discover", nil); err != nil || len(got) != 1 || !got[0].Secret.Empty() || got[0].Unresolved != notWhole {
		t.Errorf("sealed to another: %v, %+v", err, got)
	}
	w, err := NewWriter(io.Discard, "discover", "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Found(sent); err == nil {
		t.Error("a secret left without a recipient")
	}
}

func TestFilesArriveWhole(t *testing.T) {
	big := bytes.Repeat([]byte("hello"), maxChunk)
	bigSum := fmt.Sprintf("%x", sha256.Sum256(big))
	stream := answer(t, "capture", nil, func(w *Writer) {
		sendFile(t, w, "a/hello", []byte("hello"), sumOfHello)
		sendFile(t, w, "a/big", big, bigSum)
		if err := w.End(snapshots.File{Path: "a/link", Verdict: snapshots.Listed}); err != nil {
			t.Fatal(err)
		}
	})
	var k kept
	if err := (&Reader{Sink: &k}).Read(bytes.NewReader(stream), "capture", &snapshots.Captured{}); err != nil {
		t.Fatal(err)
	}
	if len(k.ended) != 3 || !bytes.Equal(k.content["a/big"].Bytes(), big) || k.content["a/hello"].String() != "hello" {
		t.Errorf("got %+v", k.ended)
	}
	// Wherever it is cut, nothing passes for whole.
	for n := 0; n < len(stream)-1; n += 1 + n/50 {
		var k kept
		err := (&Reader{Sink: &k}).Read(bytes.NewReader(stream[:n]), "capture", &snapshots.Captured{})
		if !errors.Is(err, ErrCut) {
			t.Fatalf("cut at %d of %d: %v", n, len(stream), err)
		}
	}
}

// TestHolesTravelAsHoles has a file of one zero GB that the desk stores as a hole.
func TestHolesTravelAsHoles(t *testing.T) {
	const size = 1 << 30
	sum := sha256.New()
	if err := snapshots.WriteHole(sum, size); err != nil {
		t.Fatal(err)
	}
	sum.Write([]byte("end"))
	stream := answer(t, "capture", nil, func(w *Writer) {
		out, err := w.Begin(snapshots.File{Path: "a"})
		if err == nil {
			err = snapshots.WriteHole(out, size)
		}
		if err == nil {
			_, err = out.Write([]byte("end"))
		}
		if err == nil {
			err = w.End(snapshots.File{Path: "a", Bytes: size + 3, SHA256: fmt.Sprintf("%x", sum.Sum(nil)), Verdict: snapshots.Stable})
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	if len(stream) > 10_000 {
		t.Errorf("%d bytes travel", len(stream))
	}
	var h hollow
	if err := (&Reader{Sink: &h}).Read(bytes.NewReader(stream), "capture", &snapshots.Captured{}); err != nil || h.holes != size || h.text.String() != "end" {
		t.Errorf("%v: %d bytes of holes, %q", err, h.holes, &h.text)
	}
}

// hollow is a Sink that takes holes.
type hollow struct {
	holes int64
	text  bytes.Buffer
}

func (h *hollow) Begin(snapshots.File) (io.Writer, error) { return h, nil }
func (h *hollow) End(snapshots.File) error                { return nil }
func (h *hollow) Write(p []byte) (int, error)             { return h.text.Write(p) }
func (h *hollow) Hole(n int64) error                      { h.holes += n; return nil }

func TestFailuresAreTold(t *testing.T) {
	for _, c := range []struct {
		failed error
		is     error
	}{{errors.New("no such root"), nil}, {fmt.Errorf("scan: %w", discover.ErrNoInstallation), discover.ErrNoInstallation}} {
		var out bytes.Buffer
		w, err := NewWriter(&out, "discover", "test", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Close(discover.Summary{Files: 7}, c.failed); err != nil {
			t.Fatal(err)
		}
		var sum discover.Summary
		err = (&Reader{}).Read(&out, "discover", &sum)
		var failed *FailedError
		if !errors.As(err, &failed) || failed.Reason != c.failed.Error() || sum.Files != 7 || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("Read = %v, %+v", err, sum)
		}
	}
}

func TestLies(t *testing.T) {
	head := `{"type":"header","protocol":2,"verb":"capture"}` + "\n"
	begin := `{"type":"begin","file":{"path":"a"}}` + "\n"
	for name, stream := range map[string]string{
		"another verb":             `{"type":"header","protocol":2,"verb":"check"}` + "\n",
		"another protocol":         `{"type":"header","protocol":9,"verb":"capture"}` + "\n",
		"no header at all":         strings.Repeat("motd\n", 100_000),
		"one line without end":     head + strings.Repeat("x", 1<<20),
		"not JSON":                 head + "hello\n",
		"an unknown type":          head + `{"type":"exec"}` + "\n",
		"a find not asked for":     head + `{"type":"found","found":{}}` + "\n",
		"content of no file":       head + `{"type":"chunk","bytes":1}` + "\nx",
		"a negative chunk":         head + begin + `{"type":"chunk","bytes":-1}` + "\nx",
		"a huge chunk":             head + begin + `{"type":"chunk","bytes":2000000000}` + "\nx",
		"a path out of the root":   head + `{"type":"begin","file":{"path":"../../etc/cron.d/x"}}` + "\n",
		"an absolute path":         head + `{"type":"end","file":{"path":"/etc/passwd"}}` + "\n",
		"a hole in no file":        head + `{"type":"hole","bytes":1}` + "\n",
		"a negative hole":          head + begin + `{"type":"hole","bytes":-1}` + "\n",
		"a huge hole":              head + begin + `{"type":"hole","bytes":2000000000}` + "\n",
		"a file of too many holes": head + begin + strings.Repeat(`{"type":"hole","bytes":500}`+"\n", 3),
		"too many holes in all":    head + strings.Repeat(begin+`{"type":"hole","bytes":1000}`+"\n"+`{"type":"end","file":{"path":"a","bytes":1000,"sha256":"`+sumOfThousand+`"}}`+"\n", 150),
		"two files at once":        head + begin + begin,
		"the end of another file":  head + begin + `{"type":"end","file":{"path":"b"}}` + "\n",
		"fewer bytes than said":    head + begin + `{"type":"end","file":{"path":"a","bytes":5}}` + "\n",
		"another hash":             head + begin + `{"type":"chunk","bytes":5}` + "\nhellO" + `{"type":"end","file":{"path":"a","bytes":5,"sha256":"` + sumOfHello + `"}}` + "\n",
		"content that never came":  head + `{"type":"end","file":{"path":"a","bytes":5,"sha256":"` + sumOfHello + `"}}` + "\n",
		"an end in a file":         head + begin + `{"type":"trailer","result":{}}` + "\n",
		"no result":                head + `{"type":"trailer"}` + "\n",
		"a result of another kind": head + `{"type":"trailer","result":[1]}` + "\n",
		"a file too large":         head + begin + strings.Repeat(`{"type":"chunk","bytes":5}`+"\nhello", 300),
		"too many files":           head + strings.Repeat(`{"type":"end","file":{"path":"a"}}`+"\n", 300),
		"too much in all":          head + strings.Repeat(begin+`{"type":"chunk","bytes":5}`+"\nhello"+`{"type":"end","file":{"path":"a","bytes":5,"sha256":"`+sumOfHello+`"}}`+"\n", 100),
	} {
		t.Run(name, func(t *testing.T) {
			r := Reader{Sink: &kept{}, Limits: Limits{Line: 64 << 10, File: 1000, Total: 600 << 10, Items: 200}}
			if name == "too much in all" {
				r.Limits.Total = 10 << 10
			}
			if name == "too many holes in all" {
				r.Limits.Total = 60 << 10
			}
			var lied *LieError
			if err := r.Read(strings.NewReader(stream), "capture", &snapshots.Captured{}); !errors.As(err, &lied) {
				t.Errorf("Read = %v, want a LieError", err)
			}
		})
	}
}

func FuzzReader(f *testing.F) {
	f.Add(answer(f, "capture", nil, func(w *Writer) { sendFile(f, w, "a", []byte("hello"), sumOfHello) }))
	f.Add([]byte(`{"type":"header","protocol":2,"verb":"capture"}` + "\n" + `{"type":"begin","file":{"path":"a"}}` + "\n" + `{"type":"hole","bytes":70000}` + "\n"))
	f.Add([]byte(`{"type":"header","protocol":2,"verb":"capture"}` + "\n" + `{"type":"trailer","result":{}}` + "\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		k := &kept{}
		err := (&Reader{Sink: k, Limits: Limits{Line: 4 << 10, Total: 64 << 10, File: 64 << 10}}).Read(bytes.NewReader(stream), "capture", &json.RawMessage{})
		if err != nil {
			return
		}
		for _, file := range k.ended {
			if file.SHA256 == "" && file.Bytes > 0 {
				t.Errorf("%q passed for whole without a hash", file.Path)
			}
		}
	})
}
