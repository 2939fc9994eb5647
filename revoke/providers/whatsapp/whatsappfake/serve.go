package whatsappfake

import (
	"net/http"
	"net/url"
	"strings"

	"clawback/revoke/fake"
)

type object map[string]any

// Busy is what Meta answers to too many calls of an application:
// https://developers.facebook.com/docs/graph-api/overview/rate-limiting
func Busy() fake.Fault {
	return fake.Fault{Status: http.StatusBadRequest, Type: "application/json", Body: `{"error":{"message":"(#4) Application request limit reached","type":"OAuthException","code":4,"fbtrace_id":"A"}}`}
}

func failed(code, subcode int, message string) (int, object) {
	e := object{"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "A" + fake.Pick(fake.Letters, 21)}
	if subcode != 0 {
		e["error_subcode"] = subcode
	}
	return http.StatusBadRequest, object{"error": e}
}

func refusesToken(answer object) bool {
	e, _ := answer["error"].(object)
	return e["code"] == 190
}

func unreadable() (int, object) {
	return failed(190, 0, "Invalid OAuth access token - Cannot parse access token")
}

const (
	invalidated = "Error validating access token: The session has been invalidated because the user changed their password or Facebook has changed the session for security reasons."
	wrongSecret = "Invalid OAuth access token signature."
)

// ServeHTTP answers for graph.facebook.com.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := fake.CallOf(r)
	call.Action = r.Method + " " + r.URL.Path
	f.knobs.Answer(w, r, call, func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		status, answer := f.answer(r, call)
		if id, edge, _ := strings.Cut(strings.Trim(r.URL.Path, "/"), "/"); status == http.StatusBadRequest && edge != "" && refusesToken(answer) {
			if _, isNumber := f.numbers[id]; isNumber {
				status = http.StatusUnauthorized // so Meta describes the calls of a phone number; others are 400
			}
		}
		f.mu.Unlock()
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
		fake.JSON(w, status, answer)
	})
}

// answer decides for a caller: the bearer of a token, or an application by its id and secret.
func (f *Fake) answer(r *http.Request, call *fake.Call) (int, object) {
	query := r.URL.Query()
	value := query.Get("access_token")
	if bearer := fake.Bearer(r); bearer != "" {
		value = bearer
	}
	if value == "" {
		return failed(104, 0, "An access token is required to request this resource.")
	}
	path := strings.Trim(r.URL.Path, "/")
	if id, secret, isApp := strings.Cut(value, "|"); isApp {
		g := f.grants[secret]
		if g == nil || g.kind != "whatsapp.app_secret" || g.app != id {
			return failed(190, 0, wrongSecret)
		}
		call.Credential = g.label
		if !f.knobs.Live(&g.life) {
			return failed(190, 0, wrongSecret)
		}
		return f.forApp(r.Method, path, id, query)
	}
	g := f.grants[value]
	if g == nil || g.kind != "whatsapp.token" {
		return unreadable()
	}
	call.Credential = g.label
	switch {
	case !f.knobs.Live(&g.life):
		return failed(190, 460, invalidated)
	case f.proofs && !f.proves(g.app, value, query.Get("appsecret_proof")):
		return failed(100, 0, "API calls from the server require an appsecret_proof argument")
	}
	return f.forToken(r.Method, path, g, query)
}

func (f *Fake) forApp(method, path, app string, query url.Values) (int, object) {
	switch {
	case method == http.MethodGet && path == app:
		return http.StatusOK, object{"id": app, "name": "Deploy", "link": "https://www.facebook.com/games/?app_id=" + app}
	case method == http.MethodGet && path == "debug_token":
		return f.debug(app, query.Get("input_token"))
	case method == http.MethodGet && path == "oauth/revoke":
		return f.revoke(app, query)
	}
	return failed(100, 33, "Unsupported "+strings.ToLower(method)+" request.")
}

func (f *Fake) forToken(method, path string, g *grant, query url.Values) (int, object) {
	id, edge, _ := strings.Cut(path, "/")
	_, isNumber := f.numbers[id]
	switch {
	case method == http.MethodGet && path == "me":
		return http.StatusOK, object{"id": g.user, "name": "agent"}
	case method == http.MethodGet && path == "debug_token":
		return f.debug(g.app, query.Get("input_token"))
	case method == http.MethodGet && path == "oauth/revoke":
		return f.revoke(g.app, query)
	case method == http.MethodDelete && path == "me/permissions":
		if !g.system || !f.stubborn {
			for _, other := range f.grants {
				if other.kind == g.kind && other.app == g.app && other.user == g.user {
					f.knobs.Revoke(&other.life)
				}
			}
		}
		return http.StatusOK, object{"success": true}
	case method == http.MethodPost && isNumber && edge == "deregister":
		f.numbers[id] = false
		return http.StatusOK, object{"success": true}
	case method == http.MethodPost && isNumber && edge == "messages":
		if !f.numbers[id] {
			return failed(133010, 0, "(#133010) Account not registered")
		}
		f.messages++
		return http.StatusOK, object{"messaging_product": "whatsapp", "messages": []object{{"id": "wamid." + fake.Pick(fake.Letters, 20)}}}
	}
	return failed(100, 33, "Unsupported "+strings.ToLower(method)+" request.")
}

// debug tells of a token to another one of the same application.
func (f *Fake) debug(app, value string) (int, object) {
	g := f.grants[value]
	if g == nil || g.kind != "whatsapp.token" {
		return http.StatusOK, object{"data": object{"error": object{"code": 190, "message": "The access token could not be decrypted"}, "is_valid": false, "scopes": []string{}}}
	}
	if g.app != app {
		return failed(100, 0, "(#100) The App_id in the input_token did not match the Viewing App")
	}
	kind := "USER"
	if g.system {
		kind = "SYSTEM_USER"
	}
	data := object{
		"app_id": app, "application": "Deploy", "type": kind, "expires_at": 0, "is_valid": true, "user_id": g.user,
		"scopes":          []string{"whatsapp_business_messaging", "public_profile"},
		"granular_scopes": []object{{"scope": "whatsapp_business_messaging", "target_ids": []string{"102290129340398"}}},
	}
	if !f.knobs.Live(&g.life) {
		data["is_valid"], data["error"] = false, object{"code": 190, "subcode": 460, "message": invalidated}
	}
	return http.StatusOK, object{"data": data}
}

// revoke ends a token of the application that calls and says who it is.
func (f *Fake) revoke(app string, query url.Values) (int, object) {
	by, g := f.grants[query.Get("client_secret")], f.grants[query.Get("revoke_token")]
	switch {
	case by == nil || by.kind != "whatsapp.app_secret" || by.app != query.Get("client_id") || !f.knobs.Live(&by.life):
		return failed(1, 0, "Error validating client secret.")
	case g == nil || g.kind != "whatsapp.token":
		return failed(100, 0, "Invalid revoke_token")
	case by.app != app || g.app != app:
		return failed(100, 0, "The tokens must be of the same app")
	}
	f.knobs.Revoke(&g.life)
	return http.StatusOK, object{"success": "true"}
}
