package revoketest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// The toy service has one kind for each way in which credentials die. It borrows the names.
const (
	suicidal = "slack.bot"      // kills itself
	admin    = "slack.user"     // an authority kills it
	bulk     = "slack.rotating" // dies in batches, without authentication
	byHand   = "slack.app"      // a person kills it
	silent   = "slack.signing_secret"
)

// toyFake is the toy service.
type toyFake struct {
	knobs   *fake.Knobs
	mu      sync.Mutex
	tokens  map[string]*fake.Revocation
	touched int
}

func newToyFake(c fake.Clock) fake.Provider {
	return &toyFake{knobs: fake.NewKnobs(c), tokens: make(map[string]*fake.Revocation)}
}

func (f *toyFake) Name() string       { return "slack" }
func (f *toyFake) Hosts() []string    { return []string{"toy.test"} }
func (f *toyFake) Kinds() []string    { return []string{suicidal, admin, bulk, byHand, silent} }
func (f *toyFake) Knobs() *fake.Knobs { return f.knobs }

func (f *toyFake) Mint(kind string) credential.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	token := rand.Text()
	f.tokens[token] = new(fake.Revocation)
	return credential.Credential{Provider: "slack", Kind: kind, Secret: credential.Value(token)}
}

func (f *toyFake) MintAuthority() (credential.Credential, bool) { return f.Mint(suicidal), true }

func (f *toyFake) Alive(c credential.Credential) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.tokens[c.Secret.Reveal("value")]
	return r != nil && f.knobs.Works(*r)
}

func (f *toyFake) RevokeByHand(c credential.Credential) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.knobs.Revoke(f.tokens[c.Secret.Reveal("value")])
}

func (f *toyFake) State() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	gone := 0
	for _, r := range f.tokens {
		if !r.At.IsZero() {
			gone++
		}
	}
	return fmt.Sprintf("%d tokens, %d revoked, touched %d times", len(f.tokens), gone, f.touched)
}

func (f *toyFake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.knobs.Serve(w, r, f.answer)
}

