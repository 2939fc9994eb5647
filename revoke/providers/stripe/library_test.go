package stripe

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/revoketest/contract"
)

// roundTrip is a function as a transport.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// everything makes the provider send each request that it can send.
func everything(t *testing.T, w *world, p revoke.Provider) {
	t.Helper()
	for _, c := range []credential.Credential{
		w.MintKey(true), w.MintEndpoint(true), onlySecret(w.MintEndpoint(true)),
		w.Mint(kindEphemeral), w.Mint(kindConnected), w.Mint(kindAppSecret), w.Mint(kindPayouts),
	} {
		_, _ = p.Inspect(t.Context(), c)
		_ = p.Verify(t.Context(), c)
		if _, err := p.Revoke(t.Context(), c); err != nil && !errors.Is(err, revoke.ErrManual) {
			t.Errorf("%s: %v", c.Kind, err)
		}
		_ = p.Verify(t.Context(), c)
	}
}

// stripe-go runs the first `uname` in PATH and tells Stripe what it said. On a suspect machine
// PATH is not ours.
func TestNoProgramIsRun(t *testing.T) {
	dir := t.TempDir()
	mark := filepath.Join(dir, "mark")
	trap := "#!/bin/sh\n: >'" + mark + "'\n"
	if err := os.WriteFile(filepath.Join(dir, "uname"), []byte(trap), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	if err := exec.Command("uname", "-a").Run(); err != nil {
		t.Fatalf("the trap does not spring: %v", err)
	}
	if err := os.Remove(mark); err != nil {
		t.Fatalf("the trap leaves no mark: %v", err)
	}

	w := newWorld(t)
	requests := 0
	everything(t, w, w.reach(t, roundTrip(func(r *http.Request) (*http.Response, error) {
		requests++
		for _, name := range []string{"X-Stripe-Client-User-Agent", "X-Stripe-Client-Telemetry"} {
			if v := r.Header.Get(name); v != "" {
				t.Errorf("%s tells of this machine: %s", name, v)
			}
		}
		return w.network.Transport().RoundTrip(r)
	}), ""))
	if requests == 0 {
		t.Error("nothing was sent")
	}
	if _, err := os.Stat(mark); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("uname was run: %v", err)
	}
}

// The library's logger writes to the process's own stderr and stdout.
func TestNothingIsLogged(t *testing.T) {
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	stdout, stderr := os.Stdout, os.Stderr
	os.Stdout, os.Stderr = out, out
	defer func() { os.Stdout, os.Stderr = stdout, stderr }()
	w := newWorld(t)
	w.authority = w.MintRestricted(true)
	key := w.MintKey(true)
	w.RevokeByHand(key)
	_ = w.Verify(t.Context(), key)
	_, _ = w.Revoke(t.Context(), w.MintEndpoint(true))
	if info, err := out.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("%d bytes were written, %v", info.Size(), err)
	}
}

func TestContract(t *testing.T) {
	w := newWorld(t)
	check := contract.New(t, description(t), w.network.Transport())
	p := w.reach(t, roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.URL.Host == connectHost { // of which there is no description
			return w.network.Transport().RoundTrip(r)
		}
		return check.RoundTrip(r)
	}), "")
	everything(t, w, p)
	dead, authority := w.MintKey(true), w.authority
	w.RevokeByHand(dead)
	_ = p.Verify(t.Context(), dead)
	_ = p.Verify(t.Context(), w.MintRestricted(true))
	w.authority = w.MintRestricted(true)
	_, _ = p.Revoke(t.Context(), w.MintEndpoint(true))
	w.authority = authority
	gone := w.MintEndpoint(true)
	w.RevokeByHand(gone)
	_, _ = p.Revoke(t.Context(), gone)
	w.SetRateLimit(1)
	for range 3 {
		_ = p.Verify(t.Context(), w.MintKey(true))
	}
	want := []string{
		"DELETE /v1/ephemeral_keys/{key} 200",
		"DELETE /v1/webhook_endpoints/{webhook_endpoint} 200",
		"DELETE /v1/webhook_endpoints/{webhook_endpoint} 403",
		"DELETE /v1/webhook_endpoints/{webhook_endpoint} 404",
		"GET /v1/accounts/{account} 200",
		"GET /v1/apps/secrets/find 200",
		"GET /v1/apps/secrets/find 404",
		"GET /v1/balance 200",
		"GET /v1/balance 401",
		"GET /v1/balance 403",
		"GET /v1/balance 429",
		"GET /v1/webhook_endpoints/{webhook_endpoint} 200",
		"GET /v1/webhook_endpoints/{webhook_endpoint} 404",
		"POST /v1/accounts/{account} 200",
		"POST /v1/apps/secrets/delete 200",
	}
	if got := check.Seen(); !slices.Equal(got, want) {
		t.Errorf("exchanged\n%q, want\n%q", got, want)
	}
}

// description is Stripe's own, without a style of parameter that kin-openapi cannot read for
// lists. It is that of `expand`, which is never sent.
func description(t *testing.T) string {
	t.Helper()
	all, err := os.ReadFile("testdata/stripe.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc any
	if err := json.Unmarshal(all, &doc); err != nil {
		t.Fatal(err)
	}
	flatten(doc, "")
	if all, err = json.Marshal(doc); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "stripe.json")
	if err := os.WriteFile(file, all, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// flatten gives everything that is called expand another style.
func flatten(at any, called string) {
	switch in := at.(type) {
	case []any:
		for _, v := range in {
			flatten(v, "")
		}
	case map[string]any:
		if in["style"] == "deepObject" && (called == "expand" || in["name"] == "expand") {
			in["style"] = "form"
		}
		for name, v := range in {
			flatten(v, name)
		}
	}
}
