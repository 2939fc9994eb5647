package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"clawback/forensics/agents/openclaw"
)

// tries is how often a database that is being written to is copied before its copy is taken as it is.
const tries = 3

var errChanged = errors.New("it changed while it was copied")

// copy copies a database with its write-ahead log. The log's index, "-shm", is rebuilt from the log
// and not taken; a rollback journal names files that SQLite would then delete, and is never taken.
func (r *reader) copy(root openclaw.Root, name, to string) error {
	var err error
	for range tries {
		if err = r.copyOnce(root, name, to); !errors.Is(err, errChanged) {
			break
		}
	}
	if errors.Is(err, errChanged) { // what can be read of it is worth more than nothing
		r.problem("a writer changed it while it was copied: what was read may be torn")
		err = nil
	}
	if err == nil {
		r.checkLog(to + "-wal")
		if _, stat := openclaw.Resolve(root, name+"-journal"); stat == nil {
			r.problem("a rollback journal stands beside it, which was not applied: what was read may be half of a change")
		}
	}
	return err
}

// copyOnce copies log and database in this order, and fails where either changed meanwhile: a
// checkpoint between the two would leave pages in neither.
func (r *reader) copyOnce(root openclaw.Root, name, to string) error {
	if err := errors.Join(remove(to), remove(to+"-wal")); err != nil {
		return err
	}
	before := r.state(root, name)
	log, err := r.copyFile(root, name+"-wal", to+"-wal", maxDatabase)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		// Without its log it is an older database, and a whole one.
		r.problem("its write-ahead log was not read: %s", openclaw.ProblemOf("", err).Reason)
		if err := remove(to + "-wal"); err != nil {
			return err
		}
	}
	if _, err := r.copyFile(root, name, to, maxDatabase-log); err != nil {
		return errors.New(openclaw.ProblemOf("", err).Reason)
	}
	if !bytes.Equal(before, r.state(root, name)) {
		return errChanged
	}
	return nil
}

func remove(name string) error {
	if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// state tells two moments of a database apart: sizes, times, and the heads of both files, which
// every writer changes.
func (r *reader) state(root openclaw.Root, name string) []byte {
	var out bytes.Buffer
	for _, name := range []string{name, name + "-wal"} {
		f, err := openclaw.Open(root, name)
		if err != nil {
			continue
		}
		if info, err := f.Stat(); err == nil {
			fmt.Fprintln(&out, info.Size(), info.ModTime().UnixNano())
		}
		_, _ = io.CopyN(&out, f, 100) // a file that is shorter is told by its size
		_ = f.Close()
	}
	return out.Bytes()
}

func (r *reader) copyFile(root openclaw.Root, name, to string, most int64) (int64, error) {
	from, err := openclaw.Open(root, name)
	if err != nil {
		return 0, err
	}
	defer from.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(out, io.LimitReader(bound{r.ctx, from}, most+1))
	if err = errors.Join(err, out.Close()); err != nil {
		return n, err
	}
	if n > most {
		return n, fmt.Errorf("%w: more than %d bytes with its log", openclaw.ErrTooLarge, int64(maxDatabase))
	}
	return n, nil
}

// bound is a reader that ends with a context.
type bound struct {
	ctx context.Context
	io.Reader
}

func (b bound) Read(p []byte) (int, error) {
	if b.ctx.Err() != nil {
		return 0, context.Cause(b.ctx)
	}
	return b.Reader.Read(p)
}
