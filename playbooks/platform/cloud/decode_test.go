package cloud

import (
	"testing"

	"clawback/revoke/credential"
)

// Whatever a server sends is an answer to what was asked, or an error that can be shown.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`<DescribeInstancesResponse><reservationSet><item><instancesSet><item><instanceId>i-1</instanceId></item></instancesSet></item></reservationSet></DescribeInstancesResponse>`))
	f.Add([]byte(`<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>no</Message></Error></Errors></Response>`))
	f.Add([]byte(`<DescribeNetworkAclsResponse><networkAclSet><item><entrySet><item><ruleNumber>x</ruleNumber></item></entrySet></item></networkAclSet></DescribeNetworkAclsResponse>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for action, into := range map[string]any{"DescribeInstances": new(describeInstances), "DescribeNetworkAcls": new(describeACLs), "DescribeSnapshots": new(describeSnapshots)} {
			_ = decode(action, body, into)
			if e := refused(action, 400, body, credential.Secret{}); len(e.Error()) > 400 {
				t.Errorf("%d bytes of an error", len(e.Error()))
			}
		}
	})
}
