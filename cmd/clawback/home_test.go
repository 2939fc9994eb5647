package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks"
	"clawback/playbooks/actions"
	"clawback/tui"
)

// begunFromHome are all command lines that Home can begin at a desk.
func begunFromHome(a *app) (all [][]string) {
	of := a.fromHere()
	for _, w := range of.Ways {
		if w.Args != nil {
			all = append(all, w.Args)
		}
	}
	machines := []string{"root@web-9", "", "-oProxyCommand=id", "a b", "--yes", "web;id"}
	for _, m := range of.Machines {
		machines = append(machines, m.Name)
	}
	for _, b := range of.Books {
		for _, m := range machines {
			for severity := -1; severity <= 4; severity++ {
				if args, err := of.Line(tui.Declaration{Machine: m, Book: b.Name, Severity: severity}); err == nil {
					all = append(all, args)
				}
			}
		}
	}
	return all
}

// deskOf is a desk with one machine, two playbooks of its own, and an incident that is not finished.
func deskOf(t *testing.T, ssh bool) *app {
	t.Helper()
	dir := t.TempDir()
	a := &app{env: environment{"XDG_STATE_HOME": dir, "USER": "tester"}, config: config{Hosts: []string{"root@web-1"}}}
	if ssh {
		a.env["SSH_CONNECTION"] = "192.0.2.1 1 192.0.2.2 22"
	}
	for name, gate := range map[string]string{"asks": "confirm", "hasty": "auto"} {
		file := filepath.Join(dir, name+".yaml")
		text := fmt.Sprintf("name: %s\ntitle: Ours\ndescription: It %s.\nattended: true\nphases:\n- {id: all, title: All, steps: [{id: freeze, title: Freeze, why: It stops., uses: agent.freeze, gate: %s}]}\n", name, name, gate)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		a.config.Playbooks = append(a.config.Playbooks, file)
	}
	begin(t, a, "root@web-1", false)
	return a
}

