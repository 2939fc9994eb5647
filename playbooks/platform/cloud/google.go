package cloud

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"clawback/forensics/incident"
	"clawback/playbooks/platform"
	"clawback/revoke"
	"clawback/revoke/wire"
)

// Google is one Compute Engine instance, by the desk's configuration. What its host says is not asked.
type Google struct {
	Project  string         // "acme-agents"
	Zone     string         // "europe-west1-b"
	Instance string         // "agent-1"
	From     []netip.Prefix // the desk's addresses as the instance sees them: the way in that stays
	Port     uint16         // of SSH; 0 means 22
}

// The forms of the names: https://cloud.google.com/compute/docs/naming-resources,
// https://cloud.google.com/resource-manager/docs/creating-managing-projects
var (
	googleProject = regexp.MustCompile(`\A([a-z0-9.-]{1,100}:)?[a-z][-a-z0-9]{4,28}[a-z0-9]\z`)
	googleZone    = regexp.MustCompile(`\A[a-z]+(-[a-z0-9]+){2,3}\z`)
	googleName    = regexp.MustCompile(`\A[a-z]([-a-z0-9]{0,61}[a-z0-9])?\z`)
)

// Check says what is wrong with it, or nil.
func (g Google) Check() error {
	switch {
	case !googleProject.MatchString(g.Project):
		return fmt.Errorf("project %q is no project's id", g.Project)
	case !googleZone.MatchString(g.Zone):
		return fmt.Errorf("zone %q is none of Google's", g.Zone)
	case !googleName.MatchString(g.Instance):
		return fmt.Errorf("instance %q is no instance's name", g.Instance)
	}
	return checkFrom(g.From)
}

const kindTags = "tags"

// googleMachine is an instance that can be cut off.
type googleMachine struct {
	Google
	*compute
}

var _ platform.Wall = (*googleMachine)(nil)

// NewGoogle returns what cuts the instance off. The environment's authority is the responder's.
func NewGoogle(g Google, env revoke.Env) (platform.Wall, error) {
	if g.Port == 0 {
		g.Port = 22
	}
	if env.HTTP == nil || env.Authority == nil || env.Sleep == nil || env.Now == nil {
		return nil, errors.New("google: no client, authority or clock given")
	}
	client, err := wire.New(env, computeAddress)
	if err != nil {
		return nil, fmt.Errorf("google: %w", err)
	}
	if err := g.Check(); err != nil {
		return nil, err
	}
	return &googleMachine{Google: g, compute: &compute{env: env, client: client}}, nil
}

func (m *googleMachine) Name() string {
	return "Google Cloud instance " + m.Instance + " in " + m.Zone + " of " + m.Project
}

func (m *googleMachine) Will() []string {
	return []string{
		"make VPC firewall rules of the highest priority in each of its networks, for a network tag of the incident's: SSH from " + spell(m.From) + " alone gets in, nothing out, by IPv4 and IPv6",
		"give " + m.Instance + " that tag beside those that it has; connections that are open may go on",
	}
}

// path is the instance's, below the API's.
func (m *googleMachine) path() string { return m.zone() + "/instances/" + m.Instance }
func (m *googleMachine) zone() string {
	return "projects/" + url.PathEscape(m.Project) + "/zones/" + m.Zone
}

var notSlug = regexp.MustCompile(`[^a-z0-9]+`)

// tag names what an isolation makes: it is of 63 characters at most, with room for a rule's ending.
func (m *googleMachine) tag(inc string, in ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(append([]string{inc, m.Project, m.Zone, m.Instance}, in...), "\x00")))
	slug := strings.Trim(notSlug.ReplaceAllString(strings.ToLower(inc), "-"), "-")
	return "clawback-" + strings.TrimRight(slug[:min(len(slug), 30)], "-") + "-" + hex.EncodeToString(sum[:4])
}

// Isolate implements platform.Wall. Of the rules that match, the one with the lowest number is applied,
// and of two with the same number the one that denies:
// https://cloud.google.com/firewall/docs/firewalls#priority_order_for_firewall_rules
// So nothing overrules a denial at 0, and a permission at 0 stands beside one at 1. Firewall policies of
// the organization and its folders are asked before all of these:
// https://cloud.google.com/firewall/docs/firewall-policies-overview#rule-evaluation
func (m *googleMachine) Isolate(ctx context.Context, o platform.Order) (platform.Result, error) {
	var r platform.Result
	var failed error
	intended, recorded := false, false
	for round := range rounds {
		if round > 0 {
			if err := m.env.Sleep(ctx, roundPause); err != nil {
				return r, errors.Join(fmt.Errorf("%s: not seen isolated: %w", m.Name(), err), failed)
			}
		}
		st, err := m.look(ctx, o.Incident)
		if err != nil {
			if round == 0 || computeFinal(err) {
				return r, err
			}
			failed = err
			continue
		}
		if st.shut() {
			r.Proof, r.Left = st.proof(), st.left()
			return r, m.overruled(st)
		}
		if len(st.wrong) == 0 && st.tagged() {
			continue // it is done, and does not show yet
		}
		var was []incident.PlatformWas
		if !st.tagged() && !recorded {
			was = []incident.PlatformWas{{Kind: kindTags, ID: m.Instance, Was: append([]string{}, st.instance.Tags.Items...)}}
		}
		if len(was) > 0 || !intended {
			if err := o.Intent(was); err != nil {
				return r, err
			}
			intended, recorded = true, recorded || len(was) > 0
		}
		did, err := m.shut(ctx, st)
		r.Did = append(r.Did, did...)
		if failed = err; computeFinal(err) {
			return r, err
		}
	}
	return r, errors.Join(fmt.Errorf("%s: not seen isolated after %d looks", m.Name(), rounds), failed)
}

