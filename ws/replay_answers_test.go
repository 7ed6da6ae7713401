package ws

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hyperlight/engine/access"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
)

// unread is a replay connection without a socket, whose frames wait until the test takes them.
type unread struct {
	c *Conn
	r session
}

func newUnread(t *testing.T, o Options, l Limits) *unread {
	o.Markets, o.History = testMarkets{}, newTape()
	o.Now = func() time.Time { return time.Now().AddDate(30, 0, 0) } // behind the tape, which is later than a bubble's clock
	s := &Server{limits: l.withDefaults(), o: o, quota: newQuota(), ctx: t.Context()}
	c := &Conn{server: s, queue: newQueue(1000, 1<<20)}
	c.owner.Store(&access.Principal{Plan: &testPlans[len(testPlans)-1], Account: "a"})
	c.beginIdle()
	return &unread{c: c, r: newReplaySession(c)}
}

func (u *unread) say(t *testing.T, format string, args ...any) {
	m, err := parseMessage(fmt.Appendf(nil, format, args...))
	if err != nil {
		t.Fatal(err)
	}
	u.r.handle(m)
}

// frames takes what waits, the replay's frames first.
func (u *unread) frames(t *testing.T) (out []frame) {
	raw := append([]byte{}, u.c.pipe.take()...)
	items, _, _ := u.c.queue.take(make([]item, 0, 1000), 1<<20)
	for _, it := range items {
		raw = append(raw, it.raw...)
	}
	for len(raw) > 0 {
		n := frameLen(raw)
		f := frame{raw: string(raw[n-payloadLen(raw) : n])}
		if err := json.Unmarshal([]byte(f.raw), &f); err != nil {
			t.Fatal(err)
		}
		out, raw = append(out, f), raw[n:]
	}
	return out
}

