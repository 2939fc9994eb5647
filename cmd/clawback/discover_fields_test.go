package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"clawback/forensics/incident"
	"clawback/playbooks/drill/tree"
	"clawback/revoke/credential"

	mrand "math/rand/v2"
)

// hostOf writes an installation of a generation, with files of its own beside the generated ones.
func hostOf(t *testing.T, generation string, held []credential.Credential, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	if _, err := tree.GenerateWith(root, mrand.New(mrand.NewPCG(7, 7)), held, tree.Options{Generation: generation}); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		at := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// Every field that is documented comes out of a search of real files, in each generation, and none
// of them holds a value.
func TestDiscoverFillsEachField(t *testing.T) {
	for _, generation := range []string{"A", "B", "C"} {
		t.Run(generation, func(t *testing.T) {
			var held []credential.Credential
			for _, kind := range []string{"github.pat", "aws.access_key", "slack.app", "stripe.api_key"} {
				held = append(held, mint(kind))
			}
			access := "oat-" + rand.Text()
			held = append(held, credential.Credential{Kind: "openai", Secret: credential.Value(access)})
			guess := mint("github.oauth")
			held = append(held, guess)
			root := hostOf(t, generation, held[:4], map[string]string{
				tree.StateDir + "/agents/ops/agent/auth-profiles.json": `{"version":1,"profiles":{"openai-codex:me":{"type":"oauth","provider":"openai-codex","email":"me@example.com","expires":1500000000000,"access":"` + access + `"}}}`,
				tree.StateDir + "/agents/ops/agent/auth-state.json":    `{"usageStats":{"openai-codex:me":{"lastUsed":1490000000000}}}`,
				tree.StateDir + "/agents/ops/agent/models.json":        `{"providers":{"x":{"baseUrl":"https://models.example/v1","apiKey":"!pass show x"}}}`,
				tree.Workspace + "/notes.md":                           "see " + guess.Secret.Reveal("value") + "\n",
				tree.Workspace + "/pipe":                               "\x7fELF\x02\x01\x01\x00binary",
			})
			code, out, errs := search(t, held, "--root", root, "--json")
			if code != incident.ExitContained {
				t.Errorf("exit code %d: %s", code, errs)
			}
			lines := strings.Split(strings.TrimSpace(out), "\n")
			said := make(map[string]bool)
			for _, line := range lines[:len(lines)-1] {
				fields(t, line, said)
			}
			for _, name := range []string{"provider", "kind", "fingerprint", "masked", "tier", "owner", "expires", "last_used", "self_revocable", "manual",
				"sources", "path", "locator", "line", "note", "mints", "unresolved", "doubt", "endpoint"} {
				if !said[name] {
					t.Errorf("no credential has a %s:\n%s", name, out)
				}
			}
			var end searchEnd
			if err := json.Unmarshal([]byte(lines[len(lines)-1]), &end); err != nil {
				t.Fatal(err)
			}
			if len(end.Agents) != 1 || end.Agents[0].Layout != "OpenClaw" || end.Agents[0].StateDir != tree.StateDir || end.Agents[0].User == "" {
				t.Errorf("agents %+v", end.Agents)
			}
			if end.Skipped["binary"] == 0 || end.Files == 0 || end.Bytes == 0 || !end.Complete {
				t.Errorf("it ends with %+v", end)
			}
			code, out, errs = search(t, held, "--root", root)
			for _, want := range []string{"mints access key, temporary session key", "by what it says itself it has expired", "a guess: nothing but its looks", "your authority revokes it"} {
				if code != 0 || !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
					t.Errorf("exit code %d, no %q in\n%s", code, want, out)
				}
			}
			for _, want := range []string{"searched: OpenClaw in " + tree.StateDir + ", of ", "not searched as text: binary ", "it revokes itself: "} {
				if !strings.Contains(errs, want) {
					t.Errorf("no %q in\n%s", want, errs)
				}
			}
		})
	}
}

