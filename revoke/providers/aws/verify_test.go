package aws_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/aws/awsfake"
)

const invalid = "InvalidClientTokenId"

func TestVerdicts(t *testing.T) {
	xml := func(status int, code string) fake.Fault {
		return fake.Fault{Status: status, Type: "text/xml", Body: errorXML(code, "x")}
	}
	for _, test := range []struct {
		name  string
		fault fake.Fault
		want  revoke.Outcome
		after time.Duration
	}{
		{"unknown key", xml(403, invalid), revoke.Refused, 0},
		{"expired", xml(403, "ExpiredToken"), revoke.Refused, 0},
		{"the code with another status", xml(400, invalid), revoke.Inconclusive, 0},
		{"the code with a 401", xml(401, invalid), revoke.Inconclusive, 0},
		{"denied", xml(403, "AccessDenied"), revoke.Inconclusive, 0},
		{"another code", xml(403, "OptInRequired"), revoke.Inconclusive, 0},
		{"no code", xml(403, ""), revoke.Inconclusive, 0},
		{"a portal's 403", fake.Fault{Status: 403, Type: "text/html", Body: "<html>" + invalid + "</html>"}, revoke.Inconclusive, 0},
		{"a bare 401", fake.Fault{Status: 401}, revoke.Inconclusive, 0},
		{"404", fake.Fault{Status: 404, Body: "not found"}, revoke.Inconclusive, 0},
		{"JSON", fake.Fault{Status: 403, Type: "application/json", Body: `{"Code":"` + invalid + `"}`}, revoke.Inconclusive, 0},
		{"throttled", awsfake.Throttled(), revoke.Inconclusive, 0},
		{"429", fake.Fault{Status: 429, RetryAfter: 30 * time.Second}, revoke.Inconclusive, 30 * time.Second},
		{"500", xml(500, "InternalFailure"), revoke.Inconclusive, 0},
		{"503", fake.Fault{Status: 503}, revoke.Inconclusive, 0},
		{"redirect", fake.Fault{Status: 302}, revoke.Inconclusive, 0},
		{"a portal's 200", fake.Fault{Status: 200, Type: "text/html", Body: "<html>log in</html>"}, revoke.Inconclusive, 0},
		{"an empty 200", fake.Fault{Status: 200}, revoke.Inconclusive, 0},
		{"cut", fake.Fault{Cut: true}, revoke.Inconclusive, 0},
		{"cut refusal", fake.Fault{Cut: true, Status: 403}, revoke.Inconclusive, 0},
		{"closed", fake.Fault{CutAfter: true}, revoke.Inconclusive, 0},
		{"endless", fake.Fault{Status: 403, Body: strings.Repeat("<a>", 1<<20)}, revoke.Inconclusive, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w world) {
				p := w.provider(t)
				for _, kind := range w.Kinds() {
					c := w.Mint(kind)
					w.Knobs().SetFault(func(*http.Request) fake.Fault { return test.fault })
					before, asked := w.State(), len(w.asked())
					want, after := test.want, test.after
					switch {
					case c.Secret.Empty(), kind == "aws.bedrock_key": // who is refused is the authority
						want = revoke.Inconclusive
					case kind == "aws.session" && test.name == "unknown key": // nor is it said of a dead one alone
						want = revoke.Inconclusive
					case kind == "aws.bedrock_session_key", kind == "aws.sso": // not asked
						want, after = revoke.Inconclusive, 0
					}
					if v := wantVerdict(t, p, c, want); v.RetryAfter != after {
						t.Errorf("retry after %v, want %v", v.RetryAfter, test.after)
					}
					synctest.Wait() // for a handler that still writes
					if n := len(w.asked()) - asked; n > 2 || kind == "aws.access_key" && n != 1 {
						t.Errorf("one probe sent %d requests", n)
					}
					if w.State() != before {
						t.Error("a probe changed something")
					}
				}
			})
		})
	}
}

// allEmpty answers everything with an empty success in AWS's name.
type allEmpty struct{}

