package sift

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// unescape returns src with the escapes of JSON, and of the languages that took theirs from C,
// replaced by what they stand for, in the memory of buf. What is no escape stays as it is. If
// sparse is set, only the lines with a backslash are taken. wanted are indexes of the result, in
// order: each is replaced by the index in src of the byte that it came from.
func unescape(buf, src []byte, sparse bool, wanted []int) []byte {
	u := unescaper{out: buf[:0], wanted: wanted}
	if !sparse {
		u.add(src, 0)
		return u.out
	}
	for at := 0; ; {
		i := bytes.IndexByte(src[at:], '\\')
		if i < 0 {
			return u.out
		}
		begin := at + bytes.LastIndexByte(src[at:at+i], '\n') + 1
		end := len(src)
		if n := bytes.IndexByte(src[at+i:], '\n'); n >= 0 {
			end = at + i + n + 1
		}
		u.add(src[begin:end], begin)
		at = end
	}
}

type unescaper struct {
	out    []byte
	wanted []int // that are still to come
}

// add takes a piece of the source, which begins at index base of it.
func (u *unescaper) add(src []byte, base int) {
	for i := 0; i < len(src); {
		n := bytes.IndexByte(src[i:], '\\')
		if n < 0 {
			n = len(src) - i
		}
		u.mark(n, base+i, 1)
		u.out = append(u.out, src[i:i+n]...)
		if i += n; i < len(src) {
			text, length := escape(src[i:])
			u.mark(len(text), base+i, 0)
			u.out = append(u.out, text...)
			i += length
		}
	}
}

// mark notes where the next n bytes come from: from one place, or from as many.
func (u *unescaper) mark(n, from, step int) {
	for len(u.wanted) > 0 && u.wanted[0] < len(u.out)+n {
		u.wanted[0] = from + step*(u.wanted[0]-len(u.out))
		u.wanted = u.wanted[1:]
	}
}

var plain = [256]string{'n': "\n", 't': "\t", 'r': "\r", 'b': "\b", 'f': "\f", '/': "/", '\\': "\\", '"': "\"", '\'': "'"}

// escape reads the escape that src begins with: what it stands for, and how long it is. A
// backslash that begins none stands for itself.
func escape(src []byte) (text string, length int) {
	if len(src) < 2 {
		return "\\", 1
	}
	if t := plain[src[1]]; t != "" {
		return t, 2
	}
	switch src[1] {
	case 'x':
		if n, ok := hexNumber(src, 2, 2); ok {
			return string([]byte{byte(n)}), 4
		}
	case 'u':
		n, ok := hexNumber(src, 2, 4)
		if !ok {
			break
		}
		r, length := rune(n), 6
		if utf16.IsSurrogate(r) {
			r = utf8.RuneError
			if len(src) >= 12 && src[6] == '\\' && src[7] == 'u' {
				if low, ok := hexNumber(src, 8, 4); ok {
					if both := utf16.DecodeRune(rune(n), rune(low)); both != utf8.RuneError {
						r, length = both, 12
					}
				}
			}
		}
		return string(r), length
	}
	return "\\", 1
}

func hexNumber(src []byte, at, digits int) (uint64, bool) {
	if len(src) < at+digits {
		return 0, false
	}
	n, err := strconv.ParseUint(string(src[at:at+digits]), 16, 32)
	return n, err == nil
}

// escaped reports whether text has an escape worth another look: one that could stand in or at
// the border of a secret.
func escaped(text []byte) bool {
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 || i+1 == len(text) {
			return false
		}
		if _, n := escape(text[i:]); n > 1 {
			return true
		}
		text = text[i+1:]
	}
}
