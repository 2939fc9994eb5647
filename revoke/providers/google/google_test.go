package google_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.yaml.in/yaml/v3"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/google"
	"clawback/revoke/providers/google/googlefake"
	"clawback/revoke/wire"
)

const (
	invalidKey = `{"error":{"code":400,"status":"INVALID_ARGUMENT","message":"API key not valid.","details":[{"reason":"API_KEY_INVALID","domain":"googleapis.com"}]}}`
	wrongTime  = `{"error":"invalid_grant","error_description":"Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim."}`
)

// reply is what a scripted Google answers.
type reply struct {
	status int
	body   string
	header http.Header
}

// scripted runs f with a provider whose Google answers everything alike, and counts what it is asked.
func scripted(t *testing.T, at reply, f func(p revoke.Undoer, asked *int)) {
	synctest.Test(t, func(t *testing.T) {
		n := fake.NewNetwork()
		defer func() { _ = n.Close() }()
		asked := 0
		for _, host := range googlefake.New(fake.Wall{}).Hosts() {
			n.Handle(host, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked++
				_, _ = io.Copy(io.Discard, r.Body)
				for name, values := range at.header {
					w.Header()[name] = values
				}
				w.WriteHeader(at.status)
				_, _ = io.WriteString(w, at.body)
			}))
		}
		client := n.Client()
		defer client.CloseIdleConnections()
		f(made(t, revoke.Env{HTTP: client, Now: time.Now, Authority: func(context.Context) (revoke.Authority, error) {
			return revoke.Authority{Secret: credential.Value("ya29.authority-of-the-test")}, nil
		}}), &asked)
	})
}

func made(t *testing.T, env revoke.Env) revoke.Undoer {
	t.Helper()
	p, err := google.New(env)
	if err != nil {
		t.Fatal(err)
	}
	return p.(revoke.Undoer)
}

// world is a fake with a provider and an administrator's authority.
type world struct {
	*googlefake.Fake
	revoke.Undoer
	net       *fake.Network
	env       revoke.Env
	authority revoke.Authority
	t         *testing.T
}

func inWorld(t *testing.T, f func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{Fake: googlefake.New(fake.Wall{}), t: t}
		w.net = fake.NewNetwork(w.Fake)
		defer func() { _ = w.net.Close() }()
		client := w.net.Client()
		defer client.CloseIdleConnections()
		admin, _ := w.MintAuthority()
		w.authority = revoke.Authority{Secret: admin.Secret, Kind: admin.Kind, From: "the test"}
		w.env = revoke.Env{HTTP: client, Now: time.Now, Authority: func(context.Context) (revoke.Authority, error) {
			if w.authority.Secret.Empty() {
				return revoke.Authority{}, revoke.ErrNoAuthority
			}
			return w.authority, nil
		}}
		w.Undoer = made(t, w.env)
		f(w)
	})
}

// set remakes the provider with settings, as the desk's YAML would give them.
func (w *world) set(settings string) {
	w.env.Settings = func(into any) error { return decode(settings, into) }
	w.Undoer = made(w.t, w.env)
}

// kept is what the desk keeps in places of its own, by the name under which settings have it.
var kept sync.Map

func decode(settings string, into any) error {
	if err := yaml.Unmarshal([]byte(settings), into); err != nil {
		return err
	}
	for _, held := range into.(wire.Holder).Held() {
		held.Load = func(context.Context) (credential.Secret, error) {
			var place struct{ Env string }
			if err := held.Place.Decode(&place); err != nil {
				return credential.Secret{}, err
			}
			secret, ok := kept.Load(place.Env)
			if !ok {
				return credential.Secret{}, fmt.Errorf("environment variable %s is not set", place.Env)
			}
			return credential.Value(secret.(string)), nil
		}
	}
	return nil
}

func (w *world) verify(c credential.Credential, want revoke.Outcome, answer string) {
	w.t.Helper()
	if v := w.Verify(context.Background(), c); v.Outcome != want || !strings.Contains(v.Answer, answer) {
		w.t.Errorf("Verify = %s %q, want %s with %q", v.Outcome, v.Answer, want, answer)
	}
}

