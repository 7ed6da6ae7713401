package ws

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"

	"github.com/fasthttp/websocket"
	"github.com/google/uuid"
	"github.com/valyala/fasthttp"

	"hyperlight/engine/access"
	"hyperlight/engine/model"
)

// The paths, as metrics and logs name them.
const (
	pathLive   = "/ws"
	pathStream = "/stream"
	pathReplay = "/ws/replay"
	pathPast   = "/replay/stream"
)

const notAHandshake = "this path takes a WebSocket handshake"

// readBuffer is how much of a client message is read at once; clients send little.
const readBuffer = 1024

// writeBuffers serve the library's own close frames only; everything else goes through our writer.
var writeBuffers sync.Pool

// WS serves a live connection: it answers the handshake, and the connection runs on after the handler has returned.
func (s *Server) WS(ctx *fasthttp.RequestCtx) { s.upgrade(ctx, pathLive, newLive) }

// Replay serves a replay connection in the same way.
func (s *Server) Replay(ctx *fasthttp.RequestCtx) { s.upgrade(ctx, pathReplay, newReplaySession) }

// Stream serves a connection that speaks the venue's own protocol, or ours after an auth message.
func (s *Server) Stream(ctx *fasthttp.RequestCtx) {
	if !s.o.Native.streams() {
		s.refuseHandshake(ctx, fasthttp.StatusServiceUnavailable, model.CodeServiceUnavailable, "no venue is followed whose stream could be served")
		return
	}
	s.upgrade(ctx, pathStream, newNativeSession)
}

// Past serves a connection that speaks the venue's own protocol on the recorded past.
func (s *Server) Past(ctx *fasthttp.RequestCtx) {
	if !s.o.Native.streams() || s.o.History == nil {
		s.refuseHandshake(ctx, fasthttp.StatusServiceUnavailable, model.CodeServiceUnavailable, "nothing is recorded that could be replayed")
		return
	}
	s.upgrade(ctx, pathPast, newPastSession)
}

func (s *Server) upgrade(ctx *fasthttp.RequestCtx, path string, open func(*Conn) session) {
	if ctx.IsHead() { // answered as a GET that is no handshake
		s.refuseHandshake(ctx, fasthttp.StatusBadRequest, model.CodeBadRequest, notAHandshake)
		return
	}
	s.mu.Lock()
	closed, full := s.closed, len(s.conns) >= s.limits.Connections
	s.mu.Unlock()
	if closed {
		s.refuseHandshake(ctx, fasthttp.StatusServiceUnavailable, model.CodeServiceUnavailable, "server is shutting down")
		return
	}
	if full {
		s.refuseHandshake(ctx, fasthttp.StatusServiceUnavailable, model.CodeServiceUnavailable, "too many sockets are open, connect again later")
		return
	}
	shown := s.credentials(ctx)
	block, most := blockOf(shown.Client), s.limits.Strangers
	if _, named := shown.Credential(); named {
		// A good credential leaves the lobby at once; there is room beside strangers for those whose is not.
		most *= 2
	}
	if !s.lobby.room(block, most) {
		ctx.Response.Header.Set("Retry-After", "1")
		s.refuseHandshake(ctx, fasthttp.StatusTooManyRequests, model.CodeRateLimit, "too many connections from this address without a credential")
		return
	}
	u := websocket.FastHTTPUpgrader{
		// Keys and tokens work from anywhere; a caller without one is local only if its Origin is ours (package access).
		CheckOrigin:     func(*fasthttp.RequestCtx) bool { return true },
		ReadBufferSize:  readBuffer,
		WriteBufferSize: readBuffer,
		WriteBufferPool: &writeBuffers,
		Error: func(ctx *fasthttp.RequestCtx, status int, _ error) {
			ctx.Response.Header.Set("Sec-WebSocket-Version", "13")
			s.refuseHandshake(ctx, status, model.CodeBadRequest, notAHandshake)
		},
	}
	var extension string
	if s.o.Compression && (path == pathLive || path == pathStream) {
		extension = acceptDeflate(string(ctx.Request.Header.Peek("Sec-WebSocket-Extensions")))
		u.EnableCompression = extension != "" // the library then inflates what it reads; its own reading of offers is laxer
	}
	query := upstreamQuery(string(ctx.URI().QueryString()))
	err := u.Upgrade(ctx, func(conn *websocket.Conn) { // an error was answered by Error
		c := &Conn{
			server: s, path: path, ws: conn, raw: realConn(conn), shown: shown, query: query,
			queue:   newQueue(s.limits.QueueFrames, s.limits.QueueBytes),
			written: make(chan struct{}),
			rate:    bucket{perSecond: s.limits.MessageRate, burst: s.limits.MessageBurst},
		}
		if extension != "" {
			c.as.Store(uint32(deflated))
			// What a message inflates to is counted as it is read; this bounds what inflates to nothing.
			conn.SetReadLimit(2 * s.limits.MessageBytes)
		}
		c.session = open(c)
		if s.remember(c) {
			s.lobby.enter(c, block)
			c.serve()
		}
	})
	if err == nil && extension != "" {
		ctx.Response.Header.Set("Sec-WebSocket-Extensions", extension)
	}
}

