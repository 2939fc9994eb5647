package google_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// onPath answers one path with something else.
func (w *world) onPath(path string, status int, body string) {
	w.Knobs().SetFault(func(r *http.Request) fake.Fault {
		if !strings.HasPrefix(r.URL.Path, path) {
			return fake.Fault{}
		}
		return fake.Fault{Status: status, Body: body, Type: "application/json"}
	})
}

// Either token of a grant ends both.
func TestTokenEndsItsGrant(t *testing.T) {
	for _, first := range []int{0, 1} {
		inWorld(t, func(w *world) {
			access, refresh := w.MintGrant()
			pair := []credential.Credential{access, refresh}
			for _, c := range pair {
				w.verify(c, revoke.Alive, "")
			}
			if r := w.kill(pair[first]); r.Already || len(r.Did) != 1 {
				t.Errorf("%+v", r)
			}
			for _, c := range pair {
				w.verify(c, revoke.Refused, "")
				if r := w.kill(c); !r.Already {
					t.Errorf("again: %+v", r)
				}
			}
		})
	}
}

// tokeninfo does not know tokens of federated identities, dead or alive.
func TestFederatedToken(t *testing.T) {
	inWorld(t, func(w *world) {
		for _, prefix := range []string{"ya29.d.", "ya29.dr."} {
			c := credential.Credential{Provider: "google", Kind: "google.access_token", Secret: credential.Value(prefix + rand.Text() + rand.Text())}
			w.verify(c, revoke.Inconclusive, "federated")
			if r, err := w.Revoke(t.Context(), c); !errors.Is(err, revoke.ErrUnkillable) {
				t.Errorf("%+v, %v", r, err)
			}
		}
		service := credential.Credential{Provider: "google", Kind: "google.access_token", Secret: credential.Value("ya29.c." + rand.Text() + rand.Text())}
		w.verify(service, revoke.Refused, "invalid_token")
	})
}

func TestRefreshTokenKnowsItsClient(t *testing.T) {
	inWorld(t, func(w *world) {
		c := w.Mint("google.refresh_token")
		id, secret := c.Secret.Reveal("client_id"), c.Secret.Reveal("client_secret")
		bare := c
		bare.Secret = credential.Value(c.Secret.Reveal("value"))
		w.verify(bare, revoke.Inconclusive, "oauth_clients")

		whole, _ := json.Marshal(map[string]string{"type": "authorized_user", "refresh_token": c.Secret.Reveal("value"), "client_id": id, "client_secret": secret})
		inFile := c
		inFile.Secret = credential.Value(string(whole))
		w.verify(inFile, revoke.Alive, "")

		named := bare
		named.Ref = map[string]string{"client_id": id}
		w.set(`oauth_clients: {"` + id + `": {env: OWN_CLIENT}, another: {env: OTHER_CLIENT}}`)
		w.verify(named, revoke.Inconclusive, "OWN_CLIENT is not set")
		kept.Store("OWN_CLIENT", secret)
		defer kept.Delete("OWN_CLIENT")
		w.verify(named, revoke.Alive, "")
		w.verify(bare, revoke.Inconclusive, "oauth_clients") // which of the two?
		w.kill(bare)
		if r := w.kill(bare); !r.Already {
			t.Errorf("again: %+v", r)
		}
		w.verify(named, revoke.Refused, "")
		w.verify(inFile, revoke.Refused, "")
		kept.Delete("OWN_CLIENT")
		var retry *revoke.RetryError
		if r, err := w.Revoke(context.Background(), named); !errors.As(err, &retry) {
			t.Errorf("dead, and the client's secret cannot be read: %+v, %v", r, err)
		}
	})
}

