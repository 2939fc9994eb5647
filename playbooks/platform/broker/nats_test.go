package broker

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// natsServer starts a real one with TLS. reload writes its configuration anew, with the agent's user or
// without it, and has the server read it.
func natsServer(t *testing.T) (n NATS, passwords map[string]string, reload func(agent bool)) {
	t.Helper()
	program := needs(t, "nats-server", "nats-server")
	dir, port := t.TempDir(), freePort(t)
	pool, _, cert, key := certificates(t, dir)
	passwords = map[string]string{"admin": secret(), "openclaw": secret(), "worker": secret(), "weak": secret()}
	config := filepath.Join(dir, "nats.conf")
	write := func(agent bool) {
		users := ""
		for _, user := range []string{"admin", "openclaw", "worker"} {
			if user != "openclaw" || agent {
				users += fmt.Sprintf("{user: %s, password: %q}\n", user, passwords[user])
			}
		}
		must(t, os.WriteFile(config, fmt.Appendf(nil, "listen: 127.0.0.1:%s\ntls {cert_file: %q, key_file: %q}\njetstream {store_dir: %q}\naccounts {APP {jetstream: enabled, users: [%s"+
			"{user: weak, password: %q, permissions: {publish: [nothing], subscribe: [\"_INBOX.>\"]}}]}}\n", port, cert, key, filepath.Join(dir, "js"), users, passwords["weak"]), 0o600))
	}
	write(true)
	server := exec.Command(program, "-c", config)
	start(t, server)
	n = NATS{Called: "events", Place: Place{Address: "127.0.0.1:" + port, CA: pool}, User: "openclaw", Streams: []string{"TASKS", "ABSENT"}, Authority: as("admin", passwords["admin"])}
	until(t, "nats-server answers", 10*time.Second, func() bool {
		c, err := natsClient(n, "admin", passwords["admin"])
		if err == nil {
			_ = c.conn.Close()
		}
		return err == nil
	})
	return n, passwords, func(agent bool) {
		write(agent)
		must(t, server.Process.Signal(syscall.SIGHUP)) // nats-server --signal reload
	}
}

// natsClient is somebody's own connection.
func natsClient(n NATS, user, password string) (*natsWire, error) {
	return dialNATS(context.Background(), n.Place, Access{user, password}, rand.Text())
}

// natsAsk sends a request of somebody's and returns its answer.
func natsAsk(t *testing.T, c *natsWire, subject string, body any) (answer string) {
	t.Helper()
	must(t, c.send(context.Background(), 10*time.Second, subject, body, func(b []byte) (bool, error) {
		answer = string(b)
		return true, nil
	}))
	if strings.Contains(answer, `"error"`) {
		t.Fatalf("%s: %s", subject, answer)
	}
	return answer
}

type natsLine struct {
	Seq           int
	Subject, Time string
	Headers       string
	Data          any
}

