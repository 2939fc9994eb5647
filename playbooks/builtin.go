package playbooks

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

//go:embed builtin/*.yaml
var builtin embed.FS

// Names of the playbooks that come with clawback.
const (
	Isolate             = "isolate"
	KillSwitch          = "kill-switch"
	SuspectedCompromise = "suspected-compromise"
	LeakedCredentials   = "leaked-credentials"
)

// Builtins lists the names of the playbooks that come with clawback.
func Builtins() []string {
	files, err := fs.Glob(builtin, "builtin/*.yaml")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(path.Base(f), ".yaml"))
	}
	return names
}

// Source returns the text of a playbook that comes with clawback.
func Source(name string) ([]byte, error) {
	src, err := builtin.ReadFile("builtin/" + name + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("there is no playbook %q%s", name, meant(name, Builtins()))
	}
	return src, nil
}

// Builtin returns a playbook that comes with clawback.
func Builtin(name string, actions []string) (Playbook, error) {
	src, err := Source(name)
	if err != nil {
		return Playbook{}, err
	}
	return Parse(name+".yaml", src, actions)
}
