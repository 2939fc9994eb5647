package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"clawback/forensics/incident"
	"clawback/revoke/credential"
)

// drill runs a drill by itself, and checks what every run has to keep to.
func (d *desk) drill(args ...string) ended {
	d.t.Helper()
	r := d.run(d.command(append([]string{"drill", "--auto", "--json", "--speed", drillSpeed}, args...)...))
	r.check(d.t)
	return r
}

// quick checks what the drill says of the sweep's time, and returns nothing where it says nothing.
func quick(t *testing.T, r ended) {
	t.Helper()
	said := regexp.MustCompile(`sweep: (\S+) from the first request .* ([0-9.]+) times the slowest single`).FindSubmatch(r.stderr)
	if said == nil {
		t.Fatalf("it does not say how long the sweep took\n%s", r.stderr)
	}
	if ratio, err := strconv.ParseFloat(string(said[2]), 64); err != nil || ratio > 1.1 || ratio < 1 {
		t.Errorf("the sweep took %s, %s times the slowest chain", said[1], said[2])
	}
}

// The drill proves all 20 dead, opens no socket, and leaves what is not its own alone.
func TestRealDrill(t *testing.T) {
	t.Parallel()
	strace := needsProgram(t, "strace")
	d := newDesk(t)
	decoy := startDecoy(t)
	trace := filepath.Join(d.dir, "trace")
	cmd := d.command("-f", "-qq", "-o", trace, "-e", "trace=%network,execve", d.bin, "drill", "--auto", "--json", "--speed", drillSpeed, "--seed", "7")
	cmd.Path, cmd.Args[0] = strace, "strace"
	r := d.run(cmd)
	r.check(t)
	r.wants(t, incident.ExitContained, "DRILL")
	if want := (incident.CredentialCount{Total: 20, Dead: 20}); r.summary.Credentials != want || r.summary.Mode != incident.Drill {
		t.Errorf("%+v", r.summary)
	}
	quick(t, r)
	leftAlone(t, decoy)
	calls, err := os.ReadFile(trace)
	if err != nil || bytes.Count(calls, []byte("execve(")) < 2 {
		t.Fatalf("the desk and its agent were not traced: %v", err)
	}
	for _, line := range strings.Split(string(calls), "\n") {
		// "???(" is a process that was killed before strace could look.
		if strings.Contains(line, "(") && !strings.Contains(line, "execve") && !strings.Contains(line, "???(") {
			t.Errorf("a drill opens no socket: %s", line)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(d.dir, "tmp", "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A provider that never answers leaves its own credentials unproved, and delays nobody.
func TestRealDrillProviderHangs(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	r := d.drill("provider-hangs", "--seed", "8")
	r.wants(t, incident.ExitUnproved)
	for _, c := range r.state.Credentials {
		want := credential.Dead
		if c.Provider == "slack" {
			want = credential.Unverified
		}
		if c.Life != want {
			t.Errorf("%s is %s, want %s", c, c.Life, want)
		}
	}
	if n := len(r.state.Credentials); n != 20 {
		t.Errorf("%d credentials, want 20", n)
	}
	quick(t, r)
}

// A newer agent keeps what it holds in databases: all that the world issued is found there and dies;
// what nobody can prove stays unproved, by hand.
func TestRealDrillNewStorage(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for _, seed := range []string{"1", "2"} { // with transcripts in files, and in databases
		r := d.drill("new-storage", "--seed", seed)
		r.wants(t, incident.ExitUnproved)
		dead, gateway, inDatabase := 0, 0, false
		for _, c := range r.state.Credentials {
			for _, at := range c.Sources {
				inDatabase = inDatabase || strings.HasSuffix(at.Path, ".sqlite")
			}
			_, known := credential.Lookup(c.Kind)
			switch {
			case slices.Contains([]string{"github", "aws", "slack", "stripe"}, c.Provider):
				dead++
				if c.Life != credential.Dead || !known {
					t.Errorf("seed %s: %s is %s", seed, c, c.Life)
				}
			case slices.Contains([]string{"openclaw.gateway", "openclaw.hook", "openclaw.paired"}, c.Kind):
				gateway++
				if c.Life != credential.Dead { // with the gateway, which is down
					t.Errorf("seed %s: %s is %s", seed, c, c.Life)
				}
			default:
				if c.Life != credential.Unverified {
					t.Errorf("seed %s: %s is %s", seed, c, c.Life)
				}
			}
		}
		if dead != 10 || gateway == 0 || !inDatabase {
			t.Errorf("seed %s: %d dead, %d with the gateway, one in a database: %v", seed, dead, gateway, inDatabase)
		}
	}
}

// What a drill cannot do it refuses, with what to do instead.
func TestRealDrillUsage(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	r := d.run(d.command("drill", "--auto", "--speed", "0.01"))
	r.wants(t, incident.ExitUsage, "--speed has to lie between")
	r = d.run(d.command("drill", "--json"))
	r.wants(t, incident.ExitUsage, "hint: add --auto")
	r = d.run(d.command("drill"))
	r.wants(t, incident.ExitUsage, "clawback drill --auto")
	r = d.run(d.command("drill", "--auto", "no-such"))
	r.wants(t, incident.ExitUsage, "provider-hangs")
}
