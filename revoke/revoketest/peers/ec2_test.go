package peers

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"clawback/forensics/incident"
	"clawback/playbooks/platform"
	"clawback/playbooks/platform/cloud"
	"clawback/playbooks/platform/cloud/ec2fake"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// exchange is what was asked of EC2 and answered.
type exchange struct {
	form   url.Values
	resp   *http.Response
	answer []byte
}

// listener keeps every exchange.
type listener struct {
	next http.RoundTripper
	all  []exchange
}

func (l *listener) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	resp, err := l.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(answer))
	form, err := url.ParseQuery(string(body))
	l.all = append(l.all, exchange{form, resp, answer})
	return resp, err
}

// said is a transport that keeps what the SDK asks, and answers what was answered before.
type said struct {
	exchange
	asked url.Values
}

func (s *said) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		s.asked, err = url.ParseQuery(string(body))
	}
	again := *s.resp
	again.Body, again.Request = io.NopCloser(bytes.NewReader(s.answer)), r
	return &again, err
}

// Each request for an isolation and its undoing is, parameter by parameter, what the SDK makes of the
// same wish by AWS's own model, and the SDK reads each answer of the fake as ours is read.
func TestEC2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := ec2fake.New(fake.Wall{}, "AKIA"+rand.Text()[:16], rand.Text())
		net := fake.NewNetwork()
		net.Handle("ec2."+ec2fake.Region+".amazonaws.com", f)
		defer net.Close()
		instance := f.AddInstance(f.AddSubnet(), 2, f.AddGroup("web", 22))
		l := &listener{next: net.Transport()}
		env := revoke.Env{HTTP: revoke.NewClient(l), Sleep: fake.Wall{}.Sleep, Now: time.Now,
			Authority: func(context.Context) (revoke.Authority, error) {
				return revoke.Authority{Secret: credential.NewSecret(map[string]string{"access_key_id": f.KeyID, "secret_access_key": f.Secret})}, nil
			}}
		m, err := cloud.NewAWS(cloud.AWS{Instance: instance, Region: ec2fake.Region,
			From: []netip.Prefix{netip.MustParsePrefix("203.0.113.7/32"), netip.MustParsePrefix("2001:db8::7/128")}}, env)
		if err != nil {
			t.Fatal(err)
		}
		var was []incident.PlatformWas
		order := platform.Order{Incident: "INC-1", Intent: func(w []incident.PlatformWas) error { was = append(was, w...); return nil }}
		if _, err := m.Isolate(t.Context(), order); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Snapshot(t.Context(), "INC-1", func([]string) error { return nil }); err != nil {
			t.Fatal(err)
		}
		f.AddGroup("clawback INC-2 "+instance, 4444) // with a rule in that has to go
		order = platform.Order{Incident: "INC-2", Intent: func([]incident.PlatformWas) error { return nil }}
		if _, err := m.Isolate(t.Context(), order); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Restore(t.Context(), "INC-1", was); err != nil {
			t.Fatal(err)
		}
		f.Denied["DescribeInstances"] = true
		if _, err := m.Isolate(t.Context(), order); err == nil {
			t.Fatal("it was refused")
		}
		seen := make(map[string]bool)
		for _, e := range l.all {
			if err := modelledEC2(t.Context(), e); err != nil {
				t.Errorf("%s: %v", e.form.Get("Action"), err)
			}
			seen[e.form.Get("Action")] = true
		}
		if len(seen) != 17 {
			t.Errorf("of the fake's actions these were held against the model: %v", seen)
		}
	})
}

