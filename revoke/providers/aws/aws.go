// Package aws revokes access keys and temporary sessions of Amazon Web Services through IAM, and
// proves their death through STS and IAM.
package aws

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
)

const (
	keyKind     = "aws.access_key"
	sessionKind = "aws.session"

	stsHost = "sts.amazonaws.com"
	iamHost = "iam.amazonaws.com"

	// baselinePatience is how long the revocation of a session waits for a look at it beforehand.
	baselinePatience = 2 * time.Second
)

type provider struct {
	env      revoke.Env
	sts, iam string // base URLs

	mu       sync.Mutex
	undenied map[string]bool    // ids of sessions that were seen working, or refused without an explicit deny
	signed   map[keys]principal // whose the pairs are that signed for themselves
}

var _ revoke.Rememberer = (*provider)(nil)

// New makes the provider. A pinned endpoint serves both STS and IAM.
func New(env revoke.Env) (revoke.Provider, error) {
	p := &provider{env: env, sts: "https://" + stsHost, iam: "https://" + iamHost, undenied: map[string]bool{}, signed: map[keys]principal{}}
	if env.HTTP == nil {
		return nil, errors.New("aws: no HTTP client given")
	}
	if env.Endpoint != "" {
		u, err := url.Parse(env.Endpoint)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil ||
			u.RawQuery != "" || u.Fragment != "" || u.RawPath != "" {
			return nil, errors.New("aws: the endpoint is no plain http or https address")
		}
		u.Path = strings.TrimRight(u.Path, "/") + "/" // what is asked below it is its "/"
		p.sts, p.iam = u.String(), u.String()
	}
	if p.env.Now == nil {
		p.env.Now = time.Now
	}
	return p, nil
}

func (p *provider) Info() revoke.Info {
	read := func(action string) revoke.Read {
		return revoke.Read{Method: http.MethodPost, Path: "/", Form: map[string]string{"Action": action}}
	}
	// 3 to 4 seconds were measured by others; AWS itself names no bound.
	propagation := revoke.Propagation{
		Budget: time.Minute, Every: 5 * time.Second, Refusals: 3,
		Source: "https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency",
	}
	return revoke.Info{
		Name: "aws", Title: "AWS",
		Hosts: []string{stsHost, iamHost},
		Reads: []revoke.Read{
			read("GetCallerIdentity"), read("GetAccessKeyInfo"), read("GetAccessKeyLastUsed"), read("ListAccessKeys"), read("ListAccountAliases"),
		},
		Kinds: []revoke.KindInfo{{
			Kind: keyKind,
			// Keys of other partitions (China, GovCloud) look alike, and are refused here too.
			NeedsAlive: true,
			Link:       "https://console.aws.amazon.com/iam/home#/users",
			Steps: []string{
				"Done by hand where the secret was not found, or does not belong to the key id: the id may be planted, to have an innocent user's key revoked.",
				"Find out who owns the key id: search for it among the users of each account, and ask the owner whether the key is theirs and whether it was on the host under response.",
				"If it was: deactivate the key, create another one where it is needed, and stop what the key may have issued with a deny-all policy on its user.",
				"If it was not: leave the key alone.",
			},
			Authority:  "iam:GetAccessKeyLastUsed, iam:ListAccessKeys, iam:PutUserPolicy, iam:UpdateAccessKey",
			Reversible: true,
			Unanswered: "no answer says that the deny-all policy is on its user: what the key issued or created before may not be stopped",
			Effect:     "a deny-all policy stops its whole user: all keys, sessions and the console",
			Mints:      []string{keyKind, sessionKind},

			Propagation: propagation,
			Source:      "https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateAccessKey.html",
		}, {
			// Not marked as unverifiable: the exceptions are a session of GetSessionToken without MFA,
			// and one that was never seen without a deny. Verify stays inconclusive and says why.
			Kind:       sessionKind,
			Authority:  "iam:PutRolePolicy, iam:PutUserPolicy",
			Reversible: true,
			Effect:     "a deny-all policy stops every session of its role that was issued before, or its whole user",
			Mints:      []string{sessionKind},

			Propagation: propagation,
			Source:      "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_revoke-sessions.html",
		}},
	}
}

func (p *provider) Revoke(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return revoke.Receipt{}, fmt.Errorf("aws: nothing was sent: %w", err)
	}
	k := keysOf(c)
	if k.id == "" {
		return revoke.Receipt{}, errors.New("aws: the credential has no access key id")
	}
	switch c.Kind {
	case keyKind:
		return p.revokeKey(ctx, k)
	case sessionKind:
		return p.revokeSession(ctx, k)
	}
	return revoke.Receipt{}, fmt.Errorf("aws: cannot revoke the kind %q", c.Kind)
}

// responder is the responder's own caller, and whom AWS takes it for.
type responder struct {
	*caller
	is principal
}

// authority asks for the responder's own keys and returns ErrOurs where they are the target.
func (p *provider) authority(ctx context.Context, target keys) (responder, error) {
	if p.env.Authority == nil {
		return responder{}, revoke.ErrNoAuthority
	}
	a, err := p.env.Authority(ctx)
	if err != nil {
		return responder{}, fmt.Errorf("aws: %w", err)
	}
	own := keysOf(credential.Credential{Secret: a.Secret})
	switch {
	case own.id == target.id:
		return responder{}, fmt.Errorf("aws: it is the authority itself: %w", revoke.ErrOurs)
	case !own.complete():
		return responder{}, fmt.Errorf("aws: the authority from %s is not a whole key pair: %w", a.From, revoke.ErrAuthority)
	}
	r := responder{caller: p.caller(own, target)}
	r.authority = true
	r.is, err = r.whoAmI(ctx)
	return r, err
}
