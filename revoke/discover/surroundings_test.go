package discover

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"clawback/forensics/agents/openclaw"
)

// A variable that names a file leads to what stands in it.
func TestEachPointer(t *testing.T) {
	all := pointers
	defer func() { pointers = all }()
	for name, p := range all {
		t.Run(name, func(t *testing.T) {
			value := secret()
			files := map[string]string{state + ".env": name + "=/opt/elsewhere\n"}
			row := place{kind: p.kind, provider: p.provider}
			if p.file != "" {
				i := slices.IndexFunc(places, func(row place) bool { return row.file == p.file })
				row = places[i]
				there, want := planted(row, value)
				files["opt/elsewhere"] = there[want.Source.Path]
			}
			dir := tree(t, files)
			if row.holds == aSocket {
				must(t, os.Remove(filepath.Join(dir, "opt/elsewhere")))
				socket(t, filepath.Join(dir, "opt/elsewhere"))
			}
			hit := func(f Found) bool {
				return f.Provider == row.provider && f.Kind == row.kind || strings.Contains(show(f), value)
			}
			if found, _ := search(t, dir, places); len(found) != 1 || !hit(found[0]) {
				t.Errorf("found %s", showAll(found))
			}
			pointers = map[string]struct{ file, provider, kind string }{}
			defer func() { pointers = all }()
			if found, _ := search(t, dir, places); slices.ContainsFunc(found, hit) {
				t.Error("it needs no row")
			}
		})
	}
}

func TestUnitSecrets(t *testing.T) {
	a, b, c := secret(), secret(), secret()
	dir := tree(t, map[string]string{
		"etc/systemd/system/openclaw.service": "[Service]\nLoadCredential=slack_token:/etc/creds/slack\nSetCredential=brave_key:" + b +
			"\nLoadCredentialEncrypted=db_password:/etc/creds/db\nLoadCredential=gone_token:/etc/creds/gone\n",
		"etc/systemd/system/openclaw.service.d/10.conf.bak": "[Service]\nEnvironment=OLD_TOKEN=" + c + "\n",
		"etc/creds/slack": a + "\n",
		"home/u/.config/containers/systemd/openclaw.container": "[Container]\nEnvironmentFile=env\nSecret=github-token,type=env,target=GH_TOKEN\n",
		"home/u/.config/containers/systemd/env":                "MY_TOKEN=" + c + "q\n",
		"home/u/.config/systemd/user/other.service":            "[Service]\nEnvironment=X_TOKEN=" + c + "x\n",
		state + "openclaw.json":                                `{hooks:{token:"${MY_TOKEN}"},cron:{webhookToken:"${X_TOKEN}"}}`,
	})
	found, summary := search(t, dir, places)
	unit := "etc/systemd/system/openclaw.service:"
	expect(t, found,
		"slack unknown value="+a+" at etc/creds/slack:1",
		"brave unknown value="+b+" at "+unit+"3 (SetCredential.brave_key)",
		"db unknown unresolved: encrypted for this machine: never decrypted here id=store:systemd:db_password at "+unit+"4 (LoadCredentialEncrypted.db_password)",
		"gone unknown unresolved: its file: no such file or directory id=file:"+unit+"5 (LoadCredential.gone_token) at "+unit+"5 (LoadCredential.gone_token)",
		"old unknown value="+c+" at etc/systemd/system/openclaw.service.d/10.conf.bak:2 (OLD_TOKEN)",
		"github unknown unresolved: kept by podman, which is never asked id=store:podman:github-token at home/u/.config/containers/systemd/openclaw.container:3 (Secret.github-token)",
		"openclaw openclaw.hook value="+c+"q at home/u/.config/containers/systemd/env:1 (MY_TOKEN)",
		"openclaw openclaw.hook value="+c+"q at "+state+"openclaw.json:1 (hooks.token)",
		"x unknown value="+c+"x at home/u/.config/systemd/user/other.service:2 (X_TOKEN)",
		"openclaw unknown unresolved: its variable is set in no file that was read id=env:X_TOKEN at "+state+"openclaw.json:1 (cron.webhookToken)",
	)
	if len(summary.Problems) > 0 {
		t.Errorf("problems %+v", summary.Problems)
	}
}

