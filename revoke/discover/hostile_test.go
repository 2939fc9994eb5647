package discover

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"clawback/forensics/agents/openclaw"
)

// Every unreadable thing is a problem that names it, and the rest goes on.
func TestHostileTree(t *testing.T) {
	live := secret()
	files := map[string]string{
		state + "openclaw.json":                         "{ hooks: { token: \"" + live + "\" }, gateway: { auth: { tok",
		state + "agents/main/agent/auth-profiles.json":  "\x7fELF\x02\x01\x01\x00" + live,
		state + "agents/deep/agent/auth-profiles.json":  strings.Repeat("[", 100_000),
		state + "agents/twice/agent/auth-profiles.json": `{"profiles":{"x:y":{"key":"` + live + `1"},"x:y":{"key":"` + live + `2"}}}`,
		"home/u/.config/gh/hosts.yml":                   "github.com: [unclosed: \"" + live,
		"home/v/.openclaw/":                             "",
		"home/w/.openclaw/openclaw.json":                `{$include:"./openclaw.json",hooks:{token:{source:"env",id:"` + live + `"}}}`,
		"home/x/.openclaw/.env":                         "\xff\xfe\x00TOKEN\x00=" + live,
		"home/u/.kube/config":                           live,
	}
	dir := tree(t, files)
	must(t, syscall.Mkfifo(filepath.Join(dir, "home/v/.openclaw/openclaw.json"), 0o600))
	must(t, os.Symlink("auth.json", filepath.Join(dir, state, "agents/main/agent/auth.json")))
	must(t, os.Symlink("../..", filepath.Join(dir, state, "credentials")))
	huge, err := os.Create(filepath.Join(dir, state, ".env"))
	must(t, err)
	must(t, huge.Truncate(1<<30)) // one line of 1 GB, of which no byte is on disk
	must(t, huge.Close())

	start := time.Now()
	found, summary := search(t, dir, places)
	if d := time.Since(start); d > 30*time.Second {
		t.Errorf("took %v", d)
	}
	var got []string
	for _, f := range found {
		got = append(got, f.Source.String()+" "+f.Unresolved)
	}
	slices.Sort(got)
	want := []string{
		state + "agents/twice/agent/auth-profiles.json:1 (profiles.x:y.key) ", state + "agents/twice/agent/auth-profiles.json:1 (profiles.x:y.key) ",
		state + "openclaw.json:1 (hooks.token) ",
		"home/w/.openclaw/openclaw.json:1 (hooks.token) the reference names no variable",
	}
	if !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	for name, reason := range map[string]string{
		state + "openclaw.json":                         "line 1, column ",
		state + "agents/main/agent/auth-profiles.json":  "not valid JSON",
		state + "agents/deep/agent/auth-profiles.json":  "nested too deeply",
		state + "agents/twice/agent/auth-profiles.json": "stands twice",
		state + "agents/main/agent/auth.json":           "circle",
		state + ".env":                                  "longer than",
		"home/u/.config/gh/hosts.yml":                   "not valid YAML",
		"home/v/.openclaw/openclaw.json":                "a FIFO",
		"home/u/.kube/config":                           "look at it by hand",
		state + "credentials":                           "a link to another directory",
	} {
		if !slices.ContainsFunc(summary.Problems, func(p openclaw.Problem) bool { return p.Path == name && strings.Contains(p.Reason, reason) }) {
			t.Errorf("no problem of %s says %q: %+v", name, reason, summary.Problems)
		}
	}
	leaks(t, live, found, summary)
}

// leaks fails where anything but a Secret shows a secret.
func leaks(t *testing.T, live string, found []Found, summary Summary) {
	t.Helper()
	for _, v := range []any{found, summary} {
		shown, err := json.Marshal(v)
		must(t, err)
		for _, text := range []string{string(shown), fmt.Sprintf("%+v %#v", v, v)} {
			for i := 0; i+8 <= len(live); i++ {
				if strings.Contains(text, live[i:i+8]) {
					t.Fatalf("a piece of a secret is shown: %s", strings.ReplaceAll(text, live[i:i+8], "████████"))
				}
			}
		}
	}
}

