package actions

import (
	"context"
	"errors"
	"slices"
	"strings"

	"clawback/forensics/agents/openclaw"
	"clawback/forensics/incident"
	"clawback/playbooks/engine"
	"clawback/revoke/discover"
	"clawback/revoke/discover/sqlite"
)

// databases are those that the search of a remote host left to the desk. They are read from the
// sealed evidence by whichever of the two steps ends last, so that neither waits for the other: what
// the search finds elsewhere is revoked at once, and what stands in a database goes the way of a
// credential that is added later. Guarded by Response.mu.
type databases struct {
	capture  bool               // a step is to seal the files
	bag      string             // the sealed files; empty before
	kept     *kept              // what is read of them; nil where they were sealed before
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
func (r *Response) filesSealed(part, bag string, kept *kept) {
	if part != "files" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.databases.bag, r.databases.kept = bag, kept
}

// wipeKept ends what was kept for a search that has not come.
func (r *Response) wipeKept() {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.databases.kept.wipe() // a later run does what is left of it
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
	err := error(nil)
	if d.kept == nil {
		d.kept, err = keepFrom(r.path(d.bag), nil)
	}
	var read discover.Summary
	if err == nil {
		read, err = d.kept.search(ctx, finds.put)
		err = errors.Join(err, d.kept.wipe())
	}
	finds.end()
	if err != nil {
		rec.Note(incident.TypeWarning, incident.Warning{Text: "the databases of " + r.Host.Name() + " were not read: " + err.Error(),
			Hint: "unpack the sealed evidence, and search it with clawback discover --root FOLDER/data"})
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

// search reads the databases that were kept. Those that were there to be read are the Deferred of
// the summary.
func (k *kept) search(ctx context.Context, found func(discover.Found)) (discover.Summary, error) {
	if len(k.installations) == 0 {
		return discover.Summary{}, nil
	}
	opts := discover.Options{Installations: k.installations, Databases: sqlite.Read, DatabasesOnly: true}
	sum, err := discover.Scan(ctx, k.root, opts, found)
	sum.Deferred = append(sum.Deferred, k.databases...)
	for _, name := range k.databases {
		if why := k.torn[name]; why != "" {
			sum.Problems = append(sum.Problems, openclaw.Problem{Path: name, Reason: why})
		}
	}
	return sum, err
}

// databaseOf is the database that a file of the host's is, or the log of.
func databaseOf(name string) string {
	name = strings.TrimSuffix(name, "-wal")
	if _, ok := discover.DatabaseFile(name); !ok {
		return ""
	}
	return name
}
