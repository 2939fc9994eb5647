package snapshots

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"clawback/forensics/agents/openclaw"
)

// The first names of the agent's files, today's and those of its earlier lives.
var agentNames = []string{"openclaw", "clawdbot", "moltbot", "moldbot"}

func namedLikeAgent(name string) bool {
	return slices.ContainsFunc(agentNames, func(n string) bool { return strings.HasPrefix(name, n) })
}

// What an account's home holds besides the state directory.
var (
	accountFiles = []string{
		".bash_history", ".zsh_history", ".ash_history", ".sh_history", ".local/share/fish/fish_history",
		".python_history", ".node_repl_history", ".ssh/authorized_keys",
	}
	toolCredentials = []string{".aws/credentials", ".config/gh/hosts.yml"}
)

// Where systemd reads units, and below them the links that start one with another.
var (
	unitFolders = []string{
		"etc/systemd/system", "etc/systemd/user", "run/systemd/transient", "run/systemd/system", "run/systemd/user", "run/systemd/generator.early",
		"run/systemd/generator", "run/systemd/generator.late", "usr/local/lib/systemd/system", "usr/local/lib/systemd/user",
		"usr/lib/systemd/system", "usr/lib/systemd/user", "lib/systemd/system",
	}
	unitPatterns = []string{"*", "*.wants/*", "*.requires/*", "*.upholds/*"}
)

// Where packages of npm and its like are installed: for the machine, and for an account.
var (
	moduleFolders  = []string{"usr/local/lib/node_modules", "usr/lib/node_modules"}
	accountModules = []string{
		".npm-global/lib/node_modules", ".local/lib/node_modules", ".nvm/versions/node/*/lib/node_modules", ".bun/install/global/node_modules",
		".local/share/pnpm/global/*/node_modules", ".local/share/fnm/node-versions/*/installation/lib/node_modules", ".volta/tools/image/packages/*/lib/node_modules",
	}
)

// moduleLocks stand beside installed packages, and hold the digest that the publisher gave of each:
// "integrity" is what the registry says as well (npm view NAME@VERSION dist.integrity).
//
// Source: https://docs.npmjs.com/cli/v11/configuring-npm/package-lock-json#hidden-lockfiles
var moduleLocks = []string{".package-lock.json", ".yarn-integrity", ".modules.yaml"}

// What packages were installed, and when, as the distribution knows.
var packageLists = []target{
	{base: "var/lib/dpkg", pattern: "status"},
	{base: "var/log", pattern: "dpkg.log*"},
	{base: "var/log/apt", pattern: "history.log*"},
	{base: "var/lib/rpm", pattern: "rpmdb.sqlite*"},
	{base: "var/lib/rpm", pattern: "Packages*"},
	{base: "usr/lib/sysimage/rpm", pattern: "rpmdb.sqlite*"},
	{base: "var/log", pattern: "dnf*.log*"},
	{base: "lib/apk/db", pattern: "installed"},
	{base: "var/log", pattern: "pacman.log"},
}

// Of what may be large and says little, no more is taken.
const (
	maxPackages = 1 << 30 // bytes of the agent's own program
	maxJournals = 2 << 30 // bytes of journald
)

// targets lists what to take in its order: what is overwritten soonest first, what is largest
// and can wait last.
func targets(found []openclaw.Installation, homes, packages []string, layers []target) []target {
	var all []target
	add := func(home, base, source string, patterns ...string) {
		for _, p := range patterns {
			all = append(all, target{base: base, pattern: p, source: source, home: home})
		}
	}
	add("", "run", "auth-log", "utmp") // who is logged in
	for _, n := range agentNames {
		// A logger that starts deletes dated logs older than a day.
		add("", "tmp", "log", n+"*", "systemd-private-*"+n+"*/tmp/"+n+"*")
	}
	for _, in := range found {
		add(in.Home, in.StateDir, "", "*.json*", ".env*", "logs", "credentials", "devices", "identity", "cron", "agents", "state", "")
		if in.Config != "" && !below(in.Config, in.StateDir) {
			add(in.Home, path.Dir(in.Config), "config", literal(path.Base(in.Config))+"*")
		}
	}
	all = append(all, unitTargets(found)...)
	add("", "var/spool/cron", "cron", "") // jobs of at, too, where Debian keeps them
	add("", "var/spool", "cron", "at", "anacron")
	add("", "etc", "cron", "crontab", "cron.d", "anacrontab")
	for _, in := range found {
		add(in.Home, in.Home, "account", accountFiles...)
	}
	add("", "var/log", "auth-log", "auth.log*", "secure*", "wtmp*", "btmp*", "lastlog")
	for _, home := range homes {
		add(home, home, "credential", toolCredentials...)
	}
	for _, in := range found {
		add(in.Home, in.Home, "skill", ".agents/skills")
	}
	for _, in := range found {
		for _, w := range in.Workspaces {
			add(in.Home, w, "workspace", "")
		}
	}
	all = append(all, layers...)
	for _, t := range packageLists {
		t.source = "packages"
		all = append(all, t)
	}
	all = append(all, programTargets(found, packages)...)
	return append(all, journalTargets(found)...)
}

