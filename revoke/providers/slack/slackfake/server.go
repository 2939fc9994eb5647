package slackfake

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"clawback/revoke/fake"
)

// RateLimited is what Slack answers to too many requests: https://docs.slack.dev/apis/web-api/rate-limits
func RateLimited(after time.Duration) fake.Fault {
	return fake.Fault{Status: http.StatusTooManyRequests, RetryAfter: after, Type: "application/json; charset=utf-8", Body: `{"ok":false,"error":"ratelimited"}`}
}

// ServeHTTP answers for both hosts. They share no path, so that one pinned endpoint can stand for both.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := fake.CallOf(r)
	if strings.HasPrefix(r.URL.Path, "/services/") {
		call.Path = "/services/…" // the rest is the secret
	}
	f.knobs.Answer(w, r, call, func(w http.ResponseWriter, r *http.Request) {
		if method, ok := strings.CutPrefix(r.URL.Path, "/api/"); ok {
			f.method(w, r, method, call)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/services/") {
			f.webhook(w, r, call)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "<!DOCTYPE html><html><head><title>There's been a glitch… | Slack</title></head></html>")
	})
}

// method answers a Web API method: always 200, with the truth in the body.
func (f *Fake) method(w http.ResponseWriter, r *http.Request, method string, call *fake.Call) {
	f.mu.Lock()
	defer f.mu.Unlock()
	call.Action = method
	token, inHeader, form := arguments(r)
	g := f.secrets[token]
	if g != nil {
		call.Credential = g.masked
		w.Header().Set("X-OAuth-Scopes", g.scopes)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if method == "oauth.v2.access" {
		_ = json.NewEncoder(w).Encode(f.exchange(r, form, call))
		return
	}
	if g != nil && g.kind == "slack.session" {
		if cookie, err := r.Cookie("d"); err != nil || cookie.Value != g.cookie {
			g = nil
		}
	}
	_ = json.NewEncoder(w).Encode(f.answer(method, token, inHeader, g, form))
}

// exchange answers oauth.v2.access, which takes no token but the app's client id and secret.
func (f *Fake) exchange(r *http.Request, form url.Values, call *fake.Call) object {
	id, secret, ok := r.BasicAuth()
	if !ok {
		id, secret = form.Get("client_id"), form.Get("client_secret")
	}
	g, refusal := f.client(id, secret)
	if g != nil {
		call.Credential = g.masked
	}
	switch refresh := f.secrets[form.Get("refresh_token")]; {
	case refusal != "":
		return failed(refusal)
	case form.Get("grant_type") != "refresh_token":
		return failed("invalid_code")
	case refresh == nil || refresh.kind != "slack.refresh" || refresh.app != g.app || !f.knobs.Live(&refresh.life):
		return failed("invalid_refresh_token")
	}
	return object{"ok": true, "access_token": "xoxe.xoxb-1-" + fake.Pick(fake.Letters, 160), "expires_in": 43200, "refresh_token": "xoxe-1-" + fake.Pick(fake.Letters, 146), "token_type": "bot"}
}

// client finds an app's client secret by its client id, or says what is wrong with them.
func (f *Fake) client(id, secret string) (g *grant, refusal string) {
	known := false
	for _, other := range f.secrets {
		known = known || other.client == id && id != ""
	}
	g = f.secrets[secret]
	switch {
	case !known:
		return nil, "invalid_client_id"
	case g == nil || g.client != id:
		return nil, "bad_client_secret"
	case !f.knobs.Live(&g.life):
		return g, "bad_client_secret"
	}
	return g, ""
}

type object map[string]any

func failed(code string) object { return object{"ok": false, "error": code} }

// answer decides with the lock held. The codes are those that the methods' pages list.
func (f *Fake) answer(method, token string, inHeader bool, g *grant, form url.Values) object {
	allowed := map[string]bool{"auth.test": true, "auth.revoke": true, "apps.uninstall": true, "chat.postMessage": true, "apps.connections.open": true}
	switch {
	case !allowed[method]:
		return object{"ok": false, "error": "unknown_method", "req_method": method}
	case token == "":
		return failed("not_authed")
	case g == nil || g.kind == "slack.webhook" || g.kind == "slack.signing_secret" || g.kind == "slack.client_secret":
		return failed("invalid_auth")
	case g.kind == "slack.app" && !inHeader: // https://github.com/slackapi/python-slack-sdk/issues/1877
		return failed("invalid_auth")
	case !f.knobs.Live(&g.life):
		return failed("token_revoked")
	case (g.kind == "slack.app") != (method == "apps.connections.open") && method != "auth.test",
		g.kind == "slack.refresh" && method != "auth.revoke", g.kind == "slack.session" && method == "auth.revoke":
		return failed("not_allowed_token_type")
	}
	switch method {
	case "apps.uninstall":
		return f.uninstall(g, form)
	case "auth.revoke":
		if test := form.Get("test"); test == "1" || test == "true" {
			return object{"ok": true, "revoked": false}
		}
		f.knobs.Revoke(&g.life)
		return object{"ok": true, "revoked": true}
	case "chat.postMessage":
		f.messages++
		return object{"ok": true, "channel": "C024BE91L", "ts": fmt.Sprintf("%d.000100", f.knobs.Now().Unix())}
	case "apps.connections.open":
		f.sockets++
		return object{"ok": true, "url": "wss://wss-primary.slack.com/link/?ticket=" + fake.Pick(fake.Letters, 20)}
	}
	return identity(g)
}

// uninstall ends all tokens of one installation: https://docs.slack.dev/reference/methods/apps.uninstall
func (f *Fake) uninstall(g *grant, form url.Values) object {
	client, refusal := f.client(form.Get("client_id"), form.Get("client_secret"))
	switch {
	case refusal != "":
		return failed(refusal)
	case client.app != g.app:
		return failed("client_id_token_mismatch")
	}
	ends := map[string]bool{"slack.bot": true, "slack.user": true, "slack.rotating": true, "slack.refresh": true, "slack.webhook": true}
	for _, other := range f.secrets {
		if other.app == g.app && ends[other.kind] {
			f.knobs.Revoke(&other.life)
		}
	}
	return object{"ok": true}
}

func identity(g *grant) object {
	if g.kind == "slack.app" {
		return object{"ok": true, "app_id": g.app, "app_name": g.name}
	}
	out := object{
		"ok": true, "url": "https://acme.slack.com/", "team": teamName, "team_id": team,
		"user": g.name, "user_id": g.user, "is_enterprise_install": false,
	}
	if g.bot != "" {
		out["bot_id"] = g.bot
	}
	if g.kind == "slack.rotating" {
		out["expires_in"] = 43199
	}
	return out
}

// arguments takes a call's token from its header or form: https://docs.slack.dev/apis/web-api/#authentication
func arguments(r *http.Request) (token string, inHeader bool, form url.Values) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	form = r.URL.Query()
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		values, _ := url.ParseQuery(string(body))
		for name, value := range values {
			form[name] = value
		}
	}
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return strings.TrimSpace(bearer), true, form
	}
	return form.Get("token"), false, form
}

// webhook answers a post to an incoming webhook, in plain text.
func (f *Fake) webhook(w http.ResponseWriter, r *http.Request, call *fake.Call) {
	f.mu.Lock()
	defer f.mu.Unlock()
	call.Action = "webhook"
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	g := f.secrets[r.URL.Path]
	if g != nil {
		call.Credential = g.masked
	}
	status, text := http.StatusOK, "ok"
	var message struct {
		Text string `json:"text"`
	}
	switch {
	case g == nil:
		status, text = http.StatusForbidden, "invalid_token"
	case !f.knobs.Live(&g.life):
		status, text = http.StatusNotFound, "no_service"
	case json.Unmarshal(body, &message) != nil:
		status, text = http.StatusBadRequest, "invalid_payload"
	case message.Text == "":
		status, text = http.StatusBadRequest, "no_text"
	default:
		f.messages++
	}
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}
