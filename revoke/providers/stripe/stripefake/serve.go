package stripefake

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// reply is an answer before it is written.
type reply struct {
	status int
	header map[string]string
	body   any
}

// apiError is Stripe's error object, of which the test suite of this world needs these fields.
// https://docs.stripe.com/api/errors
type apiError struct {
	Code    string `json:"code,omitempty"`
	DocURL  string `json:"doc_url,omitempty"`
	Message string `json:"message"`
	Param   string `json:"param,omitempty"`
	Type    string `json:"type"`
}

// route is a call that this account answers, and the permission that a restricted key needs.
type route struct {
	method, path string // a path that ends in / takes an id
	action       string
	permission   string
	answer       func(f *Fake, k *key, id string, r *http.Request) reply
}

var routes = []route{
	{"GET", "/v1/balance", "GetBalance", BalanceRead, (*Fake).balance},
	{"GET", "/v1/charges", "GetCharges", ChargeRead, (*Fake).charges},
	{"GET", "/v1/customers", "GetCustomers", CustomerRead, (*Fake).customers},
	{"GET", "/v1/webhook_endpoints", "GetWebhookEndpoints", WebhookRead, (*Fake).listEndpoints},
	{"GET", "/v1/webhook_endpoints/", "GetWebhookEndpointsWebhookEndpoint", WebhookRead, (*Fake).getEndpoint},
	{"DELETE", "/v1/webhook_endpoints/", "DeleteWebhookEndpointsWebhookEndpoint", WebhookWrite, (*Fake).deleteEndpoint},
	{"DELETE", "/v1/ephemeral_keys/", "DeleteEphemeralKeysKey", EphemeralWrite, (*Fake).deleteEphemeral},
	{"GET", "/v1/apps/secrets/find", "GetAppsSecretsFind", SecretWrite, (*Fake).findSecret},
	{"POST", "/v1/apps/secrets/delete", "PostAppsSecretsDelete", SecretWrite, (*Fake).deleteSecret},
	{"GET", "/v1/accounts/", "GetAccountsAccount", AccountWrite, (*Fake).getAccount},
	{"POST", "/v1/accounts/", "PostAccountsAccount", AccountWrite, (*Fake).updateAccount},
	{"POST", "/v2/iam/api_keys/", "PostV2IamApiKeysIdExpire", KeyWrite, (*Fake).expireKey},
	{"POST", "/oauth/deauthorize", "PostOauthDeauthorize", BalanceRead, (*Fake).deauthorize},
}

// find returns the route of a request and the id in its path, or nil.
func find(r *http.Request) (*route, string) {
	for i := range routes {
		to := &routes[i]
		id, hasID := strings.CutPrefix(r.URL.Path, to.path)
		if to.action == "PostV2IamApiKeysIdExpire" {
			id, hasID = strings.CutSuffix(id, "/expire")
		}
		takesID := strings.HasSuffix(to.path, "/")
		if hasID && r.Method == to.method && takesID == (id != "") && !strings.Contains(id, "/") {
			return to, id
		}
	}
	return nil, ""
}

func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	to, id := find(r)
	value := presented(r)
	call := fake.CallOf(r)
	call.Credential = id
	if to != nil {
		call.Action = to.action
	}
	if id == "" && value != "" {
		call.Credential = credential.Mask(kindKey, credential.Value(value), nil)
	}
	f.knobs.Answer(w, r, call, func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		answer := f.answer(to, id, value, r)
		f.mu.Unlock()
		write(w, answer)
	})
}

func write(w http.ResponseWriter, answer reply) {
	body, err := json.MarshalIndent(answer.body, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("stripefake: an answer that is no JSON: %v", err))
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-cache, no-store")
	h.Set("Request-Id", "req_"+random(14))
	h.Set("Stripe-Version", "2023-10-16")
	for name, value := range answer.header {
		h.Set(name, value)
	}
	w.WriteHeader(answer.status)
	_, _ = w.Write(append(body, '\n'))
}

// presented is the key of a request: as a bearer token or as the user name of basic
// authentication. https://docs.stripe.com/api/authentication
func presented(r *http.Request) string {
	if user, _, ok := r.BasicAuth(); ok {
		return user
	}
	value, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return value
}

