package record

import (
	"math"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

const heatmapVersion = 1

// What a heatmap row has beyond its two sums.
const (
	heatmapHasMap = 1 << iota
	heatmapHasOpenInterest
	heatmapFlags = heatmapHasMap | heatmapHasOpenInterest
)

// AppendHeatmap encodes a row of a market's heatmap, whose market and time are in its key.
func AppendHeatmap(dst []byte, h *model.Heatmap) []byte {
	m := h.Map
	flags := byte(0)
	if m != nil {
		flags = heatmapHasMap
		if m.HasOpenInterest {
			flags |= heatmapHasOpenInterest
		}
	}
	dst = append(dst, heatmapVersion, h.Epoch, flags)
	dst = appendVarint(dst, int64(h.LongAtRisk))
	dst = appendVarint(dst, int64(h.ShortAtRisk))
	if m == nil {
		return dst
	}
	dst = appendVarint(append(dst, m.Mark.Scale), m.Mark.Mant)
	dst = appendVarint(dst, int64(m.LongOut))
	dst = appendVarint(dst, int64(m.ShortOut))
	dst = appendUvarint(dst, uint64(m.Positions))
	dst = appendVarint(dst, int64(m.Tracked))
	if m.HasOpenInterest {
		dst = appendVarint(append(dst, m.OpenInterest.Scale), m.OpenInterest.Mant)
	}
	dst = appendUvarint(dst, uint64(len(m.Buckets)))
	next := uint16(0)
	for i := range m.Buckets {
		b := &m.Buckets[i]
		dst = appendUvarint(dst, uint64(b.Place-next)<<2|sideBits(b))
		next = b.Place + 1
		for _, s := range [...]*model.HeatmapSum{&b.Long, &b.Short} {
			if *s != (model.HeatmapSum{}) {
				dst = appendVarint(dst, int64(s.Size))
				dst = appendVarint(dst, int64(s.Notional))
				dst = appendUvarint(dst, uint64(s.Count))
			}
		}
	}
	return dst
}

// sideBits tells which sides of a bucket follow: most have one.
func sideBits(b *model.HeatmapBucket) (bits uint64) {
	if b.Long != (model.HeatmapSum{}) {
		bits = 1
	}
	if b.Short != (model.HeatmapSum{}) {
		bits |= 2
	}
	return bits
}

// DecodeHeatmap decodes a row of a market's heatmap; Market and Time are left zero.
func DecodeHeatmap(b []byte) (h model.Heatmap, err error) {
	r, err := openValue(b, "heatmap", heatmapVersion)
	if err != nil {
		return h, err
	}
	h.Epoch = r.byte()
	flags := r.byte()
	h.LongAtRisk, h.ShortAtRisk = num.USD(r.varint()), num.USD(r.varint())
	switch {
	case flags&^heatmapFlags != 0 || flags == heatmapHasOpenInterest:
		r.fail()
	case flags != 0:
		h.Map = r.heatmapMap(flags&heatmapHasOpenInterest != 0)
	}
	if err := r.end("heatmap"); err != nil {
		return model.Heatmap{}, err
	}
	return h, nil
}

func (r *reader) heatmapMap(hasOpenInterest bool) *model.HeatmapMap {
	m := &model.HeatmapMap{Mark: r.decimal(), LongOut: num.USD(r.varint()), ShortOut: num.USD(r.varint()), Positions: r.u32(), Tracked: num.Size(r.varint())}
	if hasOpenInterest {
		m.HasOpenInterest, m.OpenInterest = true, r.decimal()
	}
	n := r.count(4) // the head of a bucket and three numbers
	if n > model.HeatmapBuckets {
		r.fail()
		return m
	}
	if n > 0 {
		m.Buckets = make([]model.HeatmapBucket, n)
	}
	next := uint64(0)
	for i := range m.Buckets {
		head := r.uvarint()
		place := next + head>>2
		if head>>2 >= model.HeatmapBuckets || place >= model.HeatmapBuckets || head&3 == 0 {
			r.fail()
			return m
		}
		next = place + 1
		b := &m.Buckets[i]
		b.Place = uint16(place)
		for side, s := range [...]*model.HeatmapSum{&b.Long, &b.Short} {
			if head>>side&1 != 0 {
				*s = model.HeatmapSum{Size: num.Size(r.varint()), Notional: num.USD(r.varint()), Count: r.u32()}
				if *s == (model.HeatmapSum{}) {
					r.fail() // is not written
				}
			}
		}
	}
	return m
}

// u32 reads a count of something that 32 bits hold.
func (r *reader) u32() uint32 {
	v := r.uvarint()
	if v > math.MaxUint32 {
		r.fail()
		return 0
	}
	return uint32(v)
}
