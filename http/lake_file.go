package http

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/valyala/fasthttp"

	"hyperlight/engine/lake"
	"hyperlight/engine/model"
)

// A client has sendTime for each sendPiece of a file: 9 KB/s and more is fast enough, however long the file is.
const (
	sendPiece = 256 << 10
	sendTime  = 30 * time.Second
)

// mostMetadata is the longest metadata file that is served; their validators are made of their content.
const mostMetadata = 16 << 20

const mediaParquet = "application/vnd.apache.parquet"

var (
	filesSent = metrics.NewCounter("hyperlight_lake_downloads_total")
	bytesSent = metrics.NewCounter("hyperlight_lake_download_bytes_total")

	errNoFile   = model.NotFound("no such file")
	errRemade   = &model.Error{Code: model.CodeServiceUnavailable, Message: "the file is being made again, try again"}
	errRange    = &model.Error{Code: model.CodeBadRequest, Message: "the file has no such range", Details: map[string]any{"field": "Range"}}
	errMatching = &model.Error{Code: model.CodeBadRequest, Message: "the file has changed, fetch the whole of it again"}

	headerRanges      = []byte("Accept-Ranges")
	headerRange       = []byte("Content-Range")
	headerDisposition = []byte("Content-Disposition")
	valueBytes        = []byte("bytes")
	valueRevalidate   = []byte("private, no-cache")
)

// checkLink lets in whoever has a link to the path that is asked for. Nothing else of the file is looked at before.
func (c *call) checkLink() error {
	links := c.server.lake.Links
	if links == nil {
		return errNoLake
	}
	args := c.ctx.QueryArgs()
	return links.Verify(lakeFilesPath+string(c.pathParams[0]), string(args.Peek("expires")), string(args.Peek("signature")))
}

// getSignedFile answers a download link.
func getSignedFile(c *call) {
	name, ok := strings.CutSuffix(string(c.pathParams[0]), ".parquet")
	id, known := lake.ParseID(name)
	if !ok || !known {
		c.fail(errNoFile)
		return
	}
	c.sendExport(id)
}

// getTreeFile answers the path that a file has in the lake's directory, as tables of other formats name it.
func getTreeFile(c *call) {
	id, ok := lake.ParseKey(string(bytes.TrimPrefix(requestPath(c.ctx), []byte(lakeFilesPath))))
	if !ok {
		c.fail(errNoFile)
		return
	}
	p := c.params()
	if p.reach("export_id", id.To()-1, c.nowMillis()); p.err != nil {
		c.fail(p.err)
		return
	}
	c.sendExport(id)
}

// sendExport sends a file of the lake. What was opened stays what it is while it is sent, even if the file is made again
// meanwhile.
func (c *call) sendExport(id lake.ID) {
	l, err := c.lakeFiles()
	if err != nil {
		c.fail(err)
		return
	}
	file, f, err := l.Open(id)
	if err != nil {
		c.failOpen(err)
		return
	}
	if st, err := file.Stat(); err != nil || st.Size() != f.Bytes {
		_ = file.Close()
		c.fail(errRemade)
		return
	}
	c.sendContent(&content{media: mediaParquet, filename: id.FileName(), etag: `"` + hex.EncodeToString(f.SHA256[:]) + `"`,
		changed: time.UnixMilli(int64(f.Created)), size: f.Bytes, file: file})
}

// failOpen answers for a file that could not be opened.
func (c *call) failOpen(err error) {
	if errors.Is(err, fs.ErrNotExist) {
		err = errNoFile
	}
	c.fail(err)
}

// getMetadata answers with a file of a dataset's table metadata.
func getMetadata(c *call) {
	l, err := c.lakeFiles()
	if err != nil {
		c.fail(err)
		return
	}
	d, ok := lake.ParseDataset(string(c.pathParams[0]))
	name := string(c.pathParams[1])
	if !ok || l.Metadata == nil || !metadataName(name) {
		c.fail(errNoFile)
		return
	}
	file, err := l.Metadata(d, name)
	if err != nil {
		c.failOpen(err)
		return
	}
	defer file.Close() // its content is sent from memory
	st, err := file.Stat()
	if err != nil || !st.Mode().IsRegular() || st.Size() > mostMetadata {
		c.failOpen(errors.Join(err, fs.ErrNotExist))
		return
	}
	body, err := io.ReadAll(io.LimitReader(file, mostMetadata))
	if err != nil {
		c.fail(fmt.Errorf("read table metadata: %w", err))
		return
	}
	sum := sha256.Sum256(body)
	c.sendContent(&content{media: mediaOf(name), filename: name, etag: `"` + hex.EncodeToString(sum[:]) + `"`, changed: st.ModTime(),
		size: int64(len(body)), body: body})
}

