package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"hyperlight/engine/archive"
	"hyperlight/engine/history"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
)

const (
	// archiveRows is how many rows of an archive are stored together: trades of many markets may lie mixed.
	archiveRows = 32_768
	// shownFaults bounds the faults of one import that are told one by one; all of them are counted.
	shownFaults = 20
)

// ArchiveOptions say what archives of rows (CSV, JSON, Parquet) do not say themselves.
type ArchiveOptions struct {
	Dataset    archive.Dataset // archive.Unknown: by their columns
	Market     *int64          // the venue's id of the market that all rows are of; nil: the rows tell
	Resolution time.Duration   // of candles whose rows tell none
	// Complete says that an archive has every row between its first and its last one, of each market in it. Without it
	// trades close no gap, and candles and fundings only their own time.
	Complete bool
	// Held, where not empty, is the time of which an archive has every row; it says more than Complete.
	Held history.Span
	// Lake opens a Parquet file of our own data lake; nil refuses them.
	Lake func(name string) (LakeFile, error)
}

// LakeFile is an open Parquet file of the data lake.
type LakeFile interface {
	archive.Source
	// Dataset returns what the file holds.
	Dataset() archive.Dataset
	// Held returns the time of which the file has every row, as its maker noted it.
	Held() []archive.Held
	// Rows returns how many rows the file has, and how many of them were read.
	Rows() (read, total int64)
	Close() error
}

// archiveRun loads one archive into the store.
type archiveRun struct {
	im       *importer
	o        *ArchiveOptions
	name     string
	source   archive.Source
	vouched  []archive.Held // by the source itself
	registry *market.Registry
	resolver *market.Resolver
	writer   *history.Writer

	now     model.Millis
	symbols map[string]int64
	parts   map[partKey]*archivePart
	order   []*archivePart // of parts, as they came
	waiting int            // rows that are not stored yet
	good    uint64
	bad     uint64
}

// partKey tells the records of an archive apart.
type partKey struct {
	native  int64
	dataset archive.Dataset
	length  time.Duration // of candles
}

// archivePart is what an archive holds of one record.
type archivePart struct {
	partKey
	symbol string
	rows   []archive.Row
	whole  wholeness
}

// archive loads rows of elsewhere. progress is told the share of the file that was read.
func (im *importer) archive(ctx context.Context, run *archiveRun, progress func()) error {
	run.now = model.Millis(im.o.Now().UnixMilli())
	run.symbols, run.parts = map[string]int64{}, map[partKey]*archivePart{}
	for _, m := range run.registry.All() {
		if uint8(m.ID>>24) == lighterID {
			run.symbols[m.Symbol] = m.Native
		}
	}
	for n := 1; ; n++ {
		if n%progressEvery == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			progress()
		}
		row, err := run.source.Next()
		if err == io.EOF {
			break
		}
		var fault *archive.RowError
		switch {
		case errors.As(err, &fault):
			run.reject(fault)
			continue
		case errors.Is(err, errLongLine):
			run.reject(&archive.RowError{File: run.name, Reason: errLongLine.Error()})
			continue
		case err != nil:
			// What was read so far is good, but where the rest would have been nothing is known.
			for _, p := range run.order {
				p.whole.broken()
			}
			im.cutShort(run.name, err)
		default:
			if fault := run.take(row); fault != nil {
				run.reject(fault)
				continue
			}
			im.report.Lines++
			if run.waiting < archiveRows {
				continue
			}
		}
		if err := run.store(ctx); err != nil {
			return err
		}
		if err != nil {
			break
		}
	}
	if err := run.store(ctx); err != nil {
		return err
	}
	if err := run.hold(ctx); err != nil {
		return err
	}
	im.report.Rows += run.good
	if run.good == 0 && run.bad > 0 {
		im.report.NoRows = append(im.report.NoRows, run.name)
	}
	return nil
}

// reject leaves a row out. Where it stood no record is whole.
func (run *archiveRun) reject(e *archive.RowError) {
	run.im.report.Lines++
	run.count(e)
	for _, p := range run.order {
		p.whole.broken()
	}
}

// count counts a row that was left out.
func (run *archiveRun) count(e *archive.RowError) {
	run.bad++
	run.im.fault(e)
}

// fault counts a row of an archive that was left out and tells of the first ones.
func (im *importer) fault(e *archive.RowError) {
	im.reject(e.Kind())
	if len(im.report.Faults) < shownFaults {
		im.report.Faults = append(im.report.Faults, e.Error())
	}
}

// take checks a row and puts it to the others of its record.
func (run *archiveRun) take(row *archive.Row) *archive.RowError {
	fault := func(column, reason string) *archive.RowError {
		return &archive.RowError{File: run.name, Line: row.Line, Column: column, Reason: reason}
	}
	if !archive.Plausible(row.Time, run.now) {
		return fault("timestamp", "a time that cannot be: before 2015, or in the future")
	}
	native, reason := run.market(row)
	if reason != "" {
		return fault("market_id", reason)
	}
	k := partKey{native: native, dataset: row.Dataset, length: row.Candle.Resolution}
	p := run.parts[k]
	if p == nil {
		p = &archivePart{partKey: k, symbol: row.Symbol}
		if run.bad > 0 {
			p.whole.broken() // its first rows may be among those left out
		}
		run.parts[k] = p
		run.order = append(run.order, p)
	}
	p.rows = append(p.rows, *row)
	p.whole.add(row.Time)
	run.waiting++
	return nil
}

