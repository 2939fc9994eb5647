package discover

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"clawback/revoke/credential"
)

// one returns the only find at a locator.
func one(t *testing.T, found []Found, locator string) Found {
	t.Helper()
	i := slices.IndexFunc(found, func(f Found) bool { return f.Source.Locator == locator })
	if i < 0 {
		t.Fatalf("nothing at %s:\n%s", locator, showAll(found))
	}
	return found[i]
}

func signedToken(claims string) string {
	return "eyJhbGciOiJub25lIn0." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + "." + secret()
}

func TestWhatATokenSays(t *testing.T) {
	over, later := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	dir := tree(t, map[string]string{state + ".env": "A_TOKEN=" + signedToken(fmt.Sprintf(`{"iss":"https://idp.example/x","sub":"s-1","email":"a@b.example","exp":%d}`, over.Unix())) +
		"\nB_TOKEN=" + signedToken(fmt.Sprintf(`{"sub":"s-2","exp":%d}`, later.Unix())) + "\nC_TOKEN=eyJ.eyJ.x" + secret() + "\nD_TOKEN=" + signedToken(`{"sub":"s-3","https://api.openai.com/profile":{"email":"d@b.example"}}`) +
		"\nDATABASE_URL=postgres://app%40x:" + secret() + "@db/x\n"})
	found, _ := search(t, dir, places)
	for locator, owner := range map[string]string{"D_TOKEN": "d@b.example", "DATABASE_URL": "app@x"} {
		if f := one(t, found, locator); f.Owner != owner {
			t.Errorf("%s: owner %q", locator, f.Owner)
		}
	}
	a, b, c := one(t, found, "A_TOKEN"), one(t, found, "B_TOKEN"), one(t, found, "C_TOKEN")
	if a.Owner != "a@b.example" || a.Endpoint != "https://idp.example" || a.Expires.Unix() != over.Unix() || a.Doubt != Expired || a.Doubt.Harmless() {
		t.Errorf("%+v", a)
	}
	if b.Owner != "s-2" || b.Expires.Unix() != later.Unix() || b.Doubt != "" {
		t.Errorf("%+v", b)
	}
	if c.Owner != "" || !c.Expires.IsZero() || c.Doubt != "" {
		t.Errorf("%+v", c)
	}
}

// A service account's key is Google's, and its account's, wherever its file lies.
func TestServiceAccountAnywhere(t *testing.T) {
	key := func() string {
		return `"-----BEGIN PRIVATE KEY-----\n` + strings.Repeat(secret(), 20) + `\n-----END PRIVATE KEY-----\n"`
	}
	dir := tree(t, map[string]string{
		state + "openclaw.json":        "{}",
		state + "workspace/sa.json":    `{"type":"service_account","project_id":"p","private_key":` + key() + `,"client_email":"bot@p.iam.gserviceaccount.com"}`,
		state + "workspace/other.json": `{"type":"other","private_key":` + key() + `,"client_email":"bot@p.iam.gserviceaccount.com"}`,
	})
	found, _ := search(t, dir, places)
	if len(found) != 2 {
		t.Fatalf("%d finds: %+v", len(found), found)
	}
	for _, f := range found {
		switch filepath.Base(f.Source.Path) {
		case "sa.json":
			if f.Kind != "google.service_account" || f.Owner != "bot@p.iam.gserviceaccount.com" || f.Source.Locator != "private_key" || f.Doubt != "" {
				t.Errorf("%+v", f)
			}
		default:
			if f.Provider != unknown || f.Doubt != ByFormat {
				t.Errorf("%+v", f)
			}
		}
	}
}

