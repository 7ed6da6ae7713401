package iceberg

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"

	"github.com/google/uuid"

	"hyperlight/engine/lake"
)

const formatVersion = 2

// table is a metadata file: the whole state of a table.
type table struct {
	FormatVersion      int               `json:"format-version"`
	UUID               string            `json:"table-uuid"`
	Location           string            `json:"location"`
	LastSequence       int64             `json:"last-sequence-number"`
	LastUpdated        int64             `json:"last-updated-ms"`
	LastColumnID       int               `json:"last-column-id"`
	CurrentSchema      int               `json:"current-schema-id"`
	Schemas            []structType      `json:"schemas"`
	DefaultSpec        int               `json:"default-spec-id"`
	PartitionSpecs     []partitionSpec   `json:"partition-specs"`
	LastPartitionID    int               `json:"last-partition-id"`
	DefaultSortOrder   int               `json:"default-sort-order-id"`
	SortOrders         []sortOrder       `json:"sort-orders"`
	Properties         map[string]string `json:"properties"`
	CurrentSnapshot    *int64            `json:"current-snapshot-id,omitempty"`
	Refs               map[string]ref    `json:"refs,omitempty"`
	Snapshots          []snapshot        `json:"snapshots"`
	SnapshotLog        []snapshotEntry   `json:"snapshot-log"`
	MetadataLog        []metadataEntry   `json:"metadata-log"`
	Statistics         []any             `json:"statistics"`
	PartitionStatistic []any             `json:"partition-statistics"`
}

type partitionSpec struct {
	ID     int              `json:"spec-id"`
	Fields []partitionField `json:"fields"`
}

type partitionField struct {
	Source    int    `json:"source-id"`
	ID        int    `json:"field-id"`
	Name      string `json:"name"`
	Transform string `json:"transform"`
}

type sortOrder struct {
	ID     int         `json:"order-id"`
	Fields []sortField `json:"fields"`
}

type sortField struct {
	Transform string `json:"transform"`
	Source    int    `json:"source-id"`
	Direction string `json:"direction"`
	NullOrder string `json:"null-order"`
}

type ref struct {
	Snapshot int64  `json:"snapshot-id"`
	Type     string `json:"type"`
}

type snapshot struct {
	ID           int64             `json:"snapshot-id"`
	Parent       *int64            `json:"parent-snapshot-id,omitempty"`
	Sequence     int64             `json:"sequence-number"`
	Time         int64             `json:"timestamp-ms"`
	ManifestList string            `json:"manifest-list"`
	Summary      map[string]string `json:"summary"`
	Schema       int               `json:"schema-id"`
}

type snapshotEntry struct {
	Time     int64 `json:"timestamp-ms"`
	Snapshot int64 `json:"snapshot-id"`
}

type metadataEntry struct {
	Time int64  `json:"timestamp-ms"`
	File string `json:"metadata-file"`
}

const (
	specID       = 0
	sortID       = 1
	marketField  = 1000
	dayField     = 1001
	marketColumn = "market_id"
	dayPartition = "day"
	nameMapping  = "schema.name-mapping.default"
	storeKey     = "hyperlight.store" // where a table is copied to
)

// create makes the table of a dataset that has none.
func (s *state) create(location string, now int64) {
	seed := fmt.Sprintf("%s %d", location, now)
	s.table = &table{
		FormatVersion: formatVersion, UUID: uuid.NewSHA1(uuid.NameSpaceURL, []byte(seed)).String(), Location: location,
		LastUpdated: now, DefaultSpec: specID, LastPartitionID: dayField, DefaultSortOrder: sortID,
		Properties: map[string]string{"write.format.default": "parquet", "write.parquet.compression-codec": "zstd"},
		Snapshots:  []snapshot{}, SnapshotLog: []snapshotEntry{}, MetadataLog: []metadataEntry{}, Statistics: []any{}, PartitionStatistic: []any{},
	}
	if err := s.adopt(); err != nil {
		panic(err) // the schemas are constants, and every test opens them all
	}
	fields := s.fields()
	layout := datasets[s.dataset]
	spec := partitionSpec{ID: specID, Fields: []partitionField{}}
	if s.dataset.PerMarket() {
		spec.Fields = append(spec.Fields, partitionField{find(fields, marketColumn).ID, marketField, marketColumn, "identity"})
	}
	spec.Fields = append(spec.Fields, partitionField{find(fields, layout.day).ID, dayField, dayPartition, "day"})
	s.table.PartitionSpecs = []partitionSpec{spec}
	order := sortOrder{ID: sortID}
	for _, name := range layout.sorted {
		order.Fields = append(order.Fields, sortField{"identity", find(fields, name).ID, "asc", "nulls-first"})
	}
	s.table.SortOrders = []sortOrder{order}
}

