package plan

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"clawback/forensics/disk"
	"clawback/revoke/credential"
)

// ErrNotOurs means that this desk did not make a plan, or not as it reads now.
var ErrNotOurs = errors.New("this desk did not make that plan")

// newID names a plan after the minute in which it was made.
func newID(now time.Time) string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return "PLAN-" + now.UTC().Format("20060102-1504") + "-" + hex.EncodeToString(b[:])
}

// Keep writes down, in the desk's folder dir, what shows later that this desk made a plan, and the
// key of its fingerprints. Without that key nobody can try guesses against a plan file, wherever it
// is sent for approval.
func Keep(fsys disk.FS, dir string, p Plan, raw []byte, key credential.FingerprintKey) error {
	if err := disk.MkdirAll(fsys, dir, 0o700); err != nil {
		return fmt.Errorf("keep the key of the plan: %w", err)
	}
	line := fmt.Sprintf("%s %s\n", hex.EncodeToString(key.Bytes()), Digest(raw))
	if err := disk.Replace(fsys, filepath.Join(dir, p.ID), []byte(line), 0o600); err != nil {
		return fmt.Errorf("keep the key of the plan: %w", err)
	}
	return nil
}

// Recall returns the key of a plan's fingerprints. With ErrNotOurs another desk made it, or it was
// changed since: endpoints and risks stand in it, and secrets go where it says.
func Recall(dir string, p Plan, raw []byte) (credential.FingerprintKey, error) {
	line, err := os.ReadFile(filepath.Join(dir, p.ID))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return credential.FingerprintKey{}, fmt.Errorf("%w: there is no %s in %s", ErrNotOurs, p.ID, dir)
	case err != nil:
		return credential.FingerprintKey{}, err
	}
	keyText, digest, _ := bytes.Cut(bytes.TrimSpace(line), []byte(" "))
	if string(digest) != Digest(raw) {
		return credential.FingerprintKey{}, fmt.Errorf("%w: %s was changed after it was made", ErrNotOurs, p.ID)
	}
	b, err := hex.DecodeString(string(keyText))
	if err != nil {
		return credential.FingerprintKey{}, fmt.Errorf("the key of %s: %w", p.ID, err)
	}
	return credential.LoadFingerprintKey(b)
}
