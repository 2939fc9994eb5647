package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"clawback/forensics/incident"
	"clawback/playbooks/drill/tree"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers"
)

// mint makes a random credential of a kind at a simulated provider that nobody asks.
func mint(kind string) credential.Credential {
	k, _ := credential.Lookup(kind)
	for _, p := range providers.Fakes(fake.Wall{}) {
		if p.Name() == k.Provider {
			return p.Mint(kind)
		}
	}
	panic("nobody issues " + kind)
}

// city is every simulated provider on a loopback port of its own.
type city struct {
	fakes map[string]fake.Provider
	args  []string // --endpoint flags
}

func newCity(t *testing.T) *city {
	t.Helper()
	c := &city{fakes: make(map[string]fake.Provider)}
	for _, p := range providers.Fakes(fake.Wall{}) {
		server := httptest.NewServer(p)
		t.Cleanup(server.Close)
		c.fakes[p.Name()] = p
		c.args = append(c.args, "--endpoint", p.Name()+"="+server.URL)
	}
	return c
}

// authorities writes a configuration whose authorities stand in the environment, and returns that.
func (c *city) authorities(t *testing.T, file string) []string {
	t.Helper()
	var env []string
	text := "responder: tester\nauthorities:\n"
	for name, p := range c.fakes {
		a, ok := p.MintAuthority()
		if !ok {
			continue
		}
		text += fmt.Sprintf("  %s:\n    kind: %s\n    parts:\n", name, a.Kind)
		for _, part := range a.Secret.Parts() {
			variable := "TEST_" + strings.ToUpper(name+"_"+part)
			env = append(env, variable+"="+a.Secret.Reveal(part))
			text += fmt.Sprintf("      %s: {env: %s}\n", part, variable)
		}
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return env
}

// A kill of a mounted disk, with real HTTP to every provider: 40 credentials, what can be revoked
// is proved dead, and nothing that was ever secret is anywhere but in the sealed evidence.
func TestRealKill(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	dir := t.TempDir()
	root := filepath.Join(dir, "disk")
	if err := os.Mkdir(root, 0o700); err != nil {
		t.Fatal(err)
	}
	var held []credential.Credential
	for kind, n := range map[string]int{
		"github.pat": 8, "github.fine_grained": 4, "github.oauth": 2, "github.installation": 2,
		"aws.access_key": 8, "slack.bot": 6, "slack.user": 4, "stripe.webhook_secret": 4, "stripe.api_key": 2,
	} {
		k, _ := credential.Lookup(kind)
		for range n {
			held = append(held, c.fakes[k.Provider].Mint(kind))
		}
	}
	if _, err := tree.Generate(root, rand.New(rand.NewPCG(3, 4)), held); err != nil {
		t.Fatal(err)
	}
	authorities := c.authorities(t, filepath.Join(dir, "clawback.yaml"))

	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "clawback")
	if err := os.Symlink(self, bin); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"kill", "--yes", "--json", "--root", root, "--config", filepath.Join(dir, "clawback.yaml"), "--deadline", "4m"}, c.args...)
	cmd := exec.Command(bin, args...)
	cmd.Env = append(authorities, "PATH="+os.Getenv("PATH"), "HOME="+dir, "XDG_STATE_HOME="+filepath.Join(dir, "state"), "USER=tester")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	seen, out := watch(t, cmd.Process.Pid, stdout)
	err = cmd.Wait()

	var sum incident.Summary
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	if err := json.Unmarshal(lines[len(lines)-1], &sum); err != nil {
		t.Fatalf("the last line is no summary: %v\n%s", err, stderr.Bytes())
	}
	want := incident.CredentialCount{Total: 40, Dead: 38, Manual: 2}
	if sum.Credentials != want {
		t.Errorf("credentials %+v, want %+v\n%s", sum.Credentials, want, stderr.Bytes())
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != incident.ExitManual || sum.Exit != incident.ExitManual {
		t.Errorf("ended with %v and summary exit %d, want %d", err, sum.Exit, incident.ExitManual)
	}
	for _, h := range held {
		if manual := h.Kind == "stripe.api_key"; c.fakes[h.Provider].Alive(h) != manual {
			t.Errorf("%s is alive: %v", h.Kind, !manual)
		}
	}
	if !sum.Evidence.Sealed || !sum.Agent.Down {
		t.Errorf("evidence sealed %v, agent down %v", sum.Evidence.Sealed, sum.Agent.Down)
	}
	places := map[string][]byte{"stdout": out, "stderr": stderr.Bytes(), "arguments and environments": seen}
	collect(t, filepath.Join(dir, "state"), places)
	checkCanaries(t, held, places)
}

