package main

import (
	"bytes"
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"clawback/forensics/agents/openclaw"
	"clawback/forensics/incident"
	"clawback/playbooks/drill/tree"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/discover"
)

// search runs clawback discover, and holds what it prints against the secrets of the host.
func search(t *testing.T, held []credential.Credential, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(context.Background(), append([]string{"discover"}, args...), environment{"HOME": t.TempDir()}, streams{in: os.Stdin, out: &stdout, err: &stderr})
	for _, c := range held {
		for _, part := range c.Secret.Parts() {
			if strings.Contains(stdout.String()+stderr.String(), c.Secret.Reveal(part)) {
				t.Errorf("the %s of a %s is printed", part, c.Kind)
			}
		}
	}
	return code, stdout.String(), stderr.String()
}

// Each credential of a host is one object of the documented form, with every place; then comes what
// was not read. No secret is printed in either form.
func TestDiscoverPrintsNoSecret(t *testing.T) {
	root := t.TempDir()
	var held []credential.Credential
	for _, kind := range []string{"github.pat", "aws.access_key", "slack.bot", "stripe.api_key", "slack.webhook"} {
		held = append(held, mint(kind))
	}
	truth, err := tree.Generate(root, rand.New(rand.NewPCG(1, 2)), held)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "clawback.yaml")
	known := "inventory:\n- {provider: slack, masked: " + credential.Mask("slack.bot", held[2].Secret, nil) + ", breaks: the news channel}\n- {provider: stripe, account: acct_none}\n"
	if err := os.WriteFile(config, []byte(known), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := search(t, held, "--root", root, "--json", "--config", config)
	if code != incident.ExitContained || errs != "" {
		t.Errorf("exit code %d: %s", code, errs)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != len(held)+1 {
		t.Fatalf("%d lines for %d credentials:\n%s", len(lines), len(held), out)
	}
	tier := 4
	for _, line := range lines[:len(held)] {
		var got discovered
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		if got.Tier > tier {
			t.Errorf("%s comes after a lesser one", got.Kind)
		}
		tier = got.Tier
		var keys []string
		d := json.NewDecoder(strings.NewReader(line))
		for depth := 0; ; {
			tok, err := d.Token()
			if err != nil {
				break
			}
			switch v := tok.(type) {
			case json.Delim:
				depth += map[json.Delim]int{'{': 1, '[': 1, '}': -1, ']': -1}[v]
			case string:
				if depth == 1 {
					keys = append(keys, v)
					var skip json.RawMessage
					if err := d.Decode(&skip); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		form := []string{"provider", "kind", "fingerprint", "masked", "tier", "owner", "expires", "last_used", "self_revocable", "manual", "sources"}
		if len(keys) < len(form) || !reflect.DeepEqual(keys[:len(form)], form) {
			t.Errorf("%s has the keys %v", got.Kind, keys)
		}
		if (got.Kind == "slack.bot") != (got.Inventory != nil) {
			t.Errorf("%s: the inventory says %+v", got.Kind, got.Inventory)
		}
		for i, c := range held {
			if c.Kind == got.Kind && len(got.Sources) < len(truth.Sources[i]) {
				t.Errorf("%s stands in %d places, and %d were found", c.Kind, len(truth.Sources[i]), len(got.Sources))
			}
		}
	}
	var end searchEnd
	if err := json.Unmarshal([]byte(lines[len(held)]), &end); err != nil || end.Type != "end" || end.Credentials != len(held) || !end.Complete || len(end.NotFound) != 1 {
		t.Errorf("it ends with %s, %v", lines[len(held)], err)
	}

	code, out, errs = search(t, held, "--root", root, "--config", config)
	if code != incident.ExitContained || !strings.Contains(out, "breaks the news channel") || !strings.Contains(errs, "in the inventory, not found: stripe acct_none") {
		t.Errorf("exit code %d:\n%s\n%s", code, out, errs)
	}
}

// The text is for people: the worst first, what may be no credential last, safe on a terminal.
func TestDiscoverText(t *testing.T) {
	s := &survey{key: credential.NewFingerprintKey(), infos: make(map[string]revoke.Info), by: make(map[credential.Fingerprint]*discovered),
		list: incident.Inventory{Items: []incident.InventoryItem{
			{Provider: "github", Account: "octocat", Owner: "platform team", Purpose: "production deploys of the shop", Breaks: "deploy-bot"},
			{Provider: "stripe", KeyID: "mk_1", Owner: "finance"},
		}}}
	infos, err := providerInfos()
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range infos {
		s.infos[info.Name] = info
	}
	secret := credential.Value("ghp_" + strings.Repeat("a", 32) + "1xQz")
	day := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
	at := func(path, locator string, line int, note string) credential.Source {
		return credential.Source{Path: path, Locator: locator, Line: line, Note: note}
	}
	for _, f := range []discover.Found{
		{Provider: "openai", Kind: "openai.api_key", Ref: map[string]string{"id": "x"}, Doubt: discover.Placeholder, Source: at("home/claw/.env", "OPENAI_API_KEY", 1, "")},
		{Provider: "github", Kind: "github.pat", Secret: secret, Doubt: discover.ByFormat, Source: at("home/claw/.openclaw/agents/main/sessions/0b.jsonl", "", 881, "shown to the model")},
		{Provider: "github", Kind: "github.pat", Secret: secret, Owner: "octocat", LastUsed: day, Source: at("home/claw/.openclaw/openclaw.json", "skills.entries.github.apiKey", 12, "")},
		{Provider: "aws", Kind: "aws.access_key", Ref: map[string]string{"id": "exec"}, Unresolved: "exec reference, never run", Expires: day, Source: at("home/claw/.openclaw/\x1b[2Jx", "", 0, "")},
		{Provider: "slack", Kind: "slack.user", Secret: credential.Value("xoxp-" + strings.Repeat("b", 20) + "Zz09"), Doubt: discover.ByFormat, Source: at("home/claw/.openclaw/workspace/notes.md", "", 7, "looks like slack.user")},
		{Provider: "github", Kind: "github.oauth", Secret: credential.Value("gho_" + strings.Repeat("c", 32) + "Qk4m"), Other: "ada", Source: at("home/ada/.config/gh/hosts.yml", "", 2, "")},
		{Provider: "openclaw", Kind: "openclaw.gateway", Secret: credential.Value("gateway"), Endpoint: "https://evil.example/", Source: at("home/claw/.openclaw/openclaw.json", "gateway.auth.token", 3, "")},
	} {
		s.found(f)
	}
	for i := range maxPlaces {
		s.found(discover.Found{Provider: "openclaw", Kind: "openclaw.gateway", Secret: credential.Value("gateway"), Source: at("backup/openclaw.json.bak", "", i+1, "")})
	}
	s.by[s.all[1].Fingerprint].Inventory = &s.list.Items[0]
	var out bytes.Buffer
	a := &app{streams: streams{out: &out, err: &out}}
	summary := discover.Summary{Files: 212, Agents: []discover.Agent{{Layout: "OpenClaw", StateDir: "home/claw/.openclaw", User: "claw"}},
		Skipped: map[string]int{"link": 12, "binary": 3}}
	summary.Problems = append(summary.Problems, openclaw.Problem{Path: "home/claw/.openclaw/agents/main/agent/openclaw-agent.sqlite", Reason: "database disk image is malformed"})
	summary.Apart = append(summary.Apart, openclaw.Problem{Path: "home/other/.aws/credentials", Reason: "it belongs to other"})
	a.printFound(s.all, s.end(summary, nil))
	path := filepath.Join("testdata", "discover.txt")
	if *update {
		if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(out.Bytes(), want) {
		t.Errorf("it is shown as\n%s\nwant\n%s%v", out.Bytes(), want, err)
	}
}
