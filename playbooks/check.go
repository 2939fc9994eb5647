package playbooks

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Facts are what a condition can ask for besides decisions.
var Facts = []string{"remote", "local", OnPlatform, OnHoster}

// decides is the action whose step makes a choice that conditions can ask for.
const decides = "person.decide"

var identifier = regexp.MustCompile(`\A[a-z][a-z0-9-]{0,63}\z`)

// guides is the action whose step a person does, or answers in writing.
const guides = "person.guide"

// asks is the family of actions that a person does or answers.
const asks = "person."

// check looks at what the steps say of each other.
func (p *parser) check(b Playbook) {
	if !identifier.MatchString(b.Name) {
		p.fail(1, "the name %q is no word of a-z, 0-9 and -", b.Name)
	}
	if n := len(b.Steps()); n > maxSteps {
		p.fail(1, "it has %d steps, more than %d", n, maxSteps)
		return
	}
	phases := make(map[string]int)
	for _, phase := range b.Phases {
		p.checkID("phase", phase.ID, phase.Line, phases)
	}
	lines := make(map[string]int)
	steps := make(map[string]Step)
	for _, s := range b.Steps() {
		p.checkID("step", s.ID, s.Line, lines)
		steps[s.ID] = s
	}
	ids := slices.Sorted(maps.Keys(steps))
	for _, s := range b.Steps() {
		for _, need := range s.Needs {
			if _, ok := steps[need]; !ok {
				p.fail(s.Line, "step %q needs %q, which is no step%s", s.ID, need, p.meant(need, ids))
			}
		}
		p.checkCondition(s, steps, ids)
		if s.Unanswered != 0 && (s.Unanswered < 0 || s.Gate != Confirm || s.Irreversible != "" || s.Approvals > 0) {
			p.fail(s.Line, "step %q: only what is confirmed, can be undone and needs no approval goes ahead without an answer", s.ID)
		}
		p.checkOnly(s)
		if s.Uses == decides {
			p.checkOptions(s)
		}
		p.checkQuestions(s)
		if !b.Attended && (s.Gate != Auto || strings.HasPrefix(s.Uses, asks)) {
			p.fail(s.Line, "step %q asks a person, and nobody attends to this playbook: say attended: true", s.ID)
		}
	}
	if circle := findCircle(b.Steps(), steps); circle != nil {
		p.fail(steps[circle[0]].Line, "these steps wait for each other for ever: %s", strings.Join(circle, " needs "))
	}
}

func (p *parser) checkID(what, id string, line int, seen map[string]int) {
	if !identifier.MatchString(id) {
		p.fail(line, "the id %q is no word of a-z, 0-9 and -", id)
	}
	if other, twice := seen[id]; twice {
		p.fail(line, "%s %q stands at line %d already", what, id, other)
		return
	}
	seen[id] = line
}

func (p *parser) checkCondition(s Step, steps map[string]Step, ids []string) {
	c := s.When
	switch {
	case c.Zero():
	case c.Choice == "":
		if !slices.Contains(Facts, c.Fact) {
			p.fail(s.Line, "step %q: there is no condition %q%s", s.ID, c.Fact, p.meant(c.Fact, Facts))
		}
	default:
		decider, ok := steps[c.Fact]
		switch {
		case !ok:
			p.fail(s.Line, "step %q waits for the decision of %q, which is no step%s", s.ID, c.Fact, p.meant(c.Fact, ids))
		case decider.Uses != decides:
			p.fail(s.Line, "step %q waits for the decision of %q, which decides nothing: it does not use %s", s.ID, c.Fact, decides)
		case !slices.Contains(choices(decider), c.Choice):
			p.fail(s.Line, "step %q: %q is no choice of %q%s", s.ID, c.Choice, c.Fact, p.meant(c.Choice, choices(decider)))
		case !reaches(s.ID, c.Fact, steps):
			p.fail(s.Line, "step %q asks what %q decided but does not need it: it may run before", s.ID, c.Fact)
		}
	}
}

// checkOnly keeps a misspelt word from isolating more than was meant.
func (p *parser) checkOnly(s Step) {
	if only, given := s.With["only"]; given && s.Uses == "host.isolate" && only != "agent" {
		p.fail(s.Line, "step %q: with.only is agent, or is left out for the whole machine", s.ID)
	}
}

// What a step may ask in writing.
const (
	maxQuestions = 20
	maxQuestion  = 200 // bytes
)

// checkQuestions keeps a step that asks in writing from asking nothing, or the same twice: an answer is
// known by its question.
func (p *parser) checkQuestions(s Step) {
	given, ok := s.With["questions"]
	if !ok || s.Uses != guides {
		return
	}
	list, _ := given.([]any)
	seen := make(map[string]bool)
	for _, q := range list {
		text, _ := q.(string)
		if strings.TrimSpace(text) == "" || len(text) > maxQuestion || strings.ContainsAny(text, "\r\n") || seen[text] {
			p.fail(s.Line, "step %q: each of with.questions is one line of at most %d bytes, and stands there once", s.ID, maxQuestion)
			return
		}
		seen[text] = true
	}
	if len(list) == 0 || len(list) > maxQuestions {
		p.fail(s.Line, "step %q: with.questions holds 1 to %d questions", s.ID, maxQuestions)
	}
}

func (p *parser) checkOptions(s Step) {
	options, _ := s.With["options"].([]any)
	ids := choices(s)
	if len(options) < 2 || len(ids) != len(options) {
		p.fail(s.Line, "step %q decides nothing: with.options needs at least two, each with id and title", s.ID)
	}
	seen := make(map[string]int)
	for _, id := range ids {
		p.checkID("option", id, s.Line, seen)
	}
}

// choices lists the ids of a deciding step's options.
func choices(s Step) []string {
	var ids []string
	options, _ := s.With["options"].([]any)
	for _, o := range options {
		m, _ := o.(map[string]any)
		id, _ := m["id"].(string)
		title, _ := m["title"].(string)
		if id != "" && title != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

// reaches reports whether from needs to, directly or through others.
func reaches(from, to string, steps map[string]Step) bool {
	seen := make(map[string]bool)
	todo := []string{from}
	for len(todo) > 0 {
		id := todo[0]
		todo = todo[1:]
		for _, need := range steps[id].Needs {
			if need == to {
				return true
			}
			if !seen[need] {
				seen[need] = true
				todo = append(todo, need)
			}
		}
	}
	return false
}

// findCircle returns a way along needs from a step back to itself, or nil.
func findCircle(order []Step, steps map[string]Step) []string {
	const under, done = 1, 2
	mark := make(map[string]int)
	var path []string
	var visit func(id string) []string
	visit = func(id string) []string {
		path = append(path, id)
		defer func() { path = path[:len(path)-1] }()
		mark[id] = under
		for _, need := range steps[id].Needs {
			switch mark[need] {
			case under:
				return append(slices.Clone(path[slices.Index(path, need):]), need)
			case 0:
				if circle := visit(need); circle != nil {
					return circle
				}
			}
		}
		mark[id] = done
		return nil
	}
	for _, s := range order {
		if mark[s.ID] == 0 {
			if circle := visit(s.ID); circle != nil {
				return circle
			}
		}
	}
	return nil
}

// meant suggests the known word that is nearest to an unknown one.
func meant(word string, known []string) string {
	best, distance := "", 1+len(word)/2
	for _, k := range known {
		if d := editDistance(word, k); d < distance {
			best, distance = k, d
		}
	}
	if best != "" {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	if len(known) > 0 && len(known) <= 12 {
		return "; it is one of " + strings.Join(known, ", ")
	}
	return ""
}

func editDistance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
