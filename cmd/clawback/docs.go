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
		"commands": docCommands, "exit codes": docExitCodes, "providers": docProviders, "settings": docSettings,
		"places": docPlaces, "playbooks": docPlaybooks, "scenarios": docScenarios,
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

func docProviders(b *strings.Builder) error {
	all, err := (&app{}).coverages()
	if err != nil {
		return err
	}
	row(b, "provider", "credential", "revoked", "what the authority has to be allowed", "proved by", "what else")
	row(b, "---", "---", "---", "---", "---", "---")
	for _, c := range all {
		title := c.Title
		if c.SelfHosted {
			title += " (at your own address)"
		}
		for _, k := range c.Kinds {
			proved := linked(k.Proof.String(), k.Proof.Source)
			if k.Proof.Unverifiable != "" {
				proved = k.Proof.String() + ": " + k.Proof.Unverifiable
			}
			where := k.Source
			if k.Manual && k.Link != "" {
				where = k.Link
			}
			row(b, title, k.Title+" `"+k.Kind+"`", linked(k.how(), where), cmp.Or(k.Authority, "–"), proved, cmp.Or(k.also(), "–"))
		}
	}
	return nil
}

func docSettings(b *strings.Builder) error {
	row(b, "provider", "`settings:` that it takes")
	row(b, "---", "---")
	takes := settingsTaken()
	for _, name := range slices.Sorted(maps.Keys(takes)) {
		row(b, "`"+name+"`", "`"+strings.Join(takes[name], "`, `")+"`")
	}
	return nil
}

var address = regexp.MustCompile(`https://[^\s,;)]+`)

// linked makes a text a link to the address that its source names, and says whose number it is.
func linked(text, source string) string {
	at := strings.TrimRight(address.FindString(source), ":.")
	if at == "" {
		return text
	}
	text = "[" + text + "](" + at + ")"
	if strings.Contains(source, "own margin") {
		text += " (our margin)"
	}
	return text
}

func docPlaces(b *strings.Builder) error {
	row(b, "file", "place", "credential")
	row(b, "---", "---", "---")
	for _, p := range discover.Places() {
		row(b, "`"+p.File+"`", "`"+p.Locator+"`", p.Credential)
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
