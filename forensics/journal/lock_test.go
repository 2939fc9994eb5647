package journal

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const lockPath = "CLAWBACK_TEST_LOCK"

// TestMain serves as the other process: it tries the lock and says how that went.
func TestMain(m *testing.M) {
	path := os.Getenv(lockPath)
	if path == "" {
		os.Exit(m.Run())
	}
	var locked *LockedError
	if _, err := Lock(path, Holder{Who: "lee"}); errors.As(err, &locked) {
		_ = json.NewEncoder(os.Stdout).Encode(locked.Holder)
		os.Exit(11)
	} else if err != nil {
		os.Exit(1)
	}
}

// fromAnotherProcess tries the lock at path, and returns the exit code and who holds it.
func fromAnotherProcess(t *testing.T, path string) (int, Holder) {
	t.Helper()
	other := exec.Command(os.Args[0])
	other.Env = append(os.Environ(), lockPath+"="+path)
	out, err := other.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	var holder Holder
	if len(out) > 0 {
		if err := json.Unmarshal(out, &holder); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
	}
	return other.ProcessState.ExitCode(), holder
}

func TestLockNamesItsHolder(t *testing.T) {
	dir := t.TempDir()
	dana := Holder{Who: "dana", Desk: "bastion-2", PID: 4711, Since: time.Date(2026, 11, 22, 3, 17, 0, 0, time.UTC)}
	j, err := Create(dir, dana, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, LockName)
	if code, holder := fromAnotherProcess(t, path); code != 11 || holder != dana {
		t.Errorf("another process got exit %d and %+v", code, holder)
	}
	_, err = Create(dir, Holder{Who: "lee"}, time.Now) // another file descriptor of this process
	var locked *LockedError
	if !errors.As(err, &locked) || locked.Holder != dana || locked.Path != path {
		t.Fatalf("Create returned %v", err)
	}
	for _, want := range []string{"dana", "bastion-2", "4711", "2026-11-22T03:17:00Z"} {
		if !strings.Contains(locked.Error(), want) {
			t.Errorf("%q does not say %s", locked, want)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if code, _ := fromAnotherProcess(t, path); code != 0 {
		t.Errorf("after Close another process got exit %d", code)
	}
}

func TestLockOfAHolderThatSaysNothing(t *testing.T) {
	for name, content := range map[string]string{"empty": "", "binary": "\x00\x01", "long": strings.Repeat("[", 1<<20)} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), LockName)
			lock, err := Lock(path, Holder{Who: "dana"})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = lock.Close() }()
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err = Lock(path, Holder{Who: "lee"})
			var locked *LockedError
			if !errors.As(err, &locked) || !strings.Contains(err.Error(), path) {
				t.Errorf("Lock returned %v", err)
			}
		})
	}
	if _, err := Lock(t.TempDir(), Holder{}); err == nil {
		t.Error("a folder was taken as a lock")
	}
}

// Whoever can write to the folder must not choose what else is overwritten.
func TestLockThroughALink(t *testing.T) {
	dir := t.TempDir()
	theirs, path := filepath.Join(dir, "theirs"), filepath.Join(dir, LockName)
	if err := errors.Join(os.WriteFile(theirs, []byte("text"), 0o600), os.Symlink(theirs, path)); err != nil {
		t.Fatal(err)
	}
	if f, err := Lock(path, Holder{Who: "dana"}); err == nil {
		t.Errorf("it was taken: %v", f.Close())
	}
	if b, err := os.ReadFile(theirs); err != nil || string(b) != "text" {
		t.Errorf("what the link leads to is %q now, %v", b, err)
	}
}
