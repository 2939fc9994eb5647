package signers

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// maxKey bounds a key file.
const maxKey = 64 << 10

// KeyError is why a key cannot be used.
type KeyError struct {
	Path string
	Why  string
	Next string
}

func (e *KeyError) Error() string { return fmt.Sprintf("the key %s: %s", e.Path, e.Why) }

// Hint says what to do next.
func (e *KeyError) Hint() string { return e.Next }

// Agent tells where the keys of people are, besides files.
type Agent struct {
	Socket     string                 // $SSH_AUTH_SOCK; "" for none
	Passphrase func() ([]byte, error) // asks on the terminal; nil where there is none
}

// hintAgent is for keys that a file alone does not give.
const hintAgent = "add it to ssh-agent, and name its public key: --key FILE.pub"

// Open returns what signs with the key at path. A private key is used directly, and asks for its
// passphrase where it has one; a public key means that its private half is in the agent, as that of
// a hardware key is. Close lets the agent go. No error holds anything of a secret.
func (a Agent) Open(ctx context.Context, path string) (key ssh.Signer, closer io.Closer, err error) {
	src, mode, err := readKey(path)
	if err != nil {
		return nil, nil, err
	}
	if bytes.HasPrefix(bytes.TrimSpace(src), []byte("-----BEGIN ")) {
		if mode.Perm()&0o077 != 0 {
			return nil, nil, &KeyError{path, fmt.Sprintf("others can read it (mode %04o)", mode.Perm()), "chmod 600 " + path}
		}
		key, err = a.private(path, src)
		return key, io.NopCloser(nil), err
	}
	public, _, options, rest, err := ssh.ParseAuthorizedKey(src)
	if err != nil || len(options) > 0 || len(bytes.TrimSpace(rest)) > 0 {
		return nil, nil, &KeyError{path, "it is neither a private key of OpenSSH nor one public key", "ssh-keygen -t ed25519 makes one"}
	}
	if err := strong(public); err != nil {
		return nil, nil, &KeyError{path, err.Error(), "ssh-keygen -t ed25519 makes one"}
	}
	return a.held(ctx, path, public)
}

func readKey(path string) ([]byte, os.FileMode, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, fmt.Errorf("read the key: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, fmt.Errorf("read the key: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxKey {
		return nil, 0, &KeyError{path, "it is not a regular file of a key's size", ""}
	}
	src, err := io.ReadAll(io.LimitReader(f, maxKey))
	if err != nil {
		return nil, 0, fmt.Errorf("read the key: %w", err)
	}
	return src, info.Mode(), nil
}

// private never shows the parser's error: it may quote what it read.
func (a Agent) private(path string, src []byte) (ssh.Signer, error) {
	key, err := ssh.ParsePrivateKey(src)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		if a.Passphrase == nil {
			return nil, &KeyError{path, "it has a passphrase, and there is no terminal to ask for it", hintAgent}
		}
		passphrase, askErr := a.Passphrase()
		if askErr != nil {
			return nil, fmt.Errorf("ask for the passphrase of %s: %w", path, askErr)
		}
		key, err = ssh.ParsePrivateKeyWithPassphrase(src, passphrase)
		clear(passphrase)
	}
	switch {
	case errors.Is(err, x509.IncorrectPasswordError):
		return nil, &KeyError{path, "the passphrase is wrong", ""}
	case err != nil:
		return nil, &KeyError{path, "it is no private key that can be used from a file", hintAgent}
	}
	if err := strong(key.PublicKey()); err != nil {
		return nil, &KeyError{path, err.Error(), "ssh-keygen -t ed25519 makes one"}
	}
	return key, nil
}

// Held returns what signs with the private half of a public key that the agent holds, and what to
// close afterwards. Errors call the key by name.
func (a Agent) Held(ctx context.Context, name string, public ssh.PublicKey) (ssh.Signer, io.Closer, error) {
	return a.held(ctx, name, public)
}

// held finds the private half of a public key in the agent.
func (a Agent) held(ctx context.Context, path string, public ssh.PublicKey) (ssh.Signer, io.Closer, error) {
	if a.Socket == "" {
		return nil, nil, &KeyError{path, "it is a public key, and no ssh-agent is known", "start one and set SSH_AUTH_SOCK, or name the private key"}
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", a.Socket)
	if err != nil {
		return nil, nil, fmt.Errorf("reach ssh-agent: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // an agent may wait for a person for ever
	signers, err := agent.NewClient(conn).Signers()
	for _, s := range signers {
		if same(s.PublicKey(), public) {
			return s, closing(func() error { stop(); return conn.Close() }), nil
		}
	}
	stop()
	_ = conn.Close()
	if err != nil {
		return nil, nil, fmt.Errorf("ask ssh-agent for its keys: %w", err)
	}
	return nil, nil, &KeyError{path, "ssh-agent does not hold it", "ssh-add adds it, ssh-add -l lists what it holds"}
}

type closing func() error

func (c closing) Close() error { return c() }

// Generate makes a new Ed25519 key, and returns its private key as OpenSSH keeps it.
func Generate(comment string) (private []byte, key ssh.Signer, err error) {
	_, secret, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make a key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(secret, comment)
	if err == nil {
		key, err = ssh.NewSignerFromSigner(secret)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("make a key: %w", err)
	}
	return pem.EncodeToMemory(block), key, nil
}
