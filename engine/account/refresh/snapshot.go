package refresh

import (
	"context"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/risk"
)

// minutes takes a snapshot of every watched account at each full minute, and saves whose history is kept.
func (r *Refresher) minutes(ctx context.Context) {
	for {
		now := r.o.Now()
		next := now.Truncate(time.Minute).Add(time.Minute)
		timer := time.NewTimer(next.Sub(now))
		select {
		case <-ctx.Done():
			timer.Stop()
			if err := r.save(); err != nil {
				r.log.Warn("tracked accounts not saved", "error", err)
			}
			return
		case <-timer.C:
		}
		if err := r.snapshot(ctx, model.Millis(next.UnixMilli())); err != nil && ctx.Err() == nil {
			r.log.Warn("account snapshots not written", "error", err)
		}
		if err := r.save(); err != nil {
			r.log.Warn("tracked accounts not saved", "error", err)
		}
	}
}

// snapshot writes what the watched accounts are worth at a moment. An account whose collateral is unknown, or with a
// position that cannot be valued, has no snapshot then: a wrong worth is worse than none.
func (r *Refresher) snapshot(ctx context.Context, at model.Millis) error {
	if r.o.Snapshots == nil {
		return nil
	}
	r.mu.Lock()
	ids := r.watch.all()
	r.mu.Unlock()
	rows := make([]model.AccountSnapshot, 0, len(ids))
	var row model.Account
	var value risk.Assessment
	for _, id := range ids {
		if !r.o.Table.Get(id, &row) || row.Polled == 0 {
			continue
		}
		value.Assess(&row, r.o.Market)
		if value.Unknown > 0 {
			continue
		}
		s := model.AccountSnapshot{
			Account: id, Time: at, Value: value.Account.Value, Collateral: row.Collateral,
			Unrealized: value.Account.Profit, Notional: value.Account.Notional,
		}
		for i := range row.Positions {
			p := &row.Positions[i]
			s.Realized += p.Realized
			s.Funding += p.FundingPaid
			if p.Size != 0 {
				s.Positions++
			}
		}
		rows = append(rows, s)
	}
	if len(rows) == 0 {
		return nil
	}
	if err := r.o.Snapshots.AddAccountSnapshots(ctx, rows); err != nil {
		return err
	}
	r.m.snapshots.Add(len(rows))
	return nil
}
