package history

import (
	"context"
	"iter"
	"time"

	"hyperlight/engine/model"
)

// AddAccountSnapshots stores what accounts were worth; a row of an account and millisecond that is there is replaced. When
// it returns without an error the rows are on disk. It may be called from any goroutine while Run runs.
func (w *Writer) AddAccountSnapshots(ctx context.Context, rows []model.AccountSnapshot) error {
	return nil
}

// AccountSnapshots goes through the PnL history of one account: the last snapshot within each bucket of the resolution,
// which divides a day. The pointer is valid until the next step.
func (r *Reader) AccountSnapshots(
	ctx context.Context, account model.AccountID, sp Span, resolution time.Duration, reverse bool,
) iter.Seq2[*model.AccountSnapshot, error] {
	return func(yield func(*model.AccountSnapshot, error) bool) {}
}

// CountAccountSnapshots returns how many rows AccountSnapshots gives.
func (r *Reader) CountAccountSnapshots(ctx context.Context, account model.AccountID, sp Span, resolution time.Duration) (uint64, error) {
	return 0, nil
}
