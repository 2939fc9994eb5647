package containment

import (
	"strings"
	"testing"
)

func TestContainerWhy(t *testing.T) {
	homes := []Home{{Path: "/home/ada/.openclaw", UID: 1000}}
	for _, c := range []struct {
		name string
		listed
		want string
	}{
		{"the seeds' own name", listed{Names: []string{"/openclaw"}}, "its name"},
		{"an older name", listed{Names: []string{"/clawdbot-gateway-1"}}, "its name"},
		{"a sandbox by name", listed{Names: []string{"/openclaw-sbx-main-4f2a"}}, "its name"},
		{"a sandbox by label", listed{Names: []string{"/box"}, Labels: map[string]string{"openclaw.sandbox": "1"}}, "label openclaw.sandbox=1"},
		{"a label that says no", listed{Names: []string{"/box"}, Labels: map[string]string{"openclaw.sandbox": "0"}}, ""},
		{"compose, in a project of another name", listed{Names: []string{"/prod_openclaw-gateway_1"}, Labels: map[string]string{"com.docker.compose.service": "openclaw-gateway"}}, "its service in compose"},
		{"image", listed{Names: []string{"/gw"}, Image: "ghcr.io/openclaw/openclaw:2026.2@sha256:00"}, "its image openclaw"},
		{"image with a port in its registry", listed{Names: []string{"/gw"}, Image: "localhost:5000/openclaw"}, "its image openclaw"},
		{"an image that only its registry names", listed{Names: []string{"/db"}, Image: "openclaw.example/postgres:16"}, ""},
		{"writes to the state", listed{Names: []string{"/gw"}, Mounts: []mount{{Source: "/home/ada/.openclaw/workspace", RW: true}}}, "it writes to /home/ada/.openclaw"},
		{"a backup that reads it", listed{Names: []string{"/backup"}, Mounts: []mount{{Source: "/home/ada/.openclaw"}}}, ""},
		{"a whole home", listed{Names: []string{"/dev"}, Mounts: []mount{{Source: "/home/ada", RW: true}}}, ""},
		{"next door", listed{Names: []string{"/dev"}, Mounts: []mount{{Source: "/home/ada/.openclaw-notes", RW: true}}}, ""},
		{"a path that turns back", listed{Names: []string{"/dev"}, Mounts: []mount{{Source: "/home/ada/.openclaw/../.ssh", RW: true}}}, ""},
		{"a decoy", listed{Names: []string{"/shop-openclawless-1"}, Image: "postgres:16"}, ""},
	} {
		if got := c.why(homes); got != c.want {
			t.Errorf("%s: %q, not %q", c.name, got, c.want)
		}
	}
}

func TestContainerRuns(t *testing.T) {
	id := strings.Repeat("0123", 16)
	for _, c := range []struct {
		name string
		Process
		want string
	}{
		{"its first process", Process{PID: 9, PPID: 1, Cgroup: "/system.slice/docker-" + id + ".scope"}, "its process 9: named openclaw"},
		{"below its init", Process{PID: 10, PPID: 9, Cgroup: "/docker/" + id + "/init"}, "its process 10: named openclaw"},
		{"in somebody's shell", Process{PID: 11, PPID: 10, Cgroup: "/docker/" + id}, ""},
		{"elsewhere", Process{PID: 9, PPID: 1, Cgroup: "/docker/" + strings.Repeat("f", 64)}, ""},
	} {
		c.Why = "named openclaw"
		var now inspected
		now.ID, now.State.Pid = id, 9
		if got := now.runs([]Process{c.Process}); got != c.want {
			t.Errorf("%s: %q, not %q", c.name, got, c.want)
		}
	}
}

func TestContainerName(t *testing.T) {
	id := strings.Repeat("a", 64)
	for _, c := range []struct {
		names []string
		want  string
	}{
		{[]string{"/gw"}, "gw/aaaaaaaaaaaa"},
		{[]string{"/web/link", "/gw"}, "gw/aaaaaaaaaaaa"},
		{nil, "unnamed/aaaaaaaaaaaa"},
		{[]string{"/\x1b[2Jgw", "/../../etc"}, "unnamed/aaaaaaaaaaaa"},
		{[]string{"/gw?signal=TERM"}, "unnamed/aaaaaaaaaaaa"},
	} {
		got := listed{ID: id, Names: c.names}.unitName()
		if got != c.want || !containerUnit.MatchString(got) {
			t.Errorf("%q is %q, not %q", c.names, got, c.want)
		}
	}
}

func TestPolicy(t *testing.T) {
	for _, text := range []string{"no", "always", "unless-stopped", "on-failure", "on-failure:3"} {
		if p, err := parsePolicy(text); err != nil || p.String() != text || p.none() != (text == "no") {
			t.Errorf("%s: %v, %v", text, p, err)
		}
	}
	for _, text := range []string{"", "sometimes", "on-failure:x", "on-failure:-1", "always\x00", "always always"} {
		if p, err := parsePolicy(text); err == nil {
			t.Errorf("%q was taken for %v", text, p)
		}
	}
}

func TestController(t *testing.T) {
	for _, c := range []struct {
		labels map[string]string
		want   string // kind
	}{
		{nil, ""},
		{map[string]string{"com.docker.compose.project": "claw", "autoheal": "true"}, ""},
		{map[string]string{"com.docker.swarm.service.name": "claw_gw"}, "swarm"},
		{map[string]string{"io.kubernetes.pod.name": "claw-0"}, "kubernetes"},
		{map[string]string{"com.hashicorp.nomad.alloc_id": "1"}, "nomad"},
		{map[string]string{"PODMAN_SYSTEMD_UNIT": "container-claw.service"}, "systemd"},
		{map[string]string{"PODMAN_SYSTEMD_UNIT": "openclaw.service"}, ""},
	} {
		if r, ok := controller(c.labels); r.Kind != c.want || ok != (c.want != "") || ok && r.Ask == "" {
			t.Errorf("%v: %+v", c.labels, r)
		}
	}
	if all := starters(map[string]string{"com.docker.compose.project": "claw\x1b[2J", "autoheal": "true"}); len(all) != 2 || strings.Contains(all[0].Name, "\x1b") {
		t.Errorf("%+v", all)
	}
}
