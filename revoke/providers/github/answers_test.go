package github_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/github/githubfake"
)

func TestVerifyAnswers(t *testing.T) {
	const dead = `{"message":"Bad credentials","documentation_url":"https://docs.github.com/rest","status":"401"}`
	in := func(d time.Duration) string { return strconv.FormatInt(time.Now().Add(d).Unix(), 10) }
	for name, tt := range map[string]struct {
		status int
		body   string
		header map[string]string
		want   revoke.Outcome
		answer string
		after  time.Duration
	}{
		"refused":                 {401, dead, nil, revoke.Refused, "401 Bad credentials", 0},
		"alive":                   {200, `{"login":"mona"}`, nil, revoke.Alive, "200 login=mona", 0},
		"401 of a portal":         {401, "<html>Bad credentials</html>", nil, revoke.Inconclusive, "401 Unauthorized", 0},
		"401 of a proxy":          {401, `{"message":"Log in first"}`, nil, revoke.Inconclusive, "401 Log in first", 0},
		"401 without a token":     {401, `{"message":"Requires authentication"}`, nil, revoke.Inconclusive, "401 Requires authentication", 0},
		"401 for a password":      {401, dead, map[string]string{"X-GitHub-OTP": "required; app"}, revoke.Inconclusive, "401 one-time password required", 0},
		"401 JSON and more":       {401, dead + "<html>", nil, revoke.Inconclusive, "401 Unauthorized", 0},
		"401 inside":              {200, dead, nil, revoke.Inconclusive, "200 but not GitHub's answer", 0},
		"refusal with 403":        {403, dead, nil, revoke.Inconclusive, "403 Bad credentials", 0},
		"200 of a portal":         {200, "<html>", nil, revoke.Inconclusive, "200 but not GitHub's answer", 0},
		"200 of somebody else":    {200, `{"name":"mona"}`, nil, revoke.Inconclusive, "200 but not GitHub's answer", 0},
		"200 with nothing":        {200, "", nil, revoke.Inconclusive, "200 but not GitHub's answer", 0},
		"201":                     {201, `{"login":"mona"}`, nil, revoke.Inconclusive, "201 but not GitHub's answer", 0},
		"202":                     {202, `{"login":"mona"}`, nil, revoke.Inconclusive, "202 but not GitHub's answer", 0},
		"204":                     {204, "", nil, revoke.Inconclusive, "204 but not GitHub's answer", 0},
		"403 for the permission":  {403, `{"message":"Resource not accessible by personal access token"}`, nil, revoke.Inconclusive, "403 Resource not accessible by personal access token (the token was accepted)", 0},
		"403 for too many logins": {403, `{"message":"Maximum number of login attempts exceeded"}`, nil, revoke.Inconclusive, "403 Maximum number of login attempts exceeded", 0},
		"404":                     {404, `{"message":"Not Found"}`, nil, revoke.Inconclusive, "404 Not Found", 0},
		"redirect":                {302, "", map[string]string{"Location": "https://evil.example/"}, revoke.Inconclusive, "302 Found", 0},
		"secondary limit":         {403, `{"message":"Slow down","documentation_url":"https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"}`, map[string]string{"Retry-After": "17"}, revoke.Inconclusive, "403 Slow down", 17 * time.Second},
		"secondary without time":  {403, `{"message":"Slow down","documentation_url":"https://docs.github.com/#abuse-rate-limits"}`, nil, revoke.Inconclusive, "403 Slow down", time.Minute},
		"primary limit":           {403, `{"message":"API rate limit exceeded"}`, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": in(40 * time.Minute)}, revoke.Inconclusive, "403 API rate limit exceeded", 40 * time.Minute},
		"primary limit, hostile":  {403, `{}`, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": in(9000 * time.Hour)}, revoke.Inconclusive, "403 Forbidden", time.Hour},
		"429":                     {429, `{}`, map[string]string{"Retry-After": "30"}, revoke.Inconclusive, "429 Too Many Requests", 30 * time.Second},
		"503":                     {503, `unavailable`, map[string]string{"Retry-After": "5"}, revoke.Inconclusive, "503 Service Unavailable", 5 * time.Second},
		"huge":                    {401, dead + strings.Repeat(" ", 2<<20), nil, revoke.Inconclusive, "the answer is larger than 1 MiB", 0},
		"terminal escapes":        {403, `{"message":"\u001b[31mred\u001b[0m"}`, nil, revoke.Inconclusive, "403 red", 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t, revoke.Env{HTTP: serve(t, func(w http.ResponseWriter, r *http.Request) {
				for k, v := range tt.header {
					w.Header().Set(k, v)
				}
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			})})
			v := p.Verify(t.Context(), githubfake.New(fake.Wall{}).Mint("github.pat"))
			if v.Outcome != tt.want || v.Answer != tt.answer {
				t.Errorf("%v %q, want %v %q", v.Outcome, v.Answer, tt.want, tt.answer)
			}
			if d := v.RetryAfter - tt.after; d < -5*time.Second || d > time.Second {
				t.Errorf("RetryAfter = %v, want %v", v.RetryAfter, tt.after)
			}
		})
	}
}

