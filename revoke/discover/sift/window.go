package sift

import (
	"bytes"
	"errors"
	"io"
	"slices"

	"clawback/forensics/agents/openclaw/json5"
)

const (
	// Step is how many bytes of a file one window answers for.
	Step = 1 << 20
	// overlap is what a window reads behind them, so that a match that begins in it ends in it.
	overlap = maxLength + maxBefore
	// margin is what it reads before them, for the name in front of a value.
	margin = maxBefore

	firstRead = 64 << 10 // bytes of a file that are read at first: all of most files
	sniffed   = 1 << 10  // of which so many tell what it is

	maxMatches = 10_000 // of one window
	maxLevels  = 3      // how often text is unescaped: JSON stands in JSON, in logs
	maxSteps   = 32     // of a path that is named
)

// File is a file that is searched window by window.
type File struct {
	io.ReaderAt
	Path string // which rules may depend on
	JSON bool   // its text is JSON, which hides nothing that is not in its strings
}

// ErrNoText is returned for what is no text.
var ErrNoText = errors.New("not text")

// sniff tells from its first bytes what a file is: whether it is to be searched as text, and whether JSON.
// small says that there are few more.
func sniff(head []byte, small bool) (text, json bool) {
	if bytes.IndexByte(head, 0) >= 0 && (binary(head) || !small && !mostlyText(head)) {
		return false, false
	}
	head = bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	return true, len(head) > 0 && (head[0] == '{' || head[0] == '[')
}

// Result is what one window holds.
type Result struct {
	Matches []Match // in the order of the file
	Bytes   int     // of the file that were searched
	Lines   int     // that end in them
	Limited bool    // a rule was given up, or matches were left out: the text gave too much to do
}

// Searcher is a scanner's memory, for one goroutine.
type Searcher struct {
	*Scanner
	buf, spare []byte
	views      [maxLevels][]byte
	done       []pass // by rule
	hits       hits
}

// Searcher makes a searcher.
func (s *Scanner) Searcher() *Searcher {
	return &Searcher{Scanner: s, done: make([]pass, len(s.rules))}
}

// First searches the first window of a file of which nothing is known yet. It returns what its
// other windows are searched with, or ErrNoText. An error beside a result says why it ends early.
func (s *Searcher) First(r io.ReaderAt, path string) (File, Result, error) {
	text, err := s.read(nil, r, 0, firstRead)
	isText, isJSON := sniff(text[:min(len(text), sniffed)], len(text) < firstRead)
	f := File{r, path, isJSON}
	if !isText {
		return f, Result{}, ErrNoText
	}
	if len(text) == firstRead && err == nil {
		text, err = s.read(text, r, 0, Step+overlap)
	}
	return f, s.search(f, text, 0, 0), err
}

// Window searches the bytes of f from at to at+Step: each match belongs to the window in which it
// begins. An error beside a result says why it ends early; the end of the file is none.
func (s *Searcher) Window(f File, at int64) (Result, error) {
	from := max(0, at-margin)
	begin := int(at - from)
	text, err := s.read(nil, f, from, begin+Step+overlap)
	return s.search(f, text, begin, from), err
}

// read reads the bytes of r from an offset on until there are n, of which it has some already. It
// returns fewer where the file ends, or with an error.
func (s *Searcher) read(have []byte, r io.ReaderAt, from int64, n int) ([]byte, error) {
	if need := margin + Step + overlap; cap(s.buf) < need {
		s.buf = make([]byte, need)
	}
	more, err := r.ReadAt(s.buf[len(have):n], from+int64(len(have)))
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return s.buf[:len(have)+more], err
}

// search searches text, which stands in f from an offset on, for what begins in the Step bytes
// from begin on.
func (s *Searcher) search(f File, text []byte, begin int, from int64) (r Result) {
	own := text[min(len(text), begin):min(len(text), begin+Step)]
	r.Bytes, r.Lines = len(own), bytes.Count(own, []byte{'\n'})
	if len(own) == 0 {
		return r
	}
	matches := s.levels(text, f, &r.Limited)
	matches = slices.DeleteFunc(matches, func(m Match) bool { return int(m.Offset) < begin || int(m.Offset) >= begin+len(own) })
	matches = settle(matches)
	if len(matches) > maxMatches {
		matches, r.Limited = matches[:maxMatches], true
	}
	r.Matches = s.locate(matches, text, begin, from, f.JSON)
	return r
}

