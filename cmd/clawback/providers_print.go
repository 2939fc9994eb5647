package main

import (
	"cmp"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"clawback/revoke"
	"clawback/revoke/providers"
	"clawback/revoke/wire"
)

// seconds is a time that JSON has as a number of seconds, and people as 1m30s.
type seconds time.Duration

func (s seconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, time.Duration(s).Seconds(), 'f', -1, 64), nil
}

func (s seconds) String() string {
	text := time.Duration(s).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// printOverview is one line for each kind.
func printOverview(out io.Writer, all []coverage) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "KIND\tREVOKED\tPROVED BY\tUNDO")
	kinds := 0
	for _, c := range all {
		for _, k := range c.Kinds {
			undo := "no"
			if k.Reversible {
				undo = "yes"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", k.Kind, k.how(), k.Proof, undo)
			kinds++
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\n%d kinds of %d providers; clawback providers NAME tells all of one.\n", kinds, len(all))
	return err
}

const pageWidth = 80

// page prints facts: a name, and beside it a text that is wrapped. It keeps the first error.
type page struct {
	out io.Writer
	err error
}

func (p *page) line(text string) {
	if p.err == nil {
		_, p.err = fmt.Fprintln(p.out, text)
	}
}

// fact prints nothing where nothing is said.
func (p *page) fact(name, text string) {
	const indent = 14
	for _, part := range wrap(text, pageWidth-indent) {
		p.line(fmt.Sprintf("  %-*s%s", indent-2, name, part))
		name = ""
	}
}

// wrap breaks a text between words; a word that is longer than a line stands alone.
func wrap(text string, width int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// printCoverage is all that is known.
func printCoverage(out io.Writer, all []coverage) error {
	p := &page{out: out}
	for _, c := range all {
		p.provider(c)
		for _, k := range c.Kinds {
			p.line("")
			p.kind(k)
		}
	}
	return p.err
}

func (p *page) provider(c coverage) {
	p.line(c.Title)
	switch {
	case c.Endpoint != "":
		p.fact("calls", c.Endpoint)
	case c.SelfHosted:
		p.fact("calls", "nobody before clawback.yaml names an address, below endpoints: or settings:")
	default:
		p.fact("calls", strings.Join(c.Hosts, ", "))
	}
	p.fact("settings", strings.Join(c.Settings, ", "))
	if c.ProbesHour > 0 {
		p.fact("limit", fmt.Sprintf("%d refused probes an hour from one address", c.ProbesHour))
	}
}

func (p *page) kind(k kindCoverage) {
	p.line(k.Kind)
	p.fact("is", fmt.Sprintf("%s, tier %d", k.Title, k.Tier))
	p.fact("looks like", k.looks())
	p.fact("revoked", k.how())
	p.fact("because", k.Unkillable)
	p.fact("authority", k.Authority)
	p.fact("proved by", k.Proof.String())
	p.fact("because", k.Proof.Unverifiable)
	if k.Proof.Unverifiable == "" {
		p.fact("", k.Proof.Source)
	}
	if k.Proof.NeedsAlive {
		p.fact("", "a refusal counts only where it was seen alive before")
	}
	p.fact("undo", map[bool]string{true: "clawback undo", false: "no"}[k.Reversible])
	if k.ByRef {
		p.fact("needs", "no value: its id is enough, for an authority")
	}
	p.fact("mints", strings.Join(k.Mints, ", "))
	p.fact("effect", k.Effect)
	p.fact("in doubt", k.Unanswered)
	if k.Payment {
		p.fact("order", "first among equals: it moves money")
	}
	for i, step := range k.Steps {
		p.fact(map[bool]string{true: "by hand"}[i == 0], fmt.Sprintf("%d. %s", i+1, step))
	}
	p.fact("at", k.Link)
	p.fact("source", k.Source)
}

// looks tells how a value of the kind is known.
func (k kindCoverage) looks() string {
	if k.Format == "" {
		return "nothing of its own: where it stands tells"
	}
	return k.Format
}

// settingsTaken lists by provider what it decodes of its settings, by asking each for it.
func settingsTaken() map[string][]string {
	taken := make(map[string][]string)
	_, _ = providers.New(func(name string) revoke.Env { // what of it cannot be made is said where it is used
		return revoke.Env{HTTP: revoke.NewClient(revoke.Refuse{}), Settings: func(into any) error {
			taken[name] = fieldNames(reflect.TypeOf(into), "")
			slices.Sort(taken[name])
			return nil
		}}
	})
	return taken
}

// fieldNames are the paths of what a YAML document of that type may hold: NAME stands for a name that
// the desk gives.
func fieldNames(t reflect.Type, below string) (names []string) {
	join := func(name string) string { return strings.TrimPrefix(below+"."+name, ".") }
	switch t.Kind() {
	case reflect.Pointer:
		if t == reflect.TypeFor[*wire.Held]() {
			break
		}
		return fieldNames(t.Elem(), below)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Struct {
			return fieldNames(t.Elem(), below)
		}
	case reflect.Map:
		if below == "" || t.Elem().Kind() != reflect.String && t.Elem() != reflect.TypeFor[*wire.Held]() {
			return fieldNames(t.Elem(), join("NAME"))
		}
	case reflect.Struct:
		for f := range t.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if f.IsExported() && name != "-" {
				names = append(names, fieldNames(f.Type, join(cmp.Or(name, strings.ToLower(f.Name))))...)
			}
		}
		return names
	}
	return []string{below}
}
