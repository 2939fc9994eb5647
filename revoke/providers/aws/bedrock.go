package aws

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
	"clawback/revoke/wire"
)

const (
	bedrockHost    = "bedrock.us-east-1.amazonaws.com"
	bedrockService = "bedrock.amazonaws.com"

	maxCredentialPages = 20
)

var (
	bedrockForm = lazyregexp.New(`\AABSK([A-Za-z0-9+/]{40,400})={0,2}\z`)
	bedrockName = lazyregexp.New(`\A[\w+=,.@-]{1,184}-at-([0-9]{12})\z`)
	serviceID   = lazyregexp.New(`\A[A-Za-z0-9_]{16,128}\z`)
)

// bedrockKey is a long-term key of Bedrock: base64 of its alias, which IAM lists, and a secret.
type bedrockKey struct {
	value, alias, account string
	hide                  credential.Secret
}

func bedrockKeyOf(c credential.Credential) (bedrockKey, error) {
	k := bedrockKey{value: c.Secret.Reveal("value")}
	form := bedrockForm.FindStringSubmatch(k.value)
	if form == nil {
		return k, errors.New("aws: it is no Bedrock key")
	}
	text, err := base64.RawStdEncoding.DecodeString(form[1])
	alias, secret, ok := strings.Cut(string(text), ":")
	name := bedrockName.FindStringSubmatch(alias)
	if err != nil || !ok || secret == "" || name == nil {
		return k, errors.New("aws: the Bedrock key does not name its user and account")
	}
	k.alias, k.account = alias, name[1]
	k.hide = credential.NewSecret(map[string]string{"value": k.value, "secret": secret})
	return k, nil
}

// bedrockAnswer is what Bedrock says to a key. No AWS document says which answer is that of a dead
// one, so that a refusal counts only where IAM agrees.
type bedrockAnswer struct {
	revoke.Verdict
	denied  bool // the key is known, and a policy stops it
	refused bool
}

// askBedrock lists models:
// https://docs.aws.amazon.com/bedrock/latest/APIReference/API_ListFoundationModels.html
func (p *provider) askBedrock(ctx context.Context, k bedrockKey) bedrockAnswer {
	reply := p.bedrock.Do(ctx, wire.Request{
		Method: http.MethodGet, Path: "/foundation-models", Query: url.Values{"byProvider": {"Amazon"}}, Bearer: k.value, Hide: k.hide,
	})
	ours := reply.Header.Get("X-Amzn-Requestid") != ""
	var models struct {
		ModelSummaries []struct{} `json:"modelSummaries"`
	}
	var said struct{ Message string } // in either case
	switch {
	case ours && reply.Status == http.StatusOK && reply.JSON(&models) && models.ModelSummaries != nil:
		return bedrockAnswer{Verdict: reply.Verdict(revoke.Alive, "ListFoundationModels")}
	case !ours || reply.Status != http.StatusForbidden || !reply.JSON(&said) || said.Message == "":
		return bedrockAnswer{Verdict: reply.Verdict(revoke.Inconclusive, "not the answer of Bedrock")}
	}
	switch denialIn(said.Message) {
	case implicitDenial:
		return bedrockAnswer{Verdict: reply.Verdict(revoke.Alive, implicitDenial.String())}
	case identityDenial, serviceDenial, otherDenial:
		return bedrockAnswer{Verdict: reply.Verdict(revoke.Inconclusive, "explicit deny by a policy, which is no end of the key"), denied: true}
	}
	return bedrockAnswer{Verdict: reply.Verdict(revoke.Inconclusive, said.Message), refused: true}
}

// verifyBedrock asks Bedrock, and where that refuses the key, IAM: a key that is not Active is not
// valid for calls, https://docs.aws.amazon.com/IAM/latest/APIReference/API_ServiceSpecificCredentialMetadata.html
func (p *provider) verifyBedrock(ctx context.Context, c credential.Credential) revoke.Verdict {
	k, err := bedrockKeyOf(c)
	if err != nil {
		return revoke.Verdict{Answer: err.Error()}
	}
	v := p.askBedrock(ctx, k)
	if !v.refused {
		return v.Verdict
	}
	_, status, err := p.listedBedrock(ctx, k)
	var f *failure
	switch {
	case errors.As(err, &f):
		v.RetryAfter = f.after
		v.Answer += ", IAM: " + f.answer
	case err != nil:
		v.Answer += ", and IAM was not asked: " + err.Error()
	case status == types.StatusTypeActive:
		v.Answer += ", and IAM lists it as Active"
	default:
		v.Outcome = revoke.Refused
		v.Answer += ", and IAM lists it as " + cmp.Or(string(status), "deleted")
	}
	v.Answer = revoke.Answer(0, v.Answer, k.hide)
	return v.Verdict
}

