package cloud

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"clawback/playbooks/platform"
	"clawback/revoke/wire"
)

// googleStanding is what Google says of the instance and of the walls around it.
type googleStanding struct {
	instance googleInstance
	tag      string         // ours
	ours     []firewall     // rules of ours that are there
	wrong    []change       // what makes them what they should be
	unseen   []string       // interfaces on which not all of them are in force
	ahead    []string       // what is asked before them, and lets through
	networks map[string]int // how many of our rules each has
}

type googleInstance struct {
	Name   string `json:"name"`
	Status string `json:"status"`
	NICs   []struct {
		Name    string `json:"name"`
		Network string `json:"network"`
	} `json:"networkInterfaces"`
	Tags     googleTags `json:"tags"`
	Accounts []struct {
		Email string `json:"email"`
	} `json:"serviceAccounts"`
	Metadata struct {
		Items []struct {
			Key   string `json:"key"`
			Value string `json:"value"`
		} `json:"items"`
	} `json:"metadata"`
}

type googleTags struct {
	Items       []string `json:"items"`
	Fingerprint string   `json:"fingerprint"`
}

func (t googleTags) String() string { return cmp.Or(strings.Join(t.Items, ", "), "none") }

// firewall is a VPC firewall rule: https://cloud.google.com/compute/docs/reference/rest/v1/firewalls
type firewall struct {
	Name         string     `json:"name"`
	Description  string     `json:"description"`
	Network      string     `json:"network"`
	Direction    string     `json:"direction"`
	Priority     int        `json:"priority"`
	Allowed      []protocol `json:"allowed,omitempty"`
	Denied       []protocol `json:"denied,omitempty"`
	Sources      []string   `json:"sourceRanges,omitempty"`
	Destinations []string   `json:"destinationRanges,omitempty"`
	TargetTags   []string   `json:"targetTags,omitempty"`
	Disabled     bool       `json:"disabled"`

	SourceTags     []string `json:"sourceTags,omitempty"`
	SourceAccounts []string `json:"sourceServiceAccounts,omitempty"`
	TargetAccounts []string `json:"targetServiceAccounts,omitempty"`

	in string // "projects/p/global"
}

type protocol struct {
	Name  string   `json:"IPProtocol"`
	Ports []string `json:"ports,omitempty"`
}

// change is one request about a rule of ours.
type change struct {
	call, in, does string
	request        wire.Request
}

var networkPath = regexp.MustCompile(`\A(?:https://[a-z.]+/compute/v1/)?(projects/((?:[a-z0-9.-]+:)?[a-z][-a-z0-9]*)/global)/networks/[a-z]([-a-z0-9]*[a-z0-9])?\z`)

func (st googleStanding) tagged() bool { return slices.Contains(st.instance.Tags.Items, st.tag) }

// shut reports whether the isolation stands, by what is in force.
func (st googleStanding) shut() bool { return st.tagged() && len(st.wrong) == 0 && len(st.unseen) == 0 }

// look asks Google for all of it. It changes nothing.
func (m *googleMachine) look(ctx context.Context, inc string) (googleStanding, error) {
	st := googleStanding{tag: m.tag(inc), networks: make(map[string]int)}
	if err := m.call(ctx, "instances.get", wire.Request{Method: http.MethodGet, Path: m.path()}, &st.instance); err != nil {
		if isCompute(err, http.StatusNotFound) {
			err = platform.Hinted{Err: err, Next: "see whether the configuration names the right instance; of one that is gone, delete the firewall rules whose names begin with clawback- by hand"}
		}
		return st, err
	}
	if st.instance.Name != m.Instance || len(st.instance.NICs) == 0 {
		return st, &computeError{call: "instances.get", text: "the answer is about another instance, or one without a network"}
	}
	for _, nic := range st.instance.NICs {
		at := networkPath.FindStringSubmatch(nic.Network)
		if at == nil {
			return st, &computeError{call: "instances.get", text: "interface " + nic.Name + " is in no network of Google's form"}
		}
		if _, known := st.networks[nic.Network]; known {
			continue
		}
		if err := m.lookRules(ctx, inc, nic.Network, at[1], &st); err != nil {
			return st, err
		}
	}
	if !st.tagged() || len(st.wrong) > 0 {
		return st, nil
	}
	for _, nic := range st.instance.NICs {
		if err := m.lookForce(ctx, nic.Name, nic.Network, &st); err != nil {
			return st, err
		}
	}
	return st, nil
}

