package oauth2_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/oauth2"
	"clawback/revoke/providers/oauth2/oauth2fake"
	"clawback/revoke/wire"
)

// world is an authorization server, the responder's secret there, and the provider.
type world struct {
	*oauth2fake.Fake
	authority credential.Credential
	env       revoke.Env
	p         revoke.Provider
	sent      atomic.Int64
	last      atomic.Pointer[http.Request]
}

func newWorld(t *testing.T, settings string) *world {
	t.Helper()
	w := &world{Fake: oauth2fake.New(fake.Wall{})}
	network := fake.NewNetwork(w)
	t.Cleanup(func() { _ = network.Close() })
	w.authority, _ = w.MintAuthority()
	w.env = revoke.Env{
		HTTP: network.Client(), Sleep: fake.Wall{}.Sleep, Now: time.Now, Settings: decode(settings),
		Authority: func(context.Context) (revoke.Authority, error) {
			return revoke.Authority{Secret: w.authority.Secret, Kind: w.authority.Kind, From: "the test"}, nil
		},
	}
	w.remake(t)
	return w
}

func (w *world) remake(t *testing.T) {
	t.Helper()
	var err error
	if w.p, err = oauth2.New(w.env); err != nil {
		t.Fatal(err)
	}
}

func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.sent.Add(1)
	w.last.Store(r.Clone(context.Background()))
	w.Fake.ServeHTTP(rw, r)
}

func (w *world) verify(t *testing.T, c credential.Credential, want revoke.Outcome) {
	t.Helper()
	if v := w.p.Verify(t.Context(), c); v.Outcome != want || v.Answer == "" {
		t.Errorf("%s: verify showed %s (%s), want %s", c.Kind, v.Outcome, v.Answer, want)
	}
}

const access, refresh = "oauth2.access_token", "oauth2.refresh_token"

func TestVerifyReadsTheBody(t *testing.T) {
	const json = "application/json"
	for name, c := range map[string]struct {
		status     int
		body, kind string
		want       revoke.Outcome
	}{
		"inactive":             {200, `{"active":false}`, json, revoke.Refused},
		"active":               {200, `{"active":true}`, json, revoke.Alive},
		"active with an end":   {200, `{"active":true,"exp":4102444800}`, json, revoke.Alive},
		"active as a word":     {200, `{"active":"false"}`, json, revoke.Inconclusive},
		"active as a number":   {200, `{"active":0}`, json, revoke.Inconclusive},
		"nothing of active":    {200, `{"error":"invalid_token"}`, json, revoke.Inconclusive},
		"active is null":       {200, `{"active":null}`, json, revoke.Inconclusive},
		"half":                 {200, `{"active":false`, json, revoke.Inconclusive},
		"a page":               {200, "<html>active:false</html>", "text/html", revoke.Inconclusive},
		"inactive and created": {201, `{"active":false}`, json, revoke.Inconclusive},
		"inactive in a 401":    {401, `{"active":false}`, json, revoke.Inconclusive},
		"another client":       {401, `{"error":"invalid_client"}`, json, revoke.Inconclusive},
		"forbidden":            {403, `{"error":"invalid_token"}`, json, revoke.Inconclusive},
		"too many":             {429, `{"active":false}`, json, revoke.Inconclusive},
		"down":                 {503, `{"active":false}`, json, revoke.Inconclusive},
		"moved":                {302, `{"active":false}`, json, revoke.Inconclusive},
	} {
		w := newWorld(t, desk)
		minted := w.Mint(refresh)
		w.Knobs().SetFault(func(*http.Request) fake.Fault { return fake.Fault{Status: c.status, Body: c.body, Type: c.kind} })
		if v := w.p.Verify(t.Context(), minted); v.Outcome != c.want {
			t.Errorf("%s: verify showed %s (%s), want %s", name, v.Outcome, v.Answer, c.want)
		}
	}
}

