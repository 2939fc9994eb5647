package gitlabfake

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"clawback/revoke/lazyregexp"
)

// tokenEntity is lib/api/entities/personal_access_token.rb.
func tokenEntity(t *thing, live bool) object {
	return object{
		"id": t.id, "name": t.name, "description": nil, "revoked": !live, "created_at": stamp(t.created),
		"scopes": t.scopes, "user_id": t.user, "last_used_at": nil, "active": live, "expires_at": t.created.AddDate(1, 0, 0).Format(time.DateOnly),
	}
}

// The others are deploy_token.rb, clusters/agent_token.rb and trigger.rb beside it.
func deployEntity(t *thing, live bool) object {
	return object{
		"id": t.id, "name": t.name, "username": "gitlab+deploy-token-" + strconv.FormatInt(t.id, 10), "expires_at": nil,
		"scopes": []string{"read_registry"}, "revoked": !live, "expired": false,
	}
}

func agentEntity(t *thing, live bool) object {
	status := "revoked"
	if live {
		status = "active"
	}
	return object{
		"id": t.id, "name": t.name, "description": nil, "agent_id": t.agent, "status": status, "created_at": stamp(t.created),
		"created_by_user_id": t.user, "last_used_at": nil,
	}
}

func triggerEntity(t *thing, live bool) object {
	var end any
	if !live {
		end = stamp(t.life.At)
	}
	return object{
		"id": t.id, "token": t.value[:4], "description": t.name, "created_at": stamp(t.created), "updated_at": stamp(t.created),
		"last_used": nil, "expires_at": end, "owner": object{"id": t.user, "username": "ada"},
	}
}

