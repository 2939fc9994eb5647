package stripe

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

func TestVerifyNamedReadsTheAnswer(t *testing.T) {
	const gone, no = "resource_missing", "invalid_request_error"
	for _, c := range []struct {
		kind, name string
		fault      fake.Fault
		want       revoke.Outcome
	}{
		{kindEphemeral, "may not read a balance", fake.Fault{}, revoke.Alive},
		{kindEphemeral, "expired", fake.Fault{Status: 401, Body: jsonError(no, "api_key_expired", "Expired API Key provided: ek_live_***")}, revoke.Refused},
		{kindEphemeral, "unknown", fake.Fault{Status: 401, Body: jsonError(no, "", "Invalid API Key provided: ek_live_***")}, revoke.Refused},
		{kindEphemeral, "another 401", fake.Fault{Status: 401, Body: jsonError(no, "", "You did not provide an API key.")}, revoke.Inconclusive},
		{kindEphemeral, "not found", fake.Fault{Status: 404, Body: jsonError(no, gone, "No such ephemeral key")}, revoke.Inconclusive},

		{kindConnected, "balance", fake.Fault{}, revoke.Alive},
		{kindConnected, "disconnected", fake.Fault{Status: 403, Body: jsonError(no, "account_invalid", "does not have access")}, revoke.Refused},
		{kindConnected, "an authority without permission", fake.Fault{Status: 403, Body: jsonError(no, "", "required permissions")}, revoke.Inconclusive},
		{kindConnected, "a dead authority", fake.Fault{Status: 401, Body: jsonError(no, "api_key_expired", "Expired API Key provided")}, revoke.Inconclusive},
		{kindConnected, "disconnected, by a 400", fake.Fault{Status: 400, Body: jsonError(no, "account_invalid", "does not have access")}, revoke.Inconclusive},
		{kindConnected, "somebody else's", fake.Fault{Status: 403, Body: `{"error":{"code":"account_invalid"}}`}, revoke.Inconclusive},
		{kindConnected, "another object", fake.Fault{Status: 200, Body: `{"object":"account"}`, Type: "application/json"}, revoke.Inconclusive},
		{kindConnected, "down", fake.Fault{Status: 503}, revoke.Inconclusive},

		{kindAppSecret, "there", fake.Fault{}, revoke.Alive},
		{kindAppSecret, "not there", fake.Fault{Status: 404, Body: jsonError(no, gone, "No such secret")}, revoke.Refused},
		{kindAppSecret, "in the other mode", fake.Fault{Status: 404, Body: jsonError(no, gone, "No such secret; a similar object exists in live mode")}, revoke.Inconclusive},
		{kindAppSecret, "no such address", fake.Fault{Status: 404, Body: jsonError(no, "", "Unrecognized request URL")}, revoke.Inconclusive},
		{kindAppSecret, "a page", fake.Fault{Status: 404, Body: "<html>", Type: "text/html"}, revoke.Inconclusive},
		{kindAppSecret, "another's name", fake.Fault{Status: 200, Body: `{"object":"apps.secret","name":"x"}`, Type: "application/json"}, revoke.Inconclusive},
		{kindAppSecret, "an authority without permission", fake.Fault{Status: 403, Body: jsonError(no, "", "required permissions")}, revoke.Inconclusive},
	} {
		w := newWorld(t)
		minted := w.Mint(c.kind)
		if c.fault.Status != 0 {
			w.says("GET", c.fault)
		}
		if v := w.Verify(t.Context(), minted); v.Outcome != c.want || v.Answer == "" {
			t.Errorf("%s, %s: verify showed %s (%s), want %s", c.kind, c.name, v.Outcome, v.Answer, c.want)
		}
	}
}

func TestNamedDie(t *testing.T) {
	for kind, left := range map[string]int{kindEphemeral: 0, kindConnected: 0, kindAppSecret: 1} {
		w := newWorld(t)
		c, other := w.Mint(kind), w.Mint(kind)
		if e, err := w.Inspect(t.Context(), c); err != nil || len(e.Reach) == 0 || e.Answer == "" {
			t.Errorf("%s: %+v, %v", kind, e, err)
		}
		r, err := w.Revoke(t.Context(), c)
		if err != nil || r.Already || len(r.Did) != 1 || len(r.Left) != left || w.Alive(c) || !w.Alive(other) {
			t.Errorf("%s: %+v, %v", kind, r, err)
		}
		if e, err := w.Inspect(t.Context(), c); err != nil || e.Answer == "" {
			t.Errorf("%s, dead: %+v, %v", kind, e, err)
		}
		if k, _ := w.Info().Kind(kind); !k.NeedsAlive || k.ByRef != (kind != kindEphemeral) {
			t.Errorf("%s: %+v", kind, k)
		}
	}
}

