package kubernetes_test

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"clawback/forensics/incident"
	"clawback/playbooks/platform"
	"clawback/playbooks/platform/kubernetes"
	"clawback/playbooks/platform/kubernetes/kubefake"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

const caseID = "INC-20261123-0312"

type obj = map[string]any

var (
	agent = map[string]string{"app": "openclaw", "tier": "agent"}
	other = map[string]string{"app": "shop"}
)

// place is a simulated cluster with an agent in it, and somebody else's shop.
type place struct {
	*kubefake.Fake
	net     *fake.Network
	token   string
	intents [][]incident.PlatformWas
}

func inCluster(t *testing.T, run func(t *testing.T, p *place)) {
	synctest.Test(t, func(t *testing.T) {
		token := rand.Text()
		p := &place{Fake: kubefake.New(fake.Wall{}, token), net: fake.NewNetwork(), token: token}
		p.net.Handle("cluster.test", p.Fake)
		defer func() { _ = p.net.Close() }()
		p.Add("deployments", "shop", 2, other, nil)
		run(t, p)
	})
}

func (p *place) wall(t *testing.T) platform.Wall {
	t.Helper()
	w, err := kubernetes.New(kubernetes.Agent{Server: "https://cluster.test", Namespace: kubefake.Namespace, Selector: map[string]string{"app": "openclaw"}}, p.env())
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (p *place) env() revoke.Env {
	return revoke.Env{HTTP: p.net.Client(), Sleep: fake.Wall{}.Sleep, Now: time.Now, Authority: func(context.Context) (revoke.Authority, error) {
		return revoke.Authority{Kind: "kubernetes.token", From: "test", Secret: credential.NewSecret(map[string]string{"value": p.token})}, nil
	}}
}

func (p *place) order(t *testing.T) platform.Order {
	return platform.Order{Incident: caseID, Intent: func(was []incident.PlatformWas) error {
		if len(p.intents) == 0 && len(p.Changes()) > 0 {
			t.Errorf("changed before it is on record: %v", p.Changes())
		}
		p.intents = append(p.intents, was)
		return nil
	}}
}

func (p *place) recorded() (all []incident.PlatformWas) { return slices.Concat(p.intents...) }

func (p *place) kept() []string {
	return p.Names("pods", "clawback-quarantine", "inc-20261123-0312")
}

// cutOff checks what holds of every isolation: the pods of before are kept and cut off, none was
// deleted, no other comes, and nobody else's were touched.
func (p *place) cutOff(t *testing.T, before []string) {
	t.Helper()
	if kept := p.kept(); !slices.Equal(kept, before) {
		t.Errorf("kept are %v, and there were %v", kept, before)
	}
	time.Sleep(10 * time.Minute)
	for _, pod := range before {
		if slices.Contains(p.Ended(), pod) {
			t.Errorf("pod %s was deleted: its evidence is lost", pod)
		} else if p.Passes(pod) {
			t.Errorf("pod %s is not cut off", pod)
		}
	}
	if again := p.Names("pods", "app", "openclaw"); len(again) > 0 {
		t.Errorf("it came back: %v", again)
	}
	if shop := p.Names("pods", "app", "shop"); len(shop) != 2 || !p.Passes(shop[0]) || p.Field("deployments", "shop", "spec", "replicas") != 2.0 {
		t.Errorf("somebody else's: %v", shop)
	}
}

// Each kind of controller is set to nothing, and is given back as it was; its pods are kept.
func TestIsolateKinds(t *testing.T) {
	for plural, path := range map[string][]string{
		"deployments": {"spec", "replicas"}, "statefulsets": {"spec", "replicas"}, "replicasets": {"spec", "replicas"}, "replicationcontrollers": {"spec", "replicas"},
		"daemonsets": {"spec", "template", "spec", "nodeSelector", "clawback-runs-nowhere"}, "jobs": {"spec", "suspend"}, "cronjobs": {"spec", "suspend"},
	} {
		t.Run(plural, func(t *testing.T) {
			inCluster(t, func(t *testing.T, p *place) {
				p.Lag = 8 * time.Second // longer than between two looks: nothing is deleted that is not let go yet
				p.Add(plural, "openclaw", 2, agent, nil)
				before := p.Names("pods", "app", "openclaw")
				was := p.Field(plural, "openclaw", path...)
				got, err := p.wall(t).Isolate(t.Context(), p.order(t))
				if err != nil {
					t.Fatal(err)
				}
				if len(before) == 0 || len(got.Proof) < 2+len(before) || !strings.Contains(got.Left[0], "plug-in") || !slices.ContainsFunc(got.Left, func(l string) bool { return strings.Contains(l, "liveness probe") }) {
					t.Errorf("before %v, proof %q, left %q", before, got.Proof, got.Left)
				}
				p.cutOff(t, before)
				changes := len(p.Changes())
				if _, err := p.wall(t).Isolate(t.Context(), p.order(t)); err != nil || len(p.Changes()) != changes {
					t.Errorf("again: %v, %v", err, p.Changes()[changes:])
				}

				back, err := p.wall(t).Restore(t.Context(), caseID, p.recorded())
				if err != nil || len(back.Left) > 0 {
					t.Fatalf("Restore: %v, %+v", err, back)
				}
				if now := p.Field(plural, "openclaw", path...); now != was {
					t.Errorf("it is %v, and was %v", now, was)
				}
				time.Sleep(time.Minute)
				pods := p.Names("pods", "app", "openclaw")
				for _, pod := range before {
					if !slices.Contains(pods, pod) || !p.Passes(pod) {
						t.Errorf("%v: pod %s is not as it was", pods, pod)
					}
				}
				if n := len(p.Names("networkpolicies", "", "")); n != 0 || plural != "cronjobs" && len(pods) != len(before) {
					t.Errorf("%d policies, pods %v", n, pods)
				}
			})
		})
	}
}

// What goes wrong in a cluster, and what is said of it.
func TestIsolateTrouble(t *testing.T) {
	for name, c := range map[string]struct {
		fault func(*place)
		fails string
		kept  bool
		left  string
	}{
		"too many requests":    {fault: func(p *place) { p.Throttled = 2 }, kept: true},
		"controllers are slow": {fault: func(p *place) { p.Lag = 14 * time.Second }, kept: true},
		"pods end slowly":      {fault: func(p *place) { p.Grace = 40 * time.Second }, kept: true},
		"somebody meddles": {fault: func(p *place) {
			n := 0
			p.Meddle = func() {
				if n++; n < 4 { // a change in between, of everything
					for _, plural := range []string{"pods", "deployments"} {
						for _, name := range p.Names(plural, "", "") {
							p.Touch(plural, name)
						}
					}
				}
			}
		}, kept: true},
		"it may not relabel": {fault: func(p *place) { p.Denied["patch pods"] = true }, fails: "cannot patch resource"},
		"it may not look":    {fault: func(p *place) { p.Denied["list daemonsets"] = true }, fails: "daemonsets is forbidden"},
		"the token is old":   {fault: func(p *place) { p.token = rand.Text() }, fails: "401"},
		"nobody lets go":     {fault: func(p *place) { p.Lag = time.Hour }, fails: "does not let go of pod"},
		"a way for all": {fault: func(p *place) {
			p.Put("networkpolicies", obj{"metadata": obj{"name": "allow-dns"}, "spec": obj{"podSelector": obj{}, "policyTypes": []any{"Egress"}, "egress": []any{obj{}}}})
		}, fails: "allow-dns lets every pod of the namespace through"},
		"a way for others": {fault: func(p *place) {
			p.Put("networkpolicies", obj{"metadata": obj{"name": "allow-shop"}, "spec": obj{"podSelector": obj{"matchLabels": obj{"app": "shop"}}, "policyTypes": []any{"Egress"}, "egress": []any{obj{}}}})
		}, kept: true},
		"Argo CD":      {fault: func(p *place) { p.Label("deployments", "openclaw", "argocd.argoproj.io/instance", "bots") }, kept: true, left: "Argo CD application bots"},
		"Flux":         {fault: func(p *place) { p.Label("deployments", "openclaw", "helm.toolkit.fluxcd.io/name", "bots") }, kept: true, left: "HelmRelease bots"},
		"host network": {fault: func(p *place) { p.HostNetwork("openclaw") }, kept: true, left: "uses its node's network"},
	} {
		t.Run(name, func(t *testing.T) {
			inCluster(t, func(t *testing.T, p *place) {
				p.Add("deployments", "openclaw", 2, agent, nil)
				before := p.Names("pods", "app", "openclaw")
				c.fault(p)
				got, err := p.wall(t).Isolate(t.Context(), p.order(t))
				if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
					t.Fatalf("%v, want %q", err, c.fails)
				}
				if err != nil && strings.Contains(err.Error(), p.token) {
					t.Error("the error quotes the token")
				}
				if !strings.Contains(strings.Join(got.Left, "\n"), c.left) {
					t.Errorf("left %q, want %q", got.Left, c.left)
				}
				for _, pod := range before {
					if slices.Contains(p.Ended(), pod) {
						t.Errorf("pod %s was deleted", pod)
					}
				}
				if c.kept {
					p.cutOff(t, before)
				}
			})
		})
	}
}

