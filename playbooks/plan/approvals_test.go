package plan_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"clawback/playbooks/engine/inbox"
	"clawback/playbooks/engine/signers"
	"clawback/playbooks/plan"
)

// person is somebody with a key.
type person struct {
	name string
	key  ssh.Signer
}

func people(t *testing.T, names ...string) (map[string]person, signers.Signers) {
	t.Helper()
	all := make(map[string]person)
	var lines strings.Builder
	for _, name := range names {
		_, key, err := signers.Generate(name)
		if err != nil {
			t.Fatal(err)
		}
		if name == "alias" {
			key = all["alice"].key // one person under two names
		}
		all[name] = person{name, key}
		if name != "mallory" { // whom the list does not know
			lines.WriteString(name + " " + key.PublicKey().Type() + " " + base64.StdEncoding.EncodeToString(key.PublicKey().Marshal()) + "\n")
		}
	}
	list, err := signers.Parse("allowed", []byte(lines.String()))
	if err != nil {
		t.Fatal(err)
	}
	return all, list
}

// planFile writes a plan whose step "stop" needs two approvals.
func planFile(t *testing.T) (string, []byte, plan.Plan) {
	t.Helper()
	p := sample(t)
	p.Playbook.Phases[5].Steps[0].Approvals = 2
	raw, err := plan.Encode(p)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "kill.plan")
	if err := os.WriteFile(name, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	p, err = plan.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	return name, raw, p
}

// plainly signs the file as ssh-keygen -Y sign does; namespaced signs for something else.
func (who person) plainly(t *testing.T, namespace string, raw []byte) []byte {
	t.Helper()
	sig, err := signers.Sign(who.key, namespace, raw)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(sig)
}

// message approves one step as clawback approve does.
func (who person) message(t *testing.T, p plan.Plan, raw []byte, step string) []byte {
	t.Helper()
	m, err := inbox.ApprovePlan(p.Playbook.Plan, plan.Digest(raw), step, who.name)
	if err != nil {
		t.Fatal(err)
	}
	file, _, err := inbox.Seal(m, who.key)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestGiven(t *testing.T) {
	all, list := people(t, "alice", "ALICE", "alias", "bob", "carol", "mallory")
	for name, c := range map[string]struct {
		sigs  func(t *testing.T, p plan.Plan, raw []byte) map[string][]byte
		given []string // who approves step stop
		why   string   // of a refusal
	}{
		"none": {func(*testing.T, plan.Plan, []byte) map[string][]byte { return nil }, nil, ""},
		"plain": {func(t *testing.T, _ plan.Plan, raw []byte) map[string][]byte {
			return map[string][]byte{"bob.sig": all["bob"].plainly(t, signers.Approvals, raw)}
		}, []string{"bob"}, ""},
		"a message": {func(t *testing.T, p plan.Plan, raw []byte) map[string][]byte {
			return map[string][]byte{"bob-stop.sig": all["bob"].message(t, p, raw, "stop")}
		}, []string{"bob"}, ""},
		"one of each": {func(t *testing.T, p plan.Plan, raw []byte) map[string][]byte {
			return map[string][]byte{"bob.sig": all["bob"].plainly(t, signers.Approvals, raw), "x.sig": all["carol"].message(t, p, raw, "stop")}
		}, []string{"bob", "carol"}, ""},
		"under another's name": {func(t *testing.T, _ plan.Plan, raw []byte) map[string][]byte {
			return map[string][]byte{"carol.sig": all["bob"].plainly(t, signers.Approvals, raw)}
		}, nil, "does not give the key"},
		"of a stranger": {func(t *testing.T, _ plan.Plan, raw []byte) map[string][]byte {
			return map[string][]byte{"mallory.sig": all["mallory"].plainly(t, signers.Approvals, raw)}
		}, nil, "does not give the key"},
		"of a stranger, by message": {func(t *testing.T, p plan.Plan, raw []byte) map[string][]byte {
			return map[string][]byte{"mallory.sig": all["mallory"].message(t, p, raw, "stop")}
		}, nil, "does not give the key"},
		"of who made it": {func(t *testing.T, _ plan.Plan, raw []byte) map[string][]byte {
			return map[string][]byte{"alice.sig": all["alice"].plainly(t, signers.Approvals, raw)}
		}, nil, "nobody approves their own request"},
		"of who made it, with another key": {func(t *testing.T, _ plan.Plan, raw []byte) map[string][]byte {
			return map[string][]byte{"ALICE.sig": all["ALICE"].plainly(t, signers.Approvals, raw)}
		}, nil, "nobody approves their own request"},
		"of who made it, under another name": {func(t *testing.T, p plan.Plan, raw []byte) map[string][]byte {
			return map[string][]byte{"alias.sig": all["alias"].message(t, p, raw, "stop")}
		}, nil, "nobody approves their own request"},
		"for something else": {func(t *testing.T, _ plan.Plan, raw []byte) map[string][]byte {
			return map[string][]byte{"bob.sig": all["bob"].plainly(t, signers.Notes, raw)}
		}, nil, "does not hold"},
		"of another plan": {func(t *testing.T, _ plan.Plan, raw []byte) map[string][]byte {
			return map[string][]byte{"bob.sig": all["bob"].plainly(t, signers.Approvals, append([]byte(" "), raw...))}
		}, nil, "does not hold"},
		"of another plan, by message": {func(t *testing.T, p plan.Plan, raw []byte) map[string][]byte {
			return map[string][]byte{"bob.sig": all["bob"].message(t, p, append([]byte(" "), raw...), "stop")}
		}, nil, "another plan file"},
		"nonsense": {func(*testing.T, plan.Plan, []byte) map[string][]byte {
			return map[string][]byte{"bob.sig": []byte("yes, do it")}
		}, nil, "does not count"},
		"too large": {func(*testing.T, plan.Plan, []byte) map[string][]byte {
			return map[string][]byte{"bob.sig": make([]byte, 65<<10)}
		}, nil, "more than"},
		"no name": {func(t *testing.T, _ plan.Plan, raw []byte) map[string][]byte {
			return map[string][]byte{"sig": all["bob"].plainly(t, signers.Approvals, raw)}
		}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			file, raw, p := planFile(t)
			for ending, sig := range c.sigs(t, p, raw) {
				if err := os.WriteFile(file+"."+ending, sig, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			given, refused := plan.Given(file, raw, p, list, time.Now())
			var who []string
			for _, a := range given {
				if a.Step != "stop" || a.Plan != plan.Digest(raw) || a.Message == "" || a.Signature == "" || a.Binds == "" || a.Key == "" {
					t.Errorf("%+v", a)
				}
				who = append(who, a.By)
			}
			if strings.Join(who, " ") != strings.Join(c.given, " ") {
				t.Errorf("approved by %v, want %v; refused %v", who, c.given, refused)
			}
			if (c.why != "") != (len(refused) == 1) || c.why != "" && !strings.Contains(refused[0].Error(), c.why) {
				t.Errorf("refused %v, want %q", refused, c.why)
			}
		})
	}
}

// A FIFO beside the plan holds nothing up.
func TestGivenFIFO(t *testing.T) {
	file, raw, p := planFile(t)
	if err := syscall.Mkfifo(file+".bob.sig", 0o600); err != nil {
		t.Fatal(err)
	}
	if given, refused := plan.Given(file, raw, p, signers.Signers{}, time.Now()); given != nil || len(refused) != 1 {
		t.Errorf("%v, %v", given, refused)
	}
}
