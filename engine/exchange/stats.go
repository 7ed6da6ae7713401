package exchange

import (
	"errors"
	"fmt"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// Source says whose figures of a day a row tells.
type Source string

// The sources of a row. Figures of two sources never stand in one day.
const (
	Unknown Source = ""      // neither the record nor the venue tells
	Own     Source = "own"   // built from our own record, which holds the whole time
	Venue   Source = "venue" // as the venue tells them
)

// Figure is a number that may be unknown.
type Figure struct {
	num.Decimal
	Known bool
	Trim  bool // of our own arithmetic: written without trailing zeros
}

func known(d num.Decimal, is bool) Figure { return Figure{Decimal: d, Known: is} }

// MarketStats are the figures of one market.
type MarketStats struct {
	Market                              *model.Market
	Source                              Source // of the Daily figures
	DailyBase, DailyQuote               Figure
	DailyLow, DailyHigh, DailyChange    Figure
	DailyTrades                         uint64
	HasTrades                           bool
	LastTrade, Mark, Index, FundingRate Figure
	OpenInterest                        Figure       // one-sided, base
	OpenInterestUSD                     Figure       // one-sided, quote money
	UpdatedAt                           model.Millis // of the newest figure; 0: none
}

// Told is what the venue said last of a market.
type Told struct {
	Stats     *model.Stats // nil: nothing that still counts
	At        model.Millis // when it was received
	Trades    uint64       // in 24 hours, of a poll that is still young
	HasTrades bool
}

// Row puts a market's row together: prices, open interest and funding are the venue's; the day is our own where all of
// it is held, else the venue's. live tells that the trades held reach up to now, so that the last one is known.
func Row(m *model.Market, d *Day, whole, live bool, told Told) (MarketStats, error) {
	row := MarketStats{Market: m}
	s := told.Stats
	if s != nil {
		has := func(bit model.StatsMask) bool { return s.Has&bit != 0 }
		row.UpdatedAt = told.At
		row.Mark, row.Index = known(s.Mark, has(model.HasMark)), known(s.Index, has(model.HasIndex))
		row.LastTrade = known(s.LastTrade, has(model.HasLastTrade))
		row.FundingRate = Figure{
			Decimal: num.Decimal{Mant: int64(s.CurrentFundingRate), Scale: num.RateScale},
			Known:   has(model.HasCurrentFundingRate), Trim: true,
		}
		if err := row.openInterest(s); err != nil {
			return row, err
		}
	}
	if live && d.HasLast {
		row.LastTrade, row.UpdatedAt = known(d.Last, true), max(row.UpdatedAt, d.LastAt)
	}
	if whole {
		row.own(d)
		return row, nil
	}
	return row, row.venue(told)
}

// own takes the day of our own trades.
func (r *MarketStats) own(d *Day) {
	r.Source = Own
	r.DailyTrades, r.HasTrades = d.Trades, true
	r.DailyBase = known(d.Base, true)
	r.DailyQuote = known(num.Decimal{Mant: int64(d.Quote), Scale: num.USDScale}, true)
	r.DailyLow, r.DailyHigh = known(d.Low, d.Trades > 0), known(d.High, d.Trades > 0)
	r.DailyChange = Figure{Decimal: d.Change, Known: d.HasChange, Trim: true}
}

const dailyMask = model.HasDailyBase | model.HasDailyQuote | model.HasDailyLow | model.HasDailyHigh | model.HasDailyChange

// venue takes the day as the venue tells it.
func (r *MarketStats) venue(t Told) (err error) {
	if t.HasTrades {
		r.Source, r.DailyTrades, r.HasTrades = Venue, t.Trades, true
	}
	s := t.Stats
	if s == nil || s.Has&dailyMask == 0 {
		return nil
	}
	r.Source = Venue
	r.DailyBase, r.DailyQuote = known(s.DailyBase, s.Has&model.HasDailyBase != 0), known(s.DailyQuote, s.Has&model.HasDailyQuote != 0)
	r.DailyLow, r.DailyHigh = known(s.DailyLow, s.Has&model.HasDailyLow != 0), known(s.DailyHigh, s.Has&model.HasDailyHigh != 0)
	r.DailyChange = known(s.DailyChange, s.Has&model.HasDailyChange != 0)
	r.DailyQuote.Decimal, err = Money(r.DailyQuote.Decimal)
	return err
}

// openInterest takes the open interest, which the stream tells in money: the base is money over the mark price, at the
// decimals of the market's sizes.
func (r *MarketStats) openInterest(s *model.Stats) (err error) {
	if s.Has&model.HasOpenInterest == 0 {
		return nil
	}
	usd, err := Money(s.OpenInterest)
	if err != nil {
		return err
	}
	r.OpenInterestUSD = known(usd, true)
	if s.Has&model.HasMark == 0 || s.Mark.Mant <= 0 || s.Mark.Scale > num.MaxScale {
		return nil
	}
	var a num.Acc
	a.AddProduct(s.OpenInterest.Mant, num.Pow10(s.Mark.Scale))
	mant, err := a.DivRound(s.Mark.Mant, s.OpenInterest.Scale, r.Market.SizeScale)
	if errors.Is(err, num.ErrRange) {
		return nil
	}
	r.OpenInterest = known(num.Decimal{Mant: mant, Scale: r.Market.SizeScale}, err == nil)
	return err
}

// Money rounds what the venue computes in binary to the decimals of money, half-even; shorter numbers keep their digits.
func Money(d num.Decimal) (num.Decimal, error) {
	if d.Scale <= num.USDScale {
		return d, nil
	}
	var a num.Acc
	a.AddProduct(d.Mant, 1)
	mant, err := a.Round(d.Scale, num.USDScale)
	if err != nil {
		return d, fmt.Errorf("round money: %w", err)
	}
	return num.Decimal{Mant: mant, Scale: num.USDScale}, nil
}

// Totals are the sums over rows. A row without a figure adds nothing to its sum; a sum of none is unknown.
type Totals struct {
	DailyQuote      Figure
	OpenInterestUSD Figure
	DailyTrades     uint64
	HasTrades       bool
	UpdatedAt       model.Millis
}

// Sum returns the totals of rows. The sums have the most decimals of their terms.
func Sum(rows []MarketStats) (t Totals, err error) {
	for i := range rows {
		r := &rows[i]
		if r.HasTrades {
			t.DailyTrades += r.DailyTrades
			t.HasTrades = true
		}
		t.UpdatedAt = max(t.UpdatedAt, r.UpdatedAt)
		if t.DailyQuote, err = plus(t.DailyQuote, r.DailyQuote); err != nil {
			return t, err
		}
		if t.OpenInterestUSD, err = plus(t.OpenInterestUSD, r.OpenInterestUSD); err != nil {
			return t, err
		}
	}
	return t, nil
}

func plus(a, b Figure) (Figure, error) {
	switch {
	case !b.Known:
		return a, nil
	case !a.Known:
		return known(b.Decimal, true), nil
	}
	var sum num.Acc
	scale := max(a.Scale, b.Scale)
	sum.AddProduct(a.Mant, num.Pow10(scale-a.Scale))
	sum.AddProduct(b.Mant, num.Pow10(scale-b.Scale))
	mant, err := sum.Int64()
	if err != nil {
		return a, fmt.Errorf("add money: %w", err)
	}
	return known(num.Decimal{Mant: mant, Scale: scale}, true), nil
}

// Stats returns the rows of the given markets. told says what the venue told of each.
func (s *Statistics) Stats(markets []*model.Market, now model.Millis, told func(*model.Market) Told) ([]MarketStats, error) {
	rows := make([]MarketStats, 0, len(markets))
	for _, m := range markets {
		d, whole, err := s.Day(m, now)
		if err != nil {
			return nil, err
		}
		state, ok := s.o.Markets.State(m.ID)
		row, err := Row(m, d, whole, ok && state.TradesHeld, told(m))
		if err != nil {
			return nil, fmt.Errorf("statistics of market %d: %w", m.ID, err)
		}
		rows = append(rows, row)
	}
	return rows, nil
}
