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
		r, err := a.undoKey(ctx, k)
		if errors.Is(err, revoke.ErrManual) {
			return p.undoFromAbove(ctx, a, k, err)
		}
		return r, err
	case sessionKind:
		return p.undoSession(ctx, a, k)
	}
	return revoke.Receipt{}, fmt.Errorf("aws: cannot undo the kind %q", c.Kind)
}

func (a responder) undoKey(ctx context.Context, k keys) (revoke.Receipt, error) {
	user, f := a.userOf(ctx, k.id)
	switch {
	case f != nil && !f.missing():
		return revoke.Receipt{}, f
	case user == "":
		return revoke.Receipt{}, fmt.Errorf("aws: IAM names no user for key id %s: the root's, and another account's, is made active at %s: %w", maskedKey(k.id), rootPage, revoke.ErrManual)
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
	err := a.allowInOrganization(ctx, a.neighbour(user), &r)
	return r, err
}

// undoFromAbove takes back what the organization denied to a key that is not of the authority's
// account: it is active still, and says whose it is.
func (p *provider) undoFromAbove(ctx context.Context, a responder, k keys, why error) (revoke.Receipt, error) {
	if a.org == nil || !k.complete() {
		return revoke.Receipt{}, why
	}
	who, err := p.caller(k).whoAmI(ctx)
	if err != nil {
		return revoke.Receipt{}, why
	}
	r := revoke.Receipt{Already: true, Answer: "200 DescribePolicy"}
	err = a.allowInOrganization(ctx, who, &r)
	return r, err
}

func (p *provider) undoSession(ctx context.Context, a responder, k keys) (revoke.Receipt, error) {
	if !k.complete() || k.token == "" {
		return revoke.Receipt{}, errors.New("aws: without its secret and token nobody but CloudTrail knows whose session it is")
	}
	who, err := p.caller(k).whoAmI(ctx)
	switch {
	case err != nil:
		return revoke.Receipt{}, err
	case who.account != a.is.account && a.org == nil:
		return revoke.Receipt{}, anotherAccount(who, a.is)
	case who.kind != "user" && who.kind != "role" && a.org == nil:
		return revoke.Receipt{}, fmt.Errorf("aws: clawback puts no policy on %s", who.owner())
	}
	r := revoke.Receipt{Already: true, Answer: "404 NoSuchEntity"}
	switch {
	case who.account != a.is.account:
	case who.kind == "user":
		taken, f := a.takeDeny(ctx, who.name)
		r, err = undone(taken, "DeleteUserPolicy", "deny-all policy "+denyName+" taken from user "+who.name, f)
	case who.kind == "role":
		taken, f := a.takeOlder(ctx, who.name)
		r, err = undone(taken, "DeleteRolePolicy", "policy "+olderName+" taken from role "+who.name, f)
	}
	if err != nil {
		return r, err
	}
	err = a.allowInOrganization(ctx, who, &r)
	return r, err
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
