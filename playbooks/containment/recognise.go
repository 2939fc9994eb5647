package containment

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// maxOpenFiles bounds how many descriptors of one process are looked at.
const maxOpenFiles = 4096

// proc is a process as the kernel shows it.
type proc struct {
	Process
	session int
	freezer string // its group of the freezer of cgroup v1
	kernel  bool   // a thread of the kernel, with no program
	dead    bool   // a zombie
	ending  bool   // its program is gone already, or hides from its own account
	threads int
	state   string // of its first thread
	cwd     func() string
	uid     func() int
	args    func() []string // at least one, which may be ""
	places  func() []string // of the agent, in its environment
	open    func() []string // paths of its open files, and sockets as "socket:[INODE]"
	read    time.Time       // when the last three were
}

var (
	agentUnit = regexp.MustCompile(`^(openclaw|moltbot|clawdbot|moldbot)(-gateway([-@][\w.-]+)?|-node([-@][\w.-]+)?|@[\w.-]+)?\.service$`)
	agentName = regexp.MustCompile(`^(openclaw|moltbot|clawdbot|moldbot)([-.].*)?$`)
	// A script of the agent: its file, or its package's folder in the path.
	agentScript = regexp.MustCompile(`(^|/)(openclaw|moltbot|clawdbot|moldbot)(/|(\.m?js)?$)`)
	interpreter = regexp.MustCompile(`^(node|nodejs|bun|deno)[\d.]*$`)
)

// recognise returns the agent's processes among all, each with why. The process self and its
// ancestors are never among them: who freezes itself, its shell or its SSH session cannot thaw.
func recognise(all []*proc, self int, t Traits) []Process {
	byPID := make(map[int]*proc, len(all))
	for _, p := range all {
		byPID[p.PID] = p
	}
	spared := map[int]bool{1: true}
	for p := byPID[self]; p != nil && !spared[p.PID]; p = byPID[p.PPID] {
		spared[p.PID] = true
	}
	found := map[int]string{}
	for _, p := range all {
		if !spared[p.PID] && !p.kernel {
			if why := t.why(p); why != "" {
				found[p.PID] = why
			}
		}
	}
	t.addFamily(all, byPID, spared, found)

	var out []Process
	for _, p := range all {
		if why, ok := found[p.PID]; ok {
			p.Why, p.UID = why, p.uid()
			out = append(out, p.Process)
		}
	}
	return out
}

// addFamily adds the children of what was found and the sessions that it leads, until no more come.
func (t Traits) addFamily(all []*proc, byPID map[int]*proc, spared map[int]bool, found map[int]string) {
	leaders := map[int]bool{}
	for _, k := range t.Known {
		leaders[k.PID] = byPID[k.PID] == nil || byPID[k.PID].Start == k.Start // pid not taken by another
		if p := byPID[k.PID]; p != nil && p.Start == k.Start && !spared[k.PID] && found[k.PID] == "" {
			found[k.PID] = k.Why
		}
	}
	for grew := true; grew; {
		grew = false
		for _, p := range all {
			if spared[p.PID] || found[p.PID] != "" || p.kernel {
				continue
			}
			switch {
			case found[p.PPID] != "":
				found[p.PID] = "child of " + byPID[p.PPID].Name
			case p.session > 1 && !spared[p.session] && (leaders[p.session] || found[p.session] != "") && p.session != p.PID:
				found[p.PID] = "session of an agent's process"
			default:
				continue
			}
			grew = true
		}
	}
}

// why tells how p gives itself away as the agent's, or "".
func (t Traits) why(p *proc) string {
	if t.Root != "/" && !below(t.Root, p.Exe) && !below(t.Root, p.cwd()) &&
		!slices.ContainsFunc(p.places(), func(place string) bool { return below(t.Root, place) }) {
		return t.home(p)
	}
	for _, group := range t.Cgroups {
		if group != "" && group != "/" && below(group, p.Cgroup) {
			return "cgroup " + group
		}
	}
	for _, part := range strings.Split(p.Cgroup, "/") {
		if agentUnit.MatchString(part) {
			return "cgroup of " + part
		}
	}
	switch {
	case agentName.MatchString(p.Name):
		return "named " + p.Name
	case agentName.MatchString(path.Base(p.Exe)), agentScript.MatchString(path.Dir(p.Exe)):
		return "program " + p.Exe
	case agentName.MatchString(path.Base(p.args()[0])):
		return "calls itself " + path.Base(p.args()[0])
	case t.runsScript(p):
		return "runs the agent's script"
	}
	return t.home(p)
}

// runsScript reports whether p is an interpreter at work on the agent's code.
func (t Traits) runsScript(p *proc) bool {
	args := p.args()
	if !interpreter.MatchString(path.Base(args[0])) && !interpreter.MatchString(path.Base(p.Exe)) {
		return false
	}
	for _, arg := range args[1:] {
		if !strings.HasPrefix(arg, "-") {
			return agentScript.MatchString(arg)
		}
	}
	return false
}

// home tells whether p works in one of the agent's own directories.
func (t Traits) home(p *proc) string {
	if len(t.Homes) == 0 {
		return ""
	}
	mine := slices.DeleteFunc(slices.Clone(t.Homes), func(h Home) bool { return h.UID != p.uid() })
	if len(mine) == 0 {
		return ""
	}
	for _, h := range mine {
		switch {
		case below(h.Path, p.cwd()):
			return "works in " + h.Path
		case below(h.Path, strings.TrimSuffix(p.Exe, " (deleted)")):
			return "its program lies in " + h.Path
		}
	}
	for _, place := range p.places() {
		for _, h := range mine {
			if below(h.Path, path.Clean(place)) {
				return "its environment names " + h.Path
			}
		}
	}
	for _, name := range p.open() {
		for _, h := range mine {
			if below(h.Path, name) {
				return "has a file open in " + h.Path
			}
		}
		// A service of root's, such as a proxy, may stand in front of the agent.
		if port, ok := t.listens[strings.Trim(name, "socket:[]")]; ok && p.uid() != 0 {
			return fmt.Sprintf("listens on the agent's port %d in its account", port)
		}
	}
	return ""
}

// below reports whether name is dir or lies in it. Both are absolute and clean.
func below(dir, name string) bool {
	if dir == "/" {
		return strings.HasPrefix(name, "/")
	}
	return name == dir || strings.HasPrefix(name, dir) && name[len(dir):][0] == '/'
}