func (f *toyFake) answer(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.knobs.Record(fake.Call{Method: r.Method, Path: r.URL.Path})
	var targets []string
	body, _ := io.ReadAll(r.Body)
	_ = json.Unmarshal(body, &targets)
	bearer := f.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	switch {
	case r.URL.Path == "/bulk":
	case bearer == nil || !f.knobs.Live(bearer):
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"code":"token_revoked"}`)
		return
	case r.URL.Path == "/touch":
		f.touched++
	case r.URL.Path == "/revoke" && len(targets) == 0:
		f.knobs.Revoke(bearer)
	}
	gone := 0
	for _, target := range targets {
		if t := f.tokens[target]; t != nil {
			if !f.knobs.Works(*t) {
				gone++
			}
			f.knobs.Revoke(t)
		}
	}
	_, _ = fmt.Fprintf(w, `{"code":"ok","gone":%d}`, gone)
}

// toy is an honest provider for the toy service, with a switch for each lie.
type toy struct {
	env  revoke.Env
	base string

	trustsStatus, trustsErrors, softSuccess, notIdempotent, leaksAnswer, leaksError, quotesServer, ignoresContext,
	undeclaredRead, changingRead, ignoresEndpoint, noRetryAfter, noRetryError, boastsOfManual, judgesSilent,
	noAuthorityError, certain, manyInBatch, probesTwice, alwaysRefused, alwaysAlive, half, badInfo bool
}

func newToy(lie func(*toy)) revoke.New {
	return func(env revoke.Env) (revoke.Provider, error) {
		p := &toy{env: env, base: "https://toy.test"}
		lie(p)
		if env.Endpoint != "" && !p.ignoresEndpoint {
			p.base = strings.TrimRight(env.Endpoint, "/")
		}
		return p, nil
	}
}

func (p *toy) Info() revoke.Info {
	lag := revoke.Propagation{Budget: 30 * time.Second, Every: 5 * time.Second, Source: "the toy's maker"}
	i := revoke.Info{
		Name: "slack", Title: "Toy", Hosts: []string{"toy.test"}, BatchMax: 10,
		Reads: []revoke.Read{{Method: "GET", Path: "/me"}},
		Kinds: []revoke.KindInfo{
			{Kind: suicidal, SelfRevoking: true, Propagation: lag, Source: "manual"},
			{Kind: admin, Authority: "may revoke", Propagation: lag, Source: "manual"},
			{Kind: bulk, SelfRevoking: true, Propagation: lag, Source: "manual"},
			{Kind: byHand, Manual: true, Steps: []string{"Click."}, Link: "https://toy.test/", Propagation: lag},
			{Kind: silent, Manual: true, Steps: []string{"Click."}, Link: "https://toy.test/", Unverifiable: "no call takes it"},
		},
	}
	if p.changingRead {
		i.Reads = append(i.Reads, revoke.Read{Method: "GET", Path: "/touch"})
	}
	if p.badInfo {
		i.Kinds[0].Propagation.Source = ""
	}
	return i
}

func (p *toy) Inspect(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	if p.Info().Kinds[4].Kind == c.Kind {
		return revoke.Exposure{}, errors.New("nothing takes it")
	}
	v := p.Verify(ctx, c)
	if v.Outcome != revoke.Alive {
		return revoke.Exposure{}, errors.New("inspect: " + v.Answer)
	}
	return revoke.Exposure{Answer: v.Answer}, nil
}

func (p *toy) Verify(ctx context.Context, c credential.Credential) revoke.Verdict {
	token := c.Secret.Reveal("value")
	switch {
	case p.alwaysAlive:
		return revoke.Verdict{Outcome: revoke.Alive, Answer: "sure"}
	case p.alwaysRefused, p.judgesSilent && c.Kind == silent:
		return revoke.Verdict{Outcome: revoke.Refused, Answer: "sure"}
	case c.Kind == silent || token == "":
		return revoke.Verdict{Answer: "no probe"}
	}
	path := "/me"
	if p.undeclaredRead || p.changingRead {
		path = "/touch"
	}
	got := p.ask(ctx, "GET", path, token, c)
	if p.probesTwice {
		got = p.ask(ctx, "GET", path, token, c)
	}
	v := revoke.Verdict{Answer: got.answer, RetryAfter: got.after}
	switch {
	case got.err != nil && p.trustsErrors:
		v.Outcome = revoke.Refused
	case got.status == 401 && (got.Code == "token_revoked" || p.trustsStatus):
		v.Outcome = revoke.Refused
	case got.status == 200 && got.Code == "ok":
		v.Outcome = revoke.Alive
	}
	if p.noRetryAfter {
		v.RetryAfter = 0
	}
	return v
}

func (p *toy) Revoke(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	token := c.Secret.Reveal("value")
	switch c.Kind {
	case byHand, silent:
		if p.boastsOfManual {
			return revoke.Receipt{Answer: "done"}, nil
		}
		return revoke.Receipt{}, revoke.ErrManual
	case bulk:
		return p.RevokeBatch(ctx, []credential.Credential{c})
	case suicidal:
		return p.change(ctx, "/revoke", token, c)
	}
	if p.env.Authority == nil || p.noAuthorityError {
		return revoke.Receipt{}, fmt.Errorf("toy: %w", map[bool]error{true: errors.New("?"), false: revoke.ErrNoAuthority}[p.noAuthorityError])
	}
	a, err := p.env.Authority(ctx)
	if err != nil {
		return revoke.Receipt{}, err
	}
	r, err := p.change(ctx, "/revoke", a.Secret.Reveal("value"), c, token)
	if r.Already && r.Answer == `401 {"code":"token_revoked"}` {
		return revoke.Receipt{}, fmt.Errorf("%w: %s", revoke.ErrAuthority, r.Answer)
	}
	return r, err
}

func (p *toy) Batchable(c credential.Credential) bool { return c.Kind == bulk }

func (p *toy) RevokeBatch(ctx context.Context, cs []credential.Credential) (r revoke.Receipt, err error) {
	var tokens []string
	for i, c := range cs {
		tokens = append(tokens, c.Secret.Reveal("value"))
		if p.manyInBatch && i > 0 {
			_, _ = p.change(ctx, "/bulk", "", c, tokens[i])
		}
	}
	if p.half {
		tokens = tokens[:(len(tokens)+1)/2]
	}
	return p.change(ctx, "/bulk", "", cs[0], tokens...)
}

func (p *toy) change(ctx context.Context, path, bearer string, c credential.Credential, targets ...string) (revoke.Receipt, error) {
	got := p.ask(ctx, "POST", path, bearer, c, targets...)
	switch {
	case p.softSuccess && got.status == 200:
		return revoke.Receipt{Answer: got.answer}, nil
	case got.status == 401 && got.Code == "token_revoked" && !p.notIdempotent:
		return revoke.Receipt{Answer: got.answer, Already: true}, nil
	case got.status == 200 && got.Code == "ok":
		return revoke.Receipt{Answer: got.answer, Already: got.Gone > 0}, nil
	case got.status == 429 && !p.noRetryError:
		return revoke.Receipt{}, &revoke.RetryError{After: got.after, Answer: got.answer}
	case ctx.Err() != nil && !got.sent:
		return revoke.Receipt{}, got.err
	case (got.err != nil || got.status >= 500) && !p.certain:
		return revoke.Receipt{}, fmt.Errorf("%w: %s", revoke.ErrUncertain, got.answer)
	}
	return revoke.Receipt{}, errors.Join(errors.New("toy: "+got.answer), got.err)
}

type toyAnswer struct {
	Code   string `json:"code"`
	Gone   int    `json:"gone"`
	status int
	answer string
	after  time.Duration
	sent   bool
	err    error
}

func (p *toy) ask(ctx context.Context, method, path, bearer string, c credential.Credential, targets ...string) (a toyAnswer) {
	if p.ignoresContext {
		ctx = context.WithoutCancel(ctx)
	}
	body, _ := json.Marshal(targets)
	r, err := http.NewRequestWithContext(ctx, method, p.base+path, nil)
	if err != nil {
		return toyAnswer{answer: err.Error(), err: err}
	}
	if len(targets) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	r.Header.Set("Authorization", "Bearer "+bearer)
	a.sent = ctx.Err() == nil
	resp, err := p.env.HTTP.Do(r)
	if err != nil {
		a.err = revoke.WithoutURL(err)
		a.answer = revoke.Answer(0, a.err.Error(), c.Secret)
		if p.quotesServer {
			a.answer = err.Error()
		}
		if p.leaksError {
			a.answer = bearer + ": " + a.answer
		}
		return a
	}
	defer func() { _ = resp.Body.Close() }()
	a.status, a.after = resp.StatusCode, revoke.RetryAfter(resp.Header, p.env.Now())
	body, a.err = revoke.ReadBody(resp.Body)
	if a.err != nil {
		a.status = 0
		a.answer = revoke.Answer(resp.StatusCode, a.err.Error(), c.Secret)
		return a
	}
	_ = json.Unmarshal(body, &a)
	auth, _ := p.authority(ctx)
	a.answer = revoke.Answer(a.status, revoke.Answer(0, string(body), c.Secret), auth)
	if p.leaksAnswer {
		a.answer = string(body)
	}
	return a
}

func (p *toy) authority(ctx context.Context) (credential.Secret, error) {
	if p.env.Authority == nil {
		return credential.Secret{}, nil
	}
	a, err := p.env.Authority(ctx)
	return a.Secret, err
}