// answer runs the checks in Stripe's order: address, key, rate, permission.
func (f *Fake) answer(to *route, id, value string, r *http.Request) reply {
	if to == nil {
		return refuse(http.StatusNotFound, apiError{
			Message: fmt.Sprintf("Unrecognized request URL (%s: %s).", r.Method, r.URL.Path),
		})
	}
	k := f.keys[value]
	if n := f.ephemeral(value); n != nil {
		k = &key{live: n.live, restricted: true, expired: fake.Revocation{}}
		if !f.knobs.Live(&n.ended) {
			k = nil
		}
	}
	switch {
	case value == "":
		no := refuse(http.StatusUnauthorized, apiError{Message: "You did not provide an API key."})
		no.header = map[string]string{"WWW-Authenticate": `Basic realm="Stripe"`}
		return no
	case k == nil:
		return refuse(http.StatusUnauthorized, apiError{Message: "Invalid API Key provided: " + starred(value)})
	case !f.knobs.Live(&k.expired):
		return refuse(http.StatusUnauthorized, apiError{
			Code: "api_key_expired", Message: "Expired API Key provided: " + starred(value),
		})
	case f.tooMany(k.live):
		no := refuse(http.StatusTooManyRequests, apiError{Code: "rate_limit", Message: "Request rate limit exceeded."})
		no.header = map[string]string{"Stripe-Rate-Limited-Reason": "global-rate"}
		return no
	case f.strange(r):
		return refuse(http.StatusForbidden, apiError{Code: "account_invalid", Message: fmt.Sprintf(
			"The provided key '%s' does not have access to account '%s' (or that account does not exist). Application access may have been revoked.",
			starred(value), r.Header.Get("Stripe-Account"))})
	case !k.may(to.permission):
		return refuse(http.StatusForbidden, apiError{Message: fmt.Sprintf(
			"The provided key '%s' does not have the required permissions for this endpoint on account '%s'. "+
				"Having the '%s' permission would allow this request to continue.",
			starred(value), f.account, to.permission)})
	}
	return to.answer(f, k, id, r)
}

func refuse(status int, e apiError) reply {
	e.Type = "invalid_request_error"
	if e.Code != "" {
		e.DocURL = "https://stripe.com/docs/error-codes/" + strings.ReplaceAll(e.Code, "_", "-")
	}
	return reply{status: status, body: map[string]apiError{"error": e}}
}

// starred is a key as Stripe shows it in an error.
func starred(value string) string {
	if len(value) < 16 {
		return strings.Repeat("*", len(value))
	}
	return value[:8] + strings.Repeat("*", len(value)-12) + value[len(value)-4:]
}

func (k *key) may(permission string) bool {
	write := strings.TrimSuffix(permission, "_read") + "_write"
	return !k.restricted || slices.Contains(k.permissions, permission) || slices.Contains(k.permissions, write)
}

// tooMany counts the request and reports whether it is over the mode's rate limit.
func (f *Fake) tooMany(live bool) bool {
	w := f.second[live]
	if now := f.knobs.Clock.Now().Unix(); w.second != now {
		w = window{second: now}
	}
	w.count++
	f.second[live] = w
	return f.rate[live] > 0 && w.count > f.rate[live]
}

type object = map[string]any

func (f *Fake) balance(k *key, _ string, _ *http.Request) reply {
	amount := func(n int) []object {
		return []object{{"amount": n, "currency": "usd", "source_types": object{"card": n}}}
	}
	return reply{status: http.StatusOK, body: object{
		"object": "balance", "livemode": k.live, "available": amount(4_217_050), "pending": amount(318_400),
	}}
}

func (f *Fake) charges(k *key, _ string, r *http.Request) reply {
	return some(r, "/v1/charges", func(n int) object {
		return object{
			"id": fmt.Sprintf("ch_%024d", n), "object": "charge", "livemode": k.live, "amount": 1900 * n,
			"currency": "usd", "paid": true, "status": "succeeded", "customer": fmt.Sprintf("cus_%014d", n),
		}
	})
}

func (f *Fake) customers(k *key, _ string, r *http.Request) reply {
	return some(r, "/v1/customers", func(n int) object {
		return object{
			"id": fmt.Sprintf("cus_%014d", n), "object": "customer", "livemode": k.live,
			"email": fmt.Sprintf("customer%d@example.com", n), "name": fmt.Sprintf("Customer %d", n),
		}
	})
}

// some lists three objects, which is all that this account has of a kind.
func some(r *http.Request, url string, one func(n int) object) reply {
	limit, no := limitOf(r)
	if no != nil {
		return *no
	}
	var data []object
	for n := 1; n <= min(limit, 3); n++ {
		data = append(data, one(n))
	}
	return list(url, data, limit < 3)
}

func list(url string, data []object, more bool) reply {
	if data == nil {
		data = []object{}
	}
	return reply{status: http.StatusOK, body: object{"object": "list", "url": url, "has_more": more, "data": data}}
}

// limitOf reads the page size: 10, or 1 to 100. https://docs.stripe.com/api/pagination
func limitOf(r *http.Request) (int, *reply) {
	given := r.URL.Query().Get("limit")
	if given == "" {
		return 10, nil
	}
	n, err := strconv.Atoi(given)
	if err != nil || n < 1 || n > 100 {
		no := refuse(http.StatusBadRequest, apiError{Param: "limit", Message: "Invalid integer: limit"})
		return 0, &no
	}
	return n, nil
}
