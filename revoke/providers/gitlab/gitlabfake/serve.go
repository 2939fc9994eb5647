package gitlabfake

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// request is one request, with the lock of the fake held.
type request struct {
	*http.Request
	w    http.ResponseWriter
	args url.Values // of the query and the body, form or JSON
	who  *thing     // nil where nobody is known by what was sent
	sent string     // the token in Authorization or PRIVATE-TOKEN
}

type object map[string]any

// ServeHTTP answers for the instance.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := fake.CallOf(r)
	call.Action = r.Method + " " + r.URL.Path
	f.knobs.Answer(w, r, call, func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		q := f.request(w, r)
		if q.who != nil {
			call.Credential = credential.Mask(q.who.kind, credential.Value(q.who.value), nil)
		}
		w.Header().Set("Content-Type", "application/json")
		f.route(q)
	})
}

func (f *Fake) request(w http.ResponseWriter, r *http.Request) *request {
	q := &request{Request: r, w: w, args: r.URL.Query()}
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	switch kind := r.Header.Get("Content-Type"); {
	case strings.HasPrefix(kind, "application/x-www-form-urlencoded"):
		form, _ := url.ParseQuery(string(body))
		for name, values := range form {
			q.args[name] = values
		}
	case strings.HasPrefix(kind, "application/json"):
		var all map[string]string
		_ = json.Unmarshal(body, &all)
		for name, value := range all {
			q.args.Set(name, value)
		}
	}
	q.sent = r.Header.Get("Private-Token")
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		q.sent = bearer
	}
	if t := f.things[q.sent]; t != nil && (t.kind == pat || t.kind == oauthToken) {
		q.who = t
	}
	return q
}

// operations are the endpoints that anybody may ask, by the credential that the request itself is about.
var operations = map[string]func(*Fake, *request){
	"POST /api/v4/runners/verify": (*Fake).verifyRunner,
	"DELETE /api/v4/runners":      (*Fake).deleteRunner,
	"GET /api/v4/job":             (*Fake).job,
	"POST /oauth/introspect":      (*Fake).introspect,
	"POST /oauth/revoke":          (*Fake).revokeGrant,
}

// signedIn are the endpoints that want an access token.
var signedIn = map[string]func(*Fake, *request){
	"GET /api/v4/user":                                (*Fake).user,
	"GET /api/v4/personal_access_tokens":              (*Fake).listTokens,
	"GET /api/v4/personal_access_tokens/self":         (*Fake).self,
	"DELETE /api/v4/personal_access_tokens/self":      (*Fake).revokeSelf,
	"POST /api/v4/personal_access_tokens/self/rotate": (*Fake).rotateSelf,
	"POST /api/v4/admin/token":                        (*Fake).tokenInfo,
	"DELETE /api/v4/admin/token":                      (*Fake).tokenRevoke,
}

func (f *Fake) route(q *request) {
	name := q.Method + " " + q.URL.Path
	if serve := operations[name]; serve != nil {
		serve(f, q)
		return
	}
	serve := signedIn[name]
	if serve == nil {
		serve = byID(q)
	}
	switch {
	case !strings.HasPrefix(q.URL.Path, "/api/v4/"):
		q.w.Header().Set("Content-Type", "text/html; charset=utf-8")
		q.w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(q.w, "<!DOCTYPE html><html><head><title>The page could not be found or you don't have permission to view it (404)</title></head></html>")
	case serve == nil:
		q.answer(http.StatusNotFound, object{"error": "404 Not Found"})
	case f.authenticated(q):
		serve(f, q)
	}
}

// authenticated answers for a token that does not work, in the words of lib/api/api_guard.rb.
func (f *Fake) authenticated(q *request) bool {
	switch live := q.who != nil && f.knobs.Live(&q.who.life); {
	case live:
		return true
	case q.who == nil || q.who.deleted:
		q.unauthorized()
	default:
		if strings.HasSuffix(q.URL.Path, "/rotate") {
			f.endFamily(q.who)
		}
		q.answer(http.StatusUnauthorized, object{"error": "invalid_token", "error_description": "Token was revoked. You have to re-authorize from the user."})
	}
	return false
}

// endFamily is https://docs.gitlab.com/api/personal_access_tokens/#automatic-reuse-detection
func (f *Fake) endFamily(of *thing) {
	for _, t := range f.things {
		if t.family == of.family {
			f.knobs.Revoke(&t.life)
		}
	}
}

func (q *request) answer(status int, body any) {
	q.w.WriteHeader(status)
	if body != nil {
		_ = json.NewEncoder(q.w).Encode(body)
	}
}

func (q *request) unauthorized() {
	q.answer(http.StatusUnauthorized, object{"message": "401 Unauthorized"})
}
func (q *request) forbidden() { q.answer(http.StatusForbidden, object{"message": "403 Forbidden"}) }
func (q *request) notFound()  { q.answer(http.StatusNotFound, object{"message": "404 Not found"}) }
func (q *request) done()      { q.answer(http.StatusNoContent, nil) }
