package vault_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/vault/vaultfake"
	"clawback/revoke/revoketest"
)

func lease(id string) credential.Credential {
	return credential.Credential{Provider: "vault", Kind: "vault.lease", Ref: map[string]string{"id": id}}
}

func TestVerifyReadsTheAnswer(t *testing.T) {
	none := map[string]any{"errors": []string{}}
	for name, c := range map[string]struct {
		kind   string
		status int
		body   any
		want   revoke.Outcome
	}{
		"lease: some below":             {"vault.lease", 200, map[string]any{"data": map[string]any{"keys": []string{"a"}}}, revoke.Alive},
		"lease: an empty list":          {"vault.lease", 200, map[string]any{"data": map[string]any{"keys": []string{}}}, revoke.Inconclusive},
		"lease: nothing, and no lookup": {"vault.lease", 404, none, revoke.Inconclusive},
		"lease: no such mount":          {"vault.lease", 404, said("no handler for route"), revoke.Inconclusive},
		"lease: the authority may not":  {"vault.lease", 403, said("permission denied"), revoke.Inconclusive},
		"lease: invalid at the list":    {"vault.lease", 400, said("invalid lease"), revoke.Inconclusive},
		"secret-id: none":               {"vault.approle_secret_id", 204, "", revoke.Refused},
		"secret-id: a rest of it":       {"vault.approle_secret_id", 400, said("invalid secret id"), revoke.Refused},
		"secret-id: no such role":       {"vault.approle_secret_id", 500, said("role \"x\" does not exist"), revoke.Inconclusive},
		"secret-id: no such mount":      {"vault.approle_secret_id", 404, said("no handler for route"), revoke.Inconclusive},
		"secret-id: not found":          {"vault.approle_secret_id", 404, none, revoke.Inconclusive},
		"secret-id: may not":            {"vault.approle_secret_id", 403, said("permission denied"), revoke.Inconclusive},
		"secret-id: other data":         {"vault.approle_secret_id", 200, map[string]any{"data": map[string]any{"accessor": "x"}}, revoke.Inconclusive},
		"certificate: not found":        {"vault.certificate", 404, none, revoke.Inconclusive},
		"certificate: no such mount":    {"vault.certificate", 403, said("permission denied"), revoke.Inconclusive},
		"certificate: no PEM":           {"vault.certificate", 200, map[string]any{"data": map[string]any{"certificate": "x", "revocation_time": 1}}, revoke.Inconclusive},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "", root)
			minted := w.Mint(c.kind)
			w.Knobs().SetFault(answers(c.status, c.body))
			w.verify(t, minted, c.want)
		})
	}
}

// One lease is not below itself: that its list is empty says nothing.
func TestOneLease(t *testing.T) {
	w := newWorld(t, "", root)
	prefix := w.Mint("vault.lease")
	one := lease(w.leaseBelow(t, prefix.Ref["id"]))
	w.verify(t, one, revoke.Alive)
	w.revoke(t, one)
	w.verify(t, one, revoke.Refused)
	w.verify(t, prefix, revoke.Alive) // the other one
	w.revoke(t, prefix)
	w.verify(t, prefix, revoke.Refused)
	for _, sent := range w.requests() {
		if strings.Contains(sent, "force") {
			t.Errorf("%s is no revocation", sent)
		}
	}
}

// A list that somebody else says is not there is no empty one.
func TestAListOfSomebodyElse(t *testing.T) {
	w := newWorld(t, "", root)
	dead := w.Mint("vault.lease")
	w.RevokeByHand(dead)
	w.Knobs().SetFault(func(r *http.Request) fake.Fault {
		if r.Method == http.MethodGet {
			return answers(404, map[string]any{"message": "no such page"})(r)
		}
		return fake.Fault{}
	})
	w.verify(t, dead, revoke.Inconclusive)
	w.Knobs().SetFault(nil)
	w.verify(t, dead, revoke.Refused)
}

func (w *world) leaseBelow(t *testing.T, prefix string) string {
	t.Helper()
	for line := range strings.Lines(w.State()) {
		if id, ok := strings.CutPrefix(strings.TrimSpace(line), "lease "+prefix+"/"); ok {
			id, _, _ = strings.Cut(id, " ") // of which the rest tells whether it lives
			return prefix + "/" + id
		}
	}
	t.Fatal("no lease below " + prefix)
	return ""
}

func TestWhatIsNoPathOfLeases(t *testing.T) {
	w := newWorld(t, "", root)
	before := len(w.requests())
	for _, id := range []string{"", "database", "database/", "/database//", "a/../b", "a/./b", "../sys", "a/b?x=1", "a/b#c", "a/%2e%2e", "a/b c", "a/\n", strings.Repeat("a/", 40) + "b"} {
		w.verify(t, lease(id), revoke.Inconclusive)
		if _, err := w.p.Revoke(t.Context(), lease(id)); err == nil {
			t.Errorf("%q was revoked", id)
		}
	}
	if sent := len(w.requests()) - before; sent != 0 {
		t.Errorf("%d requests", sent)
	}
}

