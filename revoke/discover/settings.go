package discover

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"clawback/forensics/agents/openclaw"
	"clawback/forensics/agents/openclaw/json5"
	"clawback/revoke/credential"
)

var agentUnit = regexp.MustCompile(`(?:openclaw|clawdbot|moltbot|moldbot)[^/]*\.service(?:\.bak[^/]*|\.d/[^/]*\.conf)?\z`)

// maxSettings bounds what one file may set.
const maxSettings = 50_000

// limit returns as many settings as are searched.
func (s *scan) limit(at string, all []setting) []setting {
	if len(all) > maxSettings {
		s.note(openclaw.Problem{Path: at, Reason: fmt.Sprintf("more than %d settings: the rest was not searched", maxSettings)})
		all = all[:maxSettings]
	}
	return all
}

// settings searches variables of one file.
func (s *scan) settings(at string, all []setting) {
	all = s.limit(at, all)
	values := map[string]string{}
	for _, v := range all {
		values[v.name] = v.value
	}
	stripe := endpointID(all)
	keys, rest := awsKeys(all)
	for _, k := range keys {
		s.report(candidate{provider: "aws", kind: k.kind(), parts: k.parts, guessed: k.first.comment,
			source: credential.Source{Path: at, Locator: settingLocator(k.first), Line: k.first.line, Note: commentNote(k.first)}})
	}
	for _, v := range rest {
		if s.ctx.Err() != nil {
			return
		}
		provider, kind, ok := classifyVariable(v.name, v.value)
		if _, telling := credential.Recognize(v.value); !ok || v.comment && !telling || reference.MatchString(v.value) {
			continue
		}
		c := candidate{provider: provider, kind: kind, parts: map[string]string{"value": v.value}, guessed: v.comment, endpoint: endpointVariable(values, v.name),
			source: credential.Source{Path: at, Locator: settingLocator(v), Line: v.line, Note: commentNote(v)}}
		if strings.HasPrefix(v.value, "whsec_") && stripe != "" {
			c.ref = map[string]string{"endpoint": stripe}
		}
		s.report(c)
	}
}

func settingLocator(v setting) string {
	var steps []json5.Step
	if v.section != "" {
		steps = append(steps, json5.Step{Key: v.section, Index: -1})
	}
	return locator(append(steps, json5.Step{Key: v.name, Index: -1}))
}

func commentNote(v setting) string {
	if v.comment {
		return "in a comment"
	}
	return ""
}

// endpointID is the one Stripe endpoint that the settings of a file name.
func endpointID(all []setting) string {
	ids := map[string]bool{}
	for _, v := range all {
		if strings.HasPrefix(v.value, "we_") && stripeEndpoint.MatchString(v.value) {
			if strings.HasPrefix(v.name, "STRIPE_WEBHOOK_ENDPOINT") {
				return v.value
			}
			ids[v.value] = true
		}
	}
	if len(ids) == 1 {
		return sortedKeys(ids)[0]
	}
	return ""
}

// endpointVariable is the address that a variable beside a key sets: OPENAI_BASE_URL.
func endpointVariable(values map[string]string, name string) string {
	stem := secretWords.ReplaceAllString(name, "")
	for _, suffix := range []string{"_BASE_URL", "_API_URL", "_API_BASE", "_ADDR", "_ENDPOINT_URL", "_HOST"} {
		if v := values[stem+suffix]; v != "" {
			return origin(v)
		}
	}
	return ""
}

// searchHomes reads what the agent's account, and every account whose files it may read, keeps for
// its own tools.
func (s *scan) searchHomes() {
	for _, home := range append([]string{s.agent.Home}, s.homes...) {
		for _, name := range []string{".aws/credentials", ".aws/config"} {
			if at, data, ok := s.openHome(home, name); ok {
				s.awsFile(at, parseINI(string(data)))
			}
		}
		if at, data, ok := s.openHome(home, ".config/gh/hosts.yml"); ok {
			s.hosts(at, data)
		}
		seen := map[string]bool{}
		for _, row := range s.places {
			name, ok := strings.CutPrefix(row.file, "~/")
			if !ok || seen[name] || !s.readableHome(home, name) {
				continue
			}
			seen[name] = true
			if d, ok := s.load(path.Join(home, name), nil); ok {
				s.document(d, row.file, "", nil)
			}
		}
		s.unread(home)
	}
}

