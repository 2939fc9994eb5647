package incident

import (
	"reflect"
	"strings"
	"testing"

	"clawback/forensics/journal"
)

const onCloud = "AWS instance i-1 in eu-west-1"

func was(id string, before ...string) PlatformWas {
	return PlatformWas{Kind: "interface", ID: id, Was: before}
}

// What stands at a platform, whatever was interrupted: the first word on a thing is how it was, and
// what was taken back in part is not taken back.
func TestFoldPlatforms(t *testing.T) {
	intent := func(w ...PlatformWas) entry { return entry{TypePlatformIntent, PlatformIntent{On: onCloud, Was: w}} }
	done := PlatformDone{On: onCloud, Proof: []string{"shut"}}
	back := entry{TypePlatformUndone, PlatformDone{On: onCloud, Proof: []string{"open"}}}
	failed := entry{TypePlatformUndone, PlatformDone{On: onCloud, Error: "refused"}}
	for name, c := range map[string]struct {
		entries []entry
		was     []PlatformWas
		open    bool
	}{
		"begun":               {[]entry{intent(was("a", "sg-1"))}, []PlatformWas{was("a", "sg-1")}, true},
		"done":                {[]entry{intent(was("a", "sg-1")), {TypePlatformDone, done}}, []PlatformWas{was("a", "sg-1")}, true},
		"more turns up":       {[]entry{intent(was("a", "sg-1")), intent(was("b", "sg-2"))}, []PlatformWas{was("a", "sg-1"), was("b", "sg-2")}, true},
		"somebody changed it": {[]entry{intent(was("a", "sg-1")), intent(was("a", "sg-evil"))}, []PlatformWas{was("a", "sg-1")}, true},
		"taken back":          {[]entry{intent(was("a", "sg-1")), back}, []PlatformWas{was("a", "sg-1")}, false},
		"not taken back":      {[]entry{intent(was("a", "sg-1")), failed}, []PlatformWas{was("a", "sg-1")}, true},
		"done again":          {[]entry{intent(was("a", "sg-1")), back, intent(was("a", "sg-2"))}, []PlatformWas{was("a", "sg-2")}, true},
		"done again in part":  {[]entry{intent(was("a", "sg-1")), failed, intent(was("a", "sg-2"))}, []PlatformWas{was("a", "sg-1")}, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := folded(t, c.entries...)
			if len(s.Platforms) != 1 || !reflect.DeepEqual(s.Platforms[0].Was, c.was) || s.Platforms[0].Open() != c.open {
				t.Errorf("%+v", s.Platforms)
			}
		})
	}
	s := folded(t, entry{TypeSnapshots, Snapshots{On: onCloud, Left: []string{"vol-1"}}}, entry{TypeSnapshots, Snapshots{On: onCloud}})
	if len(s.Snapshots) != 1 || len(s.Snapshots[0].Left) > 0 {
		t.Errorf("%+v", s.Snapshots)
	}
}

func TestPlatformLines(t *testing.T) {
	pending := Snapshots{On: onCloud, Disks: []DiskSnapshot{{ID: "snap-1", Volume: "vol-1", GB: 8, State: "pending", Progress: "37%"}}}
	whole := Snapshots{On: onCloud, Disks: []DiskSnapshot{{ID: "snap-1", Volume: "vol-1", GB: 8, State: "completed"}}}
	for _, c := range []struct {
		e          entry
		word, says string
	}{
		{entry{TypePlatformIntent, PlatformIntent{On: onCloud}}, "isolating", onCloud},
		{entry{TypePlatformDone, PlatformDone{On: onCloud, Proof: []string{"shut"}, WayIn: "logged in"}}, "isolated", onCloud + ": shut; logged in"},
		{entry{TypePlatformDone, PlatformDone{On: onCloud, Proof: []string{"shut"}, Left: []string{"DNS"}}}, "isolated", onCloud + ": shut; problem: DNS"},
		{entry{TypePlatformDone, PlatformDone{On: onCloud, Lost: "no answer"}}, "LOCKED OUT", onCloud + ": no answer"},
		{entry{TypePlatformDone, PlatformDone{On: onCloud, Error: "refused"}}, "NOT ISOLATED", onCloud + ": refused"},
		{entry{TypePlatformUndo, PlatformUndo{On: onCloud, By: "dana", Why: "a drill"}}, "undo", onCloud + ": dana takes it back: a drill"},
		{entry{TypePlatformUndone, PlatformDone{On: onCloud, Proof: []string{"open"}}}, "reopened", onCloud + ": open"},
		{entry{TypePlatformUndone, PlatformDone{On: onCloud, Error: "refused"}}, "NOT REOPENED", onCloud + ": refused"},
		{entry{TypeSnapshotIntent, SnapshotIntent{On: onCloud, Volumes: []string{"vol-1"}}}, "snapshot", onCloud + ": of vol-1"},
		{entry{TypeSnapshots, pending}, "NOT KEPT YET", "pending at 37%"},
		{entry{TypeSnapshots, whole}, "kept", "snap-1 of vol-1, 8 GB, completed"},
	} {
		j := journal.InMemory(began.UTC)
		if err := j.Append(t.Context(), c.e.typ, c.e.data); err != nil {
			t.Fatal(err)
		}
		for e, err := range j.Entries(t.Context()) {
			word, text, ok := Line(State{}, e)
			if err != nil || !ok || word != c.word || !strings.Contains(text, c.says) {
				t.Errorf("%s: %q, %q, want %q, %q", c.e.typ, word, text, c.word, c.says)
			}
		}
		_ = j.Close()
	}
}
