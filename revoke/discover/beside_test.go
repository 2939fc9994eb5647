package discover

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"clawback/revoke/credential"
)

// guid makes an identifier as Entra has them.
func guid() string {
	h := secret()
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:32]
}

// details renders what a provider needs beside the value.
func details(f Found) string {
	var all []string
	for _, p := range f.Secret.Parts() {
		all = append(all, p+"="+f.Secret.Reveal(p))
	}
	for _, k := range slices.Sorted(maps.Keys(f.Ref)) {
		all = append(all, k+":"+f.Ref[k])
	}
	return f.Kind + " " + strings.Join(all, " ") + " of " + f.Owner
}

// What its provider needs to try and revoke a secret is taken from beside it.
func TestBeside(t *testing.T) {
	v, w, x := secret(), secret(), secret()
	app, tenant, user := guid(), guid(), guid()
	pem := "-----BEGIN PRIVATE KEY-----\n" + v + "\n-----END PRIVATE KEY-----\n"
	account, _ := json.Marshal(map[string]string{"type": "service_account", "private_key": pem, "private_key_id": w, "client_email": "a@p.example"})
	jwt := "eyJhbGciOiJub25lIn0." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"system:serviceaccount:ns:claw"}`)) + ".c2ln"
	refresh := "1//0" + v + w
	for name, c := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"a user's login of gcloud": {
			map[string]string{"home/u/.config/gcloud/application_default_credentials.json": `{"type":"authorized_user","client_id":"c.apps.example","client_secret":"` + x + `","refresh_token":"` + refresh + `"}`},
			[]string{"google.refresh_token client_id=c.apps.example client_secret=" + x + " value=" + refresh + " of "},
		},
		"the same where less is told": {
			map[string]string{
				"home/u/.config/gcloud/application_default_credentials.json": `{"client_id":"c.apps.example","refresh_token":"` + refresh + `"}`,
				"home/u/.pypirc":              "[x]\npassword = " + refresh,
				state + "workspace/notes.txt": "the client is c.apps.example, the token " + refresh,
			},
			slices.Repeat([]string{"google.refresh_token client_id=c.apps.example value=" + refresh + " of "}, 3),
		},
		"a service account": {
			map[string]string{"home/u/.config/gcloud/application_default_credentials.json": string(account)},
			[]string{"google.service_account value=" + pem + " id:" + w + " of a@p.example"},
		},
		"the same in a channel": {
			map[string]string{state + "openclaw.json": `{"channels":{"googlechat":{"serviceAccount":` + string(account) + `}}}`},
			[]string{"google.service_account value=" + pem + " id:" + w + " of a@p.example"},
		},
		"the same as text and in a file": {
			map[string]string{state + "openclaw.json": fmt.Sprintf(`{"channels":{"googlechat":{"serviceAccount":%q,"accounts":{"b":{"serviceAccountFile":"/srv/sa.json"}}}}}`, account), "srv/sa.json": string(account)},
			slices.Repeat([]string{"google.service_account value=" + pem + " id:" + w + " of a@p.example"}, 2),
		},
		"a service principal": {
			map[string]string{"home/u/.azure/service_principal_entries.json": fmt.Sprintf(`[{"client_id":%q,"tenant":%q,"client_secret":%q}]`, app, tenant, v)},
			[]string{"azure.client_secret value=" + v + " client_id:" + app + " tenant:" + tenant + " of "},
		},
		"its certificate": {
			map[string]string{"home/u/.azure/service_principal_entries.json": fmt.Sprintf(`[{"client_id":%q,"tenant":%q,"certificate":"/home/u/sp.pem"}]`, app, tenant), "home/u/sp.pem": pem},
			[]string{"azure.certificate value=" + strings.TrimSpace(pem) + " client_id:" + app + " tenant:" + tenant + " of "},
		},
		"its certificate in place": {
			map[string]string{"home/u/.azure/service_principal_entries.json": fmt.Sprintf(`[{"client_id":%q,"tenant":%q,"certificate":%q}]`, app, tenant, pem)},
			[]string{"azure.certificate value=" + pem + " client_id:" + app + " tenant:" + tenant + " of "},
		},
		"az's cache of tokens": {
			map[string]string{"home/u/.azure/msal_token_cache.json": fmt.Sprintf(`{"Account":{"k":{"home_account_id":"%s.%s","username":"ada@corp.example"}},"RefreshToken":{"k":{"home_account_id":"%s.%s","client_id":%q,"secret":%q}}}`, user, tenant, user, tenant, app, v)},
			[]string{"azure.refresh_token value=" + v + " client_id:" + app + " home_account_id:" + user + "." + tenant + " tenant:" + tenant + " of ada@corp.example"},
		},
		"the Teams channel": {
			map[string]string{state + "openclaw.json": fmt.Sprintf(`{"channels":{"msteams":{"appId":%q,"tenantId":%q,"appPassword":%q}}}`, app, tenant, v)},
			[]string{"azure.client_secret value=" + v + " client_id:" + app + " tenant:" + tenant + " of "},
		},
		"Azure's variables": {
			map[string]string{state + ".env": "AZURE_CLIENT_ID=" + app + "\nAZURE_TENANT_ID=" + tenant + "\nAZURE_CLIENT_SECRET=" + v + "\nAZURE_CLIENT_SECRET_2=" + w + "\nAZURE_CLIENT_ID_2=" + user + "\n"},
			[]string{"azure.client_secret value=" + v + " client_id:" + app + " tenant:" + tenant + " of ", "azure.client_secret value=" + w + " client_id:" + user + " of "},
		},
		"an AppRole in variables": {
			map[string]string{state + ".env": "VAULT_ROLE_ID=" + app + "\nVAULT_SECRET_ID=" + user + "\n"},
			[]string{"vault.approle_secret_id role_id=" + app + " secret_id=" + user + " of "},
		},
		"an AppRole in files": {
			map[string]string{"etc/vault.d/secret-id": user + "\n", "etc/vault.d/role-id": app + "\n"},
			[]string{"vault.approle_secret_id role_id=" + app + " secret_id=" + user + " of "},
		},
		"an AppRole in the manifest": {
			map[string]string{state + "agent.manifest.json": fmt.Sprintf(`{"vault":{"approle":{"role_id":%q,"secret_id":%q,"role_name":"agent"}}}`, app, user)},
			[]string{"vault.approle_secret_id role_id=" + app + " secret_id=" + user + " role:agent of "},
		},
		"leases in the manifest": {
			map[string]string{state + "agent.manifest.json": `{"vault":{"paths":["database/creds/agent","/v1/team/aws/sts/deploy","database/static-creds/app","kv/data/creds-of/mail"]}}`},
			[]string{"vault.lease id:database/creds/agent of ", "vault.lease id:team/aws/sts/deploy of ",
				"vault.path id:store:vault:database/static-creds/app of ", "vault.path id:store:vault:kv/data/creds-of/mail of "},
		},
		"a certificate in the manifest": {
			map[string]string{state + "agent.manifest.json": `{"vault":{"certificate":{"serial":"39:dd:2e","cn":"agent-1","key":"/home/u/agent.key"}}}`, "home/u/agent.key": pem},
			[]string{"vault.certificate private_key=" + strings.TrimSpace(pem) + " id:39:dd:2e of agent-1"},
		},
		"one without its key": {
			map[string]string{state + "agent.manifest.json": `{"certificate":{"subject":"CN=agent-1","serial":"39:dd:2e","path":"/x.crt","key":"/gone"}}`},
			[]string{"vault.certificate id:39:dd:2e of CN=agent-1"},
		},
		"Conjur's variables": {
			map[string]string{state + ".env": "CONJUR_ACCOUNT=corp\nCONJUR_AUTHN_LOGIN=host/agent\nCONJUR_AUTHN_API_KEY=" + v + "\n"},
			[]string{"conjur.api_key login=host/agent value=" + v + " account:corp of "},
		},
		"Conjur's variables in the configuration": {
			map[string]string{state + "openclaw.json": `{"env":{"vars":{"CONJUR_AUTHN_LOGIN":"host/agent","CONJUR_AUTHN_API_KEY":"` + v + `"}}}`},
			[]string{"conjur.api_key login=host/agent value=" + v + " of "},
		},
		"Conjur's login": {
			map[string]string{"home/u/.netrc": "machine https://conjur.example/authn\nlogin host/agent\npassword " + v + "\n"},
			[]string{"conjur.api_key login=host/agent value=" + v + " of host/agent"},
		},
		"glab's logins": {
			map[string]string{"home/u/.config/glab-cli/config.yml": "hosts:\n  gitlab.com:\n    token: !!null " + v + "\n    is_oauth2: \"true\"\n    oauth2_refresh_token: " + w + "\n    user: ada\n" +
				"  git.example:\n    token: glpat-" + v[:20] + "\n  oauth.example:\n    client_id: " + x + "\n    is_oauth2: \"true\"\n    token: " + x + "y\n"},
			[]string{"gitlab.oauth_token refresh=" + w + " value=" + v + " client_id:" + glabClient + " of ada", "gitlab.pat value=glpat-" + v[:20] + " of ",
				"gitlab.oauth_token value=" + x + "y client_id:" + x + " of "},
		},
		"runners": {
			map[string]string{"etc/gitlab-runner/config.toml": "concurrent = 1\n[[runners]]\n  id = 7\n  url = \"https://git.example\"\n  token = \"glrt-" + v + "\"\n  [runners.docker]\n    image = \"x\"\n[[runners]]\n  id = 8\n  token = \"" + w + "\"\n"},
			[]string{"gitlab.runner value=glrt-" + v + " id:7 of ", "gitlab.runner value=" + w + " id:8 of "},
		},
		"deploy tokens": {
			map[string]string{"home/u/.git-credentials": "https://gitlab%2Bdeploy-token-42:" + v + "@git.example\n", "home/u/.docker/config.json": `{"auths":{"r.example":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("gitlab+deploy-token-43:"+w)) + `"}}}`},
			[]string{"gitlab.deploy_token value=" + v + " id:42 username:gitlab+deploy-token-42 of gitlab+deploy-token-42", "gitlab.deploy_token value=" + w + " id:43 username:gitlab+deploy-token-43 of gitlab+deploy-token-43"},
		},
		"Bitbucket's logins": {
			map[string]string{"home/u/.git-credentials": "https://ada:ATBB" + v[:32] + "@bitbucket.org\nhttps://ada%40corp.example:ATATT3" + v + w + "@bitbucket.org\n"},
			[]string{"bitbucket.app_password value=ATBB" + v[:32] + " username:ada of ada", "bitbucket.api_token value=ATATT3" + v + w + " email:ada@corp.example of ada@corp.example"},
		},
		"Bitbucket's variables": {
			map[string]string{state + ".env": "BITBUCKET_USERNAME=ada\nBITBUCKET_EMAIL=ada@corp.example\nBITBUCKET_APP_PASSWORD=ATBB" + v[:32] + "\nBITBUCKET_TOKEN=ATATT3" + v + w + "\n"},
			[]string{"bitbucket.app_password value=ATBB" + v[:32] + " username:ada of ", "bitbucket.api_token value=ATATT3" + v + w + " email:ada@corp.example of "},
		},
		"keys of payments": {
			map[string]string{state + ".env": "BRAINTREE_MERCHANT_ID=merchant1\nBRAINTREE_PUBLIC_KEY=" + w + "\nBRAINTREE_PRIVATE_KEY=" + v + "\n"},
			[]string{"braintree.api_key merchant_id=merchant1 private_key=" + v + " public_key=" + w + " of "},
		},
		"applications": {
			map[string]string{state + ".env": "SLACK_CLIENT_ID=12.34\nSLACK_CLIENT_SECRET=" + v + "\nGITHUB_CLIENT_ID=Iv1.abc\nGITHUB_CLIENT_SECRET=" + w + "\nMETA_APP_ID=77\nMETA_APP_SECRET=" + x +
				"\nGITHUB_APP_ID=99\nGITHUB_APP_PRIVATE_KEY=\"" + strings.ReplaceAll(pem, "\n", `\n`) + "\"\n"},
			[]string{"slack.client_secret client_id=12.34 value=" + v + " of ", "github.client_secret value=" + w + " client_id:Iv1.abc of ", "whatsapp.app_secret value=" + x + " client_id:77 of ",
				"github.app_key value=" + pem + " app_id:99 of "},
		},
		"a device linked to a phone": {
			map[string]string{state + "credentials/whatsapp/main/creds.json": `{"me":{"id":"491234567890:3@s.whatsapp.net","name":"ada"},"advSecretKey":"` + v + `"}`},
			[]string{"whatsapp.device value=" + v + " of 491234567890:3@s.whatsapp.net"},
		},
		"Discord's application": {
			map[string]string{state + ".env": "DISCORD_CLIENT_ID=1234567890\nDISCORD_CLIENT_SECRET=" + v + "\n"},
			[]string{"discord.client_secret client_id=1234567890 client_secret=" + v + " of "},
		},
		"a service account of a cluster": {
			map[string]string{"home/u/.kube/config": "users:\n- name: sa\n  user:\n    token: " + jwt + "\n"},
			[]string{"kubernetes.token value=" + jwt + " of system:serviceaccount:ns:claw"},
		},
		"a secret where a name belongs": {
			map[string]string{"home/u/.azure/service_principal_entries.json": fmt.Sprintf(`[{"client_id":"ghp_%s","tenant":"your-tenant","client_secret":%q}]`, v[:36], w)},
			[]string{"azure.client_secret value=" + w + " of ", "github.pat value=ghp_" + v[:36] + " of "},
		},
	} {
		t.Run(name, func(t *testing.T) {
			found, summary := search(t, tree(t, c.files), places)
			var got []string
			for _, f := range found {
				got = append(got, details(f))
				if k, ok := credential.Lookup(f.Kind); !ok || k.Provider != "" && k.Provider != f.Provider {
					t.Errorf("%s of %s", f.Kind, f.Provider)
				}
			}
			want := slices.Clone(c.want)
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if len(summary.Problems) > 0 {
				t.Errorf("problems %+v", summary.Problems)
			}
		})
	}
}

// Each companion is needed, and goes with a kind that exists.
func TestEachCompanion(t *testing.T) {
	all := companions
	defer func() { companions = all }()
	for i, with := range all {
		if _, ok := credential.Lookup(with.kind); !ok || (with.part == "") == (with.ref == "") {
			t.Errorf("%+v", with)
		}
		for _, key := range with.keys {
			at := cmp.Or(with.part, with.ref)
			take := func() string {
				c := candidate{kind: with.kind}
				c.complete(func(k string) string { return map[string]string{key: "somebody@corp.example"}[k] })
				return cmp.Or(c.parts[at], c.ref[at])
			}
			companions = all
			if take() != "somebody@corp.example" {
				t.Errorf("%s: %s is not taken from %s", with.kind, at, key)
			}
			companions = slices.Delete(slices.Clone(all), i, i+1)
			if take() != "" {
				t.Errorf("%s: %s needs no row", with.kind, at)
			}
		}
	}
}
