// Package ec2fake is a region of EC2 on the wire: the Query protocol, with instances, security groups,
// network ACLs and snapshots behind it, and the packets that these let through.
package ec2fake

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"clawback/revoke/fake"
	"clawback/revoke/providers/aws/awsfake"
)

const maxRequest = 1 << 20

// Region is the one that is simulated.
const Region = "eu-west-1"

// Fake is one account in one region. Its fields may be set before it is used.
type Fake struct {
	clock fake.Clock

	// KeyID and Secret are the only credential that it takes.
	KeyID, Secret, Token string
	// Denied are actions that no policy allows the key.
	Denied map[string]bool
	// Throttled is how many of the next calls are refused as too many.
	Throttled int
	// Stale is after how many looks a change of an interface shows.
	Stale int
	// Lost are actions whose answer is lost once: they are carried out, and the connection breaks.
	Lost map[string]bool
	// Copying is for how long a snapshot is pending; at the end it is an error where FailCopy is set.
	Copying  time.Duration
	FailCopy bool

	mu        sync.Mutex
	serial    int
	instances map[string]*instance
	enis      map[string]*eni
	groups    map[string]*group
	acls      map[string]*acl
	snapshots []*snapshot
	calls     []string
}

type instance struct {
	id, state, role string
	tags            [][2]string
	volumes         []string
}

type eni struct {
	id, vpc, subnet, instance string
	groups, shown             []string // shown is what a look still sees
	stale                     int
}

type group struct {
	id, name, vpc string
	rules         []rule
	tags          [][2]string
}

type rule struct {
	id, protocol string
	egress       bool
	cidr         netip.Prefix
	from, to     int
}

type acl struct {
	id, vpc string
	entries []rule
	numbers []int
	subnets map[string]string // association by subnet
	tags    [][2]string
}

type snapshot struct {
	id, volume string
	tags       [][2]string
	began      time.Time
}

// New makes a region with nothing in it but a VPC, vpc-1.
func New(c fake.Clock, keyID, secret string) *Fake {
	f := &Fake{
		clock: c, KeyID: keyID, Secret: secret, Denied: map[string]bool{}, Lost: map[string]bool{},
		instances: map[string]*instance{}, enis: map[string]*eni{}, groups: map[string]*group{}, acls: map[string]*acl{},
	}
	return f
}

func (f *Fake) id(kind string) string {
	f.serial++
	return fmt.Sprintf("%s-%017x", kind, f.serial)
}

// AddGroup makes a security group that lets in a TCP port from everywhere and everything out.
func (f *Fake) AddGroup(name string, port int) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	g := f.newGroup(name, "vpc-1")
	g.rules = append(g.rules, rule{id: f.id("sgr"), protocol: "tcp", cidr: everywhere, from: port, to: port})
	return g.id
}

func (f *Fake) newGroup(name, vpc string) *group {
	g := &group{id: f.id("sg"), name: name, vpc: vpc}
	for _, to := range []netip.Prefix{everywhere, everywhere6} { // as a new one has
		g.rules = append(g.rules, rule{id: f.id("sgr"), egress: true, protocol: "-1", cidr: to, from: -1, to: -1})
	}
	f.groups[g.id] = g
	return g
}

var (
	everywhere  = netip.MustParsePrefix("0.0.0.0/0")
	everywhere6 = netip.MustParsePrefix("::/0")
)

// AddSubnet makes a subnet with a network ACL that lets everything through.
func (f *Fake) AddSubnet() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	subnet := f.id("subnet")
	a := f.newACL("vpc-1")
	for _, egress := range []bool{false, true} {
		a.entries = append(a.entries, rule{protocol: "-1", egress: egress, cidr: everywhere})
		a.numbers = append(a.numbers, 100)
	}
	a.subnets[subnet] = f.id("aclassoc")
	return subnet
}

func (f *Fake) newACL(vpc string) *acl {
	a := &acl{id: f.id("acl"), vpc: vpc, subnets: map[string]string{}}
	f.acls[a.id] = a
	return a
}

