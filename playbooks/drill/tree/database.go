package tree

import (
	"database/sql"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	_ "modernc.org/sqlite" // the driver

	"clawback/revoke/credential"
)

// row is one row to insert.
type row struct {
	table  string
	values []any
}

func (b *builder) insert(database, table string, values ...any) {
	b.rows[database] = append(b.rows[database], row{table, values})
}

// The tables of interest, as the agent makes them.
// Source: https://github.com/openclaw/openclaw, src/state.
var schemas = map[string][]string{
	"openclaw-agent.sqlite": {
		`CREATE TABLE schema_meta(meta_key TEXT NOT NULL PRIMARY KEY, role TEXT NOT NULL, schema_version INTEGER NOT NULL)`,
		`CREATE TABLE cache_entries(scope TEXT NOT NULL, key TEXT NOT NULL, value_json TEXT, blob BLOB, expires_at INTEGER, PRIMARY KEY(scope, key))`,
		`CREATE TABLE auth_profile_store(store_key TEXT NOT NULL PRIMARY KEY, store_json TEXT NOT NULL, updated_at INTEGER NOT NULL)`,
		`CREATE TABLE auth_profile_state(state_key TEXT NOT NULL PRIMARY KEY, state_json TEXT NOT NULL, updated_at INTEGER NOT NULL)`,
		`CREATE TABLE transcript_events(session_id TEXT NOT NULL, seq INTEGER NOT NULL, event_json TEXT NOT NULL, created_at INTEGER NOT NULL, PRIMARY KEY(session_id, seq)) STRICT`,
	},
	"openclaw.sqlite": {
		`CREATE TABLE schema_meta(meta_key TEXT NOT NULL PRIMARY KEY, role TEXT NOT NULL, schema_version INTEGER NOT NULL) STRICT`,
		`CREATE TABLE config_machine_state(state_key TEXT NOT NULL PRIMARY KEY, value_json TEXT NOT NULL, updated_at_ms INTEGER NOT NULL) STRICT`,
		`CREATE TABLE device_pairing_paired(device_id TEXT NOT NULL PRIMARY KEY, public_key TEXT NOT NULL, role TEXT, remote_ip TEXT, tokens_json TEXT, created_at_ms INTEGER NOT NULL, approved_at_ms INTEGER NOT NULL) STRICT`,
		`CREATE TABLE device_bootstrap_tokens(token_key TEXT NOT NULL PRIMARY KEY, token TEXT NOT NULL, ts INTEGER NOT NULL, issued_at_ms INTEGER NOT NULL) STRICT`,
		`CREATE TABLE device_identities(identity_key TEXT NOT NULL PRIMARY KEY, device_id TEXT NOT NULL, public_key_pem TEXT NOT NULL, private_key_pem TEXT NOT NULL) STRICT`,
		`CREATE TABLE device_auth_tokens(device_id TEXT NOT NULL, role TEXT NOT NULL, token TEXT NOT NULL, scopes_json TEXT NOT NULL, updated_at_ms INTEGER NOT NULL, PRIMARY KEY(device_id, role)) STRICT`,
		`CREATE TABLE node_host_config(config_key TEXT NOT NULL PRIMARY KEY, version INTEGER NOT NULL, node_id TEXT NOT NULL, token TEXT) STRICT`,
		`CREATE TABLE web_push_vapid_keys(key_id TEXT NOT NULL PRIMARY KEY, public_key TEXT NOT NULL, private_key TEXT NOT NULL) STRICT`,
		`CREATE TABLE mcp_oauth_stores(store_key TEXT NOT NULL PRIMARY KEY, format_version INTEGER NOT NULL, store_json TEXT NOT NULL, updated_at INTEGER NOT NULL) STRICT`,
		`CREATE TABLE secret_store_entries(scope_kind TEXT NOT NULL, scope_id TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, kind TEXT NOT NULL,
			created_at_ms INTEGER NOT NULL, updated_at_ms INTEGER NOT NULL, updated_by TEXT, deleted_at_ms INTEGER, PRIMARY KEY(scope_kind, scope_id, name)) STRICT`,
		`CREATE INDEX secret_store_entries_live_idx ON secret_store_entries(scope_kind, scope_id, name) WHERE deleted_at_ms IS NULL`,
		`CREATE TABLE audit_events(id INTEGER PRIMARY KEY, kind TEXT, detail_json TEXT)`,
	},
}

