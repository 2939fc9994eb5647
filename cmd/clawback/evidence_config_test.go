package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"golang.org/x/crypto/ssh"
)

func TestEvidenceConfig(t *testing.T) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
	for text, want := range map[string]string{
		"evidence: {sign: /home/alice/key, recipients: [" + identity.Recipient().String() + ", " + line + " alice]}": "",
		"evidence: {sign: key}":                               "not an absolute path",
		"evidence: {recipients: [age1nobody]}":                "neither",
		"evidence: {recipients: [ssh-ed25519 AAAA]}":          "no SSH public key",
		"evidence: {recipients: [" + identity.String() + "]}": "an identity stands where a recipient belongs",
		"evidence: {recipient: x}":                            "not known",
		"evidence: {recipients: [\"" + identity.Recipient().String() + "\\n" + identity.Recipient().String() + "\"]}": "neither",
	} {
		file := filepath.Join(t.TempDir(), "clawback.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := readConfig(file)
		switch {
		case want == "" && err != nil, want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", text, err, want)
		case err != nil && strings.Contains(err.Error(), identity.String()):
			t.Errorf("it shows the identity")
		}
		if list, _ := c.Evidence.recipients(); want == "" && len(list) != 2 {
			t.Errorf("%d recipients", len(list))
		}
	}
}
