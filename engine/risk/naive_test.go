package risk

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

func drawEntries(t *rapid.T, mark int64) []Entry {
	n := rapid.IntRange(0, 60).Draw(t, "entries")
	entries := make([]Entry, n)
	for i := range entries {
		e := &entries[i]
		e.Account = model.AccountID(rapid.IntRange(1, 20).Draw(t, "account"))
		e.Price = rapid.Int64Range(1, 3*mark).Draw(t, "price")
		if rapid.Bool().Draw(t, "near") {
			e.Price = mark + rapid.Int64Range(-50, 50).Draw(t, "tick")*1e6
		}
		e.Size = rapid.Int64Range(1, 1e9).Draw(t, "size")
		e.Long = rapid.Bool().Draw(t, "long")
		usd, err := num.MulUSD(num.Price(e.Price), PriceScale, num.Size(e.Size), 4)
		if err != nil {
			t.Fatal(err)
		}
		e.Notional = usd
	}
	return entries
}

func edge(low, high int64, i, n int) int64 {
	r := new(big.Rat).SetFrac64((high-low)*int64(i), int64(n))
	r.Add(r, new(big.Rat).SetInt64(low))
	return roundHalfEven(r)
}

func roundHalfEven(r *big.Rat) int64 {
	q, rest := new(big.Int).QuoRem(r.Num(), r.Denom(), new(big.Int))
	twice := new(big.Int).Abs(rest)
	twice.Lsh(twice, 1)
	if c := twice.Cmp(r.Denom()); c > 0 || c == 0 && q.Bit(0) == 1 {
		q.Add(q, big.NewInt(int64(rest.Sign())))
	}
	return q.Int64()
}

// Every number of a heatmap equals what one entry after the other adds up to.
func TestHeatmapEqualsNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mark := rapid.Int64Range(1e8, 1e13).Draw(t, "mark")
		entries := drawEntries(t, mark)
		q := HeatmapQuery{
			RangePct:  num.Decimal{Mant: rapid.Int64Range(10, 900).Draw(t, "range"), Scale: 1},
			Buckets:   rapid.IntRange(10, 500).Draw(t, "buckets"),
			AtRiskPct: num.Decimal{Mant: rapid.Int64Range(1, 500).Draw(t, "at risk"), Scale: 1},
		}
		h, err := NewMap(4, entries).Heatmap(mark, q)
		if err != nil {
			t.Fatal(err)
		}
		percent := func(d num.Decimal) int64 {
			r := new(big.Rat).SetFrac64(d.Mant, 1000)
			return roundHalfEven(r.Mul(r, new(big.Rat).SetInt64(mark)))
		}
		low, high := mark-percent(q.RangePct), mark+percent(q.RangePct)
		var out [2]num.USD
		buckets := make([]Bucket, q.Buckets)
		for i := range buckets {
			buckets[i].Low, buckets[i].High = edge(low, high, i, q.Buckets), edge(low, high, i+1, q.Buckets)
		}
		if buckets[0].Low != low || buckets[len(buckets)-1].High != high {
			t.Fatal("the buckets do not cover the range")
		}
		for _, e := range entries {
			found := false
			for i := range buckets {
				b := &buckets[i]
				if e.Price < b.Low || e.Price >= b.High {
					continue
				}
				found = true
				s := &b.Short
				if e.Long {
					s = &b.Long
				}
				s.Size, s.Notional, s.Count = s.Size+e.Size, s.Notional+e.Notional, s.Count+1
			}
			if !found && e.Long {
				out[0] += e.Notional
			} else if !found {
				out[1] += e.Notional
			}
		}
		for i := range buckets {
			for j := range buckets {
				if j >= i && buckets[j].Low < mark && buckets[i].Low < mark {
					buckets[i].CumulativeLong += buckets[j].Long.Notional
				}
				if j <= i && buckets[j].High > mark && buckets[i].High > mark {
					buckets[i].CumulativeShort += buckets[j].Short.Notional
				}
			}
			buckets[i].Middle = h.Buckets[i].Middle
			if h.Buckets[i] != buckets[i] {
				t.Fatalf("bucket %d: %+v, want %+v", i, h.Buckets[i], buckets[i])
			}
		}
		if got := [2]num.USD{h.LongOut, h.ShortOut}; got != out {
			t.Fatalf("outside %v, want %v", got, out)
		}
		var risk [2]num.USD
		for _, e := range entries {
			off := percent(q.AtRiskPct)
			if e.Long && e.Price >= mark-off && e.Price <= mark {
				risk[0] += e.Notional
			} else if !e.Long && e.Price >= mark && e.Price <= mark+off {
				risk[1] += e.Notional
			}
		}
		if got := [2]num.USD{h.LongAtRisk, h.ShortAtRisk}; got != risk || h.Positions != len(entries) {
			t.Fatalf("at risk %v, want %v; %d positions", got, risk, h.Positions)
		}
	})
}

