package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// fsyncTime is how long this disk takes to append 200 bytes and make them durable: the bound of
// whatever keeps its promise. The median of some.
func fsyncTime(b *testing.B) time.Duration {
	b.Helper()
	f, err := os.OpenFile(filepath.Join(b.TempDir(), "bound"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	line := make([]byte, 200)
	var took []time.Duration
	for range 101 {
		began := time.Now()
		if _, err := f.Write(line); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[len(took)/2]
}

// report prints how many entries were appended each second, and how long one took against one
// fsync of the disk: alone it cannot be much less than 1.
func report(b *testing.B, entries int, fsync time.Duration) {
	per := float64(b.Elapsed()) / float64(entries)
	b.ReportMetric(float64(time.Second)/per, "entries/s")
	b.ReportMetric(per/float64(fsync), "fsyncs-of-time/entry")
	b.ReportMetric(0, "ns/op") // says the same in another unit
}

// BenchmarkAppendAlone is one entry after the other, as a step's intent is written.
func BenchmarkAppendAlone(b *testing.B) {
	fsync := fsyncTime(b)
	j := benchmarked(b)
	n := 0
	for b.Loop() {
		for range 100 {
			if err := j.Append(b.Context(), "credential.intent", step{"x"}); err != nil {
				b.Fatal(err)
			}
			n++
		}
	}
	report(b, n, fsync)
}

// BenchmarkAppendGroup is 1,000 appends at the same time, which share their fsyncs.
func BenchmarkAppendGroup(b *testing.B) {
	const many = 1000
	fsync := fsyncTime(b)
	d := newDisk(b)
	j := start(d, &payloadMemory{}, nil, time.Now)
	defer func() { _ = j.Close() }()
	n := 0
	for b.Loop() {
		var group sync.WaitGroup
		for range many {
			group.Go(func() {
				if err := j.Append(b.Context(), "credential.intent", step{"x"}); err != nil {
					b.Error(err)
				}
			})
		}
		group.Wait()
		n += many
	}
	b.ReportMetric(float64(d.count())/float64(n)*many, "fsyncs/1000-entries")
	report(b, n, fsync)
}

// BenchmarkOpen re-opens a record of 10,000 entries: its time is that of reading and checking each.
func BenchmarkOpen(b *testing.B) {
	const many = 10_000
	dir := b.TempDir()
	j, err := Create(dir, Holder{}, time.Now)
	if err != nil {
		b.Fatal(err)
	}
	for i := range many {
		if err := j.Note("credential.intent", step{fmt.Sprint(i)}); err != nil {
			b.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		j, _, err := Open(dir, Holder{}, time.Now)
		if err != nil {
			b.Fatal(err)
		}
		if err := j.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*many/b.Elapsed().Seconds(), "entries/s")
	b.ReportMetric(0, "ns/op")
}

func benchmarked(b *testing.B) *Journal {
	j, err := Create(b.TempDir(), Holder{Who: "dana"}, time.Now)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = j.Close() })
	return j
}
