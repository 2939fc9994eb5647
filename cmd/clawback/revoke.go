package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"clawback/forensics/incident"
	"clawback/playbooks"
	"clawback/playbooks/actions"
	"clawback/revoke/credential"
	"clawback/revoke/discover"
)

// leak is what the command line says of credentials that leaked without a host.
type leak struct {
	target
	kind      string
	yes, json bool
}

// maxLeak bounds what is read of credentials: a list of ten thousand is well below.
const maxLeak = 16 << 20

func (a *app) revokeCommand() *cobra.Command {
	var l leak
	c := &cobra.Command{
		Use:   "revoke [FILE]",
		Short: "Kill credentials that leaked, without a host: from a prompt, stdin or a file",
		Long: "revoke kills the credentials that it is given at their providers, all at once, and proves each one\n" +
			"dead: the same engine, record, proof and report as a response, and no host is touched.\n\n" +
			"It reads FILE, or stdin; on a terminal it asks for one credential without echoing it. Each line is a\n" +
			"bare value or NAME=value; the parts of an AWS key stand as AWS_ACCESS_KEY_ID and\n" +
			"AWS_SECRET_ACCESS_KEY. A service account's key file or a private key is taken as a whole. A line\n" +
			"whose kind nothing tells is refused: name it with --kind.",
		Args: upTo(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.revoke(c.Context(), strings.Join(args, ""), l)
		},
	}
	c.Flags().StringVar(&l.kind, "kind", "", "what the bare values are, such as slack.signing_secret (clawback providers lists the kinds)")
	c.Flags().StringArrayVar(&l.endpoints, "endpoint", nil, "call `PROVIDER=URL` instead of the compiled-in address")
	signKeyFlag(c, &l.signKey)
	l.teamFlags.flags(c)
	l.severityFlag(c)
	c.Flags().BoolVar(&l.yes, "yes", false, "do it; without it the credentials are listed and you are asked")
	c.Flags().BoolVar(&l.json, "json", false, "print the record as JSON Lines on stdout, and a summary as its last line")
	l.deadlineFlag(c)
	return c
}

func (a *app) revoke(ctx context.Context, file string, l leak) error {
	if l.deadline <= 0 {
		return usage("for example --deadline 2m", "--deadline has to be positive")
	}
	if _, ok := credential.Lookup(l.kind); l.kind != "" && !ok {
		return usage("clawback providers lists the kinds", "there is no kind %q of credentials", l.kind)
	}
	asks := file == "" && term.IsTerminal(int(a.in.Fd()))
	if !l.yes && !asks && (file == "" || !term.IsTerminal(int(a.in.Fd()))) {
		return &failure{incident.ExitApproval, errors.New("revoke changes things, and nobody can be asked here"), "add --yes"}
	}
	given, err := a.leaked(file, asks, l.kind)
	if err != nil {
		return err
	}
	book, err := a.playbook(playbooks.LeakedCredentials, l.deadline)
	if err != nil {
		return err
	}
	s, endpoints, err := a.resolve(l.target)
	if err != nil {
		return err
	}
	if s.team, err = a.team(l.teamFlags, book); err != nil {
		return err
	}
	s.host = noHost()
	if err := s.supply(endpoints, false, false); err != nil {
		return err
	}
	if !l.yes {
		if err := a.askToRevoke(given); err != nil {
			return err
		}
	}
	return s.startLeak(ctx, book, given, l.json)
}

// noHost stands for the host of a leak.
func noHost() actions.Gone {
	return actions.Gone{Target: "no host", Far: true, Why: errors.New("the credentials were handed over: there is no host")}
}

