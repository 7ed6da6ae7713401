package ws

import (
	"encoding/binary"
	"strconv"
	"sync"
	"sync/atomic"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// Opcodes and limits of RFC 6455.
const (
	opText  = 0x1
	opClose = 0x8
	opPing  = 0x9
	opPong  = 0xA

	finBit        = 0x80
	opcodeBits    = 0x0F
	maxHeader     = 10  // an unmasked server frame
	maxControl    = 125 // payload of a control frame
	payload16     = 126
	payload64     = 127
	maxPayload16  = 1<<16 - 1
	maxCloseWords = maxControl - 2
)

// format is how data frames of raw channels look to a connection.
type format uint8

const (
	typed   format = iota // trade_update, order_book_update
	wrapped               // {"type":"data",...}, asked for with "format":"data"
	// deflated is added to either where the connection takes compressed messages.
	deflated format = 2
)

// putHeader writes the header of an unmasked final frame so that it ends at b[end] and returns where it begins.
func putHeader(b []byte, end int, opcode byte, payload int) int {
	switch {
	case payload < payload16:
		b[end-1] = byte(payload)
		b[end-2] = finBit | opcode
		return end - 2
	case payload <= maxPayload16:
		binary.BigEndian.PutUint16(b[end-2:], uint16(payload))
		b[end-3] = payload16
		b[end-4] = finBit | opcode
		return end - 4
	default:
		binary.BigEndian.PutUint64(b[end-8:], uint64(payload))
		b[end-9] = payload64
		b[end-10] = finBit | opcode
		return end - 10
	}
}

// newFrame copies a text payload behind its header.
func newFrame(payload []byte) []byte {
	b := make([]byte, maxHeader+len(payload))
	copy(b[maxHeader:], payload)
	return b[putHeader(b, maxHeader, opText, len(payload)):]
}

// controlFrame returns a control frame; the payload is cut to what one may hold.
func controlFrame(opcode byte, payload []byte) []byte {
	payload = payload[:min(len(payload), maxControl)]
	return append([]byte{finBit | opcode, byte(len(payload))}, payload...)
}

// closeFrame returns a close frame.
func closeFrame(code closeCode, reason string) []byte {
	p := binary.BigEndian.AppendUint16(make([]byte, 0, maxControl), uint16(code))
	return controlFrame(opClose, append(p, reason[:min(len(reason), maxCloseWords)]...))
}

// Frame is what one event says on a channel as finished server frames, shared by all its receivers: one message, or the
// messages of a batch one behind the other, which then cost a queue and a socket no more than one. The typed form is
// encoded when the frame is made; the wrapped form, and a whole book, when the first receiver's writer needs them.
type Frame struct {
	typed   []byte // header and payload of each message; of a lazy frame set by once
	shared  int    // offset in each typed payload from which both forms are the same; 0: there is one form only
	more    int    // messages after the first
	channel *channel
	once    sync.Once

	wrapOnce sync.Once
	wrapped  []byte
	packs    atomic.Pointer[packs] // compressed, nil until a connection needs it

	lazy   encoder            // encodes what is ours; nil for what is encoded already and for whole books
	view   *book.View         // lazy: the book to encode
	native *nativeChannel     // encodes the view in the venue's form; nil for ours
	owners *model.Attribution // of a whole book whose channel names owners; may be nil
	seq    uint64             // of the first message; the others follow without a hole
	at     model.Millis
	size   int // bytes, an estimate while the frame is lazy
	// lasting frames survive conflation: gaps are told in any case.
	lasting bool
}

// encoder encodes a frame of a channel of ours, headers included. It is called once and may forget what it encodes.
type encoder interface{ encode(f *Frame) []byte }

func (f *Frame) encodeLazy() { f.typed = f.lazy.encode(f) }

// messages is how many messages the frame holds.
func (f *Frame) messages() int { return 1 + f.more }

// last is the seq of the last message.
func (f *Frame) last() uint64 { return f.seq + uint64(f.more) }

// bytes returns the finished messages in a format. It may be called from any goroutine.
func (f *Frame) bytes(as format) []byte {
	switch {
	case f.lazy != nil:
		f.once.Do(f.encodeLazy)
	case f.view != nil:
		f.once.Do(f.encodeBook)
	}
	b := f.typed
	if as&wrapped != 0 && f.shared != 0 {
		f.wrapOnce.Do(f.wrap)
		b = f.wrapped
	}
	if as&deflated != 0 && len(b) >= deflateFrom {
		return f.packed(as&^deflated, b)
	}
	return b
}

// bytesAfter is bytes without the messages up to seq.
func (f *Frame) bytesAfter(seq uint64, as format) []byte {
	b := f.bytes(as)
	for i := f.seq; i <= seq; i++ {
		b = b[frameLen(b):]
	}
	return b
}

// wrap makes the "data" form: only the words before the shared part of each message differ.
func (f *Frame) wrap() {
	begin := `{"type":"data","channel":"` + f.channel.name + `","data":`
	out := make([]byte, 0, len(f.typed)+f.messages()*len(begin))
	for rest := f.typed; len(rest) > 0; {
		n := frameLen(rest)
		payload := rest[n-payloadLen(rest) : n]
		var start int
		out, start = beginFrame(out)
		out = append(append(out, begin...), payload[f.shared:]...)
		out = endFrame(out, start)
		rest = rest[n:]
	}
	f.wrapped = out
}

// payloadLen reads the length of the first message's payload from its header.
func payloadLen(frame []byte) int {
	switch n := frame[1]; n {
	case payload16:
		return int(binary.BigEndian.Uint16(frame[2:]))
	case payload64:
		return int(binary.BigEndian.Uint64(frame[2:]))
	default:
		return int(n)
	}
}

// frameLen is the length of the first message with its header.
func frameLen(frame []byte) int {
	n := payloadLen(frame)
	switch frame[1] {
	case payload16:
		return 4 + n
	case payload64:
		return maxHeader + n
	default:
		return 2 + n
	}
}

// encodeBook encodes the whole book of a lazy frame.
func (f *Frame) encodeBook() {
	b := make([]byte, maxHeader, maxHeader+f.size)
	if f.native != nil {
		b = f.native.appendWhole(b, f.view)
		f.typed = b[putHeader(b, maxHeader, opText, len(b)-maxHeader):]
		return
	}
	m := f.channel.market.Load()
	frame := bookFrame{view: f.view, seq: f.seq, at: f.at, named: f.channel.owned, owners: f.owners}
	if frame.named {
		frame.whale = f.channel.hub.whale(m.ID)
	}
	b, f.shared = appendBookFrame(b, f.channel.name, m, frame)
	f.shared -= maxHeader
	f.typed = b[putHeader(b, maxHeader, opText, len(b)-maxHeader):]
}

// errorFrame returns an error message; channel may be empty.
func errorFrame(code, message, channel string) []byte {
	b := append(make([]byte, 0, 128), `{"type":"error","code":"`...)
	b = append(b, code...)
	b = append(b, `","message":`...)
	b = model.AppendString(b, message)
	if channel != "" {
		b = append(b, `,"channel":`...)
		b = model.AppendString(b, channel)
	}
	return newFrame(append(b, '}'))
}

// typeFrame returns a message that is its type alone.
func typeFrame(name string) []byte { return newFrame([]byte(`{"type":"` + name + `"}`)) }

// channelFrame returns an acknowledgement of a channel.
func channelFrame(name, channel string) []byte {
	return newFrame([]byte(`{"type":"` + name + `","channel":"` + channel + `"}`))
}

// appendInt is strconv.AppendInt in base 10 for the integer types of the wire.
func appendInt[T ~int | ~int64](b []byte, v T) []byte { return strconv.AppendInt(b, int64(v), 10) }

// appendUint is its unsigned twin.
func appendUint[T ~uint64](b []byte, v T) []byte { return num.AppendUint(b, uint64(v)) }