// fields returns the fields of the current schema.
func (s *state) fields() []field { return s.schema().Fields }

func (s *state) schema() *structType {
	for i := range s.table.Schemas {
		if id := s.table.Schemas[i].SchemaID; id != nil && *id == s.table.CurrentSchema {
			return &s.table.Schemas[i]
		}
	}
	return &structType{}
}

// adopt brings the table to the schema of this version, in which fields keep their ids.
func (s *state) adopt() error {
	i := ids{known: make(map[string]int), last: s.table.LastColumnID}
	have := s.schema()
	known(have.Fields, "", i.known)
	fields, err := fieldsOf(datasets[s.dataset].parquet, "", &i)
	if err != nil {
		return err
	}
	if reflect.DeepEqual(have.Fields, fields) {
		return nil
	}
	id := len(s.table.Schemas)
	s.table.Schemas = append(s.table.Schemas, structType{Type: "struct", SchemaID: &id, Fields: fields})
	s.table.CurrentSchema, s.table.LastColumnID = id, i.last
	names, err := json.Marshal(mappingOf(fields))
	if err != nil {
		return fmt.Errorf("write name mapping: %w", err)
	}
	s.table.Properties[nameMapping] = string(names)
	s.newSchema = true
	return nil
}

// nextSnapshot returns the id of the snapshot with a sequence number. It has 53 bits, as many as every JSON reader keeps.
func (t *table) nextSnapshot(sequence int64) int64 {
	h := sha256.Sum256([]byte(t.UUID + " " + strconv.FormatInt(sequence, 10)))
	return int64(binary.BigEndian.Uint64(h[:])>>11) | 1
}

// add makes a snapshot the current one, and leaves no more of those before it than are kept. Snapshots from the sequence
// number gone on had files that are not what they were.
func (t *table) add(n snapshot, gone int64, keep int) {
	kept := t.Snapshots[:0:0]
	for _, old := range t.Snapshots {
		if old.Sequence < gone {
			kept = append(kept, old)
		}
	}
	if len(kept) > keep-1 {
		kept = kept[len(kept)-(keep-1):]
	}
	if len(kept) > 0 {
		n.Parent = &kept[len(kept)-1].ID
	}
	t.Snapshots = append(kept, n)
	t.SnapshotLog = t.SnapshotLog[:0:0]
	for _, s := range t.Snapshots {
		t.SnapshotLog = append(t.SnapshotLog, snapshotEntry{s.Time, s.ID})
	}
	t.CurrentSnapshot = &n.ID
	t.Refs = map[string]ref{"main": {n.ID, "branch"}}
	t.LastSequence, t.LastUpdated = n.Sequence, n.Time
}

// current returns the current snapshot, nil where there is none.
func (t *table) current() *snapshot {
	for i := range t.Snapshots {
		if t.CurrentSnapshot != nil && t.Snapshots[i].ID == *t.CurrentSnapshot {
			return &t.Snapshots[i]
		}
	}
	return nil
}

// state is a table and what it has.
type state struct {
	dataset   lake.Dataset
	location  string // of the lake
	table     *table
	version   int // of the metadata file that the table was read from; 0: of none
	newSchema bool
	manifests []*manifest
	gone      int64 // the first sequence number of a file that is not what it was; 0: of none
	added     []entry
	deleted   []entry
	before    [3]int64 // files, rows and bytes before that
}
