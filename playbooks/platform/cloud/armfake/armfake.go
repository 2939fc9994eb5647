// Package armfake is a subscription of Azure Resource Manager on the wire: virtual machines with their
// interfaces, network security groups, changes that go on after their answer, and the packets that the
// groups let through.
package armfake

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

// Subscription, Group and Location are the ones that are simulated.
const (
	Subscription = "0b1f6471-1bf0-4dda-aec3-cb9272f09590"
	Group        = "agents"
	Location     = "westeurope"
)

const maxRequest = 1 << 20

// Fake is one subscription. Its fields may be set before it is used.
type Fake struct {
	clock fake.Clock

	// Token is the only access token that it takes.
	Token string
	// Denied are calls that no role allows the token: "PUT networkInterfaces".
	Denied map[string]bool
	// Throttled is how many of the next calls are refused as too many.
	Throttled int
	// Slow is how long a change goes on after its answer; FailsLate are calls whose change ends with that error.
	Slow      time.Duration
	FailsLate map[string]string
	// ByLocation has changes followed by a Location alone; Elsewhere names an address of somebody else's.
	ByLocation bool
	Elsewhere  string
	// Races is how often somebody else changes an interface just before we do.
	Races int
	// Lost are calls whose answer is lost once: they are carried out, and the connection breaks.
	Lost map[string]bool

	mu         sync.Mutex
	serial     int
	machines   map[string]*machine
	nics       map[string]*nic
	groups     map[string]*Security
	operations map[string]*operation
	calls      []string
}

type machine struct {
	nics             []string
	identity, scales string
}

type nic struct {
	nsg, state string // nsg is the group's id
	version    int
	tags       map[string]string
}

// Security is a network security group.
type Security struct {
	Tags  map[string]string
	Rules []Rule
	state string
}

// Rule is one of its rules.
type Rule struct {
	Name       string `json:"name"`
	Properties struct {
		Priority    int      `json:"priority"`
		Direction   string   `json:"direction"`
		Access      string   `json:"access"`
		Protocol    string   `json:"protocol"`
		Source      string   `json:"sourceAddressPrefix,omitempty"`
		Sources     []string `json:"sourceAddressPrefixes,omitempty"`
		SourcePort  string   `json:"sourcePortRange"`
		Destination string   `json:"destinationAddressPrefix"`
		Port        string   `json:"destinationPortRange"`
		State       string   `json:"provisioningState"`
	} `json:"properties"`
}

type operation struct {
	failure string
	began   time.Time
	act     func(failed bool)
}

// New makes a subscription with nothing in it.
func New(c fake.Clock, token string) *Fake {
	return &Fake{clock: c, Token: token, Denied: map[string]bool{}, FailsLate: map[string]string{}, Lost: map[string]bool{},
		machines: map[string]*machine{}, nics: map[string]*nic{}, groups: map[string]*Security{}, operations: map[string]*operation{}}
}

// ID is a thing's of the network's.
func ID(kind, name string) string {
	return "/subscriptions/" + Subscription + "/resourceGroups/" + Group + "/providers/Microsoft.Network/" + kind + "/" + name
}

// AddMachine runs a machine with an interface under each of the groups; "" is none.
func (f *Fake) AddMachine(name string, groups ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := &machine{}
	for i, g := range groups {
		n := &nic{state: "Succeeded", tags: map[string]string{"owner": "web"}}
		if g != "" {
			n.nsg = ID("networkSecurityGroups", g)
		}
		m.nics = append(m.nics, name+"-nic"+strconv.Itoa(i))
		f.nics[m.nics[i]] = n
	}
	f.machines[name] = m
}

// Describe gives a machine a managed identity and a scale set.
func (f *Fake) Describe(name, identity, scales string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.machines[name].identity, f.machines[name].scales = identity, scales
}

// AddGroup makes a group that lets in a port from everywhere and everything out.
func (f *Fake) AddGroup(name string, port int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var in Rule
	in.Name = "in"
	p := &in.Properties
	p.Priority, p.Direction, p.Access, p.Protocol, p.Source, p.SourcePort, p.Destination, p.Port = 300, "Inbound", "Allow", "Tcp", "*", "*", "*", strconv.Itoa(port)
	f.groups[name] = &Security{Rules: []Rule{in}, state: "Succeeded"}
}

