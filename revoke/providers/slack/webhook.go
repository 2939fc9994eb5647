package slack

import (
	"context"
	"net/http"
	"strings"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
)

// webhookProbe is no JSON, so that Slack cannot post it: a live webhook answers 400
// invalid_payload (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks and
// https://api.slack.com/changelog/2016-05-17-changes-to-errors-for-incoming-webhooks).
const webhookProbe = "not JSON: is this webhook still there?"

// webhookForm is the whole of an incoming webhook's address. What the host has in its place
// otherwise, such as another host or a path that climbs, is never called.
var webhookForm = lazyregexp.New(`\Ahttps://hooks\.slack\.com(/services/[A-Z0-9]{1,32}/[A-Z0-9]{1,32}/[A-Za-z0-9]{1,64})\z`)

// webhookGone are the refusals of the webhook itself, in plain text. Others, such as
// action_prohibited or channel_is_archived, forbid one message and not the webhook.
var webhookGone = map[string]bool{"invalid_token": true, "no_service": true, "no_service_id": true, "no_team": true, "team_disabled": true, "no_active_hooks": true}

func (p *provider) verifyWebhook(ctx context.Context, c credential.Credential) revoke.Verdict {
	m := webhookForm.FindStringSubmatch(c.Secret.Reveal("value"))
	if m == nil {
		return revoke.Verdict{Answer: "not probed: no incoming webhook's address, and a probe would start a workflow"}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.hooks+m[1], strings.NewReader(webhookProbe))
	if err != nil {
		return revoke.Verdict{Answer: "not probed: the endpoint makes no address"}
	}
	r.Header.Set("Content-Type", "application/json")
	a := p.send(r)
	said := strings.TrimSpace(string(a.body))
	v := revoke.Verdict{RetryAfter: a.after}
	switch {
	case a.err != nil:
		v.Answer = revoke.Answer(a.status, a.err.Error(), c.Secret)
		return v
	case a.status == http.StatusBadRequest && said == "invalid_payload":
		v.Outcome = revoke.Alive
	case (a.status == http.StatusBadRequest || a.status == http.StatusForbidden || a.status == http.StatusNotFound) && webhookGone[said]:
		v.Outcome = revoke.Refused
	}
	v.Answer = revoke.Answer(a.status, said, c.Secret)
	return v
}
