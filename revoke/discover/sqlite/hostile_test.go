package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"clawback/forensics/agents/openclaw"
	"clawback/revoke/discover"
)

// small is a database of a few pages: a table, a row in the file and one in the log.
func small(t testing.TB, file, first, second string) {
	t.Helper()
	write(t, file,
		`CREATE TABLE device_auth_tokens(device_id TEXT, role TEXT, token TEXT, PRIMARY KEY(device_id, role))`,
		`CREATE TABLE auth_profile_store(store_key TEXT PRIMARY KEY, store_json TEXT)`,
		`INSERT INTO device_auth_tokens VALUES('a', 'operator', '`+first+`')`, "",
		`INSERT INTO device_auth_tokens VALUES('b', 'node', '`+second+`')`,
		`INSERT INTO auth_profile_store VALUES('primary', '{"profiles":{}}')`)
}

func tokens(rows []discover.Row) (out []string) {
	for _, r := range rows {
		if r.Table == "device_auth_tokens" {
			out = append(out, r.Cells["token"])
		}
	}
	return out
}

// Nothing of the original changes, and nothing of the copy stays.
func TestNothingIsLeft(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	file := filepath.Join(t.TempDir(), "x.sqlite")
	a, b := secret(), secret()
	small(t, file, a, b)
	must(t, os.WriteFile(file+"-shm", bytes.Repeat([]byte{0xff}, 32<<10), 0o600)) // the host's word for what the log holds
	before := contents(t, filepath.Dir(file))
	during := 0
	root, err := os.OpenRoot(filepath.Dir(file))
	must(t, err)
	defer root.Close()
	rows, problems := read(t, t.Context(), file)
	if !slices.Equal(tokens(rows), []string{a, b}) || len(problems) > 0 {
		t.Errorf("%d tokens, problems %q", len(tokens(rows)), problems)
	}
	if after := contents(t, filepath.Dir(file)); !slices.Equal(before, after) {
		t.Errorf("before %q, after %q", before, after)
	}
	if left, _ := os.ReadDir(temp); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
	// While it is read, nobody else may look into the copy.
	readWith(t, file, func(discover.Row) {
		dirs, _ := filepath.Glob(filepath.Join(temp, "*"))
		for _, d := range dirs {
			info, err := os.Stat(d)
			must(t, err)
			if during++; info.Mode().Perm() != 0o700 {
				t.Errorf("the copy's folder has mode %v", info.Mode())
			}
		}
	})
	if during == 0 {
		t.Error("no folder was seen")
	}
}

func contents(t testing.TB, dir string) (out []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		must(t, err)
		out = append(out, fmt.Sprintf("%s %x", e.Name(), data[:min(len(data), 8<<10)]))
	}
	return out
}

// A database that its gateway holds locked, in the middle of a change, is read all the same.
func TestLockedByAWriter(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.sqlite")
	a, b := secret(), secret()
	small(t, file, a, b)
	db, err := sql.Open("sqlite", "file:"+file+"?_txlock=exclusive")
	must(t, err)
	defer db.Close()
	tx, err := db.Begin()
	must(t, err)
	defer func() { _ = tx.Rollback() }()
	_, err = tx.Exec("DELETE FROM device_auth_tokens")
	must(t, err)
	rows, problems := read(t, t.Context(), file)
	if !slices.Equal(tokens(rows), []string{a, b}) || len(problems) > 0 {
		t.Errorf("%d tokens, problems %q", len(tokens(rows)), problems)
	}
}

// A rollback journal can name a file that SQLite deletes when it plays the journal back. It is
// left alone, and said to be there.
func TestRollbackJournal(t *testing.T) {
	dir := t.TempDir()
	file, victim := filepath.Join(dir, "x.sqlite"), filepath.Join(dir, "victim")
	db, err := sql.Open("sqlite", "file:"+file)
	must(t, err)
	a := secret()
	for _, s := range []string{"CREATE TABLE device_auth_tokens(device_id TEXT PRIMARY KEY, token TEXT)", "INSERT INTO device_auth_tokens VALUES('a', '" + a + "')"} {
		_, err := db.Exec(s)
		must(t, err)
	}
	must(t, db.Close())
	must(t, os.WriteFile(victim, []byte("x-journal\x00"), 0o600))
	journal := append([]byte{0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7}, make([]byte, 504)...)
	binary.BigEndian.PutUint32(journal[16:], 2)
	binary.BigEndian.PutUint32(journal[20:], 512)
	binary.BigEndian.PutUint32(journal[24:], 4096)
	sum := uint32(0)
	for _, c := range []byte(victim) {
		sum += uint32(c)
	}
	journal = binary.BigEndian.AppendUint32(journal, 1<<30/4096+1)
	journal = append(journal, victim...)
	journal = binary.BigEndian.AppendUint32(journal, uint32(len(victim)))
	journal = binary.BigEndian.AppendUint32(journal, sum)
	journal = append(journal, journal[:8]...)
	must(t, os.WriteFile(file+"-journal", journal, 0o600))
	rows, problems := read(t, t.Context(), file)
	if !slices.Equal(tokens(rows), []string{a}) || len(problems) != 1 || !strings.Contains(problems[0], "rollback journal") {
		t.Errorf("%d tokens, problems %q", len(tokens(rows)), problems)
	}
	if _, err := os.Stat(victim); err != nil {
		t.Error(err)
	}
}

