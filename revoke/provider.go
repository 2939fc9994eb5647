// Package revoke kills credentials at their providers and proves that they are dead. It knows
// nothing of hosts, playbooks or screens.
package revoke

import (
	"context"
	"errors"
	"net/http"
	"time"

	"clawback/revoke/credential"
)

// Provider revokes and verifies the credentials of one service. All methods may be called from
// several goroutines at once. No error, receipt or verdict holds a secret.
type Provider interface {
	// Info describes the provider. It does no I/O.
	Info() Info
	// Inspect tells who the credential is and what it reaches. It sends nothing but Info().Reads.
	Inspect(ctx context.Context, c credential.Credential) (Exposure, error)
	// Revoke asks the provider to kill the credential. It is idempotent: a credential that was
	// dead before is success. A context that is done before the request means nothing was sent.
	Revoke(ctx context.Context, c credential.Credential) (Receipt, error)
	// Verify asks the provider once, with nothing but Info().Reads, whether the credential still
	// works. One Dead is one refusal: only the sweep, which asks again over the propagation
	// budget, calls a credential dead.
	Verify(ctx context.Context, c credential.Credential) Verdict
}

// Batcher is a Provider that can revoke many credentials in one request, and must, because its
// rate limit counts requests.
type Batcher interface {
	Provider
	// Batchable reports whether c may go into a batch; what may not goes through Revoke.
	Batchable(c credential.Credential) bool
	// RevokeBatch revokes up to Info().BatchMax credentials in one request. Its receipt or error
	// holds for each of them.
	RevokeBatch(ctx context.Context, cs []credential.Credential) (Receipt, error)
}

// Rememberer is a Provider whose verdicts lean on what it saw of a credential before.
type Rememberer interface {
	Provider
	// Remember tells it, before it is asked anything else about c, that an earlier process saw c
	// alive. It does no I/O.
	Remember(c credential.Credential)
}

// Undoer is a Provider that can make credentials of its reversible kinds work again.
type Undoer interface {
	Provider
	// Undo takes back what Revoke did to c, and no more than that: what its Receipt says in Did. It
	// is idempotent. What c minted stays dead.
	Undo(ctx context.Context, c credential.Credential) (Receipt, error)
}

// Enumerator is a Provider that can tell what else lives on because of a credential.
type Enumerator interface {
	Provider
	// Minted lists, with nothing but Info().Reads, what c has minted, or whoever holds it could
	// have: credentials of kinds in its KindInfo.Mints, c left out, each named by its Ref, with its
	// owner and expiry where they are known. All of them are killed, so what may be somebody
	// else's is not among them: that is for Receipt.Left.
	Minted(ctx context.Context, c credential.Credential) ([]credential.Credential, error)
}

// Info is what a provider says about itself.
type Info struct {
	Name        string        // "github", the Provider of its credentials
	Title       string        // "GitHub"
	Kinds       []KindInfo    // in the order in which they are shown
	Reads       []Read        // the only requests that Inspect and Verify send
	Concurrency int           // requests under way at once; 0 means 4
	Every       time.Duration // least time between two revocation requests; 0 means no limit of ours
	BatchMax    int           // for a Batcher
	Hosts       []string      // the compiled-in hosts that it calls when no endpoint is pinned
	SelfHosted  bool          // it has no compiled-in host: without a pinned endpoint it calls nothing
	// RefusedAnHour is how many refused probes it takes from one address in an hour, where they
	// count against the limit of revocations; 0 means no such limit.
	RefusedAnHour int
}

// Kind returns what the provider says of one kind of credential.
func (i Info) Kind(name string) (KindInfo, bool) {
	if k := i.kind(name); k != nil {
		return *k, true
	}
	return KindInfo{}, false
}

func (i *Info) kind(name string) *KindInfo {
	for n := range i.Kinds {
		if i.Kinds[n].Kind == name {
			return &i.Kinds[n]
		}
	}
	return nil
}

