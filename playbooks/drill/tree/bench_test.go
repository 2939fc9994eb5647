package tree

import (
	"fmt"
	mrand "math/rand/v2"
	"os"
	"testing"

	"clawback/revoke/discover"
)

// BenchmarkScan is the time to find everything, and that to find the first.
func BenchmarkScan(b *testing.B) {
	for _, n := range []int{1, 80} {
		creds := everyKind(n)
		b.Run(fmt.Sprint(len(creds)), func(b *testing.B) {
			dir := b.TempDir()
			if _, err := Generate(dir, mrand.New(mrand.NewPCG(1, 0)), creds); err != nil {
				b.Fatal(err)
			}
			root, err := os.OpenRoot(dir)
			if err != nil {
				b.Fatal(err)
			}
			defer root.Close()
			for b.Loop() {
				found := 0
				if _, err := discover.Scan(b.Context(), root, discover.Options{}, func(discover.Found) { found++ }); err != nil || found < len(creds) {
					b.Fatalf("%d found, %v", found, err)
				}
			}
		})
	}
}
