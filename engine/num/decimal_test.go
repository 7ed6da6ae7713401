package num

import (
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/cockroachdb/apd/v3"
	"pgregory.net/rapid"
)

func TestParseDecimal(t *testing.T) {
	for _, c := range []struct {
		text string
		want Decimal
		err  error
	}{
		{"0", Decimal{}, nil},
		{"-1.50", Decimal{-150, 2}, nil},
		{"0.000000000000000001", Decimal{1, 18}, nil},
		{"0.0000000000000000010", Decimal{}, ErrScale},
		{"0.0000000000000000001", Decimal{}, ErrScale},
		{"a.sentence that is long enough", Decimal{}, ErrSyntax},
		{"1.", Decimal{}, ErrSyntax},
		{"10.000000000000000000", Decimal{}, ErrRange},
	} {
		if got, err := ParseDecimal([]byte(c.text)); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("ParseDecimal(%q) = %v, %v; want %v, %v", c.text, got, err, c.want, c.err)
		}
	}
}

func TestDecimalCmp(t *testing.T) {
	mants := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-20, 20), rapid.SampledFrom([]int64{math.MinInt64, math.MaxInt64, 1e18, -1e18}))
	decimals := rapid.Custom(func(t *rapid.T) Decimal {
		return Decimal{mants.Draw(t, "mant"), uint8(rapid.IntRange(0, MaxScale).Draw(t, "scale"))}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := decimals.Draw(t, "a"), decimals.Draw(t, "b")
		want := apd.New(a.Mant, -int32(a.Scale)).Cmp(apd.New(b.Mant, -int32(b.Scale)))
		if got := a.Cmp(b); got != want {
			t.Fatalf("%v.Cmp(%v) = %d, want %d", a, b, got, want)
		}
	})
}

// toBig returns an Acc's value as a big integer, from its words.
func toBig(a Acc) *big.Int {
	v := new(big.Int).Lsh(big.NewInt(a.hi), 64)
	return v.Add(v, new(big.Int).SetUint64(a.lo))
}

func TestAccSums(t *testing.T) {
	operand := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-3, 3), rapid.SampledFrom([]int64{math.MinInt64, math.MaxInt64}))
	rapid.Check(t, func(t *rapid.T) {
		var a, b Acc
		wantA, wantB := new(big.Int), new(big.Int)
		for range rapid.IntRange(0, 3).Draw(t, "products") {
			x, y := operand.Draw(t, "x"), operand.Draw(t, "y")
			a.AddProduct(x, y)
			wantA.Add(wantA, new(big.Int).Mul(big.NewInt(x), big.NewInt(y)))
		}
		x := operand.Draw(t, "other")
		b.AddProduct(x, 1)
		wantB.SetInt64(x)
		// Three products of 2^63 x 2^63 do not leave 127 bits only if the sum stays below 2^127.
		if wantA.BitLen() > 126 {
			t.Skip("beyond the documented range")
		}
		if toBig(a).Cmp(wantA) != 0 {
			t.Fatalf("sum %v, want %v", toBig(a), wantA)
		}
		if a.Sign() != wantA.Sign() || toBig(a.Neg()).Cmp(new(big.Int).Neg(wantA)) != 0 {
			t.Fatalf("sign %d of %v, negated %v", a.Sign(), wantA, toBig(a.Neg()))
		}
		if got := a.Cmp(b); got != wantA.Cmp(wantB) || b.Cmp(a) != -got {
			t.Fatalf("Cmp(%v, %v) = %d", wantA, wantB, got)
		}
		got, err := a.Int64()
		if wantA.IsInt64() != (err == nil) || err == nil && got != wantA.Int64() {
			t.Fatalf("Int64(%v) = %d, %v", wantA, got, err)
		}
		a.Add(b)
		if toBig(a).Cmp(wantA.Add(wantA, wantB)) != 0 {
			t.Fatalf("added %v, want %v", toBig(a), wantA)
		}
	})
}

// halfEven divides exactly in big integers: round(n / d), ties to even.
func halfEven(n, d *big.Int) *big.Int {
	q, r := new(big.Int).QuoRem(n, d, new(big.Int))
	r.Abs(r).Lsh(r, 1)
	if c := r.Cmp(d); c > 0 || c == 0 && q.Bit(0) == 1 {
		q.Add(q, big.NewInt(int64(n.Sign())))
	}
	return q
}