// TestEveryControlIsAnswered sends controls while the last events of a replay wait for a client that does not read, and
// behind a stop: what comes too late is told that there is no replay any more.
func TestEveryControlIsAnswered(t *testing.T) {
	start := fmt.Sprintf(`{"type":"replay","market_id":0,"start":%d,"end":%d,"speed":"max","include":["trade","order_book"]}`,
		tapeStart+1000, tapeStart+8000)
	play := func(t *testing.T, buffer int, script func(u *unread)) (frames []frame) {
		synctest.Test(t, func(t *testing.T) {
			u := newUnread(t, Options{}, Limits{ReplayBuffer: buffer})
			defer u.c.idle.end()
			u.say(t, "%s", start)
			synctest.Wait()
			if script != nil {
				script(u)
			}
			for {
				synctest.Wait()
				some := u.frames(t)
				if len(some) == 0 {
					break
				}
				frames = append(frames, some...)
			}
			u.r.end()
		})
		return frames
	}
	opening := 0 // the bytes of the frames that are sent one by one
	all := play(t, 1<<20, nil)
	if len(all) < firstEvents+10 || all[len(all)-1].Type != "replay_complete" {
		t.Fatalf("%d frames, the last one %s", len(all), all[len(all)-1].raw)
	}
	for _, f := range all[:1+firstEvents] {
		opening += len(newFrame([]byte(f.raw)))
	}
	for _, x := range []struct {
		name     string
		buffer   int // of which one half is full
		controls []string
		want     []string // behind the events
	}{
		{"late pause", 2 * opening, []string{"pause"}, []string{"replay_complete", codeNoActiveReplay}},
		{"late stop and resume", 2 * opening, []string{"stop", "resume"}, []string{"replay_complete", codeNoActiveReplay, codeNoActiveReplay}},
		{"behind a stop", 2048, []string{"stop", "pause", "resume"}, []string{"replay_stopped", codeNoActiveReplay, codeNoActiveReplay}},
	} {
		t.Run(x.name, func(t *testing.T) {
			frames := play(t, x.buffer, func(u *unread) {
				for _, c := range x.controls {
					u.say(t, `{"type":%q}`, c)
				}
			})
			var got []string
			for _, f := range frames[1:] {
				switch f.Type {
				case "replay_event":
				case "error":
					got = append(got, f.Code)
				default:
					got = append(got, f.Type)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(x.want) {
				t.Errorf("answered with %v, want %v", got, x.want)
			}
		})
	}
}

// TestReplayedMessagesAreCountedExactly compares the counters with what a client gets, events and answers.
func TestReplayedMessagesAreCountedExactly(t *testing.T) {
	h := serveTape(t, Options{})
	c := h.local("/ws/replay")
	for _, speed := range []string{"100", `"max"`} {
		out, events := messagesOut.Get(), replayEvents.Get()
		c.say(`{"type":"replay","market_id":0,"start":%d,"end":%d,"speed":%s}`, tapeStart, tapeStart+10_000, speed)
		got := uint64(1)
		f := c.read()
		for ; f.Type != "replay_complete"; f = c.read() {
			got++
		}
		if n := replayEvents.Get() - events; n != f.Sent {
			t.Errorf("speed %s: %d events are counted, %d were sent", speed, n, f.Sent)
		}
		if n := messagesOut.Get() - out; n != got {
			t.Errorf("speed %s: %d messages are counted, %d came", speed, n, got)
		}
	}
}

// cutTape is a tape that retention drops when so many rows of it have been read. Iterators that are open end there too.
type cutTape struct {
	*taped
	left atomic.Int64
}

func whileKept[T any](h *cutTape, rows iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for row, err := range rows {
			if h.left.Add(-1) < 0 || !yield(row, err) {
				return
			}
		}
	}
}

func (h *cutTape) Dropped(model.Kind) ([]history.Span, error) {
	if h.left.Load() < 0 {
		return []history.Span{{From: 0, To: tapeEnd + 1}}, nil
	}
	return nil, nil
}

func (h *cutTape) Updates(ctx context.Context, m model.MarketID, from, to model.Micros) iter.Seq2[*record.BookRow, error] {
	return whileKept(h, h.taped.Updates(ctx, m, from, to))
}

func (h *cutTape) Trades(ctx context.Context, m model.MarketID, sp history.Span, q history.TradeQuery) iter.Seq2[*model.Trade, error] {
	return whileKept(h, h.taped.Trades(ctx, m, sp, q))
}

func (h *cutTape) Liquidations(ctx context.Context, sp history.Span, reverse bool) iter.Seq2[history.MarketTrade, error] {
	return whileKept(h, h.taped.Liquidations(ctx, sp, reverse))
}

func (h *cutTape) Stats(ctx context.Context, m model.MarketID, sp history.Span) iter.Seq2[*history.StatsRow, error] {
	return whileKept(h, h.taped.Stats(ctx, m, sp))
}

func (h *cutTape) Fundings(ctx context.Context, m model.MarketID, sp history.Span) iter.Seq2[history.FundingRow, error] {
	return whileKept(h, h.taped.Fundings(ctx, m, sp))
}

// A paused replay whose range retention removes ends with a word of it, whatever it plays, and the connection can start
// another one.
func TestRemovedRangeEndsItsReplay(t *testing.T) {
	tape := &cutTape{taped: newTape()}
	h := serve(t, Options{History: tape, Native: lighterNative()})
	c := h.local("/ws/replay")
	for _, kind := range []string{"order_book", "orderbook_snapshot", "trade", "liquidation", "funding", "market_stats"} {
		tape.left.Store(1 << 40)
		c.say(`{"type":"replay","market_id":0,"start":%d,"end":%d,"speed":1,"include":[%q]}`, tapeStart, tapeHole-1000, kind)
		c.expect("replay_started")
		c.say(`{"type":"pause"}`)
		for c.read().Type != "replay_paused" {
		}
		tape.left.Store(-1)
		c.say(`{"type":"resume"}`)
		c.say(`{"type":"set_speed","speed":"max"}`)
		f := c.read()
		for f.Type == "replay_event" || f.Type == "replay_resumed" || f.Type == "replay_speed" {
			f = c.read()
		}
		if f.Type != "error" || f.Code != codeNoData {
			t.Errorf("%s ended with %s", kind, f.raw)
		}
	}
}

// So does a session in the venue's protocol.
func TestRemovedRangeEndsItsPast(t *testing.T) {
	for _, channel := range []string{"order_book/0", "trade/0", "market_stats/0", "height"} {
		tape := &cutTape{taped: newTape()}
		for i := range tape.trades {
			tape.trades[i].Block = uint64(i + 1)
		}
		tape.left.Store(3)
		h := serve(t, Options{History: tape, Native: lighterNative()})
		c := h.past(tapeQuery("max"), nil)
		c.pastNext("connected")
		c.say(`{"type":"subscribe","channel":%q}`, channel)
		var last pastFrame
		for {
			f, err := c.pastRead()
			if err != nil {
				break
			}
			last = f
		}
		if last.Error == nil || last.Error.Message != removedWords {
			t.Errorf("%s ended with %s", channel, last.raw)
		}
	}
}
