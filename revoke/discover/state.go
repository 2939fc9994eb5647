package discover

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"clawback/forensics/agents/openclaw"
	"clawback/forensics/agents/openclaw/json5"
	"clawback/revoke/credential"
)

// Bounds of OpenClaw itself, in its src/config/includes.ts.
const (
	maxIncludeDepth = 10
	maxIncludes     = 200
)

const (
	maxEnvFiles    = 200
	systemUnits    = "etc/systemd/system/"
	systemQuadlets = "etc/containers/systemd/"
)

// searchConfig reads the configuration first, because it says what the values of the other files
// are, and the files of variables before it, because it refers to them.
func (s *scan) searchConfig() {
	files := s.environment()
	s.searchCompose()
	var docs []*document
	for _, name := range s.configFiles() {
		docs = append(docs, s.loadConfig(name, nil, 0)...)
	}
	for _, d := range docs {
		s.learn(d)
	}
	for _, d := range docs {
		s.document(d, configFile, "", nil)
	}
	s.searchSecretFiles()
	for _, f := range files {
		s.settings(f.at, f.vars)
	}
}

// settingsFile is a file of variables.
type settingsFile struct {
	at   string
	vars []setting
}

// environment reads the files of variables and builds the gateway's environment from them: what
// an earlier file sets, no later one overrides.
func (s *scan) environment() []settingsFile {
	var files []settingsFile
	names := s.envFiles()
	if len(names) > maxEnvFiles {
		s.note(openclaw.Problem{Path: names[maxEnvFiles], Reason: fmt.Sprintf("more than %d files of variables: the rest was not searched", maxEnvFiles)})
		names = names[:maxEnvFiles]
	}
	for i := 0; i < len(names); i++ {
		name := names[i]
		system := strings.HasPrefix(name, systemUnits) || strings.HasPrefix(name, systemQuadlets)
		if system {
			s.agent.given[name] = true
		}
		at, data, ok := s.open(name)
		if !ok {
			continue
		}
		f := settingsFile{at: at}
		switch {
		case strings.HasPrefix(at, "proc/"):
			f.vars = parseEnviron(data)
		case isUnit(at):
			var more []string
			f.vars, more = parseUnit(string(data))
			s.unitSecrets(at, string(data), system)
			for _, name := range more[:min(len(more), maxEnvFiles)] {
				name = s.agent.hostPath(strings.ReplaceAll(name, "%h", path.Join("/", s.agent.Home)), path.Dir(at))
				if system {
					s.agent.given[name] = true
				}
				if len(names) < maxEnvFiles {
					names = slices.Insert(names, i+1, name)
				}
			}
		default:
			f.vars = parseDotenv(string(data))
		}
		files = append(files, f)
		if isCopy(at) || isUnit(at) && !s.agent.runs(at) {
			continue // not what the gateway reads
		}
		for _, v := range f.vars {
			if _, set := s.agent.env[v.name]; !set && !v.comment && v.value != "" {
				s.agent.env[v.name] = resolved{v.value, at, v.line}
			}
		}
	}
	return files
}

func isCopy(name string) bool {
	return strings.HasPrefix(path.Base(name), ".env.") || strings.Contains(name, ".bak")
}

// configFiles are the configurations that stand in the state directory, by any name that it had.
func (s *scan) configFiles() []string {
	var out []string
	if s.agent.Config != "" {
		out = append(out, s.agent.Config)
	}
	for _, name := range openclaw.ConfigNames() {
		out = append(out, path.Join(s.agent.StateDir, name))
	}
	for _, name := range []string{"OPENCLAW_CONFIG_PATH", "CLAWDBOT_CONFIG_PATH", "MOLTBOT_CONFIG_PATH"} {
		if v := s.agent.env[name]; v.value != "" {
			out = append(out, s.agent.hostPath(strings.ReplaceAll(v.value, "%h", "/"+s.agent.Home), s.agent.Home))
		}
	}
	return out
}

// loadConfig loads a configuration and what it includes.
func (s *scan) loadConfig(name string, prefix []json5.Step, depth int) []*document {
	d, ok := s.load(name, prefix)
	if !ok {
		return nil
	}
	docs, includes := []*document{d}, 0
	for _, l := range d.leaves {
		at := slices.IndexFunc(l.path, func(st json5.Step) bool { return st.Key == "$include" })
		if at < 0 || !l.str {
			continue
		}
		if includes++; depth >= maxIncludeDepth || includes > maxIncludes || len(docs) > maxIncludes {
			s.note(openclaw.Problem{Path: d.at, Reason: "its includes are nested too deeply or are too many: the rest was not searched"})
			break
		}
		docs = append(docs, s.loadConfig(s.agent.hostPath(l.text, d.base()), l.path[:at], depth+1)...)
	}
	return docs
}

