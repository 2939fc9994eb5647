package snapshots

import (
	"encoding/binary"
	"errors"
)

// A package is a tar stream cut into pieces, each a zstd frame of its own, with a table of their
// sizes at the end, in a frame that every zstd skips: a reader of that table needs not decompress
// all to look at one file.
// Source: https://github.com/facebook/zstd/blob/dev/contrib/seekable_format/zstd_seekable_compression_format.md
const (
	skippableMagic = 0x184D2A5E
	seekableMagic  = 0x8F92EAB1
	seekEntry      = 12      // bytes, with a checksum
	seekFooter     = 9       // bytes
	hasChecksums   = 1 << 7  // in the descriptor of the footer
	maxFrames      = 1 << 27 // by the format
)

var errManyFrames = errors.New("it is longer than its format can tell of")

// seekTable grows by an entry for each frame.
type seekTable struct {
	entries []byte
	frames  uint32
}

// add takes in a frame, whose last four bytes are the checksum of its content.
func (t *seekTable) add(frame []byte, size int) error {
	if t.frames == maxFrames {
		return errManyFrames
	}
	t.frames++
	t.entries = binary.LittleEndian.AppendUint32(t.entries, uint32(len(frame)))
	t.entries = binary.LittleEndian.AppendUint32(t.entries, uint32(size))
	t.entries = append(t.entries, frame[len(frame)-4:]...)
	return nil
}

// frame is the table as it stands in a package.
func (t *seekTable) frame() []byte {
	out := binary.LittleEndian.AppendUint32(nil, skippableMagic)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(t.entries)+seekFooter))
	out = append(out, t.entries...)
	out = binary.LittleEndian.AppendUint32(out, t.frames)
	out = append(out, hasChecksums)
	return binary.LittleEndian.AppendUint32(out, seekableMagic)
}
