package azure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/wire"
)

// object is an application, or the service principal that stands for it in a tenant. Either may hold
// the credentials. https://learn.microsoft.com/graph/api/resources/application
type object struct {
	ID        string            `json:"id"`
	AppID     string            `json:"appId"`
	Enabled   *bool             `json:"accountEnabled"` // of a service principal
	Passwords []passwordOf      `json:"passwordCredentials"`
	Keys      []json.RawMessage `json:"keyCredentials"` // kept whole: what stays is sent back as it came

	set string // "applications", "servicePrincipals"
}

// passwordOf is a client secret as Graph shows it: never its value, but its first three characters.
// https://learn.microsoft.com/graph/api/resources/passwordcredential
type passwordOf struct {
	KeyID string `json:"keyId"`
	Hint  string `json:"hint"`
}

type keyCredential struct {
	KeyID               string `json:"keyId"`
	CustomKeyIdentifier string `json:"customKeyIdentifier"`
	Key                 string `json:"key"`
}

func (o object) title() string {
	if o.set == "applications" {
		return "application " + o.AppID
	}
	return "service principal " + o.ID
}

// mayBe reports whether a client secret of this object may be the value: secrets that certainly are
// another's begin otherwise. One without a hint may be it: every value begins with nothing.
func (p passwordOf) mayBe(value string) bool {
	return guidForm.MatchString(p.KeyID) && strings.HasPrefix(value, p.Hint)
}

// object reads the application or service principal with a client id.
func (a admin) object(ctx context.Context, set, client string) (object, error) {
	fields := "id,appId,passwordCredentials,keyCredentials" // key is told only of what is selected by name
	if set == "servicePrincipals" {
		fields += ",accountEnabled"
	}
	o := object{set: set}
	r, err := a.read(ctx, "/v1.0/"+set+"(appId='"+client+"')", url.Values{"$select": {fields}}, &o)
	if err == nil && (!strings.EqualFold(o.AppID, client) || !guidForm.MatchString(o.ID)) {
		err = errors.New(r.Text("an answer without the application"))
	}
	if err != nil {
		return object{}, fmt.Errorf("read the %s with client id %s: %w", set, client, err)
	}
	return o, nil
}

// objects reads the application and its service principal, as far as the authority's tenant has them.
func (a admin) objects(ctx context.Context, client string) ([]object, error) {
	var all []object
	for _, set := range []string{"applications", "servicePrincipals"} {
		o, err := a.object(ctx, set, client)
		switch {
		case err == nil:
			all = append(all, o)
		case !errors.Is(err, errMissing):
			return nil, err
		}
	}
	return all, nil
}

// lifetime is how long Entra lets access tokens live by default: it can be set to a day.
// https://learn.microsoft.com/entra/identity-platform/access-tokens#token-lifetime
const lifetime = "access tokens that it minted before go on until they expire, by default 60 to 90 minutes after they were minted"

// revokeApplication takes the secret or certificate from its application, or disables the service
// principal where the desk has it so.
func (p *provider) revokeApplication(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	client, _, err := p.application(c)
	if err != nil {
		return revoke.Receipt{}, err
	}
	which, err := p.matcher(c)
	if err != nil {
		return revoke.Receipt{}, err
	}
	a, err := p.admin(ctx, c, graphAudience, p.graph)
	if err != nil {
		return revoke.Receipt{}, err
	}
	if c.Kind == kindCertificate {
		done, err := p.keys.turn(ctx)
		if err != nil {
			return revoke.Receipt{}, err
		}
		defer done()
	}
	all, err := a.objects(ctx, client)
	if err != nil {
		return revoke.Receipt{}, err
	}
	registered := len(all) > 0 && all[0].set == "applications"
	principal := len(all) > 0 && all[len(all)-1].set == "servicePrincipals"
	found := slices.ContainsFunc(all, func(o object) bool { return which(o).found() })
	r := revoke.Receipt{Left: []string{lifetime}}
	unproved := false
	if found && c.Kind == kindSecret {
		g, _, err := p.present(ctx, c)
		switch {
		case err != nil:
			return revoke.Receipt{}, err
		case g.refused(secretWrong):
			return spared(g, all, which), nil
		}
		unproved = !g.issued()
	}
	switch {
	case !registered && !found && !(principal && p.settings.DisablePrincipal), !principal && p.settings.DisablePrincipal:
		return p.elsewhere(ctx, c, client)
	case registered && !found: // a principal is not disabled for what is none of its credentials
	case p.settings.DisablePrincipal:
		err = a.enable(ctx, all[len(all)-1], false, &r)
		r.Left = append(r.Left, "the secret or certificate itself stays on the application: remove it before the principal is enabled again")
	default:
		err = p.removeFrom(ctx, a, all, which, &r)
	}
	if err == nil && p.settings.StripPermissions && principal {
		err = a.strip(ctx, all[len(all)-1], &r)
	}
	if err != nil {
		return revoke.Receipt{}, err
	}
	if r.Already = len(r.Did) == 0; r.Already {
		r.Answer = "the application has no such secret or certificate, or is disabled already"
	}
	r.Already = r.Already || unproved // the end of what begins alike must not become a proof
	return r, nil
}

