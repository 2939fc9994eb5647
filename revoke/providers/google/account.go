package google

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/wire"
)

// maxKeys bounds the keys that are looked through; Google allows 10 to an account:
// https://cloud.google.com/iam/quotas
const maxKeys = 30

// iamKey is a key as IAM describes it:
// https://cloud.google.com/iam/docs/reference/rest/v1/projects.serviceAccounts.keys
type iamKey struct {
	Name     string `json:"name"`
	Disabled bool   `json:"disabled"`
	Reason   string `json:"disableReason"`
	Public   string `json:"publicKeyData"`
}

func (k iamKey) id() string { return path.Base(k.Name) }

// verifyAccount mints a token that may do nothing, which changes nothing. Without the private key IAM
// is asked for the key's state.
func (p *provider) verifyAccount(ctx context.Context, c credential.Credential) revoke.Verdict {
	id, err := identityOf(c)
	if err != nil {
		return notAsked(err, c)
	}
	if id.key == nil {
		return p.verifyListed(ctx, c, id)
	}
	token, r, err := p.mint(ctx, id, probeScope, c.Secret)
	if err != nil {
		return notAsked(err, c)
	}
	d, isDenial := denied(r)
	switch {
	case token != "":
		return r.Verdict(revoke.Alive, "minted a token for "+id.email)
	case untimely(r):
		return r.Verdict(revoke.Inconclusive, said(r)+" (the clock here is wrong?)")
	case isDenial && d.Code == "invalid_grant" && r.Status == http.StatusBadRequest:
		return r.Verdict(revoke.Refused, said(r))
	case isDenial && d.Code == "disabled_client":
		return p.confirm(ctx, c, id, r)
	}
	return r.Verdict(revoke.Inconclusive, said(r))
}

// confirm asks IAM what a refusal means that no document of Google's ties to the key.
func (p *provider) confirm(ctx context.Context, c credential.Credential, id identity, minted wire.Reply) revoke.Verdict {
	v := p.verifyListed(ctx, c, id)
	if v.Outcome == revoke.Alive {
		v.Outcome = revoke.Inconclusive
	}
	v.Answer = revoke.Answer(0, minted.Text(said(minted))+"; "+v.Answer, c.Secret)
	return v
}

// verifyListed judges a key by what IAM tells the authority of it.
func (p *provider) verifyListed(ctx context.Context, c credential.Credential, id identity) revoke.Verdict {
	who, err := p.responder(ctx, c)
	if err != nil {
		return notAsked(fmt.Errorf("IAM was not asked: %w", err), c)
	}
	k, r, err := p.findKey(ctx, who, id)
	switch {
	case err != nil:
		return notAsked(err, c)
	case k.Name == "":
		return r.Verdict(revoke.Refused, "IAM has no such key")
	case k.Disabled:
		return r.Verdict(revoke.Refused, "IAM shows the key disabled")
	}
	return r.Verdict(revoke.Alive, "IAM shows the key enabled")
}

func (p *provider) inspectAccount(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	v := p.verifyAccount(ctx, c)
	if v.Outcome != revoke.Alive {
		return revoke.Exposure{}, told(ctx, v)
	}
	id, err := identityOf(c)
	return revoke.Exposure{
		Account: id.project(), Owner: id.email, Answer: v.Answer,
		Reach: []string{"all that the roles of the service account allow, wherever it has one"},
	}, err
}

// findKey finds the key at IAM by its public half: the id is a claim of the host's, and the key of
// somebody innocent must not die of it. A Ref alone has to be believed. The result has no name where
// the account, or the account's key, is gone.
func (p *provider) findKey(ctx context.Context, who caller, id identity) (iamKey, wire.Reply, error) {
	if id.keyID != "" {
		k, r, err := p.getKey(ctx, who, id, id.keyID)
		if err != nil || id.key == nil || id.owns(k.Public) {
			return k, r, err
		}
	}
	all, r, err := p.listKeys(ctx, who, id)
	if err != nil {
		return iamKey{}, r, err
	}
	for _, listed := range all[:min(len(all), maxKeys)] {
		k, r, err := p.getKey(ctx, who, id, listed.id())
		if err != nil || id.owns(k.Public) {
			return k, r, err
		}
	}
	return iamKey{}, r, nil
}

