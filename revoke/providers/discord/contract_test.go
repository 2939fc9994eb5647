package discord_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"clawback/revoke"
	"clawback/revoke/providers/discord"
	"clawback/revoke/revoketest/contract"
)

// TestContract holds what is asked of Discord, and what the fake answers, against Discord's own
// description, https://github.com/discord/discord-api-spec. The revocation of OAuth tokens is not in it.
func TestContract(t *testing.T) {
	folder := os.Getenv("CLAWBACK_SPECS")
	if folder == "" {
		t.Skip("Discord's API description is not here: CLAWBACK_SPECS names no folder with discord.json in it")
	}
	w := newWorld(t)
	checked := contract.New(t, filepath.Join(folder, "discord.json"), w)
	p, err := discord.New(revoke.Env{HTTP: &http.Client{Transport: checked}, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"discord.webhook", "discord.bot", "discord.oauth_token"} {
		c := w.Mint(kind)
		_, _ = p.Inspect(t.Context(), c)
		if kind == "discord.webhook" {
			_, err = p.Revoke(t.Context(), c)
		}
		w.RevokeByHand(c)
		p.Verify(t.Context(), c)
		if err != nil {
			t.Error(err)
		}
	}
	want := []string{
		"DELETE /webhooks/{webhook_id}/{webhook_token} 204",
		"GET /oauth2/@me 200", "GET /oauth2/@me 401",
		"GET /oauth2/applications/@me 200",
		"GET /users/@me 200", "GET /users/@me 401",
		"GET /webhooks/{webhook_id}/{webhook_token} 200", "GET /webhooks/{webhook_id}/{webhook_token} 404",
	}
	if got := checked.Seen(); !slices.Equal(got, want) {
		t.Errorf("exchanged %q", got)
	}
}
