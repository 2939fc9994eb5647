package main

import (
	"errors"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"
)

// app is what every command has at hand.
type app struct {
	streams
	env        environment
	config     config
	configFile string
	as         string        // who types, by --as or by the key of the login; empty where neither says it
	names      []string      // whose the key of the login is
	login      ssh.PublicKey // that key; nil for none that somebody is known by
	identified bool          // the two above are known
	lines      bool          // appended lines and numbered choices in place of a screen
	begun      func()        // a response takes the signals over; nil where nobody else listens
}

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "clawback",
		Short: "Freeze a compromised AI agent, preserve its evidence, kill every credential it held, prove each one dead",
		Long: `clawback is for the worst night of a self-hosted AI agent. It freezes the agent, seals its
evidence, revokes every credential at every provider at once, proves that each one is dead, keeps
the service down, and writes the report.

  clawback                    on a terminal: what can be begun, and what is missing
  clawback respond            the console: step by step, you decide
  clawback kill --yes         the kill switch: nobody is asked
  clawback drill              the same against a simulated world; nothing real is touched`,
		Args:          cobra.ArbitraryArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(c *cobra.Command, args []string) error {
			var err error
			if a.config, err = loadConfig(a.configFile, a.env); err != nil || a.identified {
				return err
			}
			return a.identify(!c.HasParent() && len(args) == 0)
		},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("clawback --help lists the commands", "there is no command %q", args[0])
			}
			if _, forced := a.env[originalCommand]; forced {
				return a.forced(c)
			}
			if a.noConsole() == nil {
				return a.home(c.Context())
			}
			return c.Help()
		},
	}
	root.PersistentFlags().StringVar(&a.configFile, "config", "", "configuration of the desk (default $CLAWBACK_CONFIG, then $XDG_CONFIG_HOME/clawback/clawback.yaml, /etc/clawback/clawback.yaml)")
	root.PersistentFlags().StringVar(&a.as, "as", "", "who you are in the record (default: whose key opened the ssh login, where sshd says it; then responder: in the configuration; then $USER)")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage(c.CommandPath()+" --help lists them", "%w", err)
	})
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		a.killCommand(), a.respondCommand(), a.revokeCommand(), a.resumeCommand(), a.attachCommand(), a.watchCommand(), a.drillCommand(),
		a.discoverCommand(), a.snapshotCommand(), a.verifyCommand(), a.reportCommand(), a.witnessCommand(),
		a.approveCommand(), a.noteCommand(), a.inventoryCommand(), a.recheckCommand(), a.undoCommand(), a.reviewCommand(),
		a.handoffCommand(), a.isolateCommand(), a.thawCommand(), a.restoreCommand(), a.custodyCommand(),
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

// errNotTerminal is returned where a person is needed and there is no terminal.
var errNotTerminal = errors.New("this needs a terminal")
