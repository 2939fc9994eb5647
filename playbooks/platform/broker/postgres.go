package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"clawback/playbooks/platform"
	"clawback/snapshots"
)

// Postgres is a database of which tables are queues. While they are held, row-level security hides
// their rows from everybody but their owner, superusers and who bypasses it.
type Postgres struct {
	Called    string
	Place     Place
	Database  string
	Role      string   // the agent's
	Tables    []string // its queues: "public.tasks"
	Authority Authority
}

var _ Broker = Postgres{}

func (p Postgres) Name() string  { return p.Called }
func (p Postgres) Where() string { return "postgres " + p.Place.Address + "/" + p.Database }
func (p Postgres) Agent() string { return p.Role }

func (p Postgres) ByHand() (cut, back string) {
	role := identifier(p.Role)
	cut = fmt.Sprintf("ALTER ROLE %s NOLOGIN, then SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", role, literal(p.Role))
	back = fmt.Sprintf("ALTER ROLE %s LOGIN", role)
	for _, t := range p.Tables {
		back += fmt.Sprintf("; on %s DROP POLICY %s, and where there is a policy %s drop it and DISABLE ROW LEVEL SECURITY", table(t), heldPolicy, openPolicy)
	}
	return cut, back
}

// Policies that hold a table. openPolicy is there only where row-level security was off before: it
// would keep everybody out without it.
// https://www.postgresql.org/docs/current/ddl-rowsecurity.html
const (
	heldPolicy = "clawback_held"
	openPolicy = "clawback_open"
)

// postgresWas is what Restore has to know.
type postgresWas struct {
	Login bool            `json:"login"`
	Rows  map[string]bool `json:"row_security"` // by table: it was on
}

// identifier and literal quote a name. https://www.postgresql.org/docs/current/sql-syntax-lexical.html
func identifier(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
func literal(s string) string    { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// table quotes "schema.table", or a table of the schema public.
func table(name string) string {
	schema, rest, ok := strings.Cut(name, ".")
	if !ok {
		schema, rest = "public", name
	}
	return identifier(schema) + "." + identifier(rest)
}

// sqlError is what the server answered to a statement, without its words: they may quote a row.
type sqlError struct{ code string }

func (e sqlError) Error() string {
	word := map[string]string{
		"28P01": "wrong password", "28000": "not let in", "42501": "insufficient privilege", "42P01": "no such table",
		"42704": "no such role", "3D000": "no such database", "55P03": "somebody else holds a lock on it", "57014": "it took too long",
	}[e.code]
	return strings.TrimSpace("it answered SQLSTATE " + e.code + " " + word)
}

// plain keeps the words of a server and of a library to itself.
func plain(ctx context.Context, err error) error {
	var answer *pgconn.PgError
	var dial *net.OpError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &answer):
		code := answer.Code
		if len(code) != 5 || strings.ContainsFunc(code, func(r rune) bool { return (r < '0' || r > '9') && (r < 'A' || r > 'Z') }) {
			code = "?"
		}
		out := sqlError{code}
		if strings.HasPrefix(code, "28") || code == "42501" {
			return fmt.Errorf("%w: %w", ErrRefused, out)
		}
		return out
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, platform.ErrFull), errors.Is(err, platform.ErrSink), errors.Is(err, context.DeadlineExceeded), errors.Is(err, io.ErrUnexpectedEOF):
		return err
	case errors.As(err, &dial):
		return dial
	case strings.Contains(err.Error(), "tls:") || strings.Contains(err.Error(), "certificate"):
		return fmt.Errorf("TLS: %s", cut(err.Error()))
	}
	return errors.New("it does not speak the protocol of PostgreSQL as it should")
}

// open connects. Nothing is taken from the environment or the desk's own files: each field is set here.
func (p Postgres) open(ctx context.Context) (*pgconn.PgConn, Access, error) {
	access, err := p.Authority(ctx)
	if err == nil && access.User == p.Role {
		err = ErrOwn
	}
	if err == nil {
		err = p.Place.Check()
	}
	if err != nil {
		return nil, access, err
	}
	config, err := pgconn.ParseConfig("host=localhost user=x password=x dbname=x sslmode=disable passfile=/dev/null")
	if err != nil {
		return nil, access, err
	}
	host, port, _ := net.SplitHostPort(p.Place.Address)
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, access, fmt.Errorf("port %q is no number", port)
	}
	config.Host, config.Port, config.Database, config.User, config.Password = host, uint16(n), p.Database, access.User, access.Password
	config.TLSConfig, config.Fallbacks, config.ConnectTimeout = p.Place.tls(), nil, maxConnecting
	config.MaxProtocolMessageBodyLen = maxAnswer
	config.DialFunc = (&net.Dialer{}).DialContext
	config.RuntimeParams = map[string]string{"application_name": "clawback", "statement_timeout": milliseconds(askWait), "lock_timeout": milliseconds(askWait / 2), "search_path": "pg_catalog"}
	asking, cancel := context.WithTimeout(ctx, maxConnecting)
	defer cancel()
	conn, err := pgconn.ConnectConfig(asking, config)
	if err != nil {
		return nil, access, fmt.Errorf("log in as %s: %w", access.User, plain(ctx, err))
	}
	return conn, access, nil
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// in does something over a connection of its own.
func (p Postgres) in(ctx context.Context, do func(c *pgconn.PgConn, who string) error) error {
	c, access, err := p.open(ctx)
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = c.Close(closing)
	}()
	return do(c, access.User)
}

// ask runs statements and returns the rows of the last.
func (p Postgres) ask(ctx context.Context, c *pgconn.PgConn, what, sql string) ([][]string, error) {
	asking, cancel := context.WithTimeout(ctx, askWait+time.Second)
	defer cancel()
	results, err := c.Exec(asking, sql).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, plain(ctx, err))
	}
	var rows [][]string
	for _, r := range results {
		rows = nil
		for _, row := range r.Rows {
			var cells []string
			for _, cell := range row {
				cells = append(cells, string(cell))
			}
			rows = append(rows, cells)
		}
	}
	return rows, nil
}

// Look implements Broker.
func (p Postgres) Look(ctx context.Context) (s Standing, err error) {
	err = p.in(ctx, func(c *pgconn.PgConn, who string) error {
		s.Who = who
		was := postgresWas{Rows: make(map[string]bool)}
		if was.Login, err = p.canLogin(ctx, c); err != nil {
			return err
		}
		s.Off = !was.Login
		if s.Live, s.Others, err = p.sessions(ctx, c); err != nil {
			return err
		}
		for _, t := range p.Tables {
			on, _, err := p.rowSecurity(ctx, c, t)
			if err != nil {
				return err
			}
			was.Rows[t] = on
			s.Queues = append(s.Queues, Queue{Name: t, Kind: "table", Messages: p.count(ctx, c, t)})
		}
		s.Was, err = json.Marshal(was)
		return err
	})
	return s, err
}

func (p Postgres) canLogin(ctx context.Context, c *pgconn.PgConn) (bool, error) {
	rows, err := p.ask(ctx, c, "look at role "+p.Role, "SELECT rolcanlogin FROM pg_roles WHERE rolname = "+literal(p.Role))
	switch {
	case err != nil:
		return false, err
	case len(rows) != 1 || len(rows[0]) != 1:
		return false, fmt.Errorf("role %s: %w", p.Role, ErrNoAgent)
	}
	return rows[0][0] == "t", nil
}

// sessions lists those of the agent's role in all databases, and counts those of others in this one.
// https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-ACTIVITY-VIEW
func (p Postgres) sessions(ctx context.Context, c *pgconn.PgConn) (live, others []string, err error) {
	rows, err := p.ask(ctx, c, "list the connections", "SELECT usename, coalesce(host(client_addr) || ':' || client_port, 'the server itself'), datname = current_database(), pid"+
		" FROM pg_stat_activity WHERE usename IS NOT NULL AND backend_type = 'client backend' AND pid <> pg_backend_pid() LIMIT 10000")
	if err != nil {
		return nil, nil, err
	}
	count := make(map[string]int)
	for _, row := range rows {
		switch {
		case len(row) != 4:
			return nil, nil, errors.New("list the connections: the answer has another form")
		case row[0] == p.Role:
			from := cut(row[1])
			if _, err := netip.ParseAddrPort(from); err != nil {
				from = "the server itself"
			}
			live = append(live, from)
		case row[2] == "t":
			count[cut(row[0])]++
		}
	}
	for _, user := range slices.Sorted(maps.Keys(count)) {
		others = append(others, fmt.Sprintf("role %s: connections: %d", user, count[user]))
	}
	return live, listed(others), nil
}

// rowSecurity reports whether a table had row-level security of its own, and whether it is held.
func (p Postgres) rowSecurity(ctx context.Context, c *pgconn.PgConn, t string) (on, held bool, err error) {
	rows, err := p.ask(ctx, c, "look at table "+t, fmt.Sprintf(
		"SELECT relrowsecurity, EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid AND polname = '%s'), EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid AND polname = '%s')"+
			" FROM pg_class c WHERE c.oid = to_regclass(%s) AND relkind IN ('r', 'p')", heldPolicy, openPolicy, literal(table(t))))
	switch {
	case err != nil:
		return false, false, err
	case len(rows) != 1 || len(rows[0]) != 3:
		return false, false, fmt.Errorf("table %s: there is none", t)
	}
	return rows[0][0] == "t" && rows[0][2] != "t", rows[0][1] == "t", nil
}

// count is how many rows a table has, or -1.
func (p Postgres) count(ctx context.Context, c *pgconn.PgConn, t string) int64 {
	rows, err := p.ask(ctx, c, "count", fmt.Sprintf("SET row_security = off; SELECT count(*) FROM (SELECT FROM %s LIMIT %d) x", table(t), maxMessages+1))
	if err != nil || len(rows) != 1 || len(rows[0]) != 1 {
		return -1
	}
	n, err := strconv.ParseInt(rows[0][0], 10, 64)
	if err != nil || n > maxMessages {
		return -1
	}
	return n
}

