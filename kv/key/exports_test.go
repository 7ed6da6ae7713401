package key

import (
	"bytes"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// Keys of listed files come back, and lie by (dataset, day, market), files of all markets first.
func TestExportKeys(t *testing.T) {
	draw := func(rt *rapid.T, name string) ExportKey {
		return ExportKey{rapid.Uint8().Draw(rt, name), rapid.Uint32().Draw(rt, name), rapid.Int64Range(-1, math.MaxInt32).Draw(rt, name)}
	}
	less := func(a, b ExportKey) bool {
		switch {
		case a.Dataset != b.Dataset:
			return a.Dataset < b.Dataset
		case a.Day != b.Day:
			return a.Day < b.Day
		}
		return a.Market < b.Market
	}
	rapid.Check(t, func(rt *rapid.T) {
		a, b := draw(rt, "a"), draw(rt, "b")
		ka, kb := Export(nil, a.Dataset, a.Day, a.Market), Export(nil, b.Dataset, b.Day, b.Market)
		got, err := ParseExport(ka)
		if err != nil || got != a {
			rt.Fatalf("%+v came back as %+v, %v", a, got, err)
		}
		if (bytes.Compare(ka, kb) < 0) != less(a, b) {
			rt.Fatalf("%+v and %+v lie the other way round", a, b)
		}
	})
	for _, bad := range [][]byte{nil, {'x'}, Export(nil, 1, 2, 3)[:13], append(Export(nil, 1, 2, 3), 0), append([]byte{'y'}, Export(nil, 1, 2, 3)[1:]...)} {
		if _, err := ParseExport(bad); err == nil {
			t.Errorf("%x was read", bad)
		}
	}
}
