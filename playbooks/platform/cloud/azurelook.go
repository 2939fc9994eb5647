package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"clawback/forensics/incident"
	"clawback/playbooks/platform"
	"clawback/revoke/wire"
)

// The versions of the APIs, which pin their answers' form too.
var (
	networkVersion = url.Values{"api-version": {"2024-05-01"}}
	machineVersion = url.Values{"api-version": {"2024-07-01"}}
)

const succeeded = "Succeeded"

// azureStanding is what Azure says of the machine and of the walls around it.
type azureStanding struct {
	nics     []nic
	groups   map[string]nsg // ours, by location
	identity string         // kinds of the managed identity, which gives it tokens
	scaling  string         // the scale set that may replace the machine
}

// nic is a network interface. All of it is kept, since a change of it has to send all of it.
type nic struct {
	id, location, nsg, etag, state string

	whole map[string]any
}

func (n nic) was() incident.PlatformWas {
	w := incident.PlatformWas{Kind: kindInterface, ID: n.id, Was: []string{}}
	if n.nsg != "" {
		w.Was = append(w.Was, n.nsg)
	}
	return w
}

// with is the interface under another security group.
func (n nic) with(nsg string) (map[string]any, error) {
	text, err := json.Marshal(n.whole)
	var all map[string]any
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	properties, ok := all["properties"].(map[string]any)
	if err != nil || !ok {
		return nil, errors.New("Azure: the interface has not the form of Azure's")
	}
	delete(properties, "networkSecurityGroup")
	if nsg != "" {
		properties["networkSecurityGroup"] = map[string]any{"id": nsg}
	}
	return all, nil
}

// nsg is a network security group of ours.
type nsg struct {
	id     string
	there  bool
	right  bool // it has the rules that it should have
	state  string
	wanted azureGroupBody
}

type azureGroupBody struct {
	Location   string            `json:"location"`
	Tags       map[string]string `json:"tags,omitempty"`
	Properties struct {
		Rules []securityRule `json:"securityRules"`
		State string         `json:"provisioningState,omitempty"`
	} `json:"properties"`
}

// securityRule is one: https://learn.microsoft.com/rest/api/virtualnetwork/network-security-groups/create-or-update#securityrule
type securityRule struct {
	Name       string     `json:"name"`
	Properties ruleFields `json:"properties"`
}

type ruleFields struct {
	Priority     int      `json:"priority"`
	Direction    string   `json:"direction"`
	Access       string   `json:"access"`
	Protocol     string   `json:"protocol"`
	Source       string   `json:"sourceAddressPrefix,omitempty"`
	Sources      []string `json:"sourceAddressPrefixes,omitempty"`
	SourcePort   string   `json:"sourcePortRange,omitempty"`
	Destination  string   `json:"destinationAddressPrefix,omitempty"`
	Port         string   `json:"destinationPortRange,omitempty"`
	Destinations []string `json:"destinationAddressPrefixes,omitempty"`
	SourcePorts  []string `json:"sourcePortRanges,omitempty"`
	Ports        []string `json:"destinationPortRanges,omitempty"`

	SourceGroups      []struct{} `json:"sourceApplicationSecurityGroups,omitempty"`
	DestinationGroups []struct{} `json:"destinationApplicationSecurityGroups,omitempty"`
}

// rules are what a group of ours should have. The platform's own names and metadata pass other rules,
// and are denied by tags of theirs: https://learn.microsoft.com/azure/virtual-network/service-tags-overview
func (m *azureMachine) rules() (rules []securityRule) {
	add := func(name, direction, access, protocol, source, destination, port string, priority int, sources ...string) {
		rules = append(rules, securityRule{name, ruleFields{Priority: priority, Direction: direction, Access: access, Protocol: protocol,
			Source: source, Sources: sources, SourcePort: "*", Destination: destination, Port: port}})
	}
	var four, six []string
	for _, p := range m.From {
		if p.Addr().Is6() {
			six = append(six, p.String())
		} else {
			four = append(four, p.String())
		}
	}
	port := strconv.Itoa(int(m.Port))
	if len(four) > 0 {
		add("desk4", "Inbound", "Allow", "Tcp", "", "*", port, 100, four...)
	}
	if len(six) > 0 {
		add("desk6", "Inbound", "Allow", "Tcp", "", "*", port, 101, six...)
	}
	add("nothing-in", "Inbound", "Deny", "*", "*", "*", "*", 200)
	add("no-names", "Outbound", "Deny", "*", "*", "AzurePlatformDNS", "*", 100)
	add("no-metadata", "Outbound", "Deny", "*", "*", "AzurePlatformIMDS", "*", 101)
	add("nothing-out", "Outbound", "Deny", "*", "*", "*", "*", 200)
	return rules
}

