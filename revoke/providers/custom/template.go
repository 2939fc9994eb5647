package custom

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
	"clawback/revoke/wire"
)

// placeholder is what the desk writes for what is known only of one credential: {secret} or
// {secret.PART}, {authority} or {authority.PART}, {ref.NAME}. Other braces are text.
var placeholder = lazyregexp.New(`\{(secret|authority|ref)(?:\.([0-9A-Za-z_-]{1,40}))?\}`)

// segment is a value that may become part of a path: it comes from a hostile host.
var segment = lazyregexp.New(`\A[0-9A-Za-z][0-9A-Za-z._~:@=+-]{0,511}\z`)

var (
	errMissing = errors.New("not asked: what its request needs is not known of it")
	errUnfit   = errors.New("not asked: what is known of it cannot stand where its request needs it")
)

// filler gives the values of placeholders.
type filler struct {
	secret, authority credential.Secret
	ref               map[string]string
}

func (f filler) value(of, part string) string {
	if part == "" {
		part = "value"
	}
	switch of {
	case "secret":
		return f.secret.Reveal(part)
	case "authority":
		return f.authority.Reveal(part)
	}
	return f.ref[part]
}

// fill replaces the placeholders of a text, each by what write makes of its value.
func (f filler) fill(text string, write func(string) (string, error)) (string, error) {
	var failed error
	out := placeholder().ReplaceAllStringFunc(text, func(found string) string {
		m := placeholder.FindStringSubmatch(found)
		value := f.value(m[1], m[2])
		if value == "" {
			failed = fmt.Errorf("%w: %s", errMissing, found)
			return ""
		}
		if len(value) > 8<<10 {
			failed = fmt.Errorf("%w: %s", errUnfit, found)
			return ""
		}
		written, err := write(value)
		if err != nil {
			failed = fmt.Errorf("%w: %s", err, found)
		}
		return written
	})
	if failed != nil {
		return "", failed
	}
	return out, nil
}

func plain(value string) (string, error) {
	if !segment.MatchString(value) || strings.Contains(value, "..") {
		return "", errUnfit
	}
	return value, nil
}

func intoPath(value string) (string, error) {
	value, err := plain(value)
	return url.PathEscape(value), err
}

func intoHeader(value string) (string, error) {
	if !wire.Sendable(value) {
		return "", errUnfit
	}
	return value, nil
}

func intoQuery(value string) (string, error) {
	if !wire.Sendable(value) {
		return "", errUnfit
	}
	return url.QueryEscape(value), nil
}

func intoJSON(value string) (string, error) {
	if !wire.Sendable(value) {
		return "", errUnfit
	}
	var quoted bytes.Buffer
	e := json.NewEncoder(&quoted)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return "", errUnfit
	}
	return strings.Trim(strings.TrimSpace(quoted.String()), `"`), nil
}

// intoBody writes a value as the body's type wants it.
func intoBody(kind string) func(string) (string, error) {
	switch {
	case strings.Contains(kind, "json"):
		return intoJSON
	case strings.Contains(kind, "form-urlencoded"):
		return intoQuery
	}
	return plain // of a type that is not known, nothing that could mean more than itself
}

// uses reports whether a text has a placeholder for that.
func uses(text, of string) bool {
	for _, m := range placeholder().FindAllStringSubmatch(text, -1) {
		if m[1] == of {
			return true
		}
	}
	return false
}
