package providers_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers"
)

// wire counts what it is given to send.
type wire struct {
	next http.RoundTripper
	sent atomic.Int64
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.sent.Add(1)
	return w.next.RoundTrip(r)
}

// A reader looks, with an authority that may do everything, and whatever else it is asked to do is
// refused before it is sent.
func TestReaders(t *testing.T) {
	for _, f := range providers.Fakes(fake.Wall{}) {
		t.Run(f.Name(), func(t *testing.T) {
			network := fake.NewNetwork(f)
			defer func() { _ = network.Close() }()
			w := &wire{next: network.Transport()}
			p := reader(t, f, w)
			looked, refused, manual := 0, 0, 0
			for _, kind := range f.Kinds() {
				c := f.Mint(kind)
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				state, before := f.State(), w.sent.Load()
				if v := p.Verify(ctx, c); v.Outcome == revoke.Refused {
					t.Errorf("%s: a live one is refused: %s", kind, v.Answer)
				}
				if w.sent.Load() > before {
					looked++
				}
				if revokes(ctx, t, w, p, c) {
					refused++
				}
				if k, _ := p.Info().Kind(kind); k.Manual {
					manual++
				}
				if f.State() != state || !f.Alive(c) {
					t.Errorf("%s: something was changed", kind)
				}
				cancel()
			}
			if looked == 0 || refused == 0 && manual < len(f.Kinds()) {
				t.Errorf("it looked at %d and had %d changes refused: this shows nothing", looked, refused)
			}
		})
	}
}

// reader is the provider of a fake as Readers makes it.
func reader(t *testing.T, f fake.Provider, w *wire) revoke.Provider {
	t.Helper()
	a, has := f.MintAuthority()
	endpoint := ""
	if made(t, nil)[f.Name()].Info().SelfHosted {
		endpoint = "https://" + f.Hosts()[0]
	}
	all, err := providers.Readers(func(name string) revoke.Env {
		return revoke.Env{
			Endpoint: endpoint, Settings: settingsOf(name),
			HTTP: revoke.NewClient(w), Sleep: fake.Wall{}.Sleep, Now: fake.Wall{}.Now,
			Authority: func(context.Context) (revoke.Authority, error) {
				if !has {
					return revoke.Authority{}, revoke.ErrNoAuthority
				}
				return revoke.Authority{Secret: a.Secret, Kind: a.Kind, From: "the test"}, nil
			},
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return all[f.Name()]
}

// revokes asks a reader to revoke, alone and in a batch, and reports whether its transport refused
// something.
func revokes(ctx context.Context, t *testing.T, w *wire, p revoke.Provider, c credential.Credential) (refused bool) {
	t.Helper()
	_, err := p.Revoke(ctx, c)
	if err == nil {
		t.Errorf("%s: a reader revoked it", c.Kind)
	}
	refused = refusal(err)
	if b, ok := p.(revoke.Batcher); ok && b.Batchable(c) {
		before := w.sent.Load()
		_, err := b.RevokeBatch(ctx, []credential.Credential{c})
		if !refusal(err) || w.sent.Load() != before {
			t.Errorf("%s: a batch was not refused before it was sent: %v", c.Kind, err)
		}
		refused = true
	}
	return refused
}

// refusal reports whether an error comes of the guard. What a request failed with is only text in
// some of the providers' errors.
func refusal(err error) bool {
	return err != nil && strings.Contains(err.Error(), revoke.ErrNotARead.Error())
}
