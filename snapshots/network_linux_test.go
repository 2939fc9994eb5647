package snapshots

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRulesOfTheNetwork makes some in a network namespace of its own and captures them.
func TestRulesOfTheNetwork(t *testing.T) {
	needRoot(t, "for a network namespace")
	for _, program := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(program); err != nil {
			skip(t, "needs "+program)
		}
	}
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		skip(t, "needs the right to make a network namespace: "+err.Error())
	}
	for _, command := range []string{
		"ip rule add from 192.0.2.7 fwmark 9 table 4711 priority 99",
		"nft add table inet stash; add chain inet stash out { type filter hook output priority -7; policy drop; }; add set inet stash seen { type ipv4_addr; }; add rule inet stash out meta skuid 1234 counter drop",
	} {
		name, rest, _ := strings.Cut(command, " ")
		args := strings.Fields(rest)
		if name == "nft" {
			args = []string{rest}
		}
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", command, err, out)
		}
	}
	rules, err := routingRules(nil)
	must(t, err)
	for _, want := range []string{"from 192.0.2.7", "fwmark 9", "table 4711", "priority 99"} {
		if !strings.Contains(string(rules), want) {
			t.Errorf("no %q in %s", want, rules)
		}
	}
	firewall, err := ruleset(nil)
	must(t, err)
	for _, want := range []string{`table "stash" chain "out" type "filter" hook 3 priority -7 policy 0`, `set "seen"`, "Meta&{Key:", "Counter&{", "Verdict&{Kind:"} {
		if !strings.Contains(string(firewall), want) {
			t.Errorf("no %q in %s", want, firewall)
		}
	}
}

// TestNetworkOfTheMachineAlone asks the kernel for rules only where the root is the machine's: a
// drill opens no socket, not even the kernel's.
func TestNetworkOfTheMachineAlone(t *testing.T) {
	needRoot(t, "to read the ruleset")
	for _, root := range []string{"/", t.TempDir()} {
		proc, err := os.OpenRoot("/proc")
		must(t, err)
		defer proc.Close()
		disk, err := os.OpenRoot(root)
		must(t, err)
		defer disk.Close()
		m := newMemory(t)
		_, err = Capture(t.Context(), disk, "volatile", Options{Proc: proc}, m)
		must(t, err)
		for _, name := range []string{"volatile/net/rules", "volatile/net/ruleset"} {
			if f, is := m.files[name]; is != (root == "/") || is && f.Verdict != Stable {
				t.Errorf("%s: %s: %+v", root, name, f)
			}
		}
		if rules := m.content["volatile/net/rules"]; root == "/" && !strings.Contains(rules, fmt.Sprint("table ", unix.RT_TABLE_MAIN)) {
			t.Errorf("%s", rules)
		}
	}
}

func FuzzRoutingRule(f *testing.F) {
	f.Add([]byte{2, 0, 32, 0, 0, 0, 0, 1, 0, 0, 0, 0, 8, 0, 6, 0, 99, 0, 0, 0, 8, 0, 2, 0, 192, 0, 2, 7})
	f.Add([]byte{2, 0, 32, 0, 0, 0, 0, 1, 0, 0, 0, 0, 255, 255, 6, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		if line := routingRule(data); !strings.HasSuffix(line, "\n") || strings.Count(line, "\n") != 1 {
			t.Errorf("%q", line)
		}
	})
}
