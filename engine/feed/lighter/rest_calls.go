package lighter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"hyperlight/engine/feed"
	"hyperlight/engine/model"
)

// text is a scalar that may come as text, as a number or not at all.
type text string

// UnmarshalJSON keeps a number's own spelling; null is empty.
func (t *text) UnmarshalJSON(b []byte) error {
	switch {
	case string(b) == "null":
		*t = ""
	case b[0] == '"':
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*t = text(s)
	case b[0] == '{' || b[0] == '[':
		return errors.New("expected a scalar")
	default:
		*t = text(b)
	}
	return nil
}

func decodeJSON(body []byte, v any) error {
	if err := json.Unmarshal(body, v); err != nil {
		return &feed.UpstreamError{Reason: "an answer of an unexpected shape"}
	}
	return nil
}

// seconds reads a time in seconds; the venue mixes units, and nothing of it is older than 1973 in milliseconds.
func seconds(t text) (model.Millis, bool) {
	v, ok := signed([]byte(t))
	if v < 100_000_000_000 {
		v *= 1000
	}
	return model.Millis(v), ok && v > 0
}

// Refresh calls one of the venue's reads that need no parameters, for instance "funding-rates", and hands the answer to
// the Keep of the options.
func (r *REST) Refresh(ctx context.Context, name string) error {
	body, _, err := r.body(ctx, "/api/v1/"+name, "", feed.Refresh, weightRead)
	if err != nil {
		return fmt.Errorf("refresh %s: %w", name, err)
	}
	if r.o.Keep != nil {
		r.o.Keep(name, body)
	}
	return nil
}

// known is a Resolver of one market that never changes.
type known struct{ m *model.Market }

func (k known) Market(int64) (*model.Market, bool)                        { return k.m, true }
func (k known) Observe(int64, string, uint8, uint8) (*model.Market, bool) { return nil, false }

// RecentTrades returns the last trades of a market, at most 100, as a history batch ascending by id.
func (r *REST) RecentTrades(ctx context.Context, m *model.Market, limit int) (model.TradeBatch, error) {
	query := fmt.Sprintf("?market_id=%d&limit=%d", m.Native, min(max(limit, 1), 100))
	body, _, err := r.body(ctx, "/api/v1/recentTrades", query, feed.Refresh, weightRecentTrades)
	if err != nil {
		return model.TradeBatch{}, fmt.Errorf("fetch recent trades: %w", err)
	}
	b, err := ParseTrades(body, m)
	if err != nil {
		return model.TradeBatch{}, fmt.Errorf("fetch recent trades: %w", err)
	}
	return b, nil
}

// ParseTrades reads a recentTrades or a trades answer.
func ParseTrades(body []byte, m *model.Market) (model.TradeBatch, error) {
	d := NewDecoder(known{m})
	d.s.reset(body)
	d.market = m
	if !d.s.begin('{') {
		d.s.fail(ErrMalformed, "expected an object")
	}
	for first := true; d.s.err == nil; first = false {
		name, ok := d.s.member(first)
		if !ok {
			break
		}
		if string(name) == "trades" {
			d.later(bodyTrades)
		} else {
			d.s.skip(1)
		}
	}
	if d.s.end() {
		d.readTrades(0)
		d.widen()
		d.finishTrades()
	}
	if d.s.err != nil {
		return model.TradeBatch{}, &feed.UpstreamError{Reason: "damaged trades", Err: d.s.err}
	}
	return model.TradeBatch{Rows: d.batch.Rows, History: true, REST: true}, nil
}

// OrderBook returns the best levels of a market, best first, summed from at most 250 orders a side; the deepest level
// may be partial. The answer has no place in the stream's chain: it never repairs a book.
func (r *REST) OrderBook(ctx context.Context, m *model.Market) (bids, asks []model.Level, err error) {
	query := fmt.Sprintf("?market_id=%d&limit=250", m.Native)
	body, _, err := r.body(ctx, "/api/v1/orderBookOrders", query, feed.Refresh, weightRead)
	if err == nil {
		bids, asks, err = ParseOrders(body, m)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("fetch order book: %w", err)
	}
	return bids, asks, nil
}

// ParseOrders reads an orderBookOrders answer and sums the orders of each price.
func ParseOrders(body []byte, m *model.Market) (bids, asks []model.Level, err error) {
	rows, _, err := ParseOrderRows(body, m)
	if err != nil {
		return nil, nil, err
	}
	var sides [2][]model.Level
	for s := range rows {
		levels := make([]model.Level, 0, len(rows[s]))
		for _, o := range rows[s] {
			if n := len(levels); n > 0 && levels[n-1].Price == o.Price {
				levels[n-1].Size += o.Size
			} else {
				levels = append(levels, model.Level{Price: o.Price, Size: o.Size})
			}
		}
		sides[s] = levels
	}
	return sides[model.Bid], sides[model.Ask], nil
}
