package containment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fakeEngine answers on a socket as handler does, by the standard library's own HTTP.
func fakeEngine(t *testing.T, handler http.HandlerFunc) *engine {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return &engine{name: "docker", socket: socket}
}

// rawEngine sends answer to whoever connects, whatever was asked, then says no more.
func rawEngine(t *testing.T, answer string, hang bool) *engine {
	t.Helper()
	e := &engine{name: "docker of user 1", socket: filepath.Join(t.TempDir(), "s"), uid: 1}
	listener, err := net.Listen("unix", e.socket)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan bool)
	t.Cleanup(func() { listener.Close(); close(done) })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				io.WriteString(conn, answer)
				if hang {
					<-done
				}
				conn.Close()
			}()
		}
	}()
	return e
}

func TestEngineAnswers(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789"), 1000)
	e := fakeEngine(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/chunked":
			for i := 0; i < len(body); i += 700 {
				w.Write(body[i:min(i+700, len(body))])
				w.(http.Flusher).Flush()
			}
		case "/length":
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			w.Write(body)
		case "/none":
			w.WriteHeader(204)
		case "/post":
			got, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s", r.Method, got)
		default:
			w.WriteHeader(409)
			io.WriteString(w, `{"message":"container x is \u001b[31mnot paused"}`)
		}
	})
	ctx := context.Background()
	for _, path := range []string{"/chunked", "/length"} {
		if got, err := e.ask(ctx, "GET", path, nil, int64(len(body))); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%s: %d bytes, %v", path, len(got), err)
		}
		if got, err := e.ask(ctx, "GET", path, nil, 1234); !errors.Is(err, errLong) || !bytes.Equal(got, body[:1234]) {
			t.Errorf("%s, cut: %d bytes, %v", path, len(got), err)
		}
	}
	if got, err := e.ask(ctx, "POST", "/none", nil, 10); err != nil || len(got) > 0 {
		t.Errorf("none: %q, %v", got, err)
	}
	if got, err := e.ask(ctx, "POST", "/post", map[string]policy{"RestartPolicy": {Name: "on-failure", MaximumRetryCount: 3}}, 100); err != nil ||
		string(got) != `POST {"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":3}}` {
		t.Errorf("post: %q, %v", got, err)
	}
	var no *refusal
	if _, err := e.ask(ctx, "GET", "/other", nil, 100); !errors.As(err, &no) || no.status != 409 || no.message != `container x is \x1b[31mnot paused` {
		t.Errorf("refused: %v", err)
	}
}

// Nothing that an engine sends hangs us, fills the memory or is taken for an answer when it is none.
func TestHostileEngine(t *testing.T) {
	for name, answer := range map[string]string{
		"nothing":            "",
		"no HTTP":            "SSH-2.0-x\r\n\r\n",
		"no head's end":      "HTTP/1.1 200 OK\r\nA: b\r\n",
		"a long line":        "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 1<<16) + "\r\n\r\n",
		"a long head":        "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 1<<15) + "\r\n",
		"a status of words":  "HTTP/1.1 two OK\r\n\r\n",
		"an early status":    "HTTP/1.1 100 Continue\r\n\r\n",
		"a negative length":  "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"a length too great": "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
		"less than it said":  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
		"a chunk too great":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nabc",
		"a chunk cut":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
		"a chunk too long":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
		"no last chunk":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
		"another encoding":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
	} {
		if data, err := rawEngine(t, answer, false).ask(context.Background(), "GET", "/x", nil, 1<<20); err == nil {
			t.Errorf("%s: taken for %q", name, data)
		}
	}
	for name, answer := range map[string]string{"silent": "", "silent after its head": "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"} {
		e := rawEngine(t, answer, true)
		start := time.Now()
		for range 20 {
			if _, err := e.Units(context.Background(), nil, nil); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if took := time.Since(start); took > 5*dialWait {
			t.Errorf("%s: waited %s", name, took)
		}
	}
}

// A user's engine does not hold a verb up with many answers that are each in time.
func TestSlowEngine(t *testing.T) {
	asked := 0
	e := fakeEngine(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		<-time.After(10 * time.Millisecond)
		io.WriteString(w, "[]")
	})
	e.uid, e.waited = 1, callWait-15*time.Millisecond
	for range 100 {
		_, _ = e.list(context.Background())
	}
	if _, err := e.list(context.Background()); err == nil || asked > 2 {
		t.Errorf("it was asked %d times: %v", asked, err)
	}
}

