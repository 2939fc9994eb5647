package stripefake

import (
	"fmt"
	"net/http"
	"slices"
)

// listEndpoints answers the newest first, those of the key's mode only.
// https://docs.stripe.com/api/webhook_endpoints/list
func (f *Fake) listEndpoints(k *key, _ string, r *http.Request) reply {
	limit, no := limitOf(r)
	if no != nil {
		return *no
	}
	after := r.URL.Query().Get("starting_after")
	var data []object
	for _, e := range slices.Backward(f.endpoints) {
		switch {
		case after != "":
			if e.id == after {
				after = ""
			}
		case e.live == k.live && f.knobs.Live(&e.deleted):
			data = append(data, e.object())
		}
	}
	return list("/v1/webhook_endpoints", data[:min(limit, len(data))], len(data) > limit)
}

// https://docs.stripe.com/api/webhook_endpoints/retrieve
func (f *Fake) getEndpoint(k *key, id string, _ *http.Request) reply {
	e, no := f.endpoint(k, id)
	if e == nil {
		return no
	}
	return reply{status: http.StatusOK, body: e.object()}
}

// https://docs.stripe.com/api/webhook_endpoints/delete
func (f *Fake) deleteEndpoint(k *key, id string, _ *http.Request) reply {
	e, no := f.endpoint(k, id)
	if e == nil {
		return no
	}
	f.knobs.Revoke(&e.deleted)
	return reply{status: http.StatusOK, body: object{"id": id, "object": "webhook_endpoint", "deleted": true}}
}

// endpoint returns the endpoint that the key sees under that id, or what Stripe says instead.
func (f *Fake) endpoint(k *key, id string) (*endpoint, reply) {
	missing := apiError{
		Code: "resource_missing", Param: "webhook_endpoint",
		Message: fmt.Sprintf("No such webhook endpoint: '%s'", id),
	}
	for _, e := range f.endpoints {
		switch {
		case e.id != id || !f.knobs.Live(&e.deleted):
		case e.live != k.live:
			missing.Message += fmt.Sprintf("; a similar object exists in %s mode, but a %s mode key was used to make this request.",
				mode(e.live), mode(k.live))
		default:
			return e, reply{}
		}
	}
	return nil, refuse(http.StatusNotFound, missing)
}

// object leaves the signing secret out: Stripe shows it at creation only.
func (e *endpoint) object() object {
	return object{
		"id": e.id, "object": "webhook_endpoint", "api_version": nil, "application": nil,
		"created": e.created.Unix(), "description": nil, "enabled_events": []string{"charge.succeeded", "payout.paid"},
		"livemode": e.live, "metadata": object{}, "status": "enabled", "url": "https://agent.example.com/hooks/stripe",
	}
}
