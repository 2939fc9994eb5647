package actions

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"clawback/forensics/incident"
	"clawback/playbooks/engine"
	"clawback/playbooks/platform/broker"
	"clawback/revoke"
	"clawback/revoke/credential"
)

const (
	// authorityWait bounds the test of one authority, from loading it to the provider's last answer.
	authorityWait = 10 * time.Second

	maxTested      = 256 // bytes of each text of a test that are kept
	maxTestedReach = 20  // of what an authority reaches
)

// Test finds out, before it matters, whether the authorities of these providers work and whose they
// are: all at once, each within 10 s, with nothing but the reads of readers. Nothing is loaded on the machine under suspicion:
// what is used there has to be rotated. held reports whether the agent's host held a credential, which
// is never asked with; nil where there is no host. told is called once for each authority whose test
// came to its end before ctx did, one call at a time.
func (a *Authorities) Test(ctx context.Context, clock engine.Clock, readers map[string]revoke.Provider, names []string, held func(credential.Credential) bool, told func(incident.Authority)) {
	var mu sync.Mutex
	var all sync.WaitGroup
	defer all.Wait()
	for _, name := range names {
		all.Go(func() {
			out := a.test(ctx, clock, name, readers[name], held)
			if ctx.Err() != nil {
				return // it was the end of the run that was seen
			}
			mu.Lock()
			defer mu.Unlock()
			told(out)
		})
	}
}

func (a *Authorities) test(ctx context.Context, clock engine.Clock, name string, p revoke.Provider, held func(credential.Credential) bool) incident.Authority {
	out := incident.Authority{Provider: name, Outcome: incident.AuthorityUntested}
	if a.Suspect {
		out.Answer = "this desk is the machine under suspicion: it is not loaded before it is needed"
		return out
	}
	within, cancel := engine.WithDeadline(ctx, clock, authorityWait)
	defer cancel()
	own, err := a.loadWithin(ctx, within, name)
	out.Kind, out.From = own.Kind, own.From
	switch {
	case errors.Is(err, engine.ErrDeadline):
		out.Outcome, out.Answer = incident.AuthorityUnreachable, "it was not loaded within "+authorityWait.String()
	case err != nil:
		out.Outcome, out.Answer = incident.AuthorityMissing, incident.Cut(err.Error(), maxTested)
	default:
		c := credential.Credential{Provider: name, Kind: own.Kind, Secret: own.Secret, Ref: identifiers(own.Secret)}
		if held != nil && held(c) {
			out.Answer, out.Hint = "the agent's host held it, so whoever owns that has it too: nobody is asked with it", "revoke it with another one"
			return out
		}
		if try := a.Try[name]; try != nil {
			tried(within, try, &out)
		} else {
			ask(within, p, c, &out)
		}
	}
	if out.Bad() {
		a.renew(name)
		out.Hint = a.hint(name)
	}
	return out
}

// hint says how an authority is renewed, and when that counts.
func (a *Authorities) hint(provider string) string {
	return cmp.Or(a.Renewal[provider], "renew it where it is kept") + "; it is read again as it is used: retry what waits for it, or clawback resume"
}

// loadWithin waits for an authority to be loaded no longer than within lasts. What takes longer goes on
// until ctx ends, and serves who needs it next: some reads of a disk cannot be given up.
func (a *Authorities) loadWithin(ctx, within context.Context, provider string) (revoke.Authority, error) {
	type loaded struct {
		revoke.Authority
		err error
	}
	out := make(chan loaded, 1)
	go func() {
		own, err := a.Load[provider](ctx)
		out <- loaded{own, err}
	}()
	select {
	case l := <-out:
		return l.Authority, l.err
	case <-within.Done():
		return revoke.Authority{}, context.Cause(within)
	}
}

// renew makes the next use read an authority anew that is remembered for a while.
func (a *Authorities) renew(provider string) {
	if forget := a.Forget[provider]; forget != nil {
		forget()
	}
}

// identifiers are the parts of an authority that name what it is of: providers look for them in its Ref.
func identifiers(s credential.Secret) map[string]string {
	ref := make(map[string]string)
	for _, part := range []string{"client_id", "tenant", "app_id", "login", "account"} {
		if v := s.Reveal(part); v != "" {
			ref[part] = v
		}
	}
	return ref
}

