package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestReadAndPrint(t *testing.T) {
	out := `goos: linux
cpu: Some CPU
BenchmarkA/x-2   	     100	   12.5 ratio	 1500000 frames/s	 300 bare-frames/s
BenchmarkA/x-2   	     100	   13.5 ratio	 1700000 frames/s	 100 bare-frames/s
BenchmarkA/x-2   	     100	   11.5 ratio	 1600000 frames/s	 200 bare-frames/s
PASS
`
	m, cpu := measured{}, ""
	m.read([]byte(out), &cpu)
	if !strings.Contains(cpu, "Some CPU") {
		t.Errorf("cpu is %q", cpu)
	}
	s := section{title: "T", rows: []row{rate("a", "b", "A/x", "frames", "1 M/s"), rate("c", "d", "A/y", "frames", "")}}
	var b bytes.Buffer
	if missing := s.print(&b, m); missing != 3 {
		t.Errorf("%d figures are missing, want 3", missing)
	}
	if want := "| a | b | 1.60 M/s | 200 /s | 12.50 ± 8 % | 1 M/s |\n"; !strings.Contains(b.String(), want) {
		t.Errorf("printed\n%swant the line\n%s", b.String(), want)
	}
}

func TestQuantity(t *testing.T) {
	for _, c := range []struct {
		v    float64
		unit string
		want string
	}{
		{0, "", "0"}, {2, "", "2"}, {999, "/s", "999 /s"}, {12_345, "/s", "12.3 k/s"}, {1_900_000, "/s", "1.90 M/s"}, {21_234, "B", "21.2 kB"},
		{20.553, "B", "20.6 B"}, {850, "ns", "850 ns"}, {24_700, "ns", "24.7 µs"}, {1_610_000, "ns", "1.61 ms"},
	} {
		if got := quantity(c.v, c.unit); got != c.want {
			t.Errorf("quantity(%v, %q) = %q, want %q", c.v, c.unit, got, c.want)
		}
	}
}
