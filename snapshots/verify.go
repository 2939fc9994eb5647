package snapshots

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"filippo.io/age"
)

// maxFaults bounds what Verify lists.
const maxFaults = 10_000

// Fault is one thing wrong with a bag.
type Fault struct {
	Path   string `json:"path"` // in the bag
	Reason string `json:"reason"`
}

func (f Fault) String() string { return f.Path + ": " + f.Reason }

// Report is what Verify found.
type Report struct {
	Path      string  `json:"path"`
	Files     int     `json:"files"` // of the payload
	Bytes     int64   `json:"bytes"`
	Digest    string  `json:"digest,omitempty"`         // of the tag manifest: compare it with that of Sealed
	Package   string  `json:"package_sha256,omitempty"` // of the file; "" for a folder
	Encrypted bool    `json:"encrypted,omitempty"`
	Closed    bool    `json:"closed,omitempty"` // and it was not opened: nothing in it was looked at
	Faults    []Fault `json:"faults,omitempty"` // the most telling first; at most some 10,000
}

// BrokenError says that a bag is not as it was sealed.
type BrokenError struct {
	Path   string
	Faults []Fault // at least one
}

func (e *BrokenError) Error() string {
	text := fmt.Sprintf("evidence %s is not intact: %s", e.Path, e.Faults[0])
	if n := len(e.Faults) - 1; n > 0 {
		text += fmt.Sprintf(" (and %d more)", n)
	}
	return text
}

// Check says how a package is looked at.
type Check struct {
	// Digest is the SHA-256 that the file of the package has on record; "" where there is no record.
	Digest string
	// Identities open a package that is encrypted. Without one that does, its outside alone is checked.
	Identities []age.Identity

	// File, unless nil, is given the content of each file of the payload for whose name in the bag
	// it returns a writer, before anybody knows whether all of the bag is intact.
	File func(stored string) io.Writer
	// Entry, unless nil, is called for each entry of the index, in the order of capture.
	Entry func(Entry)

	MaxBytes int64 // that it may hold; 0: 256 GiB, holes counted
	MaxFiles int   // 0: 1,000,000
}

func (c Check) maxBytes() int64 { return cmp.Or(c.MaxBytes, maxUnpacked) }
func (c Check) maxFiles() int   { return cmp.Or(c.MaxFiles, defaultBagFiles) }

// Verify checks a package, or the folder that it is unpacked into, with the zero Check.
func Verify(path string) (Report, error) { return Check{}.Verify(path) }

// Verify checks the bag at path against itself: the package's file against the SHA-256 on record or
// beside it, its form, every file against the manifests, the manifests against what there is, the
// size against bag-info.txt and the index against all. A folder has no digest of its own: there it
// checks the rest. The error is nil only if all of it holds, a *BrokenError if it does not, and
// another one if path cannot be read.
//
// Whoever can write to the bag can make a new one that verifies: the Digest or Package of the report
// must be the one that was recorded when the bag was sealed, or signed.
func (c Check) Verify(path string) (Report, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Report{Path: path}, fmt.Errorf("verify evidence: %w", err)
	}
	if !info.IsDir() {
		return c.verifyPackage(path)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return Report{Path: path}, fmt.Errorf("verify evidence: %w", err)
	}
	defer root.Close()
	v := &verifier{Check: c, root: root, report: Report{Path: path}}
	v.run()
	if len(v.report.Faults) > 0 {
		return v.report, &BrokenError{Path: path, Faults: v.report.Faults}
	}
	return v.report, nil
}

// verifier checks a folder.
type verifier struct {
	Check
	root   *os.Root
	report Report
	found  map[string]int64 // regular files in the bag and their size
}

func (v *verifier) fault(path, format string, args ...any) {
	if len(v.report.Faults) < maxFaults {
		v.report.Faults = append(v.report.Faults, Fault{path, fmt.Sprintf(format, args...)})
	}
}

