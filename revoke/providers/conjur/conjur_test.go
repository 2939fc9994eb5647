package conjur_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/conjur"
	"clawback/revoke/providers/conjur/conjurfake"
	"clawback/revoke/revoketest"
)

// world is a Conjur, the responder's key there, and the provider that sees nothing else.
type world struct {
	*conjurfake.Fake
	authority credential.Credential
	env       revoke.Env
	p         revoke.Provider
	sent      atomic.Int64
}

func newWorld(t *testing.T, settings string) *world {
	t.Helper()
	w := &world{Fake: conjurfake.New(fake.Wall{})}
	network := fake.NewNetwork(w)
	t.Cleanup(func() { _ = network.Close() })
	w.authority, _ = w.MintAuthority()
	w.env = revoke.Env{
		HTTP: network.Client(), Endpoint: address, Sleep: fake.Wall{}.Sleep, Now: time.Now,
		Authority: func(context.Context) (revoke.Authority, error) {
			return revoke.Authority{Secret: w.authority.Secret, Kind: w.authority.Kind, From: "the test"}, nil
		},
		Settings: func(into any) error {
			d := yaml.NewDecoder(strings.NewReader(settings))
			d.KnownFields(true)
			return d.Decode(into)
		},
	}
	if settings == "" {
		w.env.Settings = nil
	}
	var err error
	if w.p, err = conjur.New(w.env); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.sent.Add(1)
	w.Fake.ServeHTTP(rw, r)
}

func (w *world) verify(t *testing.T, c credential.Credential, want revoke.Outcome) {
	t.Helper()
	if v := w.p.Verify(t.Context(), c); v.Outcome != want || v.Answer == "" {
		t.Errorf("%s: verify showed %s (%s), want %s", c.Kind, v.Outcome, v.Answer, want)
	}
}

// A 401 counts only where nothing but Conjur's bare refusal came, of what is known to be a Conjur.
func TestVerifyReadsTheAnswer(t *testing.T) {
	const page, kinds = "<html>sign in</html>", "conjur.api_key conjur.host_factory_token"
	for name, c := range map[string]struct {
		kinds  string
		status int
		body   string
		kind   string
		want   revoke.Outcome
	}{
		"refused":                 {kinds, 401, "", "text/html", revoke.Refused},
		"refused by a page":       {kinds, 401, page, "text/html", revoke.Inconclusive},
		"refused in words":        {kinds, 401, `{"error":"x"}`, "application/json", revoke.Inconclusive},
		"forbidden":               {kinds, 403, "", "text/html", revoke.Inconclusive},
		"not found":               {kinds, 404, "", "text/html", revoke.Inconclusive},
		"too many":                {kinds, 429, "", "text/html", revoke.Inconclusive},
		"broken":                  {kinds, 500, "", "text/html", revoke.Inconclusive},
		"starting":                {kinds, 503, "", "text/html", revoke.Inconclusive},
		"moved":                   {kinds, 302, "", "text/html", revoke.Inconclusive},
		"200 of a page":           {kinds, 200, page, "text/html", revoke.Inconclusive},
		"200 of half a token":     {kinds, 200, `{"protected":"a","payload":"b"}`, "application/json", revoke.Inconclusive},
		"a token":                 {"conjur.api_key", 200, `{"protected":"a","payload":"b","signature":"c"}`, "application/json", revoke.Alive},
		"a host without its name": {"conjur.host_factory_token", 422, `{"error":{"code":"argument_error","message":"id"}}`, "application/json", revoke.Alive},
		"422 of somebody else":    {"conjur.host_factory_token", 422, `{"message":"id"}`, "application/json", revoke.Inconclusive},
		"400":                     {"conjur.host_factory_token", 400, "", "text/html", revoke.Inconclusive},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "")
			for kind := range strings.FieldsSeq(c.kinds) {
				minted := w.Mint(kind)
				w.Knobs().SetFault(func(r *http.Request) fake.Fault {
					if r.Method == http.MethodGet { // the question whether it is a Conjur
						return fake.Fault{}
					}
					return fake.Fault{Status: c.status, Body: c.body, Type: c.kind}
				})
				w.verify(t, minted, c.want)
			}
		})
	}
}

