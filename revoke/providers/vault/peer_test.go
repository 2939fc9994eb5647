package vault_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/vault/vaultfake"
)

// TestARealServer runs each kind's life against the server that $CLAWBACK_BAO names (bao or vault),
// and then against the fake, which has to have said the same.
func TestARealServer(t *testing.T) {
	program := os.Getenv("CLAWBACK_BAO")
	if program == "" {
		t.Skip("no server: CLAWBACK_BAO names no bao or vault program")
	}
	real := startPeer(t, program)
	real.set(t)
	said := real.lives(t, map[string]credential.Credential{
		"vault.token":             real.token(t, map[string]any{"policies": []string{"default"}, "ttl": "1h"}),
		"mute":                    real.token(t, map[string]any{"policies": []string{"default"}, "no_default_policy": true, "ttl": "1h"}),
		"vault.batch_token":       real.token(t, map[string]any{"policies": []string{"default"}, "type": "batch", "ttl": "1h"}),
		"vault.approle_secret_id": real.secretID(t),
		"vault.lease":             real.lease(t),
		"vault.certificate":       real.certificate(t),
	})
	w := newWorld(t, "", root)
	simulated := &peer{address: address, root: w.authority.Secret.Reveal("value"), client: &http.Client{Transport: &ear{next: worldTransport(t, w)}}}
	heard := simulated.lives(t, map[string]credential.Credential{
		"vault.token": w.Mint("vault.token"), "mute": w.MintToken(vaultfake.Token{Mute: true}),
		"vault.batch_token": w.Mint("vault.batch_token"), "vault.approle_secret_id": w.Mint("vault.approle_secret_id"),
		"vault.lease": w.Mint("vault.lease"), "vault.certificate": w.Mint("vault.certificate"),
	})
	for kind, lines := range said {
		if !slices.Equal(lines, heard[kind]) {
			t.Errorf("%s: the server said\n%s\nand the fake\n%s", kind, strings.Join(lines, "\n"), strings.Join(heard[kind], "\n"))
		}
	}
}

func worldTransport(t *testing.T, w *world) http.RoundTripper {
	t.Helper()
	n := fake.NewNetwork(w)
	t.Cleanup(func() { _ = n.Close() })
	return n.Transport()
}

// peer is a server and its root token.
type peer struct {
	address, root string
	client        *http.Client
}

func startPeer(t *testing.T, program string) *peer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	_ = l.Close()
	p := &peer{address: "http://" + at, root: strings.ReplaceAll(rand36(), "-", ""), client: &http.Client{Transport: &ear{next: http.DefaultTransport}}}
	ctx, cancel := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, program, "server", "-dev", "-dev-no-store-token")
	command.Dir = t.TempDir()
	command.Env = []string{"HOME=" + command.Dir}
	for _, brand := range []string{"VAULT", "BAO"} {
		command.Env = append(command.Env, brand+"_DEV_ROOT_TOKEN_ID="+p.root, brand+"_DEV_LISTEN_ADDRESS="+at)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = command.Wait() })
	for began := time.Now(); time.Since(began) < time.Minute; {
		if resp, err := http.Get(p.address + "/v1/sys/health"); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return p
			}
		}
	}
	t.Fatal("the server does not answer")
	return nil
}

func rand36() string {
	return vaultfake.New(fake.Wall{}).Mint("vault.approle_secret_id").Secret.Reveal("secret_id")
}

// call asks as root, for what has to be there before a test.
func (p *peer) call(t *testing.T, path string, body any) map[string]any {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), "POST", p.address+"/v1/"+path, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if body == nil {
		r.Method, r.Body = "GET", http.NoBody
	}
	r.Header.Set("X-Vault-Token", p.root)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= 300 {
		t.Fatalf("%s: %s", path, resp.Status)
	}
	var out struct{ Data, Auth map[string]any }
	_ = json.NewDecoder(resp.Body).Decode(&out)
	if out.Auth != nil {
		return out.Auth
	}
	return out.Data
}

func (p *peer) set(t *testing.T) {
	t.Helper()
	p.call(t, "sys/auth/approle", map[string]any{"type": "approle"})
	p.call(t, "auth/approle/role/"+vaultfake.Role, map[string]any{"token_policies": "default"})
	p.call(t, "sys/mounts/pki", map[string]any{"type": "pki"})
	p.call(t, "pki/root/generate/internal", map[string]any{"common_name": "Acme CA", "ttl": "300h", "key_type": "ec", "key_bits": 256})
	p.call(t, "pki/roles/agent", map[string]any{"allow_any_name": true, "ttl": "1h", "key_type": "ec", "key_bits": 256, "generate_lease": false})
	p.call(t, "pki/roles/leased", map[string]any{"allow_any_name": true, "ttl": "1h", "key_type": "ec", "key_bits": 256, "generate_lease": true})
	p.call(t, "sys/policies/acl/mute", map[string]any{"policy": `path "sys/nothing" { capabilities = ["deny"] }`})
}

