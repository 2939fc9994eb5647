package vault

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
	"clawback/revoke/wire"
)

// roleName is what may become part of an address.
var roleName = lazyregexp.New(`\A[0-9A-Za-z_][0-9A-Za-z_.-]{0,199}\z`)

var errRole = errors.New("not asked: which AppRole role the secret-id belongs to is not known: name it in its Ref, or alone under approle_roles")

// roleOf returns the name of a secret-id's role. A role_id does not tell it.
func (p *provider) roleOf(c credential.Credential) (string, error) {
	role := c.Ref["role"]
	if role == "" && len(p.settings.Roles) == 1 {
		role = p.settings.Roles[0]
	}
	if !roleName.MatchString(role) {
		return "", errRole
	}
	return role, nil
}

func (p *provider) rolePath(role, rest string) string {
	return "auth/" + p.settings.AppRole + "/role/" + role + "/" + rest
}

// secretID is what Vault says of a secret-id.
type secretID struct {
	answer
	data struct {
		Accessor string `json:"secret_id_accessor"`
		Uses     *int   `json:"secret_id_num_uses"`
	}
}

func (s secretID) alive() bool { return s.into(&s.data) && s.data.Accessor != "" && s.data.Uses != nil }

// dead reports whether the role has no such secret-id: 204, or "invalid secret id" where only a rest
// of it is left (builtin/credential/approle/path_role.go).
func (s secretID) dead() bool {
	return s.done() || s.says(http.StatusBadRequest, "invalid secret id")
}

func (s secretID) shown() string {
	switch {
	case s.done():
		return "the role has no such secret-id"
	case s.alive():
		return "secret-id of the role, accessor=" + s.data.Accessor
	}
	return s.said()
}

// lookSecretID asks with the authority. The secret-id could be tried by logging in, which says 400
// "invalid role or secret ID" once it is dead; but a login mints a token and uses the secret-id up,
// so it is no read.
// https://developer.hashicorp.com/vault/api-docs/auth/approle#read-approle-secret-id
func (p *provider) lookSecretID(ctx context.Context, c credential.Credential) (s secretID, authority, role string, err error) {
	value := c.Secret.Reveal("secret_id")
	if role, err = p.roleOf(c); err != nil {
		return s, "", "", err
	}
	if !wire.Sendable(value) {
		return s, "", "", errors.New("not asked: its value is not known")
	}
	if authority, err = p.authority(ctx, c); err != nil {
		return s, "", "", err
	}
	s.answer = p.ask(ctx, authority, c.Secret, post(p.rolePath(role, "secret-id/lookup"), map[string]string{"secret_id": value}))
	s.into(&s.data)
	return s, authority, role, nil
}

func (p *provider) verifySecretID(ctx context.Context, c credential.Credential) revoke.Verdict {
	s, _, _, err := p.lookSecretID(ctx, c)
	switch {
	case err != nil:
		return inconclusive(err, c)
	case s.alive():
		return s.Verdict(revoke.Alive, s.shown())
	case s.dead():
		return s.Verdict(revoke.Refused, s.shown())
	}
	return s.verdict(revoke.Inconclusive)
}

func (p *provider) inspectSecretID(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	s, _, role, err := p.lookSecretID(ctx, c)
	switch {
	case err != nil:
		return revoke.Exposure{}, err
	case !s.alive() && !s.dead():
		return revoke.Exposure{}, s.ofAuthority()
	}
	return revoke.Exposure{
		Account: p.settings.AppRole, Answer: s.Text(s.shown()),
		Reach: []string{"tokens of the role " + role},
	}, nil
}

// destroySecretID destroys a secret-id: https://developer.hashicorp.com/vault/api-docs/auth/approle#destroy-approle-secret-id
func (p *provider) destroySecretID(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	s, authority, role, err := p.lookSecretID(ctx, c)
	switch {
	case err != nil:
		return revoke.Receipt{}, err
	case s.dead():
		return revoke.Receipt{Already: true, Answer: s.Text(s.shown()), Left: p.leftOf(role)}, nil
	case !s.alive():
		return revoke.Receipt{}, s.ofAuthority()
	}
	a := p.ask(ctx, authority, c.Secret, post(p.rolePath(role, "secret-id/destroy"), map[string]string{"secret_id": c.Secret.Reveal("secret_id")}))
	if !a.done() {
		return revoke.Receipt{}, a.ofAuthority()
	}
	return revoke.Receipt{
		Answer: a.text(), Did: []string{"destroyed the secret-id " + s.Show(s.data.Accessor) + " of the role " + role}, Left: p.leftOf(role),
	}, nil
}

// leftOf says what a secret-id's end does not reach. A token that was logged in for names its role
// and not the secret-id, so what a role of others minted is not ours to kill.
func (p *provider) leftOf(role string) []string {
	if slices.Contains(p.settings.Roles, role) {
		return nil
	}
	return []string{"tokens that were logged in for with it, until they expire: leases below auth/" + p.settings.AppRole +
		"/login, of which only approle_roles can say that they are the agents' alone"}
}