func (p *provider) getKey(ctx context.Context, who caller, id identity, keyID string) (k iamKey, r wire.Reply, err error) {
	if !keyIDForm.MatchString(keyID) {
		return k, r, errors.New("what is given as the key's id is none")
	}
	r = p.iam.Do(ctx, wire.Request{
		Method: http.MethodGet, Path: id.path(keyID), Bearer: who.bearer, Hide: who.hide,
		Query: url.Values{"publicKeyType": {"TYPE_RAW_PUBLIC_KEY"}},
	})
	switch {
	case missing(r):
		return iamKey{}, r, nil
	case r.Status != http.StatusOK || !r.JSON(&k) || !strings.HasSuffix(k.Name, "/serviceAccounts/"+id.email+"/keys/"+keyID):
		return iamKey{}, r, seen(r)
	}
	return k, r, nil
}

// listKeys lists what people made; Google's own keys of the account cannot be taken away.
func (p *provider) listKeys(ctx context.Context, who caller, id identity) ([]iamKey, wire.Reply, error) {
	r := p.iam.Do(ctx, wire.Request{
		Method: http.MethodGet, Path: id.account() + "/keys", Bearer: who.bearer, Hide: who.hide,
		Query: url.Values{"keyTypes": {"USER_MANAGED"}},
	})
	var list map[string][]iamKey
	switch {
	case missing(r):
		return nil, r, nil
	case r.Status != http.StatusOK || !r.JSON(&list) || list["keys"] == nil && len(list) > 0:
		return nil, r, seen(r)
	}
	return list["keys"], r, nil
}

// disableKey disables the key, under the authority or, where there is none, by the key itself, whose
// roles may allow it: https://cloud.google.com/iam/docs/keys-disable-enable
func (p *provider) disableKey(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	id, err := identityOf(c)
	if err != nil {
		return revoke.Receipt{}, err
	}
	who, err := p.responder(ctx, c)
	if errors.Is(err, revoke.ErrNoAuthority) && id.key != nil {
		return p.disableItself(ctx, c, id, err)
	}
	if err != nil {
		return revoke.Receipt{}, err
	}
	return p.disable(ctx, who, id)
}

func (p *provider) disableItself(ctx context.Context, c credential.Credential, id identity, why error) (revoke.Receipt, error) {
	token, r, err := p.mint(ctx, id, cloudScope, c.Secret)
	if err != nil {
		return revoke.Receipt{}, fmt.Errorf("%w; %w", why, err)
	}
	if d, ok := denied(r); ok && d.Code == "invalid_grant" && !untimely(r) {
		return revoke.Receipt{Already: true, Answer: r.Text(said(r)), Left: []string{tokensLive}}, nil
	}
	if token == "" {
		return revoke.Receipt{}, fmt.Errorf("%w; and the key got no token to disable itself with: %w", why, seen(r))
	}
	done, err := p.disable(ctx, caller{bearer: token, hide: both(c.Secret, credential.Value(token)), own: true}, id)
	if errors.Is(err, revoke.ErrAuthority) {
		return revoke.Receipt{}, fmt.Errorf("%w; and the key may not disable itself: %s", why, revoke.Answer(0, err.Error(), c.Secret))
	}
	return done, err
}

const tokensLive = "access tokens that it minted live on for up to an hour, or 12 where the organisation extends them: disable the service account to have them refused"

// disable makes the changes: the key first, so that a half-done revocation is told from an account
// that somebody else disabled.
func (p *provider) disable(ctx context.Context, who caller, id identity) (revoke.Receipt, error) {
	k, r, err := p.findKey(ctx, who, id)
	if err != nil {
		return revoke.Receipt{}, err
	}
	receipt := revoke.Receipt{Answer: r.Text(keyState(k)), Already: k.Name == "" || k.Disabled}
	by := ""
	if who.own {
		by = ", by itself"
	}
	if !receipt.Already {
		r = p.post(ctx, who, id.path(k.id())+":disable")
		if !empty(r) {
			return revoke.Receipt{}, unchanged(r)
		}
		receipt.Answer = r.Text("keys.disable")
		receipt.Did = []string{"disabled key " + k.id() + " of " + id.email + by}
	}
	if p.settings.DisableServiceAccounts {
		did, answer, err := p.disableAccount(ctx, who, id)
		if err != nil {
			return revoke.Receipt{}, err
		}
		if did {
			receipt.Already, receipt.Answer = false, answer
			receipt.Did = append(receipt.Did, "disabled service account "+id.email+by)
		}
	} else {
		receipt.Left = append(receipt.Left, tokensLive)
	}
	receipt.Left = append(receipt.Left, p.others(ctx, who, id, k)...)
	return receipt, nil
}

