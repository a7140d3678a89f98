package manifest

import (
	"fmt"
	"strings"
)

// Closest is the one of known that word probably means: the one that differs in the fewest typing mistakes (a letter too
// many, missing, wrong, or two of them swapped; case, "_" and "-" count as nothing), and of several the one that begins alike.
// It is "" when none is near: more than three letters or a third of them wrong.
func Closest(word string, known []string) string {
	best, least, alike := "", 4, -1
	plain := letters(word)
	if len(plain) > 64 { // nobody mistypes that much
		return ""
	}
	for _, k := range known {
		other := letters(k)
		if n := len(plain) - len(other); n < -least || n > least { // more letters are missing, or too many
			continue
		}
		d, a := distance(plain, other), common(plain, other)
		if 3*d <= max(len(plain), len(other)) && (d < least || d == least && a > alike) {
			best, least, alike = k, d, a
		}
	}
	return best
}

// common is the length of the common beginning.
func common(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

var joints = strings.NewReplacer("_", "", "-", "")

func letters(s string) string { return joints.Replace(strings.ToLower(s)) }

// distance is the restricted Damerau-Levenshtein distance.
func distance(a, b string) int {
	n := len(b) + 1
	all := make([]int, 3*n)
	rows := [3][]int{all[:n], all[n : 2*n], all[2*n:]}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		now, last, before := rows[i%3], rows[(i+2)%3], rows[(i+1)%3]
		now[0] = i
		for j := 1; j <= len(b); j++ {
			swap := 1
			if a[i-1] == b[j-1] {
				swap = 0
			}
			now[j] = min(last[j]+1, now[j-1]+1, last[j-1]+swap)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], before[j-2]+1)
			}
		}
	}
	return rows[len(a)%3][len(b)]
}

func didYouMean(word string) string {
	if word == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", word)
}