// begin puts a response on record that was never ended, and returns its folder.
func begin(t *testing.T, a *app, target string, attended bool) string {
	t.Helper()
	o, err := a.create("INC", target, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.journal.Note(incident.TypeDeclared, incident.Declared{Incident: o.id, Mode: incident.Real, Playbook: "ours", Target: target, Attended: attended, Responder: "bob", Desk: "bastion-1"}); err != nil {
		t.Fatal(err)
	}
	if err := o.close(); err != nil {
		t.Fatal(err)
	}
	return o.dir
}

// Whatever is chosen, Home begins no command that would not ask: it is one of a few, and says yes to nothing.
func TestHomeNeverSaysYes(t *testing.T) {
	for name, ssh := range map[string]bool{"at the desk": false, "over ssh": true} {
		t.Run(name, func(t *testing.T) {
			a := deskOf(t, ssh)
			all := begunFromHome(a)
			if !ssh && len(all) < 20 || len(all) < 6 {
				t.Errorf("only %d command lines", len(all))
			}
			var own int
			for _, args := range all {
				if slices.ContainsFunc(args, func(s string) bool { return strings.HasPrefix(s, "--yes") }) {
					t.Errorf("it begins %q", args)
				}
				if !slices.Contains([]string{"respond", "kill", "resume", "attach", "watch", "drill", "help"}, args[0]) {
					t.Errorf("it begins %q", args)
				}
				root := newRoot(&app{})
				c, rest, err := root.Find(args)
				if err == nil && args[0] != "help" {
					err = c.ParseFlags(rest)
				}
				if err != nil {
					t.Errorf("%q: %v", args, err)
				}
				line := strings.Join(args, " ")
				if strings.Contains(line, "hasty") {
					t.Errorf("%q begins before anybody is asked", args)
				}
				if strings.Contains(line, "respond --playbook "+a.config.Playbooks[0]) || strings.Contains(line, "respond --playbook "+a.config.Playbooks[1]) {
					own++
				}
				if !ssh {
					continue
				}
				parsed, _, err := parseRemote(line) // what a forced command takes
				if err == nil && parsed != nil {
					err = a.knownHost(parsed)
				}
				if err != nil {
					t.Errorf("a bastion would refuse %q: %v", args, err)
				}
			}
			if (own > 0) == ssh {
				t.Errorf("%d of the desk's own playbook", own)
			}
		})
	}
}

// What asks nobody is said before it is taken up again, and who holds a response is named.
func TestHomeWays(t *testing.T) {
	a := deskOf(t, false)
	way := func(key string) tui.Way {
		t.Helper()
		ways := a.fromHere().Ways
		i := slices.IndexFunc(ways, func(w tui.Way) bool { return w.Key == key })
		if i < 0 {
			t.Fatalf("there is no %s: %+v", key, ways)
		}
		return ways[i]
	}
	if w := way("r"); !strings.Contains(w.Asks, "asks nobody") || !strings.Contains(w.Text, "by bob") {
		t.Errorf("%+v", w)
	}
	dir := begin(t, a, "root@web-2", true)
	if w := way("r"); strings.Contains(w.Asks, "asks nobody") || w.Args[1] != filepath.Base(dir) {
		t.Errorf("%+v", w)
	}
	lock, err := journal.Lock(filepath.Join(dir, journal.LockName), journal.Holder{Who: "carol", Desk: "bastion-7", Since: time.Date(2026, 11, 22, 3, 17, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Close() }()
	if w := way("a"); !strings.Contains(w.Text, "which carol runs at bastion-7 since 03:17 UTC") || w.Args[1] != filepath.Base(dir) {
		t.Errorf("%+v", w)
	}
	if w := way("r"); w.Args[1] == filepath.Base(dir) {
		t.Errorf("what carol runs can be resumed: %+v", w)
	}
	for machine, want := range map[string]string{"root@web-2": "carol runs at bastion-7", "root@web-1": "is not finished", "root@web-3": "No response to it is on record"} {
		if got := a.look(t.Context(), machine); !strings.Contains(got, want) {
			t.Errorf("%s: %q", machine, got)
		}
	}
}

// The playbooks that come along ask before they do anything, those that are begun in the console.
func TestUnasked(t *testing.T) {
	for name, want := range map[string]string{playbooks.SuspectedCompromise: "", playbooks.KillSwitch: "freeze", playbooks.Isolate: "isolate"} {
		book, err := playbooks.Builtin(name, actions.Names())
		if err != nil {
			t.Fatal(err)
		}
		if got := unasked(book); got != want {
			t.Errorf("%s: %q begins unasked, want %q", name, got, want)
		}
	}
	late := playbooks.Playbook{Phases: []playbooks.Phase{{Steps: []playbooks.Step{{ID: "a", Uses: "agent.freeze", Gate: playbooks.Auto, Needs: []string{"b"}}, {ID: "b", Uses: "host.isolate", Gate: playbooks.Confirm, Unanswered: time.Minute}}}}}
	if got := unasked(late); got != "a" {
		t.Errorf("%q begins unasked where nobody answers", got)
	}
}

func TestKnownBy(t *testing.T) {
	for want, a := range map[string]*app{
		"as --as says":                 {as: "dana"},
		"which no list names":          {as: "SHA256:abc"},
		"responder: in the config":     {config: config{Responder: "dana"}},
		"by the account that became":   {env: environment{"SUDO_USER": "dana", "USER": "root"}},
		"by the account alone; --as N": {env: environment{"USER": "root"}},
	} {
		if got := a.knownBy(); !strings.Contains(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// A look names what it finds, and never fails: it is no more than a hint.
func TestInstalledBelow(t *testing.T) {
	d := newDesk(t)
	if got := installedBelow(d.root); !strings.Contains(got, "No agent's installation") {
		t.Errorf("nothing: %q", got)
	}
	d.hold("github.pat")
	if got := installedBelow(d.root); !strings.Contains(got, "OpenClaw at "+d.root) || !strings.Contains(got, ".openclaw") {
		t.Errorf("a tree: %q", got)
	}
	if got := installedBelow(filepath.Join(d.root, "nothing")); !strings.Contains(got, "cannot be looked at") {
		t.Errorf("no root: %q", got)
	}
}
