package openclaw

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"
)

// Names of state directories and configuration files: today's first, then those of the project's
// earlier lives. A profile is appended to the directory's name with a hyphen.
var (
	stateNames  = []string{".openclaw", ".clawdbot", ".moltbot", ".moldbot"}
	configNames = []string{"openclaw.json", "clawdbot.json", "moltbot.json", "moldbot.json"}
)

// ConfigNames are the names that the configuration in a state directory has had, today's first.
func ConfigNames() []string { return slices.Clone(configNames) }

// What one search may list.
const (
	maxHomes   = 10_000 // home directories
	maxEntries = 20_000 // entries of one directory
)

// Locate finds every OpenClaw installation below root: in root itself, in the homes of root, of all
// of /home, of the accounts in /etc/passwd and of the service users below /var/lib, and where a
// systemd unit puts it. It runs nothing and leaves root by no link. What it could not read is a
// Problem, each file system that does not answer one, which it leaves alone; a home that does not
// exist is none.
func Locate(root Root) ([]Installation, []Problem) {
	patient := Patiently(context.Background(), root, Patience)
	l := locator{root: patient, seen: map[string]bool{}}
	accounts, problems := readAccounts(patient)
	l.problems = problems
	l.accounts = accounts
	homes := l.homes()
	for _, home := range homes {
		l.searchHome(home)
	}
	for _, home := range homes {
		l.searchUnits(path.Join(home, ".config/systemd/user"), home)
	}
	l.searchUnits("etc/systemd/system", "")
	return l.found, append(l.problems, patient.Problems()...)
}

// Homes lists the directories below root that may be somebody's home, whether they exist or not.
func Homes(root Root) ([]string, []Problem) {
	accounts, problems := readAccounts(root)
	l := locator{root: root, accounts: accounts, problems: problems}
	return l.homes(), l.problems
}

type locator struct {
	root     Root
	accounts []Account
	seen     map[string]bool // resolved state directories
	found    []Installation
	problems []Problem
}

// homes lists the directories that may hold a state directory, each once, in a fixed order.
func (l *locator) homes() []string {
	homes := []string{".", "root"} // ".": the home of an account without one, and of a copied home
	for _, parent := range []string{"home", "var/lib"} {
		names, err := l.list(parent)
		l.problem(parent, err)
		for _, name := range names {
			homes = append(homes, path.Join(parent, name))
		}
	}
	for _, a := range l.accounts {
		homes = append(homes, a.Home)
	}
	seen := map[string]bool{}
	homes = slices.DeleteFunc(homes, func(h string) bool {
		twice := seen[h]
		seen[h] = true
		return twice
	})
	if len(homes) > maxHomes {
		l.problems = append(l.problems, Problem{Path: "home", Reason: "too many home directories: the search ends after the first 10000"})
		homes = homes[:maxHomes]
	}
	return homes
}

func (l *locator) searchHome(home string) {
	names, err := l.list(home)
	l.problem(home, err)
	for _, name := range names {
		if profile, ok := stateName(name); ok {
			l.add(home, path.Join(home, name), profile, path.Join(home, name))
		}
	}
	// A service account's home may be the state directory itself.
	if slices.ContainsFunc(names, func(n string) bool { return slices.Contains(configNames, n) }) && slices.Contains(names, "agents") {
		l.add(home, home, "", home)
	}
}

// stateName reports whether a directory's name is that of a state directory, and its profile.
func stateName(name string) (profile string, ok bool) {
	for _, base := range stateNames {
		if name == base {
			return "", true
		}
		if p, found := strings.CutPrefix(name, base+"-"); found && p != "" {
			return p, true
		}
	}
	return "", false
}

// add takes a state directory in, once, however many names lead to it. by is the link or the unit
// that names it.
func (l *locator) add(home, dir, profile, by string) {
	resolved, err := Resolve(l.root, dir)
	if errors.Is(err, ErrSilent) {
		l.addSilent(home, dir, profile)
		return
	}
	if err != nil {
		l.problems = append(l.problems, ProblemOf(dir, err)) // a link that leads nowhere is worth a word
		return
	}
	if l.seen[resolved] {
		return
	}
	info, err := l.root.Lstat(resolved)
	if err != nil {
		l.problem(dir, err)
		return
	}
	if !info.IsDir() {
		l.problems = append(l.problems, Problem{Path: dir, Reason: typeName(info.Mode()) + " where a state directory is expected"})
		return
	}
	l.seen[resolved] = true
	if home != "" && resolved != home && !strings.HasPrefix(resolved, home+"/") {
		if namer, err := l.root.Lstat(by); err == nil {
			info = namer // who leads the agent to a directory does not own what stands there
		}
	}
	in := Installation{StateDir: resolved, Home: home, Profile: profile, UID: OwnerOf(info)}
	if in.Home == "" {
		in.Home = resolved
	}
	if a, ok := l.account(in.UID); ok {
		in.User = a.Name
		if home == "" {
			in.Home = a.Home
		}
	}
	l.describe(&in)
	l.found = append(l.found, in)
}