// What is not known to be a Conjur refuses nobody.
func TestSomebodyElseAnswers(t *testing.T) {
	for name, body := range map[string]string{"no JSON": "hello", "other JSON": `{"hello":"world"}`, "a list": `[]`, "none installed": `{"installed":[],"enabled":[]}`} {
		w := newWorld(t, "")
		dead := w.Mint("conjur.api_key")
		w.RevokeByHand(dead)
		w.Knobs().SetFault(func(r *http.Request) fake.Fault {
			if r.Method == http.MethodGet {
				return fake.Fault{Status: 200, Body: body, Type: "application/json"}
			}
			return fake.Fault{}
		})
		w.verify(t, dead, revoke.Inconclusive)
		if _, err := w.p.Revoke(t.Context(), dead); err == nil {
			t.Errorf("%s: dead already", name)
		}
	}
}

// Some tell nobody of their authenticators: what works needs no witness, and a refusal has the authority's
// login for one.
func TestConjurThatHidesItsAuthenticators(t *testing.T) {
	for _, kind := range []string{"conjur.api_key", "conjur.host_factory_token"} {
		w := newWorld(t, "")
		w.Knobs().SetFault(func(r *http.Request) fake.Fault {
			if r.Method == http.MethodGet {
				return fake.Fault{Status: 404}
			}
			return fake.Fault{}
		})
		c := w.Mint(kind)
		w.verify(t, c, revoke.Alive)
		if r, err := w.p.Revoke(t.Context(), c); err != nil || r.Already || w.Alive(c) {
			t.Fatalf("%+v, %v", r, err)
		}
		w.verify(t, c, revoke.Refused)
		w.RevokeByHand(w.authority)
		w.verify(t, c, revoke.Inconclusive)
	}
}

// Whoever takes the key from its answer would have taken over the role: nobody can.
func TestNobodyKeepsTheNewKey(t *testing.T) {
	w := newWorld(t, "account: "+conjurfake.Account)
	for _, c := range []credential.Credential{w.Mint("conjur.api_key"), w.MintUser("alice@dev")} {
		r, err := w.p.Revoke(t.Context(), c)
		if err != nil || r.Already || len(r.Left) != 1 || !strings.Contains(r.Left[0], "8 minutes") {
			t.Errorf("receipt %+v, %v", r, err)
		}
		if text := r.Answer + strings.Join(r.Did, ""); longWord(text) {
			t.Errorf("the receipt shows a key: %s", text)
		}
		w.verify(t, c, revoke.Refused)
	}
}

func longWord(text string) bool {
	for word := range strings.FieldsSeq(text) {
		if len(word) > 30 {
			return true
		}
	}
	return false
}

// A key that may not replace itself is replaced by the authority, and by nobody without one.
func TestTheAuthorityReplacesIt(t *testing.T) {
	w := newWorld(t, "")
	w.Bound = true
	for _, c := range []credential.Credential{w.Mint("conjur.api_key"), w.MintUser("alice")} {
		r, err := w.p.Revoke(t.Context(), c)
		if err != nil || !strings.Contains(strings.Join(r.Did, ""), "authority") || w.Alive(c) {
			t.Errorf("receipt %+v, %v", r, err)
		}
	}
	last := w.Mint("conjur.api_key")
	w.RevokeByHand(w.authority)
	if _, err := w.p.Revoke(t.Context(), last); !errors.Is(err, revoke.ErrAuthority) || !w.Alive(last) {
		t.Errorf("with a dead authority: %v", err)
	}
	w.env.Authority = nil
	w.p, _ = conjur.New(w.env)
	if _, err := w.p.Revoke(t.Context(), last); err == nil || !w.Alive(last) {
		t.Errorf("without an authority: %v", err)
	}
}

