package plan

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"clawback/forensics/incident"
	"clawback/revoke/credential"
)

// Change is one thing that is not as a plan says.
type Change struct {
	Matters bool   // what was approved is not what would be done
	Text    string // "gone: github.pat ghp_…1xQz in home/agent/.env"; it quotes the host
}

// Matter reports whether any of the changes does.
func Matter(changes []Change) bool {
	return slices.ContainsFunc(changes, func(c Change) bool { return c.Matters })
}

// Compare says what has changed between a plan as it was read from its file and what is resolved
// now, under the same key of fingerprints. What matters comes first. What the providers say of a credential is not compared.
func Compare(plan, now Plan) ([]Change, error) {
	raw, err := Encode(now) // so that both have been through a file
	if err == nil {
		now, err = Decode(raw)
	}
	if err != nil {
		return nil, err
	}
	var d differ
	d.circumstances(plan, now)
	d.playbook(plan.Playbook, now.Playbook)
	each(&d, plan.Installations, now.Installations, func(i Installation) string { return i.StateDir }, Installation.name, d.installation)
	each(&d, plan.Units, now.Units, func(u Unit) string { return u.Manager + "\x00" + u.Name }, Unit.name, d.unit)
	each(&d, plan.Revivers, now.Revivers, Reviver.key, Reviver.name, d.reviver)
	each(&d, plan.Brokers, now.Brokers, Broker.key, Broker.label, d.broker)
	each(&d, plan.Credentials, now.Credentials, Credential.key, Credential.name, d.credential)
	d.remarks(plan, now)
	slices.SortStableFunc(d.found, func(a, b Change) int {
		switch {
		case a.Matters == b.Matters:
			return 0
		case a.Matters:
			return -1
		}
		return 1
	})
	return d.found, nil
}

type differ struct{ found []Change }

func (d *differ) matters(format string, args ...any) {
	d.found = append(d.found, Change{true, fmt.Sprintf(format, args...)})
}

func (d *differ) remark(format string, args ...any) {
	d.found = append(d.found, Change{false, fmt.Sprintf(format, args...)})
}

// each matches the things of two plans by their key, and says which are new or gone.
func each[T any](d *differ, old, now []T, key, name func(T) string, changed func(old, now T)) {
	before := make(map[string]T, len(old))
	for _, t := range old {
		before[key(t)] = t
	}
	seen := make(map[string]bool, len(now))
	for _, t := range now {
		k := key(t)
		if seen[k] {
			continue
		}
		seen[k] = true
		if was, ok := before[k]; ok {
			changed(was, t)
		} else {
			d.matters("new: %s", name(t))
		}
	}
	for _, t := range old {
		if k := key(t); !seen[k] {
			seen[k] = true
			d.matters("gone: %s", name(t))
		}
	}
}

// circumstances are what a response depends on besides the host's contents.
func (d *differ) circumstances(plan, now Plan) {
	if plan.Target != now.Target || plan.Remote != now.Remote {
		d.matters("changed: the target is %s, and was %s", now.Target, plan.Target)
	}
	if plan.Hostname != now.Hostname {
		d.matters("changed: the machine calls itself %s, and called itself %s", now.Hostname, plan.Hostname)
	}
	if plan.Suspect != now.Suspect {
		d.matters("changed: that this desk is the machine under suspicion: %t, and was %t", now.Suspect, plan.Suspect)
	}
	if plan.Version != now.Version {
		// Whether another version does the same cannot be told by comparing what it says.
		d.matters("changed: this is clawback %s, and %s made the plan", now.Version, plan.Version)
	}
	same := func(line string) string { return line }
	each(d, plan.Platforms, now.Platforms, same, same, func(_, _ string) {})
	for _, provider := range slices.Sorted(maps.Keys(union(plan.Endpoints, now.Endpoints))) {
		was, is := plan.Endpoints[provider], now.Endpoints[provider]
		switch {
		case was == is:
		case was == "":
			d.matters("new: endpoint of %s %s", provider, is)
		case is == "":
			d.matters("gone: endpoint of %s %s", provider, was)
		default:
			d.matters("changed: endpoint of %s is %s, and was %s", provider, is, was)
		}
	}
}

func (d *differ) playbook(plan, now Playbook) {
	if plan.Name != now.Name || plan.Title != now.Title {
		d.matters("changed: the playbook is %s (%s), and was %s (%s)", now.Name, now.Title, plan.Name, plan.Title)
	}
	old, current := steps(plan), steps(now)
	before := len(d.found)
	each(d, old, current, func(s step) string { return s.ID }, func(s step) string { return "step " + s.ID + ": " + s.Title }, func(was, is step) {
		if !reflect.DeepEqual(was, is) {
			d.matters("changed: step %s: %s", is.ID, is.Title)
		}
	})
	if len(d.found) == before && !reflect.DeepEqual(plan.Phases, now.Phases) {
		d.matters("changed: the order or the phases of the playbook")
	}
}

type step struct {
	incident.PlanStep
	phase string
}

func steps(p Playbook) []step {
	var all []step
	for _, phase := range p.Phases {
		for _, s := range phase.Steps {
			all = append(all, step{s, phase.ID})
		}
	}
	return all
}