// The authority's own token is a lease too: of what made it.
func TestTheAuthoritysOwnLease(t *testing.T) {
	w := newWorld(t, "", &vaultfake.Token{Policies: []string{"root"}, Orphan: true, Path: "auth/approle/login"})
	for _, id := range []string{"auth/approle", "auth/approle/login", "auth/approle/login/" + "h00000000"} {
		if _, err := w.p.Revoke(t.Context(), lease(id)); id != "auth/approle/login/h00000000" && !errors.Is(err, revoke.ErrOurs) || !w.Alive(w.authority) {
			t.Errorf("%s: %v", id, err)
		}
	}
}

func TestWhatASecretIDMinted(t *testing.T) {
	w := newWorld(t, "approle_roles: ["+vaultfake.Role+"]", root)
	id := w.Mint("vault.approle_secret_id")
	delete(id.Ref, "role") // the desk names only one
	mine := w.Login(credential.Credential{Ref: map[string]string{"role": vaultfake.Role}})
	w.Login(credential.Credential{Ref: map[string]string{"role": "billing"}})
	w.Mint("vault.token")
	r := w.revoke(t, id)
	if len(r.Left) > 0 {
		t.Errorf("left %q", r.Left)
	}
	e := w.p.(revoke.Enumerator)
	minted, err := e.Minted(t.Context(), id)
	if err != nil || len(minted) != 1 || minted[0].Ref["id"] != mine.Ref["id"] || minted[0].Expires.IsZero() {
		t.Fatalf("minted %+v, %v", minted, err)
	}
	w.verify(t, minted[0], revoke.Alive)
	w.revoke(t, minted[0])
	w.verify(t, mine, revoke.Refused)
	if minted, err = e.Minted(t.Context(), id); err != nil || len(minted) > 0 {
		t.Errorf("minted after its end: %+v, %v", minted, err)
	}
	for _, sent := range w.requests() {
		if strings.HasSuffix(sent, "/login") {
			t.Error("a probe logged in")
		}
	}
}

// A role that the desk does not name is not the agents' alone: its tokens may be somebody else's.
func TestTokensOfSomebodyElse(t *testing.T) {
	w := newWorld(t, "", root)
	id := w.Mint("vault.approle_secret_id")
	w.Login(id)
	if r := w.revoke(t, id); len(r.Left) != 1 || !strings.Contains(r.Left[0], "auth/approle/login") {
		t.Errorf("left %q", r.Left)
	}
	if minted, err := w.p.(revoke.Enumerator).Minted(t.Context(), id); err != nil || len(minted) > 0 {
		t.Errorf("minted %+v, %v", minted, err)
	}
	delete(id.Ref, "role")
	w.verify(t, id, revoke.Inconclusive)
	id.Ref["role"] = "../../../sys"
	w.verify(t, id, revoke.Inconclusive)
}

func TestLeasesLeftBehind(t *testing.T) {
	probe := newWorld(t, "", root)
	prefix := probe.Mint("vault.lease").Ref["id"]
	w := newWorld(t, "lease_prefixes: ["+prefix+", database/creds/other]", root)
	token := w.Mint("vault.token")
	w.AddLease(prefix)
	minted, err := w.p.(revoke.Enumerator).Minted(t.Context(), token)
	if err != nil || len(minted) != 1 || minted[0].Ref["id"] != prefix || minted[0].Kind != "vault.lease" {
		t.Errorf("minted %+v, %v", minted, err)
	}
	w.RevokeByHand(w.authority)
	if _, err := w.p.(revoke.Enumerator).Minted(t.Context(), token); !errors.Is(err, revoke.ErrAuthority) {
		t.Errorf("with a dead authority: %v", err)
	}
}

// A list that is made by hand lets the certificate in until it is made anew, whatever Vault's own
// entry says.
func TestTheListCounts(t *testing.T) {
	w := newWorld(t, "", root)
	w.ByHand = true
	c := w.Mint("vault.certificate")
	w.RevokeByHand(c)
	if answer := w.verify(t, c, revoke.Alive); !strings.Contains(answer, "not in the revocation list") {
		t.Error(answer)
	}
	if r := w.revoke(t, c); r.Already || len(r.Did) != 2 || len(r.Left) != 1 {
		t.Errorf("receipt %+v", r)
	}
	w.verify(t, c, revoke.Refused)
}