func (allEmpty) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{"X-Amzn-Requestid": {"r"}}, Body: http.NoBody, Request: r}, nil
}

func TestEmptyAnswersWithARequestIDProveNothing(t *testing.T) {
	w := world{Fake: awsfake.New(fake.Wall{})}
	p := provider(t, revoke.Env{HTTP: &http.Client{Transport: allEmpty{}}})
	for _, kind := range w.Kinds() {
		wantVerdict(t, p, w.Mint(kind), revoke.Inconclusive)
	}
}

func TestHangingProbeEndsWithItsContext(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		w.Knobs().SetFault(func(*http.Request) fake.Fault { return fake.Fault{Hang: true} })
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		start := time.Now()
		if v := w.provider(t).Verify(ctx, w.Mint("aws.access_key")); v.Outcome != revoke.Inconclusive || time.Since(start) != 2*time.Second {
			t.Errorf("%v after %v", v, time.Since(start))
		}
	})
}

func TestWrongSecretIsInconclusiveAfterTwoTries(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		p := w.provider(t)
		for _, c := range []credential.Credential{w.MintFor("deploy"), w.MintRoleSession("deployer")} {
			wrong := map[string]string{}
			for _, part := range c.Secret.Parts() {
				wrong[part] = c.Secret.Reveal(part)
			}
			wrong["secret_access_key"] = w.MintFor("other").Secret.Reveal("secret_access_key")
			c.Secret = credential.NewSecret(wrong)
			before := len(w.asked())
			v := wantVerdict(t, p, c, revoke.Inconclusive)
			if !strings.Contains(v.Answer, "SignatureDoesNotMatch") || len(w.asked())-before != 2 {
				t.Errorf("%q after %v", v.Answer, w.asked()[before:])
			}
			// AWS quotes the request it was sent, with the session token.
			_, err := p.Inspect(t.Context(), c)
			noSecret(t, c, err.Error())
		}
	})
}

func TestWrongClockOfTheDesk(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		for _, skew := range []time.Duration{-3 * time.Hour, 48 * time.Hour} {
			env := w.env(w.authority())
			env.Now = func() time.Time { return time.Now().Add(skew) }
			p, key := provider(t, env), w.Mint("aws.access_key")
			wantVerdict(t, p, key, revoke.Alive)
			mustRevoke(t, p, key)
			wantVerdict(t, p, key, revoke.Refused)
		}
	})
}

func TestReadsAreAllThatInspectAndVerifySend(t *testing.T) {
	for _, path := range []string{"", "/", "/behind/a/path", "/behind/a/path/"} {
		t.Run(path, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w world) {
				env := w.env(w.authority())
				env.Endpoint = "http://iam.amazonaws.com.example" + path
				net := fake.NewNetwork(pinned{w.Fake, strings.TrimRight(path, "/")})
				defer func() { _ = net.Close() }()
				env.HTTP = net.Client()
				info := provider(t, env).Info()
				env.HTTP = &http.Client{Transport: revoke.ReadOnly(net.Transport(), info.Reads, env.Endpoint)}
				p := provider(t, env)
				for _, c := range []credential.Credential{w.MintFor("deploy"), w.MintRoleSession("deployer"), w.MintSession("deploy", true)} {
					before := w.State()
					wantVerdict(t, p, c, revoke.Alive)
					for _, c := range []credential.Credential{c, {Kind: "aws.access_key", Ref: c.Ref}} {
						if _, err := p.Inspect(t.Context(), c); err != nil {
							t.Errorf("Inspect: %v", err)
						}
					}
					if _, err := p.Revoke(t.Context(), c); !errors.Is(err, revoke.ErrNotARead) {
						t.Errorf("Revoke through the read-only transport: %v", err)
					}
					if w.State() != before {
						t.Error("something was changed")
					}
				}
			})
		})
	}
}

// pinned is the account behind one address for both services, below a path.
type pinned struct {
	*awsfake.Fake
	prefix string
}

func (pinned) Hosts() []string { return []string{"iam.amazonaws.com.example"} }
func (p pinned) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	http.StripPrefix(p.prefix, p.Fake).ServeHTTP(w, r)
}

