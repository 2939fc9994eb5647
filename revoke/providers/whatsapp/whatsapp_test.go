package whatsapp_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/whatsapp"
	"clawback/revoke/providers/whatsapp/whatsappfake"
	"clawback/revoke/revoketest"
)

// world is a simulated Graph API and a provider that sees nothing else.
type world struct {
	*whatsappfake.Fake
	provider  revoke.Provider
	authority credential.Secret // empty: the desk has none
}

func newWorld(t *testing.T, settings string) *world {
	t.Helper()
	w := &world{Fake: whatsappfake.New(fake.Wall{})}
	n := fake.NewNetwork(w.Fake)
	client := n.Client()
	t.Cleanup(func() {
		client.CloseIdleConnections()
		_ = n.Close()
	})
	if number, _ := w.Number(); settings == "deregister" {
		settings = "deregister: ['" + number + "']"
	}
	var err error
	w.provider, err = whatsapp.New(revoke.Env{
		HTTP: client, Now: time.Now, Settings: func(into any) error { return yaml.Unmarshal([]byte(settings), into) },
		Authority: func(context.Context) (revoke.Authority, error) {
			return revoke.Authority{Secret: w.authority, Kind: "whatsapp.app_secret", From: "the test"}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) withAuthority() *world {
	a, _ := w.MintAuthority()
	w.authority = a.Secret
	return w
}

func (w *world) says(path string, f fake.Fault) {
	w.Knobs().SetFault(func(r *http.Request) fake.Fault {
		if path != "" && r.URL.Path != path {
			return fake.Fault{}
		}
		return f
	})
}

func refused(code, subcode int, message string) string {
	return fmt.Sprintf(`{"error":{"message":%q,"type":"OAuthException","code":%d,"error_subcode":%d,"fbtrace_id":"A"}}`, message, code, subcode)
}

func TestVerifyReadsTheBody(t *testing.T) {
	over := "Error validating access token: The session is invalid because the user logged out."
	for name, c := range map[string]struct {
		fault fake.Fault
		want  revoke.Outcome
	}{
		"served":               {fake.Fault{}, revoke.Alive},
		"no subcode":           {fake.Fault{Status: 400, Body: refused(190, 0, over)}, revoke.Refused},
		"logged out":           {fake.Fault{Status: 400, Body: refused(190, 467, over)}, revoke.Refused},
		"as 401":               {fake.Fault{Status: 401, Body: refused(190, 467, over)}, revoke.Refused},
		"not authorized":       {fake.Fault{Status: 400, Body: refused(190, 458, "The user has not authorized application 1.")}, revoke.Refused},
		"password changed":     {fake.Fault{Status: 400, Body: refused(190, 460, "The session has been invalidated.")}, revoke.Refused},
		"expired":              {fake.Fault{Status: 400, Body: refused(190, 463, "Session has expired.")}, revoke.Refused},
		"user is checkpointed": {fake.Fault{Status: 400, Body: refused(190, 459, "You cannot access the app till you log in to www.facebook.com.")}, revoke.Inconclusive},
		"user is unconfirmed":  {fake.Fault{Status: 400, Body: refused(190, 464, "Sessions for the user are not allowed.")}, revoke.Inconclusive},
		"a role":               {fake.Fault{Status: 400, Body: refused(190, 492, "Invalid session.")}, revoke.Inconclusive},
		"never was a token":    {fake.Fault{Status: 400, Body: refused(190, 0, "Invalid OAuth access token - Cannot parse access token")}, revoke.Inconclusive},
		"malformed":            {fake.Fault{Status: 400, Body: refused(190, 0, "Malformed access token")}, revoke.Inconclusive},
		"another status":       {fake.Fault{Status: 403, Body: refused(190, 467, over)}, revoke.Inconclusive},
		"outage":               {fake.Fault{Status: 500, Body: refused(190, 467, over)}, revoke.Inconclusive},
		"inside a 200":         {fake.Fault{Status: 200, Body: refused(190, 467, over)}, revoke.Inconclusive},
		"not OAuth's":          {fake.Fault{Status: 400, Body: strings.Replace(refused(190, 467, over), "OAuthException", "X", 1)}, revoke.Inconclusive},
		"permission":           {fake.Fault{Status: 400, Body: refused(200, 0, "Permissions error")}, revoke.Inconclusive},
		"another address":      {fake.Fault{Status: 400, Body: refused(5, 0, "This IP can't make requests for that application.")}, revoke.Inconclusive},
		"proof is wanted":      {fake.Fault{Status: 400, Body: refused(100, 0, "API calls from the server require an appsecret_proof argument")}, revoke.Inconclusive},
		"busy":                 {whatsappfake.Busy(), revoke.Inconclusive},
		"nobody":               {fake.Fault{Status: 200, Body: `{}`}, revoke.Inconclusive},
		"page":                 {fake.Fault{Status: 400, Body: `<html>190</html>`}, revoke.Inconclusive},
		"half":                 {fake.Fault{Status: 400, Body: refused(190, 467, over)[:60]}, revoke.Inconclusive},
		"cut":                  {fake.Fault{Status: 400, Cut: true}, revoke.Inconclusive},
	} {
		w := newWorld(t, "")
		w.says("/me", c.fault)
		if v := w.provider.Verify(t.Context(), w.Mint("whatsapp.token")); v.Outcome != c.want || v.Answer == "" {
			t.Errorf("%s: %s %q, want %s", name, v.Outcome, v.Answer, c.want)
		}
	}
}

// Where the application's authority is at hand it is asked too, and one Alive is enough.
func TestTheApplicationSeesItToo(t *testing.T) {
	over := refused(190, 467, "The session is invalid.")
	debug := func(data string) fake.Fault { return fake.Fault{Status: 200, Body: `{"data":` + data + `}`} }
	invalid := `{"is_valid":false,"error":{"code":190,"subcode":467,"message":"The session is invalid."}}`
	for name, c := range map[string]struct {
		me     fake.Fault
		debug  fake.Fault
		want   revoke.Outcome
		answer string
	}{
		"both":                 {fake.Fault{Status: 400, Body: over}, debug(invalid), revoke.Refused, "400 The session is invalid. (190/467); to its application is_valid=false"},
		"lives for the app":    {fake.Fault{Status: 400, Body: over}, debug(`{"is_valid":true}`), revoke.Alive, "200 is_valid=true to its application"},
		"app alone":            {fake.Fault{Status: 400, Body: refused(4, 0, "limit")}, debug(invalid), revoke.Refused, "200 to its application is_valid=false: The session is invalid. (190/467)"},
		"lives, and is busy":   {whatsappfake.Busy(), debug(`{"is_valid":true}`), revoke.Alive, "200 is_valid=true to its application"},
		"app cannot read it":   {fake.Fault{Status: 400, Body: refused(4, 0, "limit")}, debug(`{"is_valid":false,"error":{"code":190,"message":"The access token could not be decrypted"}}`), revoke.Inconclusive, "400 limit (4)"},
		"app is refused":       {fake.Fault{Status: 400, Body: over}, fake.Fault{Status: 400, Body: refused(190, 0, "Invalid OAuth access token signature.")}, revoke.Refused, "400 The session is invalid. (190/467)"},
		"app says nothing":     {fake.Fault{Status: 400, Body: over}, debug(`{}`), revoke.Refused, "400 The session is invalid. (190/467)"},
		"page instead of both": {fake.Fault{Status: 400, Body: `<html>`}, debug(invalid), revoke.Inconclusive, "400 Bad Request"},
	} {
		w := newWorld(t, "").withAuthority()
		w.Knobs().SetFault(func(r *http.Request) fake.Fault {
			if r.URL.Path == "/debug_token" {
				return c.debug
			}
			return c.me
		})
		if v := w.provider.Verify(t.Context(), w.Mint("whatsapp.token")); v.Outcome != c.want || v.Answer != c.answer {
			t.Errorf("%s: %s %q, want %s %q", name, v.Outcome, v.Answer, c.want, c.answer)
		}
	}
}

// An app that wants a proof of its secret takes no token without; with the authority there is one.
func TestProofOfTheSecret(t *testing.T) {
	w := newWorld(t, "")
	w.RequireProof()
	c := w.Mint("whatsapp.token")
	if v := w.provider.Verify(t.Context(), c); v.Outcome != revoke.Inconclusive || !strings.Contains(v.Answer, "appsecret_proof") {
		t.Errorf("without: %s %q", v.Outcome, v.Answer)
	}
	w.withAuthority()
	if v := w.provider.Verify(t.Context(), c); v.Outcome != revoke.Alive || v.Answer != "200 agent" {
		t.Errorf("with: %s %q", v.Outcome, v.Answer)
	}
}

func TestRevoke(t *testing.T) {
	for name, c := range map[string]struct {
		authority                 bool
		fault                     fake.Fault
		ok, uncertain, try, admin bool
	}{
		"by the app":            {authority: true, ok: true},
		"by itself":             {ok: true},
		"success as a text":     {fault: fake.Fault{Status: 200, Body: `{"success":"true"}`}, ok: true},
		"no success":            {fault: fake.Fault{Status: 200, Body: `{"success":false}`}, uncertain: true},
		"the secret is wrong":   {authority: true, fault: fake.Fault{Status: 400, Body: refused(1, 0, "Error validating client secret.")}, admin: true},
		"the app is no app":     {authority: true, fault: fake.Fault{Status: 400, Body: refused(101, 0, "Error validating application.")}, admin: true},
		"the caller is refused": {authority: true, fault: fake.Fault{Status: 400, Body: refused(190, 0, "Invalid OAuth access token signature.")}, admin: true},
		"itself is refused":     {fault: fake.Fault{Status: 400, Body: refused(190, 467, "The session is invalid.")}},
		"another app's":         {authority: true, fault: fake.Fault{Status: 400, Body: refused(100, 0, "The tokens must be of the same app")}},
		"busy":                  {authority: true, fault: whatsappfake.Busy(), try: true},
		"unknown error":         {fault: fake.Fault{Status: 500, Body: refused(1, 0, "An unknown error occurred")}, uncertain: true, try: true},
		"page":                  {fault: fake.Fault{Status: 200, Body: `<html>`}, uncertain: true},
	} {
		w := newWorld(t, "")
		path := "/me/permissions"
		if c.authority {
			w.withAuthority()
			path = "/oauth/revoke"
		}
		token := w.MintUser()
		if c.fault.Status != 0 {
			w.says(path, c.fault)
		}
		r, err := w.provider.Revoke(t.Context(), token)
		var retry *revoke.RetryError
		if (err == nil) != c.ok || errors.Is(err, revoke.ErrUncertain) != c.uncertain || errors.As(err, &retry) != c.try || errors.Is(err, revoke.ErrAuthority) != c.admin {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		if c.ok && len(r.Did) != 1 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// The application's secret goes in the address, which Meta documents so: no error shows it.
func TestTheSecretOfTheAppStaysInside(t *testing.T) {
	w := newWorld(t, "").withAuthority()
	c := w.Mint("whatsapp.token")
	w.authority = credential.NewSecret(map[string]string{ // with a token of its own, it calls by that
		"client_id": w.authority.Reveal("client_id"), "client_secret": w.authority.Reveal("client_secret"), "value": w.Mint("whatsapp.token").Secret.Reveal("value"),
	})
	for _, status := range []int{200, 400, 500} {
		w.Knobs().SetFault(func(r *http.Request) fake.Fault {
			if r.URL.Path != "/oauth/revoke" {
				return fake.Fault{}
			}
			return fake.Fault{Status: status, Body: refused(100, 0, r.Header.Get("Authorization")+" "+r.RequestURI)}
		})
		r, err := w.provider.Revoke(t.Context(), c)
		said := map[string]string{"the receipt": fmt.Sprint(r), "the error": fmt.Sprint(err)}
		for _, c := range []credential.Credential{c, {Secret: w.authority, Ref: map[string]string{"id": w.authority.Reveal("client_id")}}} {
			if where, leaks := revoketest.Leak(said, c); leaks || err == nil {
				t.Errorf("%d: %s shows a piece of the secret", status, where)
			}
		}
	}
}

// Nothing is changed where nobody can tell what is there.
func TestNothingIsRevokedUnseen(t *testing.T) {
	w := newWorld(t, "deregister")
	w.says("/me", fake.Fault{Status: 503})
	c := w.Mint("whatsapp.token")
	var retry *revoke.RetryError
	if _, err := w.provider.Revoke(t.Context(), c); !errors.As(err, &retry) || errors.Is(err, revoke.ErrUncertain) || !w.Alive(c) {
		t.Error(err)
	}
	if _, on := w.Number(); !on {
		t.Error("a number went off the API")
	}
}

// A token that lives on in spite of what it did to itself is not called dead, and the receipt says what then.
func TestATokenThatItsPermissionsDoNotEnd(t *testing.T) {
	w := newWorld(t, "")
	w.Stubborn()
	c := w.Mint("whatsapp.token")
	r, err := w.provider.Revoke(t.Context(), c)
	if err != nil || len(r.Left) != 1 || !strings.Contains(r.Left[0], "client_secret as the authority") {
		t.Errorf("%+v, %v", r, err)
	}
	if v := w.provider.Verify(t.Context(), c); v.Outcome != revoke.Alive {
		t.Errorf("%s %q", v.Outcome, v.Answer)
	}
	w.withAuthority()
	if r, err := w.provider.Revoke(t.Context(), c); err != nil || r.Already || len(r.Left) > 0 || w.Alive(c) {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestDeregister(t *testing.T) {
	w := newWorld(t, "deregister")
	number, _ := w.Number()
	r, err := w.provider.Revoke(t.Context(), w.Mint("whatsapp.token"))
	if _, on := w.Number(); err != nil || on || len(r.Did) != 2 || !strings.Contains(r.Did[0], number) {
		t.Errorf("on the API %v: %+v, %v", on, r, err)
	}
	// What keeps the number on the API does not keep the token alive.
	w = newWorld(t, "deregister")
	number, _ = w.Number()
	w.says("/"+number+"/deregister", fake.Fault{Status: 400, Body: refused(133016, 0, "too many attempts")})
	c := w.Mint("whatsapp.token")
	r, err = w.provider.Revoke(t.Context(), c)
	if err != nil || w.Alive(c) || len(r.Did) != 1 || len(r.Left) != 2 || r.Left[0] != "phone number "+number+" on the API: 400 too many attempts (133016)" {
		t.Errorf("%+v, %v", r, err)
	}
	if w = newWorld(t, ""); true {
		_, _ = w.provider.Revoke(t.Context(), w.Mint("whatsapp.token"))
		if _, on := w.Number(); !on {
			t.Error("a number went off the API that nobody named")
		}
	}
	settings := func(into any) error { return yaml.Unmarshal([]byte("deregister: ['../me']"), into) }
	if _, err := whatsapp.New(revoke.Env{HTTP: http.DefaultClient, Settings: settings}); err == nil {
		t.Error("New took a path for the id of a number")
	}
}

func TestAppSecret(t *testing.T) {
	w := newWorld(t, "")
	c := w.Mint("whatsapp.app_secret")
	other := c
	other.Ref = map[string]string{"client_id": "1234567890"}
	for name, x := range map[string]struct {
		c     credential.Credential
		fault fake.Fault
		want  revoke.Outcome
	}{
		"served":           {c, fake.Fault{}, revoke.Alive},
		"reset":            {c, fake.Fault{Status: 400, Body: refused(190, 0, "Invalid OAuth access token signature.")}, revoke.Refused},
		"another 190":      {c, fake.Fault{Status: 400, Body: refused(190, 467, "The session is invalid.")}, revoke.Inconclusive},
		"no such app":      {c, fake.Fault{Status: 400, Body: refused(101, 0, "Cannot get application info")}, revoke.Inconclusive},
		"another app":      {c, fake.Fault{Status: 200, Body: `{"id":"99999","name":"x"}`}, revoke.Inconclusive},
		"no id":            {credential.Credential{Kind: "whatsapp.app_secret", Secret: c.Secret}, fake.Fault{}, revoke.Inconclusive},
		"id of the host's": {credential.Credential{Kind: "whatsapp.app_secret", Secret: c.Secret, Ref: map[string]string{"client_id": "1/../me"}}, fake.Fault{}, revoke.Inconclusive},
	} {
		w.says("", x.fault)
		if v := w.provider.Verify(t.Context(), x.c); v.Outcome != x.want || v.Answer == "" {
			t.Errorf("%s: %s %q, want %s", name, v.Outcome, v.Answer, x.want)
		}
	}
	// A wrong id looks like a wrong secret: a refusal proves only what was alive before.
	if k, _ := w.provider.Info().Kind("whatsapp.app_secret"); !k.NeedsAlive {
		t.Error("a host could have a live secret called dead by a wrong id")
	}
}

func TestInspect(t *testing.T) {
	w := newWorld(t, "")
	e, err := w.provider.Inspect(t.Context(), w.Mint("whatsapp.token"))
	if err != nil || !strings.HasPrefix(e.Account, "system_user token of app Deploy (") || strings.Join(e.Reach, ", ") != "whatsapp_business_messaging on 102290129340398, public_profile" {
		t.Errorf("%+v, %v", e, err)
	}
	w.says("/debug_token", whatsappfake.Busy())
	if e, err = w.provider.Inspect(t.Context(), w.Mint("whatsapp.token")); err != nil || !strings.HasPrefix(e.Account, "agent (") {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestWhatIsNeverAsked(t *testing.T) {
	w := newWorld(t, "").withAuthority()
	for name, c := range map[string]credential.Credential{
		"a header":     {Kind: "whatsapp.token", Secret: credential.Value("EAA" + strings.Repeat("x", 80) + "\r\nX: y")},
		"too short":    {Kind: "whatsapp.token", Secret: credential.Value("EAAx")},
		"an app token": {Kind: "whatsapp.token", Secret: credential.Value("1234567890|" + strings.Repeat("x", 80))},
		"no value":     {Kind: "whatsapp.token"},
		"a device":     w.Mint("whatsapp.device"),
		"another kind": {Kind: "whatsapp.other", Secret: credential.Value("EAA" + strings.Repeat("x", 80))},
	} {
		if v := w.provider.Verify(t.Context(), c); v.Outcome != revoke.Inconclusive || v.Answer == "" {
			t.Errorf("%s: %s %q", name, v.Outcome, v.Answer)
		}
		if _, err := w.provider.Inspect(t.Context(), c); err == nil {
			t.Errorf("%s: inspected", name)
		}
		if _, err := w.provider.Revoke(t.Context(), c); err == nil {
			t.Errorf("%s: revoked", name)
		}
	}
	if calls := w.Knobs().Calls(); len(calls) > 0 {
		t.Errorf("sent %+v", calls)
	}
}

func TestFormat(t *testing.T) {
	w := newWorld(t, "")
	if k, ok := credential.Recognize(w.Mint("whatsapp.token").Secret.Reveal("value")); !ok || k.Name != "whatsapp.token" {
		t.Errorf("recognized as %q", k.Name)
	}
}
