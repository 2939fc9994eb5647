// Package providers lists every provider that clawback has: one line each.
package providers

import (
	"fmt"
	"net/http"
	"slices"

	"clawback/revoke"
	"clawback/revoke/fake"
	"clawback/revoke/providers/aws"
	"clawback/revoke/providers/aws/awsfake"
	"clawback/revoke/providers/azure"
	"clawback/revoke/providers/azure/azurefake"
	"clawback/revoke/providers/bitbucket"
	"clawback/revoke/providers/bitbucket/bitbucketfake"
	"clawback/revoke/providers/braintree"
	"clawback/revoke/providers/braintree/braintreefake"
	"clawback/revoke/providers/conjur"
	"clawback/revoke/providers/conjur/conjurfake"
	"clawback/revoke/providers/custom"
	"clawback/revoke/providers/custom/customfake"
	"clawback/revoke/providers/discord"
	"clawback/revoke/providers/discord/discordfake"
	"clawback/revoke/providers/github"
	"clawback/revoke/providers/github/githubfake"
	"clawback/revoke/providers/gitlab"
	"clawback/revoke/providers/gitlab/gitlabfake"
	"clawback/revoke/providers/google"
	"clawback/revoke/providers/google/googlefake"
	"clawback/revoke/providers/msteams"
	"clawback/revoke/providers/msteams/msteamsfake"
	"clawback/revoke/providers/oauth2"
	"clawback/revoke/providers/oauth2/oauth2fake"
	"clawback/revoke/providers/slack"
	"clawback/revoke/providers/slack/slackfake"
	"clawback/revoke/providers/stripe"
	"clawback/revoke/providers/stripe/stripefake"
	"clawback/revoke/providers/telegram"
	"clawback/revoke/providers/telegram/telegramfake"
	"clawback/revoke/providers/vault"
	"clawback/revoke/providers/vault/vaultfake"
	"clawback/revoke/providers/whatsapp"
	"clawback/revoke/providers/whatsapp/whatsappfake"
)

var all = []struct {
	name string
	new  revoke.New
	fake func(fake.Clock) fake.Provider
}{
	{"aws", aws.New, func(c fake.Clock) fake.Provider { return awsfake.New(c) }},
	{"azure", azure.New, func(c fake.Clock) fake.Provider { return azurefake.New(c) }},
	{"bitbucket", bitbucket.New, func(c fake.Clock) fake.Provider { return bitbucketfake.New(c) }},
	{"braintree", braintree.New, func(c fake.Clock) fake.Provider { return braintreefake.New(c) }},
	{"conjur", conjur.New, func(c fake.Clock) fake.Provider { return conjurfake.New(c) }},
	{"custom", custom.New, func(c fake.Clock) fake.Provider { return customfake.New(c) }},
	{"discord", discord.New, func(c fake.Clock) fake.Provider { return discordfake.New(c) }},
	{"github", github.New, func(c fake.Clock) fake.Provider { return githubfake.New(c) }},
	{"gitlab", gitlab.New, func(c fake.Clock) fake.Provider { return gitlabfake.New(c) }},
	{"google", google.New, func(c fake.Clock) fake.Provider { return googlefake.New(c) }},
	{"msteams", msteams.New, func(c fake.Clock) fake.Provider { return msteamsfake.New(c) }},
	{"oauth2", oauth2.New, func(c fake.Clock) fake.Provider { return oauth2fake.New(c) }},
	{"slack", slack.New, func(c fake.Clock) fake.Provider { return slackfake.New(c) }},
	{"stripe", stripe.New, func(c fake.Clock) fake.Provider { return stripefake.New(c) }},
	{"telegram", telegram.New, func(c fake.Clock) fake.Provider { return telegramfake.New(c) }},
	{"vault", vault.New, func(c fake.Clock) fake.Provider { return vaultfake.New(c) }},
	{"whatsapp", whatsapp.New, func(c fake.Clock) fake.Provider { return whatsappfake.New(c) }},
}

// Names lists the providers, sorted.
func Names() []string {
	names := make([]string, len(all))
	for i, p := range all {
		names[i] = p.name
	}
	slices.Sort(names)
	return names
}

// New makes every provider in its environment.
func New(env func(name string) revoke.Env) (map[string]revoke.Provider, error) {
	made := make(map[string]revoke.Provider, len(all))
	for _, p := range all {
		provider, err := p.new(env(p.name))
		if err != nil {
			return nil, fmt.Errorf("provider %s: %w", p.name, err)
		}
		made[p.name] = provider
	}
	return made, nil
}

// Readers makes every provider such that it can look and not touch: whatever it is asked to do,
// nothing leaves but its declared reads.
func Readers(env func(name string) revoke.Env) (map[string]revoke.Provider, error) {
	whole, err := New(env)
	if err != nil {
		return nil, err
	}
	return New(func(name string) revoke.Env {
		e := env(name)
		next := e.HTTP.Transport
		if next == nil {
			next = http.DefaultTransport
		}
		client := *e.HTTP
		client.Transport = revoke.ReadOnly(next, whole[name].Info().Reads, e.Endpoint)
		e.HTTP = &client
		return e
	})
}

// Fakes makes the simulated server of every provider.
func Fakes(c fake.Clock) []fake.Provider {
	fakes := make([]fake.Provider, len(all))
	for i, p := range all {
		fakes[i] = p.fake(c)
	}
	return fakes
}
