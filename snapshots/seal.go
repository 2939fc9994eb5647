package snapshots

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Seal writes the manifests, makes all of it durable and gives the bag its name. What it returns
// names the bag: Digest covers every byte, through the tag manifest and the manifest.
//
// A file that has begun and not ended, because the host was lost, is kept as far as it came and
// marked as failed. On an error the bag stays unsealed in DIR.partial.
func (b *Bag) Seal() (Sealed, error) {
	if err := b.admitSeal(); err != nil {
		return Sealed{}, err
	}
	digests, err := b.finishLines()
	if err != nil {
		return Sealed{}, err
	}
	for name, text := range map[string]string{declarationName: declaration, infoName: b.infoText()} {
		if err := b.writeTag(name, text); err != nil {
			return Sealed{}, err
		}
		digests[name] = digestOf(text)
	}
	tags := ""
	for _, name := range []string{infoName, declarationName, indexName, manifestName} { // sorted
		tags += manifestLine(digests[name], name)
	}
	if err := b.writeTag(tagManifestName, tags); err != nil {
		return Sealed{}, err
	}
	if err := b.publish(); err != nil {
		return Sealed{}, b.fail("seal", err)
	}
	sealed := Sealed{
		Path: b.dir, Files: b.payload.files, Bytes: b.payload.bytes,
		Manifest: digests[manifestName], Digest: digestOf(tags), Problems: b.faults,
	}
	return sealed, b.Close()
}

// admitSeal closes a file that the host did not finish and says whether there is a bag to seal.
func (b *Bag) admitSeal() error {
	if b.err != nil {
		return b.err
	}
	if b.root == nil {
		return fmt.Errorf("seal evidence %s: %w", b.dir, os.ErrClosed)
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
		return fmt.Errorf("seal evidence %s: %w", b.dir, ErrEmpty)
	}
	return nil
}

// finishLines closes the manifest and the index and returns their hashes.
func (b *Bag) finishLines() (map[string]string, error) {
	digests := map[string]string{}
	for name, t := range b.lines {
		if err := errors.Join(t.buf.Flush(), t.out.Close()); err != nil {
			return nil, b.fail("seal", err)
		}
		digests[name] = hex.EncodeToString(t.sum.Sum(nil))
	}
	b.lines = nil
	return digests, nil
}

func (b *Bag) infoText() string {
	var out strings.Builder
	for _, line := range [][2]string{
		{"Bagging-Date", b.info.Time.UTC().Format(time.DateOnly)},
		{"Bag-Software-Agent", b.info.Tool},
		{"External-Identifier", b.info.Incident},
		{"Evidence-Source", b.info.Source},
		{"Capture-Began", b.info.Time.UTC().Format(time.RFC3339Nano)},
		{"Payload-Oxum", fmt.Sprintf("%d.%d", b.payload.bytes, b.payload.files)},
	} {
		if value := oneLine(line[1]); value != "" {
			fmt.Fprintf(&out, "%s: %s\n", line[0], value)
		}
	}
	return out.String()
}

func (b *Bag) writeTag(name, text string) error {
	out, err := b.create(name)
	if err != nil {
		return b.fail("seal", err)
	}
	_, err = io.WriteString(out, text)
	if err := errors.Join(err, out.Close()); err != nil {
		return b.fail("seal", err)
	}
	return nil
}

// publish makes the bag durable, contents and names, and only then gives it its name.
func (b *Bag) publish() error {
	if err := b.root.Flush(); err != nil {
		return err
	}
	if err := b.info.Disk.Rename(b.dir+partialSuffix, b.dir); err != nil { // replaces no folder, not even an empty one
		return err
	}
	return b.info.Disk.SyncDir(filepath.Dir(b.dir))
}

// manifestLine is a line of a manifest, as sha256sum writes it too.
func manifestLine(digest, name string) string { return digest + "  " + name + "\n" }

// digestSize is the length of a SHA-256 in hex.
const digestSize = 2 * sha256.Size
