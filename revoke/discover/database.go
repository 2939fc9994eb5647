package discover

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"clawback/forensics/agents/openclaw"
	"clawback/forensics/agents/openclaw/json5"
	"clawback/revoke/credential"
)

// databaseFile stands in the table for each of the agent's databases: tables move between them
// from version to version.
const databaseFile = "*.sqlite"

// databasePatterns are where the databases lie below the state directory, and copies of them.
// Source: https://docs.openclaw.ai/help/faq/where-things-live-on-disk
var databasePatterns = []string{"state/openclaw.sqlite*", "agents/*/agent/openclaw-agent.sqlite*", "agents/*/openclaw-agent.sqlite*"}

// databasePlaces is every column with a secret that we know, as table.row.column and, where the
// column holds JSON, the path in it. Source: the schemas at https://github.com/openclaw/openclaw,
// src/state, up to version 13 of the state database, and what its backups leave out as secret.
var databasePlaces = expand([]place{
	{databaseFile, "auth_profile_store{,s}.*.store_json.profiles.*.{key,token}", "", "", aSecret, ""},
	{databaseFile, "auth_profile_store{,s}.*.store_json.profiles.*.access", "", "unknown", aSecret, "value"},
	{databaseFile, "auth_profile_store{,s}.*.store_json.profiles.*.refresh", "", "unknown", aSecret, "refresh"},
	{databaseFile, "config_machine_state.*.value_json.profiles.*.{key,token}", "", "", aSecret, ""},
	{databaseFile, "config_machine_state.*.value_json.profiles.*.access", "", "unknown", aSecret, "value"},
	{databaseFile, "config_machine_state.*.value_json.profiles.*.refresh", "", "unknown", aSecret, "refresh"},
	{databaseFile, "config_machine_state.*.value_json.token", "openclaw", "openclaw.device", aSecret, ""}, // nodeHost.config
	{databaseFile, "config_machine_state.*.value_json.privateKey", "openclaw", "unknown", aSecret, ""},
	{databaseFile, "config_machine_state.*.value_json.gateway.cloudflareAccess.clientSecret", "cloudflare", "unknown", aSecret, ""},
	{databaseFile, "secret_store_entries.*.value", "", "", aVariable, ""},
	{databaseFile, "mcp_oauth_stores.*.store_json.tokens.access_token", "unknown", "unknown", aSecret, "value"},
	{databaseFile, "mcp_oauth_stores.*.store_json.tokens.refresh_token", "unknown", "unknown", aSecret, "refresh"},
	{databaseFile, "mcp_oauth_stores.*.store_json.clientInformation.client_secret", "unknown", "unknown", aSecret, ""},
	{databaseFile, "device_pairing_paired.*.tokens_json.*.token", "openclaw", "openclaw.paired", aSecret, ""},
	{databaseFile, "node_pairing_paired.*.token", "openclaw", "openclaw.paired", aSecret, ""},
	{databaseFile, "device_auth_tokens.*.token", "openclaw", "openclaw.device", aSecret, ""},
	{databaseFile, "gateway_origin_device_tokens.*.token", "openclaw", "openclaw.device", aSecret, ""},
	{databaseFile, "device_identities.*.private_key_pem", "openclaw", "openclaw.device", aSecret, ""},
	{databaseFile, "device_bootstrap_tokens.*.token", "openclaw", "openclaw.paired", aSecret, ""},
	{databaseFile, "node_host_config.*.token", "openclaw", "openclaw.device", aSecret, ""},
	{databaseFile, "node_host_config.*.gateway_cloudflare_access_json.clientSecret", "cloudflare", "unknown", aSecret, ""},
	{databaseFile, "web_push_vapid_keys.*.private_key", "openclaw", "unknown", aSecret, ""},
	{databaseFile, "exec_approvals_config.*.raw_json.socket.token", "openclaw", "unknown", aSecret, ""},
})

const (
	usageTable      = "auth_profile_state" // when a profile was last used
	storeTable      = "secret_store_entries"
	transcriptTable = "transcript_events"
)

