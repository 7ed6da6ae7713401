package past

import (
	"context"

	"hyperlight/engine/exchange"
	"hyperlight/engine/model"
)

// ExchangeStats returns the statistics of markets as they were known at the clock, over the 24 hours before it.
func (v *View) ExchangeStats(ctx context.Context, markets []*model.Market) ([]exchange.MarketStats, error) {
	rows := make([]exchange.MarketStats, 0, len(markets))
	for _, m := range markets {
		row, err := exchange.RowAt(ctx, v, m, v.now())
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}
