package fake

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"clawback/revoke/credential"
)

// echo is a provider whose one credential dies at a POST.
type echo struct {
	knobs *Knobs
	life  Revocation
	name  string
}

func (e *echo) Name() string                                 { return e.name }
func (e *echo) Hosts() []string                              { return []string{e.name + ".test"} }
func (e *echo) Kinds() []string                              { return nil }
func (e *echo) Mint(string) credential.Credential            { return credential.Credential{} }
func (e *echo) MintAuthority() (credential.Credential, bool) { return credential.Credential{}, false }
func (e *echo) Alive(credential.Credential) bool             { return e.knobs.Works(e.life) }
func (e *echo) RevokeByHand(credential.Credential)           { e.knobs.Revoke(&e.life) }
func (e *echo) State() string                                { return e.life.At.String() }
func (e *echo) Knobs() *Knobs                                { return e.knobs }
func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.knobs.Serve(w, r, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method == http.MethodPost {
			e.knobs.Revoke(&e.life)
		}
		_, _ = io.WriteString(w, e.name+" got "+string(body))
	})
}

// simulated runs f in a bubble with a network that serves one provider.
func simulated(t *testing.T, f func(t *testing.T, e *echo, n *Network)) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{knobs: NewKnobs(Wall{}), name: "one"}
		n := NewNetwork(e)
		defer func() { _ = n.Close() }()
		f(t, e, n)
	})
}

type answer struct {
	status int
	body   string
	header http.Header
	err    error
}

func ask(ctx context.Context, n *Network, method, url, body string) answer {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	client := n.Client()
	defer client.CloseIdleConnections()
	resp, err := client.Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, string(b), resp.Header, err}
}

