package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"clawback/forensics/incident"
)

// handedOver has the target of a desk hand itself over to a new key.
func (d *desk) handedOver(programs string) (file, key string) {
	d.t.Helper()
	key = filepath.Join(d.dir, "web-1.key")
	out := d.run(d.command("handoff", "key", key))
	if out.code != 0 {
		d.t.Fatalf("handoff key: exit %d\n%s", out.code, out.stderr)
	}
	recipient := regexp.MustCompile(`age1[a-z0-9]+`).Find(out.stdout)
	file = filepath.Join(d.dir, "web-1.handoff")
	f, err := os.Create(file)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	host := exec.Command(filepath.Join(programs, "clawback-host"), "handoff", "--recipient", string(recipient), "--root", d.root)
	host.Stdout = f
	if said := d.run(host); said.code != 0 || !bytes.Contains(said.stderr, []byte("what was written is whole, and nothing was killed")) {
		d.t.Fatalf("clawback-host handoff: exit %d\n%s", said.code, said.stderr)
	}
	return file, key
}

// A machine without a link is responded to with what it wrote: its evidence is sealed and its credentials
// die, and what would have to reach it is said to be undone.
func TestHandoff(t *testing.T) {
	programs := buildPrograms(t)
	d := newDesk(t)
	held := d.hold("github.pat", "slack.bot", "gitlab.pat")
	d.authorise()
	file, key := d.handedOver(programs)
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	checkCanaries(t, held, map[string][]byte{"the file": raw})
	if err := os.RemoveAll(d.root); err != nil { // there is no link
		t.Fatal(err)
	}

	look := d.run(d.command("handoff", "look", file, "--identity", key))
	if look.code != 0 || !bytes.Contains(look.stdout, []byte("web-1.handoff is whole")) || !bytes.Contains(look.stdout, []byte("installation  /home/")) {
		t.Errorf("look: exit %d\n%s%s", look.code, look.stdout, look.stderr)
	}
	r := d.run(d.command(append([]string{"kill", "--yes", "--json", "--handoff", file, "--identity", key}, d.city.args...)...))
	r.check(t)
	for _, c := range held {
		if d.city.fakes[c.Provider].Alive(c) {
			t.Errorf("%s is alive", c.Kind)
		}
	}
	if r.code != incident.ExitPartial || r.summary.Credentials.Dead != len(held) || !r.summary.Evidence.Sealed || r.summary.Agent.Down {
		t.Errorf("exit %d, %+v\n%s", r.code, r.summary, r.stderr)
	}
	for _, want := range []string{"web-1 (handed over)", "not in reach", "power the machine off"} {
		if !bytes.Contains(r.stderr, []byte(want)) && !bytes.Contains(r.stdout, []byte(want)) {
			t.Errorf("%q is not said:\n%s", want, r.stderr)
		}
	}
	if found := d.run(d.command("verify")); found.code != 0 {
		t.Errorf("verify: exit %d\n%s", found.code, found.stderr)
	}

	again := d.run(d.command("handoff", "key", key))
	if again.code != incident.ExitUsage || !bytes.Contains(again.stderr, []byte("hint: name a file that does not exist")) {
		t.Errorf("a key was written over: exit %d\n%s", again.code, again.stderr)
	}
}

// What was cut, changed or lengthened is refused before anything is done.
func TestHandoffThatIsNotWhole(t *testing.T) {
	programs := buildPrograms(t)
	d := newDesk(t)
	held := d.hold("github.pat")
	d.authorise()
	file, key := d.handedOver(programs)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_ = d.run(d.command("handoff", "key", filepath.Join(d.dir, "other.key")))
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/2] ^= 4
	for name, tc := range map[string]struct {
		data []byte
		key  string
		code int
		says string
	}{
		"cut":            {whole[:len(whole)*2/3], key, incident.ExitNothing, "hint: nothing was done; copy the file again"},
		"without an end": {whole[:len(whole)-1], key, incident.ExitNothing, "hint: nothing was done"},
		"a bit flipped":  {flipped, key, incident.ExitNothing, "hint: nothing was done"},
		"longer":         {append(bytes.Clone(whole), whole...), key, incident.ExitNothing, "hint: nothing was done"},
		"empty":          {nil, key, incident.ExitNothing, "hint: nothing was done"},
		"another key":    {whole, filepath.Join(d.dir, "other.key"), incident.ExitNothing, "the key is the one"},
		"no key":         {whole, "", incident.ExitUsage, "--handoff needs --identity"},
		"key is no key":  {whole, file, incident.ExitUsage, "--identity"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.handoff")
			if err := os.WriteFile(path, tc.data, 0o600); err != nil {
				t.Fatal(err)
			}
			args := append([]string{"kill", "--yes", "--handoff", path}, d.city.args...)
			if tc.key != "" {
				args = append(args, "--identity", tc.key)
			}
			r := d.run(d.command(args...))
			if r.code != tc.code || !strings.Contains(string(r.stderr), tc.says) {
				t.Errorf("exit %d\n%s", r.code, r.stderr)
			}
		})
	}
	if !d.city.fakes["github"].Alive(held[0]) {
		t.Error("it was revoked all the same")
	}
	both := d.run(d.command("kill", "--yes", "--handoff", file, "--identity", key, "--root", d.root))
	if both.code != incident.ExitUsage {
		t.Errorf("two targets: exit %d\n%s", both.code, both.stderr)
	}
}