// What the schema says is not believed and not run.
func TestHostileSchema(t *testing.T) {
	a := secret()
	long := strings.Repeat("x", 5<<20)
	for name, c := range map[string]struct {
		statements []string
		tokens     int
		problem    string
	}{
		"a view in a table's place": {[]string{
			"CREATE TABLE t(x)", "CREATE VIEW device_auth_tokens AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT i AS device_id, 'x' AS role, i AS token FROM n"}, 0, ""},
		"a virtual table": {[]string{"CREATE VIRTUAL TABLE device_auth_tokens USING fts5(token)", "INSERT INTO device_auth_tokens VALUES('x')"}, 0, "fts5"},
		"a generated column": {[]string{
			"CREATE TABLE device_auth_tokens(device_id TEXT, token TEXT AS (upper(device_id)) VIRTUAL)", "INSERT INTO device_auth_tokens(device_id) VALUES('a')"}, 1, "no column token"},
		"an index on an expression": {[]string{
			"CREATE TABLE device_auth_tokens(device_id TEXT, token TEXT)", "CREATE INDEX i ON device_auth_tokens(abs(length(token)))", "INSERT INTO device_auth_tokens VALUES('a', '" + a + "')"}, 1, ""},
		"a trigger": {[]string{
			"CREATE TABLE device_auth_tokens(device_id TEXT, token TEXT)", "INSERT INTO device_auth_tokens VALUES('a', '" + a + "')",
			"CREATE TRIGGER d BEFORE DELETE ON device_auth_tokens BEGIN SELECT load_extension('/tmp/x'); END"}, 1, ""},
		"wrong types": {[]string{
			"CREATE TABLE device_auth_tokens(device_id INTEGER, token TIMESTAMP)", "INSERT INTO device_auth_tokens VALUES(x'ff00', '" + a + "'), (NULL, NULL), (1.5, 12345678901), ('b', x'" + fmt.Sprintf("%x", a) + "')"}, 4, ""},
		"a huge value": {[]string{
			"CREATE TABLE device_auth_tokens(device_id TEXT, token TEXT)", "INSERT INTO device_auth_tokens VALUES('a', '" + long + "'), ('b', '" + a + "')"}, 2, "longer than"},
		"another column": {[]string{
			"CREATE TABLE device_auth_tokens(device_id TEXT, sealed TEXT)", "INSERT INTO device_auth_tokens VALUES('a', 'x')"}, 1, "no column token"},
		"one more column": {[]string{
			"CREATE TABLE device_auth_tokens(device_id TEXT, token TEXT, refresh_token TEXT)", "INSERT INTO device_auth_tokens VALUES('a', '" + a + "', '" + a + "')"}, 1, "may hold secrets in refresh_token"},
		"a broken entry": {[]string{
			"CREATE TABLE device_auth_tokens(device_id TEXT, token TEXT)", "INSERT INTO device_auth_tokens VALUES('a', '" + a + "')", "CREATE TABLE zz(x)",
			"PRAGMA writable_schema=ON", "UPDATE sqlite_master SET sql='CREATE TABLE zz(' WHERE name='zz'"}, 1, "table zz was"},
		"a name that is SQL": {[]string{
			`CREATE TABLE "a"";DROP TABLE x;--"(token TEXT)`, `INSERT INTO "a"";DROP TABLE x;--" VALUES('` + a + `')`}, 0, `may hold secrets in token`},
		"upper case": {[]string{"CREATE TABLE Device_Auth_Tokens(device_id TEXT, token TEXT)", "INSERT INTO device_auth_tokens VALUES('a', '" + a + "')"}, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "x.sqlite")
			write(t, file, c.statements...)
			rows, problems := read(t, t.Context(), file)
			if len(tokens(rows)) != c.tokens {
				t.Errorf("%d rows, want %d; problems %q", len(tokens(rows)), c.tokens, problems)
			}
			all := strings.Join(problems, "\n")
			if c.problem == "" && all != "" || !strings.Contains(all, c.problem) && c.problem != "fts5" {
				t.Errorf("problems %q, want %q", problems, c.problem)
			}
			if strings.Contains(all, a[:8]) {
				t.Error("a problem shows a secret")
			}
		})
	}
}

