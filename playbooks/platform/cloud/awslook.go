package cloud

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"clawback/forensics/incident"
	"clawback/playbooks/platform"
)

// Kinds of what an isolation at AWS replaces.
const (
	kindInterface = "interface"
	kindSubnet    = "subnet"
)

// standing is what AWS says of the instance and of the walls around it.
type standing struct {
	enis    []eni
	subnets []subnet
	groups  map[string]group // ours, by VPC
	acls    map[string]acl   // likewise
	scaling string           // the Auto Scaling group that may replace the instance
	role    string           // the instance profile, which gives it credentials
}

type eni struct {
	ID     string `xml:"networkInterfaceId"`
	Subnet string `xml:"subnetId"`
	VPC    string `xml:"vpcId"`
	Groups []struct {
		ID string `xml:"groupId"`
	} `xml:"groupSet>item"`
}

func (e eni) groupIDs() (ids []string) {
	for _, g := range e.Groups {
		ids = append(ids, g.ID)
	}
	return ids
}

// subnet is a subnet that the instance has an interface in.
type subnet struct {
	ID, VPC     string
	ACL         string
	Association string // of the ACL, which is what is replaced
	Others      int    // interfaces in it that are in use and not the instance's
}

// place is one thing that is not isolated yet: an interface, a subnet, or a VPC's group or ACL that
// has not the rules that it should have.
type place struct {
	vpc    string
	eni    *eni
	subnet *subnet
}

// look asks AWS for all of it. It changes nothing.
func (m *machine) look(ctx context.Context, inc string) (standing, error) {
	st := standing{groups: make(map[string]group), acls: make(map[string]acl)}
	if err := m.lookInstance(ctx, &st); err != nil {
		return st, err
	}
	for _, vpc := range st.vpcs() {
		var err error
		if st.groups[vpc], err = m.findGroup(ctx, inc, vpc); err != nil {
			return st, err
		}
		if st.acls[vpc], err = m.findACL(ctx, inc, vpc); err != nil {
			return st, err
		}
	}
	for _, e := range st.enis {
		if slices.ContainsFunc(st.subnets, func(s subnet) bool { return s.ID == e.Subnet }) {
			continue
		}
		s, err := m.lookSubnet(ctx, e)
		if err != nil {
			return st, err
		}
		st.subnets = append(st.subnets, s)
	}
	return st, nil
}