// shut makes the changes of one round, and returns what it did. The tag comes last: the rules have to
// be there for it to mean anything.
func (m *googleMachine) shut(ctx context.Context, st googleStanding) (did []string, err error) {
	var begun []operation
	for _, w := range st.wrong {
		op, err := m.begin(ctx, w.call, w.in, w.request)
		if err != nil && !isCompute(err, http.StatusConflict) { // somebody, or we, made it meanwhile
			return did, err
		}
		if err == nil {
			begun, did = append(begun, op), append(did, w.does)
		}
	}
	for _, op := range begun {
		if err := m.done(ctx, op); err != nil {
			return did, err
		}
	}
	if st.tagged() {
		return did, nil
	}
	if err := m.setTags(ctx, st, append(slices.Clone(st.instance.Tags.Items), st.tag)); err != nil {
		return did, err
	}
	return append(did, "network tag "+st.tag+" given to "+m.Instance), nil
}

// setTags replaces the tags, unless somebody else changed them since the look: that is a 412.
// https://cloud.google.com/compute/docs/reference/rest/v1/instances/setTags
func (m *googleMachine) setTags(ctx context.Context, st googleStanding, items []string) error {
	tags := googleTags{Items: items, Fingerprint: st.instance.Tags.Fingerprint}
	op, err := m.begin(ctx, "instances.setTags", m.zone(), wire.Request{Method: http.MethodPost, Path: m.path() + "/setTags", JSON: tags})
	if err != nil {
		return err
	}
	return m.done(ctx, op)
}

// Restore implements platform.Wall. The tag is taken off, and tags that somebody else gave or took
// meanwhile stay as they are; then the rules are deleted.
func (m *googleMachine) Restore(ctx context.Context, inc string, was []incident.PlatformWas) (platform.Result, error) {
	var r platform.Result
	var failed error
	for _, w := range was {
		if w.Kind != kindTags || w.ID != m.Instance {
			return r, fmt.Errorf("Google Cloud: nothing of this machine's: %s %s", w.Kind, w.ID)
		}
	}
	for round := range rounds {
		if round > 0 {
			if err := m.env.Sleep(ctx, roundPause); err != nil {
				break
			}
		}
		st, err := m.look(ctx, inc)
		if err != nil {
			return r, err
		}
		if st.tagged() {
			r.Left = []string{"network tag " + st.tag + " on " + m.Instance}
			rest := slices.DeleteFunc(slices.Clone(st.instance.Tags.Items), func(t string) bool { return t == st.tag })
			if failed = m.setTags(ctx, st, rest); failed == nil {
				r.Did = append(r.Did, "network tag "+st.tag+" taken off "+m.Instance)
			} else if computeFinal(failed) {
				break
			}
			continue
		}
		if len(st.ours) == 0 {
			r.Left = nil
			r.Proof = append(r.Proof, fmt.Sprintf("instances.get: %s has the network tags %s", m.Instance, st.instance.Tags), "firewalls.get: none of the rules is there")
			return r, nil
		}
		r.Left = nil
		for _, rule := range st.ours {
			does := "firewall rule " + rule.Name
			op, err := m.begin(ctx, "firewalls.delete", rule.in, wire.Request{Method: http.MethodDelete, Path: rule.in + "/firewalls/" + rule.Name})
			if err == nil {
				err = m.done(ctx, op)
			}
			if err != nil {
				failed, r.Left = err, append(r.Left, does+", which is for nothing: "+err.Error())
				continue
			}
			r.Did = append(r.Did, does+" deleted")
		}
		if computeFinal(failed) {
			break
		}
	}
	return r, errors.Join(fmt.Errorf("%s: not all is as it was", m.Name()), failed)
}

// spell names the desk's addresses.
func spell(from []netip.Prefix) string {
	var all []string
	for _, p := range from {
		all = append(all, p.String())
	}
	return strings.Join(all, ", ")
}
