package incident

import (
	"testing"

	"clawback/revoke/credential"
)

// A death counts for nothing from the intent to take its revocation back on, until it is certain that
// nothing was taken back.
func TestFoldUndo(t *testing.T) {
	dead := []entry{found("f1"), {TypeRevoke, Revoke{Fingerprint: "f1"}}, {TypeReceipt, Receipt{Fingerprint: "f1", Answer: "200", Did: []string{"set to Inactive"}}},
		{TypeLife, Life{Fingerprint: "f1", Life: credential.Dead, Evidence: "403 ×4", Weak: true}}}
	skip := entry{TypeCommand, Command{Kind: Skip, Credential: "f1", Text: "on leave", By: "erin"}}
	intent := entry{TypeUndo, Undo{Fingerprint: "f1", By: "dana", Why: "red team"}}
	asked := entry{TypeCommand, Command{Kind: TakeBack, Credential: "f1", Text: "red team", By: "dana"}}
	outcome := func(u Undone) entry { u.Fingerprint = "f1"; return entry{TypeUndone, u} }
	for name, c := range map[string]struct {
		more     []entry
		life     credential.Life
		undoing  bool
		decided  string // by whom it is left alone
		doubtful bool
	}{
		"asked for alone":     {[]entry{skip, asked}, credential.Dead, false, "erin", false},
		"sent":                {[]entry{asked, intent}, credential.Unverified, true, "", false},
		"taken back":          {[]entry{asked, intent, outcome(Undone{Answer: "200"})}, credential.Skipped, false, "dana", false},
		"refused":             {[]entry{asked, intent, outcome(Undone{Error: "403"})}, credential.Dead, false, "", false},
		"in part":             {[]entry{asked, intent, outcome(Undone{Error: "403", Did: []string{"set to Active"}})}, credential.Unverified, false, "", false},
		"nobody knows":        {[]entry{asked, intent, outcome(Undone{Error: "no answer", Unsure: true})}, credential.Unverified, false, "", false},
		"died":                {[]entry{asked, intent, {TypeResumed, Resumed{By: "dana"}}}, credential.Unverified, false, "", true},
		"died, and looked":    {[]entry{asked, intent, {TypeResumed, Resumed{By: "dana"}}, {TypeLife, Life{Fingerprint: "f1", Life: credential.Dead}}}, credential.Dead, false, "", false},
		"died, and late":      {[]entry{asked, intent, {TypeResumed, Resumed{By: "dana"}}, outcome(Undone{Error: "403"})}, credential.Unverified, false, "", true},
		"no intent":           {[]entry{outcome(Undone{Answer: "200"})}, credential.Dead, false, "", false},
		"revoked again":       {[]entry{asked, intent, outcome(Undone{}), {TypeCommand, Command{Kind: Retry, Credential: "f1", By: "erin"}}, {TypeRevoke, Revoke{Fingerprint: "f1"}}}, credential.Requested, false, "", false},
		"a retry refused":     {[]entry{asked, intent, outcome(Undone{}), {TypeCommand, Command{Kind: Retry, Credential: "f1", By: "erin"}}}, credential.Skipped, false, "dana", false},
		"a skip on top":       {[]entry{asked, intent, outcome(Undone{}), skip}, credential.Skipped, false, "dana", false},
		"twice, then refused": {[]entry{intent, intent, outcome(Undone{Error: "403"})}, credential.Dead, false, "", false},
	} {
		s := folded(t, append(append([]entry{}, dead...), c.more...)...)
		got := s.Credential("f1")
		if got.Life != c.life || (got.Undoing != nil) != c.undoing || got.Decision.By != c.decided || got.Indeterminate != c.doubtful {
			t.Errorf("%s: %s (%s), undoing %v, decided by %q, indeterminate %v", name, got.Life, got.Error, got.Undoing, got.Decision.By, got.Indeterminate)
		}
		if died := !got.DiedAt.IsZero(); died != (c.life == credential.Dead) {
			t.Errorf("%s: died at %v", name, got.DiedAt)
		}
		if c.life == credential.Dead && name != "died, and looked" && (got.Evidence != "403 ×4" || !got.Weak || !got.DiedAt.Equal(second(3))) {
			t.Errorf("%s: its death stands as %q, weak %v, at %v", name, got.Evidence, got.Weak, got.DiedAt)
		}
	}
}
