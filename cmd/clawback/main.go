// Command clawback is the desk of a response: it freezes a compromised OpenClaw agent, preserves
// its evidence, revokes every credential that it held, and proves that each one is dead.
package main

import (
	// First of all: it keeps Bubble Tea from asking the terminal for its background colour, which
	// stalls every command for seconds on a terminal that does not answer.
	_ "clawback/tui/background"

	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"clawback/forensics/disk"
	"clawback/forensics/incident"
	"clawback/playbooks/drill"
	"clawback/playbooks/engine"
	"clawback/revoke"
)

// What a desk runs on. A test puts a disk in its place that dies at a chosen write, and a clock
// that runs faster than the wall's.
var (
	ownDisk  disk.FS      = disk.OS{}
	ownClock engine.Clock = revoke.Wall{}
)

// softMemory is what the program tries to stay below, in bytes: it collects its garbage more often
// then. A bastion is a small machine, and a sweep of ten thousand credentials needs no more.
const softMemory = 112 << 20

// version is set when a release is built.
var version = "0.1.0-dev"

func main() {
	if os.Getenv(drill.AgentEnv) != "" {
		if err := drill.RunAgent(); err != nil {
			fmt.Fprintln(os.Stderr, "clawback:", err)
			os.Exit(incident.ExitUsage)
		}
		return
	}
	harden()
	debug.SetMemoryLimit(softMemory)
	env := scrubEnvironment()
	signal.Ignore(syscall.SIGPIPE) // a reader that goes away must not end a response
	code := run(context.Background(), os.Args[1:], env, streams{in: os.Stdin, out: os.Stdout, err: os.Stderr})
	os.Exit(code)
}

// streams are where a command reads and writes.
type streams struct {
	in  *os.File
	out io.Writer
	err io.Writer
}

// run carries out one command line and returns its exit code.
func run(ctx context.Context, args []string, env environment, io streams) int {
	root := newRoot(&app{env: env, streams: io})
	root.SetArgs(args)
	root.SetIn(io.in)
	root.SetOut(io.out)
	root.SetErr(io.err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var ended exitCode
	if errors.As(err, &ended) {
		return int(ended) // the command has said what there is to say
	}
	complain(io.err, err)
	return codeOf(err)
}
