package containment

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// playTalk says something all the time: on connections that were made once, on new ones, and by UDP. What
// it hears is an act.
func playTalk() {
	for _, address := range os.Args[1:] {
		go func() {
			for {
				conn, err := net.DialTimeout("tcp", address, 300*time.Millisecond)
				if err != nil {
					continue
				}
				go hear(conn)
				for err == nil {
					_, err = conn.Write([]byte("old\n"))
					time.Sleep(10 * time.Millisecond)
				}
			}
		}()
		go func() {
			for {
				if conn, err := net.DialTimeout("tcp", address, 300*time.Millisecond); err == nil {
					fmt.Fprintln(conn, "new")
					conn.Close()
				}
				if conn, err := net.Dial("udp", address); err == nil {
					fmt.Fprintln(conn, "udp")
					conn.Close()
				}
				time.Sleep(20 * time.Millisecond)
			}
		}()
	}
	select {}
}

func hear(conn net.Conn) {
	for data := make([]byte, 64); ; {
		if _, err := conn.Read(data); err != nil {
			return
		}
		act("heard")
	}
}

// earshot is an address at the desk, and what was said to it.
type earshot struct {
	address string
	said    [3]atomic.Int64 // old, new, udp
}

var ways = []string{"over the connection that it had", "over a new one", "by UDP"}

// listenAt listens on an address, and answers on each connection all the time.
func listenAt(t *testing.T, address string) *earshot {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Error(err)
		return nil
	}
	t.Cleanup(func() { l.Close() })
	e := &earshot{address: l.Addr().String()}
	udp, err := net.ListenPacket("udp", e.address)
	if err != nil {
		t.Error(err)
		return nil
	}
	t.Cleanup(func() { udp.Close() })
	go func() {
		for data := make([]byte, 64); ; {
			if _, _, err := udp.ReadFrom(data); err != nil {
				return
			}
			e.said[2].Add(1)
		}
	}()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go e.talk(conn)
		}
	}()
	return e
}

func (e *earshot) talk(conn net.Conn) {
	defer conn.Close()
	go func() {
		for range time.Tick(10 * time.Millisecond) {
			if _, err := conn.Write([]byte("do this\n")); err != nil {
				return
			}
		}
	}()
	for data := make([]byte, 4096); ; {
		n, err := conn.Read(data)
		e.said[0].Add(int64(bytes.Count(data[:n], []byte("old\n"))))
		e.said[1].Add(int64(bytes.Count(data[:n], []byte("new\n"))))
		if err != nil {
			return
		}
	}
}

func (e *earshot) now() (n [3]int64) {
	for i := range e.said {
		n[i] = e.said[i].Load()
	}
	return n
}

// talks waits until more came in every way.
func (e *earshot) talks(t *testing.T, who string) {
	t.Helper()
	before := e.now()
	for i, way := range ways {
		eventually(t, who+" talks to "+e.address+" "+way, func() bool { return e.said[i].Load() > before[i]+5 })
	}
}

const talking = `[Service]
Environment=CLAWBACK_TEST_ROLE=talk CLAWBACK_TEST_ACTS=$SD/%s
ExecStart=$PROGRAM %s
`

// The agent's traffic is cut, both ways, established and new, in both families; that of a service beside
// it is not, nor that of whoever else is on the machine. It can be given back.
func TestIsolateAgentAlone(t *testing.T) {
	needRoot(t, "ip", "unshare", "nsenter", "setpriv")
	inNamespace(t, func() { testAlone(t) })
}

