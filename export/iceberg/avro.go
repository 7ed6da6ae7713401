package iceberg

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/hamba/avro/v2"
	"github.com/hamba/avro/v2/ocf"
)

// Avro's forms of what the table format calls manifests and manifest lists. The field ids are its own.

// entry is a file of a table, a row of a manifest.
type entry struct {
	Status       int32    `avro:"status"`
	Snapshot     *int64   `avro:"snapshot_id"`
	Sequence     *int64   `avro:"sequence_number"`
	FileSequence *int64   `avro:"file_sequence_number"`
	File         dataFile `avro:"data_file"`

	digest [sha256.Size]byte // of the file's bytes
}

const (
	existing int32 = iota
	added
	deleted
)

type dataFile struct {
	Content      int32      `avro:"content"`
	Path         string     `avro:"file_path"`
	Format       string     `avro:"file_format"`
	Partition    partition  `avro:"partition"`
	Rows         int64      `avro:"record_count"`
	Bytes        int64      `avro:"file_size_in_bytes"`
	ColumnBytes  *[]idLong  `avro:"column_sizes"`
	Values       *[]idLong  `avro:"value_counts"`
	Nulls        *[]idLong  `avro:"null_value_counts"`
	Lower        *[]idBytes `avro:"lower_bounds"`
	Upper        *[]idBytes `avro:"upper_bounds"`
	SplitOffsets *[]int64   `avro:"split_offsets"`
	SortOrder    *int32     `avro:"sort_order_id"`
}

// partition has the values that all rows of a file share.
type partition struct {
	Market *int32 `avro:"market_id"`
	Day    *int32 `avro:"day"` // since 1970-01-01
}

type idLong struct {
	ID    int32 `avro:"key"`
	Value int64 `avro:"value"`
}

type idBytes struct {
	ID    int32  `avro:"key"`
	Value []byte `avro:"value"`
}

// listed is a manifest, a row of a manifest list.
type listed struct {
	Path         string     `avro:"manifest_path"`
	Bytes        int64      `avro:"manifest_length"`
	Spec         int32      `avro:"partition_spec_id"`
	Content      int32      `avro:"content"`
	Sequence     int64      `avro:"sequence_number"`
	MinSequence  int64      `avro:"min_sequence_number"`
	Snapshot     int64      `avro:"added_snapshot_id"`
	Added        int32      `avro:"added_files_count"`
	Existing     int32      `avro:"existing_files_count"`
	Deleted      int32      `avro:"deleted_files_count"`
	AddedRows    int64      `avro:"added_rows_count"`
	ExistingRows int64      `avro:"existing_rows_count"`
	DeletedRows  int64      `avro:"deleted_rows_count"`
	Partitions   *[]summary `avro:"partitions"`
}

// summary has the bounds of a partition field in a manifest.
type summary struct {
	HasNull bool    `avro:"contains_null"`
	HasNaN  *bool   `avro:"contains_nan"`
	Lower   *[]byte `avro:"lower_bound"`
	Upper   *[]byte `avro:"upper_bound"`
}

func idMap(name string, id, key, value int, kind string) string {
	return fmt.Sprintf(`{"name":%q,"type":["null",{"type":"array","logicalType":"map","items":{"type":"record","name":"k%d_v%d","fields":[`+
		`{"name":"key","type":"int","field-id":%d},{"name":"value","type":%q,"field-id":%d}]}}],"default":null,"field-id":%d}`,
		name, key, value, key, kind, value, id)
}

