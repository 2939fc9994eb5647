package azure

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/azure/azurefake"
)

func TestSecretsThatBeginAlike(t *testing.T) {
	w := newWorld(t, "")
	c := w.Mint(kindSecret)
	start := c.Secret.Reveal("value")[:3]
	twin := w.AddSecret(c, start, true, true) // on the service principal
	other, key := w.AddSecret(c, "~~~", true, false), w.AddCertificate(c)
	r := w.mustDie(t, c)
	if w.Alive(twin) || !w.Alive(other) || !w.Alive(key) {
		t.Errorf("twin %t, other %t, certificate %t", w.Alive(twin), w.Alive(other), w.Alive(key))
	}
	w.wantAlive(t, other, key)
	if len(r.Did) != 2 || !strings.Contains(r.Did[0], "of application "+c.Ref["client_id"]) || !strings.Contains(r.Did[1], "of service principal ") {
		t.Errorf("did %q", r.Did)
	}
	if !strings.HasPrefix(strings.Join(r.Left, "; "), lifetime+"; 2 other secrets and certificates") {
		t.Errorf("left %q", r.Left)
	}
	second := w.AddSecret(other, "~~~", true, false)
	if r := w.mustDie(t, other); len(r.Did) != 2 || w.Alive(second) || !strings.HasSuffix(r.Did[0], "one of several that begin as this one does") {
		t.Errorf("did %q", r.Did)
	}
}

// A secret of which Entra does not tell how it begins may be the one, and goes too.
func TestSecretsWithoutAHint(t *testing.T) {
	w := newWorld(t, "")
	c := w.Mint(kindSecret)
	old, other := w.AddSecret(c, "~~~", false, false), w.AddSecret(c, "~~~", true, false)
	r := w.mustDie(t, c)
	if w.Alive(old) || !w.Alive(other) || !strings.HasSuffix(strings.Join(r.Did, "; "), "which Entra does not tell from this one") {
		t.Errorf("did %q", r.Did)
	}
}

// A value that is none of the application's removes nothing and disables nobody.
func TestPlantedSecret(t *testing.T) {
	for _, settings := range []string{"", "disable_principal: true"} {
		w := newWorld(t, settings)
		c := w.Mint(kindSecret)
		planted := c
		planted.Secret = credential.Value("~~~" + strings.Repeat("x", 37))
		r, err := w.Revoke(t.Context(), planted)
		if err != nil || !r.Already || len(w.changes()) > 0 {
			t.Errorf("%+v, %v, sent %v", r, err, w.changes())
		}
		w.wantAlive(t, c)
		if k, _ := w.Info().Kind(kindSecret); !k.NeedsAlive {
			t.Error("its refusal would prove its death")
		}
	}
}

// Neither does one that begins as a secret of somebody innocent does: Entra knows that it is not that.
func TestPlantedSecretThatBeginsAlike(t *testing.T) {
	for _, settings := range []string{"", "disable_principal: true"} {
		w := newWorld(t, settings)
		c := w.Mint(kindSecret)
		planted := c
		planted.Secret = credential.Value(c.Secret.Reveal("value")[:3] + strings.Repeat("x", 37))
		r, err := w.Revoke(t.Context(), planted)
		if err != nil || !r.Already || len(r.Did) > 0 || len(w.changes()) > 0 || !strings.Contains(strings.Join(r.Left, "; "), "1 secrets of the application") {
			t.Errorf("%+v, %v, sent %v", r, err, w.changes())
		}
		w.wantAlive(t, c)
	}
}

