package stripe

import (
	"context"
	"errors"
	"fmt"

	library "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/apps/secret"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
)

// What names a secret in the store of a Stripe App: https://docs.stripe.com/stripe-apps/store-secrets
var (
	secretName = lazyregexp.New(`\A[0-9A-Za-z][0-9A-Za-z_.:-]{0,250}\z`)
	secretUser = lazyregexp.New(`\Ausr_[0-9A-Za-z]{1,100}\z`)
)

var errNoSecretName = errors.New("not asked: the name of the app's secret is not known")

// leftOfAppSecret is what a deletion from the store does not reach.
const leftOfAppSecret = "the stored value itself, wherever else it is valid: revoke it at who gave it out"

// place is where a secret stands: the whole account's, or one user's.
type place struct{ name, kind, user string }

func placeOf(c credential.Credential) (place, error) {
	at := place{c.Ref["id"], "account", c.Ref["user"]}
	if at.user != "" {
		at.kind = "user"
	}
	if !secretName.MatchString(at.name) || at.user != "" && !secretUser.MatchString(at.user) {
		return place{}, errNoSecretName
	}
	return at, nil
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// appSecret asks the store for the secret, without its value: that is told only to who expands it.
// https://docs.stripe.com/api/secret_management/find_secret
func (p *provider) appSecret(ctx context.Context, c credential.Credential) (*library.AppsSecret, error) {
	at, err := placeOf(c)
	if err != nil {
		return nil, err
	}
	key, err := p.authorityFor(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("not asked: %w", err)
	}
	client := secret.Client{B: p.sending(key, c), Key: key}
	found, err := client.Find(&library.AppsSecretFindParams{
		Params: library.Params{Context: ctx}, Name: &at.name, Scope: &library.AppsSecretFindScopeParams{Type: &at.kind, User: optional(at.user)},
	})
	if f, ok := errors.AsType[*failure](err); ok {
		return nil, f.ofAuthority()
	}
	if found.Object != "apps.secret" || found.Name != at.name || found.Deleted {
		return nil, errors.New("an answer without the secret")
	}
	return found, nil
}

func (p *provider) verifyAppSecret(ctx context.Context, c credential.Credential) revoke.Verdict {
	found, err := p.appSecret(ctx, c)
	if err == nil {
		return revoke.Verdict{Outcome: revoke.Alive, Answer: fmt.Sprintf("%d it is in the app's store", found.LastResponse.StatusCode)}
	}
	if f, _ := errors.AsType[*failure](err); f.missing() {
		return revoke.Verdict{Outcome: revoke.Refused, Answer: f.text}
	}
	return inconclusive(err, c)
}

func (p *provider) inspectAppSecret(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	found, err := p.appSecret(ctx, c)
	if err == nil {
		return revoke.Exposure{Reach: []string{mode(found.Livemode), "what its value opens elsewhere"}, Answer: fmt.Sprintf("%d it is in the app's store", found.LastResponse.StatusCode)}, nil
	}
	if f, _ := errors.AsType[*failure](err); f.missing() {
		return revoke.Exposure{Answer: f.text}, nil
	}
	return revoke.Exposure{}, fmt.Errorf("inspect %s: %w", c, err)
}

// deleteAppSecret takes the secret out of the app's store.
// https://docs.stripe.com/api/secret_management/delete_secret
func (p *provider) deleteAppSecret(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return revoke.Receipt{}, fmt.Errorf("revoke %s: nothing was sent: %w", c, err)
	}
	at, err := placeOf(c)
	if err != nil {
		return revoke.Receipt{}, fmt.Errorf("revoke %s: %w", c, err)
	}
	key, err := p.authorityFor(ctx, c)
	if err != nil {
		return revoke.Receipt{}, fmt.Errorf("revoke %s: %w", c, err)
	}
	client := secret.Client{B: p.sending(key, c), Key: key}
	gone, err := client.DeleteWhere(&library.AppsSecretDeleteWhereParams{
		Params: library.Params{Context: ctx}, Name: &at.name, Scope: &library.AppsSecretDeleteWhereScopeParams{Type: &at.kind, User: optional(at.user)},
	})
	receipt := revoke.Receipt{Left: []string{leftOfAppSecret}}
	switch f, _ := errors.AsType[*failure](err); {
	case f.missing():
		receipt.Already, receipt.Answer = true, f.text
		return receipt, nil
	case err != nil:
		return revoke.Receipt{}, fmt.Errorf("revoke %s: %w", c, f.ofDeletion())
	case !gone.Deleted || gone.Name != at.name:
		return revoke.Receipt{}, fmt.Errorf("revoke %s: %w: an answer without its deletion", c, revoke.ErrUncertain)
	}
	receipt.Answer = fmt.Sprintf("%d deleted from the app's store", gone.LastResponse.StatusCode)
	receipt.Did = []string{"deleted the app's secret " + at.name}
	return receipt, nil
}
