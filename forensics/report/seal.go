package report

import (
	"errors"
	"io/fs"

	"clawback/forensics/incident"
	"clawback/forensics/journal/tree"
)

// Seal is the newest checkpoint of the record when the report was written.
type Seal struct {
	Key     string `json:"key"`     // its verifier key, as the first entry names it
	Entries uint64 `json:"entries"` // it covers the first so many
	Root    string `json:"root"`    // of the tree over them, in base64
	Problem string `json:"problem,omitempty"`
}

// seal reads the checkpoint in dir; nil for a record that names no key.
func seal(dir string, s incident.State) *Seal {
	key := s.Declared.CheckpointKey
	if key == "" {
		return nil
	}
	c, err := tree.ReadCheckpoint(dir, key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &Seal{Key: key, Problem: "there is no checkpoint yet"}
	case err != nil:
		return &Seal{Key: key, Problem: err.Error()}
	}
	return &Seal{Key: key, Entries: c.Size, Root: c.Root.String()}
}

func (p *page) seal(d Document) {
	s := d.Record.Seal
	if s == nil {
		return
	}
	if s.Problem != "" {
		p.say("**The record was not sealed when this was written:** %s.", s.Problem)
	} else {
		p.say("When this was written, entries 1 to %d were sealed by a signed checkpoint, %s, over the root of the tree of their lines: %s.",
			s.Entries, tree.Dir+"/"+tree.CheckpointName, s.Root)
	}
	p.say("Checkpoints of this record are signed with the key %s.", s.Key)
	p.say("To check lines, chain, tree, signature and evidence; FILE is a checkpoint that was held elsewhere, and does not have to be given:")
	p.block([]string{"clawback verify " + shellWord(d.Incident) + " --checkpoint FILE"})
	p.say("What this protects: entries up to the last checkpoint that is held off this machine, against whoever changes, removes, adds or reorders them. Nothing protects the entries after it. Whoever has this machine and its key can write all of the record anew, and only what is held elsewhere shows it.")
}
