package relay

import (
	"context"
	"time"

	"hyperlight/engine/feed/lighter"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
)

const (
	candlesMost = 500 // the venue's most bars in an answer
	// fundingsMost is below every page that clients of the venue have seen cut.
	fundingsMost = 100
	hour         = model.Millis(3_600_000)
)

// localResolutions are the lengths answered here. Where the venue's weeks begin is not known, so they are left to it.
var localResolutions = map[string]time.Duration{
	"1m": time.Minute, "5m": 5 * time.Minute, "15m": 15 * time.Minute, "30m": 30 * time.Minute, "1h": time.Hour,
	"4h": 4 * time.Hour, "12h": 12 * time.Hour, "1d": 24 * time.Hour,
}

// localDeadline is how long the record is read for an answer. The venue is asked where that does not suffice: callers
// whom nobody knows must not hold the gate of history reads.
const localDeadline = 2 * time.Second

// enter passes the gate of history reads and returns a context with their deadline. leave must be called.
func (a *Answers) enter(ctx context.Context) (_ context.Context, leave func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, localDeadline)
	exit, err := a.o.Enter(ctx)
	if err != nil {
		cancel()
		return nil, nil, err
	}
	return ctx, func() { exit(); cancel() }, nil
}

// candles answers where every bucket of the range is held and traded: what the venue says of buckets without a trade, of
// more bars than it sends at once, and of a count_back beyond the range, nobody has recorded.
func (a *Answers) candles(ctx context.Context, v *values) ([]byte, bool) {
	m, ok := a.market(v)
	word, ok2 := v.text("resolution")
	resolution := localResolutions[word]
	from, to, back, ok3 := v.span()
	if shifted, given := v.text("set_timestamp_to_end"); given && shifted != "false" {
		return nil, false
	}
	if !ok || !ok2 || !ok3 || resolution == 0 || !v.done() {
		return nil, false
	}
	if s, ok := a.o.Markets.State(m.ID); !ok || !s.Synced || !s.TradesHeld {
		return nil, false
	}
	now := model.Millis(a.o.Now().UnixMilli())
	length := model.Millis(resolution.Milliseconds())
	first := history.CandleStart(from+length-1, resolution)
	last := history.CandleStart(min(to, now), resolution)
	bars := int64((last-first)/length) + 1
	if first > last || bars > candlesMost || back > bars {
		return nil, false
	}
	sp := history.Span{From: first, To: last + length}
	if _, hole := a.o.Live.recent(m.ID); hole.From < sp.To.Micros() && hole.To > first.Micros() {
		return nil, false
	}
	ctx, leave, err := a.enter(ctx)
	if err != nil {
		return nil, false
	}
	defer leave()
	start, _, complete, held, err := a.o.History.Covered(ctx, model.KindTrades, m.ID, history.Span{From: first, To: min(sp.To, now)})
	if err != nil || !held || !complete || start > first {
		return nil, false
	}
	rows := make([]record.Candle, 0, bars)
	for c, err := range a.o.History.Candles(ctx, m.ID, resolution, sp, false) {
		if err != nil {
			return nil, false
		}
		rows = append(rows, c)
	}
	if int64(len(rows)) != bars {
		return nil, false
	}
	return lighter.AppendCandles(make([]byte, 0, 64+128*len(rows)), m, word, rows), true
}

// fundings answers where every hour of the range is held. What the venue counts as a day is left to it.
func (a *Answers) fundings(ctx context.Context, v *values) ([]byte, bool) {
	m, ok := a.market(v)
	word, ok2 := v.text("resolution")
	from, to, back, ok3 := v.span()
	if !ok || !ok2 || !ok3 || word != "1h" || !v.done() || !a.inSync(m) {
		return nil, false
	}
	now := model.Millis(a.o.Now().UnixMilli())
	first := (from + hour - 1) / hour * hour
	last := min(to, now) / hour * hour
	hours := int64((last-first)/hour) + 1
	if first > last || hours > fundingsMost || back > hours {
		return nil, false
	}
	ctx, leave, err := a.enter(ctx)
	if err != nil {
		return nil, false
	}
	defer leave()
	rows := make([]model.Funding, 0, hours)
	next := first
	for f, err := range a.o.History.Fundings(ctx, m.ID, history.Span{From: first, To: last + 1}) {
		if err != nil || f.Time != next {
			return nil, false
		}
		rows = append(rows, f)
		next += hour
	}
	if int64(len(rows)) != hours {
		return nil, false
	}
	return lighter.AppendFundings(make([]byte, 0, 64+96*len(rows)), word, rows), true
}
