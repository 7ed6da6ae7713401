package book

import (
	"errors"
	"testing"

	"hyperlight/engine/model"
)

// TestChainsDoNotMix: numbers made of offsets and nonces say nothing of one another, so that an update without nonces is not
// taken for an old one, nor the other way round. A market that never traded has neither.
func TestChainsDoNotMix(t *testing.T) {
	const nonce, offset = 18_032_384_612, 415_809
	tests := map[string]struct {
		snapshot, update model.BookUpdate
		want             error
	}{
		"nonces end":      {model.BookUpdate{Seq: nonce, Chained: true}, model.BookUpdate{Prev: offset - 1, Seq: offset}, ErrGap},
		"nonces begin":    {model.BookUpdate{Seq: offset}, model.BookUpdate{Prev: offset, Seq: nonce, Chained: true}, ErrGap},
		"stale by chance": {model.BookUpdate{Seq: offset}, model.BookUpdate{Prev: 1, Seq: 2, Chained: true}, ErrGap},
		"first trade":     {model.BookUpdate{}, model.BookUpdate{Seq: nonce, Chained: true}, nil},
		"no numbers":      {model.BookUpdate{Chained: true}, model.BookUpdate{}, ErrStale},
		"stale":           {model.BookUpdate{Seq: nonce, Chained: true}, model.BookUpdate{Prev: 1, Seq: 2, Chained: true}, ErrStale},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := New()
			tt.snapshot.Snapshot = true
			if err := b.Apply(&tt.snapshot, 0, 0); err != nil {
				t.Fatal(err)
			}
			if err := b.Apply(&tt.update, 0, 0); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if b.Synced() != (tt.want != ErrGap) {
				t.Errorf("synced %v", b.Synced())
			}
		})
	}
}
