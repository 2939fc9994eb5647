// Package cloud cuts a machine off at its cloud and keeps copies of its disks there.
package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"clawback/forensics/incident"
	"clawback/playbooks/platform"
	"clawback/revoke"
)

// AWS is one EC2 instance, by the desk's configuration. What its host says is not asked.
type AWS struct {
	Instance string         // "i-0a1b2c3d4e5f67890"
	Region   string         // "eu-west-1"
	From     []netip.Prefix // the desk's addresses as the instance sees them: the way in that stays
	Port     uint16         // of SSH; 0 means 22
	// WholeSubnet lets the isolation cut off a subnet in which other machines are too.
	WholeSubnet bool
}

// The forms of the names: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/resource-ids.html
var (
	instanceID = regexp.MustCompile(`\Ai-[0-9a-f]{8,17}\z`)
	regionName = regexp.MustCompile(`\A[a-z]{2}(-[a-z]+)+-[0-9]{1,2}\z`)
)

// maxFrom bounds the addresses that are let in: a security group takes 60 rules by default.
const maxFrom = 16

// Check says what is wrong with it, or nil.
func (a AWS) Check() error {
	switch {
	case !instanceID.MatchString(a.Instance):
		return fmt.Errorf("instance %q is no i-…", a.Instance)
	case !regionName.MatchString(a.Region):
		return fmt.Errorf("region %q is none of AWS's", a.Region)
	}
	return checkFrom(a.From)
}

// checkFrom wants a way in that is one.
func checkFrom(from []netip.Prefix) error {
	if len(from) == 0 || len(from) > maxFrom {
		return fmt.Errorf("from: between 1 and %d addresses of the desk, since without a way in the machine can be neither captured nor stopped", maxFrom)
	}
	for _, p := range from {
		if p.Bits() < 8 || p != p.Masked() {
			return fmt.Errorf("from: %s is no network of a size that leaves anything cut off", p)
		}
	}
	return nil
}

const (
	rounds     = 12              // of looking and changing, until what was asked for shows
	roundPause = 2 * time.Second // EC2 is eventually consistent
	tagName    = "clawback-incident"
	tagMachine = "clawback-machine"
	ruleBase   = 100 // numbers of the entries that let the desk in
)

// machine is an AWS instance that can be cut off.
type machine struct {
	AWS
	*ec2
}

var (
	_ platform.Wall  = (*machine)(nil)
	_ platform.Disks = (*machine)(nil)
)

// NewAWS returns what cuts the instance off. The environment's authority is the responder's.
func NewAWS(a AWS, env revoke.Env) (interface {
	platform.Wall
	platform.Disks
}, error) {
	if a.Port == 0 {
		a.Port = 22
	}
	if env.HTTP == nil || env.Authority == nil || env.Sleep == nil || env.Now == nil {
		return nil, errors.New("aws: no client, authority or clock given")
	}
	return &machine{AWS: a, ec2: &ec2{env: env, region: a.Region}}, a.Check()
}

func (m *machine) Name() string { return "AWS instance " + m.Instance + " in " + m.Region }

func (m *machine) Will() []string {
	will := []string{"put every network interface of " + m.Instance + " into a security group of its own, which lets in SSH from " + m.desk() + " alone and nothing out"}
	if m.WholeSubnet {
		return append(will, "give its subnet, WITH ALL MACHINES IN IT, a network ACL that lets nothing else through: that cuts open connections too")
	}
	return append(will, "give its subnet, if no other machine is in it, a network ACL that lets nothing else through: that cuts open connections too")
}

func (m *machine) desk() string {
	var all []string
	for _, p := range m.From {
		all = append(all, p.String())
	}
	return strings.Join(all, ", ")
}

// Isolate implements platform.Wall. A security group does not end the connections that it tracks, a
// network ACL does: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/security-group-connection-tracking.html
// An ACL belongs to a whole subnet, and its rules name the far end alone, so that it cannot single out
// one machine: https://docs.aws.amazon.com/vpc/latest/userguide/nacl-rules.html
func (m *machine) Isolate(ctx context.Context, o platform.Order) (platform.Result, error) {
	var r platform.Result
	var failed error
	recorded := make(map[string]bool)
	for round := range rounds {
		if round > 0 {
			if err := m.env.Sleep(ctx, roundPause); err != nil {
				return r, errors.Join(fmt.Errorf("%s: not seen isolated: %w", m.Name(), err), failed)
			}
		}
		st, err := m.look(ctx, o.Incident)
		if err != nil {
			if round == 0 || final(err) {
				return r, err
			}
			failed = err
			continue
		}
		todo := st.open(m.WholeSubnet)
		if len(todo) == 0 {
			r.Proof, r.Left = st.proof(), st.left(m.WholeSubnet)
			return r, nil
		}
		fresh := slices.DeleteFunc(st.was(todo), func(w incident.PlatformWas) bool { return recorded[w.ID] })
		if len(fresh) > 0 || round == 0 {
			if err := o.Intent(fresh); err != nil {
				return r, err
			}
		}
		for _, w := range fresh {
			recorded[w.ID] = true
		}
		// Whatever this ends with, and whoever interrupts it: how it is shows at the next look.
		did, err := m.shut(context.WithoutCancel(ctx), o.Incident, st, todo)
		r.Did = append(r.Did, did...)
		if failed = err; final(err) {
			return r, err
		}
	}
	return r, errors.Join(fmt.Errorf("%s: not seen isolated after %d looks", m.Name(), rounds), failed)
}

