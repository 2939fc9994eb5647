package incident

import (
	"time"

	"clawback/forensics/journal"
	"clawback/revoke/credential"
)

// Undo is the intent to take a revocation back, and Undone what came of it.
type Undo struct {
	Fingerprint credential.Fingerprint `json:"fingerprint"`
	By          string                 `json:"by"`
	Why         string                 `json:"why"`
}

// Undone is what a provider said to an Undo.
type Undone struct {
	Fingerprint credential.Fingerprint `json:"fingerprint"`
	Answer      string                 `json:"answer,omitempty"`
	Did         []string               `json:"did,omitempty"`
	Left        []string               `json:"left,omitempty"` // what else works again, or does not
	Error       string                 `json:"error,omitempty"`
	Unsure      bool                   `json:"unsure,omitempty"` // it may have been taken back in spite of the error
}

// standing is how a credential stands, but for what is known of it anyway.
type standing struct {
	life credential.Life

	reason, evidence, err, hint string

	weak bool
	died time.Time
}

// foldUndo takes back the proof of a death as soon as something may be undone, and gives it back where
// nothing was: a revocation of which nobody knows whether it still holds is none to rely on.
func (s *State) foldUndo(e journal.Entry) error {
	if e.Type == TypeUndo {
		var v Undo
		if err := e.Decode(&v); err != nil {
			return err
		}
		return s.change(e, v.Fingerprint, func(c *Credential) {
			if c.Undoing == nil {
				c.undone = standing{c.Life, c.Reason, c.Evidence, c.Error, c.Hint, c.Weak, c.DiedAt}
			}
			c.Undoing = &v
			c.become(Life{Life: credential.Unverified, Reason: ReasonProvider,
				Error: "its revocation is being taken back by " + v.By + ": " + v.Why,
				Hint:  "look at its provider's own console how it stands"}, e.Time)
		})
	}
	var v Undone
	if err := e.Decode(&v); err != nil {
		return err
	}
	return s.change(e, v.Fingerprint, func(c *Credential) {
		undo, was := c.Undoing, c.undone
		if c.Undoing = nil; undo == nil {
			return
		}
		switch {
		case v.Error == "":
			c.become(Life{Life: credential.Skipped, Reason: ReasonDecision, Error: undo.Taken()}, e.Time)
			c.Decision = Command{Kind: TakeBack, Credential: v.Fingerprint, Text: undo.Why, By: undo.By}
		case !v.Unsure && len(v.Did) == 0 && was.life != "":
			c.become(Life{Life: was.life, Reason: was.reason, Evidence: was.evidence, Error: was.err, Hint: was.hint, Weak: was.weak}, e.Time)
			c.DiedAt = was.died
		}
	})
}

// Taken says that a revocation was taken back.
func (u Undo) Taken() string { return "its revocation was taken back by " + u.By + ": " + u.Why }
