package azurefake

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"clawback/revoke/fake"
)

// vault is the Key Vault, at /secrets/.
func (f *Fake) vault(r *http.Request, parts []string, body []byte, call *fake.Call) reply {
	a := f.bearer(r, "https://vault.azure.net")
	all := f.secrets[parts[0]]
	switch {
	case a == nil:
		return vaultError(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.", "")
	case r.URL.Query().Get("api-version") == "":
		return vaultError(400, "BadParameter", "api-version must be specified", "")
	case !a.admin():
		return vaultError(403, "Forbidden", "Caller is not authorized to perform action on resource.", "ForbiddenByRbac")
	case all == nil:
		return vaultError(404, "SecretNotFound", "A secret with (name/id) "+parts[0]+" was not found in this key vault.", "")
	}
	call.Credential, call.Action = vault+"/"+parts[0], r.Method+" secret"
	switch {
	case len(parts) == 2 && parts[1] == "versions" && r.Method == http.MethodGet:
		return f.versions(parts[0], all, r.URL.Query())
	case len(parts) == 2 && r.Method == http.MethodPatch:
		return f.updateVersion(parts[0], parts[1], body)
	case len(parts) <= 2 && r.Method == http.MethodGet:
		return f.value(parts, all)
	}
	return vaultError(405, "MethodNotAllowed", "not allowed", "")
}

func vaultError(status int, code, message, inner string) reply {
	e := object{"code": code, "message": message}
	if inner != "" {
		e["innererror"] = object{"code": inner}
	}
	return reply{status, object{"error": e}}
}

func (f *Fake) versions(name string, all []*version, query url.Values) reply {
	size, err := strconv.Atoi(query.Get("maxresults"))
	if err != nil || size < 1 || size > 25 {
		size = 25
	}
	from, _ := strconv.Atoi(query.Get("$skiptoken"))
	from = min(max(from, 0), len(all))
	to := min(from+size, len(all))
	value := []object{}
	for _, v := range all[from:to] {
		value = append(value, f.bundle(name, v, f.knobs.Live(&v.disabled)))
	}
	out := object{"value": value, "nextLink": nil}
	if to < len(all) {
		next := url.Values{"api-version": {query.Get("api-version")}, "$skiptoken": {strconv.Itoa(to)}, "maxresults": {strconv.Itoa(size)}}
		out["nextLink"] = "https://" + vault + ".vault.azure.net:443/secrets/" + name + "/versions?" + next.Encode()
	}
	return reply{200, out}
}

func (f *Fake) bundle(name string, v *version, enabled bool) object {
	out := object{
		"id": "https://" + vault + ".vault.azure.net/secrets/" + name + "/" + v.id,
		"attributes": object{
			"enabled": enabled, "created": v.created.Unix(), "updated": v.created.Unix(),
			"recoveryLevel": "Recoverable+Purgeable", "recoverableDays": 90,
		},
	}
	if len(v.tags) > 0 {
		out["tags"] = v.tags
	}
	return out
}

// updateVersion changes a version and answers with it as it is to be from now on.
func (f *Fake) updateVersion(name, id string, body []byte) reply {
	var in struct {
		Attributes struct {
			Enabled *bool `json:"enabled"`
		} `json:"attributes"`
		Tags map[string]string `json:"tags"`
	}
	if json.Unmarshal(body, &in) != nil || len(in.Tags) > 15 {
		return vaultError(400, "BadParameter", "the request body is not valid", "")
	}
	for _, v := range f.secrets[name] {
		if v.id != id {
			continue
		}
		if in.Tags != nil {
			v.tags = in.Tags
		}
		if on := in.Attributes.Enabled; on != nil && *on {
			v.disabled = fake.Revocation{}
		} else if on != nil {
			f.knobs.Revoke(&v.disabled)
		}
		return reply{200, f.bundle(name, v, v.disabled.At.IsZero())}
	}
	return vaultError(404, "SecretNotFound", "no such version", "")
}

// value is the one call that gives a secret away: for the adversary.
func (f *Fake) value(parts []string, all []*version) reply {
	v := all[len(all)-1]
	if len(parts) == 2 {
		for _, known := range all {
			if known.id == parts[1] {
				v = known
			}
		}
	}
	if !f.knobs.Live(&v.disabled) {
		return vaultError(403, "Forbidden", "Operation get is not allowed on a disabled secret.", "SecretDisabled")
	}
	out := f.bundle(parts[0], v, true)
	out["value"] = "simulated"
	return reply{200, out}
}
