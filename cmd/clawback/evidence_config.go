package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"golang.org/x/crypto/ssh"

	"clawback/playbooks/actions"
	"clawback/playbooks/engine/signers"
)

// evidenceConfig is what becomes of evidence at the desk.
type evidenceConfig struct {
	Sign       string   `yaml:"sign"`       // path of the key that signs packages
	Recipients []string `yaml:"recipients"` // whom they are encrypted to
	Memory     string   `yaml:"memory"`     // path of the program that images memory

	Timestamp *timestampConfig `yaml:"timestamp"`
	Deposit   []depositConfig  `yaml:"deposit"`
	Hold      bool             `yaml:"hold"` // a legal hold from the declaration on
}

const evidenceHelp = `evidence:                   # packed into one file for each part, as it arrives
  sign: /home/alice/.ssh/id_ed25519.pub   # signs it: a private key without a passphrase, or the public half of one in ssh-agent
  recipients:               # who alone can open it: nothing of it touches the desk's disk in the clear, and the desk cannot read it again
    - age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p
    - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAJdE1Mw5qVdjhrHPBjKnsxUbqwCus6gOzhNzgEf2PKX legal
`

// keeps sets what becomes of the evidence of a response. The configuration was checked.
func (a *app) keeps(work *actions.Response) {
	work.Recipients, _ = a.config.Evidence.recipients()
	path := a.config.Evidence.Sign
	if path == "" {
		return
	}
	agent := signers.Agent{Socket: a.env["SSH_AUTH_SOCK"]} // nobody is asked for a passphrase in the middle of a response
	work.Sign = func(ctx context.Context, message io.Reader) (armored, fingerprint string, err error) {
		key, closer, err := agent.Open(ctx, path)
		if err != nil {
			return "", "", err
		}
		defer func() { _ = closer.Close() }()
		armored, err = signers.SignFrom(key, signers.Evidence, message)
		return armored, ssh.FingerprintSHA256(key.PublicKey()), err
	}
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
	return c.checkCustody()
}
