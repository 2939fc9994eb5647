package vault_test

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/vault/vaultfake"
)

func unmarshal(text string, into any) error {
	d := yaml.NewDecoder(strings.NewReader(text))
	d.KnownFields(true)
	return d.Decode(into)
}

func said(words ...string) map[string]any { return map[string]any{"errors": words} }

// A refusal is only what Vault says of the token itself, and of nothing else.
func TestVerifyTokenReadsTheAnswer(t *testing.T) {
	const denied, invalid = "1 error occurred:\n\t* permission denied\n\n", "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"
	live := map[string]any{"request_id": "1", "data": map[string]any{"accessor": "abcdefgh", "policies": []string{"default"}, "creation_time": 1, "type": "service"}}
	for name, c := range map[string]struct {
		status int
		body   any
		want   revoke.Outcome
	}{
		"alive":                           {200, live, revoke.Alive},
		"dead":                            {403, said(invalid), revoke.Refused},
		"may not look itself up, or dead": {403, said(denied), revoke.Inconclusive},
		"the same in one line":            {403, said("permission denied"), revoke.Inconclusive},
		"sealed":                          {503, said("Vault is sealed"), revoke.Inconclusive},
		"standby":                         {429, said(invalid), revoke.Inconclusive},
		"disaster recovery":               {472, said(invalid), revoke.Inconclusive},
		"performance standby":             {473, said(invalid), revoke.Inconclusive},
		"replication lags":                {412, said("required index state not present"), revoke.Inconclusive},
		"internal":                        {500, said(invalid), revoke.Inconclusive},
		"not initialized":                 {501, said("not initialized"), revoke.Inconclusive},
		"400 with the words":              {400, said(invalid), revoke.Inconclusive},
		"401 with the words":              {401, said(invalid), revoke.Inconclusive},
		"403 with the words elsewhere":    {403, map[string]any{"message": invalid}, revoke.Inconclusive},
		"403 with words and no JSON":      {403, "invalid token", revoke.Inconclusive},
		"403 empty":                       {403, said(), revoke.Inconclusive},
		"redirect to the active node":     {307, said(), revoke.Inconclusive},
		"200 without data":                {200, map[string]any{"request_id": "1"}, revoke.Inconclusive},
		"200 with other data":             {200, map[string]any{"data": map[string]any{"id": "x"}}, revoke.Inconclusive},
		"200 with fields of ours":         {200, map[string]any{"Status": 403, "Err": nil, "errors": []string{"invalid token"}}, revoke.Inconclusive},
		"403 that says 200":               {403, map[string]any{"Status": 200, "data": live["data"]}, revoke.Inconclusive},
		"200 with errors of another type": {200, map[string]any{"errors": 7, "data": live["data"]}, revoke.Inconclusive},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "", nil)
			token := w.Mint("vault.token")
			w.Knobs().SetFault(answers(c.status, c.body))
			if answer := w.verify(t, token, c.want); answer == "" {
				t.Error("it does not say what was seen")
			}
		})
	}
}

// An authority tells a live token that may not look itself up from a dead one of an old version.
func TestTheAuthorityTellsThemApart(t *testing.T) {
	for name, old := range map[string]bool{"old": true, "new": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "", root)
			w.Old = old
			mute, dead := w.MintToken(vaultfake.Token{Mute: true}), w.Mint("vault.token")
			w.RevokeByHand(dead)
			w.verify(t, mute, revoke.Alive)
			if answer := w.verify(t, dead, revoke.Refused); !strings.Contains(answer, "bad token") || !strings.Contains(answer, "permission denied") {
				t.Errorf("the answer has not both proofs: %s", answer)
			}
			alone := newWorld(t, "", nil)
			alone.Old = old
			other := alone.MintToken(vaultfake.Token{Mute: true})
			alone.verify(t, other, revoke.Inconclusive)
			if _, err := alone.p.Revoke(t.Context(), other); !errors.Is(err, revoke.ErrNoAuthority) || !alone.Alive(other) {
				t.Errorf("a token that may not revoke itself: %v", err)
			}
			if r := w.revoke(t, mute); w.Alive(mute) || r.Already {
				t.Errorf("the authority's revocation by accessor: %+v", r)
			}
		})
	}
}