func (w *world) kill(c credential.Credential) revoke.Receipt {
	w.t.Helper()
	r, err := w.Revoke(context.Background(), c)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) undo(c credential.Credential) revoke.Receipt {
	w.t.Helper()
	r, err := w.Undo(context.Background(), c)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func TestVerifyReadsTheAnswer(t *testing.T) {
	f := googlefake.New(fake.Wall{})
	of := map[string]credential.Credential{}
	for _, kind := range f.Kinds() {
		of[kind] = f.Mint(kind)
	}
	const sa, ak, bk, at, rt, sv = "google.service_account", "google.api_key", "google.auth_key", "google.access_token", "google.refresh_token", "google.secret_version"
	api := func(code int, status, reason string) string {
		return fmt.Sprintf(`{"error":{"code":%d,"status":%q,"message":"m","details":[{"reason":%q,"domain":"googleapis.com"}]}}`, code, status, reason)
	}
	version := of[sv].Ref["id"]
	for name, c := range map[string]struct {
		kind  string
		reply reply
		want  revoke.Outcome
	}{
		"key signs":               {sa, reply{200, `{"access_token":"ya29.x","token_type":"Bearer","expires_in":3599}`, nil}, revoke.Alive},
		"key, a token of no type": {sa, reply{200, `{"access_token":"ya29.x"}`, nil}, revoke.Inconclusive},
		"key refused":             {sa, reply{400, `{"error":"invalid_grant","error_description":"Invalid JWT Signature."}`, nil}, revoke.Refused},
		"account gone":            {sa, reply{400, `{"error":"invalid_grant","error_description":"Invalid grant: account not found"}`, nil}, revoke.Refused},
		"key, other status":       {sa, reply{401, `{"error":"invalid_grant","error_description":"Invalid JWT Signature."}`, nil}, revoke.Inconclusive},
		"key, wrong time":         {sa, reply{400, wrongTime, nil}, revoke.Inconclusive},
		"key, wrong audience":     {sa, reply{400, `{"error":"invalid_grant","error_description":"Invalid JWT: Failed audience check."}`, nil}, revoke.Inconclusive},
		"key, other code":         {sa, reply{401, `{"error":"unauthorized_client","error_description":"x"}`, nil}, revoke.Inconclusive},
		"key, half":               {sa, reply{400, `{"error":"invalid_grant"`, nil}, revoke.Inconclusive},
		"key, two answers":        {sa, reply{400, `{"error":"invalid_grant"}{"access_token":"x"}`, nil}, revoke.Inconclusive},
		"key, an API's error":     {sa, reply{400, invalidKey, nil}, revoke.Inconclusive},

		"API key lists":       {ak, reply{200, `{"data":{"languages":[{"language":"af"}]}}`, nil}, revoke.Alive},
		"API key lists none":  {ak, reply{200, `{"data":{"languages":[]}}`, nil}, revoke.Inconclusive},
		"API key invalid":     {ak, reply{400, invalidKey, nil}, revoke.Refused},
		"API key restricted":  {ak, reply{403, api(403, "PERMISSION_DENIED", "API_KEY_SERVICE_BLOCKED"), nil}, revoke.Alive},
		"API key, address":    {ak, reply{403, api(403, "PERMISSION_DENIED", "API_KEY_IP_ADDRESS_BLOCKED"), nil}, revoke.Alive},
		"API key, suspended":  {ak, reply{403, api(403, "PERMISSION_DENIED", "CONSUMER_SUSPENDED"), nil}, revoke.Inconclusive},
		"API key, location":   {ak, reply{400, api(400, "FAILED_PRECONDITION", ""), nil}, revoke.Inconclusive},
		"API key, other code": {ak, reply{400, strings.Replace(invalidKey, "400", "401", 1), nil}, revoke.Inconclusive},
		"API key, domain":     {ak, reply{400, strings.Replace(invalidKey, "googleapis.com", "evil.test", 1), nil}, revoke.Inconclusive},
		"API key, 401":        {ak, reply{401, api(401, "UNAUTHENTICATED", "API_KEY_INVALID"), nil}, revoke.Inconclusive},
		"API key, limited":    {ak, reply{429, api(429, "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED"), http.Header{"Retry-After": {"30"}}}, revoke.Inconclusive},

		"bound key lists":        {bk, reply{200, `{"models":[{"name":"models/gemini"}]}`, nil}, revoke.Alive},
		"bound key lists none":   {bk, reply{200, `{"models":[]}`, nil}, revoke.Inconclusive},
		"bound key never seen":   {bk, reply{400, invalidKey, nil}, revoke.Inconclusive},
		"bound key, not taken":   {bk, reply{401, api(401, "UNAUTHENTICATED", "ACCESS_TOKEN_TYPE_UNSUPPORTED"), nil}, revoke.Inconclusive},
		"bound key, no generate": {bk, reply{403, api(403, "PERMISSION_DENIED", "SERVICE_DISABLED"), nil}, revoke.Alive},

		"token is known":       {at, reply{200, `{"audience":"c","expires_in":12}`, nil}, revoke.Alive},
		"token, of nobody":     {at, reply{200, `{"expires_in":12}`, nil}, revoke.Inconclusive},
		"token, over":          {at, reply{200, `{"audience":"c","expires_in":0}`, nil}, revoke.Inconclusive},
		"token invalid":        {at, reply{400, `{"error":"invalid_token","error_description":"Invalid Value"}`, nil}, revoke.Refused},
		"token, request wrong": {at, reply{400, `{"error":"invalid_request"}`, nil}, revoke.Inconclusive},
		"token, 401":           {at, reply{401, `{"error":"invalid_token"}`, nil}, revoke.Inconclusive},

		"refresh works":        {rt, reply{200, `{"access_token":"ya29.x","token_type":"Bearer","scope":"openid"}`, nil}, revoke.Alive},
		"refresh revoked":      {rt, reply{400, `{"error":"invalid_grant","error_description":"Token has been expired or revoked."}`, nil}, revoke.Refused},
		"refresh, by subtype":  {rt, reply{400, `{"error":"invalid_grant","error_description":"Bad Request","error_subtype":"invalid_rapt"}`, nil}, revoke.Inconclusive},
		"refresh, sign in":     {rt, reply{400, `{"error":"invalid_grant","error_description":"reauth related error (invalid_rapt)","error_subtype":"invalid_rapt"}`, nil}, revoke.Inconclusive},
		"refresh, said less":   {rt, reply{400, `{"error":"invalid_grant","error_description":"reauth related error (rapt_required)"}`, nil}, revoke.Inconclusive},
		"refresh, wrong one":   {rt, reply{401, `{"error":"unauthorized_client"}`, nil}, revoke.Inconclusive},
		"refresh, lost client": {rt, reply{401, `{"error":"invalid_client","error_description":"The OAuth client was not found."}`, nil}, revoke.Inconclusive},

		"version enabled":     {sv, reply{200, `{"name":"` + version + `","state":"ENABLED"}`, nil}, revoke.Alive},
		"version disabled":    {sv, reply{200, `{"name":"` + version + `","state":"DISABLED"}`, nil}, revoke.Refused},
		"version destroyed":   {sv, reply{200, `{"name":"` + version + `","state":"DESTROYED"}`, nil}, revoke.Refused},
		"version unspecified": {sv, reply{200, `{"name":"` + version + `","state":"STATE_UNSPECIFIED"}`, nil}, revoke.Inconclusive},
		"another version":     {sv, reply{200, `{"name":"` + version + `9","state":"DISABLED"}`, nil}, revoke.Inconclusive},
		"version gone":        {sv, reply{404, api(404, "NOT_FOUND", ""), nil}, revoke.Refused},
		"version forbidden":   {sv, reply{403, api(403, "PERMISSION_DENIED", ""), nil}, revoke.Inconclusive},
	} {
		t.Run(name, func(t *testing.T) {
			scripted(t, c.reply, func(p revoke.Undoer, asked *int) {
				v := p.Verify(context.Background(), of[c.kind])
				if v.Outcome != c.want || v.Answer == "" {
					t.Errorf("Verify = %s %q, want %s", v.Outcome, v.Answer, c.want)
				}
				if want := revoke.RetryAfter(c.reply.header, time.Now()); v.RetryAfter != want || *asked != 1 {
					t.Errorf("RetryAfter %v, %d requests, want %v and 1", v.RetryAfter, *asked, want)
				}
			})
		})
	}
}

// What is asked of nobody tells nothing, and nothing is sent for it.
func TestNothingToAsk(t *testing.T) {
	scripted(t, reply{status: 400, body: invalidKey}, func(p revoke.Undoer, asked *int) {
		for name, c := range map[string]credential.Credential{
			"another kind":      {Kind: "google.unknown", Secret: credential.Value("x")},
			"no key":            {Kind: "google.service_account", Owner: "a@acme-prod.iam.gserviceaccount.com", Secret: credential.Value("hunter2")},
			"an API key's half": {Kind: "google.api_key", Secret: credential.Value("AIzaSy")},
			"a key id alone":    {Kind: "google.service_account", Ref: map[string]string{"id": strings.Repeat("a", 40)}},
			"another's account": {Kind: "google.service_account", Ref: map[string]string{"id": strings.Repeat("a", 40), "client_email": "a@evil.test"}},
			"an alias":          {Kind: "google.secret_version", Ref: map[string]string{"id": "projects/1/secrets/s/versions/latest"}},
			"a path":            {Kind: "google.secret_version", Ref: map[string]string{"id": "projects/1/secrets/../../x/versions/1"}},
			"no client":         {Kind: "google.refresh_token", Secret: credential.Value("1//0abc")},
		} {
			if v := p.Verify(context.Background(), c); v.Outcome != revoke.Inconclusive || v.Answer == "" {
				t.Errorf("%s: Verify = %s %q", name, v.Outcome, v.Answer)
			}
			if _, err := p.Inspect(context.Background(), c); err == nil {
				t.Errorf("%s: inspected", name)
			}
			if name != "no client" {
				if _, err := p.Revoke(context.Background(), c); err == nil {
					t.Errorf("%s: revoked", name)
				}
			}
		}
		if *asked != 0 {
			t.Errorf("%d requests were sent", *asked)
		}
		regional := credential.Credential{Kind: "google.secret_version", Ref: map[string]string{"id": "projects/1/locations/europe-west1/secrets/s/versions/1"}}
		if _, err := p.Revoke(context.Background(), regional); !errors.Is(err, revoke.ErrManual) {
			t.Errorf("a regional secret: %v, want ErrManual", err)
		}
	})
}
