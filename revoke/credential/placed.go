package credential

// Tiers tells what each tier of a Kind means, by what the worst use of it destroys. A kind that can
// mint others has at least their tier.
var Tiers = map[int]string{
	4: "infrastructure: machines, accounts, clusters, vaults, and what hands out other credentials",
	3: "external or financial: code that others run, mail and messages in a person's name, money",
	2: "internal writes: an agent's own channels, models that are paid for",
	1: "reads",
}

// Placed is the kinds that no format tells, but the file they stand in: those of command line tools,
// services and the machine itself.
var Placed = []Kind{
	{Name: "aws.sso", Provider: "aws", Title: "single sign-on session", Tier: 4, Mints: "role credentials of every account that it is assigned"},
	{Name: "google.service_account", Provider: "google", Title: "service account key", Tier: 4, Mints: "access and identity tokens"},
	{Name: "azure.refresh_token", Provider: "azure", Title: "refresh token", Tier: 4, Mints: "access tokens"},
	{Name: "azure.client_secret", Provider: "azure", Title: "service principal secret", Tier: 4, Mints: "access tokens"},
	{Name: "azure.certificate", Provider: "azure", Title: "service principal certificate", Tier: 4, Mints: "access tokens"},
	{Name: "azure.access_token", Provider: "azure", Title: "access token", Tier: 4},
	{Name: "gitlab.oauth_token", Provider: "gitlab", Title: "OAuth access token", Tier: 3},
	{Name: "kubernetes.token", Provider: "kubernetes", Title: "cluster token", Tier: 4, Mints: "service account tokens"},
	{Name: "kubernetes.client_key", Provider: "kubernetes", Title: "client key", Tier: 4, Mints: "service account tokens"},
	{Name: "vault.path", Provider: "vault", Title: "path in a vault", Tier: 4},
	{Name: "vault.approle_secret_id", Provider: "vault", Title: "AppRole secret-id", NamePart: "role_id", Tier: 4, Mints: "tokens of its role"},
	{Name: "vault.lease", Provider: "vault", Title: "leased secrets below a path", Tier: 4},
	{Name: "vault.certificate", Provider: "vault", Title: "certificate that it issued", NamePart: "serial", Tier: 3},
	{Name: "conjur.api_key", Provider: "conjur", Title: "API key of a host or user", Tier: 4, Mints: "access tokens, for 8 minutes each"},
	{Name: "discord.client_secret", Provider: "discord", Title: "client secret of an application", Tier: 3, Mints: "access tokens"},
	{Name: "telegram.webhook_secret", Provider: "telegram", Title: "secret of a webhook", Tier: 2},
	{Name: "slack.client_secret", Provider: "slack", Title: "client secret of an app", Tier: 3},
	{Name: "github.app_key", Provider: "github", Title: "private key of a GitHub App", Tier: 4, Mints: "installation tokens"},
	{Name: "github.client_secret", Provider: "github", Title: "client secret of an OAuth or GitHub App", Tier: 3},
	{Name: "whatsapp.app_secret", Provider: "whatsapp", Title: "secret of a Meta application", Tier: 3, Mints: "access tokens"},
	{Name: "whatsapp.device", Provider: "whatsapp", Title: "keys of a device that is linked to a phone", Tier: 3},
	{Name: "braintree.api_key", Provider: "braintree", Title: "API key", NamePart: "public_key", Tier: 3},
	{Name: "ssh.private_key", Provider: "ssh", Title: "private key", Tier: 4},
	{Name: "ssh.agent", Provider: "ssh", Title: "agent's socket", Tier: 4},
	{Name: "workload.identity", Title: "identity of the machine or workload", Tier: 4, Mints: "temporary keys"},
	{Name: "certificate.identity", Title: "identity by certificate", Tier: 4, Mints: "what trusts it hands out"},
	{Name: "docker.registry", Provider: "docker", Title: "registry login", Tier: 3},
	{Name: "npm.token", Provider: "npm", Title: "registry token", Tier: 3},
	{Name: "login.password", Title: "password of a login", Tier: 3},
	{Name: "browser.session", Provider: "browser", Title: "logged-in sessions of a profile", Tier: 3},
	{Name: "openclaw.paired", Provider: "openclaw", Title: "token that the gateway gave to a device or node", Tier: 2},
	{Name: "openclaw.device", Provider: "openclaw", Title: "token of this device or node at a gateway", Tier: 2},
	{Name: "openclaw.tls_key", Provider: "openclaw", Title: "gateway's TLS key", Tier: 2},
}

// Told is the kinds that neither a format nor a place tells: a provider says that another credential
// minted them, or a person adds them.
var Told = []Kind{
	{Name: "aws.minted_key", Provider: "aws", Title: "access key that another one created", Prefix: "AKIA", Tier: 4, Mints: "keys, users and sessions"},
	{Name: "aws.user", Provider: "aws", Title: "user that a key created", Prefix: "AIDA", Tier: 4, Mints: "keys, users and sessions"},
	{Name: "aws.secret_version", Provider: "aws", Title: "version of a secret in Secrets Manager", Tier: 4},
	{Name: "azure.key_vault_secret", Provider: "azure", Title: "secret in a Key Vault", Tier: 4},
	{Name: "google.secret_version", Provider: "google", Title: "version of a secret in Secret Manager", Tier: 4},
	{Name: "github.app_installation", Provider: "github", Title: "installation of a GitHub App at an account", Tier: 3},
	{Name: "github.org_access", Provider: "github", Title: "access of a fine-grained token to an organization", Tier: 3},
	{Name: "github.deploy_key", Provider: "github", Title: "deploy key", Tier: 3},
	{Name: "github.ssh_key", Provider: "github", Title: "SSH key of a user", Tier: 3},
	{Name: "github.signing_key", Provider: "github", Title: "SSH signing key of a user", Tier: 3},
	{Name: "gitlab.deploy_key", Provider: "gitlab", Title: "deploy key", Tier: 3},
	{Name: "gitlab.ssh_key", Provider: "gitlab", Title: "SSH key of a user", Tier: 3},
	{Name: "bitbucket.oauth_token", Provider: "bitbucket", Title: "OAuth access token", Tier: 3},
	{Name: "bitbucket.org_key", Provider: "bitbucket", Title: "API key of an organization's administrator", Tier: 4},
	{Name: "bitbucket.oauth_consumer", Provider: "bitbucket", Title: "secret of an OAuth consumer", Tier: 3},
	{Name: "discord.oauth_token", Provider: "discord", Title: "OAuth access token of a user", Tier: 3},
	{Name: "discord.refresh_token", Provider: "discord", Title: "OAuth refresh token of a user", Tier: 3, Mints: "access tokens"},
	{Name: "conjur.host_factory_token", Provider: "conjur", Title: "token of a host factory", Tier: 4, Mints: "hosts, with keys of their own"},
	{Name: "oauth2.refresh_token", Provider: "oauth2", Title: "OAuth refresh token", Tier: 3, Mints: "access tokens"},
	{Name: "oauth2.access_token", Provider: "oauth2", Title: "OAuth access token", Tier: 3},
	{Name: "custom.token", Provider: "custom", Title: "credential of an internal API", Tier: 3},
	{Name: "stripe.connected_account", Provider: "stripe", Title: "access of a platform to a connected account", Tier: 3},
	{Name: "stripe.app_secret", Provider: "stripe", Title: "secret in the store of a Stripe App", Tier: 3},
	{Name: "stripe.payouts", Provider: "stripe", Title: "payouts of a connected account", Tier: 3},
}
