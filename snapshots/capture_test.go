package snapshots

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestCaptureTakesTheEvidenceAndNothingElse(t *testing.T) {
	files := agentTree()
	dir, root := tree(t, files)
	old := time.Date(2026, 4, 12, 9, 15, 2, 123456789, time.UTC)
	must(t, os.Chtimes(filepath.Join(dir, "home/ada/.openclaw/.env"), old, old))
	must(t, os.Chmod(filepath.Join(dir, "home/ada/.openclaw/.env"), 0o600))
	m, c := captureFiles(t, root, Options{})

	others := []string{
		"etc/passwd", "tmp/other/secret.log", "home/ada/notes.txt", "home/bob/.bash_history", "etc/systemd/system/ssh.service", "var/log/syslog",
	}
	var bytes int64
	for name, text := range files {
		f, taken := m.files[name]
		if want := !slices.Contains(others, name); taken != want {
			t.Errorf("%s: taken %v, want %v", name, taken, want)
			continue
		}
		if taken && (m.content[name] != text || f.Verdict != Stable || f.Size != int64(len(text)) || f.Problem != "") {
			t.Errorf("%s: %q, %+v", name, m.content[name], f)
		}
		if taken {
			bytes += int64(len(text))
		}
	}
	if c.Files != len(files)-len(others) || c.Bytes != bytes || len(c.Left) > 0 {
		t.Errorf("%+v, want %d files and %d bytes", c, len(files)-len(others), bytes)
	}
	f := m.files["home/ada/.openclaw/.env"]
	if !f.Modified.Equal(old) || f.Mode != 0o100600 || f.Inode == 0 || f.Links != 1 || f.UID != os.Getuid() {
		t.Errorf("metadata of .env: %+v", f)
	}
}

func TestCaptureInOrderOfVolatility(t *testing.T) {
	_, root := tree(t, agentTree())
	m, _ := captureFiles(t, root, Options{})
	last := -1
	for _, name := range []string{
		"tmp/openclaw/openclaw-2026-04-12.log", "home/ada/.openclaw/openclaw.json", "home/ada/.openclaw/logs/config-audit.jsonl",
		"home/ada/.openclaw/agents/main/sessions/5d0c.jsonl", "home/ada/.openclaw/something/unheard/of", "etc/systemd/system/openclaw.service",
		"var/spool/cron/crontabs/ada", "home/ada/.bash_history", "var/log/auth.log", "home/ada/.aws/credentials", "home/ada/.openclaw/workspace/SOUL.md",
	} {
		at := slices.Index(m.order, name)
		if at <= last {
			t.Errorf("%s comes as number %d, not after %d", name, at, last)
		}
		last = at
	}
}

func TestCaptureNamesTheSource(t *testing.T) {
	_, root := tree(t, agentTree())
	m, _ := captureFiles(t, root, Options{})
	for name, want := range map[string]string{
		"openclaw.json": "config", "openclaw.json.bak.1": "config", ".env": "credential", "agents/main/agent/auth-profiles.json": "credential",
		"agents/main/sessions/5d0c.jsonl": "transcript", "logs/config-audit.jsonl": "log", "cron/jobs.json": "cron", "state/openclaw.sqlite": "state",
		"workspace/SOUL.md": "workspace", "devices/paired.json": "credential",
	} {
		if got := m.files["home/ada/.openclaw/"+name].Source; got != want {
			t.Errorf("%s: source %q, want %q", name, got, want)
		}
	}
}

const subject = "home/ada/.openclaw/logs/subject.log"

