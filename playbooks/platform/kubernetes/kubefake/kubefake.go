// Package kubefake is a Kubernetes API server on the wire, with the controllers behind it that make,
// adopt, let go and delete pods.
package kubefake

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"clawback/revoke/fake"
)

type obj = map[string]any

// resource is a kind that is served.
type resource struct{ group, plural, kind string }

var resources = []resource{
	{"/api/v1", "pods", "Pod"}, {"/api/v1", "replicationcontrollers", "ReplicationController"},
	{"/apis/apps/v1", "deployments", "Deployment"}, {"/apis/apps/v1", "replicasets", "ReplicaSet"},
	{"/apis/apps/v1", "statefulsets", "StatefulSet"}, {"/apis/apps/v1", "daemonsets", "DaemonSet"},
	{"/apis/batch/v1", "jobs", "Job"}, {"/apis/batch/v1", "cronjobs", "CronJob"},
	{"/apis/networking.k8s.io/v1", "networkpolicies", "NetworkPolicy"}, {"/api/v1", "events", "Event"},
}

// Fake is one cluster. Its fields may be set before it is used.
type Fake struct {
	clock fake.Clock

	Token string
	// Denied are "verb plural" that the token may not do: "patch deployments".
	Denied map[string]bool
	// Throttled is how many of the next requests are too many.
	Throttled int
	// Lag is how long a controller takes to see a change.
	Lag time.Duration
	// Grace is how long a pod takes to end.
	Grace time.Duration
	// Cut has logs break off.
	Cut bool
	// Meddle is called before each PATCH, as somebody else who changes things in between.
	Meddle func()

	mu      sync.Mutex
	version int
	serial  int
	all     map[string]obj // by plural/namespace/name
	due     map[string]time.Time
	said    map[string]string
	ended   []string // pods that were deleted
	calls   []string
}

// New makes an empty cluster.
func New(c fake.Clock, token string) *Fake {
	return &Fake{clock: c, Token: token, Denied: map[string]bool{}, Lag: 2 * time.Second, Grace: 10 * time.Second, all: map[string]obj{}, due: map[string]time.Time{}, said: map[string]string{}}
}

// Namespace is where the agents of a fake are.
const Namespace = "agents"

func kindOf(plural string) resource {
	return resources[slices.IndexFunc(resources, func(r resource) bool { return r.plural == plural })]
}

// Add makes a workload of a kind ("deployments") whose pods have labels, with n replicas.
func (f *Fake) Add(plural, name string, n int, labels map[string]string, extra obj) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := obj{}
	for k, v := range labels {
		l[k] = v
	}
	template := obj{"metadata": obj{"labels": l}, "spec": obj{"containers": []any{obj{"name": "agent", "image": "agent:1", "livenessProbe": obj{"exec": obj{}}}}}}
	spec := obj{"selector": obj{"matchLabels": maps.Clone(l)}, "template": template}
	switch plural {
	case "cronjobs":
		spec = obj{"schedule": "* * * * *", "suspend": false, "jobTemplate": obj{"spec": obj{"template": template}}}
	case "jobs":
		spec["suspend"] = false
	case "daemonsets":
	case "replicationcontrollers":
		spec["replicas"], spec["selector"] = float64(n), maps.Clone(l)
	default:
		spec["replicas"] = float64(n)
	}
	f.put(plural, obj{"metadata": obj{"name": name}, "spec": spec}, extra)
	f.reconcile()
}

// put stores an object of the fake's own making.
func (f *Fake) put(plural string, o, extra obj) obj {
	merge(o, extra)
	m := o["metadata"].(obj)
	m["namespace"] = Namespace
	f.serial++
	m["uid"] = fmt.Sprintf("00000000-0000-4000-8000-%012d", f.serial)
	m["creationTimestamp"] = f.clock.Now().UTC().Format(time.RFC3339)
	r := kindOf(plural)
	o["kind"], o["apiVersion"] = r.kind, strings.TrimPrefix(strings.TrimPrefix(r.group, "/apis/"), "/api/")
	f.touch(o)
	f.all[key(plural, m["name"].(string))] = o
	return o
}

func key(plural, name string) string { return plural + "/" + name }

func (f *Fake) touch(o obj) {
	f.version++
	o["metadata"].(obj)["resourceVersion"] = strconv.Itoa(f.version)
}

