package history

import (
	"context"
	"fmt"
	"slices"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv/key"
)

// PinnedDay is an imported day, which retention keeps, and what the store holds of it.
type PinnedDay struct {
	Day     model.Millis // its first moment
	Markets int          // with trades or book updates
	Trades  uint64
	Updates uint64 // of books
	Stats   bool   // market statistics
}

// Datasets names what is held of the day, as the retention settings do.
func (d *PinnedDay) Datasets() []string {
	out := []string{}
	if d.Updates > 0 {
		out = append(out, "books")
	}
	if d.Stats {
		out = append(out, "stats")
	}
	if d.Trades > 0 {
		out = append(out, "trades")
	}
	return out
}

// PinnedDays returns the imported days, ascending.
func (r *Reader) PinnedDays(ctx context.Context) ([]PinnedDay, error) {
	keep, err := r.keep()
	if err != nil {
		return nil, err
	}
	out := make([]PinnedDay, len(keep.pins))
	for i, day := range keep.pins {
		if err := r.describePin(ctx, day, &out[i]); err != nil {
			return nil, fmt.Errorf("describe imported day: %w", err)
		}
	}
	return out, nil
}

// Pinned tells whether a day, of which any moment is given, is an imported one: retention leaves it whole.
func (r *Reader) Pinned(t model.Millis) (bool, error) {
	keep, err := r.keep()
	if err != nil {
		return false, err
	}
	_, ok := slices.BinarySearch(keep.pins, key.Day(int64(t)))
	return ok, nil
}

func (r *Reader) describePin(ctx context.Context, day uint32, d *PinnedDay) error {
	d.Day = model.Millis(key.DayStart(day))
	markets := map[uint32]struct{}{}
	for f, rows := range map[key.Family]*uint64{key.Trades: &d.Trades, key.Books: &d.Updates} {
		rg, err := key.IndexRange(f, day, day+1)
		if err != nil {
			return err
		}
		for row, err := range r.store.Scan(ctx, rg) {
			if err != nil {
				return err
			}
			k, err := key.ParseIndexRow(row.Key)
			if err != nil {
				return err
			}
			ix, err := record.DecodeIndex(row.Value)
			if err != nil {
				return err
			}
			*rows += ix.Rows
			markets[k.Market] = struct{}{}
		}
	}
	d.Markets = len(markets)
	rg, err := key.BucketRange(key.Stats, day, day+1)
	if err != nil {
		return err
	}
	for _, err := range r.store.Scan(ctx, rg) {
		d.Stats = err == nil
		return err
	}
	return nil
}
