package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"clawback/forensics/incident"
)

func exitCodesTopic() *cobra.Command {
	topic := &cobra.Command{Use: "exit-codes", Short: "What each exit code means", Args: noArgs}
	topic.SetHelpFunc(func(c *cobra.Command, _ []string) {
		w := tabwriter.NewWriter(c.OutOrStdout(), 0, 8, 2, ' ', 0)
		for _, e := range incident.ExitCodes {
			note := ""
			if e.Refusal {
				note = " (nothing ran)"
			}
			fmt.Fprintf(w, "%d\t%s%s\n", e.Code, e.Meaning, note)
		}
		_ = w.Flush()
		fmt.Fprint(c.OutOrStdout(), "\n"+exitCodesNote)
	})
	topic.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	return topic
}

// exitCodesNote is what the table does not say of single commands.
const exitCodesNote = `revoke has no agent and no evidence: 0 says that every credential is proved dead.
recheck ends with how the credentials stand, whatever became of the rest: 0, 3, 5 or 6;
1 where nothing was kept with which one could be asked about. With --forget: 0 wiped, 1 nothing was kept.
providers --check ends with 4 where an authority cannot be used, or none is named.
inventory review ends with 3 where something is overdue.
`

func configTopic() *cobra.Command {
	topic := &cobra.Command{Use: "config", Short: "What clawback.yaml can hold", Args: noArgs}
	topic.SetHelpFunc(func(c *cobra.Command, _ []string) {
		fmt.Fprint(c.OutOrStdout(), configIntro+"\n"+configHelp+isolationHelp+cloudHelp+kubernetesHelp+brokerHelp+evidenceHelp+settingsHelp+inventoryHelp+witnessHelp)
	})
	topic.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	return topic
}

const configIntro = `clawback.yaml, at the desk alone. It holds no secret, only where each one is kept. It has to belong
to you or root, and nobody else may be able to change it. All of it can be left out.
`

const configHelp = `responder: alice            # who the record names
authorities:                # your own credentials, for what cannot revoke itself: loaded anew each time,
                            # so that one that ran out can be renewed in the middle of a run
  aws: {aws_profile: responder}        # keys, an assumed role or single sign-on, in place of kind and parts
  azure:
    kind: azure.access_token           # clawback providers lists the kinds
    parts: {value: {login: az}, management: {login: az-management}}   # of the Azure CLI: az login; the
                                       # second is for isolation: {cloud: …} alone
  google:
    kind: google.access_token
    parts: {value: {login: gcloud}}    # of the Google Cloud CLI: gcloud auth login
  stripe:
    kind: stripe.api_key
    parts: {value: {vault: secret/responder/stripe#key}}   # by the vault CLI, which is logged in
  gitlab:
    kind: gitlab.pat
    parts: {value: {command: [/usr/bin/pass, show, responder/gitlab]}}   # what a program prints, within 30 s
  vault:
    kind: vault.token
    parts: {value: {file: /etc/clawback/vault-token}}      # yours or root's, and nobody else may change it
  oauth2:
    kind: oauth2.access_token
    parts:
      client_id: {env: SSO_CLIENT_ID}
      client_secret: {env: SSO_CLIENT_SECRET}
endpoints:                  # only what stands here, or is compiled in, is ever called
  github: https://github.example.com/api/v3
  gitlab: {url: https://gitlab.example.com, ca: /etc/clawback/ca.pem}   # that CA alone is trusted there
  vault: {url: https://vault.example.com:8200, ca: /etc/clawback/ca.pem}
  conjur: https://conjur.example.com
ssh_config: /etc/clawback/ssh_config   # instead of your own, for --host
hosts: [root@web-1, root@web-2]        # that may be responded to over a forced command of sshd
playbooks: [/etc/clawback/ours.yaml]   # of your own, that clawback alone on a terminal offers as well
theme: dark                            # of the console, or light; default: as COLORFGBG says, else your terminal's own colours
allowed_signers: /etc/clawback/allowed_signers   # who may approve and note, as in ssh-keygen(1); responder: has to be one of them
roles: {commander: alice, scribe: bob, communications: carol, legal: dan}
`

