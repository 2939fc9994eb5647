package githubfake

import (
	"net/http"
	"strconv"
	"time"

	"clawback/revoke/fake"
)

// https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api
const (
	anonymousLimit     = 60
	authenticatedLimit = 5000
	windowLength       = time.Hour
)

// window is an hour of one client's requests, from its first.
type window struct {
	limit, used int
	reset       time.Time
}

// client names who a request counts for. All connections of the simulated network look alike:
// the responder has one address, the adversary another.
func client(r *http.Request) string {
	if r.Header.Get(fake.AdversaryHeader) != "" {
		return "adversary's address"
	}
	return "address"
}

// window returns a client's current window. The caller holds the lock.
func (f *Fake) window(client string, limit int) *window {
	now := f.knobs.Clock.Now()
	w := f.windows[client]
	if w == nil || !now.Before(w.reset) {
		w = &window{limit: limit, reset: now.Add(windowLength)}
		f.windows[client] = w
	}
	return w
}

// take counts one request, and is false where the window has none left.
func (w *window) take() bool {
	if w.used >= w.limit {
		return false
	}
	w.used++
	return true
}

func (w *window) header(h http.Header) {
	h.Set("X-RateLimit-Limit", strconv.Itoa(w.limit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(w.limit-w.used))
	h.Set("X-RateLimit-Used", strconv.Itoa(w.used))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(w.resetUnix(), 10))
	h.Set("X-RateLimit-Resource", "core")
}

// resetUnix rounds up: at that second the window is over.
func (w *window) resetUnix() int64 {
	return w.reset.Add(time.Second - 1).Unix()
}

func (w *window) body() map[string]any {
	return map[string]any{"limit": w.limit, "used": w.used, "remaining": w.limit - w.used, "reset": w.resetUnix()}
}
