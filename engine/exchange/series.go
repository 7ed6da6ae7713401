package exchange

import (
	"cmp"
	"context"
	"slices"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/record"
	"hyperlight/kv/key"
)

// Series returns what our own record tells of a series, by ascending time, and whether that is all of it, so that nobody
// else need be asked. Kinds that trades and statistics do not tell are not told.
func (s *Sums) Series(ctx context.Context, q MetricsQuery) (rows []Metric, whole bool, err error) {
	return s.series(ctx, q, model.Millis(s.o.Now().UnixMilli()), 0)
}

// Recorded tells whether our own record has a series: of the others only the venue tells, and it tells no past.
func Recorded(kind, period string) bool { return calendar(period) != nil && ownKind(kind) }

// SeriesAt returns a series as it stood at a moment: the periods that had ended, and had been summed, by then.
func (s *Sums) SeriesAt(ctx context.Context, q MetricsQuery, at model.Millis) ([]Metric, error) {
	rows, _, err := s.series(ctx, q, at, sumsDelay)
	return rows, err
}

// series returns what is stored of the periods that begin before now, of rows that had ended a delay before it; 0: of all.
func (s *Sums) series(ctx context.Context, q MetricsQuery, now, delay model.Millis) (rows []Metric, whole bool, err error) {
	res, bucket := key.Daily, calendar(q.Period)
	if q.Period == "h" {
		res = key.Hour
	}
	if !Recorded(q.Kind, q.Period) {
		return nil, false, nil
	}
	to := q.To
	if to == 0 || to > now {
		to = now
	}
	from := q.From
	if from > 0 {
		from = bucket(from)
	}
	_, end := next(bucket, max(0, to-1)) // of the last period that begins before to
	step := model.Millis(res.Millis())
	if delay > 0 {
		end = min(end, max(0, now-delay-step+1)) // where the last row begins that had been made
	}
	sums, err := s.rows(ctx, res, from, end)
	if err != nil {
		return nil, false, err
	}
	times := make([]model.Millis, 0, len(sums))
	for at := range sums {
		times = append(times, at)
	}
	slices.Sort(times)
	for i := 0; i < len(times); {
		begin, after := next(bucket, times[i])
		n := i
		for n < len(times) && times[n] < after {
			n++
		}
		if begin >= q.From && model.Millis(n-i)*step == after-begin {
			if v, ok := total(q, times[i:n], sums); ok {
				rows = append(rows, Metric{Time: begin, Value: v, Source: Own})
			}
		}
		i = n
	}
	return rows, q.From > 0 && unbroken(rows, bucket, q.From, to), nil
}

// unbroken tells whether the rows are every period that begins in from <= time < to.
func unbroken(rows []Metric, bucket func(model.Millis) model.Millis, from, to model.Millis) bool {
	at, after := next(bucket, from)
	if at < from {
		at, after = next(bucket, after)
	}
	for i := 0; at < to; i++ {
		if i == len(rows) || rows[i].Time != at {
			return false
		}
		at, after = next(bucket, after)
	}
	return true
}

// next returns the period that a moment lies in.
func next(bucket func(model.Millis) model.Millis, t model.Millis) (begin, end model.Millis) {
	begin = bucket(t)
	const longest = 367 * 24 * hourMillis
	lo, hi := begin, begin+longest // bucket(lo) is begin, bucket(hi) is not
	for hi-lo > 1 {
		if mid := lo + (hi-lo)/2; bucket(mid) == begin {
			lo = mid
		} else {
			hi = mid
		}
	}
	return begin, hi
}

// calendar returns what finds the first moment of a period, UTC; weeks begin on Monday. nil for the one that is endless.
func calendar(period string) func(model.Millis) model.Millis {
	months := func(n int) func(model.Millis) model.Millis {
		return func(t model.Millis) model.Millis {
			at := time.UnixMilli(int64(t)).UTC()
			month := (int(at.Month())-1)/n*n + 1
			return model.Millis(time.Date(at.Year(), time.Month(month), 1, 0, 0, 0, 0, time.UTC).UnixMilli())
		}
	}
	const dayMillis = 24 * hourMillis
	switch period {
	case "h":
		return func(t model.Millis) model.Millis { return t - t%hourMillis }
	case "d":
		return func(t model.Millis) model.Millis { return t - t%dayMillis }
	case "w": // the first day of 1970 was a Thursday
		return func(t model.Millis) model.Millis { return t - (t+3*dayMillis)%(7*dayMillis) }
	case "m":
		return months(1)
	case "q":
		return months(3)
	case "y":
		return months(12)
	}
	return nil
}

func ownKind(kind string) bool {
	_, ok := amount(kind, &record.MarketSums{HasOpenInterest: true})
	return ok
}

// amount is what sums tell of a kind, at the decimals of scaleOf.
func amount(kind string, m *record.MarketSums) (v int64, ok bool) {
	switch kind {
	case "volume":
		return int64(m.Quote), true
	case "trade_count":
		return int64(m.Trades), true
	case "taker_fee":
		return int64(m.TakerFee), true
	case "maker_fee":
		return int64(m.MakerFee), true
	case "liquidation_count":
		return int64(m.Liquidations), true
	case "liquidation_volume":
		return int64(m.LiquidationQuote), true
	case "open_interest":
		return int64(m.OpenInterest), m.HasOpenInterest
	}
	return 0, false
}

func scaleOf(kind string) uint8 {
	if kind == "trade_count" || kind == "liquidation_count" {
		return 0
	}
	return num.USDScale
}

// total sums rows that follow one another; of the open interest it is that of the last one. false where a row does not
// hold all that is asked for.
func total(q MetricsQuery, times []model.Millis, sums map[model.Millis]record.ExchangeSums) (num.Decimal, bool) {
	var acc num.Acc
	for _, at := range times {
		if q.Kind == "open_interest" {
			acc = num.Acc{}
		}
		row := sums[at]
		markets := row.Markets
		if q.Market != nil {
			m := row.Market(q.Market.ID)
			if m == nil {
				return num.Decimal{}, false
			}
			markets = []record.MarketSums{*m}
		} else if !row.Whole {
			return num.Decimal{}, false
		}
		told := false
		for i := range markets {
			// A market without open interest is a spot market, or one that is not traded.
			if v, ok := amount(q.Kind, &markets[i]); ok {
				acc.AddProduct(v, 1)
				told = true
			}
		}
		if !told {
			return num.Decimal{}, false
		}
	}
	mant, err := acc.Int64()
	return num.Decimal{Mant: mant, Scale: scaleOf(q.Kind)}, err == nil
}

// Merge puts the venue's rows and our own together by ascending time, cut to the query; ours count where both tell.
func Merge(q MetricsQuery, told, own []Metric) []Metric {
	byTime := make(map[model.Millis]Metric, len(told)+len(own))
	for _, rows := range [2][]Metric{told, own} {
		for _, m := range rows {
			if m.Time >= q.From && (q.To == 0 || m.Time < q.To) {
				byTime[m.Time] = m
			}
		}
	}
	out := make([]Metric, 0, len(byTime))
	for _, m := range byTime {
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b Metric) int { return cmp.Compare(a.Time, b.Time) })
	return out
}
