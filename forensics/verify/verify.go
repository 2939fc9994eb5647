// Package verify checks the record of an incident against itself, against the checkpoints that were
// made of it, and against what was kept of it elsewhere.
//
// What each protects: the chain shows a line that was changed by somebody who did not compute all
// later lines again. The signed tree shows that too, and everything else up to its checkpoint, to
// whoever trusts that the key was not at the attacker's disposal. A checkpoint that was held off
// the machine shows every change of the entries that it covers, whoever made it and with whatever
// key. Entries after it are not protected by it.
package verify

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/forensics/journal/tree"
)

// Options say what the record is compared with besides itself.
type Options struct {
	Held []Held // checkpoints that somebody else holds
	// Key is the verifier key, or the SSH public key, that a person noted elsewhere; "" for none.
	Key string
	// Bag checks the evidence package at path, of which the record says what it is; nil to leave the
	// evidence out.
	Bag func(path string, recorded incident.Sealed) error
	// Copy says that dir holds the lines of a record alone, as a witness keeps them: the tree, the
	// payloads and the evidence stand elsewhere and are not asked for.
	Copy bool
}

// besideLines are the checks of what a copy does not have.
var besideLines = []string{"payloads", "bundles", "tiles", "sealed", "evidence"}

func (o Options) leavesOut(c check) bool { return o.Copy && slices.Contains(besideLines, c.name) }

// Held is a checkpoint from elsewhere: signed, or as a person wrote it down.
type Held struct {
	From string // where it is, for messages
	Note []byte // as it was signed; nil for what was written down, which is trusted as it is

	Size uint64 // where it was written down: the first so many entries
	Root tlog.Hash
}

// ParseNoted reads what a person wrote down of a checkpoint: SIZE:ROOT, the root in base64.
func ParseNoted(text string) (Held, error) {
	count, hash, ok := strings.Cut(strings.TrimSpace(text), ":")
	size, err := strconv.ParseUint(count, 10, 63)
	root, rootErr := tlog.ParseHash(hash)
	if !ok || err != nil || rootErr != nil || size == 0 {
		return Held{}, fmt.Errorf("%.100q is not SIZE:ROOT", text)
	}
	return Held{From: "the notebook", Size: size, Root: root}, nil
}

// Result is what a record was found to be, as far as it was checked.
type Result struct {
	Incident string
	Entries  uint64
	Last     string          // SHA-256 of the newest line, in hex
	Ended    bool            // it holds the end of its incident
	Key      string          // verifier key of its checkpoints; "" when it names none
	Sealed   tree.Checkpoint // the newest; zero when there is none
	Held     []tree.Checkpoint
	Bags     []incident.Sealed
}

// Fault is the first thing that is wrong with a record.
type Fault struct {
	Check string // which check found it
	Where string // a file, and the line in it where that can be told
	What  string
	Hint  string // what to do next
}

func (f *Fault) Error() string { return f.Where + ": " + f.What }

// Incident checks the record of the incident in dir. The error is a *Fault when it is not what it
// has to be, and another one when it cannot be read. What was found until then comes with it.
func Incident(dir string, o Options) (Result, error) { return run(dir, o, checks) }

// check is one thing to look at. Each notices what no other does, so that a test can show what
// goes unnoticed without it.
type check struct {
	name  string
	entry func(*record) *Fault // at each entry, unless nil
	whole func(*record) *Fault // when all were read, unless nil
}

var checks = []check{
	{"entries", (*record).wellFormed, nil},
	{"chain", (*record).chained, nil},
	{"declaration", (*record).declaredOnce, nil},
	{"payloads", (*record).payload, nil},
	{"bundles", (*record).bundles, nil},
	{"tiles", (*record).tiles, nil},
	{"noted key", nil, (*record).notedKey},
	{"sealed", nil, (*record).isSealed},
	{"signature", nil, (*record).signature},
	{"size", nil, (*record).size},
	{"root", nil, (*record).root},
	{"held key", nil, (*record).heldKey},
	{"held size", nil, (*record).heldSize},
	{"held root", nil, (*record).heldRoot},
	{"evidence", nil, (*record).evidence},
	{"last line", nil, (*record).lastLine},
}

