package azure

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
	"clawback/revoke/wire"
)

// Names as Key Vault allows them; they may come from a hostile host, and an address from there is
// never called. https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates
var (
	vaultForm   = lazyregexp.New(`\A[0-9a-zA-Z](?:-?[0-9a-zA-Z]){2,23}\z`)
	secretForm  = lazyregexp.New(`\A[0-9a-zA-Z-]{1,127}\z`)
	versionForm = lazyregexp.New(`\A[0-9a-zA-Z]{1,64}\z`)
)

const (
	vaultAPI = "7.4"
	maxPages = 40 // of 25 versions
	maxTags  = 15 // that a version can bear

	// disabledTag marks what Revoke disabled, so that Undo enables that and nothing else.
	disabledTag = "clawback-disabled"
)

// version is one version of a secret.
// https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret-versions/get-secret-versions
type version struct {
	ID         string `json:"id"`
	Attributes struct {
		Enabled *bool `json:"enabled"`
	} `json:"attributes"`
	Tags map[string]string `json:"tags"`
}

func (v version) name() string { return path.Base(v.ID) }

// vaultSecret is a secret in Key Vault under the authority.
type vaultSecret struct {
	admin
	path string
}

func (p *provider) vaultSecret(ctx context.Context, c credential.Credential) (vaultSecret, error) {
	vault, name := c.Ref["vault"], c.Ref["name"]
	if !vaultForm.MatchString(vault) || len(vault) > 24 || !secretForm.MatchString(name) {
		return vaultSecret{}, errors.New("not asked: no names of a vault and of a secret in it")
	}
	client, err := wire.New(p.env, "https://"+vault+vaultHost)
	if err != nil {
		return vaultSecret{}, err
	}
	a, err := p.admin(ctx, c, vaultAudience, client)
	return vaultSecret{a, "/secrets/" + name}, err
}

// versions lists all versions, with no value among them, and the last answer.
func (s vaultSecret) versions(ctx context.Context) ([]version, wire.Reply, error) {
	var all []version
	query := url.Values{"api-version": {vaultAPI}, "maxresults": {"25"}}
	for range maxPages {
		var page struct {
			Value *[]version `json:"value"`
			Next  string     `json:"nextLink"`
		}
		reply, err := s.read(ctx, s.path+"/versions", query, &page)
		if err != nil {
			return nil, reply, err
		}
		if page.Value == nil {
			return nil, reply, errors.New(reply.Text("an answer without versions"))
		}
		for _, v := range *page.Value {
			if v.Attributes.Enabled == nil || !versionForm.MatchString(v.name()) {
				return nil, reply, errors.New(reply.Text("a version without its name and state"))
			}
			all = append(all, v)
		}
		if page.Next == "" {
			if len(all) == 0 {
				return nil, reply, errors.New(reply.Text("a list without any version"))
			}
			return all, reply, nil
		}
		// Of the next page's address only its place in the list is taken, not where it is.
		next, err := url.Parse(page.Next)
		if err != nil || next.Query().Get("$skiptoken") == "" {
			return nil, reply, errors.New(reply.Text("a next page without its place"))
		}
		query.Set("$skiptoken", next.Query().Get("$skiptoken"))
	}
	return nil, wire.Reply{}, fmt.Errorf("more than %d pages of versions", maxPages)
}

// state tells how many versions can be read.
func state(all []version) (enabled int, said string) {
	for _, v := range all {
		if *v.Attributes.Enabled {
			enabled++
		}
	}
	return enabled, fmt.Sprintf("Key Vault shows %d of %d versions enabled", enabled, len(all))
}

