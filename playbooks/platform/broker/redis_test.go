package broker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// redisServer starts a real one with an administrator, the agent's account and another one.
func redisServer(t *testing.T, more ...string) (r Redis, agent, other string) {
	t.Helper()
	program := needs(t, "redis-server", "redis-server")
	dir, port, admin := t.TempDir(), freePort(t), secret()
	agent, other = secret(), secret()
	users := fmt.Sprintf("user default off\nuser admin on >%s ~* &* +@all\nuser openclaw on >%s ~* &* +@all -@admin\nuser worker on >%s ~* &* +@all -@admin\n", admin, agent, other)
	acl := filepath.Join(dir, "users.acl")
	must(t, os.WriteFile(acl, []byte(users), 0o600))
	args := []string{"--bind", "127.0.0.1", "--port", port, "--dir", dir, "--save", "", "--aclfile", acl}
	start(t, exec.Command(program, append(args, more...)...))
	r = Redis{Called: "tasks", Place: Place{Address: "127.0.0.1:" + port, Plain: true}, User: "openclaw",
		Keys: []string{"queue:agent", "stream:tasks", "queue:delayed", "nothing"}, Authority: as("admin", admin)}
	until(t, "redis answers", 10*time.Second, func() bool {
		_, err := r.Look(context.Background())
		return err == nil
	})
	return r, agent, other
}

