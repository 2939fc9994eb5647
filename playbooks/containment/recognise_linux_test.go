package containment

import (
	"cmp"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"testing"
)

// shown is a process in a table of tests.
func shown(pid, ppid int, name string, change func(*proc)) *proc {
	p := &proc{Process: Process{PID: pid, PPID: ppid, Start: uint64(pid), Name: name, Exe: "/usr/bin/" + name, Cgroup: "/"}, session: pid}
	cwd("/")(p)
	p.uid = func() int { return 1000 }
	p.args = func() []string { return []string{name} }
	environ()(p)
	p.open = func() []string { return nil }
	if change != nil {
		change(p)
	}
	return p
}

func holds(inode string) func(*proc) {
	return func(p *proc) { p.open = func() []string { return []string{"/dev/null", "socket:[" + inode + "]"} } }
}
func args(a ...string) func(*proc) { return func(p *proc) { p.args = func() []string { return a } } }
func environ(a ...string) func(*proc) {
	return func(p *proc) { p.places = func() []string { return a } }
}
func cwd(dir string) func(*proc)     { return func(p *proc) { p.cwd = func() string { return dir } } }
func cgroup(path string) func(*proc) { return func(p *proc) { p.Cgroup = path } }

func TestRecognise(t *testing.T) {
	const self = 50
	homes := []Home{{Path: "/home/ada/.openclaw", UID: 1000}}
	for _, c := range []struct {
		name   string
		traits Traits
		procs  []*proc
		want   []int
	}{
		{"by name", Traits{}, []*proc{shown(9, 1, "openclaw-gatewa", nil), shown(10, 1, "openclawx", nil)}, []int{9}},
		{"old names", Traits{}, []*proc{shown(9, 1, "moltbot", nil), shown(10, 1, "clawdbot-gatewa", nil)}, []int{9, 10}},
		{"by script", Traits{}, []*proc{
			shown(9, 1, "node", args("node", "--max-old-space-size=100", "/usr/lib/node_modules/openclaw/dist/entry.js", "gateway")),
			shown(10, 1, "node", args("node", "/srv/shop/server.js", "/opt/openclaw/x.js")),
		}, []int{9}},
		{"by the name it gives itself", Traits{}, []*proc{shown(9, 1, "MainThread", args("openclaw-gateway"))}, []int{9}},
		{"not who looks at it", Traits{}, []*proc{
			shown(9, 1, "vim", args("vim", "openclaw.json")), shown(10, 1, "grep", args("grep", "-r", "openclaw", "/etc")),
			shown(11, 1, "journalctl", args("journalctl", "-u", "openclaw-gateway")), shown(12, 1, "clawback-host", nil),
		}, nil},
		{"by a unit's cgroup", Traits{Cgroups: []string{"/system.slice/x.service"}}, []*proc{
			shown(9, 1, "sh", cgroup("/system.slice/x.service/sub")), shown(10, 1, "sh", cgroup("/system.slice/x.service2")),
			shown(11, 1, "sh", cgroup("/user.slice/user-1000.slice/user@1000.service/app.slice/openclaw-gateway-dev.service")),
		}, []int{9, 11}},
		{"an empty cgroup is nobody's", Traits{Cgroups: []string{"", "/"}}, []*proc{shown(9, 1, "sh", nil)}, nil},
		{"by where it works", Traits{Homes: homes}, []*proc{
			shown(9, 1, "python3", cwd("/home/ada/.openclaw/workspace")), shown(10, 1, "python3", cwd("/home/ada/.openclaw-other")),
			shown(11, 1, "python3", func(p *proc) { cwd("/home/ada/.openclaw")(p); p.uid = func() int { return 0 } }),
			shown(12, 1, "python3", func(p *proc) { p.open = func() []string { return []string{"/home/ada/.openclaw/x.db"} } }),
		}, []int{9, 12}},
		{"by what its environment names", Traits{Homes: homes}, []*proc{
			shown(9, 1, "python3", environ("/home/ada/.openclaw")), shown(10, 1, "python3", environ("/home/ada/../ada/.openclaw/openclaw.json")),
			shown(11, 1, "python3", environ("/home/ada/.openclaw-other", "", "relative")),
			shown(12, 1, "python3", func(p *proc) { environ("/home/ada/.openclaw")(p); p.uid = func() int { return 1001 } }),
		}, []int{9, 10}},
		{"by where its program lies", Traits{Homes: homes}, []*proc{
			shown(9, 1, "helper", func(p *proc) { p.Exe = "/home/ada/.openclaw/tools/helper" }),
			shown(10, 1, "helper", func(p *proc) { p.Exe = "/home/ada/.openclaw (deleted)" }),
			shown(11, 1, "helper", func(p *proc) { p.Exe = "/home/ada/.openclawx/helper" }),
		}, []int{9, 10}},
		{"by the port that it listens on", Traits{Homes: homes, listens: map[string]int{"77": 18789}}, []*proc{
			shown(9, 1, "helper", holds("77")), shown(10, 1, "helper", holds("78")),
			shown(11, 1, "proxy", func(p *proc) { holds("77")(p); p.uid = func() int { return 1001 } }),
		}, []int{9}},
		{"not root's, in front of root's own agent", Traits{Homes: []Home{{Path: "/root/.openclaw"}}, listens: map[string]int{"77": 18789}}, []*proc{
			shown(9, 1, "proxy", func(p *proc) { holds("77")(p); p.uid = func() int { return 0 } }),
		}, nil},
		{"children and their children", Traits{}, []*proc{shown(12, 11, "curl", nil), shown(11, 9, "sh", nil), shown(9, 1, "openclaw", nil)}, []int{9, 11, 12}},
		{"a session of one that is gone", Traits{Known: []Process{{PID: 9, Start: 9}}}, []*proc{shown(12, 1, "sh", func(p *proc) { p.session = 9 })}, []int{12}},
		{"not a session whose leader's pid was taken", Traits{Known: []Process{{PID: 9, Start: 1}}}, []*proc{
			shown(9, 1, "sh", nil), shown(12, 9, "sh", func(p *proc) { p.session = 9 }),
		}, nil},
		{"never itself, nor what it came by", Traits{Homes: homes}, []*proc{
			shown(1, 0, "openclaw", nil), shown(30, 1, "openclaw", nil), shown(40, 30, "sh", cwd("/home/ada/.openclaw")), shown(self, 40, "clawback-host", cwd("/home/ada/.openclaw")),
		}, nil},
		{"a child of its own is not spared", Traits{}, []*proc{shown(self, 1, "clawback", nil), shown(60, self, "openclaw", nil)}, []int{60}},
		{"nothing outside the root", Traits{Root: "/mnt"}, []*proc{
			shown(9, 1, "openclaw", nil), shown(10, 1, "openclaw", cwd("/mnt/home")), shown(11, 1, "sh", cwd("/mnt/home")),
			shown(12, 1, "openclaw", environ("/mnt/state")), shown(13, 1, "openclaw", cwd("/mnt2")),
		}, []int{10, 12}},
		{"a loop of parents", Traits{}, []*proc{shown(8, 9, "sh", nil), shown(9, 8, "openclaw", nil), shown(self, self, "x", nil)}, []int{8, 9}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.traits.Root = cmp.Or(c.traits.Root, "/")
			var got []int
			for _, p := range recognise(c.procs, self, c.traits) {
				if p.Why == "" {
					t.Errorf("no reason for %d", p.PID)
				}
				got = append(got, p.PID)
			}
			slices.Sort(got)
			if !slices.Equal(got, c.want) {
				t.Errorf("recognised %v, want %v", got, c.want)
			}
		})
	}
}