// spared is the receipt for a client secret that Entra refuses and the application seems to have: what
// begins as it does is another one, and somebody needs it.
func spared(g grant, all []object, which func(object) matches) revoke.Receipt {
	alike := 0
	for _, o := range all {
		alike += len(which(o).passwords)
	}
	return revoke.Receipt{Already: true, Answer: g.Text(g.said()), Left: []string{lifetime,
		fmt.Sprintf("%d secrets of the application that may begin as this one does: Entra refuses this one, so that they are others", alike)}}
}

// elsewhere is for an application that the authority's tenant does not hold: it was deleted, or it is
// registered with somebody else, who alone can end its credentials.
func (p *provider) elsewhere(ctx context.Context, c credential.Credential, client string) (revoke.Receipt, error) {
	if v := p.verifyToken(ctx, c); v.Outcome == revoke.Refused {
		return revoke.Receipt{Already: true, Answer: v.Answer, Left: []string{lifetime}}, nil
	}
	return revoke.Receipt{}, fmt.Errorf("the authority's tenant does not hold what is needed of the application %s: who registered it has to remove this: %w", client, revoke.ErrManual)
}

// matches are the credentials of an object that may be the one that is to die, and the others.
type matches struct {
	passwords []passwordOf
	certain   int // of the passwords, those that begin as the value does
	keys      []keyCredential
	keep      []json.RawMessage // the keys that stay
	others    int
}

func (m matches) found() bool { return len(m.passwords)+len(m.keys) > 0 }

// matcher returns how to find a credential among those of an object.
func (p *provider) matcher(c credential.Credential) (func(object) matches, error) {
	value := c.Secret.Reveal("value")
	if c.Kind == kindSecret {
		if value == "" {
			return nil, errors.New("its value is not known, and nothing else tells it from others of the application")
		}
		return func(o object) matches { return o.matchPasswords(value) }, nil
	}
	pair, err := parsePair(value)
	return func(o object) matches { return o.matchKeys(pair, p.keys.removed) }, err
}

func (o object) matchPasswords(value string) matches {
	m := matches{others: len(o.Keys)}
	for _, p := range o.Passwords {
		switch {
		case !p.mayBe(value):
			m.others++
			continue
		case p.Hint != "":
			m.certain++
		}
		m.passwords = append(m.passwords, p)
	}
	return m
}

func (o object) matchKeys(p pair, removed map[string]bool) matches {
	m := matches{others: len(o.Passwords), keep: []json.RawMessage{}}
	for _, raw := range o.Keys {
		var k keyCredential
		err := json.Unmarshal(raw, &k)
		switch {
		case err == nil && p.is(k):
			m.keys = append(m.keys, k)
			continue
		case err == nil && removed[k.KeyID]:
			continue
		}
		m.keep, m.others = append(m.keep, raw), m.others+1
	}
	return m
}

// removeFrom removes what matches from all objects.
func (p *provider) removeFrom(ctx context.Context, a admin, all []object, which func(object) matches, r *revoke.Receipt) error {
	others := 0
	for _, o := range all {
		m := which(o)
		others += m.others
		if err := a.removePasswords(ctx, o, m, r); err != nil {
			return err
		}
		if err := a.removeKeys(ctx, o, m, r); err != nil {
			return err
		}
		p.keys.remember(m.keys)
	}
	if others > 0 {
		r.Left = append(r.Left, fmt.Sprintf("%d other secrets and certificates of the application: see whether each is yours", others))
	}
	return nil
}

// removePasswords removes client secrets.
// https://learn.microsoft.com/graph/api/application-removepassword
func (a admin) removePasswords(ctx context.Context, o object, m matches, r *revoke.Receipt) error {
	for _, p := range m.passwords {
		reply, err := a.change(ctx, http.MethodPost, "/v1.0/"+o.set+"/"+o.ID+"/removePassword", nil, map[string]string{"keyId": p.KeyID}, noContent)
		if err != nil {
			return fmt.Errorf("remove the client secret %s: %w", p.KeyID, err)
		}
		did := "removed client secret " + p.KeyID + " of " + o.title()
		switch {
		case p.Hint == "":
			did += ", which Entra does not tell from this one"
		case m.certain > 1:
			did += ", one of several that begin as this one does"
		}
		r.Did, r.Answer = append(r.Did, did), reply.Text("")
	}
	return nil
}

