package azure

import (
	"time"

	"clawback/revoke"
)

// Microsoft names no time in which a removed credential is refused everywhere; Entra is replicated.
var propagation = revoke.Propagation{
	Budget: 5 * time.Minute, Every: 30 * time.Second,
	Source: "clawback's own margin: https://learn.microsoft.com/graph/api/application-removepassword names no time",
}

func (p *provider) Info() revoke.Info {
	return revoke.Info{
		Name: "azure", Title: "Microsoft Entra ID, Azure",
		Kinds: []revoke.KindInfo{p.secretInfo(), p.certificateInfo(), refreshInfo, accessInfo, vaultInfo},
		Reads: []revoke.Read{
			{Method: "POST", Path: "/*/oauth2/v2.0/token", Form: map[string]string{"grant_type": "client_credentials"}},
			{Method: "POST", Path: "/*/oauth2/v2.0/token", Form: map[string]string{"grant_type": "refresh_token"}},
			{Method: "GET", Path: "/v1.0/applications(appId='*')"},
			{Method: "GET", Path: "/v1.0/servicePrincipals(appId='*')"},
			{Method: "GET", Path: "/v1.0/servicePrincipals/*/appRoleAssignments"},
			{Method: "GET", Path: "/v1.0/servicePrincipals/*/oauth2PermissionGrants"},
			{Method: "GET", Path: "/secrets/*/versions"},
		},
		Hosts: []string{loginHost, graphHost}, // and NAME.vault.azure.net for each vault
	}
}

func (p *provider) secretInfo() revoke.KindInfo {
	k := revoke.KindInfo{
		Kind: kindSecret, Link: "https://entra.microsoft.com/#view/Microsoft_AAD_RegisteredApps/ApplicationsListBlade",
		// Client id and tenant come from the host: a wrong one is refused from the start.
		NeedsAlive: true,
		Authority:  "Microsoft Graph application permission Application.ReadWrite.All, or a signed-in Cloud Application Administrator",
		Steps: []string{
			"Done by hand where no authority of the tenant is there, or another tenant registered the application.",
			"Open the link, All applications, and find the application by its client id.",
			"Certificates & secrets: delete each client secret whose value begins as this one does; where Entra shows no beginning, each.",
			"Then mark this as done: the old secret is probed until Entra has refused it long enough.",
		},
		Effect:      "removes every secret of the application that begins with the same three characters, and those of which Entra does not tell how they begin",
		Propagation: propagation,
		Source:      "https://learn.microsoft.com/graph/api/application-removepassword",
	}
	return p.settled(k)
}

func (p *provider) certificateInfo() revoke.KindInfo {
	k := revoke.KindInfo{
		Kind: kindCertificate, Link: "https://entra.microsoft.com/#view/Microsoft_AAD_RegisteredApps/ApplicationsListBlade",
		NeedsAlive: true,
		Authority:  "Microsoft Graph application permission Application.ReadWrite.All, or a signed-in Cloud Application Administrator",
		Steps: []string{
			"Done by hand where no authority of the tenant is there, or another tenant registered the application.",
			"Open the link, All applications, and find the application by its client id.",
			"Certificates & secrets, Certificates: delete the one with this key's thumbprint.",
			"Then mark this as done: the key is probed until Entra has refused it long enough.",
		},
		Propagation: propagation,
		Source:      "https://learn.microsoft.com/graph/api/application-update",
	}
	return p.settled(k)
}

// settled says what the desk's settings change.
func (p *provider) settled(k revoke.KindInfo) revoke.KindInfo {
	if p.settings.DisablePrincipal {
		k.Reversible = true
		k.Effect = "disables the application's service principal: nothing of the application gets a token in this tenant any more"
		k.Source = "https://learn.microsoft.com/graph/api/serviceprincipal-update"
	}
	if p.settings.StripPermissions {
		k.Effect += "; takes its app roles and delegated permissions from it for good"
		k.Unanswered = "the service principal's app roles and delegated permissions"
	}
	return k
}

var refreshInfo = revoke.KindInfo{
	Kind: kindRefresh, Link: "https://entra.microsoft.com/#view/Microsoft_AAD_UsersAndTenants/UserManagementMenuBlade/~/AllUsers",
	Authority: "Microsoft Graph permission User.RevokeSessions.All",
	Steps: []string{
		"Done by hand where no authority of the tenant is there.",
		"Open the link, the user, and choose Revoke sessions.",
		"Then mark this as done: the token is probed until Entra has refused it long enough.",
	},
	Effect: "signs the user out everywhere: every refresh token and browser session of theirs ends",
	Propagation: revoke.Propagation{
		Budget: 5 * time.Minute, Every: 30 * time.Second,
		Source: "https://learn.microsoft.com/graph/api/user-revokesigninsessions says a few minutes: five are clawback's own reading",
	},
	Source: "https://learn.microsoft.com/graph/api/user-revokesigninsessions",
}

var vaultInfo = revoke.KindInfo{
	Kind: kindVaultSecret, Link: "https://portal.azure.com/#browse/Microsoft.KeyVault%2Fvaults",
	// The names come from the host.
	NeedsAlive: true, ByRef: true, Reversible: true,
	Authority: "Key Vault Secrets Officer on the vault, or the access policy permissions list and set",
	Steps: []string{
		"Done by hand where no authority of the vault is there.",
		"Open the link, the vault, Secrets, the secret, and set Enabled to No for each version.",
		"Then revoke what the secret opens where it was issued: its value lives on there.",
	},
	Effect:     "whatever reads the secret fails; its value is not revoked where it was issued",
	Unanswered: "those versions that were still to be disabled",
	Propagation: revoke.Propagation{
		Budget: time.Minute, Every: 10 * time.Second,
		Source: "clawback's own margin: https://learn.microsoft.com/rest/api/keyvault/secrets/update-secret/update-secret names no time",
	},
	Source: "https://learn.microsoft.com/rest/api/keyvault/secrets/update-secret/update-secret",
}
