package vault_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/revoketest/contract"
)

// TestContract holds what is sent, and what the fake answers to it, against OpenBao's own
// description. That describes no refusal: those were tried at a server, see TestARealServer.
func TestContract(t *testing.T) {
	folder := os.Getenv("CLAWBACK_SPECS")
	if folder == "" {
		t.Skip("no description: CLAWBACK_SPECS names no folder with vault.json")
	}
	w := newWorld(t, "lease_prefixes: [database/creds/agent]", root)
	refused := func(method, path string, status int) contract.Exception {
		return contract.Exception{Method: method, Path: path, Status: status, Why: "no refusal is described"}
	}
	wire := worldTransport(t, w)
	seen := contract.New(t, filepath.Join(folder, "vault.json"), back{wire},
		refused("GET", "/auth/token/lookup-self", 403),
		refused("POST", "/auth/token/lookup", 403),
		refused("POST", "/auth/token/lookup-accessor", 400),
		refused("GET", "/sys/leases/lookup/{prefix}", 404),
		refused("POST", "/sys/leases/lookup", 400),
		contract.Exception{Method: "POST", Path: "/auth/token/revoke-self", Status: 204, Why: "https://developer.hashicorp.com/vault/api-docs/auth/token#revoke-a-token-self"},
		contract.Exception{Method: "POST", Path: "/auth/token/revoke-accessor", Status: 204, Why: "https://developer.hashicorp.com/vault/api-docs/auth/token#revoke-a-token-accessor"},
		contract.Exception{Method: "POST", Path: "/auth/approle/role/{role_name}/secret-id/lookup", Status: 204, Why: "a server says so of a secret-id that is not there"},
		contract.Exception{Method: "GET", Path: "/sys/leases/count", Status: 200, Why: "counts is an object by mount at a server, and described as a number"},
		contract.Exception{Method: "GET", Path: "/pki/crl", Status: 200, Why: "https://developer.hashicorp.com/vault/api-docs/secret/pki#read-issuer-crl: it is DER, and described as JSON"},
	)
	p, err := pinned(revoke.Env{
		HTTP: &http.Client{Transport: below{seen, wire}}, Sleep: fake.Wall{}.Sleep, Now: time.Now, Settings: decode("lease_prefixes: [database/creds/agent]"),
		Authority: func(context.Context) (revoke.Authority, error) {
			return revoke.Authority{Secret: w.authority.Secret, Kind: w.authority.Kind, From: "the test"}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range w.Kinds() {
		c := w.Mint(kind)
		bare := w.Mint(kind)
		_ = p.Verify(t.Context(), c)
		_, _ = p.Inspect(t.Context(), c)
		if _, err := p.Revoke(t.Context(), c); err != nil && !errors.Is(err, revoke.ErrManual) {
			t.Errorf("%s: %v", kind, err)
		}
		_ = p.Verify(t.Context(), c)
		if kind == "vault.token" {
			bare.Secret = credential.Secret{}
			if _, err := p.Revoke(t.Context(), bare); err != nil {
				t.Errorf("%s by its accessor: %v", kind, err)
			}
			_ = p.Verify(t.Context(), bare)
		}
	}
	if len(seen.Seen()) < 15 {
		t.Errorf("only %d exchanges: this shows little", len(seen.Seen()))
	}
}

// whole is the header in which a whole answer passes the check of its data.
const whole = "X-Whole"

// below takes away the /v1 that the description leaves out, and the slashes in the one parameter
// that has any, before an exchange is checked; back puts both where they were. The description is of
// what stands under "data": back unwraps it, and below wraps it again.
type below struct{ next, past http.RoundTripper }

func (b below) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasPrefix(r.URL.Path, "/v1/pki/cert/") { // it is not described
		return b.past.RoundTrip(r)
	}
	resp, err := b.next.RoundTrip(moved(r, func(path string) string {
		path = strings.TrimPrefix(path, "/v1")
		for _, call := range []string{"/sys/leases/lookup/", "/sys/leases/revoke-prefix/"} {
			if prefix, ok := strings.CutPrefix(path, call); ok {
				return call + strings.ReplaceAll(prefix, "/", "~")
			}
		}
		return path
	}))
	if err == nil && resp.Header.Get(whole) != "" {
		_ = resp.Body.Close()
		resp.Body = io.NopCloser(strings.NewReader(resp.Header.Get(whole)))
	}
	return resp, err
}

type back struct{ next http.RoundTripper }

func (b back) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(moved(r, func(path string) string { return "/v1" + strings.ReplaceAll(path, "~", "/") }))
	if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(resp.Header.Get("Content-Type"), "json") {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close()
	var answer struct{ Data json.RawMessage }
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, err
	}
	resp.Header.Set(whole, strings.TrimSpace(string(body)))
	resp.Body = io.NopCloser(bytes.NewReader(answer.Data))
	return resp, nil
}

func moved(r *http.Request, move func(string) string) *http.Request {
	c := r.Clone(r.Context())
	c.URL.Path, c.URL.RawPath = move(c.URL.Path), ""
	return c
}
