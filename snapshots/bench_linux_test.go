package snapshots

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"clawback/forensics/disk"
)

// What a capture may hold in memory at its worst, host and desk in one process.
const memoryBound = 200 << 20

// childEnv makes a test binary capture one tree and say what it took: HOW:TREE:BAG.
const childEnv = "CLAWBACK_TEST_CAPTURE"

// TestCaptureProcess is the program of the benchmarks below.
func TestCaptureProcess(t *testing.T) {
	how, rest, asked := strings.Cut(os.Getenv(childEnv), ":")
	if !asked {
		return
	}
	tree, bag, _ := strings.Cut(rest, ":")
	root, err := os.OpenRoot(tree)
	must(t, err)
	started := time.Now()
	var sink Sink = discard{}
	var b *Bag
	if how != "stream" {
		info := Info{}
		switch how {
		case "packed":
			info.Disk = unwritten{disk.OS{}}
		case "written":
			info.Disk = unflushed{disk.OS{}}
		case "encrypted":
			identity, err := age.GenerateX25519Identity()
			must(t, err)
			info.Recipients = []age.Recipient{identity.Recipient()}
			info.Disk = unwritten{disk.OS{}}
		}
		b, err = NewBag(bag, info)
		must(t, err)
		sink = b
	}
	c, err := Capture(t.Context(), root, "files", Options{}, sink)
	must(t, err)
	if b != nil {
		_, err = b.Seal()
		must(t, err)
	}
	took := time.Since(started)
	status, err := os.ReadFile("/proc/self/status")
	must(t, err)
	peak := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	fmt.Printf("took %d ns, peak %s kB, %d files, %d bytes, %d left\n", took, peak[1], c.Files, c.Bytes, len(c.Left))
}

// discard is where the host's side ends: everything is read and hashed, and goes down the link.
type discard struct{}

func (discard) Begin(File) (io.Writer, error) { return io.Discard, nil }
func (discard) End(File) error                { return nil }

// unflushed is a disk whose Sync does nothing: tar does not wait for the disk either.
type unflushed struct{ disk.OS }

func (d unflushed) OpenFile(name string, flag int, perm fs.FileMode) (disk.File, error) {
	f, err := d.OS.OpenFile(name, flag, perm)
	return unflushedFile{f}, err
}

type unflushedFile struct{ disk.File }

func (unflushedFile) Sync() error { return nil }

// unwritten is a disk on which a package takes no place: the end of a pipe into sha256sum does not either.
type unwritten struct{ disk.OS }

func (d unwritten) OpenFile(name string, flag int, perm fs.FileMode) (disk.File, error) {
	f, err := d.OS.OpenFile(name, flag, perm)
	if strings.HasSuffix(name, partialSuffix) {
		return unwrittenFile{unflushedFile{f}}, err
	}
	return unflushedFile{f}, err
}

type unwrittenFile struct{ unflushedFile }

func (unwrittenFile) Write(p []byte) (int, error) { return len(p), nil }

// captured is what a child says of its capture.
type captured struct {
	took  time.Duration
	peak  int64 // bytes
	files int
	bytes int64
}

func captureInChild(b testing.TB, how, tree string) captured {
	b.Helper()
	folder := b.TempDir()
	bag := filepath.Join(folder, "bag")
	child := exec.Command(os.Args[0], "-test.run=^TestCaptureProcess$")
	child.Env = append(os.Environ(), childEnv+"="+how+":"+tree+":"+bag)
	out, err := child.CombinedOutput()
	if err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	must(b, os.RemoveAll(folder))
	var c captured
	var left int
	if _, err := fmt.Sscanf(string(out), "took %d ns, peak %d kB, %d files, %d bytes, %d left", &c.took, &c.peak, &c.files, &c.bytes, &left); err != nil || left > 0 {
		b.Fatalf("%v: %s", err, out)
	}
	c.peak <<= 10
	return c
}

// gigabyte makes an installation of 1 GB: transcripts and logs of lines like the agent's, whose
// words repeat and whose ids do not.
func gigabyte(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	random := rand.New(rand.NewPCG(1, 2))
	words := strings.Fields("the quick agent reads mail calls tools writes files asks again waits for an answer and goes on with what it was told to do")
	line := func(out *strings.Builder) {
		fmt.Fprintf(out, `{"type":"message","id":"%016x","timestamp":"2026-04-12T%02d:%02d:%02d.%03dZ","text":"`, random.Uint64(), random.IntN(24), random.IntN(60), random.IntN(60), random.IntN(1000))
		for range 20 {
			out.WriteString(words[random.IntN(len(words))] + " ")
		}
		out.WriteString("\"}\n")
	}
	fill := func(name string, size int) {
		var out strings.Builder
		for out.Len() < size {
			line(&out)
		}
		write(b, filepath.Join(dir, name), out.String()[:size])
	}
	for name, text := range agentTree() {
		write(b, filepath.Join(dir, name), text)
	}
	for i := range 10 {
		fill(fmt.Sprintf("%slogs/%02d.jsonl", ada, i), 40<<20)
	}
	for i := range 2000 {
		fill(fmt.Sprintf("%sagents/main/sessions/%04d.jsonl", ada, i), 256<<10)
	}
	for i := range 10_000 {
		fill(fmt.Sprintf("%sworkspace/%02d/%05d.md", ada, i%100, i), 10<<10)
	}
	return dir
}