// No flipped byte stops the search or the program, and what it makes unreadable is said.
func TestEveryFlippedByte(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "x.sqlite")
	a, b := secret(), secret()
	small(t, file, a, b)
	for _, name := range []string{file, file + "-wal"} {
		whole, err := os.ReadFile(name)
		must(t, err)
		said, read2 := 0, 0
		step := max(1, len(whole)/150)
		for at := 0; at < len(whole); at += step {
			if at > 300 && at%4096 > 300 && whole[at] == 0 {
				continue // the free middle of a page
			}
			broken := bytes.Clone(whole)
			broken[at] ^= 0xff
			must(t, os.WriteFile(name, broken, 0o600))
			rows, problems := read(t, t.Context(), file)
			if len(problems) > 0 {
				said++
			}
			if slices.Contains(tokens(rows), a) {
				read2++
			}
		}
		must(t, os.WriteFile(name, whole, 0o600))
		if said < 2 || read2 < 5 {
			t.Errorf("%s: problems said %d times, the first token read %d times", filepath.Ext(name), said, read2)
		}
		t.Logf("%s: problems said %d times, first token read %d times", filepath.Ext(name), said, read2)
	}
	for _, size := range []int64{0, 1, 99, 100, 4095, 4097} {
		must(t, os.Truncate(file, size))
		read(t, t.Context(), file)
	}
}

// Links and special files are what they are in every other search.
func TestNoDatabase(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, state, "state"), 0o700))
	must(t, os.MkdirAll(filepath.Join(dir, state, "agents/a/agent"), 0o700))
	must(t, os.MkdirAll(filepath.Join(dir, state, "agents/b/agent/openclaw-agent.sqlite"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, state, "state/openclaw.sqlite"), bytes.Repeat([]byte("no database "), 1000), 0o600))
	must(t, os.Symlink("/etc/passwd", filepath.Join(dir, state, "agents/a/agent/openclaw-agent.sqlite")))
	_, summary := search(t, dir)
	for _, want := range []string{"not a database", "regular"} {
		if !slices.ContainsFunc(summary.Problems, func(p openclaw.Problem) bool { return strings.Contains(strings.ToLower(p.Reason), want) }) {
			t.Errorf("no problem says %q: %+v", want, summary.Problems)
		}
	}
}

func TestContextEndsIt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.sqlite")
	write(t, file, "CREATE TABLE transcript_events(session_id TEXT, seq INTEGER, event_json TEXT, PRIMARY KEY(session_id, seq))",
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 20000) INSERT INTO transcript_events SELECT 's', i, '{}' FROM n")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	root, err := os.OpenRoot(filepath.Dir(file))
	must(t, err)
	defer root.Close()
	n := 0
	problems := readRoot(ctx, root, "x.sqlite", func(discover.Row) {
		if n++; n == 10 {
			cancel()
		}
	})
	if n > 12 || len(problems) == 0 || !strings.Contains(problems[0], "row 1") {
		t.Errorf("%d rows, problems %q", n, problems)
	}
	n = 0
	start := time.Now()
	rows, problems := read(t, t.Context(), file)
	if len(rows) != 20000 || len(problems) > 0 {
		t.Errorf("%d rows, problems %q", len(rows), problems)
	}
	t.Logf("20000 entries of transcripts in %v", time.Since(start))
}

// FuzzRead writes random bytes over a sound database.
func FuzzRead(f *testing.F) {
	dir := f.TempDir()
	file := filepath.Join(dir, "x.sqlite")
	small(f, file, secret(), secret())
	db, err := os.ReadFile(file)
	must(f, err)
	wal, err := os.ReadFile(file + "-wal")
	must(f, err)
	f.Add(uint16(100), []byte{13, 0, 0, 0, 2})
	f.Add(uint16(4096), []byte{5, 0, 1, 0xff})
	f.Add(uint16(32768), []byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, at uint16, patch []byte) {
		dir := t.TempDir()
		db, wal := bytes.Clone(db), bytes.Clone(wal)
		if at < 32768 {
			copy(db[int(at)%len(db):], patch)
		} else {
			copy(wal[int(at-32768)%len(wal):], patch)
		}
		must(t, os.WriteFile(filepath.Join(dir, "x.sqlite"), db, 0o600))
		must(t, os.WriteFile(filepath.Join(dir, "x.sqlite-wal"), wal, 0o600))
		rows, problems := read(t, t.Context(), filepath.Join(dir, "x.sqlite"))
		if _, err := json.Marshal(problems); err != nil || len(rows) > 1_000_000 {
			t.Fatal(err)
		}
	})
}