// fillDatabases moves into the databases what generation A keeps in files, and adds what only they hold.
func (b *builder) fillDatabases() {
	const profiles = StateDir + "/agents/main/agent/auth-profiles.json"
	b.insert(agentDatabase, "auth_profile_store", "primary", b.files[profiles], day.UnixMilli())
	b.move(profiles, agentDatabase, func(s *credential.Source) { s.Locator = "auth_profile_store/primary/store_json." + s.Locator })
	const used = StateDir + "/agents/main/agent/auth-state.json"
	b.insert(agentDatabase, "auth_profile_state", "primary", b.files[used], day.UnixMilli())
	delete(b.files, used)
	b.insert(agentDatabase, "cache_entries", "models", "list", `{"models":["a"]}`, []byte{0, 1, 2}, 0)
	if b.opts.Generation == "C" {
		name := b.story.Transcript
		for i, line := range strings.Split(strings.TrimSpace(b.files[name]), "\n") {
			b.insert(agentDatabase, "transcript_events", b.story.Session, i+1, line, day.UnixMilli())
		}
		b.move(name, agentDatabase, func(s *credential.Source) {
			s.Locator = fmt.Sprintf("transcript_events/%s/%d", b.story.Session, s.Line)
		})
		b.files[StateDir+"/agents/main/sessions/session-sqlite-import-archive/index.json"] = "{}\n"
	}
	b.ownSecrets()
}

// move takes a file away whose content a database has now.
func (b *builder) move(file, database string, at func(*credential.Source)) {
	delete(b.files, file)
	moved := func(s *credential.Source) {
		if s.Path == file {
			at(s)
			s.Path, s.Line = database, 0
		}
	}
	for _, sources := range b.sources {
		for i := range sources {
			moved(&sources[i])
		}
	}
	for i := range b.unlisted {
		moved(&b.unlisted[i].Source)
	}
}

// ownSecrets are what the gateway and its devices prove themselves with.
func (b *builder) ownSecrets() {
	device := hex(b.rng, 16)
	tokens := map[string]any{}
	for _, role := range []string{"operator", "node"}[:1+b.rng.IntN(2)] {
		token := b.random("device_pairing_paired/"+device+"/tokens_json."+role+".token", "openclaw", "openclaw.paired")
		tokens[role] = map[string]any{"token": token, "role": role, "scopes": []string{"operator.admin"}, "createdAtMs": day.UnixMilli()}
	}
	b.insert(stateDatabase, "device_pairing_paired", device, hex(b.rng, 64), "operator", "203.0.113.9", quote(tokens), day.UnixMilli(), day.UnixMilli())
	b.insert(stateDatabase, "device_auth_tokens", device, "operator", b.random("device_auth_tokens/"+device+"/operator/token", "openclaw", "openclaw.device"), "[]", day.UnixMilli())
	boot := b.random("device_bootstrap_tokens/row 1/token", "openclaw", "openclaw.paired") // its key is the token itself
	b.insert(stateDatabase, "device_bootstrap_tokens", boot, boot, day.UnixMilli(), day.UnixMilli())
	b.insert(stateDatabase, "device_identities", "primary", device, "-----BEGIN PUBLIC KEY-----\n"+hex(b.rng, 64)+"\n-----END PUBLIC KEY-----\n",
		b.randomOf("device_identities/primary/private_key_pem", "openclaw", "openclaw.device", func(s string) string {
			return "-----BEGIN PRIVATE KEY-----\n" + s + "\n-----END PRIVATE KEY-----\n"
		}))
	mcp := b.random("mcp_oauth_stores/linear/store_json.tokens.access_token", "unknown", "unknown")
	b.insert(stateDatabase, "mcp_oauth_stores", "linear", 1, quote(map[string]any{"tokens": map[string]any{"access_token": mcp, "token_type": "bearer"}, "redirectUrl": "http://127.0.0.1:8989/oauth/callback"}), day.UnixMilli())
	if b.rng.IntN(2) == 0 {
		b.insert(stateDatabase, "node_host_config", "current", 1, "node-1", b.random("node_host_config/current/token", "openclaw", "openclaw.device"))
		b.insert(stateDatabase, "web_push_vapid_keys", "default", hex(b.rng, 64), b.random("web_push_vapid_keys/default/private_key", "openclaw", "unknown"))
	} else { // later schemas fold the small tables into one
		b.insert(stateDatabase, "config_machine_state", "nodeHost.config", quote(map[string]any{"version": 1, "nodeId": "node-1",
			"token": b.random(`config_machine_state/["nodeHost.config"]/value_json.token`, "openclaw", "openclaw.device")}), day.UnixMilli())
		b.insert(stateDatabase, "config_machine_state", "webPush.vapidKeys", quote(map[string]any{"publicKey": hex(b.rng, 64),
			"privateKey": b.random(`config_machine_state/["webPush.vapidKeys"]/value_json.privateKey`, "openclaw", "unknown")}), day.UnixMilli())
	}
	b.insert(stateDatabase, "schema_meta", "primary", "state", 11)
	b.insert(stateDatabase, "audit_events", 1, "config.write", `{"path":"openclaw.json"}`)
}

