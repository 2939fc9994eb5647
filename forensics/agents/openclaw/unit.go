package openclaw

import (
	"path"
	"regexp"
	"strings"
)

const maxUnit = 1 << 20

var (
	unitName = regexp.MustCompile(`(?:openclaw|clawdbot|moltbot|moldbot).*\.service\z`)
	// Where a unit moves the state directory to. Source: https://docs.openclaw.ai/help/environment
	unitState = regexp.MustCompile(`(?m)^[ \t]*Environment=.*?\b(?:OPENCLAW|CLAWDBOT|MOLTBOT)_(STATE_DIR|HOME)=["']?([^"'\s]+)`)
)

// searchUnits takes in the state directories that the units in a directory name. home is that of
// the account whose units they are; it is empty for the system's.
func (l *locator) searchUnits(dir, home string) {
	names, err := l.list(dir)
	l.problem(dir, err)
	for _, name := range names {
		if !unitName.MatchString(name) {
			continue
		}
		at := path.Join(dir, name)
		data, err := ReadFile(l.root, at, maxUnit)
		if err != nil {
			l.problem(at, err)
			continue
		}
		for _, m := range unitState.FindAllStringSubmatch(string(data), -1) {
			named := strings.NewReplacer("%h", "/"+home, "%%", "%").Replace(m[2])
			if rest, ok := strings.CutPrefix(named, "~/"); ok {
				named = "/" + home + "/" + rest
			}
			named = strings.TrimPrefix(path.Clean("/"+named), "/")
			switch {
			case named == "":
			case m[1] == "HOME":
				l.searchHome(named)
			case l.mayExist(named):
				l.add(home, named, "", at)
			}
		}
	}
}
