package snapshots

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const database = ada + "state/openclaw.sqlite"

// TestDatabasesAreTakenWhole has files that sort between those of a database.
func TestDatabasesAreTakenWhole(t *testing.T) {
	for name, size := range map[string]int{"small": 10, "large": largeFile + 1} {
		t.Run(name, func(t *testing.T) {
			files := agentTree()
			files[database+"-aside"], files[database+"-x"] = "a", "x"
			files[database] = strings.Repeat("d", size)
			_, root := tree(t, files)
			m, c := captureFiles(t, root, Options{})
			at := slices.Index(m.order, database)
			if at < 0 || at+3 > len(m.order) || !slices.Equal(m.order[at:at+3], []string{database, database + "-wal", database + "-shm"}) {
				t.Fatalf("%q", m.order)
			}
			if size > largeFile && at+3 != len(m.order) {
				t.Error("the large one is not last")
			}
			for _, name := range m.order[at : at+3] {
				if f := m.files[name]; f.Verdict != Stable || m.content[name] != files[name] {
					t.Errorf("%+v", f)
				}
			}
			if m.files[database+"-aside"].Verdict != Stable || len(c.Left) > 0 {
				t.Errorf("%+v", c)
			}
		})
	}
}

// TestDatabaseChangesBetweenItsFiles has an agent that goes on writing.
func TestDatabaseChangesBetweenItsFiles(t *testing.T) {
	for name, tc := range map[string]struct {
		at      string
		do      func(t *testing.T, dir string)
		last    string
		problem string
	}{
		"the database is written to": {database + "-wal", func(t *testing.T, dir string) { overwrite(t, filepath.Join(dir, database)) }, database + "-shm", "openclaw.sqlite changed"},
		"a checkpoint empties the log": {database + "-shm", func(t *testing.T, dir string) {
			overwrite(t, filepath.Join(dir, database))
			truncate(0)(t, filepath.Join(dir, database+"-wal"))
		}, database + "-shm", "openclaw.sqlite, openclaw.sqlite-wal changed"},
		"a journal comes":                       {database + "-wal", func(t *testing.T, dir string) { write(t, filepath.Join(dir, database+"-journal"), "j") }, database + "-shm", "-journal changed"},
		"a log comes to a database without one": {ada + "memory.db", func(t *testing.T, dir string) { write(t, filepath.Join(dir, ada+"memory.db-wal"), "j") }, ada + "memory.db", "-wal changed"},
	} {
		t.Run(name, func(t *testing.T) {
			files := agentTree()
			files[ada+"memory.db"] = "m"
			dir, root := tree(t, files)
			m, _ := captureFiles(t, root, Options{at: func(point, path string) {
				if point == "open" && path == tc.at {
					tc.do(t, dir)
				}
			}})
			if f := m.files[tc.last]; f.Verdict != Modified || !strings.Contains(f.Problem, tc.problem) {
				t.Errorf("%+v", f)
			}
		})
	}
}

// TestFoldersNamedLikeDatabases hides evidence in folders of such names.
func TestFoldersNamedLikeDatabases(t *testing.T) {
	files := agentTree()
	names := []string{ada + "hide.db/a", ada + "hide.db-wal/b", ada + "logs2/c", ada + "logs2-wal/d", ada + "real.db", ada + "real.db-shm/e", ada + "alone-wal"}
	for _, name := range names {
		files[name] = name
	}
	dir, root := tree(t, files)
	must(t, os.Symlink("real.db", filepath.Join(dir, ada, "link.db")))
	m, _ := captureFiles(t, root, Options{})
	for _, name := range names {
		if m.content[name] != name || m.files[name].Verdict != Stable {
			t.Errorf("%s: %+v", name, m.files[name])
		}
	}
	if f := m.files[ada+"link.db"]; f.Verdict != Listed || f.Target != "real.db" {
		t.Errorf("%+v", f)
	}
}
