package awsfake

import (
	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

const ssoKind = "aws.sso"

// MintSSO makes a session of IAM Identity Center, as aws sso login keeps it. No call here takes it.
func (f *Fake) MintSSO() credential.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	value := "aoaAAAAAG" + fake.Pick(fake.Letters+"_-", 300)
	f.sso[value] = &fake.Revocation{}
	return credential.Credential{
		Provider: "aws", Kind: ssoKind, Secret: credential.Value(value), Expires: f.knobs.Now().Add(sessionLife),
	}
}