func (s *situation) startLeak(ctx context.Context, book playbooks.Playbook, given []discover.Found, json bool) error {
	o, err := s.app.create("LEAK", "a leak of "+ownClock.Now().UTC().Format(time.RFC3339Nano), ownClock.Now) // no two of them get in each other's way
	if err != nil {
		return err
	}
	d := s.declared(o.id, book, false)
	d.Leak = true
	r := s.response(o, book, d, json)
	r.work.Key, r.work.Given = o.fingerprintKey(), given
	r.with(s.team)
	r.signWith(s.own, "")
	return r.run(ctx)
}

// leaked reads what was handed over.
func (a *app) leaked(file string, asks bool, kind string) ([]discover.Found, error) {
	name, text, err := a.handedOver(file, asks)
	if err != nil {
		return nil, err
	}
	found, unknown := discover.Leak(name, text)
	if kind != "" {
		named, err := ofKind(kind, name, text, unknown)
		if err != nil {
			return nil, err
		}
		found, unknown = append(found, named...), nil
	}
	if len(unknown) > 0 {
		lines := make([]string, len(unknown))
		for i, n := range unknown {
			lines[i] = strconv.Itoa(n)
		}
		const most = 10
		more := ""
		if len(lines) > most {
			lines, more = lines[:most], " and more"
		}
		return nil, usage("write NAME=value, or name the kind with --kind", "%s: nothing tells what stands in line %s%s: nothing was revoked", name, strings.Join(lines, ", "), more)
	}
	found = slices.DeleteFunc(found, func(f discover.Found) bool { return f.Doubt.Harmless() })
	if len(found) == 0 {
		return nil, usage("clawback help revoke says how they are written", "%s holds no credential", name)
	}
	return found, nil
}

// ofKind takes the lines whose kind nothing tells for that kind.
func ofKind(kind, name string, text []byte, unknown []int) (found []discover.Found, err error) {
	lines := strings.Split(string(text), "\n")
	for _, n := range unknown {
		value := strings.TrimSpace(lines[n-1])
		f, err := discover.HandOver(kind, value, credential.Source{Path: name, Line: n})
		if err != nil {
			return nil, err
		}
		found = append(found, f)
	}
	return found, nil
}

// handedOver is the text that holds the credentials, and where it came from.
func (a *app) handedOver(file string, asks bool) (name string, text []byte, err error) {
	switch {
	case asks:
		fmt.Fprint(a.err, "Credential (it is not shown): ")
		text, err = term.ReadPassword(int(a.in.Fd()))
		fmt.Fprintln(a.err)
		return "the prompt", text, err
	case file == "" || file == "-":
		text, err = io.ReadAll(io.LimitReader(a.in, maxLeak+1))
		if err == nil && len(text) > maxLeak {
			err = usage("split it", "stdin has more than %d bytes", maxLeak)
		}
		return "stdin", text, err
	}
	text, _, err = readRegular(file, maxLeak)
	if err != nil {
		err = &failure{incident.ExitUsage, fmt.Errorf("read the credentials: %w", err), "nothing was revoked"}
	}
	return file, text, err
}

// askToRevoke lists what was handed over, and wants the number of it typed.
func (a *app) askToRevoke(given []discover.Found) error {
	key := credential.NewFingerprintKey()
	for i, f := range given {
		const most = 40
		if i == most {
			fmt.Fprintf(a.err, "  and %d more\n", len(given)-most)
			break
		}
		c := actions.Credential(key, f)
		fmt.Fprintf(a.err, "  %s %s, line %d\n", c.Kind, c.Masked, f.Source.Line)
	}
	want := fmt.Sprintf("revoke %d", len(given))
	fmt.Fprintf(a.err, "They are revoked at their providers, which cannot be undone for most. Type  %s  to go on: ", want)
	in, err := os.OpenFile("/dev/tty", os.O_RDONLY, 0)
	if err != nil {
		in = a.in
	} else {
		defer func() { _ = in.Close() }()
	}
	line, err := bufio.NewReaderSize(in, 4096).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != want {
		return &failure{incident.ExitApproval, errors.New("nothing was revoked"), "type what is asked for, or add --yes"}
	}
	return nil
}
