package discover

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"clawback/revoke/credential"
)

// example builds the smallest tree with a secret at one row of the table, and what must be found.
func example(row place, value string) (files map[string]string, want Found) {
	steps := strings.Split(row.path, ".")
	provider := row.provider
	for i, step := range steps {
		switch {
		case step != "*":
		case i < len(steps)-1 || row.holds == aSecret || row.holds == aFile:
			steps[i] = "acme"
		case row.holds == aHeader:
			steps[i] = "X-Api-Key"
		case row.holds == aVariable:
			steps[i] = "ACME_API_KEY"
		}
	}
	if provider == "" {
		provider = unknown
		if strings.Contains(row.path, "*") {
			provider = "acme"
		}
	}
	name := strings.ReplaceAll(row.file, "*", "one")
	if home, ok := strings.CutPrefix(name, "~/"); ok {
		name = "home/u/" + home
	} else {
		name = state + name
	}
	want = Found{Provider: provider, Kind: row.kind}
	if want.Kind == "" {
		want.Kind = unknown
	}
	want.Source = credential.Source{Path: name, Locator: strings.Join(steps, "."), Line: 1}
	var doc any = value
	files = map[string]string{}
	if row.holds == aFile {
		doc = "/srv/token"
		files["srv/token"] = value + "\n"
		want.Source = credential.Source{Path: "srv/token", Line: 1, Note: "named by " + strings.Join(steps, ".") + " of openclaw.json"}
	}
	for _, step := range slices.Backward(steps) {
		doc = map[string]any{step: doc}
	}
	text, _ := json.Marshal(doc)
	files[name] = string(text)
	parts := map[string]string{"value": value}
	if row.part == "refresh" {
		parts["refresh"] = value
	}
	want.Secret = credential.NewSecret(parts)
	return files, want
}

// Each row of the table finds something, and nothing else finds it: a row that is lost is a
// credential that is lost.
func TestEachPlace(t *testing.T) {
	for i, row := range places {
		t.Run(row.file+" "+row.path, func(t *testing.T) {
			files, want := example(row, secret())
			dir := tree(t, files)
			found, summary := search(t, dir, places)
			expect(t, found, show(want))
			if len(summary.Problems) > 0 {
				t.Errorf("problems %+v", summary.Problems)
			}
			found, _ = search(t, dir, slices.Delete(slices.Clone(places), i, i+1))
			if slices.ContainsFunc(found, func(f Found) bool { return show(f) == show(want) }) {
				t.Error("it is found without its row: the test or the row is worth nothing")
			}
		})
	}
}

// The table names kinds and providers that exist, and no path twice.
func TestPlacesAreSound(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range places {
		at := row.file + " " + row.path
		if seen[at] {
			t.Errorf("%s is listed twice", at)
		}
		seen[at] = true
		kind, ok := credential.Lookup(row.kind)
		if row.kind != "" && (!ok || row.kind != unknown && kind.Provider != row.provider) {
			t.Errorf("%s: kind %q of provider %q", at, row.kind, row.provider)
		}
		if strings.ContainsAny(row.path, "{}") || path.Clean(row.path) != row.path {
			t.Errorf("%s is not a path", at)
		}
	}
	if len(places) < 120 {
		t.Errorf("%d rows", len(places))
	}
}

func TestEachVariable(t *testing.T) {
	all := variables
	defer func() { variables = all }()
	for name, v := range all {
		value := secret()
		provider, kind, ok := classifyVariable(name, value)
		if !ok || provider != v.provider || kind != v.kind {
			t.Errorf("%s is %s %s %v", name, provider, kind, ok)
		}
		if k, known := credential.Lookup(v.kind); !known || v.kind != unknown && k.Provider != v.provider {
			t.Errorf("%s: kind %q of provider %q", name, v.kind, v.provider)
		}
		without := map[string]variable{}
		for n, v := range all {
			if n != name {
				without[n] = v
			}
		}
		variables = without
		if p, k, _ := classifyVariable(name, value); p == v.provider && k == v.kind {
			t.Errorf("%s needs no row: its words tell as much", name)
		}
		variables = all
	}
}