func TestOurs(t *testing.T) {
	w := newWorld(t, "account: "+conjurfake.Account)
	old := w.MintUser(w.authority.Secret.Reveal("login")) // another key of the same user
	for _, c := range []credential.Credential{w.authority, old} {
		c.Provider, c.Kind = "conjur", "conjur.api_key"
		if _, err := w.p.Revoke(t.Context(), c); !errors.Is(err, revoke.ErrOurs) || !w.Alive(w.authority) {
			t.Errorf("the authority's own: %v", err)
		}
	}
}

func TestNothingIsSent(t *testing.T) {
	w := newWorld(t, "")
	c := w.Mint("conjur.api_key")
	with := func(login, value, account string) credential.Credential {
		c := c
		c.Ref = map[string]string{"account": account}
		c.Secret = credential.NewSecret(map[string]string{"login": login, "value": value})
		return c
	}
	good := c.Secret.Reveal("value")
	for name, c := range map[string]credential.Credential{
		"no account":        with("host/a", good, ""),
		"account of a path": with("host/a", good, "../x"),
		"no login":          with("", good, conjurfake.Account),
		"way up":            with("host/../admin", good, conjurfake.Account),
		"query":             with("host/a?b", good, conjurfake.Account),
		"percent":           with("host/%2e%2e", good, conjurfake.Account),
		"colon":             with("host:a", good, conjurfake.Account),
		"no key":            with("host/a", "password", conjurfake.Account),
		"another kind":      {Kind: "conjur.variable"},
	} {
		w.verify(t, c, revoke.Inconclusive)
		if _, err := w.p.Revoke(t.Context(), c); err == nil {
			t.Errorf("%s: revoked", name)
		}
		if _, err := w.p.Inspect(t.Context(), c); err == nil {
			t.Errorf("%s: inspected", name)
		}
	}
	env := w.env
	env.Endpoint = ""
	var err error
	if w.p, err = conjur.New(env); err != nil {
		t.Fatal(err)
	}
	for _, kind := range w.Kinds() {
		c := w.Mint(kind)
		v := w.p.Verify(t.Context(), c)
		if _, err := w.p.Revoke(t.Context(), c); err == nil || !strings.Contains(err.Error(), "endpoints") || v.Outcome != revoke.Inconclusive || !strings.Contains(v.Answer, "endpoints") {
			t.Errorf("without an endpoint: %v, %+v", err, v)
		}
	}
	if n := w.sent.Load(); n != 0 {
		t.Errorf("%d requests", n)
	}
	for _, settings := range []string{"account: a/b", "accounts: x"} {
		env.Settings = func(into any) error {
			d := yaml.NewDecoder(strings.NewReader(settings))
			d.KnownFields(true)
			return d.Decode(into)
		}
		if _, err := conjur.New(env); err == nil {
			t.Errorf("%s is taken", settings)
		}
	}
}

func TestInspect(t *testing.T) {
	w := newWorld(t, "")
	for _, kind := range w.Kinds() {
		c := w.Mint(kind)
		e, err := w.p.Inspect(t.Context(), c)
		if err != nil || e.Account != conjurfake.Account || len(e.Reach) != 1 || kind == "conjur.api_key" && !strings.HasPrefix(e.Owner, "host:apps/") {
			t.Errorf("%s: %+v, %v", kind, e, err)
		}
		if where, leaked := revoketest.Leak(map[string]string{"the exposure": e.Owner + e.Answer + strings.Join(e.Reach, "")}, c); leaked {
			t.Errorf("%s: %s", kind, where)
		}
	}
	for _, call := range w.Knobs().Calls() {
		if longWord(strings.ReplaceAll(call.Path, "/", " ")) {
			t.Errorf("the fake's log shows a secret: %s", call.Path)
		}
	}
}
