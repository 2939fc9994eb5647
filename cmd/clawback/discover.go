package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"clawback/forensics/agents/openclaw"
	"clawback/forensics/incident"
	"clawback/playbooks/actions"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/discover"
)

func (a *app) discoverCommand() *cobra.Command {
	var t target
	var asJSON bool
	c := &cobra.Command{
		Use: "discover", Short: "Find the credentials that the agent held; nothing is changed or sent", Args: noArgs,
		Long: `discover searches the machine, or what lies below --root, for every credential that the agent could
use. It writes nothing, asks no provider, and shows no value: only how each one begins and ends. The
same secret in many places is one credential. Fingerprints are those of this run alone.

With --json it prints one object a credential, the most dangerous first:
  provider, kind    as clawback providers names them; unknown where nothing tells
  fingerprint       the same secret has the same one, in this run
  masked, tier      4 infrastructure, 3 external or financial, 2 internal writes, 1 reads
  owner             whose it is, as far as it says; ""
  expires           RFC 3339, or null; last_used likewise
  self_revocable    its own secret is enough to revoke it
  manual            a person has to revoke it
  sources           [{path, locator, line, note}], paths below the root, line 0 where there is none
  mints, unresolved, doubt, other, endpoint, inventory   where there is something to say: what it can
                    make more of; why there is no value; why it may be no live credential; whose
                    it is, where no agent's account may read it; what the host claims, never
                    called; what clawback.yaml says of it
and then one object more: type ("end"), credentials, agents [{layout, state_dir, user}], files, bytes,
complete, not_read and left_alone [{path, reason}], skipped (how many files and folders were not
searched as text, by what they are), not_found (of the inventory), error.

What other accounts keep for themselves is left alone and listed, unless --host-lost says that the
host itself is compromised.

It ends with 0 when everything was read, 3 when something was not, 10 when there is no installation,
and 1 when the machine could not be searched.`,
		RunE: func(c *cobra.Command, _ []string) error { return a.discover(c.Context(), t, asJSON) },
	}
	t.machineFlags(c)
	t.handoffFlags(c)
	hostLostFlag(c, &t.hostLost)
	c.Flags().BoolVar(&asJSON, "json", false, "print one object a credential, and one at the end")
	return c
}

// survey is what a search found, each credential once.
type survey struct {
	infos map[string]revoke.Info
	list  incident.Inventory
	key   credential.FingerprintKey
	by    map[credential.Fingerprint]*discovered
	all   []*discovered
	known []*incident.Credential // for what the inventory lacks
}

// discovered is a credential that was found, as --json shows it.
type discovered struct {
	Provider      string                  `json:"provider"`
	Kind          string                  `json:"kind"`
	Fingerprint   credential.Fingerprint  `json:"fingerprint"`
	Masked        string                  `json:"masked"`
	Tier          int                     `json:"tier"`
	Owner         string                  `json:"owner"`
	Expires       *time.Time              `json:"expires"`
	LastUsed      *time.Time              `json:"last_used"`
	SelfRevocable bool                    `json:"self_revocable"`
	Manual        bool                    `json:"manual"`
	Sources       []spot                  `json:"sources"`
	Mints         string                  `json:"mints,omitempty"`
	Unresolved    string                  `json:"unresolved,omitempty"`
	Doubt         discover.Doubt          `json:"doubt,omitempty"`
	Other         string                  `json:"other,omitempty"`
	Endpoint      string                  `json:"endpoint,omitempty"`
	Inventory     *incident.InventoryItem `json:"inventory,omitempty"`
}

// spot is a credential.Source with all of its fields.
type spot struct {
	Path    string `json:"path"`
	Locator string `json:"locator"`
	Line    int    `json:"line"`
	Note    string `json:"note,omitempty"`
}

// searchEnd is the last object of --json.
type searchEnd struct {
	Type        string                   `json:"type"` // "end"
	Credentials int                      `json:"credentials"`
	Agents      []discover.Agent         `json:"agents"`
	Files       int                      `json:"files"`
	Bytes       int64                    `json:"bytes"`
	Complete    bool                     `json:"complete"` // everything that may hold credentials was read
	NotRead     []unread                 `json:"not_read"`
	LeftAlone   []unread                 `json:"left_alone"` // it belongs to other accounts
	Skipped     map[string]int           `json:"skipped"`
	NotFound    []incident.InventoryItem `json:"not_found"` // in the inventory
	Error       string                   `json:"error,omitempty"`
}

type unread struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