// An authority that is refused proves nothing, and takes nothing away from what the token was told.
func TestALostAuthority(t *testing.T) {
	w := newWorld(t, "", root)
	dead, bare := w.Mint("vault.token"), w.Mint("vault.token")
	bare.Secret = credential.Secret{}
	w.RevokeByHand(dead)
	w.RevokeByHand(w.authority)
	if answer := w.verify(t, dead, revoke.Refused); !strings.Contains(answer, "could not look it up") {
		t.Errorf("the answer hides that a proof is missing: %s", answer)
	}
	w.verify(t, bare, revoke.Inconclusive)
	if _, err := w.p.Revoke(t.Context(), bare); !errors.Is(err, revoke.ErrAuthority) {
		t.Errorf("revoke by accessor: %v", err)
	}
	live := w.Mint("vault.token")
	if r := w.revoke(t, live); w.Alive(live) || !strings.Contains(strings.Join(r.Left, " "), "the authority") {
		t.Errorf("a token that can do without: %+v", r)
	}
}

func TestRevokeTakesChildrenAndLeasesAlong(t *testing.T) {
	w := newWorld(t, "lease_prefixes: [/database/creds/agent/]", root)
	parent := w.Mint("vault.token")
	child := w.MintToken(vaultfake.Token{Parent: parent.Secret.Reveal("value")})
	batch := w.MintToken(vaultfake.Token{Parent: parent.Secret.Reveal("value"), Batch: true})
	w.Irrevocable = 2
	r := w.revoke(t, parent)
	for _, c := range []credential.Credential{parent, child, batch} {
		w.verify(t, c, revoke.Refused)
	}
	sent := w.requests()
	leases, self := slices.Index(sent, "POST /v1/sys/leases/revoke-prefix/database/creds/agent"), slices.Index(sent, "POST /v1/auth/token/revoke-self")
	if leases < 0 || self < leases {
		t.Errorf("leases do not go before the token: %q", sent)
	}
	if !strings.Contains(strings.Join(r.Left, " "), "2 leases") || len(r.Did) != 2 {
		t.Errorf("receipt %+v", r)
	}
}

func TestBatchTokens(t *testing.T) {
	w := newWorld(t, "", root)
	batch := w.Mint("vault.batch_token")
	misplaced := batch
	misplaced.Kind = "vault.token" // as ~/.vault-token says
	for _, c := range []credential.Credential{batch, misplaced} {
		if _, err := w.p.Revoke(t.Context(), c); !errors.Is(err, revoke.ErrManual) || !strings.Contains(err.Error(), "expire") || !w.Alive(batch) {
			t.Errorf("%s: %v", c.Kind, err)
		}
	}
	if sent := w.requests(); len(sent) > 0 {
		t.Errorf("asked %q of what its prefix tells", sent)
	}
	if e, err := w.p.Inspect(t.Context(), batch); err != nil || !strings.Contains(e.Answer, "batch token") || !strings.Contains(e.Answer, "expires 2") {
		t.Errorf("inspect: %+v, %v", e, err)
	}
}