// Groups are the names of the groups, and Of is that of each interface of a machine.
func (f *Fake) Groups() (names []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name := range f.groups {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (f *Fake) Of(name string) (groups []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range f.machines[name].nics {
		groups = append(groups, lastPart(f.nics[n].nsg))
	}
	return groups
}

// Tags are an interface's, which its changes have to leave alone.
func (f *Fake) Tags(nic string) map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.nics[nic].tags
}

// Calls are the calls that were made, in order; Changes are those that change something.
func (f *Fake) Calls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

func (f *Fake) Changes() []string {
	return slices.DeleteFunc(f.Calls(), func(c string) bool { return strings.HasPrefix(c, "GET ") })
}

// refusal is what Resource Manager answers instead of a result.
type refusal struct {
	status        int
	code, message string
}

var path = regexp.MustCompile(`(?i)\A/subscriptions/` + Subscription + `/(?:resourceGroups/` + Group + `/providers/Microsoft\.(Network|Compute)/([a-z]+)|providers/Microsoft\.Network/locations/` + Location + `/(operations|operationResults))/([A-Za-z0-9_.-]+)\z`)

func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
	f.mu.Lock()
	m := path.FindStringSubmatch(r.URL.Path)
	call, status, body, no := "", 0, any(nil), &refusal{404, "ResourceNotFound", "The resource was not found."}
	if m != nil {
		call = r.Method + " " + m[2] + m[3]
		status, body, no = f.answer(w, r, call, m[4])
	}
	lost := f.Lost[call]
	delete(f.Lost, call)
	f.mu.Unlock()
	switch {
	case lost:
		panic(http.ErrAbortHandler)
	case no != nil:
		fake.JSON(w, no.status, map[string]any{"error": map[string]any{"code": no.code, "message": no.message}})
	case body == nil:
		w.WriteHeader(status)
	default:
		fake.JSON(w, status, body)
	}
}

func (f *Fake) answer(w http.ResponseWriter, r *http.Request, call, name string) (int, any, *refusal) {
	f.calls = append(f.calls, call)
	version := map[bool]string{true: "2024-07-01", false: "2024-05-01"}[strings.HasSuffix(call, "virtualMachines")]
	switch {
	case fake.Bearer(r) != f.Token:
		return 0, nil, &refusal{401, "InvalidAuthenticationToken", "The access token is invalid."}
	case r.URL.Query().Get("api-version") != version:
		return 0, nil, &refusal{400, "MissingApiVersionParameter", "The api-version query parameter is not what it should be."}
	case f.Throttled > 0:
		f.Throttled--
		w.Header().Set("Retry-After", "7")
		return 0, nil, &refusal{429, "TooManyRequests", "The request is being throttled."}
	case f.Denied[call]:
		return 0, nil, &refusal{403, "AuthorizationFailed", "The client does not have authorization to perform action '" + call + "'."}
	}
	for _, o := range f.operations {
		f.settle(o)
	}
	switch call {
	case "GET virtualMachines":
		return f.getMachine(name)
	case "GET networkInterfaces":
		if f.nics[name] != nil {
			return 200, f.showNIC(name), nil
		}
	case "PUT networkInterfaces":
		return f.putNIC(w, r, name)
	case "GET networkSecurityGroups":
		if f.groups[name] != nil {
			return 200, f.showGroup(name), nil
		}
	case "PUT networkSecurityGroups":
		return f.putGroup(w, r, name)
	case "DELETE networkSecurityGroups":
		return f.deleteGroup(w, name)
	case "GET operations", "GET operationResults":
		if o := f.operations[name]; o != nil {
			return f.showOperation(o, call == "GET operations")
		}
	}
	return 0, nil, &refusal{404, "ResourceNotFound", "The Resource '" + name + "' under resource group '" + Group + "' was not found."}
}