func stamp(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z") }

func (f *Fake) user(q *request) {
	if !slices.Contains(q.who.scopes, "api") && !slices.Contains(q.who.scopes, "read_user") {
		q.answer(http.StatusForbidden, object{
			"error": "insufficient_scope", "error_description": "The request requires higher privileges than provided by the access token.",
			"scope": "api read_user",
		})
		return
	}
	q.answer(http.StatusOK, object{"id": q.who.user, "username": q.who.name, "name": q.who.name, "state": "active"})
}

func (f *Fake) self(q *request) {
	if q.who.kind != pat {
		q.answer(http.StatusBadRequest, object{"message": "400 Bad request - This endpoint requires token type to be a personal access token"})
		return
	}
	q.answer(http.StatusOK, tokenEntity(q.who, true))
}

func (f *Fake) revokeSelf(q *request) {
	f.knobs.Revoke(&q.who.life)
	q.done()
}

func (f *Fake) rotateSelf(q *request) {
	next := f.rotate(q.who)
	entity := tokenEntity(next, true)
	entity["token"] = next.value
	q.answer(http.StatusOK, entity)
}

func (f *Fake) listTokens(q *request) {
	user, _ := strconv.ParseInt(q.args.Get("user_id"), 10, 64)
	if !q.who.admin && user != 0 && user != q.who.user {
		q.unauthorized()
		return
	}
	after, _ := time.Parse(time.RFC3339, q.args.Get("created_after"))
	var of []*thing
	for _, t := range f.things {
		if t.kind == pat && (user == 0 || t.user == user) && t.created.After(after) && (q.args.Get("state") != "active" || f.knobs.Works(t.life)) {
			of = append(of, t)
		}
	}
	slices.SortFunc(of, func(a, b *thing) int { return int(b.id - a.id) })
	page, _ := strconv.Atoi(q.args.Get("page"))
	size, _ := strconv.Atoi(q.args.Get("per_page"))
	if size == 0 {
		size = 20
	}
	size = min(size, 100)
	from := min(max(page-1, 0)*size, len(of))
	list := []object{}
	for _, t := range of[from:min(from+size, len(of))] {
		list = append(list, tokenEntity(t, f.knobs.Works(t.life)))
	}
	q.answer(http.StatusOK, list)
}

// known is the token that the token information API is asked about.
func (f *Fake) known(q *request) *thing {
	t := f.things[q.args.Get("token")]
	switch {
	case !q.who.admin:
		q.forbidden()
	case t == nil:
		q.answer(http.StatusNotFound, object{"message": object{"error": "Not found"}})
	case t.kind == "gitlab.scim_token", t.kind == "gitlab.workspace_token", t.kind == deployKey, t.kind == sshKey, t.kind == oauthToken:
		q.answer(http.StatusUnprocessableEntity, object{"message": "Token type not supported."})
	default:
		return t
	}
	return nil
}

func (f *Fake) tokenInfo(q *request) {
	t := f.known(q)
	switch {
	case t == nil:
	case t.kind == pat:
		q.answer(http.StatusOK, tokenEntity(t, f.knobs.Live(&t.life)))
	case t.kind == "gitlab.deploy_token":
		q.answer(http.StatusOK, deployEntity(t, f.knobs.Live(&t.life)))
	case t.kind == "gitlab.agent_token":
		q.answer(http.StatusOK, agentEntity(t, f.knobs.Live(&t.life)))
	case t.kind == "gitlab.trigger": // app/services/ci/pipeline_triggers/expire_service.rb
		q.answer(http.StatusOK, triggerEntity(t, f.knobs.Live(&t.life)))
	case f.knobs.Live(&t.life):
		q.answer(http.StatusOK, object{"id": t.id, "name": t.name})
	default: // reset
		q.answer(http.StatusNotFound, object{"message": object{"error": "Not found"}})
	}
}

func (f *Fake) tokenRevoke(q *request) {
	switch t := f.known(q); {
	case t == nil:
	case t.kind == "gitlab.trigger" && !f.expireTriggers:
		q.answer(http.StatusUnprocessableEntity, object{"message": "Unsupported token type"})
	default:
		f.knobs.Revoke(&t.life)
		q.done()
	}
}

func (f *Fake) verifyRunner(q *request) {
	t := f.things[q.args.Get("token")]
	if t == nil || t.kind != runner || !f.knobs.Live(&t.life) {
		q.forbidden()
		return
	}
	q.answer(http.StatusOK, object{"id": t.id, "token": t.value, "token_expires_at": nil})
}

func (f *Fake) deleteRunner(q *request) {
	t := f.things[q.args.Get("token")]
	if t == nil || t.kind != runner || !f.knobs.Live(&t.life) {
		q.forbidden()
		return
	}
	f.knobs.Revoke(&t.life)
	q.done()
}

func (f *Fake) job(q *request) {
	t := f.things[q.Header.Get("Job-Token")]
	if t == nil || t.kind != jobToken || !f.knobs.Live(&t.life) {
		q.unauthorized()
		return
	}
	q.answer(http.StatusOK, f.jobEntity(t, "running"))
}

func (f *Fake) jobEntity(t *thing, status string) object {
	return object{"id": t.id, "name": t.name, "status": status, "pipeline": object{"id": 9, "project_id": t.project, "ref": "main"}}
}

func (f *Fake) introspect(q *request) {
	t := f.things[q.args.Get("client_secret")]
	if t == nil || t.kind != oauthSecret || t.client != q.args.Get("client_id") || !f.knobs.Live(&t.life) {
		q.answer(http.StatusUnauthorized, object{"error": "invalid_client", "error_description": "Client authentication failed due to unknown client, no client authentication included, or unsupported authentication method."})
		return
	}
	q.answer(http.StatusOK, object{"active": false})
}

// revokeGrant answers alike for tokens that there never were: RFC 7009, section 2.2.
func (f *Fake) revokeGrant(q *request) {
	if t := f.things[q.args.Get("token")]; t != nil && t.kind == oauthToken {
		if t.client != q.args.Get("client_id") {
			q.answer(http.StatusForbidden, object{"error": "unauthorized_client", "error_description": "You are not authorized to revoke this token"})
			return
		}
		f.knobs.Revoke(&t.life)
	}
	q.answer(http.StatusOK, object{})
}

// resources are what an authority reads and deletes by id, and how each is kept once it has ended.
var resources = []struct {
	path lazyregexp.Regexp // its last group is the id
	kind string
}{
	{lazyregexp.New(`\A/api/v4/personal_access_tokens/()()(\d+)\z`), pat},
	{lazyregexp.New(`\A/api/v4/(projects)/(\d+)/access_tokens/(\d+)\z`), pat},
	{lazyregexp.New(`\A/api/v4/(groups)/(\d+)/access_tokens/(\d+)\z`), pat},
	{lazyregexp.New(`\A/api/v4/(projects)/(\d+)/deploy_tokens/(\d+)\z`), "gitlab.deploy_token"},
	{lazyregexp.New(`\A/api/v4/(groups)/(\d+)/deploy_tokens/(\d+)\z`), "gitlab.deploy_token"},
	{lazyregexp.New(`\A/api/v4/(projects)/(\d+)/triggers/(\d+)\z`), "gitlab.trigger"},
	{lazyregexp.New(`\A/api/v4/(projects)/(\d+)/cluster_agents/5/tokens/(\d+)\z`), "gitlab.agent_token"},
	{lazyregexp.New(`\A/api/v4/(projects)/(\d+)/deploy_keys/(\d+)\z`), deployKey},
	{lazyregexp.New(`\A/api/v4/(users)/(\d+)/keys/(\d+)\z`), sshKey},
	{lazyregexp.New(`\A/api/v4/(user)()/keys/(\d+)\z`), sshKey},
}

var cancelPath = lazyregexp.New(`\A/api/v4/projects/(\d+)/jobs/(\d+)/cancel\z`)

// byID returns who serves a resource, or nil where the path is of none.
func byID(q *request) func(*Fake, *request) {
	if m := cancelPath.FindStringSubmatch(q.URL.Path); m != nil && q.Method == http.MethodPost {
		return func(f *Fake, q *request) { f.cancel(q, m[1], m[2]) }
	}
	for _, r := range resources {
		if m := r.path.FindStringSubmatch(q.URL.Path); m != nil && (q.Method == http.MethodGet || q.Method == http.MethodDelete) {
			return func(f *Fake, q *request) { f.resource(q, r.kind, m[1], m[2], m[3]) }
		}
	}
	return nil
}

func (f *Fake) find(kind, id string) *thing {
	for _, t := range f.things {
		if t.kind == kind && strconv.FormatInt(t.id, 10) == id {
			return t
		}
	}
	return nil
}

func (f *Fake) resource(q *request, kind, under, of, id string) {
	t := f.find(kind, id)
	own := t != nil && t.user == q.who.user
	switch {
	case under == "projects" && of != "7":
		q.answer(http.StatusNotFound, object{"message": "404 Project Not Found"})
	case under == "groups" && of != "8":
		q.answer(http.StatusNotFound, object{"message": "404 Group Not Found"})
	case kind == pat && !q.who.admin && !own:
		q.unauthorized()
	case kind != pat && !q.who.admin && !own:
		q.forbidden()
	case t == nil:
		q.notFound()
	case kind == pat && q.Method == http.MethodGet: // one that has ended stays on record
		q.answer(http.StatusOK, tokenEntity(t, f.knobs.Live(&t.life)))
	case !f.knobs.Live(&t.life):
		q.notFound()
	case q.Method == http.MethodDelete:
		f.knobs.Revoke(&t.life)
		q.done()
	case kind == deployKey || kind == sshKey:
		q.answer(http.StatusOK, object{"id": t.id, "title": t.name, "key": "ssh-ed25519 AAAA", "created_at": stamp(t.created), "expires_at": nil, "usage_type": "auth_and_signing"})
	case kind == "gitlab.trigger":
		q.answer(http.StatusOK, triggerEntity(t, true))
	case kind == "gitlab.agent_token":
		q.answer(http.StatusOK, agentEntity(t, true))
	default:
		q.answer(http.StatusOK, deployEntity(t, true))
	}
}

func (f *Fake) cancel(q *request, project, id string) {
	t := f.find(jobToken, id)
	switch {
	case project != "7":
		q.answer(http.StatusNotFound, object{"message": "404 Project Not Found"})
	case !q.who.admin && (t == nil || t.user != q.who.user):
		q.forbidden()
	case t == nil:
		q.notFound()
	default:
		f.knobs.Revoke(&t.life)
		q.answer(http.StatusCreated, f.jobEntity(t, "canceled"))
	}
}