func TestVerifyInstallationAnswers(t *testing.T) {
	for body, want := range map[string]revoke.Outcome{
		`{"total_count":0,"repositories":[]}`:          revoke.Alive,
		`{"total_count":7,"repositories":[{"id":1}]}`:  revoke.Alive,
		`{"repositories":[]}`:                          revoke.Inconclusive,
		`{"total_count":"many","repositories":"gone"}`: revoke.Inconclusive,
		`[]`: revoke.Inconclusive,
		``:   revoke.Inconclusive,
	} {
		p := newProvider(t, revoke.Env{HTTP: serve(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(body))
		})})
		if v := p.Verify(t.Context(), githubfake.New(fake.Wall{}).Mint("github.installation")); v.Outcome != want {
			t.Errorf("%s: %+v, want %v", body, v, want)
		}
	}
}

func TestVerifyWithoutAnAnswer(t *testing.T) {
	for name, fault := range map[string]fake.Fault{
		"cut":     {Cut: true},
		"cut 401": {Cut: true, Status: 401},
		"dropped": {CutAfter: true},
		"hangs":   {Hang: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, p := simulated(t)
				c, app := f.Mint("github.pat"), f.Mint("github.installation")
				f.Knobs().SetFault(func(*http.Request) fake.Fault { return fault })
				for _, c := range []credential.Credential{c, app} {
					if v := p.Verify(t.Context(), c); v.Outcome != revoke.Inconclusive || v.Answer == "" {
						t.Errorf("%s: %+v", c.Kind, v)
					}
				}
			})
		})
	}
}

