package actions

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"clawback/forensics/incident"
	"clawback/playbooks/engine"
	"clawback/revoke"
	"clawback/revoke/credential"
)

// Each cause of a change has a reason, by which the exit code is chosen, and tells what to do next.
func TestExplain(t *testing.T) {
	both := func(a, b error) error { return fmt.Errorf("%w: %w", a, b) }
	interrupted := Interruption{"interrupt"}
	for name, c := range map[string]struct {
		err          error
		reason, hint string
	}{
		"no authority":         {revoke.ErrNoAuthority, incident.ReasonAuthority, "clawback.yaml (keys:write)"},
		"authority not loaded": {both(revoke.ErrNoAuthority, errors.New("no such file")), incident.ReasonAuthority, "clawback.yaml (keys:write)"},
		"authority at risk":    {both(revoke.ErrNoAuthority, ErrRisk), incident.ReasonRisk, "--accept-risk " + RiskAuthorityOnSuspect},
		"authority refused":    {both(errors.New("toy"), revoke.ErrAuthority), incident.ReasonAuthority, "(keys:write)"},
		"ours":                 {revoke.ErrOurs, incident.ReasonOurs, "another authority"},
		"decision":             {revoke.ErrDecision, incident.ReasonDecision, ""},
		"deadline":             {both(revoke.ErrUnproved, engine.ErrDeadline), incident.ReasonDeadline, "--deadline"},
		"manual":               {revoke.ErrManual, incident.ReasonProvider, "Open the console: https://toy.test/keys"},
		"no provider":          {revoke.ErrNoProvider, incident.ReasonProvider, "console of toy"},
		"unresolved":           {revoke.ErrUnresolved, incident.ReasonProvider, "find out what it refers to"},
		"still alive":          {both(revoke.ErrStillAlive, errors.New("200")), incident.ReasonProvider, "own console"},
		"elsewhere":            {both(revoke.ErrElsewhere, errors.New("401")), incident.ReasonProvider, "https://toy.example/; if that is yours, run it again with --endpoint toy=URL"},
		"unverifiable":         {both(revoke.ErrUnverifiable, errors.New("no probe")), incident.ReasonProvider, "look at the provider's own console"},
		"inconclusive":         {revoke.ErrInconclusive, incident.ReasonProvider, "run it again for the proof"},
		"uncertain":            {revoke.ErrUncertain, incident.ReasonProvider, "run it again for the proof"},
		"outage":               {&revoke.RetryError{Answer: "503"}, incident.ReasonProvider, "run it again for the proof"},
		"interrupted":          {both(revoke.ErrUnproved, interrupted), incident.ReasonProvider, "run it again for the proof"},
		"anything":             {errors.New("422"), incident.ReasonProvider, "run it again for the proof"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Response{Providers: map[string]revoke.Provider{"toy": newToy()}}
			cred := credential.Credential{Provider: "toy", Kind: "toy.key", Ref: map[string]string{credential.ClaimedEndpoint: "https://toy.example/"}}
			reason, hint := r.explain(cred, revoke.Change{Err: c.err})
			if reason != c.reason || !strings.Contains(hint, c.hint) || (hint == "") != (c.hint == "") {
				t.Errorf("%q, %q; want %q, %q", reason, hint, c.reason, c.hint)
			}
		})
	}
	// What no provider knows still has something to do.
	if reason, hint := new(Response).explain(credential.Credential{Provider: "nobody"}, revoke.Change{Err: revoke.ErrManual}); reason != incident.ReasonProvider || hint == "" {
		t.Errorf("%q, %q", reason, hint)
	}
}

// Of a batch the last intent waits for the disk, and so for all that were noted before it.
func TestIntent(t *testing.T) {
	cs := []credential.Credential{{Fingerprint: "a"}, {Fingerprint: "b"}, {Fingerprint: "c"}}
	for n, order := range map[int][]string{
		1: {"intent credential.intent"},
		3: {"note credential.intent", "note credential.intent", "intent credential.intent"},
	} {
		rec := &recorder{}
		if err := (ledger{&Response{}, rec}).Intent(t.Context(), cs[:n]); err != nil || !slices.Equal(rec.lines, order) {
			t.Errorf("%d: %v, %v", n, rec.lines, err)
		}
		batch := n
		if n == 1 {
			batch = 0
		}
		for i, d := range rec.data {
			if d != (incident.Revoke{Fingerprint: cs[i].Fingerprint, Batch: batch}) {
				t.Errorf("%d: entry %d is %+v", n, i, d)
			}
		}
	}
	rec := &recorder{refuses: context.Canceled}
	if err := (ledger{&Response{}, rec}).Intent(t.Context(), cs); !errors.Is(err, context.Canceled) {
		t.Errorf("an intent that is not on record: %v", err)
	}
}

// What the sweep sees is on record as it saw it, and from where.
func TestLedger(t *testing.T) {
	rec := &recorder{}
	r := &Response{Desk: "bastion-2", Providers: map[string]revoke.Provider{"toy": newToy()}}
	r.Actions()
	l := ledger{r, rec}
	c := credential.Credential{Provider: "toy", Kind: "toy.key", Fingerprint: "f"}
	l.Baseline(c, revoke.Verdict{Outcome: revoke.Alive, Answer: "200"}, revoke.Exposure{Account: "acme", Owner: "bot", Reach: []string{"all"}})
	l.Receipt(c, revoke.Receipt{Answer: "202", Already: true, Did: []string{"x"}, Left: []string{"y"}})
	l.Probe(c, revoke.Probe{Verdict: revoke.Verdict{Outcome: revoke.Refused, Answer: "401"}, Try: 3, Row: 2, Span: 5 * time.Second, Budget: time.Minute})
	l.Life(c, revoke.Change{Life: credential.Dead, Proof: "401 ×3", Weak: true})
	l.Life(c, revoke.Change{Life: credential.Manual, Err: revoke.ErrManual})
	want := []any{
		incident.Probe{Fingerprint: "f", Outcome: "alive", Answer: "200", From: "bastion-2", Account: "acme", Owner: "bot", Reach: []string{"all"}},
		incident.Receipt{Fingerprint: "f", Answer: "202", Already: true, Did: []string{"x"}, Left: []string{"y"}},
		incident.Probe{Fingerprint: "f", Outcome: "refused", Answer: "401", From: "bastion-2", Try: 3, Row: 2, SpanMS: 5000, BudgetMS: 60000},
		incident.Life{Fingerprint: "f", Life: credential.Dead, Evidence: "401 ×3, seen from bastion-2", Weak: true},
		incident.Life{Fingerprint: "f", Life: credential.Manual, Reason: incident.ReasonProvider, Error: revoke.ErrManual.Error(), Hint: "Open the console: https://toy.test/keys"},
	}
	types := []string{"note credential.baseline", "note credential.receipt", "note credential.probe", "note credential.life", "note credential.life"}
	if got := fmt.Sprintf("%+v", rec.data); got != fmt.Sprintf("%+v", want) || !slices.Equal(rec.lines, types) {
		t.Errorf("recorded %v\n%v\nwant %+v", rec.lines, got, want)
	}
}
