package num

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/apd/v3"
	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		text  string
		scale uint8
		want  int64
		err   error
	}{
		{"0", 0, 0, nil},
		{"-0", 0, 0, nil},
		{"-0.00", 2, 0, nil},
		{"3200.5", 2, 320050, nil},
		{"3200.50", 2, 320050, nil},
		{"3200.500000000000000000000000000000", 2, 320050, nil},
		{"007.1", 1, 71, nil},
		{"-12.340", 2, -1234, nil},
		{"9223372036854775807", 0, math.MaxInt64, nil},
		{"-9223372036854775808", 0, math.MinInt64, nil},
		{"-9.223372036854775808", 18, math.MinInt64, nil},
		{"0.000000000000000001", 18, 1, nil},
		{"9223372036854775808", 0, 0, ErrRange},
		{"-9223372036854775809", 0, 0, ErrRange},
		{"99999999999999999999", 0, 0, ErrRange},
		{"99999999999999999999.5", 1, 0, ErrRange},
		{"10", 18, 0, ErrRange},
		{"-922337203685477581", 1, 0, ErrRange},
		{"1.23", 1, 0, ErrScale},
		{"0.0000000000000000001", 18, 0, ErrScale},
		{"1", 19, 0, ErrScale},
		{"", 0, 0, ErrSyntax},
		{"-", 0, 0, ErrSyntax},
		{"+1", 0, 0, ErrSyntax},
		{".", 1, 0, ErrSyntax},
		{".5", 1, 0, ErrSyntax},
		{"-.5", 1, 0, ErrSyntax},
		{"5.", 1, 0, ErrSyntax},
		{"1e3", 0, 0, ErrSyntax},
		{"1.2.3", 2, 0, ErrSyntax},
		{"1.2x", 1, 0, ErrSyntax},
		{"1.23x", 1, 0, ErrSyntax},
		{"1.230x", 2, 0, ErrSyntax},
		{" 1", 0, 0, ErrSyntax},
		{"1 ", 0, 0, ErrSyntax},
		{"--1", 0, 0, ErrSyntax},
		{"99999999999999999999x", 0, 0, ErrSyntax},
		{"99999999999999999999.", 0, 0, ErrSyntax},
		{"9.9999999999999999999.9", 18, 0, ErrSyntax},
		{"NaN", 0, 0, ErrSyntax},
		{"\x00", 0, 0, ErrSyntax},
	} {
		got, err := Parse([]byte(c.text), c.scale)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("Parse(%q, %d) = %d, %v; want %d, %v", c.text, c.scale, got, err, c.want, c.err)
		}
	}
}

