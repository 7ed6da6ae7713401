package signal

import (
	"context"
	"iter"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/replay"
)

// HeatmapRow is what the record keeps of a heatmap.
type HeatmapRow struct {
	Time        model.Millis // when it was computed
	Long, Short num.Decimal  // quote money at risk
}

// Record is what Stream reads; *history.Reader is one. Heatmaps may be nil.
type Record struct {
	History  replay.HistoryReader
	Heatmaps func(ctx context.Context, m model.MarketID, sp history.Span) iter.Seq2[HeatmapRow, error]
}

// Stream goes through the events of a market in a span that set one of the fields, in the order of the package comment, and
// reads nothing else. Events are valid until the next step.
func Stream(ctx context.Context, r Record, m *model.Market, sp history.Span, fields FieldSet) iter.Seq2[*Event, error] {
	return func(func(*Event, error) bool) {}
}
