package discover

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"clawback/forensics/agents/openclaw"
	"clawback/forensics/agents/openclaw/json5"
	"clawback/revoke/lazyregexp"
)

// format takes a file apart. What it does not understand it leaves out; its error never quotes the
// file.
type format func(data []byte) ([]leaf, error)

// formats are the files of the table that are not JSON, by their name or the ending of it.
var formats = []struct {
	file string
	read format
}{
	{"~/.config/gh/hosts.yml", readYAML},
	{"~/.config/glab-cli/config.yml", readYAML},
	{"~/.config/doctl/config.yaml", readYAML},
	{"~/.kube/config", readYAML},
	{"/etc/kubernetes/*.conf", readYAML},
	{"/etc/rancher/k3s/k3s.yaml", readYAML},
	{"~/.pypirc", readINI},
	{"~/.npmrc", readNpmrc},
	{"workspace/.npmrc", readNpmrc},
	{"~/.netrc", readNetrc},
	{"~/.git-credentials", readGitCredentials},
	{"~/.config/git/credentials", readGitCredentials},
	{"~/.pgpass", readPgpass},
	{"~/.codex/config.toml", readTOML},
	{"~/.gitlab-runner/config.toml", readTOML},
	{"/etc/gitlab-runner/config.toml", readTOML},
}

// formatOf is how a file of the table is read; nil is JSON.
func formatOf(file string) format {
	for _, f := range formats {
		if f.file == file {
			return f.read
		}
	}
	switch {
	case strings.HasSuffix(file, ".json"), strings.HasSuffix(file, ".json.bak"):
		return nil
	case strings.Contains(file, "compose"):
		return readCompose
	}
	return readLine
}

func key(name string) json5.Step { return json5.Step{Key: name[:min(len(name), maxKey)], Index: -1} }

// keyed is a leaf at a path of keys.
func keyed(value string, line int, keys ...string) leaf {
	l := leaf{text: value, str: true, line: line}
	for _, k := range keys {
		l.path = append(l.path, key(k))
	}
	return l
}

// maxYAML bounds what goes through the YAML parser, which takes many times that of memory.
const maxYAML = 1 << 20

// readYAML reads the first document. Aliases are not followed: they multiply without bound.
func readYAML(data []byte) ([]leaf, error) {
	if len(data) > maxYAML {
		return nil, fmt.Errorf("more than %d bytes of YAML", maxYAML)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, yamlFault(err)
	}
	var out []leaf
	for _, n := range doc.Content {
		out = walkYAML(n, nil, out)
	}
	return out, nil
}

// nothing is what null is written as. Some tools put its tag before values: glab does before tokens.
var nothing = map[string]bool{"": true, "~": true, "null": true, "Null": true, "NULL": true}

func walkYAML(n *yaml.Node, at []json5.Step, out []leaf) []leaf {
	if len(out) >= maxLeaves || len(at) > maxSteps {
		return out
	}
	switch n.Kind {
	case yaml.MappingNode:
		for name, value := range entries(n) {
			out = walkYAML(value, append(at[:len(at):len(at)], key(name)), out)
		}
	case yaml.SequenceNode:
		for i, value := range n.Content {
			out = walkYAML(value, append(at[:len(at):len(at)], json5.Step{Index: i}), out)
		}
	case yaml.ScalarNode:
		if len(at) > 0 && (n.Tag != "!!null" || !nothing[n.Value]) {
			out = append(out, leaf{path: at, text: n.Value, str: true, line: n.Line})
		}
	}
	return out
}

// readCompose is YAML in which an environment may be a list of assignments.
func readCompose(data []byte) ([]leaf, error) {
	out, err := readYAML(data)
	for i, l := range out {
		if n := len(l.path); n > 1 && l.path[n-1].Index >= 0 && l.path[n-2].Key == "environment" {
			if name, value, ok := strings.Cut(l.text, "="); ok {
				out[i].path, out[i].text = append(slices.Clone(l.path[:n-1]), key(name)), value
			}
		}
	}
	return out, err
}

