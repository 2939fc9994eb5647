package incident

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"clawback/forensics/journal"
)

// Types of the entries about the platform that a machine runs on: what the desk did there, outside of
// the machine, and what the platform said of it.
const (
	TypePlatformIntent  = "platform.isolate"   // PlatformIntent
	TypePlatformDone    = "platform.isolated"  // PlatformDone
	TypePlatformUndo    = "platform.undo"      // PlatformUndo
	TypePlatformUndone  = "platform.undone"    // PlatformDone
	TypeSnapshotIntent  = "platform.snapshot"  // SnapshotIntent
	TypeSnapshots       = "platform.snapshots" // Snapshots
	snapshotIsCompleted = "completed"
)

// PlatformWas is one thing of a platform as it was before it was changed.
type PlatformWas struct {
	Kind string   `json:"kind"` // "interface", "subnet"
	ID   string   `json:"id"`   // "eni-0a1b2c"
	Was  []string `json:"was"`  // its security groups, its network ACL
}

func (w PlatformWas) String() string {
	return fmt.Sprintf("%s %s: %s", w.Kind, w.ID, cmp.Or(strings.Join(w.Was, ", "), "none"))
}

// PlatformIntent is the intent to cut a machine off at its platform, with all that it takes to undo it.
type PlatformIntent struct {
	On  string        `json:"on"` // as platform.Wall names it
	Was []PlatformWas `json:"was"`
}

// PlatformUndo is the intent to take that back.
type PlatformUndo struct {
	On  string `json:"on"`
	By  string `json:"by"`
	Why string `json:"why"`
}

// PlatformDone is what came of either.
type PlatformDone struct {
	On    string   `json:"on"`
	Did   []string `json:"did,omitempty"`
	Proof []string `json:"proof,omitempty"` // read back from the platform
	Left  []string `json:"left,omitempty"`  // what goes on in spite of it
	WayIn string   `json:"way_in,omitempty"`
	Lost  string   `json:"lost,omitempty"` // why the desk's way in was not seen open afterwards
	Error string   `json:"error,omitempty"`
}

// SnapshotIntent is the intent to have a platform keep copies of a machine's disks.
type SnapshotIntent struct {
	On      string   `json:"on"`
	Volumes []string `json:"volumes"`
}

// Snapshots are the copies as the platform describes them.
type Snapshots struct {
	On    string         `json:"on"`
	Disks []DiskSnapshot `json:"disks"`
	Left  []string       `json:"left,omitempty"` // volumes without one
}

// DiskSnapshot is a platform's copy of one disk.
type DiskSnapshot struct {
	ID        string `json:"id"`
	Volume    string `json:"volume"`
	GB        int64  `json:"gb"`
	State     string `json:"state"` // "completed", "pending", "error"
	Progress  string `json:"progress,omitempty"`
	Started   string `json:"started,omitempty"` // the moment that it shows, by the platform's clock
	Encrypted bool   `json:"encrypted"`
}

// Completed reports whether the copy is whole. One that is pending shows the same moment, and may fail.
func (d DiskSnapshot) Completed() bool { return d.State == snapshotIsCompleted }

// Platform is what was done at one platform, as it stands.
type Platform struct {
	On     string        `json:"on"`
	Was    []PlatformWas `json:"was,omitempty"`    // before the first change
	Done   *PlatformDone `json:"done,omitempty"`   // nil while it is not known how far it came
	Undone *PlatformDone `json:"undone,omitempty"` // nil unless it was taken back, and not done again since
}

// Open reports whether something there is not as it was, or may not be.
func (p Platform) Open() bool {
	return p.Undone == nil || p.Undone.Error != "" || len(p.Undone.Left) > 0
}

// platform returns what the state holds of one, in a list of its own: a state is a value.
func (s *State) platform(on string) *Platform {
	s.Platforms = slices.Clone(s.Platforms)
	for i := range s.Platforms {
		if s.Platforms[i].On == on {
			return &s.Platforms[i]
		}
	}
	s.Platforms = append(s.Platforms, Platform{On: on})
	return &s.Platforms[len(s.Platforms)-1]
}

func (s *State) foldPlatform(e journal.Entry) error {
	switch e.Type {
	case TypePlatformIntent:
		var i PlatformIntent
		if err := e.Decode(&i); err != nil {
			return err
		}
		p := s.platform(i.On)
		if p.Undone != nil && !p.Open() {
			p.Was = nil
		}
		p.Undone = nil
		for _, w := range i.Was {
			if !slices.ContainsFunc(p.Was, func(o PlatformWas) bool { return o.Kind == w.Kind && o.ID == w.ID }) {
				p.Was = append(slices.Clone(p.Was), w) // the first word is how it was
			}
		}
	case TypePlatformDone, TypePlatformUndone:
		var d PlatformDone
		if err := e.Decode(&d); err != nil {
			return err
		}
		if p := s.platform(d.On); e.Type == TypePlatformDone {
			p.Done = &d
		} else {
			p.Undone = &d
		}
	case TypeSnapshots:
		var n Snapshots
		if err := e.Decode(&n); err != nil {
			return err
		}
		s.Snapshots = append(slices.DeleteFunc(slices.Clone(s.Snapshots), func(o Snapshots) bool { return o.On == n.On }), n)
	}
	return nil
}

func platformLine(e journal.Entry) (string, string, bool) {
	switch e.Type {
	case TypePlatformIntent:
		i, ok := decoded[PlatformIntent](e)
		return "isolating", i.On, ok
	case TypePlatformUndo:
		u, ok := decoded[PlatformUndo](e)
		return "undo", fmt.Sprintf("%s: %s takes it back: %s", u.On, u.By, u.Why), ok
	case TypeSnapshotIntent:
		i, ok := decoded[SnapshotIntent](e)
		return "snapshot", fmt.Sprintf("%s: of %s", i.On, strings.Join(i.Volumes, ", ")), ok
	case TypeSnapshots:
		n, ok := decoded[Snapshots](e)
		return n.word(), n.On + ": " + strings.Join(n.Lines(), "; ") + trouble(n.Left), ok
	}
	d, ok := decoded[PlatformDone](e)
	word := "isolated"
	if e.Type == TypePlatformUndone {
		word = "reopened"
	}
	if d.Error != "" {
		word = "NOT " + strings.ToUpper(word)
	} else if d.Lost != "" {
		word = "LOCKED OUT"
	}
	text := d.On + ": " + strings.Join(slices.DeleteFunc([]string{d.Error, strings.Join(d.Proof, "; "), d.WayIn, d.Lost},
		func(part string) bool { return part == "" }), "; ")
	return word, text + trouble(d.Left), ok
}

func (n Snapshots) word() string {
	if len(n.Left) > 0 || slices.ContainsFunc(n.Disks, func(d DiskSnapshot) bool { return !d.Completed() }) {
		return "NOT KEPT YET"
	}
	return "kept"
}

// Lines says how each copy stands.
func (n Snapshots) Lines() []string {
	var lines []string
	for _, d := range n.Disks {
		text := fmt.Sprintf("%s of %s, %d GB, %s", d.ID, d.Volume, d.GB, cmp.Or(d.State, "in no known state"))
		if !d.Completed() && d.Progress != "" {
			text += " at " + d.Progress
		}
		lines = append(lines, text)
	}
	return lines
}
