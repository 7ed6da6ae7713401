package export

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"hyperlight/engine/model"
)

// The keys of a file's metadata. heldKey is an addition that readers of others may ignore.
const (
	versionKey = "hyperlight.schema_version"
	datasetKey = "hyperlight.dataset"
	venueKey   = "hyperlight.venue"
	sourceKey  = "hyperlight.source_rows_sha256"
	heldKey    = "hyperlight.held"
)

// metadata returns the key-value pairs of a footer.
func (f *Footer) metadata() [][2]string {
	out := [][2]string{
		{versionKey, strconv.Itoa(SchemaVersion)}, {datasetKey, string(f.Dataset)}, {venueKey, f.Venue},
	}
	if f.SourceSHA256 != "" {
		out = append(out, [2]string{sourceKey, f.SourceSHA256})
	}
	if len(f.Held) > 0 {
		rows := make([][3]int64, len(f.Held))
		for i, h := range f.Held {
			rows[i] = [3]int64{int64(h.Market), int64(h.From), int64(h.To)}
		}
		text, _ := json.Marshal(rows) // integers always have a text
		out = append(out, [2]string{heldKey, string(text)})
	}
	return out
}

// readFooter reads what a file says of itself.
func readFooter(lookup func(string) (string, bool)) (Footer, error) {
	text, ok := lookup(versionKey)
	if !ok {
		return Footer{}, fmt.Errorf("%w: its metadata has no %s", ErrNotLake, versionKey)
	}
	version, err := strconv.Atoi(text)
	switch {
	case err != nil || version < 1:
		return Footer{}, fmt.Errorf("%w: %s is %q", ErrNotLake, versionKey, text)
	case version > SchemaVersion:
		return Footer{}, fmt.Errorf("%w: %d; this program reads %d", ErrVersion, version, SchemaVersion)
	}
	var f Footer
	name, _ := lookup(datasetKey)
	if f.Dataset = Dataset(name); !slices.Contains(Datasets[:], f.Dataset) {
		return Footer{}, fmt.Errorf("%w: its dataset is %q", ErrNotLake, name)
	}
	f.Venue, _ = lookup(venueKey)
	f.SourceSHA256, _ = lookup(sourceKey)
	if text, ok := lookup(heldKey); ok {
		var rows [][3]int64
		if err := json.Unmarshal([]byte(text), &rows); err != nil {
			return Footer{}, fmt.Errorf("%w: its metadata %s cannot be read", ErrNotLake, heldKey)
		}
		for _, r := range rows {
			f.Held = append(f.Held, Held{Market: int32(r[0]), From: model.Millis(r[1]), To: model.Millis(r[2])})
		}
	}
	return f, nil
}
