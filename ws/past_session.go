package ws

import (
	"encoding/json"
	"errors"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/valyala/fasthttp"

	"hyperlight/engine/access"
	"hyperlight/engine/model"
	"hyperlight/engine/replay"
)

// nativeNotSupported is the venue's code for a channel or a message that is known and not served.
const nativeNotSupported = 30006

// maxCommands is how many messages of a client may wait while its timeline is blocked.
const maxCommands = 256

// pastSession is the session of /replay/stream: the venue's protocol on the recorded past. Its methods run on the
// connection's reader goroutine, its timeline on one of its own; every answer goes the timeline's way, so that it stands
// at its place among the frames.
type pastSession struct {
	c       *Conn
	id      string // told by `connected`, and what REST calls name the clock by
	account string
	slot    *access.Principal // whose replay slot it holds, nil without
	recent  window
	clock   pastClock
	line    *timeline // nil until the session is accepted
	wg      sync.WaitGroup
}

func newPastSession(c *Conn) session {
	c.native.Store(true)
	c.pipe = newPipe(c.server.limits.ReplayBuffer, c.queue.poke)
	return &pastSession{c: c}
}

func (p *pastSession) greet(b []byte, _ *access.Principal) []byte { return b }

func (p *pastSession) handle(*message) {}

func (p *pastSession) moved(_, _ *access.Principal) {}

// fail sends an error frame of the venue's form.
func (p *pastSession) fail(code int, message string) {
	p.c.pipe.send(newFrame(p.c.server.o.Native.Error(nil, code, message)))
}

// refuse says why there is no session, and closes.
func (p *pastSession) refuse(code int, message string, with closeCode) {
	p.fail(code, message)
	p.c.shut(with, false)
}

// open accepts a client that shows in its handshake who it is and what it wants to see.
func (p *pastSession) open() {
	c := p.c
	s := c.server
	caller, err := s.o.Access.Authenticate(c.shown)
	if err != nil {
		p.refuseCaller(err)
		return
	}
	if !c.adopt(caller) {
		p.refuse(nativeTooManyConns, "Too Many Connections!", closeLimit)
		return
	}
	req, err := s.parsePast(c.query, caller.Plan)
	if refused, ok := errors.AsType[*refusal](err); ok {
		with := closePolicy
		if refused.code == codeForbidden {
			with = closeRefused
		}
		p.refuse(nativeInvalidParam, "invalid param : "+refused.message, with)
		return
	}
	if !s.quota.take(caller, slotReplay) {
		p.refuse(nativeTooManyConns, "too many replays are active", closeLimit)
		return
	}
	p.slot, p.account, p.id = caller, caller.Account, uuid.NewString()
	p.clock = pastClock{speed: req.speed, baseTS: req.source.From.Micros(), next: noFrame, end: req.source.To.Micros()}
	p.line = newTimeline(p, req)
	c.pipe.send(newFrame(s.o.Native.Connected(nil, p.id)))
	s.enterPast(p)
	replaysActive.Inc()
	c.hold(1)
	p.wg.Go(p.run)
}

// refuseCaller says that a credential is not taken, or that there is none. Who tries credentials out is stopped by the
// window of its address.
func (p *pastSession) refuseCaller(err error) {
	c := p.c
	e, known := errors.AsType[*model.Error](err)
	_, shown := c.shown.Credential()
	switch {
	case !known:
		c.server.o.Logger.Error("authenticate failed", "path", c.path, "err", err)
		p.refuse(nativeConnectFailed, "internal error", closeInternal)
	case !shown:
		p.refuse(nativeInvalidParam, "a hyperlight API key is required: add api_key= to the address", closeAuth)
	case !c.server.o.Access.TakeIP(c.shown.Client, access.IPFailed, model.Millis(c.server.o.Now().UnixMilli())).OK:
		p.refuse(nativeTooManyRequests, "too many refused credentials from this address", closeRate)
	case e.Code == model.CodeForbidden:
		p.refuse(nativeInvalidAuth, "invalid auth: "+e.Message, closeRefused)
	default:
		p.refuse(nativeInvalidAuth, "invalid auth: "+e.Message, closeAuth)
	}
}

