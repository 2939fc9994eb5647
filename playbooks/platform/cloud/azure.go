package cloud

import (
	"cmp"
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

// Azure is one virtual machine, by the desk's configuration. What its host says is not asked.
type Azure struct {
	Subscription string         // "00000000-0000-0000-0000-000000000000"
	Group        string         // the resource group
	VM           string         // "agent-1"
	From         []netip.Prefix // the desk's addresses as the machine sees them: the way in that stays
	Port         uint16         // of SSH; 0 means 22
}

// The forms of the names: https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
var (
	azureSubscription = regexp.MustCompile(`\A[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\z`)
	azureGroup        = regexp.MustCompile(`\A[A-Za-z0-9_().-]{0,89}[A-Za-z0-9_()-]\z`)
	azureVM           = regexp.MustCompile(`\A[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\z`)
	azureNIC          = regexp.MustCompile(`(?i)\A/subscriptions/[0-9a-f-]{36}/resourceGroups/[a-z0-9_().-]{1,90}/providers/Microsoft\.Network/networkInterfaces/[a-z0-9_.-]{1,80}\z`)
	azureNSG          = regexp.MustCompile(`(?i)\A/subscriptions/[0-9a-f-]{36}/resourceGroups/[a-z0-9_().-]{1,90}/providers/Microsoft\.Network/networkSecurityGroups/[a-z0-9_.-]{1,80}\z`)
)

// Check says what is wrong with it, or nil.
func (a Azure) Check() error {
	switch {
	case !azureSubscription.MatchString(a.Subscription):
		return fmt.Errorf("subscription %q is no subscription's id", a.Subscription)
	case !azureGroup.MatchString(a.Group) || strings.Trim(a.Group, ".") == "":
		return fmt.Errorf("group %q is no resource group's name", a.Group)
	case !azureVM.MatchString(a.VM):
		return fmt.Errorf("vm %q is no machine's name", a.VM)
	}
	return checkFrom(a.From)
}

// azureMachine is a virtual machine that can be cut off.
type azureMachine struct {
	Azure
	*arm
}

var _ platform.Wall = (*azureMachine)(nil)

// NewAzure returns what cuts the machine off. The environment's authority is the responder's.
func NewAzure(a Azure, env revoke.Env) (platform.Wall, error) {
	if a.Port == 0 {
		a.Port = 22
	}
	if env.HTTP == nil || env.Authority == nil || env.Sleep == nil || env.Now == nil {
		return nil, errors.New("azure: no client, authority or clock given")
	}
	client, err := wire.New(env, armAddress)
	if err != nil {
		return nil, fmt.Errorf("azure: %w", err)
	}
	if err := a.Check(); err != nil {
		return nil, err
	}
	return &azureMachine{Azure: a, arm: &arm{env: env, client: client, base: cmp.Or(env.Endpoint, armAddress)}}, nil
}

func (m *azureMachine) Name() string { return "Azure machine " + m.VM + " in " + m.Group }

func (m *azureMachine) Will() []string {
	return []string{"put every network interface of " + m.VM + " under a network security group of its own, which lets in SSH from " + spell(m.From) +
		" alone and nothing out, names and metadata neither; connections that are open go on"}
}

func (m *azureMachine) in(provider, kind, name string) string {
	return "/subscriptions/" + m.Subscription + "/resourceGroups/" + url.PathEscape(m.Group) + "/providers/" + provider + "/" + kind + "/" + name
}

// nsgID names the security group of an isolation, one for each incident, machine and place.
func (m *azureMachine) nsgID(inc, location string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(strings.Join([]string{inc, m.Subscription, m.Group, m.VM, location}, "\x00"))))
	slug := strings.Trim(notSlug.ReplaceAllString(strings.ToLower(inc), "-"), "-")
	return m.in("Microsoft.Network", "networkSecurityGroups", "clawback-"+slug[:min(len(slug), 40)]+"-"+hex.EncodeToString(sum[:4]))
}

// Isolate implements platform.Wall. What a subnet's own security group lets through, an interface's
// still stops: https://learn.microsoft.com/azure/virtual-network/network-security-group-how-it-works
// A new rule does not touch a connection that is open:
// https://learn.microsoft.com/azure/virtual-network/network-security-groups-overview#security-rules
func (m *azureMachine) Isolate(ctx context.Context, o platform.Order) (platform.Result, error) {
	var r platform.Result
	var failed error
	intended, recorded := false, make(map[string]bool)
	for round := range rounds {
		if round > 0 {
			if err := m.env.Sleep(ctx, roundPause); err != nil {
				return r, errors.Join(fmt.Errorf("%s: not seen isolated: %w", m.Name(), err), failed)
			}
		}
		st, err := m.look(ctx, o.Incident)
		if err != nil {
			if round == 0 || armFinal(err) {
				return r, err
			}
			failed = err
			continue
		}
		wrong, open := st.wrong(), st.open()
		if len(wrong) == 0 && len(open) == 0 {
			if !st.settled() {
				continue // it is there, and not applied yet
			}
			r.Proof, r.Left = st.proof(), st.left()
			return r, nil
		}
		var fresh []incident.PlatformWas
		for _, n := range open {
			if !recorded[n.id] && !strings.EqualFold(n.nsg, st.ours(n)) {
				fresh = append(fresh, n.was())
			}
		}
		if len(fresh) > 0 || !intended {
			if err := o.Intent(fresh); err != nil {
				return r, err
			}
			intended = true
		}
		for _, w := range fresh {
			recorded[w.ID] = true
		}
		did, err := m.shut(ctx, st, wrong, open)
		r.Did = append(r.Did, did...)
		if failed = err; armFinal(err) {
			return r, err
		}
	}
	return r, errors.Join(fmt.Errorf("%s: not seen isolated after %d looks", m.Name(), rounds), failed)
}

