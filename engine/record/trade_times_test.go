package record

import "testing"

// TestTimesOfTrades holds the times alone against those of the whole rows, in both forms.
func TestTimesOfTrades(t *testing.T) {
	for _, n := range []int{0, 1, 7, 1024} {
		rows := likeTrades(n, uint64(n))
		for name, b := range map[string][]byte{"block": AppendTradeBlock(nil, 3, rows), "segment": AppendTradeSegment(nil, 3, rows)} {
			got, err := DecodeTimes(nil, b)
			if err != nil || len(got) != n {
				t.Fatalf("%s of %d: %d times, %v", name, n, len(got), err)
			}
			for i := range rows {
				if got[i] != rows[i].Time {
					t.Fatalf("%s of %d: time %d is %d, not %d", name, n, i, got[i], rows[i].Time)
				}
			}
			for cut := range len(b) {
				if times, err := DecodeTimes(nil, b[:cut]); err == nil && len(times) == n && n > 0 {
					t.Fatalf("%s of %d cut at %d is taken for whole", name, n, cut)
				}
			}
		}
	}
}
