package report

import (
	"cmp"
	"maps"
	"slices"

	"clawback/forensics/incident"
	"clawback/revoke/credential"
)

// credentials lists each credential, those that are not dead first.
func (p *page) credentials(d Document) {
	p.heading("Credentials (RS.MI-01, RS.AN-08)")
	if d.Search == nil && !d.DryRun {
		p.say("**The end of the search is not on record: there may be more credentials than these.**")
	}
	if len(d.Credentials) == 0 {
		p.say("No credential is on record.")
	}
	all := slices.Clone(d.Credentials)
	slices.SortStableFunc(all, func(a, b Credential) int { return cmp.Compare(rank(a), rank(b)) })
	for i, c := range all {
		p.credential(i+1, c)
	}
	if d.Search != nil {
		p.apart(*d.Search)
	}
}

// apart is what was found and not touched, and what was not searched.
func (p *page) apart(s Searched) {
	if len(s.Harmless) > 0 {
		p.say("### Told apart: nothing to revoke")
		p.say("These look like credentials. By their values alone they are none that works. No provider was asked about them.")
		for _, h := range s.Harmless {
			p.item("%s %s in %s: %s", h.Kind, h.Masked, h.Source.String(), incident.DoubtText(h.Doubt))
		}
		p.end()
	}
	if len(s.Apart) > 0 {
		p.say("### What other users of the host keep for themselves")
		p.say("The agent's account may not read these, so they were left alone. If the host itself was compromised, they are known to whoever was there.")
		for _, at := range s.Apart {
			p.item("%s", at)
		}
		p.end()
	}
	if len(s.Skipped) > 0 {
		p.item("Not searched for secrets as text, by what the files and folders are: %s", incident.SkippedText(s.Skipped))
		p.end()
	}
}

// rank orders credentials by how much they need somebody.
func rank(c Credential) int {
	if c.Dead {
		return 10 + map[string]int{ProofNone: 0, ProofWeak: 1, ProofProvider: 2}[c.Proof]
	}
	switch c.Life {
	case credential.Alive:
		return 0
	case credential.Failed:
		return 1
	case credential.Manual:
		return 3
	case credential.Skipped:
		return 4
	}
	return 2 // on its way, and not proved
}

func (p *page) credential(n int, c Credential) {
	p.say("### %d. %s: %s", n, c.Provider+" "+c.Masked, label(c))
	p.say("%s", c.Verdict)
	p.identity(c)
	p.places(c)
	if b := c.Baseline; b != nil {
		p.item("Before the revocation, %s: %s, %s, asked from %s", b.First, b.Outcome, b.Answer, b.From)
	}
	p.revocation(c)
	p.probes(c)
	for _, left := range c.Revoked.Left {
		p.item("**Lives on in spite of the revocation:** %s", left)
	}
	if c.Detail != "" {
		p.item("On record: %s", c.Detail)
	}
	if c.Error != "" {
		p.item("Why: %s", c.Error)
	}
	if !c.Dead {
		p.next(c)
	}
	p.end()
}

// label is the verdict in a word or two.
func label(c Credential) words {
	switch {
	case c.Dead && c.Proof == ProofProvider:
		return "dead"
	case c.Dead && c.Proof == ProofWeak:
		return "dead, weak evidence"
	case c.Dead:
		return "counted as dead, not proved"
	}
	switch c.Life {
	case credential.Alive:
		return "ALIVE"
	case credential.Failed:
		return "not revoked"
	case credential.Manual:
		return "waiting for a person"
	case credential.Skipped:
		return "left alone"
	}
	return "unproved"
}

func (p *page) identity(c Credential) {
	p.item("Kind: %s, tier %d of 4, fingerprint %s", cmp.Or(c.KindTitle, c.Kind), c.Tier, string(c.Fingerprint))
	for _, name := range slices.Sorted(maps.Keys(c.Ref)) {
		p.item("Named by %s: %s", name, c.Ref[name])
	}
	p.inventory(c.Inventory)
	if c.Owner != "" {
		p.item("Owner, by the place where it was found: %s", c.Owner)
	}
	for _, v := range []struct {
		name  words
		value string
	}{{"Account", c.Account}, {"Holder", c.Principal}} {
		if v.value != "" {
			p.item("%s, by its provider: %s", v.name, v.value)
		}
	}
	if len(c.Reach) > 0 {
		p.item("It could reach, by its provider: %s", list(c.Reach))
	}
	if c.Mints != "" {
		p.item("It could make more of: %s", c.Mints)
	}
	if !c.Expires.IsZero() {
		p.item("Expires: %s", c.Expires)
	}
	if !c.LastUsed.IsZero() {
		p.item("Last used, by the place where it was found: %s", c.LastUsed)
	}
}