// held is a checkpoint from elsewhere, checked under the record's key.
type held struct {
	tree.Checkpoint
	from string
	err  error // why it is none of this record; then the checkpoint is zero
}

func run(dir string, o Options, checks []check) (Result, error) {
	r := &record{dir: dir, options: o, roots: make(map[uint64]*tlog.Hash)}
	if err := r.begin(); err != nil {
		return r.result, err
	}
	err := r.lines(func() *Fault {
		for _, c := range checks {
			if c.entry == nil || o.leavesOut(c) {
				continue
			}
			if f := c.entry(r); f != nil {
				f.Check = c.name
				return f
			}
		}
		return nil
	})
	if err != nil {
		return r.result, err
	}
	for _, c := range checks {
		if c.whole == nil || o.leavesOut(c) {
			continue
		}
		if f := c.whole(r); f != nil {
			f.Check = c.name
			return r.result, f
		}
	}
	return r.result, nil
}

const elsewhere = "compare with a copy from elsewhere"

func fault(where, hint, format string, args ...any) *Fault {
	return &Fault{Where: where, What: fmt.Sprintf(format, args...), Hint: hint}
}

// fault is one in a file below the folder of the incident.
func (r *record) fault(where, hint, format string, args ...any) *Fault {
	return fault(filepath.Join(r.dir, filepath.FromSlash(where)), hint, format, args...)
}

func lineOf(n uint64) string { return fmt.Sprintf("%s: line %d", journal.FileName, n) }

func (r *record) here() string { return lineOf(r.n) }

func (r *record) before() string {
	return fmt.Sprintf("what stands before entry %d holds; %s", r.n, elsewhere)
}

// wellFormed checks that the line is an entry, written in the one way in which there is to read it.
func (r *record) wellFormed() *Fault {
	if r.malformed != nil {
		return r.fault(r.here(), r.before(), "%v", r.malformed)
	}
	return nil
}

// chained checks that the entry follows the one before.
func (r *record) chained() *Fault {
	e := r.entry
	switch {
	case e.Seq != r.n:
		return r.fault(r.here(), r.before(), "entry %d stands where entry %d belongs", e.Seq, r.n)
	case r.n == 1 && e.Prev != "":
		return r.fault(r.here(), elsewhere, "it names one before it: the beginning was cut off")
	case r.n > 1 && e.Prev != r.prev:
		return r.fault(r.here(), r.before(), "it does not carry the hash of entry %d: one of the two was changed", r.n-1)
	case e.Time.Before(r.time):
		return r.fault(r.here(), r.before(), "it is older than entry %d", r.n-1)
	}
	return nil
}

// declaredOnce checks that nothing declares the incident, or plans it, a second time: the target, the
// endpoints, the key and the steps of a record are those that it began with.
func (r *record) declaredOnce() *Fault {
	switch {
	case r.entry.Type == incident.TypeDeclared && r.declarations > 0:
		return r.fault(r.here(), r.before(), "it declares the incident a second time")
	case r.entry.Type == incident.TypePlan && r.plans > 0:
		return r.fault(r.here(), r.before(), "it plans the response a second time")
	}
	return nil
}

// payload checks the file in which an entry's data stands.
func (r *record) payload() *Fault {
	if r.entry.Payload == nil || r.malformed != nil {
		return nil
	}
	if _, err := journal.ReadPayload(r.dir, *r.entry.Payload); err != nil {
		return r.fault(r.here(), elsewhere, "its data: %v", err)
	}
	return nil
}

