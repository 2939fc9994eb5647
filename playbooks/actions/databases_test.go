package actions

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"clawback/forensics/agents/openclaw"
	"clawback/forensics/incident"
	"clawback/playbooks"
	"clawback/revoke/credential"
	"clawback/revoke/discover"
	"clawback/snapshots"
)

const databaseName = "home/u/.openclaw/agents/my agent/agent/openclaw-agent.sqlite"

// database makes a database with one key, which stands in its log alone.
func database(t *testing.T, value string, more ...string) (file, log string) {
	t.Helper()
	at := filepath.Join(t.TempDir(), "db")
	db, err := sql.Open("sqlite", "file:"+at)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, s := range append([]string{
		"PRAGMA journal_mode=WAL", "CREATE TABLE auth_profile_store(store_key TEXT PRIMARY KEY, store_json TEXT)", "PRAGMA wal_checkpoint(TRUNCATE)",
		`INSERT INTO auth_profile_store VALUES('primary', '{"profiles":{"anthropic:default":{"type":"api_key","provider":"anthropic","key":"` + value + `"}}}')`,
	}, more...) {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(at)
	wal, err2 := os.ReadFile(at + "-wal")
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	return string(data), string(wal)
}

// withDatabase is a remote host whose search left a database to the desk.
func withDatabase(t *testing.T, value string) *machine {
	file, log := database(t, value)
	return &machine{
		discover: func(_ context.Context, found func(discover.Found)) (discover.Summary, error) {
			found(discover.Found{Provider: "toy", Kind: "toy.key", Secret: credential.Value("elsewhere-" + value), Source: credential.Source{Path: ".env", Line: 1}})
			s := discover.Summary{Files: 1, Found: 1, Deferred: []string{databaseName}}
			s.Problems = append(s.Problems, openclaw.Problem{Path: databaseName, Reason: "a database that may hold credentials: not searched here"})
			return s, nil
		},
		capture: func(_ context.Context, _ string, sink snapshots.Sink) (snapshots.Captured, error) {
			return snapshots.Captured{Files: 2}, errors.Join(whole(sink, databaseName, file), whole(sink, databaseName+"-wal", log))
		},
	}
}

// What stands in a database alone is found, whichever of search and capture ends last.
func TestDatabasesAreReadFromTheEvidence(t *testing.T) {
	for name, uses := range map[string][]string{
		"the capture ends last": {"agent.freeze", "credentials.discover", "evidence.capture files"},
		"the search ends last":  {"agent.freeze", "evidence.capture files", "credentials.discover"},
		"after the revocation":  {"agent.freeze", "credentials.discover", "credentials.revoke", "evidence.capture files"},
	} {
		t.Run(name, func(t *testing.T) {
			value := "k" + strings.Repeat("x7", 20)
			s := play(t, newResponse(t, withDatabase(t, value)), uses...)
			want(t, s, "discover", incident.Done, "")
			want(t, s, "files", incident.Done, "")
			at := slices.IndexFunc(s.Credentials, func(c *incident.Credential) bool { return c.Kind == "anthropic.api_key" })
			if len(s.Credentials) != 2 || at < 0 {
				t.Fatalf("found %+v", s.Credentials)
			}
			if got := s.Credentials[at].Sources[0].String(); got != databaseName+" (auth_profile_store/primary/store_json.profiles.anthropic:default.key)" {
				t.Errorf("found at %s", got)
			}
			if len(s.Searched.Problems) > 0 || s.Searched.Files != 2 {
				t.Errorf("searched %+v", s.Searched)
			}
		})
	}
}

// Transcripts in a database are searched too, and what the configuration takes from the agent's own
// store is one credential there and in the store. All places are named as on the host.
func TestTranscriptsAndReferencesInTheEvidence(t *testing.T) {
	shown, bot := "ghp_"+hexadecimal(36), hexadecimal(40)
	file, log := database(t, hexadecimal(40),
		`CREATE TABLE transcript_events(session_id TEXT, seq INTEGER, event_json TEXT, created_at INTEGER, PRIMARY KEY(session_id, seq))`,
		`INSERT INTO transcript_events VALUES('s', 1, '{"type":"message","message":{"role":"toolResult","content":"git push https://x:`+shown+`@github.com/a/b"}}', 0)`,
		`CREATE TABLE secret_store_entries(scope_kind TEXT, scope_id TEXT, name TEXT, value TEXT, kind TEXT, deleted_at_ms INTEGER)`,
		`INSERT INTO secret_store_entries VALUES('team', '', 'CHAT', '`+bot+`', 'secret', NULL)`)
	const state = "home/a user/.openclaw/"
	host := withDatabase(t, "x")
	host.discover = func(context.Context, func(discover.Found)) (discover.Summary, error) {
		return discover.Summary{Files: 1, Deferred: []string{state + "state/openclaw.sqlite"}}, nil
	}
	host.capture = func(_ context.Context, _ string, sink snapshots.Sink) (snapshots.Captured, error) {
		return snapshots.Captured{Files: 3}, errors.Join(whole(sink, state+"state/openclaw.sqlite", file), whole(sink, state+"state/openclaw.sqlite-wal", log),
			whole(sink, state+"openclaw.json", `{channels:{slack:{botToken:{source:"store",provider:"default",id:"CHAT"}}}}`))
	}
	s := play(t, newResponse(t, host), "agent.freeze", "credentials.discover", "evidence.capture files")
	got := map[string][]string{}
	for _, c := range s.Credentials {
		for _, at := range c.Sources {
			got[c.Provider+" "+c.Kind] = append(got[c.Provider+" "+c.Kind], at.String()+" "+at.Note)
		}
	}
	db := state + "state/openclaw.sqlite"
	for kind, want := range map[string][]string{
		"github github.pat": {db + " (transcript_events/s/1) shown to the model, looks like github-pat"},
		"slack slack.bot": {state + "openclaw.json:1 (channels.slack.botToken) from " + db + " (secret_store_entries/row 1/value)",
			db + " (secret_store_entries/row 1/value) "},
	} {
		if !slices.Equal(got[kind], want) {
			t.Errorf("%s at %q, want %q", kind, got[kind], want)
		}
	}
	if len(s.Credentials) != 3 {
		t.Errorf("found %q", got)
	}
}

// hexadecimal makes a random text of n digits.
func hexadecimal(n int) string {
	raw := make([]byte, n)
	_, _ = rand.Read(raw)
	return hex.EncodeToString(raw)[:n]
}

// Nobody is told that everything was searched while a database was not.
func TestDatabasesThatAreNotRead(t *testing.T) {
	lost := withDatabase(t, "x")
	lost.capture = func(context.Context, string, snapshots.Sink) (snapshots.Captured, error) {
		return snapshots.Captured{}, errBroken
	}
	other := withDatabase(t, "x")
	other.capture = nil
	torn := withDatabase(t, "x")
	file, _ := database(t, "x")
	torn.capture = func(_ context.Context, _ string, sink snapshots.Sink) (snapshots.Captured, error) {
		if err := begun(sink, databaseName, file); err != nil {
			return snapshots.Captured{}, err
		}
		return snapshots.Captured{Files: 1}, sink.End(snapshots.File{Path: databaseName, Verdict: snapshots.Grew})
	}
	for name, c := range map[string]struct {
		host   *machine
		uses   []string
		says   string
		status string
	}{
		"the capture is lost":   {lost, []string{"agent.freeze", "credentials.discover", "evidence.capture files"}, unreadDatabase, incident.Done},
		"it was lost before":    {lost, []string{"agent.freeze", "evidence.capture files", "credentials.discover"}, "not searched here", incident.Failed},
		"nothing is captured":   {other, []string{"agent.freeze", "credentials.discover"}, "not searched here", incident.Failed},
		"it was not captured":   {other, []string{"agent.freeze", "credentials.discover", "evidence.capture files"}, unreadDatabase, incident.Done},
		"it was captured half":  {torn, []string{"agent.freeze", "credentials.discover", "evidence.capture files"}, "may be torn", incident.Done},
		"half, the search last": {torn, []string{"agent.freeze", "evidence.capture files", "credentials.discover"}, "may be torn", incident.Done},
	} {
		t.Run(name, func(t *testing.T) {
			s := play(t, newResponse(t, c.host), c.uses...)
			want(t, s, "discover", c.status, "")
			if s.Searched == nil || len(s.Searched.Problems) == 0 || !strings.Contains(strings.Join(s.Searched.Problems, "\n"), c.says) {
				t.Errorf("searched %+v, want %q", s.Searched, c.says)
			}
			if s.ExitCode() == incident.ExitContained {
				t.Error("it reads as if all had been searched")
			}
		})
	}
}

// A run that died between the search and its databases is made up for by the next one.
func TestUnreadDatabasesAreSearchedAgain(t *testing.T) {
	r := newResponse(t, &machine{})
	r.Actions()
	for problem, again := range map[string]bool{databaseName + ": " + unreadDatabase: true, databaseName + ": its schema is broken": false} {
		r.Before = &Before{State: incident.State{Searched: &incident.Searched{Problems: []string{problem}}}}
		if r.forgotten(playbooks.Step{}) != again {
			t.Errorf("%q: searched again is %v", problem, !again)
		}
	}
}
