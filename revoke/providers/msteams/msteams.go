// Package msteams tells how the addresses end by which anybody posts to Microsoft Teams. A person ends
// them: no call does. An incoming webhook of a connector then proves its death itself, by a message
// without text; a workflow's address cannot be tried without running the workflow. The secret of a
// Teams bot is an application's, in Entra ID: see package azure.
package msteams

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
	"clawback/revoke/wire"
)

const (
	kindWebhook  = "msteams.webhook"
	kindWorkflow = "msteams.workflow"
)

type provider struct{ env revoke.Env }

// New makes the provider. It sends nothing.
func New(env revoke.Env) (revoke.Provider, error) {
	if _, err := wire.New(env, "https://webhook.office.com"); err != nil {
		return nil, fmt.Errorf("msteams: %w", err)
	}
	return &provider{env}, nil
}

// retirement is where Microsoft tells when connectors stop.
const retirement = "https://devblogs.microsoft.com/microsoft365dev/retirement-of-office-365-connectors-within-microsoft-teams/"

func (p *provider) Info() revoke.Info {
	return revoke.Info{
		Name: "msteams", Title: "Microsoft Teams",
		Kinds: []revoke.KindInfo{webhookInfo, workflowInfo},
		Reads: []revoke.Read{
			{Method: "POST", Path: "/webhookb2/*/IncomingWebhook/*/*", Body: probe},
			{Method: "POST", Path: "/webhookb2/*/IncomingWebhook/*/*/*", Body: probe},
		},
		Hosts: []string{"outlook.webhook.office.com"}, // and each TENANT.webhook.office.com
	}
}

var webhookInfo = revoke.KindInfo{
	Kind: kindWebhook, Manual: true, Link: "https://teams.microsoft.com/",
	Steps: []string{
		"Open Teams, the channel that the webhook posts to, More options (…), Manage channel, Connectors, Edit. Who does not know the channel looks in each team's.",
		"Under Configured open Incoming Webhook, Manage, and Remove the one in question. Its address shows under Manage.",
		"Microsoft is retiring these connectors, so that it may have stopped by itself: see " + retirement + ". What needs the messages gets a workflow instead, with an address that stays off the host.",
		"Then mark this as done: the address is probed, by a message without text, until Teams has refused it long enough.",
	},
	Effect: "whatever posts by this address stops",
	Propagation: revoke.Propagation{
		Budget: 2 * time.Minute, Every: 10 * time.Second,
		Source: "clawback's own margin: https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook names no time",
	},
	Source: "https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook#remove-an-incoming-webhook",
}

var workflowInfo = revoke.KindInfo{
	Kind: kindWorkflow, Manual: true, Link: "https://make.powerautomate.com/",
	Unverifiable: "whatever is sent to a workflow's address runs the workflow",
	Steps: []string{
		"Open the link as the workflow's owner, My flows, and find the flow that begins with \"When a Teams webhook request is received\" or \"When an HTTP request is received\". Its trigger shows the address. Not yours: an administrator finds it at https://admin.powerplatform.microsoft.com/.",
		"Delete the flow, or turn it off. Saving it anew does not change its address. Make a new one where it is needed, and keep its address off the host.",
		"An address at logic.azure.com may also be a Logic App's: in https://portal.azure.com/ open it and regenerate its access keys under Settings.",
		"Look at the flow's run history for runs that are not yours.",
		"Then mark this as done. It stays unverified: to try the address would run the workflow.",
	},
	Effect: "whatever starts the workflow by this address stops",
	Source: "https://learn.microsoft.com/power-automate/disable-flow",
}

func (p *provider) Revoke(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	err := ctx.Err()
	switch {
	case c.Kind != kindWebhook && c.Kind != kindWorkflow:
		err = unknownKind(c)
	case err == nil:
		err = revoke.ErrManual
	}
	return revoke.Receipt{}, fmt.Errorf("revoke %s: %w", c, err)
}

func unknownKind(c credential.Credential) error {
	return fmt.Errorf("msteams has no credentials of the kind %q", c.Kind)
}

// probe is a message that cannot be posted, for want of a text.
const probe = `{"text":""}`

// address is the whole of an incoming webhook's address. What the host has in its place otherwise, such
// as another host, another connector or a path that climbs, is never called.
var address = lazyregexp.New(`\A(https://[0-9a-z](?:[0-9a-z-]{0,61}[0-9a-z])?\.webhook\.office\.com)` +
	`(/webhookb2/` + guid + `@` + guid + `/IncomingWebhook/[0-9a-zA-Z]{32}/` + guid + `(?:/[0-9a-zA-Z_-]{1,100})?)\z`)

const guid = `[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}`

var (
	errWorkflow = errors.New("not probed: whatever is sent there runs it")
	errAddress  = errors.New("not probed: no address of an incoming webhook")
)

// ask posts the probe.
func (p *provider) ask(ctx context.Context, c credential.Credential) (wire.Reply, error) {
	switch c.Kind {
	case kindWebhook:
	case kindWorkflow:
		return wire.Reply{}, errWorkflow
	default:
		return wire.Reply{}, unknownKind(c)
	}
	m := address.FindStringSubmatch(c.Secret.Reveal("value"))
	if m == nil {
		return wire.Reply{}, errAddress
	}
	client, err := wire.New(p.env, m[1])
	if err != nil {
		return wire.Reply{}, err
	}
	return client.Do(ctx, wire.Request{
		Method: http.MethodPost, Path: m[2], Body: probe, Header: http.Header{"Content-Type": {"application/json"}}, Hide: c.Secret,
	}), nil
}

// outcome reads what Teams said to the probe. A live webhook wants a text, as trufflehog found
// (https://github.com/trufflesecurity/trufflehog/tree/main/pkg/detectors/microsoftteamswebhook); one
// that was removed is gone, as Microsoft says (https://github.com/MicrosoftDocs/msteams-docs/issues/906).
// A 404 is told by nobody, and so proves nothing.
func outcome(r wire.Reply) revoke.Outcome {
	said := strings.TrimSpace(string(r.Body))
	switch {
	case r.Status == http.StatusBadRequest && len(said) < 200 && strings.Contains(said, "Text is required"):
		return revoke.Alive
	case r.Status == http.StatusOK && said == "1": // posted, against all that is known
		return revoke.Alive
	case r.Status == http.StatusGone && r.Err == nil && !strings.HasPrefix(said, "<"):
		return revoke.Refused
	}
	return revoke.Inconclusive
}

func (p *provider) Verify(ctx context.Context, c credential.Credential) revoke.Verdict {
	r, err := p.ask(ctx, c)
	if err != nil {
		return revoke.Verdict{Answer: revoke.Answer(0, err.Error(), c.Secret)}
	}
	return r.Verdict(outcome(r), string(r.Body))
}

func (p *provider) Inspect(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	r, err := p.ask(ctx, c)
	o := outcome(r)
	if err == nil && o == revoke.Inconclusive {
		if err = r.Err; err == nil {
			err = errors.New(r.Text(string(r.Body)))
		}
	}
	if err != nil {
		return revoke.Exposure{}, fmt.Errorf("inspect %s: %w", c, err)
	}
	e := revoke.Exposure{Answer: r.Text(string(r.Body))}
	if o == revoke.Alive {
		e.Reach = []string{"post messages to one channel"}
	}
	return e, nil
}
