package plan

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"clawback/forensics/incident"
	"clawback/playbooks"
	"clawback/playbooks/actions"
	"clawback/playbooks/engine"
	"clawback/revoke/credential"
	"clawback/revoke/discover"
)

// What a plan keeps of what a host or a provider may say without end.
const (
	maxText    = 4 << 10
	maxAnswer  = 256
	maxList    = 1000
	maxSources = 8
	maxReach   = 20
)

// searchWait is how long a search may take.
const searchWait = 10 * time.Minute

// Survey resolves a response. It changes nothing.
type Survey struct {
	// Work is the response as it would be, with providers that can send nothing but their reads.
	Work      *actions.Response
	Book      playbooks.Playbook
	Asked     Asked
	Endpoints map[string]string
	By        string
	Valid     time.Duration // how long the plan holds
	Ask       bool          // ask the providers what each credential is
}

// find is a credential of the search, with its secret.
type find struct {
	credential.Credential
	found incident.Found
}

// Resolve looks at the target and asks the providers. With an error comes the plan of what was
// seen until then: a search that was cut off is among its Problems.
func (s Survey) Resolve(ctx context.Context) (Plan, error) {
	r := s.Work
	now := r.Clock.Now().UTC().Truncate(time.Second)
	p := Plan{
		Format: Format, ID: newID(now), Version: r.Version, Made: now, Until: now.Add(s.Valid), By: s.By, Desk: r.Desk,
		Asked: s.Asked, Target: r.Host.Name(), Remote: r.Host.Remote(), Suspect: r.Authorities.Suspect, Offline: !s.Ask,
		Endpoints:     s.Endpoints,
		Playbook:      Playbook{s.Book.Name, engine.Plan(s.Book)},
		Platforms:     r.Will(),
		Installations: []Installation{}, Credentials: []Credential{},
	}
	p.describe(s)
	finds, err := s.search(ctx, &p)
	for _, f := range finds {
		p.Credentials = append(p.Credentials, s.credential(ctx, f))
	}
	if s.Ask {
		ask(ctx, r.Providers, finds, p.Credentials)
	}
	p.inventory(s.Work.Inventory, finds)
	p.kinds(s)
	p.authorities(ctx, s)
	p.brokers(ctx, s)
	slices.SortFunc(p.Credentials, func(a, b Credential) int {
		return cmp.Or(cmp.Compare(b.Tier, a.Tier), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Masked, b.Masked), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	return p, err
}

// describe takes over what the host said of the agent.
func (p *Plan) describe(s Survey) {
	d := s.Work.Description
	p.Hostname, p.Processes = text(d.Hostname), len(d.Processes)
	for _, i := range d.Installations {
		p.Installations = append(p.Installations, Installation{text(i.StateDir), text(i.Generation), text(i.User), text(i.Profile)})
	}
	for _, u := range d.Units {
		p.Units = append(p.Units, Unit{text(u.Name), text(u.Manager), text(u.Active)})
	}
	for _, r := range d.Revivers {
		p.Revivers = append(p.Revivers, Reviver{text(r.Kind), text(r.Name), text(r.Detail), text(r.Ask)})
	}
	for _, problem := range d.Problems {
		p.Problems = append(p.Problems, problemText(problem.Path, problem.Reason))
	}
}

// search finds every credential, in the order of discovery.
func (s Survey) search(ctx context.Context, p *Plan) ([]*find, error) {
	r := s.Work
	ctx, cancel := context.WithTimeoutCause(ctx, searchWait, fmt.Errorf("no end within %s", searchWait))
	defer cancel()
	known := make(map[credential.Fingerprint]*find)
	var finds []*find
	summary, err := r.Search(ctx, func(f discover.Found) {
		if f.Doubt.Harmless() {
			return // nothing that the response would revoke
		}
		c := actions.Credential(r.Key, f)
		if first := known[c.Fingerprint]; first != nil {
			first.Sources = append(first.Sources, f.Source)
			if f.Doubt == "" {
				first.found.Doubt = "" // the place that speaks for it counts
			}
			return
		}
		found := &find{c, r.Found(c, f)}
		known[c.Fingerprint] = found
		finds = append(finds, found)
	})
	p.Files = summary.Files
	for _, problem := range summary.Problems {
		p.Problems = append(p.Problems, problemText(problem.Path, problem.Reason))
	}
	for _, apart := range summary.Apart {
		p.Apart = append(p.Apart, problemText(apart.Path, apart.Reason))
	}
	if err != nil {
		err = fmt.Errorf("search %s for credentials: %w", r.Host.Name(), cmp.Or(context.Cause(ctx), err))
		p.Problems = append([]string{text(err.Error())}, p.Problems...)
	}
	p.Problems, p.Apart = bounded(p.Problems), bounded(p.Apart)
	return finds, err
}

// credential is a find without its secret.
func (s Survey) credential(ctx context.Context, f *find) Credential {
	fate := s.Work.Fate(ctx, f.found)
	c := Credential{
		Fingerprint: f.Fingerprint, Provider: f.Provider, Kind: f.Kind, Masked: text(f.Masked), Tier: f.Tier,
		Unresolved: text(f.found.Unresolved), Doubt: text(f.found.Doubt), Other: text(f.found.Other), Way: fate.Way, Why: text(fate.Why), Seen: Seen{Outcome: NotAsked},
	}
	if s.Work.Authorities.Holds(ctx, f.Credential) {
		c.Way, c.Why = Ours, "left alone: it is your own authority, and the agent's host held it"
	}
	for i, source := range f.Sources {
		if i == maxSources {
			c.More = len(f.Sources) - maxSources
			break
		}
		source.Path, source.Locator, source.Note = text(source.Path), text(source.Locator), text(source.Note)
		c.Sources = append(c.Sources, source)
	}
	return c
}

// inventory says what was known beforehand of what was found, and what of that was not found.
func (p *Plan) inventory(known incident.Inventory, finds []*find) {
	p.Inventoried = len(known.Items) > 0
	state := incident.State{Inventory: known}
	for i, f := range finds {
		c := &p.Credentials[i]
		if item, ok := known.Lookup(f.Credential, c.Seen.Account, c.Seen.Owner); ok {
			c.Inventory = &item
			state.Credentials = append(state.Credentials, &incident.Credential{Inventory: &item})
		}
	}
	p.NotFound = state.NotFound()
}

// Ours is the way of a credential that is the responder's own authority: it is left alone.
const Ours = "ours"

// kinds says once what holds for each kind of credential.
func (p *Plan) kinds(s Survey) {
	kinds := make(map[string]Kind)
	for _, c := range p.Credentials {
		k := Kind{Kind: c.Kind}
		known, ok := credential.Lookup(c.Kind)
		if ok {
			k.Title = known.Title
		}
		if provider := s.Work.Providers[c.Provider]; provider != nil {
			if info, ok := provider.Info().Kind(c.Kind); ok {
				k.Effect, k.Reversible, k.Steps, k.Link, k.Unprovable = info.Effect, info.Reversible, info.Steps, info.Link, info.Unverifiable
			}
		}
		kinds[c.Kind] = k
	}
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		p.Kinds = append(p.Kinds, kinds[name])
	}
}

// authorities says of each provider that needs one whether there is one, and where it is kept.
func (p *Plan) authorities(ctx context.Context, s Survey) {
	needed := make(map[string]bool)
	for _, c := range p.Credentials {
		if c.Way == actions.ByAuthority || c.Way == actions.NeedsAuthority || c.Way == actions.NeedsRisk {
			needed[c.Provider] = true
		}
	}
	tested := s.tested(ctx, slices.Sorted(maps.Keys(needed)))
	for _, provider := range slices.Sorted(maps.Keys(needed)) {
		a := Authority{Provider: provider}
		if load := s.Work.Authorities.Load[provider]; load == nil {
			a.Trouble = "clawback.yaml names none"
		} else if own := s.Work.Authorities; own.Suspect && !own.Accepted && own.Runs[provider] {
			a.Trouble = "no program is run for it on the machine under suspicion"
		} else if got, err := load(ctx); err != nil {
			a.Trouble = text(err.Error())
		} else {
			a.Kind, a.From = got.Kind, got.From
			a.seen(tested[provider])
		}
		p.Authorities = append(p.Authorities, a)
	}
}

// tested asks the providers about their authorities, where anybody is asked anything.
func (s Survey) tested(ctx context.Context, names []string) map[string]incident.Authority {
	all := make(map[string]incident.Authority)
	if s.Ask {
		names = slices.DeleteFunc(names, func(name string) bool { return s.Work.Authorities.Load[name] == nil })
		s.Work.Authorities.Test(ctx, s.Work.Clock, s.Work.Providers, names, nil, func(a incident.Authority) { all[a.Provider] = a })
	}
	return all
}

// seen takes over what a provider said to its authority.
func (a *Authority) seen(t incident.Authority) {
	if t.Outcome == "" {
		return
	}
	a.Tested = t.Outcome
	if more := cmp.Or(t.Who, t.Answer); more != "" {
		a.Tested = text(a.Tested + ": " + more)
	}
	if t.Outcome == incident.AuthorityRefused {
		a.Trouble = text("the authority is refused: " + cmp.Or(t.Answer, "it does not say why"))
	}
}

// problemText is a place and what is wrong with it.
func problemText(path, reason string) string {
	if path == "" {
		return text(reason)
	}
	return text(path + ": " + reason)
}

// text makes what a host says fit for a plan file: the same after it was written and read.
func text(s string) string { return incident.Cut(strings.ToValidUTF8(s, "\ufffd"), maxText) }

func bounded(list []string) []string {
	if len(list) <= maxList {
		return list
	}
	return append(list[:maxList:maxList], fmt.Sprintf("and %d more", len(list)-maxList))
}
