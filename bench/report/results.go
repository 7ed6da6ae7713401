package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// measured holds every value of a benchmark's unit, by name and unit.
type measured map[[2]string][]float64

// procs is the number of processors that the testing package puts behind a name.
var procs = regexp.MustCompile(`-\d+$`)

// read takes the lines in the benchmark format: name, iterations, then pairs of value and unit.
func (m measured) read(out []byte, cpu *string) {
	for sc := bufio.NewScanner(bytes.NewReader(out)); sc.Scan(); {
		line := sc.Text()
		if name, ok := strings.CutPrefix(line, "cpu: "); ok {
			*cpu = fmt.Sprintf("%d cores of %s, %s", runtime.GOMAXPROCS(0), name, runtime.Version())
		}
		f := strings.Fields(line)
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		name := procs.ReplaceAllString(strings.TrimPrefix(f[0], "Benchmark"), "")
		for i := 2; i+1 < len(f); i += 2 {
			if v, err := strconv.ParseFloat(f[i], 64); err == nil {
				k := [2]string{name, f[i+1]}
				m[k] = append(m[k], v)
			}
		}
	}
}

// median returns the middle value, and the spread as a part of it: half of the distance between the quartiles.
func (m measured) median(name, unit string) (mid, spread float64, ok bool) {
	vs := slices.Sorted(slices.Values(m[[2]string{name, unit}]))
	n := len(vs)
	if n == 0 {
		return 0, 0, false
	}
	mid = (vs[(n-1)/2] + vs[n/2]) / 2
	if mid != 0 {
		spread = (vs[n-1-n/4] - vs[n/4]) / 2 / mid
	}
	return mid, spread, true
}

// print writes the section as a table and returns how many figures it did not find.
func (s *section) print(w io.Writer, m measured) (missing int) {
	fmt.Fprintf(w, "### %s\n\n", s.title)
	fmt.Fprintf(w, "| What | Baseline | Ours | Bare | Ratio | Aim |\n| --- | --- | ---: | ---: | ---: | --- |\n")
	for _, r := range s.rows {
		cell := func(unit string, format func(float64) string) string {
			if unit == "" {
				return ""
			}
			v, spread, ok := m.median(r.name, unit)
			if !ok {
				missing++
				return "missing"
			}
			text := format(v)
			if unit == r.ratio && spread >= 0.005 {
				text += fmt.Sprintf(" ± %.0f %%", 100*spread)
			}
			return text
		}
		inUnit := func(v float64) string { return quantity(v, r.unit) }
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s |\n", r.what, r.against, cell(r.ours, inUnit), cell(r.bare, inUnit), cell(r.ratio, ratio), r.aim)
	}
	fmt.Fprintln(w)
	return missing
}

// quantity writes a figure with three digits and its unit.
func quantity(v float64, unit string) string {
	switch {
	case unit == "ns":
		return spanText(v)
	case v >= 1e6:
		return digits(v/1e6) + " M" + unit
	case v >= 1e3:
		return digits(v/1e3) + " k" + unit
	case unit == "":
		return strconv.FormatFloat(v, 'g', 3, 64)
	default:
		return digits(v) + " " + unit
	}
}

func spanText(ns float64) string {
	switch {
	case ns >= 1e6:
		return digits(ns/1e6) + " ms"
	case ns >= 1e3:
		return digits(ns/1e3) + " µs"
	default:
		return digits(ns) + " ns"
	}
}

func ratio(v float64) string {
	if v < 0.1 {
		return strconv.FormatFloat(v, 'g', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

func digits(v float64) string {
	switch {
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
}
