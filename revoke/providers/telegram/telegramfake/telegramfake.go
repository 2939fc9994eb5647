// Package telegramfake is Telegram's Bot API on the wire, as far as a stolen token goes: who the bot
// is, where its messages are sent to, and sending.
//
// Sources: https://core.telegram.org/bots/api and, for what it says of tokens, its server,
// https://github.com/tdlib/telegram-bot-api.
package telegramfake

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// Fake is the Bot API with the bots that were minted.
type Fake struct {
	knobs *fake.Knobs

	mu       sync.Mutex
	bots     map[string]*account // by token, or the secret of a webhook
	messages int                 // sent by anyone
}

type account struct {
	id, label, webhook string
	moved              bool // logged out, to another server
	secret             bool // no bot, but the secret of a webhook
	life               fake.Revocation
}

// New returns the Bot API without any bot.
func New(c fake.Clock) *Fake { return &Fake{knobs: fake.NewKnobs(c), bots: make(map[string]*account)} }

func (f *Fake) Name() string       { return "telegram" }
func (f *Fake) Hosts() []string    { return []string{"api.telegram.org"} }
func (f *Fake) Kinds() []string    { return []string{"telegram.bot", "telegram.webhook_secret"} }
func (f *Fake) Knobs() *fake.Knobs { return f.knobs }

// Mint makes a bot. It panics on a kind that is not Telegram's.
func (f *Fake) Mint(kind string) credential.Credential {
	id := "7" + fake.Pick("0123456789", 9)
	value := fake.Pick(fake.Letters+"_-", 33)
	switch kind {
	case "telegram.bot":
		value = id + ":AA" + value
	case "telegram.webhook_secret":
	default:
		panic("telegramfake cannot mint " + kind)
	}
	secret := credential.Value(value)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bots[value] = &account{id: id, label: credential.Mask(kind, secret, nil), secret: kind != "telegram.bot"}
	return credential.Credential{Provider: "telegram", Kind: kind, Secret: secret, Ref: map[string]string{"id": id}}
}

// MintAuthority reports that there is none: the bot's owner asks BotFather.
func (f *Fake) MintAuthority() (credential.Credential, bool) { return credential.Credential{}, false }

// Alive reports whether the token works now.
func (f *Fake) Alive(c credential.Credential) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.bots[c.Secret.Reveal("value")]
	return b != nil && f.knobs.Works(b.life)
}

// RevokeByHand is BotFather's /revoke, or another secret in setWebhook.
func (f *Fake) RevokeByHand(c credential.Credential) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if b := f.bots[c.Secret.Reveal("value")]; b != nil {
		f.knobs.Revoke(&b.life)
	}
}

// State renders the bots and what was sent.
func (f *Fake) State() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var lines []string
	for _, b := range f.bots {
		lines = append(lines, fmt.Sprintf("bot %s webhook %q moved %v secret %v %s", b.id, b.webhook, b.moved, b.secret, b.life))
	}
	slices.Sort(lines)
	return strings.Join(append(lines, fmt.Sprintf("%d messages", f.messages)), "\n")
}

// TooMany is what Telegram answers to too many requests: https://core.telegram.org/bots/api#responseparameters
func TooMany(after time.Duration) fake.Fault {
	seconds := int(after.Seconds())
	return fake.Fault{
		Status: http.StatusTooManyRequests, RetryAfter: after, Type: "application/json",
		Body: fmt.Sprintf(`{"ok":false,"error_code":429,"description":"Too Many Requests: retry after %d","parameters":{"retry_after":%d}}`, seconds, seconds),
	}
}

type object map[string]any

// ServeHTTP answers for api.telegram.org.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, method, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	call := fake.CallOf(r)
	call.Path, call.Action = "/bot…/"+method, method
	f.knobs.Answer(w, r, call, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		form := r.URL.Query()
		if values, err := url.ParseQuery(string(body)); err == nil && len(body) > 0 {
			form = values
		}
		f.mu.Lock()
		status, result := f.answer(r.URL.Path, form, call)
		f.mu.Unlock()
		out := object{"ok": true, "result": result}
		if status != http.StatusOK {
			out = object{"ok": false, "error_code": status, "description": result}
		}
		fake.JSON(w, status, out)
	})
}

// answer decides: a result where the status is 200, and a description otherwise.
func (f *Fake) answer(path string, form url.Values, call *fake.Call) (status int, result any) {
	rest, isBot := strings.CutPrefix(path, "/bot")
	token, method, cut := strings.Cut(rest, "/")
	if !isBot || !cut {
		return http.StatusNotFound, "Not Found"
	}
	if !strings.Contains(token, ":") || token[0] == '0' || len(token) > 80 {
		return http.StatusUnauthorized, "Unauthorized: invalid token specified"
	}
	b := f.bots[token]
	if b == nil || b.secret {
		return http.StatusUnauthorized, "Unauthorized"
	}
	call.Credential = b.label
	switch {
	case !f.knobs.Live(&b.life):
		return http.StatusUnauthorized, "Unauthorized"
	case b.moved:
		return http.StatusBadRequest, "Logged out"
	}
	switch strings.ToLower(method) { // methods are case-insensitive
	case "getme":
		return http.StatusOK, object{
			"id": json.Number(b.id), "is_bot": true, "first_name": "Deploy", "username": "deploy_" + b.id[:3] + "_bot",
			"can_join_groups": true, "can_read_all_group_messages": false, "supports_inline_queries": false, "can_connect_to_business": false,
		}
	case "getwebhookinfo":
		out := object{"url": b.webhook, "has_custom_certificate": false, "pending_update_count": 0}
		if b.webhook != "" {
			out["ip_address"] = "203.0.113.7"
		}
		return http.StatusOK, out
	case "setwebhook":
		b.webhook = form.Get("url")
		return http.StatusOK, true
	case "logout":
		b.moved = true
		return http.StatusOK, true
	case "sendmessage":
		if form.Get("chat_id") == "" || form.Get("text") == "" {
			return http.StatusBadRequest, "Bad Request: message text is empty"
		}
		f.messages++
		return http.StatusOK, object{"message_id": f.messages, "date": f.knobs.Now().Unix(), "chat": object{"id": 1, "type": "private"}}
	}
	return http.StatusNotFound, "Not Found: method not found"
}
