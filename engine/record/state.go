package record

import "hyperlight/engine/model"

const (
	indexVersion    = 1
	intervalVersion = 1
	gapVersion      = 1
	momentVersion   = 1
)

// Index counts what a family holds of a market in a bucket. First and Last lie on the clock of the family's keys.
type Index struct {
	Rows        uint64
	First, Last int64
	LastID      uint64
}

// AppendIndex encodes an index row.
func AppendIndex(dst []byte, i Index) []byte {
	dst = appendUvarint(append(dst, indexVersion), i.Rows)
	dst = appendVarint(dst, i.First)
	dst = appendVarint(dst, i.Last-i.First)
	return appendUvarint(dst, i.LastID)
}

// DecodeIndex decodes an index row.
func DecodeIndex(b []byte) (Index, error) {
	r, err := openValue(b, "index row", indexVersion)
	if err != nil {
		return Index{}, err
	}
	i := Index{Rows: r.uvarint(), First: r.varint()}
	i.Last = i.First + r.varint()
	i.LastID = r.uvarint()
	return i, r.end("index row")
}

// Interval is the value of a held interval, whose start is in its key; End 0 means that it is still open.
type Interval struct{ End model.Micros }

// AppendInterval encodes the end of a held interval.
func AppendInterval(dst []byte, i Interval) []byte {
	return appendVarint(append(dst, intervalVersion), int64(i.End))
}

// DecodeInterval decodes the end of a held interval.
func DecodeInterval(b []byte) (Interval, error) {
	r, err := openValue(b, "interval", intervalVersion)
	if err != nil {
		return Interval{}, err
	}
	return Interval{End: model.Micros(r.varint())}, r.end("interval")
}

// Gap is the value of a gap, whose kind and start are in its key; To 0 means that it is still open.
type Gap struct {
	To     model.Micros
	Cause  model.Cause
	Filled bool
}

// AppendGap encodes a gap.
func AppendGap(dst []byte, g Gap) []byte {
	dst = appendVarint(append(dst, gapVersion), int64(g.To))
	return appendBool(append(dst, byte(g.Cause)), g.Filled)
}

// DecodeGap decodes a gap.
func DecodeGap(b []byte) (Gap, error) {
	r, err := openValue(b, "gap", gapVersion)
	if err != nil {
		return Gap{}, err
	}
	g := Gap{To: model.Micros(r.varint()), Cause: model.Cause(r.byte()), Filled: r.bool()}
	return g, r.end("gap")
}

// AppendMoment encodes a single time, such as the store's heartbeat.
func AppendMoment(dst []byte, t model.Micros) []byte {
	return appendVarint(append(dst, momentVersion), int64(t))
}

// DecodeMoment decodes a single time.
func DecodeMoment(b []byte) (model.Micros, error) {
	r, err := openValue(b, "moment", momentVersion)
	if err != nil {
		return 0, err
	}
	return model.Micros(r.varint()), r.end("moment")
}
