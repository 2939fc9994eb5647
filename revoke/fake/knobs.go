package fake

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Fault is what a faulty provider does with a request instead of answering it.
type Fault struct {
	Status     int           // answer with this status and Body; 0 means the request is served
	Body       string        // for Status
	Type       string        // content type of Body; "text/plain" where empty
	RetryAfter time.Duration // sets Retry-After, in whole seconds
	Delay      time.Duration // before anything else
	Hang       bool          // never answer, until the client goes
	Cut        bool          // announce more than is sent, then close
	CutAfter   bool          // serve the request, so that its effect happens, and close without an answer
}

// maxRequest bounds the body of a request to a fake.
const maxRequest = 4 << 20

// Call is one request that a fake was asked, without its secrets.
type Call struct {
	At         time.Time
	Method     string
	Path       string
	Action     string // what the request asked for, in the provider's own words
	Credential string // mask or key id of the credential that it was made with or is about, where known
	Adversary  bool   // made with the adversary's client
	Status     int
}

// Knobs are the faults of a fake and the record of what it was asked.
type Knobs struct {
	Clock Clock

	mu        sync.Mutex
	lag       time.Duration
	skew      time.Duration
	stayAlive bool
	everyNth  int
	fault     func(*http.Request) Fault
	forgetful bool
	calls     []Call
}

// NewKnobs returns knobs without any fault.
func NewKnobs(c Clock) *Knobs { return &Knobs{Clock: c} }

// SetLag makes revoked credentials answer for d after their revocation.
func (k *Knobs) SetLag(d time.Duration) { k.mu.Lock(); defer k.mu.Unlock(); k.lag = d }

// SetSkew makes the provider's own clock, which is Now, run ahead of ours by d, or behind it.
func (k *Knobs) SetSkew(d time.Duration) { k.mu.Lock(); defer k.mu.Unlock(); k.skew = d }

// Now is the time by the provider's own clock: for dates, expiries and signatures.
func (k *Knobs) Now() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.Clock.Now().Add(k.skew)
}

// SetStayAlive makes the provider accept revocations and never carry them out.
func (k *Knobs) SetStayAlive(on bool) { k.mu.Lock(); defer k.mu.Unlock(); k.stayAlive = on }

// SetLaggingNode makes every nth look at a revoked credential come from a node that has not
// heard of its revocation; 0 means none.
func (k *Knobs) SetLaggingNode(n int) { k.mu.Lock(); defer k.mu.Unlock(); k.everyNth = n }

// SetFault installs a decision about each request, whose body it may read; nil means no fault.
func (k *Knobs) SetFault(f func(*http.Request) Fault) { k.mu.Lock(); defer k.mu.Unlock(); k.fault = f }

// Revocation is the life of one credential at a fake. Its zero value is a live credential. The
// fake guards it with its own lock.
type Revocation struct {
	At    time.Time // when the provider accepted; zero while it is live
	looks int
}

// Revoke records that the provider accepted a revocation now, once.
func (k *Knobs) Revoke(r *Revocation) {
	if r.At.IsZero() {
		r.At = k.Clock.Now()
	}
}

// Live reports whether a credential with that revocation works now. Each call is one look, for SetLaggingNode.
func (k *Knobs) Live(r *Revocation) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if r.At.IsZero() || k.stayAlive {
		return true
	}
	if k.Clock.Now().Sub(r.At) < k.lag {
		return true
	}
	r.looks++
	return k.everyNth > 0 && r.looks%k.everyNth == 0
}

// Works is Live without being a look: for Provider.Alive.
func (k *Knobs) Works(r Revocation) bool { return k.Live(&r) }

// SetForgetful leaves requests out of the log, which grows without a bound.
func (k *Knobs) SetForgetful(on bool) { k.mu.Lock(); defer k.mu.Unlock(); k.forgetful = on }

// Record adds to the log of requests.
func (k *Knobs) Record(c Call) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.forgetful {
		return
	}
	c.At = k.Clock.Now()
	k.calls = append(k.calls, c)
}

// Calls returns the log of requests so far, oldest first.
func (k *Knobs) Calls() []Call {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]Call(nil), k.calls...)
}

// Span is the time from the first of the calls to the last one, the adversary's left out: over the
// calls of all fakes, how long a sweep took.
func Span(calls []Call) time.Duration {
	var s span
	for _, c := range calls {
		s.add(c)
	}
	return s.last.Sub(s.first)
}

// Spans is Span for each credential that the calls are about, by the name that Call.Credential has
// for it. A call for many of them is one of each.
func Spans(calls []Call) map[string]time.Duration {
	chains := make(map[string]*span)
	for _, c := range calls {
		for _, name := range strings.Fields(c.Credential) {
			if chains[name] == nil {
				chains[name] = new(span)
			}
			chains[name].add(c)
		}
	}
	spans := make(map[string]time.Duration, len(chains))
	for name, s := range chains {
		spans[name] = s.last.Sub(s.first)
	}
	return spans
}

type span struct{ first, last time.Time }

func (s *span) add(c Call) {
	if c.Adversary {
		return
	}
	if s.first.IsZero() || c.At.Before(s.first) {
		s.first = c.At
	}
	if c.At.After(s.last) {
		s.last = c.At
	}
}

// Serve applies the fault that is set, if any, and otherwise lets next answer. The answer is dated by
// the provider's own clock.
func (k *Knobs) Serve(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
	k.mu.Lock()
	decide := k.fault
	k.mu.Unlock()
	w.Header().Set("Date", k.Now().UTC().Format(http.TimeFormat))
	if decide == nil {
		next(w, r)
		return
	}
	// Read to its end: net/http tells a handler that its client went only after that.
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequest))
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	f := decide(r)
	r.Body = io.NopCloser(bytes.NewReader(body))
	if f.Delay > 0 && k.Clock.Sleep(r.Context(), f.Delay) != nil {
		return
	}
	switch {
	case f.Hang:
		// net/http sees that the client left only once the body is read.
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	case f.CutAfter:
		next(discard{http.Header{}}, r)
		panic(http.ErrAbortHandler)
	case f.Cut:
		w.Header().Set("Content-Length", "4096")
		w.WriteHeader(max(f.Status, http.StatusOK))
		_, _ = io.WriteString(w, `{"cut`)
		_ = http.NewResponseController(w).Flush() // or the client would not even see the status
		panic(http.ErrAbortHandler)
	case f.Status != 0:
		if f.Type == "" {
			f.Type = "text/plain"
		}
		w.Header().Set("Content-Type", f.Type)
		if f.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(f.RetryAfter.Seconds())))
		}
		w.WriteHeader(f.Status)
		_, _ = fmt.Fprint(w, f.Body)
	default:
		next(w, r)
	}
}

// discard swallows an answer that the client never gets.
type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}