// AddInstance runs an instance with one interface and some volumes.
func (f *Fake) AddInstance(subnet string, volumes int, groups ...string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := &instance{id: f.id("i"), state: "running"}
	for range volumes {
		i.volumes = append(i.volumes, f.id("vol"))
	}
	f.instances[i.id] = i
	f.attach(i.id, subnet, groups)
	return i.id
}

// Attach gives an instance another interface.
func (f *Fake) Attach(instance, subnet string, groups ...string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.attach(instance, subnet, groups)
}

func (f *Fake) attach(instance, subnet string, groups []string) string {
	e := &eni{id: f.id("eni"), vpc: "vpc-1", subnet: subnet, instance: instance, groups: groups, shown: groups}
	f.enis[e.id] = e
	return e.id
}

// Tag sets a tag of an instance; Role gives it a role.
func (f *Fake) Tag(instance, key, value string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.instances[instance].tags = append(f.instances[instance].tags, [2]string{key, value})
}

// Role gives an instance an instance profile.
func (f *Fake) Role(instance, arn string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.instances[instance].role = arn
}

// Groups are the security groups of an instance's interfaces, in their order.
func (f *Fake) Groups(instance string) (all [][]string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.of(instance) {
		all = append(all, slices.Clone(e.groups))
	}
	return all
}

// SetGroups is somebody else who gives an interface other groups.
func (f *Fake) SetGroups(instance string, groups ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.of(instance) {
		e.groups, e.shown = groups, groups
	}
}

// ACL is the network ACL of a subnet.
func (f *Fake) ACL(subnet string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, a := range f.acls {
		if a.subnets[subnet] != "" {
			return id
		}
	}
	return ""
}

// Things are how many security groups, network ACLs and snapshots there are.
func (f *Fake) Things() (groups, acls, snapshots int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.groups), len(f.acls), len(f.snapshots)
}

// Calls are the actions that were asked for, in order.
func (f *Fake) Calls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// Changes are those among the calls that change something.
func (f *Fake) Changes() []string {
	return slices.DeleteFunc(f.Calls(), func(c string) bool { return strings.HasPrefix(c, "Describe") })
}

func (f *Fake) of(instance string) (all []*eni) {
	for _, e := range f.enis {
		if e.instance == instance {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b *eni) int { return strings.Compare(a.id, b.id) })
	return all
}

// Packet is one TCP packet of an instance, as its walls see it.
type Packet struct {
	Out     bool
	Far     string // address of the other end
	Local   int    // port of the instance's
	Remote  int    // port of the other end
	Tracked bool   // it belongs to a connection that a security group let through earlier
}

// Passes reports whether a packet passes an instance's walls: the groups, which let through what they
// track, and then the subnet's ACL, which keeps no state.
func (f *Fake) Passes(instance string, p Packet) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	far := netip.MustParseAddr(p.Far)
	for _, e := range f.of(instance) {
		through := p.Tracked
		for _, id := range e.groups {
			for _, r := range f.groups[id].rules {
				through = through || r.egress == p.Out && r.matches(far, p.port())
			}
		}
		if through && f.aclPasses(e.subnet, p, far) {
			return true
		}
	}
	return false
}

// port is the one that a rule is about: the destination's.
func (p Packet) port() int {
	if p.Out {
		return p.Remote
	}
	return p.Local
}

func (f *Fake) aclPasses(subnet string, p Packet, far netip.Addr) bool {
	for _, a := range f.acls {
		if a.subnets[subnet] == "" {
			continue
		}
		return slices.ContainsFunc(a.entries, func(r rule) bool { return r.egress == p.Out && r.matches(far, p.port()) })
	}
	return false
}

func (r rule) matches(far netip.Addr, port int) bool {
	return r.cidr.Contains(far) && (r.protocol == "-1" || (r.protocol == "tcp" || r.protocol == "6") && r.from <= port && port <= r.to)
}

