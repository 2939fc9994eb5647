package wire

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"filippo.io/age"

	"clawback/revoke/credential"
	"clawback/revoke/discover"
)

const discoverHead = `{"type":"header","protocol":2,"verb":"discover"}` + "\n"

func identity(t *testing.T) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// arrived is what the desk takes of an answer to discover.
func arrived(t *testing.T, id age.Identity, stream []byte) []discover.Found {
	t.Helper()
	var got []discover.Found
	r := Reader{Identity: id, Found: func(f discover.Found) { got = append(got, f) }}
	if err := r.Read(bytes.NewReader(stream), "discover", nil); err != nil {
		t.Fatal(err)
	}
	return got
}

// One planted secret must not hide the next.
func TestOneSecretDoesNotEndDiscovery(t *testing.T) {
	id, next := identity(t), credential.Value(rand.Text())
	const part = 256 << 10
	long := strings.Repeat("\x00", 8<<10)
	largest := discover.Found{
		Provider: long, Source: credential.Source{Path: long, Locator: long, Note: long}, Owner: long, Endpoint: long, Ref: map[string]string{},
		Secret: credential.NewSecret(map[string]string{"a": strings.Repeat("\x00", part), "b": strings.Repeat("\x01", part), "c": strings.Repeat("\x02", part)}),
	}
	for i := range 20 {
		largest.Ref[fmt.Sprint(i)+long] = long
	}
	for i := range 9 { // keys that stay apart when they are cut
		largest.Ref[strings.Repeat(string(rune(i+1)), maxText)] = long
	}
	for name, c := range map[string]struct {
		find       discover.Found
		unresolved string
	}{
		"escaped in HTML": {discover.Found{Secret: credential.Value(strings.Repeat("<", 200_000))}, ""},
		"the largest":     {largest, ""},
		"too large":       {discover.Found{Secret: credential.Value(strings.Repeat("\x00", 4*part))}, tooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			got := arrived(t, id, answer(t, "discover", id.Recipient(), func(w *Writer) {
				for _, f := range []discover.Found{c.find, {Secret: next}} {
					if err := w.Found(f); err != nil {
						t.Fatal(err)
					}
				}
			}))
			if len(got) != 2 || !got[1].Secret.Equal(next) {
				t.Fatalf("%d finds arrived", len(got))
			}
			if got[0].Unresolved != c.unresolved || got[0].Secret.Equal(c.find.Secret) != (c.unresolved == "") {
				t.Errorf("unresolved %q, want %q", got[0].Unresolved, c.unresolved)
			}
		})
	}
}

func TestSecretThatIsNotWhole(t *testing.T) {
	id, next := identity(t), credential.Value(rand.Text())
	sealed, err := credential.Seal(next, id.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{"noise": []byte("hello"), "cut": sealed[:len(sealed)-3], "changed": append(bytes.Clone(sealed[:len(sealed)-1]), sealed[len(sealed)-1]^1)} {
		t.Run(name, func(t *testing.T) {
			stream := []byte(discoverHead)
			for _, s := range [][]byte{bad, sealed} {
				line, err := json.Marshal(message{Type: typeFound, Found: &discover.Found{Sealed: s}})
				if err != nil {
					t.Fatal(err)
				}
				stream = append(append(stream, line...), '\n')
			}
			got := arrived(t, id, append(stream, `{"type":"trailer"}`+"\n"...))
			if len(got) != 2 || got[0].Unresolved != notWhole || !got[0].Secret.Empty() || !got[1].Secret.Equal(next) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestFloodsOfFinds(t *testing.T) {
	const find = `{"type":"found","found":{}}` + "\n"
	wide := `{"type":"found","found":{"owner":"` + strings.Repeat("x", 1<<20) + `"}}` + "\n"
	for name, c := range map[string]struct {
		finds string
		flood bool
	}{
		"as many as are taken": {strings.Repeat(find, discoverItems), false},
		"one more":             {strings.Repeat(find, discoverItems+1), true},
		"less than 64 MiB":     {strings.Repeat(wide, 63), false},
		"more than 64 MiB":     {strings.Repeat(wide, 64), true},
		"a sealed flood":       {`{"type":"found","found":{"sealed":"` + strings.Repeat("AAAA", 5<<20/3) + `"}}` + "\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			r := Reader{Identity: identity(t), Found: func(discover.Found) {}}
			err := r.Read(strings.NewReader(discoverHead+c.finds+`{"type":"trailer"}`+"\n"), "discover", nil)
			if lied := (*LieError)(nil); errors.As(err, &lied) != c.flood || !c.flood && err != nil {
				t.Errorf("Read = %v, flood: %v", err, c.flood)
			}
		})
	}
}

// However much is planted on an honest host, its answer is one that the desk takes.
func TestHonestAnswerFits(t *testing.T) {
	id := identity(t)
	for name, c := range map[string]struct {
		find        discover.Found
		sent        int
		noRoom, out bool
	}{
		"many":  {discover.Found{}, discoverItems + 5, false, true},
		"large": {discover.Found{Secret: credential.Value(strings.Repeat("\x00", 700<<10))}, 12, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			leftOut := 0
			got := arrived(t, id, answer(t, "discover", id.Recipient(), func(w *Writer) {
				for range c.sent {
					if err := w.Found(c.find); err != nil {
						t.Fatal(err)
					}
				}
				leftOut = w.LeftOut()
			}))
			if len(got)+leftOut != c.sent || (leftOut > 0) != c.out || (got[len(got)-1].Unresolved == noRoom) != c.noRoom {
				t.Errorf("%d of %d arrived, %d left out, the last %q", len(got), c.sent, leftOut, got[len(got)-1].Unresolved)
			}
		})
	}
}

func TestFindsAreClipped(t *testing.T) {
	long := strings.Repeat("é", maxText) // twice as many bytes
	ref := map[string]string{"id": long, "0" + long: "x"}
	for i := range 100 {
		ref[fmt.Sprintf("a%03d", i)] = long
	}
	line, err := json.Marshal(message{Type: typeFound, Found: &discover.Found{
		Provider: long, Kind: "slack.bot\x1b", Ref: ref, Owner: long, Endpoint: long, Unresolved: long,
		Source: credential.Source{Path: long, Locator: long, Note: "x" + long},
	}})
	if err != nil {
		t.Fatal(err)
	}
	known := `{"type":"found","found":{"kind":"slack.bot","owner":"ada"}}`
	got := arrived(t, nil, []byte(discoverHead+string(line)+"\n"+known+"\n"+`{"type":"trailer"}`+"\n"))
	f := got[0]
	for name, text := range map[string]string{"provider": f.Provider, "owner": f.Owner, "endpoint": f.Endpoint, "unresolved": f.Unresolved,
		"path": f.Source.Path, "locator": f.Source.Locator, "note": f.Source.Note, "id": f.Ref["id"]} {
		if len(text) > maxText || len(text) < maxText-1 || !strings.Contains(long, strings.TrimPrefix(text, "x")) {
			t.Errorf("%s has %d bytes", name, len(text))
		}
	}
	for key, value := range f.Ref {
		if len(key) > maxText || len(value) > maxText {
			t.Errorf("ref: %d bytes name %d", len(key), len(value))
		}
	}
	if len(f.Ref) != maxRef || f.Kind != "unknown" || got[1].Kind != "slack.bot" || got[1].Owner != "ada" {
		t.Errorf("%d entries of ref, kinds %q and %q", len(f.Ref), f.Kind, got[1].Kind)
	}
}
