package custom_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/custom"
	"clawback/revoke/providers/custom/customfake"
	"clawback/revoke/wire"
)

const kind = "custom.token"

// world is an internal API, the responder's key there, and the provider.
type world struct {
	*customfake.Fake
	authority credential.Credential
	env       revoke.Env
	p         revoke.Provider
	sent      atomic.Int64
	got       *http.Request // the last one, with its body
	body      string
}

func newWorld(t *testing.T, settings string) *world {
	t.Helper()
	w := &world{Fake: customfake.New(fake.Wall{})}
	network := fake.NewNetwork(w)
	t.Cleanup(func() { _ = network.Close() })
	w.authority, _ = w.MintAuthority()
	w.env = revoke.Env{
		HTTP: network.Client(), Sleep: fake.Wall{}.Sleep, Now: time.Now, Settings: decode(settings),
		Authority: func(context.Context) (revoke.Authority, error) {
			return revoke.Authority{Secret: w.authority.Secret, Kind: w.authority.Kind, From: "the test"}, nil
		},
	}
	var err error
	if w.p, err = custom.New(w.env); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.sent.Add(1)
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	w.got, w.body = r.Clone(context.Background()), string(body)
	w.Fake.ServeHTTP(rw, r)
}

func TestVerifyReadsTheBody(t *testing.T) {
	const json = "application/json"
	for name, c := range map[string]struct {
		status     int
		body, kind string
		want       revoke.Outcome
	}{
		"dead":                   {401, `{"error":{"code":"token_revoked"}}`, json, revoke.Refused},
		"alive":                  {200, `{"user":"x"}`, json, revoke.Alive},
		"another reason":         {401, `{"error":{"code":"ip_not_allowed"}}`, json, revoke.Inconclusive},
		"another status":         {403, `{"error":{"code":"token_revoked"}}`, json, revoke.Inconclusive},
		"the field is an object": {401, `{"error":{"code":{"code":"token_revoked"}}}`, json, revoke.Inconclusive},
		"the field is no path":   {401, `{"error":"token_revoked"}`, json, revoke.Inconclusive},
		"nobody":                 {200, `{"user":null}`, json, revoke.Inconclusive},
		"a page":                 {401, "<html>token_revoked</html>", "text/html", revoke.Inconclusive},
		"half":                   {401, `{"error":{"code":"token_revoked"}`, json, revoke.Inconclusive},
		"nothing":                {401, "", json, revoke.Inconclusive},
		"too many":               {429, `{"user":"x"}`, json, revoke.Inconclusive},
		"down":                   {500, `{"error":{"code":"token_revoked"}}`, json, revoke.Inconclusive},
	} {
		w := newWorld(t, customfake.ByAdmin)
		minted := w.Mint(kind)
		w.Knobs().SetFault(func(*http.Request) fake.Fault { return fake.Fault{Status: c.status, Body: c.body, Type: c.kind} })
		if v := w.p.Verify(t.Context(), minted); v.Outcome != c.want || v.Answer == "" {
			t.Errorf("%s: verify showed %s (%s), want %s", name, v.Outcome, v.Answer, c.want)
		}
	}
}

// rules is an API with answers of each form.
const rules = `
api:
  match: 'k_.*'
  verify:
    method: %METHOD
    url: https://crm.internal.test/look
    headers: {Authorization: '{secret}'}
    alive: [{status: 204, empty: true}, {status: 200, text: welcome}, {status: 200, field: list.1.ok, equals: "true"}, {status: 200, field: n, equals: "7"}]
    dead: [{status: 410, empty: true}, {status: 200, text: revoked}]
`

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		method string
		status int
		body   string
		want   revoke.Outcome
	}{
		{"HEAD", 204, "", revoke.Alive}, {"HEAD", 410, "", revoke.Refused}, {"GET", 410, "x", revoke.Inconclusive},
		{"GET", 200, "you are welcome", revoke.Alive}, {"GET", 200, "it was revoked", revoke.Refused},
		{"GET", 200, "welcome, revoked one", revoke.Inconclusive}, // both
		{"GET", 200, `{"list":[0,{"ok":true}]}`, revoke.Alive}, {"GET", 200, `{"list":[0]}`, revoke.Inconclusive},
		{"GET", 200, `{"list":[0,{"ok":"yes"}]}`, revoke.Inconclusive}, {"GET", 200, `{"n":7}`, revoke.Alive}, {"GET", 200, `{"n":70}`, revoke.Inconclusive},
	} {
		w := newWorld(t, strings.Replace(rules, "%METHOD", c.method, 1))
		w.Knobs().SetFault(func(*http.Request) fake.Fault {
			return fake.Fault{Status: c.status, Body: c.body, Type: "application/json"}
		})
		v := w.p.Verify(t.Context(), credential.Credential{Kind: kind, Secret: credential.Value("k_" + strings.Repeat("x", 20))})
		if v.Outcome != c.want {
			t.Errorf("%s %d %q: %s (%s), want %s", c.method, c.status, c.body, v.Outcome, v.Answer, c.want)
		}
	}
}

