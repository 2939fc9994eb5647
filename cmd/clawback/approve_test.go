package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"clawback/forensics/incident"
	"clawback/playbooks"
	"clawback/playbooks/engine/signers"
)

func writeKey(path string) error {
	private, key, err := signers.Generate(filepath.Base(path))
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, private, 0o600); err != nil {
		return err
	}
	return os.WriteFile(path+".pub", ssh.MarshalAuthorizedKey(key.PublicKey()), 0o644)
}

// keys makes keys for people, and lists them as allowed signers are listed.
func (d *desk) keys(people ...string) (list string) {
	d.t.Helper()
	for _, name := range people {
		if err := writeKey(filepath.Join(d.dir, name)); err != nil {
			d.t.Fatal(err)
		}
		public, err := os.ReadFile(filepath.Join(d.dir, name+".pub"))
		if err != nil {
			d.t.Fatal(err)
		}
		list += name + " " + string(public)
	}
	return list
}

// team makes keys for people, and a configuration that names them; dana responds.
func (d *desk) team(people ...string) {
	d.t.Helper()
	list := d.keys(people...)
	allowed := filepath.Join(d.dir, "allowed_signers")
	config := "responder: dana\nallowed_signers: " + allowed + "\n"
	for path, text := range map[string]string{allowed: list, d.config(): config} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			d.t.Fatal(err)
		}
	}
	d.env = append(d.env, "CLAWBACK_CONFIG="+d.config())
}

const approvedBook = `name: approved
title: Approved
attended: true
phases:
  - id: one
    title: One
    steps:
      - {id: stock, title: Stock, uses: host.describe}
      - {id: look, title: Look, uses: host.describe, approvals: 2}
      - {id: ask, title: Ask, uses: host.describe, gate: confirm, needs: [stock]}
`

// A response waits for two other people, who approve from other terminals, and takes notes meanwhile.
func TestTerminalApprovals(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.hold("github.pat")
	d.team("dana", "bob", "carol")
	if err := writeKey(filepath.Join(d.dir, "eve")); err != nil {
		t.Fatal(err)
	}
	book := filepath.Join(d.dir, "approved.yaml")
	if err := os.WriteFile(book, []byte(approvedBook), 0o600); err != nil {
		t.Fatal(err)
	}
	respond, _, _ := d.onTerminal("respond", "--root", d.root, "--playbook", book)
	eventually(t, 60*time.Second, "the question for approvals", func() bool {
		all, _ := filepath.Glob(filepath.Join(d.dir, "state", "clawback", "incidents", "INC-*", "journal.jsonl"))
		return len(all) == 1 && d.recorded().Approvals["look"] != nil
	})
	id := filepath.Base(d.folder())
	says := func(code int, text string, args ...string) {
		t.Helper()
		r := d.run(d.command(args...))
		if all := string(r.stdout) + string(r.stderr); r.code != code || !strings.Contains(all, text) {
			t.Errorf("%s: ended with %d, want %d and %q\n%s", args, r.code, code, text, all)
		}
	}
	says(incident.ExitApproval, "nobody approves their own request", "approve", id, "look", "--key", "dana", "--yes")
	says(incident.ExitApproval, "does not give the key", "approve", id, "look", "--key", "eve", "--as", "bob", "--yes")
	says(0, "of the record holds it", "approve", id, "look", "--key", "bob", "--yes")
	says(incident.ExitApproval, "bob has approved it already", "approve", id, "look", "--key", "bob", "--yes")
	says(0, "of the record holds it", "note", id, "the bank is told", "--key", "carol")
	if s := d.recorded(); s.Steps["look"].Status != incident.Waiting || len(s.Notes) != 1 || s.Notes[0].By != "carol" {
		t.Errorf("%+v, notes %+v", s.Steps["look"], s.Notes)
	}
	says(0, "of the record holds it", "approve", id, "look", "--key", "carol", "--yes")
	eventually(t, 30*time.Second, "the step", func() bool { return d.recorded().Steps["look"].Status == incident.Done })

	asOpenSSH(t, d, d.recorded().Approvals["look"].Given[0])
	if err := respond.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	d.endsWith(respond, incident.ExitTerminated)
	says(incident.ExitManual, "nobody runs this response", "note", id, "too late", "--key", "carol")
	report, err := os.ReadFile(filepath.Join(d.folder(), "report.md"))
	if err != nil || !strings.Contains(string(report), "2 of 2 approvals") || !strings.Contains(string(report), "note by `carol`, signed with the key") {
		t.Errorf("%v\n%s", err, report)
	}
}

// The glass that was broken for one step is whole for the others, also in a run that is resumed.
func TestResumeBreaksNoMoreGlass(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.team("dana", "bob")
	a := &app{config: config{Responder: "dana", AllowedSigners: filepath.Join(d.dir, "allowed_signers")}}
	step := func(id string) playbooks.Step { return playbooks.Step{ID: id, Approvals: 1} }
	book := playbooks.Playbook{Name: "mine", Phases: []playbooks.Phase{{Steps: []playbooks.Step{step("a"), step("b")}}}}
	asked := func(id string) *incident.Approval {
		return &incident.Approval{ApprovalAsked: incident.ApprovalAsked{Step: id, Needs: 1, By: "dana"}}
	}
	was := incident.State{Steps: map[string]*incident.Step{}, Approvals: map[string]*incident.Approval{"a": asked("a"), "b": asked("b")}}
	was.Approvals["a"].Broken = &incident.BreakGlass{Step: "a", By: "dana", Reason: "alone"}
	who, err := a.teamAgain(was, book, teamFlags{})
	if codeOf(err) != incident.ExitApproval || !strings.Contains(err.Error(), "step b ") || who.approvals.Broken != nil {
		t.Errorf("%v, %+v", err, who.approvals)
	}
	was.Approvals["b"].Given = []incident.Approved{{Step: "b", By: "bob", Key: "SHA256:bob"}}
	if _, err := a.teamAgain(was, book, teamFlags{}); err != nil {
		t.Error(err)
	}
	was.Approvals["b"].Given = nil
	was.Steps["b"] = &incident.Step{Status: incident.Done}
	if _, err := a.teamAgain(was, book, teamFlags{}); err != nil {
		t.Error(err)
	}
	if book.Phases[0].Steps[0].Approvals != 1 {
		t.Error("the playbook was changed")
	}
	if _, err := a.teamAgain(was, book, teamFlags{breakGlass: "all of it"}); err != nil {
		t.Error(err)
	}
}

// asOpenSSH checks what is on record with OpenSSH alone.
func asOpenSSH(t *testing.T, d *desk, a incident.Approved) {
	t.Helper()
	keygen := needsProgram(t, "ssh-keygen")
	sig := filepath.Join(d.dir, "message.sig")
	if err := os.WriteFile(sig, []byte(a.Signature), 0o600); err != nil {
		t.Fatal(err)
	}
	verify := func(message string) error {
		c := exec.Command(keygen, "-Y", "verify", "-f", filepath.Join(d.dir, "allowed_signers"), "-I", a.By, "-n", "clawback-approval@v1", "-s", sig)
		c.Stdin = strings.NewReader(message)
		return c.Run()
	}
	if err := verify(a.Message); err != nil {
		t.Errorf("ssh-keygen does not accept what is on record: %v", err)
	}
	if verify(a.Message+" ") == nil {
		t.Error("ssh-keygen accepts another message")
	}
}
