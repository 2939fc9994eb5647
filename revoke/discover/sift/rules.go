// Package sift finds secrets in text by their format alone: what stands in transcripts, logs and
// files of no known shape. Its rules are those of gitleaks; the engine is made for files that are
// large or hostile. Beside them it finds given values wherever they stand.
package sift

import (
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"clawback/revoke/credential"
)

// The rule file of gitleaks v8.30.1, unchanged, under the MIT licence in gitleaks.LICENSE.
// Source: https://github.com/gitleaks/gitleaks/blob/v8.30.1/config/gitleaks.toml
//
//go:embed gitleaks.toml
var ruleFile string

// rule is one format that secrets have.
type rule struct {
	id       string
	pattern  string
	path     string // pattern of the paths that it holds for; empty for all
	entropy  float64
	group    int
	keywords []string
	allow    []allowance
	what     string // what its matches are, where they are no secrets
}

// allowance says which matches of a rule are no secrets.
type allowance struct {
	all       bool // only where paths and patterns both hold
	paths     []string
	patterns  []string
	target    string // what the patterns are for: "match", "line", or the secret
	stopwords []string
}

// readRules reads the rule file: its rules, and the allowance that holds for all of them.
func readRules(file string) (rules []rule, global allowance, err error) {
	var at *allowance
	p := parser{rest: file, line: 1}
	for {
		name, value, err := p.next()
		if err != nil {
			return nil, global, err
		}
		if name == "" {
			return rules, global, nil
		}
		var r *rule
		if len(rules) > 0 {
			r = &rules[len(rules)-1]
		}
		switch {
		case name == "[allowlist]":
			at = &global
		case name == "[[rules]]":
			rules, at = append(rules, rule{}), nil
		case name == "[[rules.allowlists]]" && r != nil:
			r.allow = append(r.allow, allowance{})
			at = &r.allow[len(r.allow)-1]
		case strings.HasPrefix(name, "["):
			return nil, global, fmt.Errorf("line %d: a table that is not known", p.line)
		case at != nil:
			err = at.set(name, value)
		case r != nil:
			err = r.set(name, value)
		case name != "title" && name != "minVersion":
			err = errors.New("a key that is not known")
		}
		if err != nil {
			return nil, global, fmt.Errorf("line %d: %w", p.line, err)
		}
	}
}

func (r *rule) set(name string, value []string) (err error) {
	switch name {
	case "id":
		r.id = value[0]
	case "description":
	case "regex":
		r.pattern = value[0]
	case "path":
		r.path = value[0]
	case "entropy":
		r.entropy, err = strconv.ParseFloat(value[0], 64)
	case "secretGroup":
		r.group, err = strconv.Atoi(value[0])
	case "keywords":
		r.keywords = value
	default:
		err = errors.New("a key that is not known")
	}
	return err
}

func (a *allowance) set(name string, value []string) error {
	switch name {
	case "description":
	case "condition":
		a.all = value[0] == "AND"
	case "paths":
		a.paths = value
	case "regexes":
		a.patterns = value
	case "regexTarget":
		a.target = value[0]
	case "stopwords":
		a.stopwords = value
	default:
		return errors.New("a key that is not known")
	}
	return nil
}

// parser reads the part of TOML that the rule file is written in.
type parser struct {
	rest string
	line int
}

// next returns the next table's name in its brackets, or the next key with its value or values;
// an empty name is the end.
func (p *parser) next() (name string, value []string, err error) {
	if p.space(); p.rest == "" {
		return "", nil, nil
	}
	if p.rest[0] == '[' {
		name, p.rest, _ = strings.Cut(p.rest, "\n")
		p.line++
		return strings.TrimSpace(name), nil, nil
	}
	name, rest, ok := strings.Cut(p.rest, "=")
	if !ok {
		return "", nil, fmt.Errorf("line %d: no value", p.line)
	}
	p.rest = rest
	p.space()
	if !strings.HasPrefix(p.rest, "[") {
		one, err := p.scalar()
		return strings.TrimSpace(name), []string{one}, err
	}
	for p.rest = p.rest[1:]; ; {
		if p.space(); strings.HasPrefix(p.rest, "]") && len(value) > 0 {
			p.rest = p.rest[1:]
			return strings.TrimSpace(name), value, nil
		}
		one, err := p.scalar()
		if err != nil {
			return "", nil, err
		}
		value = append(value, one)
		p.space()
		p.rest = strings.TrimPrefix(p.rest, ",")
	}
}

// space skips blanks, lines' ends and comments.
func (p *parser) space() {
	for p.rest != "" {
		switch p.rest[0] {
		case '\n':
			p.line++
			p.rest = p.rest[1:]
		case ' ', '\t', '\r':
			p.rest = p.rest[1:]
		case '#':
			_, p.rest, _ = strings.Cut(p.rest, "\n")
			p.line++
		default:
			return
		}
	}
}

