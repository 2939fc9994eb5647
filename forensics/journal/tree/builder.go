// Package tree keeps a Merkle tree over the lines of a record, as static files that any client of
// tiled transparency logs reads (https://c2sp.org/tlog-tiles), and signs its root at checkpoints.
//
// The tree is derived from the record and holds nothing of its own: it can be computed again at
// any time. What it adds is the signed root. A copy of that, held where nobody who can write to the
// record can, shows every change of the lines that it covers. It says nothing of later lines.
package tree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	height = 8           // of a tile, in levels of the tree; fixed by tlog-tiles
	width  = 1 << height // hashes in a full tile, entries in a full bundle
)

// MaxLine is the longest line that a tree takes, in bytes: its length is written in two.
const MaxLine = math.MaxUint16

// Builder computes a tree from its lines. It holds no more than the tree's right edge. The zero
// Builder is an empty tree.
type Builder struct {
	// Full, unless nil, gets each tile and each bundle of entries as it fills up. It may keep content.
	Full func(path string, content []byte)

	n      int64
	levels [][]byte // by level, the hashes of the tile that is not full
	bundle []byte   // the entries of the bundle that is not full
}

// Size is how many lines were added.
func (b *Builder) Size() uint64 { return uint64(b.n) }

// Add adds a line, without its newline.
func (b *Builder) Add(line []byte) error {
	if len(line) > MaxLine {
		return fmt.Errorf("line %d has %d bytes, and a tree takes %d", b.n+1, len(line), MaxLine)
	}
	b.bundle = binary.BigEndian.AppendUint16(b.bundle, uint16(len(line)))
	b.bundle = append(b.bundle, line...)
	b.n++
	if b.n%width == 0 {
		b.full(tile(-1, b.n-1, width), b.bundle)
		b.bundle = nil
	}
	b.push(0, tlog.RecordHash(line))
	return nil
}

// push adds a hash to a level, and the hash of a tile that fills up to the next.
func (b *Builder) push(level int, h tlog.Hash) {
	if level == len(b.levels) {
		b.levels = append(b.levels, nil)
	}
	b.levels[level] = append(b.levels[level], h[:]...)
	data := b.levels[level]
	if len(data) < width*tlog.HashSize {
		return
	}
	t := tile(level, b.n-1, width)
	b.full(t, data)
	b.levels[level] = nil
	left, right := half(t, data, 0), half(t, data, 1)
	b.push(level+1, tlog.NodeHash(left, right))
}

// half is the root of one half of a full tile.
func half(t tlog.Tile, data []byte, which int64) tlog.Hash {
	return mustHash(t, data, tlog.StoredHashIndex((t.L+1)*height-1, 2*t.N+which))
}

func mustHash(t tlog.Tile, data []byte, index int64) tlog.Hash {
	h, err := tlog.HashFromTile(t, data, index)
	if err != nil {
		panic(err) // the arithmetic above is wrong
	}
	return h
}

func (b *Builder) full(t tlog.Tile, data []byte) {
	if b.Full != nil {
		b.Full(path(t), data)
	}
}

// Root is the hash of all lines so far (RFC 6962, section 2.1).
func (b *Builder) Root() tlog.Hash {
	// The roots of the subtrees that it is made of all stand in the tiles that are not full.
	root, err := tlog.TreeHash(b.n, tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			level := tlog.TileForIndex(height, index).L
			hashes[i] = mustHash(b.edge(level), b.levels[level], index)
		}
		return hashes, nil
	}))
	if err != nil {
		panic(err) // the reader above returns none
	}
	return root
}

// edge is the tile of a level that is not full.
func (b *Builder) edge(level int) tlog.Tile {
	return tile(level, b.n, len(b.levels[level])/tlog.HashSize)
}

// Partial gives what is not full of the tree so far: a bundle, and a tile for each level. each may
// not keep content.
func (b *Builder) Partial(each func(path string, content []byte)) {
	if len(b.bundle) > 0 {
		each(path(tile(-1, b.n, int(b.n%width))), b.bundle)
	}
	for level, data := range b.levels {
		if len(data) > 0 {
			each(path(b.edge(level)), data)
		}
	}
}

// tile is the tile of a level above line n, counted from 0; level -1 is that of the entries.
func tile(level int, n int64, w int) tlog.Tile {
	return tlog.Tile{H: height, L: level, N: n >> (height * (max(level, 0) + 1)), W: w}
}

// path is a tile's place below the tree's folder: as in Go's checksum database, but for the height,
// which tlog-tiles leaves out, and the name of the entries.
func path(t tlog.Tile) string {
	rest, _ := strings.CutPrefix(t.Path(), "tile/8/")
	if entries, ok := strings.CutPrefix(rest, "data/"); ok {
		rest = "entries/" + entries
	}
	return "tile/" + rest
}

// ParseBundle takes a bundle of entries apart. The lines share its memory.
func ParseBundle(bundle []byte) ([][]byte, error) {
	var lines [][]byte
	for len(bundle) > 0 {
		if len(bundle) < 2 || len(bundle)-2 < int(binary.BigEndian.Uint16(bundle)) {
			return lines, fmt.Errorf("entry %d of the bundle is cut short", len(lines)+1)
		}
		if len(lines) == width {
			return lines, errors.New("the bundle has more than 256 entries")
		}
		end := 2 + int(binary.BigEndian.Uint16(bundle))
		lines, bundle = append(lines, bundle[2:end]), bundle[end:]
	}
	return lines, nil
}
