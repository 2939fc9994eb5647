// Package journal is the record of an incident: one JSON object a line, each with the hash of the
// line before. It has one writer, any number of readers, and no other store beside it.
package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Version is the version of the entry format.
const Version = 1

// MaxLine bounds a line, without its newline: what an entry of a transparency log (C2SP tlog-tiles) may have.
// Data that makes a line longer stands in a file of its own: see Payload.
const MaxLine = 1<<16 - 1

// Entry is one line of the record.
type Entry struct {
	V    int             `json:"v"`
	Seq  uint64          `json:"seq"`  // counted from 1
	Time time.Time       `json:"time"` // UTC, nanoseconds, never before the entry before
	Type string          `json:"type"` // "step.intent"
	Prev string          `json:"prev"` // SHA-256 of the line before, in hex; empty in the first
	Data json.RawMessage `json:"data,omitempty"`

	Payload *Payload `json:"payload,omitempty"` // instead of Data, where that is too long for a line

	line []byte
	from loader // of the payload; nil when nobody knows where it is
}

// Line returns the entry as it stands in the record, without its newline.
func (e Entry) Line() []byte { return e.line }

// Hash returns the SHA-256 of the line: the Prev of the next entry.
func (e Entry) Hash() string { return hashLine(e.line) }

// Decode reads the entry's data into v, from its payload where it has one.
func (e Entry) Decode(v any) error {
	data, err := e.Content()
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		return fmt.Errorf("entry %d (%s): %w", e.Seq, e.Type, err)
	}
	return nil
}

// Content returns the entry's data. A payload is read and checked each time.
func (e Entry) Content() (json.RawMessage, error) {
	switch {
	case e.Payload == nil:
		return e.Data, nil
	case e.from == nil:
		return nil, fmt.Errorf("its data is in %s, in the folder of its incident", e.Payload.name())
	}
	b, err := e.from.load(*e.Payload)
	if err == nil {
		err = e.Payload.check(b)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.Payload.name(), err)
	}
	return b, nil
}

func hashLine(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}

// write returns the entry's line, and the payload of data that is too long for it.
func (e Entry) write() (line, payload []byte, err error) {
	line, err = json.Marshal(e)
	if err != nil || len(line) <= MaxLine {
		return line, nil, err
	}
	if len(e.Data) > MaxPayload {
		return nil, nil, fmt.Errorf("its data has %d bytes, more than %d", len(e.Data), MaxPayload)
	}
	payload, e.Data = e.Data, nil
	e.Payload = &Payload{SHA256: hashLine(payload), Bytes: int64(len(payload))}
	if err := e.Payload.check(payload); err != nil {
		return nil, nil, err
	}
	line, err = json.Marshal(e)
	return line, payload, err
}

// Parse reads one line. It checks the line alone; Check checks its place. There is one way to
// write an entry down, and a line that is written in another is refused: whatever reads the
// record, in whatever language, reads the same.
func Parse(line []byte) (Entry, error) {
	if len(line) > MaxLine {
		return Entry{}, fmt.Errorf("line has %d bytes, more than %d", len(line), MaxLine)
	}
	if !utf8.Valid(line) {
		return Entry{}, errors.New("not an entry: it is not UTF-8")
	}
	var e Entry
	if err := json.Unmarshal(line, &e); err != nil {
		return Entry{}, fmt.Errorf("not an entry: %w", err)
	}
	if e.V != Version {
		return Entry{}, fmt.Errorf("entry has version %d, and this program reads %d", e.V, Version)
	}
	if e.Type == "" || e.Seq == 0 {
		return Entry{}, errors.New("not an entry: no type or no sequence number")
	}
	if same, err := json.Marshal(e); err != nil || e.Time.Location() != time.UTC || !bytes.Equal(same, line) {
		return Entry{}, errors.New("not an entry: it is not written down as this program writes it")
	}
	if err := checkKeys(line, 2); err != nil {
		return Entry{}, fmt.Errorf("not an entry: %w", err)
	}
	if (len(e.Data) == 0) == (e.Payload == nil) {
		return Entry{}, errors.New("not an entry: it has to have either data or a payload")
	}
	if e.Payload != nil && !e.Payload.valid() {
		return Entry{}, errors.New("not an entry: its payload has no SHA-256 or no possible size")
	}
	e.line = bytes.Clone(line)
	return e, nil
}

// Check checks that e follows prev; the first entry follows the zero Entry.
func Check(prev, e Entry) error {
	switch {
	case e.Seq != prev.Seq+1:
		return fmt.Errorf("entry %d stands where entry %d belongs", e.Seq, prev.Seq+1)
	case prev.Seq == 0 && e.Prev != "":
		return errors.New("the first entry names one before it")
	case prev.Seq > 0 && e.Prev != prev.Hash():
		return fmt.Errorf("entry %d does not carry the hash of entry %d: one of the two was changed", e.Seq, prev.Seq)
	case e.Time.Before(prev.Time):
		return fmt.Errorf("entry %d is older than entry %d", e.Seq, prev.Seq)
	}
	return nil
}

// Visible escapes every character of a JSON text that shows nothing or steers what shows it, such
// as those that turn the direction of writing: a record is read on terminals.
func Visible(raw []byte) []byte {
	hidden := func(r rune) bool {
		return r > '~' && (!unicode.IsPrint(r) || r == '\u2800' ||
			unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector))
	}
	if bytes.IndexFunc(raw, hidden) < 0 {
		return raw
	}
	var out []byte
	for _, r := range string(raw) {
		switch {
		case !hidden(r):
			out = utf8.AppendRune(out, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}
