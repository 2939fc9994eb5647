package playbooks

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// What a playbook may take. Its plan is one entry of the journal, of 1 MiB at most, in which a
// byte can become six.
const (
	maxPlaybook = 128 << 10
	maxSteps    = 500
	maxDepth    = 32
	maxErrors   = 20

	maxApprovals = 9
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
	p := parser{file: file, actions: slices.Sorted(slices.Values(actions))}
	if len(src) > maxPlaybook {
		p.fail(1, "it has %d bytes, more than %d", len(src), maxPlaybook)
		return Playbook{}, p.err()
	}
	root := p.document(src)
	if root != nil {
		p.plain(root, 0)
	}
	if len(p.errs) > 0 {
		return Playbook{}, p.err()
	}
	book := p.playbook(root)
	if len(p.errs) == 0 {
		p.check(book)
	}
	if len(p.errs) == 0 {
		p.checkEvidence(book)
	}
	if len(p.errs) > 0 {
		return Playbook{}, p.err()
	}
	return book, nil
}

type parser struct {
	file    string
	actions []string
	errs    []error
	more    int // errors beyond maxErrors
}

func (p *parser) err() error {
	if p.more > 0 {
		p.errs = append(p.errs, fmt.Errorf("%s: and %d more", p.file, p.more))
		p.more = 0
	}
	return errors.Join(p.errs...)
}

func (p *parser) fail(line int, format string, args ...any) {
	if len(p.errs) >= maxErrors {
		p.more++
		return
	}
	p.errs = append(p.errs, &Error{p.file, line, fmt.Sprintf(format, args...)})
}

// meant is what an unknown word may stand for. It takes time, so errors that nobody sees get none.
func (p *parser) meant(word string, known []string) string {
	if len(p.errs) >= maxErrors {
		return ""
	}
	return meant(word, known)
}

var yamlFault = regexp.MustCompile(`\A(?:yaml: )?(?:line ([0-9]+): )?`)

// document reads the one YAML document of a playbook. Aliases stay unresolved in it, so that
// reading takes no longer than its size allows.
func (p *parser) document(src []byte) *yaml.Node {
	var doc yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(src))
	err := decoder.Decode(&doc)
	if errors.Is(err, io.EOF) || err == nil && len(doc.Content) == 0 {
		p.fail(1, "it is empty")
		return nil
	}
	if err == nil {
		err = decoder.Decode(new(yaml.Node))
		if err == nil {
			err = errors.New("a playbook is one YAML document, and here is another after it")
		}
	}
	if !errors.Is(err, io.EOF) {
		at := yamlFault.FindStringSubmatch(err.Error())
		line, _ := strconv.Atoi(at[1])
		p.fail(max(line, 1), "%s", err.Error()[len(at[0]):])
		return nil
	}
	return doc.Content[0]
}

// plain refuses what makes YAML say something other than it seems to: aliases, merged keys, tags,
// a key that stands twice.
func (p *parser) plain(n *yaml.Node, depth int) {
	switch {
	case depth > maxDepth:
		p.fail(n.Line, "nested more than %d deep", maxDepth)
		return
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		p.fail(n.Line, "anchors and aliases are not allowed: write the value out")
		return
	case n.Tag == "!!merge":
		p.fail(n.Line, "merged keys are not allowed: write them out")
		return
	case n.Style&yaml.TaggedStyle != 0:
		p.fail(n.Line, "tags such as %.40s are not allowed", n.Tag)
		return
	}
	seen := make(map[string]bool)
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			if seen[child.Value] && child.Kind == yaml.ScalarNode {
				p.fail(child.Line, "the key %q stands twice", child.Value)
			}
			seen[child.Value] = true
		}
		p.plain(child, depth+1)
	}
}

// fields calls the reader of each key of a mapping; an unknown key is an error. It reports whether
// there was none, in the values either.
func (p *parser) fields(n *yaml.Node, what string, readers map[string]func(*yaml.Node)) (sound bool) {
	before := len(p.errs) + p.more
	if n.Kind != yaml.MappingNode {
		p.fail(n.Line, "%s is a mapping of keys to values", what)
		return false
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if read := readers[key.Value]; read != nil {
			read(value)
		} else {
			p.fail(key.Line, "%s has no key %q%s", what, key.Value, p.meant(key.Value, slices.Sorted(maps.Keys(readers))))
		}
	}
	return len(p.errs)+p.more == before
}

