package verify

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sys/unix"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/forensics/journal/tree"
)

const checkpointPath = tree.Dir + "/" + tree.CheckpointName

// record is a record that is being read.
type record struct {
	dir     string
	options Options
	result  Result

	note    []byte // the checkpoint as it stands on disk; nil when there is none
	sealErr error  // why it counts for nothing
	held    []held
	roots   map[uint64]*tlog.Hash // of the first so many lines, where a checkpoint speaks of them; nil until they were read

	tree   tree.Builder
	pieces []piece // tiles and bundles that the newest entry completes

	n         uint64 // the entry's place
	entry     journal.Entry
	malformed error     // why it is none; then entry is what could be made of it
	prev      string    // hash of the line before
	time      time.Time // of the entry before
	torn      bool      // the last line is not whole

	declarations, plans int // before the entry
}

// piece is a file of the tree as the lines make it.
type piece struct {
	path    string
	content []byte
}

// begin reads what the lines are compared with. The checkpoint comes first: a run that goes on
// meanwhile adds lines, and takes none away.
func (r *record) begin() error {
	signed, err := tree.ReadNote(filepath.Join(r.dir, filepath.FromSlash(checkpointPath)))
	if err == nil {
		r.note = signed
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the checkpoint: %w", err)
	}
	if err := r.declared(); err != nil {
		return err
	}
	if r.note != nil {
		r.result.Sealed, r.sealErr = r.open(r.note)
		r.roots[r.result.Sealed.Size] = nil
	}
	for _, h := range r.options.Held {
		c, err := tree.Checkpoint{Size: h.Size, Root: h.Root}, error(nil)
		if h.Note != nil || h.Size == 0 {
			c, err = r.open(h.Note)
		}
		r.held = append(r.held, held{c, h.From, err})
		r.roots[c.Size] = nil
		if err == nil {
			r.result.Held = append(r.result.Held, c)
		}
	}
	r.tree.Full = func(path string, content []byte) {
		if r.n <= r.result.Sealed.Size {
			r.pieces = append(r.pieces, piece{path, content})
		}
	}
	return nil
}

func (r *record) open(signed []byte) (tree.Checkpoint, error) {
	if r.result.Key == "" {
		return tree.Checkpoint{}, errors.New("the record names no key")
	}
	c, err := tree.OpenCheckpoint(signed, r.result.Key)
	if err == nil && c.Origin != tree.Origin(r.result.Incident) {
		return tree.Checkpoint{}, fmt.Errorf("%w: the key is not that of %s", tree.ErrForeign, r.result.Incident)
	}
	return c, err
}

// declared looks for the declaration, which names the incident and its key.
func (r *record) declared() error {
	_, err := r.scan(func(line []byte) (bool, error) {
		if !bytes.Contains(line, []byte(incident.TypeDeclared)) {
			return true, nil
		}
		e, _ := parse(line)
		var d incident.Declared
		if e.Type != incident.TypeDeclared || json.Unmarshal(e.Data, &d) != nil {
			return true, nil
		}
		r.result.Incident, r.result.Key = d.Incident, d.CheckpointKey
		return false, nil
	})
	return err
}

// lines reads the record and looks at each of its entries.
func (r *record) lines(look func() *Fault) error {
	torn, err := r.scan(func(line []byte) (bool, error) {
		r.n++
		r.pieces = nil
		r.entry, r.malformed = parse(line)
		if err := r.tree.Add(line); err != nil {
			return false, err
		}
		if r.n == r.result.Sealed.Size {
			r.tree.Partial(func(path string, content []byte) { r.pieces = append(r.pieces, piece{path, content}) })
		}
		if _, wanted := r.roots[r.n]; wanted {
			root := r.tree.Root()
			r.roots[r.n] = &root
		}
		if f := look(); f != nil {
			return false, f
		}
		sum := sha256.Sum256(line)
		r.prev, r.time = hex.EncodeToString(sum[:]), r.entry.Time
		r.result.Entries, r.result.Last = r.n, r.prev
		r.fold()
		return true, nil
	})
	r.torn = torn
	return err
}

// scan gives the lines of the record, until use returns false. It says whether the last was torn.
func (r *record) scan(use func(line []byte) (bool, error)) (torn bool, err error) {
	f, err := openRegular(filepath.Join(r.dir, journal.FileName))
	if err != nil {
		return false, fmt.Errorf("open the record: %w", err)
	}
	defer func() { _ = f.Close() }()
	b := bufio.NewReaderSize(f, journal.MaxLine+1)
	for n := uint64(1); ; n++ {
		line, err := b.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			f := r.fault(lineOf(n), elsewhere, "it has more than the %d bytes that an entry may have", journal.MaxLine)
			f.Check = "entries"
			return false, f
		case errors.Is(err, io.EOF):
			return len(line) > 0, nil
		case err != nil:
			return false, fmt.Errorf("read the record: %w", err)
		}
		if goOn, err := use(line[:len(line)-1]); err != nil || !goOn {
			return false, err
		}
	}
}