func modelledEC2(ctx context.Context, e exchange) error {
	wire := &said{exchange: e}
	api := ec2.New(ec2.Options{Region: ec2fake.Region, HTTPClient: &http.Client{Transport: wire}, Retryer: sdk.NopRetryer{},
		Credentials: sdk.CredentialsProviderFunc(func(context.Context) (sdk.Credentials, error) {
			return sdk.Credentials{AccessKeyID: "AKIA", SecretAccessKey: "-"}, nil
		})})
	out, err := wish(ctx, api, e.form)
	if !reflect.DeepEqual(wire.asked, e.form) {
		return fmt.Errorf("asked %v, and the SDK would ask %v", e.form, wire.asked)
	}
	if e.resp.StatusCode != http.StatusOK {
		var refused interface{ ErrorCode() string }
		if !errors.As(err, &refused) || refused.ErrorCode() != "UnauthorizedOperation" {
			return fmt.Errorf("the SDK does not read the refusal: %v", err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("the SDK does not read the answer: %w", err)
	}
	return readByBoth(out, string(e.answer))
}

// readByBoth wants what clawback reads of an answer to be where the SDK reads it too.
func readByBoth(out any, answer string) error {
	text := fmt.Sprintf("%+v", flat(reflect.ValueOf(out)))
	for _, element := range []string{"networkInterfaceId", "subnetId", "vpcId", "groupId", "securityGroupRuleId", "ipProtocol", "cidrIpv4", "cidrIpv6",
		"networkAclId", "networkAclAssociationId", "ruleNumber", "ruleAction", "cidrBlock", "ipv6CidrBlock", "snapshotId", "volumeId", "progress", "status", "state",
		"volumeSize", "nextToken", "fromPort", "toPort", "isEgress", "egress", "from", "to", "encrypted"} {
		for _, part := range strings.Split(answer, "<"+element+">")[1:] {
			value, _, _ := strings.Cut(part, "<")
			if value != "" && !strings.Contains(text, "|"+value+"|") {
				return fmt.Errorf("the SDK does not see %s %q in %s", element, value, text)
			}
		}
	}
	return nil
}

// flat is every value of an answer that the SDK read, between bars.
func flat(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return ""
		}
		if at, ok := v.Interface().(*time.Time); ok {
			return "|" + at.UTC().Format(time.RFC3339) + "|"
		}
		return flat(v.Elem())
	case reflect.Struct:
		var all strings.Builder
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && v.Type().Field(i).Name != "ResultMetadata" {
				all.WriteString(flat(v.Field(i)))
			}
		}
		return all.String()
	case reflect.Slice:
		var all strings.Builder
		for i := range v.Len() {
			all.WriteString(flat(v.Index(i)))
		}
		return all.String()
	}
	return fmt.Sprintf("|%v|", v.Interface())
}

