package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"clawback/forensics/incident"
)

// bastion is an sshd of the test's own on loopback: the machine on which a responder's desk is.
type bastion struct {
	cmd    *exec.Cmd
	client string // configuration of ssh, in which it is called "bastion"
	left   string // the file that says in what state each terminal was left there, or ""
}

// startBastion starts one; more is added to its configuration.
func startBastion(t *testing.T, dir string, more ...string) *bastion {
	t.Helper()
	needsRoot(t)
	sshd := needsProgram(t, "sshd")
	needsProgram(t, "ssh")
	keygen := needsProgram(t, "ssh-keygen")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"host", "user"} {
		must(exec.Command(keygen, "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, name)).Run())
	}
	must(os.MkdirAll("/run/sshd", 0o755))
	// An address of its own, so that no other test takes the port before sshd does.
	address := fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
	l, err := net.Listen("tcp", address+":0")
	must(err)
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	must(l.Close())
	key, err := os.ReadFile(filepath.Join(dir, "host.pub"))
	must(err)
	write := func(name, format string, values ...any) string {
		path := filepath.Join(dir, name)
		must(os.WriteFile(path, fmt.Appendf(nil, format, values...), 0o600))
		return path
	}
	known := write("known_hosts", "[%s]:%s %s", address, port, key)
	daemon := write("sshd_config", "ListenAddress %[1]s:%[2]s\nHostKey %[3]s/host\nAuthorizedKeysFile %[3]s/user.pub\nStrictModes no\n"+
		"UsePAM no\nPidFile none\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n%[4]s", address, port, dir, strings.Join(more, ""))
	b := &bastion{client: write("ssh_config", "Host bastion\nHostName %s\nPort %s\nUser root\nIdentityFile %s/user\nIdentitiesOnly yes\n"+
		"UserKnownHostsFile %s\nGlobalKnownHostsFile /dev/null\nStrictHostKeyChecking yes\n", address, port, dir, known)}
	b.cmd = exec.Command(sshd, "-D", "-e", "-f", daemon)
	must(b.cmd.Start())
	t.Cleanup(func() { b.cut(); _ = b.cmd.Process.Kill(); _ = b.cmd.Wait() })
	eventually(t, 20*time.Second, "sshd listens", func() bool {
		conn, err := net.Dial("tcp", address+":"+port)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return b
}

// cut kills what serves the connections, and nothing else.
func (b *bastion) cut() {
	for _, pid := range childrenOf(b.cmd.Process.Pid) {
		if strings.HasPrefix(commandOf(pid), "sshd") {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

func commandOf(pid int) string {
	name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return string(name)
}

// childrenOf lists the processes that a process started, and those that they started.
func childrenOf(pid int) (all []int) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		children, _ := os.ReadFile(task)
		for _, field := range strings.Fields(string(children)) {
			if child, err := strconv.Atoi(field); err == nil {
				all = append(append(all, child), childrenOf(child)...)
			}
		}
	}
	return all
}

// Whoever gives up while ssh still connects leaves no login behind, although ssh itself is deaf to
// what the terminal sends.
func TestTerminalGivesUpConnecting(t *testing.T) {
	t.Parallel()
	needsProgram(t, "ssh")
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGHUP} {
		d := newDesk(t)
		client := filepath.Join(d.dir, "ssh_config")
		for name, text := range map[string]string{
			client: "Host silent\nProxyCommand sh -c 'cat > /dev/null; :'\n", d.config(): "ssh_config: " + client + "\n",
		} {
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cmd, _, _ := d.onTerminal("kill", "--yes", "--host", "silent", "--config", d.config())
		connecting := func() bool {
			lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
			return slices.ContainsFunc(lines, func(path string) bool {
				line, _ := os.ReadFile(path)
				return strings.HasPrefix(string(line), "ssh\x00") && strings.Contains(string(line), client)
			})
		}
		eventually(t, 20*time.Second, "ssh connects", connecting)
		_ = cmd.Process.Signal(sig)
		d.endsWith(cmd, incident.ExitNothing)
		eventually(t, 10*time.Second, "the end of ssh", func() bool { return !connecting() })
	}
}
