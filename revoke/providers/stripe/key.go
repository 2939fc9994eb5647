package stripe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	library "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/balance"

	"clawback/revoke"
	"clawback/revoke/credential"
)

// errNotKey is of a value that was not sent, because no key looks like it.
var errNotKey = errors.New("not asked: the value is no API key")

// errNoBalance is of a success with something else in it.
var errNoBalance = errors.New("an answer without a balance")

// balance asks for the account's balance with the key: the smallest read that Stripe has.
func (p *provider) balance(ctx context.Context, c credential.Credential) (*library.Balance, error) {
	key := c.Secret.Reveal("value")
	if !sendable(key) {
		return nil, errNotKey
	}
	client := balance.Client{B: p.sending(key, c), Key: key}
	b, err := client.Get(&library.BalanceParams{Params: library.Params{Context: ctx}})
	if err != nil {
		return nil, err
	}
	if b.Object != "balance" {
		return nil, errNoBalance
	}
	return b, nil
}

func (p *provider) verifyKey(ctx context.Context, c credential.Credential) revoke.Verdict {
	b, err := p.balance(ctx, c)
	if err == nil {
		return revoke.Verdict{Outcome: revoke.Alive, Answer: saw(b)}
	}
	f, _ := errors.AsType[*failure](err)
	switch {
	case f.refusesKey():
		return revoke.Verdict{Outcome: revoke.Refused, Answer: f.text}
	case f.forbidsKey():
		return revoke.Verdict{Outcome: revoke.Alive, Answer: f.text}
	}
	return inconclusive(err, c)
}

func (p *provider) inspectKey(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	b, err := p.balance(ctx, c)
	if err == nil {
		reach := []string{mode(b.Livemode), "everything the account can do"}
		if strings.HasPrefix(c.Secret.Reveal("value"), "rk_") {
			reach[1] = "what the restricted key's permissions allow, the balance among them"
		}
		return revoke.Exposure{Reach: reach, Answer: saw(b)}, nil
	}
	f, _ := errors.AsType[*failure](err)
	switch {
	case f.refusesKey():
		return revoke.Exposure{Answer: f.text}, nil
	case f.forbidsKey():
		return revoke.Exposure{Answer: f.text, Reach: []string{"what the restricted key's permissions allow, not the balance"}}, nil
	}
	return revoke.Exposure{}, fmt.Errorf("inspect %s: %w", c, err)
}

// refuseToRoll says why a key is left to a person: no public call ends one.
func (p *provider) refuseToRoll(ctx context.Context, c credential.Credential) error {
	if _, err := p.authorityFor(ctx, c); errors.Is(err, revoke.ErrOurs) {
		return fmt.Errorf("revoke %s: %w", c, revoke.ErrOurs)
	}
	return fmt.Errorf("revoke %s: %w", c, revoke.ErrManual)
}

// refusesKey reports whether Stripe itself refused the key that was sent. "You did not provide an
// API key" is a 401 as well and proves that something on the way took the key out.
// https://docs.stripe.com/error-codes#api-key-expired; the text of unknown keys is not documented,
// it is what the API says.
func (f *failure) refusesKey() bool {
	if f == nil || f.status != http.StatusUnauthorized || f.said == nil {
		return false
	}
	return f.said.Code == library.ErrorCodeAPIKeyExpired ||
		f.said.Type == library.ErrorTypeInvalidRequest && strings.HasPrefix(f.said.Msg, "Invalid API Key provided")
}

// forbidsKey reports whether Stripe knows the key and denies it this call: it lives.
// https://docs.stripe.com/keys/restricted-api-keys
func (f *failure) forbidsKey() bool {
	return f != nil && f.status == http.StatusForbidden && f.said != nil
}

func saw(b *library.Balance) string {
	return fmt.Sprintf("%d balance in %s", b.LastResponse.StatusCode, mode(b.Livemode))
}

func mode(live bool) string {
	if live {
		return "live mode"
	}
	return "test mode"
}