// What a store of tokens says of each is its own: when it was last used, and that it was taken back,
// which is a claim of the host and no proof.
func TestWhatADeviceSays(t *testing.T) {
	dir := tree(t, map[string]string{
		state + "openclaw.json": "{}",
		state + "devices/paired.json": `{"d":{"tokens":{"operator":{"token":"` + secret() + `","lastUsedAtMs":1800000000000},
"node":{"token":"` + secret() + `","revokedAtMs":1800000000000}}}}`,
	})
	found, _ := search(t, dir, places)
	used, revoked := one(t, found, "d.tokens.operator.token"), one(t, found, "d.tokens.node.token")
	if !used.LastUsed.Equal(time.UnixMilli(1_800_000_000_000)) || used.Source.Note != "" {
		t.Errorf("%+v", used)
	}
	if !revoked.LastUsed.IsZero() || revoked.Source.Note != "marked as revoked on 2027-01-15" || revoked.Doubt != "" {
		t.Errorf("%+v", revoked)
	}
}

func TestAWSAccount(t *testing.T) {
	for id, want := range map[string]string{
		"ASIAY34FZKBOKMUTVV7A": "609629065308", "ASIAQNZGKIQY56JQ7WML": "029608264753",
		"AKIAIOSFODNN7EXAMPLE": "", "AKIA0189018901890189": "", "AKIA": "", "": "",
	} {
		if got := awsAccount(id); got != want {
			t.Errorf("%s is of %q, want %q", id, got, want)
		}
	}
}

// What is beside an access token that is over may refresh it: only without that is it expired.
func TestExpired(t *testing.T) {
	dir := tree(t, map[string]string{state + "agents/main/agent/auth-profiles.json": `{"profiles":{
 "a:x":{"access":"` + secret() + `","refresh":"` + secret() + `","expires":1600000000000},
 "b:x":{"token":"` + secret() + `","expires":1600000000000},
 "c:x":{"token":"` + secret() + `","expires":"2020-01-02T03:04:05Z"}}}`})
	found, _ := search(t, dir, places)
	for at, want := range map[string]Doubt{"profiles.a:x.access": "", "profiles.b:x.token": Expired, "profiles.c:x.token": Expired} {
		if f := one(t, found, at); f.Doubt != want || f.Expires.IsZero() {
			t.Errorf("%s: %q, expires %v", at, f.Doubt, f.Expires)
		}
	}
}

func TestPublicKeys(t *testing.T) {
	dir := tree(t, map[string]string{state + ".env": "STRIPE_KEY=pk_live_" + secret() + "\n# OLD_TOKEN=ghp_" + secret()[:36] + "\nA_KEY=\"-----BEGIN PUBLIC KEY-----\nAA\n-----END PUBLIC KEY-----\"\n"})
	found, _ := search(t, dir, places)
	for at, want := range map[string]Doubt{"STRIPE_KEY": PublicKey, "OLD_TOKEN": ByFormat, "A_KEY": PublicKey} {
		if f := one(t, found, at); f.Doubt != want {
			t.Errorf("%s: %q, want %q", at, f.Doubt, want)
		}
	}
}

func sshWire(parts ...[]byte) (out []byte) {
	for _, p := range parts {
		out = binary.BigEndian.AppendUint32(out, uint32(len(p)))
		out = append(out, p...)
	}
	return out
}

// opensshKey is the outside of a key with the given cipher and public half.
func opensshKey(t testing.TB, cipher string, public []byte) string {
	t.Helper()
	body := append([]byte("openssh-key-v1\x00"), sshWire([]byte(cipher), []byte("none"), nil)...)
	body = append(body, 0, 0, 0, 1)
	body = append(body, sshWire(public, []byte(secret()))...)
	return string(pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: body}))
}

