package googlefake

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"time"

	"clawback/revoke/fake"
)

// serviceAccount answers for an account and its keys: rest is what follows the account.
func (f *Fake) serviceAccount(q request, project, email string, rest []string, verb string) answer {
	a := f.accounts[email]
	switch {
	case a == nil && project == "-": // misleading, as the documentation warns
		return failed(http.StatusForbidden, "PERMISSION_DENIED", "Permission denied on resource (or it may not exist).", "")
	case project != "-" && !f.inProject(project):
		return failed(http.StatusForbidden, "PERMISSION_DENIED", "Permission denied on resource project "+project+".", "")
	case a == nil:
		return notFound("Service account projects/" + project + "/serviceAccounts/" + email)
	case len(rest) == 0:
		return f.oneAccount(q, a, verb)
	case len(rest) == 1 && rest[0] == "keys" && verb == "" && q.Method == http.MethodGet:
		list := []object{}
		for _, k := range a.keys {
			if !k.deleted {
				list = append(list, f.describe(a, k, ""))
			}
		}
		if len(list) == 0 {
			return ok(object{})
		}
		return ok(object{"keys": list})
	case len(rest) == 2 && rest[0] == "keys":
		return f.accountKey(q, a, rest[1], verb)
	}
	return unserved
}

func (f *Fake) oneAccount(q request, a *account, verb string) answer {
	switch {
	case verb == "" && q.Method == http.MethodGet:
		out := object{"name": "projects/" + f.project + "/serviceAccounts/" + a.email, "projectId": f.project, "uniqueId": a.id, "email": a.email, "oauth2ClientId": a.id}
		if !a.life.At.IsZero() {
			out["disabled"] = true
		}
		return ok(out)
	case verb == "disable" && q.Method == http.MethodPost:
		f.knobs.Revoke(&a.life)
		return ok(object{})
	case verb == "enable" && q.Method == http.MethodPost:
		a.life = fake.Revocation{}
		return ok(object{})
	}
	return unserved
}

func (f *Fake) accountKey(q request, a *account, id, verb string) answer {
	var k *accountKey
	for _, other := range a.keys {
		if other.id == id && !other.deleted {
			k = other
		}
	}
	q.call.Credential = id
	switch {
	case k == nil:
		return notFound("Service account key")
	case verb == "" && q.Method == http.MethodGet:
		return ok(f.describe(a, k, q.URL.Query().Get("publicKeyType")))
	case verb == "disable" && q.Method == http.MethodPost:
		f.knobs.Revoke(&k.life)
		k.reason = "SERVICE_ACCOUNT_KEY_DISABLE_REASON_USER_INITIATED"
		return ok(object{})
	case verb == "enable" && q.Method == http.MethodPost:
		k.life, k.reason = fake.Revocation{}, ""
		return ok(object{})
	case verb == "" && q.Method == http.MethodDelete:
		f.knobs.Revoke(&k.life)
		k.deleted = true
		return ok(object{})
	}
	return unserved
}

