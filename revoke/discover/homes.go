package discover

import (
	"path"
	"strings"

	"clawback/forensics/agents/openclaw"
	"clawback/revoke/credential"
)

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
