package cloud

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"clawback/playbooks/platform"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/wire"
)

const (
	armAddress = "https://management.azure.com"
	azureToken = "azure.access_token"
	// armPart is the part of the authority that is an access token for Resource Manager; "value" is one for Graph.
	armPart = "management"
)

// arm calls Azure Resource Manager: https://learn.microsoft.com/rest/api/azure/
type arm struct {
	env    revoke.Env
	client wire.Client
	base   string
}

// armError is Azure's refusal of one call, or of the operation that it began.
type armError struct {
	call   string
	status int    // 0 where there was no answer
	code   string // "AuthorizationFailed"
	text   string // fit to be shown
}

func (e *armError) Error() string { return "Azure: " + e.call + ": " + e.text }

func isARM(err error, statuses ...int) bool {
	var e *armError
	return errors.As(err, &e) && slices.Contains(statuses, e.status)
}

// armFinal reports whether asking again changes nothing. 409, 412 and a lost answer show at the next look.
func armFinal(err error) bool {
	var hinted platform.Hinted
	var e *armError
	return errors.As(err, &hinted) || isARM(err, http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden) ||
		errors.As(err, &e) && e.code == endless
}

// call sends one request, again where Azure asks to wait:
// https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling
func (c *arm) call(ctx context.Context, name string, q wire.Request, into any) (wire.Reply, error) {
	a, err := c.env.Authority(ctx)
	if err != nil {
		return wire.Reply{}, platform.Hinted{Err: fmt.Errorf("Azure: %s: %w", name, err), Next: "name authorities: {azure: …} in the configuration; clawback providers --check tests it"}
	}
	if q.Bearer = a.Secret.Reveal(armPart); a.Kind != azureToken || !wire.Sendable(q.Bearer) {
		return wire.Reply{}, platform.Hinted{Err: fmt.Errorf("Azure: %s: %s gives no access token for Azure's Resource Manager", name, a.From),
			Next: "configure authorities: {azure: {kind: azure.access_token, parts: {management: {login: az-management}}}}, beside value"}
	}
	wait := time.Second
	for try := 1; ; try++ {
		p := c.client.Do(ctx, q)
		if p.Err == nil && p.Status/100 == 2 {
			if into != nil && !p.JSON(into) {
				return p, &armError{call: name, status: p.Status, text: "the answer has not the form of Azure's"}
			}
			return p, nil
		}
		again := p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable
		if !again || try == callTries || c.env.Sleep(ctx, min(max(p.RetryAfter, wait), longest)) != nil {
			return p, armRefused(name, p, a.Secret)
		}
		wait *= 2
	}
}

// armRefused reads Azure's error: https://github.com/microsoft/api-guidelines/blob/vNext/azure/Guidelines.md#handling-errors
func armRefused(name string, p wire.Reply, hide credential.Secret) *armError {
	var said struct {
		Error armFault `json:"error"`
	}
	e := &armError{call: name, status: p.Status}
	_ = p.JSON(&said)
	e.code = revoke.Answer(0, said.Error.Code, hide)
	if e.text = p.Text(said.Error.String()); p.Status == 0 || p.Err != nil {
		e.status, e.text = 0, "no answer: "+p.Text("")
	}
	return e
}

type armFault struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (f armFault) String() string { return strings.TrimSpace(f.Code + " " + f.Message) }

// change asks for a change, and waits for its end for as long as ctx and a bound let it. Whoever
// interrupts us, a change that was recorded is sent.
func (c *arm) change(ctx context.Context, name string, q wire.Request) error {
	p, err := c.call(context.WithoutCancel(ctx), name, q, nil)
	if err != nil {
		return err
	}
	// https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations: the first of these, where both are there
	follow := c.below(cmp.Or(p.Header.Get("Azure-AsyncOperation"), p.Header.Get("Location")))
	if follow == nil {
		return nil // it is done, or shows at the next look
	}
	for range operationLooks {
		if err := c.env.Sleep(ctx, min(max(p.RetryAfter, roundPause), longest)); err != nil {
			return fmt.Errorf("Azure: %s: not seen done: %w", name, err)
		}
		if p, err = c.call(ctx, name, *follow, nil); err != nil {
			return err
		}
		var op struct {
			Status string   `json:"status"`
			Error  armFault `json:"error"`
		}
		_ = p.JSON(&op) // a Location answers with what was made, or nothing
		switch {
		case strings.EqualFold(op.Status, "Failed") || strings.EqualFold(op.Status, "Canceled"):
			return &armError{call: name, code: op.Error.Code, text: "the operation failed: " + p.Show(op.Error.String())}
		case strings.EqualFold(op.Status, "Succeeded"), op.Status == "" && p.Status != http.StatusAccepted:
			return nil
		}
	}
	return &armError{call: name, code: endless, text: "the operation does not end"}
}

// below is the request for an address that Azure named, and nil where that is not Azure's own: the
// token goes nowhere else.
func (c *arm) below(address string) *wire.Request {
	base, err := url.Parse(c.base)
	at, err2 := url.Parse(address)
	if err != nil || err2 != nil || at.Scheme != base.Scheme || at.Host != base.Host || at.User != nil {
		return nil
	}
	path, ok := strings.CutPrefix(at.EscapedPath(), strings.TrimRight(base.EscapedPath(), "/"))
	if !ok || !strings.HasPrefix(path, "/") {
		return nil
	}
	return &wire.Request{Method: http.MethodGet, Path: path, Query: at.Query()}
}
