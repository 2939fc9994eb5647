package cloud

import (
	"testing"

	"clawback/revoke/credential"
	"clawback/revoke/wire"
)

// Whatever a server sends is an answer to what was asked, or an error that can be shown.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`<DescribeInstancesResponse><reservationSet><item><instancesSet><item><instanceId>i-1</instanceId></item></instancesSet></item></reservationSet></DescribeInstancesResponse>`))
	f.Add([]byte(`<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>no</Message></Error></Errors></Response>`))
	f.Add([]byte(`<DescribeNetworkAclsResponse><networkAclSet><item><entrySet><item><ruleNumber>x</ruleNumber></item></entrySet></item></networkAclSet></DescribeNetworkAclsResponse>`))
	f.Add([]byte(`{"error": {"code": 403, "message": "no", "errors": [{"reason": "forbidden"}]}}`))
	f.Add([]byte(`{"error": {"code": "AuthorizationFailed", "message": "no"}}`))
	f.Add([]byte(`{"properties": {"securityRules": [{"properties": {"sourceAddressPrefix": "::/x"}}]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		reply := wire.Reply{Status: 400, Body: body}
		for _, e := range []error{computeRefused("x", reply, credential.Secret{}), armRefused("x", reply, credential.Secret{})} {
			if len(e.Error()) > 400 {
				t.Errorf("%d bytes of an error", len(e.Error()))
			}
		}
		var e effective
		var g azureGroupBody
		if reply.JSON(&e) && reply.JSON(&g) {
			for _, rule := range g.Properties.Rules {
				sameRule(rule, rule)
			}
			for _, rule := range e.Firewalls {
				rule.same(rule)
			}
		}
		for action, into := range map[string]any{"DescribeInstances": new(describeInstances), "DescribeNetworkAcls": new(describeACLs), "DescribeSnapshots": new(describeSnapshots)} {
			_ = decode(action, body, into)
			if e := refused(action, 400, body, credential.Secret{}); len(e.Error()) > 400 {
				t.Errorf("%d bytes of an error", len(e.Error()))
			}
		}
	})
}