func (p *parser) scalar() (string, error) {
	for _, quote := range []string{"'''", `"`, "'"} {
		inner, ok := strings.CutPrefix(p.rest, quote)
		if !ok {
			continue
		}
		value, rest, ok := strings.Cut(inner, quote)
		if !ok || quote == `"` && strings.Contains(value, `\`) {
			return "", fmt.Errorf("line %d: a string of a kind that is not read", p.line)
		}
		p.line += strings.Count(value, "\n")
		p.rest = rest
		return value, nil
	}
	end := strings.IndexAny(p.rest, ",]# \t\r\n")
	if end <= 0 {
		return "", fmt.Errorf("line %d: no value", p.line)
	}
	value := p.rest[:end]
	p.rest = p.rest[end:]
	return value, nil
}

// ending is what gitleaks has secrets end with; widerEnding is what they end with in prose, code and
// addresses as well. A value of no format of its own keeps the narrow one, or half of all code would
// look like it.
const (
	ending      = `(?:[\x60'"\s;]|\\[nr]|$)`
	widerEnding = `(?:[\x60'"\s;,&|#?<>()\[\]{}\\]|[.:!](?:\s|$)|$)`
)

// widen lets the matches of a rule end where text goes on.
func widen(r rule) rule {
	if !strings.Contains(r.pattern, `[\w.-]{0,50}?`) {
		if body, ok := strings.CutSuffix(r.pattern, ending); ok {
			r.pattern = body + widerEnding
		}
	}
	return r
}

// ownRules are the formats that clawback knows itself, and those of public keys, which look like
// secrets and are none.
func ownRules() []rule {
	out := []rule{
		{id: "telegram-bot", pattern: `\b([0-9]{8,12}:AA[0-9A-Za-z_-]{33})(?:[^0-9A-Za-z_-]|$)`, entropy: 3, keywords: []string{":aa"}},
		{id: "password-url", pattern: `\b[a-z][a-z0-9+]{1,20}://[^\s/:@'"\x60<>${}]{0,100}:[^\s/@'"\x60<>${}]{6,200}@[\w.-]{1,200}`, entropy: 2.5, keywords: []string{"://"}},
		{id: "discord-webhook", pattern: `https://(?:(?:canary|ptb)\.)?discord(?:app)?\.com/api/webhooks/[0-9]{17,20}/[\w-]{60,80}`, keywords: []string{".com/api/webhooks/"}},
		{id: "google-access-token", pattern: `\b(ya29\.(?:[a-z]{1,3}\.)?[0-9A-Za-z_-]{30,1000})`, entropy: 3, keywords: []string{"ya29."}},
		{id: "google-refresh-token", pattern: `\b(1//0[0-9A-Za-z_-]{60,500})`, entropy: 3, keywords: []string{"1//0"}},
		{id: "tailscale-key", pattern: `\b(tskey-[a-z]{2,10}-[0-9A-Za-z]{8,20}-[0-9A-Za-z]{20,64})\b`, entropy: 3, keywords: []string{"tskey-"}},
		{id: "salesforce-session", pattern: `\b(00D[0-9A-Za-z]{12,15}![0-9A-Za-z._]{79,499}[0-9A-Za-z_])`, entropy: 3, keywords: []string{"00d"}},
		{id: "whatsapp-token", pattern: `\b(EAA[0-9A-Za-z]{80,400})\b`, entropy: 4, keywords: []string{"eaa"}},
		{id: "openrouter-key", pattern: `\b(sk-or-v1-[0-9a-f]{64})\b`, entropy: 3, keywords: []string{"sk-or-v1-"}},
		{id: "groq-key", pattern: `\b(gsk_[0-9A-Za-z]{48,60})\b`, entropy: 3, keywords: []string{"gsk_"}},
		{id: "xai-key", pattern: `\b(xai-[0-9A-Za-z]{60,100})\b`, entropy: 3, keywords: []string{"xai-"}},
		{id: "hubspot-token", pattern: `\b(pat-(?:na|eu|ap)[0-9]-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\b`, keywords: []string{"pat-na", "pat-eu", "pat-ap"}},
		{id: "atlassian-app-password", pattern: `\b(ATBB[0-9A-Za-z]{28,40})\b`, entropy: 3, keywords: []string{"atbb"}},
		{id: "docker-token", pattern: `\b(dckr_[po]at_[\w-]{27,40})`, entropy: 3, keywords: []string{"dckr_"}},
		{id: "braintree-token", pattern: `\b(access_token\$(?:production|sandbox)\$[0-9a-z]{16}\$[0-9a-f]{32})\b`, keywords: []string{"access_token$"}},
		{id: "notion-token", pattern: `\b(ntn_[0-9A-Za-z]{43,60})\b`, entropy: 3, keywords: []string{"ntn_"}},
		{id: "aws-bedrock-key", pattern: `\b(ABSKQmVkcm9ja0FQSUtleS[0-9A-Za-z+/]{60,250}={0,2})`, entropy: 3, keywords: []string{"abskqmvkcm9ja0fqsutles"}},
		{id: "publishable-key", pattern: `\bpk_(?:live|test)_[0-9a-zA-Z]{10,247}`, keywords: []string{"pk_live_", "pk_test_"}, what: publicKey},
		{id: "public-key", pattern: `-----BEGIN[ A-Z0-9_-]{0,100}PUBLIC KEY(?: BLOCK)?-----`, keywords: []string{"-----begin"}, what: publicKey},
		{id: "ssh-public-key", pattern: `\b(?:ssh-rsa|ssh-ed25519|ecdsa-sha2-nistp[0-9]{3}) (AAAA[0-9A-Za-z+/]{60,}={0,2})`, keywords: []string{"ssh-rsa", "ssh-ed25519", "ecdsa-sha2"}, what: publicKey},
	}
	for _, k := range credential.Kinds {
		if k.Format != "" && k.Prefix != "" {
			out = append(out, rule{id: k.Name, pattern: `\b(` + k.Format + `)`, entropy: 3, keywords: []string{strings.ToLower(k.Prefix)}})
		}
	}
	return out
}
