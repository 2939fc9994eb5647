package google_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// file is the credentials file of a key.
func file(c credential.Credential) credential.Credential {
	b, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": c.Ref["client_email"], "private_key_id": c.Ref["id"], "private_key": c.Secret.Reveal("value"),
	})
	if err != nil {
		panic(err)
	}
	c.Secret, c.Ref, c.Owner = credential.Value(string(b)), nil, ""
	return c
}

// The forms in which a key is found: its private half beside the account's address, or the whole file.
func TestKeyIsFoundByItsPublicHalf(t *testing.T) {
	for name, form := range map[string]func(c, innocent credential.Credential) credential.Credential{
		"as it is":    func(c, _ credential.Credential) credential.Credential { return c },
		"whole file":  func(c, _ credential.Credential) credential.Credential { return file(c) },
		"owner alone": func(c, _ credential.Credential) credential.Credential { c.Ref = nil; return c },
		"its Ref":     func(c, _ credential.Credential) credential.Credential { c.Secret = credential.Secret{}; return c },
		"planted id":  func(c, other credential.Credential) credential.Credential { c.Ref = other.Ref; return c },
		"id of nobody": func(c, _ credential.Credential) credential.Credential {
			c.Ref["id"] = strings.Repeat("0", 40)
			return c
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				innocent, c := w.MintKey("agent"), w.MintKey("agent")
				whole := c
				whole.Ref = map[string]string{"id": c.Ref["id"], "client_email": c.Ref["client_email"]}
				as := form(c, innocent)
				w.verify(as, revoke.Alive, "")
				r := w.kill(as)
				if want := "disabled key " + whole.Ref["id"]; len(r.Did) != 1 || !strings.HasPrefix(r.Did[0], want) {
					t.Errorf("did %q, want %s", r.Did, want)
				}
				if w.Alive(whole) || !w.Alive(innocent) {
					t.Errorf("alive: %t, the innocent: %t", w.Alive(whole), w.Alive(innocent))
				}
				w.verify(as, revoke.Refused, "")
				left := strings.Join(r.Left, "\n")
				if !strings.Contains(left, "key "+innocent.Ref["id"]) || !strings.Contains(left, "access tokens") || strings.Contains(left, whole.Ref["id"]) {
					t.Errorf("left %s", left)
				}
				if r := w.kill(as); !r.Already || len(r.Did) > 0 {
					t.Errorf("the second time: %+v", r)
				}
				if r := w.undo(as); len(r.Did) != 1 || !w.Alive(whole) {
					t.Errorf("undone: %+v", r)
				}
			})
		})
	}
}

// A key that belongs to no account is not taken for another one.
func TestForeignKey(t *testing.T) {
	inWorld(t, func(w *world) {
		theirs, c := w.MintKey("innocent"), w.MintKey("agent")
		c.Ref, c.Owner = theirs.Ref, ""
		before := w.State()
		w.verify(c, revoke.Refused, "Invalid JWT Signature") // of which the sweep knows that it was never alive
		if r := w.kill(c); !r.Already || len(r.Did) > 0 {
			t.Errorf("%+v", r)
		}
		if w.State() != before {
			t.Error("something changed")
		}
		k, _ := w.Info().Kind("google.service_account")
		if !k.NeedsAlive {
			t.Error("and that would be a proof")
		}
	})
}

func TestKeyDisablesItself(t *testing.T) {
	inWorld(t, func(w *world) {
		w.authority = revoke.Authority{}
		c := w.MintKey("agent")
		before := w.State()
		if _, err := w.Revoke(context.Background(), c); !errors.Is(err, revoke.ErrNoAuthority) || errors.Is(err, revoke.ErrAuthority) || w.State() != before {
			t.Errorf("without permission: %v", err)
		}
		w.MayManage("agent")
		if r := w.kill(c); len(r.Did) != 1 || !strings.HasSuffix(r.Did[0], "by itself") {
			t.Errorf("%+v", r)
		}
		w.verify(c, revoke.Refused, "")
		if r := w.kill(c); !r.Already {
			t.Errorf("the second time: %+v", r)
		}
	})
}

// Disabling the account ends what its keys minted, and is a setting.
func TestAccountIsDisabledWhereSet(t *testing.T) {
	inWorld(t, func(w *world) {
		w.set(`{"disable_service_accounts": true}`)
		c, token := w.MintKey("agent"), w.MintAccountToken("agent")
		r := w.kill(c)
		if len(r.Did) != 2 || w.Alive(token) || w.Alive(c) {
			t.Fatalf("%+v, token alive %t", r, w.Alive(token))
		}
		if slices.ContainsFunc(r.Left, func(s string) bool { return strings.Contains(s, "access tokens") }) {
			t.Errorf("left %q", r.Left)
		}
		w.verify(c, revoke.Refused, "account not found")
		if r := w.kill(c); !r.Already {
			t.Errorf("the second time: %+v", r)
		}
		if r := w.undo(c); len(r.Did) != 2 || !w.Alive(c) || !w.Alive(token) {
			t.Errorf("undone: %+v", r)
		}
	})
	inWorld(t, func(w *world) {
		c, token := w.MintKey("agent"), w.MintAccountToken("agent")
		if w.kill(c); !w.Alive(token) {
			t.Error("the token died without the setting")
		}
	})
}

