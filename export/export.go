// Package export owns the data lake's files: the Parquet schemas of its datasets and what reads and writes them. It knows
// rows of the record, not how they are stored: whoever makes a file hands it rows, and rows of a file go to an import as
// those of any archive. It must not know HTTP, and nothing else may import the Parquet library.
package export

import (
	"errors"

	"hyperlight/engine/lake"
	"hyperlight/engine/model"
)

// Dataset is a dataset of the lake.
type Dataset = lake.Dataset

// The datasets.
const (
	Trades       = lake.Trades
	Snapshots    = lake.Snapshots
	Candles      = lake.Candles
	FundingRates = lake.FundingRates
	Gaps         = lake.Gaps
	BookUpdates  = lake.BookUpdates
)

// Datasets lists all of them.
var Datasets = lake.Datasets

// SchemaVersion is the version of the schemas below. It grows when a column changes its meaning or goes; a new optional
// column does not count.
const SchemaVersion = 1

// MaxGroupRows is the most rows that a row group has.
const MaxGroupRows = 131_072

// Decimals of the columns: one pair for every file of a dataset, because readers round mixed scales silently.
const (
	decimalScale     = 6
	rateScale        = 12
	decimalPrecision = 18
)

var (
	// ErrFit reports a value that a column cannot hold exactly. The file must not be made then.
	ErrFit = errors.New("value does not fit its column")
	// ErrNotLake reports a file that is none of the lake's.
	ErrNotLake = errors.New("not a file of the data lake")
	// ErrVersion reports a file with a schema of a newer version.
	ErrVersion = errors.New("file of a newer schema version")
	// ErrDamaged reports a file that cannot be read to its end.
	ErrDamaged = errors.New("file is damaged")
	// ErrOrder reports rows that are not in the order of their dataset.
	ErrOrder = errors.New("rows are not in order")
)

// Footer is what a file says of itself.
type Footer struct {
	Dataset Dataset
	Venue   string // "lighter"
	// Held is the time of which the file has every row. Between two rows outside of it there may have been others.
	Held []Held
	// SourceSHA256 is a digest of the stored rows that the file was made of, in hex; "" where its maker did not say. A file
	// is remade when it changes.
	SourceSHA256 string
}

// Held is a range of time of one market. From <= t < To.
type Held struct {
	Market   int32
	From, To model.Millis
}
