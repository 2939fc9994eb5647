package bitbucket_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"clawback/revoke"
	"clawback/revoke/fake"
	"clawback/revoke/providers/bitbucket"
	"clawback/revoke/providers/bitbucket/bitbucketfake"
	"clawback/revoke/revoketest/contract"
)

// TestContract holds what is asked of Bitbucket, and what the fake answers, against Bitbucket's own
// description, https://bitbucket.org/api/swagger.json. That has no licence to copy it.
func TestContract(t *testing.T) {
	folder := os.Getenv("CLAWBACK_SPECS")
	description := filepath.Join(folder, "bitbucket.json")
	if _, err := os.Stat(description); folder == "" || err != nil {
		t.Skip("Bitbucket's API description is not here: CLAWBACK_SPECS names no folder with bitbucket.json in it")
	}
	f := bitbucketfake.New(fake.Wall{})
	network := fake.NewNetwork(f)
	client := network.Client()
	t.Cleanup(func() {
		client.CloseIdleConnections()
		_ = network.Close()
	})
	checked := contract.New(t, description, client.Transport, contract.Exception{
		Method: http.MethodGet, Path: "/user", Status: http.StatusForbidden, Why: "https://developer.atlassian.com/cloud/bitbucket/rest/intro/#authentication",
	})
	client.Transport = checked
	p, err := bitbucket.New(revoke.Env{HTTP: client})
	if err != nil {
		t.Fatal(err)
	}
	dead := f.Mint("bitbucket.access_token")
	f.RevokeByHand(dead)
	p.Verify(t.Context(), dead)
	p.Verify(t.Context(), f.MintScoped("bitbucket.access_token"))
	for _, kind := range []string{"bitbucket.access_token", "bitbucket.oauth_token", "bitbucket.api_token", "bitbucket.app_password"} {
		p.Verify(t.Context(), f.Mint(kind))
	}
	if got, want := checked.Seen(), []string{"GET /user 200", "GET /user 401", "GET /user 403"}; !slices.Equal(got, want) {
		t.Errorf("exchanged %q, want %q", got, want)
	}
}