// learn takes from a configuration what other places refer to: variables, files of secrets,
// workspaces.
func (s *scan) learn(d *document) {
	objects := d.objects()
	for _, l := range d.leaves {
		keys := make([]string, len(l.path))
		for i, st := range l.path {
			keys[i] = st.Key
		}
		switch {
		case !l.str:
		case len(keys) == 2 && keys[0] == "logging" && keys[1] == "file" && len(s.agent.logs) < maxLogs:
			s.agent.logs[s.agent.hostPath(l.text, s.agent.Home)] = true
		case len(keys) == 2 && keys[0] == "env", len(keys) == 3 && keys[0] == "env" && keys[1] == "vars":
			if name := l.key(); s.agent.env[name].value == "" && !reference.MatchString(l.text) {
				s.agent.env[name] = resolved{l.text, d.at, l.line}
			}
		case len(keys) == 4 && keys[0] == "secrets" && keys[1] == "providers" && keys[3] == "source":
			p := secretsProvider{source: l.text}
			for _, i := range objects[l.parent()].leaves {
				switch other := d.leaves[i]; other.key() {
				case "path":
					p.path = other.text
				case "mode":
					p.mode = other.text
				}
			}
			s.agent.alias[keys[2]] = p
		}
	}
}

// searchSecretFiles reports what the configuration's files of secrets hold beside what it refers to.
func (s *scan) searchSecretFiles() {
	for _, alias := range sortedKeys(s.agent.alias) {
		p := s.agent.alias[alias]
		if p.source != "file" || p.path == "" || p.mode == "singleValue" {
			continue
		}
		d, ok := s.load(s.agent.hostPath(p.path, s.agent.StateDir), nil)
		if !ok {
			continue
		}
		for _, l := range d.leaves {
			if l.str {
				s.report(candidate{parts: map[string]string{"value": l.text}, source: credential.Source{Path: d.at, Locator: locator(l.path), Line: l.line}})
			}
		}
	}
}

// envFiles are the files that set the gateway's environment, the strongest first, then their
// copies. Source: https://docs.openclaw.ai/help/environment
func (s *scan) envFiles() []string {
	var names, copies []string
	for _, row := range s.places {
		if !isEnvironment(row.file) {
			continue
		}
		w, rest := whereIs(row.file)
		for _, dir := range map[where][]string{inState: {s.agent.StateDir}, inHome: {s.agent.Home}, inWorkspace: s.agent.Workspaces, onMachine: {"."}}[w] {
			switch {
			case row.file == environFile:
				for _, p := range s.processes() {
					s.agent.given[p.environ()] = true
					names = append(names, p.environ())
				}
			case strings.HasSuffix(rest, ".env.*"):
				copies = append(copies, slices.DeleteFunc(s.glob(dir, rest), func(name string) bool {
					return strings.Contains(name, "example") || strings.Contains(name, "sample") || strings.Contains(name, "template")
				})...)
			default:
				names = append(names, slices.DeleteFunc(s.glob(dir, rest), func(name string) bool {
					return w == onMachine && !s.agent.runs(name) || isUnit(name) && !s.regular(name)
				})...)
			}
		}
	}
	return append(names, copies...)
}

// isUnit reports whether a file is one of the service manager's, or of what makes units for it.
func isUnit(name string) bool {
	return strings.Contains(name, ".service") || strings.Contains(name, ".container")
}

// searchState reads the other files of the state directory that the table knows.
func (s *scan) searchState() {
	s.searchTable(inState, s.agent.StateDir)
	s.searchDatabases()
}

// lastUsed reads when each profile was last used. A missing file says nothing.
func (s *scan) lastUsed(name string) map[string]time.Time {
	data, err := openclaw.ReadFile(s.root, name, maxFile)
	if err != nil {
		s.problem(name, err)
		return nil
	}
	return usage(data)
}

// usage reads when each profile was last used: usageStats.<profile>.lastUsed.
func usage(data []byte) map[string]time.Time {
	out := map[string]time.Time{}
	_ = json5.Scan(data, func(v json5.Value) { // what stands before a fault is better than nothing
		if p := v.Path; len(p) == 3 && p[0].Key == "usageStats" && p[2].Key == "lastUsed" {
			out[p[1].Key] = millis(v.Text)
		}
	})
	return out
}

// searchBackups reads older configurations: what they hold may still be alive.
func (s *scan) searchBackups() {
	for _, config := range s.configFiles() {
		dir, base := path.Split(config)
		for _, pattern := range []string{base + ".bak", base + ".bak.*", base + ".clobbered.*"} {
			for _, name := range s.glob(path.Clean(dir), pattern) {
				for _, d := range s.loadConfig(name, nil, 0) {
					d.note = "backup copy"
					s.document(d, configFile, "", nil)
				}
			}
		}
	}
}
