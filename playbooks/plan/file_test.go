package plan_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"clawback/forensics/disk"
	"clawback/playbooks/plan"
	"clawback/revoke/credential"
)

func TestEncodeDecode(t *testing.T) {
	want := sample(t)
	want.Credentials[0].Seen.Owner = "evil \u202e\x1b[2J"
	raw, err := plan.Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.ContainsFunc(raw, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
		t.Error("the file would steer a terminal")
	}
	got, err := plan.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Credentials, want.Credentials) || !got.Made.Equal(want.Made) || got.Endpoints["github"] != want.Endpoints["github"] {
		t.Errorf("%+v\nwant\n%+v", got, want)
	}
}

// A playbook's numbers are as the playbook wrote them, however large.
func TestLargeNumber(t *testing.T) {
	p := sample(t)
	p.Playbook.Phases[0].Steps[0].With = map[string]any{"n": uint64(1<<63 + 1), "f": 1e21}
	raw, err := plan.Encode(p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plan.Decode(raw); err != nil {
		t.Error(err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	raw, _ := file(t)
	edit := func(old, new string) []byte {
		if !bytes.Contains(raw, []byte(old)) {
			t.Fatalf("the sample has no %q", old)
		}
		return bytes.Replace(raw, []byte(old), []byte(new), 1)
	}
	for name, c := range map[string]struct {
		raw  []byte
		want string
	}{
		"nothing":           {nil, "unexpected end"},
		"no JSON":           {[]byte("name: kill-switch\n"), "invalid character"},
		"a list":            {[]byte("[]\n"), "cannot unmarshal"},
		"another format":    {edit(`"clawback_plan": 1`, `"clawback_plan": 2`), "format 2"},
		"no format":         {[]byte("{}\n"), "no clawback_plan"},
		"an unknown key":    {edit(`"remote": false`, `"remote": false, "sudo": true`), "unknown field"},
		"a key twice":       {edit(`"remote": false,`, "\"remote\": true,\n \"remote\": false,"), "somebody changed it"},
		"a key in capitals": {edit(`"remote": false`, `"Remote": false`), "somebody changed it"},
		"more space":        {edit(`"remote": false`, `"remote":  false`), "somebody changed it"},
		"escaped letters":   {edit(`"alice"`, `"\u0061lice"`), "somebody changed it"},
		"something after":   {append(bytes.Clone(raw), "{}\n"...), "after"},
		"no end of line":    {bytes.TrimSpace(raw), "somebody changed it"},
		"an id with a path": {edit("PLAN-20261123-0300-0a1b2c3d", "../../../../etc/shadow"), "no id of a plan"},
		"ends at once":      {edit("2026-11-24T03:00:00Z", "2026-11-23T03:00:00Z"), "ends before"},
		"no deadline":       {edit(`"deadline": "2m0s"`, `"deadline": "soon"`), "no deadline"},
		"a deadline passed": {edit(`"deadline": "2m0s"`, `"deadline": "-2m0s"`), "no deadline"},
		"no playbook":       {edit(`"playbook": "kill-switch"`, `"playbook": ""`), "names no playbook"},
		"two targets":       {edit(`"root": "/mnt/disk"`, "\"host\": \"web-1\",\n  \"root\": \"/mnt/disk\""), "two different targets"},
		"a fingerprint twice": {edit(string(fingerprint("2")), string(fingerprint("1"))),
			"no fingerprint of its own"},
		"too large": {append(bytes.Clone(raw), bytes.Repeat([]byte(" "), plan.MaxFile)...), "more than"},
	} {
		_, err := plan.Decode(c.raw)
		if !errors.Is(err, plan.ErrNotPlan) && name != "something after" || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// What can be read has one form, compares with itself, and does nothing to a terminal.
func FuzzDecode(f *testing.F) {
	raw, _ := file(f)
	f.Add(raw)
	f.Add(bytes.Replace(raw, []byte("alice"), []byte("al\\u202eice"), 1))
	f.Add(bytes.Replace(raw, []byte(`"part": "files"`), []byte(`"part": 18446744073709551617`), 1))
	f.Add([]byte(`{"clawback_plan": 1}`))
	f.Add([]byte(`[[[[[[[`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var loose plan.Plan
		if json.Unmarshal(raw, &loose) == nil {
			again, err := plan.Encode(loose)
			if err != nil {
				return
			}
			if _, err := plan.Decode(again); err != nil && strings.Contains(err.Error(), "somebody changed it") {
				t.Fatalf("what Encode writes is not what Decode takes: %v", err)
			}
			raw = again
		}
		p, err := plan.Decode(raw)
		if err != nil {
			return
		}
		if changes, err := plan.Compare(p, p); err == nil && plan.Matter(changes) {
			t.Errorf("a plan differs from itself: %+v", changes)
		}
		var out bytes.Buffer
		if err := plan.WriteText(&out, p, ""); err != nil {
			t.Fatal(err)
		}
		if !utf8.Valid(out.Bytes()) || strings.ContainsFunc(out.String(), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
			t.Errorf("the text would steer a terminal: %q", out.String())
		}
	})
}

func TestText(t *testing.T) {
	p := sample(t)
	p.Credentials[0].Masked = "AKIA…\x1b]0;evil\a"
	p.Suspect, p.Asked.Risks = true, []string{"lose-evidence"}
	p.Credentials[2].Way, p.Credentials[2].Why = "risk", "needs --accept-risk authority-on-suspect-host"
	p.Playbook.Phases[5].Steps[0].Approvals = 2
	var out bytes.Buffer
	if err := plan.WriteText(&out, p, strings.Repeat("ab", 32)); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 80 && strings.Contains(strings.TrimSpace(line), " ") {
			t.Errorf("%d wide: %s", n, line)
		}
	}
	text := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"Kill switch on /mnt/disk", "made by alice on bastion", "valid until 2026-11-24 03:00 UTC", "github is called at https://ghe.test/api/v3",
		strings.Repeat("ab", 32), "home/agent/.aws: permission denied", "installation /home/agent/.openclaw, generation A",
		"may be brought back by restart openclaw.service", "alive: of user/deploy 123456789012: reaches s3:*", "besides: a deny-all policy",
		"and in 3 other places", "not asked: no time was left", "needs the approval of 2 people", "cannot be undone: Revoked tokens",
		"1 stripe.api_key https://dashboard.stripe.com/apikeys", "2. Rotate it.", "container /docker/abc: set its restart policy to no",
		"slack.app: no documented answer", "accepted: lose-evidence", "1 credential stays alive: needs --accept-risk",
		"This desk is the machine under suspicion",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	if strings.Contains(text, "\x1b") || strings.Contains(text, "isolate") {
		t.Errorf("a step that does not run here, or what steers the terminal:\n%s", out.String())
	}
	// The order is the playbook's.
	at := 0
	for _, step := range []string{"stock:", "freeze:", "files:", "revoke:", "AKIA", "stop:", "report:"} {
		i := strings.Index(text[at:], step)
		if i < 0 {
			t.Fatalf("%s does not come after what is done before it:\n%s", step, out.String())
		}
		at += i
	}
}

func TestKeepRecall(t *testing.T) {
	raw, p := file(t)
	dir := filepath.Join(t.TempDir(), "state", "plans")
	if _, err := plan.Recall(dir, p, raw); !errors.Is(err, plan.ErrNotOurs) {
		t.Errorf("before it was kept: %v", err)
	}
	key := credential.NewFingerprintKey()
	if err := plan.Keep(disk.OS{}, dir, p, raw, key); err != nil {
		t.Fatal(err)
	}
	got, err := plan.Recall(dir, p, raw)
	if err != nil || !bytes.Equal(got.Bytes(), key.Bytes()) {
		t.Errorf("another key, %v", err)
	}
	if info, err := os.Stat(filepath.Join(dir, p.ID)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	changed := bytes.Replace(raw, []byte("https://ghe.test/api/v3"), []byte("https://evil.test/api/v"), 1)
	if _, err := plan.Recall(dir, p, changed); !errors.Is(err, plan.ErrNotOurs) || !strings.Contains(fmt.Sprint(err), "changed after") {
		t.Errorf("a changed plan: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, p.ID), []byte("zz "+plan.Digest(raw)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := plan.Recall(dir, p, raw); err == nil {
		t.Error("a key that is none is taken")
	}
}
