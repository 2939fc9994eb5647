// Package kubernetes takes an agent's pods out of what runs them, cuts them off and keeps them: the
// controllers that would bring the agent back are set to nothing, and the pods stay as evidence.
package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"clawback/forensics/incident"
	"clawback/playbooks/platform"
	"clawback/revoke"
	"clawback/revoke/wire"
)

// Agent is where an agent runs in a cluster, by the desk's configuration.
type Agent struct {
	Server    string            // "https://10.0.0.1:6443"
	Namespace string            // "agents"
	Selector  map[string]string // the labels of its pods
}

// https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ and …/labels/
var (
	namespaceName = regexp.MustCompile(`\A[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\z`)
	labelKey      = regexp.MustCompile(`\A([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?\z`)
	labelValue    = regexp.MustCompile(`\A[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?\z`)
)

// ParseSelector reads "app=openclaw,tier=agent". An empty one would be a whole namespace.
func ParseSelector(text string) (map[string]string, error) {
	labels := make(map[string]string)
	for term := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(term, "=")
		if !ok || !labelKey.MatchString(key) || !labelValue.MatchString(value) {
			return nil, fmt.Errorf("selector %q is not LABEL=VALUE, or several of them with commas", text)
		}
		labels[key] = value
	}
	return labels, nil
}

// Check says what is wrong with it, or nil.
func (a Agent) Check() error {
	switch _, err := wire.Address(a.Server); {
	case err != nil:
		return fmt.Errorf("server: %w", err)
	case !namespaceName.MatchString(a.Namespace):
		return fmt.Errorf("namespace %q is none of Kubernetes'", a.Namespace)
	case len(a.Selector) == 0:
		return errors.New("selector is missing: it would be the whole namespace")
	case a.Selector[quarantine] != "":
		return errors.New("selector: " + quarantine + " is a label of clawback's own")
	}
	return nil
}

const (
	quarantine = "clawback-quarantine"
	nowhere    = "clawback-runs-nowhere" // a label that no node has
	maxRounds  = 40
	roundPause = 3 * time.Second
	quietLooks = 4 // without anything new, so that whoever brings pods back had the time
)

// cluster is an agent's place that can be cut off.
type cluster struct {
	Agent
	env    revoke.Env
	client wire.Client
}

// Cluster is the agent's place as a wall, and as what its pods said.
type Cluster interface {
	platform.Wall
	platform.Logs
}

// New returns what cuts the agent off. The environment's authority is a bearer token, part "value".
func New(a Agent, env revoke.Env) (Cluster, error) {
	if env.HTTP == nil || env.Authority == nil || env.Sleep == nil || env.Now == nil {
		return nil, errors.New("kubernetes: no client, authority or clock given")
	}
	env.Endpoint = a.Server
	client, err := wire.New(env, a.Server)
	return &cluster{Agent: a, env: env, client: client}, errors.Join(err, a.Check())
}

func (c *cluster) selector() string {
	var terms []string
	for key, value := range c.Selector {
		terms = append(terms, key+"="+value)
	}
	slices.Sort(terms)
	return strings.Join(terms, ",")
}

func (c *cluster) Name() string {
	return "Kubernetes pods " + c.selector() + " in " + c.Namespace + " of " + strings.TrimPrefix(c.Server, "https://")
}

func (c *cluster) Will() []string {
	return []string{
		"put the pods under a NetworkPolicy that lets nothing in or out, and those too that come after them",
		"take the pods out of their controllers and services, by their labels: they stay, as evidence",
		"scale Deployments, StatefulSets and ReplicaSets of such pods to 0, suspend their Jobs and CronJobs, let their DaemonSets run nowhere",
		"copy the logs, the events and the descriptions of the pods",
	}
}

// Isolate implements platform.Wall. The order keeps the evidence: a controller that is set to nothing
// deletes the pods that it has, so they are taken from it before, and seen to be let go:
// https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#isolating-pods-from-a-replicaset
func (c *cluster) Isolate(ctx context.Context, o platform.Order) (platform.Result, error) {
	r := run{cluster: c, order: o, recorded: make(map[string]bool)}
	for round := range maxRounds {
		if round > 0 {
			if err := c.env.Sleep(ctx, roundPause); err != nil {
				return r.Result, errors.Join(fmt.Errorf("%s: not seen cut off: %w", c.Name(), err), r.failed)
			}
		}
		st, err := c.look(ctx, o.Incident)
		if err == nil {
			var done bool
			if done, err = r.round(ctx, st); done {
				return r.finish(st)
			}
		}
		if r.failed = err; final(err) || round == 0 && err != nil && !retries(err) {
			return r.Result, err
		}
	}
	return r.Result, errors.Join(fmt.Errorf("%s: not seen cut off after %s%s", c.Name(), maxRounds*roundPause, r.waits), r.failed)
}

