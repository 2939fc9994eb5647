package githubfake

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"clawback/revoke/fake"
)

const (
	docs        = "https://docs.github.com/rest"
	maxRequest  = 2 << 20 // bytes of a request's body
	maxBulk     = 1000
	integration = "github.installation"
)

// request is one that is being answered.
type request struct {
	*http.Request
	w      http.ResponseWriter
	call   *fake.Call
	tok    *token       // nil without authentication
	app    *signer      // where a GitHub App signed
	client *oauthClient // where an App gave its secret
	args   []string     // what stands for the parts of its path
}

// operation is an endpoint: what its provider calls it, who answers.
type operation struct {
	name  string
	serve func(*Fake, *request)
}

// operations have a * for each part of their path that is not fixed.
var operations = map[string]operation{
	"POST /credentials/revoke":              {"credentials/revoke", (*Fake).bulkRevoke},
	"GET /user":                             {"users/get-authenticated", (*Fake).user},
	"GET /user/repos":                       {"repos/list-for-authenticated-user", (*Fake).userRepos},
	"GET /installation/repositories":        {"apps/list-repos-accessible-to-installation", (*Fake).installationRepos},
	"DELETE /installation/token":            {"apps/revoke-installation-access-token", (*Fake).revokeInstallation},
	"GET /rate_limit":                       {"rate-limit/get", (*Fake).rateLimit},
	"GET /user/keys":                        {"users/list-public-ssh-keys-for-authenticated-user", userKeys(sshKey, "admin:public_key")},
	"DELETE /user/keys/*":                   {"users/delete-public-ssh-key-for-authenticated-user", deleteUserKey(sshKey, "admin:public_key")},
	"GET /user/ssh_signing_keys":            {"users/list-ssh-signing-keys-for-authenticated-user", userKeys(signingKey, "admin:ssh_signing_key")},
	"DELETE /user/ssh_signing_keys/*":       {"users/delete-ssh-signing-key-for-authenticated-user", deleteUserKey(signingKey, "admin:ssh_signing_key")},
	"GET /users/*/keys":                     {"users/list-public-keys-for-user", publicKeys(sshKey)},
	"GET /users/*/ssh_signing_keys":         {"users/list-ssh-signing-keys-for-user", publicKeys(signingKey)},
	"GET /repos/*/*/keys":                   {"repos/list-deploy-keys", deployKeys},
	"GET /app":                              {"apps/get-authenticated", asApp((*Fake).theApp)},
	"GET /app/installations":                {"apps/list-installations", asApp((*Fake).listInstallations)},
	"GET /app/installations/*":              {"apps/get-installation", asApp((*Fake).theInstallation)},
	"PUT /app/installations/*/suspended":    {"apps/suspend-installation", asApp((*Fake).suspendInstallation)},
	"DELETE /app/installations/*/suspended": {"apps/unsuspend-installation", asApp((*Fake).unsuspendInstallation)},
	"POST /applications/*/token":            {"apps/check-token", (*Fake).checkToken},
	"DELETE /applications/*/grant":          {"apps/delete-authorization", (*Fake).deleteGrant},
	"GET /orgs/*/personal-access-tokens":    {"orgs/list-pat-grants", (*Fake).listOrgGrants},
	"POST /orgs/*/personal-access-tokens/*": {"orgs/update-pat-access", (*Fake).endOrgGrant},
	"POST /login/oauth/access_token":        {"oauth/access-token", (*Fake).exchange},
	"DELETE /repos/*/*/keys/*":              {"repos/delete-deploy-key", deleteDeployKey},
}

// find returns the operation of a request, and what stands for its stars.
func find(method, path string) (operation, []string, bool) {
	parts := strings.Split(path, "/")
	for name, op := range operations {
		verb, pattern, _ := strings.Cut(name, " ")
		if args, ok := match(strings.Split(pattern, "/"), parts); ok && verb == method {
			return op, args, true
		}
	}
	return operation{}, nil, false
}

func match(pattern, parts []string) (args []string, ok bool) {
	if len(pattern) != len(parts) {
		return nil, false
	}
	for i, p := range pattern {
		switch {
		case p == "*" && parts[i] != "":
			args = append(args, parts[i])
		case p != parts[i]:
			return nil, false
		}
	}
	return args, true
}

