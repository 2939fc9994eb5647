package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
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
	"clawback/forensics/journal"
)

// sharedBastion is a bastion with the README's configuration and a key for each of some people, all of
// whom its list of allowed signers names.
func sharedBastion(t *testing.T, people ...string) (*desk, *bastion) {
	t.Helper()
	d := newDesk(t)
	d.team(people...)
	config := "allowed_signers: " + filepath.Join(d.dir, "allowed_signers") + "\nhosts: [nobody@127.0.0.1]\n"
	if err := os.WriteFile(d.config(), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return d, d.forcedBastion(d.bin, people...)
}

// forcedBastion is a bastion with the README's configuration: keys that all open one account, and a
// command that runs in place of whatever their owners ask for. With none it is what they ask for.
func (d *desk) forcedBastion(command string, people ...string) *bastion {
	d.t.Helper()
	needsRoot(d.t)
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		d.t.Fatal(err)
	}
	const force = "ForceCommand /usr/local/bin/clawback"
	_, block, ok := strings.Cut(string(readme), "```sshd_config\n")
	block, _, end := strings.Cut(block, "```")
	for _, place := range []string{"Match Group responders", force} {
		if !ok || !end || !strings.Contains(block, place) {
			d.t.Fatalf("the README's block has no %q:\n%s", place, block)
		}
	}
	forced := ""
	if command != "" {
		forced = "ForceCommand " + command
	}
	block = strings.NewReplacer("Match Group responders", "Match User root", force, forced).Replace(block)
	var keys string
	for _, name := range people {
		public, err := os.ReadFile(filepath.Join(d.dir, name+".pub"))
		if err != nil {
			d.t.Fatal(err)
		}
		keys += "restrict,pty,agent-forwarding " + string(public)
	}
	authorized := filepath.Join(d.dir, "authorized_keys")
	if err := os.WriteFile(authorized, []byte(keys), 0o600); err != nil {
		d.t.Fatal(err)
	}
	sftp := "Subsystem sftp internal-sftp\n"
	return startBastion(d.t, d.dir, sftp, block, "    AuthorizedKeysFile "+authorized+"\n    SetEnv "+strings.Join(d.env, " ")+"\n")
}

// as is an ssh client with one person's key.
func (b *bastion) as(d *desk, name string, args ...string) *exec.Cmd {
	key := filepath.Join(d.dir, name)
	cmd := exec.Command("ssh", append([]string{"-F", b.client, "-o", "IdentityAgent=none", "-o", "BatchMode=yes", "-i", key}, args...)...)
	cmd.Env = d.env
	return cmd
}

func said(cmd *exec.Cmd) (code int, text string) {
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), string(out)
	}
	if err != nil {
		return -1, err.Error()
	}
	return 0, string(out)
}

// Each key is its owner in the record, although all open one account.
func TestBastionNames(t *testing.T) {
	t.Parallel()
	d, b := sharedBastion(t, "dana", "bob", "mallory")
	list := filepath.Join(d.dir, "allowed_signers")
	src, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(list, src[:bytes.Index(src, []byte("mallory "))], 0o600); err != nil { // she may log in, and nobody says who she is
		t.Fatal(err)
	}
	for _, tc := range []struct {
		who, sends string
		code       int
		says       string
	}{
		{"dana", "help", 0, "You are dana."},
		{"bob", "clawback help", 0, "You are bob."},
		{"bob", "drill --auto --speed 100 --seed 7", 0, ""},
		{"dana", "drill --auto --speed 100 --seed 7 --as dana", 0, ""},
		{"dana", "watch --as bob", incident.ExitUsage, "you are dana here"},
		{"mallory", "help", incident.ExitApproval, "is nobody's"},
	} {
		code, text := said(b.as(d, tc.who, "bastion", tc.sends))
		if code != tc.code || !strings.Contains(text, tc.says) {
			t.Errorf("%s %s: exit %d, %s", tc.who, tc.sends, code, text)
		}
	}
	for who, says := range map[string]string{"bob": "You are bob.", "mallory": "is nobody's"} { // where one begins
		cmd := b.as(d, who, "-tt", "bastion")
		cmd.Stdin = strings.NewReader("q\n")
		if _, text := said(cmd); !strings.Contains(text, says) {
			t.Errorf("%s: %s", who, text)
		}
	}
	var names []string
	drills, _ := filepath.Glob(filepath.Join(d.dir, "state", "clawback", "incidents", "DRILL-*"))
	for _, dir := range drills {
		s, err := incident.FoldAll(journal.Read(dir))
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, s.Declared.Responder)
	}
	if slices.Sort(names); len(drills) == 0 || !slices.Equal(names, []string{"bob", "dana"}) {
		t.Fatalf("the records name %q", names)
	}

	_, agent, _ := strings.Cut(d.keyring("bob"), "=")
	for _, args := range [][]string{{"-A"}, nil} {
		cmd := b.as(d, "bob", append(args, "-o", "IdentityAgent="+agent, "bastion", "note "+filepath.Base(drills[0])+" it 'rains'")...)
		cmd.Args = slices.DeleteFunc(cmd.Args, func(s string) bool { return s == "IdentityAgent=none" })
		cmd.Args = slices.Delete(cmd.Args, slices.Index(cmd.Args, "-o"), slices.Index(cmd.Args, "-o")+1)
		code, text := said(cmd)
		if want := map[bool]int{true: incident.ExitManual, false: incident.ExitUsage}[args != nil]; code != want {
			t.Errorf("a note with %q: exit %d, %s", args, code, text)
		}
	}
}

