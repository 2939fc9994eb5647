package report

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"clawback/forensics/incident"
)

// Most bytes that the Markdown report quotes of one text.
const (
	maxQuote = 600
	maxWords = 16 << 10 // of what a person wrote
)

// words are the report's own: they go into Markdown as they are. Every other text is quoted.
type words string

// quote makes a code span of foreign text. In it nothing is a link, an address, markup or HTML,
// and no character acts on whoever reads the file on a terminal.
func quote(s string) string {
	s = incident.Cut(incident.Safe(s), maxQuote)
	if strings.TrimSpace(s) == "" {
		return "(blank)"
	}
	ticks := strings.Repeat("`", longestRun(s)+1)
	if edge := s[:1] + s[len(s)-1:]; strings.ContainsAny(edge, "` ") {
		s = " " + s + " " // one blank on each side is not part of a code span (CommonMark 0.31, section 6.1)
	}
	return ticks + s + ticks
}

// block makes a code block of foreign lines.
func block(lines []string) string {
	longest := 2
	for i, line := range lines {
		lines[i] = strings.TrimRight(incident.Safe(line), " ")
		longest = max(longest, longestRun(lines[i]))
	}
	fence := strings.Repeat("`", longest+1)
	return fence + "text\n" + strings.Join(lines, "\n") + "\n" + fence + "\n"
}

func longestRun(s string) int {
	longest, run := 0, 0
	for i := range len(s) {
		if s[i] != '`' {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}

// prose breaks what a person wrote into lines of about 100 characters, at its own line ends and between words.
func prose(s string) []string {
	var out []string
	for paragraph := range strings.SplitSeq(strings.TrimSpace(incident.Cut(s, maxWords)), "\n") {
		line := ""
		for word := range strings.FieldsSeq(incident.Safe(paragraph)) {
			if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > 100 {
				out, line = append(out, line), ""
			}
			if line != "" {
				line += " "
			}
			line += word
		}
		out = append(out, line)
	}
	return out
}

// page collects Markdown. It quotes every text that is not the report's own.
type page struct {
	w     io.Writer
	tight bool // the text that was written last has no blank line behind it
	err   error
}

func (p *page) raw(s string) {
	p.tight = !strings.HasSuffix(s, "\n\n")
	if p.err == nil {
		_, p.err = io.WriteString(p.w, s)
	}
}

// end ends a list or a table.
func (p *page) end() {
	if p.tight {
		p.raw("\n")
		p.tight = false
	}
}

// heading writes a heading of the second level.
func (p *page) heading(title words) { p.say("## " + title) }

// say writes a paragraph, or a heading.
func (p *page) say(format words, args ...any) {
	p.end()
	p.raw(fill(format, args) + "\n\n")
}

// item writes an item of a list, and sub one below it.
func (p *page) item(format words, args ...any) { p.raw("- " + fill(format, args) + "\n") }
func (p *page) sub(format words, args ...any)  { p.raw("  - " + fill(format, args) + "\n") }

// block writes foreign lines as they are.
func (p *page) block(lines []string) {
	p.end()
	p.raw(block(lines) + "\n")
}

// fill formats like fmt.Sprintf with %v, %s and %d: words and numbers as they are, times in UTC, all else quoted.
func fill(format words, args []any) string {
	for i, a := range args {
		switch v := a.(type) {
		case words, int, int64, uint64, float64:
		case time.Time:
			args[i] = stamp(v)
		case time.Duration:
			args[i] = lasting(v)
		case string:
			args[i] = quote(v)
		default:
			args[i] = quote(fmt.Sprint(v))
		}
	}
	return fmt.Sprintf(string(format), args...)
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "at an unknown time"
	}
	return t.UTC().Format("2006-01-02 15:04:05.000 UTC")
}

func lasting(d time.Duration) string {
	switch seconds := d.Seconds(); {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 2*time.Minute:
		return strconv.FormatFloat(math.Round(seconds*1000)/1000, 'f', -1, 64) + " s"
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(seconds)%60)
	}
	return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
}

// list quotes several texts in a row.
func list(texts []string) words {
	quoted := make([]string, len(texts))
	for i, t := range texts {
		quoted[i] = quote(t)
	}
	return words(strings.Join(quoted, ", "))
}

func plural(n int, one, many words) words {
	if n == 1 {
		return "1 " + one
	}
	return words(fmt.Sprintf("%d %s", n, many))
}

// enumerate joins with commas and a last "and".
func enumerate(parts []words) words {
	var out strings.Builder
	for i, p := range parts {
		switch {
		case i > 0 && i == len(parts)-1:
			out.WriteString(" and ")
		case i > 0:
			out.WriteString(", ")
		}
		out.WriteString(string(p))
	}
	return words(out.String())
}
