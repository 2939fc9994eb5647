package gitlab_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/gitlab"
	"clawback/revoke/providers/gitlab/gitlabfake"
)

// reply is one answer of a server that follows a script.
type reply struct {
	status int
	body   string
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// scripted makes a provider whose server gives these answers in turn, the last one for ever, and
// the list of what it was asked.
func scripted(t *testing.T, authority credential.Credential, replies ...reply) (revoke.Provider, *[]string) {
	t.Helper()
	asked := new([]string)
	p, err := gitlab.New(revoke.Env{
		HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			next := replies[min(len(*asked), len(replies)-1)]
			*asked = append(*asked, r.Method+" "+r.URL.Path)
			return &http.Response{StatusCode: next.status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(next.body)), Request: r}, nil
		}), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		Authority: authorityOf(&authority),
	})
	if err != nil {
		t.Fatal(err)
	}
	return p, asked
}

func authorityOf(c *credential.Credential) func(context.Context) (revoke.Authority, error) {
	return func(ctx context.Context) (revoke.Authority, error) {
		if c.Secret.Empty() {
			return revoke.Authority{}, revoke.ErrNoAuthority
		}
		return revoke.Authority{Secret: c.Secret, Kind: c.Kind, From: "a test"}, ctx.Err()
	}
}

// world is an instance, and a provider that reaches nothing else.
type world struct {
	*gitlabfake.Fake
	revoke.Provider
	authority credential.Credential
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Fake: gitlabfake.New(fake.Wall{})}
	network := fake.NewNetwork(w.Fake)
	client := network.Client()
	t.Cleanup(func() {
		client.CloseIdleConnections()
		_ = network.Close()
	})
	w.authority, _ = w.MintAuthority()
	p, err := gitlab.New(revoke.Env{HTTP: client, Authority: authorityOf(&w.authority)})
	if err != nil {
		t.Fatal(err)
	}
	w.Provider = p
	return w
}

// sent lists what the instance was asked, since the last time that it was called.
func (w *world) sent(from *int) (list []string) {
	calls := w.Fake.Knobs().Calls()
	for _, c := range calls[*from:] {
		list = append(list, c.Action)
	}
	*from = len(calls)
	return list
}

// minted makes credentials with random secrets of an instance that no test asks.
var minted = gitlabfake.New(fake.Wall{})
