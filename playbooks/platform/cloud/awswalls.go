package cloud

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
)

// label names what an isolation makes, one for each incident and machine.
func (m *machine) label(inc string) string { return "clawback " + inc + " " + m.Instance }

func (m *machine) tags(inc string) [][2]string {
	return [][2]string{{"Name", m.label(inc)}, {tagName, inc}, {tagMachine, m.Instance}}
}

// group is the security group of an isolation; its ID is "" where there is none yet.
type group struct {
	ID    string
	right bool // it has the rules that it should have
	extra map[bool][]string
	lacks []netip.Prefix
}

type describeGroups struct {
	Next string `xml:"nextToken"`
	List []struct {
		ID string `xml:"groupId"`
	} `xml:"securityGroupInfo>item"`
}

func (d *describeGroups) next() string { return d.Next }

type describeRules struct {
	Next string `xml:"nextToken"`
	List []struct {
		ID       string `xml:"securityGroupRuleId"`
		Egress   bool   `xml:"isEgress"`
		Protocol string `xml:"ipProtocol"`
		From     int    `xml:"fromPort"`
		To       int    `xml:"toPort"`
		IPv4     string `xml:"cidrIpv4"`
		IPv6     string `xml:"cidrIpv6"`
	} `xml:"securityGroupRuleSet>item"`
}

func (d *describeRules) next() string { return d.Next }

// findGroup looks for the group of this incident in a VPC, by its name, which is unique there:
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html
func (m *machine) findGroup(ctx context.Context, inc, vpc string) (group, error) {
	var g group
	err := pages(ctx, m.ec2, "DescribeSecurityGroups", filters("group-name", m.label(inc), "vpc-id", vpc), func(d *describeGroups) {
		for _, found := range d.List {
			g.ID = found.ID
		}
	})
	if err != nil || g.ID == "" {
		return g, err
	}
	return m.groupRules(ctx, g.ID)
}

// groupRules compares a group's rules with what they should be: the desk's SSH in, nothing out.
func (m *machine) groupRules(ctx context.Context, id string) (group, error) {
	g := group{ID: id, extra: make(map[bool][]string), lacks: slices.Clone(m.From)}
	err := pages(ctx, m.ec2, "DescribeSecurityGroupRules", filters("group-id", id), func(d *describeRules) {
		for _, r := range d.List {
			at, err := netip.ParsePrefix(r.IPv4 + r.IPv6)
			port := int(m.Port)
			wanted := !r.Egress && err == nil && slices.Contains(m.From, at) && r.Protocol == "tcp" && r.From == port && r.To == port
			if wanted {
				g.lacks = slices.DeleteFunc(g.lacks, func(p netip.Prefix) bool { return p == at })
			} else {
				g.extra[r.Egress] = append(g.extra[r.Egress], r.ID)
			}
		}
	})
	g.right = err == nil && len(g.lacks) == 0 && len(g.extra) == 0
	return g, err
}

// group makes the group of a VPC what it should be, from nothing where there is none: a new one lets
// everything out. It returns its id.
func (m *machine) group(ctx context.Context, inc, vpc string, g group, did *[]string) (string, error) {
	if g.ID == "" {
		var made struct {
			ID string `xml:"groupId"`
		}
		params := tagged(url.Values{"GroupName": {m.label(inc)}, "GroupDescription": {"Isolation by clawback"}, "VpcId": {vpc}}, "security-group", m.tags(inc))
		if err := m.call(ctx, "CreateSecurityGroup", params, &made); err != nil {
			return "", err
		}
		*did = append(*did, "made security group "+made.ID)
		var err error
		if g, err = m.groupRules(ctx, made.ID); err != nil {
			return "", err
		}
	}
	for _, egress := range []bool{true, false} {
		action := map[bool]string{true: "RevokeSecurityGroupEgress", false: "RevokeSecurityGroupIngress"}[egress]
		if extra := g.extra[egress]; len(extra) > 0 {
			if err := m.call(ctx, action, numbered(url.Values{"GroupId": {g.ID}}, "SecurityGroupRuleId", extra), nil); err != nil {
				return "", err
			}
		}
	}
	if len(g.lacks) == 0 {
		return g.ID, nil
	}
	params := url.Values{"GroupId": {g.ID}, "IpPermissions.1.IpProtocol": {"tcp"},
		"IpPermissions.1.FromPort": {strconv.Itoa(int(m.Port))}, "IpPermissions.1.ToPort": {strconv.Itoa(int(m.Port))}}
	of := map[string]int{}
	for _, p := range g.lacks {
		list, field := "IpRanges", "CidrIp"
		if p.Addr().Is6() {
			list, field = "Ipv6Ranges", "CidrIpv6"
		}
		of[list]++
		params.Set(fmt.Sprintf("IpPermissions.1.%s.%d.%s", list, of[list], field), p.String())
	}
	if err := m.call(ctx, "AuthorizeSecurityGroupIngress", params, nil); err != nil && !isCode(err, "InvalidPermission.Duplicate") {
		return "", err
	}
	return g.ID, nil
}