// A secret that stands where something else belongs is not shown there.
func TestSecretsInOddPlaces(t *testing.T) {
	key := "sk-ant-api03-" + secret()
	for name, text := range map[string]string{
		"a key":            `{models:{providers:{"` + key + `":{apiKey:"` + key + `"}}}}`,
		"a file's name":    `{channels:{telegram:{tokenFile:"` + key + `"}}}`,
		"a reference's id": `{hooks:{token:{source:"exec",provider:"x",id:"` + key + `"}}}`,
		"an alias":         `{hooks:{token:{source:"file",provider:"` + key + `",id:"x"}}}`,
		"a host":           `{models:{providers:{x:{baseUrl:"https://` + key + `@h.example",apiKey:"` + key + `"}}}}`,
		"a comment":        "// " + key + "\n{}",
		"behind a fault":   "{a:1 b:2,\nc:'" + key + "'}",
		"an e-mail":        `{skills:{entries:{x:{apiKey:"` + key + `",email:"` + key + `"}}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			found, summary := search(t, tree(t, map[string]string{state + "openclaw.json": text}), places)
			if len(found) == 0 {
				t.Error("nothing was found")
			}
			leaks(t, key[len("sk-ant-api03-"):], found, summary)
		})
	}
}

// Decoys are bounded, and that some were left out is said.
func TestDecoysAreBounded(t *testing.T) {
	var comments, keys strings.Builder
	for range 3 * maxHeuristic {
		comments.WriteString("// ghp_" + secret() + "\n")
	}
	for i := range maxPerFile + 10 {
		fmt.Fprintf(&keys, "K%d_TOKEN=%s\n", i, secret())
	}
	dir := tree(t, map[string]string{state + "openclaw.json": comments.String() + "{}", state + ".env": keys.String()})
	found, summary := search(t, dir, places)
	if len(found) != maxHeuristic+maxPerFile || len(summary.Problems) != 2 {
		t.Errorf("%d found, problems %+v", len(found), summary.Problems)
	}
}

// No file makes the search take more than in proportion to its size: what is quadratic in one of
// these takes many minutes.
func TestTimeIsBounded(t *testing.T) {
	const size = 1 << 20
	big := func(s string) string { return strings.Repeat(s, size/len(s)) }
	for name, files := range map[string]map[string]string{
		"tokens":   {state + "openclaw.json": `{` + big(`"a":"ghp_0123456789012345678901234567890123456789",`) + `}`},
		"akid":     {state + "openclaw.json": `{` + big(`"a_access_key_id":"ghp_01234567890123456789",`) + `}`},
		"bigkey":   {state + "openclaw.json": `{"` + strings.Repeat("k", size/2) + `":{` + strings.Repeat(`"a":"b",`, size/16) + `}}`},
		"deep":     {state + "openclaw.json": `[` + strings.Repeat(strings.Repeat("[", 400)+`"x"`+strings.Repeat("]", 400)+",", size/800) + `]`},
		"env":      {state + ".env": strings.Repeat("A_TOKEN=x1234567\n", size/64)},
		"envname":  {state + ".env": strings.Repeat("FOO=bar-bar-bar\n", size/64)},
		"envvars":  {state + "openclaw.json": `{env:{vars:{` + strings.Repeat(`"ABC":"${ABC}${DEF}",`, size/64) + `}}}`},
		"refs":     {state + "openclaw.json": `{models:{providers:{` + big(`"x":{"apiKey":{"source":"exec","id":"a","provider":"b"}},`) + `}}}`},
		"whsec":    {state + "openclaw.json": `{` + big(`"a":"whsec_0123456789012345678901234567890123456789",`) + `}`},
		"garbage":  {state + "openclaw.json": `{x ` + big(`aaaaaaaaaaaaaaaaaaaaaaaa `) + `}`},
		"dollars":  {state + "openclaw.json": `{hooks:{token:"` + big("${") + `"}}`},
		"yaml":     {"home/u/.config/gh/hosts.yml": big("a: {b: {c: [d, e]}}\n")},
		"yaml2":    {"home/u/.config/gh/hosts.yml": strings.Repeat("[", maxYAML)},
		"ini":      {"home/u/.aws/credentials": big("[a]\naws_access_key_id=AKIAABCDEFGHIJKLMNOP\n")},
		"includes": {state + "openclaw.json": `{` + big(`"$include":"./a.json","x":{"$include":["openclaw.json"]},`) + `}`},
		"netrc":    {"home/u/.netrc": big("machine a login b password cccccccc\n"), "home/u/.pgpass": strings.Repeat("a", size), "home/u/.git-credentials": big("https://a:b12345678@c\n")},
		"pgpass":   {"home/u/.pgpass": big("h:1:d:u:p12345678\n"), "home/u/.npmrc": big("//r/:_authToken=a12345678\n")},
		"toml":     {"home/u/.codex/config.toml": big("[a.b.c.d]\nx={y=z,") + strings.Repeat("a.", size/2)},
		"compose":  {"home/u/compose.yml": strings.Repeat("a: {environment: [K_TOKEN=vvvvvvvv]}\n", size/64), "home/u/x/compose.yml": "services: {a: {env_file: [" + strings.Repeat("/etc/hosts,", size/16) + "]}}"},
		"kube":     {"home/u/.kube/config": "users: [" + strings.Repeat("{user: {token: a12345678}},", size/64) + "]\nclusters: [" + strings.Repeat("{cluster: {server: 'https://x'}},", size/128) + "]"},
		"docker":   {"home/u/.docker/config.json": `{"auths":{` + big(`"x":{"auth":"YTpiMTIzNDU2Nzg="},`) + `}}`},
		"ssh":      {"home/u/.ssh/a": big("-----BEGIN OPENSSH PRIVATE KEY-----\n"), "home/u/.ssh/b": big("-----BEGIN A PRIVATE KEY-----\nAAAA\n-----END A PRIVATE KEY-----\n")},
		"load":     {"home/u/.config/systemd/user/openclaw.service": big("LoadCredential=a:/etc/hosts\n")},
		"pointers": {state + ".env": big("KUBECONFIG=/a:/b:/c:/d:/e:/f\n")},
		"environ":  {"proc/9/cmdline": "openclaw\x00", "proc/9/environ": big("A_TOKEN=x1234567\x00")},
		"manifest": {state + "agent.manifest.json": `{"vault":[` + big(`"kv/data/x",`) + `]}`},
		"unit":     {"home/u/.config/systemd/user/openclaw.service": big("EnvironmentFile=/etc/hosts\n")},
		"oneline":  {state + "credentials/x": big("a=b:c=")},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			search(t, tree(t, files), places)
			if d := time.Since(start); d > time.Minute {
				t.Errorf("took %v", d)
			}
		})
	}
}
