package kubernetes_test

import (
	"context"
	"crypto/rand"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"clawback/forensics/incident"
	"clawback/playbooks/platform"
	"clawback/playbooks/platform/kubernetes"
	"clawback/playbooks/platform/kubernetes/kubefake"
	"clawback/revoke"
	"clawback/revoke/credential"
)

// hurried is a clock on which waiting takes no time.
type hurried struct {
	mu  sync.Mutex
	now time.Time
}

func (h *hurried) Now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *hurried) Sleep(ctx context.Context, d time.Duration) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
	return ctx.Err()
}

func (h *hurried) AfterFunc(time.Duration, func()) func() bool { return func() bool { return true } }

// The cluster's own client reads the fake as it reads a cluster, and reads of what was done what was
// meant: pods that are kept and isolated both ways, and a controller that is set to nothing.
func TestKubectl(t *testing.T) {
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("kubectl is not installed")
		}
		t.Skip("kubectl is not installed")
	}
	clock := &hurried{now: time.Now()}
	p := &place{Fake: kubefake.New(clock, rand.Text()+rand.Text())}
	server := httptest.NewTLSServer(p.Fake)
	defer server.Close()
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	token := filepath.Join(dir, "config") // not among the arguments
	if err := os.WriteFile(token, []byte("apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: c, cluster: {server: "+server.URL+", certificate-authority: "+ca+
		"}}]\nusers: [{name: u, user: {token: "+p.Token+"}}]\ncontexts: [{name: c, context: {cluster: c, user: u, namespace: "+kubefake.Namespace+"}}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, kubectl, args...)
		cmd.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "KUBECONFIG=" + token}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("kubectl %s: %v: %s", strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}

	p.Add("deployments", "openclaw", 2, agent, nil)
	before := run("get", "pods", "-l", "app=openclaw", "-o", "name")
	if len(strings.Fields(before)) != 2 {
		t.Fatalf("there are %q", before)
	}
	env := revoke.Env{HTTP: revoke.NewClient(server.Client().Transport), Now: clock.Now, Sleep: clock.Sleep, Authority: func(context.Context) (revoke.Authority, error) {
		return revoke.Authority{Secret: credential.NewSecret(map[string]string{"value": p.Token})}, nil
	}}
	w, err := kubernetes.New(kubernetes.Agent{Server: server.URL, Namespace: kubefake.Namespace, Selector: map[string]string{"app": "openclaw"}}, env)
	if err != nil {
		t.Fatal(err)
	}
	isolated := func(n int) {
		t.Helper()
		if _, err := w.Isolate(t.Context(), platform.Order{Incident: caseID, Intent: func([]incident.PlatformWas) error { return nil }}); err != nil {
			t.Fatal(err)
		}
		if n := run("get", "deployment", "openclaw", "-o", "jsonpath={.spec.replicas}"); n != "0" {
			t.Errorf("it is scaled to %s", n)
		}
		if pods := run("get", "pods", "-l", "app=openclaw", "-o", "name"); pods != "" {
			t.Errorf("there is %s", pods)
		}
		kept := run("get", "pods", "-l", "clawback-quarantine=inc-20261123-0312", "-o", "name")
		if len(strings.Fields(kept)) != n || !strings.HasPrefix(kept, before) {
			t.Errorf("kept is %s, and there was %s", kept, before)
		}
	}
	isolated(2)
	said := run("describe", "networkpolicy", "clawback-inc-20261123-0312-kept")
	for _, want := range []string{"clawback-quarantine=inc-20261123-0312", "Selected pods are isolated for ingress connectivity", "Selected pods are isolated for egress connectivity"} {
		if !strings.Contains(said, want) {
			t.Errorf("kubectl does not say %q of the policy: %s", want, said)
		}
	}
	pod := strings.TrimPrefix(strings.Fields(before)[0], "pod/")
	p.Say(pod, "agent", "ran exec\n", "began\n")
	p.Put("events", map[string]any{"metadata": map[string]any{"name": "e1"}, "involvedObject": map[string]any{"kind": "Pod", "name": pod}, "message": "Started container agent"})
	for want, got := range map[string]string{
		"ran exec":                run("logs", pod, "-c", "agent", "--limit-bytes=1000"),
		"began":                   run("logs", pod, "-c", "agent", "--previous"),
		"Started container agent": run("get", "events", "--field-selector", "involvedObject.name="+pod, "-o", "jsonpath={.items[*].message}"),
		"":                        run("get", "events", "--field-selector", "involvedObject.name=another", "-o", "jsonpath={.items[*].message}"),
	} {
		if got != want {
			t.Errorf("kubectl reads %q, want %q", got, want)
		}
	}
	if stamped := run("logs", pod, "--timestamps", "-c", "agent"); !strings.HasSuffix(stamped, "Z ran exec") {
		t.Errorf("with its time it reads %q", stamped)
	}
	// Somebody brings it back.
	run("patch", "deployment", "openclaw", "--type", "merge", "-p", `{"spec":{"replicas":3}}`)
	p.intents = nil
	if n := len(strings.Fields(run("get", "pods", "-l", "app=openclaw", "-o", "name"))); n == 0 {
		_ = clock.Sleep(t.Context(), time.Minute)
	}
	if n := len(strings.Fields(run("get", "pods", "-l", "app=openclaw", "-o", "name"))); n != 3 {
		t.Fatalf("%d pods came back", n)
	}
	isolated(5)
}