// refusal is what EC2 answers instead of a result.
type refusal struct {
	status        int
	code, message string
}

func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	form, formErr := url.ParseQuery(string(body))
	w.Header().Set("Date", f.clock.Now().UTC().Format(http.TimeFormat))
	if err != nil || formErr != nil || r.Method != http.MethodPost || r.URL.Path != "/" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	action := form.Get("Action")
	f.calls = append(f.calls, action)
	result, no := f.answer(r, body, form)
	lost := f.Lost[action]
	delete(f.Lost, action)
	f.mu.Unlock()
	if lost {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	if no != nil {
		w.WriteHeader(no.status)
		fmt.Fprintf(w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error>%s%s</Error></Errors><RequestID>%s</RequestID></Response>",
			element("Code", no.code), element("Message", no.message), requestID)
		return
	}
	fmt.Fprintf(w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<%sResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>%s</requestId>%s</%sResponse>",
		action, requestID, result, action)
}

const requestID = "59dbff89-35bd-4eac-99ed-be587EXAMPLE"

func (f *Fake) answer(r *http.Request, body []byte, form url.Values) (string, *refusal) {
	action := form.Get("Action")
	secret := func(id string) string {
		if id == f.KeyID {
			return f.Secret
		}
		return ""
	}
	act := actions[action]
	switch fault := awsfake.SignatureFault(r, body, secret, "ec2", Region, f.clock.Now()); {
	case strings.Contains(fault, "earlier than") || strings.Contains(fault, "later than"):
		return "", &refusal{400, "RequestExpired", "Request has expired."}
	case fault != "" || r.Header.Get("X-Amz-Security-Token") != f.Token:
		return "", &refusal{401, "AuthFailure", "AWS was not able to validate the provided access credentials"}
	case f.Throttled > 0:
		f.Throttled--
		return "", &refusal{503, "RequestLimitExceeded", "Request limit exceeded."}
	case form.Get("Version") != "2016-11-15" || act == nil:
		return "", &refusal{400, "InvalidAction", "The action " + action + " is not valid for this web service."}
	case f.Denied[action]:
		return "", &refusal{403, "UnauthorizedOperation", "You are not authorized to perform this operation."}
	}
	return act(f, form)
}

// list reads NAME.1, NAME.2, …
func list(form url.Values, name string) (all []string) {
	for n := 1; form.Has(name + "." + strconv.Itoa(n)); n++ {
		all = append(all, form.Get(name+"."+strconv.Itoa(n)))
	}
	return all
}

// tagsOf reads the tags that a thing is made with, which have to be for that kind of thing.
func tagsOf(form url.Values, kind string) (tags [][2]string) {
	if form.Get("TagSpecification.1.ResourceType") != kind {
		return nil
	}
	for n := 1; form.Has("TagSpecification.1.Tag." + strconv.Itoa(n) + ".Key"); n++ {
		at := "TagSpecification.1.Tag." + strconv.Itoa(n)
		tags = append(tags, [2]string{form.Get(at + ".Key"), form.Get(at + ".Value")})
	}
	return tags
}

// wants reports whether a thing passes the filters of a list. An unknown filter passes nothing.
func wants(form url.Values, is map[string]string, tags [][2]string) bool {
	for n := 1; form.Has("Filter." + strconv.Itoa(n) + ".Name"); n++ {
		at := "Filter." + strconv.Itoa(n)
		name, values := form.Get(at+".Name"), list(form, at+".Value")
		if key, ok := strings.CutPrefix(name, "tag:"); ok {
			if !slices.ContainsFunc(tags, func(t [2]string) bool { return t[0] == key && slices.Contains(values, t[1]) }) {
				return false
			}
		} else if value, known := is[name]; !known || !slices.ContainsFunc(strings.Split(value, " | "), func(v string) bool { return slices.Contains(values, v) }) {
			return false
		}
	}
	return true
}
