package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"golang.org/x/crypto/ssh"

	"clawback/forensics/disk"
	"clawback/forensics/incident"
	"clawback/playbooks/engine/signers"
	"clawback/snapshots"
)

// evidenceCheck is how packages of evidence are looked at.
type evidenceCheck struct {
	identities []age.Identity
	signers    *signers.Signers // nil: nobody is known
	signed     bool             // each has to be
}

func (a *app) evidenceCheck(with compared) (look evidenceCheck, err error) {
	if with.identity != "" {
		if look.identities, err = readIdentities(with.identity); err != nil {
			return look, usage("name a file that age-keygen wrote, or an SSH private key without a passphrase", "--identity: %w", err)
		}
	}
	file := with.signers
	if file != "" {
		look.signed = true
	} else if file = a.config.AllowedSigners; file == "" {
		return look, nil
	}
	src, err := readSmall(file)
	if errors.Is(err, fs.ErrNotExist) && !look.signed {
		return look, nil
	}
	if err != nil {
		return look, usage("name a list as in ssh-keygen(1)", "allowed signers: %w", err)
	}
	list, err := signers.Parse(file, src)
	if err != nil {
		return look, usage("mend the list", "%w", err)
	}
	look.signers = &list
	return look, nil
}

// readIdentities never shows what it read.
func readIdentities(path string) ([]age.Identity, error) {
	src, err := readSmall(path)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(bytes.TrimSpace(src), []byte("-----BEGIN ")) {
		id, err := agessh.ParseIdentity(src)
		if missing := (*ssh.PassphraseMissingError)(nil); errors.As(err, &missing) {
			return nil, fmt.Errorf("%s has a passphrase: decrypt the package with age -d -i %s", path, path)
		}
		if err != nil {
			return nil, fmt.Errorf("%s is no SSH private key that age takes", path)
		}
		return []age.Identity{id}, nil
	}
	list, err := age.ParseIdentities(bytes.NewReader(src))
	if err != nil {
		return nil, fmt.Errorf("%s holds no identity of age", path)
	}
	return list, nil
}

// isEvidence reports whether a path is that of a package, or of the folder that one was unpacked into.
func isEvidence(path string) bool {
	info, err := os.Stat(path)
	if path == "" || err != nil {
		return false
	}
	if info.Mode().IsRegular() {
		return true
	}
	_, err = os.Stat(filepath.Join(path, "bagit.txt"))
	return err == nil
}

// verifyEvidence checks a package alone.
func (a *app) verifyEvidence(path string, look evidenceCheck) error {
	says, err := look.check(path, incident.Sealed{})
	if err != nil {
		return &failure{incident.ExitNothing, fmt.Errorf("evidence %s: %w", path, err), "compare with a copy from elsewhere"}
	}
	for _, line := range says {
		fmt.Fprintln(a.out, incident.Safe(line))
	}
	return nil
}

// check checks a package against itself and, where the record names it, against what it says there:
// whoever can write to a package can forge one that agrees with itself. It returns what to say of it.
func (look evidenceCheck) check(path string, recorded incident.Sealed) (says []string, err error) {
	var logs agentLogs
	r, err := snapshots.Check{Digest: recorded.Package, Identities: look.identities, File: logs.file, Entry: logs.entry}.Verify(path)
	logs.end()
	if err != nil {
		return nil, err
	}
	if !r.Closed && recorded.Digest != "" && r.Digest != recorded.Digest {
		return nil, fmt.Errorf("it agrees with itself, and is not what the record says was sealed: it was replaced (digest %s, recorded %s)", r.Digest, recorded.Digest)
	}
	if r.Closed {
		says = append(says, fmt.Sprintf("%s: encrypted, SHA-256 %s as sealed; what is in it was not looked at: --identity FILE opens it", path, r.Package))
	} else {
		says = append(says, fmt.Sprintf("%s: %d files, %d bytes, as sealed", path, r.Files, r.Bytes))
	}
	if r.Package != "" {
		line, err := look.signature(path, recorded)
		if err != nil {
			return nil, err
		}
		says = append(says, line)
	}
	return append(says, logs.says()...), nil
}

// signature checks who signed a package, where it is signed.
func (look evidenceCheck) signature(path string, recorded incident.Sealed) (string, error) {
	beside := path + snapshots.SignatureSuffix
	armored, err := readSmall(beside)
	switch {
	case errors.Is(err, fs.ErrNotExist) && look.signed:
		return "", fmt.Errorf("it is not signed: %s is missing", beside)
	case errors.Is(err, fs.ErrNotExist) && recorded.Signer != "":
		return "", fmt.Errorf("the record says that %s signed it, and %s is missing", recorded.Signer, beside)
	case errors.Is(err, fs.ErrNotExist):
		return path + ": not signed", nil
	case err != nil:
		return "", err
	}
	file, err := disk.OpenRegular(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	key, err := signers.VerifyFrom(file, string(armored), signers.Evidence)
	if err != nil {
		return "", fmt.Errorf("%s: %w", beside, err)
	}
	print := ssh.FingerprintSHA256(key)
	if recorded.Signer != "" && recorded.Signer != print {
		return "", fmt.Errorf("%s is of %s, and the record says that %s signed it", beside, print, recorded.Signer)
	}
	if look.signers == nil {
		return fmt.Sprintf("%s: signed with %s; whose that is, a list of allowed signers says (--allowed-signers)", path, print), nil
	}
	at, err := file.Stat()
	if err != nil {
		return "", err
	}
	for _, name := range look.signers.Names(key) {
		if look.signers.Allow(name, key, signers.Evidence, at.ModTime()) == nil {
			return fmt.Sprintf("%s: signed by %s with %s", path, name, print), nil
		}
	}
	return "", fmt.Errorf("it is signed with %s, which the list of allowed signers gives to nobody for %s", print, signers.Evidence)
}

// agentLogs are the audit logs that the agent itself kept, checked while a package is. A log that is
// broken says something about the host, and nothing against the package.
type agentLogs struct {
	list []*agentLog
	open *agentLog
}

type agentLog struct {
	stored, path string
	in           *io.PipeWriter
	done         chan struct{}
	lines        []string
}

// file takes the content of a log.
func (l *agentLogs) file(stored string) io.Writer {
	l.end()
	if !isAuditLog(stored) || len(l.list) >= maxAgentLogs {
		return nil
	}
	out, in := io.Pipe()
	log := &agentLog{stored: stored, path: stored, in: in, done: make(chan struct{})}
	l.list, l.open = append(l.list, log), log
	go log.check(out)
	return in
}

// maxAgentLogs bounds how many are checked.
const maxAgentLogs = 1000

// end waits for the log that is open.
func (l *agentLogs) end() {
	if l.open == nil {
		return
	}
	_ = l.open.in.Close()
	<-l.open.done
	l.open = nil
}

// entry learns what the host calls a log.
func (l *agentLogs) entry(e snapshots.Entry) {
	for _, log := range l.list {
		if e.Stored == log.stored {
			log.path = e.File.Path
		}
	}
}

func (l *agentLogs) says() (says []string) {
	for _, log := range l.list {
		for _, line := range log.lines {
			says = append(says, strings.Replace(line, log.stored, log.path, 1))
		}
	}
	return says
}
