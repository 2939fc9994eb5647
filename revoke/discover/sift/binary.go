package sift

import "bytes"

// magics are what files begin with in which no text stands that anybody wrote: programs, pictures, sound, archives,
// databases, and UTF-16, which is searched once it is no longer that.
// Source: https://en.wikipedia.org/wiki/List_of_file_signatures
var magics = [][]byte{
	[]byte("\x7fELF"), []byte("\xca\xfe\xba\xbe"), []byte("\xcf\xfa\xed\xfe"), []byte("\xfe\xed\xfa"), []byte("\x00asm"), []byte("!<arch>\n"),
	[]byte("\x89PNG"), []byte("\xff\xd8\xff"), []byte("GIF8"), []byte("RIFF"), []byte("II*\x00"), []byte("MM\x00*"), []byte("\x00\x00\x01\x00"),
	[]byte("\x1f\x8b"), []byte("\x28\xb5\x2f\xfd"), []byte("PK\x03\x04"), []byte("BZh"), []byte("\xfd7zXZ\x00"), []byte("7z\xbc\xaf\x27\x1c"), []byte("Rar!"), []byte("\x04\x22\x4d\x18"),
	[]byte("ID3"), []byte("OggS"), []byte("fLaC"), []byte("\x1aE\xdf\xa3"), []byte("wOFF"), []byte("wOF2"), []byte("OTTO"), []byte("\x00\x01\x00\x00"),
	[]byte("SQLite format 3\x00"), []byte("7\x7f\x06\x82"), []byte("7\x7f\x06\x83"), []byte("\x18\xe2\x2d\x00"), []byte("\xd9\xd5\x05\xf9"), // and its log, index and journal
	[]byte("DIRC"), []byte("\xfftOc"), []byte("%PDF-"), []byte("\xff\xfe"), []byte("\xfe\xff"),
}

// binary reports whether a file with a NUL in its head is of a format that is known to be no text.
func binary(head []byte) bool {
	for _, m := range magics {
		if bytes.HasPrefix(head, m) {
			return true
		}
	}
	return len(head) > 8 && string(head[4:8]) == "ftyp" // films
}

// mostlyText reports whether no more than an eighth of head are bytes that texts do not have: whoever hides a
// secret adds some.
func mostlyText(head []byte) bool {
	odd := 0
	for _, b := range head {
		if b < ' ' && b != '\t' && b != '\n' && b != '\r' && b != '\f' && b != '\x1b' || b == 0x7f || b >= 0xf8 {
			odd++
		}
	}
	return odd <= len(head)/8
}
