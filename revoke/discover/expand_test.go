package discover

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"github.com/klauspost/compress/zstd"

	"clawback/revoke/discover/sift"
)

func gzipped(t testing.TB, text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(text))
	must(t, err)
	must(t, w.Close())
	return b.String()
}

func zstandard(t testing.TB, text string) string {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	must(t, err)
	defer w.Close()
	return string(w.EncodeAll([]byte(text), nil))
}

func wideText(order binary.AppendByteOrder, text string) string {
	var out []byte
	for _, unit := range utf16.Encode([]rune("\ufeff" + text)) {
		out = order.AppendUint16(out, unit)
	}
	return string(out)
}

// What is packed is searched like what is not: under its lines, to its end, and no further than is safe.
func TestPackedTexts(t *testing.T) {
	long := strings.Repeat("nothing here\n", 300_000) // more than three windows
	values := map[string]string{}
	value := func(name string) string {
		values[name] = pat()
		return values[name]
	}
	files := map[string]string{
		state + "openclaw.json": "{}",
		state + "agents/main/sessions/a.jsonl.deleted.1767225600000.zst": zstandard(t, message("user", "hello")+message("toolResult", "use "+value("zst:2"))),
		state + "logs/gateway.log.1.gz":                                  gzipped(t, long+value("gz:300001")+"\n"+long),
		state + "logs/without-suffix":                                    gzipped(t, value("none:1")),
		state + "workspace/two.txt.gz":                                   gzipped(t, "x\n") + gzipped(t, value("members:2")),
		state + "workspace/plain.gz":                                     value("plain:1"),
		state + "workspace/wide.txt":                                     wideText(binary.LittleEndian, "Grüße 😀\r\n"+value("utf16le:2")+"\r\n"),
		state + "workspace/wide-be.txt":                                  wideText(binary.BigEndian, long+value("utf16be:300001")),
		state + "workspace/cut.txt.gz":                                   "",
		state + "workspace/broken.zst":                                   "\x28\xb5\x2f\xfd" + strings.Repeat("\xff", 100),
		state + "workspace/bomb.gz":                                      strings.Repeat(gzipped(t, strings.Repeat("a line of text\n", 70_000)), 10),
		state + "workspace/inside.gz":                                    gzipped(t, gzipped(t, pat())),
		state + "workspace/zeros.gz":                                     strings.Repeat(gzipped(t, strings.Repeat("\x00", 1<<20)), 20),
	}
	whole := gzipped(t, value("cut:1")+"\n"+random(200_000))
	files[state+"workspace/cut.txt.gz"] = whole[:len(whole)-10_000]
	root, err := os.OpenRoot(tree(t, files))
	must(t, err)
	defer root.Close()
	var found []Found
	s := newScan(t.Context(), root, places, func(f Found) { found = append(found, f) })
	s.expands = 8 << 20
	summary, err := s.run(nil)
	must(t, err)
	for name, v := range values {
		_, line, _ := strings.Cut(name, ":")
		if got := placesOf(found, v); len(got) != 1 || !strings.Contains(got[0], ":"+line+" ") {
			t.Errorf("%s: found at %q", name, got)
		}
	}
	if len(found) != len(values) {
		t.Errorf("found %d, want %d", len(found), len(values))
	}
	if at := slices.IndexFunc(found, func(f Found) bool { return f.Secret.Reveal("value") == values["zst:2"] }); at < 0 || !strings.Contains(found[at].Source.Note, shown) || found[at].Source.Locator != "message.content[0].text" {
		t.Error("a transcript is not told as one")
	}
	want := map[string]string{"bomb.gz": "expands to more than", "cut.txt.gz": "does not expand", "broken.zst": "does not expand"}
	for _, p := range summary.Problems {
		name := p.Path[strings.LastIndexByte(p.Path, '/')+1:]
		if want[name] == "" || !strings.Contains(p.Reason, want[name]) {
			t.Errorf("problem %+v", p)
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("no problem of %v", want)
	}
	if summary.Skipped[notText] != 2 {
		t.Errorf("skipped %v", summary.Skipped)
	}
}

// random is text that does not get smaller.
func random(n int) string {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(' ' + rand.IntN(90))
	}
	return string(out)
}

// FuzzExpanded reads hostile files through all that unpacks: it ends, within its bounds.
func FuzzExpanded(f *testing.F) {
	text := strings.Repeat("a word ", 20_000)
	for _, seed := range []string{gzipped(f, text), zstandard(f, text), wideText(binary.LittleEndian, "\U0001f600"+text), wideText(binary.BigEndian, text), "\xff\xfe\x00\xd8", "\xff\xfe"} {
		f.Add([]byte(seed))
	}
	searcher := sift.New(nil).Searcher()
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := searchExpanded(t.Context(), searcher, bytes.NewReader(data), "x", 4<<20)
		if err == nil && r.Bytes > 4<<20 {
			t.Errorf("%d bytes", r.Bytes)
		}
	})
}

// UTF-16 is decoded alike however it arrives, and halves of characters that stand alone break nothing.
func TestWide(t *testing.T) {
	text := strings.Repeat("a😀\u2028ü", 30_000)
	for _, order := range []interface {
		binary.ByteOrder
		binary.AppendByteOrder
	}{binary.LittleEndian, binary.BigEndian} {
		raw := wideText(order, text) + string(order.AppendUint16(nil, 0xd83d)) + "x"
		in := &wide{in: strings.NewReader(raw), order: order}
		var out bytes.Buffer
		if _, err := out.ReadFrom(iotest.OneByteReader(in)); err != nil || out.String() != text+"\ufffd" {
			t.Errorf("%v: %d bytes of %d, error %v", order, out.Len(), len(text), err)
		}
	}
}
