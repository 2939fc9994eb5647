package kubernetes

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// object is what is read of anything in a cluster: metadata and the part of spec that says how much of
// it runs.
type object struct {
	Metadata metadata `json:"metadata"`
	Spec     struct {
		Replicas    *int64    `json:"replicas"`
		Suspend     *bool     `json:"suspend"`
		Template    *template `json:"template"`
		JobTemplate *struct {
			Spec struct {
				Template template `json:"template"`
			} `json:"spec"`
		} `json:"jobTemplate"`

		HostNetwork bool `json:"hostNetwork"`
		Containers  []struct {
			LivenessProbe *struct{} `json:"livenessProbe"`
		} `json:"containers"`

		PodSelector struct {
			MatchLabels      map[string]string `json:"matchLabels"`
			MatchExpressions []struct {
				Key      string   `json:"key"`
				Operator string   `json:"operator"`
				Values   []string `json:"values"`
			} `json:"matchExpressions"`
		} `json:"podSelector"`
		PolicyTypes []string   `json:"policyTypes"`
		Ingress     []struct{} `json:"ingress"`
		Egress      []struct{} `json:"egress"`
	} `json:"spec"`
	Status struct {
		CompletionTime string `json:"completionTime"`
	} `json:"status"`
}

type metadata struct {
	Name        string            `json:"name"`
	UID         string            `json:"uid"`
	Version     string            `json:"resourceVersion"`
	Deleted     string            `json:"deletionTimestamp"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	Owners      []ownerReference  `json:"ownerReferences"`
}

type ownerReference struct {
	Kind       string `json:"kind"`
	Name       string `json:"name"`
	Controller bool   `json:"controller"`
}

func (o *ownerReference) String() string { return o.Kind + " " + o.Name }

type template struct {
	Metadata struct {
		Labels map[string]string `json:"labels"`
	} `json:"metadata"`
	Spec struct {
		NodeSelector map[string]string `json:"nodeSelector"`
	} `json:"spec"`
}

// controller is what would delete or replace it; nil for nothing.
func (o object) controller() *ownerReference {
	for i, by := range o.Metadata.Owners {
		if by.Controller {
			return &o.Metadata.Owners[i]
		}
	}
	return nil
}

func (o object) labels() (terms []string) {
	for _, key := range slices.Sorted(maps.Keys(o.Metadata.Labels)) {
		terms = append(terms, key+"="+o.Metadata.Labels[key])
	}
	return terms
}

// owner is a controller whose pods are the agent's.
type owner struct {
	kind, group, plural string
	object
}

// kind is a kind of controller, and how it is set to nothing and back. A HorizontalPodAutoscaler leaves
// alone what stands at 0:
// https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#implicit-maintenance-mode-deactivation
type kind struct{ name, group, plural, field string }

var kinds = []kind{
	{"CronJob", "/apis/batch/v1", "cronjobs", "suspend"}, // before its Jobs
	{"Job", "/apis/batch/v1", "jobs", "suspend"},
	{"Deployment", "/apis/apps/v1", "deployments", "replicas"}, // before its ReplicaSets
	{"StatefulSet", "/apis/apps/v1", "statefulsets", "replicas"},
	{"ReplicaSet", "/apis/apps/v1", "replicasets", "replicas"},
	{"ReplicationController", "/api/v1", "replicationcontrollers", "replicas"},
	{"DaemonSet", "/apis/apps/v1", "daemonsets", "nodes"},
}

func (k kind) back(was string) (map[string]any, error) {
	field, value, _ := strings.Cut(was, "=")
	switch {
	case field != k.field:
	case field == "replicas":
		if n, err := strconv.ParseInt(value, 10, 32); err == nil && n >= 0 {
			return map[string]any{"spec": map[string]any{"replicas": n}}, nil
		}
	case field == "suspend" && value == "false":
		return map[string]any{"spec": map[string]any{"suspend": false}}, nil
	case field == "nodes" && value == "as selected":
		return nodeSelector(nil), nil
	}
	return nil, fmt.Errorf("kubernetes: %q is no state of a %s that can be given back", was, k.name)
}

func nodeSelector(value any) map[string]any {
	return map[string]any{"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"nodeSelector": map[string]any{nowhere: value}}}}}
}

// was is how much of it runs, in words that back reads.
func (o owner) was() string {
	switch o.field() {
	case "suspend":
		return "suspend=" + strconv.FormatBool(o.Spec.Suspend != nil && *o.Spec.Suspend)
	case "replicas":
		return "replicas=" + number(o.Spec.Replicas)
	}
	if o.Spec.Template != nil && o.Spec.Template.Spec.NodeSelector[nowhere] != "" {
		return "nodes=none"
	}
	return "nodes=as selected"
}

func (o owner) field() string {
	for _, k := range kinds {
		if k.name == o.kind {
			return k.field
		}
	}
	return ""
}

// runs reports whether it can bring pods back.
func (o owner) runs() bool {
	return !slices.Contains([]string{"suspend=true", "replicas=0", "nodes=none"}, o.was()) && o.Status.CompletionTime == ""
}

// nothing is the change that sets it to nothing.
func (o owner) nothing(inc string) map[string]any {
	switch o.field() {
	case "suspend":
		return map[string]any{"spec": map[string]any{"suspend": true}}
	case "replicas":
		return map[string]any{"spec": map[string]any{"replicas": 0}}
	}
	return nodeSelector(label(inc))
}

// label is an incident as a label or a name can hold it.
func label(inc string) string {
	text := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '-'
	}, strings.ToLower(inc))
	return strings.Trim(text[:min(len(text), 50)], "-")
}

// policy is a NetworkPolicy that selects pods and lets nothing through:
// https://kubernetes.io/docs/concepts/services-networking/network-policies/#default-deny-all-ingress-and-all-egress-traffic
type policy struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name   string            `json:"name"`
		Labels map[string]string `json:"labels"`
	} `json:"metadata"`
	Spec struct {
		PodSelector struct {
			MatchLabels map[string]string `json:"matchLabels"`
		} `json:"podSelector"`
		PolicyTypes []string `json:"policyTypes"`
	} `json:"spec"`
}

// policies are the two of an incident: for the pods that are kept, and for whatever comes instead.
func (c *cluster) policies(inc string) []policy {
	made := make([]policy, 2)
	for i, selects := range []map[string]string{{quarantine: label(inc)}, c.Selector} {
		p := &made[i]
		p.APIVersion, p.Kind = "networking.k8s.io/v1", "NetworkPolicy"
		p.Metadata.Name = "clawback-" + label(inc) + []string{"-kept", "-agent"}[i]
		p.Metadata.Labels = map[string]string{"clawback-incident": label(inc)}
		p.Spec.PodSelector.MatchLabels, p.Spec.PolicyTypes = selects, []string{"Ingress", "Egress"}
	}
	return made
}

// standing is what the cluster says of the agent.
type standing struct {
	pods     []object // the agent's
	kept     []object // taken out for this incident
	owners   []owner  // that bring such pods back, or did
	policies []object
}

// look asks for all of it. It changes nothing.
func (c *cluster) look(ctx context.Context, inc string) (st standing, err error) {
	if st.pods, err = c.list(ctx, "/api/v1", "pods", c.selector()); err != nil {
		return st, err
	}
	if st.kept, err = c.list(ctx, "/api/v1", "pods", quarantine+"="+label(inc)); err != nil {
		return st, err
	}
	if st.policies, err = c.list(ctx, "/apis/networking.k8s.io/v1", "networkpolicies", ""); err != nil {
		return st, err
	}
	for _, k := range kinds {
		all, err := c.list(ctx, k.group, k.plural, "")
		if err != nil {
			return st, err
		}
		for _, o := range all {
			if c.makesAgents(o) {
				st.owners = append(st.owners, owner{k.name, k.group, k.plural, o})
			}
		}
	}
	return st, nil
}

// makesAgents reports whether the pods that a controller makes have the agent's labels.
func (c *cluster) makesAgents(o object) bool {
	var labels map[string]string
	switch {
	case o.Spec.JobTemplate != nil:
		labels = o.Spec.JobTemplate.Spec.Template.Metadata.Labels
	case o.Spec.Template != nil:
		labels = o.Spec.Template.Metadata.Labels
	}
	for key, value := range c.Selector {
		if labels[key] != value {
			return false
		}
	}
	return true
}

// up are the controllers that can bring pods back, and that no other of them steers.
func (st standing) up() (up []owner) {
	for _, o := range st.owners {
		by := o.controller()
		steered := by != nil && slices.ContainsFunc(st.owners, func(other owner) bool { return other.kind == by.Kind && other.Metadata.Name == by.Name })
		if o.runs() && (!steered || o.kind == "Job") {
			up = append(up, o)
		}
	}
	return up
}

// policiesLacking are those of the incident that are not there as they should be.
func (st standing) policiesLacking(c *cluster, inc string) (lacks []policy) {
	for _, want := range c.policies(inc) {
		if !slices.ContainsFunc(st.policies, func(is object) bool {
			return is.Metadata.Name == want.Metadata.Name && maps.Equal(is.Spec.PodSelector.MatchLabels, want.Spec.PodSelector.MatchLabels) && len(is.Spec.PodSelector.MatchExpressions) == 0 &&
				len(is.Spec.Ingress) == 0 && len(is.Spec.Egress) == 0 && slices.Contains(is.Spec.PolicyTypes, "Ingress") && slices.Contains(is.Spec.PolicyTypes, "Egress")
		}) {
			lacks = append(lacks, want)
		}
	}
	return lacks
}

// opened are the policies of others that let a kept pod through: rules add up.
func (st standing) opened() (names []string) {
	for _, p := range st.policies {
		if len(p.Spec.Ingress)+len(p.Spec.Egress) == 0 || len(p.Spec.PodSelector.MatchLabels) > 0 {
			continue
		}
		selects := true // kept pods have the label of the quarantine alone
		for _, e := range p.Spec.PodSelector.MatchExpressions {
			switch e.Operator {
			case "In":
				selects = false
			case "Exists":
				selects = selects && e.Key == quarantine
			case "DoesNotExist":
				selects = selects && e.Key != quarantine
			}
		}
		if selects {
			names = append(names, p.Metadata.Name)
		}
	}
	return names
}

// left is what goes on in spite of it, and whom to ask.
func (st standing) left() (left []string) {
	left = append(left, "whether the cluster's network plug-in enforces NetworkPolicies its API does not say: see which one it is, and try from a kept pod")
	for _, p := range st.kept {
		if p.Spec.HostNetwork {
			left = append(left, "pod "+p.Metadata.Name+" uses its node's network, to which no NetworkPolicy applies: cut off the node")
		}
		for _, in := range p.Spec.Containers {
			if in.LivenessProbe != nil {
				left = append(left, "pod "+p.Metadata.Name+" has a liveness probe: its kubelet starts a container anew that does not answer, frozen ones too")
				break
			}
		}
	}
	for _, o := range st.owners {
		if by := o.controller(); by != nil && !slices.ContainsFunc(kinds, func(k kind) bool { return k.name == by.Kind }) {
			left = append(left, fmt.Sprintf("%s %s belongs to %s, which may set it back: ask whoever runs that", o.kind, o.Metadata.Name, by))
		}
		if who := o.deployedBy(); who != "" {
			left = append(left, fmt.Sprintf("%s %s is deployed by %s, which may set it back: have it paused there", o.kind, o.Metadata.Name, who))
		}
	}
	return left
}

// deployedBy is what keeps an object as it stands in a repository, by its own labels:
// https://argo-cd.readthedocs.io/en/stable/user-guide/resource_tracking/,
// https://fluxcd.io/flux/components/kustomize/kustomizations/ and …/helm/helmreleases/
func (o object) deployedBy() string {
	for _, by := range [][2]string{
		{"argocd.argoproj.io/instance", "Argo CD application"}, {"kustomize.toolkit.fluxcd.io/name", "the Flux Kustomization"},
		{"helm.toolkit.fluxcd.io/name", "the Flux HelmRelease"},
	} {
		if name := o.Metadata.Labels[by[0]]; name != "" {
			return by[1] + " " + name
		}
	}
	if id, _, ok := strings.Cut(o.Metadata.Annotations["argocd.argoproj.io/tracking-id"], ":"); ok {
		return "Argo CD application " + id
	}
	return ""
}
