package aws

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"clawback/revoke"
	"clawback/revoke/credential"
)

// region signs requests to the global endpoints of STS and IAM.
const region = "us-east-1"

// keys are what a request is signed with. Only the id may be known.
type keys struct{ id, secret, token string }

func keysOf(c credential.Credential) keys {
	return keys{
		id:     cmp.Or(c.Secret.Reveal("access_key_id"), c.Ref["id"]),
		secret: c.Secret.Reveal("secret_access_key"),
		token:  c.Secret.Reveal("session_token"),
	}
}

func (k keys) complete() bool {
	return k.id != "" && k.secret != "" && (k.token != "" || !strings.HasPrefix(k.id, "ASIA"))
}

// Retrieve implements aws.CredentialsProvider.
func (k keys) Retrieve(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: k.id, SecretAccessKey: k.secret, SessionToken: k.token}, nil
}

// caller asks STS and IAM in the name of one set of keys. It serves one goroutine.
type caller struct {
	sts       *sts.Client
	iam       *iam.Client
	keys      keys
	wire      transport
	signer    *signer
	hide      credential.Secret // what no answer may show
	authority bool              // the keys are the responder's
}

// caller builds its clients by hand, so that no environment variable, profile or metadata service
// is ever asked.
func (p *provider) caller(signing keys, others ...keys) *caller {
	hidden := map[string]string{}
	for i, k := range append(others, signing) {
		n := string(rune('a' + i))
		hidden["id "+n], hidden["secret "+n], hidden["token "+n] = k.id, k.secret, k.token
	}
	s := &signer{Signer: v4.NewSigner(), now: p.env.Now}
	client := transport{p.env.HTTP}
	return &caller{
		keys:   signing,
		wire:   client,
		signer: s,
		hide:   credential.NewSecret(hidden),
		sts: sts.New(sts.Options{
			Region: region, BaseEndpoint: &p.sts, HTTPClient: client, Credentials: signing,
			Retryer: aws.NopRetryer{}, HTTPSignerV4: s, DisableClockSkewCorrection: true,
		}),
		iam: iam.New(iam.Options{
			Region: region, BaseEndpoint: &p.iam, HTTPClient: client, Credentials: signing,
			Retryer: aws.NopRetryer{}, HTTPSignerV4: s, DisableClockSkewCorrection: true,
		}),
	}
}

// signer signs by the provider's clock once that is known to differ from ours.
type signer struct {
	*v4.Signer
	now  func() time.Time
	skew time.Duration
}

func (s *signer) SignHTTP(ctx context.Context, c aws.Credentials, r *http.Request, hash, service, region string,
	_ time.Time, options ...func(*v4.SignerOptions)) error {
	return s.Signer.SignHTTP(ctx, c, r, hash, service, region, s.now().Add(s.skew), options...)
}

// transport sends what the SDK asks for and bounds what it gets. The SDK takes any 2xx for the success
// of a change, without a look at its body: an answer without AWS's request id is none.
type transport struct{ client *http.Client }

// noAnswer is a request without a whole answer of AWS's.
type noAnswer struct{ cause error }

func (e *noAnswer) Error() string { return "no answer" }
func (e *noAnswer) Unwrap() error { return e.cause }

var errNotAWS = errors.New("the answer does not come from AWS")

func (w transport) Do(r *http.Request) (*http.Response, error) {
	resp, err := w.client.Do(r)
	if err != nil {
		return nil, &noAnswer{revoke.WithoutURL(err)}
	}
	body, err := revoke.ReadBody(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return nil, &noAnswer{err}
	}
	if resp.StatusCode/100 == 2 && resp.Header.Get("X-Amzn-Requestid") == "" {
		return nil, &noAnswer{errNotAWS}
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// call sends one request. AWS refuses a signature also where the clocks are more than 15 minutes
// apart: it is tried once more, by the clock of the answer.
func call[T any](ctx context.Context, c *caller, action string, send func(context.Context) (T, error)) (T, *failure) {
	var none T
	for again := range 2 {
		if err := ctx.Err(); err != nil {
			return none, &failure{action: action, answer: "nothing was sent: " + err.Error(), unsent: true, ended: true, cause: err}
		}
		out, err := send(ctx)
		if err == nil {
			return out, nil
		}
		f := c.failed(action, err)
		if f.code != "SignatureDoesNotMatch" || again > 0 {
			return none, f
		}
		if !f.date.IsZero() {
			c.signer.skew = f.date.Sub(c.signer.now())
		}
	}
	panic("unreachable")
}
