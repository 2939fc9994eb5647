package braintree_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/braintree"
	"clawback/revoke/providers/braintree/braintreefake"
)

const key, token = "braintree.api_key", "braintree.access_token"

// world is a Braintree, the responder's application there, and the provider.
type world struct {
	*braintreefake.Fake
	authority credential.Credential
	env       revoke.Env
	p         revoke.Provider
	mu        sync.Mutex
	asked     []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Fake: braintreefake.New(fake.Wall{})}
	network := fake.NewNetwork(w)
	t.Cleanup(func() { _ = network.Close() })
	w.authority, _ = w.MintAuthority()
	w.env = revoke.Env{
		HTTP: network.Client(), Sleep: fake.Wall{}.Sleep, Now: time.Now,
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
	if w.p, err = braintree.New(w.env); err != nil {
		t.Fatal(err)
	}
}

func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	w.asked = append(w.asked, r.Host+r.URL.Path)
	w.mu.Unlock()
	w.Fake.ServeHTTP(rw, r)
}

// hosts are where the last requests went.
func (w *world) hosts() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := strings.Join(w.asked, " ")
	w.asked = nil
	return out
}

func (w *world) verify(t *testing.T, c credential.Credential, want revoke.Outcome) {
	t.Helper()
	if v := w.p.Verify(t.Context(), c); v.Outcome != want || v.Answer == "" {
		t.Errorf("%s: verify showed %s (%s), want %s", c.Kind, v.Outcome, v.Answer, want)
	}
}

func TestVerifyReadsTheBody(t *testing.T) {
	refusal := func(class string) string {
		return `{"errors":[{"message":"no","extensions":{"errorClass":"` + class + `"}}],"extensions":{"requestId":"x"}}`
	}
	for name, c := range map[string]struct {
		status int
		body   string
		want   revoke.Outcome
	}{
		"pong":              {200, `{"data":{"ping":"pong"}}`, revoke.Alive},
		"another ping":      {200, `{"data":{"ping":"x"}}`, revoke.Inconclusive},
		"no data":           {200, `{"data":{}}`, revoke.Inconclusive},
		"null":              {200, `{"data":null}`, revoke.Inconclusive},
		"authentication":    {200, refusal("AUTHENTICATION"), revoke.Refused},
		"with null data":    {200, `{"data":null,` + refusal("AUTHENTICATION")[1:], revoke.Refused},
		"with a pong":       {200, `{"data":{"ping":"pong"},` + refusal("AUTHENTICATION")[1:], revoke.Inconclusive},
		"in a 401":          {401, refusal("AUTHENTICATION"), revoke.Inconclusive},
		"authorization":     {200, refusal("AUTHORIZATION"), revoke.Inconclusive},
		"validation":        {200, refusal("VALIDATION"), revoke.Inconclusive},
		"limits":            {200, refusal("RESOURCE_LIMIT"), revoke.Inconclusive},
		"unavailable":       {200, refusal("SERVICE_AVAILABILITY"), revoke.Inconclusive},
		"no class":          {200, `{"errors":[{"message":"AUTHENTICATION"}]}`, revoke.Inconclusive},
		"two of a kind":     {200, `{"errors":[{"message":"no","extensions":{"errorClass":"AUTHENTICATION"}},{"message":"no","extensions":{"errorClass":"INTERNAL"}}]}`, revoke.Inconclusive},
		"no errors":         {200, `{"errors":[]}`, revoke.Inconclusive},
		"half":              {200, `{"data":{"ping":"pong"}`, revoke.Inconclusive},
		"a page":            {200, "<html>pong</html>", revoke.Inconclusive},
		"too many requests": {429, refusal("AUTHENTICATION"), revoke.Inconclusive},
		"down":              {503, refusal("AUTHENTICATION"), revoke.Inconclusive},
	} {
		w := newWorld(t)
		for _, kind := range []string{key, token} {
			minted := w.Mint(kind)
			w.Knobs().SetFault(func(*http.Request) fake.Fault {
				return fake.Fault{Status: c.status, Body: c.body, Type: "application/json"}
			})
			if v := w.p.Verify(t.Context(), minted); v.Outcome != c.want {
				t.Errorf("%s: verify showed %s (%s), want %s", name, v.Outcome, v.Answer, c.want)
			}
		}
	}
}