// fields notes which fields of an object say something.
func fields(t *testing.T, line string, said map[string]bool) {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(line), &object); err != nil {
		t.Fatal(err)
	}
	all := []map[string]any{object}
	for _, s := range object["sources"].([]any) {
		source := s.(map[string]any)
		if path := source["path"].(string); strings.HasPrefix(path, "/") || strings.HasPrefix(path, "..") {
			t.Errorf("the path %s is not below the root", path)
		}
		all = append(all, source)
	}
	for _, o := range all {
		for _, name := range slices.Sorted(maps.Keys(o)) {
			if v := fmt.Sprint(o[name]); v != "" && v != "0" && v != "<nil>" && v != "false" && v != "[]" {
				said[name] = true
			}
		}
	}
}

// What other users keep is listed, and searched once the host is said to be lost.
func TestDiscoverOtherUsers(t *testing.T) {
	needRoot(t)
	other := mint("github.oauth")
	root := hostOf(t, "A", nil, map[string]string{
		"etc/passwd":                    "ada:x:4801:4801::/home/ada:/bin/sh\nopenclaw:x:4802:4802::/home/openclaw:/bin/sh\n",
		"home/ada/.config/gh/hosts.yml": "github.com:\n    oauth_token: " + other.Secret.Reveal("value") + "\n    user: ada\n",
	})
	give(t, root, map[string]int{"home/ada": 4801, "home/openclaw": 4802})
	held := []credential.Credential{other}
	code, out, errs := search(t, held, "--root", root, "--json")
	if code != 0 || strings.Contains(out, `"kind":"github.oauth"`) || !strings.Contains(out, `"left_alone":[{"path":"home/ada/.config/gh/hosts.yml"`) {
		t.Errorf("exit code %d:\n%s\n%s", code, out, errs)
	}
	code, out, errs = search(t, held, "--root", root, "--json", "--host-lost")
	if code != 0 || !strings.Contains(out, `"other":"ada"`) || !strings.Contains(out, `"left_alone":[]`) || !strings.Contains(out, `"user":"openclaw"`) {
		t.Errorf("exit code %d:\n%s\n%s", code, out, errs)
	}
}

// A kill of a host that is lost takes what other users keep there, and its record says why.
func TestHostLostIsRehearsed(t *testing.T) {
	needRoot(t)
	own, other := mint("github.pat"), mint("github.oauth")
	root := hostOf(t, "A", []credential.Credential{own}, map[string]string{
		"etc/passwd":                    "ada:x:4801:4801::/home/ada:/bin/sh\nopenclaw:x:4802:4802::/home/openclaw:/bin/sh\n",
		"home/ada/.config/gh/hosts.yml": "github.com:\n    oauth_token: " + other.Secret.Reveal("value") + "\n    user: ada\n",
	})
	give(t, root, map[string]int{"home/ada": 4801, "home/openclaw": 4802})
	for _, lost := range []bool{false, true} {
		args := []string{"kill", "--dry-run", "--json", "--root", root}
		if lost {
			args = append(args, "--host-lost")
		}
		var out, errs bytes.Buffer
		code := run(context.Background(), args, environment{"HOME": t.TempDir()}, streams{in: os.Stdin, out: &out, err: &errs})
		if code != 0 || strings.Contains(out.String(), `"host_lost":true`) != lost || strings.Contains(out.String(), `"other":"ada"`) != lost ||
			strings.Contains(errs.String(), "another user's: home/ada/.config/gh/hosts.yml") == lost || strings.Contains(errs.String(), "; kept by ada") != lost {
			t.Errorf("lost %v: exit code %d\n%s\n%s", lost, code, &out, &errs)
		}
		if text := out.String() + errs.String(); strings.Contains(text, other.Secret.Reveal("value")) || strings.Contains(text, own.Secret.Reveal("value")) {
			t.Error("a secret is printed")
		}
	}
}

// give makes accounts the owners of folders.
func give(t *testing.T, root string, owners map[string]int) {
	t.Helper()
	for dir, uid := range owners {
		err := filepath.WalkDir(filepath.Join(root, dir), func(name string, _ os.DirEntry, err error) error {
			if err == nil {
				err = os.Chown(name, uid, uid)
			}
			return err
		})
		if err == nil {
			err = os.Chmod(filepath.Join(root, dir), 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// needRoot skips without root. In CI that is a failure: the test must run there.
func needRoot(t *testing.T) {
	t.Helper()
	switch {
	case os.Geteuid() == 0:
	case os.Getenv("CI") == "true":
		t.Fatal("needs root, to give files to other accounts, which CI must have")
	default:
		t.Skip("needs root, to give files to other accounts")
	}
}