// Table is a table that a search wants the rows of.
type Table struct {
	Name    string
	Columns []string // without which it is not understood
	Text    bool     // transcripts: no place for a secret, and shown to the model
}

// Row is one row of a Table. Its cells are text; what was NULL is not there.
type Row struct {
	Table  string
	Number int64  // of the row in its table
	Key    string // its primary key, the parts joined by "/"
	Cells  map[string]string
}

// DatabaseReader reads one database below root: it calls row for each row of those tables that
// exist, in their order, and returns what could not be read, and why. It changes nothing below root.
// Package clawback/revoke/discover/sqlite has the one that the desk uses.
type DatabaseReader func(ctx context.Context, root openclaw.Root, name string, tables []Table, row func(Row)) []string

// Tables are the tables that a search asks a database for.
func Tables() []Table { return tablesOf(databasePlaces) }

func tablesOf(rows []place) []Table {
	out := []Table{{Name: usageTable, Columns: []string{"state_json"}}}
	for _, p := range rows {
		if p.file != databaseFile {
			continue
		}
		steps := strings.Split(p.path, ".")
		i := slices.IndexFunc(out, func(t Table) bool { return t.Name == steps[0] })
		if i < 0 {
			i = len(out)
			out = append(out, Table{Name: steps[0]})
		}
		if !slices.Contains(out[i].Columns, steps[2]) {
			out[i].Columns = append(out[i].Columns, steps[2])
		}
	}
	return append(out, Table{Name: transcriptTable, Columns: []string{"event_json"}, Text: true})
}

// DatabaseFile reports whether the file at a path below a root can be one of the agent's databases,
// and in which state directory.
func DatabaseFile(name string) (stateDir string, ok bool) {
	parts := strings.Split(name, "/")
	for _, pattern := range databasePatterns {
		n := len(parts) - 1 - strings.Count(pattern, "/")
		if n < 0 || sidecar(name) {
			continue
		}
		if ok, _ := path.Match(pattern, strings.Join(parts[n:], "/")); ok {
			return path.Clean(strings.Join(parts[:n], "/")), true
		}
	}
	return "", false
}

// sidecar reports whether a file belongs to a database and is none.
func sidecar(name string) bool {
	return strings.HasSuffix(name, "-wal") || strings.HasSuffix(name, "-shm") || strings.HasSuffix(name, "-journal")
}

// searchDatabases searches the agent's databases or, on the host, says which there are: only the
// desk can read them, from the capture.
func (s *scan) searchDatabases() {
	for _, pattern := range databasePatterns {
		for _, name := range s.glob(s.agent.StateDir, pattern) {
			if _, err := openclaw.Resolve(s.root, name); err != nil || sidecar(name) {
				continue
			}
			at, ok := s.admit(name)
			switch {
			case !ok:
			case s.readDatabase == nil:
				s.summary.Deferred = append(s.summary.Deferred, name)
				s.note(openclaw.Problem{Path: name, Reason: "a database that may hold credentials: not searched here"})
			default:
				s.database(name, at)
			}
		}
	}
	s.storeRead()
}

// database is one that is being searched.
type database struct {
	*scan
	at, note string
	tables   []Table
	used     map[string]time.Time // profiles
	before   int                  // finds before it
	entries  []setting            // of the secret store
	full     bool
}

func (s *scan) database(name, at string) {
	defer func(quiet bool) { s.quiet = quiet }(s.quiet)
	s.quiet = false
	d := database{scan: s, at: at, tables: tablesOf(s.places), used: map[string]time.Time{}, before: s.summary.Found}
	if !strings.HasSuffix(at, ".sqlite") {
		d.note = "backup copy"
	}
	for _, problem := range s.readDatabase(s.ctx, s.root, at, d.tables, d.row) {
		s.note(openclaw.Problem{Path: name, Reason: problem})
	}
	s.agent.store.files = append(s.agent.store.files, settingsFile{at, d.entries})
	s.summary.Files++
	s.summary.Problems = slices.DeleteFunc(s.summary.Problems, func(p openclaw.Problem) bool {
		return p.Path == name && p.Reason == openclaw.UnsureGeneration // no matter: both forms are read
	})
}