// A key says not where it is of: it is refused where both environments refuse it. A token says.
func TestEnvironments(t *testing.T) {
	const live, test = "payments.braintree-api.com/graphql", "payments.sandbox.braintree-api.com/graphql"
	w := newWorld(t)
	ofTest := w.MintIn(key, true)
	ofTest.Ref["environment"] = "production" // as the host claims
	w.verify(t, ofTest, revoke.Alive)
	if got := w.hosts(); got != live+" "+test {
		t.Errorf("asked %s", got)
	}
	w.Knobs().SetFault(func(r *http.Request) fake.Fault {
		if strings.Contains(r.Host, "sandbox") {
			return fake.Fault{Status: 503}
		}
		return fake.Fault{}
	})
	w.verify(t, ofTest, revoke.Inconclusive)
	w.Knobs().SetFault(nil)
	w.RevokeByHand(ofTest)
	w.verify(t, ofTest, revoke.Refused)
	w.hosts()

	for sandbox, want := range map[bool]string{false: live, true: test} {
		c := w.MintIn(token, sandbox)
		w.verify(t, c, revoke.Alive)
		w.RevokeByHand(c)
		w.verify(t, c, revoke.Refused)
		if got := w.hosts(); got != want+" "+want {
			t.Errorf("asked %s", got)
		}
	}
	e, err := w.p.Inspect(t.Context(), w.MintIn(key, true))
	if err != nil || len(e.Reach) != 2 || e.Reach[1] != "sandbox" || !strings.HasPrefix(e.Owner, "public key ") {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestRevokeToken(t *testing.T) {
	w := newWorld(t)
	for _, sandbox := range []bool{false, true} {
		c := w.MintIn(token, sandbox)
		r, err := w.p.Revoke(t.Context(), c)
		if err != nil || r.Already || len(r.Did) != 1 || len(r.Left) != 1 || w.Alive(c) {
			t.Errorf("%+v, %v", r, err)
		}
		if got := w.hosts(); strings.Contains(got, "sandbox") != sandbox || !strings.HasSuffix(got, "/oauth/revoke_access_token") {
			t.Errorf("asked %s", got)
		}
	}
	for name, c := range map[string]struct {
		fault fake.Fault
		want  error
	}{
		"not a success":     {fake.Fault{Status: 200, Body: "<result><success>false</success></result>", Type: "application/xml"}, revoke.ErrUncertain},
		"another document":  {fake.Fault{Status: 201, Body: "<credentials><success>true</success></credentials>", Type: "application/xml"}, revoke.ErrUncertain},
		"a refused client":  {fake.Fault{Status: 401}, revoke.ErrAuthority},
		"an unfit client":   {fake.Fault{Status: 403}, revoke.ErrAuthority},
		"being maintained":  {fake.Fault{Status: 503}, revoke.ErrUncertain},
		"lost on its way":   {fake.Fault{CutAfter: true}, revoke.ErrUncertain},
		"an unknown answer": {fake.Fault{Status: 302}, revoke.ErrUncertain},
	} {
		minted := w.Mint(token)
		w.Knobs().SetFault(func(r *http.Request) fake.Fault {
			if strings.HasPrefix(r.URL.Path, "/oauth/") {
				return c.fault
			}
			return fake.Fault{}
		})
		if _, err := w.p.Revoke(t.Context(), minted); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	w.Knobs().SetFault(func(r *http.Request) fake.Fault {
		if r.URL.Path == "/graphql" {
			return fake.Fault{Status: 500}
		}
		return fake.Fault{}
	})
	unseen := w.Mint(token)
	if r, err := w.p.Revoke(t.Context(), unseen); err != nil || !r.Already || len(r.Did) > 0 || w.Alive(unseen) {
		t.Errorf("one that was not seen alive: %+v, %v", r, err)
	}
}

func TestKeyIsLeftToAPerson(t *testing.T) {
	w := newWorld(t)
	c := w.Mint(key)
	if _, err := w.p.Revoke(t.Context(), c); !errors.Is(err, revoke.ErrManual) {
		t.Errorf("%v", err)
	}
	w.authority = c
	if _, err := w.p.Revoke(t.Context(), c); !errors.Is(err, revoke.ErrOurs) {
		t.Errorf("the responder's own: %v", err)
	}
	if got := w.hosts(); got != "" {
		t.Errorf("asked %s", got)
	}
}

func TestNothingIsSent(t *testing.T) {
	w := newWorld(t)
	pair := func(public, private string) credential.Secret {
		return credential.NewSecret(map[string]string{"public_key": public, "private_key": private})
	}
	for name, c := range map[string]credential.Credential{
		"no public key":      {Kind: key, Secret: pair("", strings.Repeat("a", 32))},
		"colon":              {Kind: key, Secret: pair("abcdefgh:x", strings.Repeat("a", 32))},
		"no private key":     {Kind: key, Secret: pair(strings.Repeat("a", 16), "")},
		"no token":           {Kind: token, Secret: credential.Value("access_token$elsewhere$a$b")},
		"markup":             {Kind: token, Secret: credential.Value("access_token$sandbox$a$b</token>")},
		"another's kind":     {Kind: "braintree.other", Secret: credential.Value("x")},
		"a token as a key":   {Kind: key, Secret: credential.Value("access_token$sandbox$aaaa$bbbb")},
		"an empty one":       {Kind: token},
		"longer than it can": {Kind: token, Secret: credential.Value("access_token$sandbox$a$" + strings.Repeat("b", 200))},
	} {
		w.verify(t, c, revoke.Inconclusive)
		if _, err := w.p.Revoke(t.Context(), c); err == nil {
			t.Errorf("%s: revoked", name)
		}
	}
	w.authority.Secret = credential.Value("only one part of it")
	if _, err := w.p.Revoke(t.Context(), w.Mint(token)); !errors.Is(err, revoke.ErrAuthority) {
		t.Errorf("an authority without its parts: %v", err)
	}
	if got := w.hosts(); got != "" {
		t.Errorf("asked %s", got)
	}
}
