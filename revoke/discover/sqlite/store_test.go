package sqlite_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"clawback/forensics/agents/openclaw"
	"clawback/revoke/discover"
	"clawback/revoke/discover/sqlite"
)

// A reference to the store is one more place of what stands in the store, and says what that is.
func TestStoreReferences(t *testing.T) {
	bot, other, model, gone, half, private := secret(), secret(), secret(), secret(), secret()+secret()[:8], secret()
	id := "AKIA" + strings.Repeat("QRSTUVWX", 2)
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, state), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, state, "openclaw.json"), []byte(`{
channels: { slack: { botToken: { source: "store", provider: "default", id: "CHAT" } } },
hooks: { token: { source: "store", provider: "default", id: "GONE" } },
gateway: { auth: { token: { source: "store", provider: "default", id: "NOWHERE" } } },
cron: { webhookToken: { source: "store", provider: "default", id: "PRIVATE" } },
skills: { entries: { s3: { env: { AWS_SECRET_ACCESS_KEY: { source: "store", provider: "default", id: "AWS_SECRET_ACCESS_KEY" } } } } } }`), 0o600))
	write(t, filepath.Join(dir, state, "state/openclaw.sqlite"),
		`CREATE TABLE secret_store_entries(scope_kind TEXT NOT NULL, scope_id TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, kind TEXT NOT NULL, deleted_at_ms INTEGER, PRIMARY KEY(scope_kind, scope_id, name)) STRICT`,
		`INSERT INTO secret_store_entries VALUES('team', '', 'CHAT', '`+bot+`', 'secret', NULL), ('identity', 'p1', 'CHAT', '`+other+`', 'secret', NULL), ('identity', 'p1', 'PRIVATE', '`+private+`', 'secret', NULL),
			('team', '', 'GONE', '`+gone+`', 'secret', 1775985601000), ('team', '', 'MODEL', '`+model+`', 'secret', NULL),
			('team', '', 'AWS_ACCESS_KEY_ID', '`+id+`', 'secret', NULL), ('team', '', 'AWS_SECRET_ACCESS_KEY', '`+half+`', 'secret', NULL)`, "")
	write(t, filepath.Join(dir, state, "agents/main/agent/openclaw-agent.sqlite"),
		`CREATE TABLE auth_profile_store(store_key TEXT PRIMARY KEY, store_json TEXT)`,
		`INSERT INTO auth_profile_store VALUES('primary', `+text(map[string]any{"profiles": map[string]any{
			"openai:default": map[string]any{"type": "api_key", "provider": "openai", "keyRef": map[string]any{"source": "store", "provider": "default", "id": "MODEL"}}}})+`)`, "")

	places := map[string][]string{bot: {
		"slack slack.bot channels.slack.botToken", "slack slack.bot secret_store_entries/team/CHAT/value",
	}, gone: {
		"openclaw openclaw.hook hooks.token", "openclaw openclaw.hook secret_store_entries/team/GONE/value",
	}, model: {
		"openai openai.api_key auth_profile_store/primary/store_json.profiles.openai:default.keyRef", "openai openai.api_key secret_store_entries/team/MODEL/value",
	}, half: {
		"aws aws.access_key secret_store_entries/team/AWS_ACCESS_KEY_ID/value", "aws aws.access_key skills.entries.s3.env.AWS_SECRET_ACCESS_KEY",
	}, other: {"unknown unknown secret_store_entries/identity/p1/CHAT/value"},
		private: {"unknown unknown secret_store_entries/identity/p1/PRIVATE/value"}}
	check := func(found []discover.Found, only string) {
		t.Helper()
		for value, want := range places {
			var got []string
			for _, f := range found {
				if slices.ContainsFunc(f.Secret.Parts(), func(p string) bool { return f.Secret.Reveal(p) == value }) {
					got = append(got, f.Provider+" "+f.Kind+" "+f.Source.Locator)
				}
				if f.Source.Locator == "hooks.token" && !strings.Contains(f.Source.Note, "state/openclaw.sqlite (secret_store_entries/team/GONE/value), deleted on 2026-04-12") {
					t.Errorf("the note says %q", f.Source.Note)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("%s: got %q, want %q", only, got, want)
			}
		}
	}
	found, summary := search(t, dir)
	check(found, "all")
	var left []string
	for _, f := range found {
		if f.Unresolved != "" {
			left = append(left, f.Source.Locator+" "+f.Unresolved)
		}
	}
	why := " store reference, and no database that was read has its entry"
	if want := []string{"gateway.auth.token" + why, "cron.webhookToken" + why}; !slices.Equal(left, want) || len(summary.Problems) > 0 {
		t.Errorf("unresolved %q, problems %+v", left, summary.Problems)
	}

	// The desk, which reads the databases of a host that was searched before, says the same of them.
	root, err := os.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	found = nil
	opts := discover.Options{Databases: sqlite.Read, DatabasesOnly: true, Installations: []openclaw.Installation{{StateDir: strings.TrimSuffix(state, "/"), Config: state + "openclaw.json", Home: "home/u"}}}
	_, err = discover.Scan(t.Context(), root, opts, func(f discover.Found) { found = append(found, f) })
	must(t, err)
	check(found, "databases only")
	if slices.ContainsFunc(found, func(f discover.Found) bool { return f.Unresolved != "" }) {
		t.Error("what the host has said is said again")
	}
}
