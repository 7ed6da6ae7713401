package signal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/record"
	"hyperlight/engine/replay"
)

// HeatmapRow is what the record keeps of a heatmap.
type HeatmapRow struct {
	Time        model.Millis // when it was computed
	Long, Short num.Decimal  // quote money at risk
}

// RowOf returns the sums of a heatmap.
func RowOf(h *model.Heatmap) HeatmapRow {
	usd := func(v num.USD) num.Decimal { return num.Decimal{Mant: int64(v), Scale: num.USDScale} }
	return HeatmapRow{Time: h.Time, Long: usd(h.LongAtRisk), Short: usd(h.ShortAtRisk)}
}

// Record is what Stream reads.
type Record struct {
	History replay.HistoryReader // *history.Reader is one
	// Heatmaps goes through the heatmaps of a market by time; nil where none are recorded.
	Heatmaps func(ctx context.Context, m model.MarketID, sp history.Span) iter.Seq2[HeatmapRow, error]
}

// Stream goes through the events of a market that stand in a span and set one of the fields, in the order of the package
// comment, and reads nothing else. Events are valid until the next step. What is in memory does not depend on the span.
func Stream(ctx context.Context, r Record, m *model.Market, sp history.Span, fields FieldSet) iter.Seq2[*Event, error] {
	return func(yield func(*Event, error) bool) {
		var lanes []*lane
		defer func() {
			for _, l := range lanes {
				l.stop()
			}
		}()
		for _, open := range []struct {
			fields FieldSet
			rows   func(context.Context, Record, *model.Market, history.Span) rows
		}{{fundingFields, fundingRows}, {heatmapFields, heatmapRows}, {bookFields, bookRows}, {tradeFields, tradeRows}} {
			if fields&open.fields == 0 {
				continue
			}
			l := &lane{}
			l.next, l.stop = iter.Pull2(iter.Seq2[*placed, error](open.rows(ctx, r, m, sp)))
			lanes = append(lanes, l)
			if err := l.advance(); err != nil {
				yield(nil, err)
				return
			}
		}
		for {
			var first *lane // of lanes that stand at the same moment the one that was opened first: its kind comes first
			for _, l := range lanes {
				if l.head != nil && (first == nil || l.head.at < first.head.at) {
					first = l
				}
			}
			if first == nil || !yield(&first.head.Event, nil) {
				return
			}
			if err := first.advance(); err != nil {
				yield(nil, err)
				return
			}
		}
	}
}

// placed is an event and its place on the receive clock. Events of one place go by kind.
type placed struct {
	Event
	at model.Micros
}

// rows are the events of one kind in their order, lent until the next step.
type rows iter.Seq2[*placed, error]

// lane is the events of one kind on their way into the stream.
type lane struct {
	next func() (*placed, error, bool)
	stop func()
	head *placed // nil at the end
}

func (l *lane) advance() error {
	head, err, ok := l.next()
	if l.head = head; !ok {
		l.head = nil
	}
	return err
}

func fundingRows(ctx context.Context, r Record, m *model.Market, sp history.Span) rows {
	return func(yield func(*placed, error) bool) {
		var p placed
		for row, err := range r.History.Stats(ctx, m.ID, history.Span{From: sp.From - 2000, To: sp.To}) {
			if err != nil {
				yield(nil, fmt.Errorf("read statistics: %w", err))
				return
			}
			second := fundingSecond(row.Time)
			if second < sp.From || second >= sp.To || row.Stats.Has&model.HasCurrentFundingRate == 0 {
				continue
			}
			p.Funding(second, row.Stats.CurrentFundingRate)
			if p.at = second.Micros(); !yield(&p, nil) {
				return
			}
		}
	}
}

func heatmapRows(ctx context.Context, r Record, m *model.Market, sp history.Span) rows {
	return func(yield func(*placed, error) bool) {
		if r.Heatmaps == nil {
			return
		}
		var p placed
		for row, err := range r.Heatmaps(ctx, m.ID, history.Span{From: sp.From - 3000, To: sp.To}) {
			if err != nil {
				yield(nil, fmt.Errorf("read heatmaps: %w", err))
				return
			}
			second := heatmapSecond(row.Time)
			if second < sp.From || second >= sp.To {
				continue
			}
			p.Heatmap(second, row.Long, row.Short)
			if p.at = second.Micros(); !yield(&p, nil) {
				return
			}
		}
	}
}

func bookRows(ctx context.Context, r Record, m *model.Market, sp history.Span) rows {
	req := replay.Request{Markets: []*model.Market{m}, From: sp.From, To: sp.To, Include: replay.Kinds(replay.Snapshot),
		Order: replay.ReceiveOrder, Depth: Depth}
	return played(ctx, r.History, req, func(p *placed, e *replay.Event) bool {
		if e.Kind != replay.Snapshot {
			return false
		}
		ps, ss := m.ScaleAt(e.Top.Epoch)
		p.Book(e.TS.Millis(), e.Top.Bids, e.Top.Asks, ps, ss)
		p.at = e.TS
		return true
	})
}

func tradeRows(ctx context.Context, r Record, m *model.Market, sp history.Span) rows {
	req := replay.Request{Markets: []*model.Market{m}, From: sp.From, To: sp.To, Include: replay.Kinds(replay.Trade),
		Order: replay.ReceiveOrder, Columns: record.Core}
	return played(ctx, r.History, req, func(p *placed, e *replay.Event) bool {
		if e.Kind != replay.Trade {
			return false
		}
		p.Trade(e.Trade, m)
		p.at = e.TS
		return true
	})
}

// played reads one kind of event from the record as a replay does. It reads ahead, so that books and trades are decoded on
// goroutines of their own; fill tells whether an event of the replay is one of ours.
func played(ctx context.Context, h replay.HistoryReader, req replay.Request, fill func(*placed, *replay.Event) bool) rows {
	return func(yield func(*placed, error) bool) {
		src := replay.NewAhead(replay.NewSource(h, req))
		src.ReadAhead(true)
		defer func() { _ = src.Close() }()
		var p placed
		for {
			e, err := src.Next(ctx)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(nil, fmt.Errorf("read the record: %w", err))
				return
			}
			if fill(&p, e) && !yield(&p, nil) {
				return
			}
		}
	}
}
