package google

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
	"clawback/revoke/wire"
)

var (
	apiKeyForm = lazyregexp.New(`\AAIza[0-9A-Za-z_-]{35}\z`)
	// authKeyForm is a key that is bound to a service account: https://ai.google.dev/gemini-api/docs/api-key
	authKeyForm = lazyregexp.New(`\AAQ\.[0-9A-Za-z_-]{30,200}\z`)
	// apiKeyName is a resource name as Google gives it, which becomes part of an address.
	apiKeyName    = lazyregexp.New(`\Aprojects/[0-9a-z][0-9a-z.:-]{0,62}/locations/global/keys/[0-9A-Za-z-]{1,64}\z`)
	operationName = lazyregexp.New(`\Aoperations/.`)
)

var errNoAPIKey = errors.New("its value is not known, or is no API key")

// baselinePatience is how long a deletion waits for a look at the key beforehand.
const baselinePatience = 2 * time.Second

// resource is a key as the API Keys API describes it:
// https://cloud.google.com/api-keys/docs/reference/rest/v2/projects.locations.keys
type resource struct {
	Name         string `json:"name"`
	Deleted      string `json:"deleteTime"`
	Account      string `json:"serviceAccountEmail"` // that the key is bound to
	Restrictions struct {
		Targets []struct {
			Service string `json:"service"`
		} `json:"apiTargets"`
	} `json:"restrictions"`
}

// keyOf returns the value of an API key that can be asked about.
func keyOf(c credential.Credential) (string, error) {
	key := c.Secret.Reveal("value")
	if !apiKeyForm.MatchString(key) && !authKeyForm.MatchString(key) {
		return "", errNoAPIKey
	}
	return key, nil
}

// probeAPIKey lists the languages that the Translation API knows, which costs nothing. Google looks at
// the key before it looks at what the key is for: one that may not call this API is told so by a 403,
// one that does not exist is API_KEY_INVALID, at this API too (https://github.com/vivet/GoogleApi/issues/375).
// https://github.com/googleapis/googleapis/blob/master/google/api/error_reason.proto
//
// Keys that are bound to a service account are made for the Gemini API, which lists its models to
// them. What it says of them is not settled: some that exist are invalid to it, too
// (https://discuss.ai.google.dev/t/176177). A refusal counts only where it took the key before.
func (p *provider) probeAPIKey(ctx context.Context, c credential.Credential) (revoke.Verdict, error) {
	key, err := keyOf(c)
	if err != nil {
		return notAsked(err, c), err
	}
	bound := authKeyForm.MatchString(key)
	at, q := p.languages, wire.Request{Method: http.MethodGet, Path: "/language/translate/v2/languages", Hide: c.Secret}
	if bound {
		at, q.Path, q.Query = p.models, "/v1beta/models", url.Values{"pageSize": {"1"}}
	}
	q.Header = http.Header{"X-Goog-Api-Key": {key}}
	r := at.Do(ctx, q)
	f, isRefusal := refused(r)
	switch {
	case lists(r):
		p.accept(key)
		return r.Verdict(revoke.Alive, "takes the key"), nil
	case !isRefusal:
	case r.Status == http.StatusBadRequest && f.because("API_KEY_INVALID"):
		if bound && !p.accepted(key) {
			return r.Verdict(revoke.Inconclusive, "API_KEY_INVALID: says Google also to live keys of this format, and it was not seen alive"), nil
		}
		return r.Verdict(revoke.Refused, "API_KEY_INVALID: "+f.Error.Message), nil
	case f.because("CONSUMER_SUSPENDED"), f.because("CONSUMER_INVALID"): // its project may come back, and the key with it
	case r.Status == http.StatusForbidden && f.Error.Status == "PERMISSION_DENIED":
		p.accept(key)
		return r.Verdict(revoke.Alive, said(r)), nil
	}
	return r.Verdict(revoke.Inconclusive, said(r)), nil
}

// lists reports whether the answer is a list of languages, or of models.
func lists(r wire.Reply) bool {
	var list struct {
		Data struct {
			Languages []struct {
				Language string `json:"language"`
			} `json:"languages"`
		} `json:"data"`
		Models []struct {
			Name string `json:"name"`
		} `json:"models"`
	}
	if r.Status != http.StatusOK || !r.JSON(&list) {
		return false
	}
	if all := list.Data.Languages; len(all) > 0 {
		return all[0].Language != ""
	}
	return len(list.Models) > 0 && strings.HasPrefix(list.Models[0].Name, "models/")
}

// Remember takes in that an API key was seen alive.
func (p *provider) Remember(c credential.Credential) {
	if key, err := keyOf(c); err == nil {
		p.accept(key)
	}
}

func (p *provider) accept(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.worked[sha256.Sum256([]byte(key))] = true
}

func (p *provider) accepted(key string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.worked[sha256.Sum256([]byte(key))]
}

func (p *provider) inspectAPIKey(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	v, err := p.probeAPIKey(ctx, c)
	if err == nil && v.Outcome != revoke.Alive {
		err = told(ctx, v)
	}
	if err != nil {
		return revoke.Exposure{}, err
	}
	e := revoke.Exposure{Answer: v.Answer}
	who, err := p.responder(ctx, c)
	if err != nil { // what it reaches is for the authority to see
		return e, nil
	}
	k, project, _, err := p.lookUp(ctx, who, c)
	if err != nil || k.Name == "" {
		return e, nil
	}
	e.Account, e.Owner = project, revoke.Answer(0, k.Account, who.hide)
	for _, t := range k.Restrictions.Targets[:min(len(k.Restrictions.Targets), 50)] {
		e.Reach = append(e.Reach, revoke.Answer(0, t.Service, who.hide))
	}
	if len(k.Restrictions.Targets) == 0 {
		e.Reach = []string{"every API of its project that takes a key"}
	}
	return e, nil
}

