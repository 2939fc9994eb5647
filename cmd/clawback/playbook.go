package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"clawback/playbooks"
	"clawback/playbooks/actions"
)

const playbookHelp = `A playbook says in YAML what a response does: phases, and in each phase steps. A step has

  id, title      how it is called
  uses           what it does; clawback playbook show kill-switch shows most of it
  with           what that action needs to know; person.guide with questions: has each answered in writing
  why            one sentence for the responder
  irreversible   what of it cannot be undone
  needs          the steps that have to end first
  when           remote, local, platform, hoster, not remote, STEP is CHOICE, STEP is not CHOICE
  gate           auto (the default), confirm, or typed
  approvals      how many other people have to approve it first, 0 to 9, each with their own key
  unanswered     such as 10m: after it a gate of confirm goes ahead without an answer
  deadline       such as 90s
  on_failure     continue (the default), or stop: the steps that need it are skipped

kill, respond and plan carry out a playbook of your own with --playbook ./FILE.yaml.`

func (a *app) playbookCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "playbook", Short: "Look at playbooks", Args: upTo(0), Long: playbookHelp,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(
		&cobra.Command{Use: "list", Short: "List the playbooks that come with clawback", Args: noArgs, RunE: func(c *cobra.Command, _ []string) error {
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 8, 2, ' ', 0)
			for _, name := range playbooks.Builtins() {
				book, err := playbooks.Builtin(name, actions.Names())
				if err != nil {
					return err
				}
				fmt.Fprintf(w, "%s\t%d steps\t%s\n", book.Name, len(book.Steps()), book.Title)
			}
			return w.Flush()
		}},
		&cobra.Command{Use: "show NAME", Short: "Print a playbook", Args: exactly(1, "NAME"), RunE: func(c *cobra.Command, args []string) error {
			src, err := playbooks.Source(args[0])
			if err != nil {
				return usage("clawback playbook list", "%w", err)
			}
			_, err = c.OutOrStdout().Write(src)
			return err
		}},
		&cobra.Command{Use: "validate FILE", Short: "Check a playbook of your own", Args: exactly(1, "FILE"), RunE: func(c *cobra.Command, args []string) error {
			src, _, err := readRegular(args[0], maxConfig)
			if err != nil {
				return usage("name a file that can be read", "%w", err)
			}
			book, err := actions.Validate(args[0], src)
			if err != nil {
				return usage("clawback playbook show kill-switch is one that is right", "%w", err)
			}
			fmt.Fprintf(c.OutOrStdout(), "%s: %d phases, %d steps\n", book.Name, len(book.Phases), len(book.Steps()))
			return nil
		}},
	)
	return c
}

// exactly refuses any other number of arguments with an error of ours.
func exactly(n int, names string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			return usage(c.CommandPath()+" "+names, "%s takes %s", c.CommandPath(), names)
		}
		return nil
	}
}

// loadPlaybook reads a playbook that comes with clawback, by its name, or one of the desk's own, by
// the path of its file. What is carried out has to be ours: a file that others can change is refused.
func loadPlaybook(name string) (playbooks.Playbook, error) {
	if !isFile(name) {
		book, err := playbooks.Builtin(name, actions.Names())
		if err != nil {
			return book, usage("clawback playbook list; a file of your own is named by its path, such as ./mine.yaml", "%w", err)
		}
		return book, nil
	}
	src, err := readOwn(name, maxConfig)
	if err != nil {
		return playbooks.Playbook{}, usage("name a file that is yours alone to change", "playbook: %w", err)
	}
	book, err := actions.Validate(name, src)
	if err != nil {
		return book, usage("clawback playbook validate "+name, "%w", err)
	}
	return book, nil
}

// isFile tells the path of a playbook from the name of one that comes with clawback.
func isFile(playbook string) bool { return strings.ContainsAny(playbook, "/.") }