// realConn returns the socket itself: the wrapper that the server hands over would write each buffer by itself.
func realConn(conn *websocket.Conn) net.Conn {
	nc := conn.NetConn()
	if w, ok := nc.(interface{ UnsafeConn() net.Conn }); ok {
		return w.UnsafeConn()
	}
	return nc
}

// credentials collects what a handshake shows, copied from the request's memory.
func (s *Server) credentials(ctx *fasthttp.RequestCtx) access.Request {
	h := &ctx.Request.Header
	r := access.Request{
		APIKey: string(h.Peek("X-Api-Key")),
		Query:  string(ctx.QueryArgs().Peek("api_key")),
		Host:   string(h.Host()),
		Origin: string(h.Peek("Origin")),
	}
	if scheme, token, ok := strings.Cut(string(h.Peek("Authorization")), " "); ok && strings.EqualFold(scheme, "Bearer") {
		r.Bearer = strings.TrimSpace(token)
	}
	if a, ok := ctx.RemoteAddr().(*net.TCPAddr); ok {
		r.Peer = a.AddrPort()
	} else if p, err := netip.ParseAddrPort(ctx.RemoteAddr().String()); err == nil {
		r.Peer = p
	}
	var chain string
	for name, value := range h.All() {
		if forwards(string(name)) {
			r.Forwarded = true
		}
		if strings.EqualFold(string(name), "X-Forwarded-For") {
			if chain != "" {
				chain += ","
			}
			chain += string(value)
		}
	}
	r.Client = r.Peer.Addr().Unmap()
	if s.o.ClientIP != nil {
		if ip := s.o.ClientIP(r.Client, chain); ip.IsValid() {
			r.Client = ip.Unmap()
		}
	}
	return r
}

// forwards tells whether a header says that somebody stands between the caller and us.
func forwards(header string) bool {
	header = strings.ToLower(header)
	return header == "forwarded" || header == "via" || header == "x-real-ip" || strings.HasPrefix(header, "x-forwarded-")
}

// refuseHandshake answers a request that does not become a socket, in the form of the REST side.
func (s *Server) refuseHandshake(ctx *fasthttp.RequestCtx, status int, code model.Code, message string) {
	id := string(ctx.Response.Header.Peek("X-Request-Id"))
	if id == "" {
		id = uuid.NewString()
		ctx.Response.Header.Set("X-Request-Id", id)
	}
	if status == fasthttp.StatusMethodNotAllowed {
		code = model.CodeMethodNotAllowed
		ctx.Response.Header.Set("Allow", fasthttp.MethodGet)
	}
	b := append(make([]byte, 0, 256), `{"success":false,"data":{"code":"`...)
	b = append(b, code...)
	b = append(b, `","message":`...)
	b = model.AppendString(b, message)
	b = append(b, `},"meta":{"request_id":`...)
	b = model.AppendString(b, id)
	b = append(b, `,"timestamp":`...)
	b = strconv.AppendInt(b, s.o.Now().UnixMilli(), 10)
	ctx.SetStatusCode(status)
	ctx.SetContentType("application/json")
	ctx.SetBody(append(b, `}}`...))
}
