package export

import (
	"math"
	"slices"
	"testing"

	"github.com/parquet-go/parquet-go/encoding/delta"
	"pgregory.net/rapid"
)

// The library's decoder gives back what wholeBytes encoded, of any number of values and any differences.
func TestWholeBytes(t *testing.T) {
	check := func(t rapid.TB, values []int64) {
		encoded, err := new(wholeBytes).EncodeInt64([]byte("overwritten"), values)
		if err != nil {
			t.Fatal(err)
		}
		got, err := new(delta.BinaryPackedEncoding).DecodeInt64(nil, encoded)
		if err != nil || !slices.Equal(got, values) {
			t.Fatalf("%d values come back as %d, %v", len(values), len(got), err)
		}
	}
	for _, n := range []int{0, 1, 2, deltaPart, deltaPart + 1, deltaPart + 2, deltaBlock, deltaBlock + 1, deltaBlock + 2, 3*deltaBlock + 5} {
		values := make([]int64, n)
		check(t, values)
		for i := range values {
			values[i] = int64(i*i%1000) << (i / deltaPart * 7 % 56)
		}
		check(t, values)
		for i := range values {
			values[i] = math.MinInt64 + int64(i%2)*math.MaxInt64*2 // differences overflow
		}
		check(t, values)
	}
	rapid.Check(t, func(rt *rapid.T) {
		values := make([]int64, rapid.IntRange(0, 2*deltaBlock+3).Draw(rt, "values"))
		seed := rapid.SliceOfN(rapid.Int64(), 1, 8).Draw(rt, "of")
		for i := range values {
			values[i] = seed[i%len(seed)] >> (i / 100 % 64)
		}
		check(rt, values)
	})
}

func BenchmarkWholeBytes(b *testing.B) {
	values := make([]int64, 32_768)
	for i := range values {
		values[i] = 562_949_953_421_312 + int64(i*20+i*i%7919)
	}
	var dst []byte
	b.SetBytes(int64(8 * len(values)))
	for b.Loop() {
		dst, _ = new(wholeBytes).EncodeInt64(dst, values)
	}
}
