package gitlab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/wire"
)

const (
	selfPath   = "/api/v4/personal_access_tokens/self"
	rotatePath = selfPath + "/rotate"
)

// endToken has an access token end itself, which every scope may:
// https://docs.gitlab.com/api/personal_access_tokens/#self-revoke
func (p *provider) endToken(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	value, err := secretOf(c)
	if err != nil {
		return revoke.Receipt{}, err
	}
	r := p.wire.Do(ctx, wire.Request{Method: http.MethodDelete, Path: selfPath, Bearer: value, Hide: c.Secret})
	_, said := refusalOf(r)
	_, knew := p.knew(c)
	switch {
	case r.Status == http.StatusNoContent && r.Err == nil:
		p.remember(c, thing{})
		return revoke.Receipt{Answer: r.Text(""), Did: []string{"revoked the token"}, Left: createdWith}, nil
	case wasRevoked(r) && (knew || p.settings.EndRotated): // since we saw it alive, or whoever did it
		return p.endFamily(ctx, c, value, r.Text(said))
	case ended(r): // one that has expired GitLab would refuse to rotate without any effect
		return revoke.Receipt{Already: true, Answer: r.Text(said), Left: append([]string{rotatedBefore}, createdWith...)}, nil
	case unnamed(r) && knew:
		return revoke.Receipt{Already: true, Answer: r.Text(said), Left: createdWith}, nil
	case unnamed(r):
		return revoke.Receipt{}, errors.New(r.Text(said) + ": this instance does not know the token; if it is another instance's, pin that with --endpoint gitlab=URL")
	}
	return revoke.Receipt{}, r.Failure(said)
}

// endFamily asks to rotate a token that was revoked. GitLab refuses, and takes that for the sign of a
// leak: it revokes whatever token the revoked one was rotated into, by whomever:
// https://docs.gitlab.com/api/personal_access_tokens/#automatic-reuse-detection
func (p *provider) endFamily(ctx context.Context, c credential.Credential, value, before string) (revoke.Receipt, error) {
	receipt := revoke.Receipt{Already: true, Answer: before, Left: createdWith}
	r := p.wire.Do(ctx, wire.Request{Method: http.MethodPost, Path: rotatePath, Bearer: value, Hide: c.Secret})
	_, said := refusalOf(r)
	var next struct {
		Token string `json:"token"`
	}
	switch {
	case wasRevoked(r):
		receipt.Did = []string{"asked to rotate the revoked token, so that GitLab revokes what it was rotated into"}
	case r.Status/100 == 2 && r.JSON(&next) && wire.Sendable(next.Token):
		// A node that had not heard of its end rotated it after all: what came of that ends here.
		fresh := credential.Value(next.Token)
		last := p.wire.Do(ctx, wire.Request{Method: http.MethodDelete, Path: selfPath, Bearer: next.Token, Hide: fresh})
		if last.Status != http.StatusNoContent || last.Err != nil {
			return receipt, fmt.Errorf("%w: the token was rotated instead, and its successor answered: %s", revoke.ErrUncertain, last.Text(""))
		}
		receipt.Already, receipt.Did = false, []string{"rotated the token", "revoked what it was rotated into"}
	case denied(r), r.Status == http.StatusNotFound, r.Status == http.StatusMethodNotAllowed: // an instance before 16.10
		receipt.Left = append(receipt.Left, "what the token may have been rotated into: "+r.Text(said))
	default:
		return revoke.Receipt{}, r.Failure(said)
	}
	return receipt, nil
}

// rotatedBefore is of a token that had ended when it was first seen. Somebody may have rotated it: a
// thief, or its owner, whose next token is nobody's to end unasked.
const rotatedBefore = "what the token may have been rotated into before: if that was not you, look for it among its user's tokens, or set end_rotated for gitlab at the desk and run this again"

// createdWith is what nobody can tell from what others created.
var createdWith = []string{"what it may have created, such as access tokens of projects and groups, deploy tokens and keys, triggers, webhooks and runners: the audit events of its user and groups tell"}

