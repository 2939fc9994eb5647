package broker

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"clawback/snapshots"
)

// needs returns the path of a program that a test is about.
func needs(t *testing.T, program, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing: it is in the Debian package %s", program, pkg)
	}
	t.Skipf("needs %s of the Debian package %s", program, pkg)
	return ""
}

// secret is random, and new in each run.
func secret() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

// freePort is a port of loopback that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// start runs a server until the test ends, or its parent dies.
func start(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	out := new(locked)
	cmd.Stdout, cmd.Stderr = out, out
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Setpgid = true
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(cmd.Path), out)
		}
	})
}

type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// until waits for a condition.
func until(t *testing.T, what string, wait time.Duration, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(wait); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("after %s still not: %s", wait, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// as is an authority.
func as(user, password string) Authority {
	return func(context.Context) (Access, error) { return Access{user, password}, nil }
}

// memory is a sink.
type memory struct {
	files map[string]*bytes.Buffer
	ends  map[string]snapshots.File
}

func newMemory() *memory {
	return &memory{map[string]*bytes.Buffer{}, map[string]snapshots.File{}}
}

func (m *memory) Begin(f snapshots.File) (io.Writer, error) {
	if m.files[f.Path] != nil {
		return nil, errors.New("twice: " + f.Path)
	}
	m.files[f.Path] = new(bytes.Buffer)
	return m.files[f.Path], nil
}

func (m *memory) End(f snapshots.File) error {
	m.ends[f.Path] = f
	return nil
}

// lines decodes a file of JSON lines.
func lines[T any](t *testing.T, m *memory, name string) (all []T) {
	t.Helper()
	if m.files[name] == nil {
		t.Fatalf("%s is not there, but %v", name, keys(m.files))
	}
	for d := json.NewDecoder(bytes.NewReader(m.files[name].Bytes())); ; {
		var v T
		if err := d.Decode(&v); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, v)
	}
}

func keys[V any](m map[string]V) (all []string) {
	for k := range m {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}

// authority of certificates for 127.0.0.1: files of the CA, the certificate and its key.
func certificates(t *testing.T, dir string) (pool *x509.CertPool, ca, cert, key string) {
	t.Helper()
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, &caKey.PublicKey, caKey)
	must(t, err)
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "broker"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, &own.PublicKey, caKey)
	must(t, err)
	ownDER, err := x509.MarshalPKCS8PrivateKey(own)
	must(t, err)
	ca, cert, key = filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{ca: {Type: "CERTIFICATE", Bytes: rootDER}, cert: {Type: "CERTIFICATE", Bytes: leafDER}, key: {Type: "PRIVATE KEY", Bytes: ownDER}} {
		must(t, os.WriteFile(name, pem.EncodeToMemory(block), 0o644))
	}
	pool = x509.NewCertPool()
	rootCert, err := x509.ParseCertificate(rootDER)
	must(t, err)
	pool.AddCert(rootCert)
	return pool, ca, cert, key
}

// impostor answers every connection by f.
func impostor(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var all sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			all.Go(func() { f(c); _ = c.Close() })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return l.Addr().String()
}

// silent takes all that is sent, and answers nothing.
func silent(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// within makes the waits short for a test.
func within(t *testing.T, wait time.Duration) {
	ask, end := askWait, cutWait
	askWait, cutWait = wait, wait
	t.Cleanup(func() { askWait, cutWait = ask, end })
}

// quotes fails a test where any of these texts stands in what people see.
func quotes(t *testing.T, secrets []string, shown ...any) {
	t.Helper()
	for _, v := range shown {
		text := fmt.Sprintf("%+v", v)
		for _, s := range secrets {
			if strings.Contains(text, s) {
				t.Errorf("a secret or a message is shown: %s", text)
			}
		}
	}
}
