package snapshots

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"clawback/forensics/disk"
)

// DigestSuffix is what follows a package's name in that of the file with its SHA-256, in the form
// that sha256sum -c takes.
const DigestSuffix = ".sha256"

// SignatureSuffix is what follows it in the name of the file with its signature, as ssh-keygen -Y
// sign writes it.
const SignatureSuffix = ".sig"

// Seal writes the manifests, makes all of it durable and gives the package its name. What it returns
// names the package: PackageSHA256 covers every byte of it; Digest, through the tag manifest and the
// manifest, every byte of what was packed.
//
// A file that has begun and not ended, because the host was lost, is kept as far as it came and
// marked as failed. On an error the package stays unsealed in PATH.partial.
func (b *Bag) Seal() (Sealed, error) {
	if err := b.admitSeal(); err != nil {
		return Sealed{}, err
	}
	manifest, tags, err := b.finishTags()
	if err != nil {
		return Sealed{}, b.fail("seal", err)
	}
	digest, err := b.pack.finish()
	if err != nil {
		return Sealed{}, b.fail("seal", err)
	}
	if err := b.publish(digest); err != nil {
		return Sealed{}, b.fail("seal", err)
	}
	sealed := Sealed{
		Path: b.path, Files: b.payload.files, Bytes: b.payload.bytes,
		Manifest: manifest, Digest: digestOf(tags), Package: digest, Problems: b.faults,
	}
	return sealed, b.Close()
}

// admitSeal closes a file that the host did not finish and says whether there is a bag to seal.
func (b *Bag) admitSeal() error {
	if b.err != nil {
		return b.err
	}
	if b.pack == nil {
		return fmt.Errorf("seal evidence %s: %w", b.path, os.ErrClosed)
	}
	if a := b.open; a != nil {
		f := a.file
		f.Bytes, f.SHA256, f.Segments, f.Verdict = a.sum.size, a.sum.String(), nil, Failed
		f.note("the capture broke off in this file")
		b.faults = append(b.faults, fmt.Sprintf("%q: %s", clip(f.Path, 1000), f.Problem))
		if err := b.store(a, f); err != nil {
			return err
		}
	}
	if b.payload.files == 0 {
		return fmt.Errorf("seal evidence %s: %w", b.path, ErrEmpty)
	}
	return nil
}

// finishTags adds the tag files, the tag manifest last, and returns the hash of the manifest and the
// text of the tag manifest.
func (b *Bag) finishTags() (manifest, tags string, err error) {
	info := b.infoText()
	digests := map[string]string{declarationName: digestOf(declaration), infoName: digestOf(info)}
	for name, t := range map[string]tagFile{indexName: b.index, manifestName: b.manifest} {
		digests[name] = hex.EncodeToString(t.sum.Sum(nil))
	}
	if err := b.index.end(b.tag(indexName, b.index.size)); err != nil {
		return "", "", err
	}
	if err := b.manifest.end(b.tag(manifestName, b.manifest.size)); err != nil {
		return "", "", err
	}
	if err := b.addTag(infoName, info); err != nil {
		return "", "", err
	}
	for _, name := range []string{infoName, declarationName, indexName, manifestName} { // sorted
		tags += manifestLine(digests[name], name)
	}
	return digests[manifestName], tags, b.addTag(tagManifestName, tags)
}

func (b *Bag) tag(name string, size int64) member {
	return member{name: b.top + name, size: size, modified: b.info.Time}
}

func (b *Bag) addTag(name, text string) error {
	m := b.tag(name, int64(len(text)))
	header, err := m.header()
	if err != nil {
		return err
	}
	return b.pack.write(slices.Concat(header, []byte(text), m.padding()))
}

func (b *Bag) infoText() string {
	var out strings.Builder
	for _, line := range [][2]string{
		{"Bagging-Date", b.info.Time.UTC().Format(time.DateOnly)},
		{"Bag-Software-Agent", b.info.Tool},
		{"External-Identifier", b.info.Incident},
		{"Evidence-Source", b.info.Source},
		{"Capture-Began", b.info.Time.UTC().Format(time.RFC3339Nano)},
		{"Legal-Hold", b.info.Hold},
		{"Payload-Oxum", fmt.Sprintf("%d.%d", b.payload.bytes, b.payload.files)},
	} {
		if value := oneLine(line[1]); value != "" {
			fmt.Fprintf(&out, "%s: %s\n", line[0], value)
		}
	}
	return out.String()
}

// publish makes the package durable, says its digest beside it, and only then gives it its name.
func (b *Bag) publish(digest string) error {
	on := b.info.Disk
	if err := b.pack.file.Sync(); err != nil {
		return err
	}
	if err := b.free(); err != nil { // a rename would replace it
		return err
	}
	if err := disk.Replace(on, b.path+DigestSuffix, []byte(digestLine(digest, b.path)), 0o600); err != nil {
		return err
	}
	if err := on.Rename(b.path+partialSuffix, b.path); err != nil {
		return err
	}
	return on.SyncDir(filepath.Dir(b.path))
}

// digestLine is what stands beside a package.
func digestLine(digest, path string) string { return manifestLine(digest, filepath.Base(path)) }

// manifestLine is a line of a manifest, as sha256sum writes it too.
func manifestLine(digest, name string) string { return digest + "  " + name + "\n" }

// digestSize is the length of a SHA-256 in hex.
const digestSize = 2 * sha256.Size
