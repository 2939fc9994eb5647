package containment

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// outside is a process of the engine's namespaces, as this machine numbers it.
func (d *realDocker) outside() int {
	d.t.Helper()
	top := strings.TrimSpace(string(mustRead(filepath.Join(d.dir, "pid"))))
	children := strings.Fields(string(mustRead(filepath.Join("/proc", top, "task", top, "children"))))
	if len(children) == 0 {
		d.t.Fatal("the engine's namespaces are gone")
	}
	pid, err := strconv.Atoi(children[0])
	if err != nil {
		d.t.Fatal(err)
	}
	return pid
}

// network makes a bridge, and returns what listens on the engine's end of it.
func (d *realDocker) network(name, subnet string) *earshot {
	d.t.Helper()
	end := subnet + ".1"
	d.docker("network", "create", "--driver", "bridge", "--subnet", subnet+".0/24", "--gateway", end, "-o", "com.docker.network.bridge.enable_ip_masquerade=false", name)
	var e *earshot
	if err := there(d.outside(), func() error { e = listenAt(d.t, end); return nil }); err != nil || e == nil {
		d.t.Fatal("nothing listens on "+end, err)
	}
	return e
}

// The agent's containers are taken out of their networks by their engine too, and put back as they were:
// also when the program died in between. Those of others stay where they are.
func TestDockerNetworks(t *testing.T) {
	t.Parallel()
	d := startDocker(t)
	front, back := d.network("front", "10.231.11"), d.network("back", "10.231.12")
	d.runWith("shop-db-1", "talk", []string{front.address}, "--network=front")
	d.runWith("prod-gw-1", "talk", []string{front.address}, "--network=front", "--ip=10.231.11.77", "--network-alias=gateway", "--label=com.docker.compose.service=openclaw-gateway")
	d.docker("network", "connect", "back", "prod-gw-1")
	d.runWith("box", "talk", []string{back.address}, "--network=back", "--label=openclaw.sandbox=1")
	back.talks(t, "box")
	networks := func() string {
		return d.inspect("prod-gw-1", `{{range $n, $e := .NetworkSettings.Networks}}{{$n}} {{end}}{{with .NetworkSettings.Networks.front}}{{.IPAddress}} {{index .Aliases 0}}{{end}}`) +
			"; " + d.inspect("box", `{{range $n, $e := .NetworkSettings.Networks}}{{$n}}{{end}}`)
	}
	const whole = "back front 10.231.11.77 gateway; back"
	if got := networks(); got != whole {
		t.Fatalf("before: %s", got)
	}

	var i Isolated
	d.verb("isolate agent", &i)
	if len(i.Problems) > 0 || strings.Count(strings.Join(i.How, "\n"), "disconnected by docker from the network") != 3 || !strings.Contains(strings.Join(i.How, "\n"), "front, where it was 10.231.11.77") || strings.Count(strings.Join(i.Proof, "\n"), "is in no network, says docker") != 2 {
		t.Errorf("isolate = %+v", i)
	}
	if got := networks(); got != "; " {
		t.Errorf("isolated: %s", got)
	}
	if got := d.inspect("shop-db-1", `{{range $n, $e := .NetworkSettings.Networks}}{{$n}}{{end}}`); got != "front" {
		t.Errorf("the bystander is in %s", got)
	}
	eventually(t, "nothing comes from box while the bystander talks", func() bool {
		before := back.now()
		front.talks(t, "the bystander")
		return back.now() == before
	})
	var desc Description
	d.verb("describe", &desc)
	if got := strings.Join(desc.Walls, "\n"); strings.Count(got, ": disconnected") != 3 {
		t.Errorf("walls: %s", got)
	}

	d.verb("reopen", nil)
	if got := networks(); got != whole {
		t.Errorf("reopened: %s", got)
	}
	before := back.now()[1]
	eventually(t, "box makes new connections", func() bool { return back.now()[1] > before+5 })

	for n := 1; ; n++ {
		died := d.command("exec", "env", "CLAWBACK_TEST_ROLE=isolate agent", "CLAWBACK_TEST_DIES_AT="+strconv.Itoa(n), d.program).Run() != nil
		d.verb("restore", nil)
		if got := networks(); got != whole {
			t.Errorf("after a death at %d: %s", n, got)
		}
		if !died {
			break
		}
	}

	d.verb("freeze", nil) // paused, it is cut off and put back as well
	d.verb("isolate agent", &i)
	if got := networks(); got != "; " {
		t.Errorf("paused and isolated: %s", got)
	}
	d.docker("rm", "-f", "box")
	d.docker("network", "rm", "back")
	d.verb("restore", nil)
	if got := d.inspect("prod-gw-1", `{{range $n, $e := .NetworkSettings.Networks}}{{$n}} {{.IPAddress}}{{end}}`); got != "front 10.231.11.77" {
		t.Errorf("with one network gone: %s", got)
	}
	desc = Description{}
	d.verb("describe", &desc)
	if len(desc.Walls)+len(desc.Changed) > 0 {
		t.Errorf("left: %q, %q", desc.Walls, desc.Changed)
	}
	if _, err := os.Stat(filepath.Join("/proc", strconv.Itoa(d.outside()), "root", changesFile)); err == nil {
		t.Error("the record of changes is still there")
	}
}