// rules are what a network should have of ours. A rule has addresses of one family:
// https://cloud.google.com/firewall/docs/firewalls#ipv6
func (m *googleMachine) rules(inc, network string) (wanted []firewall, unwanted []string) {
	base, tag := m.tag(inc, network), []string{m.tag(inc)}
	all := []protocol{{Name: "all"}}
	for family, everywhere := range map[string]string{"4": "0.0.0.0/0", "6": "::/0"} {
		rule := firewall{Description: "Isolation of " + m.Instance + " by clawback, " + inc, Network: network, TargetTags: tag}
		out, in, desk := rule, rule, rule
		out.Name, out.Direction, out.Denied, out.Destinations = base+"-out"+family, "EGRESS", all, []string{everywhere}
		in.Name, in.Direction, in.Priority, in.Denied, in.Sources = base+"-in"+family, "INGRESS", 1, all, []string{everywhere}
		wanted = append(wanted, out, in)
		desk.Name, desk.Direction, desk.Allowed = base+"-desk"+family, "INGRESS", []protocol{{Name: "tcp", Ports: []string{strconv.Itoa(int(m.Port))}}}
		for _, p := range m.From {
			if p.Addr().Is6() == (family == "6") {
				desk.Sources = append(desk.Sources, p.String())
			}
		}
		if len(desk.Sources) > 0 {
			wanted = append(wanted, desk)
		} else {
			unwanted = append(unwanted, desk.Name)
		}
	}
	slices.SortFunc(wanted, func(a, b firewall) int { return cmp.Compare(a.Name, b.Name) })
	return wanted, unwanted
}

// lookRules compares a network's rules of ours with what they should be.
func (m *googleMachine) lookRules(ctx context.Context, inc, network, in string, st *googleStanding) error {
	st.networks[network] = 0
	wanted, unwanted := m.rules(inc, network)
	at := in + "/firewalls"
	for _, want := range wanted {
		is, there, err := m.rule(ctx, at, want.Name)
		switch {
		case err != nil:
			return err
		case !there:
			st.wrong = append(st.wrong, change{"firewalls.insert", in, "made firewall rule " + want.Name, wire.Request{Method: http.MethodPost, Path: at, JSON: want}})
			continue
		case !is.same(want):
			st.wrong = append(st.wrong, change{"firewalls.update", in, "set firewall rule " + want.Name + " right", wire.Request{Method: http.MethodPut, Path: at + "/" + want.Name, JSON: want}})
		}
		want.in = in
		st.ours = append(st.ours, want)
		st.networks[network]++
	}
	for _, name := range unwanted {
		_, there, err := m.rule(ctx, at, name)
		if err != nil {
			return err
		}
		if there {
			st.ours = append(st.ours, firewall{Name: name, in: in})
			st.wrong = append(st.wrong, change{"firewalls.delete", in, "deleted firewall rule " + name, wire.Request{Method: http.MethodDelete, Path: at + "/" + name}})
		}
	}
	return nil
}

func (m *googleMachine) rule(ctx context.Context, at, name string) (rule firewall, there bool, err error) {
	err = m.call(ctx, "firewalls.get", wire.Request{Method: http.MethodGet, Path: at + "/" + name}, &rule)
	if isCompute(err, http.StatusNotFound) {
		return rule, false, nil
	}
	return rule, err == nil, err
}

// same reports whether a rule does what another one does.
func (f firewall) same(w firewall) bool {
	return f.Direction == w.Direction && f.Priority == w.Priority && !f.Disabled && lastPart(f.Network) == lastPart(w.Network) &&
		sameProtocols(f.Allowed, w.Allowed) && sameProtocols(f.Denied, w.Denied) && sameRanges(f.Sources, w.Sources) && sameRanges(f.Destinations, w.Destinations) &&
		sameSet(f.TargetTags, w.TargetTags) && len(f.SourceTags)+len(f.SourceAccounts)+len(f.TargetAccounts) == 0
}

func sameProtocols(a, b []protocol) bool {
	return slices.EqualFunc(a, b, func(a, b protocol) bool { return strings.EqualFold(a.Name, b.Name) && slices.Equal(a.Ports, b.Ports) })
}

// sameRanges compares networks, which can be written in several ways.
func sameRanges(a, b []string) bool {
	normal := func(list []string) (all []string) {
		for _, text := range list {
			if p, err := netip.ParsePrefix(text); err == nil {
				text = p.String()
			}
			all = append(all, text)
		}
		return all
	}
	return sameSet(normal(a), normal(b))
}

// effective is what is in force on one interface:
// https://cloud.google.com/compute/docs/reference/rest/v1/instances/getEffectiveFirewalls
type effective struct {
	Firewalls []firewall `json:"firewalls"`
	Policies  []struct {
		Name  string `json:"name"`
		Short string `json:"shortName"`
		Type  string `json:"type"`
		Rules []struct {
			Priority  int    `json:"priority"`
			Action    string `json:"action"`
			Direction string `json:"direction"`
			Disabled  bool   `json:"disabled"`
		} `json:"rules"`
	} `json:"firewallPolicys"`
}

