package record

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"hyperlight/engine/model"
)

// Rows of the list of files come back, and damaged ones are refused.
func TestExportFiles(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := ExportFile{
			Symbol: rapid.String().Draw(rt, "symbol"), Rows: rapid.Int64Min(0).Draw(rt, "rows"), Bytes: rapid.Int64Min(0).Draw(rt, "bytes"),
			SchemaVersion: rapid.IntRange(0, 1000).Draw(rt, "version"), Created: model.Millis(rapid.Int64().Draw(rt, "created")), Store: rapid.String().Draw(rt, "store"),
		}
		copy(f.SHA256[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(rt, "sum"))
		copy(f.Source[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(rt, "source"))
		b := AppendExportFile(nil, &f)
		got, err := DecodeExportFile(b)
		if err != nil || got != f {
			rt.Fatalf("%+v came back as %+v, %v", f, got, err)
		}
		if _, err := DecodeExportFile(b[:rapid.IntRange(1, len(b)-1).Draw(rt, "cut")]); !errors.Is(err, ErrCorrupt) {
			rt.Fatalf("a cut row: %v", err)
		}
		if _, err := DecodeExportFile(append(b, 0)); !errors.Is(err, ErrCorrupt) {
			rt.Fatalf("a row with more behind it: %v", err)
		}
	})
	if _, err := DecodeExportFile([]byte{3}); !errors.Is(err, ErrVersion) {
		t.Errorf("a row of a newer version: %v", err)
	}
}

// A row of the first version, which did not say which object store has the file, is of a file that none is known to have.
func TestExportFileOfTheFirstVersion(t *testing.T) {
	f := ExportFile{Symbol: "ETH", Rows: 5, Bytes: 900, SchemaVersion: 1, Created: 1_767_313_800_000}
	b := AppendExportFile(nil, &f)
	b[0], b[len(b)-1] = 1, 1 // a true in the place of an empty text
	if got, err := DecodeExportFile(b); err != nil || got != f {
		t.Errorf("%+v is read as %+v, %v", f, got, err)
	}
}

func FuzzExportFile(f *testing.F) {
	f.Add(AppendExportFile(nil, &ExportFile{Symbol: "ETH", Rows: 5, Bytes: 900, SchemaVersion: 1, Created: 1_767_313_800_000, Store: "a"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := DecodeExportFile(b)
		if err != nil {
			return
		}
		again, err := DecodeExportFile(AppendExportFile(nil, &file))
		if err != nil || again != file {
			t.Fatalf("%+v came back as %+v, %v", file, again, err)
		}
	})
}
