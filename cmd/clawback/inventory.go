package main

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/revoke/inventory"
)

const inventoryHelp = `inventory:                  # what is known of credentials beforehand: what names each one, no secret
  - provider: github        # as clawback discover shows it; kind: narrows it down
    masked: ghp_…1xQz       # or key_id:, or account: for all of an account's
    owner: platform team
    purpose: production deploys
    data: [source code]     # types of data that it reaches
    breaks: deploy-bot      # what stops when it dies: shown before it is revoked
    review: 2026-12-01      # the day by which somebody has to look at it again
    rotation: 2027-03-01    # the day by which it has to be replaced
`

func (a *app) inventoryCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "inventory", Short: "What clawback.yaml knows of credentials: what is overdue, and how to fill it", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	var asJSON bool
	review := &cobra.Command{
		Use: "review", Short: "List what is overdue for review or rotation", Args: noArgs,
		Long: `review lists the credentials of the inventory whose review or rotation was due by an earlier day than
today, in UTC. It looks at nothing but clawback.yaml.

It ends with 0 when nothing is overdue, and with 3 when something is. With --json it prints one object
for each: the item, overdue_for ("review" or "rotation"), and overdue_days.`,
		RunE: func(*cobra.Command, []string) error { return a.inventoryReview(asJSON) },
	}
	review.Flags().BoolVar(&asJSON, "json", false, "print one object for each")
	c.AddCommand(review, &cobra.Command{
		Use: "import FILE", Short: "Print the YAML of an inventory in a CSV file", Args: exactly(1, "FILE"),
		Long: `import reads a CSV file whose header names some of the columns
  provider, kind, masked, key_id, account, owner, purpose, data, breaks, review, rotation
and prints what to put into clawback.yaml. Types of data are divided by semicolons, days are written as
2026-12-31. It writes to no file, and refuses what looks like a secret.`,
		RunE: func(_ *cobra.Command, args []string) error { return a.inventoryImport(args[0]) },
	})
	return c
}

// inventory is what clawback.yaml lists.
func (a *app) inventory() incident.Inventory { return incident.Inventory{Items: a.config.Inventory} }

// readInventory is what clawback.yaml lists by now. The rest of it stays as it was.
func (a *app) readInventory() (incident.Inventory, error) {
	c, err := loadConfig(a.configFile, a.env)
	return incident.Inventory{Items: c.Inventory}, err
}

func (a *app) inventoryReview(asJSON bool) error {
	overdue := inventory.Review(a.config.Inventory, ownClock.Now())
	for _, o := range overdue {
		if asJSON {
			line, err := json.Marshal(o)
			if err != nil {
				return fmt.Errorf("print the inventory: %w", err)
			}
			fmt.Fprintf(a.out, "%s\n", journal.Visible(line))
			continue
		}
		writeLine(a.out, 0, fmt.Sprintf("%s overdue by %s: %s", o.For, count(o.Days, "day", "days"), o.InventoryItem))
		writeLine(a.out, 4, o.About())
	}
	if len(a.config.Inventory) == 0 {
		fmt.Fprintln(a.err, "there is no inventory: clawback help config shows how to write one")
	}
	fmt.Fprintf(a.err, "%d overdue, of %s\n", len(overdue), count(len(a.config.Inventory), "credential in the inventory", "credentials in the inventory"))
	if len(overdue) > 0 {
		return exitCode(incident.ExitPartial)
	}
	return nil
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func (a *app) inventoryImport(path string) error {
	src, _, err := readRegular(path, inventory.MaxFile)
	if err != nil {
		return usage("name a CSV file", "import: %w", err)
	}
	items, err := inventory.Import(bytes.NewReader(src))
	if err != nil {
		return usage("clawback inventory import --help says what it can hold", "import %s: %w", path, err)
	}
	out, err := yaml.Marshal(map[string]any{"inventory": items})
	if err != nil {
		return fmt.Errorf("print the inventory: %w", err)
	}
	_, err = a.out.Write(out)
	return err
}
