package lighter

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"hyperlight/engine/feed"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

func referenceStats(raw json.RawMessage, native int64, base model.Event, known *markets) (events []model.Event, err error) {
	if isNull(raw) {
		return nil, nil
	}
	fields, err := object(raw)
	if err != nil {
		return nil, err
	}
	if native != feed.All {
		fields = []field{{name: fmt.Sprint(native), raw: raw}}
	}
	for _, f := range fields {
		id, err := mantissa(f.name, 0)
		if err != nil {
			return nil, err
		}
		if isNull(f.raw) {
			continue
		}
		row, err := object(f.raw)
		if err != nil {
			return nil, err
		}
		var r reader
		s := &model.Stats{Symbol: r.text(get(row, "symbol")), FundingTime: model.Millis(r.int(get(row, "funding_timestamp"))), Text: string(f.raw)}
		if s.FundingTime != 0 {
			s.Has |= model.HasFundingTime
		}
		if v := get(row, "market_id"); r.text(v) != "" {
			id = r.int(v)
		}
		figure := func(bit model.StatsMask, name string, dst *num.Decimal, price bool) {
			text := r.text(get(row, name))
			if text == "" {
				return
			}
			v, err := looseReference(text)
			switch {
			case err == num.ErrRange:
			case err != nil:
				r.err = err
			case v.Mant != 0 || !price:
				*dst, s.Has = v, s.Has|bit
			}
		}
		figure(model.HasMark, "mark_price", &s.Mark, true)
		figure(model.HasIndex, "index_price", &s.Index, true)
		figure(model.HasMid, "mid_price", &s.Mid, true)
		figure(model.HasLastTrade, "last_trade_price", &s.LastTrade, true)
		figure(model.HasBestBid, "best_bid_price", &s.BestBid, true)
		figure(model.HasBestAsk, "best_ask_price", &s.BestAsk, true)
		figure(model.HasDailyLow, "daily_price_low", &s.DailyLow, true)
		figure(model.HasDailyHigh, "daily_price_high", &s.DailyHigh, true)
		figure(model.HasOpenInterest, "open_interest", &s.OpenInterest, false)
		figure(model.HasDailyBase, "daily_base_token_volume", &s.DailyBase, false)
		figure(model.HasDailyQuote, "daily_quote_token_volume", &s.DailyQuote, false)
		figure(model.HasDailyChange, "daily_price_change", &s.DailyChange, false)
		percent := func(bit model.StatsMask, name string, dst *num.Rate) {
			text := r.text(get(row, name))
			if text == "" {
				return
			}
			v, err := mantissa(text, num.RateScale-2)
			if err == num.ErrScale {
				err = errAmbiguous
			}
			r.err = errors.Join(r.err, err)
			*dst, s.Has = num.Rate(v), s.Has|bit
		}
		percent(model.HasFundingRate, "funding_rate", &s.FundingRate)
		percent(model.HasCurrentFundingRate, "current_funding_rate", &s.CurrentFundingRate)
		if r.err != nil {
			return nil, r.err
		}
		m, ok := known.Market(id)
		if !ok {
			continue
		}
		if s.Symbol == "" {
			s.Symbol = m.Symbol
		}
		base.Market, base.Epoch, base.Payload = m.ID, m.Epoch, s
		events = append(events, base)
	}
	return events, nil
}

// looseReference rounds half-even to what a Decimal holds: 18 decimals, 18 significant digits.
func looseReference(text string) (num.Decimal, error) {
	if d, err := num.ParseDecimal([]byte(text)); err == nil {
		return d, nil
	}
	r, err := rational(text)
	if err != nil {
		return num.Decimal{}, err
	}
	if r.Sign() == 0 {
		return num.Decimal{}, nil
	}
	mant, exp, _ := strings.Cut(strings.ToLower(text), "e")
	e, _ := strconv.Atoi(exp)
	_, frac, _ := strings.Cut(mant, ".")
	scale := len(frac) - e
	digits := len(strings.TrimLeft(strings.NewReplacer("-", "", ".", "").Replace(mant), "0"))
	cut := max(scale-18, digits-18, 0)
	if cut > 0 && cut > scale || scale < -18 {
		return num.Decimal{}, num.ErrRange
	}
	scale -= cut
	q := new(big.Rat).Mul(r, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(scale, 0))), nil)))
	twice := new(big.Rat).Add(new(big.Rat).Abs(q), big.NewRat(1, 2))
	n := new(big.Int).Div(twice.Num(), twice.Denom())
	if twice.IsInt() && n.Bit(0) == 1 {
		n.Sub(n, big.NewInt(1))
	}
	if !n.IsInt64() {
		return num.Decimal{}, num.ErrRange
	}
	d := num.Decimal{Mant: n.Int64(), Scale: uint8(max(scale, 0))}
	if r.Sign() < 0 {
		d.Mant = -d.Mant
	}
	return d, nil
}
