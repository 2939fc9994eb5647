package report

import (
	"fmt"
	"slices"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/revoke/credential"
)

// What a death rests on.
const (
	ProofProvider = "provider" // its provider refused it, and had let it in before
	ProofWeak     = "weak"     // its provider refused it, and was not seen to let it in before the revocation
	ProofNone     = "none"
)

// agentProvider marks what the agent's own gateway issued.
const agentProvider = "openclaw"

// Bounds of what is listed of one credential. The record has the rest.
const (
	maxSources = 20
	firstRuns  = 4
	lastRuns   = 8
)

// Credential is a credential with its verdict and what the verdict rests on.
type Credential struct {
	Provider    string                 `json:"provider"`
	Kind        string                 `json:"kind"`
	KindTitle   string                 `json:"kind_title,omitempty"`
	Masked      string                 `json:"masked"`
	Fingerprint credential.Fingerprint `json:"fingerprint"`
	Ref         map[string]string      `json:"ref,omitempty"`
	Tier        int                    `json:"tier"`

	Inventory *incident.InventoryItem `json:"inventory,omitempty"` // what was known of it beforehand

	Life    credential.Life `json:"life"`
	Dead    bool            `json:"dead"`
	Proof   string          `json:"proof"`
	Verdict words           `json:"verdict"`
	Detail  string          `json:"detail,omitempty"` // as it stands in the record
	Reason  string          `json:"reason,omitempty"`
	Error   string          `json:"error,omitempty"`
	Hint    string          `json:"hint,omitempty"`

	Sources    []credential.Source `json:"sources"`
	MorePlaces int                 `json:"sources_left_out,omitempty"`
	Owner      string              `json:"owner,omitempty"`     // by the place where it was found
	Account    string              `json:"account,omitempty"`   // by its provider
	Principal  string              `json:"principal,omitempty"` // by its provider
	Reach      []string            `json:"reach"`               // by its provider: what it could, not what it did
	Expires    time.Time           `json:"expires,omitzero"`
	LastUsed   time.Time           `json:"last_used,omitzero"`
	Unresolved string              `json:"unresolved,omitempty"`
	Endpoint   string              `json:"endpoint_claimed,omitempty"` // by the host; never called
	Doubt      string              `json:"doubt,omitempty"`            // why it may be no live credential, by the places where it was found
	Other      string              `json:"other_user,omitempty"`       // who keeps it for themselves, where no agent may read it
	Manual     bool                `json:"manual"`
	Steps      []string            `json:"manual_steps"`
	Link       string              `json:"link,omitempty"`
	Effect     string              `json:"effect,omitempty"`
	Mints      string              `json:"mints,omitempty"` // what it could make more of

	Baseline *Probes    `json:"baseline,omitempty"`
	Revoked  Revocation `json:"revocation"`
	Probes   []Probes   `json:"probes"`
	Probed   int        `json:"probes_total"`
	MoreRuns int        `json:"probes_left_out,omitempty"` // groups of equal ones

	FoundAt time.Time `json:"found_at"`
	DiedAt  time.Time `json:"died_at,omitzero"`
}

// Revocation is what was done to revoke it.
type Revocation struct {
	Requests    int       `json:"requests"`
	Batch       int       `json:"batch,omitempty"` // credentials in the newest request
	RequestedAt time.Time `json:"requested_at,omitzero"`
	AcceptedAt  time.Time `json:"accepted_at,omitzero"`
	Answer      string    `json:"answer,omitempty"`
	Already     bool      `json:"already"`
	Did         []string  `json:"did"`
	Left        []string  `json:"left"` // what lives on in spite of it
}

// Probes are looks at a credential, one after the other, that showed the same.
type Probes struct {
	Outcome string    `json:"outcome"`
	Answer  string    `json:"answer"`
	From    string    `json:"from"` // the machine that asked
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
	Count   int       `json:"count"`
}

// trail is what the entries say of one credential beyond its state.
type trail struct {
	baseline *Probes
	revoked  Revocation
	runs     []Probes
	left     int
	answered bool   // a probe after the revocation saw it work
	newest   string // conclusive outcome of such a probe
}

func (h *history) follow(e journal.Entry) {
	v, ok := read[struct {
		incident.Probe
		Batch int `json:"batch"`
	}](e)
	if !ok {
		return
	}
	t := h.of[v.Fingerprint]
	if t == nil {
		t = new(trail)
		h.of[v.Fingerprint] = t
	}
	p := Probes{v.Outcome, v.Answer, v.From, e.Time, e.Time, 1}
	switch e.Type {
	case incident.TypeBaseline:
		t.baseline = &p
	case incident.TypeRevoke:
		t.revoked.Requests++
		t.revoked.Batch = v.Batch
	case incident.TypeReceipt:
		t.revoked.AcceptedAt = e.Time
	case incident.TypeProbe:
		t.answered = t.answered || p.Outcome == "alive"
		if p.Outcome != "inconclusive" {
			t.newest = p.Outcome
		}
		t.probe(p)
	}
}

func (t *trail) probe(p Probes) {
	if n := len(t.runs); n > 0 {
		if r := &t.runs[n-1]; r.Outcome == p.Outcome && r.Answer == p.Answer && r.From == p.From {
			r.Last = p.Last
			r.Count++
			return
		}
		if n == firstRuns+lastRuns {
			t.runs = slices.Delete(t.runs, firstRuns, firstRuns+1)
			t.left++
		}
	}
	t.runs = append(t.runs, p)
}

