package playbooks

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var someActions = []string{"agent.freeze", "credentials.revoke", "host.isolate", "person.decide", "person.guide"}

// body is a playbook with these steps, the first of which stands at line 7.
func body(steps ...string) string {
	return "name: test\ntitle: Test\nattended: true\nphases:\n  - id: one\n    title: One\n    steps:\n      - " +
		strings.Join(steps, "\n      - ") + "\n"
}

const (
	freeze = "{id: freeze, title: Freeze, uses: agent.freeze}"
	cause  = "{id: cause, title: Cause, uses: person.decide, with: {options: [{id: theft, title: Theft}, {id: host, title: Host}]}}"
)

func TestParseReadsAllOfAStep(t *testing.T) {
	src := `name: test
title: Test
description: >-
  It tests
  all.
attended: true
phases:
  - id: one
    title: One
    steps:
      - id: freeze
        title: Freeze
        why: At once.
        irreversible: Nothing.
        uses: agent.freeze
        with: {part: volatile, n: 3}
        gate: typed
        approvals: 2
        deadline: 1m30s
        on_failure: stop
  - id: two
    title: Two
    steps:
      - ` + cause + `
      - {id: a, title: A, uses: person.guide, needs: [freeze, cause], when: cause is host}
      - {id: b, title: B, uses: person.guide, needs: [a], when: cause is not theft}
      - {id: c, title: C, uses: person.guide, when: not remote, gate: confirm}
      - {id: d, title: D, uses: person.guide, when: local}
`
	got, err := Parse("test.yaml", []byte(src), someActions)
	if err != nil {
		t.Fatal(err)
	}
	step := func(id, uses string, line int, change func(*Step)) Step {
		s := Step{ID: id, Title: strings.ToUpper(id[:1]) + id[1:], Uses: uses, Gate: Auto, OnFailure: GoOn, Line: line}
		change(&s)
		return s
	}
	want := Playbook{Name: "test", Title: "Test", Description: "It tests all.", Attended: true, Phases: []Phase{
		{ID: "one", Title: "One", Line: 8, Steps: []Step{step("freeze", "agent.freeze", 11, func(s *Step) {
			s.Why, s.Irreversible, s.Gate, s.OnFailure, s.Deadline, s.Approvals = "At once.", "Nothing.", Typed, Stop, 90*time.Second, 2
			s.With = map[string]any{"part": "volatile", "n": 3}
		})}},
		{ID: "two", Title: "Two", Line: 21, Steps: []Step{
			step("cause", "person.decide", 24, func(s *Step) {
				s.With = map[string]any{"options": []any{map[string]any{"id": "theft", "title": "Theft"}, map[string]any{"id": "host", "title": "Host"}}}
			}),
			step("a", "person.guide", 25, func(s *Step) {
				s.Needs, s.When = []string{"freeze", "cause"}, Condition{Fact: "cause", Choice: "host"}
			}),
			step("b", "person.guide", 26, func(s *Step) {
				s.Needs, s.When = []string{"a"}, Condition{Fact: "cause", Choice: "theft", Not: true}
			}),
			step("c", "person.guide", 27, func(s *Step) { s.When, s.Gate = Condition{Fact: "remote", Not: true}, Confirm }),
			step("d", "person.guide", 28, func(s *Step) { s.When = Condition{Fact: "local"} }),
		}},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\ninstead of\n%+v", got, want)
	}
	var whens []string
	for _, s := range got.Steps() {
		whens = append(whens, s.When.String())
	}
	if !slices.Equal(whens, []string{"always", "always", "cause is host", "cause is not theft", "not remote", "local"}) {
		t.Errorf("conditions %q", whens)
	}
}

func TestParseSaysWhereAndWhatWasMeant(t *testing.T) {
	guide := func(rest string) string { return "{id: a, title: A, uses: person.guide, " + rest + "}" }
	options := func(list string) string {
		return body("{id: cause, title: Cause, uses: person.decide, with: {options: " + list + "}}")
	}
	tests := map[string]struct {
		src  string
		says string
	}{
		"empty":                      {"", `t.yaml:1: it is empty`},
		"comments alone":             {"# nothing\n", `t.yaml:1: it is empty`},
		"null":                       {"---\n", `t.yaml:2: a playbook is a mapping of keys to values`},
		"a text":                     {"hello", `t.yaml:1: a playbook is a mapping`},
		"binary":                     {"\x7fELF\x00\x00", `t.yaml:1: control characters are not allowed`},
		"not YAML":                   {"name: test\ntitle: [a\nphases: x\n", `did not find expected ',' or ']'`},
		"a tab":                      {"name: test\n\ttitle: x", `t.yaml:2: found a tab character`},
		"two documents":              {body(freeze) + "---\n" + body(freeze), `here is another after it`},
		"broken after the end":       {body(freeze) + "---\n[", `t.yaml:10: did not find expected node content`},
		"nothing in it":              {"description: x", `t.yaml:1: a playbook needs name, title and phases`},
		"unknown key":                {"nmae: test\n" + body(freeze), `t.yaml:1: a playbook has no key "nmae"; did you mean "name"?`},
		"unknown key of phase":       {strings.Replace(body(freeze), "    steps:", "    step: 1\n    steps:", 1), `t.yaml:7: a phase has no key "step"; did you mean "steps"?`},
		"unknown key of step":        {body(freeze, guide("need: [freeze]")), `t.yaml:9: a step has no key "need"; did you mean "needs"?`},
		"key in another case":        {body(guide("Needs: []")), `a step has no key "Needs"; did you mean "needs"?`},
		"key twice":                  {body(guide("id: b")), `t.yaml:8: the key "id" stands twice`},
		"key twice inside with":      {body(guide("with: {text: a, text: b}")), `t.yaml:8: the key "text" stands twice`},
		"list as a key":              {body("{[id]: a, title: A, uses: person.guide}"), `t.yaml:8: a step has no key ""`},
		"unknown action":             {body("{id: a, title: A, uses: agent.freze}"), `t.yaml:8: there is no action "agent.freze"; did you mean "agent.freeze"?`},
		"action far from any":        {body("{id: a, title: A, uses: rm}"), `there is no action "rm"; it is one of agent.freeze, credentials.revoke,`},
		"no action":                  {body("{id: a, title: A}"), `t.yaml:8: a step needs id, title and uses`},
		"approvals below none":       {body(guide("approvals: -1")), `t.yaml:8: a number from 0 to 9 belongs here, not "-1"`},
		"too many approvals":         {body(guide("approvals: 10")), `t.yaml:8: a number from 0 to 9 belongs here, not "10"`},
		"approvals as a text":        {body(guide(`approvals: "2"`)), `t.yaml:8: a number from 0 to 9 belongs here, not "2"`},
		"approvals as a word":        {body(guide("approvals: two")), `not "two"`},
		"approvals in parts":         {body(guide("approvals: 2.0")), `not "2.0"`},
		"approvals in octal":         {body(guide("approvals: 0o7")), `not "0o7"`},
		"approvals with a zero":      {body(guide("approvals: 07")), `not "07"`},
		"approvals by nobody":        {body(guide("approvals: ~")), `t.yaml:8: a number from 0 to 9 belongs here`},
		"approvals as a list":        {body(guide("approvals: [alice]")), `t.yaml:8: a number from 0 to 9 belongs here`},
		"approval, singular":         {body(guide("approval: 2")), `did you mean "approvals"?`},
		"a list as an action":        {body("{id: a, title: A, uses: [agent.freeze]}"), `there is no action ""`},
		"step is a text":             {body("freeze"), `t.yaml:8: a step is a mapping`},
		"no steps":                   {"name: a\ntitle: A\nphases:\n  - {id: p, title: P}\n", `t.yaml:4: a phase needs id, title and steps`},
		"steps are a mapping":        {"name: a\ntitle: A\nphases:\n  - {id: p, title: P, steps: {}}\n", `t.yaml:4: steps is a list`},
		"phases are a text":          {"name: a\ntitle: A\nphases: all\n", `t.yaml:3: phases is a list`},
		"number as a title":          {body("{id: a, title: 3, uses: person.guide}"), `t.yaml:8: a text belongs here`},
		"yes as attended":            {strings.Replace(body(freeze), "attended: true", "attended: yes", 1), `t.yaml:3: true or false belongs here`},
		"nothing as attended":        {strings.Replace(body(freeze), "attended: true", "attended:", 1), `t.yaml:3: true or false belongs here`},
		"unknown gate":               {body(guide("gate: confrim")), `t.yaml:8: there is no gate "confrim"; did you mean "confirm"?`},
		"unknown on_failure":         {body(guide("on_failure: stpo")), `there is no on_failure "stpo"; did you mean "stop"?`},
		"deadline of no unit":        {body(guide("deadline: 90")), `a duration such as 90s or 5m belongs here, not "90"`},
		"deadline below zero":        {body(guide("deadline: -5m")), `a duration such as 90s`},
		"waits for nobody, typed":    {body(guide("gate: typed, unanswered: 5m")), "goes ahead without an answer"},
		"waits for nobody, for good": {body(guide("gate: confirm, irreversible: It stays so, unanswered: 5m")), "goes ahead without an answer"},
		"waits for nobody, approved": {body(guide("gate: confirm, approvals: 1, unanswered: 5m")), "goes ahead without an answer"},
		"waits less than nothing":    {body(guide("gate: confirm, unanswered: -5m")), "a duration such as 90s"},
		"deadline of a list":         {body(guide("deadline: [5m]")), `a duration such as 90s`},
		"endless deadline":           {body(guide("deadline: 99999999999h")), `a duration such as 90s`},
		"with is a text":             {body(guide("with: files")), `t.yaml:8: with is a mapping`},
		"with is nothing":            {body(guide("with: ")), `t.yaml:8: with is a mapping`},
		"with has a list as key":     {body(guide("with: {[a]: b}")), `t.yaml:8: with is a mapping`},
		"needs is a text":            {body(freeze, guide("needs: freeze")), `t.yaml:9: needs is a list`},
		"needs a number":             {body(freeze, guide("needs: [1]")), `t.yaml:9: a text belongs here`},
		"needs no step":              {body(freeze, guide("needs: [frieze]")), `t.yaml:9: step "a" needs "frieze", which is no step; did you mean "freeze"?`},
		"needs itself":               {body(guide("needs: [a]")), `t.yaml:8: these steps wait for each other for ever: a needs a`},
		"circle": {body(freeze, guide("needs: [freeze, c]"), "{id: b, title: B, uses: person.guide, needs: [a]}", "{id: c, title: C, uses: person.guide, needs: [b]}"),
			`t.yaml:9: these steps wait for each other for ever: a needs c needs b needs a`},
		"id twice":                 {body(freeze, freeze), `t.yaml:9: step "freeze" stands at line 8 already`},
		"phase twice":              {body(freeze) + "  - {id: one, title: One, steps: [" + guide("gate: auto") + "]}\n", `t.yaml:9: phase "one" stands at line 5 already`},
		"id of two words":          {body("{id: a b, title: A, uses: agent.freeze}"), `t.yaml:8: the id "a b" is no word`},
		"id with a newline":        {body(`{id: "a\n", title: A, uses: agent.freeze}`), `the id "a\n" is no word`},
		"id of a path":             {body("{id: ../a, title: A, uses: agent.freeze}"), `the id "../a" is no word`},
		"phase of two words":       {strings.Replace(body(freeze), "id: one", "id: One", 1), `t.yaml:5: the id "One" is no word`},
		"name with a slash":        {strings.Replace(body(freeze), "name: test", "name: te/st", 1), `t.yaml:1: the name "te/st" is no word`},
		"unknown condition":        {body(guide("when: remot")), `t.yaml:8: step "a": there is no condition "remot"; did you mean "remote"?`},
		"no condition":             {body(guide("when: if remote then")), `"if remote then" is no condition: write remote,`},
		"list as a condition":      {body(guide("when: [remote]")), `"" is no condition`},
		"condition on no step":     {body(cause, guide("needs: [cause], when: cuase is host")), `t.yaml:9: step "a" waits for the decision of "cuase", which is no step; did you mean "cause"?`},
		"condition on no choice":   {body(cause, guide("needs: [cause], when: cause is hots")), `t.yaml:9: step "a": "hots" is no choice of "cause"; did you mean "host"?`},
		"condition on no decision": {body(freeze, guide("needs: [freeze], when: freeze is host")), `t.yaml:9: step "a" waits for the decision of "freeze", which decides nothing`},
		"condition too early":      {body(cause, guide("when: cause is host")), `t.yaml:9: step "a" asks what "cause" decided but does not need it`},
		"isolates something else":  {body("{id: cut, title: Cut, uses: host.isolate, with: {only: the agent}}"), `t.yaml:8: step "cut": with.only is agent`},
		"nothing to write":         {body(guide("with: {questions: []}")), `step "a": with.questions holds 1 to 20 questions`},
		"no list to write":         {body(guide("with: {questions: How}")), `with.questions holds 1 to 20 questions`},
		"a question twice":         {body(guide("with: {questions: [How, How]}")), `each of with.questions is one line of at most 200 bytes, and stands there once`},
		"a question of two lines":  {body(guide(`with: {questions: ["a\nb"]}`)), `each of with.questions is one line`},
		"a question that is none":  {body(guide("with: {questions: [3]}")), `each of with.questions is one line`},
		"nothing to decide":        {body("{id: cause, title: Cause, uses: person.decide}"), `t.yaml:8: step "cause" decides nothing`},
		"one option":               {options("[{id: a, title: A}]"), `decides nothing: with.options needs at least two`},
		"option without title":     {options("[{id: a, title: A}, {id: b, title: B}, {id: c}]"), `each with id and title`},
		"option with a number":     {options("[{id: a, title: A}, {id: b, title: B}, {id: 3, title: C}]"), `each with id and title`},
		"options are texts":        {options("[a, b]"), `each with id and title`},
		"option twice":             {options("[{id: a, title: A}, {id: a, title: B}]"), `option "a" stands at line 8 already`},
		"option of two words":      {options("[{id: a, title: A}, {id: b c, title: B}]"), `the id "b c" is no word`},
		"gate and nobody there":    {strings.Replace(body(guide("gate: confirm")), "attended: true", "attended: false", 1), `t.yaml:8: step "a" asks a person, and nobody attends`},
		"guide and nobody there":   {strings.Replace(body(guide("gate: auto")), "attended: true\n", "", 1), `t.yaml:7: step "a" asks a person`},
		"anchor":                   {body("&x " + freeze), `t.yaml:8: anchors and aliases are not allowed`},
		"alias":                    {body(guide("with: &x {a: b}"), "*x"), `t.yaml:9: anchors and aliases are not allowed`},
		"alias inside with":        {body(guide("with: {a: &x b, c: [*x]}")), `t.yaml:8: anchors and aliases are not allowed`},
		"alias of itself":          {"name: &x [*x]", `t.yaml:1: anchors and aliases are not allowed`},
		"alias of nothing":         {"name: *x", `t.yaml:1: unknown anchor 'x' referenced`},
		"merged key":               {body("{<<: {id: a}, title: A, uses: person.guide}"), `t.yaml:8: merged keys are not allowed`},
		"tag":                      {body(guide("why: !!binary aGk=")), `t.yaml:8: tags such as !!binary are not allowed`},
		"tag of its own":           {body(guide("with: !exec {a: b}")), `t.yaml:8: tags such as !exec are not allowed`},
		"deep":                     {body(guide("with: {a: " + strings.Repeat("[", 40) + strings.Repeat("]", 40) + "}")), `t.yaml:8: nested more than 32 deep`},
		"deeper than the stack":    {strings.Repeat("[", maxPlaybook), `exceeded max depth`},
		"large":                    {strings.Repeat("#", maxPlaybook+1), `t.yaml:1: it has 131073 bytes, more than 131072`},
		"many steps":               {"name: a\ntitle: A\nphases: [{id: p, title: P, steps: [" + strings.Repeat(freeze+",", maxSteps+1) + "]}]", `t.yaml:3: steps has 501 items, more than 500`},
		"many steps in all":        {"name: a\ntitle: A\nphases: [" + strings.Repeat("{id: p, title: P, steps: ["+strings.Repeat(freeze+",", 300)+"]},", 2) + "]", `it has 600 steps, more than 500`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			book, err := Parse("t.yaml", []byte(test.src), someActions)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("%v\ninstead of\n%s", err, test.says)
			}
			if !strings.HasPrefix(err.Error(), "t.yaml:") {
				t.Errorf("%v does not begin with the file", err)
			}
			var where *Error
			if !errors.As(err, &where) || where.File != "t.yaml" || where.Line < 1 {
				t.Errorf("%+v", where)
			}
			if len(book.Phases) > 0 {
				t.Errorf("and yet it gave %+v", book)
			}
		})
	}
}

