package stripe

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	library "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/balance"
	"github.com/stripe/stripe-go/v76/oauth"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
)

// accountID is what may become a header or part of a form.
var accountID = lazyregexp.New(`\Aacct_[0-9A-Za-z]{8,100}\z`)

var (
	errNoAccount  = errors.New("not asked: which connected account it is (acct_…) is not known")
	errNoClientID = errors.New("the platform's client id is not configured: name it as client_id in the settings of stripe")
)

// reachAccount reads the balance of a connected account as the platform.
// https://docs.stripe.com/connect/authentication
func (p *provider) reachAccount(ctx context.Context, key string, c credential.Credential) (*library.Balance, error) {
	client := balance.Client{B: p.sending(key, c), Key: key}
	b, err := client.Get(&library.BalanceParams{Params: library.Params{Context: ctx, StripeAccount: library.String(c.Ref["id"])}})
	if err == nil && b.Object != "balance" {
		err = &failure{text: errNoBalance.Error()}
	}
	return b, err
}

// asPlatform returns the platform's key, and what keeps it from asking about the account.
func (p *provider) asPlatform(ctx context.Context, c credential.Credential) (string, error) {
	if !accountID.MatchString(c.Ref["id"]) {
		return "", errNoAccount
	}
	return p.authorityFor(ctx, c)
}

func (p *provider) verifyConnected(ctx context.Context, c credential.Credential) revoke.Verdict {
	key, err := p.asPlatform(ctx, c)
	if err != nil {
		return inconclusive(err, c)
	}
	b, err := p.reachAccount(ctx, key, c)
	if err == nil {
		return revoke.Verdict{Outcome: revoke.Alive, Answer: saw(b) + " of the connected account"}
	}
	if f, _ := errors.AsType[*failure](err); f.disconnected() {
		return revoke.Verdict{Outcome: revoke.Refused, Answer: f.text}
	}
	return inconclusive(err, c)
}

func (p *provider) inspectConnected(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	v := p.verifyConnected(ctx, c)
	if v.Outcome == revoke.Inconclusive {
		return revoke.Exposure{}, fmt.Errorf("inspect %s: %s", c, v.Answer)
	}
	return revoke.Exposure{Account: c.Ref["id"], Reach: []string{"charges, refunds and payouts of the connected account, as the platform"}, Answer: v.Answer}, nil
}

// disconnected reports whether Stripe says that the platform has no such account: it says the same of
// one that never was connected. https://docs.stripe.com/error-codes#account-invalid
func (f *failure) disconnected() bool {
	return f != nil && f.status == http.StatusForbidden && f.said != nil && f.said.Code == library.ErrorCodeAccountInvalid
}

// deauthorize gives the platform's access to an account back. The call's errors are OAuth's and tell
// little, so the account is looked at first. https://docs.stripe.com/connect/oauth-reference#post-deauthorize
func (p *provider) deauthorize(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return revoke.Receipt{}, fmt.Errorf("revoke %s: nothing was sent: %w", c, err)
	}
	key, err := p.asPlatform(ctx, c)
	if err != nil {
		return revoke.Receipt{}, fmt.Errorf("revoke %s: %w", c, err)
	}
	if p.settings.ClientID == "" {
		return revoke.Receipt{}, fmt.Errorf("revoke %s: %w: %w", c, errNoClientID, revoke.ErrManual)
	}
	if _, err := p.reachAccount(ctx, key, c); err != nil {
		f, _ := errors.AsType[*failure](err)
		if f.disconnected() {
			return revoke.Receipt{Already: true, Answer: f.text}, nil
		}
		return revoke.Receipt{}, fmt.Errorf("revoke %s: look at the account: %w", c, f.ofAuthority())
	}
	to := p.sending(key, c)
	to.at = p.connect
	client := oauth.Client{B: to, Key: key}
	gone, err := client.Del(&library.DeauthorizeParams{
		Params: library.Params{Context: ctx}, ClientID: library.String(p.settings.ClientID), StripeUserID: library.String(c.Ref["id"]),
	})
	if err != nil {
		f, _ := errors.AsType[*failure](err)
		return revoke.Receipt{}, fmt.Errorf("revoke %s: %w", c, f.ofDeletion())
	}
	if gone.StripeUserID != c.Ref["id"] {
		return revoke.Receipt{}, fmt.Errorf("revoke %s: %w: an answer without the account", c, revoke.ErrUncertain)
	}
	return revoke.Receipt{
		Answer: fmt.Sprintf("%d deauthorized %s", gone.LastResponse.StatusCode, gone.StripeUserID),
		Did:    []string{"deauthorized the platform for " + gone.StripeUserID},
	}, nil
}
