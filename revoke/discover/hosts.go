package discover

import (
	"errors"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"

	"clawback/forensics/agents/openclaw/json5"
)

// hostToken is one token of the GitHub command line's hosts.yml.
type hostToken struct {
	host, user, token string
	path              []json5.Step
	line              int
}

// parseHosts reads gh's hosts.yml: a token per host and, since gh 2.40, one per user of a host.
// Aliases are not followed: gh writes none, and they can multiply without bound.
func parseHosts(data []byte) ([]hostToken, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, yamlFault(err)
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	var out []hostToken
	for name, host := range entries(doc.Content[0]) {
		at := []json5.Step{{Key: name, Index: -1}}
		active := ""
		for key, value := range entries(host) {
			if key == "user" && value.Kind == yaml.ScalarNode {
				active = value.Value
			}
		}
		for key, value := range entries(host) {
			switch {
			case key == "oauth_token" && value.Kind == yaml.ScalarNode:
				out = append(out, hostToken{name, active, value.Value, append(at[:1:1], json5.Step{Key: key, Index: -1}), value.Line})
			case key == "users":
				for user, its := range entries(value) {
					for key, value := range entries(its) {
						if key == "oauth_token" && value.Kind == yaml.ScalarNode {
							path := append(at[:1:1], json5.Step{Key: "users", Index: -1}, json5.Step{Key: user, Index: -1}, json5.Step{Key: key, Index: -1})
							out = append(out, hostToken{name, user, value.Value, path, value.Line})
						}
					}
				}
			}
		}
	}
	return out, nil
}

// entries yields the keys and values of a mapping, in order.
func entries(n *yaml.Node) func(func(string, *yaml.Node) bool) {
	return func(yield func(string, *yaml.Node) bool) {
		if n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i].Value, n.Content[i+1]) {
				return
			}
		}
	}
}

var yamlLine = regexp.MustCompile(`line ([0-9]+)`)

// yamlFault keeps of a YAML error the line alone: its text may quote the file.
func yamlFault(err error) error {
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			return errors.New("line " + strconv.Itoa(n) + ": not valid YAML")
		}
	}
	return errors.New("not valid YAML")
}
