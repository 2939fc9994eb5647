package sift

// automaton finds all of many words in one pass (Aho and Corasick, 1975), whatever the case of
// the letters A to Z. It has a table of its own for a small reason: those that can be had return
// a list of all matches, which is longer than the text where an attacker wrote it.
type automaton struct {
	class [256]uint8 // what bytes have in common
	shift uint
	next  []uint32 // by state and class; a state is its row's first index
	first uint32   // states from here on end a word
	ends  [][]int32
	// longest is how many bytes the longest word has.
	longest int
}

// newAutomaton makes an automaton of words, which it numbers in their order. An empty word is
// never found.
func newAutomaton(words []string) *automaton {
	a := &automaton{}
	classes := 1
	for _, w := range words {
		a.longest = max(a.longest, len(w))
		for i := range len(w) {
			if b := lower(w[i]); a.class[b] == 0 {
				a.class[b] = uint8(classes)
				classes++
			}
		}
	}
	for b := range 256 {
		a.class[b] = a.class[lower(byte(b))]
	}
	for 1<<a.shift < classes {
		a.shift++
	}
	t := a.trie(words)
	order := t.complete()
	a.number(t, order)
	return a
}

// trie is the automaton while it is built: states by number.
type trie struct {
	width int
	next  []int32 // 0: none
	fail  []int32
	ends  [][]int32
}

func (a *automaton) trie(words []string) *trie {
	t := &trie{width: 1 << a.shift}
	t.add()
	for n, w := range words {
		at := int32(0)
		for i := range len(w) {
			slot := int(at)*t.width + int(a.class[w[i]])
			if t.next[slot] == 0 {
				t.next[slot] = t.add()
			}
			at = t.next[slot]
		}
		if at != 0 {
			t.ends[at] = append(t.ends[at], int32(n))
		}
	}
	return t
}

func (t *trie) add() int32 {
	t.next = append(t.next, make([]int32, t.width)...)
	t.fail = append(t.fail, 0)
	t.ends = append(t.ends, nil)
	return int32(len(t.fail) - 1)
}

// complete fills in where each state goes with a byte that no word goes on with, and returns the
// states in the order of their depth.
func (t *trie) complete() []int32 {
	order := []int32{0}
	for i := 0; i < len(order); i++ {
		at := order[i]
		for c := range t.width {
			slot := int(at)*t.width + c
			to := t.next[slot]
			back := int32(0)
			if at != 0 {
				back = t.next[int(t.fail[at])*t.width+c]
			}
			if to == 0 {
				t.next[slot] = back
				continue
			}
			t.fail[to] = back
			t.ends[to] = append(t.ends[to], t.ends[back]...)
			order = append(order, to)
		}
	}
	return order
}

// number lays the states out: those that end a word last, so that one comparison tells them.
func (a *automaton) number(t *trie, order []int32) {
	rank := make([]uint32, len(order))
	n := uint32(0)
	for _, ending := range []bool{false, true} {
		if ending {
			a.first = n << a.shift
		}
		for _, s := range order {
			if (t.ends[s] != nil) == ending {
				rank[s] = n << a.shift
				n++
			}
		}
	}
	a.next = make([]uint32, len(order)<<a.shift)
	a.ends = make([][]int32, n-a.first>>a.shift)
	for _, s := range order {
		for c := range t.width {
			a.next[rank[s]+uint32(c)] = rank[t.next[int(s)*t.width+c]]
		}
		if rank[s] >= a.first {
			a.ends[(rank[s]-a.first)>>a.shift] = t.ends[s]
		}
	}
}

// hit is a state that ends words, and where in the text it does.
type hit struct{ state, end uint32 }

const (
	lanes = 4
	lane  = 4 << 10 // bytes of the text
)

// hits is the memory in which an automaton notes what it finds: one for each goroutine.
type hits [lanes][lane]hit

// scan calls found for each place of text at which words end, in their order: with the words'
// list, which is one of a.ends, and the place. It stops where found returns false.
//
// Each step waits for the one before it, so four pieces of the text are read at once. A piece
// begins with what the bytes before it say, as many as a word can have in them.
func (a *automaton) scan(text []byte, h *hits, found func(list uint32, end int) bool) {
	var at [lanes]uint32
	var n [lanes]int
	for from := 0; from < len(text); {
		size := min((len(text)-from)/lanes, lane)
		if size <= 2*a.longest {
			size = 0 // the rest is short
		}
		for i := 1; i < lanes && size > 0; i++ {
			begin := from + i*size
			at[i] = a.after(0, text[max(0, begin-a.longest):begin])
		}
		a.four(text[from:from+lanes*size], &at, h, &n)
		for i := range lanes {
			for _, hit := range h[i][:n[i]] {
				if !found((hit.state-a.first)>>a.shift, from+i*size+int(hit.end)) {
					return
				}
			}
		}
		from += lanes * size
		if size > 0 {
			at[0] = at[lanes-1]
			continue
		}
		for state := at[0]; from < len(text); {
			if state = a.next[state+uint32(a.class[text[from]])]; state >= a.first && !found((state-a.first)>>a.shift, from+1) {
				return
			}
			from++
		}
	}
}

// four reads the four quarters of text from the states that it was given, and notes how many hits
// there are in each.
func (a *automaton) four(text []byte, at *[lanes]uint32, h *hits, n *[lanes]int) {
	next, class, first := a.next, &a.class, a.first
	size := len(text) / lanes
	t0, t1, t2, t3 := text[:size], text[size:][:size], text[2*size:][:size], text[3*size:][:size]
	a0, a1, a2, a3 := at[0], at[1], at[2], at[3]
	*n = [lanes]int{}
	note := func(i int, state uint32, end int) {
		h[i][n[i]&(lane-1)] = hit{state, uint32(end)}
		n[i]++
	}
	for i := range t0 {
		a0 = next[a0+uint32(class[t0[i]])]
		a1 = next[a1+uint32(class[t1[i]])]
		a2 = next[a2+uint32(class[t2[i]])]
		a3 = next[a3+uint32(class[t3[i]])]
		if a0 >= first {
			note(0, a0, i+1)
		}
		if a1 >= first {
			note(1, a1, i+1)
		}
		if a2 >= first {
			note(2, a2, i+1)
		}
		if a3 >= first {
			note(3, a3, i+1)
		}
	}
	*at = [lanes]uint32{a0, a1, a2, a3}
}

// after is the state behind text, from a state on.
func (a *automaton) after(at uint32, text []byte) uint32 {
	for _, b := range text {
		at = a.next[at+uint32(a.class[b])]
	}
	return at
}

// holds reports whether text holds one of the words.
func (a *automaton) holds(text []byte) bool {
	at := uint32(0)
	for _, b := range text {
		if at = a.next[at+uint32(a.class[b])]; at >= a.first {
			return true
		}
	}
	return false
}

func lower(b byte) byte {
	if b >= 'A' && b <= 'Z' {
		b += 'a' - 'A'
	}
	return b
}
