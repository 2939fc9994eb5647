package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
)

// evidenceConfig is what becomes of evidence at the desk.
type evidenceConfig struct {
	Sign       string   `yaml:"sign"`       // path of the key that signs packages
	Recipients []string `yaml:"recipients"` // whom they are encrypted to
	Memory     string   `yaml:"memory"`     // path of the program that images memory
}

// maxRecipients bounds the header of an encrypted package.
const maxRecipients = 64

// recipients are those whom evidence is encrypted to; none means that it stays in the clear.
func (e evidenceConfig) recipients() (list []age.Recipient, err error) {
	for _, text := range e.Recipients {
		r, err := parseRecipient(text)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	if len(list) > maxRecipients {
		return nil, fmt.Errorf("%d recipients are more than %d", len(list), maxRecipients)
	}
	return list, nil
}

// parseRecipient never shows what it cannot read: it may be an identity, put there by mistake.
func parseRecipient(text string) (age.Recipient, error) {
	if strings.HasPrefix(strings.ToUpper(text), "AGE-SECRET-KEY-") {
		return nil, errors.New("an identity stands where a recipient belongs: take it out, and hold it for known")
	}
	if strings.HasPrefix(text, "ssh-") {
		r, err := agessh.ParseRecipient(text)
		if err != nil {
			return nil, errors.New("one is no SSH public key of a kind that age takes (ssh-ed25519, ssh-rsa)")
		}
		return r, nil
	}
	list, err := age.ParseRecipients(strings.NewReader(text))
	if err != nil || len(list) != 1 {
		return nil, errors.New("one is neither an age1… recipient nor an SSH public key")
	}
	return list[0], nil
}

func (c config) checkEvidence() error {
	const hint = "write evidence: {sign: /home/alice/.ssh/id_ed25519.pub, recipients: [age1…]}"
	if c.Evidence.Sign != "" && !filepath.IsAbs(c.Evidence.Sign) {
		return usage(hint, "configuration %s: evidence: sign is not an absolute path", c.file)
	}
	if c.Evidence.Memory != "" && !filepath.IsAbs(c.Evidence.Memory) {
		return usage("write evidence: {memory: /opt/avml/avml}", "configuration %s: evidence: memory is not an absolute path", c.file)
	}
	if _, err := c.Evidence.recipients(); err != nil {
		return usage(hint, "configuration %s: evidence: recipients: %w", c.file, err)
	}
	return nil
}
