package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"clawback/forensics/incident"
	"clawback/playbooks/platform/cloud/ec2fake"
	"clawback/playbooks/platform/kubernetes/kubefake"
	"clawback/revoke/fake"
)

// amazon is AWS as the desk of a test reaches it: a region of EC2, and the rest of its city's AWS.
type amazon struct {
	*ec2fake.Fake
	url                      string
	subnet, instance, group  string
	onRestore                func() // before a subnet has its network ACL back
	wired                    atomic.Bool
	outsider, opened, tapped ec2fake.Packet
}

func (m *remote) amazon(t *testing.T) *amazon {
	t.Helper()
	env := func(name string) string {
		for _, pair := range m.env {
			if value, ok := strings.CutPrefix(pair, name+"="); ok {
				return value
			}
		}
		return ""
	}
	a := &amazon{Fake: ec2fake.New(fake.Wall{}, env("TEST_AWS_ACCESS_KEY_ID"), env("TEST_AWS_SECRET_ACCESS_KEY")),
		outsider: ec2fake.Packet{Far: "198.51.100.9", Local: 22, Remote: 50000},
		opened:   ec2fake.Packet{Out: true, Far: "198.51.100.9", Local: 40000, Remote: 443, Tracked: true},
		tapped:   ec2fake.Packet{Far: deskAddr, Local: 22, Remote: 50000}}
	a.subnet, a.group = a.AddSubnet(), a.AddGroup("web", 22)
	a.instance = a.AddInstance(a.subnet, 2, a.group)
	inNetwork(t, m.deskPID, func() {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
			r.Body = io.NopCloser(bytes.NewReader(body))
			form, _ := url.ParseQuery(string(body))
			if form.Get("Version") != "2016-11-15" {
				m.city.fakes["aws"].ServeHTTP(w, r)
				return
			}
			if form.Get("Action") == "ReplaceNetworkAclAssociation" && a.onRestore != nil {
				a.onRestore()
			}
			a.ServeHTTP(w, r)
		}))
		t.Cleanup(server.Close)
		a.url = server.URL
	})
	config, err := os.OpenFile(m.config(), os.O_APPEND|os.O_WRONLY, 0)
	m.must(t, err)
	_, err = fmt.Fprintf(config, "isolation:\n  cloud: [{host: web-1, from: [%s], aws: {instance: %s, region: %s}}]\n", deskAddr, a.instance, ec2fake.Region)
	m.must(t, err)
	m.must(t, config.Close())
	return a
}

// pods is a cluster in which the agent runs as well.
func (m *remote) pods(t *testing.T) *kubefake.Fake {
	t.Helper()
	f := kubefake.New(fake.Wall{}, rand.Text())
	f.Lag, f.Grace = 100*time.Millisecond, time.Second
	f.Add("deployments", "openclaw", 2, map[string]string{"app": "openclaw"}, nil)
	m.env = append(m.env, "TEST_CLUSTER="+f.Token)
	var server *httptest.Server
	inNetwork(t, m.deskPID, func() { server = httptest.NewServer(f) })
	t.Cleanup(server.Close)
	config, err := os.OpenFile(m.config(), os.O_APPEND|os.O_WRONLY, 0)
	m.must(t, err)
	_, err = fmt.Fprintf(config, "  kubernetes: [{host: web-1, server: %s, token: {env: TEST_CLUSTER}, namespace: %s, selector: app=openclaw}]\n", server.URL, kubefake.Namespace)
	m.must(t, err)
	m.must(t, config.Close())
	return f
}