// describe shows a key as IAM has it, which is at once, whatever still accepts the key.
func (f *Fake) describe(a *account, k *accountKey, public string) object {
	out := object{
		"name":           "projects/" + f.project + "/serviceAccounts/" + a.email + "/keys/" + k.id,
		"validAfterTime": stamp(k.made), "validBeforeTime": "9999-12-31T23:59:59Z",
		"keyAlgorithm": "KEY_ALG_RSA_1024", "keyOrigin": "GOOGLE_PROVIDED", "keyType": "USER_MANAGED",
	}
	if !k.life.At.IsZero() {
		out["disabled"], out["disableReason"] = true, k.reason
	}
	if public == "TYPE_RAW_PUBLIC_KEY" {
		der, err := x509.MarshalPKIXPublicKey(k.public)
		if err != nil {
			panic("googlefake: " + err.Error())
		}
		out["publicKeyData"] = base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	}
	return out
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// byKey answers what an API serves to an API key: the Gemini API to those that are bound to a service
// account, the Translation API to the others.
func (f *Fake) byKey(q request, bound bool, body object) answer {
	value := q.Header.Get("X-Goog-Api-Key")
	if value == "" {
		value = q.URL.Query().Get("key")
	}
	k := f.keys[value]
	switch {
	case value == "":
		return failed(http.StatusForbidden, "PERMISSION_DENIED", "Method doesn't allow unregistered callers (callers without established identity).", "")
	case k == nil || !f.knobs.Live(&k.life):
		return failed(http.StatusBadRequest, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", "API_KEY_INVALID")
	}
	q.call.Credential = mask(apiKey, value)
	if k.restricted || bound != (k.account != "") {
		return failed(http.StatusForbidden, "PERMISSION_DENIED", "Requests to this API method are blocked.", "API_KEY_SERVICE_BLOCKED")
	}
	return ok(body)
}

func (f *Fake) lookUp(q request) answer {
	value := q.URL.Query().Get("keyString")
	q.call.Credential = mask(apiKey, value)
	k := f.keys[value]
	if k == nil {
		return failed(http.StatusForbidden, "PERMISSION_DENIED", "Permission denied to lookup key.", "")
	}
	parent := "projects/" + f.number + "/locations/global"
	return ok(object{"parent": parent, "name": parent + "/keys/" + k.uid})
}

func (f *Fake) apiKey(q request, project, uid, verb string) answer {
	var k *key
	for _, other := range f.keys {
		if other.uid == uid && f.inProject(project) {
			k = other
		}
	}
	if k == nil {
		return failed(http.StatusForbidden, "PERMISSION_DENIED", "Permission denied to get key (or it may not exist).", "")
	}
	q.call.Credential = mask(apiKey, k.value)
	switch {
	case verb == "" && q.Method == http.MethodGet:
		return ok(f.describeAPIKey(k))
	case verb == "" && q.Method == http.MethodDelete:
		f.knobs.Revoke(&k.life)
	case verb == "undelete" && q.Method == http.MethodPost:
		k.life = fake.Revocation{}
	default:
		return unserved
	}
	response := f.describeAPIKey(k)
	response["@type"] = "type.googleapis.com/google.api.apikeys.v2.Key"
	return ok(object{"name": "operations/akmf.p7-" + f.number + "-" + fake.GUID(), "done": true, "response": response})
}

func (f *Fake) describeAPIKey(k *key) object {
	out := object{"name": "projects/" + f.number + "/locations/global/keys/" + k.uid, "uid": k.uid, "displayName": "agent", "etag": `W/"x"`}
	if !k.life.At.IsZero() {
		out["deleteTime"] = stamp(k.life.At)
	}
	if k.account != "" {
		out["serviceAccountEmail"] = k.account
	}
	if k.restricted {
		out["restrictions"] = object{"apiTargets": []object{{"service": "maps-backend.googleapis.com"}}}
	}
	return out
}

// version answers for a secret version. What reads it sees its change late, as what uses it does.
func (f *Fake) version(q request, path, verb string) answer {
	v := f.versions[path[len("v1/"):]]
	if v == nil {
		return notFound("Secret Version [" + path + "]")
	}
	q.call.Credential = v.name
	state := func(s string) answer {
		out := object{"name": v.name, "createTime": stamp(v.made), "state": s, "etag": `"1"`, "replicationStatus": object{"automatic": object{}}}
		if s == "DESTROYED" {
			out["destroyTime"] = stamp(v.life.At)
		}
		return ok(out)
	}
	switch {
	case verb == "" && q.Method == http.MethodGet:
		switch {
		case f.knobs.Live(&v.life):
			return state("ENABLED")
		case v.destroyed:
			return state("DESTROYED")
		}
		return state("DISABLED")
	case q.Method != http.MethodPost || verb != "disable" && verb != "enable":
		return unserved
	case v.destroyed:
		return failed(http.StatusBadRequest, "FAILED_PRECONDITION", "Secret Version is in DESTROYED state.", "")
	case verb == "enable":
		v.life = fake.Revocation{}
		return state("ENABLED")
	}
	f.knobs.Revoke(&v.life)
	return state("DISABLED")
}