// levels searches text as it stands, unless that is JSON, and unescaped: once, and again where
// that uncovers more escapes. Offsets of the matches count from the beginning of text.
func (s *Searcher) levels(text []byte, f File, limited *bool) []Match {
	var all []Match
	sources, view := [][]byte{text}, text
	for level := 0; ; level++ {
		if level > 0 || !f.JSON || bytes.IndexByte(text, '\\') < 0 {
			matches, l := s.scan(view, f.Path, nil)
			*limited = *limited || l
			all = append(all, s.origin(matches, sources, f.JSON)...)
		}
		if level == maxLevels || !escaped(view) {
			return all
		}
		view = unescape(s.views[level], view, sparse(level, f.JSON), nil)
		s.views[level] = view
		sources = append(sources, view)
	}
}

// sparse reports whether a level takes only the lines with a backslash: not where the level
// before it was not searched.
func sparse(level int, json bool) bool { return level > 0 || !json }

// origin replaces the places of matches in a view by their places in the text.
func (s *Searcher) origin(matches []Match, sources [][]byte, json bool) []Match {
	if len(matches) == 0 {
		return nil
	}
	slices.SortStableFunc(matches, func(a, b Match) int { return a.start - b.start })
	at := make([]int, len(matches))
	for i, m := range matches {
		at[i] = m.start
	}
	for level := len(sources) - 2; level >= 0; level-- {
		s.spare = unescape(s.spare, sources[level], sparse(level, json), at)
	}
	for i := range matches {
		matches[i].Offset = int64(at[i])
	}
	return matches
}

// locate fills in where matches stand: the offset in the file, the lines before them, and in JSON
// the path to their string.
func (s *Searcher) locate(matches []Match, text []byte, begin int, from int64, json bool) []Match {
	line, counted := 0, begin
	var doc document
	for i := range matches {
		m := &matches[i]
		at := int(m.Offset)
		line += bytes.Count(text[counted:at], []byte{'\n'})
		counted = at
		m.Line, m.Offset = line, from+m.Offset
		if json {
			m.Path = doc.path(text, at, from == 0)
		}
	}
	return matches
}

// document is the JSON that was parsed last: a line, or all of the text.
type document struct {
	from, to int
	strings  []placed
}

// placed is a string, with the index in the text at which it begins.
type placed struct {
	at   int
	path []json5.Step
}

// path names the string of the JSON around text[at] that stands there. The JSON is all of text,
// which whole says may be, or one line.
func (d *document) path(text []byte, at int, whole bool) []json5.Step {
	if whole && d.to == 0 {
		d.to = len(text)
		d.parse(text)
	}
	if d.strings == nil && whole || at < d.from || at >= d.to {
		d.from = bytes.LastIndexByte(text[:at], '\n') + 1
		d.to = len(text)
		if n := bytes.IndexByte(text[at:], '\n'); n >= 0 {
			d.to = at + n
		}
		d.parse(text)
	}
	i, _ := slices.BinarySearchFunc(d.strings, at+1, func(p placed, at int) int { return p.at - at })
	if i == 0 {
		return nil
	}
	return d.strings[i-1].path
}

// parse lists the strings of a document; none where it is no JSON.
func (d *document) parse(text []byte) {
	d.strings = nil
	data := text[d.from:d.to]
	line, begin := 1, d.from
	err := json5.Scan(data, func(v json5.Value) {
		for ; line < v.Line; line++ {
			begin += bytes.IndexByte(text[begin:], '\n') + 1
		}
		if v.Kind == json5.String && len(v.Text) >= minKnown && len(v.Path) <= maxSteps {
			d.strings = append(d.strings, placed{begin + v.Column - 1, slices.Clone(v.Path)})
		}
	})
	if err != nil {
		d.strings = nil
	}
}
