package ec2fake

import (
	"encoding/xml"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// actions is what the fake knows, in the form of
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Operations.html
var actions = map[string]func(*Fake, url.Values) (string, *refusal){
	"DescribeInstances":               (*Fake).describeInstances,
	"DescribeNetworkInterfaces":       (*Fake).describeInterfaces,
	"ModifyNetworkInterfaceAttribute": (*Fake).modifyInterface,
	"DescribeSecurityGroups":          (*Fake).describeGroups,
	"DescribeSecurityGroupRules":      (*Fake).describeRules,
	"CreateSecurityGroup":             (*Fake).createGroup,
	"DeleteSecurityGroup":             (*Fake).deleteGroup,
	"RevokeSecurityGroupEgress":       (*Fake).revokeRules,
	"RevokeSecurityGroupIngress":      (*Fake).revokeRules,
	"AuthorizeSecurityGroupIngress":   (*Fake).authorize,
	"DescribeNetworkAcls":             (*Fake).describeACLs,
	"CreateNetworkAcl":                (*Fake).createACL,
	"DeleteNetworkAcl":                (*Fake).deleteACL,
	"CreateNetworkAclEntry":           (*Fake).createEntry,
	"DeleteNetworkAclEntry":           (*Fake).deleteEntry,
	"ReplaceNetworkAclAssociation":    (*Fake).replaceACL,
	"CreateSnapshots":                 (*Fake).createSnapshots,
	"DescribeSnapshots":               (*Fake).describeSnapshots,
}

const done = "<return>true</return>"

func element(name, text string) string {
	var out strings.Builder
	_ = xml.EscapeText(&out, []byte(text))
	return "<" + name + ">" + out.String() + "</" + name + ">"
}

func set(name string, items ...string) string {
	out := "<" + name + ">"
	for _, i := range items {
		out += "<item>" + i + "</item>"
	}
	return out + "</" + name + ">"
}

func tagSet(tags [][2]string) string {
	var items []string
	for _, t := range tags {
		items = append(items, element("key", t[0])+element("value", t[1]))
	}
	return set("tagSet", items...)
}

func missing(code, what, id string) *refusal {
	return &refusal{400, code, fmt.Sprintf("The %s '%s' does not exist", what, id)}
}

func (f *Fake) describeInstances(form url.Values) (string, *refusal) {
	var items []string
	for _, id := range list(form, "InstanceId") {
		i := f.instances[id]
		if i == nil {
			return "", &refusal{400, "InvalidInstanceID.NotFound", "The instance ID '" + id + "' does not exist"}
		}
		var enis, disks []string
		for _, e := range f.of(id) {
			enis = append(enis, f.interfaceXML(e))
		}
		for _, v := range i.volumes {
			disks = append(disks, element("deviceName", "/dev/xvda")+"<ebs>"+element("volumeId", v)+element("status", "attached")+"</ebs>")
		}
		text := element("instanceId", id) + "<instanceState><code>16</code>" + element("name", i.state) + "</instanceState>" +
			set("networkInterfaceSet", enis...) + set("blockDeviceMapping", disks...) + tagSet(i.tags)
		if i.role != "" {
			text += "<iamInstanceProfile>" + element("arn", i.role) + element("id", "AIPAEXAMPLE") + "</iamInstanceProfile>"
		}
		items = append(items, element("reservationId", "r-1234567890abcdef0")+element("ownerId", "123456789012")+set("instancesSet", text))
	}
	return set("reservationSet", items...), nil
}

func (f *Fake) interfaceXML(e *eni) string {
	if e.stale > 0 {
		if e.stale--; e.stale == 0 {
			e.shown = e.groups
		}
	}
	var groups []string
	for _, g := range e.shown {
		groups = append(groups, element("groupId", g)+element("groupName", f.groups[g].name))
	}
	return element("networkInterfaceId", e.id) + element("subnetId", e.subnet) + element("vpcId", e.vpc) + element("status", "in-use") +
		"<attachment>" + element("instanceId", e.instance) + element("status", "attached") + "</attachment>" + set("groupSet", groups...)
}

func (f *Fake) describeInterfaces(form url.Values) (string, *refusal) {
	var items []string
	for _, id := range slices.Sorted(maps.Keys(f.enis)) {
		e := f.enis[id]
		if wants(form, map[string]string{"subnet-id": e.subnet, "attachment.instance-id": e.instance}, nil) {
			items = append(items, f.interfaceXML(e))
		}
	}
	// One a page, so that whoever asks has to read on.
	at, _ := strconv.Atoi(form.Get("NextToken"))
	if at+1 < len(items) {
		return set("networkInterfaceSet", items[at]) + element("nextToken", strconv.Itoa(at+1)), nil
	}
	return set("networkInterfaceSet", items[min(at, len(items)):]...), nil
}

func (f *Fake) modifyInterface(form url.Values) (string, *refusal) {
	e := f.enis[form.Get("NetworkInterfaceId")]
	if e == nil {
		return "", missing("InvalidNetworkInterfaceID.NotFound", "networkInterface ID", form.Get("NetworkInterfaceId"))
	}
	groups := list(form, "SecurityGroupId")
	if len(groups) == 0 {
		return "", &refusal{400, "MissingParameter", "The request must contain exactly one attribute"}
	}
	for _, g := range groups {
		if f.groups[g] == nil || f.groups[g].vpc != e.vpc {
			return "", &refusal{400, "InvalidGroup.NotFound", "The security group '" + g + "' does not exist"}
		}
	}
	if slices.Equal(groups, e.groups) {
		return done, nil
	}
	if e.groups, e.stale = groups, f.Stale; e.stale == 0 {
		e.shown = groups
	}
	return done, nil
}

func (f *Fake) describeGroups(form url.Values) (string, *refusal) {
	var items []string
	for _, id := range slices.Sorted(maps.Keys(f.groups)) {
		g := f.groups[id]
		if wants(form, map[string]string{"group-name": g.name, "vpc-id": g.vpc}, g.tags) {
			items = append(items, element("ownerId", "123456789012")+element("groupId", id)+element("groupName", g.name)+element("vpcId", g.vpc)+tagSet(g.tags))
		}
	}
	return set("securityGroupInfo", items...), nil
}

func (f *Fake) describeRules(form url.Values) (string, *refusal) {
	var items []string
	for _, id := range slices.Sorted(maps.Keys(f.groups)) {
		if !wants(form, map[string]string{"group-id": id}, nil) {
			continue
		}
		for _, r := range f.groups[id].rules {
			items = append(items, ruleXML(id, r))
		}
	}
	return set("securityGroupRuleSet", items...), nil
}

func ruleXML(group string, r rule) string {
	field := "cidrIpv4"
	if r.cidr.Addr().Is6() {
		field = "cidrIpv6"
	}
	return element("securityGroupRuleId", r.id) + element("groupId", group) + element("isEgress", strconv.FormatBool(r.egress)) +
		element("ipProtocol", r.protocol) + element("fromPort", strconv.Itoa(r.from)) + element("toPort", strconv.Itoa(r.to)) + element(field, r.cidr.String())
}

func (f *Fake) createGroup(form url.Values) (string, *refusal) {
	name, vpc := form.Get("GroupName"), form.Get("VpcId")
	if name == "" || form.Get("GroupDescription") == "" || strings.HasPrefix(name, "sg-") || len(name) > 255 {
		return "", &refusal{400, "InvalidParameterValue", "Invalid security group name or description"}
	}
	for _, g := range f.groups {
		if g.name == name && g.vpc == vpc {
			return "", &refusal{400, "InvalidGroup.Duplicate", "The security group '" + name + "' already exists for VPC '" + vpc + "'"}
		}
	}
	g := f.newGroup(name, vpc)
	g.tags = tagsOf(form, "security-group")
	return done + element("groupId", g.id) + tagSet(g.tags), nil
}

func (f *Fake) deleteGroup(form url.Values) (string, *refusal) {
	id := form.Get("GroupId")
	if f.groups[id] == nil {
		return "", &refusal{400, "InvalidGroup.NotFound", "The security group '" + id + "' does not exist"}
	}
	for _, e := range f.enis {
		if slices.Contains(e.groups, id) {
			return "", &refusal{400, "DependencyViolation", "resource " + id + " has a dependent object"}
		}
	}
	delete(f.groups, id)
	return done + element("groupId", id), nil
}

func (f *Fake) revokeRules(form url.Values) (string, *refusal) {
	g := f.groups[form.Get("GroupId")]
	ids := list(form, "SecurityGroupRuleId")
	if g == nil || len(ids) == 0 {
		return "", &refusal{400, "InvalidGroup.NotFound", "The security group does not exist"}
	}
	egress := form.Get("Action") == "RevokeSecurityGroupEgress"
	before := len(g.rules)
	g.rules = slices.DeleteFunc(g.rules, func(r rule) bool { return r.egress == egress && slices.Contains(ids, r.id) })
	if before-len(g.rules) != len(ids) {
		return "", &refusal{400, "InvalidSecurityGroupRuleId.NotFound", "The security group rule ID does not exist"}
	}
	return done, nil
}

func (f *Fake) authorize(form url.Values) (string, *refusal) {
	g := f.groups[form.Get("GroupId")]
	if g == nil {
		return "", &refusal{400, "InvalidGroup.NotFound", "The security group does not exist"}
	}
	from, err := strconv.Atoi(form.Get("IpPermissions.1.FromPort"))
	to, err2 := strconv.Atoi(form.Get("IpPermissions.1.ToPort"))
	if err != nil || err2 != nil {
		return "", &refusal{400, "InvalidParameterValue", "Invalid port"}
	}
	var added []rule
	for _, at := range [][2]string{{"IpRanges", "CidrIp"}, {"Ipv6Ranges", "CidrIpv6"}} {
		for n := 1; form.Has(fmt.Sprintf("IpPermissions.1.%s.%d.%s", at[0], n, at[1])); n++ {
			p, err := netip.ParsePrefix(form.Get(fmt.Sprintf("IpPermissions.1.%s.%d.%s", at[0], n, at[1])))
			if err != nil || p.Addr().Is6() != (at[0] == "Ipv6Ranges") {
				return "", &refusal{400, "InvalidParameterValue", "CIDR block is malformed"}
			}
			added = append(added, rule{id: f.id("sgr"), protocol: form.Get("IpPermissions.1.IpProtocol"), cidr: p, from: from, to: to})
		}
	}
	for _, r := range added {
		if slices.ContainsFunc(g.rules, func(o rule) bool { return !o.egress && o.cidr == r.cidr && o.from == r.from && o.to == r.to }) {
			return "", &refusal{400, "InvalidPermission.Duplicate", "the specified rule already exists"}
		}
	}
	g.rules = append(g.rules, added...)
	return done, nil
}

func (f *Fake) describeACLs(form url.Values) (string, *refusal) {
	var items []string
	for _, id := range slices.Sorted(maps.Keys(f.acls)) {
		a := f.acls[id]
		subnets := strings.Join(slices.Sorted(maps.Keys(a.subnets)), " | ")
		if wants(form, map[string]string{"association.subnet-id": subnets, "vpc-id": a.vpc}, a.tags) {
			items = append(items, a.xml())
		}
	}
	return set("networkAclSet", items...), nil
}

func (a *acl) xml() string {
	var entries, associations []string
	for i, r := range a.entries {
		field, ports := "cidrBlock", ""
		if r.cidr.Addr().Is6() {
			field = "ipv6CidrBlock"
		}
		if r.protocol == "6" {
			ports = "<portRange>" + element("from", strconv.Itoa(r.from)) + element("to", strconv.Itoa(r.to)) + "</portRange>"
		}
		entries = append(entries, element("ruleNumber", strconv.Itoa(a.numbers[i]))+element("protocol", r.protocol)+element("ruleAction", "allow")+
			element("egress", strconv.FormatBool(r.egress))+element(field, r.cidr.String())+ports)
	}
	for _, egress := range []string{"true", "false"} {
		entries = append(entries, element("ruleNumber", "32767")+element("protocol", "-1")+element("ruleAction", "deny")+element("egress", egress)+element("cidrBlock", "0.0.0.0/0"))
	}
	for _, subnet := range slices.Sorted(maps.Keys(a.subnets)) {
		associations = append(associations, element("networkAclAssociationId", a.subnets[subnet])+element("networkAclId", a.id)+element("subnetId", subnet))
	}
	return element("networkAclId", a.id) + element("vpcId", a.vpc) + element("default", "false") + set("entrySet", entries...) + set("associationSet", associations...) + tagSet(a.tags)
}

func (f *Fake) createACL(form url.Values) (string, *refusal) {
	if form.Get("VpcId") == "" || len(form.Get("ClientToken")) > 64 {
		return "", &refusal{400, "InvalidParameterValue", "Invalid VPC or client token"}
	}
	a := f.newACL(form.Get("VpcId"))
	a.tags = tagsOf(form, "network-acl")
	return "<networkAcl>" + a.xml() + "</networkAcl>", nil
}

func (f *Fake) deleteACL(form url.Values) (string, *refusal) {
	a := f.acls[form.Get("NetworkAclId")]
	switch {
	case a == nil:
		return "", missing("InvalidNetworkAclID.NotFound", "networkAcl ID", form.Get("NetworkAclId"))
	case len(a.subnets) > 0:
		return "", &refusal{400, "DependencyViolation", "The networkAcl '" + a.id + "' has dependencies and cannot be deleted."}
	}
	delete(f.acls, a.id)
	return done, nil
}

func (f *Fake) createEntry(form url.Values) (string, *refusal) {
	a := f.acls[form.Get("NetworkAclId")]
	if a == nil {
		return "", missing("InvalidNetworkAclID.NotFound", "networkAcl ID", form.Get("NetworkAclId"))
	}
	p, err := netip.ParsePrefix(form.Get("CidrBlock") + form.Get("Ipv6CidrBlock"))
	number, err2 := strconv.Atoi(form.Get("RuleNumber"))
	from, err3 := strconv.Atoi(form.Get("PortRange.From"))
	to, err4 := strconv.Atoi(form.Get("PortRange.To"))
	egress, err5 := strconv.ParseBool(form.Get("Egress"))
	if err != nil || err2 != nil || err3 != nil || err4 != nil || err5 != nil || form.Get("Protocol") != "6" || form.Get("RuleAction") != "allow" || number < 1 || number > 32766 {
		return "", &refusal{400, "InvalidParameterValue", "Invalid entry"}
	}
	for i, r := range a.entries {
		if a.numbers[i] == number && r.egress == egress {
			return "", &refusal{400, "NetworkAclEntryAlreadyExists", "The network acl entry identified by " + form.Get("RuleNumber") + " already exists."}
		}
	}
	a.entries, a.numbers = append(a.entries, rule{protocol: "6", egress: egress, cidr: p, from: from, to: to}), append(a.numbers, number)
	return done, nil
}

func (f *Fake) deleteEntry(form url.Values) (string, *refusal) {
	a := f.acls[form.Get("NetworkAclId")]
	for i := range a.entries {
		if strconv.Itoa(a.numbers[i]) == form.Get("RuleNumber") && strconv.FormatBool(a.entries[i].egress) == form.Get("Egress") {
			a.entries, a.numbers = slices.Delete(a.entries, i, i+1), slices.Delete(a.numbers, i, i+1)
			return done, nil
		}
	}
	return "", &refusal{400, "InvalidNetworkAclEntry.NotFound", "The network acl entry does not exist"}
}

func (f *Fake) replaceACL(form url.Values) (string, *refusal) {
	to := f.acls[form.Get("NetworkAclId")]
	if to == nil {
		return "", missing("InvalidNetworkAclID.NotFound", "networkAcl ID", form.Get("NetworkAclId"))
	}
	for _, a := range f.acls {
		for subnet, association := range a.subnets {
			if association == form.Get("AssociationId") {
				delete(a.subnets, subnet)
				to.subnets[subnet] = f.id("aclassoc")
				return element("newAssociationId", to.subnets[subnet]), nil
			}
		}
	}
	return "", missing("InvalidAssociationID.NotFound", "association ID", form.Get("AssociationId"))
}

func (f *Fake) createSnapshots(form url.Values) (string, *refusal) {
	i := f.instances[form.Get("InstanceSpecification.InstanceId")]
	if i == nil {
		return "", missing("InvalidInstanceID.NotFound", "instance ID", form.Get("InstanceSpecification.InstanceId"))
	}
	var items []string
	for _, v := range i.volumes {
		s := &snapshot{id: f.id("snap"), volume: v, tags: tagsOf(form, "snapshot"), began: f.clock.Now()}
		f.snapshots = append(f.snapshots, s)
		items = append(items, f.snapshotXML(s, "state"))
	}
	return set("snapshotSet", items...), nil
}

func (f *Fake) snapshotXML(s *snapshot, field string) string {
	state, progress := "pending", "37%"
	if f.clock.Now().Sub(s.began) >= f.Copying {
		state, progress = "completed", "100%"
		if f.FailCopy {
			state = "error"
		}
	}
	return element("snapshotId", s.id) + element("volumeId", s.volume) + element(field, state) + element("progress", progress) +
		element("startTime", s.began.UTC().Format(time.RFC3339)) + element("volumeSize", "8") + element("encrypted", "true") + tagSet(s.tags)
}

func (f *Fake) describeSnapshots(form url.Values) (string, *refusal) {
	var items []string
	for _, s := range f.snapshots {
		if form.Get("Owner.1") == "self" && wants(form, nil, s.tags) {
			items = append(items, f.snapshotXML(s, "status"))
		}
	}
	return set("snapshotSet", items...), nil
}