func TestTokenOfAServiceAccountIsNotRevoked(t *testing.T) {
	inWorld(t, func(w *world) {
		c := w.MintAccountToken("agent")
		w.verify(c, revoke.Alive, "")
		if r, err := w.Revoke(context.Background(), c); err == nil || !strings.Contains(err.Error(), "service account") {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// "invalid_token" alone is no death: what cannot be confirmed is asked again.
func TestRevocationThatIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		retry  bool
	}{
		"confirmed by nobody": {400, `{"error":"invalid_token"}`, true},
		"another error":       {400, `{"error":"invalid_request"}`, false},
	} {
		inWorld(t, func(w *world) {
			token := w.Mint("google.access_token")
			w.Knobs().SetFault(func(r *http.Request) fake.Fault {
				if r.URL.Path == "/revoke" {
					return fake.Fault{Status: c.status, Body: c.body, Type: "application/json"}
				}
				return fake.Fault{Status: 503}
			})
			_, err := w.Revoke(context.Background(), token)
			retry := new(revoke.RetryError)
			if err == nil || errors.As(err, &retry) != c.retry {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

func TestAPIKey(t *testing.T) {
	inWorld(t, func(w *world) {
		c := w.Mint("google.api_key")
		w.Restrict(c)
		w.verify(c, revoke.Alive, "403 PERMISSION_DENIED")
		e, err := w.Inspect(context.Background(), c)
		if err != nil || e.Account == "" || len(e.Reach) != 1 || e.Reach[0] != "maps-backend.googleapis.com" {
			t.Errorf("%+v, %v", e, err)
		}
		if r := w.kill(c); r.Already || len(r.Did) != 1 || !strings.HasPrefix(r.Did[0], "deleted API key projects/") {
			t.Errorf("%+v", r)
		}
		w.verify(c, revoke.Refused, "API_KEY_INVALID")
		if r := w.undo(c); len(r.Did) != 1 || !w.Alive(c) {
			t.Errorf("undone: %+v", r)
		}
		unknown := c
		unknown.Secret = credential.Value("AIza" + strings.Repeat("x", 35))
		if _, err := w.Revoke(context.Background(), unknown); !errors.Is(err, revoke.ErrAuthority) {
			t.Errorf("a key that the authority may not see: %v", err)
		}
		w.onPath("/v2/keys:lookupKey", 200, `{"parent":"projects/1/locations/global"}`)
		if r := w.kill(c); !r.Already {
			t.Errorf("a purged key: %+v", r)
		}
		if _, err := w.Undo(context.Background(), c); err == nil {
			t.Error("a purged key came back")
		}
		w.onPath("/v2/keys:lookupKey", 200, `{"parent":"projects/1","name":"projects/1/../../v1/x"}`)
		before := len(w.Knobs().Calls())
		if r, err := w.Revoke(context.Background(), c); err == nil || len(w.Knobs().Calls()) != before {
			t.Errorf("what Google names was followed: %+v", r)
		}
	})
}

// A refusal of a key that is bound to a service account counts where Google took it before.
func TestBoundKey(t *testing.T) {
	inWorld(t, func(w *world) {
		c, dead := w.Mint("google.auth_key"), w.Mint("google.auth_key")
		w.RevokeByHand(dead)
		w.verify(dead, revoke.Inconclusive, "not seen alive")
		if r := w.kill(dead); !r.Already {
			t.Errorf("%+v", r)
		}
		w.verify(dead, revoke.Inconclusive, "not seen alive")
		w.Undoer.(revoke.Rememberer).Remember(dead)
		w.verify(dead, revoke.Refused, "API_KEY_INVALID")

		r := w.kill(c) // looks first
		if len(r.Did) != 1 || len(r.Left) != 1 || !strings.Contains(r.Left[0], "gemini@") {
			t.Errorf("%+v", r)
		}
		w.verify(c, revoke.Refused, "API_KEY_INVALID")
		w.undo(c)
		if e, err := w.Inspect(context.Background(), c); err != nil || !strings.HasPrefix(e.Owner, "gemini@") {
			t.Errorf("%+v, %v", e, err)
		}
	})
}

// An operation that failed is no revocation.
func TestAPIKeyOperation(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		ok   bool
	}{
		"under way": {`{"name":"operations/x"}`, true},
		"failed":    {`{"name":"operations/x","done":true,"error":{"code":7,"message":"no"}}`, false},
		"no name":   {`{"done":true}`, false},
	} {
		inWorld(t, func(w *world) {
			k := w.Mint("google.api_key")
			w.Knobs().SetFault(func(r *http.Request) fake.Fault {
				if r.Method != http.MethodDelete {
					return fake.Fault{}
				}
				return fake.Fault{Status: 200, Body: c.body, Type: "application/json"}
			})
			if _, err := w.Revoke(context.Background(), k); (err == nil) != c.ok {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	inWorld(t, func(w *world) {
		c := w.Mint("google.secret_version")
		r := w.kill(c)
		if len(r.Did) != 1 || len(r.Left) != 1 || !strings.Contains(r.Left[0], "revoke it there") {
			t.Errorf("%+v", r)
		}
		if r := w.undo(c); len(r.Did) != 1 || !w.Alive(c) {
			t.Errorf("undone: %+v", r)
		}
		w.RevokeByHand(c)
		if r := w.kill(c); !r.Already || len(r.Left) != 1 {
			t.Errorf("destroyed: %+v", r)
		}
		if _, err := w.Undo(context.Background(), c); err == nil {
			t.Error("a destroyed version came back")
		}
	})
}