func TestRevoke(t *testing.T) {
	w := newWorld(t, customfake.ByAdmin)
	live := w.Mint(kind)
	if r, err := w.p.Revoke(t.Context(), live); err != nil || r.Already || len(r.Did) != 1 || w.Alive(live) {
		t.Errorf("%+v, %v", r, err)
	}
	verifyFails := func(r *http.Request) fake.Fault {
		if r.Method == http.MethodGet {
			return fake.Fault{Status: 500}
		}
		return fake.Fault{}
	}
	w.Knobs().SetFault(verifyFails)
	unseen := w.Mint(kind)
	if r, err := w.p.Revoke(t.Context(), unseen); err != nil || !r.Already || w.Alive(unseen) {
		t.Errorf("one that was not seen alive: %+v, %v", r, err)
	}
	if r, err := w.p.Revoke(t.Context(), unseen); err != nil || !r.Already || !strings.Contains(r.Answer, "no_such_token") {
		t.Errorf("the second time: %+v, %v", r, err)
	}
	w.Knobs().SetFault(nil)
	last := w.Mint(kind)
	w.RevokeByHand(w.authority)
	if _, err := w.p.Revoke(t.Context(), last); !errors.Is(err, revoke.ErrAuthority) || !w.Alive(last) {
		t.Errorf("with a dead authority: %v", err)
	}
	look := customfake.ByAdmin[:strings.Index(customfake.ByAdmin, "  revoke:")] + customfake.ByAdmin[strings.Index(customfake.ByAdmin, "  verify:"):]
	w = newWorld(t, look)
	if _, err := w.p.Revoke(t.Context(), w.Mint(kind)); !errors.Is(err, revoke.ErrManual) {
		t.Errorf("without a call that ends it: %v", err)
	}
}

// What comes from a host means nothing but itself, wherever the desk puts it.
func TestPlaceholders(t *testing.T) {
	const all = `
api:
  match: '.*'
  verify:
    method: POST
    url: https://crm.internal.test/%PATH/look?a={ref.q}
    headers: {X-Key: 'Key {secret}', Content-Type: %TYPE}
    basic: {user: '{ref.user}', password: '{secret.password}'}
    body: '%BODY'
    alive: [{status: 200, field: user}]
    dead: [{status: 401, field: error}]
`
	settings := func(path, kind, body string) string {
		return strings.NewReplacer("%PATH", path, "%TYPE", kind, "%BODY", body).Replace(all)
	}
	secret := `a"b\c&d=e%2f{ref.q}` + strings.Repeat("z", 10)
	c := credential.Credential{
		Kind: kind, Secret: credential.NewSecret(map[string]string{"value": secret, "password": "p:q"}),
		Ref: map[string]string{"q": "1&b=2#", "user": "u", "id": "x", "up": "..", "slash": "a/b", "dots": "a..b"},
	}
	for _, x := range []struct{ path, kind, body, want string }{
		{"{ref.id}", "application/json", `{"t":"{secret}","x":{"y":1}}`, `{"t":"a\"b\\c&d=e%2f{ref.q}zzzzzzzzzz","x":{"y":1}}`},
		{"{ref.id}", "application/x-www-form-urlencoded", `t={secret}&x=1`, `t=a%22b%5Cc%26d%3De%252f%7Bref.q%7Dzzzzzzzzzz&x=1`},
		{"{ref.id}", "text/plain", `hello {ref.id}`, "hello x"},
		{"{ref.id}", "text/plain", `{secret}`, ""}, // nothing is sent
		{"{ref.id}", "text/plain", `{ref.slash}`, ""},
		{"{ref.up}", "text/plain", ``, ""},
		{"{ref.slash}", "text/plain", ``, ""},
		{"{ref.dots}", "text/plain", ``, ""},
		{"{ref.none}", "text/plain", ``, ""},
		{"{secret}", "text/plain", ``, ""},
	} {
		w := newWorld(t, settings(x.path, x.kind, x.body))
		v := w.p.Verify(t.Context(), c)
		if x.want == "" {
			if w.sent.Load() > 0 || !strings.HasPrefix(v.Answer, "not asked") {
				t.Errorf("%s %s: %d requests, %s", x.path, x.body, w.sent.Load(), v.Answer)
			}
			continue
		}
		user, password, _ := w.got.BasicAuth()
		if w.body != x.want || w.got.URL.Path != "/x/look" || w.got.URL.RawQuery != "a=1%26b%3D2%23" || w.got.Header.Get("X-Key") != "Key "+secret || user != "u" || password != "p:q" {
			t.Errorf("sent %s %s %q %q:%q", w.got.URL, w.body, w.got.Header, user, password)
		}
	}
}

