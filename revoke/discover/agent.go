package discover

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"clawback/forensics/agents"
	"clawback/forensics/agents/openclaw"
)

// maxEntries bounds the listing of one directory.
const maxEntries = 20_000

// agent is one installation with the account that runs it.
type agent struct {
	openclaw.Installation
	layout agents.Layout
	groups []int
	env    map[string]resolved // the environment that the gateway builds from its files
	alias  map[string]secretsProvider
	given  map[string]bool // files that the system's service manager reads for it
	store  *store
	logs   map[string]bool // that its configuration names
}

// resolved is the value of a variable and where it was read.
type resolved struct {
	value, path string
	line        int
}

func newAgent(in openclaw.Installation, accounts []openclaw.Account) agent {
	a := agent{Installation: in, layout: agents.Of(in), env: map[string]resolved{}, alias: map[string]secretsProvider{}, given: map[string]bool{}, store: &store{entries: map[string]stored{}}, logs: map[string]bool{}}
	for _, acc := range accounts {
		if acc.UID == in.UID {
			a.groups = append(append(a.groups, acc.GID), acc.Groups...)
		}
	}
	return a
}

// own reports whether a path lies in the account's home. Where the home is the root itself, only
// the state directory counts.
func (a agent) own(name string) bool {
	home := a.Home
	if home == "." {
		home = a.StateDir
	}
	return name == home || strings.HasPrefix(name, home+"/")
}

// mayRead reports whether the agent's account may read a resolved path: by the mode of the file
// and of every directory above it. What lies in its own home is its own, whoever wrote it.
func (s *scan) mayRead(name string) bool { return s.agent.mayRead(s.root, name) }

func (a agent) mayRead(root openclaw.Root, name string) bool {
	if a.UID == 0 || a.own(name) {
		return true
	}
	for dir := path.Dir(name); ; dir = path.Dir(dir) {
		if !a.allowed(root, dir, 1) {
			return false
		}
		if dir == "." {
			break
		}
	}
	return a.allowed(root, name, 4)
}

// allowed checks one permission bit (4 read, 1 search) of one file for the agent's account.
func (a agent) allowed(root openclaw.Root, name string, bit fs.FileMode) bool {
	info, err := root.Lstat(name)
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	switch {
	case int(st.Uid) == a.UID:
		bit <<= 6
	case slices.Contains(a.groups, int(st.Gid)):
		bit <<= 3
	}
	return info.Mode().Perm()&bit != 0
}

// list returns the names in a directory, sorted.
func (s *scan) list(dir string) []string {
	entries, err := openclaw.ReadDir(s.root, dir, maxEntries)
	s.problem(dir, err)
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	slices.Sort(names)
	return names
}

// hostPath is the path below the root of a path that a file of the agent names: "~" is its home,
// and what is relative counts from dir.
func (a agent) hostPath(name, dir string) string {
	switch {
	case name == "~" || strings.HasPrefix(name, "~/"):
		name = path.Join("/", a.Home, name[1:])
	case !strings.HasPrefix(name, "/"):
		name = path.Join("/", dir, name)
	}
	return strings.TrimPrefix(path.Clean(name), "/")
}

// ownership tells the owner, group and mode of a file.
func (s *scan) ownership(at string) string {
	info, err := s.root.Lstat(at)
	if err != nil {
		return ""
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf(" (owner %s, group %d, mode %04o)", s.accountName(int(st.Uid)), st.Gid, info.Mode().Perm())
}

// accountName is the name of an account, or its number where none is known.
func (s *scan) accountName(uid int) string {
	for _, a := range s.accounts {
		if a.UID == uid {
			return clean(a.Name, 64)
		}
	}
	return strconv.Itoa(uid)
}

// runs reports whether a unit at a path runs the agent.
func (a agent) runs(unit string) bool { return a.layout.Unit != nil && a.layout.Unit.MatchString(unit) }

// readBefore reports whether an earlier agent, of another account, has had its turn with a text: it
// walked the directory, and its account may read the file too.
func (s *scan) readBefore(name string) bool {
	for _, a := range s.installed {
		if a.StateDir == s.agent.StateDir {
			return false
		}
		if a.UID != s.agent.UID && s.walked[walker{a.UID, path.Dir(name)}] && a.mayRead(s.root, name) {
			return true
		}
	}
	return false
}
