package oauth2

import (
	"net/http"
	"slices"
	"time"

	"clawback/revoke"
)

const (
	kindAccess  = "oauth2.access_token"
	kindRefresh = "oauth2.refresh_token"
)

// margin is ours. The RFC calls an end immediate and knows of servers that hear of it later, without
// a number: https://www.rfc-editor.org/rfc/rfc7009#section-2
const margin = 2 * time.Minute

// steps are for a server that does not end this kind of token, or is not known.
var steps = []string{
	"Done by hand where the authorization server cannot revoke this kind of token, or none is configured for it.",
	"At the service that issued it, sign out the session or withdraw the grant of the application that the token belongs to; where neither exists, disable the user or the client, or rotate the key that signs its tokens.",
	"Access tokens that servers check by their signature alone work until they expire: rotate the signing key, or wait for that.",
}

// Info describes what the desk's issuers can do. Without any, it says what one would.
func (p *provider) Info() revoke.Info {
	lag, public := margin, len(p.issuers) > 0
	reads := []revoke.Read{{Method: http.MethodPost, Path: exampleIntrospection}}
	if len(p.issuers) > 0 {
		reads = nil
	}
	for _, i := range p.issuers {
		lag, public = max(lag, i.lag), public && i.secretPart == ""
		reads = append(reads, revoke.Read{Method: http.MethodPost, Path: i.lookup.path})
		if i.probe.given() {
			reads = append(reads, revoke.Read{Method: http.MethodGet, Path: i.probe.path})
		}
	}
	kind := revoke.KindInfo{
		NeedsAlive: true, Steps: steps, SelfRevoking: public,
		Propagation: revoke.Propagation{
			Budget: lag, Every: 5 * time.Second,
			Source: "clawback's own margin, or the desk's: https://www.rfc-editor.org/rfc/rfc7009#section-2 names no time",
		},
		Source: "https://www.rfc-editor.org/rfc/rfc7009",
	}
	if !public {
		kind.Authority = "id and secret of the client that the token was issued to (parts client_id, client_secret), allowed to introspect its tokens"
	}
	access, refresh := kind, kind
	access.Kind, access.Effect = kindAccess, "a server may end the whole grant with it, the refresh token included"
	refresh.Kind, refresh.Effect, refresh.Mints = kindRefresh, "a server should end the access tokens of its grant with it", []string{kindAccess}
	return revoke.Info{
		Name: "oauth2", Title: "OAuth 2.0 (any issuer)", SelfHosted: true,
		Kinds: []revoke.KindInfo{refresh, access}, Reads: slices.Clip(reads),
	}
}
