package awsfake

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"clawback/revoke/fake"
)

// deny is a policy that denies every action on every resource.
type deny struct {
	policy     string          // its name
	before     time.Time       // it applies to sessions issued earlier; zero: to everybody
	revocation fake.Revocation // when it was put: it bites as late as a revocation does
}

func (d *deny) covers(k *key) bool {
	return d.before.IsZero() || !k.expires.IsZero() && k.issued.Before(d.before)
}

// put stores an inline policy. A deny that another one of its name replaces goes on for whom it covered.
func (p *principal) put(knobs *fake.Knobs, name, document string) bool {
	d, ok := parsePolicy(document)
	if !ok {
		return false
	}
	if p.policies[name] == document {
		return true
	}
	p.policies[name] = document
	if d != nil {
		d.policy = name
		knobs.Revoke(&d.revocation)
		p.denies = append(p.denies, d)
	}
	return true
}

// take deletes an inline policy, and with it what it denied.
func (p *principal) take(name string) bool {
	_, there := p.policies[name]
	delete(p.policies, name)
	p.denies = slices.DeleteFunc(p.denies, func(d *deny) bool { return d.policy == name })
	return there
}

// olderThan is the policy that the console's "Revoke active sessions" puts on a role.
func olderThan(at time.Time) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":["*"],"Resource":["*"],`+
		`"Condition":{"DateLessThan":{"aws:TokenIssueTime":%q}}}]}`, at.UTC().Format("2006-01-02T15:04:05.000Z"))
}

// oneOrMore is a policy element that may be a string or a list of strings.
type oneOrMore []string

func (o *oneOrMore) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*o = make(oneOrMore, 1)
		return json.Unmarshal(b, &(*o)[0])
	}
	return json.Unmarshal(b, (*[]string)(o))
}

// parsePolicy returns false for what is no policy, and no deny for a policy that does not deny
// everything: of those the fake knows nothing but their text.
func parsePolicy(document string) (*deny, bool) {
	var policy struct {
		Version   string
		Statement []struct {
			Effect           string
			Action, Resource oneOrMore
			Condition        map[string]map[string]string
		}
	}
	if json.Unmarshal([]byte(document), &policy) != nil || policy.Version != "2012-10-17" || len(policy.Statement) == 0 {
		return nil, false
	}
	var found *deny
	for _, s := range policy.Statement {
		if s.Effect != "Allow" && s.Effect != "Deny" {
			return nil, false
		}
		if s.Effect != "Deny" || !slices.Contains(s.Action, "*") || !slices.Contains(s.Resource, "*") {
			continue
		}
		d := &deny{}
		if len(s.Condition) > 0 {
			before, err := time.Parse(time.RFC3339, s.Condition["DateLessThan"]["aws:TokenIssueTime"])
			if err != nil || len(s.Condition) != 1 || len(s.Condition["DateLessThan"]) != 1 {
				continue
			}
			d.before = before
		}
		found = d
	}
	return found, true
}

// denied looks whether a deny bites. Each deny is looked at, for the lagging node.
func (f *Fake) denied(k *key) bool {
	bites := false
	for _, d := range k.owner.denies {
		if d.covers(k) && !f.knobs.Live(&d.revocation) {
			bites = true
		}
	}
	return bites
}