func TestSSHKeys(t *testing.T) {
	blob := sshWire([]byte("ssh-ed25519"), []byte(secret()))
	line := "ssh-ed25519 " + base64.StdEncoding.EncodeToString(blob) + " deploy@host\n"
	dir := tree(t, map[string]string{
		"home/u/.ssh/id_ed25519":      opensshKey(t, "none", blob),
		"home/u/.ssh/id_ed25519.pub":  line,
		"home/u/.ssh/work":            opensshKey(t, "aes256-ctr", blob),
		"home/u/.ssh/old":             "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n" + base64.StdEncoding.EncodeToString([]byte(secret())) + "\n-----END RSA PRIVATE KEY-----\n",
		"home/u/.ssh/known_hosts":     "h " + line,
		"home/u/.ssh/authorized_keys": line,
		"home/u/.ssh/config":          "Host *\n",
	})
	found, _ := search(t, dir, places)
	got := map[string]Found{}
	for _, f := range found {
		got[filepath.Base(f.Source.Path)] = f
	}
	if len(got) != 3 || len(found) != 3 {
		t.Fatalf("found %s", showAll(found))
	}
	if f := got["id_ed25519"]; f.Source.Note != "" || f.Owner != "deploy@host" || f.Ref["public_key"] != sshFingerprint(blob) || f.Kind != "ssh.private_key" {
		t.Errorf("%+v", f)
	}
	if got["work"].Source.Note == "" || got["old"].Source.Note == "" || got["work"].Ref["public_key"] != sshFingerprint(blob) {
		t.Errorf("encrypted ones: %+v %+v", got["work"], got["old"])
	}
	if !strings.HasPrefix(sshFingerprint(blob), "SHA256:") || len(sshFingerprint(blob)) != 50 {
		t.Error("not as ssh-keygen writes it")
	}
}

func TestWhoseAndWhere(t *testing.T) {
	a, b, c, d := secret(), secret(), "ghp_"+secret()[:36], secret()
	dir := tree(t, map[string]string{
		"home/u/.kube/config":                                        "clusters:\n- cluster: {server: 'https://k8s.example:6443/x'}\n  name: c\nusers:\n- name: admin\n  user: {token: " + a + "}\n",
		"home/u/.docker/config.json":                                 `{"auths":{"https://index.docker.io/v1/":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("bob:"+b)) + `"}}}`,
		"home/u/.git-credentials":                                    "https://eve:" + c + "@github.com\n",
		"home/u/.pgpass":                                             "db.example:5432:app:joe:" + d + "\n",
		"home/u/.azure/msal_token_cache.json":                        `{"RefreshToken":{"k":{"secret":"` + a + `az","home_account_id":"id-1"}}}`,
		"home/u/.config/gcloud/application_default_credentials.json": `{"type":"service_account","client_email":"x@p.iam.example","private_key":"` + d + `gcp"}`,
	})
	found, summary := search(t, dir, places)
	for value, want := range map[string]string{
		a: "kubernetes kubernetes.token admin https://k8s.example:6443", b: "docker docker.registry bob https://index.docker.io",
		c: "github github.pat eve https://github.com", d: "postgres login.password joe postgres://db.example",
		a + "az": "azure azure.refresh_token id-1 ", d + "gcp": "google google.service_account x@p.iam.example ",
	} {
		i := slices.IndexFunc(found, func(f Found) bool { return f.Secret.Reveal("value") == value })
		if i < 0 {
			t.Errorf("%s was not found", want)
			continue
		}
		if f := found[i]; strings.Join([]string{f.Provider, f.Kind, f.Owner, f.Endpoint}, " ") != want {
			t.Errorf("%s %s %q %q, want %s", f.Provider, f.Kind, f.Owner, f.Endpoint, want)
		}
	}
	if len(found) != 6 || len(summary.Problems) > 0 {
		t.Errorf("%d found, problems %+v", len(found), summary.Problems)
	}
}

// What each tier means is written down, and every kind has one; what mints is no mere reader.
func TestTiers(t *testing.T) {
	for _, k := range slices.Concat(credential.Kinds, credential.Placed, credential.Told) {
		if credential.Tiers[k.Tier] == "" || k.Mints != "" && k.Tier < 3 {
			t.Errorf("%s has tier %d", k.Name, k.Tier)
		}
		if got, ok := credential.Lookup(k.Name); !ok || got.Title != k.Title {
			t.Errorf("%s is not known", k.Name)
		}
	}
	used := map[string]bool{}
	for _, p := range places {
		used[p.kind] = true
	}
	for _, v := range variables {
		used[v.kind] = true
	}
	for _, kind := range []string{"vault.path", "vault.lease", "vault.certificate", "certificate.identity"} { // of a manifest
		used[kind] = true
	}
	for _, k := range credential.Placed {
		if !used[k.Name] {
			t.Errorf("%s is of no place", k.Name)
		}
	}
}
