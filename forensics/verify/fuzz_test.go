package verify

import (
	"bytes"
	"os"
	"slices"
	"testing"

	"clawback/forensics/journal"
)

// Whatever is changed in the folder by somebody without the key, verify ends, does not panic, and
// takes nothing for sealed but what was.
func FuzzIncident(f *testing.F) {
	w := newWorld(f, theKey, id)
	w.setLines(w.lines()[:6])
	good := w.grow(w.signer, 5)
	names := []string{journal.FileName, checkpointPath, "tlog/tile/entries/000.p/5", "tlog/tile/0/000.p/5"}
	var whole [][]byte
	for _, name := range names {
		whole = append(whole, w.read(name))
	}
	sealed := bytes.Join(w.lines()[:5], []byte("\n"))
	f.Add([]byte{0, 0, 0, 0})
	f.Add([]byte{0, 1, 200, 3, 1, 0, 9, 1})
	f.Add([]byte{2, 0, 1, 255, 3, 0, 4, 8})
	f.Fuzz(func(t *testing.T, edits []byte) {
		files := make([][]byte, len(whole))
		for i := range whole {
			files[i] = slices.Clone(whole[i])
		}
		for edit := range slices.Chunk(edits, 4) {
			if len(edit) == 4 {
				i := int(edit[0]) % len(files)
				files[i] = change(files[i], int(edit[1])<<8|int(edit[2]), edit[3])
			}
		}
		for i, name := range names {
			if err := os.WriteFile(w.path(name), files[i], 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r, err := Incident(w.dir, Options{Key: w.signer.Verifier(), Held: []Held{{From: "witness", Note: files[1]}}})
		if err == nil && (r.Sealed.Size != 5 || r.Sealed.Root != good.Root || !bytes.HasPrefix(files[0], sealed)) {
			t.Errorf("%+v was taken for what was sealed", r)
		}
	})
}

// change sets a byte, cuts there, or takes one out.
func change(b []byte, at int, to byte) []byte {
	if len(b) == 0 {
		return []byte{to}
	}
	at %= len(b)
	switch to {
	case 0:
		return b[:at]
	case 1:
		return slices.Delete(b, at, at+1)
	}
	b[at] = to
	return b
}
