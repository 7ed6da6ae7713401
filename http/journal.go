package http

import (
	"context"
	"io"
	"log/slog"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

const (
	journalEvery = 100 * time.Millisecond
	// A shard wakes the writer early at kickLines bytes or kickTimes durations, and keeps no more than mostLines or
	// mostTimes while the writer is stuck.
	kickLines, mostLines = 32 << 10, 1 << 20
	kickTimes, mostTimes = 1 << 10, 1 << 16
)

// journal takes note of every finished request: one access line (what was asked for, never how: no query string, no
// credential) and its duration. Both are collected in shards and handed on by one goroutine, so that requests never
// wait for each other or for a disk. Lines go in batches to a writer in the very form of slog's JSON, because building a
// slog record of this many members costs as much as answering a request from memory; or to the logger, where there is no
// writer. A stuck writer loses lines and durations, never requests; the loss is counted and logged.
type journal struct {
	log     *slog.Logger
	out     io.Writer
	shards  []journalShard
	flushMu sync.Mutex // one flush at a time; taken before a shard's
	kick    chan struct{}
	stop    chan struct{}
	stopped chan struct{}
	once    sync.Once
}

type journalShard struct {
	mu           sync.Mutex
	lines, spare []byte
	times, idle  []duration
	lost         int
	second       int64  // the one that stamp was written for
	stamp        []byte // date and time down to the second, as a line begins with it
	_            [64]byte
}

// duration is a measured request on its way into a summary.
type duration struct {
	summary *metrics.Summary
	took    time.Duration
}

func newJournal(out io.Writer, log *slog.Logger) *journal {
	j := &journal{log: log, out: out, shards: make([]journalShard, 2*runtime.GOMAXPROCS(0)),
		kick: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{})}
	go j.run()
	return j
}

// run hands on what was collected, until close.
func (j *journal) run() {
	defer close(j.stopped)
	tick := time.NewTicker(journalEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-j.kick:
		case <-j.stop:
			j.flush()
			return
		}
		j.flush()
	}
}

// flush hands on everything that was collected before the call.
func (j *journal) flush() {
	j.flushMu.Lock()
	defer j.flushMu.Unlock()
	lost := 0
	for i := range j.shards {
		s := &j.shards[i]
		s.mu.Lock()
		lines, times := s.lines, s.times
		s.lines, s.times = s.spare[:0], s.idle[:0]
		s.spare, s.idle = nil, nil
		lost += s.lost
		s.lost = 0
		s.mu.Unlock()
		if len(lines) > 0 {
			if _, err := j.out.Write(lines); err != nil {
				j.log.Warn("access log could not be written", "component", "http", "error", err)
			}
		}
		for _, d := range times {
			d.summary.Update(d.took.Seconds())
		}
		s.mu.Lock()
		s.spare, s.idle = lines, times
		s.mu.Unlock()
	}
	if lost > 0 {
		j.log.Warn("requests were not logged", "component", "http", "requests", lost)
	}
}

// close hands on the last batch and ends the goroutine.
func (j *journal) close() {
	j.once.Do(func() { close(j.stop) })
	<-j.stopped
}

// note takes a finished request. It waits for nobody as long as one shard is free.
func (j *journal) note(c *call, status int, took time.Duration, size int) {
	s := &j.shards[c.shard%len(j.shards)]
	for i := 0; !s.mu.TryLock(); i++ {
		if i == len(j.shards) {
			s.mu.Lock()
			break
		}
		c.shard++
		s = &j.shards[c.shard%len(j.shards)]
	}
	if len(s.times) >= mostTimes || len(s.lines) >= mostLines {
		s.lost++
		s.mu.Unlock()
		return
	}
	s.times = append(s.times, duration{c.route.meters.duration, took})
	if j.out != nil {
		s.lines = s.appendLine(s.lines, c, status, took, size)
	}
	full := len(s.lines) >= kickLines || len(s.times) >= kickTimes
	s.mu.Unlock()
	if full {
		select {
		case j.kick <- struct{}{}:
		default:
		}
	}
	if j.out == nil {
		j.logLine(c, status, took, size)
	}
}

// appendLine writes a line in the form of slog's JSON handler. The caller holds the shard: the time down to the second is
// formatted once for all lines of that second.
func (s *journalShard) appendLine(dst []byte, c *call, status int, took time.Duration, size int) []byte {
	ms := c.start.UnixMilli()
	if second := ms / 1000; second != s.second || s.stamp == nil {
		s.second = second
		s.stamp = append(s.stamp[:0], `{"time":"`...)
		s.stamp = c.start.UTC().AppendFormat(s.stamp, "2006-01-02T15:04:05.")
	}
	dst = append(dst, s.stamp...)
	dst = append(dst, byte('0'+ms/100%10), byte('0'+ms/10%10), byte('0'+ms%10))
	dst = append(dst, `Z","level":"info","msg":"request","component":"http","request_id":"`...)
	dst = append(dst, c.id[:]...)
	// Neither a method that is known nor a pattern of the table needs escaping.
	dst = append(dst, `","method":"`...)
	dst = append(dst, c.methodWord()...)
	dst = append(dst, `","route":"`...)
	dst = append(dst, c.routeName()...)
	dst = append(dst, `","status":`...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, `,"duration_ms":`...)
	dst = appendMillis(dst, took)
	dst = append(dst, `,"bytes":`...)
	dst = strconv.AppendInt(dst, int64(size), 10)
	dst = append(dst, `,"account_id":"`...)
	if c.principal != nil {
		dst = append(dst, c.principal.Account...)
	}
	dst = append(dst, `","key_prefix":"`...)
	if c.principal != nil {
		dst = append(dst, c.principal.KeyPrefix...)
	}
	dst = append(dst, `","client_ip":"`...)
	if c.client.IsValid() {
		dst = c.client.AppendTo(dst)
	}
	dst = append(dst, `","cache":"`...)
	dst = append(dst, c.cacheWord()...)
	return append(dst, "\"}\n"...)
}

// logLine gives the same line to the logger.
func (j *journal) logLine(c *call, status int, took time.Duration, size int) {
	ctx := context.Background()
	if !j.log.Enabled(ctx, slog.LevelInfo) {
		return
	}
	account, prefix, client := "", "", ""
	if c.principal != nil {
		account, prefix = c.principal.Account, c.principal.KeyPrefix
	}
	if c.client.IsValid() {
		client = c.client.String()
	}
	j.log.LogAttrs(ctx, slog.LevelInfo, "request", slog.String("component", "http"), slog.String("request_id", string(c.id[:])),
		slog.String("method", c.methodWord()), slog.String("route", c.routeName()), slog.Int("status", status),
		slog.Float64("duration_ms", float64(took.Microseconds())/1000), slog.Int("bytes", size), slog.String("account_id", account),
		slog.String("key_prefix", prefix), slog.String("client_ip", client), slog.String("cache", string(c.cacheWord())))
}

// methodWord names the method for the log. A method that nobody knows is whatever the client wrote, up to a whole head of
// it: a credential in the wrong place, or a line that was meant to fill the disk.
func (c *call) methodWord() string {
	switch m := lend(c.ctx.Method()); m {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT":
		return m
	}
	return "other"
}

// cacheWord returns what the relay said about its cache.
func (c *call) cacheWord() []byte {
	if !c.route.relay {
		return nil
	}
	return c.ctx.Response.Header.Peek("X-Cache")
}
