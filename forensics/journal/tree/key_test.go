package tree

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/mod/sumdb/note"
)

func pemOf(t *testing.T, key any, passphrase string) []byte {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(key, "")
	if passphrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block)
}

func TestSignerFromSSH(t *testing.T) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := SignerFromSSH("clawback/INC-1", pemOf(t, key, ""))
	if err != nil {
		t.Fatal(err)
	}
	want, err := note.NewEd25519VerifierKey("clawback/INC-1", public)
	if err != nil || s.Verifier() != want || s.Origin() != "clawback/INC-1" {
		t.Errorf("the verifier key is %s, want %s (%v)", s.Verifier(), want, err)
	}
	c, err := Checkpoint{Origin: s.Origin(), Size: 3}.sign(s)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := OpenCheckpoint(c.Note, s.Verifier()); err != nil || got.Size != 3 {
		t.Errorf("%+v, %v", got, err)
	}
	line, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := VerifierFromSSH("clawback/INC-1", ssh.MarshalAuthorizedKey(line)); err != nil || got != want {
		t.Errorf("from the public key: %s, %v", got, err)
	}
}

// The keys that people have are those of ssh-keygen.
func TestKeyOfSSHKeygen(t *testing.T) {
	keygen, err := exec.LookPath("ssh-keygen")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("ssh-keygen is missing: it is in the Debian package openssh-client")
	}
	file := filepath.Join(t.TempDir(), "key")
	if out, err := exec.Command(keygen, "-q", "-t", "ed25519", "-N", "", "-C", "dana", "-f", file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	private, err1 := os.ReadFile(file)
	public, err2 := os.ReadFile(file + ".pub")
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	s, err := SignerFromSSH("clawback/INC-1", private)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := VerifierFromSSH("clawback/INC-1", public); err != nil || got != s.Verifier() {
		t.Errorf("its public half is %s (%v), and it signs as %s", got, err, s.Verifier())
	}
}

func TestKeysThatCannotSign(t *testing.T) {
	_, ed, err1 := ed25519.GenerateKey(rand.Reader)
	ec, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	rs, err3 := rsa.GenerateKey(rand.Reader, 2048)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		pem  []byte
		want KeyError
	}{
		"encrypted": {pemOf(t, ed, rand.Text()), KeyError{Encrypted: true}},
		"ecdsa":     {pemOf(t, ec, ""), KeyError{Kind: "ecdsa-sha2-nistp256"}},
		"rsa":       {pemOf(t, rs, ""), KeyError{Kind: "ssh-rsa"}},
		"nothing":   {[]byte("-----BEGIN NOTHING-----"), KeyError{}},
		"empty":     {nil, KeyError{}},
	} {
		_, err := SignerFromSSH("clawback/INC-1", c.pem)
		var got *KeyError
		if !errors.As(err, &got) || *got != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	pub, err := ssh.NewPublicKey(&rs.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := VerifierFromSSH("clawback/INC-1", ssh.MarshalAuthorizedKey(pub)); !errors.As(err, new(*KeyError)) {
		t.Errorf("an RSA public key: %v", err)
	}
}

func TestKeysAreNotQuoted(t *testing.T) {
	secret, _, err := NewKey("clawback/INC-1")
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.SplitN(secret, "+", 5)
	inner := parts[len(parts)-1]
	s, err := ParseKey(secret + "\n")
	if err != nil {
		t.Fatal(err)
	}
	seed, err := base64.StdEncoding.DecodeString(inner)
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{fmt.Sprintf("%v %+v %#v", s, s, *s), fmt.Sprintf("%v %x", s.signer, s.signer)} {
		if strings.Contains(shown, inner) || strings.Contains(shown, fmt.Sprintf("%x", seed[1:])) || strings.Contains(shown, fmt.Sprint(seed[1:])) {
			t.Error("a signer shows its key")
		}
	}
	for _, broken := range []string{"", secret[1:], secret + "A", strings.Replace(secret, "INC-1", "INC-2", 1), secret[:len(secret)-8], "a+b+c+d+e"} {
		if _, err := ParseKey(broken); err == nil || strings.Contains(err.Error(), inner[:8]) {
			t.Errorf("a broken key gave %v", err)
		}
	}
	for _, origin := range []string{"", "clawback/INC 1", "clawback/a+b"} {
		if _, _, err := NewKey(origin); err == nil {
			t.Errorf("%q is an origin", origin)
		}
	}
}

func TestOpenCheckpoint(t *testing.T) {
	s, other := signer(t), signer(t)
	good, err := Checkpoint{Origin: s.Origin(), Size: 7}.sign(s)
	if err != nil {
		t.Fatal(err)
	}
	root := good.Root.String()
	sign := func(text string) []byte {
		b, err := note.Sign(&note.Note{Text: text}, s.signer)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, c := range map[string]struct {
		signed  []byte
		foreign bool
	}{
		"of another key":                         {must(t)(good.sign(other)).Note, true},
		"of another incident with the same key":  {sign("clawback/INC-2\n7\n" + root + "\n"), true},
		"changed":                                {[]byte(strings.Replace(string(good.Note), "\n7\n", "\n8\n", 1)), false},
		"a size with a zero before it":           {sign(s.Origin() + "\n07\n" + root + "\n"), false},
		"a negative size":                        {sign(s.Origin() + "\n-7\n" + root + "\n"), false},
		"more than any size":                     {sign(s.Origin() + "\n99999999999999999999\n" + root + "\n"), false},
		"a hash that is too short":               {sign(s.Origin() + "\n7\nAAAA\n"), false},
		"no hash":                                {sign(s.Origin() + "\n7\n"), false},
		"an extension, which nobody could check": {sign(s.Origin() + "\n7\n" + root + "\nmore\n"), false},
		"not signed":                             {[]byte(good.text()), false},
		"empty":                                  {nil, false},
		"too long":                               {append(good.Note, make([]byte, MaxCheckpoint)...), false},
	} {
		got, err := OpenCheckpoint(c.signed, s.Verifier())
		if err == nil || errors.Is(err, ErrForeign) != c.foreign {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	// A witness may add its own signature.
	cosigned := append([]byte(nil), good.Note...)
	theirs := must(t)(good.sign(other)).Note
	cosigned = append(cosigned, theirs[strings.Index(string(theirs), "\u2014"):]...)
	if got, err := OpenCheckpoint(cosigned, s.Verifier()); err != nil || got.Size != 7 {
		t.Errorf("with a second signature: %+v, %v", got, err)
	}
}

func must(t *testing.T) func(Checkpoint, error) Checkpoint {
	return func(c Checkpoint, err error) Checkpoint {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
}