// Where Entra does not tell whether the secret is the application's, it is removed, and that is no proof.
func TestSecretThatWasNotSeenAlive(t *testing.T) {
	w := newWorld(t, "")
	w.mustDie(t, w.Mint(kindSecret)) // and the authority is signed in
	c := w.Mint(kindSecret)
	w.says("/oauth2/v2.0/token", azurefake.Denied(400, "invalid_grant", 53003))
	r, err := w.Revoke(t.Context(), c)
	if err != nil || !r.Already || len(r.Did) != 1 || w.Alive(c) {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestCertificates(t *testing.T) {
	w := newWorld(t, "")
	c := w.Mint(kindCertificate)
	other, secret := w.AddCertificate(c), w.AddSecret(c, "", true, false)
	if r := w.mustDie(t, c); len(r.Did) != 1 || !strings.Contains(r.Did[0], "removed certificate ") {
		t.Errorf("did %q", r.Did)
	}
	w.wantAlive(t, other, secret)
	key, _, _ := strings.Cut(other.Secret.Reveal("value"), "-----BEGIN CERTIFICATE")
	bare := other
	bare.Secret = credential.Value(key)
	if r, err := w.Revoke(t.Context(), bare); err != nil || len(r.Did) != 1 || w.Alive(other) {
		t.Errorf("by its private key alone: %+v, %v", r, err)
	}
}

// Two certificates of one application do not bring each other back.
func TestCertificatesAtOnce(t *testing.T) {
	w := newWorld(t, "")
	c := w.Mint(kindCertificate)
	all := []credential.Credential{c, w.AddCertificate(c)}
	stays := w.AddSecret(c, "", true, false)
	var done sync.WaitGroup
	for _, c := range all {
		done.Go(func() {
			if _, err := w.Revoke(t.Context(), c); err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	if w.Alive(all[0]) || w.Alive(all[1]) || !w.Alive(stays) {
		t.Errorf("alive: %t %t, the secret %t", w.Alive(all[0]), w.Alive(all[1]), w.Alive(stays))
	}
	o := object{Keys: nil}
	for _, raw := range []string{`{"keyId":"a"}`, `{"keyId":"b"}`} {
		o.Keys = append(o.Keys, []byte(raw))
	}
	if m := o.matchKeys(pair{}, map[string]bool{"a": true}); len(m.keep) != 1 || string(m.keep[0]) != `{"keyId":"b"}` {
		t.Errorf("a key that was removed before is written back: %s", m.keep)
	}
}

func TestNamesOfCertificates(t *testing.T) {
	f := azurefake.New(fake.Wall{})
	c := f.Mint(kindCertificate)
	p, err := parsePair(c.Secret.Reveal("value"))
	other, otherErr := parsePair(f.AddCertificate(c).Secret.Reveal("value"))
	if err != nil || otherErr != nil {
		t.Fatal(err, otherErr)
	}
	sum := sha1.Sum(p.certificate.Raw)
	text := hex.EncodeToString(sum[:])
	for name, k := range map[string]keyCredential{
		"key":               {Key: base64.StdEncoding.EncodeToString(p.certificate.Raw)},
		"key for addresses": {Key: base64.RawURLEncoding.EncodeToString(p.certificate.Raw)},
		"bytes":             {CustomKeyIdentifier: base64.StdEncoding.EncodeToString(sum[:])},
		"bytes, addresses":  {CustomKeyIdentifier: base64.URLEncoding.EncodeToString(sum[:])},
		"characters":        {CustomKeyIdentifier: base64.StdEncoding.EncodeToString([]byte(strings.ToUpper(text)))},
		"hexadecimal":       {CustomKeyIdentifier: strings.ToUpper(text)},
	} {
		if !p.is(k) || other.is(k) {
			t.Errorf("by its %s: %t, and for another %t", name, p.is(k), other.is(k))
		}
	}
	for name, k := range map[string]keyCredential{
		"nothing":              {},
		"no certificate":       {Key: "AAAA", CustomKeyIdentifier: text},
		"no base64":            {CustomKeyIdentifier: "%%%"},
		"another's, same name": {Key: base64.StdEncoding.EncodeToString(other.certificate.Raw), CustomKeyIdentifier: text},
	} {
		if p.is(k) {
			t.Errorf("%s is taken for it", name)
		}
	}
}

func TestApplicationOfAnotherTenant(t *testing.T) {
	w := newWorld(t, "")
	c := w.Mint(kindSecret)
	w.Forget(c, false)
	if _, err := w.Revoke(t.Context(), c); !errors.Is(err, revoke.ErrManual) || len(w.changes()) > 0 {
		t.Errorf("%v, sent %v, want ErrManual", err, w.changes())
	}
	w.wantAlive(t, c)
	w.Forget(c, true) // and now it is gone for good
	if r, err := w.Revoke(t.Context(), c); err != nil || !r.Already || !strings.Contains(r.Answer, "AADSTS700016") {
		t.Errorf("%+v, %v", r, err)
	}
	disabling := newWorld(t, "disable_principal: true")
	c = disabling.Mint(kindSecret)
	disabling.Forget(c, false)
	disabling.mustDie(t, c)
}

func TestDisableAndUndo(t *testing.T) {
	w := newWorld(t, "disable_principal: true")
	c := w.Mint(kindCertificate)
	other := w.AddSecret(c, "", true, false)
	if r := w.mustDie(t, c); len(r.Did) != 1 || !strings.HasPrefix(r.Did[0], "disabled service principal ") || len(r.Left) != 2 || w.Alive(other) {
		t.Errorf("%+v, the other %t", r, w.Alive(other))
	}
	if r, err := w.Undo(t.Context(), c); err != nil || r.Already || len(r.Did) != 1 {
		t.Errorf("undo: %+v, %v", r, err)
	}
	w.wantAlive(t, c, other)
	plain := newWorld(t, "")
	if _, err := plain.Undo(t.Context(), plain.Mint(kindSecret)); err == nil {
		t.Error("a removed secret came back")
	}
	if k, _ := plain.Info().Kind(kindSecret); k.Reversible {
		t.Error("a removal is called reversible")
	}
}

func TestStripPermissions(t *testing.T) {
	w := newWorld(t, "strip_permissions: true")
	c := w.Mint(kindSecret)
	w.AddPermissions(c, 7) // three pages
	r := w.mustDie(t, c)
	if len(r.Did) != 1+7+7 || regexp.MustCompile(`(roles|grants) \[[^\]]`).MatchString(w.State()) {
		t.Errorf("did %q", r.Did)
	}
	if again, err := w.Revoke(t.Context(), c); err != nil || !again.Already {
		t.Errorf("%+v, %v", again, err)
	}
	kept := newWorld(t, "")
	c = kept.Mint(kindSecret)
	kept.AddPermissions(c, 1)
	if r := kept.mustDie(t, c); len(r.Did) != 1 {
		t.Errorf("unasked: %q", r.Did)
	}
}

func TestSessions(t *testing.T) {
	w := newWorld(t, "")
	c, victim := w.Mint(kindRefresh), w.Mint(kindRefresh)
	user, _, _ := strings.Cut(c.Ref["home_account_id"], ".")
	lied := with(c, "home_account_id", victim.Ref["home_account_id"])
	if r := w.mustDie(t, lied); len(r.Did) != 1 || r.Did[0] != "revoked all sign-in sessions of user "+user {
		t.Errorf("did %q", r.Did)
	}
	w.wantAlive(t, victim)
	// Entra does not say whose it is: the host's word is taken, and said to be that.
	w.says("/organizations/", azurefake.Denied(400, "invalid_grant", 53003))
	r, err := w.Revoke(t.Context(), with(victim, "tenant", ""))
	if err != nil || w.Alive(victim) || !strings.Contains(r.Did[0], "whom the host names") || !strings.Contains(r.Did[0], "AADSTS53003") {
		t.Errorf("%+v, %v", r, err)
	}
	nobody := w.Mint(kindRefresh)
	nobody.Ref = nil
	if _, err := w.Revoke(t.Context(), nobody); !errors.Is(err, errWhose) || !w.Alive(nobody) {
		t.Errorf("nobody's: %v", err)
	}
	owned := w.Mint(kindRefresh)
	owned.Owner, owned.Ref = owned.Ref["home_account_id"], nil
	if _, err := w.Revoke(t.Context(), owned); err != nil || w.Alive(owned) {
		t.Errorf("by its owner: %v", err)
	}
	// Who stands between answers: nothing is known, so nothing is done.
	w.says("/organizations/", fake.Fault{Status: 401, Body: "<html>", Type: "text/html"})
	before := len(w.changes())
	if _, err := w.Revoke(t.Context(), with(w.Mint(kindRefresh), "tenant", "")); err == nil || len(w.changes()) != before {
		t.Errorf("through a proxy: %v, sent %v", err, w.changes()[before:])
	}
}

func TestSessionsAnswers(t *testing.T) {
	for name, tt := range map[string]struct {
		fault fake.Fault
		want  error // nil: success
	}{
		"204":           {fake.Fault{Status: 204}, nil},
		"value":         {answer(200, `{"value":true}`), nil},
		"value false":   {answer(200, `{"value":false}`), revoke.ErrUncertain},
		"empty":         {answer(200, ``), revoke.ErrUncertain},
		"accepted":      {answer(202, `{"value":true}`), revoke.ErrUncertain},
		"no permission": {answer(403, `{"error":{"code":"Authorization_RequestDenied"}}`), revoke.ErrAuthority},
		"a proxy's 403": {fake.Fault{Status: 403, Body: "<html>"}, errAny},
		"no such user":  {answer(404, `{"error":{"code":"Request_ResourceNotFound"}}`), errAny},
		"outage":        {answer(503, `{"error":{"code":"ServiceUnavailable"}}`), revoke.ErrUncertain},
	} {
		w := newWorld(t, "")
		w.says("/revokeSignInSessions", tt.fault)
		_, err := w.Revoke(t.Context(), w.Mint(kindRefresh))
		if (err == nil) != (tt.want == nil) || tt.want != nil && tt.want != errAny && !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
		if tt.want == errAny && (errors.Is(err, revoke.ErrAuthority) || errors.Is(err, revoke.ErrUncertain)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

var errAny = errors.New("any other error")

func TestAuthorities(t *testing.T) {
	w := newWorld(t, "")
	own := w.Mint(kindSecret)
	ours := w.authority
	parts := func(name, value string) credential.Credential {
		all := map[string]string{name: value}
		for _, part := range ours.Secret.Parts() {
			if part != name {
				all[part] = ours.Secret.Reveal(part)
			}
		}
		return credential.Credential{Kind: kindSecret, Secret: credential.NewSecret(all)}
	}
	powerless := w.Mint(kindSecret)
	for name, tt := range map[string]struct {
		authority credential.Credential
		want      error
	}{
		"client secret":            {ours, nil},
		"access tokens":            {w.MintAccess(), nil},
		"wrong secret":             {parts("value", "~~~"+filler(30)), revoke.ErrAuthority},
		"no client id":             {parts("client_id", ""), revoke.ErrAuthority},
		"no tenant":                {parts("tenant", "../x"), revoke.ErrAuthority},
		"another kind":             {credential.Credential{Kind: kindRefresh, Secret: credential.Value(filler(40))}, revoke.ErrAuthority},
		"no token for the API":     {credential.Credential{Kind: kindAccess, Secret: credential.NewSecret(map[string]string{"other": "x"})}, revoke.ErrAuthority},
		"the credential itself":    {own, revoke.ErrOurs},
		"the same application":     {parts("client_id", strings.ToUpper(own.Ref["client_id"])), revoke.ErrOurs},
		"without the permission":   {credential.Credential{Kind: kindSecret, Secret: credential.NewSecret(map[string]string{"value": powerless.Secret.Reveal("value"), "client_id": powerless.Ref["client_id"], "tenant": powerless.Ref["tenant"]})}, revoke.ErrAuthority},
		"nobody":                   {credential.Credential{}, revoke.ErrNoAuthority},
		"what cannot be in a form": {parts("value", "a\r\nb"), revoke.ErrAuthority},
	} {
		w.authority = tt.authority
		c := w.Mint(kindVaultSecret)
		if tt.want == revoke.ErrOurs {
			c = own
		}
		state := w.State()
		_, err := w.Revoke(t.Context(), c)
		if !errors.Is(err, tt.want) || (tt.want == nil) != (w.State() != state) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

// An access token says whose it is: what would end the responder's own sign-in is left alone.
func TestAccessTokenOfOurs(t *testing.T) {
	w := newWorld(t, "")
	session, secret := w.Mint(kindRefresh), w.Mint(kindSecret)
	user, _, _ := strings.Cut(session.Ref["home_account_id"], ".")
	for c, claims := range map[*credential.Credential]string{
		&session: `{"oid":"` + user + `"}`,
		&secret:  `{"appid":"` + secret.Ref["client_id"] + `"}`,
	} {
		token := "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + "." + filler(40)
		w.authority = credential.Credential{Kind: kindAccess, Secret: credential.Value(token)}
		if _, err := w.Revoke(t.Context(), *c); !errors.Is(err, revoke.ErrOurs) || len(w.changes()) > 0 {
			t.Errorf("%s: %v, sent %v", c.Kind, err, w.changes())
		}
	}
}

func filler(n int) string { return strings.Repeat("x", n) }

func TestVaultVersions(t *testing.T) {
	w := newWorld(t, "")
	c := w.Mint(kindVaultSecret)
	w.AddVersions(c, 60)
	w.Disable(c)
	r := w.mustDie(t, c)
	if len(r.Did) != 61 || len(r.Left) != 1 || !strings.HasPrefix(r.Did[0], "disabled version ") {
		t.Errorf("did %d, left %q", len(r.Did), r.Left)
	}
	if v := w.Verify(t.Context(), c); v.Answer != "200 Key Vault shows 0 of 62 versions enabled" {
		t.Errorf("the answer is %q", v.Answer)
	}
	undone, err := w.Undo(t.Context(), c)
	if err != nil || len(undone.Did) != 61 || strings.Contains(w.State(), disabledTag) {
		t.Errorf("undone %d, %v", len(undone.Did), err)
	}
	if v := w.Verify(t.Context(), c); v.Answer != "200 Key Vault shows 61 of 62 versions enabled" {
		t.Errorf("after the undo the answer is %q", v.Answer)
	}
}

func TestVaultAnswers(t *testing.T) {
	one := `{"id":"https://x/secrets/n/abc","attributes":{"enabled":%}}`
	on, off := strings.ReplaceAll(one, "%", "true"), strings.ReplaceAll(one, "%", "false")
	for name, tt := range map[string]struct {
		fault fake.Fault
		want  revoke.Outcome
	}{
		"enabled":             {answer(200, `{"value":[`+off+`,`+on+`]}`), revoke.Alive},
		"all disabled":        {answer(200, `{"value":[`+off+`,`+off+`]}`), revoke.Refused},
		"none":                {answer(200, `{"value":[]}`), revoke.Inconclusive},
		"no list":             {answer(200, `{}`), revoke.Inconclusive},
		"no state":            {answer(200, `{"value":[{"id":"https://x/secrets/n/abc"}]}`), revoke.Inconclusive},
		"no id":               {answer(200, `{"value":[{"attributes":{"enabled":false}}]}`), revoke.Inconclusive},
		"more, and not where": {answer(200, `{"value":[`+off+`],"nextLink":"https://evil.example.com/"}`), revoke.Inconclusive},
		"more, for ever":      {answer(200, `{"value":[`+off+`],"nextLink":"https://evil.example.com/?$skiptoken=x"}`), revoke.Inconclusive},
		"no such secret":      {answer(404, `{"error":{"code":"SecretNotFound"}}`), revoke.Refused},
		"somebody's 404":      {answer(404, `{"error":{"code":"NotFound"}}`), revoke.Inconclusive},
		"firewall":            {answer(403, `{"error":{"code":"Forbidden","innererror":{"code":"ForbiddenByFirewall"}}}`), revoke.Inconclusive},
		"other issuer":        {answer(401, `{"error":{"code":"Unauthorized"}}`), revoke.Inconclusive},
		"throttled":           {answer(429, `{"error":{"code":"Throttled"}}`), revoke.Inconclusive},
	} {
		w := newWorld(t, "")
		w.says("/secrets/", tt.fault)
		if v := w.Verify(t.Context(), w.Mint(kindVaultSecret)); v.Outcome != tt.want || v.Answer == "" {
			t.Errorf("%s: %v %q, want %v", name, v.Outcome, v.Answer, tt.want)
		}
	}
}

// A version with all the tags that it can bear is disabled all the same, and is for a person to enable.
func TestVaultVersionFullOfTags(t *testing.T) {
	p := &provider{now: nil}
	full := map[string]string{}
	for _, r := range "abcdefghijklmno" {
		full[string(r)] = "1"
	}
	if tags, marked := p.tagged(full, false); marked || len(tags) != maxTags {
		t.Errorf("%d tags, marked %t", len(tags), marked)
	}
	full[disabledTag] = "2026-11-23T03:00:00Z"
	if tags, _ := p.tagged(full, true); len(tags) != maxTags || full[disabledTag] == "" {
		t.Errorf("%d tags, or the map of the answer was changed", len(tags))
	}
}

func TestSettings(t *testing.T) {
	for _, bad := range []settings{{Tenant: "common"}, {Tenant: "a/b"}, {ClientID: "x"}} {
		_, err := New(revoke.Env{HTTP: http.DefaultClient, Settings: func(into any) error { *into.(*settings) = bad; return nil }})
		if err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
	for _, env := range []revoke.Env{{}, {HTTP: http.DefaultClient, Endpoint: "ftp://x"}, {HTTP: http.DefaultClient, Settings: func(any) error { return context.Canceled }}} {
		if _, err := New(env); err == nil {
			t.Errorf("%+v was taken", env.Endpoint)
		}
	}
}