// KindInfo is what a provider says of one kind of its credentials.
type KindInfo struct {
	Kind         string // a credential.Kind's name
	Manual       bool   // no revocation call exists: a person revokes, then Verify proves
	Steps        []string
	Link         string      // where the person does it; no secret in it
	Unverifiable string      // why no probe can prove its death; empty where one can
	NeedsAlive   bool        // a refusal proves its death only if it was seen alive before, or not Already dead when it was revoked: what names it may be a lie of the host
	SelfRevoking bool        // it needs no authority
	Authority    string      // the permission that an authority needs, where one is needed
	Reversible   bool        // the provider can undo the revocation
	Payment      bool        // it moves money: it goes first among equals
	Unanswered   string      // what may be left undone where the answer to its revocation is lost and it is refused afterwards
	Effect       string      // what else happens: "mails the owner"
	Propagation  Propagation // how its death is proved
	Mints        []string    // kinds that it can mint: it is revoked before them, then they are looked for (Enumerator)
	ByRef        bool        // an authority revokes it and proves its death by its Ref alone: its value need not be known
	Unkillable   string      // why nothing ends it before it expires; empty where something does
	Source       string      // where the revocation call is documented
}

// Propagation is how long a provider may go on accepting a revoked credential.
type Propagation struct {
	Budget   time.Duration // refusals must span at least this much
	Every    time.Duration // between two probes
	Refusals int           // at least this many in a row; 0 means 3
	Source   string        // where the budget comes from
}

// Read is a request that changes nothing at its provider.
type Read struct {
	Method string            // "GET"
	Path   string            // "/user", with * for one path segment
	Form   map[string]string // "Action": "GetCallerIdentity", for reads that are POST
	Header map[string]string // "X-Amz-Target": "CloudTrail_20131101.LookupEvents", where headers name the action
	Body   string            // the exact body, where only a body that cannot be carried out makes it a read
}

// Exposure is what a credential turned out to be.
type Exposure struct {
	Account string   // "123456789012", "T024BE7LD (Acme)"
	Owner   string   // the principal: two credentials with one Owner die together by a deny on it
	Reach   []string // scopes, permissions
	Answer  string   // "200 login=deploy-bot"
}

// Receipt is a provider's acceptance of a revocation. It proves nothing.
type Receipt struct {
	Answer  string   // "202 Accepted"
	Already bool     // it was dead before
	Did     []string // each change made, in order: "deny-all policy on user deploy"
	Left    []string // what lives on in spite of it: "role sessions minted before, up to 36 h"
}

// Outcome is what one probe showed.
type Outcome int

const (
	Inconclusive Outcome = iota // never counts as dead
	Refused                     // a provider-specific refusal of the credential itself
	Alive                       // it works
)

func (o Outcome) String() string {
	switch o {
	case Refused:
		return "refused"
	case Alive:
		return "alive"
	}
	return "inconclusive"
}

// Verdict is the evidence of one probe. The zero value is inconclusive.
type Verdict struct {
	Outcome    Outcome
	Answer     string        // what was seen: "401 Bad credentials"; no secret
	RetryAfter time.Duration // how long the provider asked us to wait, where it did
}

// Authority is the responder's own credential at a provider.
type Authority struct {
	Secret credential.Secret // parts as the provider's kinds name them
	Kind   string            // a credential.Kind's name
	From   string            // "env STRIPE_ADMIN_KEY": where the responder keeps it; no secret
}

// New makes a provider.
type New func(Env) (Provider, error)

// Env is all that a provider gets from outside.
type Env struct {
	HTTP      *http.Client                             // no redirects, no proxy of the host's, bounded bodies
	Endpoint  string                                   // base URL pinned at the desk; empty means the compiled-in one
	Authority func(context.Context) (Authority, error) // nil, or ErrNoAuthority, where there is none
	// Settings decodes the desk's own settings for this provider, and leaves into as it is where
	// there are none. A field that into does not have is an error. It is nil where nobody configures.
	Settings func(into any) error
	Sleep    func(context.Context, time.Duration) error
	Now      func() time.Time
}

// Errors on which the sweep decides. A provider wraps them with what it saw.
var (
	ErrNoAuthority = errors.New("no authority for this provider")
	ErrAuthority   = errors.New("the authority was refused")
	ErrManual      = errors.New("no revocation call exists: a person has to do it")
	ErrOurs        = errors.New("it is the responder's own, or shares its owner")
	// ErrUncertain means that the request may have reached the provider: Verify decides.
	ErrUncertain = errors.New("the revocation may or may not have reached the provider")
)

// RetryError is a refusal that asks to come back later: a rate limit or an outage.
type RetryError struct {
	After  time.Duration // 0 where the provider named no time
	Answer string
}

func (e *RetryError) Error() string { return "the provider asks to try again later: " + e.Answer }
