package aws_test

import (
	"testing"

	"clawback/revoke/fake"
	"clawback/revoke/providers/aws"
	"clawback/revoke/providers/aws/awsfake"
	"clawback/revoke/revoketest"
)

func TestConformance(t *testing.T) {
	revoketest.Run(t, revoketest.Suite{New: aws.New, Fake: func(c fake.Clock) fake.Provider { return awsfake.New(c) }})
}
