package discover

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"clawback/forensics/agents/openclaw"
	"clawback/forensics/disk/disktest"
)

// A mount that never answers costs what stands on it, and nothing else: not the rest of what the
// agent keeps, and not what its account, its units and its processes hold.
func TestMountsThatHang(t *testing.T) {
	for _, at := range []string{state, state + "agents", state + "agents/a/agent", state + "credentials", "home/u/.aws", "home/u/.config/systemd", "home/v", "etc/systemd", "proc/9", state + "workspace/a/b"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel() // most of it is waiting
			values := map[string]string{}
			plant := func(name string, content func(string) string) string {
				values[name] = secret()
				return content(values[name])
			}
			files := map[string]string{}
			for name, content := range map[string]func(string) string{
				state + "openclaw.json":                     func(v string) string { return `{hooks:{token:"` + v + `"}}` },
				state + "agents/a/agent/auth-profiles.json": func(v string) string { return `{"profiles":{"x:y":{"key":"` + v + `"}}}` },
				state + "agents/b/agent/auth-profiles.json": func(v string) string { return `{"profiles":{"x:y":{"key":"` + v + `"}}}` },
				state + "credentials/telegram":              func(v string) string { return v },
				"home/u/.aws/credentials": func(v string) string {
					return "[a]\naws_access_key_id=AKIA" + upper(16) + "\naws_secret_access_key=" + v
				},
				"home/u/.vault-token": func(v string) string { return v },
				"home/u/.config/systemd/user/openclaw-gateway.service": func(v string) string { return "[Service]\nEnvironment=A_TOKEN=" + v },
				"etc/systemd/system/openclaw.service":                  func(v string) string { return "[Service]\nEnvironment=B_TOKEN=" + v },
				"home/v/.vault-token":                                  func(v string) string { return v },
				"proc/9/environ":                                       func(v string) string { return "C_TOKEN=" + v + "\x00" },
				"proc/7/environ":                                       func(v string) string { return "D_TOKEN=" + v + "\x00" },
			} {
				files[name] = plant(name, content)
			}
			for _, name := range []string{state + "workspace/a/b/x.txt", state + "workspace/a/x.txt", state + "workspace/z.txt"} {
				values[name] = pat()
				files[name] = values[name]
			}
			files["proc/7/cmdline"], files["proc/9/cmdline"] = "openclaw-gateway\x00", "openclaw-gateway\x00"
			dir := tree(t, files)
			at := strings.TrimSuffix(at, "/")
			disktest.Hang(t, filepath.Join(dir, at))

			root, err := os.OpenRoot(dir)
			must(t, err)
			defer root.Close()
			got := map[string]bool{}
			s := newScan(t.Context(), root, places, func(f Found) {
				for _, part := range f.Secret.Parts() {
					got[f.Secret.Reveal(part)] = true
				}
			})
			s.root = openclaw.Patiently(t.Context(), root, 2*time.Second)
			s.files = answering{rootTree{root}, s.root}
			start := time.Now()
			summary, err := s.run(nil)
			must(t, err)
			if d := time.Since(start); d > 30*time.Second {
				t.Errorf("took %v", d)
			}
			for name, value := range values {
				if hung := strings.HasPrefix(name, at+"/"); got[value] == hung {
					t.Errorf("%s: found %v", name, got[value])
				}
			}
			var silent []string
			for _, p := range summary.Problems {
				if strings.Contains(p.Reason, "did not answer") {
					silent = append(silent, p.Path)
				}
			}
			if !slices.Equal(silent, []string{at}) || len(summary.Problems) > 1 {
				t.Errorf("problems %+v", summary.Problems)
			}
		})
	}
}
