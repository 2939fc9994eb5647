package snapshots

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestHostileTree has all that an attacker can put into a folder of his.
func TestHostileTree(t *testing.T) {
	dir, root := tree(t, map[string]string{ada + "agents/main/x": "x", "etc/shadow": "secret", "outside": "o"})
	outside := t.TempDir()
	write(t, filepath.Join(outside, "secret"), "outside of the root")
	at := func(name string) string { return filepath.Join(dir, ada, name) }
	mkfifo(t, at("openclaw.json"))
	must(t, os.Symlink(filepath.Join(outside, "secret"), at("out")))
	must(t, os.Symlink(outside, at("out-folder")))
	must(t, os.Symlink("../../../etc/shadow", at("in-root")))
	must(t, os.Symlink("loop-b", at("loop-a")))
	must(t, os.Symlink("loop-a", at("loop-b")))
	must(t, os.Symlink(".", at("self")))
	must(t, os.Symlink("..", at("up")))
	must(t, os.Mkdir(at("s"), 0o700))
	// The path of a socket may have 108 bytes.
	t.Chdir(at("s"))
	l, err := net.Listen("unix", "sock")
	must(t, err)
	defer l.Close()

	m, c := captureFiles(t, root, Options{})
	for name, want := range map[string]struct {
		kind   uint32
		target string
	}{
		"openclaw.json": {unix.S_IFIFO, ""}, "s/sock": {unix.S_IFSOCK, ""}, "out": {unix.S_IFLNK, filepath.Join(outside, "secret")},
		"out-folder": {unix.S_IFLNK, outside}, "in-root": {unix.S_IFLNK, "../../../etc/shadow"}, "loop-a": {unix.S_IFLNK, "loop-b"},
		"self": {unix.S_IFLNK, "."}, "up": {unix.S_IFLNK, ".."},
	} {
		f := m.files[ada+name]
		if f.Verdict != Listed || f.Mode&unix.S_IFMT != want.kind || f.Target != want.target {
			t.Errorf("%s: %+v", name, f)
		}
	}
	for name, text := range m.content {
		if strings.Contains(text, "secret") || strings.Contains(text, "outside") {
			t.Errorf("a link was followed: %s", name)
		}
	}
	if len(m.content) != 1 || c.Files != 1 {
		t.Errorf("content of %v", m.content)
	}
}

func TestDevicesAreNotOpened(t *testing.T) {
	needRoot(t, "to make devices")
	dir, root := tree(t, map[string]string{ada + "openclaw.json": "{}"})
	if err := unix.Mknod(filepath.Join(dir, ada, "zero"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))); err != nil {
		skip(t, fmt.Sprintf("needs the right to make devices: %v", err))
	}
	must(t, unix.Mknod(filepath.Join(dir, ada, "disk"), unix.S_IFBLK|0o666, int(unix.Mkdev(7, 0))))
	m, _ := captureFiles(t, root, Options{})
	for name, kind := range map[string]uint32{"zero": unix.S_IFCHR, "disk": unix.S_IFBLK} {
		if f := m.files[ada+name]; f.Verdict != Listed || f.Mode&unix.S_IFMT != kind {
			t.Errorf("%+v", f)
		}
	}
}

// TestLinkedPlaces has links on the way to the places that are taken.
func TestLinkedPlaces(t *testing.T) {
	t.Run("state directory elsewhere on the disk", func(t *testing.T) {
		dir, root := tree(t, map[string]string{"srv/claw/openclaw.json": "{}", "home/ada/x": ""})
		must(t, os.Symlink("/srv/claw", filepath.Join(dir, "home/ada/.openclaw"))) // as the machine saw it
		m, _ := captureFiles(t, root, Options{})
		if m.content["srv/claw/openclaw.json"] != "{}" {
			t.Errorf("%v", m.files)
		}
	})
	t.Run("dotfiles kept elsewhere", func(t *testing.T) {
		dir, root := tree(t, map[string]string{"home/ada/dot/aws/credentials": "key", "home/ada/x": ""})
		must(t, os.Symlink("dot/aws", filepath.Join(dir, "home/ada/.aws")))
		m, _ := captureFiles(t, root, Options{})
		link := m.files["home/ada/.aws/credentials"]
		if m.content["home/ada/dot/aws/credentials"] != "key" || link.Verdict != Listed || link.Target != "home/ada/dot/aws/credentials" {
			t.Errorf("%v", m.files)
		}
	})
	t.Run("planted in tmp", func(t *testing.T) {
		dir, root := tree(t, map[string]string{"etc/shadow": "secret", "tmp/x": ""})
		must(t, os.Symlink("../etc", filepath.Join(dir, "tmp/openclaw")))
		m, _ := captureFiles(t, root, Options{})
		if len(m.content) > 0 || m.files["tmp/openclaw"].Verdict != Listed {
			t.Errorf("%v", m.files)
		}
	})
	for _, target := range []string{"/", "/home", "/proc"} {
		t.Run("state directory is "+target, func(t *testing.T) {
			dir, root := tree(t, map[string]string{"etc/shadow": "secret", "home/bob/diary": "secret", "home/ada/x": "", "proc/kcore": "secret"})
			must(t, os.Symlink(target, filepath.Join(dir, "home/ada/.openclaw")))
			m, c := captureFiles(t, root, Options{})
			if len(m.content) > 0 || len(c.Left) == 0 {
				t.Errorf("%v %+v", m.files, c)
			}
		})
	}
}

