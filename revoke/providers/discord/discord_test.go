package discord_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/discord/discordfake"
)

const (
	unauthorized = `{"message":"401: Unauthorized","code":0}`
	unknown      = `{"message":"Unknown Webhook","code":10015}`
	wrongToken   = `{"message":"Invalid Webhook Token","code":50027}`
)

func TestVerifyReadsTheBody(t *testing.T) {
	w := newWorld(t)
	all := []string{"discord.webhook", "discord.bot", "discord.oauth_token"}
	for name, tt := range map[string]struct {
		fault   fake.Fault
		refused []string // kinds that it refuses; the others are inconclusive
	}{
		"unknown webhook":          {fake.Fault{Status: 404, Body: unknown}, []string{"discord.webhook"}},
		"invalid webhook token":    {fake.Fault{Status: 401, Body: wrongToken}, []string{"discord.webhook"}},
		"unauthorized":             {fake.Fault{Status: 401, Body: unauthorized}, []string{"discord.bot", "discord.oauth_token"}},
		"codes with other status":  {fake.Fault{Status: 400, Body: unknown}, nil},
		"wrong token, not found":   {fake.Fault{Status: 404, Body: wrongToken}, nil},
		"unauthorized, no code":    {fake.Fault{Status: 401, Body: `{"message":"401: Unauthorized"}`}, nil},
		"unauthorized, other code": {fake.Fault{Status: 401, Body: `{"message":"Unauthorized","code":40001}`}, nil},
		"unauthorized, proxy":      {fake.Fault{Status: 401, Body: `<html>401: Unauthorized</html>`}, nil},
		"forbidden":                {fake.Fault{Status: 403, Body: `{"message":"Missing Access","code":50001}`}, nil},
		"blocked":                  {fake.Fault{Status: 403, Body: `error code: 1015`}, nil},
		"not found":                {fake.Fault{Status: 404, Body: `{"message":"404: Not Found","code":0}`}, nil},
		"half an answer":           {fake.Fault{Status: 404, Body: `{"message":"Unknown Webhook","code":10015`}, nil},
		"nobody":                   {fake.Fault{Status: 200, Body: `{}`}, nil},
		"other JSON":               {fake.Fault{Status: 200, Body: `{"ok":true}`}, nil},
		"page":                     {fake.Fault{Status: 200, Body: `<html></html>`}, nil},
		"limited":                  {discordfake.RateLimited(3 * time.Second), nil},
		"outage":                   {fake.Fault{Status: 503, Body: unauthorized}, nil},
		"redirect":                 {fake.Fault{Status: 302, Body: unknown}, nil},
		"cut":                      {fake.Fault{Status: 401, Cut: true}, nil},
	} {
		w.says(tt.fault)
		for _, kind := range all {
			want := revoke.Inconclusive
			for _, refused := range tt.refused {
				if refused == kind {
					want = revoke.Refused
				}
			}
			v := w.provider.Verify(t.Context(), w.Mint(kind))
			if v.Outcome != want || v.Answer == "" || v.RetryAfter != tt.fault.RetryAfter {
				t.Errorf("%s: %s: %s %q, retry after %s; want %s", name, kind, v.Outcome, v.Answer, v.RetryAfter, want)
			}
		}
	}
}

func TestAnswers(t *testing.T) {
	w := newWorld(t)
	hook, bot, token := w.Mint("discord.webhook"), w.Mint("discord.bot"), w.Mint("discord.oauth_token")
	for _, c := range []struct {
		cred credential.Credential
		live string
		dead string
	}{
		{hook, "200 webhook alerts", "404 Unknown Webhook (10015)"},
		{bot, "200 bot deploy-bot", "401 Unauthorized"},
		{token, "200 application Deploy Bot", "401 Unauthorized"},
	} {
		if v := w.provider.Verify(t.Context(), c.cred); v.Outcome != revoke.Alive || v.Answer != c.live {
			t.Errorf("%s: %s %q, want alive %q", c.cred.Kind, v.Outcome, v.Answer, c.live)
		}
		w.RevokeByHand(c.cred)
		if v := w.provider.Verify(t.Context(), c.cred); v.Outcome != revoke.Refused || v.Answer != c.dead {
			t.Errorf("%s: %s %q, want refused %q", c.cred.Kind, v.Outcome, v.Answer, c.dead)
		}
	}
	// A webhook of that id with another token: what is asked about does not exist.
	live := w.Mint("discord.webhook").Secret.Reveal("value")
	other := kind("discord.webhook", live[:len(live)-4]+"0000")
	if v := w.provider.Verify(t.Context(), other); v.Outcome != revoke.Refused || v.Answer != "401 Invalid Webhook Token (50027)" {
		t.Errorf("another token: %s %q", v.Outcome, v.Answer)
	}
}