func TestEndpointsThatAreNone(t *testing.T) {
	for _, endpoint := range []string{"ftp://x", "x", "http://", "http://u:p@x", "http://x?y=z", "http://x/%zz", "http://x/a%2fb"} {
		if _, err := providerNew(revoke.Env{HTTP: http.DefaultClient, Endpoint: endpoint}); err == nil {
			t.Errorf("%s is accepted", endpoint)
		}
	}
	if _, err := providerNew(revoke.Env{}); err == nil {
		t.Error("a provider without a client is accepted")
	}
}

func TestInspect(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		p := w.provider(t)
		arn := "arn:aws:iam::" + w.Account() + ":"
		for _, test := range []struct {
			c    credential.Credential
			want string
		}{
			{w.MintFor("deploy"), arn + "user/deploy"},
			{w.MintSession("deploy", false), arn + "user/deploy"},
			{w.MintRoleSession("deployer"), arn + "role/deployer"},
			{w.MintRoot(), arn + "root"},
		} {
			e, err := p.Inspect(t.Context(), test.c)
			if err != nil || e.Owner != test.want || e.Account != w.Account() {
				t.Errorf("%+v, %v; want %s", e, err, test.want)
			}
			noSecret(t, test.c, e.Answer, e.Owner)
		}
	})
}

// The SDK must take nothing from where it runs: on a suspect host that would be the attacker's.
func TestTheEnvironmentIsNotAsked(t *testing.T) {
	ran := filepath.Join(t.TempDir(), "ran")
	profile := filepath.Join(t.TempDir(), "config")
	text := "[profile trap]\nregion = mars-1\nendpoint_url = http://127.0.0.1:1\ncredential_process = touch " + ran + "\n"
	if err := os.WriteFile(profile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:1", "AWS_ENDPOINT_URL_IAM": "http://127.0.0.1:1",
		"AWS_PROFILE": "trap", "AWS_CONFIG_FILE": profile, "AWS_SHARED_CREDENTIALS_FILE": profile,
		"AWS_REGION": "mars-1", "AWS_ACCESS_KEY_ID": "AKIA2222222222222222", "AWS_SECRET_ACCESS_KEY": "x", "AWS_SESSION_TOKEN": "x",
		"AWS_STS_REGIONAL_ENDPOINTS": "regional", "AWS_USE_FIPS_ENDPOINT": "true", "AWS_USE_DUALSTACK_ENDPOINT": "true",
		"AWS_CA_BUNDLE": "/nonexistent", "HTTP_PROXY": "http://127.0.0.1:1", "HTTPS_PROXY": "http://127.0.0.1:1",
	} {
		t.Setenv(name, value)
	}
	inWorld(t, func(t *testing.T, w world) {
		key, session, p := w.MintFor("deploy"), w.MintRoleSession("deployer"), w.provider(t)
		for _, c := range []credential.Credential{key, session} {
			wantVerdict(t, p, c, revoke.Alive)
			mustRevoke(t, p, c)
			wantVerdict(t, p, c, revoke.Refused)
		}
	})
	if _, err := os.Stat(ran); err == nil {
		t.Error("the profile's credential_process was run")
	}
}

func TestInfoIsComplete(t *testing.T) {
	info := provider(t, revoke.Env{HTTP: http.DefaultClient}).Info()
	if !slices.Equal(info.Hosts, awsfake.New(fake.Wall{}).Hosts()) {
		t.Errorf("hosts %v", info.Hosts)
	}
	for _, k := range info.Kinds {
		if k.Unverifiable != "" {
			continue
		}
		if _, known := credential.Lookup(k.Kind); !known || k.Authority == "" || k.Effect == "" || k.Source == "" || !k.Reversible || k.SelfRevoking {
			t.Errorf("%+v", k)
		}
		if k.Propagation.Budget < time.Minute || k.Propagation.Every != 5*time.Second || k.Propagation.Source == "" {
			t.Errorf("propagation %+v", k.Propagation)
		}
	}
}
