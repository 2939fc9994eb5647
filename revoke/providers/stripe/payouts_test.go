package stripe

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

func accountWith(interval string) string {
	return `{"id":"%ID","object":"account","settings":{"payouts":{"schedule":{"interval":"` + interval + `"}}}}`
}

func TestVerifyPayoutsReadsTheAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   revoke.Outcome
	}{
		"manual":         {200, accountWith("manual"), revoke.Refused},
		"daily":          {200, accountWith("daily"), revoke.Alive},
		"of no interval": {200, accountWith(""), revoke.Inconclusive},
		"no settings":    {200, `{"id":"%ID","object":"account"}`, revoke.Inconclusive},
		"another's":      {200, strings.Replace(accountWith("manual"), "%ID", "acct_another12345", 1), revoke.Inconclusive},
		"not there":      {404, jsonError("invalid_request_error", "resource_missing", "No such account"), revoke.Inconclusive},
		"not ours":       {403, jsonError("invalid_request_error", "account_invalid", "does not have access"), revoke.Inconclusive},
		"down":           {500, accountWith("manual"), revoke.Inconclusive},
		"a page":         {200, "<html>", revoke.Inconclusive},
	} {
		w := newWorld(t)
		minted := w.Mint(kindPayouts)
		id, _, _ := strings.Cut(minted.Ref["id"], "/")
		w.says("GET", fake.Fault{Status: c.status, Body: strings.ReplaceAll(c.body, "%ID", id), Type: "application/json"})
		if v := w.Verify(t.Context(), minted); v.Outcome != c.want || v.Answer == "" {
			t.Errorf("%s: verify showed %s (%s), want %s", name, v.Outcome, v.Answer, c.want)
		}
	}
}

// The schedule that an account had is back after an undo, and only the account itself remembers it.
func TestPayoutsAreHeldAndGivenBack(t *testing.T) {
	w := newWorld(t)
	c := w.Mint(kindPayouts)
	before := w.State()
	r, err := w.Revoke(t.Context(), c)
	if err != nil || r.Already || len(r.Did) != 1 || !strings.Contains(r.Did[0], "from weekly:monday to manual") || len(r.Left) != 1 || w.Alive(c) {
		t.Fatalf("%+v, %v", r, err)
	}
	if r, err := w.Revoke(t.Context(), c); err != nil || !r.Already {
		t.Errorf("the second time: %+v, %v", r, err)
	}
	later := w.reach(t, w.network.Transport(), "").(revoke.Undoer)
	r, err = later.Undo(t.Context(), c)
	if err != nil || len(r.Did) != 1 || w.State() != before {
		t.Errorf("undo: %+v, %v\n%s\nwant\n%s", r, err, w.State(), before)
	}
	if r, err := later.Undo(t.Context(), c); err != nil || !r.Already {
		t.Errorf("undo again: %+v, %v", r, err)
	}
	for _, kind := range []string{kindKey, kindWebhook, kindConnected, kindAppSecret, kindEphemeral} {
		if _, err := later.Undo(t.Context(), w.Mint(kind)); err == nil {
			t.Errorf("%s is undone", kind)
		}
	}
}

func TestPayoutsOnlyWhereAllowed(t *testing.T) {
	w := newWorld(t)
	c := w.Mint(kindPayouts)
	bare, err := New(revoke.Env{HTTP: w.network.Client(), Now: time.Now, Authority: w.Provider.(*provider).authority})
	if err != nil {
		t.Fatal(err)
	}
	if k, _ := bare.Info().Kind(kindPayouts); !k.Manual || k.Reversible || k.Authority != "" {
		t.Errorf("%+v", k)
	}
	if _, err := bare.Revoke(t.Context(), c); !errors.Is(err, revoke.ErrManual) || !w.Alive(c) {
		t.Errorf("%v", err)
	}
	if _, err := bare.(revoke.Undoer).Undo(t.Context(), c); err == nil {
		t.Error("undone")
	}
	if len(w.sent()) > 0 {
		t.Errorf("sent %q", w.sent())
	}
}

