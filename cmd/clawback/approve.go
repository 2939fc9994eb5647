package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"
	"golang.org/x/term"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks/engine/inbox"
	"clawback/playbooks/engine/signers"
)

// How long a command waits for the response to take its message.
const (
	quietWait = 10 * time.Second // with nothing new on record
	takeWait  = time.Minute      // in all: a long record takes its time to be read
)

// whatFollows explains how the commands of other people end.
const whatFollows = `
The message is signed with your key and put into the incident's inbox. Exit code 0: the record holds
it. 20: it was refused, and the record says why. 6: nobody runs this response at the moment, or it
is busy; the message lies in the inbox until it, or clawback resume, takes it in.`

func (a *app) approveCommand() *cobra.Command {
	var s sender
	var yes bool
	c := &cobra.Command{
		Use: "approve INCIDENT STEP", Short: "Approve a step that waits for other people",
		Long: "Approve a step of a response that waits for other people. You have to stand in the desk's list of\nallowed signers, and you cannot approve what you asked for yourself.\n" + whatFollows +
			"\n\nWith the file of a plan instead of an incident, the step is approved beforehand: the approval is\nwritten beside the file, for clawback kill --plan.",
		Args: exactly(2, "INCIDENT STEP"),
		RunE: func(c *cobra.Command, args []string) error {
			if isPlan(args[0]) && !a.identified { // who comes over a forced command names no file
				return a.approvePlan(c.Context(), s, args[0], args[1], yes)
			}
			return a.approve(c.Context(), s, args[0], args[1], yes)
		},
	}
	s.flags(c)
	c.Flags().BoolVar(&yes, "yes", false, "approve it; without it, what you approve is shown and you are asked")
	return c
}

func (a *app) noteCommand() *cobra.Command {
	var s sender
	c := &cobra.Command{
		Use: "note INCIDENT TEXT", Short: "Put a note on the record of a response",
		Long: "Put a note on the record of a response that runs.\n" + whatFollows,
		Args: exactly(2, "INCIDENT TEXT"),
		RunE: func(c *cobra.Command, args []string) error { return a.note(c.Context(), s, args[0], args[1]) },
	}
	s.flags(c)
	return c
}

// sender is who signs a message.
type sender struct{ key, as string }

func (s *sender) flags(c *cobra.Command) {
	c.Flags().StringVar(&s.key, "key", "", "sign with this private key; with a public key in `FILE`, ssh-agent signs, also with a hardware key")
	c.Flags().StringVar(&s.as, "as", "", "who you are in the list of allowed signers (default: whom it gives the key to, if to one alone)")
}

// open returns what signs, and for whom. What is known to be refused is refused here.
func (s sender) open(ctx context.Context, a *app, namespace string) (key ssh.Signer, closer io.Closer, as string, err error) {
	if s.key == "" && a.login != nil { // with which the person came: its private half is at theirs
		if key, closer, err = (signers.Agent{Socket: a.env["SSH_AUTH_SOCK"]}).Held(ctx, "of your login", a.login); err != nil {
			return nil, nil, "", &failure{incident.ExitUsage, err, "connect with ssh -A, where this machine allows it"}
		}
		s.as = firstOf(s.as, a.as)
		if as, err = s.principal(a, key.PublicKey(), namespace); err != nil {
			_ = closer.Close()
		}
		return key, closer, as, err
	}
	if s.key == "" {
		return nil, nil, "", usage("for example --key ~/.ssh/id_ed25519", "it does not say which key signs: --key FILE")
	}
	agent := signers.Agent{Socket: a.env["SSH_AUTH_SOCK"]}
	if term.IsTerminal(int(a.in.Fd())) {
		agent.Passphrase = func() ([]byte, error) {
			fmt.Fprintf(a.err, "Passphrase of %s: ", s.key)
			defer fmt.Fprintln(a.err)
			return term.ReadPassword(int(a.in.Fd()))
		}
	}
	if key, closer, err = agent.Open(ctx, s.key); err != nil {
		return nil, nil, "", &failure{incident.ExitUsage, err, hintOf(err)}
	}
	if as, err = s.principal(a, key.PublicKey(), namespace); err != nil {
		_ = closer.Close()
	}
	return key, closer, as, err
}

func (s sender) principal(a *app, key ssh.PublicKey, namespace string) (string, error) {
	if a.config.AllowedSigners == "" {
		return "", usage("name a list with allowed_signers: in the configuration (clawback help config)", "the configuration names nobody who may sign")
	}
	list, err := a.allowedSigners()
	if err != nil {
		return "", usage("mend the list", "%w", err)
	}
	as := s.as
	if as == "" {
		names := list.Names(key)
		if len(names) != 1 {
			return "", usage("say who you are with --as PRINCIPAL", "%s gives the key %s to %d names", a.config.AllowedSigners, ssh.FingerprintSHA256(key), len(names))
		}
		as = names[0]
	}
	if err := list.Allow(as, key, namespace, time.Now()); err != nil {
		return "", &failure{incident.ExitApproval, err, "the list is " + a.config.AllowedSigners}
	}
	return as, nil
}

func hintOf(err error) string {
	var hinter interface{ Hint() string }
	if errors.As(err, &hinter) {
		return hinter.Hint()
	}
	return ""
}