func (f *Fake) route(w http.ResponseWriter, r *http.Request, call *fake.Call) {
	f.mu.Lock()
	defer f.mu.Unlock()
	q := &request{Request: r, w: w, call: call}
	w.Header().Set("Server", "GitHub.com")
	w.Header().Set("X-GitHub-Media-Type", "github.v3; format=json")
	path, inside := strings.CutPrefix(r.URL.Path, f.prefix)
	op, args, known := find(r.Method, path)
	known, q.args = known && inside, args
	if known {
		call.Action = op.name
	}
	if !f.admit(q, known && op.name == "rate-limit/get") {
		return
	}
	if !known {
		q.fail(http.StatusNotFound, "Not Found")
		return
	}
	op.serve(f, q)
}

// admit authenticates the request and counts it. It is false where the request was answered.
func (f *Fake) admit(q *request, free bool) bool {
	authenticated := q.Header.Get("Authorization") != ""
	refusal := "Bad credentials"
	if sent := bearer(q.Request); strings.Count(sent, ".") == 2 {
		q.app, refusal = f.signedBy(sent)
	}
	q.client = f.client(q.Request)
	if t := f.tokens[bearer(q.Request)]; t != nil && t.kind != "github.refresh" && f.knobs.Live(&t.life) {
		q.tok = t
	}
	who, limit, counts := client(q.Request), anonymousLimit, !free
	switch {
	case q.tok != nil:
		who, limit = fmt.Sprintf("token %d", q.tok.id), authenticatedLimit
	case q.client != nil:
		who, limit = "client "+q.client.id, authenticatedLimit
	case q.app != nil:
		who, limit = fmt.Sprintf("App %d", q.app.app), authenticatedLimit
	case authenticated:
		counts = counts && f.countRefusals
	}
	win := f.window(who, limit)
	allowed := !counts || win.take()
	win.header(q.w.Header())
	switch {
	case !allowed:
		q.fail(http.StatusForbidden, "API rate limit exceeded for "+who+".")
		return false
	case authenticated && q.tok == nil && q.app == nil && q.client == nil:
		q.fail(http.StatusUnauthorized, refusal)
		return false
	}
	return true
}

// bearer returns the token of a request, or "".
func bearer(r *http.Request) string {
	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") && !strings.EqualFold(scheme, "token") {
		return ""
	}
	return strings.TrimSpace(value)
}

// bulkRevoke: https://docs.github.com/rest/credentials/revoke. The documentation gives the
// statuses; the words of the refusals are ours.
func (f *Fake) bulkRevoke(q *request) {
	switch {
	case f.enterprise && q.tok == nil:
		q.fail(http.StatusUnauthorized, "Requires authentication")
		return
	case !f.enterprise && q.tok != nil:
		q.fail(http.StatusForbidden, "Authenticated requests are not allowed")
		return
	}
	values, problem := readBulk(q.Body)
	if problem == "not JSON" {
		q.fail(http.StatusBadRequest, "Problems parsing JSON")
		return
	}
	if problem != "" {
		q.reply(http.StatusUnprocessableEntity, map[string]any{
			"message": "Validation Failed", "errors": []string{problem},
			"documentation_url": docs + "/credentials/revoke", "status": "422",
		})
		return
	}
	var masks []string
	for _, v := range values {
		t := f.tokens[v]
		if t == nil || t.kind == integration || f.enterprise && t.kind != "github.pat" && t.kind != "github.fine_grained" {
			continue // accepted and ignored: the answer does not tell
		}
		masks = append(masks, t.masked)
		if t.life.At.IsZero() {
			t.mails++
		}
		f.knobs.Revoke(&t.life)
	}
	q.call.Credential = strings.Join(masks, " ")
	q.reply(http.StatusAccepted, map[string]any{})
}