// run is one isolation under way.
type run struct {
	*cluster
	platform.Result
	order    platform.Order
	recorded map[string]bool
	taken    bool // the pods of the first look were taken out
	quiet    int
	waits    string // for what
	failed   error
}

// round does what is to be done next, and reports whether nothing has been for long enough.
func (r *run) round(ctx context.Context, st standing) (done bool, err error) {
	up := st.up()
	// What a controller made since is no evidence, and goes with the rest when it is set to nothing.
	take := slices.DeleteFunc(slices.Clone(st.pods), func(p object) bool { return p.Metadata.Deleted != "" || r.taken && p.controller() != nil })
	held := slices.DeleteFunc(slices.Clone(st.kept), func(p object) bool { return p.controller() == nil })
	lacks := st.policiesLacking(r.cluster, r.order.Incident)
	switch {
	case len(lacks) > 0 || len(take) > 0:
		err = r.shut(ctx, st, lacks, take)
	case len(held) > 0:
		r.quiet, r.waits = 0, fmt.Sprintf("; %s does not let go of pod %s, which it would delete if it was set to nothing", held[0].controller(), held[0].Metadata.Name)
	case len(up) > 0:
		err = r.stop(ctx, up)
	case len(st.pods) > 0:
		r.quiet, r.waits = 0, fmt.Sprintf("; pod %s has not ended yet", st.pods[0].Metadata.Name)
	default:
		r.quiet++
		return r.quiet >= quietLooks, nil
	}
	return false, err
}

// intent has on record what is replaced, once.
func (r *run) intent(was []incident.PlatformWas) error {
	fresh := slices.DeleteFunc(was, func(w incident.PlatformWas) bool { return r.recorded[w.Kind+w.ID] })
	if len(fresh) == 0 && len(r.recorded) > 0 {
		return nil
	}
	if err := r.order.Intent(fresh); err != nil {
		return unrecorded{err}
	}
	r.recorded[""] = true
	for _, w := range fresh {
		r.recorded[w.Kind+w.ID] = true
	}
	return nil
}

// shut makes the policies and takes pods out of what has them.
func (r *run) shut(ctx context.Context, st standing, lacks []policy, take []object) error {
	r.quiet = 0
	var was []incident.PlatformWas
	for _, p := range take {
		was = append(was, incident.PlatformWas{Kind: "Pod", ID: p.Metadata.Name, Was: p.labels()})
	}
	if err := r.intent(was); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	for _, p := range lacks {
		if err := r.put(ctx, p); err != nil {
			return err
		}
		r.Did = append(r.Did, "made NetworkPolicy "+p.Metadata.Name)
	}
	for _, p := range take {
		labels := map[string]any{quarantine: label(r.order.Incident)}
		for key := range p.Metadata.Labels {
			if key != quarantine {
				labels[key] = nil
			}
		}
		if err := r.patch(ctx, "/api/v1", "pods", p, map[string]any{"metadata": map[string]any{"labels": labels}}); err != nil {
			return err
		}
		r.Did = append(r.Did, "took pod "+p.Metadata.Name+" out")
	}
	r.taken = r.taken || len(take) > 0
	return nil
}

// stop sets what would bring pods back to nothing.
func (r *run) stop(ctx context.Context, up []owner) error {
	r.quiet = 0
	var was []incident.PlatformWas
	for _, o := range up {
		was = append(was, incident.PlatformWas{Kind: o.kind, ID: o.Metadata.Name, Was: []string{o.was()}})
	}
	if err := r.intent(was); err != nil {
		return err
	}
	for _, o := range up {
		if err := r.patch(context.WithoutCancel(ctx), o.group, o.plural, o.object, o.nothing(r.order.Incident)); err != nil {
			return err
		}
		r.Did = append(r.Did, fmt.Sprintf("set %s %s to nothing; it was %s", o.kind, o.Metadata.Name, o.was()))
	}
	return nil
}