// parse makes of a line what it can, so that each check sees what it is about.
func parse(line []byte) (journal.Entry, error) {
	e, err := journal.Parse(line)
	if err != nil {
		var loose journal.Entry
		_ = json.Unmarshal(line, &loose)
		loose.Payload = nil
		return loose, err
	}
	return e, nil
}

// fold keeps what the checks need to know of the incident.
func (r *record) fold() {
	switch r.entry.Type {
	case incident.TypeDeclared:
		r.declarations++
	case incident.TypePlan:
		r.plans++
	case incident.TypeClosed:
		r.result.Ended = true
	case incident.TypeResumed:
		r.result.Ended = false
	case incident.TypeSealed:
		var s incident.Sealed
		data, err := r.entry.Data, error(nil)
		if r.entry.Payload != nil {
			data, err = journal.ReadPayload(r.dir, *r.entry.Payload)
		}
		if err == nil && json.Unmarshal(data, &s) == nil {
			r.bag(s)
		}
	}
}

// bag takes in a package. What a resumed run found broken it set aside, before it captured the same
// place anew; where nobody signed for that, the package of before has to be there.
func (r *record) bag(s incident.Sealed) {
	if r.n <= r.result.Sealed.Size || r.result.Key == "" {
		r.result.Bags = slices.DeleteFunc(r.result.Bags, func(before incident.Sealed) bool { return before.Path == s.Path })
	}
	r.result.Bags = append(r.result.Bags, s)
}

// evidence checks each evidence package that the record names.
func (r *record) evidence() *Fault {
	for _, bag := range r.result.Bags {
		if r.options.Bag == nil {
			return nil
		}
		path := filepath.FromSlash(bag.Path)
		if !filepath.IsLocal(path) {
			return r.fault(bag.Path, elsewhere, "the record names evidence that is not in the folder of the incident")
		}
		if err := r.options.Bag(filepath.Join(r.dir, path), bag); err != nil {
			return r.fault(bag.Path, "the record holds; for the evidence, "+elsewhere, "%v", err)
		}
	}
	return nil
}

// bundles compares the bundles of entries that the newest entry completes with the lines.
func (r *record) bundles() *Fault { return r.compare(true) }

// tiles compares the tiles that the newest entry completes with those of the lines.
func (r *record) tiles() *Fault { return r.compare(false) }

func (r *record) compare(bundles bool) *Fault {
	for _, p := range r.pieces {
		if strings.HasPrefix(p.path, "tile/entries/") != bundles {
			continue
		}
		where := tree.Dir + "/" + p.path
		got, err := readUpTo(filepath.Join(r.dir, filepath.FromSlash(where)), len(p.content)+1)
		switch {
		case err != nil:
			return r.fault(where, "the record holds up to here; the tree can be made again from it", "%v", err)
		case bytes.Equal(got, p.content):
		case bundles:
			return r.fault(where, elsewhere, "%s", difference(got, p.content, r.n))
		default:
			return r.fault(where, elsewhere, "it is not the tile of entries 1 to %d: it was changed, or they were", r.n)
		}
	}
	return nil
}

// difference says which entry of a bundle, the last of which is entry n, is not as in the record.
func difference(got, want []byte, n uint64) string {
	have, err := tree.ParseBundle(got)
	lines, _ := tree.ParseBundle(want)
	for i := range lines {
		if i >= len(have) || !bytes.Equal(have[i], lines[i]) {
			return fmt.Sprintf("its copy of entry %d is not what stands in %s: one of the two was changed", n-uint64(len(lines)-1-i), journal.FileName)
		}
	}
	return fmt.Sprintf("it holds more than it should (%v)", err)
}

func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // a FIFO would wait for ever
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func readUpTo(path string, most int) ([]byte, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, int64(most)))
}

// notedKey reads a key that a person noted: a verifier key, or an SSH public key, which belongs to
// the name that the recorded one has.
func notedKey(text, recorded string) (string, error) {
	text = strings.TrimSpace(text)
	if _, err := note.NewVerifier(text); err == nil {
		return text, nil
	}
	origin, _, _ := strings.Cut(recorded, "+")
	return tree.VerifierFromSSH(origin, []byte(text))
}
