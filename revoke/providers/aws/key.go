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

const (
	denyName = "clawback-deny-all"
	// denyAll has no condition, so that it also stops what GetSessionToken issued and will issue.
	denyAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}`

	rootPage = "https://console.aws.amazon.com/iam/home#/security_credentials"
)

// revokeKey denies the key's user everything and then makes the key inactive. In the other order
// the key could mint a new one while its end is on its way through AWS.
func (p *provider) revokeKey(ctx context.Context, k keys) (revoke.Receipt, error) {
	a, err := p.authority(ctx, k)
	if errors.Is(err, revoke.ErrNoAuthority) {
		return p.inactivateItself(ctx, k, err)
	}
	if err != nil {
		return revoke.Receipt{}, err
	}
	user, f := a.userOf(ctx, k.id)
	if f != nil && !f.missing() && !f.is(403, "AccessDenied") {
		return revoke.Receipt{}, f
	}
	if user == "" { // unknown to IAM, of another account or the root's; or the authority may not ask
		user, err = p.userBySelf(ctx, a, k, f)
		if errors.Is(err, revoke.ErrNoAuthority) {
			return p.inactivateItself(ctx, k, err)
		}
		if errors.Is(err, errGone) {
			return gone(k), nil
		}
		if err != nil {
			return revoke.Receipt{}, err
		}
	}
	if a.is.same(principal{partition: a.is.partition, account: a.is.account, kind: "user", name: user}) {
		return revoke.Receipt{}, fmt.Errorf("aws: the authority is of the same user %s: %w", user, revoke.ErrOurs)
	}
	return a.stop(ctx, user, k.id)
}

// errGone means that AWS does not know the key any more.
var errGone = errors.New("the key does not exist")

func gone(k keys) revoke.Receipt {
	return revoke.Receipt{
		Answer: "AWS does not know " + maskedKey(k.id) + ", or it is inactive", Already: true,
		Left: []string{"its user is not known: what the key issued or created before is not stopped"},
	}
}

// userBySelf asks the key itself for its user, where IAM did not tell the authority.
func (p *provider) userBySelf(ctx context.Context, a responder, k keys, asked *failure) (string, error) {
	if !k.complete() {
		return a.userByAccount(ctx, k.id, asked)
	}
	who, err := p.caller(k).whoAmI(ctx)
	var f *failure
	switch {
	case errors.As(err, &f) && f.refused():
		return "", errGone
	case err != nil:
		return "", err
	case who.kind == "root":
		return "", fmt.Errorf("aws: it is a key of the root of account %s, which no policy stops; by hand at %s: %w", who.account, rootPage, revoke.ErrNoAuthority)
	case who.account != a.is.account:
		return "", fmt.Errorf("aws: it is a key of account %s, the authority is of %s: %w", who.account, a.is.account, revoke.ErrNoAuthority)
	case who.kind != "user":
		return "", fmt.Errorf("aws: it is no key of a user but of %s", who.owner())
	}
	return who.name, nil
}

// userByAccount says why the user of a key stays unknown of which only the id is known.
func (a responder) userByAccount(ctx context.Context, id string, asked *failure) (string, error) {
	account, f := a.accountOf(ctx, id)
	switch {
	case f == nil && account != a.is.account:
		return "", fmt.Errorf("aws: it is a key of account %s, the authority is of %s: %w", account, a.is.account, revoke.ErrNoAuthority)
	case asked == nil:
		return "", fmt.Errorf("aws: it has no user: the root's key is made inactive by the root, at %s: %w", rootPage, revoke.ErrManual)
	case f == nil && asked.missing():
		return "", errGone
	}
	return "", asked
}

// stop does what the authority can do about a key whose user is known. A deny that AWS will not
// take is no reason to spare the key.
func (a responder) stop(ctx context.Context, user, id string) (revoke.Receipt, error) {
	var r revoke.Receipt
	before, f := a.keysOf(ctx, user)
	switch {
	case f.missing(): // IAM deletes a user only after his keys
		r.Already, r.Answer = true, f.answer
		return r, nil
	case f != nil && !f.final():
		return r, f
	case f == nil:
		r.Already = before[id] == types.StatusTypeInactive // a new key may not be listed yet
	}
	f = a.putDeny(ctx, user)
	switch {
	case f == nil:
		r.Answer = "200 PutUserPolicy"
		r.Did = append(r.Did, "deny-all policy "+denyName+" on user "+user)
		r.Left = append(r.Left, roleSessions(user))
	case !f.final():
		return r, f
	default:
		r.Left = append(r.Left, "no deny on user "+user+": its sessions live on, 36 h at most ("+f.answer+")")
	}
	if !r.Already {
		f = a.inactivate(ctx, &user, id)
		switch {
		case f.missing():
			r.Already, r.Answer = true, f.answer
		case f != nil:
			return r, f
		default:
			r.Answer = "200 UpdateAccessKey"
			r.Did = append(r.Did, "access key "+maskedKey(id)+" Inactive")
		}
	}
	r.Left = append(r.Left, a.survivors(ctx, user, id)...)
	return r, nil
}

func (c *caller) putDeny(ctx context.Context, user string) *failure {
	_, f := call(ctx, c, "PutUserPolicy", func(ctx context.Context) (*iam.PutUserPolicyOutput, error) {
		return c.iam.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: &user, PolicyName: aws.String(denyName), PolicyDocument: aws.String(denyAll)})
	})
	return f
}

func roleSessions(user string) string {
	return "role sessions that user " + user + " began before live on until they expire, 12 h at most"
}

// survivors lists the user's other active keys, since one can be minted while a change propagates.
func (a responder) survivors(ctx context.Context, user, id string) []string {
	after, f := a.keysOf(ctx, user)
	if f != nil {
		return []string{"the keys of user " + user + " could not be listed again: " + f.answer}
	}
	var left []string
	for other, status := range after {
		if other != id && status == types.StatusTypeActive {
			left = append(left, "access key "+maskedKey(other)+" of user "+user+" is active")
		}
	}
	return left
}

// keysOf lists the status of the user's keys; one page holds more than a user may have.
func (c *caller) keysOf(ctx context.Context, user string) (map[string]types.StatusType, *failure) {
	out, f := call(ctx, c, "ListAccessKeys", func(ctx context.Context) (*iam.ListAccessKeysOutput, error) {
		return c.iam.ListAccessKeys(ctx, &iam.ListAccessKeysInput{UserName: &user})
	})
	switch {
	case f != nil:
		return nil, f
	case out.AccessKeyMetadata == nil:
		return nil, &failure{action: "ListAccessKeys", status: 200, answer: "200 without a list of keys"}
	}
	status := map[string]types.StatusType{}
	for _, k := range out.AccessKeyMetadata {
		status[aws.ToString(k.AccessKeyId)] = k.Status
	}
	return status, nil
}

// inactivate needs no user where the key signs for itself: then IAM takes the signer's.
func (c *caller) inactivate(ctx context.Context, user *string, id string) *failure {
	_, f := call(ctx, c, "UpdateAccessKey", func(ctx context.Context) (*iam.UpdateAccessKeyOutput, error) {
		return c.iam.UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{UserName: user, AccessKeyId: &id, Status: types.StatusTypeInactive})
	})
	return f
}

// inactivateItself lets the key make itself inactive, which its policy may allow. No deny comes
// first: it would lock the key out.
func (p *provider) inactivateItself(ctx context.Context, k keys, why error) (revoke.Receipt, error) {
	if !k.complete() {
		return revoke.Receipt{}, why
	}
	f := p.caller(k).inactivate(ctx, nil, k.id)
	switch {
	case f == nil:
		return revoke.Receipt{
			Answer: "200 UpdateAccessKey", Did: []string{"access key " + maskedKey(k.id) + " Inactive, by itself"},
			Left: []string{
				"sessions that the key began live on until they expire, 36 h at most: no deny was put",
				"other keys of its user were not looked for",
			},
		}, nil
	case f.refused():
		return gone(k), nil
	case f.is(403, "AccessDenied") || f.is(403, "SignatureDoesNotMatch"):
		return revoke.Receipt{}, fmt.Errorf("%w; and the key cannot make itself inactive: %s", why, f.answer)
	}
	return revoke.Receipt{}, f
}

func maskedKey(id string) string {
	return credential.Mask(keyKind, credential.NewSecret(map[string]string{"access_key_id": id}), nil)
}
