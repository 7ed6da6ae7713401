package replay

import (
	"context"
	"errors"
	"iter"
	"testing"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
)

var errRead = errors.New("the record cannot be read")

// failingHistory fails at one of its reads, and counts the readers that are open.
type failingHistory struct {
	*fakeHistory
	failAt, reads, open int
}

// failing wraps a reader; the read that is to fail tells its error in the reader's place.
func failing[T any](f *failingHistory, seq iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		f.open++
		defer func() { f.open-- }()
		for v, err := range seq {
			if f.reads++; f.reads > f.failAt {
				var none T
				yield(none, errRead)
				return
			}
			if !yield(v, err) {
				return
			}
		}
	}
}

func (f *failingHistory) Trades(ctx context.Context, m model.MarketID, sp history.Span, q history.TradeQuery) iter.Seq2[*model.Trade, error] {
	return failing(f, f.fakeHistory.Trades(ctx, m, sp, q))
}

func (f *failingHistory) Updates(ctx context.Context, m model.MarketID, from, to model.Micros) iter.Seq2[*record.BookRow, error] {
	return failing(f, f.fakeHistory.Updates(ctx, m, from, to))
}

// A read that fails, as each does where the client goes away, leaves nothing open behind a closed timeline, whichever
// read it was.
func TestFailedReadLeavesNothingOpen(t *testing.T) {
	made := madeHistory(1, 3)
	failed := 0
	for failAt := range 200 {
		f := &failingHistory{fakeHistory: made, failAt: failAt}
		req := Request{Markets: []*model.Market{testMarket(1), testMarket(2), testMarket(3)}, To: 25_000,
			Include: Kinds(Trade, Liquidation, BookUpdate, Snapshot)}
		src := NewSource(f, req)
		var err error
		for err == nil {
			_, err = src.Next(t.Context())
		}
		if errors.Is(err, errRead) {
			failed++
		}
		if err := src.Close(); err != nil {
			t.Fatal(err)
		}
		if f.open != 0 {
			t.Fatalf("%d readers are open after read %d failed with %v", f.open, failAt, err)
		}
	}
	if failed == 0 {
		t.Error("no read failed")
	}
}
