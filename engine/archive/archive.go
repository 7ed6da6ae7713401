// Package archive owns the forms in which history comes from elsewhere: CSV and JSON lines of trades, candles and
// settled fundings, with the column names of our own REST objects, of the venue's and common others. It turns lines into
// typed rows, exactly or not at all. It must not open files, store anything or know which markets exist: lines come from
// its caller, and rows go to it with the numbers as they were written.
package archive

import (
	"errors"
	"fmt"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// Dataset is what an archive holds.
type Dataset uint8

// The datasets that can be read. Unknown asks for detection.
const (
	Unknown Dataset = iota
	Trades
	Candles
	Funding
	Books // changes of books, of the lake's files alone
)

var datasets = [...]string{"unknown", "trades", "candles", "funding", "book_updates"}

// String returns the dataset's name, as options and reports write it.
func (d Dataset) String() string {
	if int(d) < len(datasets) {
		return datasets[d]
	}
	return datasets[Unknown]
}

// ParseDataset returns the dataset of a name; false for an unknown one, and for one that text cannot hold. The lake's name of
// fundings counts too.
func ParseDataset(name string) (Dataset, bool) {
	switch name {
	case "trades":
		return Trades, true
	case "candles":
		return Candles, true
	case "funding", "funding_rates":
		return Funding, true
	}
	return Unknown, false
}

// NoMarket is the market id of a row that names none.
const NoMarket int64 = -1

// Row is one row of an archive. Members that the dataset has not are zero.
type Row struct {
	Dataset Dataset
	Line    uint64 // in the file, from 1; of a Parquet file the row
	Native  int64  // the venue's market id, NoMarket where the row names none
	Symbol  string // "" where the row tells none
	Time    model.Millis

	// Price and Size of a trade or a level are here, not in Trade, with the digits that were written. So are the sizes of
	// positions.
	Price, Size              num.Decimal
	TakerBefore, MakerBefore num.Decimal
	HasUSD                   bool // the row told the trade's value; else it is price x size
	Trade                    model.Trade

	Candle  Candle
	Funding model.Funding
	Level   Level
}

// Level is one changed level of a book. The rows of one update follow one another and differ in their levels only.
type Level struct {
	Recv     model.Micros
	Nonce    uint64
	Snapshot bool // the update is the whole book
	Side     model.Side
}

// Candle is a candle as it was written.
type Candle struct {
	Resolution             time.Duration
	Open, High, Low, Close num.Decimal
	Volume                 num.Decimal
	QuoteVolume            num.USD
	LastID                 uint64 // 0 where unknown
	Trades                 uint64 // 0 where unknown
}

// Held is a range of time that a source vouches for: every row of it is in the source. From <= t < To.
type Held struct {
	Native   int64
	From, To model.Millis
}

// Source gives the rows of one archive. Next returns io.EOF behind the last one, a *RowError for a row that is left out,
// after which it may be called again, and any other error when it cannot go on. A row is valid until the next call.
type Source interface {
	Next() (*Row, error)
}

// Options say what a file does not say itself.
type Options struct {
	Name       string        // of the file, for errors and for finding out what it holds
	Dataset    Dataset       // Unknown: by its columns
	Resolution time.Duration // of candles whose rows tell none; 0: by the file's name or the distance of its rows
}

// RowError tells why a row was left out. Reason alone is the same for all rows of one fault.
type RowError struct {
	File   string
	Line   uint64
	Column string // "" where no one column is at fault
	Reason string
}

// Error names the file, the line and the column.
func (e *RowError) Error() string {
	if e.Column == "" {
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Reason)
	}
	return fmt.Sprintf("%s:%d: column %s: %s", e.File, e.Line, e.Column, e.Reason)
}

// Kind names the fault without its place: what counts rows of one fault together.
func (e *RowError) Kind() string {
	if e.Column == "" {
		return e.Reason
	}
	return e.Column + ": " + e.Reason
}

// ErrColumns reports a file whose columns or members make no dataset, or not a whole one.
var ErrColumns = errors.New("columns make no dataset")

// errHeader is ErrColumns of columns that are meant as a dataset's: no recording begins so.
var errHeader = fmt.Errorf("%w", ErrColumns)

// resolutions are the candles that the store takes; the API's longer ones are made from them.
var resolutions = map[string]time.Duration{
	"1m": time.Minute, "60": time.Minute, "60s": time.Minute,
	"1h": time.Hour, "60m": time.Hour, "3600": time.Hour, "3600s": time.Hour,
	"1d": 24 * time.Hour, "24h": 24 * time.Hour, "86400": 24 * time.Hour, "86400s": 24 * time.Hour,
}

// ParseResolution returns the length of a candle that can be stored: 1m, 1h or 1d.
func ParseResolution(text string) (time.Duration, bool) {
	d, ok := resolutions[text]
	return d, ok
}
