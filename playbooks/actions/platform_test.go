package actions

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"clawback/forensics/incident"
	"clawback/playbooks/host"
	"clawback/playbooks/platform"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/discover"
	"clawback/snapshots"
)

// toyCloud is a platform that does what a test says.
type toyCloud struct {
	isolate, restore error
	left             []string
	kept             incident.Snapshots
	copies           error
	logs             map[string]string // that it keeps of the agent
	unread           error             // of reading those

	rec   *recorder
	given []incident.PlatformWas // to Restore
	calls []string
	t     *testing.T
}

var toyWas = []incident.PlatformWas{{Kind: "interface", ID: "eni-1", Was: []string{"sg-1"}}}

func (c *toyCloud) Name() string   { return "toy machine 1" }
func (c *toyCloud) Will() []string { return []string{"shut the door"} }

func (c *toyCloud) Isolate(_ context.Context, o platform.Order) (platform.Result, error) {
	c.calls = append(c.calls, "isolate "+o.Incident)
	if err := o.Intent(toyWas); err != nil {
		return platform.Result{}, err
	}
	if c.rec != nil && !slices.Contains(c.rec.lines, "intent "+incident.TypePlatformIntent) {
		c.t.Error("it is done before it is on record")
	}
	return platform.Result{Did: []string{"shut"}, Proof: []string{"it is shut"}}, c.isolate
}

func (c *toyCloud) Restore(_ context.Context, _ string, was []incident.PlatformWas) (platform.Result, error) {
	c.calls = append(c.calls, "restore")
	c.given = was
	return platform.Result{Proof: []string{"it is open"}, Left: c.left}, c.restore
}

func (c *toyCloud) Snapshot(_ context.Context, _ string, intent func([]string) error) (incident.Snapshots, error) {
	c.calls = append(c.calls, "snapshot")
	if err := intent([]string{"vol-1"}); err != nil {
		return incident.Snapshots{}, err
	}
	c.kept.On = c.Name()
	return c.kept, c.copies
}

func (c *toyCloud) Preserve(ctx context.Context, inc string, sink snapshots.Sink) (snapshots.Captured, error) {
	c.calls = append(c.calls, "logs "+inc)
	if c.unread != nil {
		return snapshots.Captured{}, c.unread
	}
	e := platform.Collect(sink, "toy", 1<<20)
	for _, name := range slices.Sorted(maps.Keys(c.logs)) {
		if err := e.File(name, func(w io.Writer) (bool, error) {
			_, err := io.WriteString(w, c.logs[name])
			return false, err
		}); err != nil {
			return snapshots.Captured{}, err
		}
	}
	return e.End(ctx, nil)
}

// What the agent said is sealed as a part of its own, once it is cut off, and also where that failed. It is
// no evidence of the host, and an earlier run's stands.
func TestCopyLogs(t *testing.T) {
	for name, c := range map[string]struct {
		cloud  toyCloud
		in     error // of the second connection
		sealed int
		warned bool
		fails  []string
	}{
		"there are some":          {cloud: toyCloud{logs: map[string]string{"pods/a/agent.log": "ran exec\n"}}, sealed: 1},
		"there are none":          {warned: true},
		"they cannot be read":     {cloud: toyCloud{unread: errBroken}, fails: []string{errBroken.Error(), "kubectl logs"}},
		"it could not be cut off": {cloud: toyCloud{isolate: errors.New("403 no"), logs: map[string]string{"pods/a/agent.log": "ran exec\n"}}, sealed: 1, fails: []string{"403 no"}},
		"locked out, unread":      {cloud: toyCloud{unread: errBroken}, in: errors.New("timed out"), fails: []string{"cannot come back", errBroken.Error(), "clawback restore"}},
		"neither":                 {cloud: toyCloud{isolate: errors.New("403 no"), unread: errBroken}, fails: []string{"403 no", errBroken.Error()}},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := onCloud(t, &c.cloud, &walled{machine: &machine{}, in: c.in})
			r.Platforms[0].Logs = &c.cloud
			rec := &recorder{}
			c.cloud.rec = rec
			err := r.isolatePlatform(t.Context(), book("platform.isolate").Phases[0].Steps[0], rec)
			var hint interface{ Hint() string }
			_ = errors.As(err, &hint)
			for _, part := range c.fails {
				if err == nil || hint == nil || !strings.Contains(err.Error()+hint.Hint(), part) {
					t.Errorf("%v, want %q", err, part)
				}
			}
			if err != nil && len(c.fails) == 0 {
				t.Error(err)
			}
			if want := []string{"isolate " + r.incidentID(), "logs " + r.incidentID()}; !slices.Equal(c.cloud.calls, want) {
				t.Errorf("it was asked for %v, want %v", c.cloud.calls, want)
			}
			var sealed []incident.Sealed
			warned := false
			for _, note := range rec.data {
				if s, ok := note.(incident.Sealed); ok {
					sealed = append(sealed, s)
				}
				_, w := note.(incident.Warning)
				warned = warned || w
			}
			if len(sealed) != c.sealed || warned != c.warned {
				t.Fatalf("sealed %v, warned %v", sealed, warned)
			}
			if c.sealed == 0 {
				return
			}
			if s := sealed[0]; s.Part != "pods" || s.OfHost() || s.Files != 1 {
				t.Errorf("sealed is %+v", s)
			}
			r.Before = &Before{State: incident.State{Sealed: sealed}}
			c.cloud.calls = nil
			if err := r.copyLogs(t.Context(), r.Platforms[0], incident.PodsPart(0), rec); err != nil || len(c.cloud.calls) > 0 {
				t.Errorf("again: %v, %v", err, c.cloud.calls)
			}
		})
	}
}

