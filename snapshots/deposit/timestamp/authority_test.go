package timestamp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// person is a key with its certificate.
type person struct {
	key   crypto.Signer
	cert  *x509.Certificate
	roots *x509.CertPool
}

// issue has a certificate made by from, or by itself where from is nil.
func issue(t *testing.T, from *person, name string, change func(*x509.Certificate)) *person {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return certify(t, from, key, name, change)
}

func certify(t *testing.T, from *person, key crypto.Signer, name string, change func(*x509.Certificate)) *person {
	t.Helper()
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name, Organization: []string{"clawback test"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), BasicConstraintsValid: true,
	}
	change(c)
	p := &person{key: key, roots: x509.NewCertPool()}
	parent, signer := c, key
	if from != nil {
		parent, signer = from.cert, from.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	if p.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	p.roots.AddCert(p.cert)
	return p
}

func anAuthority(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign }

// forTimeStamps is what RFC 3161 wants of the certificate of a time stamping authority.
func forTimeStamps(c *x509.Certificate) {
	c.KeyUsage = x509.KeyUsageDigitalSignature
	c.ExtraExtensions = []pkix.Extension{usage(true, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8})}
}

func usage(critical bool, ids ...asn1.ObjectIdentifier) pkix.Extension {
	der, _ := asn1.Marshal(ids)
	return pkix.Extension{Id: keyUsageOID, Critical: critical, Value: der}
}

// world is a root, one between and a time stamping authority.
type world struct {
	root, between, tsa *person
	dir                string // with their PEM files
}

func newWorld(t *testing.T) world {
	t.Helper()
	w := world{dir: t.TempDir(), root: issue(t, nil, "Root", anAuthority)}
	w.between = issue(t, w.root, "Between", anAuthority)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	w.tsa = certify(t, w.between, key, "Time Stamping Authority", forTimeStamps)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	w.write(t, "key.pem", &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	w.write(t, "tsa.pem", asPEM(w.tsa))
	w.write(t, "chain.pem", asPEM(w.between), asPEM(w.root))
	w.write(t, "root.pem", asPEM(w.root))
	config := "[tsa]\ndefault_tsa = one\n[one]\nserial = " + w.path("serial") + "\ndefault_policy = 1.2.3.4.1\nother_policies = 1.2.3.4.5\n" +
		"digests = sha256\naccuracy = secs:1, millisecs:500\nsigner_digest = sha256\ness_cert_id_alg = sha256\nordering = no\ntsa_name = yes\n"
	if err := os.WriteFile(w.path("tsa.conf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.path("serial"), []byte("01\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return w
}

func asPEM(p *person) *pem.Block { return &pem.Block{Type: "CERTIFICATE", Bytes: p.cert.Raw} }

func (w world) path(name string) string { return filepath.Join(w.dir, name) }

func (w world) write(t *testing.T, name string, blocks ...*pem.Block) {
	t.Helper()
	var b []byte
	for _, block := range blocks {
		b = append(b, pem.EncodeToMemory(block)...)
	}
	if err := os.WriteFile(w.path(name), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// openssl runs the program that everybody has. Where it is missing the test is skipped, but not in CI.
func openssl(t *testing.T, args ...string) ([]byte, error) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("the program openssl is not here")
	}
	return exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput()
}

// reply has openssl answer a query.
func (w world) reply(t *testing.T, asked []byte) []byte {
	t.Helper()
	if err := os.WriteFile(w.path("asked"), asked, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := openssl(t, "ts", "-reply", "-config", w.path("tsa.conf"), "-section", "one", "-queryfile", w.path("asked"),
		"-signer", w.path("tsa.pem"), "-inkey", w.path("key.pem"), "-chain", w.path("chain.pem"), "-out", w.path("answer"))
	if err != nil {
		t.Fatalf("openssl ts -reply: %v: %s", err, out)
	}
	b, err := os.ReadFile(w.path("answer"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// serve is a real authority: openssl behind an HTTP server.
func (w world) serve(t *testing.T) string {
	return serve(t, func(rw http.ResponseWriter, asked []byte) { _, _ = rw.Write(w.reply(t, asked)) })
}

func serve(t *testing.T, answer func(http.ResponseWriter, []byte)) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/timestamp-query" {
			rw.WriteHeader(http.StatusUnsupportedMediaType)
			return
		}
		rw.Header().Set("Content-Type", "application/timestamp-reply")
		answer(rw, asked)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func digestOfRandom() (d [sha256.Size]byte) {
	_, _ = rand.Read(d[:])
	return d
}

func (w world) ask(t *testing.T, url string, digest [sha256.Size]byte) ([]byte, Stamp, error) {
	t.Helper()
	a, err := New(url, w.root.roots, nil, nil, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return a.Ask(t.Context(), digest)
}
