package containment

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// playSurvivor acts, and holds what is named open: a file, or a port to listen on.
func playSurvivor() {
	for _, name := range os.Args[1:] {
		var err error
		if strings.HasPrefix(name, "/") {
			var f *os.File
			if f, err = os.Open(name); err == nil {
				defer f.Close()
			}
		} else {
			var l net.Listener
			l, err = net.Listen("tcp", name)
			defer func() { _ = l.Close() }()
		}
		if err != nil {
			fatal(err)
		}
	}
	for range time.Tick(10 * time.Millisecond) {
		act("survives")
	}
}

// survivorUnits are a service that leaves a child behind, the daemons that start jobs, and a proxy of
// root's on one of the agent's ports.
var survivorUnits = map[string]string{
	"openclaw-gateway.service": `[Service]
User=4242
KillMode=process
Environment=CLAWBACK_TEST_ROLE=survivor CLAWBACK_TEST_ACTS=$SD/acts/leftover
ExecStart=/bin/sh -c '$PROGRAM & until test -s $SD/acts/leftover; do sleep 0.01; done'
`,
	"cron.service": "[Service]\nExecStart=/usr/sbin/cron -f\n",
	"atd.service":  "[Service]\nExecStart=/usr/sbin/atd -f\n",
	"proxy.service": `[Service]
Environment=CLAWBACK_TEST_ROLE=survivor CLAWBACK_TEST_ACTS=$SD/acts/decoy-proxy
ExecStart=$PROGRAM 127.0.0.1:18790
`,
}

