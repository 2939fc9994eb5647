package snapshots

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestFullDisk(t *testing.T) {
	needRoot(t, "to mount a small tmpfs")
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=256k"); err != nil {
		skip(t, "needs the right to mount: "+err.Error())
	}
	defer syscall.Unmount(disk, 0)
	dir := filepath.Join(disk, "evidence")
	b, err := NewBag(dir, Info{})
	must(t, err)
	defer b.Close()
	_, root := tree(t, map[string]string{ada + "openclaw.json": random(4 << 20)})
	_, err = Capture(t.Context(), root, "files", Options{}, b)
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "make room") {
		t.Errorf("error %v", err)
	}
	if _, err := b.Seal(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("it was sealed with a gap: %v", err)
	}
	if _, err := os.Lstat(b.path); !errors.Is(err, fs.ErrNotExist) {
		t.Error("half of the evidence passes for all of it")
	}
}

func TestReadOnlyFolder(t *testing.T) {
	parent := t.TempDir()
	if os.Getuid() == 0 { // to whom permissions do not matter
		if err := syscall.Mount("tmpfs", parent, "tmpfs", syscall.MS_RDONLY, ""); err != nil {
			skip(t, "needs the right to mount: "+err.Error())
		}
		defer syscall.Unmount(parent, 0)
	} else {
		must(t, os.Chmod(parent, 0o500))
		defer os.Chmod(parent, 0o700)
	}
	_, err := NewBag(filepath.Join(parent, "evidence"), Info{})
	if err == nil || !strings.Contains(err.Error(), parent) || !strings.Contains(err.Error(), "choose a folder") {
		t.Errorf("error %v", err)
	}
}
