package aws

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"clawback/revoke"
	"clawback/revoke/credential"
)

// olderUserName is our own, unlike that of a role: no button of the console puts it.
const olderUserName = "clawback-deny-older-sessions"

// thing is a key or a user that another key created, as CloudTrail named it.
type thing struct {
	responder
	id, user string
}

// thingOf reads what names it, and gets the authority, which has to be of its account: another
// account's users may have the same names.
func (p *provider) thingOf(ctx context.Context, c credential.Credential) (thing, error) {
	t := thing{id: c.Ref["id"], user: c.Ref["user"]}
	form := longTermID
	if c.Kind == userKind {
		form = userID
	}
	if !form.MatchString(t.id) || !entityName.MatchString(t.user) || !accountID.MatchString(c.Ref["account"]) {
		return t, fmt.Errorf("aws: what is known of the %s does not name it", c.Kind)
	}
	var err error
	t.responder, err = p.authority(ctx, keys{id: t.id})
	switch {
	case err != nil:
		return t, err
	case c.Ref["account"] != t.is.account:
		return t, fmt.Errorf("aws: it is of account %s, the authority of %s: %w", c.Ref["account"], t.is.account, revoke.ErrNoAuthority)
	case c.Kind == userKind && t.ours():
		return t, fmt.Errorf("aws: the authority is user %s too: %w", t.user, revoke.ErrOurs)
	}
	return t, nil
}

// ours reports whether the user is the authority's own.
func (t thing) ours() bool { return t.is.kind == "user" && t.is.name == t.user }

// revokeMinted makes the key Inactive and ends its user's sessions. Its user may be innocent and is
// not denied more, and the authority's own is not denied at all.
func (p *provider) revokeMinted(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	t, err := p.thingOf(ctx, c)
	if err != nil {
		return revoke.Receipt{}, err
	}
	status, f := t.keysOf(ctx, t.user)
	switch {
	case f.missing() || f == nil && status[t.id] == "":
		return revoke.Receipt{Already: true, Answer: "IAM lists no such key of user " + t.user}, nil
	case f != nil:
		return revoke.Receipt{}, f
	}
	r := revoke.Receipt{Answer: "200 ListAccessKeys", Already: status[t.id] == types.StatusTypeInactive}
	if !r.Already {
		if f := t.inactivate(ctx, &t.user, t.id); f != nil {
			return r, f
		}
		r.Answer = "200 UpdateAccessKey"
		r.Did = append(r.Did, "access key "+maskedKey(t.id)+" of user "+t.user+" Inactive")
	}
	switch f := t.endSessions(ctx); {
	case t.ours():
		r.Left = append(r.Left, "sessions that the key began live on, 36 h at most: its user is the authority's own")
	case f != nil && !f.final():
		return r, f
	case f != nil:
		r.Left = append(r.Left, "sessions that the key began live on, 36 h at most ("+f.answer+")")
	default:
		r.Did = append(r.Did, "policy "+olderUserName+" on user "+t.user+": deny all to sessions issued before")
	}
	r.Left = append(r.Left, "role sessions that the key began live on until they expire, 12 h at most")
	return r, nil
}

// endSessions denies the user's sessions that were issued so far, by AWS's clock.
func (t thing) endSessions(ctx context.Context) *failure {
	switch {
	case t.ours():
		return nil
	case t.is.at.IsZero():
		return &failure{action: "GetCallerIdentity", status: 200, answer: "200 without a date to go by"}
	}
	return t.putPolicy(ctx, t.user, olderUserName, fmt.Sprintf(older, t.is.at.UTC().Add(issueMargin).Format(time.RFC3339)))
}

// revokeUser denies a user everything who was created by a leaked key, unless the name was given anew.
func (p *provider) revokeUser(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	t, err := p.thingOf(ctx, c)
	if err != nil {
		return revoke.Receipt{}, err
	}
	there, f := t.exists(ctx)
	switch {
	case f != nil:
		return revoke.Receipt{}, f
	case !there:
		return revoke.Receipt{Already: true, Answer: "IAM knows no such user"}, nil
	}
	switch denied, f := t.denied(ctx); {
	case f != nil:
		return revoke.Receipt{}, f
	case denied:
		return revoke.Receipt{Already: true, Answer: "IAM shows the deny-all policy on the user"}, nil
	}
	return t.denyUser(ctx, t.user)
}

// exists reports whether the user is still the one who was created.
func (t thing) exists(ctx context.Context) (bool, *failure) {
	out, f := call(ctx, t.caller, "GetUser", func(ctx context.Context) (*iam.GetUserOutput, error) {
		return t.iam.GetUser(ctx, &iam.GetUserInput{UserName: &t.user})
	})
	switch {
	case f.missing():
		return false, nil
	case f != nil:
		return false, f
	case out.User == nil || !userID.MatchString(aws.ToString(out.User.UserId)):
		return false, &failure{action: "GetUser", status: 200, answer: "200 without a user"}
	}
	return *out.User.UserId == t.id, nil
}

