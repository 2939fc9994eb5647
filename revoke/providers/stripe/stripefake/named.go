package stripefake

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"clawback/revoke/fake"
)

// ClientID is the platform's in Connect.
const ClientID = "ca_0123456789abcdefABCDEF"

// ephemeral returns the ephemeral key with that value.
func (f *Fake) ephemeral(value string) *named {
	for _, n := range f.named {
		if n.kind == kindEphemeral && n.value == value {
			return n
		}
	}
	return nil
}

// alive returns what has that id and did not end, in the mode of the key.
func (f *Fake) alive(kind, id string, k *key) *named {
	for _, n := range f.named {
		if n.kind == kind && n.id == id && n.live == k.live && f.knobs.Live(&n.ended) {
			return n
		}
	}
	return nil
}

// strange reports whether a request is for an account that is not connected.
// https://docs.stripe.com/connect/authentication
func (f *Fake) strange(r *http.Request) bool {
	id := r.Header.Get("Stripe-Account")
	return id != "" && f.alive(kindConnected, id, &key{live: true}) == nil
}

func missing(what, id string) reply {
	return refuse(http.StatusNotFound, apiError{Code: "resource_missing", Param: "id", Message: fmt.Sprintf("No such %s: '%s'", what, id)})
}

// https://docs.stripe.com/api/ephemeral_keys/delete
func (f *Fake) deleteEphemeral(k *key, id string, _ *http.Request) reply {
	n := f.alive(kindEphemeral, id, k)
	if n == nil {
		return missing("ephemeral key", id)
	}
	f.knobs.Revoke(&n.ended)
	now := f.knobs.Now().Unix()
	return reply{status: http.StatusOK, body: object{"id": n.id, "object": "ephemeral_key", "created": now, "expires": now, "livemode": n.live}}
}

// https://docs.stripe.com/api/secret_management/find_secret
func (f *Fake) findSecret(k *key, _ string, r *http.Request) reply {
	n, no := f.secret(k, r.URL.Query())
	if n == nil {
		return no
	}
	return reply{status: http.StatusOK, body: f.secretObject(n, false)}
}

// https://docs.stripe.com/api/secret_management/delete_secret
func (f *Fake) deleteSecret(k *key, _ string, r *http.Request) reply {
	_ = r.ParseForm() // of nothing
	n, no := f.secret(k, r.PostForm)
	if n == nil {
		return no
	}
	f.knobs.Revoke(&n.ended)
	return reply{status: http.StatusOK, body: f.secretObject(n, true)}
}

func (f *Fake) secret(k *key, asked url.Values) (*named, reply) {
	if scope := asked.Get("scope[type]"); scope != "account" && (scope != "user" || asked.Get("scope[user]") == "") {
		return nil, refuse(http.StatusBadRequest, apiError{Param: "scope", Message: "Invalid scope"})
	}
	name := asked.Get("name")
	if n := f.alive(kindAppSecret, name, k); n != nil && asked.Get("scope[type]") == "account" {
		return n, reply{}
	}
	return nil, missing("secret", name)
}

// secretObject leaves the value out: Stripe shows it to whom expands it.
func (f *Fake) secretObject(n *named, deleted bool) object {
	out := object{
		"id": "appsecret_" + n.id, "object": "apps.secret", "name": n.id, "livemode": n.live,
		"created": f.knobs.Now().Unix(), "expires_at": nil, "scope": object{"type": "account"},
	}
	if deleted {
		out["deleted"] = true
	}
	return out
}

// https://docs.stripe.com/connect/oauth-reference#post-deauthorize
func (f *Fake) deauthorize(k *key, _ string, r *http.Request) reply {
	_ = r.ParseForm() // of nothing
	id := r.PostForm.Get("stripe_user_id")
	n := f.alive(kindConnected, id, k)
	if n == nil || r.PostForm.Get("client_id") != ClientID {
		return reply{status: http.StatusUnauthorized, body: object{
			"error": "invalid_client", "error_description": "This application is not connected to stripe account " + id + ", or that account does not exist.",
		}}
	}
	f.knobs.Revoke(&n.ended)
	return reply{status: http.StatusOK, body: object{"stripe_user_id": id}}
}

// https://docs.stripe.com/api/accounts/retrieve
func (f *Fake) getAccount(k *key, id string, _ *http.Request) reply {
	n := f.payouts(k, id)
	if n == nil {
		return missing("account", id)
	}
	interval := "manual"
	if f.knobs.Live(&n.ended) {
		interval = n.was
	}
	return reply{status: http.StatusOK, body: accountObject(id, interval, n.note)}
}

// https://docs.stripe.com/api/accounts/update
func (f *Fake) updateAccount(k *key, id string, r *http.Request) reply {
	n := f.payouts(k, id)
	if n == nil {
		return missing("account", id)
	}
	_ = r.ParseForm() // of nothing
	asked := func(name string) string { return r.PostForm.Get("settings[payouts][schedule][" + name + "]") }
	n.note = r.PostForm.Get("metadata[clawback_payouts_were]")
	interval := asked("interval")
	if interval == "manual" {
		f.knobs.Revoke(&n.ended)
		return reply{status: http.StatusOK, body: accountObject(id, interval, n.note)}
	}
	if interval += ":" + asked(interval+"_anchor"); !strings.HasPrefix(interval, "weekly:") {
		interval = strings.TrimSuffix(interval, ":")
	}
	n.was, n.ended = interval, fake.Revocation{}
	return reply{status: http.StatusOK, body: accountObject(id, interval, n.note)}
}

func (f *Fake) payouts(k *key, id string) *named {
	for _, n := range f.named {
		if n.kind == kindPayouts && n.id == id+"/payouts" && n.live == k.live {
			return n
		}
	}
	return nil
}

func accountObject(id, interval, note string) object {
	interval, anchor, _ := strings.Cut(interval, ":")
	schedule, metadata := object{"interval": interval, "delay_days": 2}, object{}
	if anchor != "" {
		schedule["weekly_anchor"] = anchor
	}
	if note != "" {
		metadata["clawback_payouts_were"] = note
	}
	return object{
		"id": id, "object": "account", "type": "express", "metadata": metadata,
		"settings": object{
			"branding": object{}, "card_payments": object{}, "dashboard": object{"display_name": "Shop"}, "payments": object{},
			"payouts": object{"debit_negative_balances": true, "schedule": schedule, "statement_descriptor": nil},
		},
	}
}

// expireKey is of a private preview: to who has no part in it there is no such address.
// https://stripe.dev/stripe-java/com/stripe/service/v2/iam/ApiKeyService.html
func (f *Fake) expireKey(_ *key, id string, r *http.Request) reply {
	if !f.Preview || !strings.HasSuffix(r.Header.Get("Stripe-Version"), ".preview") {
		return refuse(http.StatusNotFound, apiError{Message: fmt.Sprintf("Unrecognized request URL (%s: %s).", r.Method, r.URL.Path)})
	}
	for value, k := range f.keys {
		if k.id == id {
			f.knobs.Revoke(&k.expired)
			return reply{status: http.StatusOK, body: object{
				"id": id, "object": "v2.iam.api_key", "status": "expired", "livemode": k.live, "secret_key": object{"token": value},
			}}
		}
	}
	return missing("API key", id)
}