func TestCompose(t *testing.T) {
	a, b, c := secret(), secret(), secret()
	dir := tree(t, map[string]string{
		"home/u/openclaw/docker-compose.yml": "services:\n  openclaw-gateway:\n    environment:\n      - OPENCLAW_GATEWAY_TOKEN=" + a + "\n      - BRAVE_API_KEY=${BRAVE}\n    env_file:\n      - path: ./more.env\n",
		"home/u/openclaw/.env":               "BRAVE=" + b + "\n",
		"home/u/openclaw/more.env":           "ACME_TOKEN=" + c + "\n",
	})
	found, _ := search(t, dir, places)
	at := "home/u/openclaw/"
	expect(t, found,
		"openclaw openclaw.gateway value="+a+" at "+at+"docker-compose.yml:4 (services.openclaw-gateway.environment.OPENCLAW_GATEWAY_TOKEN)",
		"brave unknown value="+b+" at "+at+"docker-compose.yml:5 (services.openclaw-gateway.environment.BRAVE_API_KEY)",
		"acme unknown value="+c+" at "+at+"more.env:1 (ACME_TOKEN)",
	)
}

// What Compose gives the agent resolves the references of its configuration; what it gives others does not.
func TestReferencesInCompose(t *testing.T) {
	a, b, c, d, e, f := secret(), secret(), secret(), secret(), secret(), secret()
	dir := tree(t, map[string]string{
		state + "openclaw.json": `{
hooks: { token: "${DIRECT_TOKEN}" },
gateway: { auth: { token: "${BESIDE_TOKEN}", password: "${PASSED}" }, remote: { token: "${FROM_FILE}", password: "${OTHERS}" } },
cron: { webhookToken: "${BESIDE}" } }`,
		"opt/claw/docker-compose.yml": "services:\n  gateway:\n    image: ghcr.io/openclaw/openclaw:latest\n    environment:\n      DIRECT_TOKEN: " + a + "\n      BESIDE_TOKEN: ${BESIDE}\n    env_file: [one.env, two.env]\n" +
			"  openclaw-cli:\n    environment: [PASSED]\n  db:\n    image: postgres\n    environment:\n      OTHERS: " + f + "\n",
		"opt/claw/.env":    "BESIDE=" + b + "\nPASSED=" + d + "\n",
		"opt/claw/one.env": "FROM_FILE=" + e + "\n",
		"opt/claw/two.env": "FROM_FILE=" + c + "\nDIRECT_TOKEN=" + e + "\n",
	})
	found, _ := search(t, dir, places)
	got := map[string]string{}
	for _, f := range found {
		if f.Source.Path == state+"openclaw.json" {
			got[f.Source.Locator] = f.Secret.Reveal("value") + " " + f.Source.Note
		}
	}
	for locator, want := range map[string]string{
		"hooks.token":             a + " from opt/claw/docker-compose.yml:5",
		"gateway.auth.token":      b + " from opt/claw/.env:1",
		"gateway.auth.password":   d + " from opt/claw/.env:2",
		"gateway.remote.token":    c + " from opt/claw/two.env:1",
		"gateway.remote.password": " ",
		"cron.webhookToken":       " ",
	} {
		if got[locator] != want {
			t.Errorf("%s: %q, want %q", locator, got[locator], want)
		}
	}
}

// The environment of the agent's processes is searched and resolves references; that of others is not.
func TestProcesses(t *testing.T) {
	a, b, c, d := secret(), secret(), secret(), secret()
	dir := tree(t, map[string]string{
		state + "openclaw.json": `{hooks:{token:"${LIVE_TOKEN}"}}`,
		"proc/100/cmdline":      "openclaw-gateway\x00",
		"proc/100/stat":         "100 (open) claw) S 1 0",
		"proc/100/environ":      "HOME=/x\x00LIVE_TOKEN=" + a + "\x00",
		"proc/101/cmdline":      "bash\x00",
		"proc/101/stat":         "101 (bash) S 100 0",
		"proc/101/environ":      "CHILD_TOKEN=" + b + "\x00\x00=x\x00",
		"proc/102/cmdline":      "bash\x00",
		"proc/102/stat":         "102 (bash) S 1 0",
		"proc/102/environ":      "SHELL_TOKEN=" + c + "\x00",
		"proc/103/cmdline":      "vim\x00openclawing.md\x00",
		"proc/self/environ":     "SELF_TOKEN=" + d + "\x00",
	})
	found, _ := search(t, dir, places)
	want := []string{
		"openclaw openclaw.hook value=" + a + " at " + state + "openclaw.json:1 (hooks.token)",
		"openclaw openclaw.hook value=" + a + " at proc/100/environ:2 (LIVE_TOKEN)",
		"child unknown value=" + b + " at proc/101/environ:1 (CHILD_TOKEN)",
	}
	if os.Getuid() != 0 { // of an account that is not root everything is its own
		want = append(want, "shell unknown value="+c+" at proc/102/environ:1 (SHELL_TOKEN)")
	}
	expect(t, found, want...)
}

