// Package check looks through a whole store: the checksum of every block, every row of every family, what rows say of each
// other, and with deep what can be rebuilt. It owns no format: each package checks its own rows. It must not write.
package check

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"hyperlight/engine/access"
	"hyperlight/engine/account"
	"hyperlight/engine/backfill"
	"hyperlight/engine/exchange"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/kv"
)

// Damage is one thing that is wrong.
type Damage struct {
	File     string   // of a damaged table, else ""
	Families []string // whose rows lie in the file
	Key      []byte   // of a damaged row, else nil
	Problem  string
}

// Report is what a check found.
type Report struct {
	Format int // of the store
	Damage []Damage
	// BlocksOnly tells that rows were not looked at: the store has an older format, whose rows this program only reads
	// after it has changed them.
	BlocksOnly bool
	// Holes is what the record lacks of trades and fundings. A hole is no damage: it was never there. Not listed where
	// something is damaged.
	Holes []backfill.Hole
}

// Options says how far a check goes.
type Options struct {
	Deep bool // also rebuild every book from its updates and every candle from its trades
	// Progress is called with the bytes of tables read so far and of all, and with what is being read; may be nil.
	Progress func(what string, done, total int64)
}

// maxDamage bounds a report.
const maxDamage = 1000

var errEnough = errors.New("enough damage found")

// Store checks an open store that nobody writes. Faults of its contents are in the report, err is about going through it.
func Store(ctx context.Context, s *kv.Store, o Options) (*Report, error) {
	tell := o.Progress
	if tell == nil {
		tell = func(string, int64, int64) {}
	}
	r := &Report{Format: s.Format()}
	var read int64
	faults, err := s.CheckTables(ctx, func(done, total int64) { read = total; tell("blocks", done, total) })
	if err != nil {
		return nil, err
	}
	for _, f := range faults {
		names := make([]string, len(f.Families))
		for i, family := range f.Families {
			names[i] = family.Name()
		}
		r.Damage = append(r.Damage, Damage{File: f.File, Families: names, Problem: f.Err.Error()})
	}
	if r.Format != kv.Format {
		r.BlocksOnly = true
		return r, nil
	}
	tell("rows", read, read)
	findings, err := history.Check(ctx, s, o.Deep)
	if err != nil {
		return nil, err
	}
	for _, f := range findings {
		r.Damage = append(r.Damage, Damage{Key: f.Key, Problem: f.Problem})
	}
	report := func(k []byte, problem string) error {
		if r.Damage = append(r.Damage, Damage{Key: bytes.Clone(k), Problem: problem}); len(r.Damage) >= maxDamage {
			return errEnough
		}
		return nil
	}
	for _, rows := range []func(context.Context, *kv.Store, func(k []byte, problem string) error) error{access.Check, account.Check, exchange.Check} {
		if err := rows(ctx, s, report); err != nil && !errors.Is(err, errEnough) {
			return nil, fmt.Errorf("check store: %w", err)
		}
	}
	if len(r.Damage) == 0 {
		if r.Holes, err = holes(ctx, s); err != nil {
			return nil, fmt.Errorf("look for holes: %w", err)
		}
	}
	return r, nil
}

func holes(ctx context.Context, s *kv.Store) ([]backfill.Hole, error) {
	markets, err := history.Markets(ctx, s)
	if err != nil {
		return nil, err
	}
	byID := make(map[model.MarketID]*model.Market, len(markets))
	for _, m := range markets {
		byID[m.ID] = m
	}
	reader := history.NewReader(s, func(id model.MarketID) (*model.Market, bool) { m, ok := byID[id]; return m, ok })
	return backfill.Holes(ctx, s, reader, markets)
}
