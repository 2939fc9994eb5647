package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"clawback/forensics/incident"
	"clawback/playbooks/engine/signers"
)

// maxAuthInfo bounds what sshd says about a login.
const maxAuthInfo = 64 << 10

// identify finds out who types: whose key opened the login, where sshd says so (ExposeAuthInfo) and
// the list of allowed signers knows it, else who --as says. What a key says cannot be talked over.
// alone is clawback without a command, as a forced command of sshd is: then a key has to be somebody's.
func (a *app) identify(alone bool) error {
	keys, err := a.loginKeys()
	list, listErr := a.allowedSigners()
	strict := alone && (a.env["SSH_USER_AUTH"] != "" || a.env[originalCommand] != "")
	switch {
	case err != nil && !strict: // left over from a login that has ended, as in a tmux session
		keys = nil
	case err != nil || listErr != nil && strict:
		return &failure{incident.ExitUsage, fmt.Errorf("who you are is not known: %w", errors.Join(err, listErr)), "whoever runs this machine has to mend it"}
	}
	for _, key := range keys {
		for _, name := range list.Names(key) {
			if mayRespond(list, name, key) && !slices.Contains(a.names, name) {
				a.names = append(a.names, name)
				a.login = key
			}
		}
	}
	switch {
	case len(a.names) > 0 && a.as != "" && !slices.Contains(a.names, a.as):
		return usage("leave --as out", "the key of this login is that of %s, and not of %q", strings.Join(a.names, ", "), a.as)
	case len(a.names) == 1:
		a.as = a.names[0]
	case len(keys) > 0 && strict && a.config.AllowedSigners != "":
		return &failure{incident.ExitApproval, fmt.Errorf("the key %s is nobody's in %s", ssh.FingerprintSHA256(keys[0]), a.config.AllowedSigners), "whoever runs this machine adds a line to it"}
	case len(keys) > 0 && a.as == "" && strict:
		a.as = ssh.FingerprintSHA256(keys[0])
	}
	if a.as != "" && signers.CheckName(a.as) != nil {
		return usage("for example --as dana", "--as: %w", signers.CheckName(a.as))
	}
	return nil
}

// mayRespond reports whether the list gives a key to somebody today, for notes or for approvals.
func mayRespond(list signers.Signers, name string, key ssh.PublicKey) bool {
	now := time.Now()
	return list.Allow(name, key, signers.Notes, now) == nil || list.Allow(name, key, signers.Approvals, now) == nil
}

// loginKeys are the keys that opened this login, as sshd wrote them down.
func (a *app) loginKeys() ([]ssh.PublicKey, error) {
	path := a.env["SSH_USER_AUTH"]
	if path == "" {
		return nil, nil
	}
	src, err := readOwn(path, maxAuthInfo)
	if err != nil {
		return nil, fmt.Errorf("what sshd says about this login: %w", err)
	}
	return parseAuthInfo(src)
}

// parseAuthInfo reads the lines "publickey TYPE KEY" of sshd. Of a certificate the key inside counts.
func parseAuthInfo(src []byte) ([]ssh.PublicKey, error) {
	var keys []ssh.PublicKey
	for line := range strings.Lines(string(src)) {
		text, ok := strings.CutPrefix(line, "publickey ")
		if !ok {
			continue
		}
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(text))
		if err != nil {
			return nil, errors.New("what sshd says about this login: a key in it cannot be read")
		}
		if cert, ok := key.(*ssh.Certificate); ok {
			key = cert.Key
		}
		keys = append(keys, key)
	}
	return keys, nil
}
