package peers

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"

	"clawback/forensics/incident"
	"clawback/playbooks/platform"
	"clawback/playbooks/platform/kubernetes"
	"clawback/playbooks/platform/kubernetes/kubefake"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// typed holds each exchange with a cluster against Kubernetes' own types: no field of what is sent or
// answered is unknown to them, or of another type.
type typed struct {
	t    *testing.T
	next http.RoundTripper
	seen map[string]bool
}

var kinds = map[string][2]func() any{ // an object, a list
	"pods":                   {func() any { return new(core.Pod) }, func() any { return new(core.PodList) }},
	"replicationcontrollers": {func() any { return new(core.ReplicationController) }, func() any { return new(core.ReplicationControllerList) }},
	"deployments":            {func() any { return new(apps.Deployment) }, func() any { return new(apps.DeploymentList) }},
	"replicasets":            {func() any { return new(apps.ReplicaSet) }, func() any { return new(apps.ReplicaSetList) }},
	"statefulsets":           {func() any { return new(apps.StatefulSet) }, func() any { return new(apps.StatefulSetList) }},
	"daemonsets":             {func() any { return new(apps.DaemonSet) }, func() any { return new(apps.DaemonSetList) }},
	"jobs":                   {func() any { return new(batch.Job) }, func() any { return new(batch.JobList) }},
	"cronjobs":               {func() any { return new(batch.CronJob) }, func() any { return new(batch.CronJobList) }},
	"networkpolicies":        {func() any { return new(networking.NetworkPolicy) }, func() any { return new(networking.NetworkPolicyList) }},
}

func (c *typed) RoundTrip(r *http.Request) (*http.Response, error) {
	_, rest, _ := strings.Cut(r.URL.Path, "/namespaces/"+kubefake.Namespace+"/")
	plural, one, _ := strings.Cut(rest, "/")
	as := kinds[plural]
	if as[0] == nil {
		c.t.Errorf("%s %s is nothing that is known here", r.Method, r.URL.Path)
		return c.next.RoundTrip(r)
	}
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		c.strict(r.Method+" "+plural, body, as[0]())
	}
	resp, err := c.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(bytes.NewReader(answer))
	if err == nil && resp.StatusCode/100 == 2 {
		into := as[0]()
		if r.Method == http.MethodGet && one == "" {
			into = as[1]()
		}
		c.strict("the answer to "+r.Method+" "+plural, answer, into)
	}
	c.seen[r.Method+" "+plural] = true
	return resp, err
}

func (c *typed) strict(what string, text []byte, into any) {
	if len(text) == 0 {
		return
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		c.t.Errorf("%s: %v: %s", what, err, text)
	}
}

func TestKubernetesTypes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := kubefake.New(fake.Wall{}, rand.Text())
		net := fake.NewNetwork()
		net.Handle("cluster.test", f)
		defer net.Close()
		for plural := range kinds {
			if plural != "pods" && plural != "networkpolicies" {
				f.Add(plural, "openclaw-"+plural, 1, map[string]string{"app": "openclaw", "of": plural}, nil)
			}
		}
		c := &typed{t: t, next: net.Transport(), seen: make(map[string]bool)}
		env := revoke.Env{HTTP: revoke.NewClient(c), Sleep: fake.Wall{}.Sleep, Now: time.Now, Authority: func(context.Context) (revoke.Authority, error) {
			return revoke.Authority{Secret: credential.NewSecret(map[string]string{"value": f.Token})}, nil
		}}
		w, err := kubernetes.New(kubernetes.Agent{Server: "https://cluster.test", Namespace: kubefake.Namespace, Selector: map[string]string{"app": "openclaw"}}, env)
		if err != nil {
			t.Fatal(err)
		}
		var was []incident.PlatformWas
		if _, err := w.Isolate(t.Context(), platform.Order{Incident: "INC-1", Intent: func(w []incident.PlatformWas) error { was = append(was, w...); return nil }}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Restore(t.Context(), "INC-1", was); err != nil {
			t.Fatal(err)
		}
		for plural := range kinds {
			if !c.seen["GET "+plural] || plural != "networkpolicies" && plural != "replicasets" && !c.seen["PATCH "+plural] {
				t.Errorf("%s was not seen: %v", plural, c.seen)
			}
		}
		if !c.seen["POST networkpolicies"] || !c.seen["DELETE networkpolicies"] {
			t.Error("no policy was seen")
		}
	})
}