// shut makes the changes of one round, and returns what it did. The groups come first: what an
// interface is put under has to be there.
func (m *azureMachine) shut(ctx context.Context, st azureStanding, wrong []string, open []nic) (did []string, err error) {
	for _, location := range wrong {
		g := st.groups[location]
		if err := m.change(ctx, "networkSecurityGroups put", wire.Request{Method: http.MethodPut, Path: g.id, Query: networkVersion, JSON: g.wanted}); err != nil {
			return did, err
		}
		did = append(did, "made network security group "+lastPart(g.id))
	}
	for _, n := range open {
		if err := m.put(ctx, n, st.ours(n)); err != nil {
			return did, err
		}
		did = append(did, fmt.Sprintf("interface %s: its network security group is %s", lastPart(n.id), lastPart(st.ours(n))))
	}
	return did, nil
}

// put gives an interface a security group, or none, and leaves all else of it as it was read, unless
// somebody else changed it since: that is a 412. There is no call for the group alone:
// https://learn.microsoft.com/rest/api/virtualnetwork/network-interfaces/create-or-update
func (m *azureMachine) put(ctx context.Context, n nic, nsg string) error {
	body, err := n.with(nsg)
	if err != nil {
		return err
	}
	return m.change(ctx, "networkInterfaces put", wire.Request{Method: http.MethodPut, Path: n.id, Query: networkVersion, JSON: body, Header: http.Header{"If-Match": {n.etag}}})
}

// Restore implements platform.Wall.
func (m *azureMachine) Restore(ctx context.Context, inc string, was []incident.PlatformWas) (platform.Result, error) {
	var r platform.Result
	var failed error
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
		var open []string
		failed = nil
		for _, w := range was {
			stands, did, err := m.giveBack(ctx, st, w)
			if did != "" {
				r.Did = append(r.Did, did)
			}
			if failed = errors.Join(failed, err); !stands {
				open = append(open, w.String())
			}
		}
		if r.Left = open; len(open) == 0 {
			for _, w := range was {
				r.Proof = append(r.Proof, "as before: "+w.String())
			}
			r.Left = m.sweepUp(ctx, st)
			return r, nil
		}
		if armFinal(failed) {
			break
		}
	}
	return r, errors.Join(fmt.Errorf("%s: not all is as it was", m.Name()), failed)
}

// giveBack gives one interface back what it had, and reports whether it had that already.
func (m *azureMachine) giveBack(ctx context.Context, st azureStanding, w incident.PlatformWas) (stands bool, did string, err error) {
	had := ""
	if len(w.Was) > 0 {
		had = w.Was[0]
	}
	i := slices.IndexFunc(st.nics, func(n nic) bool { return strings.EqualFold(n.id, w.ID) })
	switch {
	case w.Kind != kindInterface || len(w.Was) > 1 || had != "" && !azureNSG.MatchString(had):
		return false, "", fmt.Errorf("Azure: nothing of Azure's: %s", w)
	case i < 0:
		return false, "", platform.Hinted{Err: fmt.Errorf("Azure: %s is none of the machine's any more", w.ID), Next: "give it its network security group back by hand"}
	case strings.EqualFold(st.nics[i].nsg, had):
		return st.nics[i].state == succeeded, "", nil
	}
	if err := m.put(ctx, st.nics[i], had); err != nil {
		return false, "", err
	}
	return false, "given back: " + w.String(), nil
}

// sweepUp deletes the groups that were made, and returns what could not be.
func (m *azureMachine) sweepUp(ctx context.Context, st azureStanding) (left []string) {
	for _, g := range st.groups {
		if !g.there {
			continue
		}
		err := m.change(ctx, "networkSecurityGroups delete", wire.Request{Method: http.MethodDelete, Path: g.id, Query: networkVersion})
		if err != nil && !isARM(err, http.StatusNotFound) {
			left = append(left, "network security group "+lastPart(g.id)+", which nothing uses: "+err.Error())
		}
	}
	return left
}
