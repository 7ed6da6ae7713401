// Package lake owns what the files of the data lake are called, which of them there are, and links to them. It is what the
// parts that make files, serve them and list them have in common: ids, object keys, the manifest in the store and signatures.
//
// It must not know what is in a file, how one is made or sent, nor HTTP. Nothing else may write the family x.
package lake

import (
	"crypto/sha256"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"hyperlight/engine/model"
)

// Dataset is a dataset of the lake.
type Dataset string

// The datasets.
const (
	Trades       Dataset = "trades"
	Snapshots    Dataset = "orderbook_snapshots"
	Candles      Dataset = "candles"
	FundingRates Dataset = "funding_rates"
	Gaps         Dataset = "gaps"
	BookUpdates  Dataset = "book_updates"
)

// Datasets lists all of them. Their places are numbers of the store: a new one goes to the end.
var Datasets = [...]Dataset{Trades, Snapshots, Candles, FundingRates, Gaps, BookUpdates}

// ParseDataset returns the dataset of a name.
func ParseDataset(text string) (Dataset, bool) {
	d := Dataset(text)
	return d, d.number() > 0
}

// PerMarket tells whether a file of the dataset is of one market. Those of the others are of all markets.
func (d Dataset) PerMarket() bool { return d != FundingRates && d != Gaps }

// number returns what a dataset is called in the store, 0 for one that is none.
func (d Dataset) number() uint8 {
	for i, known := range Datasets {
		if d == known {
			return uint8(i + 1)
		}
	}
	return 0
}

// AllMarkets stands in the place of a market's id in files of all markets.
const AllMarkets = -1

// DayMillis is the length of a day.
const DayMillis model.Millis = 86_400_000

// DayOf returns the start of the UTC day that a time lies in.
func DayOf(t model.Millis) model.Millis { return t - (t%DayMillis+DayMillis)%DayMillis }

// ID names a file. It stays the same when the file is made again.
type ID struct {
	Dataset Dataset
	Market  int64        // the venue's own id; AllMarkets
	Day     model.Millis // start of the UTC day
}

const (
	dayForm = "20060102"
	hive    = "2006-01-02"
	suffix  = ".parquet"
)

func (id ID) date(form string) string { return time.UnixMilli(int64(id.Day)).UTC().Format(form) }

// String returns the id as clients know it, as trades-0-20260101.
func (id ID) String() string {
	market := "all"
	if id.Market != AllMarkets {
		market = strconv.FormatInt(id.Market, 10)
	}
	return string(id.Dataset) + "-" + market + "-" + id.date(dayForm)
}

// FileName returns the name under which the file is downloaded.
func (id ID) FileName() string { return id.String() + suffix }

// Date returns the day as yyyy-mm-dd.
func (id ID) Date() string { return id.date(hive) }

// Key returns the object key, which is also the file's path below the lake's directory: slashes, hive style.
func (id ID) Key() string {
	if id.Market == AllMarkets {
		return fmt.Sprintf("%s/date=%s/part-0000%s", id.Dataset, id.Date(), suffix)
	}
	return fmt.Sprintf("%s/market_id=%d/date=%s/part-0000%s", id.Dataset, id.Market, id.Date(), suffix)
}

// To returns the end of the day, which does not belong to it.
func (id ID) To() model.Millis { return id.Day + DayMillis }

// Valid tells whether there may be a file of the id: a known dataset, a market where the dataset is of one, a day's start.
func (id ID) Valid() bool {
	market := id.Market == AllMarkets
	if id.Dataset.PerMarket() {
		market = id.Market >= 0 && id.Market <= math.MaxInt32
	}
	return market && id.Dataset.number() > 0 && id.Day >= 0 && id.Day%DayMillis == 0 && id.Day < lastDay
}

// lastDay is 10000-01-01, the first day whose name has another form.
const lastDay model.Millis = 253_402_300_800_000

// ParseID reads an id as String writes it; no other form of it is taken.
func ParseID(text string) (ID, bool) {
	rest, date, ok := cutLast(text)
	if !ok || len(date) != len(dayForm) {
		return ID{}, false
	}
	name, market, ok := cutLast(rest)
	if !ok {
		return ID{}, false
	}
	day, err := time.Parse(dayForm, date)
	if err != nil {
		return ID{}, false
	}
	id := ID{Dataset: Dataset(name), Market: AllMarkets, Day: model.Millis(day.UnixMilli())}
	if market != "all" {
		if id.Market, err = strconv.ParseInt(market, 10, 32); err != nil {
			return ID{}, false
		}
	}
	return id, id.Valid() && id.String() == text
}

// ParseKey reads an object key as Key writes it; no other form of it is taken.
func ParseKey(text string) (ID, bool) {
	parts := strings.Split(text, "/")
	id := ID{Dataset: Dataset(parts[0]), Market: AllMarkets}
	if len(parts) == 4 {
		market, ok := strings.CutPrefix(parts[1], "market_id=")
		n, err := strconv.ParseInt(market, 10, 32)
		if !ok || err != nil {
			return ID{}, false
		}
		id.Market = n
	} else if len(parts) != 3 {
		return ID{}, false
	}
	date, ok := strings.CutPrefix(parts[len(parts)-2], "date=")
	day, err := time.Parse(hive, date)
	if !ok || err != nil {
		return ID{}, false
	}
	id.Day = model.Millis(day.UnixMilli())
	return id, id.Valid() && id.Key() == text
}

func cutLast(text string) (before, after string, ok bool) {
	i := strings.LastIndexByte(text, '-')
	if i < 0 {
		return "", "", false
	}
	return text[:i], text[i+1:], true
}

// File is a file that is whole, and listed.
type File struct {
	ID            ID
	Symbol        string // of its market; "" for a file of all
	Rows, Bytes   int64
	SHA256        [sha256.Size]byte
	SchemaVersion int
	Created       model.Millis      // when it was made, or last made again
	Source        [sha256.Size]byte // digest of what it was made of: made again where that has changed
	Remote        bool              // the object store that there is now has this version of it
}