// verifyVault proves by the authority that no version can be read any more. Which secret it is, a host
// may have claimed, so that one that never was enabled proves nothing.
func (p *provider) verifyVault(ctx context.Context, c credential.Credential) revoke.Verdict {
	s, err := p.vaultSecret(ctx, c)
	if err != nil {
		return inconclusive(err, c)
	}
	all, reply, err := s.versions(ctx)
	switch {
	case errors.Is(err, errMissing):
		return reply.Verdict(revoke.Refused, "Key Vault has no such secret")
	case err != nil:
		v := inconclusive(err, c)
		v.RetryAfter = reply.RetryAfter
		return v
	}
	enabled, said := state(all)
	if enabled > 0 {
		return reply.Verdict(revoke.Alive, said)
	}
	return reply.Verdict(revoke.Refused, said)
}

func (p *provider) inspectVault(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	s, err := p.vaultSecret(ctx, c)
	if err != nil {
		return revoke.Exposure{}, fmt.Errorf("inspect %s: %w", c, err)
	}
	all, reply, err := s.versions(ctx)
	switch {
	case errors.Is(err, errMissing):
		return revoke.Exposure{Answer: reply.Text("Key Vault has no such secret")}, nil
	case err != nil:
		return revoke.Exposure{}, fmt.Errorf("inspect %s: %w", c, err)
	}
	_, said := state(all)
	return revoke.Exposure{Account: "vault " + c.Ref["vault"], Reach: []string{"whatever the secret " + c.Ref["name"] + " opens"}, Answer: reply.Text(said)}, nil
}

// setVault disables all versions of a secret, or enables those again that it disabled.
func (p *provider) setVault(ctx context.Context, c credential.Credential, on bool) (revoke.Receipt, error) {
	s, err := p.vaultSecret(ctx, c)
	if err != nil {
		return revoke.Receipt{}, err
	}
	all, reply, err := s.versions(ctx)
	r := revoke.Receipt{}
	if !on {
		r.Left = []string{"what the secret opens: a disabled version is not the end of its value, which whoever read it still has"}
	}
	switch {
	case errors.Is(err, errMissing) && !on:
		r.Already, r.Answer = true, reply.Text("Key Vault has no such secret")
		return r, nil
	case err != nil:
		return revoke.Receipt{}, err
	}
	for _, v := range all {
		_, ours := v.Tags[disabledTag]
		if *v.Attributes.Enabled == on || on && !ours {
			continue
		}
		tags, marked := p.tagged(v.Tags, on)
		if reply, err = s.set(ctx, v.name(), on, tags); err != nil {
			return revoke.Receipt{}, fmt.Errorf("version %s: %w", v.name(), err)
		}
		did := "disabled version "
		if on {
			did = "enabled version "
		}
		r.Did = append(r.Did, did+v.name()+" of "+c.Ref["vault"]+"/"+c.Ref["name"])
		if !marked {
			r.Left = append(r.Left, "version "+v.name()+" bears as many tags as it can: a person has to enable it again")
		}
	}
	r.Already, r.Answer = len(r.Did) == 0, reply.Text("")
	return r, nil
}

// tagged returns the tags that a version is to bear, and whether Undo will know it.
func (p *provider) tagged(tags map[string]string, on bool) (map[string]string, bool) {
	out := make(map[string]string)
	maps.Copy(out, tags)
	switch {
	case on:
		delete(out, disabledTag)
	case len(out) >= maxTags:
		return out, false
	default:
		out[disabledTag] = p.now().UTC().Format(time.RFC3339)
	}
	return out, true
}

// set enables or disables a version.
// https://learn.microsoft.com/rest/api/keyvault/secrets/update-secret/update-secret
func (s vaultSecret) set(ctx context.Context, name string, on bool, tags map[string]string) (wire.Reply, error) {
	body := map[string]any{"attributes": map[string]bool{"enabled": on}, "tags": tags}
	return s.change(ctx, http.MethodPatch, s.path+"/"+name, url.Values{"api-version": {vaultAPI}}, body, func(r wire.Reply) bool {
		var now version
		return r.Status == http.StatusOK && r.JSON(&now) && now.Attributes.Enabled != nil && *now.Attributes.Enabled == on
	})
}
