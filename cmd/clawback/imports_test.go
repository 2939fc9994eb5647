package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func listPackages(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", "clawback/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// below reports whether a package is one of the named folders of ours, or below it.
func below(pkg string, folders ...string) bool {
	return slices.ContainsFunc(folders, func(f string) bool {
		return pkg == "clawback/"+f || strings.HasPrefix(pkg, "clawback/"+f+"/")
	})
}

// Who may import whom. The rules are the house's: what runs on a suspect host holds no provider,
// the engine knows no action, only the desk knows providers.
func TestImports(t *testing.T) {
	packages := listPackages(t)
	if len(packages) < 20 {
		t.Fatalf("go list found %d packages: the rules below would check nothing", len(packages))
	}
	for _, p := range packages {
		checkName(t, p.ImportPath)
		for _, imported := range p.Imports {
			if why := forbidden(p.ImportPath, imported); why != "" {
				t.Errorf("%s imports %s: %s", p.ImportPath, imported, why)
			}
		}
		if p.ImportPath == "clawback/cmd/clawback-host" {
			checkHost(t, p.Deps)
		}
	}
}

func checkName(t *testing.T, pkg string) {
	t.Helper()
	for _, part := range strings.Split(pkg, "/") {
		if slices.Contains([]string{"util", "utils", "common", "helpers", "types", "internal", "pkg"}, part) {
			t.Errorf("%s: a package is named after what it is about, not %q", pkg, part)
		}
	}
}

func forbidden(pkg, imported string) string {
	has := func(folders ...string) bool { return below(imported, folders...) }
	charm := strings.HasPrefix(imported, "github.com/charmbracelet/")
	switch {
	case below(pkg, "revoke", "snapshots", "forensics") && has("playbooks", "tui", "cmd"):
		return "it knows nothing of playbooks, screens or commands"
	case below(pkg, "forensics/incident") && strings.HasPrefix(imported, "clawback/") && !has("forensics/journal", "revoke/credential"):
		return "an incident is made of the journal and of credentials alone"
	case pkg == "clawback/playbooks/engine" && strings.HasPrefix(imported, "clawback/") && imported != "clawback/playbooks" && !has("forensics/incident", "forensics/journal"):
		return "the engine knows no action and no provider"
	case below(pkg, "revoke/credential") && strings.HasPrefix(imported, "clawback/"):
		return "credentials know nothing of us"
	case below(pkg, "tui") && (has("revoke/providers") || imported == "net/http" || imported == "os/exec"):
		return "the console does no I/O of its own"
	case charm && !below(pkg, "tui", "cmd/clawback"):
		return "Charm's libraries are for the console alone"
	case has("playbooks/platform") && !below(pkg, "cmd/clawback", "playbooks/actions", "playbooks/platform"):
		return "only a response's actions, at the desk, reach what a machine runs on"
	case below(pkg, "playbooks/platform") && has("playbooks/engine", "playbooks/actions", "playbooks/host", "playbooks/containment", "tui"):
		return "a platform is asked for one thing, and knows nothing of the response or of the machine's word"
	case imported == "clawback/revoke/providers" && !below(pkg, "cmd/clawback", "playbooks/drill"):
		return "only the desk and the drill know all providers"
	case has("forensics/journal/witness") && !below(pkg, "cmd/clawback", "forensics/journal/witness"):
		return "only the desk's program sends a record away"
	case below(pkg, "revoke/providers") && strings.HasSuffix(path.Base(pkg), "fake") && below(imported, "revoke/providers"):
		return "a fake never imports its provider"
	}
	return ""
}

// checkHost looks at everything that the program on the suspect host is made of.
func checkHost(t *testing.T, deps []string) {
	t.Helper()
	for _, d := range deps {
		switch {
		case below(d, "revoke/providers", "playbooks/engine", "playbooks/actions", "playbooks/drill", "playbooks/platform", "tui", "snapshots/deposit", "forensics/journal"),
			below(d, "revoke/discover/sqlite"), strings.HasPrefix(d, "modernc.org/"), d == "database/sql",
			d == "clawback/revoke", d == "net/http",
			strings.HasPrefix(d, "github.com/aws/"), strings.HasPrefix(d, "github.com/stripe/"),
			strings.HasPrefix(d, "github.com/google/go-github/"), strings.HasPrefix(d, "github.com/slack-go/"):
			t.Errorf("clawback-host contains %s", d)
		}
	}
}

// The rules themselves have to catch a breach.
func TestForbidden(t *testing.T) {
	for _, c := range [][2]string{
		{"clawback/revoke", "clawback/playbooks/engine"},
		{"clawback/forensics/incident", "clawback/snapshots"},
		{"clawback/playbooks/engine", "clawback/revoke"},
		{"clawback/tui", "net/http"},
		{"clawback/revoke", "github.com/charmbracelet/lipgloss"},
		{"clawback/playbooks/actions", "clawback/revoke/providers"},
		{"clawback/revoke/providers/aws/awsfake", "clawback/revoke/providers/aws"},
		{"clawback/playbooks/engine", "clawback/forensics/journal/witness"},
		{"clawback/forensics/report", "clawback/forensics/journal/witness"},
		{"clawback/cmd/clawback-host", "clawback/forensics/journal/witness"},
		{"clawback/tui", "clawback/playbooks/platform/cloud"},
		{"clawback/playbooks/engine", "clawback/playbooks/platform"},
		{"clawback/playbooks/platform/cloud", "clawback/playbooks/host"},
	} {
		if forbidden(c[0], c[1]) == "" {
			t.Errorf("%s may import %s, and should not", c[0], c[1])
		}
	}
}