// readBulk returns the listed values, or what is wrong with the body.
func readBulk(body io.Reader) (values []string, problem string) {
	var in map[string]any
	if json.NewDecoder(body).Decode(&in) != nil {
		return nil, "not JSON"
	}
	list, ok := in["credentials"].([]any)
	switch {
	case !ok:
		return nil, "credentials is not an array"
	case len(list) == 0:
		return nil, "credentials needs at least 1 item"
	case len(list) > maxBulk:
		return nil, fmt.Sprintf("credentials has more than %d items", maxBulk)
	}
	for i, v := range list {
		s, ok := v.(string)
		if !ok {
			return nil, fmt.Sprintf("credentials/%d is not a string", i)
		}
		values = append(values, s)
	}
	return values, ""
}

func (f *Fake) user(q *request) {
	if f.needs(q, func(kind string) bool { return kind != integration }) {
		q.scopes()
		q.reply(http.StatusOK, f.userBody(q.tok))
	}
}

func (f *Fake) userRepos(q *request) {
	if f.needs(q, func(kind string) bool { return kind != integration }) {
		q.scopes()
		q.reply(http.StatusOK, []any{f.repoBody(q.tok)})
	}
}

func (f *Fake) installationRepos(q *request) {
	if f.needs(q, func(kind string) bool { return kind == integration }) {
		q.reply(http.StatusOK, map[string]any{
			"total_count": 1, "repository_selection": "selected", "repositories": []any{f.repoBody(q.tok)},
		})
	}
}

// revokeInstallation: https://docs.github.com/rest/apps/installations#revoke-an-installation-access-token
func (f *Fake) revokeInstallation(q *request) {
	if f.needs(q, func(kind string) bool { return kind == integration }) {
		f.knobs.Revoke(&q.tok.life)
		q.w.WriteHeader(http.StatusNoContent)
	}
}

// rateLimit: https://docs.github.com/rest/rate-limit/rate-limit. It counts for nothing itself.
func (f *Fake) rateLimit(q *request) {
	win := f.window(client(q.Request), anonymousLimit)
	if q.tok != nil {
		win = f.window(fmt.Sprintf("token %d", q.tok.id), authenticatedLimit)
	}
	search := &window{limit: 10, reset: win.reset}
	q.reply(http.StatusOK, map[string]any{
		"rate":      win.body(),
		"resources": map[string]any{"core": win.body(), "search": search.body()},
	})
}

// page answers with a part of a list, and says where the next is.
// https://docs.github.com/rest/using-the-rest-api/using-pagination-in-the-rest-api
func (q *request) page(list []map[string]any) {
	number := func(name string, or int) int {
		if n, err := strconv.Atoi(q.URL.Query().Get(name)); err == nil && n > 0 {
			return n
		}
		return or
	}
	per, page := min(number("per_page", 30), 100), min(number("page", 1), 1000)
	from := min((page-1)*per, len(list))
	to := min(from+per, len(list))
	if to < len(list) {
		q.w.Header().Set("Link", fmt.Sprintf(`<https://%s%s?per_page=%d&page=%d>; rel="next"`, q.Host, q.URL.Path, per, page+1))
	}
	q.reply(http.StatusOK, list[from:to])
}

// needs lets tokens of some kinds through, and answers for the rest as GitHub does.
func (f *Fake) needs(q *request, kind func(string) bool) bool {
	switch {
	case q.tok == nil:
		q.fail(http.StatusUnauthorized, "Requires authentication")
	case kind(q.tok.kind):
		return true
	case q.tok.kind == integration:
		q.fail(http.StatusForbidden, "Resource not accessible by integration")
	default:
		q.fail(http.StatusForbidden, "Resource not accessible by personal access token")
	}
	return false
}

// scopes are told for the kinds of token that have them.
func (q *request) scopes() {
	if q.tok.kind == "github.pat" || q.tok.kind == "github.oauth" {
		q.w.Header().Set("X-OAuth-Scopes", q.tok.scopes)
	}
}

func (q *request) fail(status int, message string) {
	q.reply(status, map[string]any{
		"message": message, "documentation_url": docs, "status": fmt.Sprint(status),
	})
}

func (q *request) reply(status int, body any) {
	q.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	q.w.WriteHeader(status)
	_ = json.NewEncoder(q.w).Encode(body) // the client may be gone
}
