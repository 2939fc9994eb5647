package custom

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"clawback/revoke"
	"clawback/revoke/lazyregexp"
	"clawback/revoke/wire"
)

// settings are the desk's own: its internal APIs by name.
type settings map[string]*serviceSettings

// serviceSettings is how the credentials of one API end, and how that shows.
type serviceSettings struct {
	Match  string           `yaml:"match"`  // regular expression of a whole value, or of the host that it was used at
	Revoke *requestSettings `yaml:"revoke"` // none: a person ends it
	Verify *requestSettings `yaml:"verify"`
	// Propagation is how long the API may go on taking a credential that it ended; a minute where empty.
	Propagation time.Duration `yaml:"propagation"`
}

// requestSettings is one request with placeholders, and its answers.
type requestSettings struct {
	Method  string            `yaml:"method"`
	URL     string            `yaml:"url"` // https://, or http:// on this machine
	Headers map[string]string `yaml:"headers"`
	Body    string            `yaml:"body"`
	Basic   *basicSettings    `yaml:"basic"` // Basic authentication

	Accepted     []answerRule `yaml:"accepted"`     // of revoke: it was ended
	Already      []answerRule `yaml:"already"`      // of revoke: it had ended before
	Unauthorized []answerRule `yaml:"unauthorized"` // of revoke: the authority was refused
	Dead         []answerRule `yaml:"dead"`         // of verify
	Alive        []answerRule `yaml:"alive"`        // of verify
	Owner        string       `yaml:"owner"`        // of verify: the field that names whose it is

	wire  wire.Client
	path  string // with placeholders
	query string
}

type basicSettings struct {
	User     string `yaml:"user"`
	Password string `yaml:"password"`
}

var (
	headerName = lazyregexp.New(`\A[A-Za-z][0-9A-Za-z-]{0,60}\z`)
	// secretName is what headers and parameters are called that hold secrets.
	secretName = lazyregexp.New(`(?i)\A(?:(?:proxy-)?authorization|cookie|(?:.*[_-])?(?:api|auth|access|private|secret)[_-]?(?:key|token)|(?:.*[_-])?(?:secret|password))\z`)
	// A placeholder stands for a whole segment, so that a read's path is a pattern.
	pathSegment = lazyregexp.New(`\A(?:[0-9A-Za-z._~:@=+-]{1,200}|\{(?:secret|authority|ref)(?:\.[0-9A-Za-z_-]{1,40})?\})\z`)
	ofTransport = []string{"Host", "Content-Length", "Transfer-Encoding", "Connection", "Trailer", "Upgrade"}
)

const maxLag = 24 * time.Hour

// service is one API, checked.
type service struct {
	*serviceSettings
	name  string
	match *regexp.Regexp
}

func services(env revoke.Env) ([]service, error) {
	var s settings
	if env.Settings != nil {
		if err := env.Settings(&s); err != nil {
			return nil, fmt.Errorf("settings: %w", err)
		}
	}
	var all []service
	for _, name := range slices.Sorted(maps.Keys(s)) {
		one := service{serviceSettings: s[name], name: name}
		if err := one.check(env); err != nil {
			return nil, fmt.Errorf("settings: %s: %w", name, err)
		}
		all = append(all, one)
	}
	return all, distinct(all)
}

func (s *service) check(env revoke.Env) error {
	if s.serviceSettings == nil || s.Verify == nil {
		return errors.New("verify is missing: nothing would prove an end")
	}
	if s.Propagation < 0 || s.Propagation > maxLag {
		return errors.New("propagation: want at most 24h")
	}
	if s.Match != "" {
		var err error
		if s.match, err = regexp.Compile(`\A(?:` + s.Match + `)\z`); err != nil {
			return fmt.Errorf("match: %w", err)
		}
	}
	if err := s.Verify.check(env, http.MethodGet, http.MethodHead, http.MethodPost); err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	if err := s.Verify.checkRead(); err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	if s.Revoke == nil {
		return nil
	}
	if err := s.Revoke.check(env, http.MethodDelete, http.MethodPost, http.MethodPut, http.MethodPatch); err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	if len(s.Revoke.Accepted) == 0 || len(s.Revoke.Dead)+len(s.Revoke.Alive) > 0 || s.Revoke.Owner != "" {
		return errors.New("revoke: want accepted, already and unauthorized alone, of which accepted must be there")
	}
	return nil
}

