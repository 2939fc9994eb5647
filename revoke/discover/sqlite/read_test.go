package sqlite_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"clawback/revoke/discover"
	"clawback/revoke/discover/sqlite"
)

const state = "home/u/.openclaw/"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// secret makes a random secret of no known format.
func secret() string {
	raw := make([]byte, 24)
	_, _ = rand.Read(raw)
	return strings.NewReplacer("-", "x", "_", "y").Replace(base64.RawURLEncoding.EncodeToString(raw))
}

// write makes a database of statements: what comes after an empty one stays in the write-ahead log.
func write(t testing.TB, file string, statements ...string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(file), 0o700))
	at := filepath.Join(t.TempDir(), "db")
	db, err := sql.Open("sqlite", "file:"+at)
	must(t, err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, s := range append([]string{"PRAGMA journal_mode=WAL", "PRAGMA wal_autocheckpoint=0"}, statements...) {
		if s == "" {
			s = "PRAGMA wal_checkpoint(TRUNCATE)"
		}
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		data, err := os.ReadFile(at + suffix)
		must(t, err)
		must(t, os.WriteFile(file+suffix, data, 0o600))
	}
}

// search scans a tree, databases included.
func search(t testing.TB, dir string) ([]discover.Found, discover.Summary) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	var found []discover.Found
	summary, err := discover.Scan(t.Context(), root, discover.Options{Databases: sqlite.Read}, func(f discover.Found) { found = append(found, f) })
	must(t, err)
	return found, summary
}

func show(f discover.Found) string {
	return fmt.Sprintf("%s %s %s %s", f.Provider, f.Kind, f.Source.Locator, f.Source.Note)
}

func text(v any) string {
	out, _ := json.Marshal(v)
	return "'" + strings.ReplaceAll(string(out), "'", "''") + "'"
}

