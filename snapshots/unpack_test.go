package snapshots

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// forge makes a package of a stream as an attacker does, with a true digest beside it.
func forge(t testing.TB, stream []byte) string {
	t.Helper()
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderCRC(true), zstd.WithWindowSize(frameSize))
	must(t, err)
	var table seekTable
	var out []byte
	for piece := range slices.Chunk(stream, frameSize) {
		packed := encoder.EncodeAll(piece, nil)
		must(t, table.add(packed, len(piece)))
		out = append(out, packed...)
	}
	return place(t, append(out, table.frame()...))
}

// place writes a package with a true digest beside it.
func place(t testing.TB, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "evidence"+Suffix)
	must(t, os.WriteFile(path, text, 0o600))
	write(t, path+DigestSuffix, digestLine(digestOf(string(text)), path))
	return path
}

// entry is a member of a forged stream.
type forged struct {
	header *tar.Header // nil: as ours is
	name   string
	text   string
}

// streamOf is a tar stream.
func streamOf(t testing.TB, members []forged) []byte {
	t.Helper()
	var out bytes.Buffer
	for _, m := range members {
		header, err := member{name: m.name, size: int64(len(m.text)), modified: time.Unix(0, 0)}.header()
		must(t, err)
		if m.header != nil {
			var raw bytes.Buffer
			m.header.Size = int64(len(m.text))
			must(t, tar.NewWriter(&raw).WriteHeader(m.header))
			header = raw.Bytes()
		}
		out.Write(header)
		out.WriteString(m.text)
		out.Write(member{size: int64(len(m.text))}.padding())
	}
	out.Write(tarEnd)
	return out.Bytes()
}

// bagOf are the members of a whole bag, whose tag files are made for the payload.
func bagOf(t testing.TB, data ...forged) []forged {
	t.Helper()
	manifest, index, bytes := "", "", 0
	for _, d := range data {
		name := strings.TrimPrefix(d.name, "e/")
		manifest += manifestLine(digestOf(d.text), name)
		index += fmt.Sprintf(`{"stored":%q,"bytes":%d,"sha256":%q,"file":{"path":"x","source":"s","size":1,"bytes":1,"verdict":"stable"}}`+"\n",
			strings.TrimPrefix(name, payload), len(d.text), digestOf(d.text))
		bytes += len(d.text)
	}
	info := fmt.Sprintf("Payload-Oxum: %d.%d\n", bytes, len(data))
	tags := manifestLine(digestOf(info), infoName) + manifestLine(digestOf(declaration), declarationName) +
		manifestLine(digestOf(index), indexName) + manifestLine(digestOf(manifest), manifestName)
	all := append([]forged{{name: "e/"}, {name: "e/" + declarationName, text: declaration}}, data...)
	return append(all, forged{name: "e/" + indexName, text: index}, forged{name: "e/" + manifestName, text: manifest},
		forged{name: "e/" + infoName, text: info}, forged{name: "e/" + tagManifestName, text: tags})
}

