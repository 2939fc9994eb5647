package snapshots

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"

	"clawback/forensics/disk"
)

const (
	ageMagic     = "age-encryption.org/v1\n"
	maxAgeHeader = 1 << 20
	maxHeader    = 4 << 20 // bytes of one member's, extended ones included
	maxUnpacked  = 4 * defaultBagBytes
)

// verifyPackage checks a package: the file against its digest, its form, and what is in it as Verify
// says. It reads it once, from its beginning to its end, and needs a bounded memory.
func (c Check) verifyPackage(path string) (Report, error) {
	file, err := disk.OpenRegular(path)
	if err != nil {
		return Report{Path: path}, fmt.Errorf("verify evidence: %w", err)
	}
	defer func() { _ = file.Close() }()
	u := &unpacker{Check: c, name: filepath.Base(path), report: Report{Path: path}, seen: map[uint64]bool{}, seed: maphash.MakeSeed()}
	sum := sha256.New()
	in := io.TeeReader(file, sum)
	inside := u.read(in)
	if _, err := io.Copy(sum, file); err != nil {
		return u.report, fmt.Errorf("verify evidence %s: %w", path, err)
	}
	u.report.Package = hex.EncodeToString(sum.Sum(nil))
	u.outside(path)
	if inside != nil {
		u.fault(u.name, "%v", inside)
	}
	u.report.Faults = append(u.report.Faults, u.later...)
	if len(u.report.Faults) > 0 {
		return u.report, &BrokenError{Path: path, Faults: u.report.Faults}
	}
	return u.report, nil
}

// unpacker checks what is in a package while it comes.
type unpacker struct {
	Check
	name   string // of the package
	report Report
	later  []Fault // found inside: the digest of the file comes first

	stream *recorder
	tar    *tar.Reader
	top    string
	pad    []byte // that belongs before the next header
	files  []arrived
	seen   map[uint64]bool
	seed   maphash.Seed
	tags   map[string]string // digests
}

// arrived is a file of the payload.
type arrived struct {
	name   uint64 // hash
	size   int64
	digest [sha256.Size]byte
}

func (u *unpacker) fault(path, format string, args ...any) {
	if len(u.later) < maxFaults {
		u.later = append(u.later, Fault{path, fmt.Sprintf(format, args...)})
	}
}

// outside compares the file with what is known of it. Its own form lets some changes pass that mean
// the same, so that one of the two digests has to be there.
func (u *unpacker) outside(path string) {
	fault := func(where, format string, args ...any) {
		u.report.Faults = append(u.report.Faults, Fault{where, fmt.Sprintf(format, args...)})
	}
	got, beside := u.report.Package, path+DigestSuffix
	if u.Digest != "" && u.Digest != got {
		fault(u.name, "changed: its SHA-256 is %s, the record says %s", got, u.Digest)
	}
	text, err := readDigest(beside)
	switch {
	case errors.Is(err, os.ErrNotExist) && u.Digest != "":
	case errors.Is(err, os.ErrNotExist):
		fault(filepath.Base(beside), "missing: nothing says what the SHA-256 of the package has to be")
	case err != nil:
		fault(filepath.Base(beside), "cannot be read: %v", err)
	case text == digestLine(got, path):
	case isDigestLine(text, path):
		fault(u.name, "changed: its SHA-256 is %s, %s says %s", got, filepath.Base(beside), text[:digestSize])
	default:
		fault(filepath.Base(beside), "not the SHA-256 of %s as sha256sum writes it", u.name)
	}
}

func readDigest(path string) (string, error) {
	f, err := disk.OpenRegular(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, 4<<10))
	return string(text), err
}

func isDigestLine(text, path string) bool {
	return len(text) > digestSize && isDigest(text[:digestSize]) && text[digestSize:] == digestLine("", path)
}

// read checks what is inside. The error is what ended it before its end.
func (u *unpacker) read(in io.Reader) error {
	opened, err := u.open(in)
	if err != nil || opened == nil {
		return err
	}
	stream, err := newFrames(opened, u.maxBytes())
	if err != nil {
		return err
	}
	u.stream = &recorder{in: stream}
	u.tar = tar.NewReader(u.stream)
	if err := u.members(); err != nil {
		if stream.err != nil && !errors.Is(stream.err, io.EOF) { // what the tar reader makes of it says less
			return stream.err
		}
		return err
	}
	if n, err := io.Copy(io.Discard, u.stream); err != nil {
		return err
	} else if n > 0 {
		return errTrailing
	}
	return nil
}

