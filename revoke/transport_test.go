package revoke

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// sent is a transport that keeps what reaches it.
type sent struct {
	body string
	n    int
}

func (s *sent) RoundTrip(r *http.Request) (*http.Response, error) {
	s.n++
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		s.body = string(b)
	}
	return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
}

func TestReadOnly(t *testing.T) {
	const form = "application/x-www-form-urlencoded; charset=utf-8"
	reads := []Read{
		{Method: "GET", Path: "/user"},
		{Method: "GET", Path: "/repos/*/*"},
		{Method: "POST", Path: "/", Form: map[string]string{"Action": "GetCallerIdentity", "Version": "2011-06-15"}},
		{Method: "POST", Path: "/hook/*", Body: "no json"},
	}
	for name, c := range map[string]struct {
		endpoint, method, url, kind, body string
		ok                                bool
	}{
		"declared":               {"", "GET", "https://h/user", "", "", true},
		"with a query":           {"", "GET", "https://h/user?page=2", "", "", true},
		"other method":           {"", "DELETE", "https://h/user", "", "", false},
		"HEAD is not GET":        {"", "HEAD", "https://h/user", "", "", false},
		"other path":             {"", "GET", "https://h/users", "", "", false},
		"below it":               {"", "GET", "https://h/user/keys", "", "", false},
		"slash at the end":       {"", "GET", "https://h/user/", "", "", false},
		"two slashes":            {"", "GET", "https://h//user", "", "", false},
		"dots":                   {"", "GET", "https://h/x/../user", "", "", false},
		"escaped dots":           {"", "GET", "https://h/repos/%2e%2e/user", "", "", false},
		"segments":               {"", "GET", "https://h/repos/a/b", "", "", true},
		"a segment too many":     {"", "GET", "https://h/repos/a/b/c", "", "", false},
		"escaped slash":          {"", "GET", "https://h/repos/a/b%2Fc", "", "", false},
		"form":                   {"", "POST", "https://h/", form, "Action=GetCallerIdentity&Version=2011-06-15", true},
		"form with more":         {"", "POST", "https://h/", form, "Action=GetCallerIdentity&Version=2011-06-15&x=y", true},
		"other action":           {"", "POST", "https://h/", form, "Action=DeleteUser&Version=2011-06-15", false},
		"action missing":         {"", "POST", "https://h/", form, "Version=2011-06-15", false},
		"two actions":            {"", "POST", "https://h/", form, "Action=GetCallerIdentity&Action=DeleteUser&Version=2011-06-15", false},
		"an action in the query": {"", "POST", "https://h/?Action=DeleteUser", form, "Action=GetCallerIdentity&Version=2011-06-15", false},
		"not sent as a form":     {"", "POST", "https://h/", "application/json", "Action=GetCallerIdentity&Version=2011-06-15", false},
		"broken form":            {"", "POST", "https://h/", form, "Action=GetCallerIdentity;Version=2011-06-15", false},
		"large form":             {"", "POST", "https://h/", form, "Action=GetCallerIdentity&Version=2011-06-15&x=" + strings.Repeat("x", maxReadBody), false},
		"no body":                {"", "POST", "https://h/", form, "", false},
		"exact body":             {"", "POST", "https://h/hook/a", "application/json", "no json", true},
		"other body":             {"", "POST", "https://h/hook/a", "application/json", `{"text":"hi"}`, false},
		"no exact body":          {"", "POST", "https://h/hook/a", "application/json", "", false},
		"pinned":                 {"https://p:8443/x/y", "GET", "https://p:8443/x/y/user", "", "", true},
		"pinned, slash":          {"https://p/x/", "GET", "https://p/x/user", "", "", true},
		"pinned, not below":      {"https://p/x", "GET", "https://p/user", "", "", false},
		"pinned, its neighbour":  {"https://p/x", "GET", "https://p/xuser", "", "", false},
		"pinned, out of it":      {"https://p/x", "GET", "https://p/x/../user", "", "", false},
		"pinned, other host":     {"https://p/x", "GET", "https://h/x/user", "", "", false},
		"pinned, other port":     {"https://p/x", "GET", "https://p:81/x/user", "", "", false},
		"no endpoint":            {"https://%zz", "GET", "https://h/user", "", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			next := new(sent)
			var body io.Reader
			if c.body != "" {
				body = strings.NewReader(c.body)
			}
			r, err := http.NewRequest(c.method, c.url, body)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", c.kind)
			_, err = ReadOnly(next, reads, c.endpoint).RoundTrip(r)
			switch {
			case c.ok && (err != nil || next.n != 1):
				t.Errorf("refused: %v", err)
			case c.ok && next.body != c.body:
				t.Errorf("sent the body %q instead of %q", next.body, c.body)
			case !c.ok && (!errors.Is(err, ErrNotARead) || next.n != 0):
				t.Errorf("sent: %v", err)
			}
		})
	}
}

// Some paths are secrets: those of Slack's webhooks and Telegram's bots.
func TestReadOnlyErrorHidesThePath(t *testing.T) {
	r, err := http.NewRequest("POST", "https://hooks.test/services/a-secret", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = ReadOnly(new(sent), nil, "").RoundTrip(r)
	if err == nil || strings.Contains(err.Error(), "a-secret") || !strings.Contains(err.Error(), "POST to hooks.test") {
		t.Errorf("err = %v", err)
	}
}

func TestReadOnlyBodyThatBreaks(t *testing.T) {
	r, err := http.NewRequest("POST", "https://h/", failing{})
	if err != nil {
		t.Fatal(err)
	}
	next := new(sent)
	_, err = ReadOnly(next, []Read{{Method: "POST", Path: "/"}}, "").RoundTrip(r)
	if !errors.Is(err, ErrNotARead) || !errors.Is(err, errCut) || next.n != 0 {
		t.Errorf("err = %v", err)
	}
}

func TestReadOnlyByHeader(t *testing.T) {
	reads := []Read{{Method: "POST", Path: "/", Header: map[string]string{"X-Target": "Trail.Look", "Content-Type": "application/json"}}}
	for name, c := range map[string]struct {
		url    string
		header http.Header
		ok     bool
	}{
		"declared":               {"https://h/", http.Header{"X-Target": {"Trail.Look"}, "Content-Type": {"application/json"}}, true},
		"other action":           {"https://h/", http.Header{"X-Target": {"Trail.Delete"}, "Content-Type": {"application/json"}}, false},
		"action missing":         {"https://h/", http.Header{"Content-Type": {"application/json"}}, false},
		"two actions":            {"https://h/", http.Header{"X-Target": {"Trail.Look", "Trail.Delete"}, "Content-Type": {"application/json"}}, false},
		"sent as a form":         {"https://h/", http.Header{"X-Target": {"Trail.Look"}, "Content-Type": {"application/x-www-form-urlencoded"}}, false},
		"an action in the query": {"https://h/?Action=Delete", http.Header{"X-Target": {"Trail.Look"}, "Content-Type": {"application/json"}}, false},
	} {
		r, err := http.NewRequest(http.MethodPost, c.url, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = c.header
		next := new(sent)
		_, err = ReadOnly(next, reads, "").RoundTrip(r)
		if ok := err == nil && next.n == 1; ok != c.ok || !c.ok && !errors.Is(err, ErrNotARead) {
			t.Errorf("%s: sent %d, %v", name, next.n, err)
		}
	}
}
