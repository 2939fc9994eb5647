package discover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"clawback/forensics/agents"
	"clawback/forensics/agents/openclaw"
	"clawback/revoke/credential"
	"clawback/revoke/discover/sift"
)

// What the search of texts is bounded by. What lies beyond is a Problem, or counted as skipped.
const (
	maxTextTime  = 15 * time.Minute
	maxTextFile  = 8 << 30          // bytes of one file
	patience     = 30 * time.Second // for a file system to answer
	maxTextDepth = 64               // directories in each other
	listBatch    = 20_000           // entries of a directory that are sorted at once
)

// shown is the note of a source that the model has seen, and whoever it talked to.
const shown = "shown to the model"

// Reasons for which a file is not searched as text. They are counted, not listed: a workspace has
// thousands of each.
const (
	notText     = "binary"
	notOwnText  = "installed package or lock file"
	notFollowed = "link"
	notRegular  = "FIFO, socket or device"
	notHere     = "browser profile, git object or channel session"
)

// searchTexts looks for secrets where none belong, in all files below the state directory and the
// workspaces and in the logs, and for what the structured places hold: where else it stands.
func (s *scan) searchTexts() {
	if s.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, maxTextTime)
	defer cancel()
	t := &texts{scan: s, ctx: ctx, later: map[string]bool{}}
	for _, w := range s.agent.Workspaces {
		t.later[w] = true
	}
	t.prepare()
	t.entries()
	if !s.quiet {
		t.run(t.roots())
	}
	t.flush()
	if ctx.Err() != nil && s.ctx.Err() == nil {
		s.note(openclaw.Problem{Path: s.agent.StateDir, Reason: fmt.Sprintf("not all of its text was searched within %v: %d files were", maxTextTime, t.searched)})
	}
}

// roots are the directories to search, those first that tell most.
func (t *texts) roots() []string {
	a := t.agent
	var roots []string
	for _, dir := range a.layout.Records {
		roots = append(roots, path.Join(a.StateDir, dir))
	}
	roots = append(roots, a.StateDir)
	for _, tool := range agents.Layouts {
		if tool.Folder != "" {
			roots = append(roots, path.Join(a.Home, tool.Folder))
		}
	}
	roots = append(roots, "tmp/openclaw", fmt.Sprintf("tmp/openclaw-%d", a.UID))
	return append(roots, a.Workspaces...)
}

// walk hands the regular files below dir to each, in the order of their names; those of a very
// large directory batch by batch.
func (t *texts) walk(dir string, depth int, each func(in *folder, name string)) {
	if t.ctx.Err() != nil || t.walked[walker{t.agent.UID, dir}] {
		return
	}
	t.walked[walker{t.agent.UID, dir}] = true
	for _, name := range t.list(dir, each) {
		switch {
		case t.later[name]: // has a turn of its own
		case foreign(name):
			t.skip(notHere)
		case t.scanner.Ignored(name):
			t.skip(notOwnText)
		case depth == maxTextDepth:
			t.trouble(name, fmt.Errorf("more than %d directories in each other", maxTextDepth))
		default:
			t.walk(name, depth+1, each)
		}
	}
}

// list hands the regular files of a directory to each, and returns the directories.
func (t *texts) list(dir string, each func(in *folder, name string)) (below []string) {
	l, err := patiently(func() (lister, error) { return t.files.list(dir) }, func(late lister) {
		if late != nil {
			_ = late.Close() // opened for reading only
		}
	})
	if err != nil {
		t.trouble(dir, err)
		return nil
	}
	in := &folder{lister: l}
	in.hold()
	for t.ctx.Err() == nil {
		var batch []fs.DirEntry
		if batch, err = patiently(l.next, func([]fs.DirEntry) { in.release() }); err != nil {
			break
		}
		slices.SortFunc(batch, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
		for _, e := range batch {
			name := path.Join(dir, e.Name())
			switch kind := e.Type(); {
			case kind.IsDir():
				below = append(below, name)
			case kind&fs.ModeSymlink != 0:
				t.skip(notFollowed)
			case !kind.IsRegular():
				t.skip(notRegular)
			case t.admits(name):
				each(in, name)
			}
		}
	}
	if errors.Is(err, errSilent) {
		t.trouble(dir, err)
		return below // the call that has not ended keeps the directory open
	}
	if err != nil && !errors.Is(err, io.EOF) {
		t.trouble(dir, err)
	}
	in.release()
	return below
}

// admits reports whether a file is still to be searched, and the agent's account may read it.
func (t *texts) admits(name string) bool {
	return !t.done[name] && (t.agent.own(name) || t.mayRead(name)) && !t.readBefore(name)
}

// foreign reports whether a directory holds what others wrote and nobody can read: pages in the
// browser's cache, git's objects, the keys of a channel's sessions.
func foreign(dir string) bool {
	return strings.HasSuffix(dir, "/.git/objects") || strings.HasSuffix(dir, "/user-data") && strings.Contains(dir, "/browser/") ||
		strings.HasSuffix(path.Dir(dir), "/credentials/whatsapp")
}

// transcript reports whether a file is a record of what the model was shown.
func transcript(name string) bool {
	return strings.Contains(name, ".jsonl") && (strings.Contains(name, "/sessions/") || strings.Contains(name, "/.claude/projects/") ||
		strings.Contains(name, "/session-sqlite-import-archive/"))
}

// noteOf says of a text what a find in it means.
func noteOf(name string) string {
	if transcript(name) {
		return shown
	}
	return ""
}

// reads reports whether a file's name alone says that nothing of the agent stands in it.
func reads(s *sift.Scanner, name string) bool { return transcript(name) || !s.Ignored(name) }

// maxHeard bounds the transcripts of databases that are kept until the structured places were read.
const maxHeard = 256 << 20

// entry is one entry of a transcript that stands in a database.
type entry struct {
	at   credential.Source
	text string
}

// hear takes in an entry of a transcript.
func (s *scan) hear(at credential.Source, text string) {
	if s.text != nil {
		s.text(at, text)
	}
	if s.heardBytes += len(text); s.heardBytes > maxHeard {
		if s.heardBytes-len(text) <= maxHeard {
			s.note(openclaw.Problem{Path: at.Path, Reason: fmt.Sprintf("more than %d bytes of transcripts: the rest was not searched for secrets", maxHeard)})
		}
		return
	}
	s.heard = append(s.heard, entry{at, text})
}

// entries searches the transcripts of databases.
func (t *texts) entries() {
	searcher := t.scanner.Searcher()
	for _, e := range t.heard {
		file := sift.File{ReaderAt: strings.NewReader(e.text), Path: e.at.Path, JSON: true}
		for at := int64(0); at < int64(len(e.text)) && t.ctx.Err() == nil; at += sift.Step {
			r, _ := searcher.Window(file, at) // memory is always read
			for _, m := range r.Matches {
				t.found(e.at, m)
			}
		}
	}
	t.heard = nil
}
