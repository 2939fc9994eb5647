package kubernetes_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"clawback/playbooks/platform"
	"clawback/snapshots"
)

// shelf keeps what it is given in memory.
type shelf struct {
	full  bool
	open  bytes.Buffer
	files map[string]string
	ends  map[string]snapshots.File
}

var errShelf = errors.New("the desk's disk is full")

func (s *shelf) Begin(snapshots.File) (io.Writer, error) {
	s.open.Reset()
	if s.full {
		return nil, errShelf
	}
	return &s.open, nil
}

func (s *shelf) End(f snapshots.File) error {
	if s.files == nil {
		s.files, s.ends = map[string]string{}, map[string]snapshots.File{}
	}
	s.files[f.Path], s.ends[f.Path] = s.open.String(), f
	return nil
}

// What the agent's pods said is copied, before they are cut off as well as after, and nobody else's; what
// is not to be had is named.
func TestPreserve(t *testing.T) {
	const said, before = "read mail\nran exec\n", "began\n"
	for name, c := range map[string]struct {
		change   func(p *place, pod string)
		isolated bool
		want     []string // files, without pods/POD/
		lacks    string   // file that is empty
		left     string   // in what is left out; empty for nothing
		problem  string
		fails    string
	}{
		"before":              {want: []string{"agent.log", "agent.previous.log", "events.json", "pod.json"}},
		"cut off":             {isolated: true, want: []string{"agent.log", "agent.previous.log", "events.json", "pod.json"}},
		"no such permission":  {change: func(p *place, _ string) { p.Denied["get pods/log"] = true }, want: []string{"agent.log", "agent.previous.log", "events.json", "pod.json"}, lacks: "agent.log", left: "agent.log: not all of it: kubernetes: GET 403"},
		"no events":           {change: func(p *place, _ string) { p.Denied["list events"] = true }, want: []string{"agent.log", "agent.previous.log", "events.json", "pod.json"}, lacks: "events.json", left: "events.json: not all of it"},
		"no look at a pod":    {change: func(p *place, _ string) { p.Denied["get pods"] = true }, want: []string{"events.json", "pod.json"}, lacks: "pod.json", left: "no log, since its containers are not known"},
		"no list":             {change: func(p *place, _ string) { p.Denied["list pods"] = true }, fails: "403"},
		"too many requests":   {change: func(p *place, _ string) { p.Throttled = 2 }, want: []string{"agent.log", "agent.previous.log", "events.json", "pod.json"}},
		"a log breaks off":    {change: func(p *place, _ string) { p.Cut = true }, want: []string{"agent.log", "agent.previous.log", "events.json", "pod.json"}, left: "agent.log: not all of it"},
		"one that never ran":  {change: func(p *place, pod string) { p.Container(pod, "late", 0) }, want: []string{"agent.log", "agent.previous.log", "events.json", "late.log", "pod.json"}, lacks: "late.log", problem: "late.log: there is none"},
		"a hostile container": {change: func(p *place, pod string) { p.Container(pod, "../../etc/passwd", 3) }, want: []string{"agent.log", "agent.previous.log", "events.json", "pod.json"}, left: "which no container can be called"},
		"one name twice":      {change: func(p *place, pod string) { p.Container(pod, "agent", 1) }, want: []string{"agent.log", "agent.previous.log", "events.json", "pod.json"}, left: "or two are"},
		"a count below zero":  {change: func(p *place, pod string) { p.Container(pod, "odd", -7) }, want: []string{"agent.log", "agent.previous.log", "events.json", "odd.log", "pod.json"}, lacks: "odd.log", problem: "odd.log: there is none"},
	} {
		t.Run(name, func(t *testing.T) {
			inCluster(t, func(t *testing.T, p *place) {
				p.Add("deployments", "openclaw", 1, agent, nil)
				pod := p.Names("pods", "app", "openclaw")[0]
				p.Say(pod, "agent", said, before)
				p.Put("events", obj{"metadata": obj{"name": "e1"}, "involvedObject": obj{"kind": "Pod", "name": pod}, "message": "Started container agent"})
				p.Put("events", obj{"metadata": obj{"name": "e2"}, "involvedObject": obj{"kind": "Pod", "name": "shop-1"}, "message": "of the shop"})
				w := p.wall(t)
				if c.isolated {
					if _, err := w.Isolate(t.Context(), p.order(t)); err != nil {
						t.Fatal(err)
					}
				}
				if c.change != nil {
					c.change(p, pod)
				}
				changes := len(p.Changes())
				desk := &shelf{}
				got, err := w.(platform.Logs).Preserve(t.Context(), caseID, desk)
				if (err != nil) != (c.fails != "") || err != nil && !strings.Contains(err.Error(), c.fails) {
					t.Fatalf("%v, want %q", err, c.fails)
				}
				var files []string
				for _, f := range slices.Sorted(maps.Keys(desk.files)) {
					files = append(files, strings.TrimPrefix(f, "pods/"+pod+"/"))
					sum := sha256.Sum256([]byte(desk.files[f]))
					if end := desk.ends[f]; end.SHA256 != hex.EncodeToString(sum[:]) || end.Size != int64(len(desk.files[f])) {
						t.Errorf("%s: %+v", f, end)
					}
				}
				if !slices.Equal(files, c.want) || got.Files != len(c.want) {
					t.Errorf("%d files: %v, want %v", got.Files, files, c.want)
				}
				left, problems := strings.Join(got.Left, "\n"), strings.Join(got.Problems, "\n")
				if (left != "") != (c.left != "") || !strings.Contains(left, c.left) || (problems != "") != (c.problem != "") || !strings.Contains(problems, c.problem) {
					t.Errorf("left out: %q, problems: %q", left, problems)
				}
				if c.lacks != "" && desk.files["pods/"+pod+"/"+c.lacks] != "" {
					t.Errorf("%s holds %q", c.lacks, desk.files["pods/"+pod+"/"+c.lacks])
				}
				if len(p.Changes()) != changes {
					t.Errorf("it changed something: %v", p.Changes())
				}
				if c.fails != "" || c.left != "" {
					return
				}
				at := "pods/" + pod + "/"
				if log := desk.files[at+"agent.log"]; !strings.HasSuffix(log, "Z ran exec\n") || strings.Count(log, "\n") != 2 || !strings.HasSuffix(desk.files[at+"agent.previous.log"], "Z began\n") {
					t.Errorf("the log is %q, before that %q", log, desk.files[at+"agent.previous.log"])
				}
				if events := desk.files[at+"events.json"]; !strings.Contains(events, "Started container agent") || strings.Contains(events, "shop") {
					t.Errorf("the events are %s", events)
				}
				var described struct{ Kind string }
				if json.Unmarshal([]byte(desk.files[at+"pod.json"]), &described) != nil || described.Kind != "Pod" {
					t.Errorf("the pod is %s", desk.files[at+"pod.json"])
				}
			})
		})
	}
}

// A desk that cannot write is an error, and no pod at all is nothing.
func TestPreserveNothing(t *testing.T) {
	inCluster(t, func(t *testing.T, p *place) {
		w := p.wall(t).(platform.Logs)
		if got, err := w.Preserve(t.Context(), caseID, &shelf{}); err != nil || got.Files > 0 {
			t.Errorf("%+v, %v", got, err)
		}
		p.Add("deployments", "openclaw", 1, agent, nil)
		if _, err := w.Preserve(t.Context(), caseID, &shelf{full: true}); !errors.Is(err, errShelf) {
			t.Errorf("%v", err)
		}
	})
}
