package snapshots

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// mount mounts a file system for the length of the test.
func mount(t testing.TB, source, at, fsType string, flags uintptr, data string) {
	t.Helper()
	needRoot(t, "to mount")
	must(t, os.MkdirAll(at, 0o755))
	if err := unix.Mount(source, at, fsType, flags, data); err != nil {
		skip(t, "needs the right to mount: "+err.Error())
	}
	t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
}

// mountFUSE mounts a FUSE file system whose server never answers.
func mountFUSE(t testing.TB, at string) {
	t.Helper()
	dev, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		skip(t, "needs /dev/fuse: "+err.Error())
	}
	t.Cleanup(func() { unix.Close(dev) }) // ends every call that hangs
	mount(t, "hang", at, "fuse", unix.MS_NOSUID|unix.MS_NODEV, "fd="+strconv.Itoa(dev)+",rootmode=40000,user_id=0,group_id=0")
}

// TestRealFileSystemThatHangs mounts FUSE file systems, whose server never answers, at more places
// than the capture has patience for, among them those where installations and homes are looked for.
// Not one call goes to them.
func TestRealFileSystemThatHangs(t *testing.T) {
	needRoot(t, "to mount")
	dir, root := tree(t, map[string]string{ada + "openclaw.json": "{}", ada + "logs/z": "z", ada + "workspace/SOUL.md": "s", "var/log/auth.log": "a"})
	places := []string{ada + "agents", ada + "credentials", "home/bob", "home/eve/.openclaw", "home/ada/.agents", "home/ada/.config/systemd/user", "tmp/openclaw", "var/log/wtmp"}
	for i := range maxStuck + 2 {
		places = append(places, fmt.Sprintf("%slogs/hang%d", ada, i))
	}
	for _, at := range places {
		mountFUSE(t, filepath.Join(dir, at))
	}
	m, c := captureFiles(t, root, Options{FileTimeout: 20 * time.Second})
	for _, at := range places {
		if strings.HasPrefix(at, "home/bob") || strings.HasPrefix(at, "home/eve") || strings.HasSuffix(at, ".agents") {
			continue // nothing but what may lie in it would be taken
		}
		if f := m.files[at]; f.Verdict != Listed || !strings.Contains(f.Problem, "on a FUSE file system: not entered") {
			t.Errorf("%s: %+v", at, f)
		}
	}
	for _, name := range []string{ada + "logs/z", ada + "workspace/SOUL.md", "var/log/auth.log"} {
		if m.files[name].Verdict != Stable {
			t.Errorf("%s: %+v", name, m.files[name])
		}
	}
	if left := strings.Join(append(c.Left, c.Problems...), "\n"); c.Took > 15*time.Second || !strings.Contains(left, "home/eve/.openclaw") {
		t.Errorf("%+v", c)
	}
}

// TestMountsDuringTheCapture has a FUSE file system that comes when the capture has begun.
func TestMountsDuringTheCapture(t *testing.T) {
	needRoot(t, "to mount")
	dir, root := tree(t, map[string]string{ada + "openclaw.json": "{}", ada + "logs/a": "a", ada + "logs/z": "z"})
	at := ada + "logs/hang"
	must(t, os.Mkdir(filepath.Join(dir, at), 0o755))
	m, c := captureFiles(t, root, Options{FileTimeout: 20 * time.Second, at: func(point, path string) {
		if point == "open" && path == ada+"logs/a" {
			mountFUSE(t, filepath.Join(dir, at))
		}
	}})
	if f := m.files[at]; f.Verdict != Listed || !strings.Contains(f.Problem, "FUSE") || c.Took > 15*time.Second {
		t.Errorf("%+v, %+v", f, c)
	}
	if m.files[ada+"logs/z"].Verdict != Stable {
		t.Errorf("%+v", c)
	}
}