func TestInspect(t *testing.T) {
	w := newWorld(t)
	for kind, want := range map[string]string{
		"discord.webhook":     "post messages to channel 223704706495545344, change and delete its own messages",
		"discord.oauth_token": "identify, guilds",
	} {
		e, err := w.provider.Inspect(t.Context(), w.Mint(kind))
		if err != nil || strings.Join(e.Reach, ", ") != want || e.Account == "" || e.Owner == "" {
			t.Errorf("%s: %+v, %v", kind, e, err)
		}
	}
	bot := w.Mint("discord.bot")
	e, err := w.provider.Inspect(t.Context(), bot)
	if err != nil || len(e.Reach) != 3 || e.Reach[1] != "of ada" || e.Reach[2] != "about 3 servers" {
		t.Errorf("bot: %+v, %v", e, err)
	}
	// What its application says is an addition: without it the bot is still shown.
	w.Knobs().SetFault(func(r *http.Request) fake.Fault {
		if strings.HasSuffix(r.URL.Path, "applications/@me") {
			return fake.Fault{Status: 403, Body: `{"message":"Missing Access","code":50001}`}
		}
		return fake.Fault{}
	})
	if e, err := w.provider.Inspect(t.Context(), bot); err != nil || len(e.Reach) != 0 || e.Account != "bot deploy-bot" {
		t.Errorf("bot alone: %+v, %v", e, err)
	}
}