// metadataName tells whether a name can be that of a metadata file: no path, and nothing hidden or unfinished.
func metadataName(name string) bool {
	for _, ch := range []byte(name) {
		if !tokenBytes[ch] {
			return false
		}
	}
	return name != "" && name[0] != '.' && mediaOf(name) != ""
}

// mediaOf returns the media type of a metadata file, "" for a name that none has.
func mediaOf(name string) string {
	switch {
	case strings.HasSuffix(name, ".json"):
		return contentJSON
	case strings.HasSuffix(name, ".avro"):
		return "application/avro"
	case strings.HasSuffix(name, ".text"):
		return "text/plain; charset=utf-8"
	}
	return ""
}

// content is something that is sent as it is, whole or in part: a file, or what is in memory. Sending takes the file over.
type content struct {
	media, filename, etag string
	changed               time.Time
	size                  int64
	file                  *os.File // nil: body
	body                  []byte
}

// sendContent answers a GET or HEAD under the conditions that it came with.
func (c *call) sendContent(ct *content) {
	q := c.conditions()
	verdict, r := q.decide(ct.size, ct.etag, ct.changed.Truncate(time.Second))
	resp := &c.ctx.Response
	if ct.file != nil && (verdict == notModified || verdict == notMatching || verdict == noSuchRange) {
		_ = ct.file.Close()
	}
	switch verdict {
	case notMatching:
		c.failWith(errMatching, fasthttp.StatusPreconditionFailed)
		return
	case noSuchRange:
		c.failWith(errRange, fasthttp.StatusRequestedRangeNotSatisfiable)
		resp.Header.SetCanonical(headerRange, fmt.Appendf(nil, "bytes */%d", ct.size))
		return
	}
	h := &resp.Header
	h.Set(fasthttp.HeaderETag, ct.etag)
	h.SetLastModified(ct.changed)
	h.SetCanonical(headerCacheControl, valueRevalidate)
	if verdict == notModified {
		resp.SetStatusCode(fasthttp.StatusNotModified)
		return
	}
	h.SetCanonical(headerRanges, valueBytes)
	h.SetCanonical(headerDisposition, []byte(`attachment; filename="`+ct.filename+`"`))
	h.SetContentType(ct.media)
	if verdict == sendPart {
		resp.SetStatusCode(fasthttp.StatusPartialContent)
		h.SetCanonical(headerRange, fmt.Appendf(nil, "bytes %d-%d/%d", r.From, r.From+r.Length-1, ct.size))
	}
	if !c.ctx.IsHead() {
		filesSent.Inc()
	}
	if ct.file == nil {
		resp.SetBodyStream(bytes.NewReader(ct.body[r.From:r.From+r.Length]), int(r.Length))
		return
	}
	if _, err := ct.file.Seek(r.From, io.SeekStart); err != nil {
		_ = ct.file.Close()
		c.fail(fmt.Errorf("find a place in a file: %w", err))
		return
	}
	resp.SetBodyStream(&filePart{file: ct.file, left: r.Length, conn: c.ctx.Conn()}, int(r.Length))
}

// conditions collects the conditions of a request.
func (c *call) conditions() conditions {
	h := &c.ctx.Request.Header
	list := func(name string) []byte { return bytes.Join(h.PeekAll(name), []byte(",")) }
	return conditions{match: list(fasthttp.HeaderIfMatch), noneMatch: list(fasthttp.HeaderIfNoneMatch),
		unmodified: h.Peek(fasthttp.HeaderIfUnmodifiedSince), modified: h.Peek(fasthttp.HeaderIfModifiedSince),
		ifRange: h.Peek(fasthttp.HeaderIfRange), part: h.Peek(fasthttp.HeaderRange)}
}

// filePart is a part of an open file on its way to a client. The server closes it when it was sent, or could not be.
type filePart struct {
	file *os.File
	left int64
	conn net.Conn
}

// WriteTo sends the part. Each piece has its own deadline in the place of the server's, which is one for a whole answer. On a
// plain connection the kernel copies the file by itself: memory does not grow with the part.
func (p *filePart) WriteTo(w io.Writer) (sent int64, err error) {
	// What is buffered goes first: the kernel only takes over where nothing is.
	if b, ok := w.(interface{ Flush() error }); ok {
		if err := b.Flush(); err != nil {
			return 0, err
		}
	}
	for p.left > 0 {
		if err := p.conn.SetWriteDeadline(time.Now().Add(sendTime)); err != nil {
			return sent, err
		}
		n, err := io.CopyN(w, p.file, min(p.left, sendPiece))
		sent, p.left = sent+n, p.left-n
		bytesSent.AddInt64(n)
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// Read implements io.Reader for whoever cannot use WriteTo.
func (p *filePart) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	n, err := p.file.Read(b[:min(int64(len(b)), p.left)])
	p.left -= int64(n)
	return n, err
}

// Close implements io.Closer.
func (p *filePart) Close() error { return p.file.Close() }