// finish says what a look showed of an agent that is cut off.
func (r *run) finish(st standing) (platform.Result, error) {
	r.Proof = append(r.Proof, fmt.Sprintf("no pod has %s, and none came for %s", r.selector(), (quietLooks-1)*roundPause))
	for _, p := range st.kept {
		r.Proof = append(r.Proof, "pod "+p.Metadata.Name+" is kept: no controller has it, and a policy without rules selects it")
	}
	for _, o := range st.owners {
		r.Proof = append(r.Proof, fmt.Sprintf("%s %s is set to nothing", o.kind, o.Metadata.Name))
	}
	r.Left = st.left()
	if open := st.opened(); len(open) > 0 {
		return r.Result, platform.Hinted{Err: fmt.Errorf("%s: NetworkPolicy %s lets every pod of the namespace through, and what one policy allows no other forbids", r.Name(), strings.Join(open, ", ")),
			Next: "change it so that it leaves out pods with the label " + quarantine}
	}
	return r.Result, nil
}

// backRounds is how long controllers get to want pods again before they get theirs back: until then
// they would delete them. One whose pods have fixed names makes none while they are kept.
const backRounds = 6

// Restore implements platform.Wall. What brings pods back goes first, and the pods have their labels
// again once it has made others: of too many it keeps the older ones.
// https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#scaling-a-replicaset
func (c *cluster) Restore(ctx context.Context, inc string, was []incident.PlatformWas) (platform.Result, error) {
	var r platform.Result
	was = slices.Clone(was)
	slices.SortStableFunc(was, func(a, b incident.PlatformWas) int { return cmp.Compare(last(a), last(b)) })
	var failed error
	wanted := false // pods, by what brings them back
	for round := range maxRounds {
		if round > 0 && c.env.Sleep(ctx, roundPause) != nil {
			break
		}
		failed, r.Left = nil, nil
		if !wanted {
			pods, err := c.list(ctx, "/api/v1", "pods", c.selector())
			wanted, failed = len(pods) > 0 || round >= backRounds || !slices.ContainsFunc(was, func(w incident.PlatformWas) bool { return last(w) == 0 }), err
		}
		for _, w := range was {
			if last(w) > 0 && !wanted {
				r.Left = append(r.Left, w.String())
				continue
			}
			stands, err := c.giveBack(ctx, w)
			if err == nil && !stands {
				r.Did, r.Left = append(r.Did, "given back: "+w.String()), append(r.Left, w.String()) // until it shows
			}
			if err != nil {
				failed, r.Left = errors.Join(failed, err), append(r.Left, w.String())
			}
		}
		if len(r.Left) == 0 {
			if failed = c.dropPolicies(ctx, inc); failed == nil {
				for _, w := range was {
					r.Proof = append(r.Proof, "as before: "+w.String())
				}
				return r, nil
			}
		}
		if final(failed) {
			break
		}
	}
	return r, errors.Join(fmt.Errorf("%s: not all is as it was", c.Name()), failed)
}

func last(w incident.PlatformWas) int {
	if w.Kind == "Pod" {
		return 1
	}
	return 0
}

// giveBack gives one thing back what it had, and reports whether it had that already.
func (c *cluster) giveBack(ctx context.Context, w incident.PlatformWas) (stands bool, err error) {
	if w.Kind == "Pod" {
		return c.giveLabels(ctx, w)
	}
	for _, k := range kinds {
		if k.name != w.Kind || len(w.Was) != 1 {
			continue
		}
		var o object
		if err := c.get(ctx, c.path(k.group, k.plural)+"/"+w.ID, &o); err != nil {
			return isStatus(err, 404), notMissing(err)
		}
		now := owner{kind: k.name, group: k.group, plural: k.plural, object: o}
		if now.was() == w.Was[0] {
			return true, nil
		}
		back, err := k.back(w.Was[0])
		if err != nil {
			return false, err
		}
		return false, c.patch(context.WithoutCancel(ctx), k.group, k.plural, o, back)
	}
	return false, fmt.Errorf("kubernetes: %s is nothing that was changed here", w.Kind)
}

func (c *cluster) giveLabels(ctx context.Context, w incident.PlatformWas) (stands bool, err error) {
	var pod object
	if err := c.get(ctx, c.path("/api/v1", "pods")+"/"+w.ID, &pod); err != nil {
		return isStatus(err, 404), notMissing(err)
	}
	if pod.Metadata.Labels[quarantine] == "" {
		return true, nil
	}
	labels := map[string]any{quarantine: nil}
	for _, term := range w.Was {
		key, value, _ := strings.Cut(term, "=")
		labels[key] = value
	}
	return false, c.patch(context.WithoutCancel(ctx), "/api/v1", "pods", pod, map[string]any{"metadata": map[string]any{"labels": labels}})
}