// The authority is not killed: not itself, and not by way of what may have made it.
func TestOurs(t *testing.T) {
	early, late := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	for name, c := range map[string]struct {
		authority vaultfake.Token
		token     vaultfake.Token
		ours      bool
	}{
		"an orphan":                   {vaultfake.Token{Policies: []string{"root"}, Orphan: true}, vaultfake.Token{Policies: []string{"root"}, Created: early}, false},
		"older than the token":        {vaultfake.Token{Policies: []string{"root"}}, vaultfake.Token{Policies: []string{"root"}, Created: late}, false},
		"of another entity":           {vaultfake.Token{Policies: []string{"root"}, Entity: "e"}, vaultfake.Token{Policies: []string{"root"}, Created: early}, false},
		"may do what the token can't": {vaultfake.Token{Policies: []string{"root"}}, vaultfake.Token{Policies: []string{"default"}, Created: early}, false},
		"of a login":                  {vaultfake.Token{Policies: []string{"root"}, Path: "auth/oidc/login"}, vaultfake.Token{Policies: []string{"root"}, Created: early}, false},
		"may be a root token's child": {vaultfake.Token{Policies: []string{"root", "ops"}}, vaultfake.Token{Policies: []string{"root"}, Created: early}, true},
		"may be its child":            {vaultfake.Token{Policies: []string{"root"}}, vaultfake.Token{Policies: []string{"root"}, Created: early}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "", &c.authority)
			token := w.MintToken(c.token)
			_, err := w.p.Revoke(t.Context(), token)
			if errors.Is(err, revoke.ErrOurs) != c.ours || w.Alive(token) != c.ours {
				t.Errorf("revoke: %v, alive %v", err, w.Alive(token))
			}
		})
	}
	w := newWorld(t, "", root)
	self := w.authority
	bare := self
	bare.Secret = credential.Secret{}
	for _, c := range []credential.Credential{self, bare} {
		if _, err := w.p.Revoke(t.Context(), c); !errors.Is(err, revoke.ErrOurs) || !w.Alive(w.authority) {
			t.Errorf("the authority itself: %v", err)
		}
	}
}

func TestNothingIsSentWithoutAnEndpoint(t *testing.T) {
	w := newWorld(t, "", root)
	network := fake.NewNetwork(w)
	defer func() { _ = network.Close() }()
	p, err := newWithout(network.Client(), w.authority)
	if err != nil {
		t.Fatal(err)
	}
	before := len(w.requests())
	for _, kind := range w.Kinds() {
		c := w.Mint(kind)
		v := p.Verify(t.Context(), c)
		_, inspected := p.Inspect(t.Context(), c)
		_, revoked := p.Revoke(t.Context(), c)
		if v.Outcome != revoke.Inconclusive || inspected == nil || revoked == nil {
			t.Errorf("%s: %+v, %v, %v", kind, v, inspected, revoked)
		}
		if !strings.Contains(v.Answer, "endpoints") || kind != "vault.batch_token" && !strings.Contains(revoked.Error(), "endpoints") {
			t.Errorf("%s: does not say what to configure: %s; %v", kind, v.Answer, revoked)
		}
	}
	if sent := len(w.requests()) - before; sent != 0 {
		t.Errorf("%d requests", sent)
	}
}

func TestSettings(t *testing.T) {
	for name, c := range map[string]struct {
		settings string
		ok       bool
	}{
		"all":                  {"{namespace: admin/agents/, approle_mount: team/approle, approle_roles: [agent], pki_mount: pki_int, lease_prefixes: [database/creds/agent]}", true},
		"mount with a way up":  {"approle_mount: ../sys", false},
		"mount with a query":   {"pki_mount: pki?x", false},
		"namespace of a space": {"namespace: a b", false},
		"role with a slash":    {"approle_roles: [a/b]", false},
		"a whole mount":        {"lease_prefixes: [database]", false},
		"a field of nobody's":  {"mount: x", false},
	} {
		_, err := pinned(revoke.Env{HTTP: http.DefaultClient, Settings: decode(c.settings)})
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	w := newWorld(t, "namespace: admin/agents", nil)
	w.verify(t, w.Mint("vault.token"), revoke.Refused) // elsewhere: never seen alive, it is no proof
	w.Namespace = "admin/agents"
	w.verify(t, w.Mint("vault.token"), revoke.Alive)
	if got := w.head[0].Get("X-Vault-Namespace"); got != "admin/agents" {
		t.Errorf("namespace %q", got)
	}
	// A Vault Agent may be told to take nothing without the first, and gateways take the Authorization
	// header for themselves.
	if h := w.head[0]; h.Get("X-Vault-Request") != "true" || len(h.Get("X-Vault-Token")) < 20 || h.Get("Authorization") != "" {
		t.Errorf("of Vault's own client it has neither header: %q", slices.Sorted(maps.Keys(h)))
	}
	for _, k := range w.p.Info().Kinds {
		if !k.NeedsAlive {
			t.Errorf("%s is dead on the word of a Vault that may be another", k.Kind)
		}
	}
}
