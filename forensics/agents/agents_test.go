package agents

import (
	"os"
	"path/filepath"
	"testing"

	"clawback/forensics/agents/openclaw"
)

func locate(t *testing.T, files ...string) []openclaw.Installation {
	t.Helper()
	dir := t.TempDir()
	for _, name := range files {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	found, problems := Locate(root)
	if len(problems) > 0 {
		t.Errorf("problems %+v", problems)
	}
	return found
}

func TestLocate(t *testing.T) {
	for name, c := range map[string]struct {
		files []string
		want  []string // agent and state directory
	}{
		"none":           {nil, nil},
		"an empty one":   {[]string{"home/u/.claude/notes.txt"}, nil},
		"claude":         {[]string{"home/u/.claude/settings.json"}, []string{"claude home/u/.claude"}},
		"its records":    {[]string{"root/.claude/projects/x/a.jsonl"}, []string{"claude root/.claude"}},
		"codex":          {[]string{"home/u/.codex/auth.json"}, []string{"codex home/u/.codex"}},
		"both":           {[]string{"home/u/.codex/config.toml", "home/u/.claude/.credentials.json"}, []string{"claude home/u/.claude", "codex home/u/.codex"}},
		"OpenClaw":       {[]string{"home/u/.openclaw/openclaw.json"}, []string{" home/u/.openclaw"}},
		"beside another": {[]string{"home/u/.openclaw/openclaw.json", "home/u/.claude/settings.json", "home/v/.codex/auth.json"}, []string{" home/u/.openclaw"}},
	} {
		t.Run(name, func(t *testing.T) {
			found := locate(t, c.files...)
			if len(found) != len(c.want) {
				t.Fatalf("found %+v", found)
			}
			for i, in := range found {
				if got := in.Agent + " " + in.StateDir; got != c.want[i] || in.UID != os.Getuid() || in.Home == "" {
					t.Errorf("found %+v, want %s", in, c.want[i])
				}
				if Of(in).Name != in.Agent {
					t.Errorf("%q has the layout of %q", in.Agent, Of(in).Name)
				}
			}
		})
	}
}

func TestCommands(t *testing.T) {
	for command, want := range map[string]string{
		"openclaw-gateway": "OpenClaw",
		"/usr/bin/node /opt/openclaw/dist/index.js run ": "OpenClaw",
		"node /usr/bin/moltbot gateway":                  "OpenClaw",
		"vim notes-on-openclawing.txt":                   "",
		"/usr/local/bin/claude --continue":               "Claude Code",
		"codex exec":                                     "Codex",
		"bash":                                           "",
	} {
		got := ""
		for _, l := range Layouts {
			if l.Command.MatchString(command) {
				got = l.Title
			}
		}
		if got != want {
			t.Errorf("%q is %q, want %q", command, got, want)
		}
	}
}
