package awsfake

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	algorithm = "AWS4-HMAC-SHA256"
	amzTime   = "20060102T150405Z"
	maxSkew   = 15 * time.Minute
)

// authorization is a parsed Authorization header of Signature Version 4:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
type authorization struct {
	keyID, date, region, service string
	headers                      []string
	signature                    []byte
}

func parseAuthorization(header string) (authorization, bool) {
	fields, ok := strings.CutPrefix(header, algorithm+" ")
	if !ok {
		return authorization{}, false
	}
	value := map[string]string{}
	for field := range strings.SplitSeq(fields, ",") {
		name, v, _ := strings.Cut(strings.TrimSpace(field), "=")
		value[name] = v
	}
	scope := strings.Split(value["Credential"], "/")
	signature, err := hex.DecodeString(value["Signature"])
	if err != nil || len(scope) != 5 || scope[4] != "aws4_request" || value["SignedHeaders"] == "" {
		return authorization{}, false
	}
	return authorization{
		keyID: scope[0], date: scope[1], region: scope[2], service: scope[3],
		headers: strings.Split(value["SignedHeaders"], ";"), signature: signature,
	}, true
}

// SignatureFault says what AWS would object to in the signature of a request to a service of a region,
// and "" where it is right. secret returns the secret key of an access key, "" for none.
func SignatureFault(r *http.Request, body []byte, secret func(keyID string) string, service, region string, now time.Time) string {
	a, ok := parseAuthorization(r.Header.Get("Authorization"))
	if !ok || secret(a.keyID) == "" {
		return "AWS was not able to validate the provided access credentials"
	}
	return a.faultIn(r, body, secret(a.keyID), service, region, now)
}

// fault is faultIn the region of the global services.
func (a authorization) fault(r *http.Request, body []byte, secret, service string, now time.Time) string {
	return a.faultIn(r, body, secret, service, "us-east-1", now)
}

// faultIn says what AWS would object to in the signature, and "" where it is right.
func (a authorization) faultIn(r *http.Request, body []byte, secret, service, region string, now time.Time) string {
	const mismatch = "The request signature we calculated does not match the signature you provided. " +
		"Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
	at, err := time.Parse(amzTime, r.Header.Get("X-Amz-Date"))
	switch {
	case err != nil || !strings.HasPrefix(r.Header.Get("X-Amz-Date"), a.date):
		return "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP"
	case a.service != service:
		return "Credential should be scoped to correct service: '" + service + "'."
	case a.region != region:
		return "Credential should be scoped to a valid region."
	case !slices.Contains(a.headers, "host") || !slices.Contains(a.headers, "x-amz-date"):
		return "'Host' and 'X-Amz-Date' must be signed headers in the request."
	case now.Sub(at) > maxSkew:
		return "Signature expired: " + at.Format(amzTime) + " is now earlier than " + now.Add(-maxSkew).UTC().Format(amzTime)
	case at.Sub(now) > maxSkew:
		return "Signature not yet current: " + at.Format(amzTime) + " is still later than " + now.Add(maxSkew).UTC().Format(amzTime)
	}
	canonical := a.canonicalRequest(r, body)
	if !hmac.Equal(a.signature, a.sign(secret, at, canonical)) {
		return mismatch + "\n\nThe Canonical String for this request should have been\n'" + canonical + "'\n"
	}
	return ""
}

func (a authorization) canonicalRequest(r *http.Request, body []byte) string {
	path, _, _ := strings.Cut(r.RequestURI, "?") // as it was sent, even behind a prefix
	var headers strings.Builder
	for _, name := range a.headers {
		value := strings.Join(r.Header.Values(name), ",")
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = strconv.FormatInt(r.ContentLength, 10)
		}
		headers.WriteString(name + ":" + strings.Join(strings.Fields(value), " ") + "\n")
	}
	return strings.Join([]string{
		r.Method, (&url.URL{Path: path}).EscapedPath(), r.URL.Query().Encode(),
		headers.String(), strings.Join(a.headers, ";"), sum(body),
	}, "\n")
}

func (a authorization) sign(secret string, at time.Time, canonical string) []byte {
	scope := []string{a.date, a.region, a.service, "aws4_request"}
	k := []byte("AWS4" + secret)
	for _, part := range scope {
		k = mac(k, part)
	}
	return mac(k, strings.Join([]string{algorithm, at.Format(amzTime), strings.Join(scope, "/"), sum([]byte(canonical))}, "\n"))
}

func mac(k []byte, text string) []byte {
	m := hmac.New(sha256.New, k)
	m.Write([]byte(text))
	return m.Sum(nil)
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}