// TestVerdicts changes a file at a chosen moment of its capture.
func TestVerdicts(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 2*chunkSize/16)
	for _, tc := range []struct {
		name    string
		at      string // look: after lstat, open: after it was opened, read: after all was read
		do      func(t *testing.T, file string)
		verdict string
		content string
		problem string
	}{
		{name: "nobody touches it", verdict: Stable, content: big},
		{"grows", "open", appendTo("tail"), Grew, big + "tail", ""},
		{"grows after the end was seen", "read", appendTo("tail"), Grew, big + "tail", ""},
		{"is cut", "open", truncate(10), Shrank, big[:10], "10 could be read"},
		{"is emptied", "open", truncate(0), Shrank, "", "0 could be read"},
		{"is cut after it was read", "read", truncate(10), Shrank, big, "cut to 10 bytes"},
		{"is overwritten in place", "read", overwrite, Modified, big, ""},
		{"changes mode", "read", func(t *testing.T, f string) { must(t, os.Chmod(f, 0o600)) }, Modified, big, ""},
		{"is removed before it is opened", "look", remove, Vanished, "", ""},
		{"is removed while it is read", "open", remove, Vanished, big, "removed while"},
		{"is rotated", "open", rotate, Rotated, big, `renamed to "subject.log.1"`},
		{"is rotated and grows", "open", func(t *testing.T, f string) { appendTo("t")(t, f); rotate(t, f) }, Rotated, big + "t", "it grew"},
		{"is cut and rotated", "open", func(t *testing.T, f string) { truncate(3)(t, f); rotate(t, f) }, Shrank, big[:3], `renamed to "subject.log.1"`},
		{"is renamed, and nothing takes its place", "open", func(t *testing.T, f string) { must(t, os.Rename(f, strings.TrimSuffix(f, ".log")+".1.log")) }, Rotated, big, `renamed to "subject.1.log"`},
		{"is replaced by a rename", "open", func(t *testing.T, f string) { write(t, f+".new", "new"); must(t, os.Rename(f+".new", f)) }, Replaced, big, "more than one file"},
		{"is moved to another folder", "open", func(t *testing.T, f string) { must(t, os.Rename(f, filepath.Join(filepath.Dir(f), "../moved"))) }, Vanished, big, "removed while"},
		{"is another file when opened", "look", rotate, Replaced, "new", "more than one file"},
		{"is a link when opened", "look", func(t *testing.T, f string) { remove(t, f); must(t, os.Symlink("/etc/passwd", f)) }, Replaced, "", "another thing"},
		{"is a folder when opened", "look", func(t *testing.T, f string) { remove(t, f); must(t, os.Mkdir(f, 0o700)) }, Replaced, "", "a folder"},
		{"is a FIFO when opened", "look", func(t *testing.T, f string) { remove(t, f); mkfifo(t, f) }, Replaced, "", "a FIFO"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir, root := tree(t, map[string]string{"home/ada/.openclaw/openclaw.json": "{}", subject: big})
			m, c := captureFiles(t, root, Options{at: func(point, path string) {
				if point == tc.at && path == subject {
					tc.do(t, filepath.Join(dir, path))
				}
			}})
			f := m.files[subject]
			if f.Verdict != tc.verdict || m.content[subject] != tc.content || !strings.Contains(f.Problem, tc.problem) || tc.problem == "" && f.Problem != "" {
				t.Errorf("verdict %s, %d bytes, problem %q; want %s, %d bytes, %q",
					f.Verdict, len(m.content[subject]), f.Problem, tc.verdict, len(tc.content), tc.problem)
			}
			if m.files["home/ada/.openclaw/openclaw.json"].Verdict != Stable {
				t.Error("the rest was not taken")
			}
			if len(c.Problems) > 0 || len(c.Left) > 0 {
				t.Errorf("%+v", c)
			}
		})
	}
}

func appendTo(text string) func(*testing.T, string) {
	return func(t *testing.T, file string) {
		f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
		must(t, err)
		_, err = f.WriteString(text)
		must(t, err)
		must(t, f.Close())
	}
}

func truncate(n int64) func(*testing.T, string) {
	return func(t *testing.T, file string) { must(t, os.Truncate(file, n)) }
}

