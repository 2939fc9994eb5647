package discover

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"clawback/forensics/agents/openclaw"
	"clawback/revoke/credential"
)

// environFile is the row of the table for what a process was started with.
const environFile = "/proc/*/environ"

// What is looked at of the processes of a live host.
const (
	maxProcesses = 20_000
	maxRelevant  = 500     // processes whose environment is read
	maxOpen      = 4_096   // open files of one process
	maxDeleted   = 64      // deleted files of one process that are read
	maxDeletedB  = 1 << 20 // bytes of one
)

// process is one below /proc that the agent's account could look into.
type process struct {
	pid   int
	agent bool // runs the agent, or was started by what does
}

func (p process) environ() string { return fmt.Sprintf("proc/%d/environ", p.pid) }

// processes lists the processes of the agent, and of its account where that is not root: their
// environment is theirs to read. The process that searches, and what started it, are the responder's.
func (s *scan) processes() []process {
	type seen struct {
		parent, uid int
		agent       bool
	}
	all := map[int]seen{}
	entries, err := openclaw.ReadDir(s.root, "proc", maxProcesses)
	s.problem("proc", err)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid <= 0 {
			continue
		}
		dir := path.Join("proc", e.Name())
		info, err := s.root.Lstat(dir)
		if err != nil || !info.IsDir() {
			continue
		}
		p := seen{uid: -1}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			p.uid = int(st.Uid)
		}
		command, _ := openclaw.ReadFile(s.root, dir+"/cmdline", 1<<20)
		command = command[:min(len(command), 4<<10)]
		p.agent = s.agent.layout.Command.Match(bytes.ReplaceAll(command, []byte{0}, []byte{' '}))
		if cwd, err := s.root.Readlink(dir + "/cwd"); err == nil && strings.HasPrefix(cwd+"/", "/"+s.agent.StateDir+"/") {
			p.agent = true
		}
		stat, _ := openclaw.ReadFile(s.root, dir+"/stat", 4<<10)
		if i := bytes.LastIndexByte(stat, ')'); i >= 0 { // the name before it may hold anything
			if f := bytes.Fields(stat[i+1:]); len(f) > 1 {
				p.parent, _ = strconv.Atoi(string(f[1]))
			}
		}
		all[pid] = p
	}
	ours := map[int]bool{}
	if s.root.Name() == "/" {
		for pid := os.Getpid(); pid > 1 && !ours[pid]; pid = all[pid].parent {
			ours[pid] = true
		}
	}
	var out []process
	for pid, p := range all {
		child := p.agent
		for up, n := p.parent, 0; !child && up > 1 && n < 64; up, n = all[up].parent, n+1 {
			child = all[up].agent && all[up].uid == s.agent.UID
		}
		mine := p.uid == s.agent.UID || p.uid == 0 // root's where the process may not be traced
		if !ours[pid] && (child && mine || p.uid == s.agent.UID && p.uid > 0) {
			out = append(out, process{pid, child})
		}
	}
	slices.SortFunc(out, func(a, b process) int {
		if a.agent != b.agent {
			return map[bool]int{true: -1, false: 1}[a.agent]
		}
		return a.pid - b.pid
	})
	if len(out) > maxRelevant {
		s.note(openclaw.Problem{Path: "proc", Reason: fmt.Sprintf("more than %d processes of the agent's account: the environment of the rest was not read", maxRelevant)})
		out = out[:maxRelevant]
	}
	return out
}

// parseEnviron reads what a process was started with. The line of a variable is its number.
func parseEnviron(data []byte) (out []setting) {
	n := 0
	for v := range bytes.SplitSeq(data, []byte{0}) {
		n++
		if name, value, ok := strings.Cut(string(v), "="); ok && name != "" && len(name) <= maxKey {
			out = append(out, setting{name: name, value: value, line: n})
		}
	}
	return out
}

// deletedFiles reads what processes of the agent hold open and nobody can find by name: a secret
// that was deleted is not revoked. Only on the live machine: elsewhere there is nothing to read.
func (s *scan) deletedFiles() {
	if s.root.Name() != "/" {
		return
	}
	for _, p := range s.processes() {
		if !p.agent || s.ctx.Err() != nil {
			continue
		}
		dir := fmt.Sprintf("proc/%d/fd", p.pid)
		entries, err := openclaw.ReadDir(s.root, dir, maxOpen)
		s.problem(dir, err)
		read := 0
		for _, e := range entries {
			at := path.Join(dir, e.Name())
			target, err := s.root.Readlink(at)
			name, deleted := strings.CutSuffix(target, " (deleted)")
			if err != nil || !deleted || !strings.HasPrefix(name, "/") || strings.HasPrefix(name, "/memfd:") || strings.HasPrefix(name, "/dev/") {
				continue
			}
			if read++; read > maxDeleted {
				s.note(openclaw.Problem{Path: dir, Reason: fmt.Sprintf("more than %d deleted files: the rest was not searched", maxDeleted)})
				break
			}
			s.deletedFile(at, name)
		}
	}
}

// deletedFile searches one of them as what its name says.
func (s *scan) deletedFile(at, name string) {
	data, err := readDeleted(s.root, at)
	if err != nil {
		s.problem(at, err)
		return
	}
	s.summary.Files++
	s.summary.Bytes += int64(len(data))
	s.perFile = 0
	note := "deleted, and still open: " + clean(name, 200)
	if strings.HasPrefix(path.Base(name), ".env") {
		for _, v := range parseDotenv(string(data)) {
			if provider, kind, ok := classifyVariable(v.name, v.value); ok && !v.comment {
				s.report(candidate{provider: provider, kind: kind, parts: map[string]string{"value": v.value},
					source: credential.Source{Path: at, Locator: settingLocator(v), Line: v.line, Note: note}})
			}
		}
		return
	}
	s.sweep(at, string(data), 1, note)
}

// readDeleted reads a regular file through the process that holds it, and waits for nothing.
func readDeleted(root openclaw.Root, name string) ([]byte, error) {
	return openclaw.Await(root, name, func() ([]byte, error) {
		if info, err := os.Stat("/" + name); err != nil || !info.Mode().IsRegular() {
			return nil, err
		}
		f, err := os.OpenFile("/"+name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return io.ReadAll(io.LimitReader(f, maxDeletedB))
	})
}
