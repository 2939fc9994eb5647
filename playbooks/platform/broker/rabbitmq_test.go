package broker

import (
	"clawback/playbooks/platform"

	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// rabbitServer starts a real one, with its management API and STOMP for its users.
func rabbitServer(t *testing.T) (r RabbitMQ, stomp, agent string) {
	t.Helper()
	needs(t, "rabbitmqctl", "rabbitmq-server")
	dir, api, amqp, dist, epmd, text := t.TempDir(), freePort(t), freePort(t), freePort(t), freePort(t), freePort(t)
	write := func(name, content string) string {
		file := filepath.Join(dir, name)
		must(t, os.WriteFile(file, []byte(content), 0o600))
		return file
	}
	admin, agent := secret(), secret()
	config := write("rabbit.conf", fmt.Sprintf("listeners.tcp.1 = 127.0.0.1:%s\nmanagement.tcp.ip = 127.0.0.1\nmanagement.tcp.port = %s\nstomp.listeners.tcp.1 = 127.0.0.1:%s\n"+
		"default_user = admin\ndefault_pass = %s\ndefault_user_tags.administrator = true\nlog.console = true\nlog.console.level = error\n", amqp, api, text, admin))
	env := append(os.Environ(), "HOME="+dir, "RABBITMQ_CONFIG_FILE="+config, "RABBITMQ_ENABLED_PLUGINS_FILE="+write("plugins", "[rabbitmq_management,rabbitmq_stomp]."),
		"RABBITMQ_MNESIA_BASE="+filepath.Join(dir, "mnesia"), "RABBITMQ_LOG_BASE="+filepath.Join(dir, "log"), "RABBITMQ_LOGS=-", "RABBITMQ_NODENAME=clawback"+api+"@localhost",
		"RABBITMQ_DIST_PORT="+dist, "ERL_EPMD_PORT="+epmd, "ERL_EPMD_ADDRESS=127.0.0.1", "RABBITMQ_CONF_ENV_FILE="+write("env", ""), "RABBITMQ_PID_FILE="+filepath.Join(dir, "pid"))
	server := exec.Command("/usr/lib/rabbitmq/bin/rabbitmq-server")
	server.Env, server.Dir = env, dir
	t.Cleanup(func() { // it runs on behind its server
		kill := exec.Command("epmd", "-port", epmd, "-kill")
		kill.Env = env
		_ = kill.Run()
	})
	start(t, server)
	r = RabbitMQ{Called: "jobs", Place: Place{Address: "127.0.0.1:" + api, Plain: true}, Vhost: "/", User: "openclaw", Queues: []string{"agent.tasks", "agent/odd", "absent"}, Authority: as("admin", admin)}
	c, err := r.open(context.Background())
	must(t, err)
	until(t, "RabbitMQ answers", time.Minute, func() bool {
		return c.do(context.Background(), http.MethodGet, "/overview", nil) == nil
	})
	put := func(at string, body any) { must(t, c.do(context.Background(), http.MethodPut, at, body)) }
	put("/users/openclaw", map[string]string{"password": agent, "tags": "monitoring"})
	put("/permissions/%2F/openclaw", map[string]string{"configure": "^agent", "write": ".*", "read": ".*"})
	put("/queues/%2F/agent.tasks", map[string]bool{"durable": true})
	put("/queues/%2F/agent%2Fodd", map[string]any{"durable": true, "arguments": map[string]string{"x-queue-type": "quorum"}})
	return r, "127.0.0.1:" + text, agent
}

// stompConsumer subscribes to the queue with the agent's password, and returns what it is sent.
func stompConsumer(address, agent string) (net.Conn, *bufio.Reader, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, nil, err
	}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(c, "CONNECT\naccept-version:1.2\nhost:/\nlogin:openclaw\npasscode:%s\n\n\x00", agent)
	in := bufio.NewReader(c)
	frame, err := in.ReadString(0)
	if err != nil || !strings.HasPrefix(strings.TrimSpace(frame), "CONNECTED") {
		_ = c.Close()
		return nil, nil, fmt.Errorf("not let in: %w", errors.Join(err, errors.New(frame)))
	}
	fmt.Fprintf(c, "SUBSCRIBE\nid:0\ndestination:/amq/queue/agent.tasks\nack:client-individual\nprefetch-count:1\n\n\x00")
	return c, in, nil
}

