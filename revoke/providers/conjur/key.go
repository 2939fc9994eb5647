package conjur

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/wire"
)

// leftOfKey is what a key's end does not reach.
// https://docs.conjur.org/Latest/en/Content/Developer/Conjur_API_Authenticate.htm
const leftOfKey = "access tokens that were made with it, for up to 8 minutes"

// login exchanges an identity's key for an access token: the only way to try a key. The token ends by
// itself and changes nothing.
func (p *provider) login(ctx context.Context, id identity) (a wire.Reply, token []byte) {
	a = p.ask(ctx, wire.Request{
		Method: http.MethodPost, Path: "/authn/" + url.PathEscape(id.account) + "/" + url.PathEscape(id.login) + "/authenticate",
		Header: http.Header{"Content-Type": {"text/plain"}}, Body: id.key, Hide: id.hide,
	})
	var made struct {
		Protected string `json:"protected"`
		Payload   string `json:"payload"`
		Signature string `json:"signature"`
	}
	if a.Status == http.StatusOK && a.JSON(&made) && made.Protected != "" && made.Payload != "" && made.Signature != "" {
		return a, a.Body
	}
	return a, nil
}

// tryKey asks whether a key works. Conjur says the same 401 to a key that is dead, of nobody, or used
// from an address that its role does not allow: NeedsAlive.
func (p *provider) tryKey(ctx context.Context, c credential.Credential) verdict {
	id, err := p.identify(c)
	if err != nil {
		return unasked(err)
	}
	v, known, silent := p.present(ctx, c.Secret)
	if !known && !silent {
		return v
	}
	a, token := p.login(ctx, id)
	switch {
	case token != nil:
		return judged(a, revoke.Alive, "an access token")
	case refused(a) && silent:
		return p.witnessed(ctx, c, a)
	case refused(a):
		return judged(a, revoke.Refused, "")
	}
	return judged(a, revoke.Inconclusive, "")
}

// rotateKey has the key replaced: by itself or, where it may not, by the authority. The new key is in
// the answer, which nobody keeps.
// https://docs.conjur.org/Latest/en/Content/Developer/Conjur_API_Rotate_Personal_API_Key.htm
func (p *provider) rotateKey(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	id, err := p.identify(c)
	if err != nil {
		return revoke.Receipt{}, err
	}
	own, noAuthority := p.authority(ctx, c)
	if errors.Is(noAuthority, revoke.ErrOurs) || noAuthority == nil && own.login == id.login {
		return revoke.Receipt{}, fmt.Errorf("%w: the key is the authority's", revoke.ErrOurs)
	}
	switch v := p.tryKey(ctx, c); v.Outcome {
	case revoke.Refused:
		return revoke.Receipt{Already: true, Answer: v.Answer, Left: []string{leftOfKey}}, nil
	case revoke.Inconclusive:
		return revoke.Receipt{}, v.err
	}
	how := "the key had itself replaced by one that nobody keeps"
	a := p.ask(ctx, wire.Request{Method: http.MethodPut, Path: keyPath(id), User: url.UserPassword(id.login, id.key), Hide: c.Secret})
	if noAuthority == nil && a.Err == nil && (a.Status == http.StatusUnauthorized || a.Status == http.StatusForbidden) {
		token, err := p.accessToken(ctx, own)
		if err != nil {
			return revoke.Receipt{}, err
		}
		how = "the authority had the key replaced by one that nobody keeps"
		a = p.ask(ctx, token.on(wire.Request{Method: http.MethodPut, Path: keyPath(id), Query: url.Values{"role": {id.role()}}}))
	}
	replaced := a.Err == nil && a.Status == http.StatusOK && secretValue().Match(a.Body) && string(a.Body) != id.key
	clear(a.Body) // the new key
	if !replaced {
		return revoke.Receipt{}, a.Failure("")
	}
	return revoke.Receipt{Answer: a.Text("a new key"), Did: []string{how}, Left: []string{leftOfKey}}, nil
}

// accessToken is what an authority acts with.
type accessToken struct {
	value string
	hide  credential.Secret
}

func (p *provider) accessToken(ctx context.Context, own identity) (accessToken, error) {
	a, token := p.login(ctx, own)
	switch {
	case token != nil:
		value := base64.StdEncoding.EncodeToString(token)
		return accessToken{value, credential.NewSecret(map[string]string{"token": value, "key": own.key})}, nil
	case refused(a):
		return accessToken{}, fmt.Errorf("%w: %w", revoke.ErrAuthority, a.Failure(""))
	}
	return accessToken{}, fmt.Errorf("log in as the authority: %w", a.Failure(""))
}

// on makes a request one of the token's owner. What it is about is hidden with it.
func (t accessToken) on(q wire.Request) wire.Request {
	q.Header = http.Header{"Authorization": {`Token token="` + t.value + `"`}}
	hidden := map[string]string{}
	for _, s := range []credential.Secret{t.hide, q.Hide} {
		for _, part := range s.Parts() {
			hidden[part] = s.Reveal(part)
		}
	}
	q.Hide = credential.NewSecret(hidden)
	return q
}