// random makes a secret of the agent's own and takes down where it stands.
func (b *builder) random(locator, provider, kind string) string {
	return b.randomOf(locator, provider, kind, func(s string) string { return s })
}

func (b *builder) randomOf(locator, provider, kind string, form func(string) string) string {
	value := form(b.letters(43))
	b.unlisted = append(b.unlisted, Place{
		Credential: credential.Credential{Provider: provider, Kind: kind, Secret: credential.Value(value)},
		Source:     credential.Source{Path: stateDatabase, Locator: locator},
	})
	return value
}

// letters makes a word of n letters and digits.
func (b *builder) letters(n int) string {
	const all = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	var s strings.Builder
	for range n {
		s.WriteByte(all[b.rng.IntN(len(all))])
	}
	return s.String()
}

// writeDatabases makes the databases, as their gateway leaves them when it is frozen: a part of the
// rows stands in the write-ahead log alone.
func (b *builder) writeDatabases(dir string) error {
	for _, name := range slices.Sorted(maps.Keys(b.rows)) {
		at := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
			return err
		}
		if err := b.writeDatabase(at, b.rows[name]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (b *builder) writeDatabase(at string, rows []row) error {
	temp, err := os.MkdirTemp("", "clawback-tree-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	from := filepath.Join(temp, "db")
	db, err := sql.Open("sqlite", "file:"+from+"?_pragma=journal_mode(WAL)&_pragma=wal_autocheckpoint(0)&_pragma=synchronous(OFF)")
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	statements := slices.Clone(schemas[filepath.Base(at)])
	if b.rng.IntN(3) > 0 { // else all of it is in the log
		statements = append(statements, "PRAGMA wal_checkpoint(TRUNCATE)")
	}
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			return err
		}
	}
	folded := b.rng.IntN(len(rows) + 1)
	for i, r := range rows {
		if i == folded {
			if _, err := db.Exec("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
				return err
			}
		}
		marks := strings.TrimSuffix(strings.Repeat("?,", len(r.values)), ",")
		if _, err := db.Exec("INSERT INTO "+r.table+" VALUES("+marks+")", r.values...); err != nil {
			return err
		}
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		data, err := os.ReadFile(from + suffix)
		if err != nil {
			return err
		}
		if err := os.WriteFile(at+suffix, data, 0o600); err != nil {
			return err
		}
	}
	return nil
}
