package timestamp

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// forge answers a query as an authority would, except for what change does to it: openssl refuses to
// lie. What is signed is signed with by's key.
func forge(t *testing.T, asked []byte, by *person, change func(*info, *contentInfo, *[]attribute)) []byte {
	t.Helper()
	var q query
	if _, err := asn1.Unmarshal(asked, &q); err != nil {
		t.Error(err)
		return nil
	}
	said := info{Version: 1, Policy: asn1.ObjectIdentifier{1, 2, 3}, Imprint: q.Imprint, Serial: big.NewInt(7), Time: time.Now().UTC().Truncate(time.Second), Nonce: q.Nonce}
	sha := algorithm{ID: sha256OID}
	bound := sha256.Sum256(by.cert.Raw)
	all := []attribute{
		attributeOf(t, contentTypeOID, infoOID),
		attributeOf(t, signingCert2OID, signingCert{Certs: []certID{{Digest: bound[:]}}}),
	}
	token := contentInfo{signedDataOID, signedData{Version: 3, Digests: []algorithm{sha}, Content: encapsulated{Type: infoOID}}}
	token.Content.Certs = asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: by.cert.Raw}
	id := der(t, issuerAndSerial{asn1.RawValue{FullBytes: by.cert.RawIssuer}, by.cert.SerialNumber})
	token.Content.Signers = []signerInfo{{Version: 1, ID: asn1.RawValue{FullBytes: id}, Digest: sha, Algorithm: algorithm{ID: signedWith[6].id}}}
	change(&said, &token, &all)

	token.Content.Content.Content = der(t, said)
	sum := sha256.Sum256(token.Content.Content.Content)
	all = append(all, attributeOf(t, messageDigestOID, sum[:]))
	set, err := asn1.MarshalWithParams(all, "set")
	if err != nil {
		t.Error(err)
	}
	signer := &token.Content.Signers[0]
	digest := sha256.Sum256(set)
	if signer.Signature, err = by.key.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
		t.Error(err)
	}
	set[0] = 0xa0
	signer.Attrs = asn1.RawValue{FullBytes: set}
	return der(t, response{Token: asn1.RawValue{FullBytes: der(t, token)}})
}

func attributeOf(t *testing.T, id asn1.ObjectIdentifier, v any) attribute {
	return attribute{id, []asn1.RawValue{{FullBytes: der(t, v)}}}
}

func der(t *testing.T, v any) []byte {
	t.Helper()
	b, err := asn1.Marshal(v)
	if err != nil {
		t.Error(err)
	}
	return b
}

