package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	crand "crypto/rand"
	"encoding/pem"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/ssh"

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
	testscript.Main(m, map[string]func(){"clawback": mainOfTests})
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
			"exits": exits, "generate": generate, "sshkey": sshkey,
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

// sshkey FILE KIND [PASSPHRASE] makes an SSH key, and FILE.pub.
func sshkey(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: sshkey FILE KIND [PASSPHRASE]")
	}
	var key crypto.Signer
	var err error
	switch args[1] {
	case "ed25519":
		_, key, err = ed25519.GenerateKey(nil)
	case "ecdsa":
		key, err = ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	default:
		ts.Fatalf("no keys of the kind %s", args[1])
	}
	ts.Check(err)
	block, err := ssh.MarshalPrivateKey(key, "")
	if len(args) > 2 {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(args[2]))
	}
	ts.Check(err)
	public, err := ssh.NewPublicKey(key.Public())
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), pem.EncodeToMemory(block), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".pub"), ssh.MarshalAuthorizedKey(public), 0o600))
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