// open decrypts a package that is encrypted. It returns nil where nobody is there who could.
func (u *unpacker) open(in io.Reader) (io.Reader, error) {
	head := make([]byte, len(ageMagic))
	n, err := io.ReadFull(in, head)
	if err != nil {
		return nil, cutOff(err)
	}
	in = io.MultiReader(bytes.NewReader(head[:n]), in)
	if string(head) != ageMagic {
		return in, nil
	}
	u.report.Encrypted = true
	if len(u.Identities) == 0 {
		u.report.Closed = true
		return nil, nil
	}
	bounded := &headerReader{in: in, left: maxAgeHeader}
	opened, err := age.Decrypt(bounded, u.Identities...)
	if err != nil {
		u.report.Closed = true
		return nil, fmt.Errorf("it cannot be decrypted: %w", err)
	}
	bounded.left = -1
	return opened, nil
}

// headerReader bounds what is read before anything is known of who wrote it.
type headerReader struct {
	in   io.Reader
	left int // bytes; -1: any number
}

func (r *headerReader) Read(b []byte) (int, error) {
	if r.left == 0 {
		return 0, errors.New("its header has no end")
	}
	if r.left > 0 && len(b) > r.left {
		b = b[:r.left]
	}
	n, err := r.in.Read(b)
	if r.left > 0 {
		r.left -= n
	}
	return n, err
}

// recorder keeps what the tar reader takes for a header.
type recorder struct {
	in   io.Reader
	on   bool
	kept []byte
}

func (r *recorder) Read(b []byte) (int, error) {
	n, err := r.in.Read(b)
	if r.on {
		if r.kept = append(r.kept, b[:n]...); len(r.kept) > maxHeader {
			return 0, errors.New("a header in it has no end")
		}
	}
	return n, err
}

// next reads a member's header, which has to be as a packer writes it, to the last bit.
func (u *unpacker) next() (*tar.Header, error) {
	u.stream.on, u.stream.kept = true, u.stream.kept[:0]
	h, err := u.tar.Next()
	u.stream.on = false
	want := tarEnd
	switch {
	case err == nil:
		if want, err = memberIn(h).header(); err != nil {
			return nil, errMember
		}
	case !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("its tar stream cannot be read: %w", err)
	}
	if got, ok := bytes.CutPrefix(u.stream.kept, u.pad); !ok || !bytes.Equal(got, want) {
		return nil, errMember
	}
	if h == nil {
		return nil, io.EOF
	}
	u.pad = memberIn(h).padding()
	return h, nil
}

var errMember = errors.New("its tar stream has what no package has")

// members checks all members, in the one order in which they come.
func (u *unpacker) members() error {
	h, err := u.next()
	if err != nil || h.Typeflag != tar.TypeDir || strings.Count(h.Name, "/") != 1 || !validStored(strings.TrimSuffix(h.Name, "/")) {
		return early(err, errors.New("it does not begin with a folder"))
	}
	u.top, u.tags = h.Name, map[string]string{}
	h, err = u.next()
	if err != nil {
		return err
	}
	if err := u.tag(h, declarationName, func(r io.Reader) { checkDeclaration(r, u.fault) }); err != nil {
		return err
	}
	for {
		if h, err = u.next(); err != nil {
			return early(err, nil)
		}
		name, ok := strings.CutPrefix(h.Name, u.top+payload)
		if !ok {
			break
		}
		if err := u.payload(h, name); err != nil {
			return err
		}
	}
	return u.tagFiles(h)
}

// early is what ended the stream, or that it ended too early.
func early(err, otherwise error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("it is not a sealed bag: it ends before its manifests")
	}
	if err != nil {
		return err
	}
	return otherwise
}

func (u *unpacker) payload(h *tar.Header, stored string) error {
	if len(u.files) >= u.maxFiles() {
		return errBomb
	}
	if h.Typeflag != tar.TypeReg || !validStored(stored) {
		return errMember
	}
	name := maphash.String(u.seed, fold(stored))
	if u.seen[name] {
		u.fault(payload+stored, "it is there twice")
	}
	u.seen[name] = true
	sum := sha256.New()
	var out io.Writer = sum
	if u.File != nil {
		if w := u.File(stored); w != nil {
			out = io.MultiWriter(sum, w)
		}
	}
	n, err := io.Copy(out, u.tar)
	if err != nil {
		return err
	}
	u.files = append(u.files, arrived{maphash.String(u.seed, stored), n, [sha256.Size]byte(sum.Sum(nil))})
	u.report.Files++
	u.report.Bytes += n
	return nil
}

