package past

import (
	"context"
	"fmt"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
)

// settling is how long after its beginning a record may hear for the first time of markets that had been there before.
const settling = 10 * minute

// everKinds are the records that tell that a market was there.
var everKinds = []model.Kind{model.KindBook, model.KindTrades, model.KindStats, model.KindCandles, model.KindFunding}

// Markets returns the markets that were known at the clock, with the decimals that they had. Without a clock, and before
// the record begins, those count that it begins with. What else is told of a market is what was told last.
func (v *View) Markets(ctx context.Context) ([]*model.Market, error) {
	all := v.markets.All()
	out := make([]*model.Market, 0, len(all))
	begin := model.Millis(-1)
	for _, m := range all {
		since, err := v.since(ctx, m)
		if err != nil {
			return nil, err
		}
		if since > v.now() {
			if begin < 0 {
				if begin, err = v.begin(ctx); err != nil {
					return nil, err
				}
			}
			if since > begin+settling {
				continue
			}
		}
		if m, err = v.asOf(ctx, m); err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// knows returns a market as it was; false where it was not known.
func (v *View) knows(ctx context.Context, m *model.Market) (*model.Market, bool, error) {
	since, err := v.since(ctx, m)
	if err == nil && since > v.now() {
		begin, failed := v.begin(ctx)
		if failed != nil || since > begin+settling {
			return nil, false, failed
		}
	}
	if err != nil {
		return nil, false, err
	}
	m, err = v.asOf(ctx, m)
	return m, err == nil, err
}

// since returns when a market was known first: when it was registered, or, of an import, when the record of it begins.
func (v *View) since(ctx context.Context, m *model.Market) (model.Millis, error) {
	first := m.Scales[0].From
	if first <= v.now() {
		return first, nil
	}
	for _, kind := range everKinds {
		held, err := v.h.Coverage(ctx, kind, m.ID, history.Span{To: first})
		if err != nil {
			return 0, fmt.Errorf("read when market %d was recorded first: %w", m.ID, err)
		}
		if len(held) > 0 {
			first = min(first, held[0].From.Millis())
		}
	}
	return first, nil
}

// begin returns when the first market was known.
func (v *View) begin(ctx context.Context) (begin model.Millis, err error) {
	for i, m := range v.markets.All() {
		since, err := v.since(ctx, m)
		if err != nil {
			return 0, err
		}
		if i == 0 || since < begin {
			begin = since
		}
	}
	return begin, nil
}

// asOf returns a market with the decimals that it had at the clock: the last ones told, or those of the last trade, which
// tell of an import.
func (v *View) asOf(ctx context.Context, m *model.Market) (*model.Market, error) {
	if len(m.Scales) == 1 {
		return m, nil
	}
	epoch := uint8(0)
	for i, s := range m.Scales {
		if s.From <= v.now() {
			epoch = uint8(i)
		}
	}
	for t, err := range v.Trades(ctx, m.ID, history.Span{To: v.now() + clockSkew}, history.TradeQuery{Columns: record.Core, Reverse: true, Rows: 1}) {
		if err != nil {
			return nil, fmt.Errorf("read the last trade of market %d: %w", m.ID, err)
		}
		epoch = max(epoch, t.Epoch)
		break
	}
	then := *m
	then.Epoch = epoch
	then.PriceScale, then.SizeScale = m.ScaleAt(epoch)
	return &then, nil
}
