package discover

import (
	"fmt"
	"slices"
	"strings"

	"clawback/forensics/agents/openclaw"
	"clawback/revoke/credential"
	"clawback/revoke/discover/sift"
	"clawback/revoke/lazyregexp"
)

// Bounds of what is reported because of its looks alone. Whoever planted ten thousand decoys gets
// no more than these to providers, whose limits the real ones need; who planted them in one file
// crowds out no other file, and those of one rule no other rule.
const (
	maxGuesses    = 2_000    // values
	maxPerRule    = 200      // values that one rule took for secrets
	maxHeld       = 20_000   // values that are held until it is decided
	maxHeldBytes  = 32 << 20 // of these
	maxRuleInFile = 100      // values of one rule in one file
	maxSame       = 20       // places of one value
	maxSameInFile = 5
)

// guesses holds what looks like secrets until all texts were searched, and it can be decided
// fairly which are reported.
type guesses struct {
	held   []*guess
	byText map[string]*guess
	size   int
	inFile map[string]int     // values, by rule and file
	same   map[string]int     // places, by value and file
	left   map[string]leftOut // by rule
	before *guess             // the last one, of which this one may be the other half
	keys   map[string]bool    // files of service accounts, and whether they are ones
}

// guess is a value that looks like a secret.
type guess struct {
	sift.Match
	doubt   Doubt
	pair    string // the other half of an access key
	sources []credential.Source
}

// leftOut is what a bound left out.
type leftOut struct {
	count int
	first string
}

// prepare makes a scanner that knows what was found so far.
func (t *texts) prepare() {
	t.guesses = guesses{byText: map[string]*guess{}, inFile: map[string]int{}, same: map[string]int{}, left: map[string]leftOut{}, keys: map[string]bool{}}
	seen := map[string]bool{}
	var values []string
	for _, f := range t.identities {
		for _, part := range f.Secret.Parts() {
			if v := f.Secret.Reveal(part); v != "" && !seen[v] && !placeholder(v) && !companionPart(f.Kind, part) {
				seen[v] = true
				values, t.known = append(values, v), append(t.known, f)
			}
		}
	}
	t.scanner = sift.New(values)
}

// match takes a find in a text: a further place of what is known is reported, the rest held.
func (t *texts) match(name string, line int, m sift.Match) {
	t.found(credential.Source{Path: name, Line: line + m.Line + 1, Locator: locator(m.Path), Note: noteOf(name)}, m)
}

func (t *texts) found(source credential.Source, m sift.Match) {
	name := source.Path
	same := m.Value + "\x00" + name
	if t.same[same]++; t.same[same] > maxSameInFile {
		return // in this file already, and often
	}
	if m.Known > 0 {
		f := t.known[m.Known-1]
		here := f.Source.String() + "\x00" + source.String() // of an access key both halves are known
		if f.Source = source; !t.reported[here] {
			t.reported[here] = true
			t.emit(f)
		}
		return
	}
	if g := t.byText[m.Value]; g != nil {
		if len(g.sources) < maxSame {
			g.sources = append(g.sources, source)
		}
		return
	}
	if t.serviceAccount(name, m) {
		return
	}
	g := &guess{Match: m, doubt: doubtOf(m), sources: []credential.Source{source}}
	if g.doubt == noSecret || t.paired(g) {
		return
	}
	rule := m.Rule + "\x00" + name
	if t.inFile[rule]++; t.inFile[rule] > maxRuleInFile || len(t.held) >= maxHeld || t.size+len(m.Value) > maxHeldBytes {
		t.leave(m.Rule, name)
		return
	}
	t.size += len(m.Value)
	t.byText[m.Value] = g
	t.held = append(t.held, g)
	t.before = g
}

func (t *texts) leave(rule, name string) {
	l := t.left[rule]
	if l.count++; l.first == "" {
		l.first = name
	}
	t.left[rule] = l
}

// noSecret marks what is not worth to be told apart.
const noSecret Doubt = "no secret"

// doubtOf is why a match may be no live credential.
func doubtOf(m sift.Match) Doubt {
	named := strings.HasPrefix(m.Rule, "generic")
	switch {
	case m.What != "":
		return Doubt(m.What)
	case m.Rule == "password-url":
		if _, ok := passwordURL(m.Value); !ok {
			return noSecret
		}
	case named && (placeholder(m.Value) || reference.MatchString(m.Value)):
		return noSecret
	case placeholder(m.Value):
		return Placeholder
	}
	return ByFormat
}

var secretAccessKey = lazyregexp.New(`\A[0-9A-Za-z/+]{40}\z`)