func (v *verifier) run() {
	v.list()
	if _, sealed := v.found[tagManifestName]; !sealed {
		v.fault(tagManifestName, "missing: this folder is not a sealed bag")
	}
	tags := v.manifest(tagManifestName)
	for _, name := range []string{declarationName, infoName, indexName, manifestName} {
		if tags[name] == "" {
			v.fault(tagManifestName, "it does not list %s", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		v.compare(name, tags[name])
	}
	files := v.manifest(manifestName)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !strings.HasPrefix(name, payload) {
			v.fault(manifestName, "it lists %s, which is not payload", name)
			continue
		}
		v.compare(name, files[name])
	}
	for _, name := range slices.Sorted(maps.Keys(v.found)) {
		if tags[name] == "" && files[name] == "" && name != tagManifestName {
			v.fault(name, "in the bag, but in no manifest")
		}
	}
	v.declared()
	v.index(files)
}

// list walks the folder and counts the payload. Nothing but files and folders belongs there.
func (v *verifier) list() {
	v.found = map[string]int64{}
	err := fs.WalkDir(v.root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			v.fault(name, "cannot be read: %v", err)
			return nil
		}
		if d.IsDir() {
			return nil
		}
		info, err := d.Info()
		switch {
		case err != nil:
			v.fault(name, "cannot be read: %v", err)
		case !info.Mode().IsRegular():
			v.fault(name, "not a regular file (%v)", info.Mode().Type())
		default:
			v.found[name] = info.Size()
			if strings.HasPrefix(name, payload) {
				v.report.Files++
				v.report.Bytes += info.Size()
			}
		}
		return nil
	})
	if err != nil {
		v.fault(".", "cannot be read: %v", err)
	}
}

// read hands a file of the bag to a function, unless it is missing.
func (v *verifier) read(name string, use func(io.Reader) error) {
	if _, ok := v.found[name]; !ok {
		return // reported where it is listed
	}
	f, err := v.root.OpenFile(filepath.FromSlash(name), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		v.fault(name, "cannot be opened: %v", err)
		return
	}
	defer f.Close()
	if err := use(f); err != nil {
		v.fault(name, "cannot be read: %v", err)
	}
}

func (v *verifier) digest(name string) (digest string) {
	v.read(name, func(r io.Reader) error {
		sum := sha256.New()
		var out io.Writer = sum
		if stored, ok := strings.CutPrefix(name, payload); ok && v.File != nil {
			if w := v.File(stored); w != nil {
				out = io.MultiWriter(sum, w)
			}
		}
		_, err := io.Copy(out, r)
		if err == nil {
			digest = hex.EncodeToString(sum.Sum(nil))
		}
		return err
	})
	return digest
}

func (v *verifier) manifest(name string) (m manifest) {
	if name == tagManifestName {
		v.report.Digest = v.digest(name)
	}
	v.read(name, func(r io.Reader) error {
		m = parseManifest(r, func(fault string) { v.fault(name, "%s", fault) })
		return nil
	})
	return m
}

// compare checks one file against the hash that a manifest gives it.
func (v *verifier) compare(name, want string) {
	if _, ok := v.found[name]; !ok {
		v.fault(name, "missing: a manifest lists it")
		return
	}
	if got := v.digest(name); got != "" && got != want {
		v.fault(name, "changed: its SHA-256 is %s, the manifest says %s", got, want)
	}
}

// declared checks the version of the bag and the size that it says it has.
func (v *verifier) declared() {
	v.read(declarationName, func(r io.Reader) error { return checkDeclaration(r, v.fault) })
	stated := ""
	v.read(infoName, func(r io.Reader) (err error) {
		stated, err = statedSize(r)
		return err
	})
	checkSize(stated, v.report, v.fault)
}

func checkDeclaration(r io.Reader, fault func(path, format string, args ...any)) error {
	text, err := io.ReadAll(io.LimitReader(r, 1<<10))
	if err == nil && string(text) != declaration {
		fault(declarationName, "not that of a BagIt 1.0 bag in UTF-8")
	}
	return err
}

// statedSize is the Payload-Oxum of a bag-info.txt.
func statedSize(r io.Reader) (stated string, err error) {
	text, err := io.ReadAll(io.LimitReader(r, 1<<20))
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "Payload-Oxum: "); ok {
			stated += strings.TrimSuffix(value, "\n")
		}
	}
	return stated, err
}

func checkSize(stated string, r Report, fault func(path, format string, args ...any)) {
	if oxum := fmt.Sprintf("%d.%d", r.Bytes, r.Files); stated != oxum {
		fault(infoName, "Payload-Oxum is %q, the payload has %q", clip(stated, 100), oxum)
	}
}

// index checks that the index and the manifest tell of the same files.
func (v *verifier) index(files manifest) {
	told := map[string]bool{}
	_, whole := v.found[indexName]
	v.read(indexName, func(r io.Reader) error {
		for e, err := range parseIndex(r) {
			if err != nil {
				whole = false
				return err
			}
			if v.Entry != nil {
				v.Entry(e)
			}
			name := payload + e.Stored
			switch size, ok := v.found[name]; {
			case e.Stored == "":
			case told[name]:
				v.fault(indexName, "it tells of %s for the second time", name)
			case files[name] != e.SHA256 || ok && size != e.Bytes:
				v.fault(indexName, "its size or hash of %s is not that of the manifest and the folder", name)
			}
			told[name] = true
		}
		return nil
	})
	if !whole {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !told[name] {
			v.fault(indexName, "it does not tell of %s", name)
		}
	}
}