func overwrite(t *testing.T, file string) {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteString("X")
	must(t, err)
	must(t, f.Close())
	future := time.Now().Add(time.Hour) // whatever the granularity of the file system's clock
	must(t, os.Chtimes(file, future, future))
}

func remove(t *testing.T, file string) { must(t, os.Remove(file)) }

func rotate(t *testing.T, file string) {
	must(t, os.Rename(file, file+".1"))
	write(t, file, "new")
}

// TestEndlessGrowth has a writer that is as fast as we are.
func TestEndlessGrowth(t *testing.T) {
	dir, root := tree(t, map[string]string{"home/ada/.openclaw/openclaw.json": "{}", subject: "abcd"})
	m, _ := captureFiles(t, root, Options{MaxFileBytes: 6, at: func(point, path string) {
		if point == "open" && path == subject {
			appendTo("efghijkl")(t, filepath.Join(dir, path))
		}
	}})
	f := m.files[subject]
	if f.Verdict != Grew || m.content[subject] != "abcdef" || f.Size != 4 || !strings.Contains(f.Problem, "still grows: 12 bytes") {
		t.Errorf("%q, %+v", m.content[subject], f)
	}
}

func TestVanishedBetweenListingAndLooking(t *testing.T) {
	dir, root := tree(t, map[string]string{"home/ada/.openclaw/openclaw.json": "{}", "home/ada/.openclaw/logs/a": "a", "home/ada/.openclaw/logs/b": "b"})
	m, _ := captureFiles(t, root, Options{at: func(point, path string) {
		if strings.HasSuffix(path, "logs/a") && point == "look" {
			must(t, os.Remove(filepath.Join(dir, "home/ada/.openclaw/logs/b")))
		}
	}})
	if v := m.files["home/ada/.openclaw/logs/b"].Verdict; v != Vanished {
		t.Errorf("verdict %q", v)
	}
}

// TestFileSystemThatHangs has reads that never return, at each of their moments.
func TestFileSystemThatHangs(t *testing.T) {
	for _, tc := range []struct{ at, content string }{{"look", ""}, {"open", ""}, {"read", "abcd"}} {
		t.Run(tc.at, func(t *testing.T) {
			_, root := tree(t, map[string]string{"home/ada/.openclaw/openclaw.json": "{}", subject: "abcd", "home/ada/.openclaw/logs/z": "z"})
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				m, c := captureFiles(t, root, Options{FileTimeout: time.Minute, at: func(point, path string) {
					if point == tc.at && path == subject {
						<-release
					}
				}})
				f := m.files[subject]
				if f.Verdict != Timeout || m.content[subject] != tc.content || !strings.Contains(f.Problem, "1m0s") {
					t.Errorf("%q, %+v", m.content[subject], f)
				}
				if c.Took != time.Minute || len(c.Problems) != 1 || m.files["home/ada/.openclaw/logs/z"].Verdict != Stable {
					t.Errorf("%+v", c)
				}
				close(release) // synctest fails if the reading does not end now
			})
		})
	}
}

// TestFileSystemThatDrips delivers a little all the time.
func TestFileSystemThatDrips(t *testing.T) {
	_, root := tree(t, map[string]string{"home/ada/.openclaw/openclaw.json": "{}", subject: strings.Repeat("x", 1000*chunkSize/100)})
	synctest.Test(t, func(t *testing.T) {
		m, c := captureFiles(t, root, Options{FileTimeout: 10 * time.Second, at: func(point, path string) {
			if point == "chunk" && path == subject {
				time.Sleep(4 * time.Second) // of synctest
			}
		}})
		if f := m.files[subject]; f.Verdict != Timeout || f.Bytes != 2*chunkSize || c.Took > 11*time.Second {
			t.Errorf("%+v %+v", f, c)
		}
		time.Sleep(time.Minute) // until the reading that was left behind has ended
	})
}

