package inbox

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"clawback/forensics/disk"
	"clawback/forensics/incident"
	"clawback/playbooks/engine"
	"clawback/playbooks/engine/signers"
	"clawback/revoke/credential"
)

// seal makes a file as Drop does, of any message.
func (w *world) seal(m Message, key ssh.Signer) []byte {
	w.Helper()
	m.Incident, m.Record = cmpOr(m.Incident, "INC-1"), cmpOr(m.Record, w.state.First)
	if m.Approval != nil && m.Approval.Plan != "" {
		m.Incident, m.Record = "", ""
	}
	file, _, err := Seal(m, key)
	if err != nil {
		w.Fatal(err)
	}
	return file
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func TestWhatIsRefused(t *testing.T) {
	w := newWorld(t)
	w.list += "eve valid-before=\"20200101Z\" " + string(ssh.MarshalAuthorizedKey(w.own.PublicKey()))
	expired := newKey(t)
	w.list += "late valid-before=\"20200101Z\" " + string(ssh.MarshalAuthorizedKey(expired.PublicKey()))
	w.create().run()
	good := string(w.seal(note("bob", "hello"), w.bob))
	binds := w.state.Approvals["approved"].Binds
	approve := func(step, binds, plan string) Message {
		return Message{Kind: KindApproval, As: "bob", Approval: &Approval{Step: step, Binds: binds, Plan: plan}}
	}
	inner := func(old, with string) string { return strings.Replace(good, old, with, 1) }
	contents := map[string]struct{ content, want string }{
		"empty":                    {"", "not JSON"},
		"noise":                    {"\x00\xff", "not JSON"},
		"not an object":            {"[]", "not JSON"},
		"an unknown key":           {inner(`{"v":1,`, `{"v":1,"x":2,`), "not written down as messages are"},
		"a key twice":              {inner(`{"v":1,`, `{"v":1,"v":1,`), "not written down as messages are"},
		"a key in capitals":        {inner(`{"v":1,`, `{"V":1,`), "not written down as messages are"},
		"space":                    {inner(`{"v":1,`, `{"v": 1,`), "not written down as messages are"},
		"something after it":       {good + "x", "not JSON"},
		"an unknown key, inside":   {inner(`\"kind\"`, `\"x\":1,\"kind\"`), "the message in it"},
		"a key twice, inside":      {inner(`\"kind\"`, `\"v\":1,\"kind\"`), "the message in it"},
		"another version":          {inner(`{"v":1,`, `{"v":2,`), "version 2"},
		"another version, inside":  {inner(`{\"v\":1,`, `{\"v\":2,`), "version 2"},
		"a changed text":           {inner("hello", "hallo"), "does not hold"},
		"another namespace":        {string(w.mislabelled()), "does not hold"},
		"another incident":         {string(w.seal(with(note("bob", "x"), "INC-2", ""), w.bob)), "another incident"},
		"another record":           {string(w.seal(with(note("bob", "x"), "", strings.Repeat("0", 64)), w.bob)), "another incident"},
		"nobody's key":             {string(w.seal(note("bob", "x"), newKey(t))), "does not give the key"},
		"somebody else's name":     {string(w.seal(note("carol", "x"), w.bob)), "does not give the key"},
		"a key that is over":       {string(w.seal(note("late", "x"), expired)), "not valid after"},
		"an approval of one's own": {string(w.seal(w.approval("dana"), w.dana)), "nobody approves their own request"},
		"an approval by our key":   {string(w.seal(w.approval("eve"), w.own)), "approves nothing"},
		"another step":             {string(w.seal(approve("asked", binds, ""), w.bob)), "no approval of that step"},
		"another digest":           {string(w.seal(approve("approved", strings.Repeat("0", 64), ""), w.bob)), "something else"},
		"an approval of a plan":    {string(w.seal(approve("approved", binds, strings.Repeat("1", 64)), w.bob)), "another incident"},
		"a command by others":      {string(w.seal(Message{Kind: KindCommand, As: "bob", Command: &Command{Kind: incident.Interrupt}}, w.bob)), "own key commands"},
		"an answer by others":      {string(w.seal(Message{Kind: KindAnswer, As: "bob", Answer: &Answer{Question: "q1", Choice: "yes"}}, w.bob)), "own key commands"},
		"a terminal by others":     {string(w.seal(Message{Kind: KindTerminal, As: "bob", Terminal: &Terminal{State: "attached"}}, w.bob)), "own key commands"},
		"no such question":         {string(w.seal(Message{Kind: KindAnswer, As: "dana", Answer: &Answer{Question: "q99", Choice: "yes"}}, w.own)), "not open"},
		"a command nobody takes":   {string(w.seal(Message{Kind: KindCommand, As: "dana", Command: &Command{Kind: "nonsense"}}, w.own)), "takes that command"},
		"too large":                {strings.Repeat(" ", maxFile+1), "more than"},
	}
	box := filepath.Join(w.dir, Name)
	if err := os.Mkdir(box, 0o700); err != nil {
		t.Fatal(err)
	}
	want := make(map[string]string)
	put := func(name, why string, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		want[name] = why
	}
	for what, c := range contents {
		name := strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' {
				return r
			}
			return '-'
		}, what) + ".json"
		put(name, c.want, place(disk.OS{}, box, name, []byte(c.content)))
	}
	outside := filepath.Join(t.TempDir(), "outside.json")
	if err := os.WriteFile(outside, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	put("link.json", "not a regular file", os.Symlink(outside, filepath.Join(box, "link.json")))
	put("fifo.json", "not a regular file", syscall.Mkfifo(filepath.Join(box, "fifo.json"), 0o600))
	put("folder.json", "not a regular file", os.Mkdir(filepath.Join(box, "folder.json"), 0o700))
	put("no-suffix", "no name of a message", place(disk.OS{}, box, "no-suffix", []byte(good)))
	put("esc\x1b[2J.json", "no name of a message", place(disk.OS{}, box, "esc\x1b[2J.json", []byte(good)))

	s := w.until("the refusals", func(s incident.State) bool { return len(s.Refused) >= len(want) })
	for _, r := range s.Refused {
		if why, ok := want[r.File]; !ok || !strings.Contains(r.Why, why) {
			t.Errorf("%q: %q, want %q", r.File, r.Why, why)
		}
	}
	w.gone()
	if s = w.end(); len(s.Refused) != len(want) || len(s.Notes) > 0 || len(s.Approvals["approved"].Given) > 0 {
		t.Errorf("%d refused of %d, notes %v", len(s.Refused), len(want), s.Notes)
	}
	aside, err := os.ReadDir(filepath.Join(box, RefusedName))
	if err != nil || len(aside) != len(want) {
		t.Errorf("%d are set aside, %v", len(aside), err)
	}
}

func with(m Message, id, record string) Message {
	m.Incident, m.Record = id, record
	return m
}

// mislabelled is a note that is signed as if it were an approval.
func (w *world) mislabelled() []byte {
	m := note("bob", "x")
	m.V, m.Incident, m.Record, m.Time, m.Nonce = Version, "INC-1", w.state.First, time.Now().UTC().Round(0), random(16)
	text, err := encode(m)
	if err != nil {
		w.Fatal(err)
	}
	sig, err := signers.Sign(w.bob, signers.Approvals, text)
	if err != nil {
		w.Fatal(err)
	}
	b, err := encode(envelope{Version, string(text), sig})
	if err != nil {
		w.Fatal(err)
	}
	return b
}

// A credential that a person adds has no message: its value would lie in the inbox.
func TestNoMessageHoldsASecret(t *testing.T) {
	_, err := Of(engine.Command{Add: &incident.Addition{Secret: credential.Value("x")}}, "dana")
	if err == nil || !strings.Contains(err.Error(), "only where the response runs") {
		t.Errorf("it became a message: %v", err)
	}
}