func (f *Fake) getMachine(name string) (int, any, *refusal) {
	m := f.machines[name]
	if m == nil {
		return 0, nil, &refusal{404, "ResourceNotFound", "The Resource 'Microsoft.Compute/virtualMachines/" + name + "' was not found."}
	}
	var nics []any
	for i, n := range m.nics {
		nics = append(nics, map[string]any{"id": ID("networkInterfaces", n), "properties": map[string]any{"primary": i == 0}})
	}
	properties := map[string]any{"networkProfile": map[string]any{"networkInterfaces": nics}, "provisioningState": "Succeeded"}
	if m.scales != "" {
		properties["virtualMachineScaleSet"] = map[string]any{"id": "/subscriptions/" + Subscription + "/resourceGroups/" + Group + "/providers/Microsoft.Compute/virtualMachineScaleSets/" + m.scales}
	}
	answer := map[string]any{"id": "/subscriptions/" + Subscription + "/resourceGroups/" + Group + "/providers/Microsoft.Compute/virtualMachines/" + name, "name": name, "location": Location, "properties": properties}
	if m.identity != "" {
		answer["identity"] = map[string]any{"type": m.identity}
	}
	return 200, answer, nil
}

func (n *nic) etag() string { return fmt.Sprintf(`W/"%08d"`, n.version) }

func (f *Fake) showNIC(name string) any {
	n := f.nics[name]
	properties := map[string]any{"provisioningState": n.state, "enableAcceleratedNetworking": true,
		"ipConfigurations": []any{map[string]any{"name": "ipconfig1", "properties": map[string]any{"privateIPAddress": "10.0.0.4", "primary": true,
			"subnet": map[string]any{"id": ID("virtualNetworks", "net") + "/subnets/default"}}}}}
	if n.nsg != "" {
		properties["networkSecurityGroup"] = map[string]any{"id": n.nsg}
	}
	return map[string]any{"id": ID("networkInterfaces", name), "name": name, "type": "Microsoft.Network/networkInterfaces", "location": Location, "etag": n.etag(), "tags": n.tags, "properties": properties}
}

// putNIC replaces an interface: what is not sent is gone.
func (f *Fake) putNIC(w http.ResponseWriter, r *http.Request, name string) (int, any, *refusal) {
	n := f.nics[name]
	var body struct {
		Location   string            `json:"location"`
		Tags       map[string]string `json:"tags"`
		Properties struct {
			Accelerated bool `json:"enableAcceleratedNetworking"`
			IPs         []struct {
				Name       string `json:"name"`
				Properties struct {
					Address string         `json:"privateIPAddress"`
					Subnet  map[string]any `json:"subnet"`
				} `json:"properties"`
			} `json:"ipConfigurations"`
			NSG struct {
				ID string `json:"id"`
			} `json:"networkSecurityGroup"`
		} `json:"properties"`
	}
	err := json.NewDecoder(r.Body).Decode(&body)
	if ips := body.Properties.IPs; n == nil || err != nil || body.Location != Location || !body.Properties.Accelerated || len(ips) != 1 || ips[0].Properties.Address != "10.0.0.4" || ips[0].Properties.Subnet["id"] == nil {
		return 0, nil, &refusal{400, "InvalidRequestFormat", "Cannot parse the request."}
	}
	if f.Races > 0 {
		f.Races--
		n.version++
	}
	if match := r.Header.Get("If-Match"); match != "" && match != n.etag() {
		return 0, nil, &refusal{412, "PreconditionFailed", "Etag provided in if-match header does not match etag of the resource."}
	}
	if g := body.Properties.NSG.ID; g != "" && f.groups[lastPart(g)] == nil {
		return 0, nil, &refusal{400, "InvalidResourceReference", "Resource " + g + " referenced by the interface was not found."}
	}
	n.tags, n.state, n.version = body.Tags, "Updating", n.version+1
	f.begin(w, "PUT networkInterfaces", func(failed bool) {
		if n.state = "Failed"; !failed {
			n.nsg, n.state = body.Properties.NSG.ID, "Succeeded"
		}
		n.version++
	})
	return 200, f.showNIC(name), nil
}

func (f *Fake) showGroup(name string) any {
	g := f.groups[name]
	for i := range g.Rules {
		g.Rules[i].Properties.State = g.state
	}
	answer := map[string]any{"id": ID("networkSecurityGroups", name), "name": name, "location": Location, "etag": `W/"1"`, "type": "Microsoft.Network/networkSecurityGroups",
		"properties": map[string]any{"provisioningState": g.state, "securityRules": g.Rules}}
	if len(g.Tags) > 0 {
		answer["tags"] = g.Tags
	}
	return answer
}

