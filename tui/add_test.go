package tui

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"clawback/forensics/incident"
	"clawback/revoke/credential"
)

// canary is a value that no screen may show.
var canary = value("ghp_", 18)

func value(prefix string, bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b)
	return prefix + hex.EncodeToString(b)
}

// inventoried is a response whose desk has an inventory, with a credential that was left alone.
func inventoried(t testing.TB) *story {
	s := underFire(t)
	item := incident.InventoryItem{Provider: "aws", KeyID: "AKIA1", Owner: "platform team", Purpose: "production deploys",
		Data: []string{"source code", "names of customers"}, Breaks: "deploy-bot", Review: "2026-12-01", Rotation: "2027-03-01"}
	s.add(incident.TypeInventory, incident.Inventory{Items: []incident.InventoryItem{item}})
	f := print("aws" + "AKIA…44TD")
	s.add(incident.TypeInventoried, incident.Inventoried{Fingerprint: f, Item: item})
	s.add(incident.TypeCommand, incident.Command{Kind: incident.Skip, Credential: f, Text: "the shop would stop", By: "dana"})
	s.life(f, credential.Skipped, func(l *incident.Life) { l.Reason, l.Error = incident.ReasonDecision, "left alone by a decision" })
	return s
}

// typist types into a console, and looks at every screen for what must not be there.
func typist(t *testing.T, k *keyboard, hidden ...string) func(keys ...string) {
	return func(keys ...string) {
		t.Helper()
		for _, key := range keys {
			if paste, ok := strings.CutPrefix(key, "paste:"); ok {
				k.paste(paste)
			} else {
				k.press(key)
			}
			for _, secret := range hidden {
				if strings.Contains(k.view()+k.out.String()+fmt.Sprintf("%v %+v", k.sent, k.sent), secret) {
					t.Fatalf("after a key the value is shown:\n%s", k.view())
				}
			}
		}
	}
}

// sure stands for what is typed before a credential is added.
const sure = "sure"

// What is typed or pasted into the field reaches the response and nothing else.
func TestAdd(t *testing.T) {
	secret, session := value("", 20), value("", 30)
	pem := "-----BEGIN KEY-----\n" + value("", 600) + "\n" + value("", 600) + "\n-----END KEY-----"
	for name, c := range map[string]struct {
		keys []string
		kind string
		want map[string]string
	}{
		"pasted":       {[]string{"paste:" + canary + "\n", "enter", "rest", "enter", "rest", "wiki", "rest", "enter", "rest", sure, "rest", "enter"}, "github.pat", map[string]string{"value": canary}},
		"typed":        {[]string{canary, "enter", "rest", "enter", "rest", "wiki", "rest", "enter", "rest", sure, "rest", "enter"}, "github.pat", map[string]string{"value": canary}},
		"chosen":       {[]string{"paste:" + secret, "enter", "rest", "gitlab", "enter", "rest", "wiki", "rest", "enter", "rest", sure, "rest", "enter"}, "gitlab.pat", map[string]string{"value": secret}},
		"overruled":    {[]string{"paste:" + canary, "enter", "rest", "slack bot", "enter", "rest", "wiki", "rest", "enter", "rest", sure, "rest", "enter"}, "slack.bot", map[string]string{"value": canary}},
		"by arrows":    {[]string{"paste:" + secret, "enter", "rest", "github", "down", "enter", "rest", "wiki", "rest", "enter", "rest", sure, "rest", "enter"}, "github.pat", map[string]string{"value": secret}},
		"a key of two": {[]string{"paste:AKIA" + strings.Repeat("Q", 16), "enter", "rest", "enter", "rest", "paste:" + secret, "enter", "rest", "wiki", "rest", "enter", "rest", sure, "rest", "enter"}, "aws.access_key", map[string]string{"access_key_id": "AKIA" + strings.Repeat("Q", 16), "secret_access_key": secret}},
		"of three":     {[]string{"paste:ASIA" + strings.Repeat("Q", 16), "enter", "rest", "enter", "rest", "paste:" + secret, "enter", "rest", "paste:" + session, "enter", "rest", "wiki", "rest", "enter", "rest", sure, "rest", "enter"}, "aws.session", map[string]string{"access_key_id": "ASIA" + strings.Repeat("Q", 16), "secret_access_key": secret, "session_token": session}},
		"with lines":   {[]string{"paste:" + pem, "enter", "rest", "unknown", "enter", "rest", "wiki", "rest", "enter", "rest", sure, "rest", "enter"}, "unknown", map[string]string{"value": pem}},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeyboard(t, underFire(t), 80, 24, nil)
			typing := typist(t, k, canary, secret, session, pem[30:60])
			typing("enter", "a", "rest")
			for i, key := range c.keys {
				if key == sure {
					c.keys[i] = "revoke " + c.kind
				}
			}
			typing(c.keys...)
			if len(k.sent) != 1 || k.sent[0].Add == nil || k.c.top() != nil {
				t.Fatalf("sent %s\n%s", commands(k.sent), k.view())
			}
			a := k.sent[0].Add
			if a.Kind != c.kind || !a.Secret.Equal(credential.NewSecret(c.want)) || a.Text != "wiki" || a.By != "dana" || a.Provider == "" {
				t.Errorf("added %s %s %v %q by %s", a.Provider, a.Kind, a.Secret.Parts(), a.Text, a.By)
			}
			k.wants("added: " + c.kind)
		})
	}
}

