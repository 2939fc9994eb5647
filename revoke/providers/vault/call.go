package vault

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/wire"
)

// answer is what came of one request. Vault's refusals are {"errors": […]}, all else has other
// fields: what is neither was not said by a Vault.
// https://developer.hashicorp.com/vault/api-docs#http-status-codes
type answer struct {
	wire.Reply
	body
	parsed bool // the body is one JSON object
}

type body struct {
	Errors []string        `json:"errors"`
	Data   json.RawMessage `json:"data"`
}

// ask sends one request with a token, or with none where it is empty.
func (p *provider) ask(ctx context.Context, token string, hide credential.Secret, q wire.Request) answer {
	if p.nowhere {
		return answer{Reply: wire.Reply{Err: errNoEndpoint, Unsent: true}}
	}
	q.Path, q.Hide = "/v1/"+q.Path, with(hide, token)
	// As Vault's own client does, whose second header is against requests that others forge:
	// https://developer.hashicorp.com/vault/api-docs#the-x-vault-request-header
	q.Header = http.Header{"X-Vault-Request": {"true"}}
	if token != "" {
		q.Header.Set("X-Vault-Token", token)
	}
	if p.settings.Namespace != "" {
		q.Header.Set("X-Vault-Namespace", p.settings.Namespace)
	}
	a := answer{Reply: p.wire.Do(ctx, q)}
	var b body
	if a.JSON(&b) {
		a.body, a.parsed = b, true
	}
	return a
}

// with is what a request hides, and the token that it is sent with.
func with(hide credential.Secret, token string) credential.Secret {
	parts := map[string]string{"sent": token}
	for _, name := range hide.Parts() {
		parts["hide."+name] = hide.Reveal(name)
	}
	return credential.NewSecret(parts)
}

// said is what Vault itself said. It writes several errors as a list, a line each.
func (a answer) said() string {
	var all []string
	for _, e := range a.Errors {
		found := false
		for line := range strings.Lines(e) {
			if item, ok := strings.CutPrefix(strings.TrimSpace(line), "* "); ok {
				all, found = append(all, item), true
			}
		}
		if !found {
			all = append(all, e)
		}
	}
	return strings.Join(all, ", ")
}

// says reports whether Vault refused with that status and these words.
func (a answer) says(status int, words string) bool {
	return a.Err == nil && a.parsed && a.Status == status && strings.Contains(a.said(), words)
}

// nothing reports whether Vault says that there is nothing at a path: 404 with an empty list of
// errors. A mount that does not exist is a 404 with words.
func (a answer) nothing() bool {
	return a.Err == nil && a.parsed && a.Status == http.StatusNotFound && a.Errors != nil && len(a.Errors) == 0
}

// into reads the data of a success.
func (a answer) into(data any) bool {
	return a.Err == nil && a.parsed && a.Status == http.StatusOK && len(a.Data) > 0 && json.Unmarshal(a.Data, data) == nil
}

// done reports whether Vault carried out a change and had nothing to say.
func (a answer) done() bool { return a.Err == nil && a.Status == http.StatusNoContent }

func (a answer) verdict(o revoke.Outcome) revoke.Verdict { return a.Verdict(o, a.said()) }

func (a answer) text() string { return a.Text(a.said()) }

// failure is the error for a request that was not carried out.
func (a answer) failure() error { return a.Failure(a.said()) }

// ofAuthority is failure where the authority asked, and may have been refused.
func (a answer) ofAuthority() error {
	if a.says(http.StatusForbidden, "permission denied") {
		return fmt.Errorf("%w: %w", revoke.ErrAuthority, a.failure())
	}
	return a.failure()
}

func get(path string) wire.Request { return wire.Request{Method: http.MethodGet, Path: path} }

func list(path string) wire.Request {
	return wire.Request{Method: http.MethodGet, Path: path, Query: map[string][]string{"list": {"true"}}}
}

func post(path string, body any) wire.Request {
	return wire.Request{Method: http.MethodPost, Path: path, JSON: body}
}