// Names are the names of what there is of a kind, with a label where one is wanted.
func (f *Fake) Names(plural, label, value string) (names []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reconcile()
	for _, o := range f.of(plural) {
		if label == "" || labelsOf(o)[label] == value {
			names = append(names, name(o))
		}
	}
	return names
}

// Field reads a field of an object: Field("deployments", "openclaw", "spec", "replicas").
func (f *Fake) Field(plural, name string, path ...string) any {
	f.mu.Lock()
	defer f.mu.Unlock()
	var v any = f.all[key(plural, name)]
	for _, p := range path {
		o, _ := v.(obj)
		v = o[p]
	}
	return v
}

// Put makes an object as somebody else.
func (f *Fake) Put(plural string, o obj) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.put(plural, o, nil)
}

// Ended are the pods that were deleted.
func (f *Fake) Ended() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reconcile()
	return slices.Clone(f.ended)
}

// Changes are the requests that were not reads: "PATCH pods".
func (f *Fake) Changes() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// Passes reports whether a pod may talk to anything: no policy selects it, or one of those that do allows it.
func (f *Fake) Passes(pod string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	o := f.all[key("pods", pod)]
	selected, allowed := false, false
	for _, p := range f.of("networkpolicies") {
		spec := p["spec"].(obj)
		selector, _ := spec["podSelector"].(obj)
		if want, _ := selector["matchLabels"].(obj); matches(want, labelsOf(o)) {
			selected = true
			in, _ := spec["ingress"].([]any)
			out, _ := spec["egress"].([]any)
			allowed = allowed || len(in)+len(out) > 0
		}
	}
	return !selected || allowed
}

func (f *Fake) of(plural string) (list []obj) {
	for _, k := range slices.Sorted(maps.Keys(f.all)) {
		if strings.HasPrefix(k, plural+"/") {
			list = append(list, f.all[k])
		}
	}
	return list
}

func name(o obj) string { return o["metadata"].(obj)["name"].(string) }

func labelsOf(o obj) obj {
	m, _ := o["metadata"].(obj)
	l, _ := m["labels"].(obj)
	return l
}

func matches(want, labels obj) bool {
	for k, v := range want {
		if labels[k] != v {
			return false
		}
	}
	return true
}

// merge is a JSON merge patch (RFC 7386).
func merge(into, patch obj) {
	for k, v := range patch {
		inner, ok := v.(obj)
		switch {
		case v == nil:
			delete(into, k)
		case ok:
			was, _ := into[k].(obj)
			if was == nil {
				was = obj{}
			}
			merge(was, inner)
			into[k] = was
		default:
			into[k] = v
		}
	}
}

func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		status(w, http.StatusBadRequest, "the body cannot be read")
		return
	}
	if r.Method == http.MethodPatch && f.Meddle != nil {
		f.Meddle()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if fake.Bearer(r) != f.Token {
		status(w, http.StatusUnauthorized, "Unauthorized")
		return
	}
	if f.Throttled > 0 {
		f.Throttled--
		w.Header().Set("Retry-After", "1")
		status(w, http.StatusTooManyRequests, "too many requests")
		return
	}
	f.reconcile()
	if f.discover(w, r) {
		return
	}
	group, rest, ok := strings.Cut(r.URL.Path, "/namespaces/"+Namespace+"/")
	plural, one, _ := strings.Cut(rest, "/")
	i := slices.IndexFunc(resources, func(s resource) bool { return s.group == group && s.plural == plural })
	if pod, ok := strings.CutSuffix(one, "/log"); ok && plural == "pods" && r.Method == http.MethodGet {
		f.log(w, r, pod)
		return
	}
	if !ok || i < 0 || strings.Contains(one, "/") {
		status(w, http.StatusNotFound, "the server could not find the requested resource")
		return
	}
	verb := map[string]string{"GET": "list", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}[r.Method]
	if r.Method != http.MethodGet {
		f.calls = append(f.calls, r.Method+" "+plural)
	} else if one != "" {
		verb = "get"
	}
	if f.Denied[verb+" "+plural] {
		status(w, http.StatusForbidden, fmt.Sprintf("%s is forbidden: User \"responder\" cannot %s resource %q in API group \"\" in the namespace %q", plural, verb, plural, Namespace))
		return
	}
	f.serve(w, r, plural, one, body)
}

