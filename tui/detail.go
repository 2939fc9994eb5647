package tui

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"clawback/forensics/incident"
	"clawback/revoke/credential"
)

// stuck are the lives of a credential that goes on only when a person does something.
var stuck = []credential.Life{credential.Manual, credential.Alive, credential.Failed, credential.Unverified}

// underWay are the lives between discovery and death.
var underWay = []credential.Life{credential.Found, credential.Requested, credential.Accepted, credential.Propagating}

// unless says why a command does not apply to a credential that is in none of the given lives.
func unless(c *incident.Credential, proving map[credential.Fingerprint]bool, lives ...credential.Life) string {
	switch {
	case proving[c.Fingerprint]:
		return "its proof is under way"
	case !slices.Contains(lives, c.Life):
		return "it is " + credMark(c).word
	}
	return ""
}

// linkOf is the page where a person revokes the credential, or "" where there is none that is
// safe to open.
func linkOf(c *incident.Credential) string {
	if !strings.HasPrefix(c.Link, "https://") || clean(c.Link) != c.Link || len(c.Link) > 2000 {
		return ""
	}
	return c.Link
}

// detailScreen is all that is known of one credential.
type detailScreen struct {
	of     credential.Fingerprint
	scroll int
	page   int
}

func (s *detailScreen) title() string { return "Credential" }

func (s *detailScreen) keys(c *console) []binding {
	all := append([]binding{
		{keys: []string{"esc", "enter"}, label: "esc", text: "back", do: func() tea.Cmd { return c.show(&c.run) }},
	}, credentialKeys(c, c.rec.Credential(s.of))...)
	return append(append(all, noteKey(c)), scrollKeys(&s.scroll, s.page)...)
}

func (s *detailScreen) next(c *console) string {
	cred := c.rec.Credential(s.of)
	if cred != nil && cred.Life == credential.Manual && !c.rec.byHand[s.of] && c.rec.active() {
		return manualNext(c, cred)
	}
	return "esc"
}

func (s *detailScreen) view(c *console, w, h int) []line {
	cred := c.rec.Credential(s.of)
	if cred == nil {
		return []line{row(span{dim, "It is not in the record."})}
	}
	s.page = h - 2
	head := s.head(c, cred, w)
	body := indented(s.lines(c, cred, w-2))
	return append(head, scrolledIn(body, &s.scroll, h-len(head))...)
}

func (s *detailScreen) head(c *console, cred *incident.Credential, w int) []line {
	m := credMark(cred)
	state := m.symbol + " " + m.word
	if cred.Life == credential.Propagating {
		state += "  " + progress(cred.Last, 40)
	}
	if cred.Indeterminate {
		state += ": the run that sent its revocation died before the answer"
	}
	if c.rec.byHand[s.of] {
		state += ", done by hand: the proof is under way"
	}
	lived := "alive for "
	if cred.Life == credential.Dead {
		lived = "lived "
	}
	return []line{
		spread(row(span{strong, " " + cred.Provider + " " + cred.Masked}, span{dim, "  " + kindTitle(cred)}),
			row(span{dim, lived}, span{plain, age(c.rec.lived(cred, c.now)) + " "}), w),
		row(span{m.look, " " + state}),
		nil,
	}
}

func kindTitle(c *incident.Credential) string {
	if k, ok := credential.Lookup(c.Kind); ok {
		return k.Title
	}
	return c.Kind
}

var tiers = map[int]string{4: "4, infrastructure", 3: "3, external or financial", 2: "2, internal writes", 1: "1, reads"}

