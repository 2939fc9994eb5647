package azure

import (
	"fmt"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
)

// accessInfo is of what Entra does not take back: each service checks such a token by its signature.
var accessInfo = revoke.KindInfo{
	Kind:         kindAccess,
	Unkillable:   "services take an access token until it expires, by default 60 to 90 minutes after it was made: end the refresh token, secret or certificate that gets new ones",
	Unverifiable: "which service would take it, and what that says of one that ended, differs",
	Source:       "https://learn.microsoft.com/entra/identity-platform/access-tokens#token-lifetime",
}

// verifyAccess asks nobody. When it expires it says itself.
func verifyAccess(c credential.Credential) revoke.Verdict {
	exp := claimsOf(c.Secret.Reveal("value")).Expires
	if exp <= 0 || exp > 1<<40 {
		return revoke.Verdict{Answer: "not asked, and it does not say when it expires"}
	}
	return revoke.Verdict{Answer: "not asked: it says that it expires at " + time.Unix(exp, 0).UTC().Format(time.RFC3339)}
}

func revokeAccess(c credential.Credential) error {
	return fmt.Errorf("azure: %w: %s", revoke.ErrUnkillable, verifyAccess(c).Answer)
}
