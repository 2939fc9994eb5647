package whatsapp

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/wire"
)

// look is what the credential itself showed.
type look struct {
	revoke.Verdict
	reply wire.Reply
	who   person
	err   error // why nothing was asked
}

// person is a user, a system user or an application, by id and name.
type person struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

func unasked(c credential.Credential, err error) look {
	return look{err: err, Verdict: revoke.Verdict{Answer: revoke.Answer(0, err.Error(), c.Secret)}}
}

// look asks the API by the credential who it is.
func (p *provider) look(ctx context.Context, c credential.Credential) look {
	value := c.Secret.Reveal("value")
	switch {
	case c.Kind == device:
		return unasked(c, errors.New("not asked: to try the keys of a linked device is to log in as it"))
	case c.Kind == appSecret:
		return p.lookAtApp(ctx, c)
	case c.Kind != token:
		return unasked(c, unknownKind(c))
	case value == "":
		return unasked(c, errors.New("not asked: the token is not known"))
	case !tokenForm.MatchString(value):
		return unasked(c, errors.New("not asked: the value has not the form of a token"))
	}
	q := wire.Request{Method: http.MethodGet, Path: "/me", Bearer: value, Hide: c.Secret}
	r := p.wire.Do(ctx, q)
	if fromGraph(r) && refusalOf(r).wantsProof() {
		if by, err := p.authority(ctx, c); err == nil {
			q.Query, q.Hide = url.Values{"appsecret_proof": {proof(by.secret, value)}}, by.hide(c)
			r = p.wire.Do(ctx, q)
		}
	}
	return read(r, func(s refusal) bool { return s.refuses() })
}

func proof(secret, value string) string {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(value))
	return hex.EncodeToString(m.Sum(nil))
}

// lookAtApp asks about the application as the application. That answers 190, with these words, where
// the secret is not the application's, as trufflehog found:
// https://github.com/trufflesecurity/trufflehog/tree/main/pkg/detectors/facebookoauth
func (p *provider) lookAtApp(ctx context.Context, c credential.Credential) look {
	a := app{id: c.Ref["client_id"], secret: c.Secret.Reveal("value")}
	if id := c.Secret.Reveal("client_id"); id != "" {
		a.id = id
	}
	switch {
	case a.secret == "":
		return unasked(c, errors.New("not asked: the secret is not known"))
	case !secretForm.MatchString(a.secret):
		return unasked(c, errors.New("not asked: the value has not the form of an app's secret"))
	case !idForm.MatchString(a.id):
		return unasked(c, errors.New("not asked: the id of the secret's app is not known"))
	}
	r := p.wire.Do(ctx, wire.Request{Method: http.MethodGet, Path: "/" + a.id, Bearer: a.bearer(), Hide: c.Secret})
	l := read(r, func(s refusal) bool {
		return s.Code == badToken && strings.HasPrefix(s.Message, "Invalid OAuth access token signature")
	})
	if l.who.ID != a.id && l.Outcome == revoke.Alive {
		l.Outcome = revoke.Inconclusive
	}
	return l
}

func read(r wire.Reply, refuses func(refusal) bool) look {
	l := look{reply: r}
	s := refusalOf(r)
	switch {
	case r.Status == http.StatusOK && r.JSON(&l.who) && l.who.ID != "":
		l.Verdict = r.Verdict(revoke.Alive, l.who.Name)
	case fromGraph(r) && s.Type == "OAuthException" && refuses(s):
		l.Verdict = r.Verdict(revoke.Refused, s.text())
	default:
		l.Verdict = r.Verdict(revoke.Inconclusive, s.text())
	}
	return l
}

