package googlefake

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// request is one request with what every endpoint needs of it.
type request struct {
	*http.Request
	call *fake.Call
	form url.Values // of the body
}

// answer is a status with what is sent as JSON.
type answer struct {
	status int
	body   any
}

type object map[string]any

func ok(body any) answer { return answer{http.StatusOK, body} }

// failed is the error of Google's APIs: https://google.aip.dev/193
func failed(status int, name, message, reason string) answer {
	e := object{"code": status, "status": name, "message": message}
	if reason != "" {
		e["details"] = []object{{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}}
	}
	return answer{status, object{"error": e}}
}

// denied is the error of the OAuth endpoints.
func denied(status int, code, description string) answer {
	return answer{status, object{"error": code, "error_description": description}}
}

func (f *Fake) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	q := request{Request: r, call: &fake.Call{Method: r.Method, Path: r.URL.Path, Adversary: r.Header.Get(fake.AdversaryHeader) != ""}}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		q.form, _ = url.ParseQuery(string(body))
	}
	f.mu.Lock()
	a := f.route(q)
	w.Header().Set("Date", f.now().UTC().Format(http.TimeFormat))
	f.mu.Unlock()
	q.call.Status = a.status
	f.knobs.Record(*q.call)
	if a.body == nil { // what Google shows where it serves nothing
		w.Header().Set("Content-Type", "text/html; charset=UTF-8")
		w.WriteHeader(a.status)
		_, _ = fmt.Fprintf(w, "<!DOCTYPE html>\n<html lang=en><title>Error %d (Not Found)!!1</title><p>The requested URL was not found on this server.</html>\n", a.status)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(a.status)
	_ = json.NewEncoder(w).Encode(a.body)
}

var unserved = answer{status: http.StatusNotFound}

// route finds who answers. The lock is held.
func (f *Fake) route(q request) answer {
	path, verb, _ := strings.Cut(strings.TrimPrefix(q.URL.Path, "/"), ":")
	parts := strings.Split(path, "/")
	kind := func(i int) string {
		if i < len(parts) {
			return parts[i]
		}
		return ""
	}
	q.call.Action = strings.Trim(q.Method+" "+verb, " ")
	switch {
	case q.URL.Path == "/token" && q.Method == http.MethodPost:
		return f.exchange(q)
	case q.URL.Path == "/revoke" && q.Method == http.MethodPost:
		return f.revoke(q)
	case q.URL.Path == "/oauth2/v2/tokeninfo":
		return f.tokenInfo(q)
	case q.URL.Path == "/v1beta/models" && q.Method == http.MethodGet:
		return f.byKey(q, true, object{"models": []object{{"name": "models/gemini-2.5-flash", "version": "001"}}, "nextPageToken": "Ch8"})
	case q.URL.Path == "/language/translate/v2/languages" && q.Method == http.MethodGet:
		return f.byKey(q, false, object{"data": object{"languages": []object{{"language": "af"}, {"language": "sq"}}}})
	case q.URL.Path == "/v2/keys:lookupKey" && q.Method == http.MethodGet:
		return f.managed(q, func(*account) bool { return false }, f.lookUp)
	case kind(0) == "v2" && kind(1) == "projects" && kind(5) == "keys" && len(parts) == 7:
		return f.managed(q, nil, func(q request) answer { return f.apiKey(q, kind(2), kind(6), verb) })
	case kind(0) == "v1" && kind(1) == "projects" && kind(3) == "secrets" && kind(5) == "versions" && len(parts) == 7:
		return f.managed(q, nil, func(q request) answer { return f.version(q, path, verb) })
	case kind(0) == "v1" && kind(1) == "projects" && kind(3) == "serviceAccounts" && len(parts) >= 5:
		email := kind(4)
		own := func(a *account) bool { return a.email == email && a.mayManage }
		return f.managed(q, own, func(q request) answer { return f.serviceAccount(q, kind(2), email, parts[5:], verb) })
	}
	return unserved
}

// managed answers who may: the administrator, and the account of which own says that it may.
func (f *Fake) managed(q request, own func(*account) bool, serve func(request) answer) answer {
	bearer := strings.TrimPrefix(q.Header.Get("Authorization"), "Bearer ")
	t := f.tokens[bearer]
	switch {
	case bearer == "":
		return failed(http.StatusForbidden, "PERMISSION_DENIED", "Method doesn't allow unregistered callers (callers without established identity).", "")
	case t == nil || !f.now().Before(t.expires) || !f.knobs.Live(t.life()):
		return failed(http.StatusUnauthorized, "UNAUTHENTICATED", "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.", "ACCESS_TOKEN_EXPIRED")
	case !strings.Contains(t.scope, "cloud-platform"):
		return failed(http.StatusForbidden, "PERMISSION_DENIED", "Request had insufficient authentication scopes.", "ACCESS_TOKEN_SCOPE_INSUFFICIENT")
	case !t.admin && (t.account == nil || own == nil || !own(t.account)):
		return failed(http.StatusForbidden, "PERMISSION_DENIED", "Permission denied on resource (or it may not exist).", "")
	}
	return serve(q)
}

func notFound(what string) answer {
	return failed(http.StatusNotFound, "NOT_FOUND", what+" does not exist.", "")
}

// inProject reports whether the path names this project.
func (f *Fake) inProject(name string) bool { return name == f.project || name == f.number }

func mask(kind, value string) string { return credential.Mask(kind, credential.Value(value), nil) }
