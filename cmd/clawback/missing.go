package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"clawback/forensics/journal"
	"clawback/tui"
)

// missing is what can be seen without asking anybody.
func (a *app) missing() (all []tui.Missing) {
	add := func(is bool, text, hint string) {
		if is {
			all = append(all, tui.Missing{Text: text, Hint: hint})
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
