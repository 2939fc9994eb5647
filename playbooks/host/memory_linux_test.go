package host

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"clawback/snapshots"
)

// imager is a stand-in for avml: it wants avml's arguments and prints what it is told to.
func imager(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "avml")
	must(t, os.WriteFile(path, []byte("#!/bin/sh\n[ \"$*\" = \"--compress /dev/stdout\" ] || exit 64\n"+body+"\n"), 0o700))
	return path
}

// kept is a sink that keeps one file.
type kept struct {
	content strings.Builder
	file    snapshots.File
	refuse  error
}

func (k *kept) Begin(snapshots.File) (io.Writer, error) {
	if k.refuse != nil {
		return nil, k.refuse
	}
	return &k.content, nil
}
func (k *kept) End(f snapshots.File) error { k.file = f; return nil }

const threeMegabytes = "head -c 3000000 /dev/zero | tr '\\0' 'm'"

// eachReach gives a host over SSH, then this machine, each with a program that images memory.
func eachReach(t *testing.T, program string, use func(t *testing.T, h Host)) {
	t.Run("ssh", func(t *testing.T) {
		h := dial(t, startServer(t), startWorld(t), WithImager(program))
		folder := h.folder // others may be at work beside it
		use(t, h)
		must(t, h.Close())
		if _, err := os.Lstat(folder); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left on the host: %v", folder, err)
		}
	})
	t.Run("local", func(t *testing.T) {
		h, err := NewLocal("/", WithLocalImager(program))
		must(t, err)
		use(t, h)
		must(t, h.Close())
	})
}

func TestRealMemory(t *testing.T) {
	eachReach(t, imager(t, threeMegabytes), func(t *testing.T, h Host) {
		var k kept
		c, err := h.Capture(context.Background(), "memory", &k)
		must(t, err)
		if c.Bytes != 3_000_000 || k.content.String() != strings.Repeat("m", 3_000_000) || k.file.Verdict != snapshots.Modified || len(c.Left)+len(c.Problems) > 0 {
			t.Errorf("%+v %+v", c, k.file)
		}
	})
}

func TestRealMemoryBreaksOff(t *testing.T) {
	eachReach(t, imager(t, threeMegabytes+"; echo 'unable to read \x1b[2Jkcore' >&2; exit 3"), func(t *testing.T, h Host) {
		var k kept
		c, err := h.Capture(context.Background(), "memory", &k)
		must(t, err)
		if k.file.Verdict != snapshots.Failed || len(c.Left) != 1 || !strings.Contains(c.Left[0], "unable to read") || strings.Contains(c.Left[0], "\x1b") {
			t.Errorf("%+v %+v", c, k.file)
		}
	})
}

func TestRealMemoryThatCannotBe(t *testing.T) {
	eachReach(t, imager(t, "echo 'needs root' >&2; exit 1"), func(t *testing.T, h Host) {
		var k kept
		if _, err := h.Capture(context.Background(), "memory", &k); err == nil || !strings.Contains(err.Error(), "needs root") {
			t.Error(err)
		}
	})
}

// An image without end ends with its deadline, and with a desk that cannot write.
func TestRealMemoryWithoutEnd(t *testing.T) {
	eachReach(t, imager(t, "exec cat /dev/zero"), func(t *testing.T, h Host) {
		ctx, cancel := context.WithCancel(context.Background())
		s := sink{first: func(string) { cancel() }}
		c, err := h.Capture(ctx, "memory", &s)
		if err != nil || len(c.Left) != 1 || len(s.ended) != 1 {
			t.Errorf("%+v, %v", c, err)
		}
		started := time.Now()
		if _, err := h.Capture(context.Background(), "memory", &kept{refuse: syscall.ENOSPC}); !errors.Is(err, syscall.ENOSPC) {
			t.Error(err)
		}
		if took := time.Since(started); took > 20*time.Second {
			t.Errorf("a full desk took %v to end it", took)
		}
	})
}

func TestRealNoImager(t *testing.T) {
	eachReach(t, "", func(t *testing.T, h Host) {
		if _, err := h.Capture(context.Background(), "memory", &kept{}); !errors.Is(err, ErrNoImager) {
			t.Error(err)
		}
	})
	eachReach(t, "/nonexistent/avml", func(t *testing.T, h Host) {
		if _, err := h.Capture(context.Background(), "memory", &kept{}); !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
	})
}
