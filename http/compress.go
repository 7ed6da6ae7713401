package http

import (
	"bytes"
	"strconv"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/valyala/fasthttp"
)

// compressFrom is the smallest body worth compressing.
const compressFrom = 1 << 10

var (
	encodingZstd = []byte("zstd")
	encodingGzip = []byte("gzip")

	// zstdEncoder is shared: EncodeAll may be called from many goroutines.
	zstdEncoder = func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(2))
		if err != nil {
			panic(err) // the options above are constants
		}
		return e
	}()
	gzipWriters = sync.Pool{New: func() any {
		w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
		if err != nil {
			panic(err) // the level above is a constant
		}
		return w
	}}
	bodyBuffers = sync.Pool{New: func() any { return new([]byte) }}
)

// compress encodes the body as the client accepts it. HEAD is treated alike, so that its headers are those of GET.
func (c *call) compress() {
	if len(c.head.acceptEncoding) == 0 {
		return
	}
	resp := &c.ctx.Response
	if resp.IsBodyStream() || len(resp.Header.ContentEncoding()) > 0 {
		return
	}
	body := resp.Body()
	if len(body) < compressFrom {
		return
	}
	resp.Header.Add(fasthttp.HeaderVary, fasthttp.HeaderAcceptEncoding)
	encoding := chooseEncoding(c.head.acceptEncoding)
	if encoding == nil {
		return
	}
	scratch := bodyBuffers.Get().(*[]byte)
	defer bodyBuffers.Put(scratch)
	if &encoding[0] == &encodingZstd[0] {
		*scratch = zstdEncoder.EncodeAll(body, (*scratch)[:0])
	} else {
		buf := bytes.NewBuffer((*scratch)[:0])
		w := gzipWriters.Get().(*gzip.Writer)
		w.Reset(buf)
		_, werr := w.Write(body)
		cerr := w.Close()
		gzipWriters.Put(w)
		if werr != nil || cerr != nil {
			return // a buffer cannot refuse; sending the body as it is stays right in any case
		}
		*scratch = buf.Bytes()
	}
	resp.SwapBody(append(resp.SwapBody(nil)[:0], *scratch...))
	resp.Header.SetContentEncodingBytes(encoding)
}

// chooseEncoding returns zstd or gzip, whichever the client weighs higher (zstd where equal); nil where it takes neither.
func chooseEncoding(accept []byte) []byte {
	zstdWeight, gzipWeight, anyWeight := -1, -1, -1
	for len(accept) > 0 {
		item := accept
		if i := bytes.IndexByte(accept, ','); i >= 0 {
			item, accept = accept[:i], accept[i+1:]
		} else {
			accept = nil
		}
		name, parameters, _ := bytes.Cut(item, []byte(";"))
		weight := 1000
		if q, ok := bytes.CutPrefix(bytes.ReplaceAll(bytes.ToLower(parameters), []byte(" "), nil), []byte("q=")); ok {
			f, err := strconv.ParseFloat(string(q), 32)
			if err != nil || f < 0 || f > 1 {
				continue
			}
			weight = int(f * 1000)
		}
		switch name = trim(name); {
		case equalFold(name, "zstd"):
			zstdWeight = weight
		case equalFold(name, "gzip"), equalFold(name, "x-gzip"):
			gzipWeight = weight
		case string(name) == "*":
			anyWeight = weight
		}
	}
	if zstdWeight < 0 {
		zstdWeight = anyWeight
	}
	if gzipWeight < 0 {
		gzipWeight = anyWeight
	}
	switch {
	case zstdWeight <= 0 && gzipWeight <= 0:
		return nil
	case zstdWeight >= gzipWeight:
		return encodingZstd
	}
	return encodingGzip
}
