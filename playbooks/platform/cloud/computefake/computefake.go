// Package computefake is a project of Google Cloud's Compute Engine on the wire: instances with network
// tags, VPC firewall rules and firewall policies, changes that go on as operations, and the packets that
// the rules let through.
package computefake

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"clawback/revoke/fake"
)

// Project and Zone are the ones that are simulated.
const (
	Project = "acme-agents"
	Zone    = "europe-west1-b"
	prefix  = "https://www.googleapis.com/compute/v1/"
)

const maxRequest = 1 << 20

// Rule is a VPC firewall rule: https://cloud.google.com/compute/docs/reference/rest/v1/firewalls
type Rule struct {
	Kind         string     `json:"kind"`
	ID           string     `json:"id"`
	Name         string     `json:"name"`
	Description  string     `json:"description,omitempty"`
	Network      string     `json:"network"`
	Priority     int        `json:"priority"`
	Direction    string     `json:"direction"`
	Allowed      []Protocol `json:"allowed,omitempty"`
	Denied       []Protocol `json:"denied,omitempty"`
	Sources      []string   `json:"sourceRanges,omitempty"`
	Destinations []string   `json:"destinationRanges,omitempty"`
	TargetTags   []string   `json:"targetTags,omitempty"`
	Disabled     bool       `json:"disabled"`
}

// Protocol is what a rule is about.
type Protocol struct {
	Name  string   `json:"IPProtocol"`
	Ports []string `json:"ports,omitempty"`
}

// Policy is a firewall policy, each of whose rules allows one direction from and to everywhere.
type Policy struct {
	Name, Type string // "HIERARCHY", "NETWORK"
	Allows     []string
}

// Fake is one project in one zone. Its fields may be set before it is used.
type Fake struct {
	clock fake.Clock

	// Token is the only access token that it takes.
	Token string
	// Denied are calls that no role allows the token: "firewalls.insert".
	Denied map[string]bool
	// Throttled is how many of the next calls are refused as too many, in turn as 429 and as 403.
	Throttled int
	// Slow is how long an operation takes; FailsLate are calls whose operation ends with that error.
	Slow      time.Duration
	FailsLate map[string]string
	// Stale is after how many looks at what is in force a change shows there.
	Stale int
	// Races is how often somebody else gives the instance another tag just before ours.
	Races int
	// Lost are calls whose answer is lost once: they are carried out, and the connection breaks.
	Lost map[string]bool
	// PoliciesFirst has the network's policies asked before its rules.
	PoliciesFirst bool

	mu         sync.Mutex
	serial     int
	instances  map[string]*instance
	rules      map[string]Rule
	shown      map[string]Rule // in force, as a look at it still sees them
	policies   []Policy
	operations map[string]*operation
	calls      []string
}

type instance struct {
	networks []string
	tags     []string
	version  int
	account  string
	metadata [][2]string
}

type operation struct {
	call, scope, failure string
	began                time.Time
	act                  func()
}

// New makes a project with nothing in it but the networks that instances are in.
func New(c fake.Clock, token string) *Fake {
	return &Fake{clock: c, Token: token, Denied: map[string]bool{}, FailsLate: map[string]string{}, Lost: map[string]bool{},
		instances: map[string]*instance{}, rules: map[string]Rule{}, shown: map[string]Rule{}, operations: map[string]*operation{}}
}

// AddInstance runs an instance with an interface in each network.
func (f *Fake) AddInstance(name string, networks []string, tags ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.instances[name] = &instance{networks: networks, tags: tags}
}

// Describe gives an instance a service account and metadata.
func (f *Fake) Describe(name, account string, metadata ...[2]string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.instances[name].account, f.instances[name].metadata = account, metadata
}

// AddRule makes a firewall rule in a network.
func (f *Fake) AddRule(network string, r Rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.put(network, r)
	f.shown[r.Name] = f.rules[r.Name]
}

func (f *Fake) put(network string, r Rule) {
	f.serial++
	r.Kind, r.ID, r.Network = "compute#firewall", strconv.Itoa(f.serial), prefix+"projects/"+Project+"/global/networks/"+network
	f.rules[r.Name] = r
}

// AddPolicy makes a firewall policy that is about every instance.
func (f *Fake) AddPolicy(p Policy) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.policies = append(f.policies, p)
}

// Tags are the network tags of an instance, and SetTags is somebody else who changes them.
func (f *Fake) Tags(name string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.instances[name].tags)
}

func (f *Fake) SetTags(name string, tags ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.instances[name].tags = tags
	f.instances[name].version++
}