func TestAgentUnits(t *testing.T) {
	for name, want := range map[string]bool{
		"openclaw.service": true, "openclaw-gateway.service": true, "openclaw-gateway-dev.service": true, "openclaw-node.service": true,
		"moltbot-gateway.service": true, "clawdbot-gateway.service": true, "openclaw@ada.service": true,
		"openclaw-monitor.service": false, "my-openclaw.service": false, "openclaw.timer": false, "openclaw-gateway.service.d": false,
	} {
		if got := agentUnit.MatchString(name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func TestParseSSHConnection(t *testing.T) {
	for in, want := range map[string]string{
		"10.0.0.5 50022 10.0.0.9 22":        "{10.0.0.9:22 10.0.0.5:50022}",
		"::ffff:10.0.0.5 50022 10.0.0.9 22": "{10.0.0.9:22 10.0.0.5:50022}",
		"fe80::1%eth0 50022 fe80::2 22":     "{[fe80::2]:22 [fe80::1]:50022}",
		"10.0.0.5 50022 10.0.0.9":           "",
		"UNKNOWN 65535 UNKNOWN 65535":       "",
		"10.0.0.5 70000 10.0.0.9 22":        "",
		"10.0.0.5 x; 10.0.0.9 22":           "",
	} {
		got, err := parseSSHConnection(in)
		if (err != nil) != (want == "") || err == nil && fmt.Sprint(got) != want {
			t.Errorf("%q = %v, %v, want %s", in, got, err, want)
		}
	}
}

func TestParseSockets(t *testing.T) {
	table := `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:4965 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345
   1: 0900000A:0016 0500000A:C366 01 00000000:00000000 00:00000000 00000000     0        0 12346
   2: 00000000000000000000000001000000:4965 00000000000000000000000000000000:0000 0A 0 0
   3: 0000000000000000FFFF00000900000A:0016 0000000000000000FFFF00000500000A:C366 01 0 0
   4: zz:0016 0500000A:C366 01
`
	want := []socket{
		{Connection{netip.MustParseAddrPort("127.0.0.1:18789"), netip.MustParseAddrPort("0.0.0.0:0")}, true, false, "12345"},
		{Connection{netip.MustParseAddrPort("10.0.0.9:22"), netip.MustParseAddrPort("10.0.0.5:50022")}, false, true, "12346"},
		{Connection{netip.MustParseAddrPort("[::1]:18789"), netip.MustParseAddrPort("[::]:0")}, true, false, ""},
		{Connection{netip.MustParseAddrPort("10.0.0.9:22"), netip.MustParseAddrPort("10.0.0.5:50022")}, false, true, ""},
	}
	if got := parseSockets(table); !reflect.DeepEqual(got, want) {
		t.Errorf("parseSockets = %v, want %v", got, want)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add("1 (a) b) c) S 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 77 20")
	f.Add("x (")
	f.Fuzz(func(t *testing.T, line string) {
		s, err := parseStat(line)
		if err == nil && s.state == "" {
			t.Errorf("%q: no state and no error", line)
		}
	})
}

func TestParseStat(t *testing.T) {
	s, err := parseStat("12 (a) b) (c) T 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 77 20")
	if want := (stat{pid: 12, ppid: 2, session: 4, name: "a) b) (c", state: "T", start: 77, threads: 18}); err != nil || s != want {
		t.Errorf("parseStat = %+v, %v, want %+v", s, err, want)
	}
	for _, bad := range []string{"", "1", "1 (x", "1 (x) S 2", ") 1 ("} {
		if _, err := parseStat(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func FuzzParseSockets(f *testing.F) {
	f.Add("0: 0100007F:4965 00000000:0000 0A")
	f.Fuzz(func(t *testing.T, table string) { parseSockets(table) })
}

func TestUnifiedPath(t *testing.T) {
	for in, want := range map[string]string{
		"0::/system.slice/x.service\n":                   "/system.slice/x.service",
		"1:name=systemd:/system.slice/x.service\n0::/\n": "/system.slice/x.service",
		"4:memory:/docker/1\n1:name=systemd:/docker/1\n": "/docker/1",
		"12:pids:/a\n1:name=systemd:/a\n0::/b\n":         "/b",
		"0::/..\n":                                       "/..",
		"":                                               "/",
	} {
		if got := unifiedPath(in); got != want {
			t.Errorf("%q = %q, want %q", in, got, want)
		}
	}
}
