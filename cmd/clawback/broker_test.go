package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"clawback/forensics/incident"
)

func TestBrokerConfig(t *testing.T) {
	const authority = "authority: {user: {env: U}, password: {file: /p}}"
	redis := func(text string) string { return "brokers: {tasks: {redis: {" + text + "}}}" }
	for text, want := range map[string]string{
		redis("address: \"127.0.0.1:6379\", plain: true, user: openclaw, keys: [a], " + authority):                                                   "",
		redis("address: \"redis.example.com:6379\", user: openclaw, keys: [a], " + authority):                                                        "",
		redis("address: \"redis.example.com:6379\", plain: true, user: o, keys: [a], " + authority):                                                  "plain is for loopback alone",
		redis("address: redis.example.com, user: o, keys: [a], " + authority):                                                                        "host:port",
		redis("address: \"r:1\", user: o, keys: [a]"):                                                                                                "authority.password: exactly one of",
		redis("address: \"r:1\", user: o, keys: [a], authority: {password: {env: P}}"):                                                               "authority.user: exactly one of",
		redis("address: \"r:1\", keys: [a], " + authority):                                                                                           "user: \"\" is no name",
		redis("address: \"r:1\", user: o, " + authority):                                                                                             "keys is missing",
		redis("address: \"r:1\", user: \"o on\", keys: [a], " + authority):                                                                           "is no name",
		redis("address: \"r:1\", user: o, keys: [a], ca: /nowhere/ca.pem, " + authority):                                                             "ca: ",
		redis("address: \"r:1\", user: o, keys: [a], password: x, " + authority):                                                                     "not known",
		"brokers: {tasks: {postgres: {address: \"db.example.com:5432\", database: app, role: openclaw, tables: [public.tasks], " + authority + "}}}": "",
		"brokers: {tasks: {postgres: {address: \"db.example.com:5432\", role: openclaw, tables: [public.tasks], " + authority + "}}}":                "database is missing",
		"brokers: {tasks: {postgres: {address: \"db.example.com:5432\", database: app, role: openclaw, " + authority + "}}}":                         "tables is missing",
		"brokers: {tasks: {postgres: {address: \"a:1\", " + authority + "}, redis: {address: \"a:1\", " + authority + "}}}":                          "of one kind",
		"brokers: {tasks: {rabbitmq: {address: \"mq.example.com:15671\", vhost: /, user: openclaw, queues: [agent.tasks], " + authority + "}}}":      "",
		"brokers: {tasks: {rabbitmq: {address: \"mq.example.com:15671\", user: openclaw, queues: [agent.tasks], " + authority + "}}}":                "vhost is missing",
		"brokers: {tasks: {rabbitmq: {address: \"mq.example.com:15671\", vhost: /, user: openclaw, " + authority + "}}}":                             "queues is missing",
		"brokers: {tasks: {nats: {address: \"nats.example.com:4222\", user: openclaw, streams: [TASKS], " + authority + "}}}":                        "",
		"brokers: {tasks: {nats: {address: \"nats.example.com:4222\", user: openclaw, " + authority + "}}}":                                          "streams is missing",
		"brokers: {tasks: {nats: {address: \"nats.example.com:4222\", user: openclaw, streams: [\"TASKS.>\"], " + authority + "}}}":                  "no name of a stream",
		"brokers: {tasks: {}}": "of one kind",
		"brokers: {\"../x\": {redis: {address: \"r:1\", user: o, keys: [a], " + authority + "}}}": "no word of a-z",
	} {
		file := filepath.Join(t.TempDir(), "clawback.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := readConfig(file)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// redisAt is a real server with an administrator and the agent's account, whose passwords it returns.
func redisAt(t *testing.T) (address, admin, agent string) {
	t.Helper()
	program := needsProgram(t, "redis-server")
	random := func() string {
		b := make([]byte, 16)
		_, _ = rand.Read(b)
		return hex.EncodeToString(b)
	}
	admin, agent = random(), random()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(address)
	dir := t.TempDir()
	acl := filepath.Join(dir, "users.acl")
	users := fmt.Sprintf("user default off\nuser admin on >%s ~* &* +@all\nuser openclaw on >%s ~* &* +@all -@admin\n", admin, agent)
	if err := os.WriteFile(acl, []byte(users), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--bind", "127.0.0.1", "--port", port, "--dir", dir, "--save", "", "--aclfile", acl)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	eventually(t, 10*time.Second, "redis answers", func() bool {
		return redisSays(address, "admin", admin, "PING") == "+PONG"
	})
	return address, admin, agent
}

// redisSays is the first line of what a server answers to a command.
func redisSays(address, user, password, command string) string {
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprintf(c, "AUTH %s %s\r\n%s\r\n", user, password, command)
	in := bufio.NewReader(c)
	for range 2 {
		line, err := in.ReadString('\n')
		if err != nil {
			return err.Error()
		}
		if line = strings.TrimSpace(line); line != "+OK" {
			return line
		}
	}
	return "+OK"
}

// A whole response with a real broker: the agent's consumer is thrown out and stays out, what waits is
// in the sealed evidence and nowhere else, and a false alarm gives it all back.
func TestKillWithABroker(t *testing.T) {
	t.Parallel()
	address, admin, agent := redisAt(t)
	d := newDesk(t)
	d.hold("github.pat")
	d.authorise()
	config, err := os.ReadFile(d.config())
	if err != nil {
		t.Fatal(err)
	}
	config = append(config, fmt.Sprintf("brokers:\n  tasks:\n    redis: {address: %q, plain: true, user: openclaw, keys: [queue:agent], authority: {user: {env: BROKER_USER}, password: {env: BROKER_PASSWORD}}}\n", address)...)
	if err := os.WriteFile(d.config(), config, 0o600); err != nil {
		t.Fatal(err)
	}
	d.env = append(d.env, "BROKER_USER=admin", "BROKER_PASSWORD="+admin)
	const message = "transfer-everything-to-4711"
	for range 3 {
		redisSays(address, "openclaw", agent, "RPUSH queue:agent "+message)
	}
	consumer, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = consumer.Close() }()
	fmt.Fprintf(consumer, "AUTH openclaw %s\r\nBLPOP queue:empty 0\r\n", agent)
	ended := make(chan []byte, 1)
	go func() { all, _ := io.ReadAll(consumer); ended <- all }()

	check := d.run(d.command("providers", "--check", "--json"))
	if !regexp.MustCompile(`"provider":"broker tasks"[^}]*"outcome":"usable"[^}]*"who":"admin"`).Match(check.stdout) {
		t.Errorf("its authority is not tested: %s\n%s", check.stdout, check.stderr)
	}
	plan := d.run(d.command(append([]string{"plan", "--root", d.root}, d.city.args...)...))
	for _, says := range []string{"tasks (redis " + address + "): account openclaw", "connections of it: 1", "queue:agent (list): messages: 3"} {
		if !bytes.Contains(plan.stdout, []byte(says)) {
			t.Errorf("the plan does not say %q\n%s%s", says, plan.stdout, plan.stderr)
		}
	}
	dry := d.run(d.command(append([]string{"kill", "--dry-run", "--root", d.root}, d.city.args...)...))
	dry.wants(t, 0, "tasks (redis "+address+"): account openclaw")
	if got := redisSays(address, "openclaw", agent, "LLEN queue:agent"); got != ":3" {
		t.Fatalf("something was changed by looking: %s", got)
	}

	r := d.kill()
	r.contained(t)
	if all := <-ended; !bytes.Equal(all, []byte("+OK\r\n")) {
		t.Errorf("the consumer got %q", all)
	}
	if got := redisSays(address, "openclaw", agent, "LLEN queue:agent"); !strings.HasPrefix(got, "-WRONGPASS") {
		t.Errorf("the agent comes back: %s", got)
	}
	b := r.state.Broker("tasks")
	if b == nil || !b.Done.Holds || b.ByHand != "ACL SETUSER openclaw on" {
		t.Fatalf("on record: %+v", b)
	}
	dir := filepath.Dir(r.summary.Report)
	unpack := exec.Command("tar", "--use-compress-program", needsProgram(t, "zstd"), "--wildcards", "-xOf", filepath.Join(dir, "evidence", "broker-tasks.tar.zst"), "*/messages/queue*agent.jsonl")
	copied, err := unpack.Output()
	if err != nil || bytes.Count(copied, []byte(message)) != 3 {
		t.Errorf("copied: %s, %v", copied, err)
	}
	for name, text := range map[string][]byte{"stdout": r.stdout, "stderr": r.stderr, "the report": []byte(r.reportText(t))} {
		if bytes.Contains(text, []byte(message)) || bytes.Contains(text, []byte(admin)) {
			t.Errorf("a message or a secret is in %s", name)
		}
	}
	if text := r.reportText(t); !strings.Contains(text, "A broker keeps the agent out.") {
		t.Error("the report does not say it")
	}
	verified := d.run(d.command("verify", filepath.Base(dir)))
	verified.wants(t, 0)

	restored := d.run(d.command("restore", filepath.Base(dir), "--yes", "--why", "a false alarm"))
	if got := redisSays(address, "openclaw", agent, "LLEN queue:agent"); got != ":3" {
		t.Errorf("the queue after the restore: %s\n%s", got, restored.stderr)
	}
	restored.wants(t, incident.ExitContained)
}

// A broker that does not answer is a failure of its own, with what to do by hand.
func TestKillWithABrokerThatIsDown(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.hold("github.pat")
	d.authorise()
	config, err := os.ReadFile(d.config())
	if err != nil {
		t.Fatal(err)
	}
	config = append(config, "brokers: {tasks: {redis: {address: \"127.0.0.1:1\", plain: true, user: openclaw, keys: [a], authority: {user: {env: USER}, password: {env: USER}}}}}\n"...)
	if err := os.WriteFile(d.config(), config, 0o600); err != nil {
		t.Fatal(err)
	}
	r := d.kill()
	r.wants(t, incident.ExitPartial, "ACL SETUSER openclaw off")
	if r.summary.Credentials.Dead != 1 || !r.summary.Evidence.Sealed {
		t.Errorf("the rest was held up: %+v", r.summary)
	}
}
