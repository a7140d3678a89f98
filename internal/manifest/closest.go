package manifest

import (
	"fmt"
	"strings"
)

// Closest is the one of known that word probably means: the one that differs in the fewest typing mistakes (a letter too
// many, missing, wrong, or two of them swapped; case, "_" and "-" count as nothing). It is "" when none is near: more than a
// third of the letters wrong.
func Closest(word string, known []string) string {
	best, least := "", 4
	plain := letters(word)
	if len(plain) > 64 { // nobody mistypes that much
		return ""
	}
	for _, k := range known {
		other := letters(k)
		if d := distance(plain, other); d < least && 3*d <= max(len(plain), len(other)) {
			best, least = k, d
		}
	}
	return best
}

func letters(s string) string {
	return strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(s))
}

// distance is the restricted Damerau-Levenshtein distance.
func distance(a, b string) int {
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
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
