package snapshots

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// flooded is an installation beside a folder of the agent's logs with more files than a capture looks at.
func flooded() map[string]string {
	files := agentTree()
	for i := range 200 {
		files[fmt.Sprintf("tmp/openclaw-0/%03d", i)] = strings.Repeat("x", 1000)
	}
	return files
}

// TestFloodDoesNotStarveTheRest fills the place that is taken first.
func TestFloodDoesNotStarveTheRest(t *testing.T) {
	_, root := tree(t, flooded())
	for name, opts := range map[string]Options{
		"files": {MaxFiles: 100},
		"bytes": {MaxBytes: 40_000},
	} {
		t.Run(name, func(t *testing.T) {
			m, c := captureFiles(t, root, opts)
			theRestIsThere(t, m)
			if last := m.order[len(m.order)-1]; !strings.HasPrefix(last, "tmp/openclaw-") || len(c.Left) == 0 {
				t.Errorf("the last one is %s, %d left", last, len(c.Left))
			}
		})
	}
	t.Run("time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := slowMemory{newMemory(t)}
			c, err := Capture(t.Context(), root, "files", Options{Deadline: 2 * time.Hour}, m)
			must(t, err)
			theRestIsThere(t, m.memory)
			if len(c.Left) == 0 || c.Took > 2*time.Hour+time.Minute {
				t.Errorf("%+v", c)
			}
		})
	})
	t.Run("nothing is lost", func(t *testing.T) {
		m, c := captureFiles(t, root, Options{})
		all, _ := captureFiles(t, root, Options{MaxFiles: 1_000_000})
		if len(c.Left) != 0 || len(m.files) != len(all.files) || m.files["tmp/openclaw-0/199"].Verdict != Stable {
			t.Errorf("%d files, %d in a capture without shares: %+v", len(m.files), len(all.files), c)
		}
	})
	t.Run("each once, in the end", func(t *testing.T) {
		m, c := captureFiles(t, root, Options{MaxFiles: 300}) // a quarter is less than the flood, all is more
		theRestIsThere(t, m)
		for i := range 200 {
			if f := m.files[fmt.Sprintf("tmp/openclaw-0/%03d", i)]; f.Verdict != Stable {
				t.Fatalf("%+v", f)
			}
		}
		if last := m.order[len(m.order)-1]; !strings.HasPrefix(last, "tmp/openclaw-") || len(c.Left) != 0 {
			t.Errorf("the last one is %s, left %v", last, c.Left)
		}
	})
}

func theRestIsThere(t *testing.T, m *memory) {
	t.Helper()
	for _, name := range []string{"home/ada/.openclaw/openclaw.json", "home/ada/.openclaw/workspace/SOUL.md", "home/ada/.bash_history"} {
		if m.files[name].Verdict != Stable {
			t.Errorf("%s: %+v", name, m.files[name])
		}
	}
}

// TestEachClassHasItsTime has container engines that never answer: what comes after them is taken all the same.
func TestEachClassHasItsTime(t *testing.T) {
	proc, err := os.OpenRoot("/proc")
	if err != nil {
		skip(t, "needs a mounted /proc: "+err.Error())
	}
	defer proc.Close()
	_, root := tree(t, nil)
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t)
		var told []Told
		for i := range 100 {
			told = append(told, Told{Name: fmt.Sprintf("containers/%d/log", i), Read: func(ctx context.Context) ([]byte, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}})
		}
		c, err := Capture(t.Context(), root, "volatile", Options{Proc: proc, Processes: []int{os.Getpid()}, Told: told}, m)
		must(t, err)
		if m.files["volatile/mounts"].Verdict != Stable || m.files["volatile/uptime"].Verdict != Stable {
			t.Errorf("%+v %+v", m.files["volatile/mounts"], m.files["volatile/uptime"])
		}
		if c.Took > 2*time.Minute || !strings.Contains(strings.Join(c.Left, "\n"), "the 1m0s for what others tell are up") {
			t.Errorf("%v %.300v", c.Took, c.Left)
		}
	})
}
