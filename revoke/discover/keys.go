package discover

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"strings"
)

// privateKey is what a private key's file tells without its passphrase.
type privateKey struct {
	encrypted bool
	public    []byte // in SSH's wire format; nil where only the key itself would tell
}

// readPrivateKey looks at the outside of a PEM file. What it does not understand it calls
// unencrypted, which is the worse case.
func readPrivateKey(data []byte) (k privateKey) {
	block, _ := pem.Decode(data)
	if block == nil {
		return k
	}
	k.encrypted = block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED")
	if block.Type != "OPENSSH PRIVATE KEY" {
		return k
	}
	// Source: https://cvsweb.openbsd.org/src/usr.bin/ssh/PROTOCOL.key
	rest, ok := strings.CutPrefix(string(block.Bytes), "openssh-key-v1\x00")
	if !ok {
		return k
	}
	cipher, rest := sshString(rest)
	_, rest = sshString(rest) // how the passphrase is made a key
	_, rest = sshString(rest) // its options
	k.encrypted = cipher != "none"
	if len(rest) < 4 {
		return k
	}
	if public, _ := sshString(rest[4:]); public != "" {
		k.public = []byte(public)
	}
	return k
}

// sshString reads a length and as many bytes.
func sshString(data string) (text, rest string) {
	if len(data) < 4 {
		return "", ""
	}
	n := binary.BigEndian.Uint32([]byte(data[:4]))
	if uint64(n) > uint64(len(data)-4) {
		return "", ""
	}
	return data[4 : 4+n], data[4+n:]
}

// publicKey reads a line of a .pub file.
func publicKey(line string) (blob []byte, comment string, ok bool) {
	line, _, _ = strings.Cut(line, "\n")
	fields := strings.SplitN(strings.TrimSpace(line), " ", 3)
	if len(fields) < 2 {
		return nil, "", false
	}
	blob, err := base64.StdEncoding.DecodeString(fields[1])
	if err != nil || len(blob) == 0 {
		return nil, "", false
	}
	if name, _ := sshString(string(blob)); name != fields[0] {
		return nil, "", false
	}
	if len(fields) == 3 {
		comment = fields[2]
	}
	return blob, comment, true
}

// sshFingerprint names a public key as ssh-keygen -l does.
func sshFingerprint(blob []byte) string {
	sum := sha256.Sum256(blob)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}
