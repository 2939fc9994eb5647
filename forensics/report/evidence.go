package report

import (
	"maps"
	"path"
	"slices"
	"strings"

	"clawback/forensics/incident"
)

func (p *page) evidence(d Document) {
	p.heading("Evidence (RS.AN-07)")
	if len(d.Evidence) == 0 {
		p.say("No evidence is sealed.")
		return
	}
	p.say("Each package is one file below the folder of this incident: BagIt (RFC 8493) in a tar stream, compressed by zstd. Its hashes are of what arrived at the desk; that this is what stood on the host is the host's claim, and so is the state of each file while it was read.")
	for _, b := range d.Evidence {
		p.say("### %s", b.Part)
		if b.Package == "" {
			p.item("Folder: %s, %s, %d bytes", b.Path, plural(b.Files, "file", "files"), b.Bytes)
		} else {
			p.item("Package: %s, %s, %d bytes", b.Path, plural(b.Files, "file", "files"), b.Bytes)
			p.item("SHA-256 of the package: %s", b.Package)
		}
		if strings.HasSuffix(b.Path, lockedSuffix) {
			p.item("Encrypted to the recipients that the desk was configured with: the desk itself cannot open it")
		}
		if b.Signer != "" {
			p.item("Signed with the key %s, for %s, in the file of the same name with .sig behind it", b.Signer, signedFor)
		}
		p.item("SHA-256 of its manifest: %s", b.Manifest)
		p.item("Digest of what is in it, the SHA-256 of its tag manifest: %s", b.Digest)
		for _, v := range slices.Sorted(maps.Keys(b.Verdicts)) {
			p.item("Files that the host calls %s: %d", v, b.Verdicts[v])
		}
		for _, line := range b.Left {
			p.item("Left out: %s", line)
		}
		for _, line := range b.Problems {
			p.item("**Problem:** %s", line)
		}
		p.end()
		p.say("To check it, in the folder of this incident; the hashes that these commands print are the ones above:")
		p.block(checks(b))
	}
}

const (
	lockedSuffix = ".tar.zst.age"
	signedFor    = "evidence@clawback"
)

// checks are the commands by which anybody checks a package.
func checks(b incident.Sealed) []string {
	folder, before := b.Path, []string(nil)
	if b.Package != "" {
		file := path.Base(b.Path)
		before = []string{"cd " + shellWord(path.Dir(b.Path)), "sha256sum " + shellWord(file)}
		unpack := "zstd -dc " + shellWord(file)
		if strings.HasSuffix(file, lockedSuffix) {
			unpack = "age -d -i IDENTITY " + shellWord(file) + " | zstd -dc"
		}
		before = append(before, unpack+" | tar -x")
		folder, _, _ = strings.Cut(file, ".")
	}
	return append(before, "cd "+shellWord(folder), "sha256sum tagmanifest-sha256.txt",
		"sha256sum -c tagmanifest-sha256.txt", "sha256sum -c manifest-sha256.txt")
}

// shellWord quotes a text for a shell.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-", r)
	}
	if s != "" && !strings.HasPrefix(s, "-") && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