// listedKey is a key as IAM lists it.
type listedKey struct {
	responder
	id, user string
}

// listedBedrock looks for the key by its alias, among those of its user where a list named that one
// before, and otherwise among all of the account's. Its status is empty where it is not among them.
func (p *provider) listedBedrock(ctx context.Context, k bedrockKey) (l listedKey, status types.StatusType, err error) {
	l.responder, err = p.authority(ctx, keys{id: k.alias})
	switch {
	case err != nil:
		return l, "", err
	case l.is.account != k.account:
		return l, "", fmt.Errorf("aws: the key is of account %s, the authority of %s: %w", k.account, l.is.account, revoke.ErrNoAuthority)
	}
	in := iam.ListServiceSpecificCredentialsInput{ServiceName: aws.String(bedrockService)}
	if user := p.userOfBedrock(k.alias); user != "" {
		in.UserName = &user
	} else {
		in.AllUsers = aws.Bool(true)
	}
	for range maxCredentialPages {
		out, f := call(ctx, l.caller, "ListServiceSpecificCredentials", func(ctx context.Context) (*iam.ListServiceSpecificCredentialsOutput, error) {
			return l.iam.ListServiceSpecificCredentials(ctx, &in)
		})
		switch {
		case f.missing() && in.UserName != nil: // the user was deleted, and the key with it
			return l, "", nil
		case f != nil:
			return l, "", f
		case out.ServiceSpecificCredentials == nil:
			return l, "", &failure{action: "ListServiceSpecificCredentials", status: 200, answer: "200 without a list of credentials"}
		}
		p.rememberBedrock(out.ServiceSpecificCredentials)
		for _, m := range out.ServiceSpecificCredentials {
			if aws.ToString(m.ServiceCredentialAlias) != k.alias {
				continue
			}
			l.id, l.user = aws.ToString(m.ServiceSpecificCredentialId), aws.ToString(m.UserName)
			if !serviceID.MatchString(l.id) || !entityName.MatchString(l.user) || m.Status == "" {
				return l, "", &failure{action: "ListServiceSpecificCredentials", status: 200, answer: "200 with an impossible credential"}
			}
			return l, m.Status, nil
		}
		if in.Marker = out.Marker; !out.IsTruncated || in.Marker == nil {
			return l, "", nil
		}
	}
	return l, "", &failure{action: "ListServiceSpecificCredentials", status: 200, answer: "200 with more keys than were looked at"}
}

// userOfBedrock returns whose key a list showed the alias to be; empty where none did.
func (p *provider) userOfBedrock(alias string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bedrockUser[alias]
}

func (p *provider) rememberBedrock(listed []types.ServiceSpecificCredentialMetadata) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range listed {
		if user := aws.ToString(m.UserName); entityName.MatchString(user) {
			p.bedrockUser[aws.ToString(m.ServiceCredentialAlias)] = user
		}
	}
}

