package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"clawback/forensics/incident"
	"clawback/tui"
)

// errNoAnswer means that who was asked left, or answered with what is no answer: nothing is begun.
var errNoAnswer = errors.New("nothing was begun")

// lines asks line by line, on any terminal.
type lines struct {
	in  *bufio.Reader
	out io.Writer
}

// homeLines is Home in appended lines.
func (a *app) homeLines(ctx context.Context, of tui.Home) ([]string, error) {
	l := lines{bufio.NewReaderSize(a.in, 4096), a.out}
	for {
		l.sayf("clawback at %s. You are %s.\n\n", of.Desk, of.By)
		for i, w := range of.Ways {
			mark := " "
			if i == 0 {
				mark = "▸"
			}
			l.sayf(" %s %s  %s\n", mark, w.Key, w.Text)
		}
		w := l.way(of.Ways)
		if w == nil {
			return nil, nil
		}
		args, err := l.take(ctx, *w, of)
		if err == nil && args != nil {
			l.sayf("\n")
			return args, nil
		}
		if err != nil {
			l.sayf("%s\n", err)
		}
		l.sayf("\n")
	}
}

// sayf prints text of which no part steers the terminal.
func (l lines) sayf(format string, args ...any) {
	for i, arg := range args {
		switch arg := arg.(type) {
		case string:
			args[i] = incident.Safe(arg)
		case error:
			args[i] = incident.Safe(arg.Error())
		}
	}
	fmt.Fprintf(l.out, format, args...)
}

// answer asks for a line, in words of ours; false is the end of the terminal.
func (l lines) answer(ask string) (string, bool) {
	fmt.Fprint(l.out, ask)
	line, err := l.in.ReadString('\n')
	return strings.TrimSpace(line), err == nil
}

// way asks until a letter is of the list; nil is to leave.
func (l lines) way(all []tui.Way) *tui.Way {
	for {
		key, ok := l.answer("\nA letter, then enter; enter alone is " + all[0].Key + ", q leaves: ")
		switch i := slices.IndexFunc(all, func(w tui.Way) bool { return w.Key == key }); {
		case !ok || key == "q":
			return nil
		case key == "":
			return &all[0]
		case i >= 0:
			return &all[i]
		}
		l.sayf("There is no %q.", key)
	}
}

// take takes a way; nil is back to where it began.
func (l lines) take(ctx context.Context, w tui.Way, of tui.Home) ([]string, error) {
	switch {
	case w.Leads == tui.ToReadiness:
		if len(of.Missing) == 0 {
			l.sayf("Nothing is missing that can be seen from here. clawback providers --check asks the providers.\n")
		}
		for _, m := range of.Missing {
			l.sayf("  ! %s\n    %s\n", m.Text, m.Hint)
		}
		return nil, nil
	case w.Leads == tui.ToDeclare:
		return l.declare(ctx, of)
	case w.Asks != "":
		l.sayf("%s\n%s\n", w.About, w.Asks)
		if text, _ := l.answer("Type yes to go on: "); text != "yes" {
			return nil, errNoAnswer
		}
	}
	return w.Args, nil
}

// declare asks for a machine, a playbook, and how bad it is.
func (l lines) declare(ctx context.Context, of tui.Home) ([]string, error) {
	if len(of.Machines) == 0 && !of.Types {
		return nil, errors.New("no machine is known that may be responded to from here: hosts: [root@web-1] in the configuration names them")
	}
	var d tui.Declaration
	var err error
	if d.Machine, err = l.machine(of); err != nil {
		return nil, err
	}
	l.sayf("%s\n", of.Look(ctx, d.Machine))
	var usual int
	for i, b := range of.Books {
		l.sayf("  %s  %s: %s\n", strconv.Itoa(i+1), b.Name, b.About)
		if b.Default {
			usual = i
		}
	}
	book, err := l.number(fmt.Sprintf("Which playbook, by number; enter alone is %d: ", usual+1), len(of.Books))
	if err != nil {
		return nil, err
	}
	if book == 0 {
		book = usual + 1
	}
	d.Book = of.Books[book-1].Name
	if d.Severity, err = l.number("How bad, 1 is the worst, 3 the least; enter alone leaves it open: ", 3); err != nil {
		return nil, err
	}
	args, err := of.Line(d)
	if err == nil {
		l.sayf("It is declared by %s, %s.\n%s\n", of.By, of.Known, of.Books[book-1].Then)
	}
	return args, err
}

// machine asks what to respond to.
func (l lines) machine(of tui.Home) (string, error) {
	for i, m := range of.Machines {
		l.sayf("  %s  %s\n", strconv.Itoa(i+1), m.Name)
	}
	ask := "Which machine, by number: "
	if of.Types {
		ask = "Which machine, by number, or as [USER@]HOST: "
	}
	text, ok := l.answer(ask)
	n, err := strconv.Atoi(text)
	switch {
	case !ok || text == "":
		return "", errNoAnswer
	case err == nil && n >= 1 && n <= len(of.Machines):
		return of.Machines[n-1].Name, nil
	case err == nil || !of.Types || !plainWord.MatchString(text):
		return "", errNotListed
	}
	return text, nil
}

// number asks for one up to most; 0 is enter alone.
func (l lines) number(ask string, most int) (int, error) {
	text, ok := l.answer(ask)
	n, err := strconv.Atoi(text)
	switch {
	case ok && text == "":
		return 0, nil
	case err != nil || n < 1 || n > most:
		return 0, errNoAnswer
	}
	return n, nil
}