func TestNATS(t *testing.T) {
	ctx := context.Background()
	n, passwords, reload := natsServer(t)
	producer, err := natsClient(n, "worker", passwords["worker"])
	must(t, err)
	defer func() { _ = producer.conn.Close() }()
	natsAsk(t, producer, "$JS.API.STREAM.CREATE.TASKS", map[string]any{"name": "TASKS", "subjects": []string{"tasks.>"}})
	var marks []string
	for i := range 30 {
		marks = append(marks, fmt.Sprintf("message %d %s", i, secret()))
		natsAsk(t, producer, fmt.Sprintf("tasks.n%d", i), marks[i])
	}
	headers, binary := "NATS/1.0\r\nX-From: "+marks[0]+"\r\n\r\n", "\xff\x00"
	_, err = fmt.Fprintf(producer.conn, "HPUB tasks.head %d %d\r\n%s%s\r\n", len(headers), len(headers)+len(binary), headers, binary)
	must(t, err)
	natsAsk(t, producer, "tasks.last", "last")
	natsAsk(t, producer, "$JS.API.STREAM.MSG.DELETE.TASKS", map[string]int{"seq": 5})
	natsAsk(t, producer, "$JS.API.CONSUMER.DURABLE.CREATE.TASKS.agent", map[string]any{"stream_name": "TASKS", "config": map[string]string{"durable_name": "agent", "ack_policy": "explicit"}})

	// The agent has taken one message and acknowledged none.
	agent, err := natsClient(n, "openclaw", passwords["openclaw"])
	must(t, err)
	defer func() { _ = agent.conn.Close() }()
	agent.room = maxAnswer
	_, err = fmt.Fprintf(agent.conn, "PUB $JS.API.CONSUMER.MSG.NEXT.TASKS.agent %s.next 1\r\n1\r\n", agent.inbox)
	must(t, err)
	if got, err := agent.message(); err != nil || !strings.Contains(string(got.payload), marks[0]) {
		t.Fatalf("the agent got %q, %v", got.payload, err)
	}
	everything := func() string {
		c, err := natsClient(n, "worker", passwords["worker"])
		must(t, err)
		defer func() { _ = c.conn.Close() }()
		state, _, err := c.stream(ctx, "TASKS")
		must(t, err)
		all, err := c.consumers(ctx, "TASKS")
		must(t, err)
		var raw map[string]any
		must(t, json.Unmarshal(all[0].raw, &raw))
		for _, volatile := range []string{"ts", "config", "paused", "pause_remaining"} {
			delete(raw, volatile)
		}
		return fmt.Sprint(len(all), state, raw)
	}
	before := everything()

	was, err := n.Look(ctx)
	must(t, err)
	if was.Off || was.Who != "admin" || fmt.Sprint(was.Queues) != "[{TASKS stream 31} {ABSENT none 0}]" || len(was.Live) != 1 ||
		!slices.Contains(was.Others, "consumer agent of stream TASKS") || !slices.Contains(was.Others, "user worker: connections: 1") {
		t.Fatalf("the first look: %+v", was)
	}
	done, err := n.Cut(ctx)
	if !errors.Is(err, ErrByHand) || len(done.Did) > 0 {
		t.Errorf("what NATS cannot do is done: %+v, %v", done, err)
	}
	held, err := n.Hold(ctx)
	must(t, err)
	probe, err := natsClient(n, "admin", passwords["admin"])
	must(t, err)
	pauses := probe.pauses()
	_ = probe.conn.Close()
	t.Logf("version %s pauses: %v", probe.version, pauses)
	now, err := n.Look(ctx)
	must(t, err)
	if pauses != (len(held.Did) == 1) || pauses != slices.Contains(now.Others, "consumer agent of stream TASKS: paused") ||
		pauses == strings.Contains(strings.Join(held.Left, ";"), "cannot pause a consumer (2.11 can): whoever takes from stream TASKS goes on, consumers: 1") {
		t.Errorf("held: %+v, %+v", held, now)
	}
	if now.Off || !slices.Contains(now.Proof, "NATS does not show whether account openclaw is refused") || !slices.Contains(now.Proof, "connections of it: 1") {
		t.Errorf("it is called cut off: %+v", now)
	}

	m := newMemory()
	captured, err := n.Preserve(ctx, m)
	must(t, err)
	got := lines[natsLine](t, m, "messages/TASKS.jsonl")
	if len(got) != 31 {
		t.Fatalf("%d messages", len(got))
	}
	rest := slices.Delete(slices.Clone(marks), 4, 5) // the fifth is deleted
	for i, mark := range rest {
		if text, _ := json.Marshal(mark); got[i].Data != string(text) || got[i].Time == "" {
			t.Fatalf("message %d is %+v", i, got[i])
		}
	}
	if g := got[29]; g.Seq != 31 || g.Subject != "tasks.head" || g.Headers != headers || fmt.Sprint(g.Data) != "map[base64:/wA=]" {
		t.Errorf("the message with headers is %+v", g)
	}
	if c := m.files["consumers/TASKS.jsonl"].String(); !strings.Contains(c, `"name":"agent"`) || !strings.Contains(c, `"num_ack_pending":1`) {
		t.Errorf("how far the consumers came is not kept: %s", c)
	}
	if s := m.files["streams/TASKS.json"].String(); !strings.Contains(s, `"tasks.`) {
		t.Errorf("the stream's own state is not kept: %s", s)
	}
	if len(captured.Left) != 1 || !strings.HasPrefix(captured.Left[0], "ABSENT: ") || m.ends["messages/TASKS.jsonl"].Problem != "" {
		t.Errorf("left out: %q, %+v", captured.Left, m.ends)
	}
	if after := everything(); before != after {
		t.Errorf("copying changed what waits:\n%s\n%s", before, after)
	}
	for range 2 {
		let, err := n.Restore(ctx, was.Was)
		must(t, err)
		if len(let.Left) != 1 || !strings.Contains(let.Left[0], "by hand") {
			t.Errorf("restored: %+v", let)
		}
	}
	after, err := n.Look(ctx)
	must(t, err)
	if string(after.Was) != string(was.Was) || slices.Contains(after.Others, "consumer agent of stream TASKS: paused") {
		t.Errorf("it stood as %s, and stands as %s, %q", was.Was, after.Was, after.Others)
	}
	secrets := append(slices.Clone(marks), passwords["admin"], passwords["openclaw"])
	quotes(t, secrets, was, now, done, held, captured, m.ends)

	// What a person is told to do ends the agent's connection, and keeps it out.
	reload(false)
	_ = agent.conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.Copy(io.Discard, agent.in); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the agent's connection goes on after the reload")
	}
	if _, err := natsClient(n, "openclaw", passwords["openclaw"]); !errors.Is(err, ErrRefused) {
		t.Errorf("the agent came back: %v", err)
	}
	if gone, err := n.Look(ctx); err != nil || len(gone.Live) != 0 {
		t.Errorf("after the reload: %+v, %v", gone, err)
	}

	within(t, time.Second)
	for name, c := range map[string]struct {
		change func(*NATS)
		want   error
	}{
		"a wrong password": {func(n *NATS) { n.Authority = as("admin", secret()) }, ErrRefused},
		"its own account":  {func(n *NATS) { n.User = "admin" }, ErrOwn},
		"without rights":   {func(n *NATS) { n.Authority = as("weak", passwords["weak"]) }, ErrRefused},
	} {
		other := n
		c.change(&other)
		_, err := other.Look(ctx)
		_, copied := other.Preserve(ctx, newMemory())
		if !errors.Is(err, c.want) || !errors.Is(copied, c.want) {
			t.Errorf("%s: %v, %v", name, err, copied)
		}
		quotes(t, secrets, err.Error())
	}
	stranger := n
	stranger.Place.CA, _, _, _ = certificates(t, t.TempDir())
	if _, err := stranger.Look(ctx); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("of another CA: %v", err)
	}
}

