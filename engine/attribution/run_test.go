package attribution

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
)

// Watched markets that have no live book take no polls from the one that has.
func TestMarketsOutOfSyncTakeNoPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		live, polls := book.New().View(), 0
		w := New(Options{
			Markets: func(id model.MarketID) (*model.Market, bool) { return &model.Market{ID: id}, true },
			View:    func(id model.MarketID) (*book.View, bool) { return live, id == 0 },
			Poll: func(context.Context, *model.Market) (*List, error) {
				polls++
				return &List{Asked: time.Now(), Replied: time.Now()}, nil
			},
			PerMinute: 60, Now: time.Now,
		})
		for id := range model.MarketID(10) {
			w.Asked(id)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
		defer cancel()
		if err := w.Run(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if polls < 20 || polls > 51 {
			t.Errorf("%d polls of the live market in 50 s", polls)
		}
	})
}