// lookUp finds the key that has this value, under the authority. The result has no name where the key
// was purged: https://cloud.google.com/api-keys/docs/reference/rest/v2/keys/lookupKey
func (p *provider) lookUp(ctx context.Context, who caller, c credential.Credential) (k resource, project string, r wire.Reply, err error) {
	r = p.apiKeys.Do(ctx, wire.Request{
		Method: http.MethodGet, Path: "/v2/keys:lookupKey", Bearer: who.bearer, Hide: who.hide,
		Query: url.Values{"keyString": {c.Secret.Reveal("value")}},
	})
	var found struct {
		Parent string `json:"parent"`
		Name   string `json:"name"`
	}
	if r.Status != http.StatusOK || !r.JSON(&found) || !strings.HasPrefix(found.Parent, "projects/") {
		return k, "", r, seen(r)
	}
	project = r.Show(strings.TrimSuffix(strings.TrimPrefix(found.Parent, "projects/"), "/locations/global"))
	if found.Name == "" {
		return k, project, r, nil
	}
	if !apiKeyName.MatchString(found.Name) {
		return k, "", r, errors.New("the name that Google has for the key makes no address")
	}
	r = p.apiKeys.Do(ctx, wire.Request{Method: http.MethodGet, Path: "/v2/" + found.Name, Bearer: who.bearer, Hide: who.hide})
	if r.Status != http.StatusOK || !r.JSON(&k) || k.Name != found.Name {
		return resource{}, "", r, seen(r)
	}
	return k, project, r, nil
}

// found asks the authority about the key.
func (p *provider) found(ctx context.Context, c credential.Credential) (caller, resource, wire.Reply, error) {
	if _, err := keyOf(c); err != nil {
		return caller{}, resource{}, wire.Reply{}, err
	}
	who, err := p.responder(ctx, c)
	if err != nil {
		return caller{}, resource{}, wire.Reply{}, err
	}
	k, _, r, err := p.lookUp(ctx, who, c)
	return who, k, r, err
}

// deleteAPIKey deletes the key; it can be brought back for 30 days:
// https://cloud.google.com/api-keys/docs/reference/rest/v2/projects.locations.keys/delete
func (p *provider) deleteAPIKey(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	who, k, r, err := p.found(ctx, c)
	switch {
	case err != nil:
		return revoke.Receipt{}, err
	case k.Name == "":
		return revoke.Receipt{Already: true, Answer: r.Text("the key was purged")}, nil
	case k.Deleted != "":
		return revoke.Receipt{Already: true, Answer: r.Text("deleted at " + k.Deleted)}, nil
	}
	if authKeyForm.MatchString(c.Secret.Reveal("value")) && !p.accepted(c.Secret.Reveal("value")) {
		p.baseline(ctx, c)
	}
	r = p.apiKeys.Do(ctx, wire.Request{Method: http.MethodDelete, Path: "/v2/" + k.Name, Bearer: who.bearer, Hide: who.hide})
	if !begun(r) {
		return revoke.Receipt{}, unchanged(r)
	}
	receipt := revoke.Receipt{Answer: r.Text("keys.delete"), Did: []string{"deleted API key " + k.Name}}
	if k.Account != "" {
		receipt.Left = []string{r.Show("service account " + k.Account + ", as which the key acted, keeps its roles and other keys")}
	}
	return receipt, nil
}

// baseline looks whether the key works while it still can: its death shows to none who did not.
func (p *provider) baseline(ctx context.Context, c credential.Credential) {
	ctx, cancel := context.WithTimeout(ctx, baselinePatience)
	defer cancel()
	_, _ = p.probeAPIKey(ctx, c)
}

func (p *provider) undeleteAPIKey(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	who, k, r, err := p.found(ctx, c)
	switch {
	case err != nil:
		return revoke.Receipt{}, err
	case k.Name == "":
		return revoke.Receipt{}, errors.New(r.Text("the key was purged and cannot be brought back"))
	case k.Deleted == "":
		return revoke.Receipt{Already: true, Answer: r.Text("the key is not deleted")}, nil
	}
	r = p.apiKeys.Do(ctx, wire.Request{Method: http.MethodPost, Path: "/v2/" + k.Name + ":undelete", Bearer: who.bearer, Hide: who.hide, JSON: struct{}{}})
	if !begun(r) {
		return revoke.Receipt{}, unchanged(r)
	}
	return revoke.Receipt{Answer: r.Text("keys.undelete"), Did: []string{"undeleted API key " + k.Name}}, nil
}

// begun reports whether the answer is an operation that did not fail: the API Keys API answers with
// one that may still be under way. What it does is for the probes to see.
func begun(r wire.Reply) bool {
	var o struct {
		Name  string         `json:"name"`
		Error map[string]any `json:"error"`
	}
	return r.Status == http.StatusOK && r.JSON(&o) && operationName.MatchString(o.Name) && o.Error == nil
}
