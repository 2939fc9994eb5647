package discover

import (
	"path"
	"strings"

	"clawback/forensics/agents/openclaw"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
)

// searchRest reads the other files below credentials/, whose shape each channel decides.
func (s *scan) searchRest() {
	dir := path.Join(s.agent.StateDir, "credentials")
	at, err := openclaw.Resolve(s.root, dir)
	if err == nil && at != dir {
		s.note(openclaw.Problem{Path: dir, Reason: "a link to another directory: what lies there was left alone"})
		return
	}
	s.problem(dir, err)
	budget := 2_000
	s.walk(dir, 4, &budget)
}

func (s *scan) walk(dir string, depth int, budget *int) {
	for _, name := range s.list(dir) {
		at := path.Join(dir, name)
		info, err := s.root.Lstat(at)
		switch {
		case err != nil:
			s.problem(at, err)
		case info.IsDir() && depth > 0 && name != "whatsapp": // thousands of session keys, one secret
			s.walk(at, depth-1, budget)
		case info.IsDir(), strings.HasSuffix(name, "-pairing.json"), strings.HasSuffix(name, "-allowFrom.json"):
		case *budget <= 0:
			s.note(openclaw.Problem{Path: dir, Reason: "too many files: the rest was not searched"})
			return
		default:
			*budget--
			s.anyFile(at)
		}
	}
}

// anyFile searches a file below credentials/ of which no more than that is known.
func (s *scan) anyFile(name string) {
	provider := providerName(strings.SplitN(strings.TrimPrefix(name, path.Join(s.agent.StateDir, "credentials")+"/"), "/", 2)[0])
	provider, _, _ = strings.Cut(provider, ".")
	if strings.HasSuffix(name, ".json") || strings.HasSuffix(name, ".json.bak") {
		d, ok := s.load(name, nil)
		if !ok {
			return
		}
		for _, l := range d.leaves {
			if _, telling := credential.Recognize(l.text); l.str && (telling || secretKey.MatchString(l.key())) {
				s.report(candidate{provider: provider, parts: map[string]string{"value": l.text}, guessed: true,
					source: credential.Source{Path: d.at, Locator: locator(l.path), Line: l.line}})
			}
		}
		s.sweep(d.at, string(d.rest), d.restLine, "behind a syntax error")
		return
	}
	at, data, ok := s.open(name)
	if !ok {
		return
	}
	if text := strings.TrimSpace(string(data)); oneToken.MatchString(text) {
		s.report(candidate{provider: provider, parts: map[string]string{"value": text}, guessed: true, source: credential.Source{Path: at, Line: 1}})
		return
	}
	s.sweep(at, string(data), 1, "")
}

var (
	secretKey = lazyregexp.New(`(?i)(?:token|secret|password|passphrase|apikey|api_key|privatekey|private_key|cookie|access|refresh)\z`)
	oneToken  = lazyregexp.New(`\A[!-~]{8,}\z`)
)
