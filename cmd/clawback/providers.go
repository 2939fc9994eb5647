package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/providers"
)

func (a *app) providersCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "providers", Short: "List the providers: what is revoked how, and how long its proof takes", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			infos, err := providerInfos()
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(infos)
			}
			return printProviders(c, infos)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print them as JSON")
	return c
}

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

func printProviders(c *cobra.Command, infos []revoke.Info) error {
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "KIND\tWHAT\tREVOKED\tAUTHORITY\tPROOF")
	for _, info := range infos {
		for _, k := range info.Kinds {
			kind, _ := credential.Lookup(k.Kind)
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", k.Kind, kind.Title, howRevoked(k), cmp.Or(k.Authority, "–"), howProved(k))
		}
	}
	return w.Flush()
}

func howRevoked(k revoke.KindInfo) string {
	switch {
	case k.Manual:
		return "by hand"
	case k.SelfRevoking:
		return "with itself"
	}
	return "with an authority"
}

func howProved(k revoke.KindInfo) string {
	if k.Unverifiable != "" {
		return "none: " + k.Unverifiable
	}
	refusals := k.Propagation.Refusals
	if refusals == 0 {
		refusals = 3
	}
	return fmt.Sprintf("%d refusals over %s", refusals, k.Propagation.Budget)
}
