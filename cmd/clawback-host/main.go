// Command clawback-host is what clawback runs on a host under response: a closed list of verbs. It holds no
// secret and no authority, reads no configuration, opens no network socket, and believes no
// environment. Its answer goes to standard output in the protocol of package wire.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"filippo.io/age"

	"clawback/forensics/agents/openclaw"
	"clawback/playbooks/containment"
	"clawback/playbooks/host"
	"clawback/playbooks/host/wire"
	"clawback/revoke/discover"
)

func main() {
	// A lost link must not end a verb half-way: a freeze is finished, whether or not somebody listens.
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run does one verb. It returns 0, 1 for a verb that failed, or 2 for wrong usage.
func run(args []string, stdout, stderr io.Writer) int {
	if len(args) == 1 && args[0] == "version" {
		fmt.Fprintf(stdout, "clawback-host %s, protocol %d\n", version(), wire.Protocol)
		return 0
	}
	c, err := parse(args, stderr)
	if err != nil {
		fmt.Fprintf(stderr, "clawback-host: %v\nusage: clawback-host %s|handoff|version [--root DIR] [--recipient AGE-KEY [--everyone]] [--part files|volatile] [--keep NAME=ADDRESS:PORT]... [--only-agent] [--undo]\n",
			err, strings.Join(wire.Verbs, "|"))
		return 2
	}
	do := c.do
	if c.verb == handoff {
		do = func(ctx context.Context, stdout io.Writer) error { return c.handoff(ctx, stdout, stderr) }
	}
	if err := do(context.Background(), stdout); err != nil {
		fmt.Fprintf(stderr, "clawback-host: %s: %v\n", c.verb, err)
		return 1
	}
	return 0
}

// handoff is the verb of a host without a link, which no desk asks for.
const handoff = "handoff"

type command struct {
	verb, root, part string
	recipient        age.Recipient
	everyone, undo   bool
	only             bool
	keep             []containment.Keep
}

func parse(args []string, stderr io.Writer) (command, error) {
	if len(args) == 0 || args[0] != handoff && !slices.Contains(wire.Verbs, args[0]) {
		return command{}, errors.New("the first argument must be a verb")
	}
	c := command{verb: args[0]}
	var recipient string
	flags := flag.NewFlagSet(c.verb, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&c.root, "root", "/", "work below this folder")
	flags.StringVar(&recipient, "recipient", "", "age key of the desk, to which secrets are sealed")
	flags.StringVar(&c.part, "part", "", "what to capture: files or volatile")
	flags.BoolVar(&c.everyone, "everyone", false, "discover what other accounts keep for themselves, too")
	flags.Func("keep", "isolate: leave `NAME=ADDRESS:PORT` in reach", func(text string) error {
		k, err := containment.ParseKeep(text)
		c.keep = append(c.keep, k)
		return err
	})
	flags.BoolVar(&c.only, "only-agent", false, "isolate: cut off the agent alone, and not its machine")
	flags.BoolVar(&c.undo, "undo", false, "isolate: open the network again, and nothing else")
	if err := flags.Parse(args[1:]); err != nil {
		return c, err
	}
	switch {
	case flags.NArg() > 0:
		return c, fmt.Errorf("%q is not expected", flags.Arg(0))
	case (c.verb == "discover" || c.verb == handoff) != (recipient != ""):
		return c, errors.New("--recipient is for discover and handoff, which need it")
	case c.everyone && c.verb != "discover":
		return c, errors.New("--everyone is for discover")
	case len(c.keep) > 0 && (c.verb != "isolate" || c.undo):
		return c, errors.New("--keep is for isolate")
	case c.only && (c.verb != "isolate" || c.undo || len(c.keep) > 0):
		return c, errors.New("--only-agent is for isolate, and leaves the agent nothing in reach")
	case c.undo && c.verb != "isolate":
		return c, errors.New("--undo is for isolate")
	case (c.verb == "capture") != (c.part != ""):
		return c, errors.New("--part is for capture, which needs it")
	}
	if recipient != "" {
		r, err := age.ParseX25519Recipient(recipient)
		if err != nil {
			return c, fmt.Errorf("--recipient: %w", err)
		}
		c.recipient = r
	}
	return c, nil
}

// do answers with one verb's result. The error is that of the verb or of writing the answer.
func (c command) do(ctx context.Context, stdout io.Writer) error {
	w, err := wire.NewWriter(stdout, c.verb, version(), c.recipient)
	if err != nil && !c.acts() {
		return err
	}
	h, err := host.NewLocal(c.root)
	if err != nil {
		return errors.Join(err, w.Close(nil, err))
	}
	defer h.Close()
	result, err := c.verbs(ctx, h, w)
	return errors.Join(err, w.Close(result, err))
}

// acts reports whether the verb is to be done even when nobody listens any more.
func (c command) acts() bool { return c.verb == "freeze" || c.verb == "stop" || c.verb == "isolate" }

func (c command) verbs(ctx context.Context, h *host.Local, w *wire.Writer) (any, error) {
	switch c.verb {
	case "describe":
		return h.Describe(ctx)
	case "freeze":
		return h.Freeze(ctx)
	case "thaw":
		return nil, h.Thaw(ctx)
	case "capture":
		return h.Capture(ctx, c.part, w)
	case "discover":
		return c.discover(ctx, h, w)
	case "stop":
		return h.Stop(ctx)
	case "isolate":
		if c.undo {
			return nil, h.Reopen(ctx)
		}
		return h.Isolate(ctx, containment.Cut{Keep: c.keep, Only: c.only})
	case "restore":
		return nil, h.Restore(ctx)
	case "check":
		return h.Check(ctx)
	}
	return nil, fmt.Errorf("no verb %q", c.verb)
}

// discover sends each find at once, and stops searching when nobody takes them any more.
func (c command) discover(ctx context.Context, h *host.Local, w *wire.Writer) (any, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	search := h.Discover
	if c.everyone {
		search = h.DiscoverAll
	}
	sum, err := search(ctx, func(f discover.Found) {
		if err := w.Found(f); err != nil {
			cancel(err)
		}
	})
	if n := w.LeftOut(); n > 0 {
		sum.Problems = append(sum.Problems, openclaw.Problem{Path: ".", Reason: fmt.Sprintf("%d more finds than the desk takes were left out: look here by hand", n)})
	}
	return sum, err
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
