package github

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
)

const (
	kindAppKey          = "github.app_key"
	kindAppInstallation = "github.app_installation"

	// badSignature is how GitHub refuses a JSON web token that no key of the App named in it signed.
	// The App's id alone being wrong reads the same: https://github.com/octokit/auth-app.js/issues/375
	badSignature = "A JSON web token could not be decoded"
)

// appID is the number of a GitHub App, or its client id:
// https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app
var appID = lazyregexp.New(`\A(?:[1-9][0-9]{0,17}|Iv[0-9A-Za-z.]{10,40})\z`)

// app is what signs in a GitHub App's name.
type app struct {
	id  string
	key *rsa.PrivateKey
}

// parseApp does not quote what it refuses.
func parseApp(id, file string) (app, error) {
	// In a variable or a line of a file its line breaks stand as \n.
	block, _ := pem.Decode([]byte(strings.ReplaceAll(file[:min(len(file), maxKeyFile)], `\n`, "\n")))
	switch {
	case !appID.MatchString(id):
		return app{}, errors.New("the App's id (app_id) is not known")
	case block == nil:
		return app{}, errors.New("the private key is no PEM file")
	}
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		other, _ := x509.ParsePKCS8PrivateKey(block.Bytes)
		key, _ = other.(*rsa.PrivateKey)
	}
	if key == nil || key.N.BitLen() < 1024 || key.N.BitLen() > 8192 {
		return app{}, errors.New("the private key is none that GitHub makes")
	}
	return app{id, key}, nil
}