func TestACertificateByItsKey(t *testing.T) {
	w := newWorld(t, "", root)
	c, other := w.Mint("vault.certificate"), w.Mint("vault.certificate")
	w.Knobs().SetFault(func(r *http.Request) fake.Fault {
		if r.URL.Path == "/v1/pki/revoke" {
			return answers(403, said("1 error occurred:\n\t* permission denied\n\n"))(r)
		}
		return fake.Fault{}
	})
	bare := c
	bare.Secret = credential.Secret{}
	if _, err := w.p.Revoke(t.Context(), bare); !errors.Is(err, revoke.ErrAuthority) {
		t.Errorf("without its key: %v", err)
	}
	if r := w.revoke(t, c); !strings.Contains(r.Did[0], "private key") || w.Alive(c) {
		t.Errorf("receipt %+v", r)
	}
	mixed := c
	mixed.Secret = other.Secret
	w.verify(t, mixed, revoke.Inconclusive)
	if _, err := w.p.Revoke(t.Context(), mixed); err == nil {
		t.Error("another certificate's key ends it")
	}
	hyphens := c
	hyphens.Ref = map[string]string{"id": strings.ToUpper(strings.ReplaceAll(c.Ref["id"], ":", "-"))}
	w.verify(t, hyphens, revoke.Refused)
}

// A list counts only as its relying parties read it.
func TestListsThatProveNothing(t *testing.T) {
	w := newWorld(t, "", root)
	c := w.Mint("vault.certificate")
	w.RevokeByHand(c)
	serial, _ := new(big.Int).SetString(strings.ReplaceAll(c.Ref["id"], ":", ""), 16)
	template := func(next time.Duration) *x509.RevocationList {
		return &x509.RevocationList{
			Number: big.NewInt(1), ThisUpdate: time.Now().Add(-48 * time.Hour), NextUpdate: time.Now().Add(next),
			RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: serial, RevocationTime: time.Now()}},
		}
	}
	ca, key := w.Issuer()
	forger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	impostor := *ca
	impostor.PublicKey, impostor.SubjectKeyId = &forger.PublicKey, nil
	for name, list := range map[string][]byte{
		"past its time":   signed(t, template(-time.Hour), ca, key),
		"somebody else's": signed(t, template(time.Hour), &impostor, forger),
		"no list":         []byte("no list"),
		"PEM of it":       pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: signed(t, template(time.Hour), ca, key)}),
		"empty":           nil,
	} {
		w.Knobs().SetFault(func(r *http.Request) fake.Fault {
			if r.URL.Path == "/v1/pki/crl" {
				return fake.Fault{Status: 200, Body: string(list), Type: "application/pkix-crl"}
			}
			return fake.Fault{}
		})
		if answer := w.verify(t, c, revoke.Inconclusive); !strings.Contains(answer, "revoked 2") {
			t.Errorf("%s: %s", name, answer)
		}
	}
	w.Knobs().SetFault(func(r *http.Request) fake.Fault { // another issuer than the certificate's
		if r.URL.Path == "/v1/pki/cert/ca" {
			other := vaultfake.New(fake.Wall{})
			rec := httptest.NewRecorder()
			other.ServeHTTP(rec, httptest.NewRequest("GET", address+"/v1/pki/cert/ca", nil))
			return fake.Fault{Status: 200, Body: rec.Body.String(), Type: "application/json"}
		}
		return fake.Fault{}
	})
	if answer := w.verify(t, c, revoke.Inconclusive); !strings.Contains(answer, "another issuer") {
		t.Error(answer)
	}
	w.Knobs().SetFault(nil)
	w.verify(t, c, revoke.Refused)
}

func signed(t *testing.T, list *x509.RevocationList, ca *x509.Certificate, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	impostor := *ca
	impostor.KeyUsage |= x509.KeyUsageCRLSign
	if impostor.SubjectKeyId == nil {
		impostor.SubjectKeyId = []byte{1}
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, &impostor, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestInspect(t *testing.T) {
	w := newWorld(t, "", root)
	for _, kind := range w.Kinds() {
		c := w.Mint(kind)
		e, err := w.p.Inspect(t.Context(), c)
		if err != nil || e.Answer == "" || len(e.Reach) == 0 {
			t.Errorf("%s: %+v, %v", kind, e, err)
		}
		text, _ := json.Marshal(e)
		if where, leaked := revoketest.Leak(map[string]string{"the exposure": string(text)}, c); leaked {
			t.Errorf("%s: %s", kind, where)
		}
	}
	if _, err := w.p.Inspect(t.Context(), credential.Credential{Kind: "vault.path"}); err == nil {
		t.Error("inspected a kind of nobody's")
	}
	if !slices.Equal(w.Kinds(), kindsOf(w.p.Info())) {
		t.Error("the fake mints other kinds")
	}
}

func kindsOf(i revoke.Info) (all []string) {
	for _, k := range i.Kinds {
		all = append(all, k.Kind)
	}
	return all
}
