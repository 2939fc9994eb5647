// Package tsatest is a time stamping authority for tests: openssl ts behind a server on loopback.
package tsatest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// config is for openssl req, x509 and ts.
const config = `[req]
distinguished_name = name
[name]
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
[stamps]
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
[tsa]
default_tsa = one
[one]
serial = DIR/serial
default_policy = 1.2.3.4.1
digests = sha256
signer_digest = sha256
ess_cert_id_alg = sha256
`

// Serve starts an authority until the test ends. It returns its URL, and the file with its root. Where
// openssl is missing the test is skipped, but not in CI.
func Serve(t testing.TB) (url, roots string) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("the program openssl is not here")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"conf": strings.ReplaceAll(config, "DIR", dir), "serial": "01\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) {
		t.Helper()
		c := exec.Command("openssl", args...)
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("openssl %s: %v: %s", args[0], err, out)
		}
	}
	run("req", "-x509", "-config", "conf", "-extensions", "root", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "root.key", "-out", "root.pem", "-subj", "/CN=Root", "-days", "2")
	run("req", "-config", "conf", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=Time Stamping Authority")
	run("x509", "-req", "-in", "tsa.csr", "-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-extfile", "conf", "-extensions", "stamps", "-out", "tsa.pem", "-days", "2")
	var one sync.Mutex // the serial number
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		one.Lock()
		defer one.Unlock()
		asked, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "asked"), asked, 0o600)
		}
		c := exec.Command("openssl", "ts", "-reply", "-config", "conf", "-queryfile", "asked", "-signer", "tsa.pem", "-inkey", "tsa.key", "-out", "answer")
		c.Dir = dir
		if err == nil {
			err = c.Run()
		}
		answer, readErr := os.ReadFile(filepath.Join(dir, "answer"))
		if err != nil || readErr != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/timestamp-reply")
		_, _ = w.Write(answer)
	}))
	t.Cleanup(s.Close)
	return s.URL, filepath.Join(dir, "root.pem")
}