// BenchmarkBesideTar captures the same tree as tar | zstd -T0 -3 | sha256sum packs, in turns, and
// prints the median of the ratios: below 1 the capture is faster. "stream" is the host's part, hashing
// every file; "package" makes the desk's package as well, hashing that too, and like the pipe leaves
// nothing on the disk; "encrypted" encrypts it besides. "written" keeps the package, beside the same
// pipe with tee and a file in it; "sealed" waits for the disk besides, which tee does not.
func BenchmarkBesideTar(b *testing.B) {
	for _, program := range []string{"tar", "zstd", "sha256sum"} {
		if _, err := exec.LookPath(program); err != nil {
			skip(b, "needs "+program)
		}
	}
	tree := gigabyte(b)
	ratios := map[string][]float64{}
	var tar []float64
	var size, peak int64
	pipe := func(script string) time.Duration {
		kept := filepath.Join(b.TempDir(), "tar.zst")
		started := time.Now()
		if out, err := exec.Command("sh", "-c", script, tree, kept).CombinedOutput(); err != nil || len(out) < digestSize {
			b.Fatalf("%v: %s", err, out)
		}
		defer func() { _ = os.Remove(kept) }()
		return time.Since(started)
	}
	for b.Loop() {
		piped := pipe(`tar -C "$0" -c . | zstd -T0 -3 -q | sha256sum`)
		tar = append(tar, piped.Seconds())
		for _, how := range []string{"stream", "packed", "encrypted"} {
			c := captureInChild(b, how, tree)
			ratios[how] = append(ratios[how], float64(c.took)/float64(piped))
			size, peak = c.bytes, max(peak, c.peak)
		}
		kept := pipe(`tar -C "$0" -c . | zstd -T0 -3 -q | tee "$1" | sha256sum`)
		for _, how := range []string{"written", "sealed"} {
			c := captureInChild(b, how, tree)
			ratios[how] = append(ratios[how], float64(c.took)/float64(kept))
			peak = max(peak, c.peak)
		}
	}
	b.ReportMetric(float64(size)/1e6/median(tar), "tar-MB/s")
	b.ReportMetric(median(ratios["stream"]), "stream/tar")
	b.ReportMetric(median(ratios["packed"]), "package/tar")
	b.ReportMetric(median(ratios["encrypted"]), "encrypted/tar")
	b.ReportMetric(median(ratios["written"]), "written/tee")
	b.ReportMetric(median(ratios["sealed"]), "sealed/tee")
	b.ReportMetric(float64(peak)/memoryBound, "of-200MB-bound")
	b.ReportMetric(0, "ns/op")
	if size < 1e9 || peak > memoryBound {
		b.Errorf("%d bytes captured, %d bytes of memory at its worst", size, peak)
	}
}

// BenchmarkManyFiles captures 200,000 small files and holds the memory to its bound.
func BenchmarkManyFiles(b *testing.B) {
	dir := b.TempDir()
	write(b, filepath.Join(dir, ada, "openclaw.json"), "{}")
	for i := range defaultFiles - 100 {
		folder := filepath.Join(dir, ada, "workspace/node_modules/package-"+strconv.Itoa(i/200), "dist/some/where")
		if i%200 == 0 {
			must(b, os.MkdirAll(folder, 0o755))
		}
		must(b, os.WriteFile(filepath.Join(folder, fmt.Sprintf("a-name-of-usual-length-%d.js", i)), []byte("export {}\n"), 0o644))
	}
	var peak int64
	var rate []float64
	for b.Loop() {
		c := captureInChild(b, "written", dir)
		peak = max(peak, c.peak)
		rate = append(rate, float64(c.files)/c.took.Seconds())
	}
	b.ReportMetric(median(rate), "files/s")
	b.ReportMetric(float64(peak)/memoryBound, "of-200MB-bound")
	b.ReportMetric(0, "ns/op")
	if peak > memoryBound {
		b.Errorf("%d bytes of memory at its worst", peak)
	}
}

func median[T cmp.Ordered](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
