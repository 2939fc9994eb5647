package discordfake

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"clawback/revoke/fake"
)

type object map[string]any

// reply is one answer: a status, and a body where there is one.
type reply struct {
	status int
	body   any
}

func failed(status, code int, message string) reply {
	return reply{status, object{"message": message, "code": code}}
}

// RateLimited is what Discord answers to too many requests: https://discord.com/developers/docs/topics/rate-limits
func RateLimited(after time.Duration) fake.Fault {
	return fake.Fault{
		Status: http.StatusTooManyRequests, RetryAfter: after, Type: "application/json",
		Body: `{"message":"You are being rate limited.","retry_after":` + after.String()[:len(after.String())-1] + `,"global":false}`,
	}
}

// ServeHTTP answers for discord.com.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	call := fake.CallOf(r)
	call.Action = r.Method + " " + path
	if strings.Contains(path, "/webhooks/") {
		call.Path, call.Action = "/api/webhooks/…", r.Method+" webhook" // the rest is the secret
	}
	f.knobs.Answer(w, r, call, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		f.mu.Lock()
		a := f.answer(r, body, call)
		f.mu.Unlock()
		if a.body == nil {
			w.WriteHeader(a.status)
			return
		}
		fake.JSON(w, a.status, a.body)
	})
}

func (f *Fake) answer(r *http.Request, body []byte, call *fake.Call) reply {
	path, ok := strings.CutPrefix(r.URL.Path, "/api/")
	if !ok {
		return reply{http.StatusNotFound, nil}
	}
	path = strings.TrimPrefix(path, "v10/")
	if rest, ok := strings.CutPrefix(path, "webhooks/"); ok {
		return f.webhook(r.Method, rest, body, call)
	}
	switch r.Method + " " + path {
	case "GET users/@me":
		return f.asBot(r, call, func(g *grant) object { return person(g.id, "deploy-bot", true) })
	case "GET oauth2/applications/@me":
		return f.asBot(r, call, func(g *grant) object { return f.application(g) })
	case "GET oauth2/@me":
		return f.authorizationOf(r, call)
	case "POST oauth2/token/revoke":
		return f.revoke(r, body, call)
	}
	return failed(http.StatusNotFound, 0, "404: Not Found")
}

// unauthorized is the answer to a token that is none, or none any more.
func unauthorized() reply { return failed(http.StatusUnauthorized, 0, "401: Unauthorized") }

func (f *Fake) webhook(method, rest string, body []byte, call *fake.Call) reply {
	id, _, _ := strings.Cut(rest, "/")
	g := f.grants[rest]
	if g == nil || g.kind != "discord.webhook" {
		for value := range f.grants {
			if strings.HasPrefix(value, id+"/") {
				return failed(http.StatusUnauthorized, 50027, "Invalid Webhook Token")
			}
		}
		return failed(http.StatusNotFound, 10015, "Unknown Webhook")
	}
	call.Credential = g.label
	if !f.knobs.Live(&g.life) {
		return failed(http.StatusNotFound, 10015, "Unknown Webhook")
	}
	switch method {
	case http.MethodGet:
		_, token, _ := strings.Cut(rest, "/")
		return reply{http.StatusOK, object{
			"application_id": nil, "avatar": nil, "channel_id": channel, "guild_id": server, "id": g.id, "name": "alerts", "type": 1,
			"token": token, "url": "https://discord.com/api/webhooks/" + rest,
		}}
	case http.MethodDelete:
		f.knobs.Revoke(&g.life)
		return reply{http.StatusNoContent, nil}
	case http.MethodPost:
		var message struct {
			Content string `json:"content"`
		}
		if json.Unmarshal(body, &message) != nil || message.Content == "" {
			return failed(http.StatusBadRequest, 50006, "Cannot send an empty message")
		}
		f.messages++
		return reply{http.StatusNoContent, nil}
	}
	return failed(http.StatusMethodNotAllowed, 0, "405: Method Not Allowed")
}

func (f *Fake) asBot(r *http.Request, call *fake.Call, show func(*grant) object) reply {
	value, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bot ")
	g := f.grants[value]
	if g == nil || g.kind != "discord.bot" {
		return unauthorized()
	}
	call.Credential = g.label
	if !f.knobs.Live(&g.life) {
		return unauthorized()
	}
	return reply{http.StatusOK, show(g)}
}

func (f *Fake) authorizationOf(r *http.Request, call *fake.Call) reply {
	g := f.grants[fake.Bearer(r)]
	if g == nil || g.kind != "discord.oauth_token" {
		return unauthorized()
	}
	call.Credential = g.label
	if !f.knobs.Live(&g.authorized.life) {
		return unauthorized()
	}
	user := person(f.user, "ada", false)
	user["primary_guild"] = nil
	return reply{http.StatusOK, object{
		"application": object{
			"id": f.app, "name": appName, "icon": nil, "description": "", "type": nil, "verify_key": strings.Repeat("0", 64),
			"flags": 0, "flags_new": "0", "bot_public": true, "bot_require_code_grant": false,
		},
		"scopes": []string{"identify", "guilds"}, "user": user,
		"expires": f.knobs.Now().Add(7 * 24 * time.Hour).UTC().Format(time.RFC3339),
	}}
}

// revoke ends all that a user gave to the application, whichever token is named. It tells nobody
// whether there was such a token (RFC 7009, section 2.2).
func (f *Fake) revoke(r *http.Request, body []byte, call *fake.Call) reply {
	id, secret, _ := r.BasicAuth()
	if f.secret == nil || id != f.app || secret != f.secret.value || !f.knobs.Live(&f.secret.life) {
		return reply{http.StatusUnauthorized, object{"error": "invalid_client"}}
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || form.Get("token") == "" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		return reply{http.StatusBadRequest, object{"error": "invalid_request"}}
	}
	if g := f.grants[form.Get("token")]; g != nil && g.authorized != nil {
		call.Credential = g.label
		f.knobs.Revoke(&g.authorized.life)
	}
	return reply{http.StatusOK, object{}}
}

// person is a user as Discord shows them.
func person(id, name string, bot bool) object {
	return object{
		"id": id, "username": name, "discriminator": "0", "avatar": nil, "global_name": nil, "public_flags": 0, "flags": 0,
		"mfa_enabled": true, "locale": "en-US", "bot": bot,
	}
}

func (f *Fake) application(g *grant) object {
	owner := person(f.user, "ada", false)
	owner["primary_guild"] = nil
	return object{
		"id": g.id, "name": appName, "icon": nil, "description": "", "type": nil, "verify_key": strings.Repeat("0", 64),
		"flags": 0, "flags_new": "0", "bot_public": true, "bot_require_code_grant": false, "owner": owner, "approximate_guild_count": 3,
		"redirect_uris": []string{}, "interactions_endpoint_url": nil, "role_connections_verification_url": nil, "team": nil,
		"explicit_content_filter": 0, "max_participants": nil, "tags": []string{}, "integration_types_config": object{},
		"event_webhooks_status": 1, "approximate_user_install_count": 0, "approximate_user_authorization_count": 0,
		"eligible_oauth2_scopes": []string{},
	}
}