// watch reads a process's output, and between its lines the arguments of it and the arguments and
// environments of its children.
func watch(t *testing.T, pid int, stdout interface{ Read([]byte) (int, error) }) (seen, out []byte) {
	t.Helper()
	r := bufio.NewReader(stdout)
	for {
		line, err := r.ReadBytes('\n')
		out = append(out, line...)
		if err != nil {
			return seen, out
		}
		own, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		seen = append(seen, own...)
		children, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
		for _, list := range children {
			b, _ := os.ReadFile(list)
			for _, child := range strings.Fields(string(b)) {
				for _, what := range []string{"cmdline", "environ"} {
					b, _ := os.ReadFile(filepath.Join("/proc", child, what))
					seen = append(seen, b...)
				}
			}
		}
	}
}

// collect reads all that a run left behind, but for the sealed evidence and the keys.
func collect(t *testing.T, dir string, into map[string][]byte) {
	t.Helper()
	names := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == "evidence" {
			return fs.SkipDir
		}
		if d.Type().IsRegular() {
			names++
			into[path], err = os.ReadFile(path)
		}
		return err
	})
	if err != nil || names < 3 {
		t.Fatalf("%d files in %s: %v", names, dir, err)
	}
}

// checkCanaries looks for any 8-byte piece of any secret, beyond its public prefix and mask.
func checkCanaries(t *testing.T, held []credential.Credential, places map[string][]byte) {
	t.Helper()
	var wait sync.WaitGroup
	defer wait.Wait()
	for place, text := range places {
		wait.Go(func() {
			for _, c := range held {
				for _, piece := range pieces(c) {
					if bytes.Contains(text, []byte(piece)) {
						t.Errorf("a piece of a %s stands in %s", c.Kind, place)
						break
					}
				}
			}
		})
	}
}

// pieces are the 8-byte pieces of a credential's secrets, raw and in the encodings in which they travel.
func pieces(c credential.Credential) []string {
	var all []string
	mask := credential.Mask(c.Kind, c.Secret, nil)
	for _, part := range c.Secret.Parts() {
		value := c.Secret.Reveal(part)
		if part == "access_key_id" {
			value = strings.TrimPrefix(value, "AKIA")
		} else if prefix, _, ok := strings.Cut(mask, "…"); ok {
			value = strings.TrimPrefix(value, prefix)
		}
		for i := 0; i+8 <= len(value); i++ {
			piece := value[i : i+8]
			all = append(all, piece, hex.EncodeToString([]byte(piece)), url.QueryEscape(piece))
		}
		for shift := range min(3, len(value)) {
			encoded := base64.RawStdEncoding.EncodeToString([]byte(value[shift:]))
			for i := 0; i+12 <= len(encoded); i += 4 {
				all = append(all, encoded[i:i+12])
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// The check has to find what it looks for.
func TestCanariesAreFound(t *testing.T) {
	c := credential.Credential{Kind: "github.pat", Secret: credential.Value("ghp_abcdefghijklmnopqrstuvwxyz0123456789")}
	for _, leak := range []string{
		"xx efghijkl yy", hex.EncodeToString([]byte("mnopqrst")), base64.StdEncoding.EncodeToString([]byte("defghijklmnopqrstuvw")),
	} {
		found := slices.ContainsFunc(pieces(c), func(p string) bool { return strings.Contains(leak, p) })
		if !found {
			t.Errorf("a leak as %q would not be found", leak)
		}
	}
}
