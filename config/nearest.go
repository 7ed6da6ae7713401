package config

import (
	"fmt"
	"slices"
)

// unknownName says that a name is not known, and which one was probably meant.
func unknownName(what, name string, known []string) error {
	if n := nearest(name, known); n != "" {
		return fmt.Errorf("unknown %s %s, did you mean %s?", what, name, n)
	}
	return fmt.Errorf("unknown %s %s", what, name)
}

// nearest returns the known name with the fewest edits to name, "" if none is
// within a third of its length: a far guess misleads more than none.
func nearest(name string, known []string) string {
	best, bestCost := "", max(2, len(name)/3)+1
	for _, k := range slices.Sorted(slices.Values(known)) {
		if cost := edits(name, k); cost < bestCost {
			best, bestCost = k, cost
		}
	}
	return best
}

// edits counts insertions, deletions, substitutions and swaps of neighbours
// between two short texts (optimal string alignment).
func edits(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