// openHome opens a file of a home that the agent's account may read.
func (s *scan) openHome(home, name string) (string, []byte, bool) {
	if !s.readableHome(home, name) {
		return "", nil, false
	}
	return s.open(path.Join(home, name))
}

// readableHome reports whether the file is the agent's own, or readable to it: another account's
// secrets are not the agent's, and that they exist is no problem.
func (s *scan) readableHome(home, name string) bool {
	if home == s.agent.Home {
		return true
	}
	at, err := openclaw.Resolve(s.root, path.Join(home, name))
	return err == nil && s.mayRead(at)
}

// awsFile searches a file of the AWS tools: every profile of it.
func (s *scan) awsFile(at string, all []setting) {
	all = s.limit(at, all)
	endpoints := map[string]string{}
	for _, v := range all {
		if v.name == "endpoint_url" {
			endpoints[v.section] = origin(v.value)
		}
	}
	keys, rest := awsKeys(all)
	for _, k := range keys {
		s.report(candidate{provider: "aws", kind: k.kind(), parts: k.parts, guessed: k.first.comment, endpoint: endpoints[k.first.section],
			source: credential.Source{Path: at, Locator: settingLocator(k.first), Line: k.first.line, Note: commentNote(k.first)}})
	}
	for _, v := range rest {
		if v.name == "credential_process" && !v.comment {
			s.report(candidate{provider: "aws", kind: "aws.session", ref: map[string]string{"id": "exec:" + clean(v.section, 100)},
				unresolved: "credential_process, never run", source: credential.Source{Path: at, Locator: settingLocator(v), Line: v.line}})
		}
	}
}

// hosts searches hosts.yml of the GitHub command line.
func (s *scan) hosts(at string, data []byte) {
	if len(data) > maxHosts {
		data = data[:maxHosts]
	}
	tokens, err := parseHosts(data)
	if err != nil {
		s.note(openclaw.Problem{Path: at, Reason: err.Error() + ": searched by format alone"})
		s.sweep(at, string(data), 1, "")
		return
	}
	for _, t := range tokens {
		c := candidate{provider: "github", kind: unknown, parts: map[string]string{"value": t.token}, owner: t.user,
			source: credential.Source{Path: at, Locator: locator(t.path), Line: t.line}}
		if t.host != "github.com" {
			c.endpoint = origin("https://" + t.host)
		}
		s.report(c)
	}
}

// maxHosts bounds what goes through the YAML parser.
const maxHosts = 1 << 20

// unread names what may hold credentials in a home and is not understood: a person must look.
func (s *scan) unread(home string) {
	if home != s.agent.Home {
		return
	}
	for _, name := range []string{".config/gcloud", ".azure", ".kube/config", ".docker/config.json", ".npmrc", ".netrc", ".git-credentials", ".vault-token", ".pgpass"} {
		if _, err := openclaw.Resolve(s.root, path.Join(home, name)); err == nil {
			s.note(openclaw.Problem{Path: path.Join(home, name), Reason: "may hold credentials, and is not understood: look at it by hand"})
		}
	}
	for _, name := range s.glob(home, ".ssh/id_*") {
		if !strings.HasSuffix(name, ".pub") {
			s.note(openclaw.Problem{Path: name, Reason: "a private key: remove its public half wherever it is authorized"})
		}
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

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
	secretKey = regexp.MustCompile(`(?i)(?:token|secret|password|passphrase|apikey|api_key|privatekey|private_key|cookie|access|refresh)\z`)
	oneToken  = regexp.MustCompile(`\A[!-~]{8,}\z`)
)