// TestForgedPackages has packages whose every digest is right, and which no packer writes.
func TestForgedPackages(t *testing.T) {
	a := forged{name: "e/data/a", text: "evidence"}
	with := func(i int, f forged) []forged { return slices.Insert(bagOf(t, a), i, f) }
	edit := func(i int, change func(*forged)) []forged {
		all := bagOf(t, a)
		change(&all[i])
		return all
	}
	header := func(h tar.Header) forged { return forged{name: h.Name, header: &h} }
	for name, tc := range map[string]struct {
		members []forged
		says    string // "" for one that holds
	}{
		"as ours":              {bagOf(t, a), ""},
		"no payload":           {bagOf(t), ""},
		"a name that leads up": {bagOf(t, forged{name: "e/data/../../x", text: "x"}), "what no package has"},
		"an absolute name":     {with(2, forged{name: "/etc/passwd"}), "stands where"},
		"a raw name":           {bagOf(t, forged{name: "e/data/a b", text: "x"}), "what no package has"},
		"another folder":       {with(2, forged{name: "f/data/b"}), "stands where"},
		"a link":               {with(2, header(tar.Header{Typeflag: tar.TypeSymlink, Name: "e/data/b", Linkname: "/etc", Format: tar.FormatPAX})), "what no package has"},
		"a hard link":          {with(2, header(tar.Header{Typeflag: tar.TypeLink, Name: "e/data/b", Linkname: "e/data/a", Format: tar.FormatPAX})), "what no package has"},
		"a device":             {with(2, header(tar.Header{Typeflag: tar.TypeBlock, Name: "e/data/b", Format: tar.FormatPAX})), "what no package has"},
		"a setuid file":        {with(2, header(tar.Header{Typeflag: tar.TypeReg, Name: "e/data/b", Mode: 0o4755, Format: tar.FormatPAX})), "what no package has"},
		"another owner":        {with(2, header(tar.Header{Typeflag: tar.TypeReg, Name: "e/data/b", Mode: 0o600, Uid: 1000, Format: tar.FormatPAX})), "what no package has"},
		"a capability": {with(2, header(tar.Header{Typeflag: tar.TypeReg, Name: "e/data/b", Mode: 0o600, Format: tar.FormatPAX,
			PAXRecords: map[string]string{xattrWord + "security.capability": "x"}})), "what no package has"},
		"another format":      {with(2, header(tar.Header{Typeflag: tar.TypeReg, Name: "e/data/b", Mode: 0o600, Format: tar.FormatGNU})), "what no package has"},
		"no folder":           {bagOf(t, a)[1:], "begin with a folder"},
		"no declaration":      {slices.Delete(bagOf(t, a), 1, 2), "stands where bagit.txt"},
		"another declaration": {edit(1, func(f *forged) { f.text += "x" }), "not that of a BagIt"},
		"no manifests":        {bagOf(t, a)[:3], "not a sealed bag"},
		"no tag manifest":     {bagOf(t, a)[:6], "not a sealed bag"},
		"one file too many":   {with(3, forged{name: "e/data/b", text: "x"}), "index.jsonl: it does not tell of the last 1"},
		"one after the end":   {append(bagOf(t, a), forged{name: "e/data/b"}), "follows its last file"},
		"twice":               {bagOf(t, a, a), "data/a: it is there twice"},
		"twice on some disks": {bagOf(t, a, forged{name: "e/data/A", text: "x"}), "data/A: it is there twice"},
		"changed":             {edit(2, func(f *forged) { f.text = "EVIDENCE" }), "its size or hash of data/a"},
		"another size":        {edit(5, func(f *forged) { f.text = "Payload-Oxum: 1.1\n" }), "Payload-Oxum"},
		"another tag manifest": {edit(6, func(f *forged) { f.text = strings.Replace(f.text, "a", "b", 1) }),
			"it does not say what the tag files are"},
		"manifest without it":     {edit(4, func(f *forged) { f.text = "" }), "it does not list the last 1"},
		"manifest of another":     {edit(4, func(f *forged) { f.text = strings.Replace(f.text, "data/a", "data/b", 1) }), "another file or none"},
		"manifest, another order": {edit(4, func(f *forged) { f.text = strings.ToUpper(f.text) }), "line 1 is not"},
		"index of another":        {edit(3, func(f *forged) { f.text = strings.Replace(f.text, `"stored":"a"`, `"stored":"b"`, 1) }), "another file or none"},
		"index cut off":           {edit(3, func(f *forged) { f.text = f.text[:len(f.text)-1] }), "cut off"},
	} {
		_, err := Verify(forge(t, streamOf(t, tc.members)))
		broken := (*BrokenError)(nil)
		switch {
		case tc.says == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case tc.says != "" && (!errors.As(err, &broken) || !slices.ContainsFunc(broken.Faults, func(f Fault) bool { return strings.Contains(f.String(), tc.says) })):
			t.Errorf("%s: %v, want %q", name, err, tc.says)
		}
	}
}

