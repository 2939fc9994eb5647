package kubefake

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"clawback/revoke/fake"
)

// reconcile is what the controllers have done by now.
func (f *Fake) reconcile() {
	now := f.clock.Now()
	for _, p := range f.of("pods") {
		if end, ok := f.due["end "+name(p)]; ok && !now.Before(end) {
			delete(f.all, key("pods", name(p)))
			f.ended = append(f.ended, name(p))
		}
	}
	for _, d := range f.of("deployments") {
		rs := f.all[key("replicasets", name(d)+"-5d59d67564")]
		if rs == nil {
			rs = f.put("replicasets", obj{"metadata": obj{"name": name(d) + "-5d59d67564", "ownerReferences": owned(d)}, "spec": clone(d["spec"].(obj))}, nil)
		}
		if want := d["spec"].(obj)["replicas"]; rs["spec"].(obj)["replicas"] != want && f.after("scale "+name(d), now) {
			rs["spec"].(obj)["replicas"] = want
			f.touch(rs)
		}
	}
	for _, c := range f.of("cronjobs") {
		if c["spec"].(obj)["suspend"] != true && f.every("cron "+name(c), now) {
			spec := clone(c["spec"].(obj)["jobTemplate"].(obj)["spec"].(obj))
			spec["suspend"], spec["selector"] = false, obj{"matchLabels": clone(spec["template"].(obj)["metadata"].(obj)["labels"].(obj))}
			f.put("jobs", obj{"metadata": obj{"name": fmt.Sprintf("%s-%d", name(c), now.Unix()), "ownerReferences": owned(c)}, "spec": spec}, nil)
		}
	}
	for _, plural := range []string{"replicasets", "statefulsets", "daemonsets", "replicationcontrollers", "jobs"} {
		for _, o := range f.of(plural) {
			f.steer(o, wanted(plural, o), now)
		}
	}
}

func clone(o obj) obj {
	c := obj{}
	merge(c, o)
	return c
}

func owned(by obj) []any {
	return []any{obj{"apiVersion": by["apiVersion"], "kind": by["kind"], "name": name(by), "uid": by["metadata"].(obj)["uid"], "controller": true}}
}

func wanted(plural string, o obj) int {
	spec := o["spec"].(obj)
	switch plural {
	case "jobs":
		if spec["suspend"] == true {
			return 0
		}
		return 1
	case "daemonsets":
		if s, _ := spec["template"].(obj)["spec"].(obj)["nodeSelector"].(obj); len(s) > 0 {
			return 0 // no node has it
		}
		return 1
	}
	n, _ := spec["replicas"].(float64)
	return int(n)
}

// after reports whether something stood for as long as a controller takes to see it.
func (f *Fake) after(what string, now time.Time) bool {
	at, ok := f.due[what]
	if !ok {
		f.due[what] = now.Add(f.Lag)
		return f.Lag == 0
	}
	if now.Before(at) {
		return false
	}
	delete(f.due, what)
	return true
}

func (f *Fake) every(what string, now time.Time) bool {
	if at, ok := f.due[what]; ok && now.Before(at) {
		return false
	}
	f.due[what] = now.Add(time.Minute)
	return true
}

// steer makes a controller's pods as many as it wants. It sees changed labels late, as it does in a
// cluster: until then a pod is its own, and deleted with the others.
func (f *Fake) steer(by obj, want int, now time.Time) {
	selector := by["spec"].(obj)["selector"].(obj)
	labels, ok := selector["matchLabels"].(obj)
	if !ok {
		labels = selector
	}
	uid := by["metadata"].(obj)["uid"]
	var mine []obj
	for _, p := range f.of("pods") {
		m := p["metadata"].(obj)
		owners, _ := m["ownerReferences"].([]any)
		fits := matches(labels, labelsOf(p))
		switch {
		case m["deletionTimestamp"] != nil:
		case len(owners) == 0 && fits:
			m["ownerReferences"] = owned(by)
			f.touch(p)
			mine = append(mine, p)
		case len(owners) > 0 && owners[0].(obj)["uid"] == uid && !fits && f.after("release "+name(p), now):
			delete(m, "ownerReferences")
			f.touch(p)
		case len(owners) > 0 && owners[0].(obj)["uid"] == uid:
			mine = append(mine, p)
		}
	}
	slices.SortFunc(mine, func(a, b obj) int { return strings.Compare(name(a), name(b)) })
	for len(mine) > want { // the newest first
		p := mine[len(mine)-1]
		mine = mine[:len(mine)-1]
		p["metadata"].(obj)["deletionTimestamp"] = now.UTC().Format(time.RFC3339)
		f.touch(p)
		f.due["end "+name(p)] = now.Add(f.Grace)
	}
	for len(mine) < want {
		template := clone(by["spec"].(obj)["template"].(obj))
		f.serial++
		p := obj{"metadata": obj{"name": fmt.Sprintf("%s-%05d", name(by), f.serial), "labels": maps.Clone(template["metadata"].(obj)["labels"].(obj)), "ownerReferences": owned(by)}, "spec": template["spec"]}
		mine = append(mine, f.put("pods", p, nil))
	}
}

// discover answers what kubectl asks first.
func (f *Fake) discover(w http.ResponseWriter, r *http.Request) bool {
	switch path := strings.TrimSuffix(r.URL.Path, "/"); path {
	case "/version":
		fake.JSON(w, http.StatusOK, obj{"major": "1", "minor": "34", "gitVersion": "v1.34.0"})
	case "/api":
		fake.JSON(w, http.StatusOK, obj{"kind": "APIVersions", "versions": []any{"v1"}, "serverAddressByClientCIDRs": []any{}})
	case "/apis":
		var groups []any
		for _, g := range []string{"apps", "batch", "networking.k8s.io"} {
			v := obj{"groupVersion": g + "/v1", "version": "v1"}
			groups = append(groups, obj{"name": g, "versions": []any{v}, "preferredVersion": v})
		}
		fake.JSON(w, http.StatusOK, obj{"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
	default:
		var list []any
		for _, s := range resources {
			if s.group == path {
				list = append(list, obj{"name": s.plural, "singularName": strings.ToLower(s.kind), "namespaced": true, "kind": s.kind,
					"verbs": []any{"create", "delete", "get", "list", "patch", "update"}})
			}
		}
		if list == nil {
			return false
		}
		fake.JSON(w, http.StatusOK, obj{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": strings.TrimPrefix(strings.TrimPrefix(path, "/apis/"), "/api/"), "resources": list})
	}
	return true
}