// onCloud makes a response whose machine runs on a toy.
func onCloud(t *testing.T, c *toyCloud, h host.Host) (*Response, credential.Secret) {
	t.Helper()
	r := newResponse(t, &machine{})
	if h != nil {
		r.Host = h
	}
	r.Actions()
	secret := credential.NewSecret(map[string]string{"value": rand.Text()})
	r.Authorities = &Authorities{Load: map[string]func(context.Context) (revoke.Authority, error){
		"toy": func(context.Context) (revoke.Authority, error) {
			return revoke.Authority{Secret: secret, Kind: "toy.key", From: "test"}, nil
		},
	}}
	c.t = t
	r.Platforms = []Platform{{Provider: "toy", Authority: r.Authorities.For("toy"), Wall: c, Disks: c}}
	return r, secret
}

// What is cut off at a platform, what is on record of it, and who is asked.
func TestIsolatePlatform(t *testing.T) {
	cut := errors.New("connect to web-1: timed out")
	for name, c := range map[string]struct {
		cloud    toyCloud
		in       error // of the second connection
		attended bool
		answer   string
		fails    string
		asked    int
		opened   bool
	}{
		"it holds":                 {},
		"it fails":                 {cloud: toyCloud{isolate: errBroken}, fails: errBroken.Error()},
		"locked out, nobody there": {in: cut, fails: "cannot come back"},
		"locked out, it stays":     {in: cut, attended: true, answer: incident.No, fails: "cannot come back", asked: 1},
		"locked out, opened":       {in: cut, attended: true, answer: incident.Yes, fails: "opened again by dana", asked: 1, opened: true},
		"locked out, and stuck":    {cloud: toyCloud{restore: errBroken}, in: cut, attended: true, answer: incident.Yes, fails: errBroken.Error(), asked: 1, opened: true},
		"locked out, half open":    {cloud: toyCloud{left: []string{"sg-9"}}, in: cut, attended: true, answer: incident.Yes, fails: "sg-9", asked: 1, opened: true},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := onCloud(t, &c.cloud, &walled{machine: &machine{}, in: c.in})
			r.Attended = c.attended
			rec := &recorder{answer: incident.Answer{Choice: c.answer, By: "dana"}}
			c.cloud.rec = rec
			err := r.isolatePlatform(t.Context(), book("platform.isolate").Phases[0].Steps[0], rec)
			if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%v, want %q", err, c.fails)
			}
			var hint interface{ Hint() string }
			if err != nil && (!errors.As(err, &hint) || hint.Hint() == "") {
				t.Error("it does not say what to do")
			}
			if len(rec.asked) != c.asked || slices.Contains(c.cloud.calls, "restore") != c.opened {
				t.Errorf("asked %d times, then %v", len(rec.asked), c.cloud.calls)
			}
			if c.opened && (!slices.Contains(rec.lines, "intent "+incident.TypePlatformUndo) || len(c.cloud.given) != 1) {
				t.Errorf("on record: %v; given back %v", rec.lines, c.cloud.given)
			}
		})
	}
}

