package kubernetes

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"

	"clawback/playbooks/platform"
	"clawback/revoke/wire"
	"clawback/snapshots"
)

const (
	maxLog        = int64(64 << 20) // bytes of one log: a kubelet keeps 10 MiB of one unless it is told otherwise
	maxLogs       = int64(1 << 30)  // of all that is copied
	maxContainers = 50              // of one pod
)

// podName is that of a pod; a container's has no dots: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
var podName = regexp.MustCompile(`\A[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\z`)

// pod is what is read of a pod to find its logs.
type pod struct {
	Metadata metadata `json:"metadata"`
	Spec     struct {
		Init      []container `json:"initContainers"`
		Regular   []container `json:"containers"`
		Ephemeral []container `json:"ephemeralContainers"`
	} `json:"spec"`
	Status struct {
		Init      []containerStatus `json:"initContainerStatuses"`
		Regular   []containerStatus `json:"containerStatuses"`
		Ephemeral []containerStatus `json:"ephemeralContainerStatuses"`
	} `json:"status"`
}

type container struct {
	Name string `json:"name"`
}

type containerStatus struct {
	Name     string `json:"name"`
	Restarts int    `json:"restartCount"`
}

// Preserve implements platform.Logs. The log of the container before the present one is kept by the node as
// well, and is taken where there was one.
// https://kubernetes.io/docs/concepts/cluster-administration/logging/#basic-logging-in-kubernetes
func (c *cluster) Preserve(ctx context.Context, incident string, sink snapshots.Sink) (snapshots.Captured, error) {
	e := platform.Collect(sink, "kubernetes", maxLogs)
	return e.End(ctx, c.preserve(ctx, incident, e))
}

func (c *cluster) preserve(ctx context.Context, incident string, e *platform.Evidence) error {
	var names []string
	for _, selector := range []string{quarantine + "=" + label(incident), c.selector()} {
		pods, err := c.list(ctx, "/api/v1", "pods", selector)
		if err != nil {
			return err
		}
		for _, p := range pods {
			if !slices.Contains(names, p.Metadata.Name) {
				names = append(names, p.Metadata.Name)
			}
		}
	}
	for _, name := range names {
		if !podName.MatchString(name) {
			e.Skip("pod %q: no pod can have that name", name)
			continue
		}
		if err := c.preservePod(ctx, name, e); err != nil {
			return err
		}
	}
	return nil
}

// preservePod copies one pod. What the cluster does not give is left out; only a desk that cannot write ends it.
func (c *cluster) preservePod(ctx context.Context, name string, e *platform.Evidence) error {
	at := c.path("/api/v1", "pods") + "/" + url.PathEscape(name)
	if err := e.File("pods/"+name+"/pod.json", c.copies(ctx, at, nil)); err != nil {
		return err
	}
	events := url.Values{"fieldSelector": {"involvedObject.kind=Pod,involvedObject.name=" + name}}
	if err := e.File("pods/"+name+"/events.json", c.copies(ctx, c.path("/api/v1", "events"), events)); err != nil {
		return err
	}
	var p pod
	if err := c.get(ctx, at, &p); err != nil {
		e.Skip("pods/%s: no log, since its containers are not known: %v", name, err)
		return nil
	}
	restarts := make(map[string]int)
	for _, s := range slices.Concat(p.Status.Init, p.Status.Regular, p.Status.Ephemeral) {
		restarts[s.Name] = s.Restarts
	}
	seen := make(map[string]bool)
	for i, of := range slices.Concat(p.Spec.Init, p.Spec.Regular, p.Spec.Ephemeral) {
		switch {
		case i == maxContainers:
			e.Skip("pods/%s: the logs of more than %d containers", name, maxContainers)
			return nil
		case !namespaceName.MatchString(of.Name) || seen[of.Name]:
			e.Skip("pods/%s: the log of %q, which no container can be called, or two are", name, of.Name)
			continue
		}
		seen[of.Name] = true
		for _, previous := range []bool{false, true}[:1+min(max(restarts[of.Name], 0), 1)] {
			file := "pods/" + name + "/" + of.Name + map[bool]string{false: ".log", true: ".previous.log"}[previous]
			query := url.Values{"container": {of.Name}, "timestamps": {"true"}, "limitBytes": {strconv.FormatInt(maxLog, 10)}, "previous": {strconv.FormatBool(previous)}}
			if err := e.File(file, c.copiesLog(ctx, file, at+"/log", query, e)); err != nil {
				return err
			}
		}
	}
	return nil
}

// copiesLog is copies, except that a log that the node does not have is a file without content, and said.
func (c *cluster) copiesLog(ctx context.Context, file, path string, query url.Values, e *platform.Evidence) func(io.Writer) (bool, error) {
	copies := c.copies(ctx, path, query)
	return func(w io.Writer) (bool, error) {
		changed, err := copies(w)
		if isStatus(err, http.StatusBadRequest, http.StatusNotFound) { // a container that never began, a log that is gone
			e.Problem("%s: there is none: %v", file, err)
			return false, nil
		}
		return changed, err
	}
}

// copies copies an answer as it is.
func (c *cluster) copies(ctx context.Context, path string, query url.Values) func(io.Writer) (bool, error) {
	return func(w io.Writer) (bool, error) {
		q := wire.Request{Method: http.MethodGet, Path: path, Query: query, Header: http.Header{"Accept": {"*/*"}}}
		_, err := c.send(ctx, q, func(q wire.Request) (wire.Reply, error) { return c.client.Copy(ctx, q, w, maxLog+1<<20) })
		return false, err
	}
}
