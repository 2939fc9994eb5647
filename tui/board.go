package tui

import (
	"fmt"
	"path"
	"strings"
	"time"

	"clawback/forensics/incident"
	"clawback/revoke/credential"
)

// boardPane is the live board: one row for each credential.
func (s *runScreen) boardPane(c *console, rows []item, at int, r rect) []line {
	if r.H == 0 || r.W == 0 {
		return nil
	}
	s.listFrom = window(s.listFrom, max(at, 0), len(rows), r.H-1)
	out := []line{s.boardHead(c, len(rows), at < 0, r)}
	if len(rows) == 0 {
		text := "none found yet"
		if len(c.rec.Credentials) > 0 {
			text = "none matches the filter"
		} else if c.rec.Searched != nil || !c.rec.active() {
			text = "none was found"
		}
		return append(out, row(span{dim, "  " + text}))
	}
	cols := columns(c.rec.widest, r.W)
	for i := s.listFrom; i < len(rows) && len(out) < r.H; i++ {
		if h := rows[i].harmless; h != nil {
			out = append(out, cols.harmless(*h, i == at))
		} else {
			out = append(out, cols.row(c, rows[i].cred, i == at))
			if b := breaks(rows[i].cred); b != "" && len(out) < r.H {
				out = append(out, row(span{plain, "    "}, span{warn, b}))
			}
		}
	}
	return out
}

func (s *runScreen) boardHead(c *console, shown int, onNeeds bool, r rect) line {
	look := strong
	if s.focus == onList && !onNeeds {
		look = accent
	}
	left := row(span{look, " CREDENTIALS"}, span{plain, fmt.Sprintf("  %d", len(c.rec.Credentials))})
	if s.typing {
		return append(append(left, span{plain, "  filter "}), s.filter.line(max(10, r.W-30))...)
	}
	right := row(span{dim, "alive for "})
	if len(s.filter.text) > 0 {
		left = append(left, span{accent, fmt.Sprintf("  %d match “%s”", shown, s.filter.String())})
	} else if shown > r.H-1 && r.H > 1 {
		left = append(left, span{dim, fmt.Sprintf("  (%d to %d)", s.listFrom+1, min(shown, s.listFrom+r.H-1))})
	}
	return spread(left, right, r.W)
}

// boardColumns are the widths of the board's columns, by what there is to show.
type boardColumns struct{ provider, masked, evidence, age int }

func columns(widest boardColumns, w int) boardColumns {
	cols := boardColumns{age: 6}
	cols.provider = min(widest.provider, 6+max(0, w-60)/6)
	cols.masked = min(widest.masked, 13+max(0, w-58)/4)
	cols.evidence = max(0, w-2-14-cols.provider-1-cols.masked-1-1-cols.age-1)
	return cols
}

// hold makes the columns as wide as what is shown in them. They never shrink: rows do not dance.
func (b *boardColumns) hold(provider, masked string) {
	b.provider = max(b.provider, cells(opening(provider, maxColumn)))
	b.masked = max(b.masked, cells(opening(masked, maxColumn)))
}

// maxColumn is more cells than any column gets.
const maxColumn = 100

// boardRows are the rows of the board, made anew when the record or the filter changed.
type boardRows struct {
	entries uint64
	byHand  int
	filter  string
	rows    []item
}

// boardAge is how long a credential has lived, in steps: a row is not drawn each second for its age alone.
func boardAge(c *incident.Credential, lived time.Duration) string {
	switch {
	case c.Life == credential.Dead || lived >= time.Hour:
		return age(lived)
	case lived >= time.Minute:
		return fmt.Sprintf("%d min", int(lived.Minutes()))
	}
	return age(lived.Truncate(5 * time.Second))
}

func (b *boardRows) of(r *record, filter string) []item {
	if b.rows != nil && b.entries == r.read && b.filter == filter && b.byHand == len(r.byHand) {
		return b.rows
	}
	b.entries, b.byHand, b.filter, b.rows = r.read, len(r.byHand), filter, make([]item, 0, len(r.Credentials))
	for _, cred := range r.board(filter) {
		if cred.Life == credential.Manual && !r.byHand[cred.Fingerprint] && filter == "" {
			continue // it stands above the board
		}
		b.rows = append(b.rows, item{cred: cred})
	}
	for _, h := range r.harmless(filter) {
		b.rows = append(b.rows, item{harmless: h})
	}
	return b.rows
}

func (b boardColumns) row(c *console, cred *incident.Credential, selected bool) line {
	m := credMark(cred)
	cursor, look := "  ", plain
	if selected {
		cursor, look = "▸ ", strong
	}
	return row(
		span{accent, cursor},
		span{m.look, m.symbol + " " + column(m.word, 12)},
		span{look, column(cred.Provider, b.provider) + " " + column(shorten(cred.Masked, b.masked), b.masked)},
		span{dim, " " + column(evidence(cred, c.now, b.evidence), b.evidence)},
		span{plain, " " + columnRight(boardAge(cred, c.rec.lived(cred, c.now)), b.age) + " "},
	)
}