// Rules are the names of all firewall rules.
func (f *Fake) Rules() (names []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name := range f.rules {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Calls are the calls that were made, in order; Changes are those that change something.
func (f *Fake) Calls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

func (f *Fake) Changes() []string {
	return slices.DeleteFunc(f.Calls(), func(c string) bool { return strings.HasSuffix(c, ".get") || strings.HasSuffix(c, "Firewalls") })
}

// Packet is one TCP packet of an instance that belongs to no connection yet.
type Packet struct {
	Out  bool
	Far  string // address of the other end
	Port int    // the destination's
}

// Passes reports whether a packet passes on each network of an instance: by the policies that come
// first, then the rules, of which the lowest number counts and among equals the one that denies, then
// by the implied ones.
func (f *Fake) Passes(name string, p Packet) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	i, direction := f.instances[name], map[bool]string{true: "EGRESS", false: "INGRESS"}[p.Out]
	for _, policy := range f.policies {
		if (policy.Type == "HIERARCHY" || f.PoliciesFirst) && slices.Contains(policy.Allows, direction) {
			return true
		}
	}
	return slices.ContainsFunc(i.networks, func(network string) bool {
		var best *Rule
		for _, r := range f.rules {
			if !r.about(i, network) || r.Disabled || r.Direction != direction || !r.matches(p) {
				continue
			}
			if best == nil || r.Priority < best.Priority || r.Priority == best.Priority && len(r.Denied) > 0 {
				best = &r
			}
		}
		if best == nil {
			return p.Out
		}
		return len(best.Denied) == 0
	})
}

// about reports whether a rule is about an instance's interface in a network.
func (r Rule) about(i *instance, network string) bool {
	return strings.HasSuffix(r.Network, "/"+network) && (len(r.TargetTags) == 0 || slices.ContainsFunc(r.TargetTags, func(t string) bool { return slices.Contains(i.tags, t) }))
}

func (r Rule) matches(p Packet) bool {
	far := netip.MustParseAddr(p.Far)
	return slices.ContainsFunc(append(slices.Clone(r.Sources), r.Destinations...), func(text string) bool { return netip.MustParsePrefix(text).Contains(far) }) &&
		slices.ContainsFunc(append(slices.Clone(r.Allowed), r.Denied...), func(is Protocol) bool {
			return is.Name == "all" || is.Name == "tcp" && (len(is.Ports) == 0 || slices.Contains(is.Ports, strconv.Itoa(p.Port)))
		})
}

// refusal is what Compute Engine answers instead of a result.
type refusal struct {
	status          int
	reason, message string
}

// routes are the calls that the fake knows: https://cloud.google.com/compute/docs/reference/rest/v1
var routes = []struct {
	method, call string
	path         *regexp.Regexp
	answer       func(*Fake, string, *http.Request) (any, *refusal)
}{
	{"GET", "instances.get", at("zones/" + Zone + "/instances/([a-z0-9-]+)"), (*Fake).getInstance},
	{"POST", "instances.setTags", at("zones/" + Zone + "/instances/([a-z0-9-]+)/setTags"), (*Fake).setTags},
	{"GET", "instances.getEffectiveFirewalls", at("zones/" + Zone + "/instances/([a-z0-9-]+)/getEffectiveFirewalls"), (*Fake).effective},
	{"GET", "firewalls.get", at("global/firewalls/([a-z0-9-]+)"), (*Fake).getRule},
	{"POST", "firewalls.insert", at("global/firewalls()"), (*Fake).insertRule},
	{"PUT", "firewalls.update", at("global/firewalls/([a-z0-9-]+)"), (*Fake).updateRule},
	{"DELETE", "firewalls.delete", at("global/firewalls/([a-z0-9-]+)"), (*Fake).deleteRule},
	{"GET", "networks.get", at("global/networks/([a-z0-9-]+)"), (*Fake).getNetwork},
	{"GET", "operations.get", at("(?:global|zones/" + Zone + ")/operations/([a-z0-9-]+)"), (*Fake).getOperation},
}

func at(rest string) *regexp.Regexp {
	return regexp.MustCompile(`\A/compute/v1/projects/` + Project + `/` + rest + `\z`)
}

func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
	f.mu.Lock()
	call, body, no := f.answer(r)
	lost := f.Lost[call]
	delete(f.Lost, call)
	f.mu.Unlock()
	if lost {
		panic(http.ErrAbortHandler)
	}
	if no != nil {
		fake.JSON(w, no.status, map[string]any{"error": map[string]any{"code": no.status, "message": no.message,
			"errors": []any{map[string]any{"message": no.message, "domain": "global", "reason": no.reason}}}})
		return
	}
	fake.JSON(w, http.StatusOK, body)
}

