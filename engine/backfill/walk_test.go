package backfill

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"hyperlight/engine/feed"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/kv/kvtest"
)

// circle is a venue whose every page leads to the same one, and a writer that keeps nothing.
type circle struct {
	emptyVenue
	Writer
}

func (c *circle) Trades(context.Context, *model.Market, string, feed.Priority) (model.TradeBatch, string, error) {
	c.count(model.KindTrades)
	return model.TradeBatch{Rows: []model.Trade{{ID: 1, Time: 1000 * hour}}}, "again", nil
}

func (c *circle) AddTrades(context.Context, model.MarketID, []*model.Trade, history.Span) error {
	return nil
}

// A walk through pages that lead to themselves ends with an error, after which the service waits.
func TestWalkEndsWhereAPageLeadsToItself(t *testing.T) {
	store := kvtest.Open(t)
	synctest.Test(t, func(t *testing.T) {
		c := &circle{emptyVenue: emptyVenue{calls: map[model.Kind]int{}}}
		s, err := New(Options{Store: store, Venue: c, Writer: c, PerMinute: 60})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		hole := history.Span{From: 900 * hour, To: 1001 * hour}
		err = s.fill(ctx, walk{m: &model.Market{}, kind: model.KindTrades, hole: hole, pace: s.own})
		if !errors.Is(err, errRepeats) || c.calls[model.KindTrades] != 2 {
			t.Errorf("%d calls and %v", c.calls[model.KindTrades], err)
		}
	})
}
