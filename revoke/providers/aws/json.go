package aws

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// jsonType is the content type of AWS's JSON protocol, of which a few calls are made without the SDK:
// https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
const jsonType = "application/x-amz-json-1.1"

// jsonAction is one action of a service that speaks the JSON protocol.
type jsonAction struct{ service, region, base, target string }

func (a jsonAction) name() string { return a.target[strings.LastIndex(a.target, ".")+1:] }

// ask sends one request of the JSON protocol. What came is in out only where there is no failure.
func (c *caller) ask(ctx context.Context, a jsonAction, in, out any) *failure {
	_, f := call(ctx, c, a.name(), func(ctx context.Context) (struct{}, error) {
		return struct{}{}, c.askOnce(ctx, a, in, out)
	})
	return f
}

func (c *caller) askOnce(ctx context.Context, a jsonAction, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return &noAnswer{errors.New("the request cannot be written as JSON")}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.base, bytes.NewReader(body))
	if err != nil {
		return &noAnswer{errors.New("the endpoint makes no address")}
	}
	if r.URL.Path == "" {
		r.URL.Path = "/"
	}
	r.Header.Set("Content-Type", jsonType)
	r.Header.Set("X-Amz-Target", a.target)
	hash := sha256.Sum256(body)
	signing, _ := c.keys.Retrieve(ctx)
	if err := c.signer.SignHTTP(ctx, signing, r, hex.EncodeToString(hash[:]), a.service, a.region, c.signer.now()); err != nil {
		return &noAnswer{errors.New("the request could not be signed")}
	}
	resp, err := c.wire.Do(r)
	if err != nil {
		return err
	}
	answer, err := io.ReadAll(resp.Body) // bounded by transport
	if err == nil && resp.StatusCode == http.StatusOK && json.Unmarshal(answer, out) == nil {
		return nil
	}
	return jsonError(resp, answer)
}

// jsonError reads an error document, {"__type":"com.amazonaws…#ThrottlingException","message":"…"}, into
// the same shape as the SDK's errors.
func jsonError(resp *http.Response, body []byte) error {
	var document struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
		Upper   string `json:"Message"`
	}
	if resp.StatusCode == http.StatusOK || json.Unmarshal(body, &document) != nil {
		document.Type = ""
	}
	_, code, qualified := strings.Cut(document.Type, "#")
	if !qualified {
		code = document.Type
	}
	var err error = errNotAWS
	if code != "" {
		err = &smithy.GenericAPIError{Code: code, Message: document.Message + document.Upper}
	}
	return &smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: resp}, Err: err}
}