// A process of the live machine that holds a deleted file of secrets is asked for it.
func TestDeletedFile(t *testing.T) {
	live := "ghp_" + secret()[:36]
	at := filepath.Join(t.TempDir(), "notes")
	must(t, os.WriteFile(at, []byte("token "+live+"\n"), 0o600))
	f, err := os.Open(at)
	must(t, err)
	defer f.Close()
	must(t, os.Remove(at))
	root, err := os.OpenRoot("/")
	must(t, err)
	defer root.Close()
	var found []Found
	s := newScan(t.Context(), root, places, func(f Found) { found = append(found, f) })
	s.deletedFile(fmt.Sprintf("proc/%d/fd/%d", os.Getpid(), f.Fd()), at)
	if len(found) != 1 || found[0].Secret.Reveal("value") != live || !strings.Contains(found[0].Source.Note, "deleted") {
		t.Errorf("found %s", showAll(found))
	}
	// A pipe has no end: it is not read.
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	defer w.Close()
	if data, _ := readDeleted(root, fmt.Sprintf("proc/%d/fd/%d", os.Getpid(), r.Fd())); data != nil {
		t.Error("a pipe was read")
	}
}

// The configuration may lie elsewhere, and so do its copies.
func TestConfigPath(t *testing.T) {
	a, b := secret(), secret()
	dir := tree(t, map[string]string{
		"home/u/.config/systemd/user/openclaw-gateway.service": "[Service]\nEnvironment=OPENCLAW_CONFIG_PATH=%h/etc/claw.json\n",
		"home/u/etc/claw.json":                                 `{hooks:{token:"` + a + `"}}`,
		"home/u/etc/claw.json.clobbered.17":                    `{hooks:{token:"` + b + `"}}`,
	})
	found, _ := search(t, dir, places)
	expect(t, found, "openclaw openclaw.hook value="+a+" at home/u/etc/claw.json:1 (hooks.token)",
		"openclaw openclaw.hook value="+b+" at home/u/etc/claw.json.clobbered.17:1 (hooks.token)")
}

func TestManifest(t *testing.T) {
	a := secret()
	dir := tree(t, map[string]string{state + "workspace/agent.manifest.json": `{"vault":{"address":"https://vault.example","paths":["kv/data/mail","kv/data/pay"],"role":"agent"},
 "certificate":{"identity":"spiffe://corp.example/agent/1"},"name":"a/b","apiToken":"` + a + `"}`})
	found, _ := search(t, dir, places)
	at := state + "workspace/agent.manifest.json:"
	expect(t, found,
		"vault vault.path unresolved: stands in a vault at that path, which is never asked id=store:vault:kv/data/mail at "+at+"1 (vault.paths[0])",
		"vault vault.path unresolved: stands in a vault at that path, which is never asked id=store:vault:kv/data/pay at "+at+"1 (vault.paths[1])",
		"unknown certificate.identity unresolved: an identity that a certificate proves: revoke the certificate where it was issued id=certificate:spiffe://corp.example/agent/1 at "+at+"2 (certificate.identity)",
		"unknown unknown value="+a+" at "+at+"2 (apiToken)",
	)
}

// A coding agent's folders are an installation where there is no other agent.
func TestCodingAgent(t *testing.T) {
	a, b, c, d := "sk-ant-oat01-"+secret(), secret(), secret(), secret()
	e, f := "ghp_"+secret()[:36], "ghp_"+secret()[:36]
	dir := t.TempDir()
	for name, text := range map[string]string{
		"home/u/.claude/.credentials.json":  `{"claudeAiOauth":{"accessToken":"` + a + `","expiresAt":4102444800000}}`,
		"home/u/.claude/settings.json":      `{"env":{"ACME_TOKEN":"` + b + `"},"apiKeyHelper":"/bin/key"}`,
		"home/u/.claude.json":               `{"mcpServers":{"x":{"headers":{"Authorization":"Bearer ` + c + `"}}}}`,
		"home/u/.claude/projects/x/s.jsonl": `{"type":"user","message":{"content":"use ` + e + ` please"}}` + "\n",
		"home/u/.codex/history.jsonl":       `{"text":"export GH_TOKEN=` + f + `"}` + "\n",
		"home/u/.codex/config.toml":         "[mcp_servers.y.env]\nY_API_KEY = \"" + d + "\"\n",
	} {
		at := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(at), 0o700))
		must(t, os.WriteFile(at, []byte(text), 0o600))
	}
	found, summary := search(t, dir, places)
	var got []string
	for _, f := range found {
		got = append(got, f.Provider+" "+f.Source.Locator)
	}
	slices.Sort(got)
	for value, note := range map[string]string{e: "shown to the model", f: ""} {
		i := slices.IndexFunc(found, func(f Found) bool { return f.Secret.Reveal("value") == value })
		if i < 0 || !strings.Contains(found[i].Source.Note, note) || !strings.HasSuffix(found[i].Source.Path, ".jsonl") {
			t.Errorf("of a transcript and a history: %s", showAll(found))
		}
	}
	if want := []string{"acme env.ACME_TOKEN", "anthropic apiKeyHelper", "anthropic claudeAiOauth.accessToken", "github message.content", "github text", "x mcpServers.x.headers.Authorization", "y mcp_servers.y.env.Y_API_KEY"}; !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if want := []string{"Claude Code in home/u/.claude", "Codex in home/u/.codex"}; !slices.Equal(agentsIn(summary), want) {
		t.Errorf("agents %+v", summary.Agents)
	}
}