// A machine is cut off at its cloud, its disks are copied there, and a false alarm gives all of it back
// although the machine cannot be reached before.
func TestRealRemoteCloud(t *testing.T) {
	t.Parallel()
	m := startRemote(t, buildPrograms(t))
	a := m.amazon(t)
	pods := m.pods(t)
	endpoint := []string{"--endpoint", "aws=" + a.url}

	ran := pods.Names("pods", "app", "openclaw")[0]
	pods.Say(ran, "agent", "exec: curl attacker.example\n", "")

	dry := m.run(m.atDesk(append([]string{"kill", "--dry-run", "--host", "root@web-1", "--config", m.config()}, endpoint...)...))
	dry.wants(t, 0, "Cut it off at its cloud", a.instance+" in "+ec2fake.Region+": put every network interface", "a snapshot of each of its disks", "put the pods under a NetworkPolicy", "copy the logs", "nothing was sent")
	if calls := a.Calls(); len(calls) > 0 {
		t.Errorf("a dry run asked for %v", calls)
	}

	r := m.start(m.killRemote(endpoint...)).wait()
	r.check(t)
	r.wants(t, incident.ExitContained, "isolated", "snap-", "kept", "a second connection logged in")
	if a.Passes(a.instance, a.outsider) || a.Passes(a.instance, a.opened) || !a.Passes(a.instance, a.tapped) {
		t.Error("it is not cut off, or the desk is")
	}
	if _, _, snapshots := a.Things(); snapshots != 2 {
		t.Errorf("%d snapshots", snapshots)
	}
	if kept := pods.Names("pods", "clawback-quarantine", strings.ToLower(filepath.Base(m.incidents()[0]))); len(kept) != 2 || pods.Passes(kept[0]) || len(pods.Names("pods", "app", "openclaw")) > 0 {
		t.Errorf("kept in the cluster: %v, passes %v", kept, pods.Ended())
	}
	log, err := m.try("desk", "sh", "-c", "cd \"$0\" && zstd -dc evidence/pods.tar.zst | tar -xO --wildcards '*/data/pods/*/agent.log'", m.incidents()[0])
	if err != nil || !strings.Contains(log, "Z exec: curl attacker.example") {
		t.Errorf("what the pod said is not kept: %v, %q", err, log)
	}
	report := r.reportText(t)
	for _, says := range []string{"Outside of the machine", "no pod has app=openclaw", "`openclaw` had `replicas=2`", "had `" + a.group + "`", "DescribeNetworkAcls: subnet", "names are still resolved", "The platform calls it whole."} {
		if !strings.Contains(report, says) {
			t.Errorf("the report does not say %q", says)
		}
	}

	// The cloud's walls stand in the desk's way too: nobody reaches the machine before they are gone.
	m.wire("down")
	a.onRestore = func() {
		if _, err := m.try("desk", "ip", "link", "set", "wire", "up"); err == nil {
			a.wired.Store(true)
		}
	}
	id := filepath.Base(m.incidents()[0])
	seen := m.letGo("restore root@web-2\n", "restore", id, "--why", "a false alarm", endpoint[0], endpoint[1])
	seen.wants(t, incident.ExitUsage)
	seen = m.letGo("restore root@web-2\n", "restore", id, "--why", "a false alarm")
	seen.wants(t, incident.ExitApproval, "interface eni-", a.group, "Type  restore root@web-1")
	if a.Passes(a.instance, a.outsider) || a.wired.Load() {
		t.Error("it was opened by a wrong word")
	}
	back := m.letGo("restore root@web-1\n", "restore", id, "--why", "a false alarm")
	back.wants(t, 0, "reopened", "restored")
	if !a.wired.Load() || !a.Passes(a.instance, a.outsider) || !m.reaches() || a.Groups(a.instance)[0][0] != a.group {
		t.Errorf("not all is as it was: %v", a.Groups(a.instance))
	}
	if pods.Field("deployments", "openclaw", "spec", "replicas") != 2.0 || len(pods.Names("networkpolicies", "", "")) > 0 {
		t.Error("the cluster is not as it was")
	}
	if s := m.record(); len(s.Platforms) != 2 || s.Platforms[0].Open() || s.Platforms[1].Open() {
		t.Errorf("on record: %+v", s.Platforms)
	}
	m.letGone(t, incident.Restore, "Opened again")
}