func TestWhoseIsIt(t *testing.T) {
	w := newWorld(t, customfake.ByAdmin+`
other:
  match: 'crm_A.*|crm\.internal\.test'
  verify:
    {method: GET, url: 'https://other.internal.test/x', headers: {X: '{secret}'}, alive: [{status: 200, field: a}], dead: [{status: 401, field: b}]}
`)
	c := w.Mint(kind)
	c.Ref = map[string]string{"service": "evil.test"}
	c.Secret = credential.Value("crm_A" + strings.Repeat("B", 25))
	unknown := c
	unknown.Secret = credential.Value("something else entirely")
	for _, c := range []credential.Credential{c, unknown, {Kind: "custom.other", Secret: c.Secret}} {
		if v := w.p.Verify(t.Context(), c); v.Outcome != revoke.Inconclusive || v.Answer == "" {
			t.Errorf("%+v", v)
		}
		if _, err := w.p.Revoke(t.Context(), c); err == nil || c.Kind == kind && !errors.Is(err, revoke.ErrManual) {
			t.Errorf("%v", err)
		}
	}
	if n := w.sent.Load(); n != 0 {
		t.Errorf("%d requests", n)
	}
	c = w.Mint(kind)
	delete(c.Ref, "service") // its format tells
	if strings.HasPrefix(c.Secret.Reveal("value"), "crm_A") {
		c.Ref["service"] = "crm"
	}
	if e, err := w.p.Inspect(t.Context(), c); err != nil || e.Account != "crm" || e.Owner != "agent" {
		t.Errorf("%+v, %v", e, err)
	}
	own := w.authority
	own.Ref = map[string]string{"service": "crm", "id": "x"}
	if _, err := w.p.Revoke(t.Context(), own); !errors.Is(err, revoke.ErrOurs) {
		t.Errorf("the authority's own: %v", err)
	}
}