func keyState(k iamKey) string {
	switch {
	case k.Name == "":
		return "IAM has no such key"
	case k.Disabled:
		return "IAM shows the key disabled"
	}
	return "IAM shows the key enabled"
}

// disableAccount has Google refuse every token of the account:
// https://cloud.google.com/iam/docs/reference/rest/v1/projects.serviceAccounts/disable
func (p *provider) disableAccount(ctx context.Context, who caller, id identity) (did bool, answer string, err error) {
	state, err := p.accountState(ctx, who, id)
	if err != nil || state != "enabled" {
		return false, "", err
	}
	r := p.post(ctx, who, id.account()+":disable")
	if !empty(r) {
		return false, "", unchanged(r)
	}
	return true, r.Text("serviceAccounts.disable"), nil
}

// accountState is "enabled", "disabled" or "gone".
func (p *provider) accountState(ctx context.Context, who caller, id identity) (string, error) {
	r := p.iam.Do(ctx, wire.Request{Method: http.MethodGet, Path: id.account(), Bearer: who.bearer, Hide: who.hide})
	var a struct {
		Email    string `json:"email"`
		Disabled bool   `json:"disabled"`
	}
	switch {
	case missing(r):
		return "gone", nil
	case r.Status != http.StatusOK || !r.JSON(&a) || a.Email != id.email:
		return "", seen(r)
	case a.Disabled:
		return "disabled", nil
	}
	return "enabled", nil
}

// post sends a change without arguments.
func (p *provider) post(ctx context.Context, who caller, path string) wire.Reply {
	return p.iam.Do(ctx, wire.Request{Method: http.MethodPost, Path: path, Bearer: who.bearer, Hide: who.hide, JSON: struct{}{}})
}

// others names the account's other keys. Whether the dead one made them nobody says, so that they are
// not killed with it.
func (p *provider) others(ctx context.Context, who caller, id identity, dead iamKey) []string {
	all, r, err := p.listKeys(ctx, who, id)
	if err != nil {
		return []string{"whether its service account has other keys is not known: " + r.Text(said(r))}
	}
	var left []string
	for _, k := range all[:min(len(all), maxKeys)] {
		if k.Name != dead.Name && !k.Disabled && keyIDForm.MatchString(k.id()) {
			left = append(left, "key "+k.id()+" of "+id.email+" is enabled: look at who made it")
		}
	}
	return left
}

// enableKey makes the key work again, and its account where the settings have that disabled, too.
func (p *provider) enableKey(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	id, err := identityOf(c)
	if err != nil {
		return revoke.Receipt{}, err
	}
	who, err := p.responder(ctx, c)
	if err != nil {
		return revoke.Receipt{}, err
	}
	k, r, err := p.findKey(ctx, who, id)
	switch {
	case err != nil:
		return revoke.Receipt{}, err
	case k.Name == "":
		return revoke.Receipt{}, errors.New(r.Text("IAM has no such key: a deleted key cannot be brought back"))
	case strings.HasSuffix(k.Reason, "_EXPOSED"), strings.HasSuffix(k.Reason, "_COMPROMISE_DETECTED"):
		return revoke.Receipt{}, errors.New(r.Text("it was Google that disabled the key: " + k.Reason))
	}
	receipt := revoke.Receipt{Answer: r.Text(keyState(k))}
	if p.settings.DisableServiceAccounts {
		state, err := p.accountState(ctx, who, id)
		if err != nil {
			return revoke.Receipt{}, err
		}
		if state == "disabled" {
			if r = p.post(ctx, who, id.account()+":enable"); !empty(r) {
				return revoke.Receipt{}, unchanged(r)
			}
			receipt.Answer, receipt.Did = r.Text("serviceAccounts.enable"), []string{"enabled service account " + id.email}
		}
	}
	if k.Disabled {
		if r = p.post(ctx, who, id.path(k.id())+":enable"); !empty(r) {
			return revoke.Receipt{}, unchanged(r)
		}
		receipt.Answer, receipt.Did = r.Text("keys.enable"), append(receipt.Did, "enabled key "+k.id()+" of "+id.email)
	}
	receipt.Already = len(receipt.Did) == 0
	return receipt, nil
}