// denied reports whether our deny stands at IAM as we put it.
func (t thing) denied(ctx context.Context) (bool, *failure) {
	out, f := call(ctx, t.caller, "GetUserPolicy", func(ctx context.Context) (*iam.GetUserPolicyOutput, error) {
		return t.iam.GetUserPolicy(ctx, &iam.GetUserPolicyInput{UserName: &t.user, PolicyName: aws.String(denyName)})
	})
	switch {
	case f.missing():
		return false, nil
	case f != nil:
		return false, f
	case out.PolicyDocument == nil:
		return false, &failure{action: "GetUserPolicy", status: 200, answer: "200 without a policy"}
	}
	// It comes percent-encoded: https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetUserPolicy.html
	document, err := url.PathUnescape(*out.PolicyDocument)
	return err == nil && document == denyAll, nil
}

func (c *caller) putPolicy(ctx context.Context, user, name, document string) *failure {
	_, f := call(ctx, c, "PutUserPolicy", func(ctx context.Context) (*iam.PutUserPolicyOutput, error) {
		return c.iam.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: &user, PolicyName: &name, PolicyDocument: &document})
	})
	return f
}

// verifyCreated asks IAM: of the credential itself nothing is known that could be tried.
func (p *provider) verifyCreated(ctx context.Context, c credential.Credential) revoke.Verdict {
	t, err := p.thingOf(ctx, c)
	var f *failure
	switch {
	case errors.As(err, &f):
		return revoke.Verdict{Answer: f.answer, RetryAfter: f.after}
	case err != nil:
		return revoke.Verdict{Answer: revoke.Answer(0, err.Error(), credential.Secret{})}
	case c.Kind == userKind:
		return t.verifyUser(ctx)
	}
	status, f := t.keysOf(ctx, t.user)
	switch {
	case f.missing(), f == nil && status[t.id] == "":
		return revoke.Verdict{Outcome: revoke.Refused, Answer: "IAM lists no such key of user " + t.user}
	case f != nil:
		return revoke.Verdict{Answer: f.answer, RetryAfter: f.after}
	case status[t.id] == types.StatusTypeInactive:
		return revoke.Verdict{Outcome: revoke.Refused, Answer: "IAM lists the key as Inactive"}
	case status[t.id] == types.StatusTypeActive:
		return revoke.Verdict{Outcome: revoke.Alive, Answer: "IAM lists the key as Active"}
	}
	return revoke.Verdict{Answer: "IAM lists the key with a status that is not known"}
}

func (t thing) verifyUser(ctx context.Context) revoke.Verdict {
	there, f := t.exists(ctx)
	if f == nil && !there {
		return revoke.Verdict{Outcome: revoke.Refused, Answer: "IAM knows no such user"}
	}
	denied := false
	if f == nil {
		denied, f = t.denied(ctx)
	}
	switch {
	case f != nil:
		return revoke.Verdict{Answer: f.answer, RetryAfter: f.after}
	case denied:
		return revoke.Verdict{Outcome: revoke.Refused, Answer: "IAM shows the deny-all policy on the user"}
	}
	return revoke.Verdict{Outcome: revoke.Alive, Answer: "IAM shows the user without our deny-all policy"}
}

func (p *provider) inspectCreated(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	t, err := p.thingOf(ctx, c)
	if err != nil {
		return revoke.Exposure{}, err
	}
	owner := t.neighbour(t.user).owner()
	return revoke.Exposure{Account: t.is.account, Owner: owner, Answer: "CloudTrail names " + owner}, nil
}

func (p *provider) undoCreated(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	t, err := p.thingOf(ctx, c)
	if err != nil {
		return revoke.Receipt{}, err
	}
	if c.Kind == userKind {
		taken, f := t.takePolicy(ctx, t.user, denyName)
		r, err := undone(taken, "DeleteUserPolicy", "deny-all policy "+denyName+" taken from user "+t.user, f)
		if err == nil {
			err = t.allowInOrganization(ctx, t.neighbour(t.user), &r)
		}
		return r, err
	}
	if f := t.setStatus(ctx, &t.user, t.id, types.StatusTypeActive); f != nil {
		return revoke.Receipt{}, f
	}
	r := revoke.Receipt{Answer: "200 UpdateAccessKey", Did: []string{"access key " + maskedKey(t.id) + " of user " + t.user + " Active"}}
	taken, f := t.takePolicy(ctx, t.user, olderUserName)
	if f != nil {
		return r, f
	}
	if taken {
		r.Did = append(r.Did, "policy "+olderUserName+" taken from user "+t.user)
	}
	return r, nil
}