// An engine's word never leads to a process of others, nor to another container.
func TestEngineLies(t *testing.T) {
	id, other := strings.Repeat("a", 64), strings.Repeat("b", 64)
	list := fmt.Sprintf(`[{"Id":%q,"Names":["/openclaw"]},{"Id":"../../version","Names":["/openclaw-x"]},{"Id":%q,"Names":["/db"]}]`, id, other)
	answer := ""
	var asked []string
	e := fakeEngine(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/containers/json" {
			io.WriteString(w, list)
			return
		}
		asked = append(asked, r.Method+" "+r.URL.Path)
		io.WriteString(w, answer)
	})
	ctx := context.Background()
	for name, lie := range map[string]string{
		"our process":       fmt.Sprintf(`{"Id":%q,"State":{"Running":true,"Pid":%d}}`, id, os.Getpid()),
		"PID 1":             fmt.Sprintf(`{"Id":%q,"State":{"Running":true,"Pid":1}}`, id),
		"a negative one":    fmt.Sprintf(`{"Id":%q,"State":{"Running":true,"Pid":-1}}`, id),
		"another container": fmt.Sprintf(`{"Id":%q,"State":{"Running":true,"Pid":2}}`, other),
		"no JSON":           `<html>`,
	} {
		answer = lie
		units, err := e.Units(ctx, nil, nil)
		if err == nil || len(units) > 0 && units[0].Cgroup != "" {
			t.Errorf("%s: %+v, %v", name, units, err)
		}
	}
	for _, a := range asked {
		if a != "GET /containers/"+id+"/json" {
			t.Errorf("it was asked %s", a)
		}
	}
	for _, unit := range []string{"openclaw", "openclaw/../x", id, "db/" + other[:shortID] + "?x", "gone/cccccccccccc"} {
		if err := e.Kill(ctx, unit); err == nil && unit != "gone/cccccccccccc" {
			t.Errorf("%q was killed", unit)
		}
	}
	if err := e.Resume(ctx, Paused{Name: "openclaw/" + id[:shortID], Policy: `always","x":"`}); err == nil {
		t.Error("a policy that is none was set")
	}
}

// A policy that nobody reads as no, or an engine that claims to have paused, does not pass.
func TestEngineIsHeldToItsWord(t *testing.T) {
	id := strings.Repeat("a", 64)
	now := ""
	e := fakeEngine(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/containers/json":
			fmt.Fprintf(w, `[{"Id":%q,"Names":["/openclaw"]}]`, id)
		case r.Method == "GET":
			io.WriteString(w, now)
		}
	})
	ctx, unit := context.Background(), "openclaw/"+id[:shortID]
	now = fmt.Sprintf(`{"Id":%q,"State":{"Running":true},"HostConfig":{"RestartPolicy":{"Name":"always"}}}`, id)
	if err := e.Freeze(ctx, unit, true); err == nil {
		t.Error("it is taken for paused")
	}
	if err := e.Pause(ctx, Paused{Name: unit, Enabled: true}); err != nil {
		t.Error(err)
	}
	if err := e.Blocked(ctx, unit); err == nil || !strings.Contains(err.Error(), "always") {
		t.Errorf("blocked: %v", err)
	}
	now = fmt.Sprintf(`{"Id":%q,"State":{"Paused":true,"Running":true}}`, id)
	if err := errors.Join(e.Freeze(ctx, unit, true), e.Blocked(ctx, unit)); err != nil {
		t.Error(err)
	}
	if err := e.Freeze(ctx, unit, false); err == nil {
		t.Error("it is taken for going on")
	}
}

func FuzzReadAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n"))
	f.Add([]byte("HTTP/1.0 404 no\n\nabc"))
	f.Fuzz(func(t *testing.T, data []byte) {
		const max = 100
		status, body, err := readAnswer(bytes.NewReader(data), max)
		if len(body) > max || err == nil && (status < 200 || status > 999) {
			t.Errorf("status %d, %d bytes", status, len(body))
		}
	})
}

// What an engine says of networks is held to its form and, of what it was asked to do, to what it says
// afterwards.
func TestEngineNetworksAreClaims(t *testing.T) {
	id := strings.Repeat("a", 64)
	networks := ""
	var asked []string
	e := fakeEngine(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/containers/json":
			fmt.Fprintf(w, `[{"Id":%q,"Names":["/openclaw"]}]`, id)
		case r.Method == "GET":
			fmt.Fprintf(w, `{"Id":%q,"State":{"Running":true},"NetworkSettings":{"Networks":{%s}}}`, id, networks)
		default:
			body, _ := io.ReadAll(r.Body)
			asked = append(asked, r.URL.Path+" "+string(body))
		}
	})
	ctx, unit := context.Background(), "openclaw/"+id[:shortID]
	for _, bad := range []string{`"../a":{"NetworkID":"1"}`, `"a":{"NetworkID":"../../containers/x/start?"}`, `"a\u001b[2J":{"NetworkID":"1"}`} {
		networks = bad
		if links, err := e.Links(ctx, unit); err == nil || len(links) > 0 || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%s: %v, %v", bad, links, err)
		}
	}
	networks = `"host":{"NetworkID":"1"},"none":{"NetworkID":"2"},"off":{"NetworkID":""},"big":{"NetworkID":"3","Aliases":["` + strings.Repeat("x", maxSettings) + `"]}`
	links, err := e.Links(ctx, unit)
	if err != nil || len(links) != 1 || links[0].Name != "big" || links[0].Settings != nil {
		t.Errorf("%.200v, %v", links, err)
	}
	if err := e.Disconnect(ctx, links[0]); err == nil || !strings.Contains(err.Error(), "nothing changed") {
		t.Errorf("an engine that did nothing is believed: %v", err)
	}
	if want := `/networks/3/disconnect {"Container":"` + id + `","Force":true}`; len(asked) != 1 || asked[0] != want {
		t.Errorf("asked %q, not %q", asked, want)
	}
	if err := e.Connect(ctx, Link{Manager: e.name, Unit: unit, Network: "../x", Name: "x"}); err == nil || len(asked) != 1 {
		t.Errorf("asked %q, %v", asked, err)
	}
}
