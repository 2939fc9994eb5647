package kubefake

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Say is what a container of a pod printed; before is what it printed before it began anew, empty where it
// never did.
func (f *Fake) Say(pod, container, text, before string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	o := f.all[key("pods", pod)]
	restarts := 0
	if before != "" {
		restarts = 2
	}
	st, _ := o["status"].(obj)
	if st == nil {
		st = obj{}
		o["status"] = st
	}
	all, _ := st["containerStatuses"].([]any)
	st["containerStatuses"] = append(all, obj{"name": container, "restartCount": float64(restarts)})
	f.said[pod+"/"+container], f.said[pod+"/"+container+"/before"] = text, before
}

// Container gives a pod one more container, which printed nothing, begun anew so many times.
func (f *Fake) Container(pod, name string, restarts int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	o := f.all[key("pods", pod)]
	spec := clone(o["spec"].(obj))
	spec["containers"] = append(spec["containers"].([]any), obj{"name": name})
	o["spec"] = spec
	st := o["status"].(obj)
	st["containerStatuses"] = append(st["containerStatuses"].([]any), obj{"name": name, "restartCount": float64(restarts)})
}

// log serves what a container printed:
// https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.32/#read-log-pod-v1-core
func (f *Fake) log(w http.ResponseWriter, r *http.Request, pod string) {
	q := r.URL.Query()
	container := q.Get("container")
	at := pod + "/" + container
	if q.Get("previous") == "true" {
		at += "/before"
	}
	text, ok := f.said[at]
	switch {
	case f.Denied["get pods/log"]:
		status(w, http.StatusForbidden, `pods "`+pod+`" is forbidden: User "responder" cannot get resource "pods/log" in API group "" in the namespace "`+Namespace+`"`)
		return
	case f.all[key("pods", pod)] == nil:
		status(w, http.StatusNotFound, fmt.Sprintf("pods %q not found", pod))
		return
	case !ok:
		status(w, http.StatusBadRequest, fmt.Sprintf("container %q in pod %q is waiting to start: ContainerCreating", container, pod))
		return
	case strings.HasSuffix(at, "/before") && text == "":
		status(w, http.StatusBadRequest, fmt.Sprintf("previous terminated container %q in pod %q not found", container, pod))
		return
	}
	if q.Get("timestamps") == "true" {
		var stamped strings.Builder
		for line := range strings.Lines(text) {
			stamped.WriteString(f.clock.Now().UTC().Format(time.RFC3339Nano) + " " + line)
		}
		text = stamped.String()
	}
	if most, err := strconv.Atoi(q.Get("limitBytes")); err == nil {
		text = text[:min(most, len(text))]
	}
	w.Header().Set("Content-Type", "text/plain")
	if f.Cut {
		w.Header().Set("Content-Length", strconv.Itoa(len(text)+1))
	}
	_, _ = io.WriteString(w, text)
}
