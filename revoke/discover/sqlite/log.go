package sqlite

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"os"
)

// A write-ahead log: a header, then frames of a header and a page each.
// Source: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
const (
	logHeader   = 32
	frameHeader = 24
	maxPage     = 64 << 10
)

// checkLog says what SQLite would not: it takes a frame with a wrong checksum for the log's end and
// leaves out all that comes after it. A log's true end is the end of the file, or a frame of an
// earlier round, which has other salts.
func (r *reader) checkLog(file string) {
	f, err := os.Open(file)
	if err != nil {
		return // there is none
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 1<<20)
	var head [logHeader]byte
	switch _, err := io.ReadFull(in, head[:]); {
	case errors.Is(err, io.EOF):
		return
	case err != nil:
		r.problem("its write-ahead log is cut off: what stands in it alone was not read")
		return
	}
	var order binary.ByteOrder = binary.LittleEndian
	if head[3]&1 == 1 {
		order = binary.BigEndian
	}
	a, b := checksum(order, 0, 0, head[:24])
	size := binary.BigEndian.Uint32(head[8:])
	if a != binary.BigEndian.Uint32(head[24:]) || b != binary.BigEndian.Uint32(head[28:]) || size == 0 || size > maxPage {
		r.problem("the head of its write-ahead log is broken: what stands in it alone was not read")
		return
	}
	frame := make([]byte, frameHeader+size)
	for n, broken := 1, 0; ; n++ {
		if r.ctx.Err() != nil {
			return
		}
		if _, err := io.ReadFull(in, frame); err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) && broken == 0 {
				r.problem("its write-ahead log is cut off in frame %d: the change there was not read", n)
			}
			return
		}
		same := string(frame[8:16]) == string(head[16:24])
		if broken == 0 {
			c, d := checksum(order, a, b, frame[:8])
			c, d = checksum(order, c, d, frame[frameHeader:])
			if same && c == binary.BigEndian.Uint32(frame[16:]) && d == binary.BigEndian.Uint32(frame[20:]) {
				a, b = c, d
				continue
			}
			broken = n
		}
		if same {
			r.problem("its write-ahead log is broken at frame %d: what comes after was not read", broken)
			return
		}
	}
}

// checksum goes on with the log's running checksum.
func checksum(order binary.ByteOrder, a, b uint32, data []byte) (uint32, uint32) {
	for ; len(data) >= 8; data = data[8:] {
		a += order.Uint32(data) + b
		b += order.Uint32(data[4:]) + a
	}
	return a, b
}
