package aws

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/iam"

	"clawback/revoke"
)

// password looks at the console password of a user who was denied everything: the deny stops it for
// as long as it stands. It is deleted where the desk says so, and its end is not worth an error.
func (a responder) password(ctx context.Context, user string, r *revoke.Receipt) {
	const its = "the console password of user "
	if !a.settings.DeletePasswords {
		switch f := a.hasPassword(ctx, user); {
		case f == nil:
			r.Left = append(r.Left, its+user+", which nothing but the deny stops")
		case !f.missing():
			r.Left = append(r.Left, its+user+", if there is one ("+f.answer+"), which nothing but the deny stops")
		}
		return
	}
	switch f := a.deletePassword(ctx, user); {
	case f == nil:
		r.Did = append(r.Did, its+user+" deleted")
	case !f.missing():
		r.Left = append(r.Left, its+user+" may not be deleted ("+f.answer+"), nothing but the deny stops it")
	}
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetLoginProfile.html
func (c *caller) hasPassword(ctx context.Context, user string) *failure {
	out, f := call(ctx, c, "GetLoginProfile", func(ctx context.Context) (*iam.GetLoginProfileOutput, error) {
		return c.iam.GetLoginProfile(ctx, &iam.GetLoginProfileInput{UserName: &user})
	})
	if f == nil && out.LoginProfile == nil {
		return &failure{action: "GetLoginProfile", status: 200, answer: "200 without a login profile"}
	}
	return f
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteLoginProfile.html
func (c *caller) deletePassword(ctx context.Context, user string) *failure {
	_, f := call(ctx, c, "DeleteLoginProfile", func(ctx context.Context) (*iam.DeleteLoginProfileOutput, error) {
		return c.iam.DeleteLoginProfile(ctx, &iam.DeleteLoginProfileInput{UserName: &user})
	})
	return f
}