func TestRead(t *testing.T) {
	key, access, refresh, stored, gone, aws, device, boot, vapid, mcp := secret(), secret(), secret(), secret(), secret(), secret(), secret(), secret(), secret(), secret()
	akid := "AKIA" + strings.ToUpper(strings.NewReplacer("0", "A", "1", "B", "8", "C", "9", "D").Replace(secret()))[:16]
	dir := t.TempDir()
	write(t, filepath.Join(dir, state, "agents/main/agent/openclaw-agent.sqlite"),
		`CREATE TABLE auth_profile_store(store_key TEXT NOT NULL PRIMARY KEY, store_json TEXT NOT NULL, updated_at INTEGER NOT NULL) STRICT`,
		`CREATE TABLE auth_profile_state(state_key TEXT NOT NULL PRIMARY KEY, state_json TEXT NOT NULL, updated_at INTEGER NOT NULL)`,
		`CREATE TABLE transcript_events(session_id TEXT, seq INTEGER, event_json TEXT, created_at INTEGER, PRIMARY KEY(session_id, seq))`,
		`INSERT INTO transcript_events VALUES('s1', 1, '{"type":"session"}', 0)`,
		"",
		`INSERT INTO auth_profile_state VALUES('primary', '{"usageStats":{"anthropic:default":{"lastUsed":1775985601000}}}', 0)`,
		`INSERT INTO auth_profile_store VALUES('primary', `+text(map[string]any{"version": 1, "profiles": map[string]any{
			"anthropic:default":    map[string]any{"type": "api_key", "provider": "anthropic", "key": key},
			"openai-codex:default": map[string]any{"type": "oauth", "provider": "openai-codex", "access": access, "refresh": refresh, "expires": 1775985601000, "email": "a@b.example"},
			"x:y":                  map[string]any{"type": "api_key", "provider": "acme", "keyRef": map[string]any{"source": "env", "provider": "default", "id": "ACME_KEY"}},
		}})+`, 0)`,
	)
	write(t, filepath.Join(dir, state, "state/openclaw.sqlite"),
		`CREATE TABLE secret_store_entries(scope_kind TEXT NOT NULL, scope_id TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, kind TEXT NOT NULL, deleted_at_ms INTEGER, PRIMARY KEY(scope_kind, scope_id, name)) STRICT`,
		`CREATE TABLE device_auth_tokens(device_id TEXT, role TEXT, token TEXT, scopes_json TEXT, PRIMARY KEY(device_id, role))`,
		`CREATE TABLE device_bootstrap_tokens(token_key TEXT PRIMARY KEY, token TEXT, ts INTEGER)`,
		`CREATE TABLE web_push_vapid_keys(key_id TEXT PRIMARY KEY, public_key TEXT, private_key TEXT)`,
		`CREATE TABLE mcp_oauth_stores(store_key TEXT PRIMARY KEY, format_version INTEGER, store_json TEXT)`,
		`CREATE TABLE plugin_state_entries(plugin TEXT, access_token TEXT)`,
		`CREATE TABLE push_tokens(token TEXT)`, // empty
		`INSERT INTO secret_store_entries VALUES('team', '', 'BRAVE', '`+stored+`', 'secret', NULL), ('team', '', 'DEAD_TOKEN', '`+gone+`', 'secret', 1775985601000), ('team', '', 'PORT', '18789', 'env', NULL)`,
		`INSERT INTO secret_store_entries VALUES('team', '', 'AWS_SECRET_ACCESS_KEY', '`+aws+`', 'secret', NULL)`,
		"",
		`INSERT INTO secret_store_entries VALUES('team', '', 'AWS_ACCESS_KEY_ID', '`+akid+`', 'secret', NULL)`,
		`INSERT INTO device_auth_tokens VALUES('dev1', 'operator', '`+device+`', '[]')`,
		`INSERT INTO device_bootstrap_tokens VALUES('`+boot+`', '`+boot+`', 0)`,
		`INSERT INTO web_push_vapid_keys VALUES('default', 'pub', '`+vapid+`')`,
		`INSERT INTO mcp_oauth_stores VALUES('linear', 1, `+text(map[string]any{"tokens": map[string]any{"access_token": mcp, "token_type": "bearer"}})+`)`,
		`INSERT INTO plugin_state_entries VALUES('x', '`+secret()+`')`,
	)
	found, summary := search(t, dir)
	var got []string
	for _, f := range found {
		got = append(got, show(f))
	}
	slices.Sort(got)
	want := []string{
		"acme unknown auth_profile_store/primary/store_json.profiles.x:y.keyRef ",
		"anthropic anthropic.api_key auth_profile_store/primary/store_json.profiles.anthropic:default.key ",
		"aws aws.access_key secret_store_entries/team/AWS_ACCESS_KEY_ID/value ",
		"openai unknown auth_profile_store/primary/store_json.profiles.openai-codex:default.access ",
		"openclaw openclaw.device device_auth_tokens/dev1/operator/token ",
		"openclaw openclaw.paired device_bootstrap_tokens/row 1/token ",
		"openclaw unknown web_push_vapid_keys/default/private_key ",
		"unknown unknown mcp_oauth_stores/linear/store_json.tokens.access_token ",
		"unknown unknown secret_store_entries/team/BRAVE/value ",
		"dead unknown secret_store_entries/team/DEAD_TOKEN/value deleted on 2026-04-12, still in the database",
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, f := range found {
		switch f.Kind {
		case "anthropic.api_key":
			if f.LastUsed.IsZero() {
				t.Error("nobody says when the profile was last used")
			}
		case "aws.access_key":
			if f.Secret.Reveal("secret_access_key") != aws || f.Secret.Reveal("access_key_id") != akid {
				t.Error("the halves of the access key were not put together")
			}
		}
	}
	if n := len(summary.Problems); n != 1 || !strings.Contains(summary.Problems[0].Reason, "plugin_state_entries was not understood, and may hold secrets in access_token") {
		t.Errorf("problems %+v", summary.Problems)
	}
	shown, _ := json.Marshal(found)
	all, _ := json.Marshal(summary)
	for _, v := range []string{key, access, refresh, stored, gone, aws, device, boot, vapid, mcp} {
		if strings.Contains(string(shown)+string(all), v[:8]) {
			t.Error("a secret is shown")
		}
	}
}

// read reads one database as the search would.
func read(t testing.TB, ctx context.Context, file string) (rows []discover.Row, problems []string) {
	t.Helper()
	root, err := os.OpenRoot(filepath.Dir(file))
	must(t, err)
	defer root.Close()
	problems = readRoot(ctx, root, path.Base(file), func(r discover.Row) { rows = append(rows, r) })
	return rows, problems
}

func readWith(t testing.TB, file string, row func(discover.Row)) {
	t.Helper()
	root, err := os.OpenRoot(filepath.Dir(file))
	must(t, err)
	defer root.Close()
	readRoot(t.Context(), root, path.Base(file), row)
}

func readRoot(ctx context.Context, root *os.Root, name string, row func(discover.Row)) []string {
	return sqlite.Read(ctx, root, name, discover.Tables(), row)
}
