package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"clawback/revoke"
	"clawback/revoke/credential"
)

const (
	perPage  = 100 // the most that GitHub gives: https://docs.github.com/rest/using-the-rest-api/using-pagination-in-the-rest-api
	maxPages = 20

	// Headers of every answer of the API, and of no captive portal:
	// https://docs.github.com/rest/using-the-rest-api/getting-started-with-the-rest-api#media-types and
	// https://docs.github.com/rest/using-the-rest-api/troubleshooting-the-rest-api
	mediaType = "X-GitHub-Media-Type"
	requestID = "X-GitHub-Request-Id"
)

// githubs reports whether GitHub bears witness that the answer is its own: what is missing from a list
// is missing from GitHub's alone.
func (r reply) githubs() bool { return r.header.Get(mediaType) != "" || r.header.Get(requestID) != "" }

// find reads a list to its end, or to the entry that is looked for. An error of is means that the list
// is not GitHub's. Only a list that was read whole comes with neither an entry nor an error: it proves
// more than the 404 of an entry's own address, which is also for what the asker may not see.
func find[T any](ctx context.Context, p *provider, list, token string, is func(T) (bool, error)) (entry *T, others int, r reply) {
	for page := 1; page <= maxPages; page++ {
		var some []T
		r = p.send(ctx, http.MethodGet, fmt.Sprintf("%s?per_page=%d&page=%d", list, perPage, page), token, nil, &some)
		if r.err != nil || r.status != http.StatusOK || some == nil {
			return nil, others, r.unreadable()
		}
		for i := range some {
			found, err := is(some[i])
			if err != nil {
				r.err = err
				return nil, others, r
			}
			if found {
				return &some[i], others, r
			}
			others++
		}
		if !r.githubs() {
			return nil, others, r.unreadable()
		}
		if !r.more() {
			return nil, others, r
		}
	}
	r.err = errLong
	return nil, others, r
}

// errLong is of a list that was not read to its end.
var errLong = fmt.Errorf("only the first %d entries of the list were looked at", perPage*maxPages)

// whole reports whether the list was read to where find ended.
func (r reply) whole() bool { return r.err == nil && r.status == http.StatusOK }

// unlisted is for a list, or anything else under an authority, that was not read whole.
func (p *provider) unlisted(r reply, secret credential.Secret) (revoke.Verdict, error) {
	v := revoke.Verdict{Answer: r.answer(secret), RetryAfter: r.wait(p.env.Now())}
	retry := &revoke.RetryError{After: v.RetryAfter, Answer: v.Answer}
	switch {
	case errors.Is(r.err, errLong):
		v.Answer = errLong.Error()
		return v, errLong
	case r.err != nil && r.status != 0:
		v.Answer = revoke.Answer(r.status, "but not GitHub's answer", secret)
		retry.Answer = v.Answer
		return v, retry
	case r.err != nil:
		return v, fmt.Errorf("%w: %w", retry, masked{v.Answer, r.err})
	case r.limited, r.status >= 500:
		return v, retry
	case r.denied():
		v.Answer = "of the authority: " + v.Answer
		return v, fmt.Errorf("%w: %s", revoke.ErrAuthority, v.Answer)
	}
	return v, errors.New(v.Answer)
}

// denied reports whether GitHub refused who asked. What somebody may not see or change it also says
// that it does not find.
func (r reply) denied() bool {
	return r.refused() || r.err == nil && !r.limited && r.message != "" && (r.status == http.StatusForbidden || r.status == http.StatusNotFound)
}
