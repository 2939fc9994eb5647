package openclaw

import (
	"path"
	"regexp"
	"strings"
)

const maxUnit = 1 << 20

var (
	unitName = regexp.MustCompile(`(?:openclaw|clawdbot|moltbot|moldbot).*\.service\z`)
	// Where a unit moves the state directory to, or the home that it lies in.
	// Source: https://docs.openclaw.ai/help/environment
	unitState = regexp.MustCompile(`\A(?:(?:OPENCLAW|CLAWDBOT|MOLTBOT)_(STATE_DIR|HOME)|HOME)\z`)
)

// searchUnits takes in the state directories that the units in a directory name, and their drop-ins.
// home is that of the account whose units they are; it is empty for the system's.
func (l *locator) searchUnits(dir, home string) {
	names, err := l.list(dir)
	l.problem(dir, err)
	for _, name := range names {
		switch unit, dropIns := strings.CutSuffix(name, ".d"); {
		case !unitName.MatchString(unit):
		case dropIns:
			l.searchDropIns(path.Join(dir, name), home)
		default:
			l.searchUnit(path.Join(dir, name), home)
		}
	}
}

// searchDropIns takes in what the drop-ins of one unit name.
func (l *locator) searchDropIns(dir, home string) {
	names, err := l.list(dir)
	l.problem(dir, err)
	for _, name := range names {
		if strings.HasSuffix(name, ".conf") {
			l.searchUnit(path.Join(dir, name), home)
		}
	}
}

func (l *locator) searchUnit(at, home string) {
	data, err := ReadFile(l.root, at, maxUnit)
	if err != nil {
		l.problem(at, err)
		return
	}
	own := home
	if own == "" {
		own = "root" // %h of the system's manager
	}
	vars, _ := UnitEnvironment(string(data))
	for _, v := range vars {
		m := unitState.FindStringSubmatch(v.Name)
		if m == nil {
			continue
		}
		named := strings.ReplaceAll(v.Value, "%h", "/"+own)
		if rest, ok := strings.CutPrefix(named, "~/"); ok {
			named = "/" + own + "/" + rest
		}
		named = strings.TrimPrefix(path.Clean("/"+named), "/")
		switch {
		case named == "":
		case m[1] != "STATE_DIR":
			l.searchHome(named)
		case l.mayExist(named):
			l.add(home, named, "", at)
		}
	}
}

// UnitVariable is a variable that a systemd unit sets for its service.
type UnitVariable struct {
	Name, Value string
	Line        int // counted from 1
}

// UnitEnvironment reads what a systemd unit, or a drop-in of one, says of its service's environment: the
// assignments of Environment=, several in a line perhaps and in quotes, and the files that EnvironmentFile=
// names. A line that ends in a backslash goes on with the next one that is no comment.
// Source: https://www.freedesktop.org/software/systemd/man/latest/systemd.syntax.html
func UnitEnvironment(data string) (vars []UnitVariable, files []string) {
	line, key := 0, ""
	for text := range strings.Lines(data) {
		line++
		if text = strings.TrimSpace(text); text != "" && (text[0] == '#' || text[0] == ';') {
			continue
		}
		text, goesOn := strings.CutSuffix(text, `\`)
		if name, value, _ := strings.Cut(text, "="); key == "" || unitKey(name) != "" {
			key, text = unitKey(name), strings.TrimSpace(value)
		}
		switch key {
		case "EnvironmentFile":
			if file := strings.TrimPrefix(strings.TrimSpace(text), "-"); file != "" {
				files = append(files, file)
			}
		case "Environment":
			for _, word := range unitWords(text) {
				if name, value, ok := strings.Cut(word, "="); ok {
					vars = append(vars, UnitVariable{name, strings.ReplaceAll(value, "%%", "%"), line})
				}
			}
		}
		if !goesOn {
			key = ""
		}
	}
	return vars, files
}

// unitKey is a key of a unit that names variables; "" for any other.
func unitKey(key string) string {
	switch key = strings.TrimSpace(key); key {
	case "Environment", "EnvironmentFile":
		return key
	}
	return ""
}

// unitWords splits at spaces outside quotes and takes the quotes and backslashes away.
func unitWords(text string) []string {
	var words []string
	var b strings.Builder
	quote, in := byte(0), false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\\' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
			in = true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, in = c, true
		case quote == 0 && (c == ' ' || c == '\t'):
			if in {
				words = append(words, b.String())
			}
			b.Reset()
			in = false
		default:
			b.WriteByte(c)
			in = true
		}
	}
	if in {
		words = append(words, b.String())
	}
	return words
}