// natsPeer answers requests by f, as a server of that version; what f returns empty stays unanswered.
func natsPeer(t *testing.T, version string, f func(subject string, body []byte) string) string {
	return impostor(t, func(c net.Conn) {
		fmt.Fprintf(c, "INFO {\"version\":%q}\r\n", version)
		in := bufio.NewReader(c)
		for {
			text, err := in.ReadString('\n')
			if err != nil {
				return
			}
			words := strings.Fields(text)
			switch words[0] {
			case "PING":
				fmt.Fprint(c, "PONG\r\n")
			case "PUB":
				var n int
				_, _ = fmt.Sscan(words[3], &n)
				body := make([]byte, n+2)
				if _, err := io.ReadFull(in, body); err != nil {
					return
				}
				if answer := f(words[1], body[:n]); answer != "" {
					fmt.Fprintf(c, "PING\r\nMSG %s 1 %d\r\n%s\r\n", words[2], len(answer), answer)
				}
			}
		}
	})
}

const natsType = `{"type":"io.nats.jetstream.api.v1.`

// natsHonest answers as a stream TASKS of three messages and one consumer does.
func natsHonest(subject string, body []byte) string {
	var at struct{ Seq int }
	_ = json.Unmarshal(body, &at)
	switch subject {
	case "$JS.API.STREAM.INFO.TASKS":
		return natsType + `stream_info_response","config":{"name":"TASKS"},"state":{"messages":3,"first_seq":1,"last_seq":3}}`
	case "$JS.API.CONSUMER.LIST.TASKS":
		return natsType + `consumer_list_response","total":1,"consumers":[{"stream_name":"TASKS","name":"agent"}]}`
	case "$JS.API.STREAM.MSG.GET.TASKS":
		return fmt.Sprintf(natsType+`stream_msg_get_response","message":{"subject":"a","seq":%d,"data":"eA==","time":"2026-03-01T03:12:00Z"}}`, at.Seq)
	case "$SYS.REQ.ACCOUNT.PING.CONNZ":
		return `{"data":{"connections":[]}}`
	}
	return ""
}

