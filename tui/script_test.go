package tui

import (
	"bytes"
	"math/rand/v2"
	"time"

	tea "github.com/charmbracelet/bubbletea"
)

// What a script does besides sending bytes. None of these bytes is in any UTF-8 text.
const (
	opSend    = 0xf8 + iota // what was collected goes out in one piece
	opBeat                  // as long as a person takes before enter
	opRest                  // as long as a person takes to look
	opWait                  // a second
	opMean                  // types what the dialog wants, key by key, and enter
	opNext                  // presses the highlighted key
	opResize                // to the size in the next two bytes
	opSpecial               // the key of specialKeys that the next byte names
)

// specialKeys are what a keyboard sends for the keys that are no characters.
var specialKeys = []string{"\r", "\x1b", "\x7f", "\t", "\x1b[Z", "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D", "\x1b[5~", "\x1b[6~", "\x1b[H", "\x1b[F", "\x15", "\x0c", "\x1a", "\x03"}

// labelKeys are the keys as the console calls them, where they are no letters.
var labelKeys = map[string]string{"enter": "\r", "esc": "\x1b", "tab": "\t", "↓": "\x1b[B", "↑": "\x1b[A", "backspace": "\x7f", "space": " "}

// next presses the highlighted key.
func (h *fingers) next() {
	label := h.screen.next()
	key, ok := labelKeys[label]
	switch {
	case ok:
	case len(label) == 1:
		key = label
	default:
		h.pass(time.Second)
		return
	}
	h.send(key)
}

// play plays a script to its end, or that of the console.
func (h *fingers) play(script []byte) {
	var piece []byte
	flush := func() {
		for len(piece) > 0 { // a terminal hands over no more at once
			n := min(len(piece), 200)
			h.send(string(piece[:n]))
			piece = piece[n:]
		}
	}
	for i := 0; i < len(script); i++ {
		arg := func() byte {
			if i++; i < len(script) {
				return script[i]
			}
			return 0
		}
		if script[i] >= opSend {
			flush()
		}
		switch script[i] {
		case opSend:
			h.pass(20 * time.Millisecond)
		case opBeat:
			h.pass(160 * time.Millisecond)
		case opRest:
			h.pass(400 * time.Millisecond)
		case opWait:
			h.pass(time.Second)
		case opMean:
			h.mean(i)
		case opNext:
			h.next()
		case opResize:
			h.w, h.h = 20+int(arg())%140, 5+int(arg())%60
			h.resize(tea.WindowSizeMsg{Width: h.w, Height: h.h})
		case opSpecial:
			key := specialKeys[int(arg())%len(specialKeys)]
			h.send(key)
			if key == "\x1a" {
				h.pass(time.Second)
				h.send("\x00") // a pipe is not let go of: this goes to the reader from before
			}
		default:
			piece = append(piece, script[i])
		}
	}
	flush()
}

// randomScript is what somebody does who hits the keyboard at random, or with some purpose.
func randomScript(seed uint64) []byte {
	rnd := rand.New(rand.NewPCG(seed, 3))
	purpose := int(seed / uint64(len(roles)) % 3) // 0: none
	script := bytes.NewBuffer([]byte{byte(seed%uint64(len(roles))) + byte(rnd.IntN(2)*len(roles))})
	pieces := []string{
		"revoke 3\r", "y", "yes\r", "stop claw-lab", "\x1b[200~revoke 3\r\x1b[201~", "\x1b[200~" + hostileTexts[rnd.IntN(len(hostileTexts))], "\x1b[201~", "\x1b[20", "0~x",
		"\x1b", "[A", "\xe6", "\xbc\xa2", "漢", "e\u0301", hostileTexts[rnd.IntN(len(hostileTexts))], "\x1bq", "\x1b[M !!", "\x1b[<0;3;4M", "\x1b[I", "\x00", "\x1b[999;999R",
	}
	ways := []string{ // that many keys lead to, and random ones seldom
		"a\xfa" + "x\xfb\xff\x00\xfa\xff\x00\xfa" + "y\xfa\xff\x00\xfa\xfc", "g\xf8j\xf8B\xfa" + "x\xfa\xff\x00\xfa\xfc", "\xff\x00\xfaj\xf8B\xfa" + "x\xfa\xff\x00\xfa\xfc", "/spared\xff\x00G\xf8r\xfa\xfc", "q\xfay", "Q\xfay",
	}
	for range 8 + rnd.IntN(8) {
		switch n := rnd.IntN(20); {
		case n < 7*purpose:
			script.WriteByte(opRest)
			script.WriteByte([]byte{opNext, opNext, opNext, opMean}[rnd.IntN(4)])
		case n < 13:
			script.WriteByte(byte(' ' + rnd.IntN(95)))
			script.WriteByte(opSend)
		case n == 13:
			script.WriteString(pieces[rnd.IntN(len(pieces))])
			script.WriteByte(opSend)
		case n == 14, n == 17:
			for range rnd.IntN(7) {
				script.WriteByte(opSend) // or the way would end at the same place, and always be gone in the same way
			}
			script.WriteString(ways[rnd.IntN(len(ways))])
		case n == 15 && rnd.IntN(4) == 0:
			script.Write([]byte{opResize, byte(rnd.IntN(256)), byte(rnd.IntN(256))})
		case n == 16:
			script.WriteByte(opMean)
		default:
			key := rnd.IntN(len(specialKeys) - 1)
			if rnd.IntN(30) == 0 {
				key = len(specialKeys) - 1 // ctrl+c, which ends it all
			}
			script.Write([]byte{opSpecial, byte(key), opSend + byte(rnd.IntN(4))})
		}
	}
	return script.Bytes()
}