// Two people share a response over it, each in a console of their own, and the record tells them apart.
func TestTerminalBastionShared(t *testing.T) {
	t.Parallel()
	d, b := sharedBastion(t, "dana", "bob")
	t.Cleanup(func() { d.endAll() }) // a response outlives its terminal
	over := func(who, sends string) *screen {
		return d.screenOf(fmt.Sprintf("ssh -F %s -o IdentityAgent=none -i %s -tt bastion %s", b.client, filepath.Join(d.dir, who), sends))
	}
	first := over("dana", "drill --speed "+drillSpeed)
	first.follow(func(text, _ string, _ []string) bool { return strings.Contains(text, "waiting for you") })
	over("bob", "attach").follow(func(_, _ string, _ []string) bool { return len(d.recorded().Decisions) > 0 })
	s := d.recorded()
	if s.Declared.Responder != "dana" {
		t.Errorf("%q responds", s.Declared.Responder)
	}
	for step, a := range s.Decisions {
		if a.By != "bob" {
			t.Errorf("%s was answered by %q", step, a.By)
		}
	}
}

// There is no shell behind it, and no way through it.
func TestBastionGivesNoShell(t *testing.T) {
	t.Parallel()
	d, b := sharedBastion(t, "dana")
	out := filepath.Join(d.dir, "out")
	for _, sends := range []string{
		"bash", "bash -c 'id > " + out + "'", "sh", "id", "scp -t " + out, "attach; id > " + out, "attach $(id > " + out + ")", "help\nid > " + out,
		"kill --yes", "respond --host root@elsewhere", "respond --root /", "respond --host nobody@127.0.0.1 --config " + d.config(), "watch --config " + d.config(), "attach /tmp",
	} {
		code, text := said(b.as(d, "dana", "bastion", sends))
		if code != incident.ExitUsage || !strings.Contains(text, "hint: ") || strings.Contains(text, "uid=") {
			t.Errorf("%q: exit %d, %s", sends, code, text)
		}
	}
	for _, args := range [][]string{{"-tt"}, {"-T"}} { // nothing is asked for
		cmd := b.as(d, "dana", append(args, "bastion")...)
		cmd.Stdin = strings.NewReader("id\nq\n")
		if code, text := said(cmd); strings.Contains(text, "uid=") || code == 255 {
			t.Errorf("%v: exit %d, %s", args, code, text)
		}
	}
	if code, text := said(b.as(d, "dana", "bastion", "respond --host nobody@127.0.0.1")); code != incident.ExitUsage || !strings.Contains(text, "this needs a terminal") {
		t.Errorf("a machine that is known: exit %d, %s", code, text)
	}
	for _, program := range [][]string{{"scp", "-F", b.client, "-i", filepath.Join(d.dir, "dana"), b.client, "bastion:" + out}, {"scp", "-O", "-F", b.client, "-i", filepath.Join(d.dir, "dana"), b.client, "bastion:" + out}} {
		if code, text := said(exec.Command(program[0], program[1:]...)); code == 0 {
			t.Errorf("%v: exit %d, %s", program, code, text)
		}
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("something was written")
	}
}

func TestBastionForwardsNothing(t *testing.T) {
	t.Parallel()
	d, b := sharedBastion(t, "dana")
	secret, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = secret.Close() }()
	reached := make(chan struct{}, 10)
	go func() {
		for {
			conn, err := secret.Accept()
			if err != nil {
				return
			}
			reached <- struct{}{}
			_ = conn.Close()
		}
	}()
	if code, text := said(b.as(d, "dana", "-W", secret.Addr().String(), "bastion")); code == 0 || !strings.Contains(text, "prohibited") {
		t.Errorf("-W: exit %d, %s", code, text)
	}
	if code, text := said(b.as(d, "dana", "-N", "-o", "ExitOnForwardFailure=yes", "-R", "0:"+secret.Addr().String(), "bastion")); code != 255 {
		t.Errorf("-R: exit %d, %s", code, text)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	local := free.Addr().String()
	_ = free.Close()
	forward := b.as(d, "dana", "-N", "-L", fmt.Sprintf("%s:%s", local, secret.Addr()), "bastion")
	if err := forward.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = forward.Process.Kill(); _ = forward.Wait() }()
	eventually(t, 20*time.Second, "the end of what is forwarded", func() bool {
		conn, err := net.Dial("tcp", local)
		if err != nil {
			return false
		}
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		n, _ := io.Copy(io.Discard, conn)
		return n == 0
	})
	if len(reached) > 0 {
		t.Error("it was reached")
	}
}

// endAll ends what still runs of a desk's program.
func (d *desk) endAll() {
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range all {
		if line, err := os.ReadFile(path); err == nil && bytes.HasPrefix(line, []byte(d.bin+"\x00")) {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}
}