// ask asks a provider about its authority. A provider that is as careful as for the proof of a death
// does not call every refusal one; for an authority any answer of the kind 4xx is.
func ask(ctx context.Context, p revoke.Provider, c credential.Credential, out *incident.Authority) {
	if p == nil {
		out.Answer = "no provider of clawback's takes it"
		return
	}
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GetConn: func(string) { sent.Store(true) }})
	v := verified(ctx, p, c)
	out.Answer = incident.Cut(v.Answer, maxTested)
	switch {
	case v.Outcome == revoke.Alive:
		out.Outcome = incident.AuthorityUsable
		x := inspected(ctx, p, c)
		out.Who = incident.Cut(cmp.Or(strings.TrimSpace(x.Owner+" "+x.Account), v.Answer), maxTested)
		for _, reach := range x.Reach[:min(len(x.Reach), maxTestedReach)] {
			out.Reach = append(out.Reach, incident.Cut(reach, maxTested))
		}
	case v.Outcome == revoke.Refused || v.RetryAfter == 0 && refuses(v.Answer):
		out.Outcome = incident.AuthorityRefused
	case sent.Load():
		out.Outcome = incident.AuthorityUnreachable
	}
}

// tried tests an authority that no provider takes.
func tried(ctx context.Context, try func(context.Context) (string, error), out *incident.Authority) {
	who, err := try(ctx)
	switch {
	case err == nil:
		out.Outcome, out.Who = incident.AuthorityUsable, incident.Cut(who, maxTested)
	case errors.Is(err, broker.ErrRefused), errors.Is(err, broker.ErrNoAgent), errors.Is(err, broker.ErrOwn):
		out.Outcome, out.Answer = incident.AuthorityRefused, incident.Cut(err.Error(), maxTested)
	default:
		out.Outcome, out.Answer = incident.AuthorityUnreachable, incident.Cut(err.Error(), maxTested)
	}
}

// refuses reports whether an answer begins with a status that is the sender's fault.
func refuses(answer string) bool {
	return len(answer) > 3 && answer[0] == '4' && answer[3] == ' ' && !strings.HasPrefix(answer, "408") && !strings.HasPrefix(answer, "429")
}

// verified and inspected survive a fault of a provider's code, whose text may quote a secret.
func verified(ctx context.Context, p revoke.Provider, c credential.Credential) (v revoke.Verdict) {
	defer func() {
		if recover() != nil {
			v = revoke.Verdict{Answer: revoke.ErrFault.Error()}
		}
	}()
	return p.Verify(ctx, c)
}

func inspected(ctx context.Context, p revoke.Provider, c credential.Credential) (x revoke.Exposure) {
	defer func() { _ = recover() }()
	x, _ = p.Inspect(ctx, c)
	return x
}

// readiness is the test of the authorities beside a response.
type readiness struct {
	ctx     context.Context // of the tests; nil before they begin
	end     context.CancelFunc
	running sync.WaitGroup
	bad     map[string]bool // by provider, of the newest test of each; guarded by Response.mu
}

// testAuthorities begins, once, to find out whether the authorities work: when the freeze is over, which
// has the machine to itself until then, or when a search or the revocation begins without one. Nothing
// waits for it but the end of the run, which gives up what is still under way.
func (r *Response) testAuthorities() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Readers == nil || r.Authorities == nil || r.readiness.ctx != nil || r.overLocked() {
		return
	}
	r.readiness.ctx, r.readiness.end = context.WithCancel(r.late.ctx)
	r.readiness.bad = make(map[string]bool)
	r.testLocked(slices.Collect(maps.Keys(r.Authorities.Load))...)
}

func (r *Response) testLocked(names ...string) {
	r.readiness.running.Go(func() {
		r.Authorities.Test(r.readiness.ctx, r.Clock, r.Readers, names, r.heldByHost, func(a incident.Authority) {
			r.mu.Lock()
			r.readiness.bad[a.Provider] = a.Bad()
			r.mu.Unlock()
			r.late.rec.Note(incident.TypeAuthority, a)
		})
	})
}

// testAgain tests an authority again that did not work when it was tested, since somebody wants a
// credential tried again that may need it.
func (r *Response) testAgain(f credential.Fingerprint) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if name := r.late.known[f].Provider; r.readiness.bad[name] && !r.overLocked() {
		r.readiness.bad[name] = false // one test at a time
		r.Authorities.renew(name)
		r.testLocked(name)
	}
}

// heldByHost reports whether a credential is on record as one of the agent's host.
func (r *Response) heldByHost(c credential.Credential) bool {
	found := []credential.Credential{c}
	if password := c.Secret.Reveal("password"); password != "" { // which a search finds without its account
		found = append(found, credential.Credential{Provider: "unknown", Secret: credential.NewSecret(map[string]string{"value": password})})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(found, func(c credential.Credential) bool {
		print := r.Key.Identify(c).Fingerprint
		return r.seen[print] || r.before(print) != nil
	})
}

// endTests gives up the tests that are still under way. Nothing begins any more.
func (r *Response) endTests() {
	if r.readiness.end != nil {
		r.readiness.end()
	}
	r.readiness.running.Wait()
}