// sameRule compares what two rules do.
func sameRule(a, b securityRule) bool {
	x, y := a.Properties, b.Properties
	return x.Priority == y.Priority && strings.EqualFold(x.Direction, y.Direction) && strings.EqualFold(x.Access, y.Access) && strings.EqualFold(x.Protocol, y.Protocol) &&
		x.SourcePort == y.SourcePort && x.Destination == y.Destination && x.Port == y.Port && sameRanges(sources(x), sources(y)) &&
		len(x.Destinations)+len(x.SourcePorts)+len(x.Ports)+len(x.SourceGroups)+len(x.DestinationGroups) == 0
}

// sources are where a rule's packets come from. One of a list may be given back alone, and an address as its network.
func sources(f ruleFields) (all []string) {
	for _, text := range append(slices.Clone(f.Sources), f.Source) {
		if a, err := netip.ParseAddr(text); err == nil {
			text = netip.PrefixFrom(a, a.BitLen()).String()
		}
		if text != "" {
			all = append(all, text)
		}
	}
	return all
}

func (st azureStanding) ours(n nic) string { return st.groups[n.location].id }

// wrong lists the locations whose group has not what it should have.
func (st azureStanding) wrong() (locations []string) {
	for location, g := range st.groups {
		if !g.right {
			locations = append(locations, location)
		}
	}
	slices.Sort(locations)
	return locations
}

// open lists the interfaces that are not under it.
func (st azureStanding) open() (open []nic) {
	for _, n := range st.nics {
		if !strings.EqualFold(n.nsg, st.ours(n)) || n.state == "Failed" {
			open = append(open, n)
		}
	}
	return open
}

// settled reports whether all of it is applied.
func (st azureStanding) settled() bool {
	for _, n := range st.nics {
		if n.state != succeeded || st.groups[n.location].state != succeeded {
			return false
		}
	}
	return true
}

// look asks Azure for all of it. It changes nothing.
func (m *azureMachine) look(ctx context.Context, inc string) (azureStanding, error) {
	st := azureStanding{groups: make(map[string]nsg)}
	var vm struct {
		Name     string `json:"name"`
		Identity struct {
			Type string `json:"type"`
		} `json:"identity"`
		Properties struct {
			Network struct {
				NICs []struct {
					ID string `json:"id"`
				} `json:"networkInterfaces"`
			} `json:"networkProfile"`
			Scaling struct {
				ID string `json:"id"`
			} `json:"virtualMachineScaleSet"`
		} `json:"properties"`
	}
	q := wire.Request{Method: http.MethodGet, Path: m.in("Microsoft.Compute", "virtualMachines", m.VM), Query: machineVersion}
	if _, err := m.call(ctx, "virtualMachines get", q, &vm); err != nil {
		if isARM(err, http.StatusNotFound) {
			err = platform.Hinted{Err: err, Next: "see whether the configuration names the right machine; of one that is gone, delete the network security groups whose names begin with clawback- by hand"}
		}
		return st, err
	}
	if !strings.EqualFold(vm.Name, m.VM) || len(vm.Properties.Network.NICs) == 0 {
		return st, &armError{call: "virtualMachines get", text: "the answer is about another machine, or one without a network interface"}
	}
	st.scaling = lastPart(vm.Properties.Scaling.ID)
	if vm.Identity.Type != "None" {
		st.identity = vm.Identity.Type
	}
	for _, at := range vm.Properties.Network.NICs {
		n, err := m.lookNIC(ctx, at.ID)
		if err != nil {
			return st, err
		}
		st.nics = append(st.nics, n)
		if _, known := st.groups[n.location]; known {
			continue
		}
		if st.groups[n.location], err = m.lookGroup(ctx, inc, n.location); err != nil {
			return st, err
		}
	}
	return st, nil
}