// checkRead holds a look to what a read-only transport can tell from a change.
func (q *requestSettings) checkRead() error {
	switch {
	case len(q.Dead) == 0 || len(q.Alive) == 0 || len(q.Accepted)+len(q.Already)+len(q.Unauthorized) > 0:
		return errors.New("want dead and alive alone, and both")
	case q.Method != http.MethodPost && q.Body != "":
		return errors.New("body: of POST alone")
	case q.Method == http.MethodPost && strings.HasSuffix(q.path, "}"):
		return errors.New("url: a POST that only looks is told by the end of its path, which cannot be a placeholder")
	case q.Owner != "" && !fieldPath.MatchString(q.Owner):
		return errors.New("owner: want names with dots between them")
	}
	return nil
}

func (q *requestSettings) check(env revoke.Env, methods ...string) error {
	if !slices.Contains(methods, q.Method) {
		return fmt.Errorf("method: want one of %s", strings.Join(methods, ", "))
	}
	if err := q.checkURL(env); err != nil {
		return fmt.Errorf("url: %w", err)
	}
	for name, value := range q.Headers {
		if !headerName.MatchString(name) || slices.Contains(ofTransport, http.CanonicalHeaderKey(name)) ||
			strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
			return fmt.Errorf("headers: %q cannot be sent", name)
		}
	}
	if q.Basic != nil && (q.Basic.User == "" || q.Basic.Password == "") {
		return errors.New("basic: want user and password")
	}
	if name := q.clearText(); name != "" {
		return fmt.Errorf("%s: %w: write {authority}, or {secret}", name, wire.ErrClearText)
	}
	for _, rule := range slices.Concat(q.Accepted, q.Already, q.Unauthorized, q.Dead, q.Alive) {
		if err := rule.check(); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
	}
	return nil
}

// clearText names what holds a secret as it seems, written out where a placeholder should stand.
func (q *requestSettings) clearText() string {
	if q.Basic != nil && !placeholder.MatchString(q.Basic.User) && !placeholder.MatchString(q.Basic.Password) {
		return "basic"
	}
	for name, value := range q.Headers {
		if secretName.MatchString(name) && !placeholder.MatchString(value) {
			return "headers: " + name
		}
	}
	for pair := range strings.SplitSeq(q.query, "&") {
		if name, value, _ := strings.Cut(pair, "="); secretName.MatchString(name) && !placeholder.MatchString(value) {
			return "url: " + name
		}
	}
	return ""
}

// checkURL takes the address apart. Placeholders stand in its path and its query.
func (q *requestSettings) checkURL(env revoke.Env) error {
	address, query, _ := strings.Cut(q.URL, "?")
	u, err := wire.Address(address)
	if err != nil {
		return err
	}
	q.path, q.query = u.Path, query
	if !strings.HasPrefix(q.path, "/") || path.Clean(q.path) != q.path || len(q.path) > 2000 {
		return errors.New("want a path without a slash at its end")
	}
	for part := range strings.SplitSeq(strings.TrimPrefix(q.path, "/"), "/") {
		if part != "" && !pathSegment.MatchString(part) {
			return fmt.Errorf("path: %q: a segment is plain text or one placeholder", part)
		}
	}
	if strings.ContainsFunc(query, func(r rune) bool { return r <= ' ' || r > '~' || r == '#' }) {
		return errors.New("query: want it escaped")
	}
	q.wire, err = wire.New(env, u.Scheme+"://"+u.Host)
	return err
}

// pattern is the path as a read's.
func (q *requestSettings) pattern() string { return placeholder().ReplaceAllString(q.path, "*") }

// read is the request as it is declared: a POST without placeholders by its whole body.
func (q *requestSettings) read() revoke.Read {
	r := revoke.Read{Method: q.Method, Path: q.pattern()}
	if !placeholder.MatchString(q.Body) {
		r.Body = q.Body
	}
	return r
}

func (q *requestSettings) uses(of string) bool {
	if q == nil {
		return false
	}
	all := []string{q.path, q.query, q.Body}
	if q.Basic != nil {
		all = append(all, q.Basic.User, q.Basic.Password)
	}
	for _, value := range q.Headers {
		all = append(all, value)
	}
	return slices.ContainsFunc(all, func(text string) bool { return uses(text, of) })
}

// distinct refuses settings under which a change would pass for a read.
func distinct(all []service) error {
	for _, a := range all {
		for _, b := range all {
			if b.Revoke != nil && a.Verify.Method == b.Revoke.Method && overlap(a.Verify.pattern(), b.Revoke.pattern()) {
				return fmt.Errorf("settings: verify of %s cannot be told from revoke of %s: same method and path", a.name, b.name)
			}
		}
	}
	return nil
}

// overlap reports whether a path may fit both patterns.
func overlap(a, b string) bool {
	as, bs := strings.Split(a, "/"), strings.Split(b, "/")
	if len(as) != len(bs) {
		return false
	}
	for i := range as {
		if as[i] != bs[i] && as[i] != "*" && bs[i] != "*" {
			return false
		}
	}
	return true
}
