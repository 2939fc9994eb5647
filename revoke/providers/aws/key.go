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
// the key could mint a new one while its end is on its way through AWS. An id alone may have been
// planted to harm its owner: nothing is changed before the pair has signed for itself.
func (p *provider) revokeKey(ctx context.Context, k keys) (revoke.Receipt, error) {
	a, err := p.authority(ctx, k)
	none := errors.Is(err, revoke.ErrNoAuthority)
	switch {
	case err != nil && !none:
		return revoke.Receipt{}, err
	case !k.complete():
		return revoke.Receipt{}, withoutSecret(ctx, a, k.id)
	case none:
		return p.inactivateItself(ctx, k, err)
	}
	who, err := p.authenticate(ctx, k)
	var f *failure
	switch {
	case errors.As(err, &f) && f.is(403, "SignatureDoesNotMatch"):
		return revoke.Receipt{}, planted(k.id, f)
	case errors.As(err, &f) && f.refused():
		return a.refusedKey(ctx, k, f)
	case err != nil:
		return revoke.Receipt{}, err
	case who.same(a.is):
		return revoke.Receipt{}, fmt.Errorf("aws: the authority is %s too: %w", who.owner(), revoke.ErrOurs)
	case who.kind == "root":
		return p.stopFromAbove(ctx, a, who, k, fmt.Errorf("aws: it is a key of the root of account %s, which no policy of its own stops; by hand at %s: %w", who.account, rootPage, revoke.ErrNoAuthority))
	case who.account != a.is.account:
		return p.stopFromAbove(ctx, a, who, k, fmt.Errorf("aws: it is a key of account %s, the authority is of %s: %w", who.account, a.is.account, revoke.ErrNoAuthority))
	case who.kind != "user":
		return revoke.Receipt{}, fmt.Errorf("aws: it is no key of a user but of %s", who.owner())
	}
	return a.stop(ctx, who.name, k.id)
}

// authenticate asks STS whose the pair is. What it once said holds when the key is refused later:
// so a revocation that was cut short can be finished.
func (p *provider) authenticate(ctx context.Context, k keys) (principal, error) {
	who, err := p.caller(k).whoAmI(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.signed[k] = who
	}
	var f *failure
	if before, ok := p.signed[k]; ok && errors.As(err, &f) && f.refused() {
		return before, nil
	}
	return who, err
}

// planted says that the secret is not the key's.
func planted(id string, f *failure) error {
	return fmt.Errorf("aws: nothing was changed: the secret that was found does not belong to key id %s, which may be planted (%s): look at the key's owner: %w",
		maskedKey(id), f.answer, revoke.ErrManual)
}

// withoutSecret says whose the key is, as far as the authority, where there is one, can tell.
func withoutSecret(ctx context.Context, a responder, id string) error {
	owner := "nobody could be asked whose it is"
	if a.caller != nil {
		owner = a.ownerOf(ctx, id)
	}
	return fmt.Errorf("aws: nothing was changed: only the id %s is known, not its secret, so that it may be planted; %s: look at the key's owner: %w",
		maskedKey(id), owner, revoke.ErrManual)
}

func (a responder) ownerOf(ctx context.Context, id string) string {
	user, f := a.userOf(ctx, id)
	if user != "" {
		return "IAM names user " + user
	}
	if account, other := a.accountOf(ctx, id); other == nil && entityName.MatchString(account) {
		if f == nil {
			return "it has no user and is of account " + account + ": the root's is at " + rootPage
		}
		return "it is of account " + account
	}
	return "AWS does not say whose it is"
}

func gone(k keys) revoke.Receipt {
	return revoke.Receipt{
		Answer: "AWS does not know " + maskedKey(k.id) + ", or it is inactive", Already: true,
		Left: []string{"no deny was put on its user: what the key issued or created before is not stopped"},
	}
}

