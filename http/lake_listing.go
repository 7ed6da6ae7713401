package http

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"hyperlight/engine/lake"
	"hyperlight/engine/model"
)

// mostListed is the most files that one listing names. Programs that read a listing open what is in it, each with requests
// of its own: more would be of no use.
const mostListed = 10_000

// listingStep is what the end of a listing's links is rounded up to. A client that asks for the length first and then for the
// content, or reads it in parts, gets one and the same document.
const listingStep = time.Minute

// listingHead names the columns of a listing.
const listingHead = "url,export_id,dataset,market_id,symbol,date,rows,size_bytes,sha256,expires_at\n"

// getListing answers with all files of a dataset as CSV, oldest first, each with a link, so that a program that reads files
// over HTTP can open the dataset with one query.
func getListing(c *call) {
	body, changed, err := c.listing()
	if err != nil {
		c.fail(err)
		return
	}
	sum := sha256.Sum256(body)
	c.sendContent(&content{media: "text/csv; charset=utf-8", filename: string(c.pathParams[0]) + ".csv",
		etag: `"` + hex.EncodeToString(sum[:]) + `"`, changed: changed, size: int64(len(body)), body: body})
}

func (c *call) listing() (body []byte, changed time.Time, err error) {
	l, err := c.lakeFiles()
	if err != nil {
		return nil, changed, err
	}
	p := c.params()
	q := p.lakeQuery()
	d, ok := lake.ParseDataset(string(c.pathParams[0]))
	if !ok {
		return nil, changed, model.NotFound("no such dataset")
	}
	if p.err != nil {
		return nil, changed, p.err
	}
	q.Dataset, q.Limit = d, mostListed
	rows, total := l.Manifest.List(q)
	if total > mostListed {
		return nil, changed, &model.Error{Code: model.CodeBadRequest, Message: "that is more than " + strconv.Itoa(mostListed) +
			" files, narrow start and end or name a market_id", Details: map[string]any{"field": "start", "limit": mostListed, "received": total}}
	}
	body = slices.Grow([]byte(listingHead), 400*len(rows))
	for i := range rows {
		body = c.appendListed(body, &rows[i])
		changed = later(changed, rows[i].Created)
	}
	return body, changed, nil
}

// appendListed writes the line of a file.
func (c *call) appendListed(dst []byte, f *lake.File) []byte {
	url, expires := c.steadyLink(f)
	dst = append(dst, url...)
	dst = append(dst, ',')
	dst = append(dst, f.ID.String()...)
	dst = append(dst, ',')
	dst = append(dst, f.ID.Dataset...)
	dst = append(dst, ',')
	if f.ID.Market != lake.AllMarkets {
		dst = strconv.AppendInt(dst, f.ID.Market, 10)
	}
	dst = appendCell(append(dst, ','), f.Symbol)
	dst = append(dst, ',')
	dst = append(dst, f.ID.Date()...)
	dst = append(dst, ',')
	dst = strconv.AppendInt(dst, f.Rows, 10)
	dst = append(dst, ',')
	dst = strconv.AppendInt(dst, f.Bytes, 10)
	dst = hex.AppendEncode(append(dst, ','), f.SHA256[:])
	dst = append(dst, ',')
	dst = strconv.AppendInt(dst, expires.UnixMilli(), 10)
	return append(dst, '\n')
}

// steadyLink is linkTo, but the same link for everybody who asks within a step of the clock where it leads to us.
func (c *call) steadyLink(f *lake.File) (url string, expires time.Time) {
	if url, expires, ok := c.remoteLink(f); ok {
		return url, expires
	}
	links, path := c.server.lake.Links, lakeFilesPath+f.ID.FileName()
	url, expires = links.Link(path)
	expires = expires.Truncate(listingStep).Add(listingStep)
	at := expires.Unix()
	base, _, _ := strings.Cut(url, "?")
	return base + "?expires=" + strconv.FormatInt(at, 10) + "&signature=" + links.Sign(path, at), expires
}

// later returns the later one of two times.
func later(t time.Time, ms model.Millis) time.Time {
	if other := time.UnixMilli(int64(ms)); other.After(t) {
		return other
	}
	return t
}

// appendCell writes a text as a cell of CSV.
func appendCell(dst []byte, text string) []byte {
	if !strings.ContainsAny(text, "\",\r\n") {
		return append(dst, text...)
	}
	dst = append(dst, '"')
	dst = append(dst, strings.ReplaceAll(text, `"`, `""`)...)
	return append(dst, '"')
}