// redisClient is somebody's own connection.
func redisClient(r Redis, user, password string) (*resp, error) {
	conn, err := r.Place.dial(context.Background())
	if err != nil {
		return nil, err
	}
	c := &resp{conn: conn, in: bufio.NewReaderSize(conn, maxRespLine)}
	if _, err := c.do(context.Background(), "AUTH", user, password); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

func do(t *testing.T, c *resp, args ...string) any {
	t.Helper()
	v, err := c.do(context.Background(), args...)
	if err != nil {
		t.Fatalf("%s: %v", args[0], err)
	}
	return v
}

func TestRedis(t *testing.T) {
	ctx := context.Background()
	r, agent, other := redisServer(t)
	producer, err := redisClient(r, "worker", other)
	must(t, err)
	marks := []string{}
	for i := range 250 {
		mark := fmt.Sprintf("message %d %s", i, secret())
		marks = append(marks, mark)
		do(t, producer, "RPUSH", "queue:agent", mark)
		do(t, producer, "XADD", "stream:tasks", "*", "body", mark)
		do(t, producer, "ZADD", "queue:delayed", fmt.Sprint(i), mark)
	}
	do(t, producer, "RPUSH", "queue:agent", "\xff\x00")
	do(t, producer, "XGROUP", "CREATE", "stream:tasks", "workers", "0")

	// A consumer with the agent's credential has taken one of the stream, and waits for more.
	consumer, err := redisClient(r, "openclaw", agent)
	must(t, err)
	do(t, consumer, "XREADGROUP", "GROUP", "workers", "agent", "COUNT", "1", "STREAMS", "stream:tasks", ">")
	gone := make(chan error, 1)
	go func() {
		_, err := consumer.do(ctx, "BLPOP", "queue:empty", "0")
		gone <- err
	}()
	until(t, "the consumer waits", 5*time.Second, func() bool {
		text, _ := do(t, producer, "CLIENT", "ID").(int64)
		s, err := r.Look(ctx)
		return text > 0 && err == nil && len(s.Live) == 1
	})
	everything := func() []any {
		return []any{do(t, producer, "LRANGE", "queue:agent", "0", "-1"), do(t, producer, "XRANGE", "stream:tasks", "-", "+"),
			do(t, producer, "ZRANGE", "queue:delayed", "0", "-1", "WITHSCORES"), do(t, producer, "XPENDING", "stream:tasks", "workers")}
	}
	before := everything()

	was, err := r.Look(ctx)
	must(t, err)
	if was.Off || was.Who != "admin" || fmt.Sprint(was.Queues) != "[{queue:agent list 251} {stream:tasks stream 250} {queue:delayed zset 250} {nothing none 0}]" {
		t.Fatalf("the first look: %+v", was)
	}
	done, err := r.Cut(ctx)
	must(t, err)
	if err := <-gone; err == nil {
		t.Error("the agent's consumer goes on")
	}
	if _, err := redisClient(r, "openclaw", agent); !errors.Is(err, ErrRefused) {
		t.Errorf("the agent came back: %v", err)
	}
	held, err := r.Hold(ctx)
	must(t, err)
	if len(held.Left) != 1 || !strings.Contains(held.Left[0], "user worker: connections: 1") {
		t.Errorf("who goes on is not named: %q", held.Left)
	}
	now, err := r.Look(ctx)
	must(t, err)
	if !now.Off || len(now.Live) != 0 {
		t.Errorf("not cut: %+v", now)
	}

	m := newMemory()
	captured, err := r.Preserve(ctx, m)
	must(t, err)
	list := lines[struct {
		Index int
		Value any
	}](t, m, "messages/queue:agent.jsonl")
	if len(list) != 251 || fmt.Sprint(list[250].Value) != "map[base64:/wA=]" {
		t.Fatalf("the list was not copied: %d", len(list))
	}
	for i, mark := range marks {
		if list[i].Index != i || list[i].Value != mark {
			t.Fatalf("element %d is %v", i, list[i])
		}
	}
	stream := lines[struct {
		ID     string
		Fields []string
	}](t, m, "messages/stream:tasks.jsonl")
	sorted := lines[struct{ Score, Value string }](t, m, "messages/queue:delayed.jsonl")
	for i, mark := range marks {
		if stream[i].Fields[1] != mark || stream[i].ID == "" || sorted[i].Value != mark {
			t.Fatalf("entry %d is %v and %v", i, stream[i], sorted[i])
		}
	}
	if g := m.files["groups/stream:tasks.json"].String(); !strings.Contains(g, "workers") || !strings.Contains(g, `"pending",1`) {
		t.Errorf("who read how far is not kept: %s", g)
	}
	if len(captured.Left) != 1 || !strings.HasPrefix(captured.Left[0], "nothing: ") {
		t.Errorf("left out: %q", captured.Left)
	}
	if after := everything(); fmt.Sprint(before) != fmt.Sprint(after) {
		t.Error("copying changed what waits")
	}
	quotes(t, append(slices.Clone(marks), agent, other), was, now, done, held, captured, m.ends)

	again, err := r.Cut(ctx) // a second time does no harm
	must(t, err)
	_ = again
	_, err = r.Restore(ctx, was.Was)
	must(t, err)
	back, err := redisClient(r, "openclaw", agent)
	must(t, err)
	if v := do(t, back, "LPOP", "queue:agent"); v != marks[0] {
		t.Errorf("the first in the queue is %v", v)
	}
}

// An account that was off stays off.
func TestRedisRestoresWhatWas(t *testing.T) {
	ctx := context.Background()
	r, agent, _ := redisServer(t)
	must(t, r.in(ctx, func(c *resp, _ string) error {
		_, err := c.do(ctx, "ACL", "SETUSER", "openclaw", "off")
		return err
	}))
	was, err := r.Look(ctx)
	must(t, err)
	_, err = r.Cut(ctx)
	must(t, err)
	_, err = r.Restore(ctx, was.Was)
	must(t, err)
	if _, err := redisClient(r, "openclaw", agent); !errors.Is(err, ErrRefused) {
		t.Errorf("restore let it in: %v", err)
	}
	if _, err := r.Restore(ctx, nil); err == nil {
		t.Error("restored without knowing what was")
	}
}

func TestRedisRefuses(t *testing.T) {
	ctx := context.Background()
	r, agent, other := redisServer(t)
	for name, c := range map[string]struct {
		broker Redis
		want   error
	}{
		"a wrong password": {Redis{Place: r.Place, User: "openclaw", Authority: as("admin", secret())}, ErrRefused},
		"no rights":        {Redis{Place: r.Place, User: "openclaw", Authority: as("worker", other)}, ErrRefused},
		"no such account":  {Redis{Place: r.Place, User: "nobody", Authority: r.Authority}, ErrNoAgent},
		"its own account":  {Redis{Place: r.Place, User: "openclaw", Authority: as("openclaw", agent)}, ErrOwn},
	} {
		_, err := c.broker.Cut(ctx)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s, err := r.Look(ctx); err != nil || s.Off {
		t.Errorf("something was changed: %+v, %v", s, err)
	}
	if _, err := (Redis{Place: r.Place, User: "nobody", Authority: r.Authority}).Cut(ctx); err == nil {
		t.Error("cut off an account that is not there")
	}
	must(t, r.in(ctx, func(c *resp, _ string) error {
		v, err := c.do(ctx, "ACL", "GETUSER", "nobody")
		if v != nil {
			t.Error("the account was made by cutting it off")
		}
		return err
	}))
}

func TestRedisBounds(t *testing.T) {
	ctx := context.Background()
	r, _, other := redisServer(t)
	producer, err := redisClient(r, "worker", other)
	must(t, err)
	for i := range 300 {
		do(t, producer, "RPUSH", "queue:agent", fmt.Sprint(i))
		do(t, producer, "XADD", "stream:tasks", "*", "body", strings.Repeat("x", 1000))
	}
	most, size := maxMessages, maxBytes
	defer func() { maxMessages, maxBytes = most, size }()
	maxMessages, maxBytes = 200, 100_000
	m := newMemory()
	captured, err := r.Preserve(ctx, m)
	must(t, err)
	if n := len(lines[any](t, m, "messages/queue:agent.jsonl")); n != 200 {
		t.Errorf("%d messages of the list", n)
	}
	if n := len(m.files["messages/stream:tasks.jsonl"].Bytes()); n > 100_000 || n < 50_000 {
		t.Errorf("%d bytes of the stream", n)
	}
	if len(captured.Left) < 3 || captured.Bytes > 100_000 {
		t.Errorf("what was left out is not listed: %q, %d bytes", captured.Left, captured.Bytes)
	}
}

func TestRedisTLS(t *testing.T) {
	pool, ca, cert, key := certificates(t, t.TempDir())
	port := freePort(t)
	r, _, _ := redisServer(t, "--tls-port", port, "--tls-ca-cert-file", ca, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-auth-clients", "no")
	r.Place = Place{Address: "127.0.0.1:" + port, CA: pool}
	_, err := r.Look(context.Background())
	must(t, err)
	stranger, _, _, _ := certificates(t, t.TempDir())
	for name, place := range map[string]Place{
		"another CA":        {Address: r.Place.Address, CA: stranger},
		"the roots of ours": {Address: r.Place.Address},
	} {
		r.Place = place
		if _, err := r.Look(context.Background()); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPlaceInTheClear(t *testing.T) {
	for address, fine := range map[string]bool{"127.0.0.1:1": true, "[::1]:1": true, "localhost:1": true, "192.0.2.1:1": false, "redis.example.com:1": false, "redis": false, ":1": false} {
		if err := (Place{Address: address, Plain: true}).Check(); (err == nil) != fine {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// What a broker answers that is none, hangs, or lies.
func TestRedisHostile(t *testing.T) {
	within(t, time.Second)
	most := maxAnswer
	defer func() { maxAnswer = most }()
	maxAnswer = 1 << 20
	answer := func(text string) func(net.Conn) {
		return func(c net.Conn) {
			_, _ = c.Read(make([]byte, 1000))
			_, _ = io.WriteString(c, text)
			silent(c)
		}
	}
	for name, c := range map[string]struct {
		does func(net.Conn)
		want error
	}{
		"hangs":            {silent, os.ErrDeadlineExceeded},
		"closes":           {func(net.Conn) {}, nil},
		"a huge length":    {answer("$99999999999999\r\n"), ErrTooLarge},
		"a length below 0": {answer("$-7\r\n"), errNotRedis},
		"deep":             {answer(strings.Repeat("*1\r\n", 1000)), errNotRedis},
		"no end of a line": {answer("+" + strings.Repeat("x", maxRespLine*2)), errNotRedis},
		"many elements":    {answer("*99999999\r\n" + strings.Repeat(":1\r\n", 40_000)), ErrTooLarge},
		"HTTP":             {answer("HTTP/1.1 400 Bad Request\r\n\r\n"), errNotRedis},
	} {
		r := Redis{Place: Place{Address: impostor(t, c.does), Plain: true}, User: "openclaw", Authority: as("admin", secret())}
		began := time.Now()
		_, err := r.Cut(context.Background())
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s took %s", name, took)
		}
	}
	down := Redis{Place: Place{Address: "127.0.0.1:" + freePort(t), Plain: true}, User: "openclaw", Authority: as("admin", secret())}
	if _, err := down.Cut(context.Background()); err == nil {
		t.Error("a broker that is down was cut")
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), 50*time.Millisecond, errors.New("the time is up"))
	defer cancel()
	askWait = time.Minute
	hangs := Redis{Place: Place{Address: impostor(t, silent), Plain: true}, User: "openclaw", Authority: as("admin", secret())}
	if _, err := hangs.Cut(ctx); err == nil || !strings.Contains(err.Error(), "the time is up") {
		t.Errorf("the context does not end it: %v", err)
	}
}

// What an error answer quotes is not repeated.
func TestRedisErrorsQuoteNothing(t *testing.T) {
	password := secret()
	r := Redis{Place: Place{Address: impostor(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1000))
		_, _ = io.WriteString(c, "-ERR unknown "+password+"\r\n")
	}), Plain: true}, User: "openclaw", Authority: as("admin", password)}
	_, err := r.Look(context.Background())
	if err == nil {
		t.Fatal("no error")
	}
	quotes(t, []string{password}, err.Error())
}

func FuzzRESP(f *testing.F) {
	for _, s := range []string{"+OK\r\n", "-ERR x\r\n", ":1\r\n", "$3\r\nabc\r\n", "$-1\r\n", "*2\r\n:1\r\n*1\r\n+x\r\n", "*-1\r\n", "*1\r\n$5\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &resp{in: bufio.NewReaderSize(strings.NewReader(string(b)), maxRespLine), room: 1 << 16}
		_, _ = c.read(0)
	})
}
