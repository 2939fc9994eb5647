package discover

import (
	"path"
	"slices"
	"strings"

	"clawback/forensics/agents/openclaw"
)

// searchCompose takes from the Compose files that run the agent what its environment is there: its
// configuration refers to that, and is read next. The files themselves are searched in their turn.
func (s *scan) searchCompose() {
	if s.agent.layout.Service == nil {
		return
	}
	var names []string
	for _, row := range s.places {
		if !strings.Contains(row.file, "compose") {
			continue
		}
		w, rest := whereIs(row.file)
		for _, dir := range map[where][]string{inHome: {s.agent.Home}, inWorkspace: s.agent.Workspaces, onMachine: {"."}}[w] {
			for _, name := range s.glob(dir, rest) {
				if !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
		}
	}
	for _, name := range names[:min(len(names), maxEnvFiles)] {
		at, err := openclaw.Resolve(s.root, name)
		if err != nil || !s.regular(at) || !s.mayRead(at) {
			continue
		}
		data, err := openclaw.ReadFile(s.root, at, maxYAML)
		if err != nil {
			continue // said when the file itself is searched
		}
		leaves, _ := readCompose(data)
		s.composed(at, leaves)
	}
}

// composed takes the environment of the agent's services from one Compose file: their own variables
// first, which override those of the files that they name.
// Source: https://docs.docker.com/compose/how-tos/environment-variables/envvars-precedence/
func (s *scan) composed(at string, leaves []leaf) {
	agents := map[string]bool{}
	for _, l := range leaves {
		if len(l.path) > 1 && l.path[0].Key == "services" {
			name := l.path[1].Key
			says := len(l.path) == 3 && (l.key() == "image" || l.key() == "container_name") && s.agent.layout.Service.MatchString(l.text)
			agents[name] = agents[name] || says || s.agent.layout.Service.MatchString(name)
		}
	}
	var beside map[string]resolved // what Compose itself puts in for ${VAR}
	var files []string
	for _, l := range leaves {
		n := len(l.path)
		if n < 3 || l.path[0].Key != "services" || !agents[l.path[1].Key] || !l.str {
			continue
		}
		switch section := l.path[2].Key; {
		case section == "environment" && n == 4:
			if beside == nil {
				beside = s.variables(path.Join(path.Dir(at), ".env"))
			}
			name, v := l.key(), resolved{l.text, at, l.line}
			if l.path[3].Index >= 0 { // a name alone: passed on
				name, v = l.text, beside[l.text]
			}
			v.value = reference().ReplaceAllStringFunc(v.value, func(m string) string {
				if other, ok := beside[strings.Trim(m, "${}")]; ok && !strings.HasPrefix(m, "$$") {
					v.path, v.line = other.path, other.line
					return other.value
				}
				return m
			})
			s.setVariable(name, v)
		case section == "env_file" && (n < 5 || l.key() == "path") && len(files) < maxEnvFiles:
			files = append(files, s.agent.hostPath(l.text, path.Dir(at)))
		}
	}
	for _, name := range slices.Backward(files) { // the last one holds
		for variable, v := range s.variables(name) {
			s.setVariable(variable, v)
		}
	}
}

// setVariable sets a variable of the agent's environment, unless a stronger place has.
func (s *scan) setVariable(name string, v resolved) {
	if _, set := s.agent.env[name]; !set && v.value != "" && !reference.MatchString(v.value) {
		s.agent.env[name] = v
	}
}

// variables reads a file of variables without searching it.
func (s *scan) variables(name string) map[string]resolved {
	at, err := openclaw.Resolve(s.root, name)
	if err != nil || !s.mayRead(at) {
		return nil
	}
	data, err := openclaw.ReadFile(s.root, at, maxSecretsFile)
	if err != nil {
		return nil
	}
	out := map[string]resolved{}
	for _, v := range parseDotenv(string(data)) {
		if !v.comment {
			out[v.name] = resolved{v.value, at, v.line}
		}
	}
	return out
}
