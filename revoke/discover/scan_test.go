package discover

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const state = "home/u/.openclaw/"

// tree makes files below a new directory, named by slash-separated paths; a name that ends in "/"
// is a directory.
func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, state), 0o700))
	for name, content := range files {
		at := filepath.Join(dir, name)
		if strings.HasSuffix(name, "/") {
			must(t, os.MkdirAll(at, 0o700))
			continue
		}
		must(t, os.MkdirAll(filepath.Dir(at), 0o700))
		must(t, os.WriteFile(at, []byte(content), 0o600))
	}
	return dir
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// search scans a tree by the given table.
func search(t testing.TB, dir string, rows []place) ([]Found, Summary) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	var found []Found
	s := newScan(t.Context(), root, rows, func(f Found) { found = append(found, f) })
	summary, err := s.run(nil)
	must(t, err)
	return found, summary
}

// secret makes a random secret of no known format.
func secret() string {
	raw := make([]byte, 20)
	_, _ = rand.Read(raw)
	return hex.EncodeToString(raw)
}

// upper makes n random capital letters.
func upper(n int) string {
	raw := make([]byte, n)
	_, _ = rand.Read(raw)
	for i := range raw {
		raw[i] = 'A' + raw[i]%26
	}
	return string(raw)
}

// show renders a find for comparison.
func show(f Found) string {
	parts := ""
	for _, p := range f.Secret.Parts() {
		parts += " " + p + "=" + f.Secret.Reveal(p)
	}
	if f.Unresolved != "" {
		parts += " unresolved: " + f.Unresolved + " id=" + f.Ref["id"]
	}
	return f.Provider + " " + f.Kind + parts + " at " + f.Source.String()
}

func showAll(found []Found) string {
	var b strings.Builder
	for _, f := range found {
		b.WriteString(show(f) + "\n")
	}
	return b.String()
}