// settingsHelp has every setting that a provider takes; a test holds it to that.
const settingsHelp = `settings:                   # of providers, all of them optional: clawback providers checks them
  aws:
    delete_passwords: false            # take the console password of a user who is denied, for good
    organization:                      # deny it there too: in a policy that you made and attached in quiet times,
      policy: p-examplepolicy          # by who may change it, in the words of a credential process
      authority: {command: [/usr/local/bin/aws, configure, export-credentials, --profile, organization]}
  azure:
    tenant: example.onmicrosoft.com    # of the authority, where it does not name its own
    client_id: 00000000-0000-0000-0000-000000000000
    disable_principal: false           # disable the application instead of removing its secret: can be undone
    strip_permissions: false           # take the application's permissions away too: nothing gives them back
  google:
    disable_service_accounts: false    # disable the account of a key too: ends what the key minted before
    oauth_clients: {123-abc.apps.googleusercontent.com: {env: OPENCLAW_CLIENT_SECRET}}   # where its secret is kept, as
                                       # of authorities: a refresh token proves its death only to the client that it was issued to
  github: {client_id: Iv1.0123456789abcdef}   # of your own App, with part client_secret of authorities.github: what
                                       # it was granted ends as a whole
  gitlab:
    end_rotated: false                 # end what a token was rotated into, even where nobody here saw that alive
  vault:
    namespace: team-a                  # empty is the root namespace
    approle_mount: approle
    approle_roles: [openclaw]          # roles of agents alone: all tokens of theirs are revoked
    pki_mount: pki
    lease_prefixes: [database/creds/openclaw]   # leased by agents alone: revoked, and looked for again
  conjur: {account: example}           # of the organization
  slack: {uninstall: false}            # uninstall the app with its first token, by its client secret: all of its tokens die
  stripe:
    client_id: ca_0123456789abcdef     # of your platform in Connect
    hold_payouts: false                # set the payouts of connected accounts to manual
    preview_expire: false              # end API keys by a call in private preview, in place of a person,
    preview_version: ""                # with the API version that Stripe named to the account for it
  whatsapp: {deregister: ["10203040506070809"]}   # ids of phone numbers to take off the API: back takes their PIN
  oauth2:                              # any OAuth 2.0 server, by a name of yours
    sso:
      revocation: https://sso.example.com/oauth2/revoke            # RFC 7009
      introspection: https://sso.example.com/oauth2/introspect     # RFC 7662
      probe: https://api.example.com/me                            # what an access token can GET
      client_id: openclaw              # empty: part client_id of authorities.oauth2
      client_secret: client_secret     # the part of authorities.oauth2 that holds it; empty: a public client
      auth: basic                      # or post
      match: .*\.example\.com          # of a whole token, or of the host that it was used at
      propagation: 2m                  # how long what a resource server looked up before may be in use
  custom:                              # an internal API, by a name of yours: {secret}, {authority}, {ref.NAME}
    crm:                               # and their parts, as {secret.login}, stand for what is known of one
      match: crm_[0-9a-f]{40}
      revoke:
        method: DELETE
        url: https://crm.example.com/api/tokens/{secret}
        basic: {user: "{authority.user}", password: "{authority}"}   # or headers:, body:
        accepted: [{status: 204, empty: true}]
        already: [{status: 404, field: error, equals: no_such_token}]
        unauthorized: [{status: 401, field: error}]
      verify:                          # which changes nothing; a status alone proves nothing
        method: GET
        url: https://crm.example.com/api/me
        headers: {Authorization: "Bearer {secret}"}
        dead: [{status: 401, field: error, equals: invalid_token}]
        alive: [{status: 200, field: user.login}]   # or text:
        owner: user.login
      propagation: 1m
`
