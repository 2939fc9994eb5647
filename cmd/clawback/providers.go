package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"clawback/forensics/incident"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/providers"
)

func (a *app) providersCommand() *cobra.Command {
	var asJSON, check bool
	c := &cobra.Command{
		Use: "providers [PROVIDER|KIND]", Short: "List the providers: what is revoked how, and how long its proof takes",
		Long: "providers lists each kind of credential that clawback revokes: by what, how its death is proved, and\n" +
			"whether that can be undone. With a provider or a kind it tells all that is known of it: what the\n" +
			"authority has to be allowed, what a person does where no call exists, what else happens, and the\n" +
			"source of each. --json has the requests by which it looks, too. Nobody is asked; the settings in\n" +
			"clawback.yaml are checked on the way.\n\n" +
			"With --check each authority that clawback.yaml names is loaded and its provider asked whose it is, with\n" +
			"nothing but reads. Exit code 4 says that one of them cannot be used, or that there is none. Run it where\n" +
			"you would respond from, and never on the machine of an agent.",
		Args: upTo(1),
		RunE: func(c *cobra.Command, args []string) error {
			all, err := a.coverages()
			if err != nil {
				return err
			}
			if len(args) > 0 {
				if all = narrowed(all, args[0]); len(all) == 0 {
					return usage("clawback providers lists them", "there is no provider or kind %q", args[0])
				}
			}
			switch out := c.OutOrStdout(); {
			case check:
				of := ""
				if len(args) > 0 {
					of = all[0].Provider
				}
				return a.ready(c.Context(), out, of, asJSON)
			case asJSON:
				e := json.NewEncoder(out)
				e.SetEscapeHTML(false)
				return e.Encode(all)
			case len(args) > 0:
				return printCoverage(out, all)
			default:
				return printOverview(out, all)
			}
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print all that is known of them as JSON")
	c.Flags().BoolVar(&check, "check", false, "test your own credentials for them instead, with nothing but reads")
	return c
}

// coverage is what clawback says of one provider.
type coverage struct {
	Provider   string         `json:"provider"`
	Title      string         `json:"title"`
	Hosts      []string       `json:"hosts"`       // compiled in
	SelfHosted bool           `json:"self_hosted"` // nothing is called until clawback.yaml names an address
	Endpoint   string         `json:"endpoint"`    // that clawback.yaml pins
	Settings   []string       `json:"settings"`    // what clawback.yaml may say below settings.PROVIDER
	Reads      []string       `json:"reads"`       // the only requests by which it looks
	ProbesHour int            `json:"refused_probes_an_hour"`
	Kinds      []kindCoverage `json:"kinds"`
}

// kindCoverage is what clawback says of one kind of credential.
type kindCoverage struct {
	Kind         string   `json:"kind"`
	Title        string   `json:"title"`
	Format       string   `json:"format"` // regular expression; empty: where it stands tells
	Prefix       string   `json:"prefix"`
	Tier         int      `json:"tier"`
	Revoked      string   `json:"revoked"` // itself, authority, person or expiry
	SelfRevoking bool     `json:"self_revoking"`
	Authority    string   `json:"authority"` // the permission that it needs
	ByRef        bool     `json:"by_reference"`
	Manual       bool     `json:"manual"`
	Steps        []string `json:"steps"`
	Link         string   `json:"link"`
	Reversible   bool     `json:"reversible"`
	Unkillable   string   `json:"unkillable"`
	Effect       string   `json:"effect"`
	Unanswered   string   `json:"unanswered"`
	Payment      bool     `json:"payment"`
	Mints        []string `json:"mints"`
	Proof        proof    `json:"proof"`
	Source       string   `json:"source"`
}

// proof is how the death of a kind is proved.
type proof struct {
	Unverifiable string  `json:"unverifiable"` // why nothing proves it; empty where the rest holds
	NeedsAlive   bool    `json:"needs_alive"`
	Refusals     int     `json:"refusals"`
	Budget       seconds `json:"budget_seconds"`
	Every        seconds `json:"every_seconds"`
	Source       string  `json:"source"`
}

func covers(info revoke.Info, endpoint string, settings []string) coverage {
	c := coverage{
		Provider: info.Name, Title: info.Title, Hosts: orEmpty(info.Hosts), SelfHosted: info.SelfHosted,
		Endpoint: endpoint, Settings: orEmpty(settings), ProbesHour: info.RefusedAnHour,
		Reads: make([]string, len(info.Reads)), Kinds: make([]kindCoverage, len(info.Kinds)),
	}
	for i, r := range info.Reads {
		c.Reads[i] = readText(r)
	}
	for i, k := range info.Kinds {
		c.Kinds[i] = coversKind(k)
	}
	return c
}

func coversKind(k revoke.KindInfo) kindCoverage {
	kind, _ := credential.Lookup(k.Kind)
	return kindCoverage{
		Kind: k.Kind, Title: kind.Title, Format: kind.Format, Prefix: kind.Prefix, Tier: kind.Tier,
		Revoked: revokedBy(k), SelfRevoking: k.SelfRevoking, Authority: k.Authority, ByRef: k.ByRef,
		Manual: k.Manual, Steps: orEmpty(k.Steps), Link: k.Link, Reversible: k.Reversible,
		Unkillable: k.Unkillable, Effect: k.Effect, Unanswered: k.Unanswered, Payment: k.Payment,
		Mints: orEmpty(k.Mints), Source: k.Source,
		Proof: proof{
			Unverifiable: k.Unverifiable, NeedsAlive: k.NeedsAlive, Refusals: refusals(k.Propagation),
			Budget: seconds(k.Propagation.Budget), Every: seconds(k.Propagation.Every), Source: k.Propagation.Source,
		},
	}
}

// orEmpty makes an empty list of none, for JSON.
func orEmpty(all []string) []string { return append([]string{}, all...) }

// revokedBy says what ends a credential of the kind.
func revokedBy(k revoke.KindInfo) string {
	switch {
	case k.Unkillable != "":
		return "expiry"
	case k.Manual:
		return "person"
	case k.SelfRevoking:
		return "itself"
	}
	return "authority"
}

func refusals(p revoke.Propagation) int {
	if p.Refusals == 0 {
		return 3
	}
	return p.Refusals
}

func readText(r revoke.Read) string {
	text := r.Method + " " + r.Path
	for _, name := range slices.Sorted(maps.Keys(r.Form)) {
		text += " " + name + "=" + r.Form[name]
	}
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		text += " " + name + ": " + r.Header[name]
	}
	if r.Body != "" {
		text += " " + r.Body
	}
	return text
}

// coverages is what every provider says of itself at this desk. Nothing is sent.
func (a *app) coverages() ([]coverage, error) {
	takes := settingsTaken()
	known, err := providers.New(func(name string) revoke.Env {
		return revoke.Env{HTTP: revoke.NewClient(revoke.Refuse{}), Endpoint: a.config.Endpoints[name].URL, Settings: a.settings(name, nil)}
	})
	if err != nil {
		return nil, misconfigured(err)
	}
	all := make([]coverage, 0, len(known))
	for _, name := range providers.Names() {
		all = append(all, covers(known[name].Info(), a.config.Endpoints[name].URL, takes[name]))
	}
	return all, nil
}

// misconfigured is why a provider cannot be made: what the configuration says of it is wrong.
func misconfigured(err error) error {
	if err == nil {
		return nil
	}
	if f, ok := errors.AsType[*failure](err); ok {
		return &failure{f.code, err, f.hint}
	}
	return &failure{incident.ExitUsage, err, "clawback help config shows what settings and endpoints can hold"}
}

// narrowed leaves one provider, or one kind of its provider's.
func narrowed(all []coverage, of string) []coverage {
	for _, c := range all {
		if c.Provider == of {
			return []coverage{c}
		}
		if i := slices.IndexFunc(c.Kinds, func(k kindCoverage) bool { return k.Kind == of }); i >= 0 {
			c.Kinds = c.Kinds[i : i+1]
			return []coverage{c}
		}
	}
	return nil
}

// providerInfos is what every provider says of itself where nothing is configured.
func providerInfos() ([]revoke.Info, error) {
	known, err := providers.New(func(string) revoke.Env { return revoke.Env{HTTP: revoke.NewClient(revoke.Refuse{})} })
	if err != nil {
		return nil, err
	}
	var infos []revoke.Info
	for _, name := range providers.Names() {
		infos = append(infos, known[name].Info())
	}
	return infos, nil
}

// String says by what a death is proved, in a few words.
func (p proof) String() string {
	if p.Unverifiable != "" {
		return "nothing can"
	}
	return fmt.Sprintf("%d refusals over %s", p.Refusals, p.Budget)
}

// how says by what it is revoked, in a few words.
func (k kindCoverage) how() string {
	switch k.Revoked {
	case "expiry":
		return "not at all"
	case "person":
		return "by hand"
	case "itself":
		return "with itself"
	}
	return "with an authority"
}

// also is what else there is to know of a kind before it is revoked.
func (k kindCoverage) also() string {
	var all []string
	add := func(said bool, text string) {
		if said {
			all = append(all, text)
		}
	}
	add(k.Unkillable != "", k.Unkillable)
	add(k.Reversible, "can be undone")
	add(k.ByRef, "needs no value, its id is enough")
	add(k.Proof.NeedsAlive, "has to be seen alive first")
	add(len(k.Mints) > 0, "mints "+strings.Join(k.Mints, ", "))
	add(k.Effect != "", k.Effect)
	return strings.Join(all, "; ")
}