// Whatever goes wrong on the way, nothing is sent and nothing is shown.
func TestAddNothing(t *testing.T) {
	for name, keys := range map[string][]string{
		"esc":                       {"paste:" + canary, "esc"},
		"esc at the kind":           {"paste:" + canary, "enter", "rest", "esc"},
		"esc at the note":           {"paste:" + canary, "enter", "rest", "enter", "rest", "esc"},
		"nothing typed":             {"enter", " ", "enter", "enter"},
		"no kind matches":           {"paste:" + canary, "enter", "rest", "nonsense", "enter", "rest", "enter"},
		"pasted again, as the kind": {"paste:" + canary, "enter", "rest", "paste:" + canary},
		"pasted again, as the note": {"paste:" + canary, "enter", "rest", "enter", "rest", "paste:" + canary},
		"the rest of an open paste": {canary, "enter", canary, "enter"},
		"without end":               {"paste:" + strings.Repeat(canary, 1000)},
		"edited":                    {"paste:" + canary, "left", "left", "x", "home", "delete", "ctrl+w", "ctrl+u"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range [][2]int{{60, 15}, {80, 24}, {200, 60}} {
				k := newKeyboard(t, underFire(t), size[0], size[1], nil)
				typing := typist(t, k, canary, canary[8:20])
				typing("enter", "a", "rest")
				typing(keys...)
				if len(k.sent) != 0 {
					t.Errorf("sent %s", commands(k.sent))
				}
			}
		})
	}
	t.Run("pasted before the field is ready", func(t *testing.T) {
		k := newKeyboard(t, underFire(t), 80, 24, nil)
		typist(t, k, canary)("enter", "a", "paste:"+canary, canary, "enter")
		if len(k.sent) != 0 {
			t.Errorf("sent %s", commands(k.sent))
		}
	})
	t.Run("refused", func(t *testing.T) {
		k := newKeyboard(t, underFire(t), 80, 24, nil)
		k.err = errors.New("it is on the board already")
		typist(t, k, canary)("enter", "a", "rest", "paste:"+canary, "enter", "rest", "enter", "rest", "enter", "rest", "revoke github.pat", "rest", "enter")
		k.wants("it is on the board already")
	})
}

// From another terminal nothing can be added: the value would stand in the inbox.
func TestAddAttached(t *testing.T) {
	for name, edit := range map[string]func(*Options){"attached": func(o *Options) { o.Attached = true }, "watching": func(o *Options) { o.Submit = nil }} {
		t.Run(name, func(t *testing.T) {
			k := newKeyboard(t, underFire(t), 120, 30, nil)
			edit(&k.c.o)
			k.c.screen = &k.c.run
			k.press("a")
			if k.c.top() != nil {
				t.Fatal("it opens")
			}
			k.wants("a add a credential: not now, only where the response runs: a value must not be written into the inbox")
		})
	}
}

// What a person left alone can be taken back, and what is the responder's own cannot.
func TestRetryOfADecision(t *testing.T) {
	k := newKeyboard(t, inventoried(t), 80, 24, nil)
	k.press("enter", "/", "44TD", "enter", "G", "r", "rest", "revoke aws", "rest", "enter", "rest", "esc", "/", "ghp_…dana", "enter", "G", "r")
	if len(k.sent) != 1 || k.sent[0].Credential.Kind != incident.Retry || k.sent[0].Credential.Credential != print("aws"+"AKIA…44TD") {
		t.Errorf("sent %s\n%s", commands(k.sent), k.view())
	}
}