func TestNamedThatFail(t *testing.T) {
	changes := map[string]string{kindEphemeral: "DELETE", kindConnected: "POST", kindAppSecret: "POST"}
	for name, x := range map[string]struct {
		fault fake.Fault
		want  error
	}{
		"refused":        {fake.Fault{Status: 403, Body: jsonError("invalid_request_error", "", "required permissions")}, revoke.ErrAuthority},
		"lost":           {fake.Fault{CutAfter: true}, revoke.ErrUncertain},
		"down":           {fake.Fault{Status: 500}, revoke.ErrUncertain},
		"another object": {fake.Fault{Status: 200, Body: `{"object":"x","id":"y","name":"z","stripe_user_id":"acct_x"}`, Type: "application/json"}, revoke.ErrUncertain},
		"a page":         {fake.Fault{Status: 200, Body: "<html>", Type: "text/html"}, revoke.ErrUncertain},
	} {
		for kind, method := range changes {
			w := newWorld(t)
			c := w.Mint(kind)
			w.says(method, x.fault)
			if _, err := w.Revoke(t.Context(), c); !errors.Is(err, x.want) {
				t.Errorf("%s %s: %v, want %v", kind, name, err, x.want)
			}
		}
	}
}

// What a host says of an id or account gets nowhere unless it is one.
func TestNamedHostile(t *testing.T) {
	w := newWorld(t)
	for _, id := range []string{"", "../balance", "acct_x/..", "ephkey_1?x=y", "acct_1234567890\r\nX: y", "a&scope[type]=user", "%2e%2e", strings.Repeat("a", 300), " "} {
		for _, kind := range []string{kindEphemeral, kindConnected, kindAppSecret} {
			c := credential.Credential{Provider: "stripe", Kind: kind, Ref: map[string]string{"id": id}}
			if v := w.Verify(t.Context(), c); v.Outcome != revoke.Inconclusive {
				t.Errorf("%s %q: %s", kind, id, v.Answer)
			}
			if _, err := w.Revoke(t.Context(), c); err == nil {
				t.Errorf("%s %q: revoked", kind, id)
			}
		}
	}
	user := w.Mint(kindAppSecret)
	user.Ref["user"] = "usr_1&name=x"
	if _, err := w.Revoke(t.Context(), user); err == nil {
		t.Error("a user that is none")
	}
	if got := w.sent(); len(got) != 0 {
		t.Errorf("sent %q", got)
	}
}

func TestConnectedNeedsThePlatform(t *testing.T) {
	w := newWorld(t)
	c := w.Mint(kindConnected)
	bare, err := New(revoke.Env{HTTP: w.network.Client(), Now: time.Now, Authority: w.Provider.(*provider).authority})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bare.Revoke(t.Context(), c); !errors.Is(err, revoke.ErrManual) || !strings.Contains(err.Error(), "client_id") {
		t.Errorf("without a client id: %v", err)
	}
	if v := bare.Verify(t.Context(), c); v.Outcome != revoke.Alive {
		t.Errorf("without a client id: %+v", v)
	}
	for _, id := range []string{"ca_", "acct_1234567890", "ca_12345678&x=y"} {
		if _, err := New(revoke.Env{HTTP: w.network.Client(), Settings: func(into any) error { into.(*settings).ClientID = id; return nil }}); err == nil {
			t.Errorf("%q is a client id", id)
		}
	}
	if _, err := New(revoke.Env{HTTP: w.network.Client(), Settings: func(any) error { return errors.New("no such field") }}); err == nil {
		t.Error("settings that cannot be read are taken")
	}
	var hosts []string
	p := w.reach(t, roundTrip(func(r *http.Request) (*http.Response, error) {
		hosts = append(hosts, r.Method+" "+r.URL.Host+r.URL.Path+" "+r.Header.Get("Stripe-Account"))
		return w.network.Transport().RoundTrip(r)
	}), "")
	if _, err := p.Revoke(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if len(hosts) != 2 || hosts[0] != "GET "+host+"/v1/balance "+c.Ref["id"] || hosts[1] != "POST "+connectHost+"/oauth/deauthorize " {
		t.Errorf("sent %q", hosts)
	}
}

func TestEphemeralWithoutItsName(t *testing.T) {
	w := newWorld(t)
	c := w.Mint(kindEphemeral)
	c.Ref = nil
	if _, err := w.Revoke(t.Context(), c); !errors.Is(err, revoke.ErrManual) {
		t.Errorf("%v", err)
	}
	c.Secret = w.MintKey(true).Secret
	if v := w.Verify(t.Context(), c); v.Outcome != revoke.Inconclusive {
		t.Errorf("an API key passes for an ephemeral one: %+v", v)
	}
}