func (st standing) vpcs() []string {
	seen := make(map[string]bool)
	for _, e := range st.enis {
		seen[e.VPC] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

type describeInstances struct {
	Next      string `xml:"nextToken"`
	Instances []struct {
		ID    string `xml:"instanceId"`
		State string `xml:"instanceState>name"`
		Role  string `xml:"iamInstanceProfile>arn"`
		ENIs  []eni  `xml:"networkInterfaceSet>item"`
		Tags  []tag  `xml:"tagSet>item"`
		Disks []struct {
			Volume string `xml:"ebs>volumeId"`
		} `xml:"blockDeviceMapping>item"`
	} `xml:"reservationSet>item>instancesSet>item"`
}

func (d *describeInstances) next() string { return d.Next }

type tag struct {
	Key   string `xml:"key"`
	Value string `xml:"value"`
}

// describe asks for the instance itself.
func (m *machine) describe(ctx context.Context) (describeInstances, error) {
	var d describeInstances
	if err := m.call(ctx, "DescribeInstances", numbered(filters(), "InstanceId", []string{m.Instance}), &d); err != nil {
		return d, err
	}
	if len(d.Instances) != 1 || d.Instances[0].ID != m.Instance {
		return d, &apiError{action: "DescribeInstances", text: "the answer is about another instance"}
	}
	return d, nil
}

func (m *machine) lookInstance(ctx context.Context, st *standing) error {
	d, err := m.describe(ctx)
	if err != nil {
		return err
	}
	i := d.Instances[0]
	st.enis, st.role = i.ENIs, i.Role
	if len(st.enis) == 0 {
		return platform.Hinted{Err: fmt.Errorf("%s is %s and has no network interface", m.Name(), i.State),
			Next: "see whether the configuration names the right instance; one that was terminated is gone with its disks"}
	}
	for _, t := range i.Tags {
		// https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-tagging.html
		if t.Key == "aws:autoscaling:groupName" {
			st.scaling = t.Value
		}
	}
	return nil
}

type describeInterfaces struct {
	Next string `xml:"nextToken"`
	List []struct {
		ID       string `xml:"networkInterfaceId"`
		Status   string `xml:"status"`
		Instance string `xml:"attachment>instanceId"`
	} `xml:"networkInterfaceSet>item"`
}

func (d *describeInterfaces) next() string { return d.Next }

type describeACLs struct {
	Next string `xml:"nextToken"`
	List []acl  `xml:"networkAclSet>item"`
}

func (d *describeACLs) next() string { return d.Next }

// lookSubnet asks for the ACL of an interface's subnet, and who else is in there.
func (m *machine) lookSubnet(ctx context.Context, e eni) (subnet, error) {
	s := subnet{ID: e.Subnet, VPC: e.VPC}
	err := pages(ctx, m.ec2, "DescribeNetworkAcls", filters("association.subnet-id", e.Subnet), func(d *describeACLs) {
		for _, a := range d.List {
			for _, with := range a.Associations {
				if with.Subnet == e.Subnet {
					s.ACL, s.Association = a.ID, with.ID
				}
			}
		}
	})
	if err != nil {
		return s, err
	}
	err = pages(ctx, m.ec2, "DescribeNetworkInterfaces", filters("subnet-id", e.Subnet), func(d *describeInterfaces) {
		for _, other := range d.List {
			if other.Status == "in-use" && other.Instance != m.Instance {
				s.Others++
			}
		}
	})
	return s, err
}

// shuttable reports whether a subnet's ACL is replaced: it hits all that is in there.
func (s subnet) shuttable(whole bool) bool { return s.Association != "" && (whole || s.Others == 0) }

// open lists what is not isolated yet.
func (st standing) open(whole bool) (todo []place) {
	for _, vpc := range st.vpcs() {
		if g := st.groups[vpc]; g.ID != "" && !g.right {
			todo = append(todo, place{vpc: vpc})
		}
		if a := st.acls[vpc]; a.ID != "" && !a.right {
			todo = append(todo, place{vpc: vpc, subnet: &subnet{}})
		}
	}
	for i, e := range st.enis {
		if g := st.groups[e.VPC].ID; g == "" || !slices.Equal(e.groupIDs(), []string{g}) {
			todo = append(todo, place{vpc: e.VPC, eni: &st.enis[i]})
		}
	}
	for i, s := range st.subnets {
		if a := st.acls[s.VPC].ID; s.shuttable(whole) && (a == "" || s.ACL != a) {
			todo = append(todo, place{vpc: s.VPC, subnet: &st.subnets[i]})
		}
	}
	return todo
}

// was is what the changes replace.
func (st standing) was(todo []place) (was []incident.PlatformWas) {
	for _, p := range todo {
		switch {
		case p.eni != nil:
			was = append(was, incident.PlatformWas{Kind: kindInterface, ID: p.eni.ID, Was: p.eni.groupIDs()})
		case p.subnet != nil && p.subnet.ID != "":
			was = append(was, incident.PlatformWas{Kind: kindSubnet, ID: p.subnet.ID, Was: []string{p.subnet.ACL}})
		}
	}
	return was
}

// proof is what AWS showed of an isolation that stands.
func (st standing) proof() (proof []string) {
	for _, e := range st.enis {
		proof = append(proof, fmt.Sprintf("DescribeInstances: interface %s has the security group %s alone", e.ID, st.groups[e.VPC].ID))
	}
	for _, vpc := range st.vpcs() {
		proof = append(proof, fmt.Sprintf("DescribeSecurityGroupRules: %s lets in the desk's SSH alone, and nothing out", st.groups[vpc].ID))
	}
	for _, s := range st.subnets {
		if a := st.acls[s.VPC]; a.ID != "" && s.ACL == a.ID {
			proof = append(proof, fmt.Sprintf("DescribeNetworkAcls: subnet %s has the network ACL %s, which lets the desk's SSH through and nothing else", s.ID, a.ID))
		}
	}
	return proof
}

// left is what AWS goes on letting through, and what may undo the isolation or destroy evidence.
func (st standing) left(whole bool) (left []string) {
	for _, s := range st.subnets {
		if !s.shuttable(whole) {
			left = append(left, fmt.Sprintf("connections that were open stay until they end: only a network ACL cuts them, and %d other interfaces are in subnet %s; whole_subnet: true in the configuration cuts them all", s.Others, s.ID))
		}
	}
	// Neither groups nor ACLs filter these: https://docs.aws.amazon.com/vpc/latest/userguide/vpc-network-acls.html
	left = append(left, "names are still resolved by the VPC's own DNS, which is a way out: block them in Route 53 Resolver DNS Firewall")
	if st.role != "" {
		left = append(left, "the metadata service still gives it credentials of "+lastPart(st.role)+": their role is a credential to end")
	}
	if st.scaling != "" {
		left = append(left, "Auto Scaling group "+st.scaling+" may find it unhealthy, end it and lose its disks: put it into standby or detach it there")
	}
	return left
}

func lastPart(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }
