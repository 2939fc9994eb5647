package broker

import (
	"clawback/playbooks/platform"

	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// database is a real server with an administrator, the agent's role and another one.
type database struct {
	Postgres
	agent, worker string // passwords
}

func postgresServer(t *testing.T) database {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(found) == 0 {
		needs(t, "/usr/lib/postgresql/15/bin/postgres", "postgresql-15")
	}
	bin := filepath.Dir(found[len(found)-1])
	dir, err := os.MkdirTemp("", "postgres")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	as15 := func(cmd *exec.Cmd) *exec.Cmd {
		cmd.Dir = dir
		if os.Getuid() == 0 { // it refuses to be root
			u, err := user.Lookup("postgres")
			must(t, err)
			uid, _ := strconv.Atoi(u.Uid)
			gid, _ := strconv.Atoi(u.Gid)
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
			must(t, os.Chown(dir, uid, gid))
		}
		return cmd
	}
	admin, d, port := secret(), database{agent: secret(), worker: secret()}, freePort(t)
	must(t, os.WriteFile(filepath.Join(dir, "pw"), []byte(admin), 0o644))
	data := filepath.Join(dir, "data")
	if out, err := as15(exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-A", "scram-sha-256", "-U", "admin", "--pwfile", filepath.Join(dir, "pw"), "-E", "UTF8", "--no-sync")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	start(t, as15(exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off")))
	d.Postgres = Postgres{Called: "queue", Place: Place{Address: "127.0.0.1:" + port, Plain: true}, Database: "postgres", Role: "openclaw",
		Tables: []string{"public.tasks", `odd "one"`}, Authority: as("admin", admin)}
	until(t, "the database answers", 30*time.Second, func() bool {
		return d.in(context.Background(), func(*pgconn.PgConn, string) error { return nil }) == nil
	})
	d.sql(t, fmt.Sprintf(`CREATE ROLE openclaw LOGIN PASSWORD '%s'; CREATE ROLE worker LOGIN PASSWORD '%s';
		CREATE TABLE public.tasks (id int PRIMARY KEY, body text); CREATE TABLE public."odd ""one""" (body bytea);
		GRANT ALL ON public.tasks, public."odd ""one""" TO openclaw, worker`, d.agent, d.worker))
	return d
}

// sql runs statements as the administrator.
func (d database) sql(t *testing.T, sql string) (rows [][]string) {
	t.Helper()
	must(t, d.in(context.Background(), func(c *pgconn.PgConn, _ string) (err error) {
		rows, err = d.ask(context.Background(), c, "sql", sql)
		return err
	}))
	return rows
}

// login is somebody's own connection.
func (d database) login(role, password string) (*pgconn.PgConn, error) {
	other := d.Postgres
	other.Role, other.Authority = "nobody", as(role, password)
	c, _, err := other.open(context.Background())
	return c, err
}

// takes is what somebody takes out of the queue: the first task that nobody else holds.
func (d database) takes(c *pgconn.PgConn) (string, error) {
	rows, err := d.ask(context.Background(), c, "take", "SELECT id FROM public.tasks ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED")
	return fmt.Sprint(rows), err
}

func TestPostgres(t *testing.T) {
	ctx := context.Background()
	d := postgresServer(t)
	mark := secret()
	d.sql(t, fmt.Sprintf("INSERT INTO public.tasks SELECT n, 'do, \"%s\"' || chr(10) || n FROM generate_series(1, 250) n; INSERT INTO public.\"odd \"\"one\"\"\" VALUES ('\\xff00')", mark))
	consumer, err := d.login("openclaw", d.agent)
	must(t, err)
	if got, err := d.takes(consumer); err != nil || got != "[[1]]" {
		t.Fatalf("the agent takes %s, %v", got, err)
	}
	worker, err := d.login("worker", d.worker)
	must(t, err)
	state := func() string {
		return fmt.Sprint(d.sql(t, "SELECT md5(string_agg(t::text || xmin, ',' ORDER BY id)) FROM public.tasks t"))
	}
	before := state()

	was, err := d.Look(ctx)
	must(t, err)
	if was.Off || len(was.Live) != 1 || was.Who != "admin" || !slices.Contains(was.Others, "role worker: connections: 1") ||
		fmt.Sprint(was.Queues) != `[{public.tasks table 250} {odd "one" table 1}]` {
		t.Fatalf("the first look: %+v", was)
	}
	done, err := d.Cut(ctx)
	must(t, err)
	if got, err := d.takes(consumer); err == nil {
		t.Errorf("the agent takes %s", got)
	}
	if _, err := d.login("openclaw", d.agent); !errors.Is(err, ErrRefused) {
		t.Errorf("the agent came back: %v", err)
	}
	if got, err := d.takes(worker); err != nil || got != "[[1]]" {
		t.Errorf("before the pause: %s, %v", got, err)
	}
	held, err := d.Hold(ctx)
	must(t, err)
	if got, err := d.takes(worker); err != nil || got != "[]" {
		t.Errorf("the queue is not paused: %s, %v", got, err)
	}
	if _, err := d.ask(ctx, worker, "put in", "INSERT INTO public.tasks VALUES (900, 'new'); "); err != nil {
		t.Errorf("a producer cannot go on: %v", err)
	}
	if rows, err := d.ask(ctx, worker, "delete", "DELETE FROM public.tasks RETURNING id"); err != nil || len(rows) != 0 {
		t.Errorf("what is held was deleted: %v, %v", rows, err)
	}
	d.sql(t, "DELETE FROM public.tasks WHERE id = 900")
	now, err := d.Look(ctx)
	must(t, err)
	if !now.Off || len(now.Live) != 0 {
		t.Errorf("not cut: %+v", now)
	}

	m := newMemory()
	captured, err := d.Preserve(ctx, m)
	must(t, err)
	rows, err := csv.NewReader(m.files["tables/public.tasks.csv"]).ReadAll()
	must(t, err)
	if len(rows) != 251 || fmt.Sprint(rows[0]) != "[id body]" || rows[250][1] != fmt.Sprintf("do, \"%s\"\n250", mark) {
		t.Errorf("%d rows, the last %q", len(rows), rows[len(rows)-1])
	}
	if odd := m.files[`tables/odd "one".csv`].String(); odd != "body\n\\xff00\n" {
		t.Errorf("the other table: %q", odd)
	}
	if len(captured.Left) != 0 || state() != before {
		t.Errorf("left out %q; the same: %v", captured.Left, state() == before)
	}
	quotes(t, []string{mark, d.agent, d.worker}, was, now, done, held, captured, m.ends)

	for range 2 { // a second time does no harm
		_, err = d.Cut(ctx)
		must(t, err)
		_, err = d.Hold(ctx)
		must(t, err)
	}
	for range 2 {
		_, err = d.Restore(ctx, was.Was)
		must(t, err)
	}
	after, err := d.Look(ctx)
	must(t, err)
	if string(after.Was) != string(was.Was) {
		t.Errorf("it stood as %s, and stands as %s", was.Was, after.Was)
	}
	back, err := d.login("openclaw", d.agent)
	must(t, err)
	if got, err := d.takes(back); err != nil || got != "[[1]]" {
		t.Errorf("the agent takes %s, %v", got, err)
	}

	t.Run("row security of its own", d.ownPolicies)
	t.Run("refused", d.refuses)
	t.Run("bounds", d.bounds)
}

// A table that has policies of its own keeps them, and what they hide.
func (d database) ownPolicies(t *testing.T) {
	ctx := context.Background()
	d.sql(t, "CREATE POLICY mine ON public.tasks TO worker USING (id = 7); ALTER TABLE public.tasks ENABLE ROW LEVEL SECURITY")
	defer d.sql(t, "SELECT 1")
	was, err := d.Look(ctx)
	must(t, err)
	worker, err := d.login("worker", d.worker)
	must(t, err)
	for _, step := range []struct {
		does func() (Done, error)
		sees string
	}{
		{func() (Done, error) { return Done{}, nil }, "[[7]]"},
		{func() (Done, error) { return d.Hold(ctx) }, "[]"},
		{func() (Done, error) { return d.Restore(ctx, was.Was) }, "[[7]]"},
	} {
		_, err := step.does()
		must(t, err)
		if got, err := d.takes(worker); err != nil || got != step.sees {
			t.Errorf("the worker takes %s, %v, want %s", got, err, step.sees)
		}
	}
}

