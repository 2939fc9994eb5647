package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"clawback/playbooks/drill"
	"clawback/playbooks/drill/tree"
	"clawback/revoke/credential"

	"math/rand/v2"
)

func TestMain(m *testing.M) {
	if os.Getenv(drill.AgentEnv) != "" {
		main() // this program, started as the agent of a drill
		return
	}
	if os.Getenv(treeEnv) != "" {
		runTree() // this program, as the agent of a test
		return
	}
	if filepath.Base(os.Args[0]) != "clawback" {
		waitTogether()
	}
	testscript.Main(m, map[string]func(){"clawback": main})
}

// waitTogether lets more tests run at once than there are processors: nearly all of them wait for
// a proof, by the wall clock.
func waitTogether() {
	flag.Parse()
	if !slices.ContainsFunc(os.Args, func(a string) bool { return strings.HasPrefix(a, "-test.parallel") }) {
		_ = flag.Set("test.parallel", atOnce)
	}
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("XDG_STATE_HOME", filepath.Join(e.WorkDir, "state"))
			e.Setenv("XDG_CONFIG_HOME", filepath.Join(e.WorkDir, "config"))
			e.Setenv("TMPDIR", filepath.Join(e.WorkDir, "tmp"))
			return os.MkdirAll(filepath.Join(e.WorkDir, "tmp"), 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "generate": generate,
		},
		RequireExplicitExec: false,
	})
}

// exits CODE COMMAND… runs clawback and wants that exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE ARGS…")
	}
	err := ts.Exec("clawback", args[1:]...)
	code := "0"
	if err != nil {
		var n int
		if _, scanErr := fmt.Sscanf(err.Error(), "exit status %d", &n); scanErr != nil {
			ts.Fatalf("clawback did not run: %v", err)
		}
		code = fmt.Sprint(n)
	}
	if code != args[0] {
		ts.Fatalf("exit code %s, want %s", code, args[0])
	}
}

// generate DIR KIND… writes an installation that holds one random credential of each kind.
func generate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: generate DIR KIND…")
	}
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	var held []credential.Credential
	for _, kind := range args[1:] {
		held = append(held, mint(kind))
	}
	_, err := tree.Generate(dir, rand.New(rand.NewPCG(1, 2)), held)
	ts.Check(err)
}
