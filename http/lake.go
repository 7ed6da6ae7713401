package http

import (
	"context"
	"encoding/hex"
	"os"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"hyperlight/engine/access"
	"hyperlight/engine/lake"
	"hyperlight/engine/model"
)

// LakeManifest is the list of the lake's files; *lake.Manifest is one.
type LakeManifest interface {
	List(lake.Query) (rows []lake.File, total int)
	Get(lake.ID) (lake.File, bool)
}

// LakeState tells what the making of files is at.
type LakeState struct {
	Running                 bool
	Done, Total             int          // files of the run, or of the last one
	Current                 lake.ID      // the file that is being made; its Dataset is "" where none is
	Started, Finished, Next model.Millis // 0: not known
}

// LakeOptions is what the calls about the data lake are answered from. All but Metadata, Remote and State are required where
// there is a Manifest; without one there is no lake.
type LakeOptions struct {
	Manifest LakeManifest
	// Open opens a listed file, and tells which version of it that is. fs.ErrNotExist: it is gone.
	Open func(lake.ID) (*os.File, lake.File, error)
	// Metadata opens a file below a dataset's metadata directory; nil: there are none.
	Metadata func(d lake.Dataset, name string) (*os.File, error)
	// Links signs and checks links to files of ours. Their base is PublicURL.
	Links *lake.Links
	// Remote returns the object store's own link to a file that it has; nil: there is no store.
	Remote func(ctx context.Context, f lake.File) (url string, expires time.Time, err error)
	// State must not block; nil: nothing is ever made.
	State func() LakeState
}

// lakeFilesPath is below which files are served, and what links sign the paths of.
const lakeFilesPath = "/api/v1/data-lake/files/"

var (
	errNoLake   = &model.Error{Code: model.CodeServiceUnavailable, Message: "no data lake is configured"}
	errNoExport = model.NotFound("no such export")
)

// hasDataLake tells whether a plan includes the lake's files.
func hasDataLake(p *access.Plan) bool { return p.DataLake }

// lakeFiles returns the lake, where there is one.
func (c *call) lakeFiles() (*LakeOptions, error) {
	if c.server.lake.Manifest == nil {
		return nil, errNoLake
	}
	return &c.server.lake, nil
}

// lakeQuery reads which files are asked for: those whose day overlaps the range, and no older ones than the plan reaches.
func (p *params) lakeQuery() lake.Query {
	q := lake.Query{Ascending: true}
	if v, ok := p.get("dataset"); ok {
		q.Dataset = p.dataset(v)
	}
	if m := p.market("market_id"); m != nil {
		q.Market = &m.Native
	}
	q.From, _ = p.moment("start")
	to, given := p.moment("end")
	if q.To = to; given && q.From >= to {
		p.fault("start", "start must be before end")
	}
	now := p.c.nowMillis()
	if _, given := p.get("start"); given {
		p.reach("start", q.From, now)
	}
	q.From = max(q.From, p.c.reachOf(now))
	// The current day is never listed, not even where a clock that has been set back since had taken it for a finished one.
	if today := lake.DayOf(now); q.To == 0 || q.To > today {
		q.To = today
	}
	return q
}

// dataset reads the name of a dataset.
func (p *params) dataset(name []byte) lake.Dataset {
	d, ok := lake.ParseDataset(string(name))
	if !ok {
		words := make([]string, len(lake.Datasets))
		for i, known := range lake.Datasets {
			words[i] = string(known)
		}
		p.fault("dataset", "dataset must be one of "+joinWords(words))
	}
	return d
}

func parseExports(c *call) (lake.Query, error) {
	p := c.params()
	q := p.lakeQuery()
	q.Limit, q.Offset = p.integer("limit", 50, 1, 1000), p.integer("offset", 0, 0, maxOffset+1)
	if q.Offset > maxOffset {
		p.fault("offset", "offset must not be above 100000, use start and end")
	}
	q.Ascending = p.word("order", "desc", "asc") == "asc"
	return q, p.err
}

// answerExports lists files that are whole. What is being made is told by state.
func answerExports(c *call, dst []byte, q lake.Query) ([]byte, meta, error) {
	l, err := c.lakeFiles()
	if err != nil {
		return dst, meta{}, err
	}
	rows, total := l.Manifest.List(q)
	dst = append(dst, `{"exports":[`...)
	for i := range rows {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendExport(dst, &rows[i])
	}
	dst = append(dst, `],"state":`...)
	var state LakeState
	if l.State != nil {
		state = l.State()
	}
	dst = append(appendLakeState(dst, &state), '}')
	return dst, meta{Paged: true, Total: int64(total), Limit: q.Limit, Offset: q.Offset}, nil
}