// TestRootOnFUSE reads what the responder names, whatever it lies on: disk images are mounted so.
func TestRootOnFUSE(t *testing.T) {
	systems := &fileSystems{top: 7, alone: map[uint64]string{7: "on FUSE", 8: "on FUSE"}, stuck: map[uint64]int{}}
	if err := systems.refused(7); err != nil {
		t.Error(err)
	}
	if systems.refused(8) == nil {
		t.Error("another one is entered")
	}
}

// TestStuckFileSystemsDoNotEndTheCapture has eight that never answer, of a type that is entered:
// they lose what lies on them, and nothing else.
func TestStuckFileSystemsDoNotEndTheCapture(t *testing.T) {
	needRoot(t, "to mount")
	dir, root := tree(t, map[string]string{ada + "openclaw.json": "{}", ada + "logs/zz": "z", "home/ada/.bash_history": "ls", ada + "workspace/SOUL.md": "s"})
	for i := range 8 {
		at := filepath.Join(dir, fmt.Sprintf("%slogs/stuck%d", ada, i))
		mount(t, "tmpfs", at, "tmpfs", 0, "size=1m")
		for j := range 20 {
			write(t, filepath.Join(at, fmt.Sprintf("%02d", j)), "x")
		}
	}
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		m, c := captureFiles(t, root, Options{at: func(_, path string) {
			if strings.Contains(path, "/stuck") {
				<-release
			}
		}})
		for _, name := range []string{ada + "logs/zz", "home/ada/.bash_history", ada + "workspace/SOUL.md"} {
			if m.files[name].Verdict != Stable {
				t.Errorf("%s: %+v", name, m.files[name])
			}
		}
		for i := range 8 {
			at := fmt.Sprintf("%slogs/stuck%d/", ada, i)
			if m.files[at+"07"].Verdict != Timeout || m.files[at+"08"].Verdict != Listed || !strings.Contains(m.files[at+"19"].Problem, "gave up on it") {
				t.Errorf("%s: %+v %+v", at, m.files[at+"07"], m.files[at+"08"])
			}
		}
		if c.Took != 8*patienceOfAll {
			t.Errorf("%v", c.Took)
		}
		close(release)
	})
}

func TestParseMounts(t *testing.T) {
	const mounts = `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:31 / /home/ada/evil\040-\040ext4 rw master:1 shared:2 - fuse.ext4 /dev/vda rw,user_id=1000
31 22 0:32 / /mnt/ntfs rw - fuseblk /dev/sdb1 rw
32 22 0:33 / /srv rw - nfs4 server:/x rw
33 22 0:34 / /proc/fuse rw - fusectl fusectl rw
34 22 0:35 / /home/auto rw - autofs x rw
35 22 259:70000 / /mnt/9 rw - 9p x rw
`
	alone, err := parseMounts(strings.NewReader(mounts))
	must(t, err)
	for device, want := range map[uint64]string{
		unix.Mkdev(254, 0): "", unix.Mkdev(0, 31): "FUSE", unix.Mkdev(0, 32): "FUSE", unix.Mkdev(0, 33): "network file system (nfs4)",
		unix.Mkdev(0, 34): "", unix.Mkdev(0, 35): "would be mounted", unix.Mkdev(259, 70000): "9p",
	} {
		if got := alone[device]; !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%d: %q, want %q", device, got, want)
		}
	}
}

func FuzzParseMounts(f *testing.F) {
	f.Add("22 1 254:0 / / rw - ext4 /dev/vda rw\n30 22 0:31 / /x rw - fuse.x x rw\n")
	f.Add("30 22 0:99999999999 / /x rw - fuse x rw\n")
	f.Fuzz(func(t *testing.T, mounts string) {
		alone, err := parseMounts(strings.NewReader(mounts))
		for device, why := range alone {
			if why == "" || err == nil && !strings.Contains(mounts, " - ") {
				t.Errorf("%d: %q", device, why)
			}
		}
	})
}