// inventory is what was known of a credential before it was found.
func (p *page) inventory(i *incident.InventoryItem) {
	if i == nil {
		return
	}
	p.item("It stands in the inventory of the desk as %s", i.String())
	for _, v := range []struct {
		name  words
		value string
	}{{"Purpose", i.Purpose}, {"Owner", i.Owner}, {"Breaks when it dies", i.Breaks}, {"Review was due by", i.Review}, {"Rotation was due by", i.Rotation}} {
		if v.value != "" {
			p.sub("%s, by the inventory: %s", v.name, v.value)
		}
	}
	if len(i.Data) > 0 {
		p.sub("Types of data that it reaches, by the inventory: %s", list(i.Data))
	}
}

func (p *page) places(c Credential) {
	for _, s := range c.Sources {
		if s.Note != "" {
			p.item("Found in %s: %s", s.String(), s.Note)
		} else {
			p.item("Found in %s", s.String())
		}
	}
	if c.MorePlaces > 0 {
		p.item("Found in %s more: see the record", plural(c.MorePlaces, "place", "places"))
	}
	if c.Unresolved != "" {
		p.item("Only a reference was found, which was not followed: %s", c.Unresolved)
	}
	if c.Other != "" {
		p.item("Kept by %s, another user of the host: the agent's account may not read it.", c.Other)
	}
	if c.Doubt != "" {
		p.item("**In doubt:** %s", incident.DoubtText(c.Doubt))
	}
	if c.Endpoint != "" {
		p.item("The host names %s as its address. That address was not called.", c.Endpoint)
	}
}

func (p *page) revocation(c Credential) {
	r := c.Revoked
	if r.RequestedAt.IsZero() {
		p.item("No request to revoke it is on record.")
	} else {
		with := words("")
		if r.Batch > 1 {
			with = ", together with " + plural(r.Batch-1, "other", "others")
		}
		p.item("Its revocation was begun on %s%s, and asked for %s", r.RequestedAt, with, plural(max(r.Requests, 1), "time", "times"))
	}
	if !r.AcceptedAt.IsZero() {
		p.item("Taken for revoked on %s: %s. That alone proves nothing.", r.AcceptedAt, r.Answer)
	}
	if r.Already {
		p.item("It was revoked before this response, by that answer")
	}
	for _, did := range r.Did {
		p.item("Done: %s", did)
	}
	if c.Effect != "" && !r.RequestedAt.IsZero() {
		p.item("Effect of a revocation: %s", c.Effect)
	}
}

func (p *page) probes(c Credential) {
	if c.Probed == 0 {
		p.item("No probe after the revocation is on record")
		return
	}
	p.item("Probes after the revocation: %d", c.Probed)
	for i, run := range c.Probes {
		if i == firstRuns && c.MoreRuns > 0 {
			p.sub("%s left out here: see the record", plural(c.MoreRuns, "change of the answer is", "changes of the answer are"))
		}
		if run.Count == 1 {
			p.sub("%s: %s, %s, asked from %s", run.First, run.Outcome, run.Answer, run.From)
			continue
		}
		p.sub("%s to %s, %d times: %s, %s, asked from %s", run.First, run.Last, run.Count, run.Outcome, run.Answer, run.From)
	}
}

func (p *page) next(c Credential) {
	if c.Hint != "" {
		p.item("**Next:** %s", c.Hint)
	}
	if c.Life == credential.Manual {
		for i, step := range c.Steps {
			p.sub("Step %d: %s", i+1, step)
		}
		if c.Link != "" {
			p.sub("Where: %s", c.Link)
		}
	}
	if c.Reason == incident.ReasonDeadline {
		p.item("The deadline of the response passed before the proof")
	}
}
