package main

import (
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"clawback/forensics/incident"
)

// app is what every command has at hand.
type app struct {
	streams
	env        environment
	config     config
	configFile string
	begun      func() // a response takes the signals over; nil where nobody else listens
}

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "clawback",
		Short: "Freeze a compromised AI agent, preserve its evidence, kill every credential it held, prove each one dead",
		Long: `clawback is for the worst night of a self-hosted AI agent. It freezes the agent, seals its
evidence, revokes every credential at every provider at once, proves that each one is dead, keeps
the service down, and writes the report.

  clawback respond            the console: step by step, you decide
  clawback kill --yes         the kill switch: nobody is asked
  clawback drill              the same against a simulated world; nothing real is touched`,
		Args:          cobra.ArbitraryArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			var err error
			a.config, err = loadConfig(a.configFile, a.env)
			return err
		},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("clawback --help lists the commands", "there is no command %q", args[0])
			}
			return c.Help()
		},
	}
	root.PersistentFlags().StringVar(&a.configFile, "config", "", "configuration of the desk (default $CLAWBACK_CONFIG, then $XDG_CONFIG_HOME/clawback/clawback.yaml, /etc/clawback/clawback.yaml)")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage(c.CommandPath()+" --help lists them", "%w", err)
	})
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		a.killCommand(), a.respondCommand(), a.revokeCommand(), a.resumeCommand(), a.attachCommand(), a.watchCommand(), a.drillCommand(),
		a.discoverCommand(), a.snapshotCommand(), a.verifyCommand(), a.reportCommand(), a.witnessCommand(),
		a.approveCommand(), a.noteCommand(), a.inventoryCommand(), a.recheckCommand(), a.undoCommand(),
		a.planCommand(),
		a.providersCommand(), a.playbookCommand(), a.versionCommand(),
		exitCodesTopic(), configTopic(), a.docsCommand(),
	)
	return root
}

// noArgs refuses arguments with an error of ours.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage(c.CommandPath()+" --help", "%s takes no argument, and got %q", c.CommandPath(), args[0])
	}
	return nil
}

// upTo refuses more than n arguments with an error of ours.
func upTo(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > n {
			return usage(c.CommandPath()+" --help", "%s takes at most %d, and got %d", c.CommandPath(), n, len(args))
		}
		return nil
	}
}

func exitCodesTopic() *cobra.Command {
	topic := &cobra.Command{Use: "exit-codes", Short: "What each exit code means", Args: noArgs}
	topic.SetHelpFunc(func(c *cobra.Command, _ []string) {
		w := tabwriter.NewWriter(c.OutOrStdout(), 0, 8, 2, ' ', 0)
		for _, e := range incident.ExitCodes {
			note := ""
			if e.Refusal {
				note = " (nothing ran)"
			}
			fmt.Fprintf(w, "%d\t%s%s\n", e.Code, e.Meaning, note)
		}
		_ = w.Flush()
	})
	topic.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	return topic
}

func configTopic() *cobra.Command {
	topic := &cobra.Command{Use: "config", Short: "What clawback.yaml can hold", Args: noArgs}
	topic.SetHelpFunc(func(c *cobra.Command, _ []string) { fmt.Fprint(c.OutOrStdout(), configHelp+inventoryHelp+witnessHelp) })
	topic.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	return topic
}

const configHelp = `clawback.yaml, at the desk alone. It holds no secret, only where each one is kept. It has to belong
to you or root, and nobody else may be able to change it.

responder: alice            # who the record names
authorities:                # your own credentials, for what cannot revoke itself
  aws:
    kind: aws.access_key
    parts:
      access_key_id: {env: RESPONDER_AWS_KEY_ID}
      secret_access_key: {file: /etc/clawback/aws-secret}
  stripe:
    kind: stripe.api_key
    parts: {value: {vault: secret/responder/stripe#key}}   # or env:, file:, command: [program, argument]
  azure:
    kind: azure.access_token
    parts: {value: {login: az}}   # or gcloud: loaded anew each time, so log in again in the middle of a run
  # aws: {aws_profile: responder}   in place of kind and parts: keys, an assumed role, single sign-on
endpoints:                  # only what stands here, or is compiled in, is ever called
  github: https://github.example.com/api/v3
  gitlab: {url: https://gitlab.example.com, ca: /etc/clawback/gitlab-ca.pem}   # that CA alone is trusted there
settings: {}                # of providers: clawback providers --json says which have some
ssh_config: /etc/clawback/ssh_config   # instead of your own, for --host
allowed_signers: /etc/clawback/allowed_signers   # who may approve and note, as in ssh-keygen(1); responder: has to be one of them
roles: {commander: alice, scribe: bob, communications: carol, legal: dan}
`

// errNotTerminal is returned where a person is needed and there is no terminal.
var errNotTerminal = errors.New("this needs a terminal")
