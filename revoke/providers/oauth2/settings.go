package oauth2

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"clawback/revoke"
	"clawback/revoke/lazyregexp"
	"clawback/revoke/wire"
)

// settings are the desk's own: its issuers by name.
type settings map[string]issuerSettings

// issuerSettings is one authorization server as the desk describes it. Addresses are https://, or
// http:// on this machine, without a query.
type issuerSettings struct {
	Revocation    string `yaml:"revocation"`    // RFC 7009
	Introspection string `yaml:"introspection"` // RFC 7662
	Probe         string `yaml:"probe"`         // of a resource that a GET with an access token reads; may be empty
	ClientID      string `yaml:"client_id"`     // whose tokens they are; empty: the authority's part client_id
	ClientSecret  string `yaml:"client_secret"` // the authority's part that holds the client's secret; empty for a public client
	Auth          string `yaml:"auth"`          // how the client authenticates: basic, which is the default, or post
	Match         string `yaml:"match"`         // regular expression of a whole token, or of the host that it was used at
	// Propagation is how long the issuer's resource servers may go by what they looked up before.
	Propagation time.Duration `yaml:"propagation"`
}

// issuer is one authorization server, checked.
type issuer struct {
	name               string
	revocation, lookup place
	probe              place // the zero value where there is none
	clientID           string
	secretPart         string
	post               bool
	match              *regexp.Regexp // nil: only its name tells
	all                bool           // every token is its
	lag                time.Duration
}

// place is one address: a client for its host, and the path there.
type place struct {
	wire wire.Client
	path string
}

func (p place) given() bool { return p.path != "" }

// pathname is what may be a path: it becomes a pattern of the reads.
var pathname = lazyregexp.New(`\A(?:/[0-9A-Za-z._~-]{1,100}){1,10}\z`)

// partName is what a part of the authority may be called, and no secret that stands there by mistake.
var partName = lazyregexp.New(`\A[a-z]{1,20}(?:_[a-z]{1,20}){0,3}[0-9]?\z`)

const maxLag = 24 * time.Hour

// The paths of the RFCs' own examples, which are taken where an endpoint is pinned and no issuer is
// named: https://www.rfc-editor.org/rfc/rfc7009#section-2.1, https://www.rfc-editor.org/rfc/rfc7662#section-2.1
const (
	exampleRevocation    = "/revoke"
	exampleIntrospection = "/introspect"
)

// pinned is the issuer behind a pinned endpoint of which the desk says no more.
func pinned(env revoke.Env) (issuer, error) {
	client, err := wire.New(env, "")
	return issuer{
		name: "pinned", revocation: place{client, exampleRevocation}, lookup: place{client, exampleIntrospection},
		secretPart: "client_secret", all: true,
	}, err
}

// issuers checks what the desk says.
func issuers(env revoke.Env) ([]issuer, error) {
	var s settings
	if env.Settings != nil {
		if err := env.Settings(&s); err != nil {
			return nil, fmt.Errorf("settings: %w", err)
		}
	}
	if len(s) == 0 && env.Endpoint != "" {
		one, err := pinned(env)
		return []issuer{one}, err
	}
	var all []issuer
	for _, name := range slices.Sorted(maps.Keys(s)) {
		i, err := s[name].check(env, name)
		if err != nil {
			return nil, fmt.Errorf("settings: %s: %w", name, err)
		}
		all = append(all, i)
	}
	// Reads are told by their path: one that revokes elsewhere is none.
	for _, a := range all {
		for _, b := range all {
			if a.revocation.path == b.lookup.path {
				return nil, fmt.Errorf("settings: %s is revocation of %s and introspection of %s", a.revocation.path, a.name, b.name)
			}
		}
	}
	return all, nil
}

func (s issuerSettings) check(env revoke.Env, name string) (issuer, error) {
	i := issuer{name: name, clientID: s.ClientID, secretPart: s.ClientSecret, post: s.Auth == "post", lag: s.Propagation}
	for what, a := range map[string]struct {
		address string
		into    *place
		must    bool
	}{
		"revocation": {s.Revocation, &i.revocation, true}, "introspection": {s.Introspection, &i.lookup, true}, "probe": {s.Probe, &i.probe, false},
	} {
		if a.address == "" && !a.must {
			continue
		}
		var err error
		if *a.into, err = reach(env, a.address); err != nil {
			return i, fmt.Errorf("%s: %w", what, err)
		}
	}
	switch {
	case s.Auth != "" && s.Auth != "basic" && s.Auth != "post":
		return i, errors.New("auth: want basic or post")
	case s.Propagation < 0 || s.Propagation > maxLag:
		return i, errors.New("propagation: want at most 24h")
	case s.ClientID != "" && !wire.Sendable(s.ClientID):
		return i, errors.New("client_id: no client's id")
	case s.ClientSecret != "" && !partName.MatchString(s.ClientSecret):
		return i, fmt.Errorf("client_secret: %w: write the name of the authority's part that has it, in small letters", wire.ErrClearText)
	}
	if s.Match != "" {
		var err error
		if i.match, err = regexp.Compile(`\A(?:` + s.Match + `)\z`); err != nil {
			return i, fmt.Errorf("match: %w", err)
		}
	}
	return i, nil
}

// reach returns the place behind an address of the desk's.
func reach(env revoke.Env, address string) (place, error) {
	u, err := wire.Address(address)
	switch {
	case err != nil:
		return place{}, err
	case u.RawQuery != "" || !pathname.MatchString(u.Path):
		return place{}, errors.New("want a plain path, without a query")
	}
	client, err := wire.New(env, u.Scheme+"://"+u.Host)
	return place{client, u.Path}, err
}
