package discover

import (
	"strings"

	"clawback/forensics/agents/openclaw"
	"clawback/revoke/lazyregexp"
)

// setting is one name and value of a file of settings.
type setting struct {
	section string // of an INI file
	name    string
	value   string
	line    int  // of the name, counted from 1
	comment bool // commented out: not in force, perhaps alive

	row, note string // of a database: its locator, and what is to be said of it
	secret    bool   // its store says that it is one, whatever its name
}

var dotenvLine = lazyregexp.New(`\A\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]{0,255})\s*(?:=|:\s)[ \t]*`)

// parseDotenv reads a .env file as dotenv does: export, quotes of three kinds, values over several
// lines, comments. A line that it does not understand is left out. Lines that are commented out
// are read as well.
func parseDotenv(data string) []setting {
	var out []setting
	data = strings.TrimPrefix(data, "\ufeff")
	for line := 1; data != ""; {
		text, rest, _ := cutLine(data)
		body, comment := text, false
		if trimmed := strings.TrimLeft(text, " \t"); strings.HasPrefix(trimmed, "#") {
			body, comment = strings.TrimLeft(trimmed, "# \t"), true
		}
		m := dotenvLine().FindStringSubmatchIndex(body)
		if m == nil {
			data, line = rest, line+1
			continue
		}
		s := setting{name: body[m[2]:m[3]], line: line, comment: comment}
		from := len(text) - len(body) + m[1] // where the value begins in data
		lines := 1
		if !comment && from < len(text) && strings.IndexByte("\"'`", text[from]) >= 0 {
			if value, after, ok := quotedValue(data[from:]); ok {
				s.value = value
				lines = 1 + strings.Count(data[from:from+after], "\n")
				_, rest, _ = cutLine(data[from+after:])
				out = append(out, s)
				data, line = rest, line+lines
				continue
			}
		}
		s.value = bareValue(text[from:])
		out = append(out, s)
		data, line = rest, line+1
	}
	return out
}

// cutLine splits off the first line, without its end.
func cutLine(data string) (line, rest string, found bool) {
	line, rest, found = strings.Cut(data, "\n")
	return strings.TrimSuffix(line, "\r"), rest, found
}

// quotedValue reads a quoted value and returns how many bytes it takes with its quotes.
func quotedValue(data string) (value string, length int, ok bool) {
	quote := data[0]
	var b strings.Builder
	for i := 1; i < len(data); i++ {
		switch c := data[i]; {
		case c == quote:
			return b.String(), i + 1, true
		case c == '\\' && quote == '"' && i+1 < len(data):
			i++
			switch data[i] {
			case 'n':
				b.WriteByte('\n')
			case 'r':
				b.WriteByte('\r')
			case 't':
				b.WriteByte('\t')
			default:
				b.WriteByte(data[i])
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", 0, false
}

// bareValue is a value up to the end of its line or to a comment, without quotes around it.
func bareValue(text string) string {
	if i := strings.Index(text, " #"); i >= 0 {
		text = text[:i]
	}
	text = strings.TrimSpace(text)
	if n := len(text); n >= 2 && text[0] == text[n-1] && strings.IndexByte("\"'`", text[0]) >= 0 {
		text = text[1 : n-1]
	}
	return strings.TrimLeft(text, "\"'`") // a quote that is never closed
}

// parseINI reads the AWS tools' files: sections, "name = value", comments on lines of their own.
func parseINI(data string) []setting {
	var out []setting
	section, line := "", 0
	data = strings.TrimPrefix(data, "\ufeff")
	for text := range strings.Lines(data) {
		line++
		text = strings.TrimRight(text, "\r\n")
		body := strings.TrimSpace(text)
		comment := strings.HasPrefix(body, "#") || strings.HasPrefix(body, ";")
		if comment {
			body = strings.TrimLeft(body, "#; \t")
		}
		if inner, ok := strings.CutPrefix(body, "["); ok && !comment {
			inner, _, _ = strings.Cut(inner, "]")
			section = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(inner), "profile "))
			continue
		}
		name, value, ok := strings.Cut(body, "=")
		if !ok {
			continue
		}
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		if i := strings.Index(value, " #"); i >= 0 {
			value = strings.TrimSpace(value[:i])
		}
		out = append(out, setting{section: section, name: name, value: value, line: line, comment: comment})
	}
	return out
}

// parseUnit reads what a systemd unit says of its service's environment: variables, and files of them.
func parseUnit(data string) (out []setting, files []string) {
	vars, files := openclaw.UnitEnvironment(data)
	for _, v := range vars {
		out = append(out, setting{name: v.Name, value: v.Value, line: v.Line})
	}
	return out, files
}
