package main

//go:generate go run . docs ../../README.md

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"clawback/forensics/incident"
	"clawback/playbooks"
	"clawback/playbooks/actions"
	"clawback/playbooks/drill"
	"clawback/revoke/discover"
	"clawback/tui"
)

// docsCommand writes what is generated in a Markdown file: the text between the marks
// <!-- generated: NAME --> and <!-- end -->.
func (a *app) docsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "docs FILE", Hidden: true, Args: exactly(1, "FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			src, err := os.ReadFile(args[0])
			if err != nil {
				return usage("name a Markdown file", "%w", err)
			}
			out, err := fillMarks(src)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			if bytes.Equal(src, out) {
				return nil
			}
			return os.WriteFile(args[0], out, 0o644)
		},
	}
}

const (
	markBegin = "<!-- generated: "
	markEnd   = "<!-- end -->"
)

func fillMarks(src []byte) ([]byte, error) {
	tables := map[string]func(*strings.Builder) error{
		"commands": docCommands, "exit codes": docExitCodes, "coverage": docCoverage, "providers": docProviders, "settings": docSettings,
		"keys": docKeys, "places": docPlaces, "playbooks": docPlaybooks, "scenarios": docScenarios,
	}
	var out strings.Builder
	rest := string(src)
	for {
		before, after, found := strings.Cut(rest, markBegin)
		out.WriteString(before)
		if !found {
			return []byte(out.String()), nil
		}
		name, after, ok := strings.Cut(after, " -->\n")
		_, after, closed := strings.Cut(after, markEnd)
		fill := tables[name]
		if !ok || !closed || fill == nil {
			return nil, fmt.Errorf("the mark %q is not known or not closed", name)
		}
		out.WriteString(markBegin + name + " -->\n")
		if err := fill(&out); err != nil {
			return nil, err
		}
		out.WriteString(markEnd)
		rest = after
	}
}

func row(b *strings.Builder, cells ...string) {
	for i := range cells {
		cells[i] = strings.ReplaceAll(strings.ReplaceAll(cells[i], "|", "\\|"), "\n", " ")
	}
	fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
}

func docCommands(b *strings.Builder) error {
	row(b, "command", "what it does")
	row(b, "---", "---")
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			if sub.Hidden || sub.Name() == "help" || sub.Name() == "completion" {
				continue
			}
			if sub.HasSubCommands() {
				walk(sub)
				continue
			}
			row(b, "`"+sub.UseLine()+"`", sub.Short)
		}
	}
	walk(newRoot(&app{}))
	return nil
}

func docExitCodes(b *strings.Builder) error {
	row(b, "code", "meaning")
	row(b, "---", "---")
	for _, e := range incident.ExitCodes {
		meaning := e.Meaning
		if e.Refusal {
			meaning += " (nothing ran)"
		}
		row(b, fmt.Sprint(e.Code), meaning)
	}
	return nil
}

// docCoverage is what of each provider is revoked by what, at a glance.
func docCoverage(b *strings.Builder) error {
	all, err := (&app{}).coverages()
	if err != nil {
		return err
	}
	row(b, "provider", "revoked with itself", "with an authority of yours", "by hand")
	row(b, "---", "---", "---", "---")
	for _, c := range all {
		by := make(map[string][]string)
		for _, k := range c.Kinds {
			_, short, _ := strings.Cut(k.Kind, ".")
			short = "`" + short + "`"
			if k.Proof.Unverifiable != "" {
				short += " (unproved)"
			}
			by[k.Revoked] = append(by[k.Revoked], short)
		}
		cells := []string{docTitle(c)}
		by["person"] = append(by["person"], by["expiry"]...) // it waits for a person
		for _, how := range []string{"itself", "authority", "person"} {
			cells = append(cells, cmp.Or(strings.Join(by[how], ", "), "–"))
		}
		row(b, cells...)
	}
	return nil
}

func docTitle(c coverage) string {
	if c.SelfHosted {
		return c.Title + ", at your own address"
	}
	return c.Title
}

func docProviders(b *strings.Builder) error {
	all, err := (&app{}).coverages()
	if err != nil {
		return err
	}
	row(b, "credential", "of", "revoked", "what the authority has to be allowed", "proved by", "what else")
	row(b, "---", "---", "---", "---", "---", "---")
	for _, c := range all {
		for _, k := range c.Kinds {
			where := k.Source
			if k.Manual && k.Link != "" {
				where = k.Link
			}
			row(b, "`"+k.Kind+"`", c.Title+": "+k.Title, linked(k.how(), where), cmp.Or(k.Authority, "–"), docProof(k.Proof), cmp.Or(k.also(), "–"))
		}
	}
	return nil
}

// docProof says by what a death is proved, and whose the number is.
func docProof(p proof) string {
	switch {
	case p.Unverifiable != "":
		return p.String() + ": " + p.Unverifiable
	case strings.Contains(p.Source, "own margin"):
		return p.String() + ", our margin"
	}
	return linked(p.String(), p.Source)
}

func docSettings(b *strings.Builder) error {
	row(b, "provider", "`settings:` that it takes")
	row(b, "---", "---")
	takes := settingsTaken()
	for _, name := range slices.Sorted(maps.Keys(takes)) {
		var first []string // below a name of the desk's, and no deeper
		for _, path := range takes[name] {
			parts := strings.Split(path, ".")
			if parts[0] == "NAME" && len(parts) > 1 {
				parts = []string{"NAME." + parts[1]}
			}
			first = append(first, "`"+parts[0]+"`")
		}
		row(b, "`"+name+"`", strings.Join(slices.Compact(first), ", "))
	}
	return nil
}

var address = regexp.MustCompile(`https://[^\s,;)]+`)

// linked makes a text a link to the address that its source names.
func linked(text, source string) string {
	at := strings.TrimRight(address.FindString(source), ":.")
	if at == "" {
		return text
	}
	return "[" + text + "](" + at + ")"
}

func docPlaces(b *strings.Builder) error {
	row(b, "file", "place", "credential")
	row(b, "---", "---", "---")
	for _, p := range discover.Places() {
		row(b, "`"+p.File+"`", "`"+p.Locator+"`", p.Credential)
	}
	return nil
}

// docKeys is the table of the console's keys, a row for each screen and dialog.
func docKeys(b *strings.Builder) error {
	row(b, "where", "keys")
	row(b, "---", "---")
	for _, s := range tui.Keys() {
		var keys []string
		for _, k := range s.Keys {
			key := "`" + k.Key + "` " + k.Does
			if k.Danger {
				key += " **!**"
			}
			keys = append(keys, key)
		}
		row(b, s.Title, strings.Join(keys, "<br>"))
	}
	return nil
}

func docPlaybooks(b *strings.Builder) error {
	row(b, "playbook", "what it does")
	row(b, "---", "---")
	for _, name := range playbooks.Builtins() {
		book, err := playbooks.Builtin(name, actions.Names())
		if err != nil {
			return err
		}
		row(b, "`"+name+"`", book.Description)
	}
	return nil
}

func docScenarios(b *strings.Builder) error {
	row(b, "scenario", "what happened", "credentials")
	row(b, "---", "---", "---")
	for _, s := range drill.Scenarios {
		n := 0
		for _, h := range s.Held {
			n += h.Count
		}
		row(b, "`"+s.Name+"`", s.Title, fmt.Sprint(n))
	}
	return nil
}
