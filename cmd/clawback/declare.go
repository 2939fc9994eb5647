package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"clawback/forensics/agents"
	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks"
	"clawback/playbooks/actions"
	"clawback/tui"
)

// declaring is what may be declared at a desk. Over ssh that is the guided response to a machine that
// the configuration names: a bastion that many share gives nobody a choice of their own.
type declaring struct {
	hosts []string
	local bool // this machine, and any that is typed, too
	books []declarable
}

// declarable is a playbook, and how it is begun.
type declarable struct {
	tui.Book
	args []string
	why  error // it is not begun from Home
	lone bool  // it is not begun over ssh
}

var (
	errNotListed = errors.New("that is none of them")
	errOnlyHere  = errors.New("over ssh it is the guided response alone")
)

// What starting a playbook does, and what of that asks.
const (
	thenConsole = "The machine is reached and looked at, then the console shows the plan: what will happen, in order, and what of it cannot be undone. Nothing is done before you say so."
	thenKill    = "The machine is reached and looked at, then the plan is printed. Nothing is done before you type the machine's name after the word kill. From then on nobody is asked."
)

func (a *app) declaring() declaring {
	d := declaring{hosts: a.config.Hosts, local: a.env["SSH_CONNECTION"] == ""}
	for _, name := range playbooks.Builtins() {
		book, err := playbooks.Builtin(name, actions.Names())
		if err != nil {
			continue // a test parses them all
		}
		b := declarable{Book: tui.Book{Name: name, Title: book.Title, About: book.Description, Then: thenKill}, lone: true}
		switch name {
		case playbooks.SuspectedCompromise:
			b.args, b.lone = []string{"respond"}, false
			b.Default, b.Then = true, thenConsole
		case playbooks.KillSwitch:
			b.args = []string{"kill"}
		case playbooks.LeakedCredentials:
			b.why = errors.New("it takes what leaked, and no machine: clawback revoke")
		default:
			b.why = errors.New("it is a command of its own: clawback " + name + " --help")
		}
		d.books = append(d.books, b)
	}
	for _, file := range a.config.Playbooks {
		d.books = append(d.books, ownBook(file))
	}
	slices.SortStableFunc(d.books, func(x, y declarable) int { return cmp.Compare(y.order(), x.order()) })
	return d
}

// order puts first what is most likely wanted.
func (b declarable) order() int {
	switch {
	case b.Default:
		return 2
	case b.why == nil:
		return 1
	}
	return 0
}

// ownBook is a playbook of the desk's own.
func ownBook(file string) declarable {
	b := declarable{Book: tui.Book{Name: file, Then: thenKill}, args: []string{"kill", "--playbook", file}, lone: true}
	book, err := loadPlaybook(file)
	if b.About = book.Description; err != nil {
		b.why = err
		return b
	}
	if b.Title = book.Title; book.Attended {
		b.args, b.Then = []string{"respond", "--playbook", file}, thenConsole
		if step := unasked(book); step != "" {
			b.why = fmt.Errorf("its step %s would begin before you are asked: clawback respond --playbook %s", step, file)
		}
	}
	return b
}

// unasked is the first step of a playbook that does something before anybody is asked; "" for none.
func unasked(book playbooks.Playbook) string {
	asked := make(map[string]bool)
	harmless := []string{"host.describe", "person.guide", "person.decide"}
	for range book.Steps() { // what a step needs may stand behind it
		for _, s := range book.Steps() {
			asked[s.ID] = asked[s.ID] || s.Gate != playbooks.Auto && s.Unanswered == 0 ||
				slices.ContainsFunc(s.Needs, func(need string) bool { return asked[need] })
		}
	}
	for _, s := range book.Steps() {
		if !asked[s.ID] && !slices.Contains(harmless, s.Uses) {
			return s.ID
		}
	}
	return ""
}

func (d declaring) list() (all []tui.Book) {
	for _, b := range d.books {
		all = append(all, b.Book)
	}
	return all
}

func (d declaring) machines() (all []tui.Machine) {
	for _, host := range d.hosts {
		all = append(all, tui.Machine{Name: host, About: "It is reached over ssh once you start, and not before."})
	}
	if d.local {
		all = append(all, tui.Machine{Name: thisMachine, About: "Desk and host are one machine then: an authority that is used here is within its reach, and has to be accepted by name."})
	}
	return all
}

// line is the command line of a declaration. All that it can begin shows its plan, and asks.
func (d declaring) line(of tui.Declaration) ([]string, error) {
	i := slices.IndexFunc(d.books, func(b declarable) bool { return b.Name == of.Book })
	switch {
	case i < 0:
		return nil, fmt.Errorf("there is no playbook %q", of.Book)
	case d.books[i].why != nil:
		return nil, d.books[i].why
	case d.books[i].lone && !d.local:
		return nil, errOnlyHere
	case of.Severity < 0 || of.Severity > 3:
		return nil, errors.New("how bad it is lies between 1 and 3")
	}
	args := slices.Clone(d.books[i].args)
	switch {
	case of.Machine == thisMachine && d.local:
	case slices.Contains(d.hosts, of.Machine), d.local && plainWord.MatchString(of.Machine):
		args = append(args, "--host", of.Machine)
	case d.local:
		return nil, errNoRemotes
	default:
		return nil, errNotListed
	}
	if of.Severity > 0 {
		args = append(args, "--severity", strconv.Itoa(of.Severity))
	}
	return args, nil
}

// lookTime bounds a look at this machine.
const lookTime = 10 * time.Second

// look says what is known of a machine without contact: of this one what its disk shows.
func (a *app) look(ctx context.Context, machine string) string {
	before := a.before(machine)
	if machine != thisMachine {
		return before
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	found := make(chan string, 1)
	go func() { found <- installedBelow("/") }() // it ends by itself, within the patience of its search
	select {
	case text := <-found:
		return strings.TrimSpace(text + " " + before)
	case <-ctx.Done():
		return strings.TrimSpace("Its disk did not answer in time. " + before)
	}
}

// installedBelow says which agents' installations are below a root.
func installedBelow(dir string) string {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "It cannot be looked at: " + err.Error() + "."
	}
	defer func() { _ = root.Close() }()
	const most = 5
	found, problems := agents.Locate(root)
	var text []string
	for _, in := range found[:min(len(found), most)] {
		one := agents.Of(in).Title + " at " + filepath.Join(dir, in.StateDir)
		if in.User != "" {
			one += ", of " + in.User
		}
		text = append(text, one+".")
	}
	if more := len(found) - most; more > 0 {
		text = append(text, fmt.Sprintf("%d more.", more))
	}
	if len(found) == 0 {
		text = append(text, "No agent's installation was found by a first look; the response looks closer.")
	}
	if n := len(problems); n > 0 {
		text = append(text, fmt.Sprintf("Not all could be read: %s: %s.", problems[0].Path, problems[0].Reason))
	}
	return strings.Join(text, " ")
}

// before is what this desk has on record of a machine, as far as its last few incidents show.
func (a *app) before(machine string) string {
	const most = 20
	all := a.records()
	for _, dir := range all[:min(len(all), most)] {
		if !declaredOn(dir, machine) {
			continue
		}
		id := filepath.Base(dir)
		held, err := journal.Held(dir)
		switch {
		case err == nil && held:
			return fmt.Sprintf("%s responds to it now: %s.", id, a.runs(dir, incident.State{}))
		case !endsContained(dir):
			return fmt.Sprintf("%s on it is not finished: clawback resume %s goes on with it.", id, id)
		}
		return fmt.Sprintf("The last response to it, %s, ended with the agent contained.", id)
	}
	return "No response to it is on record at this desk."
}
