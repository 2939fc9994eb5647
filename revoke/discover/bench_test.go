package discover

import (
	"bytes"
	"encoding/json"
	"fmt"
	mrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const gitleaks = "github.com/zricethezav/gitleaks/v8@v8.30.1"

// sown is a tree for measurements, with the truth of it.
type sown struct {
	dir     string
	bytes   int64
	files   int
	secrets map[string]bool
}

// sow writes an installation whose transcripts, logs and workspace have so many files and bytes
// together: prose, code and JSON, with a secret in every 200th file and something harmless that
// looks like one in every 200th other.
func sow(b *testing.B, files int, total int64) sown {
	p := sown{dir: b.TempDir(), secrets: map[string]bool{}}
	write := func(name, text string) {
		at := filepath.Join(p.dir, state, name)
		must(b, os.MkdirAll(filepath.Dir(at), 0o700))
		must(b, os.WriteFile(at, []byte(text), 0o600))
		p.files++
		p.bytes += int64(len(text))
	}
	write("openclaw.json", `{gateway:{auth:{token:"`+secret()+`"}}}`)
	blocks := make([]string, 256)
	for i := range blocks {
		blocks[i] = block(i)
	}
	size := int(total) / files
	for i := range files {
		var text strings.Builder
		for text.Len() < size {
			text.WriteString(blocks[mrand.IntN(len(blocks))])
		}
		body := text.String()[:size-size%2]
		switch i % 200 {
		case 0:
			value, line := secretsInText[mrand.IntN(len(secretsInText))]()
			p.secrets[value] = true
			body = body[:len(body)/2] + "\n" + line + "\n" + body[len(body)/2:]
		case 100:
			body += "\n" + lookAlikes[mrand.IntN(len(lookAlikes))]() + "\n"
		}
		switch i % 8 {
		case 0, 4:
			write(fmt.Sprintf("agents/main/sessions/%06d.jsonl", i), message("user", "Go on.")+message("toolResult", body))
		case 1:
			line, _ := json.Marshal(map[string]string{"0": `{"subsystem":"tools/exec"}`, "1": body})
			write(fmt.Sprintf("logs/%06d.log", i), string(line)+"\n")
		default:
			write(fmt.Sprintf("workspace/src/d%03d/f%06d.ts", i%997, i), body)
		}
	}
	return p
}

var vocabulary = strings.Fields(`the of and to a in that is was for it with as on be at by this had not are but from or have they which one you were all her she there would their we him been has when who will no more if out so up said what its about than into them can only other time new some could these two may first then do any like my now over such our man me even most made after also did many off before must well back through years much where your way down should because each just those people key keys token tokens author access api secretary password passes keyboard monkey authentication credentialed tasks asks disk risk`)

// block is 4 KB of prose, of code or of records.
func block(i int) string {
	var b strings.Builder
	word := func() string { return vocabulary[mrand.IntN(len(vocabulary))] }
	for b.Len() < 4<<10 {
		switch i % 3 {
		case 0:
			for range 12 {
				b.WriteString(word() + " ")
			}
			b.WriteString(word() + ".\n")
		case 1:
			fmt.Fprintf(&b, "  const %s%d = await this.%s.%s({ key: %s, token: opts.%s, path: `/v1/%s/${id}` });\n", word(), mrand.IntN(99), word(), word(), word(), word(), word())
		default:
			fmt.Fprintf(&b, "{\"id\":\"%s\",\"ts\":%d,\"cacheKey\":\"%s\",\"msg\":\"%s %s\"}\n", uuid(), mrand.Int64N(1e12), hexes(16), word(), word())
		}
	}
	return b.String()
}

// BenchmarkLargeTree searches 100,000 files of 2 GB together. CLAWBACK_BENCH=small takes a twentieth.
// What it is to reach on two cores: 200 MB/s, 300 MB resident, the first find within 100 ms.
func BenchmarkLargeTree(b *testing.B) {
	files, total := 100_000, int64(2<<30)
	if os.Getenv("CLAWBACK_BENCH") == "small" {
		files, total = files/20, total/20
	}
	p := sow(b, files, total)
	root, err := os.OpenRoot(p.dir)
	must(b, err)
	defer root.Close()
	for b.Loop() {
		m := measureOurs(b, root, p)
		b.ReportMetric(m.first.Seconds()*1000, "ms-to-first")
		b.ReportMetric(m.memory, "MB-resident")
		b.ReportMetric(float64(p.bytes)/1e6/m.wall.Seconds(), "MB/s")
		b.ReportMetric(float64(p.bytes)/1e6/m.cpu.Seconds(), "MB/cpu-s") // what other work on the machine does not change
		b.ReportMetric(m.recall, "recall")
		b.ReportMetric(m.precision, "precision")
	}
}

// BenchmarkBesideGitleaks sets the search beside "gitleaks dir" on the same tree, of 2,000 files and
// 40 MB: gitleaks takes most of a minute for it.
func BenchmarkBesideGitleaks(b *testing.B) {
	bin := b.TempDir()
	install := exec.Command("go", "install", gitleaks)
	install.Env, install.Dir = append(os.Environ(), "GOBIN="+bin), bin
	if out, err := install.CombinedOutput(); err != nil {
		b.Fatalf("go install %s: %v\n%s", gitleaks, err, out)
	}
	p := sow(b, 2_000, 40<<20)
	root, err := os.OpenRoot(p.dir)
	must(b, err)
	defer root.Close()
	for b.Loop() {
		ours := measureOurs(b, root, p)
		theirs := measureTheirs(b, filepath.Join(bin, "gitleaks"), p)
		b.ReportMetric(theirs.wall.Seconds()/ours.wall.Seconds(), "times-faster")
		b.ReportMetric(theirs.cpu.Seconds()/ours.cpu.Seconds(), "times-less-cpu")
		for name, m := range map[string]measured{"ours": ours, "gitleaks": theirs} {
			b.ReportMetric(float64(p.bytes)/1e6/m.wall.Seconds(), name+"-MB/s")
			b.ReportMetric(m.recall, name+"-recall")
			b.ReportMetric(m.precision, name+"-precision")
		}
	}
}

type measured struct {
	wall, cpu, first  time.Duration
	memory            float64
	recall, precision float64
}

func measureOurs(b *testing.B, root *os.Root, p sown) (m measured) {
	runtime.GC()
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // the peak counts from here
	values := map[string]bool{}
	var before, after syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &before))
	start := time.Now()
	summary, err := Scan(b.Context(), root, Options{}, func(f Found) {
		if m.first == 0 {
			m.first = time.Since(start)
		}
		if f.Doubt == ByFormat {
			values[f.Secret.Reveal(f.Secret.Parts()[0])] = true
		}
	})
	m.wall = time.Since(start)
	must(b, err)
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &after))
	m.cpu = used(after) - used(before)
	if summary.Bytes < p.bytes || summary.Files < p.files || len(summary.Problems) > 0 {
		b.Errorf("searched %d of %d bytes; problems %+v", summary.Bytes, p.bytes, summary.Problems)
	}
	status, _ := os.ReadFile("/proc/self/status")
	if g := regexp.MustCompile(`VmHWM:\s+([0-9]+) kB`).FindSubmatch(status); g != nil {
		kb, _ := strconv.Atoi(string(g[1]))
		m.memory = float64(kb) / 1e3
	}
	m.recall, m.precision = p.score(values)
	return m
}

func measureTheirs(b *testing.B, program string, p sown) (m measured) {
	report := filepath.Join(b.TempDir(), "report.json")
	c := exec.Command(program, "dir", p.dir, "--no-banner", "--exit-code", "0", "--log-level", "error", "--report-format", "json", "--report-path", report)
	start := time.Now()
	if out, err := c.CombinedOutput(); err != nil {
		b.Fatalf("gitleaks: %v\n%s", err, bytes.TrimSpace(out))
	}
	m.wall, m.cpu = time.Since(start), c.ProcessState.UserTime()+c.ProcessState.SystemTime()
	data, err := os.ReadFile(report)
	must(b, err)
	var found []struct{ Secret string }
	must(b, json.Unmarshal(data, &found))
	values := map[string]bool{}
	for _, f := range found {
		values[f.Secret] = true
	}
	m.recall, m.precision = p.score(values)
	return m
}

func used(r syscall.Rusage) time.Duration { return time.Duration(r.Utime.Nano() + r.Stime.Nano()) }

func (p sown) score(values map[string]bool) (recall, precision float64) {
	right := 0
	for v := range values {
		if p.secrets[v] {
			right++
		}
	}
	return float64(right) / float64(len(p.secrets)), float64(right) / float64(max(1, len(values)))
}