// Where a resource is named, only its own refusal and the issuer's together are one.
func TestBothProofs(t *testing.T) {
	for name, c := range map[string]struct {
		status          int
		challenge, kind string
		want            revoke.Outcome
	}{
		"invalid token":       {401, `Bearer realm="a", error="invalid_token"`, "", revoke.Refused},
		"without quotes":      {401, `bearer error=invalid_token`, "", revoke.Refused},
		"no reason":           {401, `Bearer realm="a"`, "", revoke.Inconclusive},
		"no challenge":        {401, "", "", revoke.Inconclusive},
		"another scheme":      {401, `Basic error="invalid_token"`, "", revoke.Inconclusive},
		"in the realm":        {401, `Bearer realm="x, error=\"invalid_token\", y"`, "", revoke.Inconclusive},
		"in its description":  {401, `Bearer error="invalid_request", error_description="no error=invalid_token"`, "", revoke.Inconclusive},
		"wrong status":        {400, `Bearer error="invalid_token"`, "", revoke.Inconclusive},
		"needs more":          {403, `Bearer error="insufficient_scope"`, "", revoke.Alive},
		"forbidden":           {403, "", "", revoke.Inconclusive},
		"it works":            {200, "", "application/json", revoke.Alive},
		"a page":              {200, "", "text/html", revoke.Inconclusive},
		"moved":               {302, `Bearer error="invalid_token"`, "", revoke.Inconclusive},
		"a broken resource":   {500, `Bearer error="invalid_token"`, "", revoke.Inconclusive},
		"a resource too busy": {429, `Bearer error="invalid_token"`, "", revoke.Inconclusive},
	} {
		w := newWorld(t, withProbe)
		next := w.env.HTTP.Transport
		client := *w.env.HTTP
		client.Transport = transport(func(r *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			if err == nil && r.URL.Path == oauth2fake.Resource {
				resp.StatusCode, resp.Header = c.status, http.Header{}
				resp.Header.Set("Content-Type", c.kind)
				if c.challenge != "" {
					resp.Header.Set("WWW-Authenticate", c.challenge)
				}
			}
			return resp, err
		})
		w.env.HTTP = &client
		w.remake(t)
		dead, of := w.Mint(access), w.Mint(refresh)
		w.RevokeByHand(dead)
		w.RevokeByHand(of)
		if v := w.p.Verify(t.Context(), dead); v.Outcome != c.want || !strings.Contains(v.Answer, "introspection") || !strings.Contains(v.Answer, "resource") {
			t.Errorf("%s: verify showed %s (%s), want %s", name, v.Outcome, v.Answer, c.want)
		}
		w.verify(t, of, revoke.Refused) // no resource takes a refresh token
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// 200 is what a token gets too that this issuer never had: it must not look like an end.
func TestTwoHundredProvesNothing(t *testing.T) {
	w := newWorld(t, desk)
	foreign := w.Mint(access)
	foreign.Secret = credential.Value(strings.Repeat("X", 52))
	r, err := w.p.Revoke(t.Context(), foreign)
	if err != nil || !r.Already || len(r.Did) > 0 {
		t.Errorf("a token of nobody: %+v, %v", r, err)
	}
	live := w.Mint(access)
	w.Knobs().SetFault(func(r *http.Request) fake.Fault {
		if r.URL.Path == oauth2fake.Lookup {
			return fake.Fault{Status: 500}
		}
		return fake.Fault{}
	})
	if r, err = w.p.Revoke(t.Context(), live); err != nil || !r.Already || !strings.Contains(r.Answer, "not known") {
		t.Errorf("without introspection: %+v, %v", r, err)
	}
	if w.Alive(live) {
		t.Error("without introspection nothing was revoked")
	}
	info, _ := w.p.Info().Kind(access)
	if !info.NeedsAlive {
		t.Error("a token that was never seen active would be called dead")
	}
	w.Knobs().SetFault(nil)
	w.Blind = true
	unseen := w.Mint(refresh)
	if r, err := w.p.Revoke(t.Context(), unseen); err != nil || !r.Already || w.Alive(unseen) {
		t.Errorf("a token that the issuer does not introspect: %+v, %v", r, err)
	}
}

func TestRevoke(t *testing.T) {
	w := newWorld(t, withProbe)
	of, given := w.MintGrant()
	r, err := w.p.Revoke(t.Context(), of)
	if err != nil || r.Already || len(r.Did) != 1 || len(r.Left) != 1 || w.Alive(given) {
		t.Errorf("%+v, %v", r, err)
	}
	w.verify(t, given, revoke.Refused)

	w.OnlyRefresh = true
	kept := w.Mint(access)
	if _, err := w.p.Revoke(t.Context(), kept); !errors.Is(err, revoke.ErrManual) || !w.Alive(kept) {
		t.Errorf("an unsupported type: %v", err)
	}
	for name, f := range map[string]struct {
		fault fake.Fault
		want  error
	}{
		"a client that may not":    {fake.Fault{Status: 400, Body: `{"error":"unauthorized_client"}`, Type: "application/json"}, revoke.ErrAuthority},
		"a client that is unknown": {fake.Fault{Status: 401, Body: `{"error":"invalid_client"}`, Type: "application/json"}, revoke.ErrAuthority},
		"a page":                   {fake.Fault{Status: 200, Body: "<html>", Type: "text/html"}, revoke.ErrUncertain},
		"down":                     {fake.Fault{Status: 503, RetryAfter: 30 * time.Second}, revoke.ErrUncertain},
	} {
		live := w.Mint(refresh)
		w.Knobs().SetFault(func(r *http.Request) fake.Fault {
			if r.URL.Path == oauth2fake.Revocation {
				return f.fault
			}
			return fake.Fault{}
		})
		_, err := w.p.Revoke(t.Context(), live)
		var retry *revoke.RetryError
		if !errors.Is(err, f.want) || errors.As(err, &retry) != (f.fault.Status == 503) || retry != nil && retry.After != 30*time.Second {
			t.Errorf("%s: %v", name, err)
		}
		w.Knobs().SetFault(nil)
	}
}

// A success with something else in it is one where the issuer says afterwards that the token ended.
func TestAnswerWithMoreInIt(t *testing.T) {
	w := newWorld(t, desk)
	live := w.Mint(refresh)
	w.Knobs().SetFault(func(r *http.Request) fake.Fault {
		if r.URL.Path != oauth2fake.Revocation {
			return fake.Fault{}
		}
		w.RevokeByHand(live)
		return fake.Fault{Status: 200, Body: `{"revoked":true}`, Type: "application/json"}
	})
	if r, err := w.p.Revoke(t.Context(), live); err != nil || r.Already {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestClientAuthentication(t *testing.T) {
	for _, c := range []struct {
		settings string
		basic    bool
	}{{desk, true}, {desk + "  auth: basic\n", true}, {desk + "  auth: post\n", false}, {public, false}} {
		w := newWorld(t, c.settings)
		w.verify(t, w.Mint(access), revoke.Alive)
		if _, _, basic := w.last.Load().BasicAuth(); basic != c.basic {
			t.Errorf("%s: basic %v", c.settings, basic)
		}
	}
	w := newWorld(t, public)
	w.env.Authority = nil
	w.remake(t)
	c := w.Mint(refresh)
	if k, _ := w.p.Info().Kind(refresh); !k.SelfRevoking || k.Authority != "" {
		t.Errorf("a public client needs %q", k.Authority)
	}
	if _, err := w.p.Revoke(t.Context(), c); err != nil || w.Alive(c) {
		t.Errorf("a public client: %v", err)
	}
}

func TestIssuer(t *testing.T) {
	two := desk + `
other:
  revocation: https://other.oauth2.test/revoke
  introspection: https://other.oauth2.test/introspect
  client_id: x
  match: 'AB+'
`
	w := newWorld(t, two)
	live, unknown := w.Mint(access), w.Mint(access)
	unknown.Secret = credential.Value("x." + strings.Repeat("y", 30))
	for service, want := range map[string]revoke.Outcome{
		"acme": revoke.Alive, oauth2fake.Host: revoke.Alive, "other": revoke.Inconclusive,
	} {
		live.Ref = map[string]string{"service": service}
		w.verify(t, live, want)
	}
	before := w.sent.Load()
	both := w.Mint(access)
	both.Secret = credential.Value("A" + strings.Repeat("B", 51))
	for _, c := range []credential.Credential{unknown, both} {
		c.Ref = map[string]string{"service": "auth.evil.test"}
		w.verify(t, c, revoke.Inconclusive)
		if _, err := w.p.Revoke(t.Context(), c); !errors.Is(err, revoke.ErrManual) {
			t.Errorf("of an unknown issuer: %v", err)
		}
	}
	if w.sent.Load() != before {
		t.Error("a token went to an issuer that nobody said it is of")
	}
}

func TestSettings(t *testing.T) {
	env := newWorld(t, desk).env
	const ok = "{revocation: https://a.test/r, introspection: https://a.test/i"
	for text, want := range map[string]string{
		"a: " + ok + "}":                  "",
		"a: " + ok + ", propagation: 5m}": "",
		"a: {revocation: http://127.0.0.1:8080/r, introspection: http://localhost/i}": "",
		"a: {revocation: http://a.test/r, introspection: https://a.test/i}":           "revocation: want https",
		"a: {revocation: https://a.test/r}":                                           "introspection",
		"a: {introspection: https://a.test/r}":                                        "revocation",
		"a: {revocation: https://a.test/r, introspection: https://b.test/r}":          "is revocation of a",
		"a: {revocation: 'https://a.test/r?x=y', introspection: https://a.test/i}":    "plain path",
		"a: {revocation: https://a.test/*, introspection: https://a.test/i}":          "plain path",
		"a: {revocation: https://u:p@a.test/r, introspection: https://a.test/i}":      "without user",
		"a: {revocation: ftp://a.test/r, introspection: https://a.test/i}":            "want https",
		"a: " + ok + ", probe: http://a.test/p}":                                      "probe",
		"a: " + ok + ", match: '('}":                                                  "match",
		"a: " + ok + ", auth: digest}":                                                "auth",
		"a: " + ok + ", propagation: 48h}":                                            "propagation",
		"a: " + ok + ", client_id: 'a b'}":                                            "client_id",
		"a: " + ok + ", secret: x}":                                                   "secret",
	} {
		env.Settings = decode(text)
		p, err := oauth2.New(env)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", text, err)
		}
		if err != nil {
			continue
		}
		k, _ := p.Info().Kind(access)
		if long := k.Propagation.Budget == 5*time.Minute; long != strings.Contains(text, "5m") {
			t.Errorf("%s: budget %v", text, k.Propagation.Budget)
		}
	}
}

// The name of a part stands there, and what may be the secret is refused without being quoted.
func TestSettingsRefuseClearText(t *testing.T) {
	env := newWorld(t, desk).env
	secret := rand.Text()
	for part, refused := range map[string]bool{
		"client_secret": false, "secret2": false, secret: true, strings.ToLower(secret) + "7q": true, "GOCSPX-" + secret: true, strings.Repeat("a", 32): true,
	} {
		env.Settings = decode("a: {revocation: https://a.test/r, introspection: https://a.test/i, client_secret: " + part + "}")
		_, err := oauth2.New(env)
		if refused != errors.Is(err, wire.ErrClearText) || !refused && err != nil || err != nil && strings.Contains(err.Error(), part[:8]) {
			t.Errorf("%s: %v", part, err)
		}
	}
}

// With neither settings nor endpoint nothing is sent, and a person is asked.
func TestNothingConfigured(t *testing.T) {
	w := newWorld(t, desk)
	w.env.Settings = nil
	w.remake(t)
	c := w.Mint(access)
	w.verify(t, c, revoke.Inconclusive)
	if _, err := w.p.Revoke(t.Context(), c); !errors.Is(err, revoke.ErrManual) || !strings.Contains(err.Error(), "settings") {
		t.Errorf("%v", err)
	}
	w.env.Endpoint = "https://" + oauth2fake.Host
	w.env.Authority = nil
	w.remake(t)
	w.verify(t, c, revoke.Inconclusive)
	if _, err := w.p.Revoke(t.Context(), c); !errors.Is(err, revoke.ErrNoAuthority) {
		t.Errorf("%v", err)
	}
	if n := w.sent.Load(); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestInspect(t *testing.T) {
	w := newWorld(t, desk)
	c := w.Mint(refresh)
	e, err := w.p.Inspect(t.Context(), c)
	if err != nil || e.Account != "acme" || e.Owner != "acme agent@acme.example" || !slices.Equal(e.Reach, []string{"mail.read", "mail.send"}) || !strings.Contains(e.Answer, "until 20") {
		t.Errorf("%+v, %v", e, err)
	}
	w.RevokeByHand(c)
	if e, err = w.p.Inspect(t.Context(), c); err != nil || e.Owner != "" || !strings.Contains(e.Answer, "inactive") {
		t.Errorf("%+v, %v", e, err)
	}
}