func readINI(data []byte) (out []leaf, _ error) {
	for _, s := range parseINI(string(data)) {
		if !s.comment {
			out = append(out, keyed(s.value, s.line, s.section, s.name))
		}
	}
	return out, nil
}

// readTOML reads the tables and plain assignments of TOML, which is what tools keep secrets in; a
// table that stands inline is read as JSON5 would be, and one of many is named by its number.
func readTOML(data []byte) (out []leaf, _ error) {
	var section []string
	line, tables := 0, 0
	for row := range strings.Lines(string(data)) {
		line++
		row = strings.TrimSpace(row)
		if inner, ok := strings.CutPrefix(row, "["); ok {
			inner, _, _ = strings.Cut(strings.TrimPrefix(inner, "["), "]")
			section = tomlKeys(inner)
			if strings.HasPrefix(row, "[[") {
				section = append(section, strconv.Itoa(tables))
				tables++
			}
			continue
		}
		name, value, ok := strings.Cut(row, "=")
		if !ok || strings.HasPrefix(row, "#") || len(section) > maxSteps {
			continue
		}
		keys := slices.Concat(section, tomlKeys(name))
		value = strings.TrimSpace(value)
		if inner, ok := strings.CutPrefix(value, "{"); ok {
			inner, _, _ = strings.Cut(inner, "}")
			for pair := range strings.SplitSeq(inner, ",") {
				if name, value, ok := strings.Cut(pair, "="); ok {
					out = append(out, keyed(bareValue(value), line, slices.Concat(keys, tomlKeys(name))...))
				}
			}
			continue
		}
		out = append(out, keyed(bareValue(value), line, keys...))
	}
	return out, nil
}

func tomlKeys(dotted string) (out []string) {
	for k := range strings.SplitSeq(strings.TrimSpace(dotted), ".") {
		if len(out) < maxSteps {
			out = append(out, strings.Trim(strings.TrimSpace(k), `"'`))
		}
	}
	return out
}

// readNpmrc reads "//registry/:_authToken=x" as registry._authToken.
// Source: https://docs.npmjs.com/cli/configuring-npm/npmrc
func readNpmrc(data []byte) (out []leaf, _ error) {
	for _, s := range parseINI(string(data)) {
		if s.comment {
			continue
		}
		registry, name, ok := "", s.name, false
		if i := strings.LastIndex(s.name, ":"); i >= 0 {
			registry, name, ok = strings.Trim(s.name[:i], "/"), s.name[i+1:], true
		}
		if !ok {
			registry = "default"
		}
		out = append(out, keyed(bareValue(s.value), s.line, registry, name))
	}
	return out, nil
}

// readNetrc reads the machines of a .netrc: its words may be on one line or on many, and a macro
// ends at an empty line. Source: https://www.gnu.org/software/inetutils/manual/html_node/The-_002enetrc-file.html
func readNetrc(data []byte) (out []leaf, _ error) {
	machine, want, line, macro := "", "", 0, false
	seen := map[string]int{}
	for row := range strings.Lines(string(data)) {
		line++
		words := strings.Fields(row)
		if macro {
			macro = len(words) > 0
			continue
		}
		for _, w := range words {
			if strings.HasPrefix(w, "#") && want == "" {
				break
			}
			switch {
			case want == "machine":
				machine, want = again(seen, w), ""
			case want == "macdef":
				macro, want = true, ""
			case want != "":
				out = append(out, keyed(strings.Trim(w, `"`), line, machine, want))
				want = ""
			case w == "default":
				machine = w
			case w == "machine", w == "login", w == "password", w == "account", w == "macdef":
				want = w
			}
		}
	}
	return out, nil
}

// again names a host that has several logins in one file, each of which is one's own.
func again(seen map[string]int, host string) string {
	if seen[host]++; seen[host] > 1 {
		return fmt.Sprintf("%s (%d)", host, seen[host])
	}
	return host
}

