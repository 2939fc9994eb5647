package discover

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"clawback/forensics/agents/openclaw"
	"clawback/revoke/credential"
)

// planted builds the smallest tree with a secret at one row of the table, and what must be found.
func planted(row place, value string) (files map[string]string, want Found) {
	steps := strings.Split(row.path, ".")
	for i, step := range steps {
		switch {
		case step != "*":
		case i == len(steps)-1 && row.holds == aHeader:
			steps[i] = "X-Api-Key"
		case i == len(steps)-1 && row.holds == aVariable:
			steps[i] = "ACME_API_KEY"
		default:
			steps[i] = "acme"
		}
	}
	want = Found{Provider: row.provider, Kind: cmp.Or(row.kind, unknown)}
	if want.Provider == "" {
		want.Provider = unknown
		if strings.Contains(row.path, "*") {
			want.Provider = "acme"
		}
	}
	name := strings.NewReplacer("*.service", "openclaw.service", "*.container", "openclaw.container", "/proc/*", "/proc/7", "*", "one", "?", "-").Replace(row.file)
	name = strings.NewReplacer("serviceone", "service", "containerone", "container").Replace(name)
	switch w, rest := whereIs(name); w {
	case inHome:
		name = "home/u/" + rest
	case inWorkspace:
		name = state + "workspace/" + rest
	case inState:
		name = state + name
	case onMachine:
		name = rest
	}
	want.Source = credential.Source{Path: name, Locator: strings.Join(steps, "."), Line: 1}
	files = map[string]string{}
	parts := map[string]string{"value": value}
	if row.part == "refresh" {
		parts["refresh"] = value
	}
	if main := mainParts[row.kind]; main != "" {
		parts = map[string]string{main: value}
	}
	written := value
	switch row.holds {
	case aFile:
		written = "/srv/token"
		files["srv/token"] = value + "\n"
		want.Source = credential.Source{Path: "srv/token", Line: 1, Note: "named by " + strings.Join(steps, ".") + " of " + path.Base(name)}
	case aLogin:
		written = base64.StdEncoding.EncodeToString([]byte("bob:" + value))
	case aCommand:
		parts, want.Unresolved, want.Ref = nil, "a program or a service gives it: never run, never asked", map[string]string{"id": "exec:" + want.Source.Locator}
	case aHelper:
		parts, want.Unresolved, want.Ref = nil, "kept by a credential helper, which is never asked", map[string]string{"id": "store:" + want.Source.Locator}
	case aManifest:
		parts, want.Provider, want.Kind, want.Source.Locator = nil, "vault", "vault.path", "vault.secrets.mail"
		want.Unresolved, want.Ref = "stands in a vault at that path, which is never asked", map[string]string{"id": "store:vault:kv/data/" + value}
		steps, written = []string{"vault", "secrets", "mail"}, "kv/data/"+value
	case aThing:
		parts, want.Source.Locator = nil, ""
		want.Unresolved, want.Ref = "its sessions were not read: end them at each service", map[string]string{"id": name}
	case aSocket:
		parts, want.Source.Locator = nil, ""
		want.Unresolved, want.Ref = "a socket, not used: whoever may write to it signs with its keys", map[string]string{"id": name}
	case aMachine:
		parts, want.Source.Locator, written = nil, "", row.path
		want.Unresolved, want.Ref = "a role that the cloud gives to the machine: detach it, or end its sessions", map[string]string{"id": "instance role of this machine"}
	case aKey:
		written = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte(value)}))
		parts["value"] = strings.TrimSpace(written)
	}
	last := steps[len(steps)-1]
	switch base := path.Base(row.file); {
	case row.file == "~/.aws/credentials", row.file == "~/.aws/config":
		id := "AKIA" + upper(16)
		parts = map[string]string{"access_key_id": id, "secret_access_key": value}
		files[name] = "[acme]\naws_access_key_id = " + id + "\naws_secret_access_key = " + value
		want.Source.Line = 2
	case strings.HasPrefix(row.file, "~/.aws/cli/"):
		id := "ASIA" + upper(16)
		parts = map[string]string{"access_key_id": id, "secret_access_key": value}
		files[name] = `{"Credentials":{"AccessKeyId":"` + id + `","SecretAccessKey":"` + value + `"}}`
	case row.path == "", row.holds == aMachine, row.file == "~/.vault-token":
		files[name], want.Source.Locator = written, ""
	case row.file == environFile:
		files[name], files["proc/7/cmdline"] = "HOME=/x\x00"+last+"="+value+"\x00", "openclaw-gateway\x00"
		want.Source.Line = 2
	case strings.HasPrefix(base, ".env"):
		files[name] = last + "=" + value
	case isEnvironment(row.file):
		files[name] = "[Service]\nEnvironment=" + last + "=" + value
		want.Source.Line, want.Source.Locator = 2, last
	case strings.HasSuffix(base, ".npmrc"):
		files[name] = "//acme/:" + last + "=" + written
	case base == ".pypirc", base == "properties":
		files[name] = "[acme]\n" + last + " = " + value
		want.Source.Line = 2
	case base == ".netrc":
		files[name] = "machine acme login bob password " + value
	case strings.Contains(base, "credentials") && row.kind == "login.password":
		files[name] = "https://bob:" + value + "@acme"
	case base == ".pgpass":
		files[name] = "acme:5432:app:bob:" + value
		want.Source.Locator = `acme:5432:app:bob.password`
	case strings.HasSuffix(base, ".toml"):
		files[name] = "[" + strings.Join(steps[:len(steps)-1], ".") + "]\n" + last + ` = "` + value + `"`
		want.Source.Line = 2
	default:
		var doc any = written
		for _, step := range slices.Backward(steps) {
			doc = map[string]any{step: doc}
		}
		text, _ := json.Marshal(doc) // which is YAML as well
		files[name] = string(text)
	}
	want.Secret = credential.NewSecret(parts)
	return files, want
}