func TestCaptureGivesUpOnAFileSystemThatHangsAlways(t *testing.T) {
	files := map[string]string{"home/ada/.openclaw/openclaw.json": "{}"}
	for i := range 30 {
		files[fmt.Sprintf("home/ada/.openclaw/logs/%02d", i)] = "x"
	}
	_, root := tree(t, files)
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		m, c := captureFiles(t, root, Options{at: func(_, path string) {
			if strings.Contains(path, "/logs/") {
				<-release
			}
		}})
		if c.Took != patienceOfAll || m.files["home/ada/.openclaw/logs/07"].Verdict != Timeout {
			t.Errorf("%+v", c)
		}
		if f := m.files["home/ada/.openclaw/logs/08"]; f.Verdict != Listed || !strings.Contains(f.Problem, "gave up") {
			t.Errorf("%+v", f)
		}
		close(release)
	})
}

// patienceOfAll is what one file system that never answers costs: 10 s, 5, 2.5 and five times 1.25.
const patienceOfAll = defaultFileTimeout*(8+4+2)/8 + (maxStuck-3)*defaultFileTimeout/8

// TestSlowSinkIsNotTheFilesFault has a desk that takes longer than a file may.
func TestSlowSinkIsNotTheFilesFault(t *testing.T) {
	_, root := tree(t, map[string]string{"home/ada/.openclaw/openclaw.json": "{}", subject: strings.Repeat("x", 8*chunkSize)})
	synctest.Test(t, func(t *testing.T) {
		m := slowMemory{newMemory(t)}
		c, err := Capture(t.Context(), root, "files", Options{FileTimeout: time.Second, Deadline: time.Hour}, m)
		must(t, err)
		if f := m.files[subject]; f.Verdict != Stable || c.Took < 8*time.Minute {
			t.Errorf("%+v %+v", f, c)
		}
	})
}

type slowMemory struct{ *memory }

func (m slowMemory) Begin(f File) (io.Writer, error) {
	w, err := m.memory.Begin(f)
	return slowWriter{w}, err
}

type slowWriter struct{ io.Writer }

func (w slowWriter) Write(p []byte) (int, error) {
	time.Sleep(time.Minute) // of synctest
	return w.Writer.Write(p)
}

func TestDeadlineListsTheRest(t *testing.T) {
	_, root := tree(t, agentTree())
	synctest.Test(t, func(t *testing.T) {
		m := slowMemory{newMemory(t)}
		c, err := Capture(t.Context(), root, "files", Options{Deadline: 90 * time.Second}, m)
		if err != nil {
			t.Error("running out of time is no error:", err)
		}
		if c.Files == 0 || c.Files > 3 || len(c.Left) == 0 || !strings.Contains(c.Left[0], "time for the capture is up") {
			t.Errorf("%+v", c)
		}
	})
}

func TestCancelledCapture(t *testing.T) {
	_, root := tree(t, agentTree())
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the responder said stop")
	release := make(chan struct{})
	defer close(release)
	m := newMemory(t)
	_, err := Capture(ctx, root, "files", Options{at: func(point, path string) {
		if point == "open" && strings.HasSuffix(path, "openclaw.json") {
			cancel(why)
			<-release
		}
	}}, m)
	if !errors.Is(err, why) {
		t.Errorf("error %v", err)
	}
	if f := m.files["home/ada/.openclaw/openclaw.json"]; f.Verdict != Timeout || !strings.Contains(f.Problem, why.Error()) {
		t.Errorf("%+v", f)
	}
	if f := m.files["home/ada/.bash_history"]; f.Verdict != Listed {
		t.Errorf("it went on: %+v", f)
	}
}

type brokenSink struct {
	memory
	begin, write, end error
}

func (s *brokenSink) Begin(f File) (io.Writer, error) {
	if s.begin != nil {
		return nil, s.begin
	}
	_, _ = s.memory.Begin(f)
	return s, nil
}

func (s *brokenSink) Write(p []byte) (int, error) { return len(p), s.write }

func (s *brokenSink) End(f File) error { s.open = nil; return s.end }