func (p *parser) playbook(n *yaml.Node) Playbook {
	var b Playbook
	sound := p.fields(n, "a playbook", map[string]func(*yaml.Node){
		"name":        p.text(&b.Name),
		"title":       p.text(&b.Title),
		"description": p.text(&b.Description),
		"attended":    p.boolean(&b.Attended),
		"phases": func(n *yaml.Node) {
			p.list(n, "phases", func(n *yaml.Node) { b.Phases = append(b.Phases, p.phase(n)) })
		},
	})
	if sound && (b.Name == "" || b.Title == "" || len(b.Phases) == 0) {
		p.fail(n.Line, "a playbook needs name, title and phases")
	}
	return b
}

func (p *parser) phase(n *yaml.Node) Phase {
	ph := Phase{Line: n.Line}
	sound := p.fields(n, "a phase", map[string]func(*yaml.Node){
		"id":    p.text(&ph.ID),
		"title": p.text(&ph.Title),
		"steps": func(n *yaml.Node) {
			p.list(n, "steps", func(n *yaml.Node) { ph.Steps = append(ph.Steps, p.step(n)) })
		},
	})
	if sound && (ph.ID == "" || ph.Title == "" || len(ph.Steps) == 0) {
		p.fail(n.Line, "a phase needs id, title and steps")
	}
	return ph
}

func (p *parser) step(n *yaml.Node) Step {
	s := Step{Gate: Auto, OnFailure: GoOn, Line: n.Line}
	sound := p.fields(n, "a step", map[string]func(*yaml.Node){
		"id":           p.text(&s.ID),
		"title":        p.text(&s.Title),
		"why":          p.text(&s.Why),
		"irreversible": p.text(&s.Irreversible),
		"uses":         p.oneOf(&s.Uses, "action", p.actions),
		"with":         p.with(&s.With),
		"needs":        p.texts(&s.Needs, "needs"),
		"gate":         p.oneOf(&s.Gate, "gate", gates),
		"approvals":    p.count(&s.Approvals, maxApprovals),
		"when":         p.condition(&s.When),
		"unanswered":   p.duration(&s.Unanswered),
		"deadline":     p.duration(&s.Deadline),
		"on_failure":   p.oneOf(&s.OnFailure, "on_failure", afterFailure),
	})
	if sound && (s.ID == "" || s.Title == "" || s.Uses == "") {
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
		if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" || n.Decode(to) != nil {
			p.fail(n.Line, "true or false belongs here")
		}
	}
}

// count reads a whole number from 0 to most, as people write one.
func (p *parser) count(to *int, most int) func(*yaml.Node) {
	return func(n *yaml.Node) {
		i, err := strconv.Atoi(n.Value)
		if n.Kind != yaml.ScalarNode || n.Tag != "!!int" || err != nil || i < 0 || i > most || strconv.Itoa(i) != n.Value {
			p.fail(n.Line, "a number from 0 to %d belongs here, not %q", most, n.Value)
			return
		}
		*to = i
	}
}

func (p *parser) texts(to *[]string, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		p.list(n, what, func(n *yaml.Node) {
			var s string
			p.text(&s)(n)
			*to = append(*to, s)
		})
	}
}

func (p *parser) oneOf(to *string, what string, known []string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind != yaml.ScalarNode || !slices.Contains(known, n.Value) {
			p.fail(n.Line, "there is no %s %q%s", what, n.Value, p.meant(n.Value, known))
			return
		}
		*to = n.Value
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
		if n.Kind != yaml.MappingNode || n.Decode(to) != nil {
			p.fail(n.Line, "with is a mapping of keys to values")
		}
	}
}

func (p *parser) condition(to *Condition) func(*yaml.Node) {
	return func(n *yaml.Node) {
		c, err := ParseCondition(n.Value)
		if err != nil {
			p.fail(n.Line, "%s", err)
			return
		}
		*to = c
	}
}

// ParseCondition reads "remote", "not remote", "STEP is CHOICE" and "STEP is not CHOICE".
func ParseCondition(text string) (Condition, error) {
	switch words := strings.Fields(text); {
	case len(words) == 1:
		return Condition{Fact: words[0]}, nil
	case len(words) == 2 && words[0] == "not":
		return Condition{Fact: words[1], Not: true}, nil
	case len(words) == 3 && words[1] == "is":
		return Condition{Fact: words[0], Choice: words[2]}, nil
	case len(words) == 4 && words[1] == "is" && words[2] == "not":
		return Condition{Fact: words[0], Choice: words[3], Not: true}, nil
	}
	return Condition{}, fmt.Errorf("%q is no condition: write remote, not remote, STEP is CHOICE or STEP is not CHOICE", text)
}
