package peers

import (
	"net/http"
	"testing"

	gitlab "gitlab.com/gitlab-org/api/client-go"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/gitlab/gitlabfake"
)

// GitLab's own client and the fake understand each other.
func TestGitLabClient(t *testing.T) {
	f := gitlabfake.New(fake.Wall{})
	network := fake.NewNetwork(f)
	defer func() { _ = network.Close() }()
	web := network.Client()
	defer web.CloseIdleConnections()
	as := func(c credential.Credential) *gitlab.Client {
		client, err := gitlab.NewClient(c.Secret.Reveal("value"), gitlab.WithHTTPClient(web), gitlab.WithBaseURL("https://"+f.Hosts()[0]), gitlab.WithCustomRetryMax(0))
		if err != nil {
			t.Fatal(err)
		}
		return client
	}
	root, _ := f.MintAuthority()
	admin := as(root)
	c, other := f.Mint("gitlab.pat"), f.Mint("gitlab.pat")
	self, _, err := as(c).PersonalAccessTokens.GetSinglePersonalAccessToken()
	if err != nil || !self.Active || self.Revoked || self.ID == 0 || len(self.Scopes) == 0 || self.CreatedAt == nil {
		t.Fatalf("the token itself: %+v, %v", self, err)
	}
	if byID, _, err := admin.PersonalAccessTokens.GetSinglePersonalAccessTokenByID(self.ID); err != nil || byID.ID != self.ID || byID.UserID != self.UserID {
		t.Errorf("by its id: %+v, %v", byID, err)
	}
	if all, _, err := admin.PersonalAccessTokens.ListPersonalAccessTokens(&gitlab.ListPersonalAccessTokensOptions{UserID: &self.UserID}); err != nil || len(all) == 0 {
		t.Errorf("list: %d, %v", len(all), err)
	}
	if u, _, err := as(c).Users.CurrentUser(); err != nil || u.ID != self.UserID || u.Username == "" {
		t.Errorf("the user: %+v, %v", u, err)
	}
	if _, err := as(c).PersonalAccessTokens.RevokePersonalAccessTokenSelf(); err != nil || f.Alive(c) {
		t.Errorf("revoke itself: %v", err)
	}
	var said *gitlab.ErrorResponse
	if _, _, err := as(c).PersonalAccessTokens.GetSinglePersonalAccessToken(); !asError(err, &said) || said.Response.StatusCode != http.StatusUnauthorized || said.Message == "" {
		t.Errorf("a revoked token: %v", err)
	}
	if self, _, err = as(other).PersonalAccessTokens.GetSinglePersonalAccessToken(); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.PersonalAccessTokens.RevokePersonalAccessTokenByID(self.ID); err != nil || f.Alive(other) {
		t.Errorf("revoke by its id: %v", err)
	}
}