func (f *Fake) answer(r *http.Request) (string, any, *refusal) {
	for _, route := range routes {
		m := route.path.FindStringSubmatch(r.URL.Path)
		if m == nil || route.method != r.Method {
			continue
		}
		f.calls = append(f.calls, route.call)
		switch {
		case fake.Bearer(r) != f.Token:
			return route.call, nil, &refusal{401, "authError", "Invalid Credentials"}
		case f.Throttled > 0:
			f.Throttled--
			if f.Throttled%2 == 0 {
				return route.call, nil, &refusal{403, "rateLimitExceeded", "Rate Limit Exceeded"}
			}
			return route.call, nil, &refusal{429, "rateLimitExceeded", "Too many requests"}
		case f.Denied[route.call]:
			return route.call, nil, &refusal{403, "forbidden", "Required 'compute." + route.call + "' permission for 'projects/" + Project + "'"}
		}
		body, no := route.answer(f, m[1], r)
		return route.call, body, no
	}
	return "", nil, &refusal{404, "notFound", "Not Found"}
}

func missing(kind, name string) *refusal {
	return &refusal{404, "notFound", fmt.Sprintf("The resource 'projects/%s/%s/%s' was not found", Project, kind, name)}
}

func (f *Fake) getInstance(name string, _ *http.Request) (any, *refusal) {
	i := f.instances[name]
	if i == nil {
		return nil, missing("instances", name)
	}
	var nics, accounts, metadata []any
	for n, network := range i.networks {
		nics = append(nics, map[string]any{"kind": "compute#networkInterface", "name": "nic" + strconv.Itoa(n), "network": prefix + "projects/" + Project + "/global/networks/" + network, "networkIP": "10.0.0.2"})
	}
	if i.account != "" {
		accounts = append(accounts, map[string]any{"email": i.account, "scopes": []string{"https://www.googleapis.com/auth/cloud-platform"}})
	}
	for _, pair := range i.metadata {
		metadata = append(metadata, map[string]any{"key": pair[0], "value": pair[1]})
	}
	tags := map[string]any{"fingerprint": i.fingerprint()}
	if len(i.tags) > 0 {
		tags["items"] = i.tags
	}
	answer := map[string]any{"kind": "compute#instance", "id": "1", "name": name, "status": "RUNNING", "networkInterfaces": nics, "tags": tags}
	if accounts != nil {
		answer["serviceAccounts"] = accounts
	}
	if metadata != nil {
		answer["metadata"] = map[string]any{"kind": "compute#metadata", "items": metadata}
	}
	return answer, nil
}

func (i *instance) fingerprint() string { return fmt.Sprintf("fp%08d==", i.version) }

func (f *Fake) setTags(name string, r *http.Request) (any, *refusal) {
	i := f.instances[name]
	var tags struct {
		Items       []string `json:"items"`
		Fingerprint string   `json:"fingerprint"`
	}
	if i == nil {
		return nil, missing("instances", name)
	}
	if json.NewDecoder(r.Body).Decode(&tags) != nil || tags.Fingerprint == "" {
		return nil, &refusal{400, "required", "Required field 'fingerprint' not specified"}
	}
	if f.Races > 0 {
		f.Races--
		i.tags, i.version = append(slices.Clone(i.tags), fmt.Sprintf("other-%d", f.Races)), i.version+1
	}
	if tags.Fingerprint != i.fingerprint() {
		return nil, &refusal{412, "conditionNotMet", "Supplied fingerprint does not match current tags fingerprint."}
	}
	return f.begin("instances.setTags", "zones/"+Zone, func() { i.tags, i.version = tags.Items, i.version+1 }), nil
}

func (f *Fake) effective(name string, r *http.Request) (any, *refusal) {
	i := f.instances[name]
	n, err := strconv.Atoi(strings.TrimPrefix(r.URL.Query().Get("networkInterface"), "nic"))
	if i == nil || err != nil || n >= len(i.networks) {
		return nil, missing("instances", name)
	}
	if f.Stale > 0 {
		f.Stale--
	} else {
		f.shown = f.rules
	}
	var rules, policies []any
	for _, rule := range f.shown {
		if rule.about(i, i.networks[n]) {
			rules = append(rules, rule)
		}
	}
	for _, p := range f.policies {
		var list []any
		for number, direction := range p.Allows {
			list = append(list, map[string]any{"kind": "compute#firewallPolicyRule", "action": "allow", "direction": direction, "priority": 100 + number})
		}
		policies = append(policies, map[string]any{"name": p.Name, "shortName": p.Name, "type": p.Type, "rules": list})
	}
	answer := map[string]any{}
	if rules != nil {
		answer["firewalls"] = rules
	}
	if policies != nil {
		answer["firewallPolicys"] = policies
	}
	return answer, nil
}

