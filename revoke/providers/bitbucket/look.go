package bitbucket

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/wire"
)

// failure is how Bitbucket and Atlassian word one.
type failure struct {
	Type  string `json:"type"`
	Error struct {
		Message string `json:"message"`
	} `json:"error"`
	Code    any    `json:"code"` // Atlassian: a number or a word
	Message string `json:"message"`
	Key     string `json:"key"`
	Detail  string `json:"detail"`
}

func said(r wire.Reply) string {
	var f struct {
		Error any `json:"error"` // Atlassian's is a text
	}
	var b failure
	if r.JSON(&b) && b.Error.Message != "" {
		return b.Error.Message
	}
	for _, text := range []string{b.Message, b.Detail, b.Key} {
		if text != "" {
			return text
		}
	}
	if r.JSON(&f) {
		if text, ok := f.Error.(string); ok {
			return text
		}
	}
	return ""
}

// bitbuckets reports whether Bitbucket worded the failure, and nobody in between.
func bitbuckets(r wire.Reply) bool {
	var f failure
	return r.JSON(&f) && f.Type == "error" && f.Error.Message != ""
}

// refused reports whether Bitbucket refused the credential. To Basic authentication it may answer
// without a body, by its own realm:
// https://support.atlassian.com/bitbucket-cloud/kb/getting-401-http-error-while-authenticating-to-bitbucket-cloud-rest-apis
func refused(r wire.Reply) bool {
	realm := strings.Contains(r.Header.Get("WWW-Authenticate"), "Bitbucket.org HTTP")
	return r.Status == http.StatusUnauthorized && r.Err == nil && (bitbuckets(r) || realm)
}

// whoami asks Bitbucket whose the credential is. Without the scope to be told it answers 403.
// https://developer.atlassian.com/cloud/bitbucket/rest/api-group-users/#api-user-get
func (p *provider) whoami(ctx context.Context, c credential.Credential) (revoke.Exposure, revoke.Verdict) {
	q, err := asItself(c)
	if err != nil {
		return revoke.Exposure{}, revoke.Verdict{Answer: err.Error()}
	}
	r := p.api.Do(ctx, q)
	var user struct {
		UUID      string `json:"uuid"`
		AccountID string `json:"account_id"`
		Username  string `json:"username"`
		Name      string `json:"display_name"`
	}
	switch {
	case r.Status == http.StatusOK && r.JSON(&user) && user.UUID != "":
		name := user.Username
		if name == "" {
			name = user.Name
		}
		return revoke.Exposure{Account: r.Show(strings.TrimSpace(name + " " + user.AccountID))}, r.Verdict(revoke.Alive, "user "+name)
	case r.Status == http.StatusForbidden && bitbuckets(r):
		return revoke.Exposure{Reach: []string{"what its scopes allow, not its own account"}}, r.Verdict(revoke.Alive, said(r))
	case refused(r) && c.Kind == apiToken && q.User == nil:
		return revoke.Exposure{}, r.Verdict(revoke.Inconclusive, said(r)+": says Bitbucket to a live API token, too, without its account's address (email)")
	case refused(r):
		return revoke.Exposure{}, r.Verdict(revoke.Refused, said(r))
	}
	return revoke.Exposure{}, r.Verdict(revoke.Inconclusive, said(r))
}

// asItself is the question with the credential. An app password goes with a username, an API token
// with the account's address (https://support.atlassian.com/bitbucket-cloud/docs/using-api-tokens/).
// It may go alone as well, and a refusal of that proves nothing.
func asItself(c credential.Credential) (wire.Request, error) {
	q := wire.Request{Method: http.MethodGet, Path: "/2.0/user", Hide: c.Secret}
	value := c.Secret.Reveal("value")
	switch {
	case value == "":
		return q, errors.New("not asked: the value is not known")
	case !wire.Sendable(value) || !forms()[c.Kind].MatchString(value):
		return q, errors.New("not asked: the value has not the form of this kind")
	}
	name := c.Ref["username"]
	if c.Kind == apiToken {
		name = c.Ref["email"]
	}
	switch {
	case (c.Kind == appPassword || c.Kind == apiToken) && login.MatchString(name):
		q.User = url.UserPassword(name, value)
	case c.Kind == appPassword:
		return q, errors.New("not asked: whose app password it is is not known")
	default:
		q.Bearer = value
	}
	return q, nil
}