func bigPow10(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// randomOperand has every magnitude, many round decimals, and the ends.
func randomOperand(r *rand.Rand) int64 {
	switch r.IntN(8) {
	case 0:
		return []int64{0, 1, -1, math.MaxInt64, math.MinInt64, 5, -5, 25}[r.IntN(8)]
	case 1, 2:
		return int64(r.IntN(2001)-1000) * pow10[r.IntN(16)]
	default:
		return int64(r.Uint64()) >> r.IntN(63)
	}
}

// TestRoundingPairs rounds products and quotients of random pairs and compares with big integers; HYPERLIGHT_SOAK raises
// the number of pairs.
func TestRoundingPairs(t *testing.T) {
	pairs := 200_000
	if os.Getenv("HYPERLIGHT_SOAK") != "" {
		pairs = 20_000_000
	}
	r := rand.New(rand.NewPCG(1, 2))
	ok := 0
	for range pairs {
		x, y := randomOperand(r), randomOperand(r)
		var a Acc
		a.AddProduct(x, y)
		exact := new(big.Int).Mul(big.NewInt(x), big.NewInt(y))
		from, to := r.IntN(2*MaxScale+1), r.IntN(MaxScale+1)

		want := new(big.Int).Set(exact)
		if to >= from {
			want.Mul(want, bigPow10(to-from))
		} else {
			want = halfEven(exact, bigPow10(from-to))
		}
		got, err := a.Round(uint8(from), uint8(to))
		if want.IsInt64() != (err == nil) || err == nil && got != want.Int64() || err != nil && !errors.Is(err, ErrRange) {
			t.Fatalf("Round(%v, %d, %d) = %d, %v, want %v", exact, from, to, got, err, want)
		}

		d := randomOperand(r)
		got, err = a.DivRound(d, uint8(from), uint8(to))
		if d <= 0 {
			if !errors.Is(err, ErrRange) {
				t.Fatalf("DivRound by %d: %v", d, err)
			}
			continue
		}
		num, den := new(big.Int).Set(exact), big.NewInt(d)
		if to >= from {
			num.Mul(num, bigPow10(to-from))
		} else {
			den.Mul(den, bigPow10(from-to))
		}
		want = halfEven(num, den)
		switch {
		case err == nil && (!want.IsInt64() || got != want.Int64()):
			t.Fatalf("DivRound(%v, %d, %d, %d) = %d, want %v", exact, d, from, to, got, want)
		case err != nil && !errors.Is(err, ErrRange):
			t.Fatal(err)
		case err != nil && want.IsInt64() && num.BitLen() < 127 && den.BitLen() <= 64 && from-to <= MaxScale:
			t.Fatalf("DivRound(%v, %d, %d, %d): %v although everything fits, want %v", exact, d, from, to, err, want)
		case err == nil:
			ok++
		}
	}
	if ok < pairs/10 {
		t.Fatalf("only %d of %d pairs gave a quotient: the test proves little", ok, pairs)
	}
}

// TestGreatestQuotient holds the rounding up of 2^64-1, which must not wrap to 0.
func TestGreatestQuotient(t *testing.T) {
	for _, a := range []Acc{{hi: 9, lo: math.MaxUint64}, {hi: 4, lo: math.MaxUint64}, {hi: 5, lo: 0}} {
		for _, s := range []Acc{a, a.Neg()} {
			want := halfEven(toBig(s), big.NewInt(10))
			got, err := s.Round(1, 0)
			if want.IsInt64() != (err == nil) || err == nil && got != want.Int64() {
				t.Errorf("Round(%v, 1, 0) = %d, %v, want %v", toBig(s), got, err, want)
			}
		}
	}
}

func TestMulUSDAgainstArbitraryPrecision(t *testing.T) {
	ctx := apd.BaseContext.WithPrecision(60)
	ctx.Rounding = apd.RoundHalfEven
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.Int64Range(-1e15, 1e15).Draw(t, "price")
		s := rapid.Int64Range(-1e15, 1e15).Draw(t, "size")
		ps, ss := rapid.IntRange(0, MaxScale).Draw(t, "ps"), rapid.IntRange(0, MaxScale).Draw(t, "ss")
		var want apd.Decimal
		if _, err := ctx.Mul(&want, apd.New(p, -int32(ps)), apd.New(s, -int32(ss))); err != nil {
			t.Fatal(err)
		}
		if _, err := ctx.Quantize(&want, &want, -USDScale); err != nil {
			t.Fatal(err)
		}
		want.Exponent += USDScale
		got, err := MulUSD(Price(p), uint8(ps), Size(s), uint8(ss))
		m, ierr := want.Int64()
		if (ierr == nil) != (err == nil) || err == nil && int64(got) != m {
			t.Fatalf("MulUSD(%d/%d, %d/%d) = %d, %v, want %s", p, ps, s, ss, got, err, want.String())
		}
	})
}

func BenchmarkRound(b *testing.B) {
	var a Acc
	a.AddProduct(433502, 137920)
	for b.Loop() {
		if _, err := a.Round(6, 4); err != nil {
			b.Fatal(err)
		}
	}
}
