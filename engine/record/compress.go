package record

import (
	"sync"

	"github.com/klauspost/compress/zstd"
)

// A compressed section may claim to hold no more than this, so that a damaged length cannot make a decoder allocate at
// will. What is beyond is stored as it is; segments stay far below.
const (
	maxRaw   = 4 << 20
	maxRatio = 1024
)

// The coder and the decoder are shared: EncodeAll and DecodeAll are safe for concurrent use and keep no state. Blocks
// have checksums in the store, so the frames carry none. Both are made when the program starts, in a third of a millisecond: their
// channels must not belong to the fake time of whichever test asks first.
var (
	zstdEncoder = newEncoder()
	zstdDecoder = newDecoder()
)

func newEncoder() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), zstd.WithAllLitEntropyCompression(true), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(err) // the options are constants
	}
	e.EncodeAll(nil, nil) // it makes its channel at the first call
	return e
}

// newDecoder returns a decoder with room for as many readers as there are cores: they must not wait for one another.
func newDecoder() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderLowmem(true))
	if err != nil {
		panic(err) // the options are constants
	}
	return d
}

// packBuffers hold what was compressed until its length is known and written. They stay below maxRaw.
var packBuffers = sync.Pool{New: func() any { return new([]byte) }}

// A section is a run of bytes with its length before it: uvarint(stored length x 2 + compressed), then, if compressed,
// uvarint(raw length), then the bytes.

// appendSection writes a section, compressed where asked and where that makes it smaller.
func appendSection(dst, raw []byte, compress bool) []byte {
	if compress && len(raw) > 16 && len(raw) <= maxRaw {
		scratch := packBuffers.Get().(*[]byte)
		defer packBuffers.Put(scratch)
		packed := zstdEncoder.EncodeAll(raw, (*scratch)[:0])
		*scratch = packed
		if len(packed) < len(raw) && len(raw) <= maxRatio*len(packed) {
			dst = appendUvarint(dst, uint64(len(packed))<<1|1)
			dst = appendUvarint(dst, uint64(len(raw)))
			return append(dst, packed...)
		}
	}
	dst = appendUvarint(dst, uint64(len(raw))<<1)
	return append(dst, raw...)
}

// section is a section that was found but not yet unpacked.
type section struct {
	stored []byte
	raw    uint64 // raw length of a compressed section, 0 of another
}

func (r *reader) section() section {
	n := r.uvarint()
	if n&1 == 0 {
		return section{stored: r.bytes(n >> 1)}
	}
	s := section{raw: r.uvarint()}
	s.stored = r.bytes(n >> 1)
	if s.raw == 0 || s.raw > min(maxRaw, maxRatio*uint64(len(s.stored))) {
		r.fail()
		return section{} // whose unpacking allocates nothing
	}
	return s
}

// unpack returns the raw bytes; those of a compressed section lie in buf, which grows as needed and is returned.
func (s section) unpack(buf []byte, what string) (raw, grown []byte, err error) {
	if s.raw == 0 {
		return s.stored, buf, nil
	}
	if uint64(cap(buf)) < s.raw {
		buf = make([]byte, 0, s.raw)
	}
	out, err := zstdDecoder.DecodeAll(s.stored, buf[:0:s.raw])
	if err != nil || uint64(len(out)) != s.raw {
		return nil, buf, corrupt(what)
	}
	return out, buf, nil
}
