package verify

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"clawback/forensics/disk"
	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/forensics/journal/tree"
	"clawback/revoke/credential"
)

// million is a record of a million entries, as a sweep over very many credentials writes it.
const million = 1_000_000

// written is where that record is, once for all benchmarks; "" before the first of them.
var written string

// theMillion returns the record's folder and size in bytes.
func theMillion(b *testing.B) (dir string, size int64) {
	b.Helper()
	if written == "" {
		var err error
		if written, err = os.MkdirTemp("", "clawback-bench-"); err != nil {
			b.Fatal(err)
		}
		write(b, written, million)
	}
	info, err := os.Stat(filepath.Join(written, journal.FileName))
	if err != nil {
		b.Fatal(err)
	}
	return written, info.Size()
}

func write(b *testing.B, dir string, n int) {
	b.Helper()
	secret, key, err := tree.NewKey(tree.Origin(id))
	if err != nil {
		b.Fatal(err)
	}
	signer, err := tree.ParseKey(secret)
	if err != nil {
		b.Fatal(err)
	}
	on, err := tree.Open(disk.OS{}, dir, signer)
	if err != nil {
		b.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, journal.FileName))
	if err != nil {
		b.Fatal(err)
	}
	out := bufio.NewWriterSize(f, 1<<20)
	e := journal.Entry{V: journal.Version, Time: time.Now().UTC()}
	for i := range n {
		e.Seq++
		var data any
		e.Type, data = said(i, n, key)
		if e.Data, err = json.Marshal(data); err != nil {
			b.Fatal(err)
		}
		line, err := json.Marshal(e)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = out.Write(line)
		_ = out.WriteByte('\n')
		if err := on.Add(line); err != nil {
			b.Fatal(err)
		}
		e.Prev = digest(line)
		if i%50_000 == 0 || i == n-1 {
			if _, err := on.Checkpoint(); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := out.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
}

// said is entry i of n: eight for each credential, most of them probes.
func said(i, n int, key string) (string, any) {
	print := credential.Fingerprint(fmt.Sprintf("%064x", i/8))
	switch {
	case i == 0:
		return incident.TypeDeclared, incident.Declared{Incident: id, Mode: incident.Real, CheckpointKey: key}
	case i == 1:
		return incident.TypePlan, thePlan
	case i == n-1:
		return incident.TypeClosed, incident.Closed{}
	case i%8 == 2:
		return incident.TypeFound, incident.Found{Credential: credential.Credential{Provider: "github", Kind: "github.pat", Fingerprint: print, Masked: "ghp_…a1b2"}}
	case i%8 == 3:
		return incident.TypeRevoke, incident.Revoke{Fingerprint: print}
	case i%8 == 4:
		return incident.TypeReceipt, incident.Receipt{Fingerprint: print, Answer: "204 No Content"}
	case i%8 < 2:
		return incident.TypeNote, incident.Note{Text: "go on", By: "dana"}
	}
	return incident.TypeProbe, incident.Probe{Fingerprint: print, Outcome: "refused", Answer: "401 Bad credentials", From: "bastion-2", Try: i % 8, Row: i % 8}
}

// BenchmarkVerify checks a sealed record of a million entries. Its bound is a pass that no reader
// of such a record can do without: every line is valid JSON, and hashed once.
func BenchmarkVerify(b *testing.B) {
	dir, size := theMillion(b)
	b.SetBytes(size)
	for b.Loop() {
		r, err := Incident(dir, Options{})
		if err != nil || r.Entries != million || r.Sealed.Size != million {
			b.Fatalf("%+v, %v", r, err)
		}
	}
	report(b, dir)
}

// BenchmarkFold reads a record of a million entries into the state that it adds up to.
func BenchmarkFold(b *testing.B) {
	dir, size := theMillion(b)
	b.SetBytes(size)
	for b.Loop() {
		s, err := incident.FoldAll(journal.Read(dir))
		if err != nil || s.Entries != million || s.Unreadable > 0 {
			b.Fatalf("%d entries, %d unreadable, %v", s.Entries, s.Unreadable, err)
		}
	}
	report(b, dir)
}

// report says how the time of one pass compares to the bound, measured in the same run.
func report(b *testing.B, dir string) {
	b.Helper()
	took := b.Elapsed() / time.Duration(b.N)
	b.StopTimer()
	began := time.Now()
	content, err := os.ReadFile(filepath.Join(dir, journal.FileName))
	if err != nil {
		b.Fatal(err)
	}
	for len(content) > 0 {
		line, rest, _ := bytes.Cut(content, []byte("\n"))
		if !json.Valid(line) {
			b.Fatal("a line is not valid")
		}
		_ = sha256.Sum256(line)
		content = rest
	}
	bound := time.Since(began)
	b.ReportMetric(float64(took)/float64(bound), "of-json.Valid+sha256")
	b.ReportMetric(float64(took.Nanoseconds())/million, "ns/entry")
}