func expect(t *testing.T, found []Found, want ...string) {
	t.Helper()
	var got []string
	for _, f := range found {
		got = append(got, show(f))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestReferences(t *testing.T) {
	a, b, c, d, e := secret(), secret(), secret(), secret(), secret()
	dir := tree(t, map[string]string{
		state + ".env":        "A_TOKEN=" + a + "\nB_NAME=" + b + "\n",
		state + "sub/x.json5": "{ apiKey: '" + e + "' }",
		state + "openclaw.json": `{
  env: { vars: { IN_CONFIG: "` + c + `" } },
  hooks: { token: "${A_TOKEN}" },
  gateway: { auth: { token: "$B_NAME", password: "${UNSET}" }, remote: { token: "${pass:gate/token}" } },
  cron: { webhookToken: "$${A_TOKEN}" },
  models: { providers: {
    one: { $include: "./sub/x.json5" },
    two: { apiKey: { source: "env", provider: "default", id: "IN_CONFIG" } },
    three: { apiKey: { source: "file", provider: "vault", id: "/a~1b/0" } },
    four: { apiKey: { source: "file", provider: "single", id: "value" } },
    five: { apiKey: { source: "exec", provider: "op", id: "x/y" } },
    six: { apiKey: { source: "store", provider: "default", id: "z" } },
    seven: { apiKey: { source: "file", provider: "gone", id: "value" } },
    eight: { apiKey: "B_NAME", headers: { "X-Api-Key": "Bearer ${A_TOKEN}", Referer: "${HOME}" } },
    nine: { apiKey: { source: "env", provider: "default", id: "NOT_SET" } },
    ten: { apiKey: "!op read x" },
  } },
  secrets: { providers: { vault: { source: "file", path: "~/.openclaw/secrets.json" },
    single: { source: "file", path: "/home/u/single", mode: "singleValue" }, gone: { source: "file", path: "gone.txt", mode: "singleValue" }, op: { source: "exec", command: "/bin/touch" } } },
}`,
		state + "secrets.json": "{\n\"a/b\": [\"" + d + "\"],\n\"spare\": \"" + a + "spare\"\n}",
		"home/u/single":        d + "single\n",
	})
	found, summary := search(t, dir, places)
	cfg, here := state+"openclaw.json", "home/u/.openclaw/"
	expect(t, found,
		"openclaw openclaw.hook value="+a+" at "+cfg+":3 (hooks.token)",
		"openclaw openclaw.hook value="+a+" at "+here+".env:1 (A_TOKEN)",
		"openclaw openclaw.gateway value="+b+" at "+cfg+":4 (gateway.auth.token)",
		"openclaw openclaw.gateway unresolved: its variable is set in no file that was read id=env:UNSET at "+cfg+":4 (gateway.auth.password)",
		"openclaw unknown unresolved: a command, never run id=exec:pass:gate/token at "+cfg+":4 (gateway.remote.token)",
		"one unknown value="+e+" at "+here+"sub/x.json5:1 (apiKey)",
		"two unknown value="+c+" at "+cfg+":8 (models.providers.two.apiKey)",
		"three unknown value="+d+" at "+here+"secrets.json:2 (a/b[0])",
		"three unknown value="+d+" at "+cfg+":9 (models.providers.three.apiKey)",
		"four unknown value="+d+"single at home/u/single:1",
		"four unknown value="+d+"single at "+cfg+":10 (models.providers.four.apiKey)",
		"five unknown unresolved: exec reference, never run id=exec:op:x/y at "+cfg+":11 (models.providers.five.apiKey)",
		"six unknown unresolved: store reference, and no database that was read has its entry id=store:default:z at "+cfg+":12 (models.providers.six.apiKey)",
		"seven unknown unresolved: its file: no such file or directory id=file:gone:value at "+cfg+":13 (models.providers.seven.apiKey)",
		"eight unknown value="+b+" at "+cfg+":14 (models.providers.eight.apiKey)",
		"eight unknown value="+a+" at "+cfg+":14 (models.providers.eight.headers.X-Api-Key)",
		"nine unknown unresolved: its variable is set in no file that was read id=env:NOT_SET at "+cfg+":15 (models.providers.nine.apiKey)",
		"ten unknown unresolved: a command, never run id=exec:models.providers.ten.apiKey at "+cfg+":16 (models.providers.ten.apiKey)",
		"unknown unknown value="+a+"spare at "+here+"secrets.json:3 (spare)",
		"openclaw unknown value=${A_TOKEN} at "+cfg+":5 (cron.webhookToken)",
	)
	if len(summary.Problems) > 0 {
		t.Errorf("problems %+v", summary.Problems)
	}
}

// A profile that refers to its key is one whose key is elsewhere, or here as well.
func TestProfileReferences(t *testing.T) {
	a, b := secret(), secret()
	dir := tree(t, map[string]string{
		state + ".env": "ACME_API_KEY=" + a + "\n",
		state + "agents/main/agent/auth-profiles.json": `{"version":1,"profiles":{
 "acme:default":{"type":"api_key","provider":"acme","key":"` + b + `","keyRef":{"source":"env","provider":"default","id":"ACME_API_KEY"}},
 "acme:t":{"type":"token","provider":"acme","tokenRef":{"source":"exec","provider":"vault","id":"x"}},
 "acme:none":{"type":"token","provider":"acme","tokenRef":{},"token":""}}}`,
	})
	found, _ := search(t, dir, places)
	at := state + "agents/main/agent/auth-profiles.json:"
	expect(t, found,
		"acme unknown value="+a+" at "+state+".env:1 (ACME_API_KEY)",
		"acme unknown value="+b+" at "+at+"2 (profiles.acme:default.key)",
		"acme unknown value="+a+" at "+at+"2 (profiles.acme:default.keyRef)",
		"acme unknown unresolved: exec reference, never run id=exec:vault:x at "+at+"3 (profiles.acme:t.tokenRef)",
	)
}

func TestEnvironmentOfUnits(t *testing.T) {
	a, b, c := secret(), secret(), secret()
	dir := tree(t, map[string]string{
		"etc/systemd/system/openclaw.service":                  "[Service]\nEnvironment=\"OPENCLAW_GATEWAY_TOKEN=" + a + "\" PORT=1\nEnvironmentFile=-/etc/claw/env\n",
		"etc/systemd/system/other.service":                     "[Service]\nEnvironment=OTHER_TOKEN=" + secret(),
		"etc/claw/env":                                         "BRAVE_API_KEY=" + b + "\n",
		"home/u/.config/systemd/user/clawdbot-gateway.service": "[Service]\nEnvironment=MY_TOKEN=" + c + "\n",
		state + ".env":                                         "MY_TOKEN=" + c + "other\n",
		state + "openclaw.json":                                `{hooks:{token:"${MY_TOKEN}"}}`,
	})
	found, _ := search(t, dir, places)
	expect(t, found,
		"openclaw openclaw.hook value="+c+" at "+state+"openclaw.json:1 (hooks.token)", // the unit's holds, not the file's
		"openclaw openclaw.hook value="+c+" at home/u/.config/systemd/user/clawdbot-gateway.service:2 (MY_TOKEN)",
		"my unknown value="+c+"other at "+state+".env:1 (MY_TOKEN)",
		"openclaw openclaw.gateway value="+a+" at etc/systemd/system/openclaw.service:2 (OPENCLAW_GATEWAY_TOKEN)",
		"brave unknown value="+b+" at etc/claw/env:1 (BRAVE_API_KEY)",
	)
}

func TestContextDecidesTheKind(t *testing.T) {
	deep, gh, ant := "sk-"+secret(), "ghp_"+secret()[:36], "sk-ant-api03-"+secret()
	hook, id := "whsec_"+secret(), "we_"+secret()
	when := time.UnixMilli(1_800_000_000_000).UTC()
	dir := tree(t, map[string]string{
		state + "openclaw.json": `{models:{providers:{deepseek:{baseUrl:"https://user:pw@api.deepseek.example/v1?k=v",apiKey:"` + deep + `"},
 openai:{apiKey:"` + ant + `"}}},
 skills:{entries:{s:{env:{STRIPE_WEBHOOK_SECRET:"` + hook + `",STRIPE_WEBHOOK_ENDPOINT:"` + id + `"}}}},
 somewhere:{else:"` + gh + `"}}`,
		state + "agents/main/agent/auth-profiles.json": `{"profiles":{"openai-codex:me":{"type":"oauth","provider":"openai-codex","access":"` + deep + `a","refresh":"r` + deep + `","expires":1800000000000,"email":"a@b.example"}}}`,
		state + "credentials/oauth.json":               `{"anthropic":{"refresh":"r` + gh + `","access":"a` + gh + `"}}`,
		state + "agents/main/agent/auth-state.json":    `{"usageStats":{"openai-codex:me":{"lastUsed":1800000000000}}}`,
		state + ".env": "DEEPSEEK_API_KEY=" + deep + "\n",
	})
	found, _ := search(t, dir, places)
	expect(t, found,
		"deepseek unknown value="+deep+" at "+state+"openclaw.json:1 (models.providers.deepseek.apiKey)",
		"deepseek unknown value="+deep+" at "+state+".env:1 (DEEPSEEK_API_KEY)",
		"anthropic anthropic.api_key value="+ant+" at "+state+"openclaw.json:2 (models.providers.openai.apiKey)",
		"stripe stripe.webhook_secret value="+hook+" at "+state+"openclaw.json:3 (skills.entries.s.env.STRIPE_WEBHOOK_SECRET)",
		"github github.pat value="+gh+" at "+state+"openclaw.json:4 (somewhere.else)",
		"openai openai.api_key refresh=r"+deep+" value="+deep+"a at "+state+"agents/main/agent/auth-profiles.json:1 (profiles.openai-codex:me.access)",
		"anthropic unknown refresh=r"+gh+" value=a"+gh+" at "+state+"credentials/oauth.json:1 (anthropic.access)",
	)
	for _, f := range found {
		switch {
		case f.Provider == "deepseek" && f.Source.Locator != "DEEPSEEK_API_KEY" && f.Endpoint != "https://api.deepseek.example":
			t.Errorf("endpoint %q", f.Endpoint)
		case f.Provider == "stripe" && f.Ref["endpoint"] != id:
			t.Errorf("stripe endpoint %q", f.Ref["endpoint"])
		case f.Provider == "openai" && (!f.Expires.Equal(when) || !f.LastUsed.Equal(when) || f.Owner != "a@b.example"):
			t.Errorf("expires %v, last used %v, owner %q", f.Expires, f.LastUsed, f.Owner)
		}
	}
}

func TestAWSFiles(t *testing.T) {
	ids := []string{"AKIA" + upper(16), "ASIA" + upper(16), "AKIA" + upper(16), "AKIA" + upper(16), "AKIA" + upper(16)}
	s := []string{secret(), secret(), secret(), secret(), secret()}
	dir := tree(t, map[string]string{
		"home/u/.aws/credentials": "[default]\naws_access_key_id = " + ids[0] + "\naws_secret_access_key=" + s[0] + " # mine\n\n" +
			"[ temp ]\r\nAWS_SECRET_ACCESS_KEY = " + s[1] + "\r\naws_access_key_id=" + ids[1] + "\r\naws_session_token = " + s[1] + "t\r\n" +
			"[example]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n" +
			"[old]\n# aws_access_key_id = " + ids[2] + "\n# aws_secret_access_key = " + s[2] + "\n",
		"home/u/.aws/config": "[profile sso]\ncredential_process = /bin/touch /tmp/never\n[profile ci]\naws_access_key_id = " + ids[3] + "\naws_secret_access_key = " + s[3] + "\nendpoint_url = https://evil.example\n",
		state + ".env":       "AWS_ACCESS_KEY_ID=" + ids[4] + "\nAWS_SECRET_ACCESS_KEY='" + s[4] + "'\nAWS_REGION=eu-central-1\nSESSION_TOKEN=" + s[0] + "\n",
	})
	found, _ := search(t, dir, places)
	at := "home/u/.aws/credentials:"
	found = slices.DeleteFunc(found, func(f Found) bool { return f.Doubt == Example })
	expect(t, found,
		"aws aws.access_key access_key_id="+ids[0]+" secret_access_key="+s[0]+" at "+at+"2 (default.aws_access_key_id)",
		"aws aws.session access_key_id="+ids[1]+" secret_access_key="+s[1]+" session_token="+s[1]+"t at "+at+"7 (temp.aws_access_key_id)",
		"aws aws.access_key access_key_id="+ids[2]+" secret_access_key="+s[2]+" at "+at+"13 (old.aws_access_key_id)",
		"aws aws.access_key access_key_id="+ids[3]+" secret_access_key="+s[3]+" at home/u/.aws/config:4 (ci.aws_access_key_id)",
		"aws aws.session unresolved: credential_process, never run id=exec:sso at home/u/.aws/config:2 (sso.credential_process)",
		"aws aws.access_key access_key_id="+ids[4]+" secret_access_key="+s[4]+" at "+state+".env:1 (AWS_ACCESS_KEY_ID)",
		"session unknown value="+s[0]+" at "+state+".env:4 (SESSION_TOKEN)",
	)
	for _, f := range found {
		if f.Source.Locator == "ci.aws_access_key_id" && f.Endpoint != "https://evil.example" {
			t.Errorf("endpoint %q", f.Endpoint)
		}
	}
}

func TestGitHubHosts(t *testing.T) {
	a, b, c := "gho_"+secret()[:36], "ghp_"+secret()[:36], "ghp_"+secret()[:36]
	dir := tree(t, map[string]string{"home/u/.config/gh/hosts.yml": "github.com:\n    users:\n        ann:\n            oauth_token: " + a + "\n        bob:\n            oauth_token: " + b +
		"\n    oauth_token: " + b + "\n    user: bob\nghe.corp.example:\n    oauth_token: " + c + "\n    user: eve\n"})
	found, _ := search(t, dir, places)
	at := "home/u/.config/gh/hosts.yml:"
	expect(t, found,
		"github github.oauth value="+a+" at "+at+`4 (["github.com"].users.ann.oauth_token)`,
		"github github.pat value="+b+" at "+at+`6 (["github.com"].users.bob.oauth_token)`,
		"github github.pat value="+b+" at "+at+`7 (["github.com"].oauth_token)`,
		"github github.pat value="+c+" at "+at+`10 (["ghe.corp.example"].oauth_token)`,
	)
	owners := map[string]string{a: "ann", b: "bob", c: "eve"}
	for _, f := range found {
		value := f.Secret.Reveal("value")
		if f.Owner != owners[value] || (f.Endpoint != "") != (value == c) {
			t.Errorf("owner %q, endpoint %q at %s", f.Owner, f.Endpoint, f.Source)
		}
	}
}

// 64 KB is a secret like any other; what is beyond the bound is said, not found.
func TestLongSecrets(t *testing.T) {
	long := base64.StdEncoding.EncodeToString([]byte(strings.Repeat(secret(), 64<<10/56)))
	dir := tree(t, map[string]string{state + "openclaw.json": `{hooks:{token:"` + long + `"},cron:{webhookToken:"` + strings.Repeat(long, 8) + `"}}`})
	found, summary := search(t, dir, places)
	if len(found) != 1 || found[0].Secret.Reveal("value") != long || len(long) < 60<<10 {
		t.Errorf("%d found", len(found))
	}
	if len(summary.Problems) != 1 || !strings.Contains(summary.Problems[0].Reason, "cron.webhookToken is longer") {
		t.Errorf("problems %+v", summary.Problems)
	}
}

func TestScanStreamsAndStops(t *testing.T) {
	dir := tree(t, map[string]string{
		state + "openclaw.json":       `{hooks:{token:"` + secret() + `"},gateway:{auth:{token:"` + secret() + `"}}}`,
		state + "openclaw.json.bak":   `{hooks:{token:"` + secret() + `"}}`,
		"home/u/.config/gh/hosts.yml": "github.com:\n  oauth_token: gho_" + secret() + "\n",
	})
	root, err := os.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	var order []string
	_, err = Scan(t.Context(), root, Options{}, func(f Found) { order = append(order, filepath.Base(f.Source.Path)) })
	must(t, err)
	if got := strings.Join(order, " "); got != "openclaw.json openclaw.json hosts.yml openclaw.json.bak" {
		t.Errorf("order %q", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	summary, err := Scan(ctx, root, Options{}, func(Found) { calls++; cancel() })
	if !errors.Is(err, context.Canceled) || calls != 1 || summary.Found != 1 {
		t.Errorf("%d calls, summary %+v, error %v", calls, summary, err)
	}
}

func TestNoInstallation(t *testing.T) {
	root, err := os.OpenRoot(t.TempDir())
	must(t, err)
	defer root.Close()
	if _, err := Scan(t.Context(), root, Options{}, nil); !errors.Is(err, ErrNoInstallation) {
		t.Errorf("error %v", err)
	}
}

// What another account keeps for itself is not the agent's, even where the agent links to it.
func TestOtherAccounts(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root to give files to other accounts")
		}
		t.Skip("needs root to give files to other accounts")
	}
	private, group, open, linked := "gho_"+secret(), "gho_"+secret(), "gho_"+secret(), secret()
	hosts := func(token string) string { return "github.com:\n  oauth_token: " + token + "\n" }
	dir := tree(t, map[string]string{
		"etc/passwd":                  "u:x:4001:4001::/home/u:/bin/sh\nv:x:4002:4002::/home/v:/bin/sh\nw:x:4003:4003::/home/w:/bin/sh\nx:x:4004:4004::/home/x:/bin/sh\n",
		"etc/group":                   "shared:x:4100:w,u\n",
		state + "openclaw.json":       `{channels:{telegram:{tokenFile:"/home/v/.token"}}}`,
		"home/v/.token":               linked,
		"home/v/.config/gh/hosts.yml": hosts(private),
		"home/w/.config/gh/hosts.yml": hosts(group),
		"home/x/.config/gh/hosts.yml": hosts(open),
	})
	modes := map[string]struct {
		uid, gid int
		mode     os.FileMode
	}{
		"home": {0, 0, 0o755}, "home/u": {4001, 4001, 0o700}, "home/u/.openclaw": {4001, 4001, 0o700},
		"home/v": {4002, 4002, 0o755}, "home/v/.token": {4002, 4002, 0o600}, "home/v/.config": {4002, 4002, 0o700}, "home/v/.config/gh": {4002, 4002, 0o755}, "home/v/.config/gh/hosts.yml": {4002, 4002, 0o644},
		"home/w": {4003, 4003, 0o755}, "home/w/.config": {4003, 4003, 0o755}, "home/w/.config/gh": {4003, 4003, 0o755}, "home/w/.config/gh/hosts.yml": {4003, 4100, 0o640},
		"home/x": {4004, 4004, 0o755}, "home/x/.config": {4004, 4004, 0o755}, "home/x/.config/gh": {4004, 4004, 0o755}, "home/x/.config/gh/hosts.yml": {4004, 4004, 0o644},
		".": {0, 0, 0o755},
	}
	for name, m := range modes {
		must(t, os.Chown(filepath.Join(dir, name), m.uid, m.gid))
		must(t, os.Chmod(filepath.Join(dir, name), m.mode))
	}
	must(t, os.MkdirAll(filepath.Join(dir, "home/u/.config/gh"), 0o700))
	must(t, os.Symlink("/home/v/.config/gh/hosts.yml", filepath.Join(dir, "home/u/.config/gh/hosts.yml")))
	found, summary := search(t, dir, places)
	var got []string
	for _, f := range found {
		got = append(got, f.Source.Path+" "+f.Unresolved)
	}
	slices.Sort(got)
	want := []string{
		state + "openclaw.json its file: belongs to another account, and the agent's may not read it: left alone",
		"home/w/.config/gh/hosts.yml ", "home/x/.config/gh/hosts.yml ",
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	if len(summary.Problems) != 0 || len(summary.Apart) != 1 || summary.Apart[0].Path != "home/u/.config/gh/hosts.yml" {
		t.Errorf("problems %+v, apart %+v", summary.Problems, summary.Apart)
	}
}