// tag reads a tag file, which has to be the one that belongs there.
func (u *unpacker) tag(h *tar.Header, name string, use func(io.Reader)) error {
	if h.Name != u.top+name || h.Typeflag != tar.TypeReg {
		return fmt.Errorf("%.200q stands where %s belongs", h.Name, name)
	}
	sum := sha256.New()
	in := io.TeeReader(u.tar, sum)
	use(in)
	_, err := io.Copy(io.Discard, in)
	u.tags[name] = hex.EncodeToString(sum.Sum(nil))
	return err
}

// tagFiles checks the tag files behind the payload, of which h is the first.
func (u *unpacker) tagFiles(h *tar.Header) error {
	stated := ""
	for i, t := range []struct {
		name string
		use  func(io.Reader)
	}{
		{indexName, u.index},
		{manifestName, u.manifest},
		{infoName, func(r io.Reader) { stated, _ = statedSize(r) }},
		{tagManifestName, u.tagManifest},
	} {
		if i > 0 {
			var err error
			if h, err = u.next(); err != nil {
				return early(err, nil)
			}
		}
		if err := u.tag(h, t.name, t.use); err != nil {
			return err
		}
	}
	u.report.Digest = u.tags[tagManifestName]
	checkSize(stated, u.report, u.fault)
	if h, err := u.next(); !errors.Is(err, io.EOF) {
		if err == nil {
			err = fmt.Errorf("%.200q follows its last file", h.Name)
		}
		return err
	}
	return nil
}

// manifest compares the manifest with the payload, line by line.
func (u *unpacker) manifest(r io.Reader) {
	n := 0
	fault := func(text string) { u.fault(manifestName, "%s", text) }
	for at, line := range lines(r, maxManifestLine, fault) {
		digest, name, ok := cutManifestLine(line)
		stored, below := strings.CutPrefix(name, payload)
		switch {
		case !ok:
			u.fault(manifestName, "line %d is not a SHA-256, two spaces, a name and a line end", at)
		case !below:
			u.fault(manifestName, "it lists %s, which is not payload", name)
		case n >= len(u.files) || u.files[n].name != maphash.String(u.seed, stored):
			u.fault(manifestName, "line %d names %s, and another file or none stands there", at, name)
		case hex.EncodeToString(u.files[n].digest[:]) != digest:
			u.fault(name, "changed: its SHA-256 is %x, the manifest says %s", u.files[n].digest, digest)
		}
		n++
	}
	if n < len(u.files) {
		u.fault(manifestName, "it does not list the last %d files", len(u.files)-n)
	}
}

// index compares the index with the payload.
func (u *unpacker) index(r io.Reader) {
	n, all := 0, 0
	for e, err := range parseIndex(r) {
		if all++; all > u.maxFiles() {
			err = errBomb
		}
		if err != nil {
			u.fault(indexName, "cannot be read: %v", err)
			return
		}
		if u.Entry != nil {
			u.Entry(e)
		}
		if e.Stored == "" {
			continue
		}
		switch {
		case n >= len(u.files) || u.files[n].name != maphash.String(u.seed, e.Stored):
			u.fault(indexName, "it tells of %s, and another file or none stands there", payload+e.Stored)
		case u.files[n].size != e.Bytes || hex.EncodeToString(u.files[n].digest[:]) != e.SHA256:
			u.fault(indexName, "its size or hash of %s is not that of what stands there", payload+e.Stored)
		}
		n++
	}
	if n < len(u.files) {
		u.fault(indexName, "it does not tell of the last %d files", len(u.files)-n)
	}
}

// tagManifest checks the text of the tag manifest, which there is one of.
func (u *unpacker) tagManifest(r io.Reader) {
	want := ""
	for _, name := range []string{infoName, declarationName, indexName, manifestName} {
		want += manifestLine(u.tags[name], name)
	}
	if got, err := io.ReadAll(io.LimitReader(r, int64(len(want))+1)); err != nil || string(got) != want {
		u.fault(tagManifestName, "it does not say what the tag files are")
	}
}