func TestDeleteWebhook(t *testing.T) {
	for name, tt := range map[string]struct {
		fault                    fake.Fault
		already, ok, uncert, try bool
	}{
		"served":        {ok: true},
		"gone before":   {fault: fake.Fault{Status: 404, Body: unknown}, ok: true, already: true},
		"wrong token":   {fault: fake.Fault{Status: 401, Body: wrongToken}, ok: true, already: true},
		"not found":     {fault: fake.Fault{Status: 404, Body: `{"message":"404: Not Found","code":0}`}},
		"forbidden":     {fault: fake.Fault{Status: 403, Body: `{"message":"Missing Access","code":50001}`}},
		"another's 200": {fault: fake.Fault{Status: 200, Body: `{}`}, uncert: true},
		"accepted":      {fault: fake.Fault{Status: 202}, uncert: true},
		"limited":       {fault: discordfake.RateLimited(2 * time.Second), try: true},
		"outage":        {fault: fake.Fault{Status: 502}, uncert: true, try: true},
	} {
		w := newWorld(t)
		w.says(tt.fault)
		r, err := w.provider.Revoke(t.Context(), w.Mint("discord.webhook"))
		var retry *revoke.RetryError
		if (err == nil) != tt.ok || r.Already != tt.already || errors.Is(err, revoke.ErrUncertain) != tt.uncert || errors.As(err, &retry) != tt.try {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		if tt.ok && !tt.already && len(r.Did) != 1 {
			t.Errorf("%s: the receipt does not say what was done: %+v", name, r)
		}
	}
}

func TestEndAuthorization(t *testing.T) {
	for name, tt := range map[string]struct {
		fault                      fake.Fault
		ok, uncert, try, authority bool
	}{
		"served":          {ok: true},
		"invalid client":  {fault: fake.Fault{Status: 401, Body: `{"error":"invalid_client"}`}, authority: true},
		"invalid, as 400": {fault: fake.Fault{Status: 400, Body: `{"error":"invalid_client"}`}, authority: true},
		"other error":     {fault: fake.Fault{Status: 400, Body: `{"error":"unsupported_token_type"}`}},
		"another's 200":   {fault: fake.Fault{Status: 200, Body: `<html></html>`}, uncert: true},
		"other JSON":      {fault: fake.Fault{Status: 200, Body: `{"ok":true}`}, uncert: true},
		"limited":         {fault: discordfake.RateLimited(2 * time.Second), try: true},
		"outage":          {fault: fake.Fault{Status: 502}, uncert: true, try: true},
	} {
		w := newWorld(t)
		w.saysTo(http.MethodPost, tt.fault)
		r, err := w.provider.Revoke(t.Context(), w.Mint("discord.oauth_token"))
		var retry *revoke.RetryError
		if (err == nil) != tt.ok || errors.Is(err, revoke.ErrUncertain) != tt.uncert || errors.As(err, &retry) != tt.try || errors.Is(err, revoke.ErrAuthority) != tt.authority {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// One revocation ends all that a user gave to the application.
func TestTheRefreshTokenDiesWithTheAccessToken(t *testing.T) {
	w := newWorld(t)
	access, refresh := w.Authorize()
	other, _ := w.Authorize()
	if r, err := w.provider.Revoke(t.Context(), access); err != nil || r.Already || len(r.Did) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if w.Alive(access) || w.Alive(refresh) || !w.Alive(other) {
		t.Errorf("access %v, refresh %v, another user's %v", w.Alive(access), w.Alive(refresh), w.Alive(other))
	}
}

func TestAuthorityOfAnotherApplication(t *testing.T) {
	w := newWorld(t)
	c := w.Mint("discord.oauth_token")
	w.authority.Secret = credential.NewSecret(map[string]string{"client_id": "100000000000000000", "client_secret": w.authority.Secret.Reveal("client_secret")})
	if _, err := w.provider.Revoke(t.Context(), c); !errors.Is(err, revoke.ErrAuthority) || !w.Alive(c) || w.posted() {
		t.Errorf("%v, alive %v, asked for it %v", err, w.Alive(c), w.posted())
	}
	w.authority.Secret = credential.Value("a secret without its client id")
	if _, err := w.provider.Revoke(t.Context(), c); !errors.Is(err, revoke.ErrNoAuthority) {
		t.Error(err)
	}
}

// RFC 7009 has one answer for every token: without the look before, nobody could tell what was ended.
func TestNothingIsRevokedUnseen(t *testing.T) {
	w := newWorld(t)
	w.saysTo(http.MethodGet, fake.Fault{Status: 503})
	c := w.Mint("discord.oauth_token")
	var retry *revoke.RetryError
	if _, err := w.provider.Revoke(t.Context(), c); !errors.As(err, &retry) || errors.Is(err, revoke.ErrUncertain) || w.posted() || !w.Alive(c) {
		t.Errorf("%v, asked for it %v", err, w.posted())
	}
}

func TestWhatIsNeverAsked(t *testing.T) {
	w := newWorld(t)
	hook := w.Mint("discord.webhook").Secret.Reveal("value")
	for name, c := range map[string]credential.Credential{
		"another host":   kind("discord.webhook", strings.Replace(hook, "discord.com", "discord.com.evil.test", 1)),
		"a user before":  kind("discord.webhook", strings.Replace(hook, "https://", "https://discord.com@evil.test/", 1)),
		"no TLS":         kind("discord.webhook", strings.Replace(hook, "https", "http", 1)),
		"another path":   kind("discord.webhook", hook+"/slack"),
		"a query":        kind("discord.webhook", hook+"?wait=true"),
		"a climb":        kind("discord.webhook", strings.Replace(hook, "webhooks/", "webhooks/../", 1)),
		"bot: a header":  kind("discord.bot", "a\r\nX: y"),
		"bot: one part":  kind("discord.bot", strings.Repeat("a", 70)),
		"token: a space": kind("discord.oauth_token", "a b"+strings.Repeat("c", 30)),
		"no value":       {Kind: "discord.bot"},
		"a secret":       w.Mint("discord.client_secret"),
		"a refresh":      w.Mint("discord.refresh_token"),
		"another kind":   kind("discord.other", hook),
	} {
		if v := w.provider.Verify(t.Context(), c); v.Outcome != revoke.Inconclusive || v.Answer == "" {
			t.Errorf("%s: %s %q", name, v.Outcome, v.Answer)
		}
		if _, err := w.provider.Inspect(t.Context(), c); err == nil {
			t.Errorf("%s: inspected", name)
		}
		if _, err := w.provider.Revoke(t.Context(), c); err == nil {
			t.Errorf("%s: revoked", name)
		}
	}
	if len(w.sent) > 0 {
		t.Errorf("%d requests were sent", len(w.sent))
	}
}

// Discord blocks clients that do not name themselves in its way, and knows a bot's token by a word before it.
func TestHeaders(t *testing.T) {
	w := newWorld(t)
	for name, want := range map[string]string{"discord.webhook": "", "discord.bot": "Bot ", "discord.oauth_token": "Bearer "} {
		c := w.Mint(name)
		w.sent = nil
		w.provider.Verify(t.Context(), c)
		_, _ = w.provider.Revoke(t.Context(), c)
		for _, r := range w.sent {
			if !strings.HasPrefix(r.Header.Get("User-Agent"), "DiscordBot (") {
				t.Errorf("%s: %s by %q", name, r.Method, r.Header.Get("User-Agent"))
			}
		}
		if want != "" {
			want += c.Secret.Reveal("value")
		}
		if len(w.sent) == 0 || w.sent[0].Header.Get("Authorization") != want {
			t.Errorf("%s: asked without its authorization", name)
		}
	}
}

func TestFormats(t *testing.T) {
	w := newWorld(t)
	hook := w.Mint("discord.webhook").Secret.Reveal("value")
	for value, want := range map[string]string{
		hook: "discord.webhook",
		strings.Replace(hook, "discord.com", "ptb.discordapp.com", 1): "discord.webhook",
		strings.Replace(hook, "/api/", "/api/v10/", 1):                "discord.webhook",
		"https://evil.test/api/webhooks/1/2":                          "",
		w.Mint("discord.oauth_token").Secret.Reveal("value"):          "",
	} {
		if k, _ := credential.Recognize(value); k.Name != want {
			t.Errorf("recognized as %q, want %q", k.Name, want)
		}
		if want != "" {
			if _, err := w.provider.Inspect(t.Context(), kind(want, value)); err != nil {
				t.Error(err)
			}
		}
	}
}
