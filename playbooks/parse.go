package playbooks

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// maxPlaybook bounds a playbook's size, and maxSteps its steps.
const (
	maxPlaybook = 1 << 20
	maxSteps    = 500
)

// Error is what is wrong with a playbook, and where.
type Error struct {
	File string
	Line int
	Text string
}

func (e *Error) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Text) }

// Parse reads a playbook and checks it: an unknown key, action or step, or a circle, is an Error.
// All that is wrong is reported at once, joined. actions are the names that a step can use.
func Parse(file string, src []byte, actions []string) (Playbook, error) {
	p := parser{file: file, actions: actions}
	if len(src) > maxPlaybook {
		p.fail(1, "it has %d bytes, more than %d", len(src), maxPlaybook)
		return Playbook{}, p.err()
	}
	var doc yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(src))
	if err := decoder.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it is empty")
		}
		p.fail(1, "%s", strings.TrimPrefix(err.Error(), "yaml: "))
		return Playbook{}, p.err()
	}
	if decoder.Decode(new(yaml.Node)) != io.EOF {
		p.fail(doc.Line, "a playbook is one YAML document, and here is another after it")
	}
	book := p.playbook(doc.Content[0])
	if len(p.errs) == 0 {
		p.check(book)
	}
	return book, p.err()
}

type parser struct {
	file    string
	actions []string
	errs    []error
}

func (p *parser) err() error { return errors.Join(p.errs...) }

func (p *parser) fail(line int, format string, args ...any) {
	if len(p.errs) < 20 {
		p.errs = append(p.errs, &Error{p.file, line, fmt.Sprintf(format, args...)})
	}
}

// fields calls the reader of each key of a mapping; an unknown or repeated key is an error.
func (p *parser) fields(n *yaml.Node, what string, readers map[string]func(*yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		p.fail(n.Line, "%s is a mapping of keys to values", what)
		return
	}
	seen := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		read := readers[key.Value]
		switch {
		case read == nil:
			p.fail(key.Line, "%s has no key %q%s", what, key.Value, meant(key.Value, keys(readers)))
		case seen[key.Value]:
			p.fail(key.Line, "%s has the key %q twice", what, key.Value)
		case value.Kind == yaml.AliasNode:
			p.fail(value.Line, "aliases are not allowed: write the value out")
		default:
			seen[key.Value] = true
			read(value)
		}
	}
}

func (p *parser) playbook(n *yaml.Node) Playbook {
	var b Playbook
	p.fields(n, "a playbook", map[string]func(*yaml.Node){
		"name":        p.text(&b.Name),
		"title":       p.text(&b.Title),
		"description": p.text(&b.Description),
		"attended":    p.boolean(&b.Attended),
		"phases": func(n *yaml.Node) {
			p.list(n, "phases", func(n *yaml.Node) { b.Phases = append(b.Phases, p.phase(n)) })
		},
	})
	if b.Name == "" || b.Title == "" || len(b.Phases) == 0 {
		p.fail(n.Line, "a playbook needs name, title and phases")
	}
	return b
}

func (p *parser) phase(n *yaml.Node) Phase {
	var ph Phase
	p.fields(n, "a phase", map[string]func(*yaml.Node){
		"id":    p.text(&ph.ID),
		"title": p.text(&ph.Title),
		"steps": func(n *yaml.Node) {
			p.list(n, "steps", func(n *yaml.Node) { ph.Steps = append(ph.Steps, p.step(n)) })
		},
	})
	if ph.ID == "" || ph.Title == "" || len(ph.Steps) == 0 {
		p.fail(n.Line, "a phase needs id, title and steps")
	}
	return ph
}

func (p *parser) step(n *yaml.Node) Step {
	s := Step{Gate: Auto, OnFailure: GoOn, Line: n.Line}
	p.fields(n, "a step", map[string]func(*yaml.Node){
		"id":           p.text(&s.ID),
		"title":        p.text(&s.Title),
		"why":          p.text(&s.Why),
		"irreversible": p.text(&s.Irreversible),
		"uses":         p.oneOf(&s.Uses, "action", p.actions),
		"with":         p.with(&s.With),
		"needs":        p.texts(&s.Needs),
		"gate":         p.oneOf(&s.Gate, "gate", []string{Auto, Confirm, Typed}),
		"when":         p.condition(&s.When),
		"deadline":     p.duration(&s.Deadline),
		"on_failure":   p.oneOf(&s.OnFailure, "on_failure", []string{GoOn, Stop}),
	})
	if s.ID == "" || s.Title == "" || s.Uses == "" {
		p.fail(n.Line, "a step needs id, title and uses")
	}
	return s
}

func (p *parser) list(n *yaml.Node, what string, read func(*yaml.Node)) {
	if n.Kind != yaml.SequenceNode {
		p.fail(n.Line, "%s is a list", what)
		return
	}
	if len(n.Content) > maxSteps {
		p.fail(n.Line, "%s has %d items, more than %d", what, len(n.Content), maxSteps)
		return
	}
	for _, item := range n.Content {
		read(item)
	}
}

func (p *parser) text(to *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
			p.fail(n.Line, "a text belongs here")
			return
		}
		*to = n.Value
	}
}

func (p *parser) boolean(to *bool) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Decode(to) != nil {
			p.fail(n.Line, "true or false belongs here")
		}
	}
}

func (p *parser) texts(to *[]string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		p.list(n, "this", func(n *yaml.Node) {
			var s string
			p.text(&s)(n)
			*to = append(*to, s)
		})
	}
}

func (p *parser) oneOf(to *string, what string, known []string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		p.text(to)(n)
		if !slices.Contains(known, *to) {
			p.fail(n.Line, "there is no %s %q%s", what, *to, meant(*to, known))
		}
	}
}

func (p *parser) duration(to *time.Duration) func(*yaml.Node) {
	return func(n *yaml.Node) {
		d, err := time.ParseDuration(n.Value)
		if err != nil || d <= 0 {
			p.fail(n.Line, "a duration such as 90s or 5m belongs here, not %q", n.Value)
			return
		}
		*to = d
	}
}

func (p *parser) with(to *map[string]any) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if err := n.Decode(to); err != nil {
			p.fail(n.Line, "with is a mapping of keys to values")
		}
	}
}

// condition reads "remote", "not remote", "STEP is CHOICE" and "STEP is not CHOICE".
func (p *parser) condition(to *Condition) func(*yaml.Node) {
	return func(n *yaml.Node) {
		words := strings.Fields(n.Value)
		switch {
		case len(words) == 1:
			*to = Condition{Fact: words[0]}
		case len(words) == 2 && words[0] == "not":
			*to = Condition{Fact: words[1], Not: true}
		case len(words) == 3 && words[1] == "is":
			*to = Condition{Fact: words[0], Choice: words[2]}
		case len(words) == 4 && words[1] == "is" && words[2] == "not":
			*to = Condition{Fact: words[0], Choice: words[3], Not: true}
		default:
			p.fail(n.Line, "%q is no condition: write remote, not remote, STEP is CHOICE or STEP is not CHOICE", n.Value)
		}
	}
}

func keys[V any](m map[string]V) []string {
	var all []string
	for k := range m {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}