// A server of 2.11 pauses consumers, and remembers those that were paused before.
func TestNATSPauses(t *testing.T) {
	within(t, time.Second)
	earlier := time.Date(2098, 1, 1, 0, 0, 0, 0, time.UTC)
	var mu sync.Mutex
	refuses, paused := false, map[string]time.Time{"other": earlier}
	n := NATS{User: "openclaw", Streams: []string{"TASKS"}, Authority: as("admin", secret())}
	n.Place = Place{Plain: true, Address: natsPeer(t, "2.11.4", func(subject string, body []byte) string {
		mu.Lock()
		defer mu.Unlock()
		if name, ok := strings.CutPrefix(subject, "$JS.API.CONSUMER.PAUSE.TASKS."); ok {
			var asked struct {
				Until time.Time `json:"pause_until"`
			}
			_ = json.Unmarshal(body, &asked)
			if !refuses {
				delete(paused, name)
				if asked.Until.After(time.Now()) {
					paused[name] = asked.Until
				}
			}
			text, _ := json.Marshal(paused[name])
			return fmt.Sprintf(natsType+`consumer_pause_response","paused":%v,"pause_until":%s}`, !paused[name].IsZero(), text)
		}
		if subject != "$JS.API.CONSUMER.LIST.TASKS" {
			return natsHonest(subject, body)
		}
		var all []string
		for _, name := range []string{"agent", "other"} {
			text, _ := json.Marshal(paused[name])
			all = append(all, fmt.Sprintf(`{"stream_name":"TASKS","name":%q,"paused":%v,"config":{"pause_until":%s}}`, name, !paused[name].IsZero(), text))
		}
		return natsType + `consumer_list_response","total":2,"consumers":[` + strings.Join(all, ",") + "]}"
	})}
	ctx := context.Background()
	was, err := n.Look(ctx)
	must(t, err)
	if !strings.Contains(string(was.Was), `"TASKS/other":"2098`) || strings.Contains(string(was.Was), "agent") {
		t.Errorf("how it stood: %s", was.Was)
	}
	for range 2 {
		done, err := n.Hold(ctx)
		must(t, err)
		if len(done.Did) != 2 || !paused["agent"].Equal(heldUntil) || !paused["other"].Equal(heldUntil) {
			t.Errorf("held: %+v, %v", done, paused)
		}
	}
	_, err = n.Restore(ctx, was.Was)
	must(t, err)
	if _, on := paused["agent"]; on || !paused["other"].Equal(earlier) {
		t.Errorf("restored: %v", paused)
	}
	after, err := n.Look(ctx)
	must(t, err)
	if !bytes.Equal(after.Was, was.Was) {
		t.Errorf("it stood as %s, and stands as %s", was.Was, after.Was)
	}
	refuses = true
	if done, err := n.Hold(ctx); err == nil || len(done.Did) > 0 {
		t.Errorf("what was not paused is called so: %+v", done)
	}
}

