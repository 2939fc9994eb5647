package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"clawback/forensics/disk"
	"clawback/forensics/incident"
	"clawback/forensics/journal/tree"
)

// ownKey makes the signer of an incident's checkpoints from the responder's own key; nil when the
// incident has a key of its own.
type ownKey func(origin string) (*tree.Signer, error)

func signKeyFlag(c *cobra.Command, path *string) {
	c.Flags().StringVar(path, "sign-key", "", "sign the record's checkpoints with your own key, an OpenSSH ed25519 private key in `FILE`; it is not kept")
}

// signKey reads the key of --sign-key, before anything is done with the target. It is kept in
// memory alone.
func signKey(path string) (ownKey, error) {
	if path == "" {
		return nil, nil
	}
	const hint = "for example ssh-keygen -t ed25519 -N '' -f FILE, or leave --sign-key out: then the incident gets a key of its own"
	pem, err := readSmall(path)
	if err != nil {
		return nil, usage(hint, "--sign-key: %w", err)
	}
	own := func(origin string) (*tree.Signer, error) {
		signer, err := tree.SignerFromSSH(origin, pem)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return signer, nil
	}
	if _, err := own(tree.Origin("INC")); err != nil {
		return nil, usage(hint, "--sign-key: %w", err)
	}
	return own, nil
}

// readSmall reads a file that a person names, and waits for none.
func readSmall(path string) ([]byte, error) {
	const most = 64 << 10
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && len(b) > most {
		err = fmt.Errorf("%s has more than %d bytes", path, most)
	}
	return b, err
}

// signWith gives the record the key of its checkpoints. recorded is the verifier key in a record
// that is taken up again, and "" in a new one. Without a key the response goes on and says so.
func (r *response) signWith(own ownKey, recorded string) {
	if r.open.dir == "" || recorded == "" && r.work.Before != nil {
		return // there is no record to sign, or it was begun without a key
	}
	signer, err := r.open.checkpointKey(r.declared.Incident, own, recorded)
	if err != nil {
		r.unsealed(err)
		return
	}
	r.signer, r.declared.CheckpointKey = signer, signer.Verifier()
}

// checkpointKey is the responder's own key, or the incident's, which is made and kept in its folder.
func (o *open) checkpointKey(id string, own ownKey, recorded string) (*tree.Signer, error) {
	path := filepath.Join(o.dir, "keys", "checkpoint")
	var signer *tree.Signer
	var err error
	switch {
	case own != nil:
		signer, err = own(tree.Origin(id))
	case recorded != "":
		var secret []byte
		secret, err = readSmall(path)
		if errors.Is(err, fs.ErrNotExist) {
			err = errors.New("its checkpoints are signed with a responder's own key, which is not kept: name it with --sign-key")
		}
		if err == nil {
			signer, err = tree.ParseKey(string(secret))
		}
	default:
		signer, err = makeCheckpointKey(path, tree.Origin(id))
	}
	if err != nil {
		return nil, err
	}
	if recorded != "" && signer.Verifier() != recorded {
		return nil, errors.New("the key is another than the record names")
	}
	return signer, nil
}

func makeCheckpointKey(path, origin string) (*tree.Signer, error) {
	secret, _, err := tree.NewKey(origin)
	if err == nil {
		err = disk.MkdirAll(ownDisk, filepath.Dir(path), 0o700)
	}
	if err == nil {
		err = disk.Replace(ownDisk, path, []byte(secret+"\n"), 0o600)
	}
	if err != nil {
		return nil, err
	}
	return tree.ParseKey(secret)
}

// seal keeps the tree over the record while it grows, and ends behind its last entry.
func (r *response) seal(ctx context.Context) {
	if r.signer == nil {
		return
	}
	t, err := tree.Open(ownDisk, r.open.dir, r.signer)
	if err == nil {
		keeper := tree.Keeper{Tree: t, Sealed: r.witnesses.checkpoint, Failed: r.unsealed}
		err = keeper.Keep(ctx, r.open.journal.DurableCursor())
		r.sealed = t.Sealed()
	}
	if err != nil {
		r.unsealed(err)
	}
	r.sealErr = err
}

// unsealed records once that checkpoints are missing. When the record is closed already, all that
// is left is to say so at the end.
func (r *response) unsealed(err error) {
	if r.warned {
		return
	}
	r.warned = true
	_ = r.open.journal.Note(incident.TypeWarning, incident.Warning{
		Text: "the record is not sealed: " + err.Error(), Grave: true,
		Hint: "the response goes on; copy the record to another machine: nothing else shows whether it is changed later",
	})
}

// showSeal prints the last checkpoint, for a notebook: whoever holds a copy of it can tell later
// whether the record was changed.
func (r *response) showSeal() {
	if r.sealErr != nil {
		complain(r.app.err, &failure{err: fmt.Errorf("the end of the record is not sealed: %w", r.sealErr), hint: "copy the record to another machine"})
	}
	if r.sealed.Size > 0 {
		newTextPrinter(r.app.err, r.app.env).event(time.Time{}, "sealed", fmt.Sprintf(
			"write it down: %d:%s; clawback verify %s --noted SIZE:ROOT shows later whether these entries were changed", r.sealed.Size, r.sealed.Root, r.declared.Incident))
	}
}

// sealCopy seals a copy of the record that was made in dir because its own disk failed.
func (r *response) sealCopy(dir string, lines [][]byte) error {
	if r.signer == nil {
		return nil
	}
	t, err := tree.Open(ownDisk, dir, r.signer)
	for _, line := range lines {
		if err == nil {
			err = t.Add(line)
		}
	}
	if err == nil {
		_, err = t.Checkpoint()
	}
	return err
}
