package wire

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"

	"filippo.io/age"

	"clawback/revoke/credential"
	"clawback/revoke/discover"
	"clawback/snapshots"
)

// Limits bound what the desk takes from one verb of a host. The zero value means the defaults.
type Limits struct {
	Line  int   // bytes of one line: 8 MiB
	File  int64 // bytes of one captured file: 8 GiB
	Total int64 // bytes in all, and as many again of holes: 64 GiB, of discover 64 MiB
	Items int   // finds and files: 1,000,000, of discover 10,000
}

const (
	defaultLine  = 8 << 20
	defaultFile  = 8 << 30
	defaultTotal = 64 << 30
	defaultItems = 1_000_000
	// maxGreeting is what login scripts may print before the header.
	maxGreeting = 64 << 10
)

// ErrCut is returned when the answer ends without its trailer: the link was lost, or the program died.
var ErrCut = errors.New("the answer ends in the middle")

// LieError is an answer that cannot be true, or that no honest program would give.
type LieError struct{ Reason string }

func (e *LieError) Error() string { return e.Reason }

func lie(format string, args ...any) error { return &LieError{fmt.Sprintf(format, args...)} }

// FailedError is the host's own word for why its verb failed.
type FailedError struct {
	Reason string
	code   string
}

func (e *FailedError) Error() string { return e.Reason }

// Is lets errors.Is recognise the failures that a desk decides on.
func (e *FailedError) Is(target error) bool {
	return e.code == codeNoInstallation && target == discover.ErrNoInstallation
}

// Reader is the desk's side: it reads one answer.
type Reader struct {
	Identity age.Identity         // opens the secrets
	Found    func(discover.Found) // of verb discover
	Sink     snapshots.Sink       // of verb capture
	Limits   Limits

	in    *bufio.Reader
	left  int64 // bytes that may still come
	holes int64 // bytes of holes that may
	items int
	open  *incoming
}

// incoming is the file that is being received.
type incoming struct {
	path  string
	to    io.Writer
	bytes int64
	hash  hash.Hash
}

// Read reads the answer to verb from in and puts the trailer's result into result, which may be nil. Its
// error is a *LieError, a *FailedError, ErrCut (wrapped), or the Sink's; after none but a
// *FailedError was the answer whole.
func (r *Reader) Read(in io.Reader, verb string, result any) error {
	r.Limits = r.Limits.withDefaults(verb)
	r.in, r.left, r.holes = bufio.NewReaderSize(in, 64<<10), r.Limits.Total, r.Limits.Total
	if err := r.header(verb); err != nil {
		return err
	}
	for {
		m, err := r.message()
		if err != nil {
			return err
		}
		switch m.Type {
		case typeFound:
			err = r.found(m)
		case typeBegin, typeEnd:
			err = r.file(m)
		case typeChunk:
			err = r.chunk(m)
		case typeHole:
			err = r.hole(m)
		case typeTrailer:
			return r.trailer(m, result)
		default:
			err = lie("a message of type %.40q", m.Type)
		}
		if err != nil {
			return err
		}
	}
}

func (l Limits) withDefaults(verb string) Limits {
	if verb == "discover" {
		if l.Total == 0 {
			l.Total = discoverTotal
		}
		if l.Items == 0 {
			l.Items = discoverItems
		}
	}
	if l.Line == 0 {
		l.Line = defaultLine
	}
	if l.File == 0 {
		l.File = defaultFile
	}
	if l.Total == 0 {
		l.Total = defaultTotal
	}
	if l.Items == 0 {
		l.Items = defaultItems
	}
	return l
}

// header skips what the account's login scripts printed, and reads the header.
func (r *Reader) header(verb string) error {
	for skipped := 0; ; {
		line, err := r.line()
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(line, []byte(`{"type":"header"`)) {
			if skipped += len(line); skipped > maxGreeting {
				return lie("more than %d bytes before the header", maxGreeting)
			}
			continue
		}
		var m message
		switch err := json.Unmarshal(line, &m); {
		case err != nil:
			return lie("the header is not JSON: %v", err)
		case m.Protocol != Protocol:
			return lie("it speaks protocol %d, not %d", m.Protocol, Protocol)
		case m.Verb != verb:
			return lie("it answers to %.40q", m.Verb)
		}
		return nil
	}
}

func (r *Reader) message() (message, error) {
	line, err := r.line()
	if err != nil {
		return message{}, err
	}
	var m message
	if err := json.Unmarshal(line, &m); err != nil {
		return message{}, lie("a line is not JSON: %v", err)
	}
	return m, nil
}

// line reads one line. It holds no more than Limits.Line in memory, whatever comes.
func (r *Reader) line() ([]byte, error) {
	var line []byte
	for {
		piece, err := r.in.ReadSlice('\n')
		if err := r.take(len(piece)); err != nil {
			return nil, err
		}
		if len(line)+len(piece) > r.Limits.Line {
			return nil, lie("a line of more than %d bytes", r.Limits.Line)
		}
		line = append(line, piece...)
		switch {
		case err == nil:
			return line, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, cut(err)
		}
	}
}

