package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
)

// choice is something that can be begun from home: a command line, by a letter.
type choice struct {
	key, text string
	args      func(*bufio.Reader) ([]string, error) // nil, nil: back home
}

// home is clawback alone on a terminal: what can be begun, and what is missing for a bad night. What
// is chosen is carried out as the command line that it shows. It appends lines, on any terminal.
func (a *app) home(ctx context.Context) error {
	if len(a.names) > 1 && a.as == "" {
		return usage("say who you are with --as NAME", "the key of this login is that of %s", strings.Join(a.names, " and "))
	}
	keys := bufio.NewReaderSize(a.in, 4096)
	for {
		all := a.choices()
		fmt.Fprintf(a.out, "clawback at %s. You are %s.\n\n", incident.Safe(hostname()), incident.Safe(a.responder()))
		for i, c := range all {
			mark := " "
			if i == 0 {
				mark = "▸"
			}
			fmt.Fprintf(a.out, " %s %s  %s\n", mark, c.key, incident.Safe(c.text))
		}
		c, err := a.choose(keys, all)
		if c == nil || err != nil {
			return err
		}
		args, err := c.args(keys)
		if err != nil {
			return err
		}
		if args != nil {
			fmt.Fprintf(a.out, "\nclawback %s\n", incident.Safe(strings.Join(args, " ")))
			return a.carryOut(ctx, args)
		}
		fmt.Fprintln(a.out)
	}
}

// answer asks for a line; false is the end of the terminal.
func (a *app) answer(keys *bufio.Reader, ask string) (string, bool) {
	fmt.Fprint(a.out, ask)
	line, err := keys.ReadString('\n')
	return strings.TrimSpace(line), err == nil
}

// choose asks until a letter is of the list; nil is to leave.
func (a *app) choose(keys *bufio.Reader, all []choice) (*choice, error) {
	for {
		key, ok := a.answer(keys, "\nA letter, then enter; enter alone is "+all[0].key+", q leaves: ")
		switch i := slices.IndexFunc(all, func(c choice) bool { return c.key == key }); {
		case !ok || key == "q":
			return nil, nil
		case key == "":
			return &all[0], nil
		case i >= 0:
			return &all[i], nil
		}
		fmt.Fprintf(a.out, "There is no %q.", key)
	}
}

// choices are what can be begun now, what is most likely wanted first.
func (a *app) choices() []choice {
	line := func(args ...string) func(*bufio.Reader) ([]string, error) {
		return func(*bufio.Reader) ([]string, error) { return args, nil }
	}
	var all []choice
	if dir := a.newestRunning(); dir != "" {
		s, _ := readRecord(dir)
		text := fmt.Sprintf("%s on %s, by %s", s.Declared.Incident, s.Declared.Target, s.Declared.Responder)
		all = append(all,
			choice{"a", "Attach to " + text + ", which runs", line("attach", filepath.Base(dir))},
			choice{"w", "Watch it, read-only", line("watch", filepath.Base(dir))})
	}
	if dir, s := a.unfinished(""); dir != "" {
		if held, err := journal.Held(dir); err == nil && !held {
			all = append(all, choice{"r", fmt.Sprintf("Resume %s on %s, by %s, which is not finished", s.Declared.Incident, s.Declared.Target, s.Declared.Responder), line("resume", filepath.Base(dir))})
		}
	}
	all = append(all,
		choice{"s", "Something is wrong: start a response (asks which machine, then shows what it will do)", a.whichMachine},
		choice{"d", "Drill: nothing real is touched. " + a.lastDrill(), line("drill")})
	missing := a.missing()
	text := "Readiness: nothing is missing that can be seen from here"
	if n := len(missing); n > 0 {
		text = fmt.Sprintf("Readiness: %d missing: %s", n, missing[0].text)
	}
	return append(all,
		choice{"p", text, func(*bufio.Reader) ([]string, error) { a.showMissing(missing); return nil, nil }},
		choice{"h", "Help: all commands", line("help")})
}

