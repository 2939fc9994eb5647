package snapshots

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// BenchmarkCapture takes an installation of 64 MB into a bag and seals it.
func BenchmarkCapture(b *testing.B) {
	files := agentTree()
	for i := range 1000 {
		files[fmt.Sprintf("%sagents/main/sessions/%04d.jsonl", ada, i)] = strings.Repeat("{\"type\":\"message\"}\n", 16<<10/19)
	}
	files[ada+"logs/big"] = strings.Repeat("x", 48<<20)
	var size int64
	for _, text := range files {
		size += int64(len(text))
	}
	_, root := tree(b, files)
	dir := b.TempDir()
	b.SetBytes(size)
	for n := 0; b.Loop(); n++ {
		bag, err := NewBag(filepath.Join(dir, fmt.Sprint(n)), Info{})
		must(b, err)
		_, err = Capture(b.Context(), root, "files", Options{}, bag)
		must(b, err)
		_, err = bag.Seal()
		must(b, err)
	}
}
