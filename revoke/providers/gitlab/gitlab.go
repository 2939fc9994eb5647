// Package gitlab ends GitLab's tokens and keys, at gitlab.com or at the instance that the desk
// pinned. Access tokens and runners end themselves, and their own refusal proves it. The rest ends
// under an authority, by its id or, where the authority is an administrator, by its value, and the
// proof is that the instance no longer has it.
package gitlab

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/wire"
)

const host = "gitlab.com"

// settings are the desk's own.
type settings struct {
	// EndRotated ends also what a token was rotated into that nobody here saw alive. Whoever rotated
	// it may have been a thief, or the team.
	EndRotated bool `yaml:"end_rotated"`
}

type provider struct {
	env      revoke.Env
	wire     wire.Client
	settings settings

	mu   sync.Mutex
	seen map[[sha256.Size]byte]thing // access tokens that this instance knew
}

// New makes the provider. The endpoint is the address of an instance, without /api/v4.
func New(env revoke.Env) (revoke.Provider, error) {
	client, err := wire.New(env, "https://"+host)
	if err != nil {
		return nil, fmt.Errorf("gitlab: %w", err)
	}
	if strings.Contains(strings.TrimRight(env.Endpoint, "/")+"/", "/api/v4/") {
		return nil, errors.New("gitlab: endpoint: want the address of the instance, without /api/v4")
	}
	p := &provider{env: env, wire: client, seen: make(map[[sha256.Size]byte]thing)}
	if env.Settings != nil {
		if err := env.Settings(&p.settings); err != nil {
			return nil, fmt.Errorf("gitlab: %w", err)
		}
	}
	return p, nil
}

// Verify asks once, with the credential itself where it can ask and with the authority otherwise.
func (p *provider) Verify(ctx context.Context, c credential.Credential) revoke.Verdict {
	return p.look(ctx, c).Verdict
}

// Inspect tells whose the credential is and what it reaches.
func (p *provider) Inspect(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	l := p.look(ctx, c)
	if l.Outcome != revoke.Alive {
		if l.err != nil {
			return revoke.Exposure{}, fmt.Errorf("inspect %s: %w", c, l.err)
		}
		return revoke.Exposure{}, fmt.Errorf("inspect %s: %s", c, l.Answer)
	}
	e := l.thing.exposure(l.reply.Show)
	if e.Answer = l.Answer; c.Kind == runner {
		e.Reach = []string{"take the jobs of a runner, and read their code and variables"}
	}
	return e, nil
}

// Remember takes in that an earlier process saw the token work.
func (p *provider) Remember(c credential.Credential) { p.remember(c, thing{}) }

// Revoke ends the credential in the way that its kind allows.
func (p *provider) Revoke(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	end := p.endUnder
	switch k, ok := info.Kind(c.Kind); {
	case !ok:
		return revoke.Receipt{}, fmt.Errorf("revoke %s: not a kind of GitLab's", c)
	case k.Manual:
		return revoke.Receipt{}, fmt.Errorf("revoke %s: %w", c, revoke.ErrManual)
	case c.Kind == accessToken && !c.Secret.Empty():
		end = p.endToken
	case c.Kind == oauthToken:
		end = p.endGrant
	case c.Kind == runner:
		end = p.endRunner
	case c.Kind == jobToken:
		end = p.cancelJob
	}
	receipt, err := end(ctx, c)
	if err != nil {
		return revoke.Receipt{}, fmt.Errorf("revoke %s: %w", c, err)
	}
	return receipt, nil
}

// secretOf returns the value where it has its kind's form. Whatever else stands there is not sent.
func secretOf(c credential.Credential) (string, error) {
	value := c.Secret.Reveal("value")
	switch {
	case value == "":
		return "", errors.New("not asked: the value is not known")
	case !forms()[c.Kind].MatchString(value):
		return "", errors.New("not asked: the value has not the form of this kind")
	}
	if k, ok := credential.Recognize(value); ok && k.Provider != info.Name {
		return "", errors.New("not asked: the value has the form of another provider's")
	}
	return value, nil
}

// remember keeps what the instance said of a token that worked: a refusal that does not say why
// proves nothing of a token that the instance may never have had.
func (p *provider) remember(c credential.Credential, t thing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := sha256.Sum256([]byte(c.Secret.Reveal("value")))
	if old := p.seen[key]; t.ID == 0 {
		t = old
	}
	p.seen[key] = t
}

func (p *provider) knew(c credential.Credential) (thing, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t, ok := p.seen[sha256.Sum256([]byte(c.Secret.Reveal("value")))]
	return t, ok
}