// wish asks the SDK, in its own types, for what a form asks for.
func wish(ctx context.Context, api *ec2.Client, form url.Values) (any, error) {
	text := func(name string) *string {
		if !form.Has(name) {
			return nil
		}
		return sdk.String(form.Get(name))
	}
	number := func(name string) *int32 {
		n, _ := strconv.Atoi(form.Get(name))
		return sdk.Int32(int32(n))
	}
	yes := func(name string) *bool { return sdk.Bool(form.Get(name) == "true") }
	list := func(name string) (all []string) {
		for n := 1; form.Has(name + "." + strconv.Itoa(n)); n++ {
			all = append(all, form.Get(name+"."+strconv.Itoa(n)))
		}
		return all
	}
	var filters []types.Filter
	for n := 1; form.Has(fmt.Sprintf("Filter.%d.Name", n)); n++ {
		filters = append(filters, types.Filter{Name: text(fmt.Sprintf("Filter.%d.Name", n)), Values: list(fmt.Sprintf("Filter.%d.Value", n))})
	}
	var tags []types.TagSpecification
	if form.Has("TagSpecification.1.ResourceType") {
		spec := types.TagSpecification{ResourceType: types.ResourceType(form.Get("TagSpecification.1.ResourceType"))}
		for n := 1; form.Has(fmt.Sprintf("TagSpecification.1.Tag.%d.Key", n)); n++ {
			at := fmt.Sprintf("TagSpecification.1.Tag.%d", n)
			spec.Tags = append(spec.Tags, types.Tag{Key: text(at + ".Key"), Value: text(at + ".Value")})
		}
		tags = append(tags, spec)
	}
	next := text("NextToken")
	switch form.Get("Action") {
	case "DescribeInstances":
		return api.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: list("InstanceId")})
	case "DescribeNetworkInterfaces":
		return api.DescribeNetworkInterfaces(ctx, &ec2.DescribeNetworkInterfacesInput{Filters: filters, NextToken: next})
	case "ModifyNetworkInterfaceAttribute":
		return api.ModifyNetworkInterfaceAttribute(ctx, &ec2.ModifyNetworkInterfaceAttributeInput{NetworkInterfaceId: text("NetworkInterfaceId"), Groups: list("SecurityGroupId")})
	case "DescribeSecurityGroups":
		return api.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{Filters: filters, NextToken: next})
	case "DescribeSecurityGroupRules":
		return api.DescribeSecurityGroupRules(ctx, &ec2.DescribeSecurityGroupRulesInput{Filters: filters, NextToken: next})
	case "CreateSecurityGroup":
		return api.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{GroupName: text("GroupName"), Description: text("GroupDescription"), VpcId: text("VpcId"), TagSpecifications: tags})
	case "DeleteSecurityGroup":
		return api.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: text("GroupId")})
	case "RevokeSecurityGroupEgress":
		return api.RevokeSecurityGroupEgress(ctx, &ec2.RevokeSecurityGroupEgressInput{GroupId: text("GroupId"), SecurityGroupRuleIds: list("SecurityGroupRuleId")})
	case "RevokeSecurityGroupIngress":
		return api.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: text("GroupId"), SecurityGroupRuleIds: list("SecurityGroupRuleId")})
	case "AuthorizeSecurityGroupIngress":
		p := types.IpPermission{IpProtocol: text("IpPermissions.1.IpProtocol"), FromPort: number("IpPermissions.1.FromPort"), ToPort: number("IpPermissions.1.ToPort")}
		for n := 1; form.Has(fmt.Sprintf("IpPermissions.1.IpRanges.%d.CidrIp", n)); n++ {
			p.IpRanges = append(p.IpRanges, types.IpRange{CidrIp: text(fmt.Sprintf("IpPermissions.1.IpRanges.%d.CidrIp", n))})
		}
		for n := 1; form.Has(fmt.Sprintf("IpPermissions.1.Ipv6Ranges.%d.CidrIpv6", n)); n++ {
			p.Ipv6Ranges = append(p.Ipv6Ranges, types.Ipv6Range{CidrIpv6: text(fmt.Sprintf("IpPermissions.1.Ipv6Ranges.%d.CidrIpv6", n))})
		}
		return api.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: text("GroupId"), IpPermissions: []types.IpPermission{p}})
	case "DescribeNetworkAcls":
		return api.DescribeNetworkAcls(ctx, &ec2.DescribeNetworkAclsInput{Filters: filters, NextToken: next})
	case "CreateNetworkAcl":
		return api.CreateNetworkAcl(ctx, &ec2.CreateNetworkAclInput{VpcId: text("VpcId"), ClientToken: text("ClientToken"), TagSpecifications: tags})
	case "DeleteNetworkAcl":
		return api.DeleteNetworkAcl(ctx, &ec2.DeleteNetworkAclInput{NetworkAclId: text("NetworkAclId")})
	case "CreateNetworkAclEntry":
		return api.CreateNetworkAclEntry(ctx, &ec2.CreateNetworkAclEntryInput{NetworkAclId: text("NetworkAclId"), RuleNumber: number("RuleNumber"), Egress: yes("Egress"),
			Protocol: text("Protocol"), RuleAction: types.RuleAction(form.Get("RuleAction")), CidrBlock: text("CidrBlock"), Ipv6CidrBlock: text("Ipv6CidrBlock"),
			PortRange: &types.PortRange{From: number("PortRange.From"), To: number("PortRange.To")}})
	case "ReplaceNetworkAclAssociation":
		return api.ReplaceNetworkAclAssociation(ctx, &ec2.ReplaceNetworkAclAssociationInput{AssociationId: text("AssociationId"), NetworkAclId: text("NetworkAclId")})
	case "CreateSnapshots":
		return api.CreateSnapshots(ctx, &ec2.CreateSnapshotsInput{Description: text("Description"), TagSpecifications: tags,
			InstanceSpecification: &types.InstanceSpecification{InstanceId: text("InstanceSpecification.InstanceId")}})
	case "DescribeSnapshots":
		return api.DescribeSnapshots(ctx, &ec2.DescribeSnapshotsInput{Filters: filters, NextToken: next, OwnerIds: list("Owner")})
	}
	return nil, errors.New("no wish of this test")
}
