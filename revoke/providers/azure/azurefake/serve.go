package azurefake

import (
	"io"
	"net"
	"net/http"
	"strings"

	"clawback/revoke/fake"
)

type object = map[string]any

// reply is an answer before it is written.
type reply struct {
	status int
	body   any
}

func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := fake.CallOf(r)
	f.knobs.Answer(w, r, call, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		f.mu.Lock()
		answer := f.route(r, body, call)
		f.mu.Unlock()
		if answer.status == http.StatusUnauthorized && strings.HasPrefix(r.URL.Path, "/secrets/") {
			// https://learn.microsoft.com/azure/key-vault/general/authentication-requests-and-responses
			w.Header().Set("WWW-Authenticate", `Bearer authorization="https://`+login+"/"+f.tenant+`", resource="https://vault.azure.net"`)
		}
		if answer.body == nil {
			w.WriteHeader(answer.status)
			return
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		fake.JSON(w, answer.status, answer.body)
	})
}

// route finds the API by its path, and by its host where that is one of the provider's own.
func (f *Fake) route(r *http.Request, body []byte, call *fake.Call) reply {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	at := func(name string) bool {
		return host == name || host != login && host != graph && !strings.HasSuffix(host, ".vault.azure.net")
	}
	path := r.URL.Path
	switch {
	case strings.HasSuffix(path, "/oauth2/v2.0/token") && at(login):
		return f.token(r, body, call)
	case strings.HasPrefix(path, "/v1.0/") && at(graph):
		return f.graph(r, strings.TrimPrefix(path, "/v1.0/"), body, call)
	case strings.HasPrefix(path, "/secrets/") && at(vault+".vault.azure.net"):
		return f.vault(r, strings.Split(strings.TrimPrefix(path, "/secrets/"), "/"), body, call)
	}
	return reply{http.StatusNotFound, object{"error": object{"code": "ResourceNotFound", "message": "no such path"}}}
}

// bearer returns the access token that a request came with, where it is good for that API.
func (f *Fake) bearer(r *http.Request, audience string) *access {
	a := f.access[fake.Bearer(r)]
	if a == nil || a.audience != audience || !f.knobs.Now().Before(a.expires) {
		return nil
	}
	return a
}

func (a *access) admin() bool { return a.app != nil && a.app.admin }