func (f *Fake) serve(w http.ResponseWriter, r *http.Request, plural, one string, body []byte) {
	o := f.all[key(plural, one)]
	if one != "" && o == nil {
		status(w, http.StatusNotFound, fmt.Sprintf("%s %q not found", plural, one))
		return
	}
	switch r.Method {
	case http.MethodGet:
		if one == "" {
			f.list(w, r, plural)
			return
		}
	case http.MethodDelete:
		delete(f.all, key(plural, one))
	case http.MethodPatch:
		var p obj
		if r.Header.Get("Content-Type") != "application/merge-patch+json" {
			status(w, http.StatusUnsupportedMediaType, "only merge patches are known here")
			return
		}
		if json.Unmarshal(body, &p) != nil {
			status(w, http.StatusBadRequest, "no JSON")
			return
		}
		m, _ := p["metadata"].(obj)
		if v, ok := m["resourceVersion"]; ok && v != o["metadata"].(obj)["resourceVersion"] {
			status(w, http.StatusConflict, "the object has been modified; please apply your changes to the latest version and try again")
			return
		}
		merge(o, p)
		f.touch(o)
	case http.MethodPost, http.MethodPut:
		var p obj
		if json.Unmarshal(body, &p) != nil || p["kind"] != kindOf(plural).kind {
			status(w, http.StatusBadRequest, "no object of the kind")
			return
		}
		m, _ := p["metadata"].(obj)
		id, _ := m["name"].(string)
		if r.Method == http.MethodPost && f.all[key(plural, id)] != nil {
			status(w, http.StatusConflict, fmt.Sprintf("%s %q already exists", plural, id))
			return
		}
		o = f.put(plural, p, nil)
	}
	fake.JSON(w, http.StatusOK, o)
}

// list answers with one object a page, however many are wanted, so that whoever asks has to read on.
func (f *Fake) list(w http.ResponseWriter, r *http.Request, plural string) {
	items := []any{}
	for _, o := range f.of(plural) {
		want := obj{}
		for term := range strings.SplitSeq(r.URL.Query().Get("labelSelector"), ",") {
			if k, v, ok := strings.Cut(term, "="); ok {
				want[k] = v
			}
		}
		if matches(want, labelsOf(o)) && about(o, r.URL.Query().Get("fieldSelector")) {
			items = append(items, o)
		}
	}
	meta := obj{"resourceVersion": strconv.Itoa(f.version)}
	at, _ := strconv.Atoi(r.URL.Query().Get("continue"))
	items = items[min(at, len(items)):]
	if r.URL.Query().Get("limit") != "" && len(items) > 1 {
		items, meta["continue"] = items[:1], strconv.Itoa(at+1)
	}
	res := kindOf(plural)
	fake.JSON(w, http.StatusOK, obj{"kind": res.kind + "List", "apiVersion": strings.TrimPrefix(strings.TrimPrefix(res.group, "/apis/"), "/api/"), "metadata": meta, "items": items})
}

// about is a field selector on the object of an event.
func about(o obj, selector string) bool {
	of, _ := o["involvedObject"].(obj)
	for term := range strings.SplitSeq(selector, ",") {
		if k, v, ok := strings.Cut(term, "="); ok && of[strings.TrimPrefix(k, "involvedObject.")] != v {
			return false
		}
	}
	return true
}

func status(w http.ResponseWriter, code int, message string) {
	fake.JSON(w, code, obj{"kind": "Status", "apiVersion": "v1", "metadata": obj{}, "status": "Failure", "message": message, "reason": strings.ReplaceAll(http.StatusText(code), " ", ""), "code": code})
}

// Touch is a change of something by somebody else.
func (f *Fake) Touch(plural, name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.touch(f.all[key(plural, name)])
}

// Label gives an object a label.
func (f *Fake) Label(plural, id, label, value string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	merge(f.all[key(plural, id)], obj{"metadata": obj{"labels": obj{label: value}}})
}

// HostNetwork lets the pods that begin with a name use their node's network.
func (f *Fake) HostNetwork(prefix string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.of("pods") {
		if strings.HasPrefix(name(p), prefix) {
			p["spec"] = clone(p["spec"].(obj))
			p["spec"].(obj)["hostNetwork"] = true
		}
	}
}
