package report

import (
	"clawback/forensics/incident"
)

// Custody is who had the evidence, and what was done so that nobody can change it unnoticed.
type Custody struct {
	Hold  *incident.Hold          `json:"legal_hold,omitempty"` // the newest word on it; none where there never was one
	Holds []incident.CustodyEvent `json:"legal_holds"`
	Items []*incident.CustodyItem `json:"items"`
}

func custody(s incident.State) Custody {
	return Custody{Hold: s.Custody.Hold, Holds: some(s.Custody.Holds), Items: some(s.Custody.Items)}
}

func (p *page) custody(d Document) {
	if len(d.Custody.Items)+len(d.Custody.Holds) == 0 {
		return
	}
	p.heading("Chain of custody (RS.AN-07)")
	p.say("With the fields that NIST SP 800-86 and SWGDE want of it. What the desk did is from its own record; who had an item, and what for, is as somebody wrote it down.")
	for _, h := range d.Custody.Holds {
		word := words("**Legal hold**")
		if h.What == "released" {
			word = "Legal hold released"
		}
		p.item(word+" on %s by %s (entry %d): %s", h.At, h.By, h.Entry, h.Purpose)
	}
	if len(d.Custody.Holds) > 0 {
		p.end()
	}
	for _, i := range d.Custody.Items {
		title := words("### Item %s")
		if i.Replaced {
			title += ", found broken later and set aside"
		}
		p.say(title, i.Item)
		p.raw("| | |\n|---|---|\n")
		for _, row := range i.Fields() {
			p.raw(fill("| %s | %s |\n", []any{words(row[0]), row[1]}))
		}
		p.end()
		for _, e := range i.Events {
			p.item("%s: %s", e.At, e.String())
		}
		p.end()
	}
}