// whichMachine asks what to respond to. Over ssh it is one of those that the configuration names: a
// bastion that many share gives nobody a machine of their own choice.
func (a *app) whichMachine(keys *bufio.Reader) ([]string, error) {
	machines := slices.Clone(a.config.Hosts)
	local := a.env["SSH_CONNECTION"] == ""
	if local {
		machines = append(machines, thisMachine)
	}
	if len(machines) == 0 {
		return nil, usage("hosts: [root@web-1] in the configuration names them", "no machine is known that may be responded to from here")
	}
	for i, m := range machines {
		fmt.Fprintf(a.out, "  %d  %s\n", i+1, m)
	}
	ask := "Which machine, by number: "
	if local {
		ask = "Which machine, by number, or as [USER@]HOST: "
	}
	text, ok := a.answer(keys, ask)
	n, err := strconv.Atoi(text)
	switch {
	case !ok || text == "":
		return nil, nil
	case err == nil && n >= 1 && n <= len(machines):
		text = machines[n-1]
	case err == nil || !local || !plainWord.MatchString(text):
		fmt.Fprintf(a.out, "That is none of them.\n")
		return nil, nil
	}
	args := []string{"respond"}
	if text != thisMachine {
		args = append(args, "--host", text)
	}
	severity, ok := a.answer(keys, "How bad, 1 is the worst, 3 the least; enter alone leaves it open: ")
	if n, err := strconv.Atoi(severity); err == nil && n >= 1 && n <= 3 {
		args = append(args, "--severity", severity)
	} else if severity != "" || !ok {
		fmt.Fprintln(a.out, "Nothing was begun.")
		return nil, nil
	}
	return args, nil
}

// lacking is something that a response will miss, and what to do about it.
type lacking struct{ text, hint string }

// missing is what can be seen without asking anybody.
func (a *app) missing() (all []lacking) {
	add := func(is bool, text, hint string) {
		if is {
			all = append(all, lacking{text, hint})
		}
	}
	c := a.config
	add(c.file == "", "there is no configuration", "clawback help config shows what it can hold")
	add(len(c.Authorities) == 0, "no authority: what cannot revoke itself would stay alive", "authorities: in the configuration; clawback providers --check tests them")
	list, err := a.allowedSigners()
	switch others := slices.DeleteFunc(list.Names(nil), func(n string) bool { return strings.EqualFold(n, a.responder()) }); {
	case err != nil:
		add(true, err.Error(), "mend the list")
	default:
		add(len(others) == 0, "nobody else can approve or note", "allowed_signers: in the configuration")
	}
	add(len(c.Witness) == 0, "nobody else holds the record", "witness: in the configuration")
	add(len(c.Inventory) == 0, "nobody knows what breaks when a credential dies", "inventory: in the configuration; clawback inventory import reads a CSV file")
	add(a.drilled().IsZero(), "nobody has drilled here", "clawback drill")
	add(!a.drilled().IsZero() && time.Since(a.drilled()) > 90*24*time.Hour, "the last drill is more than 90 days ago", "clawback drill")
	info, err := os.Stat(a.stateDir())
	if err == nil && !info.IsDir() {
		err = errors.New("it is no directory")
	}
	add(err != nil && !errors.Is(err, os.ErrNotExist), fmt.Sprintf("incidents cannot be kept in %s: %v", a.stateDir(), err), "XDG_STATE_HOME names another place")
	return all
}

func (a *app) showMissing(missing []lacking) {
	if len(missing) == 0 {
		fmt.Fprintln(a.out, "Nothing is missing that can be seen from here. clawback providers --check asks the providers.")
	}
	for _, m := range missing {
		fmt.Fprintf(a.out, "  ! %s\n    %s\n", incident.Safe(m.text), incident.Safe(m.hint))
	}
}

// drilled is when the last drill was; the zero time for never.
func (a *app) drilled() (last time.Time) {
	dirs, _ := filepath.Glob(filepath.Join(a.stateDir(), "DRILL-*", journal.FileName))
	for _, path := range dirs {
		if info, err := os.Stat(path); err == nil && info.ModTime().After(last) {
			last = info.ModTime()
		}
	}
	return last
}

func (a *app) lastDrill() string {
	if last := a.drilled(); !last.IsZero() {
		return "The last one: " + last.Format("2 January 2006")
	}
	return "There was none here yet"
}

// carryOut runs another command line as this person.
func (a *app) carryOut(ctx context.Context, args []string) error {
	again := &app{streams: a.streams, env: a.env, identified: true, names: a.names, login: a.login, begun: a.begun}
	root := newRoot(again)
	again.as = a.as // a new root empties what its flags fill
	if a.config.file != "" {
		args = append([]string{"--config", a.config.file}, args...)
	}
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	return root.ExecuteContext(ctx)
}
