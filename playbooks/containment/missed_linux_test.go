package containment

import "testing"

// Of what ends while it is read, only that counts which could have been the agent's.
func TestMayBeAgents(t *testing.T) {
	process := func(pid, ppid, session int, exe string) *proc {
		return &proc{session: session, Process: Process{PID: pid, PPID: ppid, Exe: exe}}
	}
	agent := process(10, 1, 10, "/opt/openclaw/bin/node")
	seen := map[int]*proc{
		1: process(1, 0, 1, "/sbin/init"), 10: agent, 20: process(20, 1, 20, "/bin/bash"), 21: process(21, 20, 20, ""),
		2: {kernel: true, Process: Process{PID: 2}},
	}
	for name, c := range map[string]struct {
		p    *proc
		want bool
	}{
		"a shell's child":                      {process(30, 20, 20, ""), false},
		"a thread of the kernel's child":       {process(31, 2, 0, ""), false},
		"the agent's child":                    {process(32, 10, 32, ""), true},
		"in the agent's session":               {process(33, 20, 10, ""), true},
		"itself recognised":                    {process(10, 20, 20, ""), true},
		"an orphan: whose it was is not known": {process(34, 1, 20, ""), true},
		"its parent is gone":                   {process(35, 99, 20, ""), true},
		"its parent could not be told itself":  {process(36, 21, 20, ""), true},
	} {
		if got := mayBeAgents(c.p, []Process{agent.Process}, seen); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