// Two agents: what is one's own is not apart because the other may not read it.
func TestTwoAgents(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root to give files to other accounts")
		}
		t.Skip("needs root to give files to other accounts")
	}
	dir := tree(t, map[string]string{
		"etc/passwd":                     "u:x:4001:4001::/home/u:/bin/sh\nv:x:4002:4002::/home/v:/bin/sh\n",
		"home/u/.vault-token":            secret(),
		"home/v/.vault-token":            secret(),
		"home/v/.openclaw/openclaw.json": "{}",
	})
	for name, uid := range map[string]int{"home/u": 4001, "home/u/.openclaw": 4001, "home/u/.vault-token": 4001, "home/v": 4002, "home/v/.openclaw": 4002, "home/v/.vault-token": 4002} {
		must(t, os.Chown(filepath.Join(dir, name), uid, uid))
	}
	found, summary := search(t, dir, places)
	if len(found) != 2 || len(summary.Apart) > 0 {
		t.Errorf("found %s, apart %+v", showAll(found), summary.Apart)
	}
}

// What other accounts keep is listed by what it is, and an access control list is mentioned.
func TestApart(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root to give files to other accounts")
		}
		t.Skip("needs root to give files to other accounts")
	}
	live := secret()
	dir := tree(t, map[string]string{
		"etc/passwd":                 "u:x:4001:4001::/home/u:/bin/sh\nv:x:4002:4002::/home/v:/bin/sh\n",
		"home/v/.vault-token":        live,
		"home/v/.aws/credentials":    "[a]\naws_access_key_id=AKIA" + upper(16) + "\naws_secret_access_key=" + live,
		"home/v/.docker/config.json": `{"auths":{"r":{"auth":"` + live + `"}}}`,
	})
	for _, d := range []string{".", "home", "home/u", "home/u/.openclaw", "home/v", "home/v/.aws"} {
		must(t, os.Chmod(filepath.Join(dir, d), 0o755))
	}
	must(t, os.Chown(filepath.Join(dir, state), 4001, 4001))
	for _, f := range []string{"home/v", "home/v/.vault-token", "home/v/.aws", "home/v/.aws/credentials"} {
		must(t, os.Lchown(filepath.Join(dir, f), 4002, 4002))
	}
	acl := exec.Command("setfacl", "-m", "u:4001:r", filepath.Join(dir, "home/v/.aws/credentials")).Run() == nil
	found, summary := search(t, dir, places)
	if len(found) > 0 {
		t.Errorf("found %s", showAll(found))
	}
	for name, reason := range map[string]string{
		"home/v/.vault-token": "vault token (owner v, group 4002, mode 0600): ", "home/v/.aws/credentials": "aws access key (owner v, group 4002, mode 06", "home/v/.docker/config.json": "docker registry login (owner 0, ",
	} {
		i := slices.IndexFunc(summary.Apart, func(p openclaw.Problem) bool { return p.Path == name })
		if i < 0 || !strings.HasPrefix(summary.Apart[i].Reason, reason) {
			t.Errorf("%s: %+v", name, summary.Apart)
		} else if acl && strings.Contains(name, "aws") && !strings.Contains(summary.Apart[i].Reason, "access control list") {
			t.Errorf("its list is not mentioned: %s", summary.Apart[i].Reason)
		}
	}
	leaks(t, live, found, summary)
}

// A unit that names files without end has a few read, and the rest said.
func TestManyLoadedCredentials(t *testing.T) {
	dir := tree(t, map[string]string{
		"home/u/.config/systemd/user/openclaw.service": strings.Repeat("LoadCredential=a_token:/srv/a\n", maxEnvFiles+1),
		"srv/a": secret(),
	})
	_, summary := search(t, dir, places)
	if len(summary.Problems) != 1 || !strings.Contains(summary.Problems[0].Reason, fmt.Sprintf("line %d: more than", maxEnvFiles+1)) {
		t.Errorf("problems %+v", summary.Problems)
	}
}

func agentsIn(summary Summary) (all []string) {
	for _, a := range summary.Agents {
		all = append(all, a.Layout+" in "+a.StateDir)
	}
	return all
}