var plain = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?$`)

// checkParse holds Parse against arbitrary precision: value, and which of the errors.
func checkParse(t interface{ Fatalf(string, ...any) }, text string, scale uint8) {
	got, err := Parse([]byte(text), scale)
	if err != nil && got != 0 {
		t.Fatalf("Parse(%q, %d) = %d beside error %v", text, scale, got, err)
	}
	if scale > MaxScale {
		if !errors.Is(err, ErrScale) {
			t.Fatalf("Parse(%q, %d): %v, want ErrScale", text, scale, err)
		}
		return
	}
	if !plain.MatchString(text) {
		if !errors.Is(err, ErrSyntax) {
			t.Fatalf("Parse(%q, %d) = %d, %v, want ErrSyntax", text, scale, got, err)
		}
		return
	}
	d, _, derr := apd.NewFromString(text)
	if derr != nil {
		t.Fatalf("apd: %q: %v", text, derr)
	}
	d.Exponent += int32(scale)
	var whole, frac apd.Decimal
	d.Modf(&whole, &frac)
	m, ierr := whole.Int64()
	switch {
	case !frac.IsZero() && ierr != nil:
		if !errors.Is(err, ErrScale) && !errors.Is(err, ErrRange) {
			t.Fatalf("Parse(%q, %d) = %d, %v, want ErrScale or ErrRange", text, scale, got, err)
		}
	case !frac.IsZero():
		if !errors.Is(err, ErrScale) {
			t.Fatalf("Parse(%q, %d) = %d, %v, want ErrScale", text, scale, got, err)
		}
	case ierr != nil:
		if !errors.Is(err, ErrRange) {
			t.Fatalf("Parse(%q, %d) = %d, %v, want ErrRange", text, scale, got, err)
		}
	case err != nil || got != m:
		t.Fatalf("Parse(%q, %d) = %d, %v, want %d", text, scale, got, err, m)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"0", "-0.5", "3200.50", "9223372036854775807", "-9223372036854775808", "1.230x", "1e3", "..", "00.000000000000000000001"} {
		f.Add(s, uint8(2))
		f.Add(s, uint8(18))
	}
	f.Fuzz(func(t *testing.T, text string, scale uint8) {
		if len(text) > 400 {
			return
		}
		checkParse(t, text, scale%(MaxScale+2))
		if d, err := ParseDecimal([]byte(text)); err == nil {
			if again, err := ParseDecimal([]byte(d.String())); err != nil || again != d {
				t.Fatalf("ParseDecimal(%q) = %v, again %v, %v", text, d, again, err)
			}
		} else if d != (Decimal{}) {
			t.Fatalf("ParseDecimal(%q) = %v beside %v", text, d, err)
		}
	})
}

func TestParseAgainstArbitraryPrecision(t *testing.T) {
	text := rapid.OneOf(
		rapid.StringMatching(`-?[0-9]{1,19}(\.[0-9]{1,20})?`),
		rapid.StringMatching(`-?0{0,3}[0-9]{1,8}(\.[0-9]{1,8}0{0,12})?`),
		rapid.StringMatching(`-?92233720368547758[0-9]{1,3}(\.[0-9]{1,2})?`),
		rapid.StringMatching(`[-+.0-9ex ]{0,6}`),
	)
	rapid.Check(t, func(t *rapid.T) {
		for range 20 {
			checkParse(t, text.Draw(t, "text"), uint8(rapid.IntRange(0, MaxScale+1).Draw(t, "scale")))
		}
	})
}

func TestAppendParseRoundTrip(t *testing.T) {
	mants := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-1000, 1000), rapid.SampledFrom([]int64{math.MinInt64, math.MinInt64 + 1, math.MaxInt64, 0}))
	rapid.Check(t, func(t *rapid.T) {
		for range 20 {
			m, scale := mants.Draw(t, "mant"), uint8(rapid.IntRange(0, MaxScale).Draw(t, "scale"))
			text := Append([]byte("x"), m, scale)[1:]
			if want := apd.New(m, -int32(scale)).Text('f'); string(text) != want {
				t.Fatalf("Append(%d, %d) = %q, want %q", m, scale, text, want)
			}
			if Decimals(text) != scale {
				t.Fatalf("Decimals(%q) = %d, want %d", text, Decimals(text), scale)
			}
			if back, err := Parse(text, scale); err != nil || back != m {
				t.Fatalf("Parse(%q, %d) = %d, %v, want %d", text, scale, back, err, m)
			}
			short := string(AppendTrim(nil, m, scale))
			if strings.Contains(short, ".") && strings.HasSuffix(short, "0") || strings.HasSuffix(short, ".") {
				t.Fatalf("AppendTrim(%d, %d) = %q", m, scale, short)
			}
			if back, err := Parse([]byte(short), scale); err != nil || back != m {
				t.Fatalf("Parse(%q, %d) = %d, %v, want %d", short, scale, back, err, m)
			}
		}
	})
}

func TestRescale(t *testing.T) {
	mants := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-1e6, 1e6), rapid.Custom(func(t *rapid.T) int64 {
		return rapid.Int64Range(-900, 900).Draw(t, "m") * Pow10(uint8(rapid.IntRange(0, 16).Draw(t, "zeros")))
	}))
	rapid.Check(t, func(t *rapid.T) {
		m := mants.Draw(t, "mant")
		from, to := uint8(rapid.IntRange(0, MaxScale).Draw(t, "from")), uint8(rapid.IntRange(0, MaxScale).Draw(t, "to"))
		got, err := Rescale(m, from, to)
		// Rescaling is the same as writing at one scale and reading at the other.
		want, werr := Parse(Append(nil, m, from), to)
		if got != want || !errors.Is(err, werr) {
			t.Fatalf("Rescale(%d, %d, %d) = %d, %v, want %d, %v", m, from, to, got, err, want, werr)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for _, text := range []string{"4335.02", "0.000123", "1234567.123456"} {
		b.Run(text, func(b *testing.B) {
			in := []byte(text)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(in, 6); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct {
		name string
		mant int64
	}{{"price", 433502}, {"usd", 5978859584}, {"max", math.MaxInt64}} {
		b.Run(c.name, func(b *testing.B) {
			buf := make([]byte, 0, 64)
			b.ReportAllocs()
			for b.Loop() {
				buf = Append(buf[:0], c.mant, 6)
			}
		})
	}
}

func TestAppendUint(t *testing.T) {
	check := func(u uint64) {
		if got, want := string(AppendUint([]byte("x"), u)), "x"+strconv.FormatUint(u, 10); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
	for _, p := range pow10 {
		for d := range uint64(3) {
			check(uint64(p) + d - 1)
		}
	}
	for _, u := range []uint64{1e19 - 1, 1e19, 1e19 + 1, math.MaxUint64} {
		check(u)
	}
	for bit := range 64 {
		check(1 << bit)
		check(1<<bit - 1)
	}
	rapid.Check(t, func(t *rapid.T) { check(rapid.Uint64().Draw(t, "u")) })
}

func BenchmarkAppendUint(b *testing.B) {
	for _, u := range []uint64{77, 1785252546746, 281477536273316} {
		buf := make([]byte, 0, 64)
		b.Run(fmt.Sprint(u), func(b *testing.B) {
			for b.Loop() {
				buf = AppendUint(buf[:0], u)
			}
		})
		b.Run(fmt.Sprint(u, "/strconv"), func(b *testing.B) {
			for b.Loop() {
				buf = strconv.AppendUint(buf[:0], u, 10)
			}
		})
	}
}