// Each row of the table finds something, and nothing else finds it: a row that is lost is a
// credential that is lost.
func TestEachPlace(t *testing.T) {
	for i, row := range places {
		t.Run(row.file+" "+row.path, func(t *testing.T) {
			files, want := planted(row, secret())
			dir := tree(t, files)
			if row.holds == aSocket {
				at := filepath.Join(dir, want.Source.Path)
				must(t, os.Remove(at))
				socket(t, at)
			}
			without := slices.Delete(slices.Clone(places), i, i+1)
			if row.holds == aDatabase {
				named := func(rows []place) bool {
					_, summary := search(t, dir, rows)
					return slices.ContainsFunc(summary.Problems, func(p openclaw.Problem) bool { return p.Path == want.Source.Path })
				}
				if !named(places) || named(without) {
					t.Error("it is not named, or it is without its row")
				}
				return
			}
			found, summary := search(t, dir, places)
			expect(t, found, show(want))
			if len(summary.Problems) > 0 {
				t.Errorf("problems %+v", summary.Problems)
			}
			found, _ = search(t, dir, without)
			if slices.ContainsFunc(found, func(f Found) bool { return show(f) == show(want) && f.Doubt != ByFormat }) {
				t.Error("it is found without its row: the test or the row is worth nothing")
			}
		})
	}
}

// socket makes a socket that nobody listens at. Its path may be longer than an address may.
func socket(t *testing.T, at string) {
	t.Helper()
	short := filepath.Join("/tmp", "s"+secret()[:12])
	l, err := net.Listen("unix", short)
	must(t, err)
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	must(t, l.Close())
	must(t, os.Rename(short, at))
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
		if row.kind != "" && (!ok || kind.Provider != "" && kind.Provider != row.provider) {
			t.Errorf("%s: kind %q of provider %q", at, row.kind, row.provider)
		}
		if strings.ContainsAny(row.path, "{}") || row.path != "" && path.Clean(row.path) != row.path && row.holds != aMachine {
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
		{"TAILSCALE_AUTHKEY", random, "tailscale unknown"},
		{"TAILSCALE_AUTH_KEY", random, "tailscale unknown"},
		{"MODELS", "sk-or-v1-" + random + random[:24], "openrouter unknown"},
		{"ANYTHING", "hvs." + random + random + random[:10], "vault vault.token"},
		{"HF_TOKEN", random, "huggingface unknown"},
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
		"sk_test_4eC39HqLyjWDarjtT1zdp7dc", "123456:ABC-DEF1234ghIkl-zyx57W2v1u123ew11", "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
		"sk-1234567890abcdef1234567890abcdef",
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

// A gap is told apart from a secret, and what is empty is not there.
func TestPlaceholdersAreToldApart(t *testing.T) {
	dir := tree(t, map[string]string{
		state + ".env":          "OPENAI_API_KEY=YOUR_API_KEY\nSLACK_BOT_TOKEN=xoxb-xxxx-xxxx\nA_TOKEN=\nB_TOKEN=changeme\nAWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE\nAWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n",
		state + "openclaw.json": `{hooks:{token:""},gateway:{auth:{token:"<token>",password:"changeme"}},channels:{telegram:{botToken:"xxxx"}}}`,
	})
	found, _ := search(t, dir, places)
	var got []string
	for _, f := range found {
		got = append(got, f.Kind+" "+string(f.Doubt)+" "+f.Source.Locator)
		if !f.Doubt.Harmless() {
			t.Errorf("%s passes for a secret", show(f))
		}
	}
	slices.Sort(got)
	want := []string{
		"aws.access_key example AWS_ACCESS_KEY_ID", "openai.api_key placeholder OPENAI_API_KEY", "openclaw.gateway placeholder gateway.auth.password",
		"openclaw.gateway placeholder gateway.auth.token", "slack.bot placeholder SLACK_BOT_TOKEN", "telegram.bot placeholder channels.telegram.botToken", "unknown placeholder B_TOKEN",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
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