// unitTargets are the units that start the agent, wherever they were put, and what starts them.
func unitTargets(found []openclaw.Installation) (all []target) {
	for _, folder := range unitFolders {
		for _, p := range unitPatterns {
			all = append(all, target{base: folder, pattern: p, source: "unit", agents: true})
		}
	}
	all = append(all, target{base: "var/lib/systemd", pattern: "linger", source: "unit"})
	for _, in := range found {
		all = append(all,
			target{base: in.Home, pattern: ".config/systemd/user", source: "unit", home: in.Home},
			target{base: in.Home, pattern: ".local/share/systemd/user", source: "unit", home: in.Home},
			target{base: "run/user/" + strconv.Itoa(in.UID), pattern: "systemd", source: "unit"})
	}
	return all
}

// programTargets are the agent's own program, where it was found running and where it is installed.
func programTargets(found []openclaw.Installation, packages []string) (all []target) {
	bound := &purse{maxPackages, maxPackages}
	add := func(home, base, pattern string) {
		all = append(all, target{base: base, pattern: pattern, source: "package", home: home, purse: bound})
	}
	for _, p := range packages {
		add("", path.Dir(p), literal(path.Base(p)))
		for _, lock := range moduleLocks {
			add("", path.Dir(p), literal(lock))
		}
	}
	for _, n := range slices.Concat(moduleLocks, agentNames) { // the locks are small, and say what the rest should be
		for _, folder := range moduleFolders {
			add("", folder, n)
		}
		for _, in := range found {
			for _, folder := range accountModules {
				add(in.Home, in.Home, folder+"/"+n)
			}
		}
	}
	return all
}

// journalTargets are what journald keeps of the machine and of the agent's accounts, the latest first.
func journalTargets(found []openclaw.Installation) (all []target) {
	bound := &purse{maxJournals, maxJournals}
	add := func(patterns ...string) {
		for _, folder := range []string{"run/log/journal", "var/log/journal"} {
			for _, p := range patterns {
				all = append(all, target{base: folder, pattern: "*/" + p, source: "journal", purse: bound, latest: true})
			}
		}
	}
	var of []string
	for _, in := range found {
		if user := fmt.Sprintf("user-%d", in.UID); !slices.Contains(of, user) {
			of = append(of, user)
		}
	}
	for _, user := range of {
		add(user + ".journal")
	}
	add("system.journal")
	for _, user := range of {
		add(user + "@*.journal*")
	}
	add("system@*.journal*")
	return all
}

// lastPart is what the name of a journal ends with: the time of its first entry.
func lastPart(name string) string { return name[strings.LastIndexByte(name, '-')+1:] }

// packages returns the folders of the packages whose scripts the agent's processes run.
func (c *capture) packages(ctx context.Context, found []openclaw.Installation) (folders []string) {
	if c.opts.Proc == nil {
		return nil
	}
	disk := c.root
	for _, pid := range c.opts.Processes {
		folder, err := awaitOn(ctx, c, c.systems.process(strconv.Itoa(pid)), func(t *trail) (string, error) {
			return packageOf(t, c.opts, localRoot{disk, c.systems.trail()}, strconv.Itoa(pid), found)
		})
		if err == nil && folder != "" && !slices.Contains(folders, folder) {
			folders = append(folders, folder)
		}
	}
	return folders
}

// packageOf returns the folder of the package of the script that a process runs, "" for one that
// runs none. What a process says of itself may be anything: a home is no package, nor is what
// belongs to another account.
func packageOf(t *trail, opts Options, root localRoot, pid string, found []openclaw.Installation) (string, error) {
	cmdline, err := briefly(t, opts, pid, "cmdline")
	if err != nil {
		return "", err
	}
	cwd, _ := opts.Proc.Readlink(pid + "/cwd")
	for _, arg := range bytes.Split(cmdline, []byte{0})[1:] {
		script := string(arg)
		if script == "" || script[0] == '-' {
			continue
		}
		if !path.IsAbs(script) {
			script = path.Join(cwd, script)
		}
		real, err := openclaw.Resolve(root, strings.TrimPrefix(script, "/"))
		if err != nil {
			return "", nil // only the first that is no option can be the script
		}
		return packageAbove(root, path.Dir(real), found), nil
	}
	return "", nil
}

// packageAbove returns the nearest folder from dir upwards with a package.json.
func packageAbove(root localRoot, dir string, found []openclaw.Installation) string {
	for ; strings.Contains(dir, "/"); dir = path.Dir(dir) {
		if slices.ContainsFunc(found, func(in openclaw.Installation) bool { return below(in.Home, dir) }) {
			return ""
		}
		if info, err := root.Lstat(path.Join(dir, "package.json")); err != nil || !info.Mode().IsRegular() {
			continue
		}
		info, err := root.Lstat(dir)
		if err != nil {
			return ""
		}
		owner := ownerOf(info)
		if owner == 0 || slices.ContainsFunc(found, func(in openclaw.Installation) bool { return in.UID == owner }) {
			return dir
		}
		return ""
	}
	return ""
}
