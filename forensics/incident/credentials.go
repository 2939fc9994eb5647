package incident

import (
	"fmt"
	"time"

	"clawback/forensics/journal"
	"clawback/revoke/credential"
)

func (s *State) foldCredential(e journal.Entry) error {
	switch e.Type {
	case TypeFound:
		return s.foldFound(e)
	case TypeSource:
		var v Source
		if err := e.Decode(&v); err != nil {
			return err
		}
		return s.change(e, v.Fingerprint, func(c *Credential) {
			c.Sources = append(c.Sources, v.Source)
			if v.Doubt == "" {
				c.Doubt = "" // the place that speaks for it counts
			}
		})
	case TypeInventoried:
		return s.foldInventoried(e)
	case TypeCommand:
		return s.foldCommand(e)
	case TypeBaseline, TypeProbe:
		return s.foldProbe(e)
	case TypeRevoke:
		var v Revoke
		if err := e.Decode(&v); err != nil {
			return err
		}
		return s.change(e, v.Fingerprint, func(c *Credential) {
			c.become(Life{Life: credential.Requested}, e.Time)
			if c.RevokedAt.IsZero() {
				c.RevokedAt = e.Time
			}
		})
	case TypeReceipt:
		var v Receipt
		if err := e.Decode(&v); err != nil {
			return err
		}
		return s.change(e, v.Fingerprint, func(c *Credential) {
			c.Receipt = v
			c.become(Life{Life: credential.Accepted}, e.Time)
		})
	case TypeUndo, TypeUndone:
		return s.foldUndo(e)
	case TypeLife:
		var v Life
		if err := e.Decode(&v); err != nil {
			return err
		}
		return s.change(e, v.Fingerprint, func(c *Credential) { c.become(v, e.Time) })
	}
	return nil // a type that a later version writes, or that changes nothing
}

// foldCommand remembers why a credential is left alone. A command may have been refused: one that is left
// alone stays so until something came of what somebody else wants with it.
func (s *State) foldCommand(e journal.Entry) error {
	var v Command
	if err := e.Decode(&v); err != nil {
		return err
	}
	c := s.byPrint[v.Credential]
	switch {
	case c == nil, v.Kind == TakeBack: // of which only the outcome counts
	case c.Life == credential.Skipped && (c.Decision.Kind == TakeBack || v.Kind != Skip):
	case v.Kind == Skip:
		c.Decision = v
	default:
		c.Decision = Command{}
	}
	return nil
}

// become takes the next step of a life. What was said of the one before holds no longer; that it
// died holds for as long as it is seen dead.
func (c *Credential) become(l Life, at time.Time) {
	if c.Life == credential.Skipped && l.Life != credential.Skipped {
		c.Decision = Command{}
	}
	switch {
	case l.Life != credential.Dead:
		c.DiedAt = time.Time{}
	case c.DiedAt.IsZero():
		c.DiedAt = at
	}
	c.Indeterminate = false
	c.Life, c.Reason, c.Evidence, c.Error, c.Hint, c.Weak = l.Life, l.Reason, l.Evidence, l.Error, l.Hint, l.Weak
}

func (s *State) foldFound(e journal.Entry) error {
	var v Found
	if err := e.Decode(&v); err != nil {
		return err
	}
	if s.byPrint[v.Fingerprint] != nil {
		return fmt.Errorf("entry %d: credential %s was found twice", e.Seq, v.Fingerprint.Short())
	}
	c := &Credential{Found: v, Life: credential.Found, FoundAt: e.Time, Changed: e.Time}
	s.Credentials = append(s.Credentials, c)
	s.byPrint[v.Fingerprint] = c
	return nil
}

func (s *State) foldProbe(e journal.Entry) error {
	var v Probe
	if err := e.Decode(&v); err != nil {
		return err
	}
	return s.change(e, v.Fingerprint, func(c *Credential) {
		if e.Type == TypeBaseline {
			c.Baseline, c.Account, c.Principal = v, v.Account, v.Owner
			return
		}
		c.Last = v
		c.Probes++
		if v.Outcome == "refused" && c.Life == credential.Accepted {
			c.Life = credential.Propagating
		}
	})
}

func (s *State) change(e journal.Entry, f credential.Fingerprint, do func(*Credential)) error {
	c := s.byPrint[f]
	if c == nil {
		return fmt.Errorf("entry %d (%s): no credential %s was found before", e.Seq, e.Type, f.Short())
	}
	do(c)
	c.Changed = e.Time
	return nil
}
