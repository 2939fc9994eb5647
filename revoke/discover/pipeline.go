package discover

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"runtime"
	"sync"
	"syscall"

	"clawback/forensics/agents/openclaw"
	"clawback/revoke/discover/sift"
)

// texts is the search of texts: one goroutine walks the tree, some search windows of files, and
// the caller's own takes what they find, in the order of the walk.
type texts struct {
	*scan
	ctx      context.Context
	later    map[string]bool // directories that have a turn of their own
	scanner  *sift.Scanner
	known    []Found // by their number in the scanner
	work     chan *task
	searched int // files
	guesses

	mu       sync.Mutex // for what the walk and the searchers report
	skipped  map[string]int
	problems []openclaw.Problem
}

// task is one window of one file.
type task struct {
	name string
	in   *folder   // of the first window
	file *openText // of the others
	at   int64
	done chan struct{}

	// What came of it.
	result sift.Result
	err    error
	rest   *openText // the file, if it goes on
}

// openText is a file that is searched window by window.
type openText struct {
	textFile
	text sift.File
}

var (
	errSilent = fmt.Errorf("its file system did not answer within %v: left alone", patience)
	errSkip   = errors.New("not searched")

	errNoTranscript = errors.New("a transcript that is compressed or no text: not searched, look at it by hand")
)

// run searches the texts below roots.
func (t *texts) run(roots []string) {
	t.skipped = map[string]int{}
	workers := max(2, runtime.GOMAXPROCS(0))
	t.work = make(chan *task)
	order := make(chan *task, 16*workers)
	var wait sync.WaitGroup
	for range workers {
		wait.Go(t.search)
	}
	wait.Go(func() {
		defer close(order)
		t.produce(roots, order)
	})
	for next := range order {
		<-next.done
		t.take(next)
	}
	close(t.work)
	wait.Wait()
	t.searchedAll()
}

// produce walks the tree and hands each file to the searchers, and to the one who takes the
// results.
func (t *texts) produce(roots []string, order chan<- *task) {
	each := func(in *folder, name string) {
		next := &task{name: name, in: in.hold(), done: make(chan struct{})}
		select {
		case order <- next:
			t.work <- next
		case <-t.ctx.Done():
			in.release()
		}
	}
	for _, root := range roots {
		t.walk(root, 0, each)
	}
	t.logs(each)
}

// search does tasks until there are no more.
func (t *texts) search() {
	searcher := t.scanner.Searcher()
	for next := range t.work {
		attempt, own := *next, searcher // for an attempt that may stay behind
		done, err := watching(func(w *watch) (task, error) { return t.attempt(attempt, own, w) }, func(late task) {
			if late.rest != nil {
				_ = late.rest.Close() // opened for reading only
			}
		})
		if errors.Is(err, errSilent) {
			searcher = t.scanner.Searcher()
		}
		next.result, next.rest, next.err = done.result, done.rest, err
		close(next.done)
	}
}

// attempt searches one window of a file, the first one after opening it.
func (t *texts) attempt(next task, s *sift.Searcher, w *watch) (_ task, err error) {
	if next.in != nil {
		defer next.in.release()
	}
	if err := t.ctx.Err(); err != nil {
		return next, err
	}
	if next.file != nil {
		text := next.file.text
		text.ReaderAt = watched{next.file, w}
		next.result, err = s.Window(text, next.at)
		return next, err
	}
	if !reads(t.scanner, next.name) {
		t.skip(notOwnText)
		return next, errSkip
	}
	w.begin()
	f, err := next.in.open(path.Base(next.name))
	w.end()
	if err != nil {
		return next, err
	}
	o := &openText{textFile: f}
	var whole bool
	o.text, next.result, whole, err = t.first(s, watched{f, w}, next.name)
	if err == nil && !whole && f.size() > sift.Step {
		next.rest = o
		return next, nil
	}
	if errors.Is(err, sift.ErrNoText) {
		if transcript(next.name) {
			t.trouble(next.name, errNoTranscript)
		}
		t.skip(notText)
		err = errSkip
	}
	_ = f.Close() // opened for reading only
	return next, err
}

// take takes what came of a file's first window, and searches its others.
func (t *texts) take(next *task) {
	if errors.Is(next.err, errSkip) {
		return
	}
	t.searched++
	t.summary.Files++
	if !t.takeWindow(next, 0) || next.rest == nil {
		return
	}
	if t.others(next) {
		_ = next.rest.Close() // opened for reading only
	}
}

// others searches the windows of a file behind the first, several at once, and takes them in order.
// It reports whether the file is free: a call that was left behind keeps its descriptor.
func (t *texts) others(first *task) (free bool) {
	free = true
	file, line := first.rest, first.result.Lines
	var ahead []*task
	goOn := func(from int64) int64 {
		to, err := file.goOn(from)
		if err != nil {
			free = false
			t.trouble(first.name, err)
		}
		return to
	}
	at := goOn(sift.Step)
	for {
		for len(ahead) < cap(t.work)+runtime.GOMAXPROCS(0)+1 && at < min(file.size(), maxTextFile) {
			next := &task{name: first.name, file: file, at: at, done: make(chan struct{})}
			t.work <- next
			ahead = append(ahead, next)
			at = goOn(at + sift.Step)
		}
		if len(ahead) == 0 {
			break
		}
		next := ahead[0]
		ahead = ahead[1:]
		<-next.done
		free = free && !errors.Is(next.err, errSilent)
		t.takeWindow(next, line)
		line += next.result.Lines
	}
	if file.size() > maxTextFile {
		t.note(openclaw.Problem{Path: first.name, Reason: fmt.Sprintf("longer than %d bytes: the rest was not searched", int64(maxTextFile))})
	}
	return free
}

// goOn is the first window at or behind an offset that is no hole; the end of the file where it does not
// say, which is errSilent.
func (o *openText) goOn(at int64) (int64, error) {
	to, err := patiently(func() (int64, error) { return o.data(at) }, func(int64) {})
	switch {
	case errors.Is(err, errSilent):
		return o.size(), err
	case err != nil:
		return o.size(), nil
	}
	return max(at, to/sift.Step*sift.Step), nil
}

// takeWindow takes the result of one window, which begins behind so many lines.
func (t *texts) takeWindow(next *task, line int) bool {
	t.summary.Bytes += int64(next.result.Bytes)
	for _, m := range next.result.Matches {
		t.match(next.name, line, m)
	}
	if next.result.Limited {
		t.note(openclaw.Problem{Path: next.name, Reason: "so much of it looks like secrets that not all was looked at"})
	}
	if next.err != nil && t.ctx.Err() == nil {
		t.problem(next.name, next.err)
		return false
	}
	return true
}

func (t *texts) skip(reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.skipped[reason]++
}

// trouble takes down what the walk could not read.
func (t *texts) trouble(name string, err error) {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return // nothing to read is no problem
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.problems) <= maxProblems {
		t.problems = append(t.problems, openclaw.ProblemOf(name, err))
	}
}

// searchedAll hands over what the walk and the searchers took down.
func (t *texts) searchedAll() {
	for _, p := range t.problems {
		t.note(p)
	}
	for reason, n := range t.skipped {
		if t.summary.Skipped == nil {
			t.summary.Skipped = map[string]int{}
		}
		t.summary.Skipped[reason] += n
	}
}