func TestSinkErrorsEndTheCapture(t *testing.T) {
	_, root := tree(t, agentTree())
	lost := errors.New("link lost")
	for name, sink := range map[string]*brokenSink{"begin": {begin: lost}, "write": {write: lost}, "end": {end: lost}} {
		if _, err := Capture(t.Context(), root, "files", Options{}, sink); !errors.Is(err, lost) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestUnknownPart(t *testing.T) {
	_, root := tree(t, nil)
	if _, err := Capture(t.Context(), root, "memory", Options{}, newMemory(t)); !errors.Is(err, ErrUnknownPart) {
		t.Error(err)
	}
}

func TestBudgets(t *testing.T) {
	const state = "home/ada/.openclaw/"
	files := map[string]string{
		state + "openclaw.json": "{}", state + "logs/a": strings.Repeat("a", 100), state + "logs/b": strings.Repeat("b", 1000), state + "logs/c": "c",
	}
	for _, tc := range []struct {
		name string
		opts Options
		left map[string]string
	}{
		{"file bytes", Options{MaxFileBytes: 500}, map[string]string{"logs/b": "limit of 500 for one file"}},
		{"bytes", Options{MaxBytes: 102}, map[string]string{"logs/b": "over the 0 that are left", "logs/c": "over the 0 that are left"}},
		{"files", Options{MaxFiles: 2}, map[string]string{"logs/b": "limit of 2 files", "logs/c": "limit of 2 files"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, root := tree(t, files)
			m, c := captureFiles(t, root, tc.opts)
			for name := range files {
				short := strings.TrimPrefix(name, state)
				why, left := tc.left[short]
				f := m.files[name]
				if left != (f.Verdict == Listed) || !strings.Contains(f.Problem, why) || left && f.Bytes != 0 {
					t.Errorf("%s: %+v", short, f)
				}
				if left && !strings.Contains(strings.Join(c.Left, "\n"), name) {
					t.Errorf("%s is not in %q", short, c.Left)
				}
			}
		})
	}
}

// TestDecoysDoNotStarveTheRest has zeros without end in the folder that is taken first.
func TestDecoysDoNotStarveTheRest(t *testing.T) {
	files := agentTree()
	dir, root := tree(t, files)
	for i := range 3 {
		decoy := filepath.Join(dir, fmt.Sprintf("tmp/openclaw/%d", i))
		write(t, decoy, "")
		must(t, os.Truncate(decoy, 1<<40))
		must(t, os.Truncate(filepath.Join(dir, "tmp/openclaw-1000/gateway.lock"), 100<<20))
	}
	m, c := captureFiles(t, root, Options{MaxBytes: 150 << 20})
	if m.files["home/ada/.openclaw/workspace/SOUL.md"].Verdict != Stable || len(c.Left) != 3 {
		t.Errorf("%+v", c)
	}
	if last := m.order[len(m.order)-1]; last != "tmp/openclaw-1000/gateway.lock" || m.files[last].Bytes != 100<<20 {
		t.Errorf("the last one is %s", last)
	}
}

// TestHugeLineStreams reads 1 GB that a hole holds and watches the memory.
func TestHugeLineStreams(t *testing.T) {
	dir, root := tree(t, map[string]string{"home/ada/.openclaw/openclaw.json": "{}", subject: "x"})
	must(t, os.Truncate(filepath.Join(dir, subject), 1<<30))
	counter := &countingSink{}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := Capture(t.Context(), root, "files", Options{}, counter)
	must(t, err)
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; counter.bytes != 1<<30+2 || allocated > 8<<20 {
		t.Errorf("%d bytes taken, %d allocated", counter.bytes, allocated)
	}
}

type countingSink struct{ bytes int64 }

func (s *countingSink) Begin(File) (io.Writer, error) { return s, nil }
func (s *countingSink) End(File) error                { return nil }
func (s *countingSink) Write(p []byte) (int, error)   { s.bytes += int64(len(p)); return len(p), nil }