func (m *azureMachine) lookNIC(ctx context.Context, id string) (nic, error) {
	n := nic{id: id}
	if !azureNIC.MatchString(id) {
		return n, &armError{call: "virtualMachines get", text: "an interface's id has not the form of Azure's"}
	}
	p, err := m.call(ctx, "networkInterfaces get", wire.Request{Method: http.MethodGet, Path: id, Query: networkVersion}, &n.whole)
	if err != nil {
		return n, err
	}
	var is struct {
		ID         string `json:"id"`
		Location   string `json:"location"`
		ETag       string `json:"etag"`
		Properties struct {
			State string `json:"provisioningState"`
			NSG   struct {
				ID string `json:"id"`
			} `json:"networkSecurityGroup"`
		} `json:"properties"`
	}
	if !p.JSON(&is) || !strings.EqualFold(is.ID, id) || is.ETag == "" || is.Location == "" {
		return n, &armError{call: "networkInterfaces get", text: "the answer is about another interface"}
	}
	n.location, n.nsg, n.etag, n.state = is.Location, is.Properties.NSG.ID, is.ETag, is.Properties.State
	return n, nil
}

func (m *azureMachine) lookGroup(ctx context.Context, inc, location string) (nsg, error) {
	g := nsg{id: m.nsgID(inc, location)}
	g.wanted.Location, g.wanted.Tags = location, map[string]string{tagName: inc, tagMachine: m.VM}
	g.wanted.Properties.Rules = m.rules()
	var is azureGroupBody
	_, err := m.call(ctx, "networkSecurityGroups get", wire.Request{Method: http.MethodGet, Path: g.id, Query: networkVersion}, &is)
	if isARM(err, http.StatusNotFound) {
		return g, nil
	}
	byPriority := func(a, b securityRule) int {
		return strings.Compare(fmt.Sprint(a.Properties.Direction, a.Properties.Priority), fmt.Sprint(b.Properties.Direction, b.Properties.Priority))
	}
	have, want := slices.SortedFunc(slices.Values(is.Properties.Rules), byPriority), slices.SortedFunc(slices.Values(g.wanted.Properties.Rules), byPriority)
	g.there, g.state = err == nil, is.Properties.State
	g.right = g.there && g.state != "Failed" && slices.EqualFunc(have, want, sameRule)
	return g, err
}

// proof is what Azure showed of an isolation that stands.
func (st azureStanding) proof() (proof []string) {
	for _, n := range st.nics {
		proof = append(proof, fmt.Sprintf("networkInterfaces get: %s is under %s, and that is applied (%s)", lastPart(n.id), lastPart(n.nsg), n.state))
	}
	for _, g := range st.groups {
		proof = append(proof, fmt.Sprintf("networkSecurityGroups get: %s lets in the desk's SSH alone, and nothing out", lastPart(g.id)))
	}
	return proof
}

// left is what Azure goes on letting through, and what may undo the isolation or destroy evidence.
func (st azureStanding) left() (left []string) {
	left = append(left, "connections that were open go on until they end: Azure tracks them, and asks new rules about new ones alone; taking its public address away or deallocating it, which loses its memory, cuts them",
		// https://learn.microsoft.com/azure/virtual-network-manager/concept-security-admins
		"security admin rules of a Virtual Network Manager that always allow come before any security group: these were not asked for")
	if st.identity != "" {
		left = append(left, "its managed identity ("+st.identity+") is a credential to end: tokens that it was given go on, and where it may change interfaces, they can undo this from anywhere")
	}
	if st.scaling != "" {
		left = append(left, "scale set "+st.scaling+" may find it unhealthy, end it and lose its disks: protect it from scale-in and repairs there")
	}
	return left
}