// readPgpass reads host:port:database:user:password, in which a backslash escapes.
// Source: https://www.postgresql.org/docs/current/libpq-pgpass.html
func readPgpass(data []byte) (out []leaf, _ error) {
	line := 0
	for row := range strings.Lines(string(data)) {
		line++
		row = strings.TrimRight(row, "\r\n")
		if strings.HasPrefix(row, "#") {
			continue
		}
		fields := [5][]byte{}
		n := 0
		for i := 0; i < len(row); i++ {
			switch {
			case row[i] == '\\' && i+1 < len(row):
				i++
			case row[i] == ':' && n < 4:
				n++
				continue
			}
			fields[n] = append(fields[n], row[i])
		}
		if n == 4 {
			where := string(bytes.Join(fields[:4], []byte(":")))
			out = append(out, keyed(string(fields[3]), line, where, "user"), keyed(string(fields[4]), line, where, "password"))
		}
	}
	return out, nil
}

// readGitCredentials reads a URL with its login and password a line.
// Source: https://git-scm.com/docs/git-credential-store
func readGitCredentials(data []byte) (out []leaf, _ error) {
	line := 0
	seen := map[string]int{}
	for row := range strings.Lines(string(data)) {
		line++
		u, err := url.Parse(strings.TrimSpace(row))
		if err != nil || u.User == nil {
			continue
		}
		if password, ok := u.User.Password(); ok {
			host := again(seen, u.Host)
			out = append(out, keyed(u.User.Username(), line, host, "login"), keyed(password, line, host, "password"),
				keyed(u.Scheme+"://"+u.Host, line, host, "url"))
		}
	}
	return out, nil
}

// readLine is a file that holds nothing but the secret.
func readLine(data []byte) ([]leaf, error) {
	return []leaf{keyed(strings.TrimSpace(string(data)), 1, "")}, nil
}

// loadAs reads a file of the table that was not searched before.
func (s *scan) loadAs(name string, read format) (*document, bool) {
	at, data, ok := s.open(name)
	if !ok {
		return nil, false
	}
	leaves, err := read(data)
	d := &document{at: at, leaves: leaves}
	if err == nil && len(leaves) == 0 && len(bytes.TrimSpace(data)) > 0 {
		err = errors.New("holds nothing that is understood: look at it by hand")
	}
	if len(leaves) >= maxLeaves {
		d.leaves = leaves[:maxLeaves]
		s.note(openclaw.Problem{Path: at, Reason: fmt.Sprintf("more than %d values: the rest was not searched", maxLeaves)})
	}
	if err != nil {
		s.note(openclaw.Problem{Path: at, Reason: err.Error() + ": searched by format alone"})
		d.rest, d.restLine = data, 1
	}
	return d, true
}

// gitHost makes GitHub's, GitLab's and Bitbucket's tokens of a Git server's name what they are.
func gitHost(host string) string {
	switch host, _, _ = strings.Cut(strings.ToLower(host), ":"); {
	case host == "github.com" || host == "api.github.com":
		return "github"
	case host == "gitlab.com":
		return "gitlab"
	case host == "bitbucket.org" || host == "api.bitbucket.org":
		return "bitbucket"
	}
	return ""
}

// entries yields the keys and values of a mapping, in order.
func entries(n *yaml.Node) func(func(string, *yaml.Node) bool) {
	return func(yield func(string, *yaml.Node) bool) {
		for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i].Value, n.Content[i+1]) {
				return
			}
		}
	}
}

var yamlLine = lazyregexp.New(`line ([0-9]+)`)

// yamlFault keeps of a YAML error the line alone: its text may quote the file.
func yamlFault(err error) error {
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			return errors.New("line " + strconv.Itoa(n) + ": not valid YAML")
		}
	}
	return errors.New("not valid YAML")
}