func TestIsolateWithoutRecord(t *testing.T) {
	inCluster(t, func(t *testing.T, p *place) {
		p.Add("deployments", "openclaw", 1, agent, nil)
		lost := errors.New("the disk is full")
		_, err := p.wall(t).Isolate(t.Context(), platform.Order{Incident: caseID, Intent: func([]incident.PlatformWas) error { return lost }})
		if !errors.Is(err, lost) || len(p.Changes()) > 0 {
			t.Errorf("%v, %v", err, p.Changes())
		}
		env := p.env()
		env.HTTP = revoke.NewClient(revoke.Refuse{})
		dry, err := kubernetes.New(kubernetes.Agent{Server: "https://cluster.test", Namespace: "agents", Selector: agent}, env)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := dry.Isolate(t.Context(), p.order(t)); err == nil || !strings.Contains(err.Error(), "dry run") || len(p.intents) > 0 {
			t.Errorf("%v, %v", err, p.intents)
		}
	})
}

func TestCheck(t *testing.T) {
	for says, a := range map[string]kubernetes.Agent{
		"":                     {Server: "https://10.0.0.1:6443", Namespace: "agents", Selector: agent},
		"server: want https":   {Server: "http://10.0.0.1:6443", Namespace: "agents", Selector: agent},
		"namespace \"../x\"":   {Server: "https://10.0.0.1:6443", Namespace: "../x", Selector: agent},
		"selector is missing":  {Server: "https://10.0.0.1:6443", Namespace: "agents"},
		"label of clawback's ": {Server: "https://10.0.0.1:6443", Namespace: "agents", Selector: map[string]string{"clawback-quarantine": "x"}},
	} {
		if err := a.Check(); (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, want %q", a, err, says)
		}
	}
	for text, ok := range map[string]bool{"app=openclaw": true, "a.test/app=x,tier=agent": true, "": false, "app": false, "app!=x": false, "app in (a)": false, "app=": false, "app=x,": false, "app=x&limit=1": false} {
		if _, err := kubernetes.ParseSelector(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// What is taken for a selector selects by labels alone: it cannot be read as another query.
func FuzzParseSelector(f *testing.F) {
	f.Add("app=openclaw,tier=agent")
	f.Add("a.test/app=x&limit=1")
	f.Fuzz(func(t *testing.T, text string) {
		labels, err := kubernetes.ParseSelector(text)
		if err != nil {
			return
		}
		if len(labels) == 0 {
			t.Errorf("%q selects everything", text)
		}
		for key, value := range labels {
			if key == "" || value == "" || strings.ContainsAny(key+value, "&?#,= \x00") {
				t.Errorf("%q: %q=%q", text, key, value)
			}
		}
	})
}
