package azurefake

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"clawback/revoke/fake"
)

// graph is Microsoft Graph v1.0.
func (f *Fake) graph(r *http.Request, path string, body []byte, call *fake.Call) reply {
	a := f.bearer(r, "https://"+graph)
	switch {
	case a == nil:
		return graphError(401, "InvalidAuthenticationToken", "Access token has expired, is not yet valid, or is not for this API.")
	case !a.admin():
		return graphError(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
	}
	parts := strings.Split(path, "/")
	call.Action = r.Method + " " + parts[0]
	switch set, key, byClient := strings.Cut(parts[0], "(appId='"); {
	case byClient && len(parts) == 1 && r.Method == http.MethodGet:
		return f.read(set, strings.TrimSuffix(key, "')"), r.URL.Query().Get("$select"), call)
	case parts[0] == "users" && len(parts) == 3 && parts[2] == "revokeSignInSessions" && r.Method == http.MethodPost:
		u := f.users[parts[1]]
		if u == nil {
			return notFound()
		}
		call.Credential = u.label
		f.knobs.Revoke(&u.sessions)
		return reply{200, object{"@odata.context": "https://graph.microsoft.com/v1.0/$metadata#Edm.Boolean", "value": true}}
	case parts[0] == "oauth2PermissionGrants" && len(parts) == 2 && r.Method == http.MethodDelete:
		return f.deleteGrant(parts[1])
	case len(parts) > 1:
		return f.change(r.Method, parts[0], parts[1], parts[2:], body, call)
	}
	return notFound()
}

func notFound() reply {
	return graphError(404, "Request_ResourceNotFound", "Resource does not exist or one of its queried reference-property objects are not present.")
}

func graphError(status int, code, message string) reply {
	inner := object{"date": time.Now().UTC().Format("2006-01-02T15:04:05"), "request-id": fake.GUID(), "client-request-id": fake.GUID()}
	return reply{status, object{"error": object{"code": code, "message": message, "innerError": inner}}}
}

// read answers with what was selected of an application or a service principal.
func (f *Fake) read(set, client, selected string, call *fake.Call) reply {
	a := f.apps[strings.ToLower(client)]
	if a == nil || f.objectID(a, set) == "" {
		return notFound()
	}
	call.Credential = a.label
	whole := object{
		"id": f.objectID(a, set), "appId": a.client, "displayName": "agent",
		"passwordCredentials": passwords(a, set), "keyCredentials": keys(a, set, strings.Contains(selected, "keyCredentials")),
	}
	if set == "servicePrincipals" {
		whole["accountEnabled"] = a.disabled.At.IsZero()
	}
	out := object{"@odata.context": "https://graph.microsoft.com/v1.0/$metadata#" + set + "/$entity"}
	for name, v := range whole {
		if selected == "" || slices.Contains(strings.Split(selected, ","), name) {
			out[name] = v
		}
	}
	return reply{200, out}
}

func (f *Fake) objectID(a *application, set string) string {
	switch set {
	case "applications":
		return a.object
	case "servicePrincipals":
		return a.principal
	}
	return ""
}

func passwords(a *application, set string) []object {
	out := []object{}
	for _, p := range a.passwords {
		if p.life.At.IsZero() && p.ofPrincipal == (set == "servicePrincipals") {
			var hint any
			if p.hint != "" {
				hint = p.hint
			}
			out = append(out, object{
				"customKeyIdentifier": nil, "displayName": "rbac", "hint": hint, "keyId": p.id, "secretText": nil,
				"startDateTime": "2026-01-15T09:00:00Z", "endDateTime": "2027-01-15T09:00:00Z",
			})
		}
	}
	return out
}

func keys(a *application, set string, whole bool) []object {
	out := []object{}
	for _, k := range a.keys {
		if !k.life.At.IsZero() || set != "applications" {
			continue
		}
		var der any
		if whole {
			der = base64.StdEncoding.EncodeToString(k.certificate.Raw)
		}
		out = append(out, object{
			"customKeyIdentifier": k.name, "displayName": "CN=CLI-Login", "key": der, "keyId": k.id, "type": "AsymmetricX509Cert", "usage": "Verify",
			"startDateTime": k.certificate.NotBefore.UTC().Format(time.RFC3339), "endDateTime": k.certificate.NotAfter.UTC().Format(time.RFC3339),
		})
	}
	return out
}

// change changes an application or a service principal, or reads and deletes its permissions.
func (f *Fake) change(method, set, id string, rest []string, body []byte, call *fake.Call) reply {
	var a *application
	for _, known := range f.apps {
		if id != "" && f.objectID(known, set) == id {
			a = known
		}
	}
	if a == nil {
		return notFound()
	}
	call.Credential = a.label
	switch what := strings.Join(rest, "/"); {
	case method == http.MethodPost && what == "removePassword":
		return f.removePassword(a, set, body)
	case method == http.MethodPatch && what == "":
		return f.update(a, set, body)
	case method == http.MethodGet && what == "appRoleAssignments":
		return list(a.roles, func(id string) object {
			return object{"id": id, "appRoleId": appRole, "principalId": a.principal, "principalType": "ServicePrincipal", "resourceId": graphPrincipal}
		})
	case method == http.MethodGet && what == "oauth2PermissionGrants":
		return list(a.grants, func(id string) object {
			return object{"id": id, "clientId": a.principal, "consentType": "AllPrincipals", "principalId": nil, "resourceId": graphPrincipal, "scope": "User.Read"}
		})
	case method == http.MethodDelete && len(rest) == 2 && rest[0] == "appRoleAssignments":
		before := len(a.roles)
		a.roles = slices.DeleteFunc(a.roles, func(role string) bool { return role == rest[1] })
		if len(a.roles) == before {
			return notFound()
		}
		return reply{status: 204}
	}
	return notFound()
}

func (f *Fake) removePassword(a *application, set string, body []byte) reply {
	var in struct {
		KeyID string `json:"keyId"`
	}
	if json.Unmarshal(body, &in) != nil {
		return graphError(400, "BadRequest", "Unable to read JSON request payload.")
	}
	for _, p := range a.passwords {
		if p.id == in.KeyID && p.life.At.IsZero() && p.ofPrincipal == (set == "servicePrincipals") {
			f.knobs.Revoke(&p.life)
			return reply{status: 204}
		}
	}
	return graphError(400, "Request_BadRequest", "No password credential found with keyId.")
}

func (f *Fake) update(a *application, set string, body []byte) reply {
	var in struct {
		Enabled *bool `json:"accountEnabled"`
		Keys    *[]struct {
			KeyID string `json:"keyId"`
		} `json:"keyCredentials"`
	}
	if json.Unmarshal(body, &in) != nil {
		return graphError(400, "BadRequest", "Unable to read JSON request payload.")
	}
	if in.Enabled != nil && set == "servicePrincipals" {
		if *in.Enabled {
			a.disabled = fake.Revocation{}
		} else {
			f.knobs.Revoke(&a.disabled)
		}
	}
	if in.Keys != nil {
		for _, k := range a.keys {
			kept := false
			for _, stays := range *in.Keys {
				kept = kept || stays.KeyID == k.id
			}
			if !kept {
				f.knobs.Revoke(&k.life)
			}
		}
	}
	return reply{status: 204}
}

// pageSize is small, so that lists have pages.
const pageSize = 3

// What every permission is for: an app role of Microsoft Graph's.
const appRole, graphPrincipal = "9a5d68dd-52b0-4cc2-bd40-abcf44ac3a30", "7ea9e944-71ce-443d-811c-71e8047b557a"

func list(ids []string, shown func(id string) object) reply {
	out := object{"value": []object{}}
	if len(ids) > pageSize {
		ids = ids[:pageSize]
		out["@odata.nextLink"] = "https://graph.microsoft.com/v1.0/next?$skiptoken=x"
	}
	for _, id := range ids {
		out["value"] = append(out["value"].([]object), shown(id))
	}
	return reply{200, out}
}

func (f *Fake) deleteGrant(id string) reply {
	for _, a := range f.apps {
		before := len(a.grants)
		a.grants = slices.DeleteFunc(a.grants, func(grant string) bool { return grant == id })
		if len(a.grants) < before {
			return reply{status: 204}
		}
	}
	return notFound()
}