func TestNetwork(t *testing.T) {
	simulated(t, func(t *testing.T, e *echo, n *Network) {
		n.Handle("two.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "two at "+r.Host) }))
		n.Handle("away.test", http.RedirectHandler("https://one.test/", http.StatusFound))
		for url, want := range map[string]string{
			"https://one.test/x":     "one got hi",
			"http://one.test/x":      "one got hi",
			"https://one.test:8443/": "one got hi",
			"https://two.test/":      "two at two.test",
		} {
			if got := ask(t.Context(), n, "PUT", url, "hi"); got.err != nil || got.body != want {
				t.Errorf("%s: %+v, want %q", url, got, want)
			}
		}
		if got := ask(t.Context(), n, "GET", "https://away.test/", ""); got.status != http.StatusFound {
			t.Errorf("a redirect was followed: %+v", got)
		}
		for _, url := range []string{"https://three.test/", "https://one.test.evil/", "http://127.0.0.1:22/", "http://[::1]/"} {
			if got := ask(t.Context(), n, "GET", url, ""); got.err == nil || !strings.Contains(got.err.Error(), "no such host in this world") {
				t.Errorf("%s: %+v, want no way out", url, got)
			}
		}
	})
}

func TestNetworkClosed(t *testing.T) {
	simulated(t, func(t *testing.T, e *echo, n *Network) {
		_ = n.Close()
		if got := ask(t.Context(), n, "GET", "https://one.test/", ""); got.err == nil {
			t.Errorf("answered after Close: %+v", got)
		}
		if err := n.Close(); err != nil {
			t.Errorf("closed twice: %v", err)
		}
	})
}

func TestFaults(t *testing.T) {
	for name, c := range map[string]struct {
		fault  Fault
		want   string
		status int
		took   time.Duration
		done   bool // the change happened
		check  func(answer) bool
	}{
		"none":   {Fault{}, "one got hi", 200, 0, true, nil},
		"delay":  {Fault{Delay: 3 * time.Second}, "one got hi", 200, 3 * time.Second, true, nil},
		"status": {Fault{Status: 503, Body: "busy"}, "busy", 503, 0, false, func(a answer) bool { return a.header.Get("Content-Type") == "text/plain" }},
		"limited": {Fault{Status: 429, RetryAfter: 7 * time.Second, Type: "application/json"}, "", 429, 0, false, func(a answer) bool {
			return a.header.Get("Retry-After") == "7" && a.header.Get("Content-Type") == "application/json"
		}},
		"hang": {Fault{Hang: true}, "", 0, 9 * time.Second, false, func(a answer) bool { return errors.Is(a.err, context.DeadlineExceeded) }},
		"late": {Fault{Hang: true, Delay: time.Second}, "", 0, 9 * time.Second, false, func(a answer) bool { return errors.Is(a.err, context.DeadlineExceeded) }},
		"too late": {Fault{Status: 200, Delay: time.Minute}, "", 0, 9 * time.Second, false, func(a answer) bool {
			return errors.Is(a.err, context.DeadlineExceeded)
		}},
		"cut":       {Fault{Cut: true}, `{"cut`, 200, 0, false, func(a answer) bool { return errors.Is(a.err, io.ErrUnexpectedEOF) }},
		"cut 401":   {Fault{Cut: true, Status: 401}, `{"cut`, 401, 0, false, func(a answer) bool { return errors.Is(a.err, io.ErrUnexpectedEOF) }},
		"cut after": {Fault{CutAfter: true}, "", 0, 0, true, func(a answer) bool { return errors.Is(a.err, io.EOF) }},
	} {
		t.Run(name, func(t *testing.T) {
			simulated(t, func(t *testing.T, e *echo, n *Network) {
				e.knobs.SetFault(func(r *http.Request) Fault {
					if b, err := io.ReadAll(r.Body); string(b) != "hi" || err != nil {
						t.Errorf("the decision got the body %q, %v", b, err)
					}
					return c.fault
				})
				ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
				defer cancel()
				start := time.Now()
				got := ask(ctx, n, "POST", "https://one.test/", "hi")
				if got.body != c.want || got.status != c.status || (c.check == nil) != (got.err == nil) && c.status == 0 {
					t.Errorf("%+v", got)
				}
				if c.check != nil && !c.check(got) {
					t.Errorf("%+v", got)
				}
				if took := time.Since(start); took != c.took {
					t.Errorf("took %v, want %v", took, c.took)
				}
				if done := !e.life.At.IsZero(); done != c.done {
					t.Errorf("changed: %v, want %v", done, c.done)
				}
				e.knobs.SetFault(nil)
				if got := ask(t.Context(), n, "POST", "https://one.test/", "again"); got.body != "one got again" {
					t.Errorf("after the fault: %+v", got)
				}
			})
		})
	}
}

func TestLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKnobs(Wall{})
		var r Revocation
		if !k.Live(&r) || !k.Works(r) {
			t.Error("dead before its revocation")
		}
		k.SetLag(10 * time.Second)
		k.Revoke(&r)
		at := r.At
		time.Sleep(9 * time.Second)
		k.Revoke(&r)
		if r.At != at {
			t.Error("a second revocation began the lag anew")
		}
		if !k.Live(&r) {
			t.Error("dead before the lag was over")
		}
		time.Sleep(time.Second)
		if k.Live(&r) || k.Works(r) {
			t.Error("alive after the lag")
		}
		k.SetStayAlive(true)
		if !k.Live(&r) || !k.Works(r) {
			t.Error("dead though the provider only says so")
		}
	})
}

func TestLaggingNode(t *testing.T) {
	k := NewKnobs(Wall{})
	k.SetLaggingNode(3)
	var r Revocation
	k.Revoke(&r)
	var saw strings.Builder
	for range 7 {
		for range 3 {
			k.Works(r) // is no look
		}
		if k.Live(&r) {
			saw.WriteByte('a')
		} else {
			saw.WriteByte('d')
		}
	}
	if saw.String() != "ddaddad" {
		t.Errorf("saw %s", saw.String())
	}
}

func TestRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKnobs(Wall{})
		k.Record(Call{Path: "/a"})
		time.Sleep(time.Second)
		k.Record(Call{Path: "/b"})
		calls := k.Calls()
		if len(calls) != 2 || calls[1].At.Sub(calls[0].At) != time.Second || calls[0].Path != "/a" {
			t.Fatalf("calls %+v", calls)
		}
		calls[0].Path = "changed"
		if k.Calls()[0].Path != "/a" {
			t.Error("a caller can change the log")
		}
	})
}