// appendExport writes a file's row.
func appendExport(dst []byte, f *lake.File) []byte {
	dst = append(dst, `{"export_id":"`...)
	dst = append(dst, f.ID.String()...)
	dst = append(dst, `","dataset":"`...)
	dst = append(dst, f.ID.Dataset...)
	dst = append(dst, `","market_id":`...)
	dst = appendIfKnown(dst, f.ID.Market, f.ID.Market != lake.AllMarkets)
	dst = append(dst, `,"symbol":`...)
	if f.ID.Market == lake.AllMarkets {
		dst = append(dst, "null"...)
	} else {
		dst = model.AppendString(dst, f.Symbol)
	}
	dst = append(dst, `,"date":"`...)
	dst = append(dst, f.ID.Date()...)
	dst = append(dst, `","period_start":`...)
	dst = strconv.AppendInt(dst, int64(f.ID.Day), 10)
	dst = append(dst, `,"period_end":`...)
	dst = strconv.AppendInt(dst, int64(f.ID.To()), 10)
	dst = append(dst, `,"format":"parquet","compression":"zstd","schema_version":`...)
	dst = strconv.AppendInt(dst, int64(f.SchemaVersion), 10)
	dst = append(dst, `,"rows":`...)
	dst = strconv.AppendInt(dst, f.Rows, 10)
	dst = appendContentOf(append(dst, ','), f)
	dst = append(dst, `,"status":"ready","created_at":`...)
	dst = strconv.AppendInt(dst, int64(f.Created), 10)
	return append(dst, '}')
}

// appendContentOf writes the members that tell one version of a file from another.
func appendContentOf(dst []byte, f *lake.File) []byte {
	dst = append(dst, `"size_bytes":`...)
	dst = strconv.AppendInt(dst, f.Bytes, 10)
	dst = append(dst, `,"sha256":"`...)
	dst = hex.AppendEncode(dst, f.SHA256[:])
	return append(dst, '"')
}

// appendLakeState writes what the making of files is at.
func appendLakeState(dst []byte, s *LakeState) []byte {
	status := "idle"
	if s.Running {
		status = "running"
	}
	dst = append(dst, `{"status":"`...)
	dst = append(dst, status...)
	dst = append(dst, `","files_done":`...)
	dst = strconv.AppendInt(dst, int64(s.Done), 10)
	dst = append(dst, `,"files_total":`...)
	dst = strconv.AppendInt(dst, int64(s.Total), 10)
	dst = append(dst, `,"current":`...)
	if s.Running && s.Current.Dataset != "" {
		dst = model.AppendString(dst, s.Current.String())
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"started_at":`...)
	dst = appendMillisOrNull(dst, s.Started)
	dst = append(dst, `,"finished_at":`...)
	dst = appendMillisOrNull(dst, s.Finished)
	dst = append(dst, `,"next_at":`...)
	dst = appendMillisOrNull(dst, s.Next)
	return append(dst, '}')
}

// download is a file whose link is asked for.
type download struct {
	file     lake.File
	redirect bool
}

func parseDownload(c *call) (download, error) {
	l, err := c.lakeFiles()
	if err != nil {
		return download{}, err
	}
	p := c.params()
	d := download{redirect: p.boolean("redirect")}
	if p.err != nil {
		return d, p.err
	}
	id, ok := lake.ParseID(string(c.pathParams[0]))
	if !ok {
		return d, errNoExport
	}
	if d.file, ok = l.Manifest.Get(id); !ok || id.To() > c.nowMillis() {
		return d, errNoExport
	}
	p.reach("export_id", id.To()-1, c.nowMillis())
	return d, p.err
}

// answerDownload hands out a link, or sends the client there.
func answerDownload(c *call, dst []byte, d download) ([]byte, meta, error) {
	url, expires := c.linkTo(&d.file)
	if d.redirect {
		c.ctx.Response.SetStatusCode(fasthttp.StatusFound)
		c.ctx.Response.Header.Set(fasthttp.HeaderLocation, url)
	}
	dst = append(dst, `{"export_id":"`...)
	dst = append(dst, d.file.ID.String()...)
	dst = append(dst, `","url":`...)
	dst = model.AppendString(dst, url)
	dst = append(dst, `,"expires_at":`...)
	dst = strconv.AppendInt(dst, expires.UnixMilli(), 10)
	dst = append(dst, `,"expires_in":`...)
	dst = strconv.AppendInt(dst, max(0, c.secondsTo(model.Millis(expires.UnixMilli()))), 10)
	dst = append(dst, `,"filename":"`...)
	dst = append(dst, d.file.ID.FileName()...)
	dst = appendContentOf(append(dst, `",`...), &d.file)
	return append(dst, '}'), meta{}, nil
}

// linkTo returns a link to a file: the object store's own where it has the file, else one to us.
func (c *call) linkTo(f *lake.File) (url string, expires time.Time) {
	if url, expires, ok := c.remoteLink(f); ok {
		return url, expires
	}
	return c.server.lake.Links.Link(lakeFilesPath + f.ID.FileName())
}

// remoteLink returns the object store's link to a file that it has. We have every such file too, so a store that cannot make
// links (its settings changed, say) costs nobody a download.
func (c *call) remoteLink(f *lake.File) (url string, expires time.Time, ok bool) {
	remote := c.server.lake.Remote
	if !f.Remote || remote == nil {
		return "", expires, false
	}
	url, expires, err := remote(c.waiting(), *f)
	if err != nil {
		c.server.log.Warn("object store gave no link", "component", "http", "request_id", string(c.id[:]), "error", err)
	}
	return url, expires, err == nil
}