// token is a JSON web token for nine minutes, which begin a minute ago: clocks differ, and GitHub
// takes ten.
func (a app) token(now time.Time) (string, error) {
	part := base64.RawURLEncoding.EncodeToString
	claims, err := json.Marshal(map[string]any{
		"iat": now.Add(-time.Minute).Unix(), "exp": now.Add(8 * time.Minute).Unix(), "iss": a.id,
	})
	if err != nil {
		return "", fmt.Errorf("write the claims: %w", err)
	}
	text := part([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + part(claims)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, a.key, crypto.SHA256, sum[:])
	if err != nil {
		return "", errors.New("the App's private key does not sign")
	}
	return text + "." + part(signature), nil
}

// signed returns what the App sends in place of a token: made with the key that was found where c has
// one, and else with the authority's.
func (p *provider) signed(ctx context.Context, c credential.Credential) (token string, hide credential.Secret, err error) {
	var a app
	if c.Secret.Empty() {
		held, err := p.held(ctx)
		if err != nil {
			return "", hide, err
		}
		if held.Secret.Reveal("private_key") == "" {
			return "", hide, fmt.Errorf("%w: it has no private_key of the App", revoke.ErrNoAuthority)
		}
		if a, err = parseApp(held.Secret.Reveal("app_id"), held.Secret.Reveal("private_key")); err != nil {
			return "", hide, fmt.Errorf("%w: %w", revoke.ErrAuthority, err)
		}
		hide = held.Secret
	} else if a, err = parseApp(c.Ref["app_id"], c.Secret.Reveal("value")); err != nil {
		return "", hide, fmt.Errorf("not asked: %w", err)
	}
	if token, err = a.token(p.env.Now()); err != nil {
		return "", hide, fmt.Errorf("not asked: %w", err)
	}
	return token, joined(hide, token), nil
}

// appAnswer is what the App itself is told.
type appAnswer struct {
	ID        int64           `json:"id"`
	AppID     int64           `json:"app_id"` // of an installation
	Name      string          `json:"name"`
	Suspended json.RawMessage `json:"suspended_at"` // a time or null, and never left out
	Account   struct {
		Login string `json:"login"`
		Slug  string `json:"slug"` // of an enterprise
	} `json:"account"`
}

// lookedApp is what one look at the App, or at an installation of it, showed.
type lookedApp struct {
	revoke.Verdict
	appAnswer
	err error
}

func (p *provider) lookAtApp(ctx context.Context, c credential.Credential) lookedApp {
	path := "app"
	if c.Kind == kindAppInstallation {
		path = "app/installations/" + c.Ref["id"]
	}
	var l lookedApp
	token, hide, err := p.signed(ctx, c)
	switch {
	case ctx.Err() != nil:
		err = fmt.Errorf("not asked: %w", ctx.Err())
	case c.Kind == kindAppInstallation && !number.MatchString(c.Ref["id"]):
		err = fmt.Errorf("%w: the installation's id is not known", errUnnamed)
	}
	if err != nil {
		l.Answer, l.err = err.Error(), err
		return l
	}
	r := p.send(ctx, http.MethodGet, path, token, nil, &l.appAnswer)
	l.Answer, l.RetryAfter = r.answer(hide), r.wait(p.env.Now())
	say := func(o revoke.Outcome, text string) { l.Outcome, l.Answer = o, revoke.Answer(r.status, text, hide) }
	ok := r.err == nil && r.status == http.StatusOK && l.ID > 0
	switch {
	case ok && c.Kind == kindAppKey && l.Name != "":
		say(revoke.Alive, fmt.Sprintf("signs as App %d %s", l.ID, l.Name))
	case ok && c.Kind == kindAppInstallation && strconv.FormatInt(l.ID, 10) == c.Ref["id"] && bytes.Equal(l.Suspended, []byte("null")):
		say(revoke.Alive, "installed at "+l.Account.Login+l.Account.Slug)
	case ok && c.Kind == kindAppInstallation && strconv.FormatInt(l.ID, 10) == c.Ref["id"] && bytes.HasPrefix(l.Suspended, []byte(`"`)):
		say(revoke.Refused, "suspended since "+strings.Trim(string(l.Suspended), `"`))
	case c.Kind == kindAppKey && r.unsigned():
		l.Outcome = revoke.Refused
	case c.Kind == kindAppInstallation && r.status == http.StatusNotFound && r.message == "Not Found":
		say(revoke.Refused, "the App is not installed there")
	case c.Kind == kindAppInstallation && r.unsigned():
		l.Answer = "of the App's key: " + l.Answer
		l.err = fmt.Errorf("%w: %s", revoke.ErrAuthority, l.Answer)
	default:
		own := l.Answer
		if l.Verdict, l.err = p.unlisted(r.unreadable(), hide); c.Kind == kindAppKey && errors.Is(l.err, revoke.ErrAuthority) {
			l.Answer, l.err = own, errors.New(own) // the key is under no authority
		}
	}
	return l
}

// unsigned reports GitHub's own refusal of a signature.
func (r reply) unsigned() bool {
	return r.err == nil && r.status == http.StatusUnauthorized && r.message == badSignature
}

func (p *provider) inspectApp(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	l := p.lookAtApp(ctx, c)
	switch {
	case l.Outcome == revoke.Alive && c.Kind == kindAppKey:
		return revoke.Exposure{
			Account: l.Name, Answer: l.Answer,
			Reach: []string{"mint tokens for every account that the App is installed at"},
		}, nil
	case l.Outcome == revoke.Alive:
		return revoke.Exposure{Account: l.Account.Login + l.Account.Slug, Answer: l.Answer}, nil
	case l.err != nil:
		return revoke.Exposure{}, fmt.Errorf("github: inspect %s: %w", label(c), l.err)
	}
	return revoke.Exposure{}, fmt.Errorf("github: inspect %s: %s", label(c), l.Answer)
}

// suspend is https://docs.github.com/rest/apps/apps#suspend-an-app-installation, and with DELETE the
// next call there, which takes it back.
func (p *provider) suspend(ctx context.Context, c credential.Credential, method string) (revoke.Receipt, error) {
	done, did := revoke.Refused, "suspended installation "
	if method == http.MethodDelete {
		done, did = revoke.Alive, "lifted the suspension of installation "
	}
	l := p.lookAtApp(ctx, c)
	switch {
	case ctx.Err() != nil:
		return revoke.Receipt{}, fmt.Errorf("nothing was changed: %w", ctx.Err())
	case errors.Is(l.err, errUnnamed):
		return revoke.Receipt{}, fmt.Errorf("%w: %w", l.err, revoke.ErrManual)
	case l.Outcome == done:
		return revoke.Receipt{Already: true, Answer: l.Answer, Left: keyLeft(done)}, nil
	case l.Outcome == revoke.Inconclusive:
		return revoke.Receipt{}, l.err
	case l.ID == 0:
		return revoke.Receipt{}, errors.New(l.Answer)
	}
	token, hide, err := p.signed(ctx, c)
	if err != nil {
		return revoke.Receipt{}, err
	}
	r := p.send(ctx, method, "app/installations/"+c.Ref["id"]+"/suspended", token, nil, nil)
	if err := r.mutationError(p.env.Now(), hide); err != nil {
		return revoke.Receipt{}, err
	}
	switch {
	case r.status == http.StatusNoContent:
		return revoke.Receipt{Answer: r.answer(hide), Did: []string{did + c.Ref["id"]}, Left: keyLeft(done)}, nil
	case r.unsigned(), r.message != "" && r.status == http.StatusForbidden:
		return revoke.Receipt{}, fmt.Errorf("%w: %s", revoke.ErrAuthority, r.answer(hide))
	}
	return revoke.Receipt{}, r.unexpected(hide)
}

func keyLeft(done revoke.Outcome) []string {
	if done == revoke.Alive {
		return nil
	}
	return []string{"whoever holds a private key of the App can lift the suspension: delete the key"}
}

// Undo lifts the suspension of an installation.
func (p *provider) Undo(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	if c.Provider != name || c.Kind != kindAppInstallation {
		return revoke.Receipt{}, fmt.Errorf("github: undo %s: nothing brings it back", label(c))
	}
	r, err := p.suspend(ctx, c, http.MethodDelete)
	if err != nil {
		return revoke.Receipt{}, fmt.Errorf("github: undo %s: %w", label(c), err)
	}
	return r, nil
}

// installed is the App's key with what tells one installation's fingerprint from another's.
func installed(c credential.Credential, id int64) credential.Secret {
	return credential.NewSecret(map[string]string{"value": c.Secret.Reveal("value"), "installation": strconv.FormatInt(id, 10)})
}

// Minted lists the installations of the App that the key signs for, each to be suspended with that
// same key. What tokens it made no call lists: they end with the suspension, or after an hour.
func (p *provider) Minted(ctx context.Context, c credential.Credential) ([]credential.Credential, error) {
	if c.Provider != name || c.Kind != kindAppKey || c.Secret.Empty() {
		return nil, nil
	}
	fail := func(err error) error { return fmt.Errorf("github: look for what %s minted: %w", label(c), err) }
	token, hide, err := p.signed(ctx, c)
	if err != nil {
		return nil, fail(err)
	}
	var minted []credential.Credential
	_, _, r := find(ctx, p, "app/installations", token, func(i appAnswer) (bool, error) {
		if i.ID <= 0 {
			return false, errors.New("an entry is no installation")
		}
		if bytes.Equal(i.Suspended, []byte("null")) {
			minted = append(minted, credential.Credential{
				Provider: name, Kind: kindAppInstallation, Secret: installed(c, i.ID),
				Owner: revoke.Answer(0, i.Account.Login+i.Account.Slug, hide),
				Ref:   map[string]string{"id": strconv.FormatInt(i.ID, 10), "app_id": c.Ref["app_id"]},
			})
		}
		return false, nil
	})
	if r.whole() || r.unsigned() { // a key that is dead opens nothing any more
		return minted, nil
	}
	_, err = p.unlisted(r, hide)
	return minted, fail(err)
}