func (a *app) discover(ctx context.Context, t target, asJSON bool) error {
	infos, err := providerInfos()
	if err != nil {
		return err
	}
	h, err := a.reach(ctx, &t)
	if err != nil {
		return err
	}
	defer func() { _ = h.Close() }()
	s := &survey{infos: make(map[string]revoke.Info), key: credential.NewFingerprintKey(),
		list: a.inventory(), by: make(map[credential.Fingerprint]*discovered)}
	for _, info := range infos {
		s.infos[info.Name] = info
	}
	summary, err := (&actions.Response{Host: h, HostLost: t.hostLost}).Search(ctx, s.found)
	switch {
	case errors.Is(err, discover.ErrNoInstallation):
		return &failure{incident.ExitNoInstallation, fmt.Errorf("%s: %w", h.Name(), err), "run it as root, or name the disk that holds it with --root"}
	case err != nil:
		err = fmt.Errorf("search %s: %w", h.Name(), err)
	}
	end := s.end(summary, err)
	if asJSON {
		a.printFoundJSON(s.all, end)
	} else {
		a.printFound(s.all, end)
	}
	if err == nil && !end.Complete {
		return exitCode(incident.ExitPartial) // what was not read may hold more
	}
	return err
}

// found takes in a credential at one place.
func (s *survey) found(f discover.Found) {
	c := actions.Credential(s.key, f)
	d := s.by[c.Fingerprint]
	if d == nil {
		d = s.first(c, f)
	} else if d.Doubt != f.Doubt && (f.Doubt == "" || d.Doubt.Harmless() && !f.Doubt.Harmless()) {
		d.Doubt = f.Doubt // the place that speaks for it counts
	}
	d.Owner = cmp.Or(d.Owner, f.Owner)
	if d.Expires == nil {
		d.Expires = moment(f.Expires)
	}
	if used := moment(f.LastUsed); used != nil && (d.LastUsed == nil || d.LastUsed.Before(*used)) {
		d.LastUsed = used
	}
	if at := (spot{f.Source.Path, f.Source.Locator, f.Source.Line, f.Source.Note}); !slices.Contains(d.Sources, at) {
		d.Sources = append(d.Sources, at)
	}
}

func (s *survey) first(c credential.Credential, f discover.Found) *discovered {
	d := &discovered{Provider: c.Provider, Kind: c.Kind, Fingerprint: c.Fingerprint, Masked: c.Masked, Tier: c.Tier,
		Unresolved: f.Unresolved, Doubt: f.Doubt, Other: f.Other, Endpoint: f.Endpoint}
	k, known := s.infos[c.Provider].Kind(c.Kind)
	d.SelfRevocable = known && k.SelfRevoking && !k.Manual && f.Unresolved == ""
	d.Manual = f.Unresolved != "" || !actions.DiesWithGateway(c.Kind) && (!known || k.Manual)
	d.Mints = actions.Mints(c.Kind, k)
	found := &incident.Credential{Found: incident.Found{Credential: c}}
	if item, ok := s.list.Lookup(c); ok {
		d.Inventory, found.Inventory = &item, &item
	}
	s.by[c.Fingerprint] = d
	s.all, s.known = append(s.all, d), append(s.known, found)
	return d
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// end puts what was found in order, the most dangerous first and what is no live credential last,
// and says what is missing.
func (s *survey) end(sum discover.Summary, err error) searchEnd {
	slices.SortStableFunc(s.all, func(a, b *discovered) int {
		harmless := map[bool]int{true: 1}
		return cmp.Or(cmp.Compare(harmless[a.Doubt.Harmless()], harmless[b.Doubt.Harmless()]),
			cmp.Compare(b.Tier, a.Tier), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Masked, b.Masked))
	})
	end := searchEnd{Type: "end", Credentials: len(s.all), Agents: sum.Agents, Files: sum.Files, Bytes: sum.Bytes, Skipped: sum.Skipped,
		Complete: err == nil && len(sum.Problems) == 0, NotRead: unreads(sum.Problems), LeftAlone: unreads(sum.Apart)}
	end.NotFound = incident.State{Inventory: s.list, Credentials: s.known}.NotFound()
	if end.Agents == nil {
		end.Agents = []discover.Agent{}
	}
	if end.Skipped == nil {
		end.Skipped = map[string]int{}
	}
	if end.NotFound == nil {
		end.NotFound = []incident.InventoryItem{}
	}
	if err != nil {
		end.Error = err.Error()
	}
	return end
}

func unreads(problems []openclaw.Problem) []unread {
	out := make([]unread, len(problems))
	for i, p := range problems {
		out[i] = unread{p.Path, p.Reason}
	}
	return out
}
