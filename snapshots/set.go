package snapshots

import (
	"context"
	"errors"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// What SQLite keeps beside a database: only together they are its content.
var (
	databaseNames = []string{".sqlite", ".sqlite3", ".db", ".db3"}
	besideNames   = []string{"", "-wal", "-shm", "-journal"}
)

// set is the files of one database.
type set struct {
	paths  []string      // those that exist
	stamps []unix.Stat_t // by besideNames, as they were before the first was read
}

// findSets finds the databases among the names in a folder.
func (c *capture) findSets(folder string, names []string) {
	there := make(map[string]bool, len(names))
	for _, name := range names {
		there[name] = true
	}
	for _, name := range names {
		var files []string
		for _, beside := range besideNames {
			if there[name+beside] {
				files = append(files, path.Join(folder, name+beside))
			}
		}
		if len(files) > 1 || isDatabase(name) {
			c.sets[path.Join(folder, name)] = files
		}
	}
}

func isDatabase(name string) bool {
	for _, end := range databaseNames {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}

// takeSet takes the files of a database one directly after the other, or none where they are not
// what they are called. Whether one of them changed meanwhile is the verdict of the last.
func (c *capture) takeSet(ctx context.Context, it item, files []string) (isSet bool, err error) {
	if len(files) == 0 {
		return false, nil
	}
	delete(c.sets, files[0])
	root := it.root
	stamps, err := await(ctx, c, func(t *trail) ([]unix.Stat_t, error) { return stampSet(t, root, files[0]) })
	if err != nil {
		return false, nil // each is taken by itself, and tells what is wrong
	}
	large := false
	for _, st := range stamps {
		if st.Ino != 0 && !isType(st, unix.S_IFREG) {
			return false, nil // folders of such names, it may be
		}
		large = large || st.Size > largeFile || st.Size-512*int64(st.Blocks) > hollowFile
	}
	for _, file := range files {
		c.seen[file] = true
	}
	together := &set{paths: files, stamps: stamps}
	if large && it.all == nil { // put off together
		it.all = together
		c.large = append(c.large, it)
		return true, nil
	}
	for i, file := range files {
		one := it
		one.path, one.name, one.all, one.whole = file, file, nil, true
		if i == len(files)-1 {
			one.set = together
		}
		if _, err := c.take(ctx, one); err != nil {
			return true, err
		}
	}
	return true, nil
}

// stampSet describes the files of the database at a path; those that do not exist have no inode.
func stampSet(t *trail, root *os.Root, database string) ([]unix.Stat_t, error) {
	dir, err := t.enter(root, path.Dir(database))
	if err != nil {
		return nil, err
	}
	defer unix.Close(dir)
	return t.stamps(dir, path.Base(database))
}

func (t *trail) stamps(dir int, database string) ([]unix.Stat_t, error) {
	stamps := make([]unix.Stat_t, len(besideNames))
	for i, beside := range besideNames {
		st, err := t.lstat(dir, database+beside)
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return nil, err
		}
		stamps[i] = st
	}
	return stamps, nil
}

// judgeSet looks at the files of a database again when the last of them was read.
func (r *reading) judgeSet(dir int, verdict string) string {
	database := path.Base(r.set.paths[0])
	now, err := r.trail.stamps(dir, database)
	if err != nil {
		r.file.note("look at the files of its database again: " + err.Error())
		return Modified
	}
	var changed []string
	for i, was := range r.set.stamps {
		if st := now[i]; st.Ino != was.Ino || st.Dev != was.Dev || st.Size != was.Size || st.Mtim != was.Mtim || st.Ctim != was.Ctim {
			changed = append(changed, database+besideNames[i])
		}
	}
	if len(changed) == 0 {
		return verdict
	}
	r.file.note("the files of its database do not belong together: while they were read, " + strings.Join(changed, ", ") + " changed")
	return Modified
}
