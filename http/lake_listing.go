package http

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"sync"
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
	changed = c.start.Truncate(listingStep) // since then its links end later
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

// steadyLink is linkTo, but the same link for everybody who asks within a step of the clock.
func (c *call) steadyLink(f *lake.File) (url string, expires time.Time) {
	if url, expires, ok := c.server.listed.get(f, c.nowMillis(), func() (string, time.Time, bool) { return c.remoteLink(f) }); ok {
		return url, expires
	}
	links, path := c.server.lake.Links, lakeFilesPath+f.ID.FileName()
	url, expires = links.Link(path)
	expires = expires.Truncate(listingStep).Add(listingStep)
	at := expires.Unix()
	base, _, _ := strings.Cut(url, "?")
	return base + "?expires=" + strconv.FormatInt(at, 10) + "&signature=" + links.Sign(path, at), expires
}

// mostSteady is how many links of the object store are kept, of some 600 bytes each.
const mostSteady = 4 * mostListed

// steadyLinks keeps the object store's links of a step of the clock: each that it makes says when it was made.
type steadyLinks struct {
	mu   sync.Mutex
	step model.Millis
	made map[steadyKey]steadyLink
}

// steadyKey names a version of a file: of one that was made again the store has an older one for a while.
type steadyKey struct {
	id  lake.ID
	sum [sha256.Size]byte
}

type steadyLink struct {
	url     string
	expires time.Time
}

// get returns the link that was made before in this step, or makes one. One that would not last longer than another step is not kept.
func (s *steadyLinks) get(f *lake.File, now model.Millis, link func() (string, time.Time, bool)) (url string, expires time.Time, ok bool) {
	const length = model.Millis(listingStep / time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	if step := now / length; step != s.step || len(s.made) >= mostSteady {
		s.step, s.made = step, map[steadyKey]steadyLink{}
	}
	key := steadyKey{f.ID, f.SHA256}
	if l, ok := s.made[key]; ok {
		return l.url, l.expires, true
	}
	url, expires, ok = link()
	if ok && expires.UnixMilli() > int64(now+2*length) {
		s.made[key] = steadyLink{url, expires}
	}
	return url, expires, ok
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
