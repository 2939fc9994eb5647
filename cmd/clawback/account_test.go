package main

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"clawback/forensics/incident"
)

// nobody is an account without any right.
const nobody = 65534

// asNobody moves a desk to where another account can work, and has its commands run as that.
func asNobody(t *testing.T, d *desk) {
	t.Helper()
	needsRoot(t)
	// Not below t.TempDir, whose parents are for their owner alone.
	dir, err := os.MkdirTemp("", "clawback-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	bin := filepath.Join(dir, "clawback")
	copyFile(t, d.bin, bin, 0o755)
	d.dir, d.bin, d.root = dir, bin, filepath.Join(dir, "disk")
	if err := os.MkdirAll(d.root, 0o700); err != nil {
		t.Fatal(err)
	}
	d.env = []string{"PATH=/usr/bin:/bin", "USER=nobody", "HOME=" + dir, "TMPDIR=" + filepath.Join(dir, "tmp")}
	if err := os.Mkdir(filepath.Join(dir, "tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string, mode fs.FileMode) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, mode)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// giveAway makes everything of a desk nobody's.
func giveAway(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, nobody, nobody)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A responder without the rights: what they cannot read is named, with the way out, the rest goes
// on, and nothing of it reads as contained.
func TestRealHomeWithoutPermission(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		closed string // taken away from nobody
		want   int
		says   []string
	}{
		{"the installation of another account", "home/other", incident.ExitPartial, []string{"home/other", "run as root"}},
		{"one file of the installation", "home/openclaw/.openclaw/openclaw.json", incident.ExitPartial, []string{"openclaw.json", "run as root"}},
		{"all there is", "home/openclaw", incident.ExitNoInstallation, []string{"home/openclaw", "run it as root"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			asNobody(t, d)
			d.hold("stripe.api_key")
			d.write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nopenclaw:x:"+strconv.Itoa(nobody)+":65534:x:/home/openclaw:/bin/sh\nother:x:1:1:x:/home/other:/bin/sh\n")
			if c.name != "all there is" {
				d.write("home/other/.openclaw/openclaw.json", "{}")
			}
			d.write("home/openclaw/.openclaw/openclaw.json", "{}")
			giveAway(t, d.dir)
			closed := filepath.Join(d.root, c.closed)
			for _, err := range []error{os.Lchown(closed, 0, 0), os.Chmod(closed, 0o600)} {
				if err != nil {
					t.Fatal(err)
				}
			}
			r := unlessBusy(t, func() ended {
				cmd := d.command(d.killArgs()...)
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
				return d.run(cmd)
			})
			if c.want != incident.ExitNoInstallation {
				r.check(t)
				if !r.summary.Evidence.Sealed || r.summary.Credentials.Total != 1 {
					t.Errorf("the rest did not go on: %+v", r.summary)
				}
			}
			r.wants(t, c.want, c.says...)
		})
	}
}