// row takes in one row.
func (d *database) row(r Row) {
	if d.summary.Found-d.before+len(d.entries) >= maxPerFile && r.Table != transcriptTable {
		if !d.full {
			d.full = true
			d.scan.note(openclaw.Problem{Path: d.at, Reason: fmt.Sprintf("more than %d secrets in one database: the rest was left out", maxPerFile)})
		}
		return
	}
	switch {
	case r.Table == transcriptTable:
		d.hear(credential.Source{Path: d.at, Locator: d.locator(r), Note: join(d.note, shown)}, r.Cells["event_json"])
	case r.Table == usageTable:
		maps.Copy(d.used, usage([]byte(r.Cells["state_json"])))
	case r.Table == storeTable:
		d.entry(r)
	default:
		d.document(d.take(r), databaseFile, "", d.used)
	}
}

// entry takes in a row of the secret store. All of them are searched together: two may be the
// halves of one key.
func (d *database) entry(r Row) {
	found, identities := d.summary.Found, len(d.identities)
	if text := strings.TrimSpace(r.Cells["value"]); strings.HasPrefix(text, "{") {
		d.document(d.take(r), databaseFile, "", nil)
	}
	d.stored(r, d.identities[identities:])
	if d.summary.Found > found {
		return // what stands in it is known better than all of it would be
	}
	note := join(d.note, deleted(r))
	d.entries = append(d.entries, setting{
		section: r.Cells["scope_kind"] + "/" + r.Cells["scope_id"] + note, name: r.Cells["name"], value: r.Cells["value"],
		row: d.locator(r) + "/value", note: note, secret: r.Cells["kind"] != "env",
	})
}

// take makes a document of a row, each of whose paths is table, row, column and what stands there.
func (d *database) take(r Row) *document {
	doc := &document{at: d.at, row: d.locator(r) + "/", prefix: 2, note: join(d.note, deleted(r))}
	for _, column := range slices.Sorted(maps.Keys(r.Cells)) {
		at := []json5.Step{{Key: r.Table, Index: -1}, {Key: r.Key, Index: -1}, {Key: column, Index: -1}}
		text := r.Cells[column]
		if t := strings.TrimSpace(text); !strings.HasPrefix(t, "{") && !strings.HasPrefix(t, "[") {
			doc.leaves = append(doc.leaves, leaf{path: at, text: text, str: true})
			continue
		}
		d.parse(doc, fmt.Sprintf("%s (%s%s)", d.at, doc.row, column), []byte(text), at)
	}
	for i := range doc.leaves { // a row has no lines
		doc.leaves[i].line = 0
	}
	return doc
}

// locator names a row: table/key. A key that is a secret, or a part of one, is not shown.
func (d *database) locator(r Row) string {
	var key []string
	for part := range strings.SplitSeq(r.Key, "/") {
		if part != "" {
			key = append(key, locator([]json5.Step{{Key: part, Index: -1}}))
		}
	}
	if len(key) == 0 || len(key) > 4 || d.secretKey(r) {
		key = []string{fmt.Sprintf("row %d", r.Number)}
	}
	return r.Table + "/" + strings.Join(key, "/")
}

func (d *database) secretKey(r Row) bool {
	for _, t := range d.tables {
		if t.Name != r.Table || t.Text {
			continue
		}
		for _, column := range t.Columns {
			if v := r.Cells[column]; len(v) >= 6 && len(r.Key) >= 6 && (strings.Contains(v, r.Key) && !strings.HasPrefix(v, "{") || strings.Contains(r.Key, v)) {
				return true
			}
		}
	}
	return false
}

// deleted says of a row that the agent takes it for deleted: it stands there, and may be alive.
func deleted(r Row) string {
	if at := millis(r.Cells["deleted_at_ms"]); !at.IsZero() {
		return "deleted on " + at.Format(time.DateOnly) + ", still in the database"
	}
	return ""
}