// lookForce asks what is in force on an interface, and what of it comes before our rules.
func (m *googleMachine) lookForce(ctx context.Context, nic, network string, st *googleStanding) error {
	var e effective
	query := url.Values{"networkInterface": {nic}}
	if err := m.call(ctx, "instances.getEffectiveFirewalls", wire.Request{Method: http.MethodGet, Path: m.path() + "/getEffectiveFirewalls", Query: query}, &e); err != nil {
		return err
	}
	seen := 0
	for _, f := range e.Firewalls {
		ours := slices.IndexFunc(st.ours, func(o firewall) bool { return o.Name == f.Name && o.Network == network })
		switch {
		case ours >= 0 && f.same(st.ours[ours]):
			seen++
		case f.Direction == "INGRESS" && f.Priority == 0 && len(f.Allowed) > 0 && !f.Disabled && ours < 0:
			st.ahead = append(st.ahead, fmt.Sprintf("firewall rule %s of priority 0 lets in more on %s", f.Name, nic))
		}
	}
	if seen < st.networks[network] {
		st.unseen = append(st.unseen, nic)
	}
	for _, p := range e.Policies {
		for _, r := range p.Rules {
			if r.Disabled || r.Action != "allow" && r.Action != "apply_security_profile_group" {
				continue
			}
			first, err := m.before(ctx, p.Type, network)
			if err != nil {
				return err
			}
			if first {
				st.ahead = append(st.ahead, fmt.Sprintf("rule %d of firewall policy %s (%s) is asked first on %s, and allows %s", r.Priority, cmp.Or(p.Short, p.Name), p.Type, nic, r.Direction))
			}
		}
	}
	return nil
}

// before reports whether policies of a type are asked before a network's rules. Those of the network
// itself are by its own choice: https://cloud.google.com/firewall/docs/firewall-policies-overview#default-rule-evaluation
func (m *googleMachine) before(ctx context.Context, kind, network string) (bool, error) {
	if kind != "NETWORK" && kind != "NETWORK_REGIONAL" {
		return true, nil
	}
	var n struct {
		Order string `json:"networkFirewallPolicyEnforcementOrder"`
	}
	err := m.call(ctx, "networks.get", wire.Request{Method: http.MethodGet, Path: network[strings.Index(network, "projects/"):]}, &n)
	return n.Order == "BEFORE_CLASSIC_FIREWALL", err
}

// overruled is the error of an isolation that something above it lets traffic through.
func (m *googleMachine) overruled(st googleStanding) error {
	if len(st.ahead) == 0 {
		return nil
	}
	return platform.Hinted{Err: fmt.Errorf("%s: its rules stand, and do not hold against all: %s", m.Name(), strings.Join(st.ahead, "; ")),
		Next: "have whoever owns these rules disable them or give them a higher number, then resume; no rule of a VPC network's holds against a policy above it"}
}

// proof is what Google showed of an isolation that stands.
func (st googleStanding) proof() (proof []string) {
	proof = append(proof, fmt.Sprintf("instances.get: %s has the network tags %s", st.instance.Name, st.instance.Tags))
	for _, nic := range st.instance.NICs {
		proof = append(proof, fmt.Sprintf("getEffectiveFirewalls: all %d rules for %s are in force on %s: the desk's SSH in, and nothing else in or out", st.networks[nic.Network], st.tag, nic.Name))
	}
	return proof
}

// left is what Google goes on letting through, and what may undo the isolation or destroy evidence.
func (st googleStanding) left() (left []string) {
	// A connection that was allowed is let through in both directions while it is tracked, and no document says that a
	// new rule ends it: https://cloud.google.com/firewall/docs/firewalls#specifications
	left = append(left, "connections that were open may go on until they end or are silent for 10 minutes: the firewall keeps their state; to be sure, stop the machine, which loses its memory, or take its external address and its routes away",
		// https://cloud.google.com/firewall/docs/firewalls#alwaysallowed
		"names are still resolved by its metadata server, which is a way out: block them by a response policy of Cloud DNS")
	for _, a := range st.instance.Accounts {
		left = append(left, "the metadata server still gives it tokens of "+a.Email+": that account is a credential to end, and where it may change instances, it can undo this from anywhere")
	}
	for _, i := range st.instance.Metadata.Items {
		// https://cloud.google.com/compute/docs/instance-groups/getting-info-about-migs
		if i.Key == "created-by" && strings.Contains(i.Value, "/instanceGroupManagers/") {
			left = append(left, "instance group "+lastPart(i.Value)+" may find it unhealthy, make it anew and lose its disks: take it out of the group there (abandon)")
		}
	}
	return left
}