func TestClassifyVariable(t *testing.T) {
	random := secret()
	for _, c := range []struct{ name, value, want string }{
		{"BRAVE_API_KEY", random, "brave unknown"},
		{"GEMINI_API_KEY", random, "google google.api_key"},
		{"OPENAI_API_KEY_2", random, "openai openai.api_key"},
		{"SLACK_SIGNING_SECRET_2", random, "slack slack.signing_secret"},
		{"TOKEN", random, "unknown unknown"},
		{"github_token", random, "github unknown"},
		{"ANYTHING", "ghp_" + random[:36], "github github.pat"},
		{"DEEPSEEK_API_KEY", "sk-" + random, "deepseek unknown"},
		{"SVIX_SECRET", "whsec_" + random, "svix unknown"},
		{"DATABASE_URL", "postgres://app:" + random + "@db/x", "postgres unknown"},
		{"DATABASE_URL", "postgres://app@db/x", ""},
		{"PORT", "18789", ""},
		{"NODE_ENV", "production", ""},
		{"SSH_AUTH_SOCK", "/run/ssh", ""},
		{"STRIPE_PUBLISHABLE_KEY", random, ""},
		{"TOKEN_FILE", "/run/secrets/x", ""},
		{"PASSWORD", "/run/secrets/x", ""},
		{"ENABLE_AUTH", "true", ""},
		{"MAX_TOKEN", "4096", ""},
		{"KEYBOARD", "de", ""},
	} {
		provider, kind, ok := classifyVariable(c.name, c.value)
		if got := strings.TrimSpace(provider + " " + kind); got != c.want || ok != (c.want != "") {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestPlaceholders(t *testing.T) {
	for _, v := range []string{
		"", "  ", "YOUR_API_KEY", "your-api-key-here", "sk-your-key", "yourapikey", "changeme", "CHANGE_ME", "change-me!", "xxxx", "xoxb-xxxx-xxxx-xxxx", "sk-xxxxxxxx", "****",
		"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "<token>", "{{ token }}", "[your token]", "placeholder", "replace-me", "replace_with_your_key", "todo", "none", "null", "undefined",
		"example", "my-token", "insert_token_here", "__OPENCLAW_REDACTED__", "secretref-managed", "sk-...", "password", "dummy", "test-api-key", "0000000000",
	} {
		if !placeholder(v) {
			t.Errorf("%q passes for a secret", v)
		}
	}
	for range 4_000 {
		raw := secret()
		for _, v := range []string{raw, strings.ToUpper(raw), "sk-ant-api03-" + raw, "AKIA" + upper(16), raw[:8]} {
			if placeholder(v) {
				t.Fatalf("a random secret of %d bytes passes for a placeholder", len(v))
			}
		}
	}
	for _, v := range []string{"hunter2!", "correct horse battery staple", "gw-9f3a"} {
		if placeholder(v) {
			t.Errorf("%q passes for a placeholder", v)
		}
	}
}

func TestPlaceholdersAreNotFound(t *testing.T) {
	dir := tree(t, map[string]string{
		state + ".env":          "OPENAI_API_KEY=YOUR_API_KEY\nSLACK_BOT_TOKEN=xoxb-xxxx-xxxx\nA_TOKEN=\nB_TOKEN=changeme\nAWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE\nAWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n",
		state + "openclaw.json": `{hooks:{token:""},gateway:{auth:{token:"<token>",password:"changeme"}},channels:{telegram:{botToken:"xxxx"}}}`,
	})
	found, _ := search(t, dir, places)
	expect(t, found)
}

// What was recognised once keeps its name in places that tell less.
func TestOneSecretOneKind(t *testing.T) {
	value := secret()
	dir := tree(t, map[string]string{
		state + "openclaw.json": fmt.Sprintf(`{gateway:{auth:{token:%q}},skills:{entries:{x:{apiKey:%q}}}}`, value, value),
		state + ".env":          "SOME_PASSWORD=" + value,
	})
	found, _ := search(t, dir, places)
	if len(found) != 3 {
		t.Errorf("found %s", showAll(found))
	}
	for _, f := range found {
		if f.Kind != "openclaw.gateway" {
			t.Errorf("%s", show(f))
		}
	}
}