// refusedKey looks at a key that STS refused before it ever signed for itself: nothing is changed
// for it, and it counts as dead before only where IAM agrees.
func (a responder) refusedKey(ctx context.Context, k keys, refusal *failure) (revoke.Receipt, error) {
	user, f := a.userOf(ctx, k.id)
	var status map[string]types.StatusType
	if f == nil && user != "" {
		status, f = a.keysOf(ctx, user)
	}
	says := "names no user for it"
	switch {
	case f.missing():
		return gone(k), nil
	case f != nil && !f.final():
		return revoke.Receipt{}, f
	case f != nil:
		says = "does not tell (" + f.answer + ")"
	case user != "" && status[k.id] != types.StatusTypeActive:
		return gone(k), nil
	case user != "":
		says = "lists it as active, of user " + user
	}
	return revoke.Receipt{}, fmt.Errorf("aws: nothing was changed: STS refused key id %s (%s), and IAM %s: look at the key's owner: %w",
		maskedKey(k.id), refusal.answer, says, revoke.ErrManual)
}

// stop does what the authority can do about a key whose user is known. A deny that AWS will not
// take, or may not have taken, is no reason to spare the key.
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
	denied := a.putDeny(ctx, user)
	lost := denied != nil && errors.Is(denied, revoke.ErrUncertain)
	switch {
	case denied == nil:
		r.Answer = "200 PutUserPolicy"
		r.Did = append(r.Did, "deny-all policy "+denyName+" on user "+user)
		r.Left = append(r.Left, roleSessions(user), createdBefore)
	case lost: // the caller comes again for it, or says that it may be missing: see KindInfo.Unanswered
	case !denied.final():
		return r, denied
	default:
		r.Left = append(r.Left, "no deny on user "+user+": its sessions live on, 36 h at most ("+denied.answer+")")
	}
	if !r.Already {
		f = a.inactivate(ctx, &user, id)
		switch {
		case f.missing():
			r.Already, r.Answer = true, f.answer
		case f != nil && lost:
			return r, errors.Join(denied, f)
		case f != nil:
			return r, f
		default:
			r.Answer = "200 UpdateAccessKey"
			r.Did = append(r.Did, "access key "+maskedKey(id)+" Inactive")
		}
	}
	if lost {
		return r, denied
	}
	if denied == nil {
		a.password(ctx, user, &r)
	}
	a.denyInOrganization(ctx, a.neighbour(user), &r)
	r.Left = append(r.Left, a.survivors(ctx, user, id)...)
	return r, nil
}

// neighbour is a user of the authority's own account.
func (a responder) neighbour(user string) principal {
	return principal{partition: a.is.partition, account: a.is.account, kind: "user", name: user}
}

// stopFromAbove ends a key that the authority has no power over: by itself, which a deny would lock
// out, and then in the organization.
func (p *provider) stopFromAbove(ctx context.Context, a responder, who principal, k keys, why error) (revoke.Receipt, error) {
	r, err := p.inactivateItself(ctx, k, why)
	switch {
	case err == nil && !r.Already:
		a.denyInOrganization(ctx, who, &r)
	case errors.Is(err, revoke.ErrNoAuthority):
		if r, err = a.onlyInOrganization(ctx, who, err); err == nil {
			r.Left = append(r.Left, "the key itself is active, and STS answers it: make it inactive at "+rootPage)
		}
	}
	return r, err
}

func (c *caller) putDeny(ctx context.Context, user string) *failure {
	return c.putPolicy(ctx, user, denyName, denyAll)
}

// createdBefore is what a deny does not reach.
const createdBefore = "what it created before lives on: the users and keys that CloudTrail shows are ended, its last 15 minutes are not there yet"

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
	return c.setStatus(ctx, user, id, types.StatusTypeInactive)
}

func (c *caller) setStatus(ctx context.Context, user *string, id string, status types.StatusType) *failure {
	_, f := call(ctx, c, "UpdateAccessKey", func(ctx context.Context) (*iam.UpdateAccessKeyOutput, error) {
		return c.iam.UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{UserName: user, AccessKeyId: &id, Status: status})
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
	case f.is(403, "SignatureDoesNotMatch"):
		return revoke.Receipt{}, planted(k.id, f)
	case f.is(403, "AccessDenied"):
		return revoke.Receipt{}, fmt.Errorf("%w; and the key cannot make itself inactive: %s", why, f.answer)
	}
	return revoke.Receipt{}, f
}

func maskedKey(id string) string {
	return credential.Mask(keyKind, credential.NewSecret(map[string]string{"access_key_id": id}), nil)
}