// What outlives the agent's service is found by what gives it away, frozen and killed. What is alike and
// somebody else's goes on.
func TestSurvivors(t *testing.T) {
	needRoot(t, "tmux", "nohup", "setsid", "setpriv", "cron", "atd", "at")
	s := startSystemd(t, survivorUnits)
	acts := filepath.Join(s.dir, "acts")
	for _, err := range []error{os.Mkdir(acts, 0o777), os.Chmod(acts, 0o777)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	const state = "/home/ada/.openclaw"
	s.run("sh", "-ec", strings.NewReplacer("@STATE", state, "@PROGRAM", s.program, "@ACTS", acts).Replace(`
for user in ada:4242 bob:4343; do
  name=${user%:*} id=${user#*:}
  echo "$name:x:$id:$id::/home/$name:/bin/sh" >>/etc/passwd
  echo "$name:x:$id:" >>/etc/group
  echo "$name:*:19000:0:99999:7:::" >>/etc/shadow
  mkdir -p /home/$name/work
done
mkdir -p @STATE/workspace @STATE/tools
echo '{}' >@STATE/openclaw.json
echo log >@STATE/gateway.log
cp @PROGRAM @STATE/tools/helper
printf '#!/bin/sh\nwhile :; do echo survives >>@ACTS/cron; sleep 0.02; done\n' >@STATE/workspace/job.sh
chmod +x @STATE/workspace/job.sh
chown -R ada:ada /home/ada
chown -R bob:bob /home/bob
mkdir -p /var/spool/cron/crontabs /var/lib/systemd/linger
touch /var/lib/systemd/linger/ada /var/lib/systemd/linger/bob
echo '@reboot @STATE/workspace/job.sh' >/var/spool/cron/crontabs/ada
chown ada:crontab /var/spool/cron/crontabs/ada
chmod 600 /var/spool/cron/crontabs/ada`))
	as := func(uid, dir, name, command string) {
		t.Helper()
		// The machine has no name service but its files: accounts go by their numbers.
		s.run("setpriv", "--reuid="+uid, "--regid="+uid, "--init-groups", "env", "-i", "PATH="+os.Getenv("PATH"), "HOME=/home", "SHELL=/bin/sh", "TERM=dumb",
			"CLAWBACK_TEST_ROLE=survivor", "CLAWBACK_TEST_ACTS="+filepath.Join(acts, name),
			"sh", "-ec", "cd "+dir+"; exec >/dev/null 2>&1 </dev/null; "+strings.ReplaceAll(command, "@PROGRAM", s.program))
	}
	s.run("systemctl", "start", "openclaw-gateway.service", "cron.service", "atd.service", "proxy.service")
	as("4242", state+"/workspace", "tmux", "tmux -L agent new-session -d @PROGRAM")
	as("4242", state+"/workspace", "nohup", "nohup @PROGRAM &")
	as("4242", state+"/workspace", "at", "echo @PROGRAM | at now")
	as("4242", "/", "setsid", "OPENCLAW_STATE_DIR="+state+" setsid --fork setsid --fork @PROGRAM 127.0.0.1:24234")
	as("4242", "/", "port", "setsid --fork @PROGRAM 127.0.0.1:18789")
	as("4242", "/", "file", "setsid --fork @PROGRAM "+state+"/gateway.log")
	as("4242", "/", "program", "setsid --fork "+state+"/tools/helper")
	as("4242", "/home/ada/work", "decoy-ada", "nohup @PROGRAM 127.0.0.1:8080 &")
	as("4343", "/home/bob/work", "decoy-bob", "tmux -L agent new-session -d @PROGRAM")

	survivors := map[string]string{
		"leftover": "openclaw-gateway.service", "tmux": "works in", "nohup": "works in", "at": "works in", "cron": "has a file open in",
		"setsid": "its environment names", "port": "listens on the agent's port 18789", "file": "has a file open in", "program": "its program lies in",
	}
	decoys := []string{"decoy-proxy", "decoy-ada", "decoy-bob"}
	count := func(name string) int { return lines(filepath.Join(acts, name)) }
	for name := range survivors {
		eventually(t, name+" acts", func() bool { return count(name) > 2 })
	}
	goesOn := func() {
		t.Helper()
		for _, name := range decoys {
			before := count(name)
			eventually(t, name+" acts", func() bool { return count(name) > before+20 })
		}
	}
	goesOn()
	if got := s.run("systemctl", "show", "-P", "ActiveState", "openclaw-gateway.service"); got != "inactive" {
		t.Errorf("the service whose child is left is %s", got)
	}

	var f Frozen
	s.verb("freeze", &f)
	if !f.Complete() {
		t.Errorf("freeze = %+v", f)
	}
	if left := s.run("ls", "/var/lib/systemd/linger"); left != "bob" {
		t.Errorf("these accounts linger: %s", left)
	}
	pids := map[string]Process{}
	for _, p := range f.Processes {
		environ := string(mustRead(filepath.Join(s.root(), fmt.Sprintf("proc/%d/environ", p.PID))))
		for _, entry := range strings.Split(environ, "\x00") {
			if file, ok := strings.CutPrefix(entry, "CLAWBACK_TEST_ACTS="); ok && (p.Name != "tmux: server" && p.Name != "sh") {
				pids[filepath.Base(file)] = p
			}
		}
		if strings.HasPrefix(p.Name, "job.sh") {
			pids["cron"] = p
		}
	}
	before := map[string]int{}
	for name, why := range survivors {
		before[name] = count(name)
		if p, ok := pids[name]; !ok || !strings.Contains(p.Why, why) {
			t.Errorf("%s is found by %q (process %d), want %q", name, p.Why, p.PID, why)
		}
	}
	goesOn()
	for name := range survivors {
		if n := count(name); n != before[name] {
			t.Errorf("%s acted %d times while it was frozen", name, n-before[name])
		}
	}

	var st Stopped
	s.verb("stop", &st)
	if len(st.Problems) > 0 || len(st.Killed) < len(survivors) {
		t.Errorf("stop = %+v", st)
	}
	goesOn()
	for name := range survivors {
		if n := count(name); n != before[name] {
			t.Errorf("%s acted %d times after it was killed", name, n-before[name])
		}
	}

	// Whoever listens where the agent did is named, and taken for it until it is known.
	as("4343", "/", "decoy-heir", "setsid --fork @PROGRAM 127.0.0.1:24234")
	eventually(t, "the heir acts", func() bool { return count("decoy-heir") > 2 })
	var c Checked
	s.verb("check", &c)
	if c.Down || !slices.Equal(c.Listening, []int{18790, 24234}) || !strings.Contains(strings.Join(c.Problems, "\n"), "port 24234: process ") {
		t.Errorf("check = %+v", c)
	}
	s.run("systemctl", "stop", "proxy.service")
	s.run("pkill", "-KILL", "-U", "4343")
	s.verb("check", &c)
	if !c.Down || !strings.Contains(strings.Join(c.Proof, "\n"), "nor on those that it had open: [18789 24234]") {
		t.Errorf("check = %+v", c)
	}
	s.verb("restore", nil)
	if left := s.run("ls", "/var/lib/systemd/linger"); left != "ada\nbob" {
		t.Errorf("after restore, these accounts linger: %s", left)
	}
}

// root is where the machine's files are seen from here.
func (s *realSystemd) root() string {
	pid := strings.TrimSpace(string(mustRead(filepath.Join(s.dir, "pid"))))
	child := strings.Fields(string(mustRead("/proc/" + pid + "/task/" + pid + "/children")))
	if len(child) == 0 {
		s.t.Fatal("the machine is gone")
	}
	return "/proc/" + child[0] + "/root"
}
