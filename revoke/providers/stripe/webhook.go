package stripe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	library "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/webhookendpoint"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
)

// endpointID is what may become part of an address. The id may come from a hostile host.
var endpointID = lazyregexp.New(`\Awe_[0-9A-Za-z_]{1,250}\z`)

// forgery is what the end of an endpoint cannot change: receivers check signatures on their own.
const forgery = "receivers that still hold the secret accept forged events until it is taken from them"

// Why an endpoint says nothing of a secret. Stripe shows a signing secret once, so that no probe
// can tell whose it is.
var (
	errNoEndpoint  = errors.New("the secret's webhook endpoint is not known, and Stripe tells nobody but people whose it is")
	errBadEndpoint = errors.New("what is given as its endpoint is no endpoint's id")
	errNotSecret   = errors.New("the value is no webhook signing secret")
)

// endpointOf returns the id of the endpoint that the secret belongs to, as far as that is known.
func endpointOf(c credential.Credential) (string, error) {
	id, value := c.Ref["endpoint"], c.Secret.Reveal("value")
	if kind, _ := credential.Recognize(value); value != "" && kind.Name != kindWebhook {
		return "", errNotSecret
	}
	switch {
	case id == "":
		return "", errNoEndpoint
	case !endpointID.MatchString(id):
		return "", errBadEndpoint
	}
	return id, nil
}

// endpoints returns a client that acts under the authority.
func (p *provider) endpoints(key string, c credential.Credential) webhookendpoint.Client {
	return webhookendpoint.Client{B: p.sending(key, c), Key: key}
}

func params(ctx context.Context) *library.WebhookEndpointParams {
	return &library.WebhookEndpointParams{Params: library.Params{Context: ctx}}
}

// endpoint reads the secret's endpoint under the authority.
func (p *provider) endpoint(ctx context.Context, c credential.Credential) (*library.WebhookEndpoint, error) {
	id, err := endpointOf(c)
	if err != nil {
		return nil, fmt.Errorf("not asked: %w", err)
	}
	key, err := p.authorityFor(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("not asked: %w", err)
	}
	e, err := p.endpoints(key, c).Get(id, params(ctx))
	if f, ok := errors.AsType[*failure](err); ok {
		return nil, f.ofAuthority()
	}
	if e.Object != "webhook_endpoint" || e.ID != id || e.Deleted {
		return nil, errors.New("an answer without the webhook endpoint")
	}
	return e, nil
}

func (p *provider) verifyWebhook(ctx context.Context, c credential.Credential) revoke.Verdict {
	e, err := p.endpoint(ctx, c)
	if err == nil {
		return revoke.Verdict{Outcome: revoke.Alive, Answer: sawEndpoint(e)}
	}
	if f, _ := errors.AsType[*failure](err); f.missing() {
		return revoke.Verdict{Outcome: revoke.Refused, Answer: f.text}
	}
	return inconclusive(err, c)
}

func sawEndpoint(e *library.WebhookEndpoint) string {
	return fmt.Sprintf("%d webhook endpoint %s", e.LastResponse.StatusCode, e.ID)
}

func (p *provider) inspectWebhook(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	e, err := p.endpoint(ctx, c)
	if err == nil {
		reach := []string{mode(e.Livemode), "forge events to the receiver"}
		for _, event := range e.EnabledEvents[:min(len(e.EnabledEvents), 20)] {
			reach = append(reach, revoke.Answer(0, event, c.Secret))
		}
		return revoke.Exposure{Reach: reach, Answer: sawEndpoint(e)}, nil
	}
	if f, _ := errors.AsType[*failure](err); f.missing() {
		return revoke.Exposure{Answer: f.text}, nil
	}
	return revoke.Exposure{}, fmt.Errorf("inspect %s: %w", c, err)
}

// deleteWebhook deletes the endpoint that the secret belongs to. Where that is not known none is
// guessed, not even the account's only one: the secret may be another account's, or planted, and a
// wrong guess stops a business.
func (p *provider) deleteWebhook(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return revoke.Receipt{}, fmt.Errorf("revoke %s: nothing was sent: %w", c, err)
	}
	id, err := endpointOf(c)
	if err != nil {
		return revoke.Receipt{}, fmt.Errorf("revoke %s: %w: %w", c, err, revoke.ErrManual)
	}
	key, err := p.authorityFor(ctx, c)
	if err != nil {
		return revoke.Receipt{}, fmt.Errorf("revoke %s: %w", c, err)
	}
	gone, err := p.endpoints(key, c).Del(id, params(ctx))
	receipt := revoke.Receipt{Left: []string{forgery}}
	switch f, _ := errors.AsType[*failure](err); {
	case f.missing():
		receipt.Already, receipt.Answer = true, f.text
		return receipt, nil
	case err != nil:
		return revoke.Receipt{}, fmt.Errorf("revoke %s: %w", c, f.ofDeletion())
	case !gone.Deleted || gone.ID != id:
		return revoke.Receipt{}, fmt.Errorf("revoke %s: %w: an answer without its deletion", c, revoke.ErrUncertain)
	}
	receipt.Answer = fmt.Sprintf("%d deleted %s", gone.LastResponse.StatusCode, id)
	receipt.Did = []string{"deleted webhook endpoint " + id}
	return receipt, nil
}

// missing reports whether Stripe says that the endpoint does not exist: the proof from the admin
// side. It is none where the authority is of the other mode and sees nothing there.
// https://docs.stripe.com/error-codes#resource-missing
func (f *failure) missing() bool {
	return f != nil && f.status == http.StatusNotFound && f.said != nil &&
		f.said.Code == library.ErrorCodeResourceMissing && !f.otherMode()
}

func (f *failure) otherMode() bool {
	return f.said != nil && strings.Contains(f.said.Msg, "a similar object exists in")
}

// ofAuthority adds that Stripe refused the authority, where it did.
func (f *failure) ofAuthority() error {
	if f.said != nil && (f.status == http.StatusUnauthorized || f.status == http.StatusForbidden || f.otherMode()) {
		return fmt.Errorf("%w: %w", revoke.ErrAuthority, f)
	}
	return f
}

// ofDeletion adds that nobody knows whether the deletion happened, where that is so.
func (f *failure) ofDeletion() error {
	answered := f.status == http.StatusTooManyRequests || f.said != nil && f.status < 500
	if f.unsent || answered {
		return f.ofAuthority()
	}
	return fmt.Errorf("%w: %w", revoke.ErrUncertain, f)
}