func TestNATSHostile(t *testing.T) {
	within(t, time.Second)
	most := maxAnswer
	defer func() { maxAnswer = most }()
	maxAnswer = 2000
	password := secret()
	n := NATS{User: "openclaw", Streams: []string{"TASKS"}, Authority: as("admin", password)}
	// lies answers one question in another way.
	lies := func(about, answer string) string {
		return natsPeer(t, "2.9.10", func(subject string, body []byte) string {
			if strings.HasPrefix(subject, about) {
				return answer
			}
			return natsHonest(subject, body)
		})
	}
	says := func(text string) string {
		return impostor(t, func(c net.Conn) { fmt.Fprint(c, text); silent(c) })
	}
	n.Place = Place{Plain: true, Address: lies("nothing", "")}
	m := newMemory()
	captured, err := n.Preserve(context.Background(), m)
	must(t, err)
	if got := lines[natsLine](t, m, "messages/TASKS.jsonl"); len(got) != 3 || len(captured.Left) > 0 {
		t.Fatalf("an honest one: %v, %q", got, captured.Left)
	}
	for name, address := range map[string]string{
		"hangs":                    impostor(t, silent),
		"closes":                   impostor(t, func(net.Conn) {}),
		"down":                     "127.0.0.1:" + freePort(t),
		"no NATS":                  says("HTTP/1.1 200 OK\r\n\r\n" + password),
		"a line without end":       says("INFO " + strings.Repeat("x", 100_000)),
		"an error that quotes":     says("INFO {}\r\n-ERR '" + password + "'\r\n"),
		"hangs after the login":    natsPeer(t, "2.9.10", func(string, []byte) string { return "" }),
		"a huge reply":             lies("$JS.API.STREAM.INFO", natsType+`stream_info_response","config":{"name":"TASKS"},"x":"`+strings.Repeat("x", 5000)+`"}`),
		"another stream":           lies("$JS.API.STREAM.INFO", natsType+`stream_info_response","config":{"name":"OTHER"},"state":{}}`),
		"another answer":           lies("$JS.API.STREAM.INFO", natsType+`stream_msg_get_response","config":{"name":"TASKS"},"state":{}}`),
		"a consumer of another":    lies("$JS.API.CONSUMER.LIST", natsType+`consumer_list_response","total":1,"consumers":[{"stream_name":"OTHER","name":"a"}]}`),
		"a consumer like a choice": lies("$JS.API.CONSUMER.LIST", natsType+`consumer_list_response","total":1,"consumers":[{"stream_name":"TASKS","name":"*"}]}`),
	} {
		n.Place.Address = address
		began := time.Now()
		_, err := n.Look(context.Background())
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		quotes(t, []string{password}, err.Error())
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s took %s", name, took)
		}
	}
	message := natsType + `stream_msg_get_response","message":{"subject":"a","seq":%d,"data":"` + "%s" + `"}}`
	for name, c := range map[string]struct{ about, answer, left string }{
		"the same again":      {"$JS.API.STREAM.MSG.GET", fmt.Sprintf(message, 1, "eA=="), "another message"},
		"no message":          {"$JS.API.STREAM.MSG.GET", natsType + `stream_msg_get_response"}`, "another message"},
		"too few":             {"$JS.API.STREAM.MSG.GET", fmt.Sprintf(message, 3, "eA=="), "1 of 3 messages"},
		"a huge message":      {"$JS.API.STREAM.MSG.GET", fmt.Sprintf(message, 1, strings.Repeat("eHh4", 1000)), ErrTooLarge.Error()},
		"none of those":       {"$JS.API.STREAM.MSG.GET", natsType + `stream_msg_get_response","error":{"code":404}}`, "0 of 3 messages"},
		"an error that shows": {"$JS.API.STREAM.MSG.GET", natsType + `stream_msg_get_response","error":{"code":500,"description":"` + password + `"}}`, "error 500"},
		"consumers for ever":  {"$JS.API.CONSUMER.LIST", natsType + `consumer_list_response","total":1000000,"consumers":[{"stream_name":"TASKS","name":"a"}]}`, "larger than"},
	} {
		n.Place.Address = lies(c.about, c.answer)
		captured, err := n.Preserve(context.Background(), newMemory())
		if err != nil || len(captured.Left) != 1 || !strings.Contains(captured.Left[0], c.left) {
			t.Errorf("%s: %q, %v", name, captured.Left, err)
		}
		quotes(t, []string{password}, captured)
	}
}

// Without TLS on the other side, or with something slipped in before it, the password is not sent.
func TestNATSKeepsItsPassword(t *testing.T) {
	within(t, time.Second)
	for name, c := range map[string]struct{ hello, says string }{
		"no TLS":   {"INFO {}\r\n", "has no TLS"},
		"slipped":  {"INFO {\"tls_required\":true}\r\nPONG\r\n", errNotNATS.Error()},
		"answered": {"INFO {\"tls_required\":true}\r\n", ""},
	} {
		sent := make(chan []byte, 1)
		address := impostor(t, func(conn net.Conn) {
			fmt.Fprint(conn, c.hello)
			_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
			b, _ := io.ReadAll(conn)
			sent <- b
		})
		password := secret()
		n := NATS{Place: Place{Address: address}, User: "openclaw", Authority: as("admin", password)}
		if _, err := n.Look(context.Background()); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		if b := <-sent; bytes.Contains(b, []byte(password)) {
			t.Errorf("%s: the password was sent in the clear", name)
		}
	}
}
