package cloud

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"clawback/playbooks/platform"
	"clawback/revoke"
	"clawback/revoke/credential"
)

// ec2Version is the version of EC2's Query API, which is also how its answers' form is pinned:
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/making-api-requests.html
const ec2Version = "2016-11-15"

const (
	callTries = 5                // of a request that AWS throttles
	tolerated = 5 * time.Minute  // of difference between AWS's clock and ours; AWS refuses after 15
	maxPages  = 100              // of a list
	longest   = 20 * time.Second // between two tries
)

// ec2 calls the Query API of one region. The SDK of that service is left out: it takes minutes to
// build, for a dozen calls.
type ec2 struct {
	env    revoke.Env
	region string
	skew   time.Duration
}

// apiError is EC2's refusal of one call:
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
type apiError struct {
	action string
	status int // 0 where there was no answer
	code   string
	text   string // fit to be shown
}

func (e *apiError) Error() string { return "AWS: " + e.action + ": " + e.text }

func isCode(err error, codes ...string) bool {
	var e *apiError
	return errors.As(err, &e) && slices.Contains(codes, e.code)
}

// endpoint is the desk's own, or the region's.
func (c *ec2) endpoint() string {
	switch {
	case c.env.Endpoint != "":
		return strings.TrimRight(c.env.Endpoint, "/") + "/"
	case strings.HasPrefix(c.region, "cn-"): // https://docs.aws.amazon.com/general/latest/gr/ec2-service.html
		return "https://ec2." + c.region + ".amazonaws.com.cn/"
	}
	return "https://ec2." + c.region + ".amazonaws.com/"
}

// call sends one action, again where AWS throttles it. into may be nil.
func (c *ec2) call(ctx context.Context, action string, params url.Values, into any) error {
	wait := time.Second
	for try := 1; ; try++ {
		after, err := c.once(ctx, action, params, into)
		// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/throttling.html
		if err == nil || try == callTries || !isCode(err, "RequestLimitExceeded", "Throttling", "ThrottlingException", "ServiceUnavailable", "Unavailable") {
			return err
		}
		if slept := c.env.Sleep(ctx, min(max(after, wait), longest)); slept != nil {
			return err
		}
		wait *= 2
	}
}

func (c *ec2) once(ctx context.Context, action string, params url.Values, into any) (retry time.Duration, err error) {
	a, err := c.env.Authority(ctx)
	if err != nil {
		return 0, platform.Hinted{Err: fmt.Errorf("AWS: %s: %w", action, err), Next: "name authorities: {aws: …} in the configuration; clawback providers --check tests it"}
	}
	for again := range 2 {
		status, header, body, err := c.send(ctx, action, params, a.Secret)
		if err != nil {
			return 0, &apiError{action: action, text: revoke.Answer(0, "no answer: "+revoke.WithoutURL(err).Error(), a.Secret)}
		}
		if status == http.StatusOK {
			return 0, decode(action, body, into)
		}
		refusal := refused(action, status, body, a.Secret)
		at, dateErr := http.ParseTime(header.Get("Date"))
		off := at.Sub(c.env.Now())
		if again == 0 && dateErr == nil && off.Abs() > tolerated && (status == http.StatusBadRequest || status/100 == 4 && refusal.code != "RequestLimitExceeded") && c.skew == 0 {
			c.skew = off // signed by AWS's clock from here on
			continue
		}
		return revoke.RetryAfter(header, c.env.Now()), refusal
	}
	panic("unreachable")
}

func (c *ec2) send(ctx context.Context, action string, params url.Values, s credential.Secret) (int, http.Header, []byte, error) {
	form := url.Values{"Action": {action}, "Version": {ec2Version}}
	for name, values := range params {
		form[name] = values
	}
	body := form.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint(), strings.NewReader(body))
	if err != nil {
		return 0, nil, nil, errors.New("the endpoint is no address")
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	r.Header.Set("User-Agent", "clawback")
	sum := sha256.Sum256([]byte(body))
	keys := aws.Credentials{AccessKeyID: s.Reveal("access_key_id"), SecretAccessKey: s.Reveal("secret_access_key"), SessionToken: s.Reveal("session_token")}
	if err := v4.NewSigner().SignHTTP(ctx, keys, r, hex.EncodeToString(sum[:]), "ec2", c.region, c.env.Now().Add(c.skew)); err != nil {
		return 0, nil, nil, errors.New("the request could not be signed")
	}
	resp, err := c.env.HTTP.Do(r)
	if err != nil {
		return 0, nil, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := revoke.ReadBody(resp.Body)
	return resp.StatusCode, resp.Header, answer, err
}

// decode reads an answer, which has to be the one to this action.
func decode(action string, body []byte, into any) error {
	var root struct{ XMLName xml.Name }
	if err := xml.Unmarshal(body, &root); err != nil || root.XMLName.Local != action+"Response" {
		return &apiError{action: action, status: http.StatusOK, text: "the answer does not come from AWS"}
	}
	if into == nil {
		return nil
	}
	if err := xml.NewDecoder(bytes.NewReader(body)).Decode(into); err != nil {
		return &apiError{action: action, status: http.StatusOK, text: "the answer has not the form of AWS's"}
	}
	return nil
}

// refused reads EC2's error document.
func refused(action string, status int, body []byte, hide credential.Secret) *apiError {
	var doc struct {
		Errors []struct {
			Code    string `xml:"Code"`
			Message string `xml:"Message"`
		} `xml:"Errors>Error"`
	}
	e := &apiError{action: action, status: status, text: revoke.Answer(status, "", hide)}
	if xml.Unmarshal(body, &doc) != nil || len(doc.Errors) == 0 {
		if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
			e.code = "Unavailable"
		}
		return e
	}
	e.code = revoke.Answer(0, doc.Errors[0].Code, hide)
	text := doc.Errors[0].Message
	if e.code == "SignatureDoesNotMatch" {
		text = "" // quotes the request
	}
	e.text = revoke.Answer(status, strings.TrimSpace(e.code+" "+text), hide)
	return e
}

// page is an answer that may have a next one.
type page interface{ next() string }

// pages asks for a whole list. take gets each page.
func pages[P any, T interface {
	*P
	page
}](ctx context.Context, c *ec2, action string, params url.Values, take func(T)) error {
	params = clone(params)
	for range maxPages {
		answer := T(new(P))
		if err := c.call(ctx, action, params, answer); err != nil {
			return err
		}
		take(answer)
		if answer.next() == "" {
			return nil
		}
		params.Set("NextToken", answer.next())
	}
	return &apiError{action: action, text: "the list has no end"}
}

func clone(v url.Values) url.Values {
	out := url.Values{}
	for name, values := range v {
		out[name] = values
	}
	return out
}

// filters are Filter.N of a list, in pairs of a name and the one value that is wanted.
func filters(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		n := strconv.Itoa(i/2 + 1)
		v.Set("Filter."+n+".Name", pairs[i])
		v.Set("Filter."+n+".Value.1", pairs[i+1])
	}
	return v
}

// numbered adds NAME.1, NAME.2, …
func numbered(v url.Values, name string, values []string) url.Values {
	for i, value := range values {
		v.Set(name+"."+strconv.Itoa(i+1), value)
	}
	return v
}

// tagged adds the tags that a thing is made with.
func tagged(v url.Values, kind string, tags [][2]string) url.Values {
	v.Set("TagSpecification.1.ResourceType", kind)
	for i, tag := range tags {
		n := "TagSpecification.1.Tag." + strconv.Itoa(i+1)
		v.Set(n+".Key", tag[0])
		v.Set(n+".Value", tag[1])
	}
	return v
}