func TestLies(t *testing.T) {
	root := issue(t, nil, "Root", anAuthority)
	good := issue(t, root, "TSA", forTimeStamps)
	other := issue(t, root, "Somebody", forTimeStamps)
	nothing := func(*info, *contentInfo, *[]attribute) {}
	with := func(change func(*x509.Certificate)) *person { return issue(t, root, "TSA", change) }
	as := func(usages ...pkix.Extension) *person {
		return with(func(c *x509.Certificate) { c.KeyUsage, c.ExtraExtensions = x509.KeyUsageDigitalSignature, usages })
	}
	stamping, mail := asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8}, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 4}
	tests := map[string]struct {
		by     *person
		change func(*info, *contentInfo, *[]attribute)
		says   string // "" where it is taken
	}{
		"as it should be": {good, nothing, ""},
		"more certificates than needed": {good, func(_ *info, c *contentInfo, _ *[]attribute) {
			c.Content.Certs.Bytes = append(bytes.Clone(c.Content.Certs.Bytes), other.cert.Raw...)
		}, ""},
		"another nonce":                   {good, func(i *info, _ *contentInfo, _ *[]attribute) { i.Nonce = big.NewInt(1) }, "nonce"},
		"no nonce":                        {good, func(i *info, _ *contentInfo, _ *[]attribute) { i.Nonce = nil }, "nonce"},
		"another digest":                  {good, func(i *info, _ *contentInfo, _ *[]attribute) { i.Imprint.Digest = make([]byte, 32) }, "something else"},
		"another digest algorithm":        {good, func(i *info, _ *contentInfo, _ *[]attribute) { i.Imprint.Algorithm.ID = sha384OID }, "something else"},
		"an hour ago":                     {good, func(i *info, _ *contentInfo, _ *[]attribute) { i.Time = i.Time.Add(-30 * time.Minute) }, "clock"},
		"in an hour":                      {good, func(i *info, _ *contentInfo, _ *[]attribute) { i.Time = i.Time.Add(time.Hour) }, "still to come"},
		"expired":                         {with(func(c *x509.Certificate) { forTimeStamps(c); c.NotAfter = time.Now().Add(-time.Minute) }), nothing, "expired"},
		"not a time stamping certificate": {as(usage(true, mail)), nothing, "not believed"},
		"one for mail too":                {as(usage(true, stamping, mail)), nothing, "time stamps alone"},
		"usage not critical":              {as(usage(false, stamping)), nothing, "time stamps alone"},
		"any usage":                       {as(), nothing, "time stamps alone"},
		"a self-made authority":           {issue(t, nil, "Root", forTimeStamps), nothing, "not believed"},
		"bound to another certificate": {good, func(_ *info, _ *contentInfo, all *[]attribute) {
			sum := sha256.Sum256(other.cert.Raw)
			(*all)[1] = attributeOf(t, signingCert2OID, signingCert{Certs: []certID{{Digest: sum[:]}}})
		}, "another certificate"},
		"bound to none": {good, func(_ *info, _ *contentInfo, all *[]attribute) { *all = (*all)[:1] }, "not bound"},
		"of another type": {good, func(_ *info, _ *contentInfo, all *[]attribute) {
			(*all)[0] = attributeOf(t, contentTypeOID, signedDataOID)
		}, "no time stamp"},
		"an attribute twice": {good, func(_ *info, _ *contentInfo, all *[]attribute) { *all = append(*all, (*all)[0]) }, "twice"},
		"the name of another": {good, func(_ *info, c *contentInfo, _ *[]attribute) {
			c.Content.Signers[0].ID.FullBytes = der(t, issuerAndSerial{asn1.RawValue{FullBytes: other.cert.RawIssuer}, other.cert.SerialNumber})
		}, "not in it"},
		"a critical extension": {good, func(i *info, _ *contentInfo, _ *[]attribute) {
			i.Extensions = []extension{{ID: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
		}, "understood"},
		"another version": {good, func(i *info, _ *contentInfo, _ *[]attribute) { i.Version = 2 }, "version"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			url := serve(t, func(w http.ResponseWriter, asked []byte) { _, _ = w.Write(forge(t, asked, test.by, test.change)) })
			a, err := New(url, root.roots, nil, nil, time.Now)
			if err != nil {
				t.Fatal(err)
			}
			digest := digestOfRandom()
			kept, _, err := a.Ask(t.Context(), digest)
			if test.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				if _, err := Verify(kept, digest, Trust{Roots: root.roots, Now: time.Now()}); err != nil {
					t.Errorf("what was kept: %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.says) || kept != nil {
				t.Errorf("Ask returned %v, want %q", err, test.says)
			}
		})
	}
}

// A kept stamp holds no certificate that has no part in it: nobody would notice what is changed in one.
func TestNoOtherCertificate(t *testing.T) {
	root := issue(t, nil, "Root", anAuthority)
	tsa, other := issue(t, root, "TSA", forTimeStamps), issue(t, root, "Somebody", forTimeStamps)
	digest := digestOfRandom()
	asked := der(t, query{Version: 1, Imprint: imprint{algorithm{ID: sha256OID}, digest[:]}, Nonce: big.NewInt(1), Certs: true})
	for name, change := range map[string]func(*info, *contentInfo, *[]attribute){
		"": func(*info, *contentInfo, *[]attribute) {},
		"no part in who signed it": func(_ *info, c *contentInfo, _ *[]attribute) {
			c.Content.Certs.Bytes = append(bytes.Clone(c.Content.Certs.Bytes), other.cert.Raw...)
		},
	} {
		_, err := Verify(forge(t, asked, tsa, change), digest, Trust{Roots: root.roots, Now: time.Now()})
		if (err == nil) != (name == "") || err != nil && !strings.Contains(err.Error(), name) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// Nor does it hold words of the authority, which nobody signed.
func TestNoWords(t *testing.T) {
	root := issue(t, nil, "Root", anAuthority)
	digest := digestOfRandom()
	asked := der(t, query{Version: 1, Imprint: imprint{algorithm{ID: sha256OID}, digest[:]}, Nonce: big.NewInt(1), Certs: true})
	r, err := parseResponse(forge(t, asked, issue(t, root, "TSA", forTimeStamps), func(*info, *contentInfo, *[]attribute) {}))
	if err != nil {
		t.Fatal(err)
	}
	r.Status.Text = []asn1.RawValue{{Tag: asn1.TagUTF8String, Bytes: []byte("granted")}}
	if _, err := Verify(der(t, r), digest, Trust{Roots: root.roots, Now: time.Now()}); err == nil || !strings.Contains(err.Error(), "one form") {
		t.Errorf("%v", err)
	}
}

// A certificate that has expired since does not take a stamp back: what counts is the time of the stamp.
func TestExpiredSince(t *testing.T) {
	root := issue(t, nil, "Root", anAuthority)
	tsa := issue(t, root, "TSA", forTimeStamps)
	url := serve(t, func(w http.ResponseWriter, asked []byte) {
		_, _ = w.Write(forge(t, asked, tsa, func(*info, *contentInfo, *[]attribute) {}))
	})
	a, _ := New(url, root.roots, nil, nil, time.Now)
	digest := digestOfRandom()
	kept, _, err := a.Ask(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(kept, digest, Trust{Roots: root.roots, Now: time.Now().AddDate(30, 0, 0)}); err != nil {
		t.Error(err)
	}
}

func TestFaults(t *testing.T) {
	refused := der(t, response{Status: statusInfo{Status: 2, Text: []asn1.RawValue{{Tag: asn1.TagUTF8String, Bytes: []byte("\x1b[2J no")}}, Fail: asn1.BitString{Bytes: []byte{0, 2}, BitLength: 15}}})
	tests := map[string]struct {
		answer func(http.ResponseWriter)
		says   string
		tries  int32
	}{
		"garbage":    {func(w http.ResponseWriter) { _, _ = w.Write([]byte("<html>")) }, "no response", 1},
		"nothing":    {func(http.ResponseWriter) {}, "no response", 1},
		"huge":       {func(w http.ResponseWriter) { _, _ = w.Write(make([]byte, 10<<20)) }, "more than", 1},
		"refused":    {func(w http.ResponseWriter) { _, _ = w.Write(refused) }, "status 2 (its clock is out of reach)", 1},
		"forbidden":  {func(w http.ResponseWriter) { w.WriteHeader(http.StatusForbidden) }, "it answered 403", 1},
		"redirected": {func(w http.ResponseWriter) { w.Header().Set("Location", "/x"); w.WriteHeader(http.StatusFound) }, "it answered 302", 1},
		"down":       {func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) }, "it answered 502", 2},
		"no stamp":   {func(w http.ResponseWriter) { _, _ = w.Write([]byte{0x30, 5, 0x30, 3, 2, 1, 0}) }, "gives none", 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var tries atomic.Int32
			url := serve(t, func(w http.ResponseWriter, _ []byte) { tries.Add(1); test.answer(w) })
			_, _, err := newWorldless(t, url).Ask(t.Context(), digestOfRandom())
			if err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "\x1b") || tries.Load() != test.tries {
				t.Errorf("after %d tries: %v", tries.Load(), err)
			}
		})
	}
}

