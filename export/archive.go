package export

import (
	"errors"
	"fmt"
	"io"

	"hyperlight/engine/archive"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// Archive gives the rows of a file of trades, candles, funding_rates or book_updates to an import. It belongs to one goroutine.
type Archive struct {
	name  string
	file  *File
	rows  rowSource
	read  int64
	row   archive.Row
	close func() error
}

var _ archive.Source = (*Archive)(nil)

// rowSource puts the next row of a file into an archive's row.
type rowSource func(*archive.Row) (column, reason string, err error)

// batchRows is how many rows are read at once.
const batchRows = 1024

// OpenArchive opens a file of the lake for an import. ErrNotLake tells of a dataset that cannot be imported.
func OpenArchive(name string) (*Archive, error) {
	f, err := Open(name)
	if err != nil {
		return nil, err
	}
	a, err := newArchive(name, f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return a, nil
}

func newArchive(name string, f *File) (a *Archive, err error) {
	a = &Archive{name: name, file: f}
	switch f.footer.Dataset {
	case Trades:
		a.rows, a.close, err = rowsOf(f, tradeRow)
	case Candles:
		a.rows, a.close, err = rowsOf(f, candleRow)
	case FundingRates:
		a.rows, a.close, err = rowsOf(f, fundingRow)
	case BookUpdates:
		a.rows, a.close, err = rowsOf(f, bookRow)
	default:
		return nil, fmt.Errorf("%w that can be imported: %s is none of trades, candles, funding_rates and book_updates; book_updates holds all "+
			"that orderbook_snapshots does and more, and gaps come of what is imported", ErrNotLake, f.footer.Dataset)
	}
	return a, err
}

// rowsOf reads a file in batches.
func rowsOf[T Row[T]](f *File, convert func(*T, *archive.Row) (column, reason string)) (rowSource, func() error, error) {
	r, err := NewReader[T](f)
	if err != nil {
		return nil, nil, err
	}
	batch := make([]T, batchRows)
	var waiting []T
	var ended error
	return func(row *archive.Row) (string, string, error) {
		for len(waiting) == 0 {
			if ended != nil {
				return "", "", ended
			}
			clear(batch)
			n, err := r.Read(batch)
			waiting, ended = batch[:n], err
			if n == 0 && err == nil {
				ended = fmt.Errorf("%w: it gives no row and no end", ErrDamaged)
			}
		}
		column, reason := convert(&waiting[0], row)
		waiting = waiting[1:]
		return column, reason, nil
	}, r.Close, nil
}

// Next implements archive.Source. The file's own errors end it.
func (a *Archive) Next() (*archive.Row, error) {
	a.row = archive.Row{}
	column, reason, err := a.rows(&a.row)
	if err != nil {
		if err != io.EOF {
			err = fmt.Errorf("read %s: %w", a.name, err)
		}
		return nil, err
	}
	a.read++
	a.row.Line = uint64(a.read)
	if reason != "" {
		return nil, &archive.RowError{File: a.name, Line: a.row.Line, Column: column, Reason: reason}
	}
	return &a.row, nil
}

// Dataset returns what the file holds.
func (a *Archive) Dataset() archive.Dataset {
	switch a.file.footer.Dataset {
	case Trades:
		return archive.Trades
	case Candles:
		return archive.Candles
	case FundingRates:
		return archive.Funding
	case BookUpdates:
		return archive.Books
	}
	return archive.Unknown
}

// Held returns the time of which the file has every row, as its maker noted it.
func (a *Archive) Held() []archive.Held {
	out := make([]archive.Held, len(a.file.footer.Held))
	for i, h := range a.file.footer.Held {
		out[i] = archive.Held{Native: int64(h.Market), From: h.From, To: h.To}
	}
	return out
}

// Rows returns how many rows were read, and how many there are.
func (a *Archive) Rows() (read, total int64) { return a.read, a.file.NumRows() }

// Close closes the file.
func (a *Archive) Close() error { return errors.Join(a.close(), a.file.Close()) }

// decimal returns a column's number without the zeros that only its scale adds.
func decimal(mant int64) num.Decimal {
	d := num.Decimal{Mant: mant, Scale: decimalScale}
	for d.Scale > 0 && d.Mant%10 == 0 {
		d.Mant /= 10
		d.Scale--
	}
	return d
}

func tradeRow(t *Trade, row *archive.Row) (column, reason string) {
	if t.TradeID <= 0 || t.AskAccountID < 0 || t.BidAccountID < 0 || t.BlockHeight < 0 || t.AskID < 0 || t.BidID < 0 {
		return "trade_id", "an id below 0"
	}
	if t.Price <= 0 || t.Size <= 0 {
		return "price", "price or size not above 0"
	}
	if t.IsMakerAsk != (t.Side == "buy") {
		return "side", "contradicts is_maker_ask"
	}
	row.Dataset, row.Native, row.Symbol, row.Time = archive.Trades, int64(t.MarketID), t.Symbol, model.Millis(t.Timestamp)
	row.Price, row.Size, row.HasUSD = decimal(t.Price), decimal(t.Size), true
	row.Trade = model.Trade{
		ID: uint64(t.TradeID), Time: row.Time, Recv: model.Micros(t.RecvTS), Kind: model.ParseTradeKind(t.Type), MakerAsk: t.IsMakerAsk,
		USD: num.USD(t.USDAmount), AskOrder: uint64(t.AskID), BidOrder: uint64(t.BidID),
		AskAccount: model.AccountID(t.AskAccountID), BidAccount: model.AccountID(t.BidAccountID),
		Block: uint64(t.BlockHeight), TxHash: t.TxHash, TakerFee: t.TakerFee, MakerFee: t.MakerFee,
	}
	return "", ""
}

func candleRow(c *Candle, row *archive.Row) (column, reason string) {
	length, ok := archive.ParseResolution(c.Resolution)
	if !ok {
		return "resolution", "not one that is stored: 1m, 1h or 1d"
	}
	row.Dataset, row.Native, row.Symbol, row.Time = archive.Candles, int64(c.MarketID), c.Symbol, model.Millis(c.Timestamp)
	switch {
	case c.Timestamp%length.Milliseconds() != 0:
		return "timestamp", "not the start of a candle of its resolution"
	case c.Low <= 0 || c.Low > min(c.Open, c.Close) || c.High < max(c.Open, c.Close) || c.Volume < 0 || c.TradeCount < 0:
		return "low", "prices contradict one another"
	}
	row.Candle = archive.Candle{
		Resolution: length, Open: decimal(c.Open), High: decimal(c.High), Low: decimal(c.Low), Close: decimal(c.Close),
		Volume: decimal(c.Volume), QuoteVolume: num.USD(c.QuoteVolume), Trades: uint64(c.TradeCount),
	}
	return "", ""
}

func fundingRow(f *FundingRate, row *archive.Row) (column, reason string) {
	row.Dataset, row.Native, row.Symbol, row.Time = archive.Funding, int64(f.MarketID), f.Symbol, model.Millis(f.Timestamp)
	switch {
	case f.Timestamp%3_600_000 != 0:
		return "timestamp", "not a full hour, at which funding is settled"
	case f.Direction != "long" && f.Direction != "short":
		return "direction", "neither long nor short, the side that pays"
	case f.Rate > 0 && f.Direction == "short" || f.Rate < 0 && f.Direction == "long":
		return "direction", "contradicts the sign of the rate"
	}
	row.Funding = model.Funding{Time: row.Time, Rate: num.Rate(f.Rate), Value: decimal(f.Value), LongPays: f.Direction == "long"}
	return "", ""
}

// bookRow leaves prices and sizes to the import, which can tell of what update a level without one is.
func bookRow(b *BookUpdate, row *archive.Row) (column, reason string) {
	row.Dataset, row.Native, row.Symbol, row.Time = archive.Books, int64(b.MarketID), b.Symbol, model.Millis(b.Timestamp)
	row.Price, row.Size = decimal(b.Price), decimal(b.Size)
	row.Level = archive.Level{Recv: model.Micros(b.RecvTS), Nonce: uint64(b.Nonce), Snapshot: b.Snapshot}
	switch {
	case b.MarketID < 0:
		return "market_id", "below 0"
	case b.Nonce < 0:
		return "nonce", "below 0"
	case b.Side == "ask":
		row.Level.Side = model.Ask
	case b.Side != "bid":
		return "side", "neither bid nor ask"
	}
	return "", ""
}
