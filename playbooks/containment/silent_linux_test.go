package containment

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clawback/forensics/agents/openclaw"
	"clawback/forensics/disk/disktest"
)

// A state directory that never answers holds up neither the verbs nor the queue of another one.
func TestAStateDirectoryThatHangs(t *testing.T) {
	dir := t.TempDir()
	silent, other := filepath.Join(dir, "home/ada/.openclaw"), filepath.Join(dir, "home/bob/.openclaw")
	for _, d := range []string{silent, other} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(other, "restart-sentinel.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	disktest.Hang(t, silent)
	a := openAgent(t, dir)
	problems, held := soon(t, "stop", func() (string, []string) {
		s, err := a.Stop(context.Background())
		if err != nil {
			t.Error(err)
		}
		return strings.Join(s.Problems, "\n"), s.Held
	})
	named := "queue of home/ada/.openclaw: " + openclaw.ErrSilent.Error()
	if want := "home/bob/.openclaw/restart-sentinel.json"; !strings.Contains(problems, named) || len(held) != 1 || held[0] != want {
		t.Errorf("stop: problems %q, held %q", problems, held)
	}
	problems, _ = soon(t, "restore", func() (string, []string) {
		if err := a.Restore(context.Background()); err != nil {
			return err.Error(), nil
		}
		return "", nil
	})
	if _, err := os.Lstat(filepath.Join(other, "restart-sentinel.json")); err != nil || !strings.Contains(problems, named) {
		t.Errorf("restore: problems %q, the other queue: %v", problems, err)
	}
}

// soon calls a verb, and fails the test where that takes too long.
func soon(t *testing.T, name string, verb func() (string, []string)) (problems string, held []string) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		problems, held = verb()
	}()
	select {
	case <-done:
		return problems, held
	case <-time.After(10 * openclaw.Patience):
		t.Fatal(name + " hangs")
		return "", nil
	}
}
