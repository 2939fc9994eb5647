package credential

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

func TestKindsAreComplete(t *testing.T) {
	for _, k := range Kinds {
		provider, _, dotted := strings.Cut(k.Name, ".")
		switch {
		case k.Name == "unknown":
		case !dotted || provider != k.Provider:
			t.Errorf("kind %s is named after another provider than %s", k.Name, k.Provider)
		case k.Title == "" || k.Tier < 1 || k.Tier > 4:
			t.Errorf("kind %s has no title or tier", k.Name)
		}
		if k.Format != "" {
			if _, err := regexp.Compile(k.Format); err != nil {
				t.Errorf("kind %s: %v", k.Name, err)
			}
		}
	}
}

func TestRecognize(t *testing.T) {
	rest := func(n int) string { return random(t, n)[:n] }
	upper := strings.ToUpper
	for value, want := range map[string]string{
		"ghp_" + rest(36):                                    "github.pat",
		"github_pat_" + rest(22) + "_" + rest(59):            "github.fine_grained",
		"ghs_" + rest(36):                                    "github.installation",
		"AKIA" + upper(rest(16)):                             "aws.access_key",
		"ASIA" + upper(rest(16)):                             "aws.session",
		"ABSK" + rest(120) + "==":                            "aws.bedrock_key",
		"bedrock-api-key-" + rest(900):                       "aws.bedrock_session_key",
		"sk_live_" + rest(24):                                "stripe.api_key",
		"rk_test_" + rest(24):                                "stripe.api_key",
		"whsec_" + rest(32):                                  "stripe.webhook_secret",
		"xoxb-1234567890-" + rest(24):                        "slack.bot",
		"xapp-1-A0-1-" + rest(24):                            "slack.app",
		"https://hooks.slack.com/services/T0/B0/" + rest(24): "slack.webhook",
		"sk-ant-api03-" + rest(40):                           "anthropic.api_key",
		"sk-ant-admin01-" + rest(40):                         "anthropic.admin_key",
		"sk-proj-" + rest(40):                                "openai.api_key",
		"ya29." + rest(60):                                   "google.access_token",
		"ya29.c." + rest(60):                                 "google.access_token",
		"12345678:" + rest(35):                               "telegram.bot",
		"ghp_short":                                          "",
		"hello":                                              "",
		"":                                                   "",
		"x ghp_" + rest(36):                                  "",
	} {
		k, ok := Recognize(value)
		if ok != (want != "") || k.Name != want {
			t.Errorf("a %d byte value is taken for %q, want %q", len(value), k.Name, want)
		}
	}
}

func TestMask(t *testing.T) {
	long := random(t, 20)
	for _, c := range []struct {
		kind, value, want string
	}{
		{"github.pat", "ghp_" + long, "ghp_…" + long[36:]},
		{"stripe.api_key", "sk_live_" + long, "sk_live_…" + long[36:]},
		{"stripe.api_key", "rk_test_" + long, "rk_test_…" + long[36:]},
		{"github.pat", "ghp_tooshort", "ghp_…"},
		{"slack.signing_secret", long, "…" + long[36:]},
		{"unknown", "hunter2", "…"},
		{"unknown", long + "\x1b[2J", "…"},
		{"unknown", "", "…"},
		{"no such kind", long, "…" + long[36:]},
	} {
		if got := Mask(c.kind, Value(c.value), nil); got != c.want {
			t.Errorf("a %s of %d bytes is shown as %q, want %q", c.kind, len(c.value), got, c.want)
		}
	}
	pair := NewSecret(map[string]string{"access_key_id": "AKIA" + strings.ToUpper(long[:16]), "secret_access_key": long})
	if got, want := Mask("aws.access_key", pair, nil), "AKIA…"+strings.ToUpper(long[12:16]); got != want {
		t.Errorf("a pair is shown as %q, want %q", got, want)
	}
}

func TestFingerprint(t *testing.T) {
	key, other := NewFingerprintKey(), NewFingerprintKey()
	value := "ghp_" + random(t, 18)
	a := key.Identify(Credential{Provider: "github", Kind: "github.pat", Secret: Value(value), Sources: []Source{{Path: "a"}}})
	again := key.Identify(Credential{Provider: "github", Kind: "unknown", Secret: Value(value), Sources: []Source{{Path: "b"}}})
	b := key.Identify(Credential{Provider: "unknown", Kind: "unknown", Secret: Value(value)})
	if a.Fingerprint != again.Fingerprint {
		t.Error("one secret in two places has two fingerprints")
	}
	if a.Fingerprint == b.Fingerprint {
		t.Error("what another provider issued passes for the same credential")
	}
	pair := func(secret string) Fingerprint {
		return key.Of("aws", NewSecret(map[string]string{"access_key_id": "AKIA", "secret_access_key": secret}), nil)
	}
	if pair(value) == pair("") || pair(value) == pair(value+"x") {
		t.Error("a key id alone, or with another secret, passes for the pair")
	}
	if a.Fingerprint == other.Identify(a).Fingerprint {
		t.Error("the fingerprint does not depend on the incident")
	}
	if a.Tier != 3 || b.Tier != 2 || len(a.Fingerprint) != 64 || len(a.Fingerprint.Short()) != 8 {
		t.Errorf("identified as %v tier %d", a, a.Tier)
	}
	loaded, err := LoadFingerprintKey(key.Bytes())
	if err != nil || loaded.Identify(a).Fingerprint != a.Fingerprint {
		t.Errorf("a loaded key differs: %v", err)
	}
	if _, err := LoadFingerprintKey(nil); err == nil {
		t.Error("an empty key was taken")
	}
	if s := fmt.Sprintf("%v %+v %#v %x", key, key, key, key); strings.Contains(s, fmt.Sprintf("%x", key.Bytes())) || strings.Contains(s, fmt.Sprint(key.Bytes())) {
		t.Error("the key prints")
	}
	noSecret := key.Identify(Credential{Ref: map[string]string{"id": "1"}})
	if noSecret.Fingerprint == key.Identify(Credential{Ref: map[string]string{"id": "2"}}).Fingerprint {
		t.Error("two references have one fingerprint")
	}
}

func TestSettled(t *testing.T) {
	for life, want := range map[Life]bool{
		Found: false, Requested: false, Accepted: false, Propagating: false, Manual: false,
		Dead: true, Alive: true, Unverified: true, Failed: true, Skipped: true,
	} {
		if life.Settled() != want {
			t.Errorf("%s settled: %v", life, !want)
		}
	}
}