// removeKeys removes certificates by writing the others back: removeKey wants a proof that only the
// holder of a key of the application can give, an update does not.
// https://learn.microsoft.com/graph/api/application-removekey and
// https://learn.microsoft.com/graph/api/application-update
func (a admin) removeKeys(ctx context.Context, o object, m matches, r *revoke.Receipt) error {
	if len(m.keys) == 0 {
		return nil
	}
	reply, err := a.change(ctx, http.MethodPatch, "/v1.0/"+o.set+"/"+o.ID, nil, map[string]any{"keyCredentials": m.keep}, noContent)
	if err != nil {
		return fmt.Errorf("remove the certificate from %s: %w", o.title(), err)
	}
	for _, k := range m.keys {
		r.Did = append(r.Did, "removed certificate "+reply.Show(k.KeyID)+" of "+o.title())
	}
	r.Answer = reply.Text("")
	return nil
}

// enable enables or disables a service principal.
// https://learn.microsoft.com/graph/api/serviceprincipal-update
func (a admin) enable(ctx context.Context, o object, on bool, r *revoke.Receipt) error {
	if o.Enabled == nil {
		return fmt.Errorf("%s: an answer without accountEnabled", o.title())
	}
	if *o.Enabled == on {
		return nil
	}
	reply, err := a.change(ctx, http.MethodPatch, "/v1.0/servicePrincipals/"+o.ID, nil, map[string]bool{"accountEnabled": on}, noContent)
	if err != nil {
		return fmt.Errorf("%s: %w", o.title(), err)
	}
	did := "disabled "
	if on {
		did = "enabled "
	}
	r.Did, r.Answer = append(r.Did, did+o.title()), reply.Text("")
	return nil
}

func (p *provider) enablePrincipal(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	client, _, err := p.application(c)
	if err != nil {
		return revoke.Receipt{}, err
	}
	a, err := p.admin(ctx, c, graphAudience, p.graph)
	if err != nil {
		return revoke.Receipt{}, err
	}
	o, err := a.object(ctx, "servicePrincipals", client)
	if err != nil {
		return revoke.Receipt{}, err
	}
	r := revoke.Receipt{Answer: "the service principal is enabled"}
	if err := a.enable(ctx, o, true, &r); err != nil {
		return revoke.Receipt{}, err
	}
	r.Already = len(r.Did) == 0
	return r, nil
}

// grantOf is an app role assignment or a delegated permission grant.
type grantOf struct {
	ID string `json:"id"`
}

// maxRounds bounds how often a list of permissions is read while it is emptied, page by page.
const maxRounds = 20

// strip takes a service principal's app roles and delegated grants from it, so that tokens which it
// already has reach less, as far as what they are shown to looks again.
// https://learn.microsoft.com/graph/api/serviceprincipal-delete-approleassignments and
// https://learn.microsoft.com/graph/api/oauth2permissiongrant-delete
func (a admin) strip(ctx context.Context, o object, r *revoke.Receipt) error {
	own := "/v1.0/servicePrincipals/" + o.ID
	if err := a.empty(ctx, own+"/appRoleAssignments", own+"/appRoleAssignments/", "app role assignment", r); err != nil {
		return err
	}
	return a.empty(ctx, own+"/oauth2PermissionGrants", "/v1.0/oauth2PermissionGrants/", "delegated permission grant", r)
}

func (a admin) empty(ctx context.Context, list, item, title string, r *revoke.Receipt) error {
	for range maxRounds {
		var page struct {
			Value *[]grantOf `json:"value"`
		}
		reply, err := a.read(ctx, list, nil, &page)
		if err == nil && page.Value == nil {
			err = errors.New(reply.Text("an answer without the list"))
		}
		if err != nil {
			return fmt.Errorf("list each %s: %w", title, err)
		}
		if len(*page.Value) == 0 {
			return nil
		}
		for _, g := range *page.Value {
			reply, err := a.change(ctx, http.MethodDelete, item+url.PathEscape(g.ID), nil, nil, deleted)
			if err != nil {
				return fmt.Errorf("delete the %s %s: %w", title, reply.Show(g.ID), err)
			}
			r.Did, r.Answer = append(r.Did, "deleted "+title+" "+reply.Show(g.ID)), reply.Text("")
		}
	}
	return fmt.Errorf("each %s was deleted, and the list does not become empty", title)
}

// deleted also takes what another request deleted before.
func deleted(r wire.Reply) bool {
	said, told := apiError(r)
	return noContent(r) || told && r.Status == http.StatusNotFound && missing[said]
}
