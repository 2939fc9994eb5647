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
}

// newAutomaton makes an automaton of words, which it numbers in their order. An empty word is
// never found.
func newAutomaton(words []string) *automaton {
	a := &automaton{}
	classes := 1
	for _, w := range words {
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

// scan calls found for each word that text holds, in the order of their ends: with its number
// and where it ends. It stops where found returns false.
func (a *automaton) scan(text []byte, found func(word int32, end int) bool) {
	next, class, first := a.next, &a.class, a.first
	at := uint32(0)
	for i, b := range text {
		at = next[at+uint32(class[b])]
		if at < first {
			continue
		}
		for _, w := range a.ends[(at-first)>>a.shift] {
			if !found(w, i+1) {
				return
			}
		}
	}
}

// holds reports whether text holds one of the words.
func (a *automaton) holds(text []byte) bool {
	any := false
	a.scan(text, func(int32, int) bool { any = true; return false })
	return any
}

func lower(b byte) byte {
	if b >= 'A' && b <= 'Z' {
		b += 'a' - 'A'
	}
	return b
}
