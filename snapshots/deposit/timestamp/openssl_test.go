package timestamp

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// opensslTakes asks openssl whether a stamp holds.
func (w world) opensslTakes(t *testing.T, kept []byte, digest [sha256.Size]byte) (bool, string) {
	t.Helper()
	if err := os.WriteFile(w.path("kept.tsr"), kept, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := openssl(t, "ts", "-verify", "-digest", hex.EncodeToString(digest[:]), "-in", w.path("kept.tsr"), "-CAfile", w.path("root.pem"))
	return err == nil && strings.Contains(string(out), "Verification: OK"), string(out)
}

// A real authority stamps, and what is kept of it is taken by us and by openssl.
func TestBesideOpenSSL(t *testing.T) {
	w, digest := newWorld(t), digestOfRandom()
	kept, s, err := w.ask(t, w.serve(t), digest)
	if err != nil {
		t.Fatal(err)
	}
	if s.By != w.tsa.cert.Subject.String() || time.Since(s.Time).Abs() > time.Minute || s.Policy != "1.2.3.4.1" || s.Accuracy != 1500*time.Millisecond || s.Serial == "" {
		t.Errorf("it says %+v", s)
	}
	trust := Trust{Roots: w.root.roots, Now: time.Now()}
	if again, err := Verify(kept, digest, trust); err != nil || again != s {
		t.Errorf("Verify: %+v, %v", again, err)
	}
	if ok, says := w.opensslTakes(t, kept, digest); !ok {
		t.Errorf("openssl: %s", says)
	}
	other := digestOfRandom()
	if _, err := Verify(kept, other, trust); err == nil {
		t.Error("a stamp of something else was taken")
	}
	if ok, _ := w.opensslTakes(t, kept, other); ok {
		t.Error("openssl took a stamp of something else")
	}
	if _, err := Verify(kept, digest, Trust{Roots: issue(t, nil, "Root", anAuthority).roots, Now: time.Now()}); err == nil {
		t.Error("an authority that nobody believes was believed")
	}
	if _, err := Verify(kept, digest, Trust{Now: time.Now()}); err == nil {
		t.Error("without roots it was believed")
	}
	if _, err := Verify(kept, digest, Trust{Roots: w.root.roots, Now: time.Now().Add(-time.Hour)}); err == nil {
		t.Error("a stamp of the future was taken")
	}
	if _, err := Verify(kept, digest, Trust{Roots: w.root.roots, Now: time.Now(), Policy: sha256OID}); err == nil {
		t.Error("a stamp under another policy was taken")
	}
}

// No bit of a kept stamp can be changed without our noticing. openssl, which does not care for all of
// them, is asked about a sample; CLAWBACK_EVERY_BIT=1 asks it about each.
func TestEachBitOfAStamp(t *testing.T) {
	w, digest := newWorld(t), digestOfRandom()
	kept, _, err := w.ask(t, w.serve(t), digest)
	if err != nil {
		t.Fatal(err)
	}
	trust, step := Trust{Roots: w.root.roots, Now: time.Now()}, 61
	if os.Getenv("CLAWBACK_EVERY_BIT") != "" {
		step = 1
	}
	var unnoticed []int
	asked := 0
	for bit := range len(kept) * 8 {
		kept[bit/8] ^= 1 << (bit % 8)
		if _, err := Verify(kept, digest, trust); err == nil {
			t.Errorf("byte %d, bit %d of %d bytes: not noticed", bit/8, bit%8, len(kept))
		}
		if bit%step == 0 {
			asked++
			if ok, _ := w.opensslTakes(t, kept, digest); ok {
				unnoticed = append(unnoticed, bit/8)
			}
		}
		kept[bit/8] ^= 1 << (bit % 8)
	}
	t.Logf("openssl noticed %d of %d changed bits, and not those in the bytes %v", asked-len(unnoticed), asked, unnoticed)
	if len(unnoticed)*10 > asked {
		t.Error("openssl notices too little: it is not asked the right thing")
	}
	for n := range kept {
		if _, err := Verify(kept[:n], digest, trust); err == nil {
			t.Errorf("cut after %d bytes: not noticed", n)
		}
	}
	if _, err := Verify(append(kept, 0), digest, trust); err == nil {
		t.Error("a byte behind it: not noticed")
	}
}

// The policy that is asked for is the one that is given.
func TestPolicy(t *testing.T) {
	w, digest := newWorld(t), digestOfRandom()
	wanted := []int{1, 2, 3, 4, 5}
	a, err := New(w.serve(t), w.root.roots, nil, wanted, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if _, s, err := a.Ask(t.Context(), digest); err != nil || s.Policy != "1.2.3.4.5" {
		t.Errorf("%+v, %v", s, err)
	}
	a, err = New(w.serve(t), w.root.roots, nil, []int{1, 2, 3, 4, 6}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.Ask(t.Context(), digest); err == nil || !strings.Contains(err.Error(), "policy") {
		t.Errorf("a policy that it does not have: %v", err)
	}
}

// An answer to somebody else's question, which is a good stamp, is not taken.
func TestAnotherAnswer(t *testing.T) {
	w, digest := newWorld(t), digestOfRandom()
	var first []byte
	url := serve(t, func(rw http.ResponseWriter, asked []byte) {
		if first == nil {
			first = w.reply(t, asked)
		}
		_, _ = rw.Write(first)
	})
	if _, _, err := w.ask(t, url, digest); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.ask(t, url, digest); err == nil || !strings.Contains(err.Error(), "nonce") {
		t.Errorf("a replay: %v", err)
	}
	if _, _, err := w.ask(t, url, digestOfRandom()); err == nil || !strings.Contains(err.Error(), "something else") {
		t.Errorf("a stamp of something else: %v", err)
	}
}
