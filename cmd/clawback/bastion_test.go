package main

import (
	"slices"
	"strings"
	"testing"
)

func TestParseRemote(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "",
		"clawback":                    "",
		"help":                        "",
		"attach":                      "attach --",
		"clawback attach INC-1":       "attach -- INC-1",
		"watch --json INC-1":          "watch --json -- INC-1",
		"respond --host root@web-1":   "respond --host=root@web-1 --",
		"respond --host=web-1":        "respond --host=web-1 --",
		"note INC-1 it 'rains'; --as": "note -- INC-1|it 'rains'; --as",
		"note --as dana INC-1 x":      "note -- INC-1|x as dana",
		"drill --speed 20 --auto":     "drill --speed=20 --auto --",
		"approve INC-1 stop --yes":    "approve --yes -- INC-1|stop",
	} {
		args, as, err := parseRemote(text)
		got := strings.Join(args, " ")
		if i := slices.Index(args, "--"); i >= 0 {
			got = strings.TrimSpace(strings.Join(args[:i+1], " ") + " " + strings.Join(args[i+1:], "|"))
		}
		if as != "" {
			got += " as " + as
		}
		if err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{
		"bash", "sh -c id", "scp -t /tmp", "/usr/lib/openssh/sftp-server", "internal-sftp", "rsync --server", "git-upload-pack x", "kill --yes", "clawback clawback attach",
		"respond --root /", "respond --host", "respond --host -oProxyCommand=id", "respond --host=/x", "respond web-1", "respond --endpoint github=http://x",
		"respond --host web-1 --config /tmp/x", "respond --host web-1 --handoff x", "respond --host web-1 --playbook ./x", "attach /tmp/x", "attach ../x", "attach .x",
		"attach a b", "attach --config=/tmp/x", "attach -h", "attach; bash", "attach $(id)", "attach `id`", "attach | id", "attach & id", "watch --json=yes", "note", "note INC-1",
		"note ../x it rains", "note --key /root/.ssh/id INC-1 x", "approve x/plan.json stop", "approve INC-1 stop --key=k", "drill --sign-key x", "drill x/y", "resume --damaged",
		"resume --identity x", "attach\nbash", "attach\x00", "attach \x1b[2J", "verify", "docs", strings.Repeat("a", maxCommand+1), "--config /tmp/x attach",
	} {
		if args, _, err := parseRemote(text); err == nil {
			t.Errorf("%q became %q", text, args)
		} else if codeOf(err) != 2 {
			t.Errorf("%q: exit code %d", text, codeOf(err))
		}
	}
}

// Whatever is sent, what is run is of the list, and no argument is read as a flag or names a place.
func FuzzParseRemote(f *testing.F) {
	for _, text := range []string{"attach INC-1", "note INC-1 a -- b", "respond --host=web-1 --as dana", "drill --speed 2 -- x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		args, as, err := parseRemote(text)
		if err != nil || len(args) == 0 {
			return
		}
		r, known := remotes[args[0]]
		at := slices.Index(args, "--")
		if !known || at < 0 || as != "" && !plainWord.MatchString(as) {
			t.Fatalf("%q became %q", text, args)
		}
		for _, flag := range args[1:at] {
			name, value, _ := strings.Cut(strings.TrimPrefix(flag, "--"), "=")
			if _, ok := r.flags[name]; !ok || strings.ContainsAny(value, "/\\ ~$*") {
				t.Fatalf("%q became %q", text, args)
			}
		}
		for i, arg := range args[at+1:] {
			if !plainWord.MatchString(arg) && (r.most >= 0 || i < r.least-1) {
				t.Fatalf("%q became %q", text, args)
			}
		}
	})
}

func TestParseAuthInfo(t *testing.T) {
	const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJc8MoOMKIBTrSoJ5UXmqrnPmqxE0WcJvrfQ9Xj9x9w3"
	for name, tc := range map[string]struct {
		text string
		keys int
		bad  bool
	}{
		"a key":       {"publickey " + key + "\n", 1, false},
		"two":         {"publickey " + key + "\npassword\npublickey " + key + "\n", 2, false},
		"a password":  {"password\n", 0, false},
		"nothing":     {"", 0, false},
		"cut":         {"publickey ssh-ed25519 AAAAC3Nz", 0, true},
		"no key":      {"publickey \n", 0, true},
		"an option":   {"publickey ssh-ed25519\x00 x\n", 0, true},
		"no newline":  {"publickey " + key, 1, false},
		"other words": {"publickeys " + key + "\n", 0, false},
	} {
		keys, err := parseAuthInfo([]byte(tc.text))
		if len(keys) != tc.keys || (err != nil) != tc.bad {
			t.Errorf("%s: %d keys, %v", name, len(keys), err)
		}
	}
}