func (p *peer) token(t *testing.T, body map[string]any) credential.Credential {
	t.Helper()
	kind := "vault.token"
	if body["type"] == "batch" {
		kind = "vault.batch_token"
	}
	if body["no_default_policy"] == true {
		body["policies"] = []string{"mute"}
	}
	made := p.call(t, "auth/token/create", body)
	return credential.Credential{Provider: "vault", Kind: kind, Secret: credential.Value(made["client_token"].(string))}
}

func (p *peer) secretID(t *testing.T) credential.Credential {
	t.Helper()
	role := p.call(t, "auth/approle/role/"+vaultfake.Role+"/role-id", nil)
	id := p.call(t, "auth/approle/role/"+vaultfake.Role+"/secret-id", map[string]any{})
	return credential.Credential{
		Provider: "vault", Kind: "vault.approle_secret_id", Ref: map[string]string{"role": vaultfake.Role},
		Secret: credential.NewSecret(map[string]string{"role_id": role["role_id"].(string), "secret_id": id["secret_id"].(string)}),
	}
}

func (p *peer) certificate(t *testing.T) credential.Credential {
	t.Helper()
	made := p.call(t, "pki/issue/agent", map[string]any{"common_name": "agent.test"})
	return credential.Credential{
		Provider: "vault", Kind: "vault.certificate", Ref: map[string]string{"id": made["serial_number"].(string)},
		Secret: credential.NewSecret(map[string]string{"private_key": made["private_key"].(string)}),
	}
}

func (p *peer) lease(t *testing.T) credential.Credential {
	t.Helper()
	p.call(t, "pki/issue/leased", map[string]any{"common_name": "agent.test"})
	return lease("pki/issue/leased")
}

// lives takes each credential from its baseline to its proved end, and returns what was said.
func (p *peer) lives(t *testing.T, all map[string]credential.Credential) map[string][]string {
	t.Helper()
	said := make(map[string][]string)
	provider, err := pinned(revoke.Env{
		HTTP: p.client, Endpoint: p.address, Sleep: fake.Wall{}.Sleep, Now: time.Now,
		Authority: func(context.Context) (revoke.Authority, error) {
			return revoke.Authority{Secret: credential.Value(p.root), Kind: "vault.token", From: "the test"}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ear := p.client.Transport.(*ear)
	for kind, c := range all {
		ear.forget()
		want := func(o revoke.Outcome) {
			t.Helper()
			if v := provider.Verify(t.Context(), c); v.Outcome != o {
				t.Errorf("%s at %s: %s (%s), want %s", kind, p.address, v.Outcome, v.Answer, o)
			}
		}
		want(revoke.Alive)
		if e, err := provider.Inspect(t.Context(), c); err != nil || e.Answer == "" {
			t.Errorf("%s at %s: inspect: %+v, %v", kind, p.address, e, err)
		}
		if kind == "vault.batch_token" {
			said[kind] = ear.heard()
			continue
		}
		for _, already := range []bool{false, true} {
			if r, err := provider.Revoke(t.Context(), c); err != nil || r.Already != already {
				t.Errorf("%s at %s: revoke: %+v, %v", kind, p.address, r, err)
			}
			want(revoke.Refused)
		}
		said[kind] = ear.heard()
	}
	return said
}

// ear keeps what was asked and said, without what differs from one server to the next.
type ear struct {
	next http.RoundTripper
	mu   sync.Mutex
	all  []string
}

var differs = regexp.MustCompile(`[0-9a-f]{2}([:-][0-9a-f]{2}){10,}|database/creds/agent-[0-9a-z]+|pki/issue/leased`)

func (e *ear) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := e.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	var said struct{ Errors []string }
	_ = json.Unmarshal(body, &said)
	e.mu.Lock()
	defer e.mu.Unlock()
	line := fmt.Sprintf("%s %s %d %q %s", r.Method, r.URL.Path, resp.StatusCode, said.Errors, resp.Header.Get("Content-Type"))
	e.all = append(e.all, differs.ReplaceAllString(line, "…"))
	return resp, nil
}

func (e *ear) forget() { e.mu.Lock(); defer e.mu.Unlock(); e.all = nil }
func (e *ear) heard() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.all
}
