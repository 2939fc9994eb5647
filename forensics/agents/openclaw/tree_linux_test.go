package openclaw

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// What is not a regular file is not even opened: opening a FIFO lets its writer go on.
func TestNothingElseIsOpened(t *testing.T) {
	root, dir := tree(t, map[string]string{"file": "x"})
	must(t, syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	watch, err := syscall.InotifyInit1(syscall.IN_NONBLOCK | syscall.IN_CLOEXEC)
	must(t, err)
	defer syscall.Close(watch)
	opened := func(name string) bool {
		wd, err := syscall.InotifyAddWatch(watch, filepath.Join(dir, name), syscall.IN_OPEN)
		must(t, err)
		_, _ = ReadFile(root, name, 10)
		n, _ := syscall.Read(watch, make([]byte, 4096))
		_, err = syscall.InotifyRmWatch(watch, uint32(wd))
		must(t, err)
		_, _ = syscall.Read(watch, make([]byte, 4096)) // that the watch is gone
		return n > 0
	}
	if !opened("file") {
		t.Error("the watch saw nothing")
	}
	if opened("fifo") {
		t.Error("a FIFO was opened")
	}
}

// Who leads the agent to another account's directory does not become that account.
func TestLinkToAnothersDirectory(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root to give files to other accounts")
		}
		t.Skip("needs root to give files to other accounts")
	}
	root, dir := tree(t, map[string]string{
		"home/a/": "", "home/c/.config/systemd/user/openclaw.service": "[Service]\nEnvironment=OPENCLAW_STATE_DIR=/home/d/app\n",
		"home/b/app/.env": "", "home/d/app/.env": "",
	})
	must(t, os.Symlink("/home/b/app", filepath.Join(dir, "home/a/.openclaw")))
	for name, uid := range map[string]int{"home/a/.openclaw": 4001, "home/b/app": 4002, "home/c/.config/systemd/user/openclaw.service": 4003, "home/d/app": 4004} {
		must(t, os.Lchown(filepath.Join(dir, name), uid, uid))
	}
	found, _ := Locate(root)
	got := map[string]int{}
	for _, in := range found {
		got[in.StateDir] = in.UID
	}
	if len(got) != 2 || got["home/b/app"] != 4001 || got["home/d/app"] != 4003 {
		t.Errorf("accounts by state directory: %v", got)
	}
}
