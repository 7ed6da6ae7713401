package engine

import (
	"context"
	"errors"
	"io"

	"hyperlight/engine/archive"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
)

// bookRun loads a file of changed levels: they become updates of books again, which go where the frames of a recording go.
// What the file does not have breaks a book, as a lost frame does, until the next whole one.
type bookRun struct {
	im     *importer
	name   string
	target *market.Importer
	now    model.Millis
	books  map[int64]*importedBook

	recv    model.Micros // of the last good row
	sent    model.Micros // of the last update
	pending pendingUpdate
	torn    bool // a row was left out: the update that the next one is of may lack it
	good    uint64
	bad     uint64
}

// importedBook is what a file holds of one market.
type importedBook struct {
	symbol      string
	price, size uint8          // the decimals that its numbers need
	held        []archive.Held // by the file's maker
	market      *model.Market  // nil before the first update, and where it cannot be registered

	whole bool         // nothing is missing since the last snapshot
	seq   uint64       // of the last update
	recv  model.Micros // of the last update
}

// updateKey is what the rows of one update have in common.
type updateKey struct {
	native int64
	time   model.Millis
	level  archive.Level // without its side
}

// pendingUpdate is an update of which more rows may follow.
type pendingUpdate struct {
	key    updateKey
	book   *importedBook
	update model.BookUpdate
	begun  bool   // it is of the last row, and of those that follow with its key
	rows   uint64 // that wait to be sent
	reason string // why its rows are left out; "": they are not
}

const (
	tornReason   = "the rest of an update of which a row was left out"
	brokenReason = "a change of a book that is not whole: a row before it was left out, or the file has no snapshot before it"
)

// books loads a file of book_updates. progress is told the share of the file that was read.
func (im *importer) books(ctx context.Context, name string, source LakeFile, target *market.Importer, progress func()) error {
	run := &bookRun{im: im, name: name, target: target, now: model.Millis(im.o.Now().UnixMilli()), books: map[int64]*importedBook{}}
	if err := run.measure(ctx); err != nil {
		return err
	}
	for _, h := range source.Held() {
		if b := run.books[h.Native]; b != nil {
			b.held = append(b.held, h)
		}
	}
	err := run.each(ctx, source, progress, func(row *archive.Row, fault *archive.RowError) error {
		im.report.Lines++
		if fault == nil {
			fault = run.follows(row)
		}
		if fault != nil {
			// It may have been of the update before it, or of the one behind it.
			run.leaveOut(fault)
			run.pending.begun, run.torn = false, true
		} else if fault = run.take(row); fault != nil {
			run.leaveOut(fault)
		}
		return im.saving
	})
	switch {
	case err == io.EOF:
		run.send()
		run.quiet()
	case ctx.Err() != nil || im.saving != nil:
		return err
	default:
		im.cutShort(name, err) // the last update may lack rows
	}
	im.report.Rows += run.good
	if run.good == 0 && run.bad > 0 {
		im.report.NoRows = append(im.report.NoRows, name)
	}
	return im.saving
}

// each calls visit for every row, or with what is wrong with it, and returns what ended that: io.EOF behind the last row.
func (run *bookRun) each(ctx context.Context, source LakeFile, progress func(), visit func(*archive.Row, *archive.RowError) error) error {
	for n := 1; ; n++ {
		if n%progressEvery == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			progress()
		}
		row, err := source.Next()
		var fault *archive.RowError
		if err != nil && !errors.As(err, &fault) {
			return err
		}
		if err := visit(row, fault); err != nil {
			return err
		}
	}
}