// market finds the venue's id of a row's market, or says why it cannot.
func (run *archiveRun) market(row *archive.Row) (native int64, reason string) {
	if only := run.o.Market; only != nil {
		if row.Native != archive.NoMarket && row.Native != *only {
			return 0, "not the market of --market"
		}
		return *only, ""
	}
	if row.Native != archive.NoMarket {
		return row.Native, ""
	}
	if row.Symbol == "" {
		return 0, "the row names no market; say which with --market ID"
	}
	if native, ok := run.symbols[row.Symbol]; ok {
		return native, ""
	}
	if native, ok := run.symbols[strings.ToUpper(row.Symbol)]; ok {
		return native, ""
	}
	return 0, "unknown symbol; name its id with --market ID, or give all symbols with --markets FILE"
}

// store hands the rows that wait to the writer, record by record.
func (run *archiveRun) store(ctx context.Context) error {
	for _, p := range run.order {
		if len(p.rows) == 0 {
			continue
		}
		m, rows := run.scale(p)
		p.rows = p.rows[:0]
		if m == nil || len(rows) == 0 {
			continue
		}
		run.im.seen[m.ID] = true
		run.good += uint64(len(rows))
		for i := range rows {
			run.im.spans(rows[i].Time)
		}
		if err := run.add(ctx, p, m, rows); err != nil {
			return err
		}
	}
	run.waiting = 0
	return nil
}

// spans widens the time that the report tells.
func (im *importer) spans(t model.Millis) {
	if im.report.From == 0 || int64(t) < im.report.From {
		im.report.From = int64(t)
	}
	im.report.To = max(im.report.To, int64(t))
}

// add stores rows of one record. Candles and fundings each fill their own time; trades fill none, because nobody knows
// what lay between two of them.
func (run *archiveRun) add(ctx context.Context, p *archivePart, m *model.Market, rows []archive.Row) error {
	switch p.dataset {
	case archive.Trades:
		trades := make([]*model.Trade, len(rows))
		for i := range rows {
			trades[i] = &rows[i].Trade
		}
		return run.writer.AddTrades(ctx, m.ID, trades, history.Span{})
	case archive.Candles:
		return eachRun(rows, p.length, func(rows []archive.Row, held history.Span) error {
			candles := make([]model.Candle, len(rows))
			for i := range rows {
				candles[i] = candleOf(&rows[i], m)
			}
			run.im.report.Candles += uint64(len(rows))
			return run.writer.AddCandlesOf(ctx, m.ID, p.length, candles, held)
		})
	case archive.Funding:
		return eachRun(rows, time.Hour, func(rows []archive.Row, held history.Span) error {
			fundings := make([]model.Funding, len(rows))
			for i := range rows {
				fundings[i] = rows[i].Funding
			}
			run.im.report.Fundings += uint64(len(rows))
			return run.writer.AddFundings(ctx, m.ID, fundings, held)
		})
	}
	return fmt.Errorf("store rows of %s: unknown dataset", p.dataset)
}

// hold notes of what the archive has every row: what its maker vouches for, or the user.
func (run *archiveRun) hold(ctx context.Context) error {
	if only := run.o.Market; only != nil && run.o.Held.From < run.o.Held.To && len(run.order) == 0 && run.o.Dataset != archive.Unknown {
		// An archive without a row says that there was none.
		run.order = append(run.order, &archivePart{partKey: partKey{*only, run.o.Dataset, run.o.Resolution}})
	}
	for _, p := range run.order {
		m, ok := run.registry.ByNative(lighterID, p.native)
		if !ok {
			continue
		}
		var spans []history.Span
		switch {
		case run.o.Held.From < run.o.Held.To:
			spans = p.whole.spans(run.o.Held)
		case run.o.Complete:
			spans = p.whole.spans(history.Span{})
		default:
			for _, h := range run.vouched {
				if h.Native == p.native {
					spans = append(spans, p.whole.spans(history.Span{From: h.From, To: h.To})...)
				}
			}
		}
		for _, sp := range spans {
			if err := run.holdSpan(ctx, p, m, sp); err != nil {
				return err
			}
		}
	}
	return nil
}

func (run *archiveRun) holdSpan(ctx context.Context, p *archivePart, m *model.Market, sp history.Span) error {
	switch p.dataset {
	case archive.Trades:
		return run.writer.AddTrades(ctx, m.ID, nil, sp)
	case archive.Candles:
		if p.length == 0 {
			return nil
		}
		return run.writer.AddCandlesOf(ctx, m.ID, p.length, nil, sp)
	default:
		return run.writer.AddFundings(ctx, m.ID, nil, sp)
	}
}
