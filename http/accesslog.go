package http

import (
	"context"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"hyperlight/engine/model"
)

const (
	logEvery = 100 * time.Millisecond
	// logKick is how much is collected before the writer is woken early, logMost how much is kept while it is stuck.
	logKick = 64 << 10
	logMost = 4 << 20
)

// accessLog writes one line per request: what was asked for, never how (no query string, no credential). Lines go in
// batches to a writer in the very form of slog's JSON, because building a slog record of this many members costs as much
// as answering a request from memory; or to the logger, where there is no writer. A stuck writer loses lines, never
// requests: what does not fit is counted and the count is logged.
type accessLog struct {
	log *slog.Logger
	out io.Writer

	mu      sync.Mutex
	pending []byte
	spare   []byte
	lost    int
	kick    chan struct{}
	stop    chan struct{}
	stopped chan struct{}
	once    sync.Once
}

func newAccessLog(out io.Writer, log *slog.Logger) *accessLog {
	l := &accessLog{log: log, out: out, kick: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{})}
	if out == nil {
		close(l.stopped)
		return l
	}
	go l.run()
	return l
}

// run writes what was collected, until close.
func (l *accessLog) run() {
	defer close(l.stopped)
	tick := time.NewTicker(logEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.flush()
		case <-l.kick:
			l.flush()
		case <-l.stop:
			l.flush()
			return
		}
	}
}

func (l *accessLog) flush() {
	l.mu.Lock()
	batch, lost := l.pending, l.lost
	l.pending, l.lost = l.spare[:0], 0
	l.mu.Unlock()
	if len(batch) > 0 {
		if _, err := l.out.Write(batch); err != nil {
			l.log.Warn("access log could not be written", "component", "http", "error", err)
		}
	}
	if lost > 0 {
		l.log.Warn("access log lines were dropped", "component", "http", "lines", lost)
	}
	l.mu.Lock()
	l.spare = batch
	l.mu.Unlock()
}

// close writes the last batch.
func (l *accessLog) close() {
	l.once.Do(func() { close(l.stop) })
	<-l.stopped
}

// line logs a finished request.
func (l *accessLog) line(c *call, status int, took time.Duration, size int) {
	if l.out == nil {
		l.logLine(c, status, took, size)
		return
	}
	l.mu.Lock()
	if len(l.pending) > logMost {
		l.lost++
		l.mu.Unlock()
		return
	}
	l.pending = appendLine(l.pending, c, status, took, size)
	full := len(l.pending) >= logKick
	l.mu.Unlock()
	if full {
		select {
		case l.kick <- struct{}{}:
		default:
		}
	}
}

// appendLine writes a line in the form of slog's JSON handler.
func appendLine(dst []byte, c *call, status int, took time.Duration, size int) []byte {
	dst = append(dst, `{"time":"`...)
	dst = c.start.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000Z07:00")
	dst = append(dst, `","level":"INFO","msg":"request","component":"http","request_id":"`...)
	dst = append(dst, c.id[:]...)
	dst = append(dst, `","method":`...)
	dst = model.AppendString(dst, lend(c.ctx.Method()))
	dst = append(dst, `,"route":`...)
	dst = model.AppendString(dst, c.routeName())
	dst = append(dst, `,"status":`...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, `,"duration_ms":`...)
	dst = appendMillis(dst, took)
	dst = append(dst, `,"bytes":`...)
	dst = strconv.AppendInt(dst, int64(size), 10)
	dst = append(dst, `,"account_id":"`...)
	if c.principal != nil {
		dst = append(dst, c.principal.Account...)
	}
	dst = append(dst, `","key_prefix":"","client_ip":"`...)
	if c.client.IsValid() {
		dst = c.client.AppendTo(dst)
	}
	dst = append(dst, `","cache":"`...)
	dst = append(dst, c.ctx.Response.Header.Peek("X-Cache")...)
	return append(dst, "\"}\n"...)
}

// logLine gives the same line to the logger.
func (l *accessLog) logLine(c *call, status int, took time.Duration, size int) {
	ctx := context.Background()
	if !l.log.Enabled(ctx, slog.LevelInfo) {
		return
	}
	account := ""
	if c.principal != nil {
		account = c.principal.Account
	}
	client := ""
	if c.client.IsValid() {
		client = c.client.String()
	}
	l.log.LogAttrs(ctx, slog.LevelInfo, "request", slog.String("component", "http"), slog.String("request_id", string(c.id[:])),
		slog.String("method", string(c.ctx.Method())), slog.String("route", c.routeName()), slog.Int("status", status),
		slog.Float64("duration_ms", float64(took.Microseconds())/1000), slog.Int("bytes", size), slog.String("account_id", account),
		slog.String("key_prefix", ""), slog.String("client_ip", client), slog.String("cache", string(c.ctx.Response.Header.Peek("X-Cache"))))
}