func (f *Fake) getRule(name string, _ *http.Request) (any, *refusal) {
	if r, ok := f.rules[name]; ok {
		return r, nil
	}
	return nil, missing("firewalls", name)
}

func (f *Fake) insertRule(_ string, r *http.Request) (any, *refusal) {
	rule, no := readRule(r)
	if no != nil {
		return nil, no
	}
	if _, ok := f.rules[rule.Name]; ok {
		return nil, &refusal{409, "alreadyExists", "The resource 'projects/" + Project + "/global/firewalls/" + rule.Name + "' already exists"}
	}
	return f.begin("firewalls.insert", "global", func() { f.put(lastPart(rule.Network), rule) }), nil
}

func (f *Fake) updateRule(name string, r *http.Request) (any, *refusal) {
	rule, no := readRule(r)
	if no != nil {
		return nil, no
	}
	if _, ok := f.rules[name]; !ok || rule.Name != name {
		return nil, missing("firewalls", name)
	}
	return f.begin("firewalls.update", "global", func() { f.put(lastPart(rule.Network), rule) }), nil
}

// readRule refuses what Google refuses: a rule that both allows and denies, and one of both families.
func readRule(r *http.Request) (rule Rule, no *refusal) {
	ranges := func(list []string) (four, six int) {
		for _, text := range list {
			if p, err := netip.ParsePrefix(text); err != nil {
				return 1, 1
			} else if p.Addr().Is4() {
				four++
			} else {
				six++
			}
		}
		return four, six
	}
	err := json.NewDecoder(r.Body).Decode(&rule)
	four, six := ranges(append(slices.Clone(rule.Sources), rule.Destinations...))
	if err != nil || !regexp.MustCompile(`\A[a-z]([-a-z0-9]{0,61}[a-z0-9])?\z`).MatchString(rule.Name) || (len(rule.Allowed) == 0) == (len(rule.Denied) == 0) ||
		four > 0 && six > 0 || rule.Direction == "EGRESS" && len(rule.Sources) > 0 || rule.Direction == "INGRESS" && len(rule.Destinations) > 0 {
		return rule, &refusal{400, "invalid", "Invalid value for field 'resource'"}
	}
	return rule, nil
}

func (f *Fake) deleteRule(name string, _ *http.Request) (any, *refusal) {
	if _, ok := f.rules[name]; !ok {
		return nil, missing("firewalls", name)
	}
	return f.begin("firewalls.delete", "global", func() { delete(f.rules, name) }), nil
}

func (f *Fake) getNetwork(name string, _ *http.Request) (any, *refusal) {
	order := "AFTER_CLASSIC_FIREWALL"
	if f.PoliciesFirst {
		order = "BEFORE_CLASSIC_FIREWALL"
	}
	return map[string]any{"kind": "compute#network", "name": name, "networkFirewallPolicyEnforcementOrder": order}, nil
}

// begin is a change that goes on after its answer.
func (f *Fake) begin(call, scope string, act func()) any {
	f.serial++
	o := &operation{call: call, scope: scope, failure: f.FailsLate[call], began: f.clock.Now(), act: act}
	delete(f.FailsLate, call)
	name := fmt.Sprintf("operation-%d-abc", f.serial)
	f.operations[name] = o
	return f.show(name)
}

func (f *Fake) getOperation(name string, r *http.Request) (any, *refusal) {
	o := f.operations[name]
	if o == nil || !strings.Contains(r.URL.Path, "/"+o.scope+"/operations/") {
		return nil, missing("operations", name)
	}
	return f.show(name), nil
}

func (f *Fake) show(name string) any {
	o := f.operations[name]
	answer := map[string]any{"kind": "compute#operation", "name": name, "operationType": lastDot(o.call), "status": "RUNNING", "progress": 0}
	if f.clock.Now().Sub(o.began) < f.Slow {
		return answer
	}
	answer["status"], answer["progress"] = "DONE", 100
	switch {
	case o.failure != "":
		answer["httpErrorStatusCode"], answer["httpErrorMessage"] = 403, "FORBIDDEN"
		answer["error"] = map[string]any{"errors": []any{map[string]any{"code": o.failure, "message": "It failed late."}}}
	case o.act != nil:
		o.act()
		o.act = nil
	}
	return answer
}

func lastPart(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }
func lastDot(call string) string  { return call[strings.LastIndexByte(call, '.')+1:] }
