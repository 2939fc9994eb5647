package google

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
	"clawback/revoke/wire"
)

// What may become part of an address. A version is a number, or an alias that may move: of these
// none is changed. https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions
var (
	versionName  = lazyregexp.New(`\Aprojects/([0-9a-z][0-9a-z.:-]{0,62})/secrets/[0-9A-Za-z_-]{1,255}/versions/[0-9]{1,9}\z`)
	regionalName = lazyregexp.New(`\Aprojects/[0-9a-z][0-9a-z.:-]{0,62}/locations/[0-9a-z-]{1,40}/secrets/[0-9A-Za-z_-]{1,255}/versions/[0-9]{1,9}\z`)
)

const upstream = "the secret itself, wherever it is valid: the version only hands it out no more; revoke it there"

// version is a secret version as Secret Manager describes it.
type version struct {
	Name  string `json:"name"`
	State string `json:"state"` // ENABLED, DISABLED or DESTROYED
}

// versionOf returns the resource name of the version.
func versionOf(c credential.Credential) (string, error) {
	name := c.Ref["id"]
	switch {
	case versionName.MatchString(name):
		return name, nil
	case regionalName.MatchString(name):
		return "", fmt.Errorf("%w: a regional secret is reached in its region only", revoke.ErrManual)
	}
	return "", errors.New("its resource name (projects/…/secrets/…/versions/NUMBER) is not known")
}

// getVersion reads the state of the version under the authority.
func (p *provider) getVersion(ctx context.Context, c credential.Credential) (caller, version, wire.Reply, error) {
	name, err := versionOf(c)
	if err != nil {
		return caller{}, version{}, wire.Reply{}, err
	}
	who, err := p.responder(ctx, c)
	if err != nil {
		return caller{}, version{}, wire.Reply{}, err
	}
	r := p.secrets.Do(ctx, wire.Request{Method: http.MethodGet, Path: "/v1/" + name, Bearer: who.bearer, Hide: who.hide})
	v, ok := versionIn(r, name)
	switch {
	case missing(r):
		return who, version{State: "GONE"}, r, nil
	case !ok:
		return who, version{}, r, seen(r)
	}
	return who, v, r, nil
}

// versionIn reads a version. Google names its project by number, however it was asked for.
func versionIn(r wire.Reply, name string) (version, bool) {
	var v version
	_, asked, _ := strings.Cut(name, "/secrets/")
	ok := r.Status == http.StatusOK && r.JSON(&v) && strings.HasSuffix(v.Name, "/secrets/"+asked)
	return v, ok && (v.State == "ENABLED" || v.State == "DISABLED" || v.State == "DESTROYED")
}

func (p *provider) probeVersion(ctx context.Context, c credential.Credential) (revoke.Verdict, error) {
	_, v, r, err := p.getVersion(ctx, c)
	switch {
	case err != nil:
		return notAsked(err, c), err
	case v.State == "ENABLED":
		return r.Verdict(revoke.Alive, "Secret Manager shows the version ENABLED"), nil
	}
	return r.Verdict(revoke.Refused, "Secret Manager shows the version "+v.State), nil
}

func (p *provider) inspectVersion(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	v, err := p.probeVersion(ctx, c)
	if err != nil {
		return revoke.Exposure{}, err
	}
	return revoke.Exposure{Account: versionName.FindStringSubmatch(c.Ref["id"])[1], Answer: v.Answer}, nil
}

// disableVersion stops Secret Manager from handing the version out:
// https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/disable
func (p *provider) disableVersion(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	who, v, r, err := p.getVersion(ctx, c)
	receipt := revoke.Receipt{Left: []string{upstream}}
	switch {
	case err != nil:
		return revoke.Receipt{}, err
	case v.State != "ENABLED":
		receipt.Already, receipt.Answer = true, r.Text(v.State)
		return receipt, nil
	}
	if r, err = p.setVersion(ctx, who, c.Ref["id"], "disable", "DISABLED"); err != nil {
		return revoke.Receipt{}, err
	}
	receipt.Answer, receipt.Did = r.Text("DISABLED"), []string{"disabled " + c.Ref["id"]}
	return receipt, nil
}

func (p *provider) enableVersion(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	who, v, r, err := p.getVersion(ctx, c)
	switch {
	case err != nil:
		return revoke.Receipt{}, err
	case v.State == "ENABLED":
		return revoke.Receipt{Already: true, Answer: r.Text(v.State)}, nil
	case v.State != "DISABLED":
		return revoke.Receipt{}, errors.New(r.Text("the version is " + v.State + " and cannot be brought back"))
	}
	if r, err = p.setVersion(ctx, who, c.Ref["id"], "enable", "ENABLED"); err != nil {
		return revoke.Receipt{}, err
	}
	return revoke.Receipt{Answer: r.Text("ENABLED"), Did: []string{"enabled " + c.Ref["id"]}}, nil
}

// setVersion changes the state and wants to be told of the new one.
func (p *provider) setVersion(ctx context.Context, who caller, name, verb, state string) (wire.Reply, error) {
	r := p.secrets.Do(ctx, wire.Request{Method: http.MethodPost, Path: "/v1/" + name + ":" + verb, Bearer: who.bearer, Hide: who.hide, JSON: struct{}{}})
	if v, ok := versionIn(r, name); !ok || v.State != state {
		return r, unchanged(r)
	}
	return r, nil
}
