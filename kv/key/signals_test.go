package key

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func drawID(t *rapid.T, name string) (id [IDSize]byte) {
	copy(id[:], rapid.SliceOfN(rapid.Byte(), IDSize, IDSize).Draw(t, name))
	return id
}

// Keys of signals and deliveries read back as written, a delivery lies in the range of its day and signal alone, and the
// queue is ordered by when deliveries are due.
func TestSignalKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		user, id, other := drawID(t, "user"), drawID(t, "id"), drawID(t, "other")
		ts := rapid.Int64Range(0, 1<<45).Draw(t, "ts")
		due := rapid.Int64Range(0, 1<<45).Draw(t, "due")
		if k, err := ParseSignal(Signal(nil, user, id)); err != nil || k != (SignalKey{user, id}) {
			t.Fatalf("signal: got %+v, %v", k, err)
		}
		if k, err := ParseSignalState(SignalState(nil, id)); err != nil || k != id {
			t.Fatalf("state: got %x, %v", k, err)
		}
		d := Delivery(nil, id, ts, other)
		if k, err := ParseDelivery(d); err != nil || k != (DeliveryKey{id, ts, other}) {
			t.Fatalf("delivery: got %+v, %v", k, err)
		}
		if !DeliveriesOf(Day(ts), id).Contains(d) || DeliveriesOf(Day(ts)+1, id).Contains(d) {
			t.Fatal("a delivery does not lie in the range of its day")
		}
		if id != other && DeliveriesOf(Day(ts), other).Contains(d) {
			t.Fatal("a delivery lies in another signal's range")
		}
		q := Queued(nil, ts, id)
		if k, err := ParseQueued(q); err != nil || k != (QueuedKey{ts, id}) {
			t.Fatalf("queued: got %+v, %v", k, err)
		}
		if c := bytes.Compare(q, Queued(nil, due, other)); ts < due && c >= 0 || ts > due && c <= 0 {
			t.Fatal("the queue is not ordered by due time")
		}
	})
}

// Bytes that are no key are refused.
func TestSignalKeysMalformed(t *testing.T) {
	wrongDay := Delivery(nil, [IDSize]byte{1}, 5*DayMillis, [IDSize]byte{2})
	wrongDay[4]++
	for _, k := range [][]byte{nil, {'s'}, {'t', 1}, {'D', 1}, {'Q'}, wrongDay, append(Queued(nil, 1, [IDSize]byte{}), 0)} {
		_, e1 := ParseSignal(k)
		_, e2 := ParseSignalState(k)
		_, e3 := ParseDelivery(k)
		_, e4 := ParseQueued(k)
		if e1 == nil || e2 == nil || e3 == nil || e4 == nil {
			t.Errorf("%x was taken for a key", k)
		}
	}
}
