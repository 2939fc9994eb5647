package main

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"clawback/playbooks/drill/tree"
)

const (
	configFile = tree.StateDir + "/openclaw.json"
	otherFile  = tree.StateDir + "/.env"
)

// A file of the agent that is not what it should be: what is wrong with it is named, the rest of
// the response goes on, and the exit code says that not everything could be searched. The
// credential beside it is found all the same.
func TestRealHostileFiles(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		file string
		make func(t *testing.T, d *desk, path string)
		want int
		says string // of the file
		more func(t *testing.T, d *desk, r ended)
	}{
		{"a configuration cut in half", configFile, func(t *testing.T, d *desk, path string) {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			put(t, path, b[:len(b)/2])
		}, 3, "openclaw.json", nil},
		{"binary where JSON is expected", configFile, func(t *testing.T, d *desk, path string) {
			put(t, path, bytes.Repeat([]byte{0, 0xff, 0x1b, '[', '2', 'J', 0x80, '"'}, 20_000))
		}, 3, "openclaw.json", nil},
		{"a FIFO in place of the configuration", configFile, func(t *testing.T, d *desk, path string) {
			if err := syscall.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
		}, 3, "openclaw.json", nil},
		{"a loop of links", configFile, func(t *testing.T, d *desk, path string) {
			link(t, "openclaw.json.one", path)
			link(t, "openclaw.json", filepath.Join(filepath.Dir(path), "openclaw.json.one"))
		}, 3, "openclaw.json", nil},
		{"a folder that contains itself", tree.StateDir + "/credentials/loop", func(t *testing.T, d *desk, path string) {
			link(t, "..", path)
		}, 3, "credentials/loop", nil},
		{"a link out of the disk", configFile, func(t *testing.T, d *desk, path string) {
			outside := filepath.Join(d.dir, "outside.json")
			c := d.city.fakes["github"].Mint("github.pat")
			put(t, outside, []byte(`{"skills":{"entries":{"github":{"env":{"GH_TOKEN":"`+c.Secret.Reveal("value")+`"}}}}}`))
			link(t, outside, path)
		}, 3, "openclaw.json: a link to what is not on this disk", func(t *testing.T, d *desk, r ended) {
			if r.summary.Credentials.Total != 1 {
				t.Errorf("%d credentials: what lies outside the disk was read", r.summary.Credentials.Total)
			}
		}},
		{"a million brackets", configFile, func(t *testing.T, d *desk, path string) {
			put(t, path, bytes.Repeat([]byte("["), 1<<20))
		}, 3, "openclaw.json", nil},
		{"a log of one line of 1 GB", tree.StateDir + "/logs/gateway.log", func(t *testing.T, d *desk, path string) {
			put(t, path, []byte("begin "))
			if err := os.Truncate(path, 1<<30); err != nil {
				t.Fatal(err)
			}
		}, 6, "", func(t *testing.T, d *desk, r ended) {
			if r.summary.Evidence.Bytes < 1<<30 {
				t.Errorf("%d bytes of evidence: the log is missing", r.summary.Evidence.Bytes)
			}
		}},
		{"a configuration of 1 GB", configFile, func(t *testing.T, d *desk, path string) {
			put(t, path, []byte(`{"a":"`))
			if err := os.Truncate(path, 1<<30); err != nil {
				t.Fatal(err)
			}
		}, 3, "openclaw.json", nil},
		{"terminal escapes in names and lines", tree.StateDir + "/logs/\x1b]0;owned\a\u202e gnp.\xff\nline.log", func(t *testing.T, d *desk, path string) {
			put(t, path, []byte("\x1b[2J\x1b]52;c;ZXZpbA==\a\u202eevil\n"))
			evil := "\x1b[31m\u202e\u2066 evil\nTOKEN"
			d.write(otherFile+".\x1b[2J", "x")
			d.write(tree.StateDir+"/agents/\x1b[1m\u202e/agent/auth-profiles.json", `{"version":1,"profiles":{"`+strings.ReplaceAll(evil, "\n", `\n`)+`\u001b]0;x\u0007":{"type":"api_key","provider":"github\u202e","key":"`+d.city.fakes["slack"].Mint("slack.bot").Secret.Reveal("value")+`"}}}`)
			d.write("etc/passwd", "root:x:0:0:\x1b[2J:/root:/bin/sh\n\x1b]0;me\a\u202e:x:0:0:x:/home/openclaw:/bin/sh\n")
			d.write("etc/hostname", "\x1b[2Jhost\u202e\n")
		}, 5, "xoxb-", func(t *testing.T, d *desk, r ended) {
			for _, args := range [][]string{{"discover", "--root", d.root}, {"discover", "--json", "--root", d.root}, {"kill", "--dry-run", "--json", "--root", d.root},
				{"snapshot", "--root", d.root, "--into", filepath.Join(d.dir, "bag")}, {"verify"}, {"report"}} {
				more := d.run(d.command(args...))
				more.wants(t, 0)
				safeText(t, args[0]+" stdout", more.stdout)
				safeText(t, args[0]+" stderr", more.stderr)
			}
			out := d.run(d.command("kill", "--yes", "--root", d.root+"\x1b[2J\u202e"))
			out.wants(t, 1)
			safeText(t, "an error", out.stderr)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			held := d.hold("stripe.api_key")
			key := held[0].Secret.Reveal("value")
			d.write(otherFile, "STRIPE_SECRET_KEY="+key+"\n")
			path := filepath.Join(d.root, filepath.FromSlash(c.file))
			_ = os.MkdirAll(filepath.Dir(path), 0o700)
			if _, err := os.Stat(path); err == nil && !strings.Contains(c.name, "cut") {
				_ = os.Remove(path)
			}
			if _, err := os.Stat(path); err != nil && strings.Contains(c.name, "cut") {
				put(t, path, []byte(`{"gateway": {"port": 1}, "channels": {"slack": {"enabled": true}}}`))
			}
			c.make(t, d, path)
			r := unlessBusy(t, func() ended { return d.kill("--deadline", shortDeadline) })
			r.wants(t, c.want, c.says)
			if r.maxRSS == 0 && runtime.GOOS == "linux" {
				t.Error("its memory was not measured")
			}
			if r.maxRSS > 300<<20 && !raceDetector {
				t.Errorf("%d MB of memory", r.maxRSS>>20)
			}
			if !r.summary.Evidence.Sealed || !r.summary.Agent.Down || r.summary.Credentials.Manual == 0 {
				t.Errorf("the rest did not go on: %+v", r.summary)
			}
			if c.more != nil {
				c.more(t, d, r)
			}
		})
	}
}

func put(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}