// What the host held is no authority any more, on a suspect desk none is used unasked, and without a
// platform there is nothing to do.
func TestPlatformAuthority(t *testing.T) {
	step := book("platform.isolate").Phases[0].Steps[0]
	c := &toyCloud{}
	r, secret := onCloud(t, c, nil)
	r.take([]discover.Found{{Provider: "toy", Kind: "toy.key", Secret: secret, Source: credential.Source{Path: "x"}}}, &recorder{})
	err := r.isolatePlatform(t.Context(), step, &recorder{})
	if err == nil || !strings.Contains(err.Error(), "found on the agent's host") || len(c.calls) > 0 {
		t.Errorf("%v, %v", err, c.calls)
	}
	r, _ = onCloud(t, c, nil)
	r.Authorities.Suspect = true
	if err := r.snapshotDisks(t.Context(), step, &recorder{}); !errors.Is(err, ErrRisk) || len(c.calls) > 0 {
		t.Errorf("%v, %v", err, c.calls)
	}
	r.Platforms = nil
	if err := errors.Join(r.isolatePlatform(t.Context(), step, &recorder{})); !errors.Is(err, errNoPlatform) {
		t.Error(err)
	}
	r, _ = onCloud(t, c, nil)
	r.Platforms[0].Disks = nil
	if err := r.snapshotDisks(t.Context(), step, &recorder{}); !errors.Is(err, errNoDisks) || len(c.calls) > 0 {
		t.Errorf("%v, %v", err, c.calls)
	}
}

func TestSnapshotDisks(t *testing.T) {
	disk := func(state string) incident.DiskSnapshot {
		return incident.DiskSnapshot{ID: "snap-1", Volume: "vol-1", State: state}
	}
	for name, c := range map[string]struct {
		cloud toyCloud
		fails string
		noted bool
	}{
		"kept":         {toyCloud{kept: incident.Snapshots{Disks: []incident.DiskSnapshot{disk("completed")}}}, "", true},
		"pending":      {toyCloud{kept: incident.Snapshots{Disks: []incident.DiskSnapshot{disk("pending")}}}, "not there yet", true},
		"one is not":   {toyCloud{kept: incident.Snapshots{Disks: []incident.DiskSnapshot{disk("completed")}, Left: []string{"vol-2"}}}, "none is kept of vol-2", true},
		"it is broken": {toyCloud{copies: errBroken}, errBroken.Error(), false},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := onCloud(t, &c.cloud, nil)
			rec := &recorder{}
			err := r.snapshotDisks(t.Context(), book("evidence.disk").Phases[0].Steps[0], rec)
			if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%v, want %q", err, c.fails)
			}
			if slices.Contains(rec.lines, "note "+incident.TypeSnapshots) != c.noted || rec.lines[0] != "intent "+incident.TypeSnapshotIntent {
				t.Errorf("on record: %v", rec.lines)
			}
		})
	}
}

// What was cut off outside of a host is given back first: nobody reaches it before that. A thaw leaves
// it, and what fails there does not keep the host from being asked.
func TestLetGoOfPlatforms(t *testing.T) {
	for name, c := range map[string]struct {
		what   string
		cloud  toyCloud
		gone   bool // the configuration does not name it any more
		closed error
		fails  string
		calls  int
	}{
		"restore":              {what: incident.Restore, calls: 1},
		"thaw":                 {what: incident.Thaw},
		"it is stuck":          {what: incident.Restore, cloud: toyCloud{restore: errBroken}, fails: errBroken.Error(), calls: 1},
		"nobody knows it":      {what: incident.Restore, gone: true, fails: "does not name it any more"},
		"the host stays away":  {what: incident.Restore, closed: errBroken, fails: errBroken.Error(), calls: 1},
		"something stays shut": {what: incident.Restore, cloud: toyCloud{left: []string{"sg-9"}}, fails: "sg-9", calls: 1},
	} {
		t.Run(name, func(t *testing.T) {
			j := stopped(t)
			note(t, j, incident.TypePlatformIntent, incident.PlatformIntent{On: c.cloud.Name(), Was: toyWas})
			h := &machine{}
			with, _ := onCloud(t, &c.cloud, nil)
			r := takeUp(t, h, j)
			if r.Authorities = with.Authorities; !c.gone {
				r.Platforms = with.Platforms
			}
			r.Host = Gone{Target: "web-1", Far: true, Why: errors.New("not yet")}
			r.Reach = func(context.Context) (host.Host, error) {
				if c.what == incident.Restore && !c.gone && len(c.cloud.calls) == 0 {
					t.Error("the host is reached before it is open")
				}
				return h, c.closed
			}
			s, err := r.LetGo(t.Context(), j, c.what, "dana", "a false alarm")
			if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%v, want %q", err, c.fails)
			}
			if len(c.cloud.calls) != c.calls || c.calls > 0 && (len(c.cloud.given) != 1 || c.cloud.given[0].String() != toyWas[0].String()) {
				t.Errorf("%v, given back %v", c.cloud.calls, c.cloud.given)
			}
			if h.asked(c.what) != (c.closed == nil) {
				t.Errorf("the host was asked for %v", h.calls)
			}
			if open := s.Platforms[0].Open(); open != (c.what == incident.Thaw || c.gone || c.cloud.restore != nil || len(c.cloud.left) > 0) {
				t.Errorf("open: %v", open)
			}
		})
	}
}
