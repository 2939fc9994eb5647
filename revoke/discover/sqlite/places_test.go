package sqlite_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"clawback/revoke/discover"
)

// Each place in a database is found in a real one, under its table, its row and its path.
func TestEachPlace(t *testing.T) {
	n := 0
	for _, p := range discover.Places() {
		if p.File != "*.sqlite" {
			continue
		}
		n++
		t.Run(p.Locator, func(t *testing.T) {
			value := secret()
			steps := strings.Split(p.Locator, ".")
			table, column, inside := steps[0], steps[2], steps[3:]
			for i := range inside {
				inside[i] = strings.ReplaceAll(inside[i], "*", "acme")
			}
			var cell any = value
			for _, step := range slices.Backward(inside) {
				cell = map[string]any{step: cell}
			}
			text := value
			if len(inside) > 0 {
				data, err := json.Marshal(cell)
				must(t, err)
				text = string(data)
			}
			dir := t.TempDir()
			write(t, filepath.Join(dir, state, "state/openclaw.sqlite"),
				fmt.Sprintf("CREATE TABLE %s(name TEXT PRIMARY KEY, %s TEXT)", table, column), "",
				fmt.Sprintf("INSERT INTO %s VALUES('ONE_TOKEN', '%s')", table, text))
			found, summary := search(t, dir)
			want := table + "/ONE_TOKEN/" + strings.Join(append([]string{column}, inside...), ".")
			if len(found) != 1 || found[0].Source.Locator != want || found[0].Secret.Reveal("value") != value || len(summary.Problems) > 0 {
				t.Errorf("found %d, problems %+v, want one at %s", len(found), summary.Problems, want)
				for _, f := range found {
					t.Log(show(f))
				}
			}
		})
	}
	if n != 29 { // a row that is lost is a credential that is lost
		t.Errorf("%d places", n)
	}
}

// What the agent's own documents call secret is in the table, whoever edits it.
func TestTablesThatTheAgentCallsSecret(t *testing.T) {
	for table, column := range map[string]string{
		"auth_profile_store": "store_json", "auth_profile_stores": "store_json", "config_machine_state": "value_json", "secret_store_entries": "value",
		"mcp_oauth_stores": "store_json", "device_pairing_paired": "tokens_json", "device_auth_tokens": "token", "gateway_origin_device_tokens": "token",
		"device_identities": "private_key_pem", "device_bootstrap_tokens": "token", "node_host_config": "token", "web_push_vapid_keys": "private_key",
		"transcript_events": "event_json", "auth_profile_state": "state_json", "exec_approvals_config": "raw_json", "node_pairing_paired": "token",
	} {
		if !slices.ContainsFunc(discover.Tables(), func(t discover.Table) bool { return t.Name == table && slices.Contains(t.Columns, column) }) {
			t.Errorf("nobody asks for %s.%s", table, column)
		}
	}
}

// The Google Cloud CLI's own databases are read where they lie.
func TestGoogleCloud(t *testing.T) {
	dir := t.TempDir()
	refresh, access := "1//0"+secret()+secret(), "ya29."+secret()+secret()
	must(t, os.MkdirAll(filepath.Join(dir, state), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, state, "openclaw.json"), []byte("{}"), 0o600))
	write(t, filepath.Join(dir, state, "../.config/gcloud/credentials.db"),
		`CREATE TABLE credentials(account_id TEXT PRIMARY KEY, value BLOB)`,
		`INSERT INTO credentials VALUES('me@b.example', `+text(map[string]string{"type": "authorized_user", "client_id": "c", "refresh_token": refresh})+`)`)
	write(t, filepath.Join(dir, state, "../.config/gcloud/access_tokens.db"),
		`CREATE TABLE access_tokens(account_id TEXT PRIMARY KEY, access_token TEXT, token_expiry TIMESTAMP, rapt_token TEXT, id_token TEXT)`, "",
		`INSERT INTO access_tokens VALUES('me@b.example', '`+access+`', '2099-01-02 03:04:05', NULL, NULL)`)
	found, summary := search(t, dir)
	if len(found) != 2 || len(summary.Problems) > 0 {
		t.Fatalf("%d finds, problems %+v", len(found), summary.Problems)
	}
	for _, f := range found {
		want, value := `google.refresh_token credentials/["me@b.example"]/value/refresh_token`, refresh
		if strings.HasSuffix(f.Source.Path, "access_tokens.db") {
			want, value = f.Kind+` access_tokens/["me@b.example"]/access_token`, access
			if f.Expires.Year() != 2099 {
				t.Errorf("expires %v", f.Expires)
			}
		}
		if got := f.Kind + " " + f.Source.Locator; got != want || f.Provider != "google" || f.Secret.Reveal("value") != value || f.Owner != "me@b.example" {
			t.Errorf("%s, of %q, want %s", got, f.Owner, want)
		}
	}
}