func TestRevokeAnswers(t *testing.T) {
	type want struct{ uncertain, retry, dead bool }
	for name, tt := range map[string]struct {
		fault fake.Fault
		want  want
	}{
		"400":              {fake.Fault{Status: 400, Body: `{"message":"Problems parsing JSON"}`}, want{}},
		"401 of a proxy":   {fake.Fault{Status: 401, Body: "<html>"}, want{}},
		"403":              {fake.Fault{Status: 403, Body: `{"message":"Forbidden"}`}, want{}},
		"404":              {fake.Fault{Status: 404, Body: `{"message":"Not Found"}`}, want{}},
		"422":              {fake.Fault{Status: 422, Body: `{"message":"Validation Failed"}`}, want{}},
		"302":              {fake.Fault{Status: 302}, want{}},
		"200 of a portal":  {fake.Fault{Status: 200, Body: "<html>"}, want{uncertain: true}},
		"429":              {fake.Fault{Status: 429, RetryAfter: 7 * time.Second}, want{retry: true}},
		"secondary limit":  {fake.Fault{Status: 403, RetryAfter: 7 * time.Second}, want{retry: true}},
		"500":              {fake.Fault{Status: 500}, want{uncertain: true, retry: true}},
		"503":              {fake.Fault{Status: 503, RetryAfter: 7 * time.Second}, want{uncertain: true, retry: true}},
		"cut":              {fake.Fault{Cut: true, Status: 202}, want{uncertain: true}},
		"done, but silent": {fake.Fault{CutAfter: true}, want{uncertain: true, dead: true}},
		"hangs":            {fake.Fault{Hang: true}, want{uncertain: true}},
	} {
		for _, kind := range []string{"github.pat", "github.installation"} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f, p := simulated(t)
					c := f.Mint(kind)
					f.Knobs().SetFault(func(*http.Request) fake.Fault { return tt.fault })
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
					defer cancel()
					r, err := p.Revoke(ctx, c)
					if err == nil {
						t.Fatalf("a receipt: %+v", r)
					}
					var retry *revoke.RetryError
					got := want{errors.Is(err, revoke.ErrUncertain), errors.As(err, &retry), !f.Alive(c)}
					if got != tt.want {
						t.Errorf("%+v, want %+v: %v", got, tt.want, err)
					}
					if errors.Is(err, revoke.ErrManual) {
						t.Errorf("given up for a person: %v", err)
					}
					if got.retry && tt.fault.RetryAfter != retry.After {
						t.Errorf("After = %v", retry.After)
					}
					if tt.fault.Hang && !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("the deadline is not in %v", err)
					}
				})
			})
		}
	}
}

// TestNoConnection: what never left is no uncertainty.
func TestNoConnection(t *testing.T) {
	refuse := func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	}
	p := newProvider(t, revoke.Env{HTTP: &http.Client{Transport: &http.Transport{DialContext: refuse, DialTLSContext: refuse}}})
	c := githubfake.New(fake.Wall{}).Mint("github.pat")
	_, err := p.Revoke(t.Context(), c)
	var retry *revoke.RetryError
	if errors.Is(err, revoke.ErrUncertain) || !errors.As(err, &retry) {
		t.Errorf("Revoke: %v", err)
	}
	if v := p.Verify(t.Context(), c); v.Outcome != revoke.Inconclusive {
		t.Errorf("Verify: %+v", v)
	}
}

// TestEcho: a server that repeats what it was sent gets no secret into any text of ours.
func TestEcho(t *testing.T) {
	f := githubfake.New(fake.Wall{})
	cs := []credential.Credential{f.Mint("github.pat"), f.Mint("github.fine_grained"), f.Mint("github.installation")}
	var all []string
	for _, c := range cs {
		all = append(all, c.Secret.Reveal("value"))
	}
	for _, status := range []int{200, 401, 403, 404, 422, 429, 500} {
		p := newProvider(t, revoke.Env{HTTP: serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"message":"you sent %s","login":"%s","documentation_url":"%[1]s"}`, strings.Join(all, " "), r.Header.Get("Authorization"))
		})})
		var said []string
		for _, c := range cs {
			x, err := p.Inspect(t.Context(), c)
			r, err2 := p.Revoke(t.Context(), c)
			said = append(said, fmt.Sprintf("%s %+v %v %+v %v", p.Verify(t.Context(), c).Answer, x, err, r, err2))
		}
		_, err := p.RevokeBatch(t.Context(), cs[:2])
		said = append(said, fmt.Sprint(err))
		for i, text := range said {
			for j, c := range cs {
				if i < len(cs) && i != j {
					continue // a single request knows of its own secret only
				}
				value := c.Secret.Reveal("value")
				rest := value[strings.LastIndex(value[:12], "_")+1:]
				for k := 0; k+8 <= len(rest); k++ {
					if i == len(cs) && c.Kind == "github.installation" {
						break // not in the batch
					}
					if strings.Contains(text, rest[k:k+8]) {
						t.Fatalf("status %d: a piece of the %s is shown", status, c.Kind)
					}
				}
			}
		}
	}
}
