package record

import (
	"bytes"

	"hyperlight/engine/model"
)

const (
	signalVersion      = 1
	signalStateVersion = 1
	deliveryVersion    = 1
	queuedVersion      = 1
)

// Signal is the value of a signal: what its owner said.
type Signal struct {
	Name     string
	Market   model.MarketID
	Rule     string // rule_definition, JSON text
	Channels []SignalChannel
	Cooldown uint32 // seconds
	Enabled  bool
	Created  model.Millis
	Updated  model.Millis
}

// SignalChannel is where a signal is delivered to. The secrets are sealed; Old is the one before, empty where there is
// none, and signs until OldUntil.
type SignalChannel struct {
	URL         string
	Secret, Old []byte
	OldUntil    model.Millis
}

// AppendSignal encodes a signal.
func AppendSignal(dst []byte, s *Signal) []byte {
	dst = appendString(append(dst, signalVersion), s.Name)
	dst = appendString(appendUvarint(dst, uint64(s.Market)), s.Rule)
	dst = appendUvarint(dst, uint64(len(s.Channels)))
	for _, c := range s.Channels {
		dst = appendBytes(appendBytes(appendString(dst, c.URL), c.Secret), c.Old)
		dst = appendVarint(dst, int64(c.OldUntil))
	}
	dst = appendBool(appendUvarint(dst, uint64(s.Cooldown)), s.Enabled)
	return appendVarint(appendVarint(dst, int64(s.Created)), int64(s.Updated))
}

// DecodeSignal decodes a signal; nothing of it shares b's memory.
func DecodeSignal(b []byte) (Signal, error) {
	r, err := openValue(b, "signal", signalVersion)
	if err != nil {
		return Signal{}, err
	}
	s := Signal{Name: r.string(), Market: model.MarketID(r.uvarint()), Rule: r.string()}
	for range r.count(4) {
		c := SignalChannel{URL: r.string(), Secret: r.copied(), Old: r.copied(), OldUntil: model.Millis(r.varint())}
		s.Channels = append(s.Channels, c)
	}
	s.Cooldown, s.Enabled = uint32(r.uvarint()), r.bool()
	s.Created, s.Updated = model.Millis(r.varint()), model.Millis(r.varint())
	return s, r.end("signal")
}

// SignalState is what became of a signal.
type SignalState struct {
	Evaluator     []byte // as package signal encodes it
	Triggers      uint64
	LastTriggered model.Millis // our clock; 0: never
	Failures      uint32       // failed deliveries in a row
	Suspended     bool
	Disabled      []string // addresses whose receiver answered that they are gone
}

// AppendSignalState encodes a signal's state.
func AppendSignalState(dst []byte, s *SignalState) []byte {
	dst = appendBytes(append(dst, signalStateVersion), s.Evaluator)
	dst = appendVarint(appendUvarint(dst, s.Triggers), int64(s.LastTriggered))
	dst = appendBool(appendUvarint(dst, uint64(s.Failures)), s.Suspended)
	dst = appendUvarint(dst, uint64(len(s.Disabled)))
	for _, u := range s.Disabled {
		dst = appendString(dst, u)
	}
	return dst
}

// DecodeSignalState decodes a signal's state; nothing of it shares b's memory.
func DecodeSignalState(b []byte) (SignalState, error) {
	r, err := openValue(b, "signal state", signalStateVersion)
	if err != nil {
		return SignalState{}, err
	}
	s := SignalState{Evaluator: r.copied(), Triggers: r.uvarint(), LastTriggered: model.Millis(r.varint())}
	s.Failures, s.Suspended = uint32(r.uvarint()), r.bool()
	for range r.count(1) {
		s.Disabled = append(s.Disabled, r.string())
	}
	return s, r.end("signal state")
}

// Delivery is the value of a row of the delivery log. Body is what is sent, the same bytes on every attempt.
type Delivery struct {
	Owner       [16]byte
	URL         string
	Status      uint8
	Attempts    uint32
	LastStatus  uint32 // of the answer; 0: there was none
	LastError   string
	DeliveredAt model.Millis // 0: not delivered
	Body        []byte
}

// AppendDelivery encodes a row of the delivery log.
func AppendDelivery(dst []byte, d *Delivery) []byte {
	dst = append(append(dst, deliveryVersion), d.Owner[:]...)
	dst = append(appendString(dst, d.URL), d.Status)
	dst = appendUvarint(appendUvarint(dst, uint64(d.Attempts)), uint64(d.LastStatus))
	dst = appendVarint(appendString(dst, d.LastError), int64(d.DeliveredAt))
	return appendBytes(dst, d.Body)
}

// DecodeDelivery decodes a row of the delivery log; nothing of it shares b's memory.
func DecodeDelivery(b []byte) (Delivery, error) {
	r, err := openValue(b, "delivery", deliveryVersion)
	if err != nil {
		return Delivery{}, err
	}
	var d Delivery
	copy(d.Owner[:], r.bytes(uint64(len(d.Owner))))
	d.URL, d.Status = r.string(), r.byte()
	d.Attempts, d.LastStatus = uint32(r.uvarint()), uint32(r.uvarint())
	d.LastError, d.DeliveredAt = r.string(), model.Millis(r.varint())
	d.Body = r.copied()
	return d, r.end("delivery")
}

// Queued is the value of a waiting delivery: it leads to the row of the log, which holds the rest.
type Queued struct {
	Signal      [16]byte
	TriggeredAt model.Millis
	Before      uint32 // attempts made before it was sent again by hand
	Resent      bool
}

// AppendQueued encodes a waiting delivery.
func AppendQueued(dst []byte, q Queued) []byte {
	dst = append(append(dst, queuedVersion), q.Signal[:]...)
	return appendBool(appendUvarint(appendVarint(dst, int64(q.TriggeredAt)), uint64(q.Before)), q.Resent)
}

// DecodeQueued decodes a waiting delivery.
func DecodeQueued(b []byte) (Queued, error) {
	r, err := openValue(b, "waiting delivery", queuedVersion)
	if err != nil {
		return Queued{}, err
	}
	var q Queued
	copy(q.Signal[:], r.bytes(uint64(len(q.Signal))))
	q.TriggeredAt, q.Before, q.Resent = model.Millis(r.varint()), uint32(r.uvarint()), r.bool()
	return q, r.end("waiting delivery")
}

func appendBytes(dst, b []byte) []byte { return append(appendUvarint(dst, uint64(len(b))), b...) }

func (r *reader) copied() []byte { return bytes.Clone(r.bytes(r.uvarint())) }