// harmless is a row of what there is nothing to revoke of.
func (b boardColumns) harmless(h incident.Harmless, selected bool) line {
	cursor := "  "
	if selected {
		cursor = "▸ "
	}
	return row(
		span{accent, cursor},
		span{dim, harmlessMark.symbol + " " + column(harmlessMark.word, 12)},
		span{dim, column(h.Provider, b.provider) + " " + column(shorten(h.Masked, b.masked), b.masked)},
		span{dim, " " + column(h.Doubt+": "+h.Source.String(), b.evidence+b.age+1)},
	)
}

// breaks is what stops when a credential dies that is not dead yet, as the inventory knows it.
func breaks(c *incident.Credential) string {
	if c.Inventory == nil || c.Inventory.Breaks == "" || c.Life == credential.Dead || c.Life == credential.Skipped {
		return ""
	}
	return "breaks: " + c.Inventory.Breaks
}

// evidence is reason, behind what has to be known of the credential before it.
func evidence(c *incident.Credential, now time.Time, w int) string {
	text := reason(c, w)
	if left := countdown(c, now); left != "" {
		text = left + "; " + text
	}
	if word := doubtWords[c.Doubt]; word != "" {
		text = word + "; " + text
	}
	if c.Other != "" {
		text = "of " + c.Other + "; " + text
	}
	return text
}

// countdown is when a credential ends by itself that is not dead: all there is to wait for where nothing
// else ends it.
func countdown(c *incident.Credential, now time.Time) string {
	left := c.Expires.Sub(now)
	if left <= 0 || left > 48*time.Hour || c.Life != credential.Alive && c.Life != credential.Unverified && c.Life != credential.Manual {
		return ""
	}
	return "expires in " + age(left)
}

// doubtWords are the doubts about what is revoked all the same.
var doubtWords = map[string]string{"by format": "a guess", "expired": "expired"}

// reason says in few cells why a credential is shown as it is.
func reason(c *incident.Credential, w int) string {
	answer := c.Last.Answer
	if c.Indeterminate {
		if c.Last.Outcome != "" {
			return "looked: " + c.Last.Outcome
		}
		return "its run died, no answer"
	}
	switch c.Life {
	case credential.Found:
		if c.Unresolved != "" {
			return c.Unresolved
		}
		if c.Baseline.Outcome != "" {
			return "before: " + c.Baseline.Outcome
		}
		if len(c.Sources) > 0 {
			src := c.Sources[0]
			src.Path = path.Base(src.Path) // there is no room for the rest
			return src.String()
		}
	case credential.Requested:
		return "sent, no answer yet"
	case credential.Accepted:
		if c.Probes > 0 {
			return fmt.Sprintf("try %d: %s", c.Last.Try, answer)
		}
		return c.Receipt.Answer
	case credential.Propagating:
		return strings.TrimSpace(progress(c.Last, w) + " " + answer)
	case credential.Dead:
		if c.Weak {
			return "never seen alive; " + c.Evidence
		}
		if c.Last.Row > 1 && w < 40 {
			return fmt.Sprintf("×%d over %s", c.Last.Row, seconds(c.Last.SpanMS))
		}
	case credential.Manual:
		return first(c.Error, strings.Join(c.Steps, "; "))
	case credential.Skipped:
		return first(c.Evidence, c.Error, c.Reason)
	}
	return first(c.Error, c.Evidence, answer, c.Reason)
}

func first(all ...string) string {
	for _, s := range all {
		if s != "" {
			return s
		}
	}
	return ""
}

// progress is how long refusals have lasted of the time that they have to.
func progress(p incident.Probe, w int) string {
	if p.BudgetMS <= 0 {
		return fmt.Sprintf("refused ×%d", p.Row)
	}
	text := fmt.Sprintf("%d of %s", p.SpanMS/1000, seconds(p.BudgetMS))
	if p.BudgetMS < 1000 {
		text = fmt.Sprintf("%d of %s", p.SpanMS, seconds(p.BudgetMS))
	}
	const cells = 5
	if w < len(text)+1+cells {
		return text
	}
	full := int(min(max(p.SpanMS, 0), p.BudgetMS) * cells / p.BudgetMS)
	return strings.Repeat("▰", full) + strings.Repeat("▱", cells-full) + " " + text
}

func seconds(ms int64) string {
	if ms > 0 && ms < 1000 {
		return fmt.Sprintf("%d ms", ms)
	}
	return fmt.Sprintf("%d s", ms/1000)
}
