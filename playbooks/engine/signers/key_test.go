package signers

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// serveAgent is an ssh-agent that holds keys, and returns its socket.
func serveAgent(t *testing.T, held ...any) string {
	t.Helper()
	ring := agent.NewKeyring()
	for _, k := range held {
		if err := ring.Add(agent.AddedKey{PrivateKey: k}); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := os.MkdirTemp("", "a") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = agent.ServeAgent(ring, c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done; _ = os.RemoveAll(dir) })
	return path
}

func TestOpenKeys(t *testing.T) {
	dir := t.TempDir()
	_, secret, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, stranger, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	passphrase := rand.Text()
	write := func(name string, mode os.FileMode, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	armor := func(b *pem.Block, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(b)
	}
	plain := armor(ssh.MarshalPrivateKey(secret, ""))
	says := func(text string, err error) func() ([]byte, error) {
		return func() ([]byte, error) { return []byte(text), err }
	}
	private := write("private", 0o600, plain)
	readable := write("readable", 0o644, plain)
	locked := write("locked", 0o600, armor(ssh.MarshalPrivateKeyWithPassphrase(secret, "", []byte(passphrase))))
	broken := write("broken", 0o600, append(plain[:len(plain)/2:len(plain)/2], []byte("\n-----END OPENSSH PRIVATE KEY-----\n")...))
	public := write("public", 0o644, ssh.MarshalAuthorizedKey(signer.PublicKey()))
	large, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	largeKey, err := ssh.NewPublicKey(large.Public())
	if err != nil {
		t.Fatal(err)
	}
	publicRSA := write("rsa", 0o644, ssh.MarshalAuthorizedKey(largeKey))
	noise := write("noise", 0o600, []byte("hello"))
	for name, test := range map[string]struct {
		agent Agent
		path  string
		want  string // of the error; "" for none
	}{
		"private":                    {Agent{}, private, ""},
		"private, readable":          {Agent{}, readable, "others can read it"},
		"locked":                     {Agent{Passphrase: says(passphrase, nil)}, locked, ""},
		"locked, wrong":              {Agent{Passphrase: says("wrong", nil)}, locked, "passphrase is wrong"},
		"locked, nobody to ask":      {Agent{}, locked, "no terminal"},
		"locked, no answer":          {Agent{Passphrase: says("", errors.New("gone"))}, locked, "gone"},
		"broken":                     {Agent{}, broken, "no private key that can be used"},
		"public, in the agent":       {Agent{Socket: serveAgent(t, secret)}, public, ""},
		"RSA, in the agent":          {Agent{Socket: serveAgent(t, stranger, large)}, publicRSA, ""},
		"public, not in the agent":   {Agent{Socket: serveAgent(t, stranger)}, public, "does not hold it"},
		"public, no agent":           {Agent{}, public, "no ssh-agent is known"},
		"public, agent is not there": {Agent{Socket: filepath.Join(dir, "none")}, public, "reach ssh-agent"},
		"noise":                      {Agent{}, noise, "neither a private key"},
		"absent":                     {Agent{}, filepath.Join(dir, "absent"), "no such file"},
		"folder":                     {Agent{}, dir, "not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			key, closer, err := test.agent.Open(t.Context(), test.path)
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("%v, want %q", err, test.want)
				}
				for _, hidden := range append(strings.Fields(string(plain))[5:8], passphrase) {
					if err != nil && strings.Contains(err.Error(), hidden) {
						t.Error("the error holds a part of the secret")
					}
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			sig, err := Sign(key, Notes, []byte("m"))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := Verify([]byte("m"), sig, Notes); err != nil || !same(got, key.PublicKey()) || name != "RSA, in the agent" && !same(got, signer.PublicKey()) {
				t.Error(err)
			}
			_ = closer.Close()
		})
	}
}

// An agent that asks its person for ever is left when we are told to end.
func TestAnAgentThatNeverAnswers(t *testing.T) {
	dir, err := os.MkdirTemp("", "a")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	public := filepath.Join(dir, "public")
	put(t, public, string(ssh.MarshalAuthorizedKey(newKey(t).PublicKey())))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		c, err := l.Accept()
		if err == nil {
			cancel()
			defer func() { _ = c.Close() }()
			_, _ = c.Read(make([]byte, 1<<16))
			_, _ = c.Read(make([]byte, 1)) // until it is closed
		}
	}()
	if _, _, err := (Agent{Socket: filepath.Join(dir, "s")}).Open(ctx, public); err == nil {
		t.Error("it gave a key")
	}
}
