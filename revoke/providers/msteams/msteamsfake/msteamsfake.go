// Package msteamsfake is what Microsoft Teams shows to whoever posts to it by an address: incoming
// webhooks of connectors. Workflows it mints, and answers as they do.
//
// Sources: https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using,
// https://github.com/MicrosoftDocs/msteams-docs/issues/906 and
// https://github.com/trufflesecurity/trufflehog/tree/main/pkg/detectors/microsoftteamswebhook.
package msteamsfake

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

const (
	webhooks  = "outlook.webhook.office.com"
	workflows = "default0a1b2c.d3.environment.api.powerplatform.com"
)

// Fake is one tenant's Teams.
type Fake struct {
	knobs *fake.Knobs

	mu        sync.Mutex
	addresses map[string]*entry // by what arrives: the path, and for workflows the query
	messages  int               // posted by anyone
	runs      int               // of workflows
}

type entry struct {
	kind, label string
	life        fake.Revocation
}

// New returns Teams without any address.
func New(c fake.Clock) *Fake {
	return &Fake{knobs: fake.NewKnobs(c), addresses: make(map[string]*entry)}
}

func (f *Fake) Name() string       { return "msteams" }
func (f *Fake) Hosts() []string    { return []string{webhooks, workflows} }
func (f *Fake) Kinds() []string    { return []string{"msteams.webhook", "msteams.workflow"} }
func (f *Fake) Knobs() *fake.Knobs { return f.knobs }

// Mint makes an address of that kind. It panics on a kind that is not Teams'.
func (f *Fake) Mint(kind string) credential.Credential {
	var host, path string
	switch kind {
	case "msteams.webhook":
		host, path = webhooks, "/webhookb2/"+fake.GUID()+"@"+fake.GUID()+"/IncomingWebhook/"+fake.Hex(16)+"/"+fake.GUID()+"/V2"+fake.Pick(fake.Letters+"_-", 41)
	case "msteams.workflow":
		query := url.Values{"api-version": {"1"}, "sp": {"/triggers/manual/run"}, "sv": {"1.0"}, "sig": {fake.Pick(fake.Letters+"_-", 43)}}
		host, path = workflows, "/powerautomate/automations/direct/workflows/"+fake.Hex(16)+"/triggers/manual/paths/invoke?"+query.Encode()
	default:
		panic("msteamsfake cannot mint " + kind)
	}
	secret := credential.Value("https://" + host + path)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.addresses[path] = &entry{kind: kind, label: credential.Mask(kind, secret, nil)}
	return credential.Credential{Provider: "msteams", Kind: kind, Secret: secret}
}

// MintAuthority reports that there is none: a person ends what Teams gives out.
func (f *Fake) MintAuthority() (credential.Credential, bool) { return credential.Credential{}, false }

func (f *Fake) entry(c credential.Credential) *entry {
	value := c.Secret.Reveal("value")
	for _, host := range f.Hosts() {
		value = strings.TrimPrefix(value, "https://"+host)
	}
	return f.addresses[value]
}

// Alive reports whether the address takes what is posted.
func (f *Fake) Alive(c credential.Credential) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.entry(c)
	return e != nil && f.knobs.Works(e.life)
}

// RevokeByHand removes the connector from its channel, or deletes the flow.
func (f *Fake) RevokeByHand(c credential.Credential) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.entry(c); e != nil {
		f.knobs.Revoke(&e.life)
	}
}

// State renders the addresses and what was posted to them.
func (f *Fake) State() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var lines []string
	for _, e := range f.addresses {
		lines = append(lines, e.kind+" "+e.label+" "+e.life.String())
	}
	slices.Sort(lines)
	return strings.Join(append(lines, fmt.Sprintf("%d messages, %d runs", f.messages, f.runs)), "\n")
}

func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := fake.CallOf(r)
	call.Path, call.Action = "/webhookb2/", "post" // the rest is the secret
	f.knobs.Answer(w, r, call, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		f.mu.Lock()
		status, said := f.post(r, body, call)
		f.mu.Unlock()
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, said)
	})
}

func (f *Fake) post(r *http.Request, body []byte, call *fake.Call) (status int, said string) {
	path := r.URL.Path
	if r.URL.RawQuery != "" {
		path += "?" + r.URL.RawQuery
	}
	e := f.addresses[path]
	if e == nil {
		return http.StatusNotFound, ""
	}
	call.Credential = e.label
	var message struct {
		Text    string `json:"text"`
		Summary string `json:"summary"`
	}
	live := f.knobs.Live(&e.life)
	switch {
	case e.kind == "msteams.workflow" && live:
		f.runs++ // whatever was sent
		return http.StatusAccepted, ""
	case e.kind == "msteams.workflow":
		return http.StatusBadRequest, ""
	case !live:
		return http.StatusGone, ""
	case r.Method != http.MethodPost:
		return http.StatusBadRequest, "Invalid webhook request - GET not supported"
	case json.Unmarshal(body, &message) != nil:
		return http.StatusBadRequest, "Bad payload received by generic incoming webhook."
	case message.Text == "" && message.Summary == "":
		return http.StatusBadRequest, "Summary or Text is required."
	}
	f.messages++
	return http.StatusOK, "1"
}
