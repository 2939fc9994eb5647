package braintree

import (
	"context"
	"net/http"
	"net/url"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/wire"
)

// ping is the smallest query that there is.
// https://github.com/braintree/graphql-api/blob/master/schema.graphql, Query.ping
const ping = `{"query":"query { ping }"}`

// version is the schema's: a date that is named with each request.
// https://developer.paypal.com/braintree/graphql/guides/making_api_calls
const version = "2019-01-01"

// request is a ping with the credential.
// https://developer.paypal.com/braintree/in-person/guides/api-authentication/
func request(c credential.Credential) (wire.Request, error) {
	q := wire.Request{
		Method: http.MethodPost, Path: "/graphql", Body: ping, Hide: c.Secret,
		Header: http.Header{"Content-Type": {"application/json"}, "Braintree-Version": {version}},
	}
	switch c.Kind {
	case kindKey:
		public, private := c.Secret.Reveal("public_key"), c.Secret.Reveal("private_key")
		if public == "" {
			public = c.Ref["public_key"]
		}
		if !keyPart.MatchString(public) || !keyPart.MatchString(private) {
			return q, errNotKey
		}
		q.User = url.UserPassword(public, private)
	case kindToken:
		if q.Bearer = c.Secret.Reveal("value"); !accessToken.MatchString(q.Bearer) {
			return q, errNotToken
		}
	default:
		return q, errKind
	}
	return q, nil
}

// look pings every environment that the credential may belong to: it is refused where all refuse it.
func (p *provider) look(ctx context.Context, c credential.Credential) (v revoke.Verdict, where string) {
	q, err := request(c)
	if err != nil {
		return revoke.Verdict{Answer: revoke.Answer(0, err.Error(), c.Secret)}, ""
	}
	for _, e := range p.of(c) {
		v = judge(e.graphql.Do(ctx, q), e.shown)
		if v.Outcome != revoke.Refused {
			return v, e.shown
		}
	}
	return v, ""
}

// answer is what GraphQL says. Errors have a class, and come with a 200.
// https://developer.paypal.com/braintree/graphql/guides/making_api_calls
type answer struct {
	Data *struct {
		Ping string `json:"ping"`
	} `json:"data"`
	Errors []struct {
		Message    string `json:"message"`
		Extensions struct {
			Class string `json:"errorClass"`
		} `json:"extensions"`
	} `json:"errors"`
}

func judge(reply wire.Reply, where string) revoke.Verdict {
	var a answer
	if reply.Status != http.StatusOK || !reply.JSON(&a) {
		return reply.Verdict(revoke.Inconclusive, "")
	}
	in := ""
	if where != "" {
		in = ", " + where
	}
	switch {
	case len(a.Errors) == 0 && a.Data != nil && a.Data.Ping == "pong":
		return reply.Verdict(revoke.Alive, "pong"+in)
	case len(a.Errors) == 0 || a.Data != nil && a.Data.Ping != "":
		return reply.Verdict(revoke.Inconclusive, "no answer to a ping")
	}
	for _, e := range a.Errors {
		if e.Extensions.Class != "AUTHENTICATION" {
			return reply.Verdict(revoke.Inconclusive, e.Extensions.Class+" "+e.Message)
		}
	}
	return reply.Verdict(revoke.Refused, "AUTHENTICATION"+in+": "+a.Errors[0].Message)
}
