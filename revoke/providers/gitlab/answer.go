package gitlab

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"clawback/revoke"
	"clawback/revoke/wire"
)

// maxShown bounds what is shown of a list.
const maxShown = 50

// thing is what an instance says of a token, a key or a job. Each of them has some of these fields.
type thing struct {
	ID        int64     `json:"id"`
	Name      string    `json:"name"`
	Username  string    `json:"username"`
	Title     string    `json:"title"`
	UserID    int64     `json:"user_id"`
	Scopes    []string  `json:"scopes"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt string    `json:"expires_at"` // a date, or a time
	Revoked   bool      `json:"revoked"`
	Expired   bool      `json:"expired"`
	Active    *bool     `json:"active"`
	Status    string    `json:"status"` // of an agent's token, or of a job
	Pipeline  struct {
		ProjectID int64 `json:"project_id"`
	} `json:"pipeline"`
}

// over reports whether the instance itself says that the thing no longer works. A trigger that was
// revoked by its value is told by its time alone.
func (t thing) over(now time.Time) bool {
	at, err := time.Parse(time.RFC3339, t.ExpiresAt)
	return t.Revoked || t.Expired || t.Status == "revoked" || t.Active != nil && !*t.Active || err == nil && !at.After(now)
}

// clock is the instance's own, and ours where it does not say.
func (p *provider) clock(r wire.Reply) time.Time {
	if at, err := http.ParseTime(r.Header.Get("Date")); err == nil {
		return at
	}
	if p.env.Now != nil {
		return p.env.Now()
	}
	return time.Now()
}

func (t thing) text() string {
	for _, name := range []string{t.Name, t.Username, t.Title} {
		if name != "" {
			return fmt.Sprintf("%d %s", t.ID, name)
		}
	}
	return strconv.FormatInt(t.ID, 10)
}

// exposure leaves Owner empty: at GitLab tokens of one user die one by one.
func (t thing) exposure(show func(string) string) revoke.Exposure {
	e := revoke.Exposure{Account: show(t.text())}
	switch {
	case t.UserID != 0:
		e.Account = fmt.Sprintf("user %d", t.UserID)
	case t.Pipeline.ProjectID != 0:
		e.Account = fmt.Sprintf("project %d", t.Pipeline.ProjectID)
	}
	for _, scope := range t.Scopes[:min(len(t.Scopes), maxShown)] {
		e.Reach = append(e.Reach, show(scope))
	}
	return e
}

// refusal is a failure as GitLab words it: "message" is a text or an object, OAuth's are "error"
// and "error_description".
type refusal struct {
	Message     any    `json:"message"`
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

func refusalOf(r wire.Reply) (f refusal, said string) {
	if !r.JSON(&f) {
		return refusal{}, ""
	}
	switch m := f.Message.(type) {
	case string:
		said = m
	case map[string]any:
		said, _ = m["error"].(string)
	}
	if said == "" {
		said = f.Error
	}
	if f.Description != "" {
		said = strings.TrimSpace(f.Error + ": " + f.Description)
	}
	return f, strings.TrimSpace(strings.TrimPrefix(said, strconv.Itoa(r.Status)))
}

// denied reports whether GitLab, and nobody in between, answered 403: it knows who asked.
func denied(r wire.Reply) bool {
	f, _ := refusalOf(r)
	m, _ := f.Message.(string)
	return r.Status == http.StatusForbidden && (f.Error == "insufficient_scope" || strings.HasPrefix(m, "403 Forbidden"))
}

// unnamed reports whether GitLab refused who asked without saying why. It says so of a token that it
// never had as well as of one that was deleted.
func unnamed(r wire.Reply) bool {
	f, _ := refusalOf(r)
	m, _ := f.Message.(string)
	return r.Status == http.StatusUnauthorized && m == "401 Unauthorized"
}

// ended reports whether GitLab said of the token itself that it was revoked or has expired:
// https://gitlab.com/gitlab-org/gitlab/-/blob/master/lib/api/api_guard.rb. The other words behind
// invalid_token, and dpop_error, are of tokens that may still live.
func ended(r wire.Reply) bool { return wasRevoked(r) || invalid(r, "Token is expired") }

func wasRevoked(r wire.Reply) bool { return invalid(r, "Token was revoked") }

func invalid(r wire.Reply, why string) bool {
	f, _ := refusalOf(r)
	return r.Status == http.StatusUnauthorized && f.Error == "invalid_token" && strings.HasPrefix(f.Description, why)
}

// gone reports whether GitLab says that it does not have what was asked for. A project or group that
// is not found says nothing of what is in it, nor does a path that an old version does not serve.
func gone(r wire.Reply) bool {
	f, _ := refusalOf(r)
	if r.Status != http.StatusNotFound {
		return false
	}
	switch m := f.Message.(type) {
	case string:
		return m == "404 Not found" || m == "404 Deploy Key Not Found" || m == "404 Key Not Found" || m == "404 Trigger Not Found"
	case map[string]any: // of the token information API
		return m["error"] == "Not found"
	}
	return false
}

// unread is the error of a read on which a revocation depends. Nothing was changed.
func unread(r wire.Reply) error {
	_, said := refusalOf(r)
	text := r.Text(said)
	switch {
	case r.Unsent:
		return r.Failure(said)
	case r.Status == 0, r.Err != nil, r.Status < 400, r.Status == http.StatusTooManyRequests, r.Status >= 500:
		return &revoke.RetryError{After: r.RetryAfter, Answer: text}
	}
	return fmt.Errorf("%s", text)
}
