package record

import (
	"fmt"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

const keyframeVersion = 1

// Keyframe is a whole ladder with its place in the venue's chain, best price first on each side.
type Keyframe struct {
	book.Meta
	Bids, Asks []model.Level
}

// A keyframe value is: version, epoch, whether chained, seq, offset, receive time, venue time and engine time as
// differences, numbers of bids and asks, bids, asks. A level is the distance in ticks outward from the level before, so
// small and positive, and a size.

// AppendKeyframe encodes a view of a book.
func AppendKeyframe(dst []byte, v *book.View) []byte {
	w := single(&dst)
	dst = append(dst, keyframeVersion, v.Epoch)
	appendMeta(w, &v.Meta)
	dst = appendUvarint(dst, uint64(v.Len(model.Bid)))
	dst = appendUvarint(dst, uint64(v.Len(model.Ask)))
	for _, side := range [...]model.Side{model.Bid, model.Ask} {
		var ref num.Price
		for l := range v.Levels(side, 0) {
			appendLevel(w, side, ref, l)
			ref = l.Price
		}
	}
	return dst
}

// Append encodes the keyframe; the bytes are those of AppendKeyframe for the same book.
func (k *Keyframe) Append(dst []byte) []byte {
	dst = append(dst, keyframeVersion, k.Epoch)
	k.write(single(&dst))
	return dst
}

// SetView makes k the state that a view shows; its slices are reused.
func (k *Keyframe) SetView(v *book.View) {
	k.Meta = v.Meta
	k.Bids = v.Append(k.Bids[:0], model.Bid, 0)
	k.Asks = v.Append(k.Asks[:0], model.Ask, 0)
}

// View returns the keyframe as a view, which shares no memory with it.
func (k *Keyframe) View() *book.View { return book.NewView(k.Meta, k.Bids, k.Asks) }

func (k *Keyframe) write(w streams) {
	appendMeta(w, &k.Meta)
	*w.head = appendUvarint(*w.head, uint64(len(k.Bids)))
	*w.head = appendUvarint(*w.head, uint64(len(k.Asks)))
	appendLevels(w, model.Bid, 0, k.Bids)
	appendLevels(w, model.Ask, 0, k.Asks)
}

func appendMeta(w streams, m *book.Meta) {
	*w.head = appendBool(*w.head, m.Chained)
	b := appendUvarint(*w.time, m.Seq)
	b = appendUvarint(b, m.Offset)
	b = appendVarint(b, int64(m.Recv))
	b = appendVarint(b, int64(m.Time-m.Recv.Millis()))
	*w.time = appendVarint(b, int64(m.UpdatedAt-m.Recv))
}

func (k *Keyframe) read(r *sources) {
	k.Chained = r.head.bool()
	k.Seq = r.time.uvarint()
	k.Offset = r.time.uvarint()
	k.Recv = model.Micros(r.time.varint())
	k.Time = k.Recv.Millis() + model.Millis(r.time.varint())
	k.UpdatedAt = k.Recv + model.Micros(r.time.varint())
	bids, asks := r.head.uvarint(), r.head.uvarint()
	k.Bids = readLevels(r, model.Bid, 0, bids, k.Bids[:0])
	k.Asks = readLevels(r, model.Ask, 0, asks, k.Asks[:0])
}

// DecodeKeyframe decodes a keyframe into memory of its own.
func DecodeKeyframe(b []byte) (*Keyframe, error) {
	k := new(Keyframe)
	if err := k.Decode(b); err != nil {
		return nil, err
	}
	return k, nil
}

// Decode decodes a keyframe and reuses the slices of k; after an error k is undefined.
func (k *Keyframe) Decode(b []byte) error {
	if len(b) < 2 {
		return corrupt("keyframe")
	}
	if b[0] != keyframeVersion {
		return fmt.Errorf("decode keyframe: %w %d", ErrVersion, b[0])
	}
	k.Epoch = b[1]
	var r sources
	r.open(b[2:])
	k.read(&r)
	return r.end("keyframe")
}