// parsePast reads what a handshake asks for: start, end, speed and markets, by the rules of a replay message.
func (s *Server) parsePast(query string, plan *access.Plan) (*replayRequest, error) {
	if plan.ReplayWindowDays == 0 || plan.ConcurrentReplays == 0 {
		return nil, &refusal{codeForbidden, "replay is not part of the " + plan.Slug + " tier"}
	}
	var args fasthttp.Args
	args.Parse(query)
	text := func(name string) json.RawMessage {
		if !args.Has(name) {
			return nil
		}
		// An offset's plus sign arrives as a blank where the client did not escape it.
		return json.RawMessage(strconv.Quote(strings.ReplaceAll(string(args.Peek(name)), " ", "+")))
	}
	r := &replayRequest{speed: 1}
	m := &message{Start: text("start"), End: text("end")}
	if args.Has("speed") {
		speed := string(args.Peek("speed"))
		if speed == speedMax {
			speed = `"` + speedMax + `"`
		}
		var err error
		if r.speed, err = parseSpeed(json.RawMessage(speed), plan); err != nil {
			return nil, err
		}
	}
	if err := s.parseRange(m, plan, r); err != nil {
		return nil, err
	}
	if !args.Has("markets") {
		return r, nil
	}
	for id := range strings.SplitSeq(string(args.Peek("markets")), ",") {
		n, err := strconv.ParseInt(strings.TrimSpace(id), 10, 64)
		if err != nil {
			return nil, badRequest("markets must be a list of market ids with commas")
		}
		m.MarketIDs = append(m.MarketIDs, n)
	}
	return r, s.parseMarkets(m, r)
}

// message hands a client message to the timeline.
func (p *pastSession) message(text []byte) bool {
	if p.line == nil {
		return true // refused, closing
	}
	if !p.recent.take(p.c.server.limits.NativeMessages, p.c.server.o.Now()) {
		p.fail(nativeTooManyMessages, "Too Many Websocket Messages!")
		return true
	}
	var r request
	switch valid := json.Valid(text); {
	case !valid:
		p.fail(nativeInvalidJSON, "Invalid Json")
	case json.Unmarshal(text, &r) != nil:
		p.fail(nativeInvalidType, "Invalid Type")
	case strings.HasPrefix(r.Type, "jsonapi/"):
		p.fail(nativeNotSupported, "not supported: the past takes no transactions")
	case r.Type == "ping":
		p.c.pipe.send(newFrame(p.c.server.o.Native.Pong(nil)))
	case r.Type == "pong":
	case r.Type != "subscribe" && r.Type != "unsubscribe":
		p.fail(nativeInvalidType, "Invalid Type")
	case !p.c.mayOperate() || !p.line.push(pastCommand{subscribe: r.Type == "subscribe", name: r.Channel}):
		p.fail(nativeTooManyMessages, "Too Many Websocket Messages!")
	}
	return true
}

// run plays the timeline and tells its end.
func (p *pastSession) run() {
	c := p.c
	defer func() {
		if v := recover(); v != nil {
			panics.Inc()
			c.server.o.Logger.Error("replay panicked", "panic", v, "stack", string(debug.Stack()))
			c.shut(closeInternal, false)
		}
	}()
	defer p.line.close()
	err := p.line.play(p.line.ctx)
	switch {
	case err == nil:
		c.shutFor(closeNormal, "replay complete", false)
	case errors.Is(err, errSpent):
		p.fail(nativeTooManyRequests, spentWords)
		c.shutFor(closeRefused, spentWords, false)
	case errors.Is(err, replay.ErrRemoved):
		p.refuse(nativeInvalidParam, removedWords, closeGoing)
	case p.line.ctx.Err() != nil || errors.Is(err, errPipeClosed):
	default:
		c.server.o.Logger.Error("replay failed", "session", p.id, "err", err)
		p.refuse(nativeConnectFailed, "the replay cannot go on", closeInternal)
	}
}

func (p *pastSession) end() {
	s := p.c.server
	if p.line == nil {
		return
	}
	p.line.cancel()
	p.wg.Wait()
	s.leavePast(p)
	replaysActive.Dec()
	p.c.hold(-1)
	s.quota.give(p.slot, slotReplay)
}
