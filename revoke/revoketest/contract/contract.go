// Package contract holds what a provider sends, and what its fake answers, against the provider's
// official OpenAPI description. It is for tests.
package contract

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// maxBody bounds the bodies that are held in memory to be checked.
const maxBody = 16 << 20

// Exception is an answer that the provider gives though its description leaves it out. Its body
// is not checked. An exception that no answer needed fails the test, so that the list stays true.
type Exception struct {
	Method string
	Path   string // as the description writes it: "/app/installations/{installation_id}"
	Status int
	Why    string // where the answer is documented instead
}

// Transport checks each request before it is sent, and each answer before it is returned. A
// breach fails the test and is passed on unchanged. Cut answers are passed on unchecked.
type Transport struct {
	t      testing.TB
	next   http.RoundTripper
	router routers.Router
	except []Exception

	mu     sync.Mutex
	seen   map[string]bool
	unused []Exception
}

// New returns a Transport that sends with next and checks against the description in specFile.
// Requests must go to a server that the description names.
func New(t testing.TB, specFile string, next http.RoundTripper, except ...Exception) *Transport {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile(specFile)
	if err != nil {
		t.Fatalf("load the description: %v", err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatalf("read the paths of %s: %v", specFile, err)
	}
	c := &Transport{
		t: t, next: next, router: router, except: except,
		seen: make(map[string]bool), unused: slices.Clone(except),
	}
	t.Cleanup(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, e := range c.unused {
			t.Errorf("contract: exception %s %s %d was never needed", e.Method, e.Path, e.Status)
		}
	})
	return c
}

// Seen lists what was exchanged and checked, such as "GET /user 200", sorted.
func (c *Transport) Seen() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := make([]string, 0, len(c.seen))
	for s := range c.seen {
		seen = append(seen, s)
	}
	slices.Sort(seen)
	return seen
}

func (c *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := drain(r.Body)
	if err != nil {
		return nil, fmt.Errorf("contract: read the request's body: %w", err)
	}
	sent := withBody(r, body)
	checked, err := c.request(withBody(r, body))
	if err != nil {
		c.t.Errorf("contract: request %s %s: %v", r.Method, r.URL.Path, err)
		return c.next.RoundTrip(sent)
	}
	resp, err := c.next.RoundTrip(sent)
	if err != nil {
		return nil, err
	}
	answer, err := drain(resp.Body)
	if err != nil {
		resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(answer), failing{err}))
		return resp, nil
	}
	resp.Body = io.NopCloser(bytes.NewReader(answer))
	if err := c.response(checked, resp, answer); err != nil {
		c.t.Errorf("contract: answer %d to %s %s: %v", resp.StatusCode, r.Method, r.URL.Path, err)
	}
	return resp, nil
}

func (c *Transport) request(r *http.Request) (*openapi3filter.RequestValidationInput, error) {
	route, params, err := c.router.FindRoute(r)
	if err != nil {
		return nil, err
	}
	in := &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params, Route: route, Options: options(),
	}
	return in, openapi3filter.ValidateRequest(r.Context(), in)
}

func (c *Transport) response(in *openapi3filter.RequestValidationInput, resp *http.Response, body []byte) error {
	method, path := in.Route.Method, in.Route.Path
	c.mu.Lock()
	c.seen[fmt.Sprintf("%s %s %d", method, path, resp.StatusCode)] = true
	allowed := func(e Exception) bool {
		return e.Method == method && e.Path == path && e.Status == resp.StatusCode
	}
	excepted := slices.ContainsFunc(c.except, allowed)
	c.unused = slices.DeleteFunc(c.unused, allowed)
	c.mu.Unlock()
	if excepted {
		return nil
	}
	// The answer counts even where the request's context ended while it was read.
	ctx := context.WithoutCancel(in.Request.Context())
	return openapi3filter.ValidateResponse(ctx, &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in,
		Status:                 resp.StatusCode,
		Header:                 resp.Header,
		Body:                   io.NopCloser(bytes.NewReader(body)),
		Options:                options(),
	})
}

func options() *openapi3filter.Options {
	o := &openapi3filter.Options{
		IncludeResponseStatus:             true,
		RejectWhenRequestBodyNotSpecified: true,
		SkipSettingDefaults:               true,
		AuthenticationFunc:                openapi3filter.NoopAuthenticationFunc,
		MultiError:                        true,
	}
	// The library's own messages quote the value, which may be a secret.
	o.WithCustomSchemaErrorFunc(func(e *openapi3.SchemaError) string {
		return fmt.Sprintf("the value breaks %q at /%s", e.SchemaField, strings.Join(e.JSONPointer(), "/"))
	})
	return o
}

func withBody(r *http.Request, body []byte) *http.Request {
	c := r.Clone(r.Context())
	if r.Body != nil && r.Body != http.NoBody {
		c.Body = io.NopCloser(bytes.NewReader(body))
	}
	return c
}

func drain(rc io.ReadCloser) ([]byte, error) {
	if rc == nil {
		return nil, nil
	}
	defer rc.Close()
	b, err := io.ReadAll(io.LimitReader(rc, maxBody+1))
	if err == nil && len(b) > maxBody {
		err = errors.New("larger than a test may hold")
	}
	return b, err
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
