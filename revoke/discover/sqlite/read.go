// Package sqlite reads the agent's databases for package discover. It belongs to the desk: the
// program that runs on the suspect host never holds it.
//
// A database of a compromised host is hostile input to a large parser. It is opened as a private
// copy, its schema is never trusted, and nothing but plain columns of plain tables is selected: no
// view, trigger, virtual table, index or generated column of the file is ever evaluated.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"clawback/forensics/agents/openclaw"
	"clawback/revoke/discover"
)

// What one database may take.
const (
	maxTime       = 2 * time.Minute
	maxDatabase   = 2 << 30 // bytes, with its write-ahead log
	maxTables     = 2_000   // in the schema
	maxRows       = 200_000 // of one table
	maxTranscript = 5_000_000
	maxCell       = 4 << 20 // bytes of one value
	maxColumns    = 200     // of one table
	maxProblems   = 100
)

var _ discover.DatabaseReader = Read

// Read is the desk's discover.DatabaseReader. It reads the copy of a database at name below root,
// in which what stood in its write-ahead log is folded in, and gives up after two minutes. Rows come
// from another goroutine than the caller's, one at a time, and none after Read has returned.
func Read(ctx context.Context, root openclaw.Root, name string, tables []discover.Table, row func(discover.Row)) []string {
	ctx, cancel := context.WithTimeoutCause(ctx, maxTime, errors.New("the time for one database is up"))
	defer cancel()
	r := &reader{ctx: ctx, row: row}
	dir, err := os.MkdirTemp("", "clawback-database-") // 0700
	if err != nil {
		return []string{"not read: " + err.Error()}
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "copy.sqlite")
	if err := r.copy(root, name, file); err != nil {
		return append(r.problems, "not read: "+err.Error())
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The driver is C in Go's clothes: what a corrupt file makes it do must not end the program.
		defer func() {
			if recover() != nil { // what is thrown may quote the file; its connection is left alone
				r.problem("it made the reader fail: what comes after is not known")
			}
		}()
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		r.read(file, tables)
	}()
	<-done
	return r.problems
}

// reader reads one database.
type reader struct {
	ctx      context.Context
	row      func(discover.Row)
	conn     *sql.Conn
	problems []string
}

func (r *reader) problem(format string, args ...any) {
	if len(r.problems) < maxProblems {
		r.problems = append(r.problems, fmt.Sprintf(format, args...))
	}
}

// fault is what to say of an error of the driver: its text may quote the file's schema.
func (r *reader) fault(err error) string {
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx).Error()
	}
	var e *driver.Error
	if !errors.As(err, &e) {
		return err.Error() // ours, or database/sql's
	}
	if text, ok := driver.ErrorCodeString[e.Code()&0xff]; ok {
		return text
	}
	return fmt.Sprintf("SQLite error %d", e.Code())
}

func (r *reader) read(file string, tables []discover.Table) {
	db, err := sql.Open("sqlite", "file:"+file+"?mode=rw")
	if err == nil {
		db.SetMaxOpenConns(1)
		r.conn, err = db.Conn(r.ctx)
	}
	if err != nil {
		r.problem("not read: %s", r.fault(err))
		return
	}
	r.open(tables)
	_ = errors.Join(r.conn.Close(), db.Close()) // a copy that is thrown away
}

// settings come before the first look at the file. Each stops something that a file could do.
var settings = []string{
	"PRAGMA writable_schema=ON",     // one broken entry of the schema does not hide the others
	"PRAGMA locking_mode=EXCLUSIVE", // the log's index in memory: that of the host is not believed
	"PRAGMA trusted_schema=OFF",     // no function or virtual table from within the schema
	"PRAGMA cell_size_check=ON",
	"PRAGMA mmap_size=0", // a page that cannot be read is an error and no fault
	"PRAGMA temp_store=MEMORY",
	"PRAGMA cache_size=-16000",
}

var limits = map[int]int{
	lib.SQLITE_LIMIT_LENGTH:              64 << 20,
	lib.SQLITE_LIMIT_SQL_LENGTH:          1 << 20,
	lib.SQLITE_LIMIT_COLUMN:              2000,
	lib.SQLITE_LIMIT_EXPR_DEPTH:          100,
	lib.SQLITE_LIMIT_ATTACHED:            0,
	lib.SQLITE_LIMIT_TRIGGER_DEPTH:       1,
	lib.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 100,
	lib.SQLITE_LIMIT_WORKER_THREADS:      0,
}

func (r *reader) open(tables []discover.Table) {
	for id, most := range limits {
		if _, err := driver.Limit(r.conn, id, most); err != nil {
			r.problem("not read: the driver takes no limits")
			return
		}
	}
	for _, s := range settings {
		if _, err := r.conn.ExecContext(r.ctx, s); err != nil {
			r.problem("not read: %s", r.fault(err))
			return
		}
	}
	schema, err := r.schema()
	if err != nil {
		r.problem("its schema was not read: %s", r.fault(err))
	}
	if len(schema) == 0 {
		return
	}
	if _, err := r.conn.ExecContext(r.ctx, "PRAGMA query_only=ON"); err != nil { // the log is folded in by now
		r.problem("not read: %s", r.fault(err))
		return
	}
	for _, t := range tables {
		if name, ok := schema[strings.ToLower(t.Name)]; ok {
			delete(schema, strings.ToLower(t.Name))
			r.wanted(t, name)
		}
	}
	r.others(schema)
}

// schema lists the ordinary tables, by their names in lower case.
func (r *reader) schema() (map[string]string, error) {
	out := map[string]string{}
	query := "SELECT name, rootpage, ifnull(sql, '') LIKE 'CREATE VIRTUAL%' FROM sqlite_master WHERE type='table' LIMIT ?"
	rows, err := r.conn.QueryContext(r.ctx, query, maxTables+1)
	if err != nil {
		return out, err
	}
	defer rows.Close()
	for n := 0; rows.Next(); n++ {
		var name, root, virtual any
		if err := rows.Scan(&name, &root, &virtual); err != nil {
			return out, err
		}
		if n == maxTables {
			r.problem("more than %d tables: the rest was not looked at", maxTables)
			break
		}
		text, ok := name.(string)
		if page, _ := root.(int64); ok && page > 0 && virtual == int64(0) && !strings.HasPrefix(text, "sqlite_") {
			out[strings.ToLower(text)] = text
		}
	}
	return out, rows.Err()
}

// quote writes a name of the file's as an identifier.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
