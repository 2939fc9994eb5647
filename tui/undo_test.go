package tui

import (
	"strings"
	"testing"

	"clawback/forensics/incident"
	"clawback/revoke/credential"
)

// ofAWS is the reversible credential of underFire.
var ofAWS = print("awsAKIA…N2QF")

// onAWS is a console on its screen, after more was added to the record.
func onAWS(t *testing.T, more ...func(*story)) *keyboard {
	s := underFire(t)
	for _, add := range more {
		add(s)
	}
	k := newKeyboard(t, s, 100, 30, nil)
	k.press("enter", "/", "N2QF", "enter", "G", "enter")
	return k
}

// A revocation is taken back once its reason and its name were typed, and by nothing less.
func TestUndoInTheConsole(t *testing.T) {
	short := ofAWS.Short()
	for name, tc := range map[string]struct {
		keys  []string
		sends string
	}{
		"typed":              {[]string{"red team", "rest", "enter", "rest", "undo " + short, "rest", "enter"}, "undo red team"},
		"no reason":          {[]string{"enter", "rest", "undo " + short, "rest", "enter", "rest", "esc"}, ""},
		"blank reason":       {[]string{" ", "rest", "enter", "rest", "esc"}, ""},
		"another":            {[]string{"red team", "rest", "enter", "rest", "undo 00000000", "rest", "enter"}, ""},
		"too fast":           {[]string{"red team", "rest", "enter", "rest", "undo " + short, "enter"}, ""},
		"back":               {[]string{"red team", "rest", "enter", "rest", "esc"}, ""},
		"yes is no answer":   {[]string{"red team", "rest", "enter", "rest", "y", "rest", "enter"}, ""},
		"pasted":             {[]string{"red team", "rest", "enter", "rest", "paste:undo " + short, "rest", "enter"}, ""},
		"all in one, pasted": {[]string{"paste:red team\nundo " + short + "\n", "rest", "enter", "rest", "enter"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			k := onAWS(t)
			k.press("u", "rest")
			for _, key := range tc.keys {
				if text, ok := strings.CutPrefix(key, "paste:"); ok {
					k.paste(text)
				} else {
					k.press(key)
				}
			}
			if got := answers(k.sent); got != tc.sends {
				t.Errorf("it sent %q, want %q\n%s", got, tc.sends, k.view())
			}
		})
	}
}

// Where a revocation cannot be taken back, the key says why, and what leads on.
func TestNoUndo(t *testing.T) {
	life := func(l incident.Life) func(*story) {
		return func(s *story) { l.Fingerprint = ofAWS; s.add(incident.TypeLife, l) }
	}
	receipt := func(r incident.Receipt) func(*story) {
		return func(s *story) { r.Fingerprint = ofAWS; s.add(incident.TypeReceipt, r) }
	}
	command := func(kind string) func(*story) {
		return func(s *story) {
			s.add(incident.TypeCommand, incident.Command{Kind: kind, Credential: ofAWS, By: "erin", Text: "on leave"})
		}
	}
	undo := func(s *story) {
		s.add(incident.TypeUndo, incident.Undo{Fingerprint: ofAWS, By: "erin", Why: "red team"})
	}
	undone := func(s *story) { s.add(incident.TypeUndone, incident.Undone{Fingerprint: ofAWS, Answer: "200"}) }
	over := func(s *story) { s.add(incident.TypeClosed, incident.Closed{Exit: 3}) }
	for name, tc := range map[string]struct {
		more []func(*story)
		as   func(*Options)
		want string
	}{
		"dead":               {[]func(*story){life(incident.Life{Life: credential.Dead})}, nil, ""},
		"in the proof":       {nil, nil, ""},
		"under way":          {[]func(*story){func(s *story) { s.add(incident.TypeRevoke, incident.Revoke{Fingerprint: ofAWS}) }}, nil, "its revocation is under way"},
		"being taken back":   {[]func(*story){undo}, nil, "its revocation is being taken back"},
		"taken back":         {[]func(*story){undo, undone}, nil, "its revocation was taken back: r revokes it again"},
		"left alone":         {[]func(*story){command(incident.Skip), life(incident.Life{Life: credential.Skipped, Reason: incident.ReasonDecision})}, nil, "it was left alone: r revokes it after all"},
		"by hand":            {[]func(*story){receipt(incident.Receipt{Answer: incident.AnswerByHand})}, nil, "a person revoked it, and only they can give it back: r asks for it again"},
		"dead before":        {[]func(*story){receipt(incident.Receipt{Answer: "404", Already: true})}, nil, "no call of clawback's revoked it"},
		"over":               {[]func(*story){life(incident.Life{Life: credential.Dead}), over}, nil, "it is over: clawback undo INC-20261122-0317 " + ofAWS.Short() + " --why REASON"},
		"over, and not ours": {[]func(*story){receipt(incident.Receipt{Already: true}), over}, nil, "the response has ended"},
		"watched":            {nil, watching, "this console only watches: clawback attach INC-20261122-0317"},
		"attached":           {nil, attached, ""},
	} {
		t.Run(name, func(t *testing.T) {
			k := onAWS(t, tc.more...)
			if tc.as != nil {
				k.as(tc.as)
			}
			b, _ := find(k.c.screen.keys(k.c), "u")
			if k.c.screen != &k.c.detail || b.off != tc.want {
				t.Errorf("%s: u says %q, want %q", k.c.screen.title(), b.off, tc.want)
			}
		})
	}
	k := newKeyboard(t, underFire(t), 100, 30, nil)
	k.press("enter", "/", "1xQz", "enter", "G", "u")
	k.wants("u undo: not now, its provider cannot take the revocation back: it has to be issued anew")
	if b, _ := find(onAWS(t, undo).c.screen.keys(onAWS(t, undo).c), "r"); b.off != "its revocation is being taken back" {
		t.Errorf("r says %q meanwhile", b.off)
	}
}

// What is taken back shows what came of it, and who wanted it.
func TestUndoneIsShown(t *testing.T) {
	k := onAWS(t, func(s *story) {
		s.add(incident.TypeUndo, incident.Undo{Fingerprint: ofAWS, By: "erin", Why: "red team"})
	})
	k.wants("unverified", "its revocation is being taken back by erin: red team")
	k = onAWS(t, func(s *story) {
		s.add(incident.TypeUndo, incident.Undo{Fingerprint: ofAWS, By: "erin", Why: "red team"})
		s.add(incident.TypeUndone, incident.Undone{Fingerprint: ofAWS, Answer: "200"})
	})
	k.wants("its revocation was taken back by erin: red team", "red team, by erin")
	k.press("r", "rest")
	k.wants("Revoke aws AKIA…N2QF after all", "erin decided it: red team")
}
