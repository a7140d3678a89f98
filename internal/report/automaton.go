package report

import (
	"bytes"
	"strings"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// automaton finds all of a set of texts at once (Aho and Corasick, "Efficient string matching", 1975). Reading takes a bounded time for
// each byte, whatever the texts have in common. A state is a beginning of one of them, and 0 is the empty one. The states are
// numbered by their length, so that the few that are visited most are the first.
type automaton struct {
	label []byte   // the last byte of a state
	first []uint32 // the states that are longer by one byte than state s are first[s] to first[s+1]
	fail  []uint32 // the longest other state that a state ends with
	match []uint8  // the length of the longest text that a state ends with; 0 without one
	level []uint32 // the first state of each length

	// The first states have a row in a table, with what follows on each class of bytes: the state, and matched when it ends with a text.
	hot   uint32     // how many states have one
	class [256]uint8 // 0 for all bytes that are in no text
	shift uint       // the length of a row, as a power of two
	table []uint32
}

const (
	matched = 1 << 31
	// maxTable is how many entries a table may have: it has to stay in the processor's cache.
	maxTable = 1 << 19
)

// newAutomaton makes an automaton for texts, which are sorted, unique, not empty, and of 255 bytes at most.
func newAutomaton(texts []string) *automaton {
	a := &automaton{label: []byte{0}, fail: []uint32{0}, match: []uint8{0}}
	type span struct{ from, to int } // the texts that begin with a state
	var used [256]bool
	for level := []span{{0, len(texts)}}; len(level) > 0; {
		depth := len(a.level)
		a.level = append(a.level, uint32(len(a.first)))
		var next []span
		for _, s := range level {
			a.first = append(a.first, uint32(len(a.label)))
			if s.from < s.to && len(texts[s.from]) == depth {
				a.match[len(a.first)-1] = uint8(depth)
				s.from++
			}
			for s.from < s.to {
				c, from := texts[s.from][depth], s.from
				for s.from++; s.from < s.to && texts[s.from][depth] == c; s.from++ {
				}
				used[c] = true
				a.label, a.fail, a.match = append(a.label, c), append(a.fail, 0), append(a.match, 0)
				next = append(next, span{from, s.from})
			}
		}
		level = next
	}
	a.first = append(a.first, uint32(len(a.label)))

	classes := 1
	for c, in := range used {
		if in {
			a.class[c] = uint8(classes)
			classes++
		}
	}
	for a.shift = 1; 1<<a.shift < classes; a.shift++ {
	}
	states := uint32(len(a.label))
	a.table = make([]uint32, min(states, maxTable>>a.shift)<<a.shift)
	for s := range states {
		if a.match[s] == 0 {
			a.match[s] = a.match[a.fail[s]]
		}
		for child := a.first[s]; child < a.first[s+1] && s > 0; child++ {
			a.fail[child] = a.step(a.fail[s], a.label[child])
		}
		if int(s)<<a.shift == len(a.table) || a.hot < s {
			continue
		}
		row := a.table[s<<a.shift : (s+1)<<a.shift]
		copy(row, a.table[a.fail[s]<<a.shift:])
		for child := a.first[s]; child < a.first[s+1]; child++ {
			row[a.class[a.label[child]]] = child
		}
		a.hot++
	}
	for i, s := range a.table {
		if a.match[s] > 0 {
			a.table[i] |= matched
		}
	}
	return a
}

// child is the state that is longer than s by c, 0 without one.
func (a *automaton) child(s uint32, c byte) uint32 {
	from, to := a.first[s], a.first[s+1]
	if i := bytes.IndexByte(a.label[from:to], c); i >= 0 {
		return from + uint32(i)
	}
	return 0
}

// step is the state behind s when c is read.
func (a *automaton) step(s uint32, c byte) uint32 {
	for s >= a.hot {
		if next := a.child(s, c); next > 0 || s == 0 {
			return next
		}
		s = a.fail[s]
	}
	return a.table[s<<a.shift|uint32(a.class[c])] &^ matched
}

// length is that of a state.
func (a *automaton) length(s uint32) int {
	n := 0
	for n+1 < len(a.level) && a.level[n+1] <= s {
		n++
	}
	return n
}

// span is the part [from, to) of a text.
type span struct{ from, to int }

// add adds a span to some that are sorted and do not touch; it ends behind all of them.
func add(spans []span, s span) []span {
	for n := len(spans); n > 0 && spans[n-1].to >= s.from; n-- {
		s.from = min(s.from, spans[n-1].from)
		spans = spans[:n-1]
	}
	return append(spans, s)
}

// find adds the parts of s that are one of the texts, or the beginning of one, of gram bytes at least, that is cut: by an event.Ellipsis or, if s
// goes on elsewhere, by its end. Those that overlap or touch become one.
func (a *automaton) find(s string, more bool, spans []span) []span {
	state, i := uint32(0), 0
	for i <= len(s) {
		end := strings.Index(s[i:], event.Ellipsis)
		if end < 0 {
			end = len(s)
		} else {
			end += i
		}
		state, spans = a.read(s, i, end, state, spans)
		if end < len(s) || more {
			if n := a.length(state); n >= gram {
				spans = add(spans, span{end - n, end})
			}
		}
		if end == len(s) {
			break
		}
		i = end + len(event.Ellipsis)
		state, spans = a.read(s, end, i, state, spans)
	}
	return spans
}

// read reads s[i:end] in a state.
func (a *automaton) read(s string, i, end int, state uint32, spans []span) (uint32, []span) {
	table, hot, shift := a.table, a.hot, a.shift
	for ; i < end; i++ {
		next := uint32(0)
		if state < hot {
			next = table[state<<shift|uint32(a.class[s[i]])]
			if next&matched == 0 {
				state = next
				continue
			}
			state = next &^ matched
		} else {
			state = a.step(state, s[i])
		}
		if n := int(a.match[state]); n > 0 {
			spans = add(spans, span{i + 1 - n, i + 1})
		}
	}
	return state, spans
}