func (a *app) approve(ctx context.Context, who sender, id, step string, yes bool) error {
	dir, err := a.find(id)
	if err != nil {
		return err
	}
	s, err := incident.FoldAll(journal.Read(dir))
	if err != nil && !errors.Is(err, journal.ErrTorn) {
		return err
	}
	asked := s.Approvals[step]
	if asked == nil {
		return &failure{incident.ExitApproval, fmt.Errorf("no approval of a step %q is asked for in %s", step, s.Declared.Incident), waitingSteps(s)}
	}
	binds, err := incident.Binds(s.First, s.Plan, step)
	if err != nil || binds != asked.Binds {
		return &failure{incident.ExitApproval, errors.Join(errors.New("what the record asks to be approved is not the step as it is planned there"), err), "approve nothing, and look at the record"}
	}
	key, closer, as, err := who.open(ctx, a, signers.Approvals)
	if err != nil {
		return err
	}
	defer func() { _ = closer.Close() }()
	a.showStep(s, asked, as)
	if !yes {
		if err := a.confirm("approve " + step); err != nil {
			return err
		}
	}
	return a.send(ctx, dir, inbox.Message{Kind: inbox.KindApproval, As: as, Approval: &inbox.Approval{Step: step, Binds: binds}}, key)
}

// waitingSteps names the steps that still lack approvals.
func waitingSteps(s incident.State) string {
	var waiting []string
	for _, phase := range s.Plan.Phases {
		for _, step := range phase.Steps {
			if asked := s.Approvals[step.ID]; asked != nil && asked.Missing() > 0 {
				waiting = append(waiting, step.ID)
			}
		}
	}
	if len(waiting) == 0 {
		return "none is asked for"
	}
	return "asked for are approvals of " + strings.Join(waiting, ", ")
}

// showStep shows what somebody is about to approve.
func (a *app) showStep(s incident.State, asked *incident.Approval, as string) {
	step, d := s.Steps[asked.Step], s.Declared
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(a.err, "  %-13s %s\n", name, show(text))
		}
	}
	fmt.Fprintf(a.err, "%s %s: %s\n", strings.ToUpper(d.Mode), show(d.Incident), show(s.Plan.Title))
	line("target", d.Target)
	line("asked by", fmt.Sprintf("%s at %s, ticket %s", asked.By, d.Desk, dash(d.Ticket)))
	line("step", fmt.Sprintf("%s: %s (%s)", step.ID, step.Title, step.Uses))
	line("why", step.Why)
	line("irreversible", step.Irreversible)
	for _, key := range slices.Sorted(maps.Keys(step.With)) {
		line("with "+key, fmt.Sprint(step.With[key]))
	}
	line("approved", fmt.Sprintf("by %d of %d", len(asked.Given), asked.Needs))
	if asked.Broken != nil {
		line("went ahead", fmt.Sprintf("without approvals, by %s: %s", asked.Broken.By, asked.Broken.Reason))
	}
	line("digest", asked.Binds)
	line("you are", as)
}

func dash(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// confirm wants words typed on the terminal.
func (a *app) confirm(words string) error {
	if !term.IsTerminal(int(a.in.Fd())) {
		return &failure{incident.ExitApproval, errors.New("nobody can be asked here"), "look at what is shown, and add --yes"}
	}
	fmt.Fprintf(a.err, "\nType  %s  to go on: ", show(words))
	typed, err := bufio.NewReaderSize(a.in, 4096).ReadString('\n')
	if err != nil || strings.TrimSpace(typed) != words {
		return &failure{incident.ExitApproval, errors.New("nothing was sent"), "type what is asked for, or add --yes"}
	}
	return nil
}

func (a *app) note(ctx context.Context, who sender, id, text string) error {
	dir, err := a.find(id)
	if err != nil {
		return err
	}
	if strings.TrimSpace(text) == "" {
		return usage(`clawback note INCIDENT "TEXT" --key FILE`, "the note is empty")
	}
	key, closer, as, err := who.open(ctx, a, signers.Notes)
	if err != nil {
		return err
	}
	defer func() { _ = closer.Close() }()
	return a.send(ctx, dir, inbox.Message{Kind: inbox.KindNote, As: as, Note: &inbox.Note{Text: text}}, key)
}

// send drops a message, and waits for a while until the record shows what became of it.
func (a *app) send(ctx context.Context, dir string, m inbox.Message, key ssh.Signer) error {
	sent, err := inbox.Drop(dir, m, key)
	if err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, takeWait)
	defer cancel()
	for cursor := journal.Follow(dir); ; {
		quiet, stop := context.WithTimeout(waiting, quietWait)
		e, err := cursor.Next(quiet)
		stop()
		if err != nil {
			return a.lies(dir, sent.File, err)
		}
		if message, ok := incident.SignedMessage(e); ok && message == sent.Text {
			fmt.Fprintf(a.out, "entry %d of the record holds it\n", e.Seq)
			return nil
		}
		var refused incident.InboxRefused
		if e.Type == incident.TypeRefused && e.Decode(&refused) == nil && refused.File == sent.File {
			return &failure{incident.ExitApproval, fmt.Errorf("it was refused: %s", refused.Why), "the record says so too"}
		}
	}
}

// lies says why a message is not taken yet.
func (a *app) lies(dir, file string, why error) error {
	path := filepath.Join(dir, inbox.Name, file)
	switch _, err := os.Stat(path); {
	case err != nil:
		why = fmt.Errorf("what became of it is not known: %w", errors.Join(why, err))
	case errors.Is(why, io.EOF), errors.Is(why, journal.ErrTorn):
		why = errors.New("it is not taken: nobody runs this response at the moment")
	case errors.Is(why, context.DeadlineExceeded):
		why = errors.New("it is not taken yet")
	}
	return &failure{incident.ExitManual, why, "it lies in " + path + "; clawback resume takes it in"}
}
