package stripe

import (
	"context"
	"errors"
	"fmt"
	"strings"

	library "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/ephemeralkey"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
)

// ephemeralID is what may become part of an address: not the key, but its name.
var ephemeralID = lazyregexp.New(`\Aephkey_[0-9A-Za-z_]{1,250}\z`)

var errNotEphemeral = errors.New("not asked: the value is no ephemeral key")

// verifyEphemeral asks with the key itself. It may not read a balance, and is told so for as long as
// it lives: https://docs.stripe.com/api/ephemeral_keys. Stripe does not document the words for one
// that ended, so they count only of one that was seen alive.
func (p *provider) verifyEphemeral(ctx context.Context, c credential.Credential) revoke.Verdict {
	if !strings.HasPrefix(c.Secret.Reveal("value"), "ek_") {
		return inconclusive(errNotEphemeral, c)
	}
	return p.verifyKey(ctx, c)
}

func (p *provider) inspectEphemeral(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	v := p.verifyEphemeral(ctx, c)
	if v.Outcome == revoke.Inconclusive {
		return revoke.Exposure{}, fmt.Errorf("inspect %s: %s", c, v.Answer)
	}
	return revoke.Exposure{Reach: []string{"one customer or object that it was made for, up to an hour"}, Answer: v.Answer}, nil
}

// deleteEphemeral ends the key under the authority, which knows it by its id alone.
func (p *provider) deleteEphemeral(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return revoke.Receipt{}, fmt.Errorf("revoke %s: nothing was sent: %w", c, err)
	}
	key, err := p.authorityFor(ctx, c)
	if err != nil {
		return revoke.Receipt{}, fmt.Errorf("revoke %s: %w", c, err)
	}
	if !ephemeralID.MatchString(c.Ref["id"]) {
		return revoke.Receipt{}, fmt.Errorf("revoke %s: its id is not known: %w", c, revoke.ErrManual)
	}
	client := ephemeralkey.Client{B: p.sending(key, c), Key: key}
	gone, err := client.Del(c.Ref["id"], &library.EphemeralKeyParams{Params: library.Params{Context: ctx}})
	switch f, _ := errors.AsType[*failure](err); {
	case f.missing():
		return revoke.Receipt{Already: true, Answer: f.text}, nil
	case err != nil:
		return revoke.Receipt{}, fmt.Errorf("revoke %s: %w", c, f.ofDeletion())
	case gone.Object != "ephemeral_key" || gone.ID != c.Ref["id"]:
		return revoke.Receipt{}, fmt.Errorf("revoke %s: %w: an answer without its deletion", c, revoke.ErrUncertain)
	}
	return revoke.Receipt{
		Answer: fmt.Sprintf("%d deleted %s", gone.LastResponse.StatusCode, gone.ID), Did: []string{"deleted ephemeral key " + gone.ID},
	}, nil
}
