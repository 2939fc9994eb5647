package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// startBound is what a person does not notice: how long "clawback version" may take.
const startBound = 50 * time.Millisecond

// BenchmarkVersion starts the program as it is shipped, from nothing to its exit.
func BenchmarkVersion(b *testing.B) {
	bin := filepath.Join(b.TempDir(), "clawback")
	build := exec.Command("go", "build", "-trimpath", "-o", bin, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	for b.Loop() {
		if err := exec.Command(bin, "version").Run(); err != nil {
			b.Fatal(err)
		}
	}
	perOp := b.Elapsed() / time.Duration(b.N)
	b.ReportMetric(float64(perOp)/float64(startBound), "of-50ms-bound")
}