// Verify asks by the credential who it is, and of a token also its application, where that is the
// desk's authority: alive for one of them is alive.
func (p *provider) Verify(ctx context.Context, c credential.Credential) revoke.Verdict {
	l := p.look(ctx, c)
	if c.Kind != token || l.Outcome == revoke.Alive || refusalOf(l.reply).Code == 0 { // no answer of Meta's
		return l.Verdict
	}
	by, err := p.authority(ctx, c)
	if err != nil {
		return l.Verdict
	}
	d, r := p.debug(ctx, c, by.bearer(), by.hide(c))
	switch {
	case d.Valid == nil:
		return l.Verdict
	case *d.Valid:
		return r.Verdict(revoke.Alive, "is_valid=true to its application")
	case d.Error.Code == badToken && d.refusal().refuses() && l.Outcome == revoke.Refused:
		l.Answer = revoke.Answer(0, l.Answer+"; to its application is_valid=false", by.hide(c))
	case d.Error.Code == badToken && d.refusal().refuses():
		return r.Verdict(revoke.Refused, "to its application is_valid=false: "+d.refusal().text())
	}
	return l.Verdict
}

// debugged is what the API tells of a token:
// https://developers.facebook.com/docs/graph-api/reference/debug_token
type debugged struct {
	AppID       string   `json:"app_id"`
	Application string   `json:"application"`
	Type        string   `json:"type"` // "USER", "SYSTEM_USER", "PAGE"
	Valid       *bool    `json:"is_valid"`
	UserID      string   `json:"user_id"`
	Scopes      []string `json:"scopes"`
	Granular    []struct {
		Scope   string   `json:"scope"`
		Targets []string `json:"target_ids"`
	} `json:"granular_scopes"`
	Error struct {
		Code    int    `json:"code"`
		Subcode int    `json:"subcode"`
		Message string `json:"message"`
	} `json:"error"`
}

func (d debugged) refusal() refusal {
	return refusal{Message: d.Error.Message, Code: d.Error.Code, Subcode: d.Error.Subcode}
}

// debug asks about a token with a token of the same application: the application's, or itself.
func (p *provider) debug(ctx context.Context, c credential.Credential, by string, hide credential.Secret) (debugged, wire.Reply) {
	r := p.wire.Do(ctx, wire.Request{
		Method: http.MethodGet, Path: "/debug_token", Query: url.Values{"input_token": {c.Secret.Reveal("value")}}, Bearer: by, Hide: hide,
	})
	var body struct {
		Data *debugged `json:"data"`
	}
	if r.Status != http.StatusOK || !r.JSON(&body) || body.Data == nil {
		return debugged{}, r
	}
	return *body.Data, r
}

// maxReach bounds what is shown of a token's scopes.
const maxReach = 60

// Inspect tells whose token it is and what it reaches, as the token itself may ask.
func (p *provider) Inspect(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	l := p.look(ctx, c)
	switch {
	case l.err != nil:
		return revoke.Exposure{}, fmt.Errorf("inspect %s: %w", c, l.err)
	case l.reply.Err != nil:
		return revoke.Exposure{}, fmt.Errorf("inspect %s: %w", c, l.reply.Err)
	case l.Outcome != revoke.Alive:
		return revoke.Exposure{}, fmt.Errorf("inspect %s: %s", c, l.Answer)
	}
	show := l.reply.Show
	e := revoke.Exposure{Account: show(l.who.Name) + " (" + show(l.who.ID) + ")", Owner: show(l.who.ID), Answer: l.Answer}
	if c.Kind == appSecret {
		e.Reach = []string{"whatever the app may: tokens, its settings, and webhooks in Meta's name"}
		return e, nil
	}
	d, r := p.debug(ctx, c, c.Secret.Reveal("value"), c.Secret)
	if d.Valid == nil {
		return e, nil // the token is known by name alone
	}
	e.Account = strings.ToLower(r.Show(d.Type)) + " token of app " + r.Show(d.Application) + " (" + r.Show(d.AppID) + ")"
	targets := make(map[string]string)
	for _, g := range d.Granular {
		targets[g.Scope] = " on " + strings.Join(g.Targets, ", ")
	}
	for _, scope := range d.Scopes[:min(len(d.Scopes), maxReach)] {
		e.Reach = append(e.Reach, r.Show(scope+targets[scope]))
	}
	return e, nil
}