// revokeBedrock makes the key Inactive, once Bedrock has taken it for genuine: the alias alone may have
// been planted to harm its owner.
func (p *provider) revokeBedrock(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	k, err := bedrockKeyOf(c)
	if err != nil {
		return revoke.Receipt{}, fmt.Errorf("%w: %w", err, revoke.ErrManual)
	}
	l, status, err := p.listedBedrock(ctx, k)
	switch {
	case err != nil:
		return revoke.Receipt{}, err
	case status != types.StatusTypeActive:
		return revoke.Receipt{Already: true, Answer: "IAM lists the key as " + cmp.Or(string(status), "deleted")}, nil
	}
	switch v := p.askBedrock(ctx, k); {
	case v.refused:
		return revoke.Receipt{}, fmt.Errorf("aws: nothing was changed: IAM lists the Bedrock key of user %s as Active, and Bedrock refused what was found (%s), which may be planted: %w",
			l.user, v.Answer, revoke.ErrManual)
	case v.Outcome != revoke.Alive && !v.denied:
		return revoke.Receipt{}, &revoke.RetryError{After: v.RetryAfter, Answer: v.Answer}
	}
	if f := l.setBedrock(ctx, types.StatusTypeInactive); f != nil {
		return revoke.Receipt{}, f
	}
	return revoke.Receipt{
		Answer: "200 UpdateServiceSpecificCredential", Did: []string{"Bedrock key " + l.id + " of user " + l.user + " Inactive"},
		Left: []string{"what else user " + l.user + " holds: other keys were not looked for"},
	}, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateServiceSpecificCredential.html
func (l listedKey) setBedrock(ctx context.Context, status types.StatusType) *failure {
	_, f := call(ctx, l.caller, "UpdateServiceSpecificCredential", func(ctx context.Context) (*iam.UpdateServiceSpecificCredentialOutput, error) {
		return l.iam.UpdateServiceSpecificCredential(ctx, &iam.UpdateServiceSpecificCredentialInput{
			UserName: &l.user, ServiceSpecificCredentialId: &l.id, Status: status,
		})
	})
	return f
}

func (p *provider) undoBedrock(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	k, err := bedrockKeyOf(c)
	if err != nil {
		return revoke.Receipt{}, err
	}
	l, status, err := p.listedBedrock(ctx, k)
	switch {
	case err != nil:
		return revoke.Receipt{}, err
	case status == "":
		return revoke.Receipt{}, errors.New("aws: IAM lists no such Bedrock key")
	case status == types.StatusTypeActive:
		return revoke.Receipt{Already: true, Answer: "IAM lists the key as Active"}, nil
	}
	if f := l.setBedrock(ctx, types.StatusTypeActive); f != nil {
		return revoke.Receipt{}, f
	}
	return revoke.Receipt{Answer: "200 UpdateServiceSpecificCredential", Did: []string{"Bedrock key " + l.id + " of user " + l.user + " Active"}}, nil
}

func (p *provider) inspectBedrock(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	k, err := bedrockKeyOf(c)
	if err != nil {
		return revoke.Exposure{}, err
	}
	v := p.askBedrock(ctx, k)
	if v.Outcome != revoke.Alive {
		return revoke.Exposure{}, fmt.Errorf("aws: inspect the Bedrock key: %s", v.Answer)
	}
	return revoke.Exposure{Account: k.account, Reach: []string{"Amazon Bedrock"}, Answer: v.Answer}, nil
}

// shortKey is what a short-term key of Bedrock says of itself: it is a signed request that AWS knows
// nothing of until it comes.
type shortKey struct {
	signer  string // id of the access key or session that made it
	expires time.Time
}

const shortPrefix = "bedrock-api-key-"

// shortKeyOf reads the key, which is base64 of a presigned address:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_bedrock.html
func shortKeyOf(c credential.Credential) (shortKey, bool) {
	encoded, ok := strings.CutPrefix(c.Secret.Reveal("value"), shortPrefix)
	if !ok || len(encoded) > 8<<10 {
		return shortKey{}, false
	}
	text, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(encoded, "="))
	_, query, ok := strings.Cut(string(text), "?")
	values, parsed := url.ParseQuery(query)
	if err != nil || !ok || parsed != nil {
		return shortKey{}, false
	}
	id, _, _ := strings.Cut(values.Get("X-Amz-Credential"), "/")
	at, err := time.Parse("20060102T150405Z", values.Get("X-Amz-Date"))
	life, wrong := time.ParseDuration(values.Get("X-Amz-Expires") + "s")
	if err != nil || wrong != nil || life <= 0 || life > 12*time.Hour || !signerID.MatchString(id) {
		return shortKey{}, false
	}
	return shortKey{id, at.Add(life)}, true
}

var signerID = lazyregexp.New(`\A(?:AKIA|ASIA)[A-Z0-9]{12,124}\z`)

// String says what has to be revoked instead.
func (s shortKey) String() string {
	return "signed by key " + maskedKey(s.signer) + ", which ends it too, and until " + s.expires.UTC().Format(time.RFC3339) + " at most"
}

func verifyShort(c credential.Credential) revoke.Verdict {
	s, ok := shortKeyOf(c)
	if !ok {
		return revoke.Verdict{Answer: "not asked, and it does not say when it expires"}
	}
	return revoke.Verdict{Answer: "not asked: " + s.String()}
}

func revokeShort(c credential.Credential) error {
	if s, ok := shortKeyOf(c); ok {
		return fmt.Errorf("aws: it is %s: %w", s, revoke.ErrUnkillable)
	}
	return fmt.Errorf("aws: %w", revoke.ErrUnkillable)
}
