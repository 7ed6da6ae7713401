package key

// SignalKey is what the key of a signal says.
type SignalKey struct{ User, ID [IDSize]byte }

// DeliveryKey is what the key of a row of the delivery log says; Time is when the signal triggered, in milliseconds.
type DeliveryKey struct {
	Signal [IDSize]byte
	Time   int64
	ID     [IDSize]byte
}

// QueuedKey is what the key of a waiting delivery says; Due is in milliseconds.
type QueuedKey struct {
	Due int64
	ID  [IDSize]byte
}

// Signal appends the key of a signal; the signals of a user stand together.
func Signal(dst []byte, user, id [IDSize]byte) []byte {
	return append(append(append(dst, byte(Signals)), user[:]...), id[:]...)
}

// SignalState appends the key of a signal's state.
func SignalState(dst []byte, id [IDSize]byte) []byte {
	return append(append(dst, byte(SignalStates)), id[:]...)
}

// Delivery appends the key of a row of the delivery log, for a signal that triggered at ts milliseconds.
func Delivery(dst []byte, signal [IDSize]byte, ts int64, id [IDSize]byte) []byte {
	return append(appendTime(deliveries(dst, Day(ts), signal), ts), id[:]...)
}

func deliveries(dst []byte, day uint32, signal [IDSize]byte) []byte {
	return append(appendU32(append(dst, byte(DeliveryLog)), day), signal[:]...)
}

// DeliveriesOf returns the range of the deliveries of a signal that triggered on a day.
func DeliveriesOf(day uint32, signal [IDSize]byte) Range {
	start := deliveries(nil, day, signal)
	end := append([]byte(nil), start...)
	for i := 0; i < 8+IDSize+1; i++ {
		end = append(end, 0xff)
	}
	return Range{Start: start, End: end}
}

// Queued appends the key of a delivery that waits until due milliseconds.
func Queued(dst []byte, due int64, id [IDSize]byte) []byte {
	return append(appendTime(append(dst, byte(DeliveryQueue)), due), id[:]...)
}

// ParseSignal takes the key of a signal apart.
func ParseSignal(k []byte) (s SignalKey, err error) {
	r := open(k, Signals, 1+2*IDSize)
	r.take(s.User[:])
	r.take(s.ID[:])
	return s, r.err(Signals, 0, 0)
}

// ParseSignalState takes the key of a signal's state apart.
func ParseSignalState(k []byte) (id [IDSize]byte, err error) {
	r := open(k, SignalStates, 1+IDSize)
	r.take(id[:])
	return id, r.err(SignalStates, 0, 0)
}

// ParseDelivery takes the key of a row of the delivery log apart.
func ParseDelivery(k []byte) (d DeliveryKey, err error) {
	r := open(k, DeliveryLog, 1+4+IDSize+8+IDSize)
	day := r.u32()
	r.take(d.Signal[:])
	d.Time = r.time()
	r.take(d.ID[:])
	return d, r.err(DeliveryLog, day, Day(d.Time))
}

// ParseQueued takes the key of a waiting delivery apart.
func ParseQueued(k []byte) (q QueuedKey, err error) {
	r := open(k, DeliveryQueue, 1+8+IDSize)
	q.Due = r.time()
	r.take(q.ID[:])
	return q, r.err(DeliveryQueue, 0, 0)
}