func newWorldless(t *testing.T, url string) *Authority {
	t.Helper()
	a, err := New(url, x509.NewCertPool(), nil, nil, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A second try is made, and is enough where the first one failed.
func TestSecondTry(t *testing.T) {
	root := issue(t, nil, "Root", anAuthority)
	tsa := issue(t, root, "TSA", forTimeStamps)
	var tries atomic.Int32
	url := serve(t, func(w http.ResponseWriter, asked []byte) {
		if tries.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write(forge(t, asked, tsa, func(*info, *contentInfo, *[]attribute) {}))
	})
	a, _ := New(url, root.roots, nil, nil, time.Now)
	if _, _, err := a.Ask(t.Context(), digestOfRandom()); err != nil {
		t.Error(err)
	}
}

func TestNobodyThere(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	if _, _, err := newWorldless(t, s.URL).Ask(t.Context(), digestOfRandom()); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("nobody listens: %v", err)
	}
}

// An authority that takes the question and says nothing holds nobody up for longer than Wait.
func TestHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newWorldless(t, "http://tsa.example")
		var silent []net.Conn
		a.client.Transport = &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			silent = append(silent, there)
			return here, nil
		}, DisableKeepAlives: true}
		began := time.Now()
		_, _, err := a.Ask(t.Context(), digestOfRandom())
		if took := time.Since(began); err == nil || took != Wait || !strings.Contains(err.Error(), "no answer within") {
			t.Errorf("after %s: %v", took, err)
		}
		if len(silent) != 2 {
			t.Errorf("%d tries", len(silent))
		}
		for _, c := range silent {
			_ = c.Close()
		}
		synctest.Wait()
	})
}

func TestURL(t *testing.T) {
	for _, bad := range []string{"", "tsa.example", "ftp://tsa.example", "https://u:p@tsa.example", "https://", "https://tsa.example/#x", ":"} {
		if _, err := New(bad, nil, nil, nil, time.Now); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add([]byte{0x30, 5, 0x30, 3, 2, 1, 0})
	f.Fuzz(func(t *testing.T, kept []byte) {
		if _, err := Verify(kept, [32]byte{}, Trust{Roots: x509.NewCertPool(), Now: time.Now()}); err == nil {
			t.Error("taken")
		}
	})
}