func TestRabbitMQ(t *testing.T) {
	ctx := context.Background()
	r, stomp, agent := rabbitServer(t)
	c, err := r.open(ctx)
	must(t, err)
	var marks []string
	for i := range 50 {
		marks = append(marks, fmt.Sprintf("message %d %s", i, secret()))
		must(t, c.do(ctx, http.MethodPost, "/exchanges/%2F/amq.default/publish", map[string]any{"properties": map[string]any{"message_id": fmt.Sprint(i)}, "routing_key": "agent.tasks", "payload": marks[i], "payload_encoding": "string"}))
	}
	consumer, in, err := stompConsumer(stomp, agent)
	must(t, err)
	if frame, err := in.ReadString(0); err != nil || !strings.Contains(frame, marks[0]) {
		t.Fatalf("the agent got %q, %v", frame, err)
	}
	var was Standing
	until(t, "the broker shows the connection and its queue", 20*time.Second, func() bool {
		was, err = r.Look(ctx)
		return err == nil && len(was.Live) == 1 && was.Queues[0].Messages == 50
	})
	if was.Off || was.Who != "admin" || was.Queues[0].Kind != "classic" || was.Queues[1].Kind != "quorum" || was.Queues[2].Kind != "none" {
		t.Fatalf("the first look: %+v", was)
	}
	done, err := r.Cut(ctx)
	must(t, err)
	if rest, _ := io.ReadAll(in); strings.Contains(string(rest), "MESSAGE") {
		t.Errorf("the agent got %q", rest)
	}
	_ = consumer.Close()
	if c, _, err := stompConsumer(stomp, agent); err == nil {
		_ = c.Close()
		t.Error("the agent came back")
	}
	itself := r
	itself.User, itself.Authority = "nobody", as("openclaw", agent)
	if _, err := itself.Look(ctx); !errors.Is(err, ErrRefused) {
		t.Errorf("the agent still manages the broker: %v", err)
	}
	held, err := r.Hold(ctx)
	must(t, err)
	now, err := r.Look(ctx)
	must(t, err)
	if !now.Off || len(now.Live) != 0 {
		t.Errorf("not cut: %+v", now)
	}
	type message struct {
		Payload    string
		Properties struct {
			ID string `json:"message_id"`
		}
	}
	for range 2 { // the second copy shows that the first changed nothing
		m := newMemory()
		captured, err := r.Preserve(ctx, m)
		must(t, err)
		got := lines[message](t, m, "messages/agent.tasks.jsonl")
		if len(got) != len(marks) {
			t.Fatalf("%d messages", len(got))
		}
		for i, mark := range marks {
			if got[i].Payload != mark || got[i].Properties.ID != fmt.Sprint(i) {
				t.Fatalf("message %d is %+v", i, got[i])
			}
		}
		if len(captured.Left) != 2 || !strings.Contains(captured.Left[0], "quorum") {
			t.Errorf("left out: %q", captured.Left)
		}
		quotes(t, slices.Concat(marks, []string{agent}), was, now, done, held, captured, m.ends)
	}
	for range 2 {
		_, err = r.Restore(ctx, was.Was)
		must(t, err)
	}
	after, err := r.Look(ctx)
	must(t, err)
	if string(after.Was) != string(was.Was) || !strings.Contains(string(was.Was), "monitoring") || !strings.Contains(string(was.Was), "^agent") {
		t.Errorf("it stood as %s, and stands as %s", was.Was, after.Was)
	}
	back, in, err := stompConsumer(stomp, agent)
	must(t, err)
	defer func() { _ = back.Close() }()
	if frame, err := in.ReadString(0); err != nil || !strings.Contains(frame, marks[0]) {
		t.Errorf("after the restore the agent gets %q, %v", frame, err)
	}
	for name, c := range map[string]struct {
		change func(*RabbitMQ)
		want   error
	}{
		"a wrong password": {func(r *RabbitMQ) { r.Authority = as("admin", secret()) }, ErrRefused},
		"no such account":  {func(r *RabbitMQ) { r.User = "nobody" }, ErrNoAgent},
		"its own account":  {func(r *RabbitMQ) { r.User = "admin" }, ErrOwn},
	} {
		other := r
		c.change(&other)
		if _, err := other.Cut(ctx); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRabbitMQHostile(t *testing.T) {
	within(t, time.Second)
	most, get := maxAnswer, maxGet
	defer func() { maxAnswer, maxGet = most, get }()
	maxAnswer, maxGet = 1000, 1000
	password := secret()
	answers := func(body string) string {
		return impostor(t, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4000))
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		})
	}
	stranger := impostor(t, func(net.Conn) { t.Error("a redirect was followed, and the password with it") })
	for name, address := range map[string]string{
		"hangs":        impostor(t, silent),
		"closes":       impostor(t, func(net.Conn) {}),
		"a huge reply": answers(`{"tags":"` + strings.Repeat("x", 5000) + `"}`),
		"no JSON":      answers("<html>" + password),
		"elsewhere": impostor(t, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4000))
			_, _ = fmt.Fprintf(c, "HTTP/1.1 302 Found\r\nLocation: http://%s/%s\r\nContent-Length: 0\r\n\r\n", stranger, password)
		}),
		"down": "127.0.0.1:" + freePort(t),
	} {
		r := RabbitMQ{Place: Place{Address: address, Plain: true}, Vhost: "/", User: "openclaw", Authority: as("admin", password)}
		began := time.Now()
		_, err := r.Cut(context.Background())
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		quotes(t, []string{password}, err.Error())
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s took %s", name, took)
		}
	}
	// Of messages without end, those before the bound are kept.
	one := `{"payload":"a message"}`
	r := RabbitMQ{Place: Place{Address: answers("[" + strings.Repeat(one+",", 500) + one + "]"), Plain: true}, Vhost: "/", User: "openclaw", Authority: as("admin", password)}
	c, err := r.open(context.Background())
	must(t, err)
	var out strings.Builder
	if err := r.messages(context.Background(), c, "q", &out); !errors.Is(err, platform.ErrFull) {
		t.Errorf("without end: %v", err)
	}
	if n := strings.Count(out.String(), "\n"); n < 10 || n > 100 {
		t.Errorf("%d messages were kept", n)
	}
	for l := range strings.Lines(out.String()) {
		if !json.Valid([]byte(l)) {
			t.Errorf("torn: %q", l)
		}
	}
}
