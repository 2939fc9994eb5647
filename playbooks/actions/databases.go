package actions

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"clawback/forensics/agents/openclaw"
	"clawback/forensics/incident"
	"clawback/playbooks/engine"
	"clawback/revoke/discover"
	"clawback/revoke/discover/sqlite"
	"clawback/snapshots"
)

// databases are those that the search of a remote host left to the desk. They are read from the
// sealed evidence by whichever of the two steps ends last, so that neither waits for the other: what
// the search finds elsewhere is revoked at once, and what stands in a database goes the way of a
// credential that is added later. Guarded by Response.mu.
type databases struct {
	capture  bool               // a step is to seal the files
	bag      string             // the sealed files; empty before
	searched *incident.Searched // how the search ended; nil before
	deferred []string           // paths
}

// unreadDatabase is what the record says of a database until it is read.
const unreadDatabase = "a database that was not read: it is, once the files of the host are sealed"

// deferDatabases takes over what a search left to the desk, and reports how many of its problems
// are none if the evidence is sealed.
func (r *Response) deferDatabases(s discover.Summary, out *incident.Searched) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(s.Deferred) == 0 || !r.databases.capture {
		return 0
	}
	out.Problems = slices.DeleteFunc(out.Problems, func(p string) bool {
		return slices.ContainsFunc(s.Deferred, func(d string) bool { return strings.HasPrefix(p, d+": ") })
	})
	for _, d := range s.Deferred {
		out.Problems = append(out.Problems, d+": "+unreadDatabase)
	}
	copied := *out
	copied.Problems = slices.Clone(out.Problems)
	r.databases.searched, r.databases.deferred = &copied, s.Deferred
	return len(s.Deferred)
}

// filesSealed takes over where the files of the host were sealed.
func (r *Response) filesSealed(part, bag string) {
	if part != "files" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.databases.bag = bag
}

// noFiles says that the files of the host will not be sealed.
func (r *Response) noFiles(part string) {
	if part != "files" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.databases.capture = false
}

// unread reports whether an earlier run died before it had read what its search left to the desk.
func (r *Response) unread() bool {
	return r.Before != nil && r.Before.State.Searched != nil &&
		slices.ContainsFunc(r.Before.State.Searched.Problems, func(p string) bool { return strings.HasSuffix(p, ": "+unreadDatabase) })
}

// readDatabases reads what the search left to the desk, if both the search and the capture have
// ended. It completes what is on record of the search.
func (r *Response) readDatabases(ctx context.Context, rec engine.Recorder) {
	r.mu.Lock()
	d := r.databases
	ready := d.searched != nil && d.bag != ""
	if ready {
		r.databases.searched = nil // once
	}
	r.mu.Unlock()
	if !ready {
		return
	}
	out := *d.searched
	more := harmless{out.Harmless}
	finds := newIntake(func(batch []discover.Found) { r.take(more.sort(batch), r.late.rec) })
	defer finds.end()
	read, err := evidenceDatabases(ctx, r.path(d.bag), finds.put)
	finds.end()
	if err != nil {
		rec.Note(incident.TypeWarning, incident.Warning{Text: "the databases of " + r.Host.Name() + " were not read: " + err.Error(),
			Hint: "search the sealed evidence with clawback discover --root " + r.path(d.bag, "data")})
		return
	}
	out.Files, out.Bytes = out.Files+read.Files, out.Bytes+read.Bytes
	out.Problems = slices.DeleteFunc(slices.Clone(out.Problems), func(p string) bool {
		name, pending := strings.CutSuffix(p, ": "+unreadDatabase)
		return pending && slices.Contains(read.Deferred, name)
	})
	for _, p := range read.Problems {
		out.Problems = append(out.Problems, p.Path+": "+p.Reason)
	}
	out.Problems, out.Harmless = bounded(out.Problems), more.list
	r.haveSearched(out, rec)
}

// evidenceDatabases reads the databases in a bag. The finds name them as the host did, and so do the
// Deferred of the summary, which are those that were there to be read.
func evidenceDatabases(ctx context.Context, bag string, found func(discover.Found)) (discover.Summary, error) {
	names, torn := map[string]string{}, map[string]string{} // by stored name, by the host's
	renamed := map[string]string{}                          // other files, which a database may refer to or be referred to by
	var installations []openclaw.Installation
	for e, err := range snapshots.Entries(bag) {
		if err != nil {
			return discover.Summary{}, err
		}
		if main := databaseOf(e.File.Path); main != "" && (e.Stored == "" || e.File.Verdict != snapshots.Stable || e.Problem != "") {
			torn[main] = fmt.Sprintf("%s was captured as %q: what was read may be torn", path.Base(e.File.Path), e.File.Verdict)
		}
		state, ok := discover.DatabaseFile(e.Stored)
		if e.Stored != "" && !ok && e.Stored != e.File.Path && len(renamed) < maxRenamed {
			renamed[e.Stored] = e.File.Path
		}
		if e.Stored == "" || !ok {
			continue
		}
		names[e.Stored] = e.File.Path
		if !slices.ContainsFunc(installations, func(in openclaw.Installation) bool { return in.StateDir == state }) {
			installations = append(installations, openclaw.Installation{StateDir: state, Home: path.Dir(state)})
		}
	}
	if len(installations) == 0 {
		return discover.Summary{}, nil
	}
	root, err := os.OpenRoot(path.Join(bag, "data"))
	if err != nil {
		return discover.Summary{}, err
	}
	defer root.Close()
	opts := discover.Options{Installations: installations, Databases: sqlite.Read, DatabasesOnly: true}
	sum, err := discover.Scan(ctx, root, opts, func(f discover.Found) {
		f.Source.Path = cmp.Or(names[f.Source.Path], renamed[f.Source.Path], f.Source.Path)
		for stored, name := range names {
			f.Source.Note = strings.ReplaceAll(f.Source.Note, stored, name)
		}
		found(f)
	})
	for i, p := range sum.Problems {
		if name, ok := names[p.Path]; ok {
			sum.Problems[i].Path = name
		}
	}
	for _, name := range names {
		sum.Deferred = append(sum.Deferred, name)
		if why := torn[name]; why != "" {
			sum.Problems = append(sum.Problems, openclaw.Problem{Path: name, Reason: why})
		}
	}
	return sum, err
}

// maxRenamed bounds the files of a bag whose names on the host are remembered.
const maxRenamed = 100_000

// databaseOf is the database that a file of the host's is, or the log of.
func databaseOf(name string) string {
	name = strings.TrimSuffix(name, "-wal")
	if _, ok := discover.DatabaseFile(name); !ok {
		return ""
	}
	return name
}