// Cut implements Broker. https://www.postgresql.org/docs/current/sql-alterrole.html
func (p Postgres) Cut(ctx context.Context) (d Done, err error) {
	err = p.in(ctx, func(c *pgconn.PgConn, _ string) error {
		if _, err := p.canLogin(ctx, c); err != nil {
			return err
		}
		if _, err := p.ask(ctx, c, "take the login of role "+p.Role+" away", "ALTER ROLE "+identifier(p.Role)+" NOLOGIN"); err != nil {
			return err
		}
		d.Did = append(d.Did, "role "+p.Role+" may not log in any more")
		ended := 0
		err := await(ctx, func(ctx context.Context) (int, error) {
			rows, err := p.ask(ctx, c, "end the connections of role "+p.Role, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = "+literal(p.Role))
			if err != nil {
				return 0, err
			}
			ended += len(rows)
			return len(rows), nil
		})
		d.Did = append(d.Did, fmt.Sprintf("connections of the agent's ended: %d", ended))
		return err
	})
	return d, err
}

// Hold implements Broker: who takes rows sees none, and who puts some in can go on.
func (p Postgres) Hold(ctx context.Context) (d Done, err error) {
	err = p.in(ctx, func(c *pgconn.PgConn, _ string) error {
		var failed []error
		for _, t := range p.Tables {
			on, held, err := p.rowSecurity(ctx, c, t)
			if err == nil && !held {
				sql := fmt.Sprintf("CREATE POLICY %s ON %s AS RESTRICTIVE USING (false) WITH CHECK (true)", heldPolicy, table(t))
				if !on {
					sql += fmt.Sprintf("; CREATE POLICY %s ON %s USING (true) WITH CHECK (true); ALTER TABLE %s ENABLE ROW LEVEL SECURITY", openPolicy, table(t), table(t))
				}
				_, err = p.ask(ctx, c, "hold table "+t, sql) // several statements at once are one transaction
			}
			if err != nil {
				failed = append(failed, err)
				continue
			}
			d.Did = append(d.Did, "table "+t+" is held: its rows are hidden")
		}
		d.Left = append(d.Left, "the owner of a table, superusers and who bypasses row-level security go on seeing its rows", "INSERT … RETURNING and COPY FROM into a held table fail")
		return errors.Join(failed...)
	})
	return d, err
}

// Restore implements Broker.
func (p Postgres) Restore(ctx context.Context, was json.RawMessage) (d Done, err error) {
	var w postgresWas
	if err := json.Unmarshal(was, &w); err != nil {
		return d, fmt.Errorf("how it stood before is not on record: %w", err)
	}
	err = p.in(ctx, func(c *pgconn.PgConn, _ string) error {
		var failed []error
		for _, t := range p.Tables {
			sql := fmt.Sprintf("DROP POLICY IF EXISTS %s ON %s; DROP POLICY IF EXISTS %s ON %s", heldPolicy, table(t), openPolicy, table(t))
			if on, known := w.Rows[t]; known && !on {
				sql += fmt.Sprintf("; ALTER TABLE %s DISABLE ROW LEVEL SECURITY", table(t))
			}
			if _, err := p.ask(ctx, c, "give table "+t+" back", sql); err != nil {
				failed = append(failed, err)
				continue
			}
			d.Did = append(d.Did, "table "+t+" is held no longer")
		}
		if len(failed) > 0 || !w.Login {
			return errors.Join(failed...)
		}
		if _, err := p.ask(ctx, c, "let role "+p.Role+" log in", "ALTER ROLE "+identifier(p.Role)+" LOGIN"); err != nil {
			return err
		}
		d.Did = append(d.Did, "role "+p.Role+" may log in again")
		return nil
	})
	return d, err
}

// Preserve implements Broker. All tables are read as they stand at one moment, and no row is locked.
func (p Postgres) Preserve(ctx context.Context, sink snapshots.Sink) (snapshots.Captured, error) {
	e := collect(sink)
	return e.End(ctx, p.preserve(ctx, e))
}

func (p Postgres) preserve(ctx context.Context, e *platform.Evidence) error {
	return p.in(ctx, func(c *pgconn.PgConn, _ string) error {
		// With row_security off what would be hidden is an error, and not an empty table.
		if _, err := p.ask(ctx, c, "begin to read", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL row_security = off; SET LOCAL statement_timeout = 0"); err != nil {
			return err
		}
		for i, t := range p.Tables {
			if c.IsClosed() {
				for _, t := range p.Tables[i:] {
					e.Skip("table %s: nothing was read after the one before it was ended early", t)
				}
				return nil
			}
			if _, err := p.ask(ctx, c, "begin to read table "+t, "SAVEPOINT one"); err != nil {
				return err
			}
			err := e.File(platform.FileName("tables", t, ".csv"), func(w io.Writer) (bool, error) {
				tag, err := c.CopyTo(ctx, w, fmt.Sprintf("COPY (SELECT * FROM %s LIMIT %d) TO STDOUT (FORMAT csv, HEADER)", table(t), maxMessages+1))
				if err != nil {
					return false, plain(ctx, err)
				}
				if tag.RowsAffected() > maxMessages {
					return false, platform.ErrFull
				}
				return false, nil
			})
			if err != nil {
				return err
			}
			if c.TxStatus() == 'E' { // what failed of one table is nothing to the next
				if _, err := p.ask(ctx, c, "go on after table "+t, "ROLLBACK TO one"); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