func (s *detailScreen) lines(c *console, cred *incident.Credential, w int) []line {
	var out []line
	add := func(label string, look token, text string) {
		if text != "" {
			out = append(out, labelled(label, look, text, w)...)
		}
	}
	add("Error", danger, cred.Error)
	add("Way out", accent, cred.Hint)
	add("Evidence", plain, cred.Evidence)
	if cred.Weak {
		add("", warn, "It was never seen alive: a refusal proves less than it seems to.")
	}
	add("Reason", plain, cred.Reason)
	if d := cred.Decision; d.Text != "" {
		add("Left alone", warn, d.Text+", by "+d.By)
	}
	if cred.Inventory != nil {
		add("Breaks", warn, cred.Inventory.Breaks)
	}
	add("Unresolved", warn, cred.Unresolved)
	add("In doubt", warn, incident.DoubtText(cred.Doubt))
	if cred.Other != "" {
		add("Kept by", warn, cred.Other+", another user of the host")
	}
	if cred.Manual || cred.Life == credential.Manual {
		for i, step := range cred.Steps {
			add([]string{"Do this", ""}[min(i, 1)], strong, fmt.Sprintf("%d. %s", i+1, step))
		}
	}
	add("Link", accent, cred.Link)
	add("Also", warn, cred.Effect)
	out = append(out, s.about(c, cred, w)...)
	out = append(out, s.proof(c, cred, w)...)
	out = append(out, nil, row(span{strong, fmt.Sprintf("FOUND IN %s", plural(len(cred.Sources), "place", "places"))}))
	for _, src := range cred.Sources {
		text := src.String()
		if src.Note != "" {
			text += "  " + src.Note
		}
		out = append(out, paragraph(plain, text, w)...)
	}
	return out
}

func (s *detailScreen) about(c *console, cred *incident.Credential, w int) []line {
	var out []line
	add := func(label, text string) {
		if text != "" {
			out = append(out, labelled(label, plain, text, w)...)
		}
	}
	add("Account", first(cred.Account, cred.Baseline.Account))
	add("Owner", first(cred.Principal, cred.Owner))
	add("Reaches", strings.Join(cred.Baseline.Reach, ", "))
	add("Tier", tiers[cred.Tier])
	add("Mints", cred.Mints)
	if item := cred.Inventory; item != nil {
		add("Inventory", item.Purpose)
		add("Answers", item.Owner)
		add("Data", strings.Join(item.Data, ", "))
		add("Review by", item.Review)
		add("Rotate by", item.Rotation)
	} else if len(c.rec.Inventory.Items) > 0 {
		add("Inventory", "it is not in there")
	}
	for _, name := range slices.Sorted(maps.Keys(cred.Ref)) {
		add(name, cred.Ref[name])
	}
	if !cred.Expires.IsZero() {
		add("Expires", cred.Expires.UTC().Format("2006-01-02 15:04 UTC"))
	}
	if !cred.LastUsed.IsZero() {
		add("Last used", cred.LastUsed.UTC().Format("2006-01-02 15:04 UTC"))
	}
	if cred.Endpoint != "" {
		add("Endpoint", cred.Endpoint+" (claimed by the host, never called)")
	}
	add("Fingerprint", cred.Fingerprint.Short())
	return out
}

// proof is the receipt and every probe, in the order of time.
func (s *detailScreen) proof(c *console, cred *incident.Credential, w int) []line {
	out := []line{nil, row(span{strong, "PROOF"})}
	stamp := func(look token, at, word, text string) {
		for i, l := range wrap(text, w-24) {
			if i > 0 {
				at, word = "", ""
			}
			out = append(out, row(span{dim, column(at, 10)}, span{look, column(word, 14)}, span{plain, l}))
		}
	}
	probes := c.rec.probes[cred.Fingerprint]
	for _, p := range probes {
		if p.baseline {
			stamp(plain, p.at.UTC().Format("15:04:05"), p.Outcome, "before: "+answerOf(p))
		}
	}
	if !cred.RevokedAt.IsZero() {
		stamp(plain, cred.RevokedAt.UTC().Format("15:04:05"), "revocation", "sent")
	}
	if cred.Receipt.Answer != "" {
		text := cred.Receipt.Answer
		if cred.Receipt.Already {
			text += " (it was dead before)"
		}
		stamp(plain, "", "receipt", text)
	}
	for _, did := range cred.Receipt.Did {
		stamp(plain, "", "did", did)
	}
	for _, left := range cred.Receipt.Left {
		stamp(warn, "", "lives on", left)
	}
	for _, p := range probes {
		if !p.baseline {
			look := map[string]token{"alive": danger, "refused": good}[p.Outcome]
			stamp(look, p.at.UTC().Format("15:04:05"), p.Outcome, answerOf(p))
		}
	}
	if len(out) == 2 {
		out = append(out, row(span{dim, "nothing was sent yet"}))
	}
	return out
}

func answerOf(p probe) string {
	text := p.Answer
	if p.Row > 0 {
		text += fmt.Sprintf(", %d in a row, %s", p.Row, progress(p.Probe, 0))
	}
	if p.From != "" {
		text += ", from " + p.From
	}
	return text
}
