package aws

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
)

// principal is whom AWS takes a set of keys for.
type principal struct {
	partition, account string
	kind               string // "user", "role", "root", or what else stands in its ARN
	name               string // without path and session
	at                 time.Time
}

// entityName is what IAM allows in the names of users and roles.
var entityName = lazyregexp.New(`\A[\w+=,.@-]{1,128}\z`)

// parseARN reads the ARN of a caller:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
func parseARN(arn string) (principal, bool) {
	f := strings.Split(arn, ":")
	if len(f) != 6 || f[0] != "arn" || !entityName.MatchString(f[4]) {
		return principal{}, false
	}
	p := principal{partition: f[1], account: f[4]}
	parts := strings.Split(f[5], "/")
	p.kind, p.name = parts[0], parts[len(parts)-1]
	switch {
	case f[5] == "root":
		p.name = ""
		return p, true
	case p.kind == "assumed-role" && len(parts) == 3:
		p.kind, p.name = "role", parts[1]
	}
	return p, len(parts) > 1 && entityName.MatchString(p.name)
}

// owner names what a deny on the principal kills together: user names are unique within an
// account, whatever their path.
func (p principal) owner() string {
	owner := "arn:" + p.partition + ":iam::" + p.account + ":" + p.kind
	if p.name != "" {
		owner += "/" + p.name
	}
	return owner
}

func (p principal) same(o principal) bool { return p.owner() == o.owner() }

// whoAmI asks STS, which needs no permission for it and is stopped by no policy:
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
func (c *caller) whoAmI(ctx context.Context) (principal, error) {
	out, f := call(ctx, c, "GetCallerIdentity", func(ctx context.Context) (*sts.GetCallerIdentityOutput, error) {
		return c.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	})
	if f != nil {
		return principal{}, f
	}
	p, ok := parseARN(aws.ToString(out.Arn))
	if !ok || p.account != aws.ToString(out.Account) {
		return principal{}, &failure{action: "GetCallerIdentity", status: 200, answer: "200 without a caller"}
	}
	p.at, _ = middleware.GetServerTime(out.ResultMetadata)
	return p, nil
}

// userOf asks IAM for the user of an access key; it knows those of the authority's account.
func (c *caller) userOf(ctx context.Context, id string) (string, *failure) {
	out, f := call(ctx, c, "GetAccessKeyLastUsed", func(ctx context.Context) (*iam.GetAccessKeyLastUsedOutput, error) {
		return c.iam.GetAccessKeyLastUsed(ctx, &iam.GetAccessKeyLastUsedInput{AccessKeyId: &id})
	})
	if f != nil {
		return "", f
	}
	user := aws.ToString(out.UserName)
	if user != "" && !entityName.MatchString(user) {
		return "", &failure{action: "GetAccessKeyLastUsed", status: 200, answer: "200 with an impossible user name"}
	}
	return user, nil
}

// accountOf asks STS for the account of any key.
func (c *caller) accountOf(ctx context.Context, id string) (string, *failure) {
	out, f := call(ctx, c, "GetAccessKeyInfo", func(ctx context.Context) (*sts.GetAccessKeyInfoOutput, error) {
		return c.sts.GetAccessKeyInfo(ctx, &sts.GetAccessKeyInfoInput{AccessKeyId: &id})
	})
	if f != nil {
		return "", f
	}
	return aws.ToString(out.Account), nil
}

func (p *provider) Inspect(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	switch c.Kind {
	case mintedKind, userKind:
		return p.inspectCreated(ctx, c)
	case bedrockKind:
		return p.inspectBedrock(ctx, c)
	case secretKind:
		return p.inspectSecret(ctx, c)
	case ssoKind:
		return revoke.Exposure{}, errors.New("aws: a single sign-on session is not asked: " + ssoInfo.Unverifiable)
	case shortKind:
		return revoke.Exposure{}, errors.New("aws: a short-term Bedrock key is not asked: " + verifyShort(c).Answer)
	}
	k := keysOf(c)
	if !k.complete() {
		return p.inspectByID(ctx, k)
	}
	who, err := p.caller(k).whoAmI(ctx)
	if err != nil {
		return revoke.Exposure{}, err
	}
	return revoke.Exposure{Account: who.account, Owner: who.owner(), Answer: "200 " + who.owner()}, nil
}

// inspectByID asks with the authority, since the credential's own secret is not known.
func (p *provider) inspectByID(ctx context.Context, k keys) (revoke.Exposure, error) {
	if k.id == "" {
		return revoke.Exposure{}, errors.New("aws: the credential has no access key id")
	}
	a, err := p.authority(ctx, k)
	if err != nil {
		return revoke.Exposure{}, err
	}
	account, f := a.accountOf(ctx, k.id)
	if f != nil {
		return revoke.Exposure{}, f
	}
	e := revoke.Exposure{Account: account, Answer: "200 account " + account}
	user, f := a.userOf(ctx, k.id)
	if f == nil && user != "" && account == a.is.account {
		e.Owner = principal{partition: a.is.partition, account: account, kind: "user", name: user}.owner()
	}
	return e, nil
}
