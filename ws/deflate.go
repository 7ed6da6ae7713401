package ws

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"

	"github.com/klauspost/compress/flate"
)

const (
	// deflateFrom is the smallest payload worth compressing.
	deflateFrom = 1 << 10
	// deflateAnswer accepts an offer. Without context take-over each message is compressed by itself: a frame is
	// compressed once for all its receivers, and no connection keeps a window.
	deflateAnswer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	// deflatedBit is set in the first byte of a compressed message.
	deflatedBit = 0x40
)

// acceptDeflate reads a Sec-WebSocket-Extensions header and answers the first offer of permessage-deflate that can be
// kept to; "" where there is none. Our windows are the largest there are, so a smaller one for us cannot be promised.
func acceptDeflate(header string) string {
	for offer := range strings.SplitSeq(header, ",") {
		if answer := acceptOffer(offer); answer != "" {
			return answer
		}
	}
	return ""
}

func acceptOffer(offer string) string {
	name, rest, more := strings.Cut(offer, ";")
	if strings.TrimSpace(name) != "permessage-deflate" {
		return ""
	}
	answer, seen := deflateAnswer, map[string]bool{}
	for more {
		var param string
		param, rest, more = strings.Cut(rest, ";")
		name, value, valued := strings.Cut(strings.TrimSpace(param), "=")
		name, value = strings.TrimSpace(name), strings.Trim(strings.TrimSpace(value), `"`)
		if seen[name] {
			return ""
		}
		seen[name] = true
		switch name {
		case "server_no_context_takeover", "client_no_context_takeover":
			if valued {
				return ""
			}
		case "client_max_window_bits": // what a client may do with less it may do with all
			if valued && !windowBits(value) {
				return ""
			}
		case "server_max_window_bits":
			if value != "15" {
				return ""
			}
			answer += "; server_max_window_bits=15"
		default:
			return ""
		}
	}
	return answer
}

func windowBits(s string) bool {
	switch s {
	case "8", "9", "10", "11", "12", "13", "14", "15":
		return true
	}
	return false
}

// packs are a frame's compressed messages by their plain format.
type packs struct {
	once  [2]sync.Once
	bytes [2][]byte
}

// packed returns the messages compressed where that is worth it; whoever needs them first compresses them for all.
func (f *Frame) packed(as format, plain []byte) []byte {
	p := f.packs.Load()
	if p == nil {
		f.packs.CompareAndSwap(nil, new(packs))
		p = f.packs.Load()
	}
	if f.shared == 0 {
		as = typed
	}
	p.once[as].Do(func() { p.bytes[as] = deflate(plain) })
	return p.bytes[as]
}

// deflater is a compressor and the memory that it writes to.
type deflater struct {
	w   *flate.Writer
	out bytes.Buffer
}

var deflaters = sync.Pool{New: func() any {
	w, err := flate.NewWriter(nil, flate.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant
	}
	return &deflater{w: w}
}}

// emptyBlock ends what a flush writes; RFC 7692 leaves it out.
var emptyBlock = []byte{0, 0, 0xff, 0xff}

// deflate compresses finished messages that stand one behind the other. Those that gain nothing stay as they are.
func deflate(messages []byte) []byte {
	d := deflaters.Get().(*deflater)
	defer deflaters.Put(d)
	out := make([]byte, 0, len(messages)/3)
	for len(messages) > 0 {
		n := frameLen(messages)
		payload := messages[n-payloadLen(messages) : n]
		small, ok := d.compress(payload)
		if ok {
			var start int
			out, start = beginFrame(out)
			out = endFrame(append(out, small...), start)
			out[start] |= deflatedBit
		} else {
			out = append(out, messages[:n]...)
		}
		messages = messages[n:]
	}
	return out
}

// compress returns a payload compressed, valid until the next call; false where it is not worth it.
func (d *deflater) compress(payload []byte) ([]byte, bool) {
	if len(payload) < deflateFrom {
		return nil, false
	}
	d.out.Reset()
	d.w.Reset(&d.out)
	_, err := d.w.Write(payload)
	if err = errors.Join(err, d.w.Flush()); err != nil {
		return nil, false
	}
	small, ended := bytes.CutSuffix(d.out.Bytes(), emptyBlock)
	return small, ended && len(small) < len(payload)
}

// brokenDeflate tells whether reading failed because of what the client sent as compressed data.
func brokenDeflate(err error) bool {
	var corrupt flate.CorruptInputError
	var internal flate.InternalError
	return errors.As(err, &corrupt) || errors.As(err, &internal) || errors.Is(err, io.ErrUnexpectedEOF)
}