// naiveCascade follows the contract's five steps one position and one level at a time.
func naiveCascade(entries []Entry, mark, trigger int64, levels []restingLevel, maxSteps int) Cascade {
	down := trigger < mark
	worse := func(a, b int64) bool { return down && a < b || !down && a > b }
	c := Cascade{Down: down, Trigger: trigger, Final: trigger}
	taken := make([]bool, len(entries))
	left := make([]int64, len(levels))
	for i, l := range levels {
		if !worse(trigger, l.price) {
			left[i] = l.size
		}
	}
	price := trigger
	for len(c.Steps) < maxSteps && !c.Exhausted {
		s := Step{From: price, To: price}
		for i, e := range entries {
			if !taken[i] && e.Long == down && !worse(e.Price, price) {
				taken[i] = true
				s.Closed.Size, s.Closed.Notional, s.Closed.Count = s.Closed.Size+e.Size, s.Closed.Notional+e.Notional, s.Closed.Count+1
			}
		}
		if s.Closed.Count == 0 {
			break
		}
		rest := s.Closed.Size
		for i := range left {
			if rest > 0 && left[i] > 0 {
				part := min(rest, left[i])
				left[i], rest, s.To = left[i]-part, rest-part, levels[i].price
			}
		}
		c.Exhausted = rest > 0
		c.Closed.Size, c.Closed.Notional, c.Closed.Count = c.Closed.Size+s.Closed.Size, c.Closed.Notional+s.Closed.Notional, c.Closed.Count+s.Closed.Count
		s.Cumulative = c.Closed.Notional
		c.Steps = append(c.Steps, s)
		if worse(s.To, price) {
			price = s.To
		}
	}
	c.Final = price
	return c
}

func TestCascadeEqualsNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const mark = 3_000e8
		entries := drawEntries(t, mark)
		trigger := mark + rapid.SampledFrom([]int64{-1, 1}).Draw(t, "way")*rapid.Int64Range(1, 60).Draw(t, "push")*1e6
		price := int64(mark) / 1e6
		step := int64(1)
		if trigger < mark {
			step = -1
		}
		var book Levels
		book.PriceScale, book.SizeScale = 2, 4
		var levels []restingLevel
		for range rapid.IntRange(0, 30).Draw(t, "levels") {
			price += step * rapid.Int64Range(1, 5).Draw(t, "gap")
			size := rapid.Int64Range(1, 3e9).Draw(t, "level size")
			book.Levels = append(book.Levels, model.Level{Price: num.Price(price), Size: num.Size(size)})
			levels = append(levels, restingLevel{price * 1e6, size})
		}
		steps := rapid.IntRange(1, 20).Draw(t, "steps")
		got, err := NewMap(4, entries).Cascade(mark, trigger, book, steps)
		if err != nil {
			t.Fatal(err)
		}
		want := naiveCascade(entries, mark, trigger, levels, steps)
		if len(got.Steps) != len(want.Steps) || got.Final != want.Final || got.Exhausted != want.Exhausted || got.Closed != want.Closed {
			t.Fatalf("got %+v, want %+v", *got, want)
		}
		for i := range want.Steps {
			if got.Steps[i] != want.Steps[i] {
				t.Fatalf("step %d: %+v, want %+v", i, got.Steps[i], want.Steps[i])
			}
		}
	})
}

// The fast liquidation price is the exact one, rounded half-even.
func TestLiquidationPriceIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := &model.Account{Collateral: num.USD(rapid.Int64Range(-1e12, 1e15).Draw(t, "collateral"))}
		markets := map[model.MarketID]Market{}
		for i := range rapid.IntRange(1, 5).Draw(t, "positions") {
			ps := uint8(rapid.IntRange(0, 6).Draw(t, "price scale"))
			maintenance := rapid.Int32Range(1, 2000).Draw(t, "maintenance")
			id := model.MarketID(i)
			markets[id] = Market{
				Info: perp(id, ps, 6-ps, 2*maintenance, maintenance, maintenance/2),
				Mark: num.Decimal{Mant: rapid.Int64Range(1, 1e9).Draw(t, "mark"), Scale: ps},
			}
			a.Positions = append(a.Positions, model.Position{
				Market: id, Size: num.Size(rapid.Int64Range(-1e6, 1e6).Draw(t, "size")), Entry: num.USD(rapid.Int64Range(0, 1e15).Draw(t, "entry")),
				Isolated: rapid.Bool().Draw(t, "isolated"), Allocated: num.USD(rapid.Int64Range(0, 1e12).Draw(t, "allocated")),
			})
		}
		s := Assess(a, func(id model.MarketID) (Market, bool) { m, ok := markets[id]; return m, ok })
		for i := range s.Exposures {
			e := &s.Exposures[i]
			exact := e.exactLiquidationPrice()
			got, ok := e.LiquidationPrice()
			if exact == nil {
				continue
			}
			scaled := new(big.Rat).Mul(exact, new(big.Rat).SetInt64(num.Pow10(PriceScale)))
			if !new(big.Int).Quo(scaled.Num(), scaled.Denom()).IsInt64() {
				if ok {
					t.Fatalf("%s does not fit, got %s", exact.FloatString(10), got)
				}
				continue
			}
			want := roundHalfEven(scaled)
			if want > 1<<60 || want < -1<<60 {
				continue // beyond the range that is promised
			}
			if ok != (want > 0) || ok && got.Mant != want {
				t.Fatalf("got %s (%v), want %s", got, ok, exact.FloatString(10))
			}
		}
	})
}