func (f *Fake) putGroup(w http.ResponseWriter, r *http.Request, name string) (int, any, *refusal) {
	var body struct {
		Location   string            `json:"location"`
		Tags       map[string]string `json:"tags"`
		Properties struct {
			Rules []Rule `json:"securityRules"`
		} `json:"properties"`
	}
	if json.NewDecoder(r.Body).Decode(&body) != nil || body.Location != Location || !fits(body.Properties.Rules) || len(name) > 80 {
		return 0, nil, &refusal{400, "SecurityRuleInvalid", "A security rule is not valid."}
	}
	status := 200
	if f.groups[name] == nil {
		status = 201
	}
	g := &Security{Tags: body.Tags, Rules: body.Properties.Rules, state: "Updating"}
	f.groups[name] = g
	f.begin(w, "PUT networkSecurityGroups", func(failed bool) {
		if g.state = "Succeeded"; failed {
			g.state = "Failed"
		}
	})
	return status, f.showGroup(name), nil
}

// fits refuses what Azure refuses: two rules of one number, one of both families, numbers out of range.
func fits(rules []Rule) bool {
	seen := map[string]bool{}
	for _, r := range rules {
		p := r.Properties
		at := p.Direction + strconv.Itoa(p.Priority)
		families := map[bool]bool{}
		for _, text := range p.Sources {
			if prefix, err := netip.ParsePrefix(text); err == nil {
				families[prefix.Addr().Is4()] = true
			}
		}
		if seen[at] || seen["name "+r.Name] || len(families) > 1 || p.Priority < 100 || p.Priority > 4096 || p.SourcePort == "" || p.Destination == "" || p.Port == "" || (p.Source == "") == (len(p.Sources) == 0) {
			return false
		}
		seen[at], seen["name "+r.Name] = true, true
	}
	return true
}

func (f *Fake) deleteGroup(w http.ResponseWriter, name string) (int, any, *refusal) {
	if f.groups[name] == nil {
		return 204, nil, nil
	}
	for _, n := range f.nics {
		if lastPart(n.nsg) == name {
			return 0, nil, &refusal{400, "InUseNetworkSecurityGroupCannotBeDeleted", "Network security group " + name + " cannot be deleted because it is in use."}
		}
	}
	f.begin(w, "DELETE networkSecurityGroups", func(failed bool) {
		if !failed {
			delete(f.groups, name)
		}
	})
	return 202, nil, nil
}

// begin is a change that goes on after its answer.
func (f *Fake) begin(w http.ResponseWriter, call string, act func(failed bool)) {
	f.serial++
	o := &operation{failure: f.FailsLate[call], began: f.clock.Now(), act: act}
	delete(f.FailsLate, call)
	name := fmt.Sprintf("op-%d", f.serial)
	f.operations[name] = o
	at := "https://management.azure.com/subscriptions/" + Subscription + "/providers/Microsoft.Network/locations/" + Location
	if f.Elsewhere != "" {
		at = f.Elsewhere
	}
	if !f.ByLocation {
		w.Header().Set("Azure-AsyncOperation", at+"/operations/"+name+"?api-version=2024-05-01")
	}
	w.Header().Set("Location", at+"/operationResults/"+name+"?api-version=2024-05-01")
	w.Header().Set("Retry-After", "3")
}

func (f *Fake) settle(o *operation) {
	if o.act != nil && f.clock.Now().Sub(o.began) >= f.Slow {
		act := o.act
		o.act = nil
		act(o.failure != "")
	}
}

func (f *Fake) showOperation(o *operation, status bool) (int, any, *refusal) {
	switch {
	case !status && o.act != nil:
		return 202, nil, nil
	case !status && o.failure != "":
		return 0, nil, &refusal{409, o.failure, "It failed late."}
	case !status:
		return 204, nil, nil
	case o.act != nil:
		return 200, map[string]any{"status": "InProgress"}, nil
	case o.failure != "":
		return 200, map[string]any{"status": "Failed", "error": map[string]any{"code": o.failure, "message": "It failed late."}}, nil
	}
	return 200, map[string]any{"status": "Succeeded"}, nil
}

func lastPart(id string) string { return id[strings.LastIndexByte(id, '/')+1:] }

// Settle carries out what is due.
func (f *Fake) Settle() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, o := range f.operations {
		f.settle(o)
	}
}
