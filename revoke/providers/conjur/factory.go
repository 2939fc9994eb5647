package conjur

import (
	"context"
	"fmt"
	"net/http"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/wire"
)

// factoryProbe asks for a new host without its name: it cannot be carried out. Conjur looks at the
// token first (app/controllers/host_factories_controller.rb, validate_token before params.require).
const factoryProbe = "no=id"

// tryFactory asks whether a token would let somebody make a host.
func (p *provider) tryFactory(ctx context.Context, c credential.Credential) verdict {
	value := c.Secret.Reveal("value")
	if !secretValue.MatchString(value) {
		return unasked(errNotValue)
	}
	v, known, silent := p.present(ctx, c.Secret)
	if !known && !silent {
		return v
	}
	a := p.ask(ctx, wire.Request{
		Method: http.MethodPost, Path: "/host_factories/hosts", Body: factoryProbe, Hide: c.Secret,
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Authorization": {`Token token="` + value + `"`}},
	})
	var said struct {
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	switch {
	case a.Status == http.StatusUnprocessableEntity && a.JSON(&said) && said.Error.Code != "":
		return judged(a, revoke.Alive, "takes the token, and wants a host's name")
	case refused(a) && silent:
		return p.witnessed(ctx, c, a)
	case refused(a):
		return judged(a, revoke.Refused, "")
	}
	return judged(a, revoke.Inconclusive, "")
}

// deleteFactoryToken revokes a token by the authority.
// https://docs.conjur.org/Latest/en/Content/Developer/Conjur_API_Revoke_Tokens.htm
func (p *provider) deleteFactoryToken(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	own, err := p.authority(ctx, c)
	if err != nil {
		return revoke.Receipt{}, err
	}
	left := []string{"hosts that were made with it: look at the factory's layers for hosts that nobody knows"}
	switch v := p.tryFactory(ctx, c); v.Outcome {
	case revoke.Refused:
		return revoke.Receipt{Already: true, Answer: v.Answer, Left: left}, nil
	case revoke.Inconclusive:
		return revoke.Receipt{}, v.err
	}
	token, err := p.accessToken(ctx, own)
	if err != nil {
		return revoke.Receipt{}, err
	}
	a := p.ask(ctx, token.on(wire.Request{Method: http.MethodDelete, Path: "/host_factory_tokens/" + c.Secret.Reveal("value"), Hide: c.Secret}))
	switch {
	case a.Err == nil && a.Status == http.StatusNoContent:
		return revoke.Receipt{Answer: a.Text(""), Did: []string{"deleted the host factory token"}, Left: left}, nil
	case a.Err == nil && (a.Status == http.StatusForbidden || refused(a)):
		return revoke.Receipt{}, fmt.Errorf("%w: %w", revoke.ErrAuthority, a.Failure(""))
	}
	return revoke.Receipt{}, a.Failure("")
}