// endGrant revokes an OAuth token and, with it, its refresh token: they are one record.
// https://docs.gitlab.com/api/oauth2/#revoke-a-token
func (p *provider) endGrant(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	value, err := secretOf(c)
	if err != nil {
		return revoke.Receipt{}, err
	}
	if !clientID.MatchString(c.Ref["client_id"]) {
		return revoke.Receipt{}, fmt.Errorf("%w: the application that it was given to is not known", revoke.ErrManual)
	}
	// The answer is the same whether there was a token or not.
	l := p.lookAtToken(ctx, c, "/api/v4/user")
	switch l.Outcome {
	case revoke.Refused:
		return revoke.Receipt{Already: true, Answer: l.Answer}, nil
	case revoke.Inconclusive:
		return revoke.Receipt{}, unread(l.reply)
	}
	form := url.Values{"client_id": {c.Ref["client_id"]}, "token": {value}}
	if secret := c.Secret.Reveal("client_secret"); secret != "" {
		form.Set("client_secret", secret)
	}
	r := p.wire.Do(ctx, wire.Request{Method: http.MethodPost, Path: "/oauth/revoke", Form: form, Hide: c.Secret})
	f, said := refusalOf(r)
	switch {
	case r.Status == http.StatusOK && r.Err == nil && bytes.Equal(bytes.TrimSpace(r.Body), []byte("{}")):
		return revoke.Receipt{Answer: r.Text(""), Did: []string{"revoked the token and its refresh token"}}, nil
	case r.Status == http.StatusForbidden && f.Error == "unauthorized_client", r.Status == http.StatusUnauthorized && f.Error == "invalid_client":
		return revoke.Receipt{}, fmt.Errorf("%w: the application's id or secret is not the one that it was given to: %s", revoke.ErrManual, r.Text(said))
	}
	return revoke.Receipt{}, r.Failure(said)
}

// endRunner has a runner delete itself: https://docs.gitlab.com/api/runners/#delete-a-runner-by-authentication-token
func (p *provider) endRunner(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	value, err := secretOf(c)
	if err != nil {
		return revoke.Receipt{}, err
	}
	r := p.wire.Do(ctx, wire.Request{Method: http.MethodDelete, Path: "/api/v4/runners", Form: url.Values{"token": {value}}, Hide: c.Secret})
	_, said := refusalOf(r)
	left := []string{"the tokens of jobs that it is running, until those end"}
	switch {
	case r.Status == http.StatusNoContent && r.Err == nil:
		return revoke.Receipt{Answer: r.Text(""), Did: []string{"deleted the runner"}, Left: left}, nil
	case denied(r):
		return revoke.Receipt{Already: true, Answer: r.Text(said), Left: left}, nil
	}
	return revoke.Receipt{}, r.Failure(said)
}

// cancelJob ends a job, and with it the token: https://docs.gitlab.com/api/jobs/#cancel-a-job. The
// instance tells which job it is, not the host.
func (p *provider) cancelJob(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	a, err := p.authority(ctx, c)
	if err != nil {
		return revoke.Receipt{}, err
	}
	l := p.lookAtJob(ctx, c)
	switch {
	case l.Outcome == revoke.Refused:
		return revoke.Receipt{Already: true, Answer: l.Answer}, nil
	case l.Outcome == revoke.Inconclusive && l.err != nil:
		return revoke.Receipt{}, l.err
	case l.Outcome == revoke.Inconclusive:
		return revoke.Receipt{}, unread(l.reply)
	case l.thing.Pipeline.ProjectID <= 0:
		return revoke.Receipt{}, errors.New("the instance does not say in which project the job runs: cancel it there")
	}
	path := fmt.Sprintf("/api/v4/projects/%d/jobs/%d/cancel", l.thing.Pipeline.ProjectID, l.thing.ID)
	q := wire.Request{Method: http.MethodPost, Path: path, Bearer: a.Secret.Reveal("value"), Hide: c.Secret}
	if l.thing.Status == "canceling" { // cancelled before, and its after_script still runs
		q.JSON = map[string]bool{"force": true}
	}
	r := p.wire.Do(ctx, q)
	_, said := refusalOf(r)
	var job thing
	switch {
	case (r.Status == http.StatusCreated || r.Status == http.StatusOK) && r.JSON(&job) && job.ID == l.thing.ID:
		return revoke.Receipt{Answer: r.Text(r.Show(job.Status)), Did: []string{"cancelled job " + r.Show(l.thing.text())}}, nil
	case denied(r), unnamed(r), ended(r):
		return revoke.Receipt{}, fmt.Errorf("%w: %s", revoke.ErrAuthority, r.Text(said))
	}
	return revoke.Receipt{}, r.Failure(said)
}