// paired joins the two halves of an AWS access key that stand near each other.
func (t *texts) paired(g *guess) bool {
	b := t.before
	if b == nil || b.sources[0].Path != g.sources[0].Path || g.Offset-b.Offset > 1<<10 || b.doubt != ByFormat || b.pair != "" {
		return false
	}
	id, secret := b, g
	if accessKeyID(g.Value) {
		id, secret = g, b
	}
	if !accessKeyID(id.Value) || !secretAccessKey.MatchString(secret.Value) {
		return false
	}
	id.pair = secret.Value
	if id == b {
		t.byText[secret.Value] = b // where it stands again, the pair does
		return true
	}
	delete(t.byText, b.Value)
	g.sources[0] = b.sources[0]
	t.byText[g.Value], t.byText[b.Value] = b, b
	*b = *g
	return true
}

func accessKeyID(value string) bool {
	k, ok := credential.Recognize(value)
	return ok && k.NamePart == "access_key_id"
}

// flush reports the guesses, as many as the bounds allow: from each rule in turn, from each file of
// it in turn.
func (t *texts) flush() {
	chosen := choose(t.held, maxGuesses, maxPerRule)
	for _, g := range t.held {
		if !chosen[g] {
			t.leave(g.Rule, g.sources[0].Path)
			continue
		}
		for _, source := range g.sources {
			source.Note = join(source.Note, "looks like "+g.Rule)
			t.emit(g.found(source))
		}
	}
	for _, rule := range sortedKeys(t.left) {
		l := t.left[rule]
		t.note(openclaw.Problem{Path: l.first, Reason: fmt.Sprintf("%d more values look like %s: left out, this is the first place of them", l.count, rule)})
	}
}

// choose picks at most total guesses and at most perRule of one rule: in rounds, one of each rule
// and, within it, of each file.
func choose(all []*guess, total, perRule int) map[*guess]bool {
	type queue struct{ files [][]*guess }
	queues, place := map[string]*queue{}, map[string]int{}
	var rules []string
	for _, g := range all {
		q := queues[g.Rule]
		if q == nil {
			q = &queue{}
			queues[g.Rule] = q
			rules = append(rules, g.Rule)
		}
		key := g.Rule + "\x00" + g.sources[0].Path
		if _, ok := place[key]; !ok {
			place[key] = len(q.files)
			q.files = append(q.files, nil)
		}
		q.files[place[key]] = append(q.files[place[key]], g)
	}
	var order [][]*guess // of each rule
	for _, rule := range rules {
		var turn []*guess
		files := queues[rule].files
		for len(files) > 0 && len(turn) < perRule {
			for i := range files {
				turn = append(turn, files[i][0])
				files[i] = files[i][1:]
			}
			files = slices.DeleteFunc(files, func(f []*guess) bool { return len(f) == 0 })
		}
		order = append(order, turn[:min(len(turn), perRule)])
	}
	chosen := map[*guess]bool{}
	for round := 0; len(chosen) < total && round < perRule; round++ {
		for _, turn := range order {
			if round < len(turn) && len(chosen) < total {
				chosen[turn[round]] = true
			}
		}
	}
	return chosen
}

// found is the find that a guess is, at one of its places.
func (g *guess) found(source credential.Source) Found {
	provider, kind, part := unknown, unknown, "value"
	if who, what, ok := issuer(g.Value); ok {
		provider, kind = who, what
	} else if k, ok := credential.Recognize(g.Value); ok {
		provider, kind = k.Provider, k.Name
		if k.NamePart != "" {
			part = k.NamePart
		}
	} else if scheme, ok := passwordURL(g.Value); ok {
		provider = scheme
	} else if strings.HasPrefix(g.Rule, "generic") {
		provider = variableProvider(g.Name)
	} else {
		provider = ruleProvider(g.Rule)
	}
	parts := map[string]string{part: g.Value}
	if g.pair != "" {
		parts["secret_access_key"] = g.pair
	}
	return Found{Provider: provider, Kind: kind, Secret: credential.NewSecret(parts), Source: source, Doubt: g.doubt}
}

// ruleProviders are the rules whose first word is no provider's name, or not ours.
var ruleProviders = map[string]string{
	"gcp": "google", "jwt": unknown, "private": unknown, "curl": unknown, "public": unknown, "ssh": unknown, "publishable": "stripe", "kubernetes": unknown, "age": unknown, "pkcs12": unknown,
}

// ruleProvider is the provider that a rule's id begins with: "github" of github-app-token.
func ruleProvider(rule string) string {
	word, _, _ := strings.Cut(rule, "-")
	if name, ok := ruleProviders[word]; ok {
		return name
	}
	return providerName(word)
}