// measure finds the decimals that the numbers of each market need. The file is read twice, so that no scale changes in the
// midst of a book.
func (run *bookRun) measure(ctx context.Context) (err error) {
	source, err := run.im.o.Archive.Lake(run.name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	if err := run.each(ctx, source, func() {}, func(row *archive.Row, fault *archive.RowError) error {
		if fault != nil {
			return nil
		}
		b := run.books[row.Native]
		if b == nil {
			b = &importedBook{symbol: row.Symbol}
			run.books[row.Native] = b
		}
		b.price, b.size = max(b.price, decimalsOf(row.Price, true)), max(b.size, decimalsOf(row.Size, true))
		return nil
	}); ctx.Err() != nil {
		return err
	}
	return nil // the second reading tells of damage
}

// take adds a row to the update that it is of, after sending the one before where it begins another.
func (run *bookRun) take(row *archive.Row) *archive.RowError {
	k := updateKey{native: row.Native, time: row.Time, level: row.Level}
	k.level.Side = 0
	p := &run.pending
	run.recv = row.Level.Recv
	if !p.begun || p.key != k {
		run.send()
		if fault := run.begin(row, k); fault != nil {
			return fault
		}
	}
	if p.reason != "" {
		run.skip(row.Line, 1, p.reason)
		return nil
	}
	level, column, reason := levelOf(row, p.book.market)
	if reason != "" {
		return run.faultOf(row, column, reason)
	}
	side := &p.update.Bids
	if row.Level.Side == model.Ask {
		side = &p.update.Asks
	}
	*side = append(*side, level)
	p.rows++
	return nil
}

// begin begins the update of a row.
func (run *bookRun) begin(row *archive.Row, k updateKey) *archive.RowError {
	b, l, p := run.books[row.Native], &row.Level, &run.pending
	*p = pendingUpdate{key: k, begun: true, book: b, update: model.BookUpdate{Snapshot: l.Snapshot, Prev: b.seq, Seq: l.Nonce, Chained: true,
		Bids: p.update.Bids[:0], Asks: p.update.Asks[:0]}}
	torn := run.torn
	run.torn = false
	switch {
	case torn:
		p.reason = tornReason
	case !l.Snapshot && !b.whole:
		p.reason = brokenReason
	case !l.Snapshot && l.Nonce <= b.seq:
		return run.faultOf(row, "nonce", "not above that of the update before")
	case b.market == nil:
		m, ok := run.target.Registry().Resolver(lighterID, true).Observe(row.Native, b.symbol, b.price, b.size)
		if !ok {
			p.reason = "its market cannot be registered"
			break
		}
		b.market = m
	}
	return nil
}

// send hands the pending update to the shard, where it is whole. A whole book that was not held through since the update
// before lies behind a hole.
func (run *bookRun) send() {
	p := &run.pending
	b, rows := p.book, p.rows
	p.begun, p.rows = false, 0
	if rows == 0 {
		return
	}
	recv := p.key.level.Recv
	if p.update.Snapshot && b.whole {
		if end, held := b.heldUntil(recv); !held {
			run.lose(b.market.ID, end, model.CauseDisconnect)
		}
	}
	run.target.Handle(&model.Event{Market: b.market.ID, Epoch: b.market.Epoch, Time: p.key.time, Recv: recv, Payload: &p.update})
	b.whole, b.seq, b.recv = true, p.update.Seq, recv
	run.sent, run.good = recv, run.good+rows
}

// lose ends books where nothing is known of them any more.
func (run *bookRun) lose(id model.MarketID, at model.Micros, cause model.Cause) {
	run.target.Handle(&model.Event{Market: id, Recv: at, Payload: &model.Gap{Kind: model.KindBook, From: at, Cause: cause}})
}

// heldUntil tells whether a book was held from its last update to a moment, and if not, until when it was. The file's maker
// tells that in milliseconds, of time that is held for sure.
func (b *importedBook) heldUntil(t model.Micros) (end model.Micros, held bool) {
	const milli = 1000
	end = b.recv
	for _, h := range b.held {
		from, to := h.From.Micros(), h.To.Micros()
		switch {
		case from-milli < t && t <= from:
			return end, false // it begins an interval
		case b.recv <= from-milli || b.recv >= to+milli:
			continue
		case t < to+milli:
			held = true
		}
		end = max(end, min(to, t))
	}
	return end, held
}