// entrySchema returns the schema of manifests, of files with or without a market.
func entrySchema(perMarket bool) string {
	market := ""
	if perMarket {
		market = fmt.Sprintf(`{"name":"market_id","type":["null","int"],"default":null,"field-id":%d},`, marketField)
	}
	return `{"type":"record","name":"manifest_entry","fields":[` +
		`{"name":"status","type":"int","field-id":0},` +
		`{"name":"snapshot_id","type":["null","long"],"default":null,"field-id":1},` +
		`{"name":"sequence_number","type":["null","long"],"default":null,"field-id":3},` +
		`{"name":"file_sequence_number","type":["null","long"],"default":null,"field-id":4},` +
		`{"name":"data_file","type":{"type":"record","name":"r2","fields":[` +
		`{"name":"content","type":"int","field-id":134},` +
		`{"name":"file_path","type":"string","field-id":100},` +
		`{"name":"file_format","type":"string","field-id":101},` +
		`{"name":"partition","type":{"type":"record","name":"r102","fields":[` + market +
		fmt.Sprintf(`{"name":"day","type":["null",{"type":"int","logicalType":"date"}],"default":null,"field-id":%d}`, dayField) +
		`]},"field-id":102},` +
		`{"name":"record_count","type":"long","field-id":103},` +
		`{"name":"file_size_in_bytes","type":"long","field-id":104},` +
		idMap("column_sizes", 108, 117, 118, "long") + `,` +
		idMap("value_counts", 109, 119, 120, "long") + `,` +
		idMap("null_value_counts", 110, 121, 122, "long") + `,` +
		idMap("lower_bounds", 125, 126, 127, "bytes") + `,` +
		idMap("upper_bounds", 128, 129, 130, "bytes") + `,` +
		`{"name":"split_offsets","type":["null",{"type":"array","items":"long","element-id":133}],"default":null,"field-id":132},` +
		`{"name":"sort_order_id","type":["null","int"],"default":null,"field-id":140}` +
		`]},"field-id":2}]}`
}

const listSchema = `{"type":"record","name":"manifest_file","fields":[` +
	`{"name":"manifest_path","type":"string","field-id":500},` +
	`{"name":"manifest_length","type":"long","field-id":501},` +
	`{"name":"partition_spec_id","type":"int","field-id":502},` +
	`{"name":"content","type":"int","field-id":517},` +
	`{"name":"sequence_number","type":"long","field-id":515},` +
	`{"name":"min_sequence_number","type":"long","field-id":516},` +
	`{"name":"added_snapshot_id","type":"long","field-id":503},` +
	`{"name":"added_files_count","type":"int","field-id":504},` +
	`{"name":"existing_files_count","type":"int","field-id":505},` +
	`{"name":"deleted_files_count","type":"int","field-id":506},` +
	`{"name":"added_rows_count","type":"long","field-id":512},` +
	`{"name":"existing_rows_count","type":"long","field-id":513},` +
	`{"name":"deleted_rows_count","type":"long","field-id":514},` +
	`{"name":"partitions","type":["null",{"type":"array","element-id":508,"items":{"type":"record","name":"r508","fields":[` +
	`{"name":"contains_null","type":"boolean","field-id":509},` +
	`{"name":"contains_nan","type":["null","boolean"],"default":null,"field-id":518},` +
	`{"name":"lower_bound","type":["null","bytes"],"default":null,"field-id":510},` +
	`{"name":"upper_bound","type":["null","bytes"],"default":null,"field-id":511}]}}],"default":null,"field-id":507}]}`

// encode writes an Avro object container. The same rows give the same bytes.
func encode[T any](schema string, metadata map[string][]byte, rows []T) ([]byte, error) {
	parsed, err := avro.ParseWithCache(schema, "", &avro.SchemaCache{})
	if err != nil {
		return nil, fmt.Errorf("parse schema: %w", err)
	}
	h := sha256.New()
	for _, key := range []string{"snapshot-id", "sequence-number", digestsKey, "month"} {
		h.Write(metadata[key])
	}
	var out bytes.Buffer
	w, err := ocf.NewEncoderWithSchema(parsed, &out, ocf.WithMetadata(metadata), ocf.WithCodec(ocf.Null), // deflate is what icebird does not read
		ocf.WithSyncBlock([16]byte(h.Sum(nil))), ocf.WithBlockLength(1000),
		// The library's shorter form of a schema leaves the field ids out.
		ocf.WithSchemaMarshaler(func(avro.Schema) ([]byte, error) { return json.RawMessage(schema), nil }))
	if err != nil {
		return nil, fmt.Errorf("begin container: %w", err)
	}
	for i := range rows {
		if err := w.Encode(&rows[i]); err != nil {
			return nil, fmt.Errorf("encode row: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("end container: %w", err)
	}
	return out.Bytes(), nil
}

// decode reads an Avro object container.
func decode[T any](raw []byte) (rows []T, metadata map[string][]byte, err error) {
	r, err := ocf.NewDecoder(bytes.NewReader(raw), ocf.WithDecoderSchemaCache(&avro.SchemaCache{}))
	if err != nil {
		return nil, nil, fmt.Errorf("open container: %w", err)
	}
	for r.HasNext() {
		var row T
		if err := r.Decode(&row); err != nil {
			return nil, nil, fmt.Errorf("decode row: %w", err)
		}
		rows = append(rows, row)
	}
	return rows, r.Metadata(), r.Error()
}
