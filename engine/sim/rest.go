package sim

import (
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"
)

// query is a request's parameters; form fields of a POST and the query string look alike.
type query struct{ args *fasthttp.Args }

func (q query) text(name string) string { return string(q.args.Peek(name)) }

// int reads an integer parameter: def where it is absent, false where it is no integer.
func (q query) int(name string, def int64) (int64, bool) {
	b := q.args.Peek(name)
	if len(b) == 0 {
		return def, true
	}
	v, err := strconv.ParseInt(string(b), 10, 64)
	return v, err == nil
}

// limit reads a required count of 1..top.
func (q query) limit(top int64) (int, bool) {
	v, ok := q.int("limit", 0)
	return int(v), ok && v >= 1 && v <= top
}

// formOf reads the fields of a POST. The venue documents URL-encoded forms; clients send multipart ones, too, and get
// through.
func formOf(ctx *fasthttp.RequestCtx) *fasthttp.Args {
	args := ctx.PostArgs()
	if form, err := ctx.MultipartForm(); err == nil {
		for name, values := range form.Value {
			args.Set(name, values[0])
		}
	}
	return args
}

// rest answers one REST request. Rate windows come before anything else, as at the venue.
func (s *server) rest(ctx *fasthttp.RequestCtx, path string) {
	name := strings.TrimPrefix(path, "/api/v1/")
	r, ok := routes[name]
	if !ok || r.post != ctx.IsPost() || !r.post && !ctx.IsGet() && !ctx.IsHead() {
		writeForbidden(ctx)
		return
	}
	token := string(ctx.Request.Header.Peek("Authorization"))
	q := query{args: ctx.QueryArgs()}
	if r.post {
		q.args = formOf(ctx)
	}
	if token != "" {
		q.args.Set("auth", token) // from here on a header and a parameter are the same
	}
	token = q.text("auth")
	if token == "" && !r.post && !s.clients.request(ctx.RemoteIP().String(), s.limits, r.weight, s.now()) {
		writeError(ctx, errTooManyRequests)
		return
	}
	if r.auth {
		if token == "" {
			writeError(ctx, errNoAuth)
			return
		}
		account, _ := q.int("account_index", -1)
		if e := checkToken(token, account, s.src.now()); e != nil {
			writeError(ctx, e)
			return
		}
	}
	body, e := []byte(r.fixed), (*venueError)(nil)
	if r.fixed == "" {
		body, e = s.body(name, q)
	}
	if e != nil {
		writeError(ctx, e)
		return
	}
	ctx.SetContentType("application/json; charset=utf-8")
	ctx.SetBody(body)
}

// body answers what is the same for every source, and asks the source for the rest.
func (s *server) body(name string, q query) ([]byte, *venueError) {
	switch name {
	case "/":
		b := strconv.AppendInt([]byte(`{"status":200,"network_id":1,"timestamp":`), s.src.now().Unix(), 10)
		return append(b, '}'), nil
	case "sendTx":
		return s.sendTx(q.args.Peek("tx_type"), q.args.Peek("tx_info"))
	case "sendTxBatch":
		return s.sendTxBatch(q.args.Peek("tx_types"), q.args.Peek("tx_infos"))
	case "nextNonce":
		return s.nextNonce(q)
	case "assetDetails":
		return answerAssets(q)
	}
	h := s.src.stream()
	h.mu.Lock()
	defer h.mu.Unlock()
	return s.src.answer(nil, name, q)
}

func writeError(ctx *fasthttp.RequestCtx, e *venueError) {
	ctx.ResetBody()
	ctx.SetStatusCode(e.status)
	ctx.SetContentType("application/json; charset=utf-8")
	ctx.SetBody(e.appendBody(nil))
}

// writeForbidden is what the CDN in front of the venue says to an unknown path or an odd client: no JSON at all.
func writeForbidden(ctx *fasthttp.RequestCtx) {
	ctx.SetStatusCode(fasthttp.StatusForbidden)
	ctx.SetContentType("text/html")
	ctx.SetBodyString("<html>\r\n<head><title>403 Forbidden</title></head>\r\n<body>\r\n<center><h1>403 Forbidden</h1></center>\r\n</body>\r\n</html>\r\n")
}