// TestForgedForms has packages whose content is right, in another form.
func TestForgedForms(t *testing.T) {
	path := sealedPackage(t)
	good, err := os.ReadFile(path)
	must(t, err)
	stream, err := zstd.NewReader(bytes.NewReader(good))
	must(t, err)
	defer stream.Close()
	var plain bytes.Buffer
	_, err = plain.ReadFrom(stream)
	must(t, err)
	encode := func(text []byte, options ...zstd.EOption) []byte {
		e, err := zstd.NewWriter(nil, options...)
		must(t, err)
		return e.EncodeAll(text, nil)
	}
	tableAt := bytes.Index(good, binary.LittleEndian.AppendUint32(nil, skippableMagic))
	for name, text := range map[string][]byte{
		"nothing":              {},
		"half":                 good[:len(good)/2],
		"no table":             good[:tableAt],
		"a byte more":          append(slices.Clone(good), 0),
		"another package more": append(slices.Clone(good), good...),
		"another table":        append(slices.Clone(good[:tableAt]), (&seekTable{}).frame()...),
		"skipped first":        append(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, skippableMagic-1), 0), good...),
		"no checksum":          encode(plain.Bytes(), zstd.WithEncoderCRC(false)),
		"no tar":               encode([]byte(strings.Repeat("x", 1000)), zstd.WithEncoderCRC(true)),
		"not packed":           plain.Bytes(),
		"an encrypted nothing": []byte(ageMagic),
		"text":                 []byte("evidence"),
	} {
		r, err := Verify(place(t, text))
		if broken := (*BrokenError)(nil); !errors.As(err, &broken) && !r.Closed {
			t.Errorf("%s: %+v %v", name, r, err)
		}
	}
}

// TestBombs has packages that are small and hold very much.
func TestBombs(t *testing.T) {
	hollow := bagOf(t, forged{name: "e/data/a", text: strings.Repeat("\x00", 20<<20)})
	many := bagOf(t)
	for i := range 3000 {
		many = slices.Insert(many, 2, forged{name: fmt.Sprintf("e/data/%d", i)})
	}
	header, err := member{name: "e/"}.header()
	must(t, err)
	endless := slices.Clone(header)
	record := fmt.Sprintf("%d comment=%s\n", 1<<19, strings.Repeat("x", 1<<19-16))
	for range 20 { // extended headers, one for the next
		var raw bytes.Buffer
		must(t, tar.NewWriter(&raw).WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "x", Size: int64(len(record)), Format: tar.FormatUSTAR}))
		h := raw.Bytes()
		h[156] = 'x'
		copy(h[148:156], "        ")
		sum := 0
		for _, b := range h[:512] {
			sum += int(b)
		}
		copy(h[148:156], fmt.Sprintf("%06o\x00 ", sum))
		endless = append(append(endless, h...), record...)
		endless = append(endless, zeros[:-len(record)&511]...)
	}
	for name, tc := range map[string]struct {
		path  string
		check Check
		says  string
	}{
		"bytes":   {forge(t, streamOf(t, hollow)), Check{MaxBytes: 10 << 20}, errBomb.Error()},
		"files":   {forge(t, streamOf(t, many)), Check{MaxFiles: 1000}, errBomb.Error()},
		"headers": {forge(t, endless), Check{}, "no end"},
		"age":     {place(t, []byte(ageMagic+strings.Repeat("-> X25519 aaaa\n"+strings.Repeat("a", 64)+"\n", 100_000))), Check{Identities: someIdentity(t)}, "decrypted"},
	} {
		started := time.Now()
		_, err := tc.check.Verify(tc.path)
		if err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(started); took > 10*time.Second {
			t.Errorf("%s took %v", name, took)
		}
	}
}

// FuzzPackage has packages that anybody may have made.
func FuzzPackage(f *testing.F) {
	good, err := os.ReadFile(sealedPackage(f))
	must(f, err)
	f.Add(good, false)
	f.Add(streamOf(f, bagOf(f, forged{name: "e/data/a", text: "x"})), true)
	f.Add([]byte(ageMagic+"-> X25519 a\n"), false)
	identities := someIdentity(f)
	f.Fuzz(func(t *testing.T, text []byte, plain bool) {
		path := ""
		if plain {
			path = forge(t, text)
		} else {
			path = place(t, text)
		}
		r, err := Check{Identities: identities, MaxBytes: 1 << 20, MaxFiles: 100}.Verify(path)
		if err != nil {
			return
		}
		folder := unpacked(t, path)
		again, err := Verify(folder)
		if err != nil || again.Files != r.Files || again.Digest != r.Digest {
			t.Errorf("it holds, and what is in it does not: %v", err)
		}
	})
}
