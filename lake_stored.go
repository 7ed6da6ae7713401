package main

import (
	"context"
	"time"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/export"
	"hyperlight/kv"
)

// storedRecord is the record in a store that no server holds, or in a copy of one.
type storedRecord struct {
	store   *kv.Store
	markets []*model.Market
	history *history.Reader
}

var _ lakeRecord = (*storedRecord)(nil)

func newStoredRecord(ctx context.Context, store *kv.Store) (*storedRecord, error) {
	rows, err := history.Markets(ctx, store)
	if err != nil {
		return nil, err
	}
	byID := make(storedMarkets, len(rows))
	for _, m := range rows {
		byID[m.ID] = m
	}
	return &storedRecord{store: store, markets: rows, history: history.NewReader(store, byID.Get)}, nil
}

// Store implements lakeRecord.
func (r *storedRecord) Store() *kv.Store { return r.store }

// History implements lakeRecord.
func (r *storedRecord) History() *history.Reader { return r.history }

// Markets implements lakeRecord.
func (r *storedRecord) Markets() []*model.Market { return r.markets }

// Enter implements lakeRecord: nobody else reads.
func (r *storedRecord) Enter(context.Context) (leave func(), err error) { return func() {}, nil }

// Now implements lakeRecord.
func (r *storedRecord) Now() time.Time { return time.Now() }

// source returns what reads rows of any range.
func (r *storedRecord) source() *export.Source {
	return &export.Source{History: r.history, Markets: r.Markets, Enter: r.Enter}
}
