package aws

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/iam"

	"clawback/revoke"
	"clawback/revoke/credential"
)

// Verify asks STS about an access key. A session cannot be taken back, only denied, and STS
// answers a denied session as before: there IAM is asked for something that the deny covers.
func (p *provider) Verify(ctx context.Context, c credential.Credential) revoke.Verdict {
	switch c.Kind {
	case mintedKind, userKind:
		return p.verifyCreated(ctx, c)
	case bedrockKind:
		return p.verifyBedrock(ctx, c)
	case shortKind:
		return verifyShort(c)
	case secretKind:
		return p.verifySecret(ctx, c)
	case ssoKind:
		return revoke.Verdict{Answer: "not asked: " + ssoInfo.Unverifiable}
	}
	k := keysOf(c)
	switch {
	case !k.complete():
		return revoke.Verdict{Answer: "its secret is not known, so that nothing can be asked with it"}
	case k.token != "":
		return p.probeSession(ctx, p.caller(k), k)
	}
	who, err := p.caller(k).whoAmI(ctx)
	return identityVerdict(who, err)
}

// identityVerdict judges an answer of GetCallerIdentity.
func identityVerdict(who principal, err error) revoke.Verdict {
	var f *failure
	switch {
	case err == nil:
		return revoke.Verdict{Outcome: revoke.Alive, Answer: "200 " + who.owner()}
	case !errors.As(err, &f):
		return revoke.Verdict{Answer: "no answer that could be read"}
	case f.refused():
		return revoke.Verdict{Outcome: revoke.Refused, Answer: f.answer}
	}
	return revoke.Verdict{Answer: f.answer, RetryAfter: f.after}
}

// probeSession reads the account's aliases: a request without arguments whose answer, if the
// session may not have it, says whether an explicit deny is the reason. That proves a death only
// of a session that was seen before without such a deny.
func (p *provider) probeSession(ctx context.Context, c *caller, k keys) revoke.Verdict {
	out, f := call(ctx, c, "ListAccountAliases", func(ctx context.Context) (*iam.ListAccountAliasesOutput, error) {
		return c.iam.ListAccountAliases(ctx, &iam.ListAccountAliasesInput{})
	})
	switch {
	case f == nil && out.AccountAliases == nil:
		return revoke.Verdict{Answer: "200 without a list of aliases"}
	case f == nil:
		p.sawUndenied(k.id)
		return revoke.Verdict{Outcome: revoke.Alive, Answer: "200 ListAccountAliases"}
	case f.is(403, "ExpiredToken"):
		return revoke.Verdict{Outcome: revoke.Refused, Answer: f.answer}
	case f.is(403, "InvalidClientTokenId"):
		return p.unknownToIAM(ctx, c, k, f)
	case !f.is(403, "AccessDenied"):
		return revoke.Verdict{Answer: f.answer, RetryAfter: f.after}
	}
	switch f.denial {
	case implicitDenial:
		p.sawUndenied(k.id)
		return revoke.Verdict{Outcome: revoke.Alive, Answer: f.answer}
	case identityDenial, serviceDenial:
		if f.denial == serviceDenial && p.org == nil {
			break // nobody here put it
		}
		if p.wasUndenied(k.id) {
			return revoke.Verdict{Outcome: revoke.Refused, Answer: f.answer}
		}
		return revoke.Verdict{Answer: revoke.Answer(0, "it was not seen before the deny: "+f.answer, c.hide)}
	}
	return revoke.Verdict{Answer: f.answer}
}

// unknownToIAM judges a session that IAM calls invalid. IAM says that of every session of
// GetSessionToken without MFA, dead or not, so STS decides; and what STS accepts may be denied:
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html
//
// STS calls sessions of other partitions (China, GovCloud) invalid as well, and a session's id names
// none: its refusal counts where AWS knew the session before.
func (p *provider) unknownToIAM(ctx context.Context, c *caller, k keys, f *failure) revoke.Verdict {
	who, err := c.whoAmI(ctx)
	var refusal *failure
	switch {
	case errors.As(err, &refusal) && refusal.is(403, "InvalidClientTokenId") && !p.wasKnown(k.id):
		return revoke.Verdict{Answer: revoke.Answer(0, f.answer+": says AWS also to live sessions of another partition, and it never knew this one", c.hide)}
	case err == nil:
		p.sawKnown(k.id)
		return revoke.Verdict{Answer: revoke.Answer(0, fmt.Sprintf("IAM does not serve this session, and STS still names %s, which no deny stops: %s",
			who.owner(), f.answer), c.hide)}
	}
	return identityVerdict(who, err)
}

// Remember takes in that a session was seen without a deny: it never counts as alive with one. What any
// credential minted was looked for by that process.
func (p *provider) Remember(c credential.Credential) {
	p.lookedBefore(keysOf(c).id)
	if c.Kind == sessionKind {
		p.sawUndenied(keysOf(c).id)
	}
}

func (p *provider) sawUndenied(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.undenied[id] = true
}

func (p *provider) sawKnown(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known[id] = true
}

func (p *provider) wasKnown(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known[id] || p.undenied[id]
}

func (p *provider) wasUndenied(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.undenied[id]
}