func TestParseReportsAllThatIsWrongButNotEndlessly(t *testing.T) {
	_, err := Parse("t.yaml", []byte(body("{id: a, title: A, uses: x}", "{id: b, title: 3, uses: person.guide, gate: y}")), someActions)
	if got := strings.Count(err.Error(), "t.yaml:"); got != 3 {
		t.Errorf("%d errors: %v", got, err)
	}
	_, err = Parse("t.yaml", []byte(body(slices.Repeat([]string{"{id: a, title: A, uses: x}"}, 100)...)), someActions)
	if got := strings.Count(err.Error(), "t.yaml:"); got != maxErrors+1 || !strings.HasSuffix(err.Error(), "t.yaml: and 80 more") {
		t.Errorf("%d errors: %v", got, err)
	}
}

// TestParseTakesBoundedTime tries what blows up in readers of YAML.
func TestParseTakesBoundedTime(t *testing.T) {
	bomb := "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
	for i := range 30 {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d,", i), 9))
	}
	fill := func(s string) string { return strings.Repeat(s, (maxPlaybook-200)/len(s)) }
	var far, needs strings.Builder
	for i := 0; far.Len() < maxPlaybook-200; i++ {
		fmt.Fprintf(&far, "k%d: 1\n", i)
	}
	for i := range maxSteps {
		fmt.Fprintf(&needs, "{id: s%d, title: S, uses: agent.freeze, needs: [%s]},", i, strings.Repeat("unknown-step-of-a-long-name,", 7))
	}
	tests := map[string]string{
		"aliases of aliases": bomb,
		"and merged":         bomb + "<<: [*a30, *a29]\n",
		"open brackets":      fill("["),
		"open braces":        fill("{"),
		"keys in keys":       fill("? "),
		"lists in lists":     fill("- "),
		"mappings in a line": fill("{a: "),
		"unknown keys":       far.String(),
		"unknown needs":      "name: a\ntitle: A\nphases: [{id: p, title: P, steps: [" + needs.String() + "]}]",
		"blanks":             "a: " + fill(" ") + "b",
		"newlines":           "a: 'b" + fill("\n") + "'",
		"documents":          fill("---\n"),
		"percent":            fill("%\n"),
		"quotes":             fill(`"":`),
		"folded":             "a: >\n" + fill(" x\n\n"),
		"comments":           fill("#\n") + "a: b\n" + "#",
		"anchors":            fill("&a "),
		"long word":          body("{id: a, title: A, uses: " + strings.Repeat("x", maxPlaybook/2) + "}"),
	}
	for name, src := range tests {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			if _, err := Parse("t.yaml", []byte(src), someActions); err == nil {
				t.Error("it was taken")
			} else if len(err.Error()) > 2*maxPlaybook {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("%d bytes took %v", len(src), took)
			} else {
				t.Logf("%d bytes took %v", len(src), took)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range Builtins() {
		src, err := Source(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Add([]byte(body(freeze, cause)))
	f.Add([]byte(body("{id: a, title: A, uses: agent.freeze, approvals: 2}")))
	f.Add([]byte("a: &a [*a]\n<<: *a\n? [b]\n: !!binary x\n"))
	f.Add([]byte("\xff\xfea\x00:\x00 \x00b\x00"))
	f.Fuzz(func(t *testing.T, src []byte) {
		book, err := Parse("t.yaml", src, someActions)
		if err != nil {
			return
		}
		ids := make(map[string]bool)
		for _, s := range book.Steps() {
			ids[s.ID] = true
			if s.Title == "" || !slices.Contains(someActions, s.Uses) || s.Gate == "" || s.OnFailure == "" || s.Line < 1 || s.Approvals < 0 || s.Approvals > maxApprovals {
				t.Fatalf("%+v was taken", s)
			}
		}
		for _, s := range book.Steps() {
			for _, need := range s.Needs {
				if !ids[need] {
					t.Fatalf("%s needs %s", s.ID, need)
				}
			}
		}
		if len(ids) != len(book.Steps()) || len(ids) == 0 || len(ids) > maxSteps {
			t.Fatalf("%d ids of %d steps", len(ids), len(book.Steps()))
		}
	})
}
