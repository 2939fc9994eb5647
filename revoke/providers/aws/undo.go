package aws

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"clawback/revoke"
	"clawback/revoke/credential"
)

var _ revoke.Undoer = (*provider)(nil)

// Undo makes a key Active again and takes our deny from its user, or the deny of older sessions from
// a session's role. Both cover more than the one credential: what else works again is said.
func (p *provider) Undo(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	switch c.Kind {
	case mintedKind, userKind:
		return p.undoCreated(ctx, c)
	case bedrockKind:
		return p.undoBedrock(ctx, c)
	case secretKind:
		return p.undoSecret(ctx, c)
	}
	k := keysOf(c)
	if k.id == "" {
		return revoke.Receipt{}, errors.New("aws: the credential has no access key id")
	}
	a, err := p.authority(ctx, k)
	if err != nil {
		return revoke.Receipt{}, err
	}
	switch c.Kind {
	case keyKind:
		return a.undoKey(ctx, k)
	case sessionKind:
		return p.undoSession(ctx, a, k)
	}
	return revoke.Receipt{}, fmt.Errorf("aws: cannot undo the kind %q", c.Kind)
}

func (a responder) undoKey(ctx context.Context, k keys) (revoke.Receipt, error) {
	user, f := a.userOf(ctx, k.id)
	switch {
	case f != nil:
		return revoke.Receipt{}, f
	case user == "":
		return revoke.Receipt{}, fmt.Errorf("aws: IAM names no user for key id %s: the root's is made active at %s: %w", maskedKey(k.id), rootPage, revoke.ErrManual)
	}
	status, f := a.keysOf(ctx, user)
	if f != nil {
		return revoke.Receipt{}, f
	}
	r := revoke.Receipt{Answer: "200 ListAccessKeys", Already: status[k.id] == types.StatusTypeActive}
	if !r.Already {
		if f := a.setStatus(ctx, &user, k.id, types.StatusTypeActive); f != nil {
			return revoke.Receipt{}, f
		}
		r.Answer = "200 UpdateAccessKey"
		r.Did = append(r.Did, "access key "+maskedKey(k.id)+" Active")
	}
	taken, f := a.takeDeny(ctx, user)
	if f != nil {
		return r, f
	}
	if taken {
		r.Already, r.Answer = false, "200 DeleteUserPolicy"
		r.Did = append(r.Did, "deny-all policy "+denyName+" taken from user "+user)
		r.Left = append(r.Left, "all that user "+user+" holds works again: other active keys, sessions, the console")
	}
	return r, nil
}

func (p *provider) undoSession(ctx context.Context, a responder, k keys) (revoke.Receipt, error) {
	if !k.complete() || k.token == "" {
		return revoke.Receipt{}, errors.New("aws: without its secret and token nobody but CloudTrail knows whose session it is")
	}
	who, err := p.caller(k).whoAmI(ctx)
	switch {
	case err != nil:
		return revoke.Receipt{}, err
	case who.account != a.is.account:
		return revoke.Receipt{}, fmt.Errorf("aws: the session is of account %s, the authority of %s: %w", who.account, a.is.account, revoke.ErrNoAuthority)
	case who.kind == "user":
		taken, f := a.takeDeny(ctx, who.name)
		return undone(taken, "DeleteUserPolicy", "deny-all policy "+denyName+" taken from user "+who.name, f)
	case who.kind == "role":
		taken, f := a.takeOlder(ctx, who.name)
		return undone(taken, "DeleteRolePolicy", "policy "+olderName+" taken from role "+who.name, f)
	}
	return revoke.Receipt{}, fmt.Errorf("aws: clawback puts no policy on %s", who.owner())
}

func undone(taken bool, action, did string, f *failure) (revoke.Receipt, error) {
	switch {
	case f != nil:
		return revoke.Receipt{}, f
	case !taken:
		return revoke.Receipt{Already: true, Answer: "404 NoSuchEntity"}, nil
	}
	return revoke.Receipt{Answer: "200 " + action, Did: []string{did}}, nil
}

// takeDeny deletes our deny from a user and reports whether it was there.
func (c *caller) takeDeny(ctx context.Context, user string) (bool, *failure) {
	return c.takePolicy(ctx, user, denyName)
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteUserPolicy.html
func (c *caller) takePolicy(ctx context.Context, user, name string) (bool, *failure) {
	_, f := call(ctx, c, "DeleteUserPolicy", func(ctx context.Context) (*iam.DeleteUserPolicyOutput, error) {
		return c.iam.DeleteUserPolicy(ctx, &iam.DeleteUserPolicyInput{UserName: &user, PolicyName: &name})
	})
	if f.missing() {
		return false, nil
	}
	return f == nil, f
}

// takeOlder deletes the deny of older sessions from a role. The console's own button puts one of the
// same name: they cannot be told apart.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRolePolicy.html
func (c *caller) takeOlder(ctx context.Context, role string) (bool, *failure) {
	_, f := call(ctx, c, "DeleteRolePolicy", func(ctx context.Context) (*iam.DeleteRolePolicyOutput, error) {
		return c.iam.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: &role, PolicyName: aws.String(olderName)})
	})
	if f.missing() {
		return false, nil
	}
	return f == nil, f
}
