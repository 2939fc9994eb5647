package tree

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"clawback/forensics/disk"
)

// MaxCheckpoint bounds a signed checkpoint, in bytes.
const MaxCheckpoint = 64 << 10

// Checkpoint says what the first lines of a record hash to (https://c2sp.org/tlog-checkpoint).
type Checkpoint struct {
	Origin string
	Size   uint64 // lines
	Root   tlog.Hash
	Note   []byte // the signed text, as it stands on disk
}

// text is what is signed.
func (c Checkpoint) text() string { return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, c.Root) }

func (c Checkpoint) sign(s *Signer) (Checkpoint, error) {
	signed, err := note.Sign(&note.Note{Text: c.text()}, s.signer)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("sign the checkpoint: %w", err)
	}
	c.Note = signed
	return c, nil
}

// ErrForeign means that a checkpoint is not of the key that it was checked under.
var ErrForeign = errors.New("the checkpoint is not signed with this record's key")

// OpenCheckpoint checks a signed checkpoint under a verifier key. It returns ErrForeign for one
// that carries no signature of that key, or speaks of another tree than the key is named after.
func OpenCheckpoint(signed []byte, verifier string) (Checkpoint, error) {
	if len(signed) > MaxCheckpoint {
		return Checkpoint{}, fmt.Errorf("not a checkpoint: more than %d bytes", MaxCheckpoint)
	}
	key, err := note.NewVerifier(verifier)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("the verifier key: %w", err)
	}
	n, err := note.Open(signed, note.VerifierList(key))
	var unsigned *note.UnverifiedNoteError
	switch {
	case errors.As(err, &unsigned):
		return Checkpoint{}, fmt.Errorf("%w: %s", ErrForeign, signers(unsigned.Note))
	case err != nil:
		return Checkpoint{}, fmt.Errorf("not a signed checkpoint: %w", err)
	}
	c, err := parseCheckpoint(n.Text)
	if err != nil {
		return Checkpoint{}, err
	}
	// One key may sign for several incidents, and whoever holds no key at all can still put its
	// signature under another name.
	if c.Origin != key.Name() {
		return Checkpoint{}, fmt.Errorf("%w: it is of %.100q", ErrForeign, c.Origin)
	}
	c.Note = signed
	return c, nil
}

// signers names the keys that signed a note, as the note says.
func signers(n *note.Note) string {
	if len(n.UnverifiedSigs) == 0 {
		return "it names no key"
	}
	s := n.UnverifiedSigs[0]
	return fmt.Sprintf("it names the key %.100q, %08x", s.Name, s.Hash)
}

func parseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[0] == "" || lines[3] != "" {
		return Checkpoint{}, errors.New("not a checkpoint: it does not have three lines")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return Checkpoint{}, fmt.Errorf("not a checkpoint: %.40q is no size", lines[1])
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return Checkpoint{}, fmt.Errorf("not a checkpoint: %.60q is no hash", lines[2])
	}
	return Checkpoint{Origin: lines[0], Size: uint64(size), Root: tlog.Hash(root)}, nil
}

// ReadCheckpoint reads the newest checkpoint of the incident in dir and checks it under its
// verifier key. It returns an error that is fs.ErrNotExist when there is none.
func ReadCheckpoint(dir, verifier string) (Checkpoint, error) {
	signed, err := ReadNote(filepath.Join(dir, Dir, CheckpointName))
	if err != nil {
		return Checkpoint{}, err
	}
	return OpenCheckpoint(signed, verifier)
}

// ReadNote reads a file that is meant to hold a signed checkpoint, and at most as much as one may have.
func ReadNote(path string) ([]byte, error) {
	f, err := disk.OpenRegular(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, MaxCheckpoint+1))
}
