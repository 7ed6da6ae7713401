package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// builtLines are the lines of the contract's checklist that what is built so far answers for, as first and last.
var builtLines = [][2]int{{1, 143}, {146, 146}, {150, 208}}

var (
	checklistLine = regexp.MustCompile(`^- (.+?): (.+)$`)
	testFunction  = regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
)

// testdata/checklist.md says which tests stand for which line of the contract. A test that is renamed or deleted there
// must be looked for again, and no line may be left out.
func TestChecklist(t *testing.T) {
	text, err := os.ReadFile("testdata/checklist.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]map[string]bool{} // by package
	testsOf := func(dir string) map[string]bool {
		if tests[dir] == nil {
			tests[dir] = map[string]bool{}
			files, err := filepath.Glob(filepath.Join(filepath.FromSlash(dir), "*_test.go"))
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range files {
				source, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range testFunction.FindAllStringSubmatch(string(source), -1) {
					tests[dir][m[1]] = true
				}
			}
		}
		return tests[dir]
	}
	var lines []int
	for row := range strings.Lines(string(text)) {
		m := checklistLine.FindStringSubmatch(strings.TrimSpace(row))
		if m == nil {
			continue
		}
		if n, err := strconv.Atoi(m[1]); err == nil {
			lines = append(lines, n)
		}
		for name := range strings.SplitSeq(m[2], ", ") {
			dir, test, found := strings.Cut(name, " ")
			switch {
			case strings.HasSuffix(name, ".txtar"):
				if _, err := os.Stat(filepath.Join("testdata", "script", name)); err != nil {
					t.Errorf("line %s: %v", m[1], err)
				}
			case !found || !testsOf(dir)[test]:
				t.Errorf("line %s: there is no test %q", m[1], name)
			}
		}
	}
	var want []int
	for _, r := range builtLines {
		for n := r[0]; n <= r[1]; n++ {
			want = append(want, n)
		}
	}
	for _, n := range want {
		if !slices.Contains(lines, n) {
			t.Errorf("line %d has no test", n)
		}
	}
	if !slices.IsSorted(lines) || len(slices.Compact(slices.Clone(lines))) != len(lines) {
		t.Errorf("the lines must stand once each, in order: %v", lines)
	}
}