// final reports whether asking again changes nothing: AWS itself said that this may not be done.
func final(err error) bool {
	var hinted platform.Hinted
	return errors.As(err, &hinted) || isCode(err, "UnauthorizedOperation", "AuthFailure", "InvalidClientTokenId", "SignatureDoesNotMatch", "OptInRequired",
		"Blocked", "InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed", "SecurityGroupLimitExceeded", "RulesPerSecurityGroupLimitExceeded", "NetworkAclLimitExceeded")
}

// shut makes the changes of one round, and returns what it did.
func (m *machine) shut(ctx context.Context, inc string, st standing, todo []place) (did []string, err error) {
	groups, acls := make(map[string]string), make(map[string]string)
	for _, p := range todo {
		if p.subnet == nil {
			if groups[p.vpc] == "" {
				if groups[p.vpc], err = m.group(ctx, inc, p.vpc, st.groups[p.vpc], &did); err != nil {
					return did, err
				}
			}
			if p.eni == nil {
				continue // the group alone was not as it should be
			}
			params := numbered(url.Values{"NetworkInterfaceId": {p.eni.ID}}, "SecurityGroupId", []string{groups[p.vpc]})
			if err := m.call(ctx, "ModifyNetworkInterfaceAttribute", params, nil); err != nil {
				return did, err
			}
			did = append(did, fmt.Sprintf("interface %s: its security groups are %s alone", p.eni.ID, groups[p.vpc]))
			continue
		}
		if acls[p.vpc] == "" {
			if acls[p.vpc], err = m.acl(ctx, inc, p.vpc, st.acls[p.vpc], &did); err != nil {
				return did, err
			}
		}
		if p.subnet.Association == "" {
			continue
		}
		params := url.Values{"AssociationId": {p.subnet.Association}, "NetworkAclId": {acls[p.vpc]}}
		if err := m.call(ctx, "ReplaceNetworkAclAssociation", params, nil); err != nil {
			return did, err
		}
		did = append(did, fmt.Sprintf("subnet %s: its network ACL is %s", p.subnet.ID, acls[p.vpc]))
	}
	return did, nil
}

// Restore implements platform.Wall.
func (m *machine) Restore(ctx context.Context, inc string, was []incident.PlatformWas) (platform.Result, error) {
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
			stands, did, err := m.giveBack(context.WithoutCancel(ctx), st, w)
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
		if final(failed) || isCode(failed, "InvalidGroup.NotFound", "InvalidNetworkAclID.NotFound") {
			break
		}
	}
	return r, errors.Join(fmt.Errorf("%s: not all is as it was", m.Name()), failed)
}

// giveBack gives one thing back what it had, and reports whether it had that already.
func (m *machine) giveBack(ctx context.Context, st standing, w incident.PlatformWas) (stands bool, did string, err error) {
	switch w.Kind {
	case kindInterface:
		i := slices.IndexFunc(st.enis, func(e eni) bool { return e.ID == w.ID })
		if i < 0 {
			return true, "", nil // it is gone, and its rules with it
		}
		if sameSet(st.enis[i].groupIDs(), w.Was) {
			return true, "", nil
		}
		params := numbered(url.Values{"NetworkInterfaceId": {w.ID}}, "SecurityGroupId", w.Was)
		err = m.call(ctx, "ModifyNetworkInterfaceAttribute", params, nil)
	case kindSubnet:
		i := slices.IndexFunc(st.subnets, func(s subnet) bool { return s.ID == w.ID })
		if i < 0 || len(w.Was) != 1 {
			return false, "", fmt.Errorf("AWS: subnet %s is none of the machine's any more: give it its network ACL back by hand", w.ID)
		}
		if st.subnets[i].ACL == w.Was[0] {
			return true, "", nil
		}
		err = m.call(ctx, "ReplaceNetworkAclAssociation", url.Values{"AssociationId": {st.subnets[i].Association}, "NetworkAclId": w.Was}, nil)
	default:
		return false, "", fmt.Errorf("AWS: nothing of AWS's: %s", w.Kind)
	}
	if err != nil {
		return false, "", err
	}
	return false, "given back: " + w.String(), nil
}

// sweepUp deletes the group and the ACL that were made, and returns what could not be.
func (m *machine) sweepUp(ctx context.Context, st standing) (left []string) {
	for _, vpc := range st.vpcs() {
		if g := st.groups[vpc].ID; g != "" {
			if err := m.call(ctx, "DeleteSecurityGroup", url.Values{"GroupId": {g}}, nil); err != nil && !isCode(err, "InvalidGroup.NotFound") {
				left = append(left, "security group "+g+", which nothing uses: "+err.Error())
			}
		}
		if a := st.acls[vpc].ID; a != "" {
			if err := m.call(ctx, "DeleteNetworkAcl", url.Values{"NetworkAclId": {a}}, nil); err != nil && !isCode(err, "InvalidNetworkAclID.NotFound") {
				left = append(left, "network ACL "+a+", which nothing uses: "+err.Error())
			}
		}
	}
	return left
}

func sameSet(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}