func testAlone(t *testing.T) {
	desk := twoHosts(t)
	var agent, other, stray, boxed []*earshot
	_ = there(desk, func() error {
		for _, at := range deskAddress {
			agent, other, stray = append(agent, listenAt(t, at)), append(other, listenAt(t, at)), append(stray, listenAt(t, at))
		}
		return nil
	})
	for _, args := range [][]string{{"link", "add", "c1", "type", "veth", "peer", "name", "c0"}, {"addr", "add", "10.231.9.1/24", "dev", "c1"}, {"link", "set", "c1", "up"}} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Errorf("ip %v: %v: %s", args, err, out)
			return
		}
	}
	boxed = append(boxed, listenAt(t, "10.231.9.1"))
	if t.Failed() {
		return
	}
	all := func(of []*earshot) string {
		var list []string
		for _, e := range of {
			list = append(list, e.address)
		}
		return strings.Join(list, " ")
	}
	s := startSystemd(t, map[string]string{
		"openclaw-gateway.service": fmt.Sprintf(talking, "acts", all(agent)),
		"bystander.service":        fmt.Sprintf(talking, "other", all(other)),
		// As in a container: a network of its own.
		"openclaw-node.service": "[Service]\nEnvironment=CLAWBACK_TEST_ROLE=talk CLAWBACK_TEST_ACTS=$SD/boxed\n" +
			"ExecStart=unshare --net sh -c 'until ip link set c0 up; do sleep 0.02; done; ip addr add 10.231.9.2/24 dev c0; exec $PROGRAM " + all(boxed) + "' 2>/dev/null\n",
	})
	s.run("systemctl", "start", "openclaw-gateway.service", "bystander.service", "openclaw-node.service")
	if out, err := exec.Command("ip", "link", "set", "c0", "netns", s.pidOutside(t, "openclaw-node.service")).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
		return
	}
	// Without a unit, in a control group with others, but with an account of its own.
	if err := os.Chmod(testBinary(t, filepath.Join(s.dir, "bin"), "openclaw"), 0o755); err != nil {
		t.Error(err)
	}
	s.run("sh", "-c", "touch "+s.dir+"/stray && chmod 666 "+s.dir+"/stray && setpriv --reuid=65534 --regid=65534 --clear-groups env CLAWBACK_TEST_ROLE=talk CLAWBACK_TEST_ACTS="+s.dir+"/stray setsid --fork "+s.dir+"/bin/openclaw "+all(stray)+" >/dev/null 2>&1 </dev/null")
	those := map[string][]*earshot{"acts": agent, "other": other, "stray": stray, "boxed": boxed}
	for who, list := range those {
		for _, e := range list {
			e.talks(t, who)
		}
	}

	var i Isolated
	s.verb("isolate agent", &i)
	if len(i.Problems) > 0 || !strings.Contains(strings.Join(i.How, "\n"), "openclaw-gateway.service") || !strings.Contains(strings.Join(i.How, "\n"), "account 65534") ||
		!strings.Contains(strings.Join(i.Kept, "\n"), "account 0 as a whole is not cut off") || len(i.Proof) != 3 {
		t.Errorf("isolate = %+v", i)
	}
	before, heard := map[*earshot][3]int64{}, map[string]int{}
	eventually(t, "what was on its way has arrived", func() bool {
		settled := true
		for _, who := range []string{"acts", "stray", "boxed"} {
			for _, e := range those[who] {
				settled = settled && before[e] == e.now()
				before[e] = e.now()
			}
			n := lines(filepath.Join(s.dir, who))
			settled = settled && heard[who] == n
			heard[who] = n
		}
		time.Sleep(100 * time.Millisecond)
		return settled
	})
	for range 5 {
		for _, e := range other {
			e.talks(t, "the bystander")
		}
	}
	for _, who := range []string{"acts", "stray", "boxed"} {
		for _, e := range those[who] {
			for i, n := range e.now() {
				if n != before[e][i] {
					t.Errorf("%s still talks to %s %s", who, e.address, ways[i])
				}
			}
		}
		if n := lines(filepath.Join(s.dir, who)); n != heard[who] {
			t.Errorf("%s still hears", who)
		}
	}
	var d Description
	s.verb("describe", &d)
	if d.Dropped == 0 || len(d.Walls) != 2 || d.Walls[0] != "nftables table inet clawback-agent" || !strings.Contains(d.Walls[1], "the network of process ") {
		t.Errorf("%d dropped, walls %q", d.Dropped, d.Walls)
	}

	s.verb("restore", nil)
	for who, list := range those {
		for _, e := range list {
			e.talks(t, who)
		}
	}
	if err := s.try("test", "!", "-e", "/run/clawback"); err != nil {
		t.Errorf("restore left something behind: %v", err)
	}
	d = Description{}
	if s.verb("describe", &d); len(d.Walls) > 0 {
		t.Errorf("walls after restore: %q", d.Walls)
	}
	for n := 1; ; n++ { // killed at its ledger, it leaves nothing that a restore does not take back
		died := s.dies("isolate agent", fmt.Sprintf("CLAWBACK_TEST_DIES_AT=%d", n))
		s.verb("restore", nil)
		d = Description{}
		if s.verb("describe", &d); len(d.Walls) > 0 || s.try("test", "!", "-e", "/run/clawback") != nil {
			t.Errorf("after a death at %d: walls %q", n, d.Walls)
		}
		if !died {
			break
		}
	}
	s.cannotBeToldApart(t, desk)
}

// One that runs as root, in a control group with others, is not cut off alone, and that is said; what it
// has open is.
func (s *realSystemd) cannotBeToldApart(t *testing.T, desk int) {
	t.Helper()
	var e *earshot
	_ = there(desk, func() error { e = listenAt(t, "10.231.7.2"); return nil })
	s.run("sh", "-c", "CLAWBACK_TEST_ROLE=talk CLAWBACK_TEST_ACTS="+s.dir+"/apart setsid --fork "+s.dir+"/bin/openclaw "+e.address+" >/dev/null 2>&1 </dev/null")
	e.talks(t, "one of root's")
	var i Isolated
	s.verb("isolate agent", &i)
	if len(i.Problems) != 1 || !strings.Contains(i.Problems[0], "(openclaw) can make new connections: its control group") {
		t.Errorf("isolate = %+v", i)
	}
	before := e.now()
	eventually(t, "it makes new connections", func() bool { return e.now()[1] > before[1]+5 })
	if n := e.now()[0]; n > before[0]+5 {
		t.Errorf("its old connection is not cut: %d", n-before[0])
	}
	s.verb("reopen", nil)
	if err := s.try("test", "!", "-e", "/run/clawback"); err != nil {
		t.Errorf("reopen left something behind: %v", err)
	}
}

// pidOutside is the main process of a unit as this machine numbers it.
func (s *realSystemd) pidOutside(t *testing.T, unit string) string {
	t.Helper()
	group := s.run("systemctl", "show", "-P", "ControlGroup", unit)
	var pids []byte
	for _, hierarchy := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		found, _ := filepath.Glob(hierarchy + "/clawback-test-*" + group + "/cgroup.procs")
		for _, name := range found {
			if data, _ := os.ReadFile(name); len(data) > 0 && bytes.Contains(mustRead(filepath.Join("/proc", strings.Fields(string(data))[0], "environ")), []byte(s.dir)) {
				pids = data
			}
		}
	}
	if len(pids) == 0 {
		t.Fatalf("%s has no process", unit)
	}
	return strings.Fields(string(pids))[0]
}

func mustRead(name string) []byte {
	data, _ := os.ReadFile(name)
	return data
}