// acl is a network ACL; its ID is "" where there is none.
type acl struct {
	ID           string `xml:"networkAclId"`
	Associations []struct {
		ID     string `xml:"networkAclAssociationId"`
		Subnet string `xml:"subnetId"`
	} `xml:"associationSet>item"`
	Entries []entry `xml:"entrySet>item"`

	right bool // it has the entries that it should have
}

// entry is one rule of an ACL. The last, 32767, denies what no other allows and cannot be changed:
// https://docs.aws.amazon.com/vpc/latest/userguide/nacl-rules.html
type entry struct {
	Number   int    `xml:"ruleNumber"`
	Protocol string `xml:"protocol"`
	Action   string `xml:"ruleAction"`
	Egress   bool   `xml:"egress"`
	IPv4     string `xml:"cidrBlock"`
	IPv6     string `xml:"ipv6CidrBlock"`
	From     int    `xml:"portRange>from"`
	To       int    `xml:"portRange>to"`
}

// entries are what an isolation's ACL should have: the desk's SSH in, and the answers to it out. ACLs
// keep no state, and clients use ports from 1024 on:
// https://docs.aws.amazon.com/vpc/latest/userguide/custom-network-acl.html#nacl-ephemeral-ports
func (m *machine) entries() (want []entry) {
	for i, p := range m.From {
		in := entry{Number: ruleBase + i, Protocol: "6", Action: "allow", From: int(m.Port), To: int(m.Port)}
		out := entry{Number: ruleBase + i, Protocol: "6", Action: "allow", Egress: true, From: 1024, To: 65535}
		if p.Addr().Is6() {
			in.IPv6, out.IPv6 = p.String(), p.String()
		} else {
			in.IPv4, out.IPv4 = p.String(), p.String()
		}
		want = append(want, in, out)
	}
	return want
}

// findACL looks for the ACL of this incident in a VPC.
func (m *machine) findACL(ctx context.Context, inc, vpc string) (acl, error) {
	var found acl
	params := filters("tag:"+tagName, inc, "tag:"+tagMachine, m.Instance, "vpc-id", vpc)
	err := pages(ctx, m.ec2, "DescribeNetworkAcls", params, func(d *describeACLs) {
		for _, a := range d.List {
			if found.ID == "" {
				found = a
			}
		}
	})
	missing, extra := m.differ(found)
	found.right = len(missing) == 0 && len(extra) == 0
	return found, err
}

// differ compares the entries of an ACL with what they should be.
func (m *machine) differ(a acl) (missing, extra []entry) {
	want := m.entries()
	for _, e := range want {
		if !slices.Contains(a.Entries, e) {
			missing = append(missing, e)
		}
	}
	for _, e := range a.Entries {
		if e.Action != "deny" && !slices.Contains(want, e) {
			extra = append(extra, e)
		}
	}
	return missing, extra
}

// acl makes the ACL of a VPC what it should be, from nothing where there is none: a new one lets
// nothing through. It returns its id.
func (m *machine) acl(ctx context.Context, inc, vpc string, a acl, did *[]string) (string, error) {
	if a.ID == "" {
		var made struct {
			ACL acl `xml:"networkAcl"`
		}
		token := sha256.Sum256([]byte(m.label(inc) + " " + vpc)) // of 64 characters at most
		params := tagged(url.Values{"VpcId": {vpc}, "ClientToken": {hex.EncodeToString(token[:])}}, "network-acl", m.tags(inc))
		if err := m.call(ctx, "CreateNetworkAcl", params, &made); err != nil {
			return "", err
		}
		a = made.ACL
		*did = append(*did, "made network ACL "+a.ID)
	}
	missing, extra := m.differ(a)
	for _, e := range extra {
		params := url.Values{"NetworkAclId": {a.ID}, "RuleNumber": {strconv.Itoa(e.Number)}, "Egress": {strconv.FormatBool(e.Egress)}}
		if err := m.call(ctx, "DeleteNetworkAclEntry", params, nil); err != nil && !isCode(err, "InvalidNetworkAclEntry.NotFound") {
			return "", err
		}
	}
	for _, e := range missing {
		params := url.Values{"NetworkAclId": {a.ID}, "RuleNumber": {strconv.Itoa(e.Number)}, "Egress": {strconv.FormatBool(e.Egress)},
			"Protocol": {e.Protocol}, "RuleAction": {e.Action}, "PortRange.From": {strconv.Itoa(e.From)}, "PortRange.To": {strconv.Itoa(e.To)}}
		if e.IPv6 != "" {
			params.Set("Ipv6CidrBlock", e.IPv6)
		} else {
			params.Set("CidrBlock", e.IPv4)
		}
		if err := m.call(ctx, "CreateNetworkAclEntry", params, nil); err != nil && !isCode(err, "NetworkAclEntryAlreadyExists") {
			return "", err
		}
	}
	return a.ID, nil
}