func (d database) refuses(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct {
		change func(*Postgres)
		want   error
	}{
		"a wrong password": {func(p *Postgres) { p.Authority = as("admin", secret()) }, ErrRefused},
		"no rights":        {func(p *Postgres) { p.Authority = as("worker", d.worker) }, ErrRefused},
		"no such role":     {func(p *Postgres) { p.Role = "nobody'; DROP TABLE public.tasks; --" }, ErrNoAgent},
		"its own role":     {func(p *Postgres) { p.Role = "admin" }, ErrOwn},
	} {
		p := d.Postgres
		c.change(&p)
		if _, err := p.Cut(ctx); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Who may not see what is hidden gets an error, and not an empty table.
	p := d.Postgres
	p.Authority = as("worker", d.worker)
	captured, err := p.Preserve(ctx, newMemory())
	must(t, err)
	if len(captured.Left) != 1 || !strings.Contains(captured.Left[0], "insufficient privilege") {
		t.Errorf("hidden rows: %q", captured.Left)
	}
	// A table that is not there keeps no other from being copied.
	p = d.Postgres
	p.Tables = []string{"public.absent", "public.tasks"}
	m := newMemory()
	captured, err = p.Preserve(ctx, m)
	must(t, err)
	if len(captured.Left) != 1 || m.files["tables/public.tasks.csv"].Len() == 0 {
		t.Errorf("beside one that is absent: %q", captured.Left)
	}
	if _, err := p.Look(ctx); err == nil {
		t.Error("a table that is not there was looked at")
	}
}

func (d database) bounds(t *testing.T) {
	most, size := maxMessages, maxBytes
	defer func() { maxMessages, maxBytes = most, size }()
	for _, bound := range []func(){func() { maxMessages = 100 }, func() { maxMessages, maxBytes = most, 1000 }} {
		bound()
		m := newMemory()
		captured, err := d.Preserve(context.Background(), m)
		must(t, err)
		if len(captured.Left) == 0 || !strings.Contains(captured.Left[0], platform.ErrFull.Error()) || captured.Bytes > 10_000 || captured.Bytes == 0 {
			t.Errorf("%d bytes, left out %q", captured.Bytes, captured.Left)
		}
	}
}

func TestPostgresHostile(t *testing.T) {
	within(t, time.Second)
	connecting := maxConnecting
	defer func() { maxConnecting = connecting }()
	maxConnecting = time.Second
	answer := func(text string) func(net.Conn) {
		return func(c net.Conn) {
			_, _ = c.Read(make([]byte, 1000))
			_, _ = io.WriteString(c, text)
			silent(c)
		}
	}
	for name, does := range map[string]func(net.Conn){
		"hangs":        silent,
		"closes":       func(net.Conn) {},
		"a huge reply": answer("R\x7f\xff\xff\xff"),
		"an error":     answer("E\x00\x00\x00\x1bSFATAL\x00C28P01\x00Mquoted-secret\x00\x00"),
		"HTTP":         answer("HTTP/1.1 400 Bad Request\r\n\r\n"),
		"clear text":   answer("R\x00\x00\x00\x08\x00\x00\x00\x03"),
	} {
		password := secret()
		p := Postgres{Place: Place{Address: impostor(t, does), Plain: true}, Database: "d", Role: "openclaw", Authority: as("admin", password)}
		began := time.Now()
		_, err := p.Cut(context.Background())
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		quotes(t, []string{password, "quoted-secret"}, err.Error())
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s took %s", name, took)
		}
	}
	// Without TLS at the other end nothing is sent.
	p := Postgres{Place: Place{Address: impostor(t, answer("N"))}, Database: "d", Role: "openclaw", Authority: as("admin", secret())}
	if _, err := p.Cut(context.Background()); err == nil {
		t.Error("it went on in the clear")
	}
}