func (i Installation) name() string { return "installation /" + i.StateDir }

func (d *differ) installation(was, is Installation) {
	if was.Generation != is.Generation {
		d.matters("changed: %s is of generation %s, and was of %s", is.name(), is.Generation, was.Generation)
	}
	if was.User != is.User {
		d.matters("changed: %s belongs to %s, and belonged to %s", is.name(), is.User, was.User)
	}
}

func (u Unit) name() string { return "unit " + u.Name + " (" + u.Manager + ")" }

func (d *differ) unit(was, is Unit) {
	if was.Active != is.Active {
		d.remark("changed: %s is %s, and was %s", is.name(), is.Active, was.Active)
	}
}

// key names a reviver. A container's name is that of one run of it.
func (r Reviver) key() string {
	if r.Kind == "container" {
		return r.Kind + "\x00" + r.Detail
	}
	return r.Kind + "\x00" + r.Name
}

func (r Reviver) name() string { return "what brings it back: " + r.Kind + " " + r.Name }

func (d *differ) reviver(was, is Reviver) {
	if was.Detail != is.Detail {
		d.remark("changed: %s: %s, and was: %s", is.name(), is.Detail, was.Detail)
	}
}

// key names a credential. Where no secret is known it is named by its place, and a line that moved
// is no other place.
func (c Credential) key() string {
	if c.Unresolved != "" && len(c.Sources) > 0 && c.Sources[0].Locator != "" {
		return strings.Join([]string{"unresolved", c.Provider, c.Kind, c.Sources[0].Path, c.Sources[0].Locator}, "\x00")
	}
	return string(c.Fingerprint)
}

func (c Credential) name() string {
	out := c.Kind + " " + c.Masked
	if len(c.Sources) > 0 {
		out += " in " + c.Sources[0].String()
	}
	return out
}

func (d *differ) credential(was, is Credential) {
	if was.Way != is.Way {
		d.matters("changed: %s: %s, and was: %s", is.name(), is.Why, was.Why)
	}
	if was.Kind != is.Kind || was.Provider != is.Provider {
		d.matters("changed: %s was a %s", is.name(), was.Kind)
	}
	if paths(was) != paths(is) {
		d.remark("moved: %s was in %s", is.name(), strings.ReplaceAll(paths(was), "\n", ", "))
	}
}

// paths are the files that hold a credential.
func paths(c Credential) string {
	var all []string
	for _, s := range c.Sources {
		all = append(all, s.Path)
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), "\n")
}

// remarks are what changes by itself, or what the run records and judges anew.
func (d *differ) remarks(plan, now Plan) {
	if plan.Processes != now.Processes {
		d.remark("changed: %d processes, and were %d", now.Processes, plan.Processes)
	}
	if plan.Files != now.Files {
		d.remark("changed: %d files searched, and were %d", now.Files, plan.Files)
	}
	if plan.Desk != now.Desk || plan.By != now.By {
		d.remark("changed: %s on %s, and the plan is of %s on %s", now.By, now.Desk, plan.By, plan.Desk)
	}
	// What was there and can no longer be read is missed as a credential that is gone. What never
	// could be read fails the run's own search, which says so.
	for _, problem := range now.Problems {
		if !slices.Contains(plan.Problems, problem) {
			d.remark("not searched: %s", problem)
		}
	}
	for _, a := range now.Authorities {
		i := slices.IndexFunc(plan.Authorities, func(b Authority) bool { return b.Provider == a.Provider })
		if i < 0 || a.Kind == "" || plan.Authorities[i].Kind == "" { // it could not be loaded
			continue
		}
		if was := plan.Authorities[i]; was.Kind != a.Kind || was.From != a.From {
			d.remark("changed: the authority for %s is a %s from %s, and was a %s from %s", a.Provider, a.Kind, a.From, was.Kind, was.From)
		}
	}
}

func union(a, b map[string]string) map[string]string {
	all := maps.Clone(a)
	if all == nil {
		all = make(map[string]string)
	}
	maps.Copy(all, b)
	return all
}

// Expired says why a plan does not hold at some time, or "".
func (p Plan) Expired(now time.Time) string {
	switch {
	case now.After(p.Until):
		return "the plan was valid until " + p.Until.UTC().Format(stamp)
	case now.Before(p.Made.Add(-skew)):
		return "the plan was made later than now, at " + p.Made.UTC().Format(stamp) + ": is the clock right?"
	}
	return ""
}

const (
	stamp = "2006-01-02 15:04 UTC"
	skew  = 2 * time.Minute // by which a clock may have been set back
)

// Member returns a function that reports whether a credential is in the plan. key is that of the
// plan's fingerprints.
func (p Plan) Member(key credential.FingerprintKey) func(credential.Credential) bool {
	planned := make(map[string]bool, len(p.Credentials))
	for _, c := range p.Credentials {
		planned[c.key()] = true
	}
	return func(c credential.Credential) bool {
		here := Credential{Fingerprint: key.Of(c.Provider, c.Secret, c.Ref), Provider: c.Provider, Kind: c.Kind}
		if c.Secret.Empty() {
			here.Unresolved, here.Sources = "no value", c.Sources
		}
		return planned[here.key()]
	}
}
