package aws

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"clawback/revoke"
)

const (
	// olderName is the name that the console's own "Revoke active sessions" gives the policy.
	olderName = "AWSRevokeOlderSessions"
	older     = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":["*"],"Resource":["*"],` +
		`"Condition":{"DateLessThan":{"aws:TokenIssueTime":%q}}}]}`
	// issueMargin covers what AWS's clocks differ by, and what is issued while the deny propagates.
	issueMargin = time.Minute
)

// revokeSession denies the session's role, for what was issued so far, or its user everything.
// AWS knows no call that ends a session:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_disable-perms.html
func (p *provider) revokeSession(ctx context.Context, k keys) (revoke.Receipt, error) {
	if !k.complete() || k.token == "" {
		return revoke.Receipt{}, errors.New("aws: without its secret and token nobody but CloudTrail knows whose session it is")
	}
	a, err := p.authority(ctx, k)
	if err != nil {
		return revoke.Receipt{}, err
	}
	session := p.caller(k)
	who, err := session.whoAmI(ctx)
	var f *failure
	switch {
	case errors.As(err, &f) && f.refused():
		return revoke.Receipt{Already: true, Answer: f.answer}, nil
	case err != nil:
		return revoke.Receipt{}, err
	}
	p.sawKnown(k.id)
	switch {
	case who.same(a.is):
		return revoke.Receipt{}, fmt.Errorf("aws: the authority is %s too: %w", who.owner(), revoke.ErrOurs)
	case who.account != a.is.account && a.org == nil:
		return revoke.Receipt{}, anotherAccount(who, a.is)
	}
	// A deny that is there already may be narrower than ours, which is put in any case.
	already := p.lookBefore(ctx, session, k).Outcome == revoke.Refused
	r, err := a.denySession(ctx, who)
	r.Already = r.Already || already
	return r, err
}

func (a responder) denySession(ctx context.Context, who principal) (revoke.Receipt, error) {
	switch {
	case who.account != a.is.account:
		return a.onlyInOrganization(ctx, who, anotherAccount(who, a.is))
	case who.kind == "role":
		return a.denyOlder(ctx, who)
	case who.kind == "user":
		return a.denyUser(ctx, who.name)
	case who.kind == "root":
		return a.onlyInOrganization(ctx, who, fmt.Errorf("aws: no policy of its own account stops a session of the root, which lasts an hour at most: %w", revoke.ErrManual))
	}
	return a.onlyInOrganization(ctx, who, fmt.Errorf("aws: no policy can be put on %s: its creator has to be denied: %w", who.owner(), revoke.ErrManual))
}

func anotherAccount(session, authority principal) error {
	return fmt.Errorf("aws: the session is of account %s, the authority of %s: %w", session.account, authority.account, revoke.ErrNoAuthority)
}

// lookBefore looks at the session before it is denied, so that the deny can be told from one that
// was there before. It holds the deny up for two seconds at most.
func (p *provider) lookBefore(ctx context.Context, session *caller, k keys) revoke.Verdict {
	ctx, cancel := context.WithTimeout(ctx, baselinePatience)
	defer cancel()
	return p.probeSession(ctx, session, k)
}

// denyOlder goes by AWS's clock: ours, if it is slow, would spare the newest sessions.
func (a responder) denyOlder(ctx context.Context, role principal) (revoke.Receipt, error) {
	if role.at.IsZero() {
		return revoke.Receipt{}, errors.New("aws: AWS's answer bears no date to go by")
	}
	before := role.at.UTC().Add(issueMargin).Format(time.RFC3339)
	document := fmt.Sprintf(older, before)
	_, f := call(ctx, a.caller, "PutRolePolicy", func(ctx context.Context) (*iam.PutRolePolicyOutput, error) {
		return a.iam.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &role.name, PolicyName: aws.String(olderName), PolicyDocument: &document})
	})
	switch {
	case f.missing():
		return revoke.Receipt{Already: true, Answer: f.answer}, nil
	case f.is(400, "UnmodifiableEntity"):
		return a.onlyInOrganization(ctx, role, fmt.Errorf("aws: role %s can only be changed by the service that owns it (%s): %w", role.name, f.answer, revoke.ErrManual))
	case f != nil:
		return revoke.Receipt{}, f
	}
	left := []string{"whoever role " + role.name + " trusts can assume it anew"}
	r := revoke.Receipt{
		Answer: "200 PutRolePolicy", Left: left,
		Did: []string{"policy " + olderName + " on role " + role.name + ": deny all to sessions issued before " + before},
	}
	a.denyInOrganization(ctx, role, &r)
	return r, nil
}

func (a responder) denyUser(ctx context.Context, user string) (revoke.Receipt, error) {
	f := a.putDeny(ctx, user)
	switch {
	case f.missing():
		return revoke.Receipt{Already: true, Answer: f.answer}, nil
	case f != nil:
		return revoke.Receipt{}, f
	}
	r := revoke.Receipt{
		Answer: "200 PutUserPolicy", Did: []string{"deny-all policy " + denyName + " on user " + user},
		Left: append([]string{roleSessions(user), createdBefore}, a.survivors(ctx, user, "")...),
	}
	a.password(ctx, user, &r)
	a.denyInOrganization(ctx, a.neighbour(user), &r)
	return r, nil
}
