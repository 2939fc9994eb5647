package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"clawback/forensics/disk"
	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks/host"
)

// toResume finds the record to go on with, and how it stands.
func (a *app) toResume(id string, t target) (string, incident.State, error) {
	if id != "" {
		dir, err := a.find(id)
		if err != nil {
			return "", incident.State{}, err
		}
		s, err := readRecord(dir)
		if err != nil {
			return "", s, &failure{incident.ExitNothing, fmt.Errorf("%s: %w", dir, err), startAnew(s)}
		}
		return dir, s, nil
	}
	name, err := t.name()
	if err != nil {
		return "", incident.State{}, err
	}
	dir, s := a.unfinished(name)
	if dir == "" {
		return "", s, &failure{incident.ExitNoInstallation, errors.New("no incident of this desk is unfinished" + of(name)),
			"name one: incidents are in " + a.stateDir()}
	}
	return dir, s, nil
}

func of(target string) string {
	if target == "" {
		return ""
	}
	return " on " + target
}

// name is how the record calls a target; "" where none is named.
func (t target) name() (string, error) {
	switch {
	case t.host != "" && t.root != "":
		return "", usage("name one of them", "--host and --root name two different targets")
	case t.handoff != "":
		return host.HandedName(t.handoff), nil
	case t.root != "":
		root, err := realPath(t.root)
		if err != nil {
			return filepath.Clean(t.root), nil // a disk that is gone: its incident can be resumed all the same
		}
		if root == "/" {
			return thisMachine, nil
		}
		return root, nil
	}
	return t.host, nil
}

// thisMachine is the name of the local host as a target.
const thisMachine = "this machine"

// readRecord folds a record up to its end, or up to a last line that is not whole.
func readRecord(dir string) (incident.State, error) {
	s, err := incident.FoldAll(journal.Read(dir))
	if errors.Is(err, journal.ErrTorn) {
		err = nil
	}
	return s, err
}

// unfinished finds the newest real response that is not over: its record has no end, or not one
// that says contained. With a target, the newest one to that.
func (a *app) unfinished(target string) (string, incident.State) {
	for _, dir := range a.records() {
		if !declaredOn(dir, target) {
			continue
		}
		if s, err := readRecord(dir); err == nil && (s.Exit == nil || *s.Exit != incident.ExitContained) {
			return dir, s
		}
	}
	return "", incident.State{}
}

// records lists the folders of this desk's incidents, the newest first.
func (a *app) records() (dirs []string) {
	base := a.stateDir()
	entries, _ := os.ReadDir(base)
	newest := func(e os.DirEntry) int64 {
		info, err := os.Stat(filepath.Join(base, e.Name(), journal.FileName))
		if err != nil {
			return 0
		}
		return info.ModTime().UnixNano()
	}
	slices.SortStableFunc(entries, func(a, b os.DirEntry) int { return cmp.Compare(newest(b), newest(a)) })
	for _, e := range entries {
		if newest(e) != 0 {
			dirs = append(dirs, filepath.Join(base, e.Name()))
		}
	}
	return dirs
}

// declaredOn reports whether the record in dir is of a real response to a target; "" stands for any.
func declaredOn(dir, target string) bool {
	for e, err := range journal.Read(dir) {
		var d incident.Declared
		return err == nil && e.Type == incident.TypeDeclared && e.Decode(&d) == nil &&
			d.Mode == incident.Real && !d.DryRun && (target == "" || d.Target == target)
	}
	return false
}

// hintUnfinished says how to go on with what was begun on a target, and lets a new response begin. It
// reads no more than the ends of a few records: nothing may hold up a freeze.
func (a *app) hintUnfinished(target string) {
	const most = 20
	for n, dir := range a.records() {
		if n == most {
			return
		}
		if declaredOn(dir, target) && !endsContained(dir) {
			id := incident.Safe(filepath.Base(dir))
			fmt.Fprintf(a.err, "hint: %s on this target is not finished: clawback resume %s goes on with it; this is a new response\n", id, id)
			return
		}
	}
}

// endsContained reports whether the last line of a record is the end of a response that contained
// the agent.
func endsContained(dir string) bool {
	f, err := disk.OpenRegular(filepath.Join(dir, journal.FileName))
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return false
	}
	end := make([]byte, min(info.Size(), journal.MaxLine+2))
	if _, err := f.ReadAt(end, info.Size()-int64(len(end))); err != nil && !errors.Is(err, io.EOF) {
		return false
	}
	end = bytes.TrimSuffix(end, []byte("\n"))
	e, err := journal.Parse(end[bytes.LastIndexByte(end, '\n')+1:])
	var closed incident.Closed
	return err == nil && e.Type == incident.TypeClosed && e.Decode(&closed) == nil && closed.Exit == incident.ExitContained
}

// startAnew is what is left to do about a record that cannot be gone on with.
func startAnew(s incident.State) string {
	switch t := s.Declared.Target; {
	case t == "":
		return "begin a new response: clawback kill"
	case s.Declared.Remote:
		return "keep it as it is, and begin a new response: clawback kill --host " + t
	case t == thisMachine:
		return "keep it as it is, and begin a new response: clawback kill"
	default:
		return "keep it as it is, and begin a new response: clawback kill --root " + t
	}
}
