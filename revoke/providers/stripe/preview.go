package stripe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	library "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/form"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
)

// previewVersion is a version of the API in which a preview's calls exist. Stripe tells it to the
// accounts that take part. https://docs.stripe.com/release-phases
var previewVersion = lazyregexp.New(`\A20[0-9]{2}-[0-9]{2}-[0-9]{2}\.[a-z]{1,20}\z`)

// keyID is what may become part of an address: the key's name, which is not the key.
var keyID = lazyregexp.New(`\Amk_[0-9A-Za-z_]{8,250}\z`)

// errGated is of an account that has no part in the preview, or a key that the call does not take.
var errGated = errors.New("the preview call does not end it for this account")

// expireKey ends an API key by a call that Stripe gives in private preview to some accounts
// (https://stripe.dev/stripe-java/com/stripe/service/v2/iam/ApiKeyService.html). It is off unless the
// desk's settings say preview_expire, because
//   - the contract of a preview may change without notice, and most accounts do not have it;
//   - the call takes a key's id (mk_…), which no key shows. What the host says of it cannot be checked:
//     looking at a key, or listing them, answers with keys in plain text, which nobody should fetch in
//     the middle of an incident. A wrong id ends another key of the business.
//
// Where it does not work a person does it, as without it.
func (p *provider) expireKey(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return revoke.Receipt{}, fmt.Errorf("revoke %s: nothing was sent: %w", c, err)
	}
	key, err := p.authorityFor(ctx, c)
	if err != nil {
		return revoke.Receipt{}, fmt.Errorf("revoke %s: %w", c, err)
	}
	id := c.Ref["id"]
	if !keyID.MatchString(id) {
		return revoke.Receipt{}, fmt.Errorf("revoke %s: its id (mk_…) is not known: %w", c, revoke.ErrManual)
	}
	if v := p.verifyKey(ctx, c); v.Outcome == revoke.Refused {
		return revoke.Receipt{Already: true, Answer: v.Answer}, nil
	}
	status, err := p.expire(ctx, key, id, c)
	switch f, _ := errors.AsType[*failure](err); {
	case err == nil:
		return revoke.Receipt{Answer: fmt.Sprintf("%d expired %s", status, id), Did: []string{"expired API key " + id}}, nil
	case f == nil:
		return revoke.Receipt{}, fmt.Errorf("revoke %s: %w: %w", c, revoke.ErrUncertain, err)
	case f.said != nil && f.status == http.StatusUnauthorized:
		return revoke.Receipt{}, fmt.Errorf("revoke %s: %w: %w", c, revoke.ErrAuthority, f)
	case f.said != nil && f.status >= 400 && f.status < 500 && f.status != http.StatusTooManyRequests:
		return revoke.Receipt{}, fmt.Errorf("revoke %s: %w: %w: %w", c, errGated, f, revoke.ErrManual)
	default:
		return revoke.Receipt{}, fmt.Errorf("revoke %s: %w", c, f.ofDeletion())
	}
}

// errNotExpired is of a success that does not name the key.
var errNotExpired = errors.New("an answer without the key")

// expire sends the call. Its answer may hold the key in plain text: of it nothing is kept.
func (p *provider) expire(ctx context.Context, key, id string, c credential.Credential) (status int, err error) {
	b := p.sending(key, c)
	r, err := b.request(http.MethodPost, "/v2/iam/api_keys/"+id+"/expire", key, &form.Values{}, &library.Params{Context: ctx})
	if err != nil {
		return 0, b.unanswered(err, true)
	}
	r.Header.Set("Stripe-Version", p.settings.PreviewVersion)
	r.Header.Set("Content-Type", "application/json")
	if err := ctx.Err(); err != nil {
		return 0, b.unanswered(err, true)
	}
	resp, err := b.http.Do(r)
	if err != nil {
		return 0, b.unanswered(err, revoke.NeverSent(err))
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := revoke.ReadBody(resp.Body)
	if err != nil {
		return 0, b.unanswered(err, false)
	}
	defer clear(body)
	if resp.StatusCode/100 != 2 {
		return resp.StatusCode, b.refused(resp, body)
	}
	var gone struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(body, &gone) != nil || gone.ID != id {
		return resp.StatusCode, errNotExpired
	}
	return resp.StatusCode, nil
}
