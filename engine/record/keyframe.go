package record

import "hyperlight/engine/model"

// Keyframe is a whole ladder, best price first on each side.
type Keyframe struct {
	Bids, Asks  []model.Level
	Seq, Offset uint64
	Time        model.Millis
	Recv        model.Micros
	UpdatedAt   model.Micros
	Epoch       uint8
	Chained     bool
}

// Append encodes the keyframe.
func (k *Keyframe) Append(dst []byte) []byte { panic("not written") }

// DecodeKeyframe decodes a keyframe into memory of its own.
func DecodeKeyframe(b []byte) (*Keyframe, error) { panic("not written") }

// Decode decodes a keyframe and reuses the slices of k.
func (k *Keyframe) Decode(b []byte) error { panic("not written") }
