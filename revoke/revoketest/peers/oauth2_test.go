package peers

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/storage"
	"golang.org/x/crypto/bcrypt"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/oauth2"
)

// issuer is an authorization server of Ory's making: RFC 6749, 7009 and 7662. It takes introspection
// from clients by Basic authentication alone.
type issuer struct{ fosite.OAuth2Provider }

func newIssuer(t *testing.T, client, secret string) issuer {
	t.Helper()
	hashed, err := bcrypt.GenerateFromPassword([]byte(secret), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	store := storage.NewMemoryStore()
	for _, id := range []string{client, "another"} {
		store.Clients[id] = &fosite.DefaultClient{ID: id, Secret: hashed, GrantTypes: fosite.Arguments{"client_credentials"}, Scopes: []string{"read"}}
	}
	config := &fosite.Config{GlobalSecret: []byte(rand.Text() + rand.Text()), AccessTokenLifespan: time.Hour}
	return issuer{compose.Compose(config, store, compose.NewOAuth2HMACStrategy(config),
		compose.OAuth2ClientCredentialsGrantFactory, compose.OAuth2TokenIntrospectionFactory, compose.OAuth2TokenRevocationFactory)}
}

func (i issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	switch r.URL.Path {
	case "/token":
		asked, err := i.NewAccessRequest(ctx, r, new(fosite.DefaultSession))
		if err != nil {
			i.WriteAccessError(ctx, w, asked, err)
			return
		}
		answer, err := i.NewAccessResponse(ctx, asked)
		if err != nil {
			i.WriteAccessError(ctx, w, asked, err)
			return
		}
		i.WriteAccessResponse(ctx, w, asked, answer)
	case "/revoke":
		i.WriteRevocationResponse(ctx, w, i.NewRevocationRequest(ctx, r))
	case "/introspect":
		answer, err := i.NewIntrospectionRequest(ctx, r, new(fosite.DefaultSession))
		if err != nil {
			i.WriteIntrospectionError(ctx, w, err)
			return
		}
		i.WriteIntrospectionResponse(ctx, w, answer)
	default:
		http.NotFound(w, r)
	}
}

// mint gets an access token by the client's own credentials.
func (i issuer) mint(t *testing.T, client, secret string) credential.Credential {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "https://auth.test/token", strings.NewReader(url.Values{"grant_type": {"client_credentials"}, "scope": {"read"}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(client, secret)
	w := httptest.NewRecorder()
	i.ServeHTTP(w, r)
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Token == "" {
		t.Fatalf("no token: %d %s", w.Code, w.Body)
	}
	return credential.Credential{Provider: "oauth2", Kind: "oauth2.access_token", Secret: credential.Value(answer.Token)}
}

func TestOAuth2Server(t *testing.T) {
	const client = "clawback"
	secret := rand.Text()
	server := newIssuer(t, client, secret)
	network := fake.NewNetwork()
	defer func() { _ = network.Close() }()
	network.Handle("auth.test", server)
	web := network.Client()
	defer web.CloseIdleConnections()
	authority := secret
	p, err := oauth2.New(revoke.Env{
		HTTP: web, Now: time.Now,
		Settings: settings("acme:\n  revocation: https://auth.test/revoke\n  introspection: https://auth.test/introspect\n  client_id: " + client +
			"\n  client_secret: client_secret\n  match: '[0-9A-Za-z_.-]{40,}'\n"),
		Authority: func(context.Context) (revoke.Authority, error) {
			parts := map[string]string{"client_id": client, "client_secret": authority}
			return revoke.Authority{Secret: credential.NewSecret(parts), Kind: "oauth2.client_secret", From: "the test"}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	c, theirs := server.mint(t, client, secret), server.mint(t, "another", secret)
	verify := func(c credential.Credential, want revoke.Outcome) {
		t.Helper()
		if v := p.Verify(t.Context(), c); v.Outcome != want {
			t.Errorf("verify showed %s (%s), want %s", v.Outcome, v.Answer, want)
		}
	}
	verify(c, revoke.Alive)
	if e, err := p.Inspect(t.Context(), c); err != nil {
		t.Errorf("inspect: %+v, %v", e, err)
	}
	// The server says 200 to the revocation of another client's token, and revokes nothing: a receipt
	// is no proof.
	if r, err := p.Revoke(t.Context(), theirs); err != nil {
		t.Errorf("revoke another client's: %+v, %v", r, err)
	}
	verify(theirs, revoke.Alive)
	if r, err := p.Revoke(t.Context(), c); err != nil || r.Already {
		t.Errorf("revoke: %+v, %v", r, err)
	}
	verify(c, revoke.Refused)
	if r, err := p.Revoke(t.Context(), c); err != nil || !r.Already {
		t.Errorf("revoke again: %+v, %v", r, err)
	}
	authority = rand.Text() // who is refused learns nothing
	verify(theirs, revoke.Inconclusive)
	if _, err := p.Revoke(t.Context(), theirs); err == nil {
		t.Error("revoked by a client with a wrong secret")
	}
}
