// Package agents knows which agents there are and what an installation of each looks like. What
// differs between them stands in their Layouts; who searches a host asks here and nowhere else.
package agents

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"regexp"
	"slices"

	"clawback/forensics/agents/openclaw"
)

// Layout is what one kind of agent looks like on a host.
type Layout struct {
	Name    string         // as in Installation.Agent; empty for OpenClaw
	Title   string         // as people call it
	Command *regexp.Regexp // of a command line, its arguments joined by spaces, that runs it; nil where none tells
	Unit    *regexp.Regexp // of the path of a unit that runs it, a drop-in or a copy of one; nil where none does
	Service *regexp.Regexp // of the name, the image or the container of a Compose service that runs it; nil where none tells
	Records []string       // the directories below its state directory where it writes down what it saw
	Folder  string         // its state directory's name below a home, where it is a tool of whoever lives there; empty for OpenClaw
	locate  func(openclaw.Root) ([]openclaw.Installation, []openclaw.Problem)
}

// Layouts are those of all agents, the one that this project responds to first. The others are
// found and searched; what holds them is not known, so nothing of them is stopped.
var Layouts = []Layout{
	{
		Title:   "OpenClaw",
		Command: regexp.MustCompile(`(?:\A|/|\s)(?:openclaw|clawdbot|moltbot|moldbot)(?:-[a-z]+)?(?:\s|\z|\.m?js|/)`),
		Unit:    regexp.MustCompile(`(?:openclaw|clawdbot|moltbot|moldbot)[^/]*\.(?:service|container)(?:\.bak[^/]*|\.d/[^/]*\.conf[^/]*)?\z`),
		Service: regexp.MustCompile(`(?i)(?:openclaw|clawdbot|moltbot|moldbot)`),
		Records: []string{"agents"},
		locate:  openclaw.Locate,
	},
	coding("claude", "Claude Code", ".claude", "projects", "history.jsonl", ".credentials.json", "settings.json"),
	coding("codex", "Codex", ".codex", "sessions", "history.jsonl", "auth.json", "config.toml"),
}

// Of returns the layout of an installation's agent. What names none of ours is an OpenClaw.
func Of(in openclaw.Installation) Layout {
	for _, l := range Layouts {
		if l.Name == in.Agent {
			return l
		}
	}
	return Layouts[0]
}

// Locate finds the installations below root. Where there is an OpenClaw, only those of it: the
// folders of other agents are then tools of its account, or another person's. It runs nothing.
// A file system that does not answer holds up none of it: see openclaw.Patient.
func Locate(root openclaw.Root) (found []openclaw.Installation, problems []openclaw.Problem) {
	patient := openclaw.Patiently(context.Background(), root, openclaw.Patience)
	for i, l := range Layouts {
		if i > 0 && len(found) > 0 && found[0].Agent == "" {
			break
		}
		more, troubles := l.locate(patient)
		found, problems = append(found, more...), append(problems, troubles...)
	}
	return found, append(problems, patient.Problems()...)
}

// coding is the layout of a coding agent, which keeps a folder in the home of whoever runs it.
// A folder without any of its records and settings is none.
func coding(name, title, dir, records string, others ...string) Layout {
	l := Layout{Name: name, Title: title, Command: regexp.MustCompile(`(?:\A|/)` + name + `(?:\s|\z)`), Records: []string{records}, Folder: dir}
	l.locate = func(root openclaw.Root) (found []openclaw.Installation, problems []openclaw.Problem) {
		homes, _ := openclaw.Homes(root) // OpenClaw's search has told what is wrong with them
		accounts, _ := openclaw.Accounts(root)
		for _, home := range homes {
			at, err := openclaw.Resolve(root, path.Join(home, dir))
			if err != nil {
				if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrInvalid) && !errors.Is(err, openclaw.ErrSilent) {
					problems = append(problems, openclaw.ProblemOf(path.Join(home, dir), err))
				}
				continue
			}
			in, ok := installed(root, at, append(others, records))
			if !ok || slices.ContainsFunc(found, func(f openclaw.Installation) bool { return f.StateDir == at }) {
				continue
			}
			in.Agent, in.Home, in.StateDir = name, home, at
			for _, a := range accounts {
				if a.UID == in.UID {
					in.User = a.Name
					break
				}
			}
			found = append(found, in)
		}
		return found, problems
	}
	return l
}

func installed(root openclaw.Root, dir string, marks []string) (in openclaw.Installation, ok bool) {
	info, err := root.Lstat(dir)
	if err != nil || !info.IsDir() {
		return in, false
	}
	in.UID = openclaw.OwnerOf(info)
	return in, slices.ContainsFunc(marks, func(mark string) bool {
		_, err := root.Lstat(path.Join(dir, mark))
		return err == nil
	})
}
