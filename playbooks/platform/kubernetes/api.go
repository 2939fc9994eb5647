package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"clawback/playbooks/platform"
	"clawback/revoke/wire"
)

const (
	pageSize  = "25" // of a list: an answer has 1 MiB at most
	maxPages  = 200
	callTries = 4
)

// statusError is an answer that is none, or a refusal: Status of
// https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
type statusError struct {
	code int // 0 where there was no answer
	text string
}

func (e *statusError) Error() string { return "kubernetes: " + e.text }

func isStatus(err error, codes ...int) bool {
	var e *statusError
	return errors.As(err, &e) && slices.Contains(codes, e.code)
}

func notMissing(err error) error {
	if isStatus(err, http.StatusNotFound) {
		return nil
	}
	return err
}

// unrecorded is an intent that is not on record.
type unrecorded struct{ error }

func (u unrecorded) Unwrap() error { return u.error }

// final reports whether asking again changes nothing.
func final(err error) bool {
	return isStatus(err, http.StatusUnauthorized, http.StatusForbidden, http.StatusBadRequest, http.StatusUnprocessableEntity) ||
		errors.As(err, new(platform.Hinted)) || errors.As(err, new(unrecorded))
}

// retries reports whether an error may pass: somebody else's change in between, too many requests, a
// connection that broke.
func retries(err error) bool {
	return isStatus(err, http.StatusConflict, http.StatusTooManyRequests, 0)
}

func (c *cluster) path(group, plural string) string {
	return group + "/namespaces/" + url.PathEscape(c.Namespace) + "/" + plural
}

// call sends one request, again where the server asks for that.
func (c *cluster) call(ctx context.Context, q wire.Request, into any) error {
	p, err := c.send(ctx, q, func(q wire.Request) (wire.Reply, error) { return c.client.Do(ctx, q), nil })
	if err == nil && into != nil && !p.JSON(into) {
		return &statusError{text: q.Method + ": the answer is not of Kubernetes' form"}
	}
	return err
}

// send has one request sent with the token, again where the server asks for that.
func (c *cluster) send(ctx context.Context, q wire.Request, once func(wire.Request) (wire.Reply, error)) (p wire.Reply, err error) {
	a, err := c.env.Authority(ctx)
	if err != nil {
		return p, platform.Hinted{Err: fmt.Errorf("kubernetes: %w", err), Next: "see that the configuration says where the token of the cluster is kept"}
	}
	if q.Bearer = a.Secret.Reveal("value"); !wire.Sendable(q.Bearer) {
		return p, platform.Hinted{Err: errors.New("kubernetes: the token cannot be sent"), Next: "see what " + a.From + " holds"}
	}
	for try := 1; ; try++ {
		if p, err = once(q); err != nil || p.Err == nil && p.Status/100 == 2 {
			return p, err
		}
		// https://kubernetes.io/docs/concepts/cluster-administration/flow-control/: 429 with Retry-After
		if again := p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable; !again || try == callTries ||
			c.env.Sleep(ctx, min(max(p.RetryAfter, time.Second), 20*time.Second)) != nil {
			return p, refused(q, p)
		}
	}
}

func refused(q wire.Request, p wire.Reply) error {
	var said struct {
		Message string `json:"message"`
	}
	_ = json.Unmarshal(p.Body, &said)
	text := q.Method + " " + p.Text(said.Message)
	if p.Status == 0 {
		text = q.Method + ": no answer: " + p.Text("")
	}
	e := &statusError{code: p.Status, text: text}
	if p.Err == nil && p.Status == http.StatusForbidden {
		return platform.Hinted{Err: e, Next: "give the token's account the role that the README names"}
	}
	return e
}

func (c *cluster) get(ctx context.Context, path string, into any) error {
	return c.call(ctx, wire.Request{Method: http.MethodGet, Path: path}, into)
}

// list reads a whole list, in pages: https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks
func (c *cluster) list(ctx context.Context, group, plural, selector string) (all []object, err error) {
	query := url.Values{"limit": {pageSize}}
	if selector != "" {
		query.Set("labelSelector", selector)
	}
	for range maxPages {
		var page struct {
			Metadata struct {
				Continue string `json:"continue"`
			} `json:"metadata"`
			Items []object `json:"items"`
		}
		if err := c.call(ctx, wire.Request{Method: http.MethodGet, Path: c.path(group, plural), Query: query}, &page); err != nil {
			return nil, err
		}
		if all = append(all, page.Items...); page.Metadata.Continue == "" {
			return all, nil
		}
		query.Set("continue", page.Metadata.Continue)
	}
	return nil, &statusError{text: "the list of " + plural + " has no end"}
}

// patch changes an object, unless somebody else changed it since it was read: that is a 409.
// https://kubernetes.io/docs/reference/using-api/api-concepts/#patch-and-apply
func (c *cluster) patch(ctx context.Context, group, plural string, o object, change map[string]any) error {
	meta, _ := change["metadata"].(map[string]any)
	whole := map[string]any{"resourceVersion": o.Metadata.Version, "uid": o.Metadata.UID}
	for key, value := range meta {
		whole[key] = value
	}
	body := map[string]any{"metadata": whole}
	if spec, ok := change["spec"]; ok {
		body["spec"] = spec
	}
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("kubernetes: %w", err)
	}
	return c.call(ctx, wire.Request{Method: http.MethodPatch, Path: c.path(group, plural) + "/" + url.PathEscape(o.Metadata.Name), Body: string(text),
		Query: url.Values{"fieldManager": {"clawback"}}, Header: http.Header{"Content-Type": {"application/merge-patch+json"}}}, nil)
}

// put makes a policy what it should be.
func (c *cluster) put(ctx context.Context, p policy) error {
	at := c.path("/apis/networking.k8s.io/v1", "networkpolicies")
	err := c.call(ctx, wire.Request{Method: http.MethodPost, Path: at, JSON: p}, nil)
	if !isStatus(err, http.StatusConflict) {
		return err
	}
	return c.call(ctx, wire.Request{Method: http.MethodPut, Path: at + "/" + p.Metadata.Name, JSON: p}, nil)
}

func (c *cluster) dropPolicies(ctx context.Context, inc string) error {
	var failed error
	for _, p := range c.policies(inc) {
		err := c.call(context.WithoutCancel(ctx), wire.Request{Method: http.MethodDelete, Path: c.path("/apis/networking.k8s.io/v1", "networkpolicies") + "/" + p.Metadata.Name}, nil)
		failed = errors.Join(failed, notMissing(err))
	}
	return failed
}

func number(n *int64) string {
	if n == nil {
		return "1" // https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#replicas
	}
	return strconv.FormatInt(*n, 10)
}