// listed is what an account's list of tokens showed.
type listed struct {
	has     bool
	label   string
	expires time.Time
	Answer  string
	key     string // the authority's
	err     error
	reply   wire.Reply
}

// list asks the administrator's side whether the account has the token.
func (p *provider) list(ctx context.Context, c credential.Credential) (l listed) {
	path, _, err := tokenPath(c)
	if err != nil {
		return listed{err: err}
	}
	a, err := wire.Authority(ctx, p.env, c)
	if l.key = a.Secret.Reveal("value"); err == nil && !wire.Sendable(l.key) {
		err = fmt.Errorf("%w: it has no value that can be sent", revoke.ErrAuthority)
	}
	if err != nil {
		return listed{err: err}
	}
	r := p.admin.Do(ctx, wire.Request{Method: http.MethodGet, Path: path, Bearer: l.key, Hide: c.Secret})
	var tokens []struct {
		ID     string    `json:"id"`
		Label  string    `json:"label"`
		Expiry time.Time `json:"expiry"`
	}
	l.reply, l.Answer = r, r.Text(said(r))
	switch {
	case r.Status == http.StatusOK && r.JSON(&tokens) && tokens != nil:
		for _, t := range tokens {
			if t.ID == "" { // not the list that we asked for
				l.err = &revoke.RetryError{Answer: r.Text("a list without ids")}
				return l
			}
			if t.ID == c.Ref["id"] {
				l.has, l.label, l.expires = true, r.Show(t.Label), t.Expiry
			}
		}
		l.Answer = r.Text(fmt.Sprintf("the administrator's list of %d API tokens: not among them", len(tokens)))
		if l.has {
			l.Answer = r.Text("the administrator's list has it: " + l.label)
		}
	case refusedAuthority(r):
		l.err = fmt.Errorf("%w: %s", revoke.ErrAuthority, l.Answer)
	case r.Unsent:
		l.err = r.Failure("")
	case r.Err != nil, r.Status < 400, r.Status == http.StatusTooManyRequests, r.Status >= 500:
		l.err = &revoke.RetryError{After: r.RetryAfter, Answer: l.Answer}
	default:
		l.err = errors.New(l.Answer)
	}
	return l
}

// refusedAuthority reports whether Atlassian refused the administrator's key, in words of its own.
func refusedAuthority(r wire.Reply) bool {
	return (r.Status == http.StatusUnauthorized || r.Status == http.StatusForbidden) && said(r) != ""
}

// find is the proof from the administrator's side, of a token that is known by its id alone.
func (p *provider) find(ctx context.Context, c credential.Credential) (revoke.Exposure, revoke.Verdict) {
	l := p.list(ctx, c)
	switch {
	case l.err != nil && l.reply.Status == 0 && l.reply.Err == nil:
		return revoke.Exposure{}, revoke.Verdict{Answer: "not asked: " + l.err.Error()}
	case l.err != nil:
		return revoke.Exposure{}, revoke.Verdict{Answer: l.Answer, RetryAfter: l.reply.RetryAfter}
	case l.has && !l.expires.IsZero() && p.now().After(l.expires):
		return revoke.Exposure{}, revoke.Verdict{Outcome: revoke.Refused, Answer: l.Answer + ", expired " + l.expires.UTC().Format(time.DateOnly)}
	case l.has:
		return revoke.Exposure{Account: c.Ref["account_id"], Reach: []string{"what its scopes allow, in Bitbucket, Jira and Confluence"}},
			revoke.Verdict{Outcome: revoke.Alive, Answer: l.Answer}
	}
	return revoke.Exposure{}, revoke.Verdict{Outcome: revoke.Refused, Answer: l.Answer}
}

func (p *provider) now() time.Time {
	if p.env.Now != nil {
		return p.env.Now()
	}
	return time.Now()
}
