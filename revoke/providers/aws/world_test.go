package aws_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/aws"
	"clawback/revoke/providers/aws/awsfake"
)

// world is a simulated account, and the only network there is.
type world struct {
	*awsfake.Fake
	net *fake.Network
}

// inWorld runs a test in virtual time.
func inWorld(t *testing.T, run func(t *testing.T, w world)) {
	synctest.Test(t, func(t *testing.T) {
		f := awsfake.New(fake.Wall{})
		w := world{f, fake.NewNetwork(f)}
		defer func() { _ = w.net.Close() }()
		run(t, w)
	})
}

func (w world) env(authority credential.Credential) revoke.Env {
	env := revoke.Env{HTTP: w.net.Client(), Sleep: fake.Wall{}.Sleep, Now: time.Now}
	if !authority.Secret.Empty() {
		env.Authority = func(context.Context) (revoke.Authority, error) {
			return revoke.Authority{Secret: authority.Secret, Kind: authority.Kind, From: "test"}, nil
		}
	}
	return env
}

func (w world) authority() credential.Credential {
	c, _ := w.MintAuthority()
	return c
}

// provider has an administrator as its authority.
func (w world) provider(t *testing.T) revoke.Provider { return provider(t, w.env(w.authority())) }

func provider(t *testing.T, env revoke.Env) revoke.Provider {
	t.Helper()
	p, err := aws.New(env)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// asked lists the actions that the account was asked, in order.
func (w world) asked() []string {
	var out []string
	for _, c := range w.Knobs().Calls() {
		out = append(out, c.Action)
	}
	return out
}

// on installs a fault for one action.
func (w world) on(action string, f fake.Fault) {
	w.Knobs().SetFault(func(r *http.Request) fake.Fault {
		if err := r.ParseForm(); err == nil && r.PostForm.Get("Action") == action {
			return f
		}
		return fake.Fault{}
	})
}

// onJSON installs a fault for one action of the JSON protocol.
func (w world) onJSON(action string, f fake.Fault) {
	w.Knobs().SetFault(func(r *http.Request) fake.Fault {
		if strings.HasSuffix(r.Header.Get("X-Amz-Target"), "."+action) {
			return f
		}
		return fake.Fault{}
	})
}

// errorXML is an answer in the shape of the Query protocol.
func errorXML(code, message string) string {
	return "<ErrorResponse><Error><Type>Sender</Type><Code>" + code + "</Code><Message>" + message +
		"</Message></Error><RequestId>r</RequestId></ErrorResponse>"
}

func mustRevoke(t *testing.T, p revoke.Provider, c credential.Credential) revoke.Receipt {
	t.Helper()
	r, err := p.Revoke(t.Context(), c)
	if err != nil {
		t.Fatalf("Revoke: %v", err)
	}
	noSecret(t, c, append(append(slices.Clone(r.Did), r.Left...), r.Answer)...)
	return r
}

func wantVerdict(t *testing.T, p revoke.Provider, c credential.Credential, want revoke.Outcome) revoke.Verdict {
	t.Helper()
	v := p.Verify(t.Context(), c)
	if v.Outcome != want {
		t.Fatalf("Verify: %v (%s), want %v", v.Outcome, v.Answer, want)
	}
	noSecret(t, c, v.Answer)
	return v
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

// noSecret looks for any eight bytes of the secret parts.
func noSecret(t *testing.T, c credential.Credential, texts ...string) {
	t.Helper()
	for _, part := range c.Secret.Parts() {
		value := c.Secret.Reveal(part)
		for i := 0; i+8 <= len(value); i++ {
			for _, text := range texts {
				if strings.Contains(text, value[i:i+8]) {
					t.Fatalf("a piece of %s is in an answer", part)
				}
			}
		}
	}
}

func mentions(texts []string, what string) bool {
	return slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(s, what) })
}

func fakeCredential(parts map[string]string) credential.Credential {
	return credential.Credential{Provider: "aws", Kind: "aws.access_key", Secret: credential.NewSecret(parts)}
}