// addSilent takes in a state directory of which nothing but its name can be had: what else its
// account keeps is to be searched all the same. It is taken for the owner's of its home.
func (l *locator) addSilent(home, dir, profile string) {
	if dir = path.Clean(dir); l.seen[dir] {
		return
	}
	l.seen[dir] = true
	in := Installation{StateDir: dir, Home: home, Profile: profile, UID: -1}
	if home == "" {
		in.Home = path.Dir(dir)
	}
	if info, err := l.root.Lstat(in.Home); err == nil {
		in.UID = OwnerOf(info)
	}
	if a, ok := l.account(in.UID); ok {
		in.User = a.Name
	}
	l.found = append(l.found, in)
}

// account is the first account with a user id.
func (l *locator) account(uid int) (Account, bool) {
	i := slices.IndexFunc(l.accounts, func(a Account) bool { return a.UID == uid })
	if i < 0 {
		return Account{}, false
	}
	return l.accounts[i], true
}

// describe fills in what the names inside the state directory tell.
func (l *locator) describe(in *Installation) {
	names, err := l.list(in.StateDir)
	l.problem(in.StateDir, err)
	if errors.Is(err, ErrSilent) {
		return
	}
	for _, name := range configNames {
		if slices.Contains(names, name) {
			in.Config = path.Join(in.StateDir, name)
			break
		}
	}
	for _, name := range names {
		if name == "workspace" || strings.HasPrefix(name, "workspace-") {
			in.Workspaces = append(in.Workspaces, path.Join(in.StateDir, name))
		}
	}
	in.Workspaces = l.workspaces(*in)
	in.Generation = l.generation(in.StateDir)
}

// UnsureGeneration is the Problem of an installation whose database has to be read to tell its
// storage generation.
const UnsureGeneration = "storage generation B or C, taken for B: transcripts may stand in the database as well"

// generation tells by which files stand there how the installation stores its records. Whether
// transcripts have moved into the database as well only the database can say for certain.
func (l *locator) generation(state string) string {
	database := ""
	if at := path.Join(state, "state/openclaw.sqlite"); l.exists(at) {
		database = at
	}
	archives := []string{path.Join(state, "session-sqlite-import-archive")}
	agents := path.Join(state, "agents")
	ids, err := l.list(agents)
	l.problem(agents, err)
	for _, id := range ids {
		dir := path.Join(agents, id)
		for _, at := range []string{"openclaw-agent.sqlite", "agent/openclaw-agent.sqlite"} {
			if at = path.Join(dir, at); database == "" && l.exists(at) {
				database = at
			}
		}
		archives = append(archives, path.Join(dir, "session-sqlite-import-archive"), path.Join(dir, "sessions/session-sqlite-import-archive"))
	}
	switch {
	case database == "":
		return "A"
	case slices.ContainsFunc(archives, l.exists):
		return "C"
	}
	l.problems = append(l.problems, Problem{Path: database, Reason: UnsureGeneration})
	return "B"
}

// mayExist is exists, and true where that cannot be told.
func (l *locator) mayExist(name string) bool {
	_, err := Resolve(l.root, name)
	return err == nil || errors.Is(err, ErrSilent)
}

func (l *locator) exists(name string) bool {
	_, err := Resolve(l.root, name)
	return err == nil
}

// list returns the names in a directory, sorted.
func (l *locator) list(name string) ([]string, error) {
	entries, err := ReadDir(l.root, name, maxEntries)
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	slices.Sort(names)
	return names, err
}

// problem takes an error down, unless it only says that there is nothing at that place.
func (l *locator) problem(name string, err error) {
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, ErrSilent) {
		return // the last of these is reported once for all that it concerns
	}
	l.problems = append(l.problems, ProblemOf(name, err))
}

// OwnerOf is the user id of a file's owner, and -1 where the system has none.
func OwnerOf(info fs.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}
