package history

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// The meta rows of this package.
const (
	metaHeartbeat = "heartbeat" // the last committed tick
	metaSealing   = "sealing"   // counts the batches that replaced rows by other rows of the same content
	metaKeep      = "retention" // keepState
	metaFills     = "fills"     // unposted
)

// Heartbeat returns the last moment that the record covers, on the receive clock; 0 where nothing was recorded.
func Heartbeat(s *kv.Store) (model.Micros, error) { return readMoment(s, metaHeartbeat) }

func readMoment(s *kv.Store, name string) (t model.Micros, err error) {
	err = s.Get(key.MetaRow(nil, name), func(v []byte) error {
		t, err = record.DecodeMoment(v)
		return err
	})
	if errors.Is(err, kv.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read meta row %s: %w", name, err)
	}
	return t, nil
}

func setMoment(b *kv.Batch, name string, t model.Micros) {
	b.Set(key.MetaRow(nil, name), record.AppendMoment(nil, t))
}

// keepState says what retention has dropped. Readers and the writer obey it, so that a late row cannot bring a dropped day
// back. It is one meta row.
type keepState struct {
	// cuts holds, per family, the first bucket that is kept; it only ever grows.
	cuts map[key.Family]uint32
	// thinned is the first day whose book updates are still whole.
	thinned uint32
	// pins are imported days, ascending: neither dropped nor thinned.
	pins  []uint32
	dirty bool
}

// spans tells whether a family's buckets are spans of 64 days.
func spans(f key.Family) bool { return f == key.Candles || f == key.Funding }

// pinned tells whether a bucket of the family holds a pinned day.
func (k *keepState) pinned(f key.Family, bucket uint32) bool {
	if !spans(f) {
		_, ok := slices.BinarySearch(k.pins, bucket)
		return ok
	}
	const days = key.SpanMillis / key.DayMillis
	at, _ := slices.BinarySearch(k.pins, bucket*days)
	return at < len(k.pins) && k.pins[at] < (bucket+1)*days
}

// dropped tells whether rows of a bucket are gone for good.
func (k *keepState) dropped(f key.Family, bucket uint32) bool {
	switch f {
	case key.Keyframes:
		f = key.Books
	case key.Liquidations, key.Fills:
		f = key.Trades
	}
	return bucket < k.cuts[f] && !k.pinned(f, bucket)
}

// pin keeps a day for ever.
func (k *keepState) pin(day uint32) {
	at, ok := slices.BinarySearch(k.pins, day)
	if !ok {
		k.pins = slices.Insert(k.pins, at, day)
		k.dirty = true
	}
}

func (k *keepState) load(s *kv.Store) error {
	k.cuts = map[key.Family]uint32{}
	err := s.Get(key.MetaRow(nil, metaKeep), k.decode)
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return fmt.Errorf("read retention state: %w", err)
	}
	return nil
}

// collect puts a changed state into the writer's batch.
func (k *keepState) collect(w *Writer) {
	if k.dirty {
		k.dirty = false
		w.batch.Set(key.MetaRow(nil, metaKeep), k.append(nil))
	}
}

const keepVersion = 1

func (k *keepState) append(dst []byte) []byte {
	dst = append(dst, keepVersion)
	dst = binary.AppendUvarint(dst, uint64(k.thinned))
	dst = binary.AppendUvarint(dst, uint64(len(k.cuts)))
	for _, f := range slices.Sorted(maps.Keys(k.cuts)) {
		dst = append(dst, byte(f))
		dst = binary.AppendUvarint(dst, uint64(k.cuts[f]))
	}
	dst = binary.AppendUvarint(dst, uint64(len(k.pins)))
	last := uint32(0)
	for _, day := range k.pins {
		dst = binary.AppendUvarint(dst, uint64(day-last))
		last = day
	}
	return dst
}

// decode reads what append wrote; any other bytes are record.ErrVersion or record.ErrCorrupt.
func (k *keepState) decode(b []byte) error {
	if len(b) == 0 {
		return record.ErrCorrupt
	}
	if b[0] != keepVersion {
		return record.ErrVersion
	}
	b = b[1:]
	failed := false
	next := func() uint32 {
		v, n := binary.Uvarint(b)
		if n <= 0 || v > 1<<32-1 {
			failed = true
			return 0
		}
		b = b[n:]
		return uint32(v)
	}
	out := keepState{cuts: map[key.Family]uint32{}, thinned: next()}
	for n := next(); n > 0 && !failed; n-- {
		if len(b) == 0 {
			return record.ErrCorrupt
		}
		f := key.Family(b[0])
		b = b[1:]
		out.cuts[f] = next()
	}
	count := next()
	if failed || uint64(count) > uint64(len(b)) {
		return record.ErrCorrupt
	}
	day := uint64(0)
	for i := range count {
		step := next()
		day += uint64(step)
		if failed || day > 1<<32-1 || i > 0 && step == 0 {
			return record.ErrCorrupt
		}
		out.pins = append(out.pins, uint32(day))
	}
	if len(b) != 0 {
		return record.ErrCorrupt
	}
	*k = out
	return nil
}