func TestForeignStateDirectory(t *testing.T) {
	needRoot(t, "to give files away")
	dir, root := tree(t, map[string]string{"etc/shadow": "secret", "home/ada/x": ""})
	must(t, os.Chown(filepath.Join(dir, "home/ada"), 1234, 1234))
	must(t, os.Symlink("/etc", filepath.Join(dir, "home/ada/.openclaw")))
	m, c := captureFiles(t, root, Options{})
	if len(m.content) > 0 || !strings.Contains(strings.Join(c.Left, ""), "belongs to uid 0") {
		t.Errorf("%v %+v", m.files, c)
	}
}

func TestHostileNames(t *testing.T) {
	files := map[string]string{ada + "openclaw.json": "{}"}
	for i, name := range hostileNames() {
		files[ada+"logs/"+name] = fmt.Sprint(i)
	}
	_, root := tree(t, files)
	m, c := captureFiles(t, root, Options{})
	for name, text := range files {
		if m.content[name] != text || m.files[name].Verdict != Stable {
			t.Errorf("%q: %q %+v", name, m.content[name], m.files[name])
		}
	}
	if len(c.Problems) > 0 {
		t.Errorf("%q", c.Problems)
	}
}

func TestFoldersDeepAndUnreadable(t *testing.T) {
	dir, root := tree(t, map[string]string{ada + "openclaw.json": "{}"})
	deep := filepath.Join(dir, ada)
	t.Chdir(deep)
	for range maxDepth + 5 {
		must(t, os.Mkdir("d", 0o700))
		must(t, os.Chdir("d"))
	}
	_, c := captureFiles(t, root, Options{})
	if len(c.Left) != 1 || !strings.Contains(c.Left[0], "folders deep") {
		t.Errorf("%+v", c)
	}
}

func TestHomeWithoutPermission(t *testing.T) {
	if os.Getuid() == 0 { // who may read everything
		runAsNobody(t)
		return
	}
	dir, root := tree(t, map[string]string{ada + "openclaw.json": "{}", ada + "secret/x": "x"})
	locked := filepath.Join(dir, ada, "secret")
	must(t, os.Chmod(locked, 0))
	t.Cleanup(func() { os.Chmod(locked, 0o700) })
	m, c := captureFiles(t, root, Options{})
	f := m.files[ada+"secret"]
	if f.Verdict != Failed || !strings.Contains(f.Problem, "run as root") || len(c.Problems) != 1 {
		t.Errorf("%+v %+v", f, c)
	}
}

// runAsNobody runs the test again in a process that is not root's.
func runAsNobody(t *testing.T) {
	t.Helper()
	const nobody = 65534
	program, err := os.ReadFile(os.Args[0]) // in a folder that is root's alone
	must(t, err)
	dir := t.TempDir()
	must(t, os.Chmod(filepath.Dir(dir), 0o711))
	must(t, os.WriteFile(filepath.Join(dir, "test"), program, 0o755))
	must(t, os.Mkdir(filepath.Join(dir, "tmp"), 0o700))
	must(t, os.Chown(filepath.Join(dir, "tmp"), nobody, nobody))
	cmd := exec.Command(filepath.Join(dir, "test"), "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Dir, cmd.Env = dir, []string{"TMPDIR=" + filepath.Join(dir, "tmp"), "CI=" + os.Getenv("CI")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
}

// TestAccessTimeIsLeftAlone, because it tells when the attacker last read a file.
func TestAccessTimeIsLeftAlone(t *testing.T) {
	dir, root := tree(t, map[string]string{ada + "openclaw.json": "{}"})
	name := filepath.Join(dir, ada, "openclaw.json")
	old := time.Date(2026, 4, 12, 9, 0, 0, 0, time.UTC)
	must(t, os.Chtimes(name, old, time.Now())) // older than the change: even relatime would move it
	captureFiles(t, root, Options{})
	var st unix.Stat_t
	must(t, unix.Stat(name, &st))
	if got := time.Unix(st.Atim.Unix()); !got.Equal(old) {
		t.Errorf("read at %v", got)
	}
}

func TestTimesOutOfRange(t *testing.T) {
	dir, root := tree(t, map[string]string{ada + "openclaw.json": "{}"})
	name := filepath.Join(dir, ada, "openclaw.json")
	far := unix.NsecToTimespec(0)
	far.Sec = 1 << 40
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, name, []unix.Timespec{far, far}, 0); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	must(t, unix.Stat(name, &st))
	if time.Unix(st.Mtim.Unix()).Year() <= 9999 { // the file system keeps fewer bits
		st.Mtim = far
	}
	m, _ := captureFiles(t, root, Options{})
	f := m.files[ada+"openclaw.json"]
	f.describe(st)
	if !f.Modified.IsZero() || !strings.Contains(f.Problem, "out of range") {
		t.Errorf("%+v", f)
	}
	if _, err := f.MarshalJSON(); err != nil {
		t.Error(err)
	}
}

func TestXattrs(t *testing.T) {
	dir, root := tree(t, map[string]string{ada + "openclaw.json": "{}", ada + "logs/many": ""})
	if err := unix.Setxattr(filepath.Join(dir, ada, "openclaw.json"), "user.origin", []byte{0, 1, 0xff}, 0); err != nil {
		skip(t, fmt.Sprintf("needs a file system with extended attributes for %s: %v", os.TempDir(), err))
	}
	for i := range maxXattrs + 5 {
		if unix.Setxattr(filepath.Join(dir, ada, "logs/many"), fmt.Sprintf("user.%d", i), []byte("x"), 0) != nil {
			break
		}
	}
	m, _ := captureFiles(t, root, Options{})
	if got := m.files[ada+"openclaw.json"].Xattrs["user.origin"]; got != "AAH/" {
		t.Errorf("%q", got)
	}
	if got := len(m.files[ada+"logs/many"].Xattrs); got == 0 || got > maxXattrs {
		t.Errorf("%d attributes", got)
	}
}