func TestSettings(t *testing.T) {
	env := newWorld(t, customfake.ByAdmin).env
	look := func(extra string) string {
		return "verify: {method: GET, url: 'https://a.test/x', alive: [{status: 200, field: a}], dead: [{status: 401, field: b}]" + extra + "}"
	}
	end := func(method, url string) string {
		return "revoke: {method: " + method + ", url: '" + url + "', accepted: [{status: 200, field: a}]}"
	}
	for text, want := range map[string]string{
		"{" + look("") + "}": "",
		"{" + look("") + ", " + end("POST", "https://a.test/x") + "}":              "",
		"{" + look("") + ", " + end("DELETE", "http://127.0.0.1/x/{ref.id}") + "}": "",
		"{}": "verify is missing",
		"{" + end("POST", "https://a.test/x") + "}":                                                                                    "verify is missing",
		"{" + look("") + ", " + end("GET", "https://a.test/y") + "}":                                                                   "revoke: method",
		"{" + look("") + ", " + end("POST", "http://a.test/y") + "}":                                                                   "revoke: url: want https",
		"{" + look("") + ", " + end("POST", "https://a.test/x{ref.id}") + "}":                                                          "a segment is",
		"{" + look("") + ", " + end("POST", "https://a.test/*") + "}":                                                                  "a segment is",
		"{" + look("") + ", " + end("POST", "https://a.test/a/../b") + "}":                                                             "url: want a path",
		"{" + look("") + ", " + end("POST", "https://a.test/x/") + "}":                                                                 "url: want a path",
		"{" + look("") + ", " + end("POST", "https://{ref.host}/x") + "}":                                                              "revoke: url",
		"{" + look(", body: x") + "}":                                                                                                  "body: of POST",
		"{" + look(", headers: {Host: a}") + "}":                                                                                       "headers",
		"{" + look(", headers: {'A b': a}") + "}":                                                                                      "headers",
		"{" + look(", headers: {A: \"a\\r\\nb\"}") + "}":                                                                               "headers",
		"{" + look(", basic: {user: a}") + "}":                                                                                         "basic",
		"{" + look(", accepted: [{status: 200, field: a}]") + "}":                                                                      "dead and alive alone",
		"{" + look(", unknown: x") + "}":                                                                                               "unknown",
		"{" + look(", owner: 'a..b'") + "}":                                                                                            "owner",
		"{match: '(', " + look("") + "}":                                                                                               "match",
		"{propagation: 48h, " + look("") + "}":                                                                                         "propagation",
		"{verify: {method: GET, url: 'https://a.test/x', alive: [{status: 200}], dead: [{status: 401, field: b}]}}":                    "a status alone",
		"{verify: {method: GET, url: 'https://a.test/x', alive: [{status: 200, field: a}], dead: [{status: 401}]}}":                    "a status alone",
		"{verify: {method: GET, url: 'https://a.test/x', alive: [{status: 200, field: a}], dead: [{status: 503, text: b}]}}":           "status: want",
		"{verify: {method: GET, url: 'https://a.test/x', alive: [{status: 200, field: a}], dead: [{status: 302, text: b}]}}":           "status: want",
		"{verify: {method: GET, url: 'https://a.test/x', alive: [{status: 200, field: a}], dead: [{status: 429, text: b}]}}":           "status: want",
		"{verify: {method: GET, url: 'https://a.test/x', alive: [{status: 200, equals: a, text: b}], dead: [{status: 401, text: b}]}}": "of which field",
		"{verify: {method: GET, url: 'https://a.test/x', alive: [{status: 200, field: a}]}}":                                           "dead and alive",
		"{verify: {method: DELETE, url: 'https://a.test/x', alive: [{status: 200, field: a}], dead: [{status: 401, field: b}]}}":       "verify: method",
		"{verify: {method: POST, url: 'https://a.test/{ref.x}', alive: [{status: 200, field: a}], dead: [{status: 401, field: b}]}}":   "the end of its path",
		"{verify: {method: POST, url: 'https://a.test/x', alive: [{status: 200, field: a}], dead: [{status: 401, field: b}]}, " + end("POST", "https://b.test/x") + "}":        "cannot be told",
		"{verify: {method: POST, url: 'https://a.test/x', alive: [{status: 200, field: a}], dead: [{status: 401, field: b}]}, " + end("POST", "https://b.test/{ref.id}") + "}": "cannot be told",
	} {
		env.Settings = decode("a: " + text)
		_, err := custom.New(env)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// A secret that is written out is refused, and not quoted.
func TestSettingsRefuseClearText(t *testing.T) {
	env := newWorld(t, customfake.ByAdmin).env
	secret := rand.Text()
	for extra, refused := range map[string]bool{
		"headers: {Authorization: 'Bearer " + secret + "'}": true,
		"headers: {x-api-key: " + secret + "}":              true,
		"headers: {Private-Token: " + secret + "}":          true,
		"headers: {Cookie: 'sid=" + secret + "'}":           true,
		"basic: {user: admin, password: " + secret + "}":    true,
		"query: api_key=" + secret:                          true,
		"query: client_secret=" + secret:                    true,
		"headers: {Authorization: 'Bearer {authority}'}":    false,
		"headers: {X-Atlassian-Token: no-check}":            false,
		"headers: {Accept: application/json}":               false,
		"basic: {user: '{secret}', password: api_token}":    false,
		"query: api_key={authority}&expand=all":             false,
	} {
		address := "https://a.test/x"
		if query, ok := strings.CutPrefix(extra, "query: "); ok {
			address, extra = address+"?"+query, "body: ''"
		}
		env.Settings = decode("a: {verify: {method: GET, url: '" + address + "', alive: [{status: 200, field: a}], dead: [{status: 401, field: b}], " + extra + "}}")
		_, err := custom.New(env)
		if refused != errors.Is(err, wire.ErrClearText) || !refused && err != nil || err != nil && strings.Contains(err.Error(), secret[:6]) {
			t.Errorf("%s %s: %v", address, extra, err)
		}
	}
}

// A POST that looks is declared by its whole body where that is known beforehand.
func TestReads(t *testing.T) {
	env := newWorld(t, customfake.ByAdmin).env
	env.Settings = decode(`a: {verify: {method: POST, url: 'https://a.test/q', body: '{"query":"{ me }"}', alive: [{status: 200, field: a}], dead: [{status: 401, field: b}]}}
b: {propagation: 5m, verify: {method: GET, url: 'https://a.test/t/{ref.id}?x=y', alive: [{status: 200, field: a}], dead: [{status: 401, field: b}]}}`)
	p, err := custom.New(env)
	if err != nil {
		t.Fatal(err)
	}
	info := p.Info()
	if len(info.Reads) != 2 || info.Reads[0].Body != `{"query":"{ me }"}` || info.Reads[0].Path != "/q" || info.Reads[1].Path != "/t/*" || info.Reads[1].Method != "GET" {
		t.Errorf("%+v", info.Reads)
	}
	if k, _ := info.Kind(kind); k.Propagation.Budget != 5*time.Minute || !k.SelfRevoking || k.ByRef {
		t.Errorf("%+v", k)
	}
}
