package contract

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const spec = `{
  "openapi": "3.0.3", "info": {"title": "things", "version": "1"},
  "servers": [{"url": "https://api.example.com"}],
  "paths": {"/things/{id}": {"post": {
    "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "integer"}}],
    "requestBody": {"required": true, "content": {"application/json": {"schema": {
      "type": "object", "required": ["tokens"],
      "properties": {"tokens": {"type": "array", "maxItems": 2, "items": {"type": "string"}}}}}}},
    "responses": {"200": {"description": "", "content": {"application/json": {"schema": {
      "type": "object", "required": ["login"], "properties": {"login": {"type": "string"}}}}}}}}}}
}`

// witness takes the place of testing.TB and keeps what would have failed a test.
type witness struct {
	testing.TB
	failures []string
	cleanups []func()
}

func (w *witness) Helper()          {}
func (w *witness) Cleanup(f func()) { w.cleanups = append(w.cleanups, f) }
func (w *witness) Errorf(f string, args ...any) {
	w.failures = append(w.failures, fmt.Sprintf(f, args...))
}
func (w *witness) end() {
	for _, f := range w.cleanups {
		f()
	}
}

type answer struct {
	status int
	body   string
	err    error
}

func (a answer) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
	}
	body := io.Reader(strings.NewReader(a.body))
	if a.err != nil {
		body = io.MultiReader(body, failing{a.err})
	}
	return &http.Response{
		StatusCode: a.status, Request: r, Body: io.NopCloser(body),
		Header: http.Header{"Content-Type": {"application/json"}},
	}, nil
}

func TestTransport(t *testing.T) {
	file := filepath.Join(t.TempDir(), "spec.json")
	if err := os.WriteFile(file, []byte(spec), 0o600); err != nil {
		t.Fatal(err)
	}
	const good, url = `{"login":"mona"}`, "https://api.example.com/things/7"
	tests := []struct {
		name   string
		url    string
		body   string
		answer answer
		except []Exception
		fails  string // part of the one failure; empty where there is none
	}{
		{"as described", url, `{"tokens":["a"]}`, answer{200, good, nil}, nil, ""},
		{"unknown path", "https://api.example.com/other", `{}`, answer{200, good, nil}, nil, "request POST /other"},
		{"unknown host", "https://evil.example.com/things/7", `{"tokens":["a"]}`, answer{200, good, nil}, nil, "request POST /things/7"},
		{"path parameter of another type", "https://api.example.com/things/x", `{"tokens":["a"]}`, answer{200, good, nil}, nil, "request"},
		{"too many tokens", url, `{"tokens":["canary-1","b","c"]}`, answer{200, good, nil}, nil, `"maxItems" at /tokens`},
		{"no body", url, ``, answer{200, good, nil}, nil, "request POST"},
		{"token of another type", url, `{"tokens":[1]}`, answer{200, good, nil}, nil, `at /tokens/0`},
		{"answer without login", url, `{"tokens":["a"]}`, answer{200, `{"name":"canary-2"}`, nil}, nil, "answer 200"},
		{"status that is not described", url, `{"tokens":["a"]}`, answer{403, `{}`, nil}, nil, "answer 403"},
		{"status that is excepted", url, `{"tokens":["a"]}`, answer{403, `{}`, nil}, []Exception{{"POST", "/things/{id}", 403, "prose"}}, ""},
		{"exception without need", url, `{"tokens":["a"]}`, answer{200, good, nil}, []Exception{{"POST", "/things/{id}", 403, "prose"}}, "never needed"},
		{"cut answer", url, `{"tokens":["a"]}`, answer{200, `{"lo`, io.ErrUnexpectedEOF}, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := &witness{}
			c := New(w, file, tt.answer, tt.except...)
			var body io.Reader
			if tt.body != "" {
				body = strings.NewReader(tt.body)
			}
			r, err := http.NewRequest("POST", tt.url, body)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/json")
			resp, err := c.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			if string(got) != tt.answer.body || err != tt.answer.err {
				t.Errorf("passed on %q, %v", got, err)
			}
			w.end()
			checkFailures(t, w.failures, tt.fails)
		})
	}
}

func checkFailures(t *testing.T, failures []string, want string) {
	t.Helper()
	if want == "" {
		if len(failures) > 0 {
			t.Errorf("unexpected failures: %q", failures)
		}
		return
	}
	if len(failures) != 1 || !strings.Contains(failures[0], want) {
		t.Errorf("failures %q, want one with %q", failures, want)
	}
	if strings.Contains(strings.Join(failures, ""), "canary") {
		t.Errorf("a failure quotes the value: %q", failures)
	}
}

func TestSeen(t *testing.T) {
	file := filepath.Join(t.TempDir(), "spec.json")
	if err := os.WriteFile(file, []byte(spec), 0o600); err != nil {
		t.Fatal(err)
	}
	c := New(t, file, answer{200, `{"login":"mona"}`, nil})
	for range 2 {
		r, _ := http.NewRequest("POST", "https://api.example.com/things/7", strings.NewReader(`{"tokens":[]}`))
		r.Header.Set("Content-Type", "application/json")
		if _, err := c.RoundTrip(r); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"POST /things/{id} 200"}; !slices.Equal(c.Seen(), want) {
		t.Errorf("seen %q, want %q", c.Seen(), want)
	}
}
