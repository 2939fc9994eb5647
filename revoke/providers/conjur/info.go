package conjur

import (
	"net/http"
	"strings"
	"time"

	"clawback/revoke"
)

// propagation is ours: a rotation is done when it is answered, and followers read from a replica of
// which no lag is published.
var propagation = revoke.Propagation{
	Budget: time.Minute, Every: 5 * time.Second,
	Source: "clawback's own margin: https://docs.conjur.org/Latest/en/Content/Developer/Conjur_API_Rotate_Personal_API_Key.htm names no time",
}

// Info describes a Conjur.
func (p *provider) Info() revoke.Info {
	reads := []revoke.Read{
		{Method: http.MethodGet, Path: "/authenticators"},
		{Method: http.MethodPost, Path: "/host_factories/hosts", Body: factoryProbe},
	}
	for depth := 1; depth <= loginDepth; depth++ {
		// It makes an access token, which changes nothing and ends after 8 minutes.
		reads = append(reads, revoke.Read{Method: http.MethodPost, Path: "/authn/*" + strings.Repeat("/*", depth) + "/authenticate"})
	}
	return revoke.Info{
		Name: "conjur", Title: "CyberArk Conjur", SelfHosted: true, Reads: reads,
		Kinds: []revoke.KindInfo{keyInfo, factoryInfo},
	}
}

var keyInfo = revoke.KindInfo{
	Kind: kindKey, SelfRevoking: true, NeedsAlive: true, Propagation: propagation,
	Effect: "nobody has the new key: rotate it again where the host or user is to work once more",
	Source: "https://docs.conjur.org/Latest/en/Content/Developer/Conjur_API_Rotate_Personal_API_Key.htm",
}

var factoryInfo = revoke.KindInfo{
	Kind: kindFactory, NeedsAlive: true, Propagation: propagation,
	Authority: "login and API key of a role with update on the host factory",
	Effect:    "no new hosts can be made with it; those that were made live on",
	Source:    "https://docs.conjur.org/Latest/en/Content/Developer/Conjur_API_Revoke_Tokens.htm",
}