// notedKey checks that the record names the key that somebody noted.
func (r *record) notedKey() *Fault {
	if r.options.Key == "" {
		return nil
	}
	noted, err := notedKey(r.options.Key, r.result.Key)
	switch {
	case err != nil:
		return fault("the key from elsewhere", "give the line that was noted, or an SSH public key", "%v", err)
	case r.result.Key == "":
		return r.fault(journal.FileName, elsewhere, "it names no key, and there was one: it was rewritten, or it is of another incident")
	case noted != r.result.Key:
		return r.fault(journal.FileName, elsewhere, "it names another key than the one from elsewhere: it was rewritten, or it is of another incident")
	}
	return nil
}

// isSealed checks that there is a checkpoint where the record says that it is signed.
func (r *record) isSealed() *Fault {
	if r.result.Key == "" || r.note != nil {
		return nil
	}
	return r.fault(checkpointPath, "a run that dies within its first moments leaves none: clawback resume makes it; otherwise "+elsewhere,
		"missing, although the record names the key of its checkpoints")
}

// signature checks the checkpoint under the key that the record names.
func (r *record) signature() *Fault {
	switch {
	case r.note == nil || r.sealErr == nil:
		return nil
	case r.result.Key == "":
		return r.fault(checkpointPath, elsewhere, "there is a checkpoint, and the record names no key")
	case errors.Is(r.sealErr, tree.ErrForeign):
		return r.fault(checkpointPath, "the key or the checkpoint was exchanged: "+elsewhere, "%v", r.sealErr)
	}
	return r.fault(checkpointPath, elsewhere, "%v", r.sealErr)
}

// size checks that all lines that were sealed are there.
func (r *record) size() *Fault {
	if s := r.result.Sealed.Size; s > r.n {
		return r.fault(journal.FileName, elsewhere, "it has %d entries, and its checkpoint covers %d: the last %d are missing", r.n, s, s-r.n)
	}
	return nil
}

// root checks that the lines that were sealed are what they were.
func (r *record) root() *Fault {
	s := r.result.Sealed
	if got := r.roots[s.Size]; got == nil || *got == s.Root {
		return nil
	}
	return r.fault(journal.FileName, elsewhere, "entries 1 to %d are not those that were sealed: one of them was changed, removed, added or moved", s.Size)
}

// heldKey checks that a checkpoint from elsewhere is of this record.
func (r *record) heldKey() *Fault {
	for _, h := range r.held {
		switch {
		case h.err == nil:
		case errors.Is(h.err, tree.ErrForeign) || r.result.Key == "":
			return fault(h.from, "look whose it is: its first line names the incident",
				"it is not signed with the key that this record names: the record was rewritten, or the two are of different incidents (%v)", h.err)
		default:
			return fault(h.from, "fetch it again from where it is held", "%v", h.err)
		}
	}
	return nil
}

// heldSize checks that all lines that somebody else saw sealed are there.
func (r *record) heldSize() *Fault {
	for _, h := range r.held {
		if h.Size > r.n {
			return r.fault(journal.FileName, "fetch the entries from where the checkpoint is held",
				"it has %d entries, and the checkpoint of %s covers %d: the last %d were cut off", r.n, h.from, h.Size, h.Size-r.n)
		}
	}
	return nil
}

// heldRoot checks that the lines that somebody else saw sealed are what they were.
func (r *record) heldRoot() *Fault {
	for _, h := range r.held {
		if got := r.roots[h.Size]; got != nil && *got != h.Root {
			return r.fault(journal.FileName, "fetch the entries from where the checkpoint is held",
				"entries 1 to %d are not those of the checkpoint of %s: this is another history", h.Size, h.from)
		}
	}
	return nil
}

// lastLine checks that the record does not stop in the middle of a line.
func (r *record) lastLine() *Fault {
	if r.torn {
		return r.fault(lineOf(r.n+1), "a run that died leaves it so, and clawback resume cuts it off; while one goes on, look again", "%v", journal.ErrTorn)
	}
	return nil
}