func TestNote(t *testing.T) {
	for text, want := range map[string]bool{
		"daily": true, "weekly:friday": true, "monthly:31": true,
		"": false, "manual": false, "daily:x": false, "weekly": false, "weekly:someday": false, "weekly:monday\n": false,
		"monthly:0": false, "monthly:32": false, "monthly:x": false, "hourly": false,
	} {
		if s, err := parseNote(text); (err == nil) != want || want && *s.Interval != strings.Split(text, ":")[0] {
			t.Errorf("%q: %v", text, err)
		}
	}
	// A note that is none is not given back, and nothing is held that could not be.
	for interval, method := range map[string]string{"hourly": "POST", "manual": "POST"} {
		w := newWorld(t)
		c := w.Mint(kindPayouts)
		id, _, _ := strings.Cut(c.Ref["id"], "/")
		body := strings.Replace(accountWith(interval), "%ID", id, 1)
		body = strings.Replace(body, `"object"`, `"metadata":{"clawback_payouts_were":"whenever"},"object"`, 1)
		w.says("GET", fake.Fault{Status: 200, Body: body, Type: "application/json"})
		_, held := w.Revoke(t.Context(), c)
		_, undone := w.Provider.(revoke.Undoer).Undo(t.Context(), c)
		if err := errors.Join(held, undone); !errors.Is(err, errForgotten) {
			t.Errorf("%s: %v", interval, err)
		}
		if slices.ContainsFunc(w.sent(), func(s string) bool { return strings.HasPrefix(s, method) }) {
			t.Errorf("%s: sent %q", interval, w.sent())
		}
	}
}

func TestPreviewExpire(t *testing.T) {
	w := newWorld(t)
	w.Preview = true
	made := func(by http.RoundTripper) revoke.Provider {
		client := w.network.Client()
		client.Transport = by
		p, err := previewing(revoke.Env{HTTP: client, Now: time.Now, Authority: w.Provider.(*provider).authority})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := made(w.network.Transport())
	if k, _ := p.Info().Kind(kindKey); k.Manual || k.Authority == "" {
		t.Errorf("%+v", k)
	}
	c := w.MintKey(true)
	r, err := p.Revoke(t.Context(), c)
	if err != nil || r.Already || w.Alive(c) || strings.Contains(r.Answer+r.Did[0], c.Secret.Reveal("value")) {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := p.Revoke(t.Context(), c); err != nil || !r.Already {
		t.Errorf("the second time: %+v, %v", r, err)
	}
	for name, id := range map[string]string{"unknown": "", "hostile": "mk_12345678/../x", "of a list": "?limit=100"} {
		live := w.MintKey(true)
		live.Ref = map[string]string{"id": id}
		if _, err := p.Revoke(t.Context(), live); !errors.Is(err, revoke.ErrManual) || !w.Alive(live) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, x := range map[string]struct {
		fault fake.Fault
		want  error
	}{
		"no part in the preview": {fake.Fault{Status: 404, Body: jsonError("invalid_request_error", "", "Unrecognized request URL")}, revoke.ErrManual},
		"no permission":          {fake.Fault{Status: 403, Body: jsonError("invalid_request_error", "", "required permissions")}, revoke.ErrManual},
		"a dead authority":       {fake.Fault{Status: 401, Body: jsonError("invalid_request_error", "api_key_expired", "Expired API Key provided")}, revoke.ErrAuthority},
		"lost":                   {fake.Fault{CutAfter: true}, revoke.ErrUncertain},
		"another key":            {fake.Fault{Status: 200, Body: `{"id":"mk_other"}`, Type: "application/json"}, revoke.ErrUncertain},
		"down":                   {fake.Fault{Status: 503}, revoke.ErrUncertain},
	} {
		live := w.MintKey(true)
		w.says("POST", x.fault)
		if _, err := p.Revoke(t.Context(), live); !errors.Is(err, x.want) {
			t.Errorf("%s: %v, want %v", name, err, x.want)
		}
		w.Fake.Knobs().SetFault(nil)
	}
	// Nothing lists or reads keys: the answers would hold them in plain text.
	for _, call := range w.sent() {
		if strings.Contains(call, "api_keys") && !strings.HasPrefix(call, "POST") {
			t.Errorf("sent %s", call)
		}
	}
	for _, s := range []settings{{PreviewExpire: true}, {PreviewVersion: "2026-01-02.preview"}, {PreviewExpire: true, PreviewVersion: "latest"}} {
		if _, err := New(revoke.Env{HTTP: w.network.Client(), Settings: func(into any) error { *into.(*settings) = s; return nil }}); err == nil {
			t.Errorf("%+v is taken", s)
		}
	}
	own := w.authority
	own = credential.Credential{Provider: "stripe", Kind: kindKey, Secret: own.Secret, Ref: map[string]string{"id": "mk_" + strings.Repeat("a", 24)}}
	if _, err := p.Revoke(t.Context(), own); !errors.Is(err, revoke.ErrOurs) {
		t.Errorf("the responder's own: %v", err)
	}
}
