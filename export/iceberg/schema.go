package iceberg

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"hyperlight/engine/lake"
	"hyperlight/export"
)

// columns says how the rows of a dataset lie in its files.
type columns struct {
	parquet *parquet.Schema
	day     string   // the column whose time says which day's file a row is in
	sorted  []string // order of the rows of a file
}

var datasets = map[lake.Dataset]columns{
	lake.Trades:       {parquet.SchemaOf(export.Trade{}), "timestamp", []string{"timestamp", "trade_id"}},
	lake.Snapshots:    {parquet.SchemaOf(export.Snapshot{}), "timestamp", []string{"timestamp"}},
	lake.Candles:      {parquet.SchemaOf(export.Candle{}), "timestamp", []string{"timestamp"}},
	lake.FundingRates: {parquet.SchemaOf(export.FundingRate{}), "timestamp", []string{"timestamp", "market_id"}},
	lake.Gaps:         {parquet.SchemaOf(export.Gap{}), "from", []string{"from", "market_id", "kind"}},
	// An update belongs to the day in which it was received, as books do.
	lake.BookUpdates: {parquet.SchemaOf(export.BookUpdate{}), "recv_ts", []string{"recv_ts"}},
}

// field is a field of a schema, in its JSON form.
type field struct {
	ID       int       `json:"id"`
	Name     string    `json:"name"`
	Required bool      `json:"required"`
	Type     fieldType `json:"type"`
}

// fieldType is one of three: the name of a primitive type, fields, or a list.
type fieldType struct {
	primitive string
	fields    *structType
	list      *listType
}

type structType struct {
	Type     string  `json:"type"` // "struct"
	SchemaID *int    `json:"schema-id,omitempty"`
	Fields   []field `json:"fields"`
}

type listType struct {
	Type            string    `json:"type"` // "list"
	ElementID       int       `json:"element-id"`
	Element         fieldType `json:"element"`
	ElementRequired bool      `json:"element-required"`
}

// MarshalJSON implements json.Marshaler.
func (t fieldType) MarshalJSON() ([]byte, error) {
	switch {
	case t.fields != nil:
		return json.Marshal(t.fields)
	case t.list != nil:
		return json.Marshal(t.list)
	}
	return json.Marshal(t.primitive)
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *fieldType) UnmarshalJSON(b []byte) error {
	*t = fieldType{}
	if json.Unmarshal(b, &t.primitive) == nil {
		return nil
	}
	var kind struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(b, &kind); err != nil {
		return err
	}
	if kind.Type == "list" {
		t.list = new(listType)
		return json.Unmarshal(b, t.list)
	}
	t.fields = new(structType)
	return json.Unmarshal(b, t.fields)
}

// mapping is an entry of the name mapping, by which readers find the columns: files carry no field ids.
type mapping struct {
	FieldID int       `json:"field-id"`
	Names   []string  `json:"names"`
	Fields  []mapping `json:"fields,omitempty"`
}

// ids gives fields their ids: those that they had, by path, and new ones to new fields. An id is never used again.
type ids struct {
	known map[string]int
	last  int
}

func (i *ids) of(path string) int {
	id, ok := i.known[path]
	if !ok {
		i.last++
		id = i.last
		i.known[path] = id
	}
	return id
}

// element is what Iceberg and Parquet call the items of a list.
const element = "element"

// fieldsOf returns the fields of a Parquet group. Fields of one level get their ids before those below them.
func fieldsOf(group parquet.Node, path string, i *ids) ([]field, error) {
	nodes := group.Fields()
	out := make([]field, len(nodes))
	for n, node := range nodes {
		out[n] = field{ID: i.of(path + node.Name()), Name: node.Name(), Required: node.Required() || isList(node)}
	}
	for n, node := range nodes {
		var err error
		if out[n].Type, err = typeOf(node, path+node.Name(), i); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// logical returns the logical type of a column, nil for one that has none.
func logical(n parquet.Node) format.LogicalTypeValue {
	if l := n.Type().LogicalType(); l != nil {
		return l.Value
	}
	return nil
}

func isList(n parquet.Node) bool {
	if n.Leaf() {
		return false
	}
	_, ok := logical(n).(*format.ListType)
	return ok
}

func typeOf(n parquet.Node, path string, i *ids) (fieldType, error) {
	if isList(n) {
		item := n.Fields()[0].Fields()[0] // list, then element
		path += "." + element
		l := &listType{Type: "list", ElementID: i.of(path), ElementRequired: true}
		var err error
		l.Element, err = typeOf(item, path, i)
		return fieldType{list: l}, err
	}
	if !n.Leaf() {
		fields, err := fieldsOf(n, path+".", i)
		return fieldType{fields: &structType{Type: "struct", Fields: fields}}, err
	}
	switch l := logical(n).(type) {
	case *format.TimestampType:
		// Iceberg's times are microseconds; readers bring Parquet's milliseconds to them.
		return fieldType{primitive: "timestamptz"}, nil
	case *format.DecimalType:
		return fieldType{primitive: fmt.Sprintf("decimal(%d, %d)", l.Precision, l.Scale)}, nil
	case *format.StringType:
		return fieldType{primitive: "string"}, nil
	}
	switch n.Type().Kind() {
	case parquet.Boolean:
		return fieldType{primitive: "boolean"}, nil
	case parquet.Int32:
		return fieldType{primitive: "int"}, nil
	case parquet.Int64:
		return fieldType{primitive: "long"}, nil
	}
	return fieldType{}, fmt.Errorf("column %s: %s has no type in Iceberg", path, n.Type())
}

// mappingOf returns the name mapping of fields.
func mappingOf(fields []field) []mapping {
	out := make([]mapping, len(fields))
	for i, f := range fields {
		out[i] = mapping{FieldID: f.ID, Names: []string{f.Name}, Fields: mappingBelow(f.Type)}
	}
	return out
}

func mappingBelow(t fieldType) []mapping {
	switch {
	case t.fields != nil:
		return mappingOf(t.fields.Fields)
	case t.list != nil:
		return []mapping{{FieldID: t.list.ElementID, Names: []string{element}, Fields: mappingBelow(t.list.Element)}}
	}
	return nil
}

// known notes the ids of a schema's fields by path.
func known(fields []field, path string, into map[string]int) {
	for _, f := range fields {
		into[path+f.Name] = f.ID
		knownBelow(f.Type, path+f.Name, into)
	}
}

func knownBelow(t fieldType, path string, into map[string]int) {
	switch {
	case t.fields != nil:
		known(t.fields.Fields, path+".", into)
	case t.list != nil:
		path += "." + element
		into[path] = t.list.ElementID
		knownBelow(t.list.Element, path, into)
	}
}

// find returns a top-level field, one that there is.
func find(fields []field, name string) field {
	return fields[slices.IndexFunc(fields, func(f field) bool { return f.Name == name })]
}