// describe puts together what is known of a credential. t may be nil.
func describe(c *incident.Credential, t *trail) Credential {
	if t == nil {
		t = new(trail)
	}
	out := Credential{
		Provider: c.Provider, Kind: c.Kind, Masked: c.Masked, Fingerprint: c.Fingerprint, Ref: c.Ref, Tier: c.Tier, Inventory: c.Inventory,
		Life: c.Life, Dead: c.Life == credential.Dead, Detail: c.Evidence, Reason: c.Reason, Error: c.Error, Hint: c.Hint,
		Sources: some(c.Sources[:min(len(c.Sources), maxSources)]), MorePlaces: max(0, len(c.Sources)-maxSources),
		Owner: c.Owner, Account: c.Account, Principal: c.Principal, Reach: bounded(c.Baseline.Reach),
		Expires: c.Expires, LastUsed: c.LastUsed, Unresolved: c.Unresolved, Endpoint: c.Endpoint, Doubt: c.Doubt, Other: c.Other,
		Manual: c.Manual, Steps: bounded(c.Steps), Link: c.Link, Effect: c.Effect, Mints: c.Mints,
		Baseline: t.baseline, Revoked: t.revoked, Probes: some(t.runs), Probed: c.Probes, MoreRuns: t.left,
		FoundAt: c.FoundAt, DiedAt: c.DiedAt,
	}
	if k, ok := credential.Lookup(c.Kind); ok {
		out.KindTitle = k.Title
	}
	out.Revoked.RequestedAt, out.Revoked.Answer, out.Revoked.Already = c.RevokedAt, c.Receipt.Answer, c.Receipt.Already
	out.Revoked.Did, out.Revoked.Left = bounded(c.Receipt.Did), bounded(c.Receipt.Left)
	out.Proof = proof(c)
	out.Verdict = verdict(c, out.Proof, t)
	return out
}

// proof says what of the record carries a death. It trusts the probes, not the word.
func proof(c *incident.Credential) string {
	refused := c.Probes > 0 && c.Last.Outcome == "refused" && c.Last.Row > 0 && c.Last.SpanMS >= c.Last.BudgetMS
	switch {
	case c.Life != credential.Dead || !refused:
		return ProofNone
	case c.Weak:
		return ProofWeak
	}
	return ProofProvider
}

// verdict is what can be said of a credential, in a sentence that is true as it stands.
func verdict(c *incident.Credential, proof string, t *trail) words {
	switch c.Life {
	case credential.Dead:
		return deadVerdict(c, proof, t.answered)
	case credential.Alive:
		switch t.newest {
		case "alive":
			return "Alive: by the newest conclusive answer on record it still worked."
		case "refused":
			return "Recorded as alive. The newest answer on record refused it, which does not prove that it is dead."
		}
		return "Recorded as alive. No probe on record shows that it worked after a revocation."
	case credential.Manual:
		return "Waiting for a person, who has to revoke it. What is on record does not prove that it is dead."
	case credential.Failed:
		return "Not revoked: the revocation was refused or could not be made. What is on record does not prove that it is dead."
	case credential.Skipped:
		if c.Reason == incident.ReasonOurs {
			return "Left alone: it is one of the responder's own. It was on the host, so it has to be taken for known to others."
		}
		return "Left alone by a decision. What is on record does not prove that it is dead."
	case credential.Found:
		return "Found, and nothing more is on record: it was neither revoked nor looked at."
	case credential.Requested:
		if c.RevokedAt.IsZero() {
			return "Unproved: no revocation at a provider is on record."
		}
		return "Unproved: its revocation was asked for, and no acceptance is on record."
	case credential.Accepted, credential.Propagating:
		return "Unproved: its revocation was accepted, and the record ends before the proof that it is dead."
	case credential.Unverified:
		return "Unproved: what is on record does not prove that it is dead."
	}
	return "Unproved: the record calls its state by a name that this program does not know."
}

func deadVerdict(c *incident.Credential, proof string, answered bool) words {
	p := c.Last
	refusals := words(fmt.Sprintf("the provider refused it %s over %s, with no answer in between that it works.",
		plural(p.Row, "time", "times"), lasting(time.Duration(p.SpanMS)*time.Millisecond)))
	if p.BudgetMS > 0 {
		refusals += words(fmt.Sprintf(" A revocation there is given %s to take effect everywhere.", lasting(time.Duration(p.BudgetMS)*time.Millisecond)))
	}
	switch {
	case proof == ProofProvider:
		return "Dead: " + refusals
	case proof == ProofWeak && answered:
		return "Dead, on weak evidence: " + refusals + " It was not seen to work before its revocation was begun, only after."
	case proof == ProofWeak:
		return "Dead, on weak evidence: " + refusals + " It was never seen to work, so the refusals do not show that it once was valid, nor that this response ended it."
	case c.Probes == 0 && c.Provider == agentProvider:
		return "Counted as dead without a proof at a provider: the agent's own gateway issued it and is what accepted it. That the gateway is down is the host's claim."
	case c.Probes == 0:
		return "Counted as dead without a proof: no probe of it is on record."
	}
	return "Counted as dead, but the probes on record do not prove it: they are fewer, or span less time, than the provider needs."
}