func (r *Reader) take(n int) error {
	if r.left -= int64(n); r.left < 0 {
		return lie("more than %d bytes in all", r.Limits.Total)
	}
	return nil
}

func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrCut
	}
	return fmt.Errorf("%w: %w", ErrCut, err)
}

func (r *Reader) count() error {
	if r.items++; r.items > r.Limits.Items {
		return lie("more than %d items", r.Limits.Items)
	}
	return nil
}

func (r *Reader) found(m message) error {
	if r.Found == nil || m.Found == nil {
		return lie("a find that was not asked for")
	}
	if err := r.count(); err != nil {
		return err
	}
	f := clipped(*m.Found)
	f.Secret, f.Sealed = credential.Secret{}, nil
	if len(m.Found.Sealed) > 0 {
		if r.Identity == nil {
			return lie("a sealed secret, though no recipient was named")
		}
		secret, err := credential.Unseal(m.Found.Sealed, r.Identity)
		switch {
		case errors.Is(err, credential.ErrTooLarge):
			return lie("a secret larger than any that is sealed: %v", err)
		case err != nil: // one bad secret must not hide the others
			f.Unresolved = notWhole
		default:
			f.Secret = secret
		}
	}
	r.Found(f)
	return nil
}

func (r *Reader) file(m message) error {
	if r.Sink == nil || m.File == nil {
		return lie("a file that was not asked for")
	}
	f := *m.File
	if !fs.ValidPath(f.Path) || f.Path == "." {
		return lie("a file whose path %.200q is not below the root", f.Path)
	}
	if m.Type == typeBegin {
		return r.begin(f)
	}
	if r.open == nil { // only listed
		if f.Bytes != 0 || f.SHA256 != "" {
			return lie("%.200q is said to have content, and none came", f.Path)
		}
		if err := r.count(); err != nil {
			return err
		}
		return r.Sink.End(f)
	}
	sum := hex.EncodeToString(r.open.hash.Sum(nil))
	switch {
	case f.Path != r.open.path:
		return lie("%.200q ends while %.200q is open", f.Path, r.open.path)
	case f.Bytes != r.open.bytes:
		return lie("%.200q has %d bytes, and %d came", f.Path, f.Bytes, r.open.bytes)
	case f.SHA256 != sum:
		return lie("%.200q is not what its SHA-256 says", f.Path)
	}
	r.open = nil
	return r.Sink.End(f)
}

func (r *Reader) begin(f snapshots.File) error {
	if r.open != nil {
		return lie("%.200q begins while %.200q is open", f.Path, r.open.path)
	}
	if err := r.count(); err != nil {
		return err
	}
	to, err := r.Sink.Begin(f)
	if err != nil {
		return err
	}
	r.open = &incoming{path: f.Path, to: to, hash: sha256.New()}
	return nil
}

func (r *Reader) chunk(m message) error {
	switch {
	case r.open == nil:
		return lie("content of no file")
	case m.Bytes <= 0 || m.Bytes > maxChunk:
		return lie("a chunk of %d bytes", m.Bytes)
	case r.open.bytes+int64(m.Bytes) > r.Limits.File:
		return lie("%.200q has more than %d bytes", r.open.path, r.Limits.File)
	}
	if err := r.take(m.Bytes); err != nil {
		return err
	}
	data := make([]byte, m.Bytes)
	if _, err := io.ReadFull(r.in, data); err != nil {
		return cut(err)
	}
	r.open.bytes += int64(m.Bytes)
	r.open.hash.Write(data)
	_, err := r.open.to.Write(data)
	return err
}

// hole costs the desk time and no place.
func (r *Reader) hole(m message) error {
	switch {
	case r.open == nil:
		return lie("a hole in no file")
	case m.Bytes <= 0 || m.Bytes > maxHole:
		return lie("a hole of %d bytes", m.Bytes)
	case r.open.bytes+int64(m.Bytes) > r.Limits.File:
		return lie("%.200q has more than %d bytes", r.open.path, r.Limits.File)
	}
	if r.holes -= int64(m.Bytes); r.holes < 0 {
		return lie("holes of more than %d bytes in all", r.Limits.Total)
	}
	r.open.bytes += int64(m.Bytes)
	if err := snapshots.WriteHole(r.open.hash, int64(m.Bytes)); err != nil {
		return err
	}
	return snapshots.WriteHole(r.open.to, int64(m.Bytes))
}

func (r *Reader) trailer(m message, result any) error {
	if r.open != nil {
		return lie("it ends while %.200q is open", r.open.path)
	}
	if result != nil && len(m.Result) > 0 {
		if err := json.Unmarshal(m.Result, result); err != nil {
			return lie("its result is not what the verb gives: %v", err)
		}
	}
	if m.Error != "" {
		return &FailedError{Reason: m.Error, code: m.Code}
	}
	if result != nil && len(m.Result) == 0 {
		return lie("it gives no result")
	}
	return nil
}
