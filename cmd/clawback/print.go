package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/revoke/credential"
)

// printer shows a response that nobody watches in the console.
type printer interface {
	// entry shows one entry of the record; s is the state after it.
	entry(s incident.State, e journal.Entry)
	// summary shows how it ended. Nothing comes after it.
	summary(sum incident.Summary)
}

// jsonPrinter writes JSON Lines: each entry as it stands in the record, then the summary.
type jsonPrinter struct {
	w   io.Writer
	err error // the first failure to write: half a line is not continued
}

func newJSONPrinter(w io.Writer) *jsonPrinter { return &jsonPrinter{w: w} }

func (p *jsonPrinter) entry(_ incident.State, e journal.Entry) { p.line(e.Line()) }

func (p *jsonPrinter) summary(sum incident.Summary) {
	line, err := json.Marshal(sum)
	if err != nil {
		p.err = cmp.Or(p.err, err)
		return
	}
	p.line(line)
}

func (p *jsonPrinter) line(b []byte) {
	if p.err == nil {
		_, p.err = p.w.Write(append(slices.Clip(b), '\n'))
	}
}

// Bounds of what the text printer shows; the record and the report have everything.
const (
	maxPrinted = 400 // bytes of one text
	maxEach    = 40  // lines of one word that comes once per credential; then one in a hundred
	maxBoard   = 60  // credentials of the board
	maxReason  = 120 // bytes of the reason beside each
	maxHints   = 12
)

// textPrinter writes a line an event, and at the end the board, what needs somebody, and the verdict.
type textPrinter struct {
	w      io.Writer
	colour bool

	state   incident.State
	count   map[string]int                    // by word
	batches map[string]int                    // by provider: credentials of the batch that is being requested
	asked   map[credential.Fingerprint]string // the newest answer that was shown
	err     error
}

func newTextPrinter(w io.Writer, env environment) *textPrinter {
	return &textPrinter{
		w: w, colour: colourful(w, env),
		count: make(map[string]int), batches: make(map[string]int), asked: make(map[credential.Fingerprint]string),
	}
}

// colourful reports whether w is a terminal whose user wants colours (https://no-color.org).
func colourful(w io.Writer, env environment) bool {
	f, ok := w.(*os.File)
	return ok && env["NO_COLOR"] == "" && env["TERM"] != "dumb" && env["TERM"] != "" && term.IsTerminal(int(f.Fd()))
}

func (p *textPrinter) entry(s incident.State, e journal.Entry) {
	p.state = s
	word, text, ok := incident.Line(s, e)
	if !ok {
		return
	}
	switch e.Type {
	case incident.TypeDeclared:
		text = fmt.Sprintf("%s %s: %s (%s, times in UTC)", strings.ToUpper(s.Declared.Mode), s.Declared.Incident, text, s.DeclaredAt.UTC().Format(time.DateOnly))
	case incident.TypeReport:
		return // it is named at the end
	case incident.TypeReceipt:
		if text, ok = receiptText(s, e); !ok {
			return
		}
	case incident.TypeRevoke:
		if text, ok = p.request(s, e, text); !ok {
			return
		}
	case incident.TypeProbe:
		if !p.news(e) {
			return
		}
	}
	p.event(e.Time, word, text)
}

// receiptText keeps an acceptance to what is not as usual: it proves nothing.
func receiptText(s incident.State, e journal.Entry) (string, bool) {
	var r incident.Receipt
	c := (*incident.Credential)(nil)
	if e.Decode(&r) == nil {
		c = s.Credential(r.Fingerprint)
	}
	switch {
	case c == nil:
		return "", false
	case len(r.Left) > 0:
		return c.String() + ", but it leaves alive: " + strings.Join(r.Left, "; "), true
	case r.Already:
		return c.String() + ": it was revoked before", true
	}
	return "", false
}

// request makes one line of a request that revokes many credentials at once.
func (p *textPrinter) request(s incident.State, e journal.Entry, text string) (string, bool) {
	var r incident.Revoke
	if e.Decode(&r) != nil || r.Batch < 2 {
		return text, true
	}
	c := s.Credential(r.Fingerprint)
	if c == nil {
		return "", false
	}
	p.batches[c.Provider]++
	if p.batches[c.Provider] < r.Batch {
		return "", false
	}
	delete(p.batches, c.Provider)
	return fmt.Sprintf("%s: %d in one request", c.Provider, r.Batch), true
}

// news reports whether a probe says something else than the one before.
func (p *textPrinter) news(e journal.Entry) bool {
	var probe incident.Probe
	if e.Decode(&probe) != nil {
		return false
	}
	before, now := p.asked[probe.Fingerprint], probe.Outcome+" "+probe.Answer
	p.asked[probe.Fingerprint] = now
	return now != before
}

// event prints one line. What comes once per credential is thinned out where there are thousands.
func (p *textPrinter) event(at time.Time, word, text string) {
	p.count[word]++
	switch n := p.count[word]; {
	case !oncePerCredential(word) || n <= maxEach:
	case n%100 == 0:
		text = fmt.Sprintf("%d so far", n)
	default:
		return
	}
	stamp := strings.Repeat(" ", 8)
	if !at.IsZero() {
		stamp = at.UTC().Format(time.TimeOnly)
	}
	p.print("%s %s %s\n", stamp, p.paint(word, 12), show(text))
}

// oncePerCredential lists the words of what goes as it should.
func oncePerCredential(word string) bool {
	switch word {
	case "found", "requested", "accepted", "probe", string(credential.Dead):
		return true
	}
	return false
}

func (p *textPrinter) print(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

func show(text string) string { return incident.Cut(incident.Safe(text), maxPrinted) }

// paint colours a word and fills it up to width.
func (p *textPrinter) paint(word string, width int) string {
	text := fmt.Sprintf("%-*s", width, show(word))
	if !p.colour {
		return text
	}
	const green, yellow, red, bold = "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[1m"
	colour := map[string]string{
		"dead": green, "down": green, "contained": green, "approved": green, "frozen": bold, "declared": bold, "hint:": bold,
		"manual": yellow, "unverified": yellow, "unknown": yellow, "refused": yellow, "resumed": yellow, "terminal": yellow, "approval": yellow, "unproved": yellow, "warning": yellow, "forgotten": yellow, "skipped": yellow, "question": yellow,
		"alive": red, "failed": red, "NOT FROZEN": red, "NOT DOWN": red, "RECORD LOST": red, "partial": red,
		"BREAK GLASS": red, "NO AUTHORITY": red, "interrupted": red, "terminated": red, "nothing": red, "evidence": red, "authority": red,
	}[word]
	if colour == "" {
		return text
	}
	return colour + text + "\x1b[0m"
}