func TestAuthorityIsNeverTheKey(t *testing.T) {
	inWorld(t, func(w *world) {
		c := w.MintKey("agent")
		w.MayManage("agent")
		before := w.State()
		w.authority.Secret = file(c).Secret
		if _, err := w.Revoke(context.Background(), c); !errors.Is(err, revoke.ErrOurs) || w.State() != before {
			t.Errorf("the same key in a file: %v", err)
		}
		w.authority.Secret = file(w.MintKey("agent")).Secret
		if r := w.kill(c); len(r.Did) != 1 {
			t.Errorf("another key of the account: %+v", r)
		}
		w.set(`{"disable_service_accounts": true}`)
		if _, err := w.Revoke(context.Background(), w.MintKey("agent")); !errors.Is(err, revoke.ErrOurs) {
			t.Errorf("the authority's account would be disabled: %v", err)
		}
	})
}

// An authority that is a key or a refresh token is exchanged once.
func TestAuthorityIsExchanged(t *testing.T) {
	inWorld(t, func(w *world) {
		w.authority.Secret = file(w.MintKey("agent")).Secret
		w.MayManage("agent")
		for range 3 {
			w.kill(w.MintKey("agent"))
		}
		mints := 0
		for _, call := range w.Knobs().Calls() {
			if call.Path == "/token" {
				mints++
			}
		}
		if mints != 1 {
			t.Errorf("%d tokens for three revocations", mints)
		}
		w.authority.Secret = w.Mint("google.refresh_token").Secret
		if _, err := w.Revoke(context.Background(), w.MintKey("agent")); !errors.Is(err, revoke.ErrAuthority) {
			t.Errorf("the authority of a user without permission: %v", err)
		}
		for name, secret := range map[string]credential.Secret{
			"dead key":    file(w.MintKey("lost")).Secret,
			"no key":      credential.Value(`{"type":"service_account","client_email":"a@acme-prod.iam.gserviceaccount.com"}`),
			"a page":      credential.Value("<html> </html>"),
			"a dead user": credential.NewSecret(map[string]string{"value": "1//0none", "client_id": "x", "client_secret": "y"}),
		} {
			if name == "dead key" {
				lost := w.MintKey("lost")
				w.RevokeByHand(lost)
				secret = file(lost).Secret
			}
			w.authority.Secret = secret
			if _, err := w.Revoke(context.Background(), w.Mint("google.api_key")); !errors.Is(err, revoke.ErrAuthority) {
				t.Errorf("%s: %v, want ErrAuthority", name, err)
			}
		}
	})
}

// Where the clocks differ Google refuses what is signed: it is signed again by Google's.
func TestClocksDiffer(t *testing.T) {
	for _, skew := range []time.Duration{-26 * time.Hour, -11 * time.Minute, 11 * time.Minute, 26 * time.Hour} {
		inWorld(t, func(w *world) {
			c := w.MintKey("agent")
			w.Knobs().SetSkew(skew)
			w.verify(c, revoke.Alive, "")
			w.RevokeByHand(c)
			w.verify(c, revoke.Refused, "Invalid JWT Signature")
		})
	}
}

// disabled_client is tied to the key by no document: IAM has to confirm it.
func TestRefusalIsConfirmed(t *testing.T) {
	inWorld(t, func(w *world) {
		c := w.MintKey("agent")
		w.onPath("/token", 401, `{"error":"disabled_client","error_description":"The OAuth client was disabled."}`)
		w.verify(c, revoke.Inconclusive, "IAM shows the key enabled")
		w.kill(c)
		w.verify(c, revoke.Refused, "disabled_client: The OAuth client was disabled.; 200 IAM shows the key disabled")
		w.authority = revoke.Authority{}
		w.verify(c, revoke.Inconclusive, "IAM was not asked")
	})
}

// IAM's reads lag behind its changes: the key that was disabled just now is not told as another one.
func TestListThatLags(t *testing.T) {
	inWorld(t, func(w *world) {
		c := w.MintKey("agent")
		w.Knobs().SetFault(func(r *http.Request) fake.Fault {
			if !strings.HasSuffix(r.URL.Path, "/keys") {
				return fake.Fault{}
			}
			_, project, _ := strings.Cut(c.Ref["client_email"], "@")
			project, _, _ = strings.Cut(project, ".")
			name := "projects/" + project + "/serviceAccounts/" + c.Ref["client_email"] + "/keys/" + c.Ref["id"]
			return fake.Fault{Status: 200, Type: "application/json", Body: `{"keys":[{"name":"` + name + `"},{"name":"../../x"}]}`}
		})
		if r := w.kill(c); len(r.Did) != 1 || len(r.Left) != 1 {
			t.Errorf("%+v", r)
		}
	})
}

func TestGooglesOwnDisablingIsNotUndone(t *testing.T) {
	inWorld(t, func(w *world) {
		c := w.MintKey("agent")
		w.Expose(c)
		if _, err := w.Undo(context.Background(), c); err == nil || !strings.Contains(err.Error(), "Google that disabled") {
			t.Errorf("undone: %v", err)
		}
		deleted := w.MintKey("agent")
		w.RevokeByHand(deleted)
		if _, err := w.Undo(context.Background(), deleted); err == nil || !strings.Contains(err.Error(), "cannot be brought back") {
			t.Errorf("undone: %v", err)
		}
	})
}
