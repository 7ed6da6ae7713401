package export

import (
	"cmp"
	"slices"
)

// How a column lies in its pages is part of its tag, as was measured with two million trades and DuckDB, which decides by what
// it has to do for a value. Numbers are written by their differences: in bits (delta), or in whole bytes where no encoding is
// named (wholeBytes), which zstd packs further and which therefore takes longer to read: ids of orders, and prices, which a
// dictionary would let be read in half the time for 0.6 bytes more. What has few values in a row group has a dictionary: texts,
// sizes, fees, and accounts, whose ids lie far apart. Of recv_ts, which all trades of a moment share, zstd finds whole values again.
//
// Of no use: differences that are not packed (timestamps 0.6 bytes more, a tenth faster), zstd's higher levels (nothing, or larger),
// smaller pages (of 256 KB 5 % slower to read, of 64 KB 2 % larger also), pages of version 1 (the same), prefixes
// of hashes left out (7 % larger). Larger row groups would save 1 %; the contract bounds them. No encoding is younger than 2013,
// so that old readers know it; splitting the bytes of integers is of 2024.

// Times are unix milliseconds (timestamp, the venue's clock) or microseconds (recv_ts, ours), UTC. Numbers are mantissas
// with six decimals, rates with twelve. Of an optional column 0 and "" are null.

// Trade is a row of trades, by (timestamp, trade_id).
type Trade struct {
	Timestamp    int64  `parquet:"timestamp,timestamp(millisecond),delta"`
	RecvTS       int64  `parquet:"recv_ts,optional,timestamp(microsecond),plain"` // null for rows that were fetched later
	MarketID     int32  `parquet:"market_id,dict"`
	Symbol       string `parquet:"symbol,dict"`
	TradeID      int64  `parquet:"trade_id,delta"`
	Type         string `parquet:"type,dict"`
	Side         string `parquet:"side,dict"`
	Price        int64  `parquet:"price,decimal(6:18)"`
	Size         int64  `parquet:"size,decimal(6:18),dict"`
	USDAmount    int64  `parquet:"usd_amount,decimal(6:18),delta"`
	AskAccountID int64  `parquet:"ask_account_id,dict"`
	BidAccountID int64  `parquet:"bid_account_id,dict"`
	AskID        int64  `parquet:"ask_id"`
	BidID        int64  `parquet:"bid_id"`
	IsMakerAsk   bool   `parquet:"is_maker_ask"`
	TakerFee     int32  `parquet:"taker_fee,optional,dict"`
	MakerFee     int32  `parquet:"maker_fee,optional,dict"`
	BlockHeight  int64  `parquet:"block_height,delta"`
	TxHash       string `parquet:"tx_hash,optional"`
}

// Candle is a row of candles, by timestamp, which is the start of the bucket.
type Candle struct {
	Timestamp   int64  `parquet:"timestamp,timestamp(millisecond),delta"`
	MarketID    int32  `parquet:"market_id,delta"`
	Symbol      string `parquet:"symbol,dict"`
	Resolution  string `parquet:"resolution,dict"`
	Open        int64  `parquet:"open,decimal(6:18),delta"`
	High        int64  `parquet:"high,decimal(6:18),delta"`
	Low         int64  `parquet:"low,decimal(6:18),delta"`
	Close       int64  `parquet:"close,decimal(6:18),delta"`
	Volume      int64  `parquet:"volume,decimal(6:18),delta"`
	QuoteVolume int64  `parquet:"quote_volume,decimal(6:18),delta"`
	VWAP        int64  `parquet:"vwap,decimal(6:18),delta"`
	TradeCount  int64  `parquet:"trade_count,optional,delta"`
}

// FundingRate is a row of funding_rates, by (timestamp, market_id).
type FundingRate struct {
	Timestamp int64  `parquet:"timestamp,timestamp(millisecond),delta"`
	MarketID  int32  `parquet:"market_id,delta"`
	Symbol    string `parquet:"symbol,dict"`
	Rate      int64  `parquet:"rate,decimal(12:18),delta"`
	Value     int64  `parquet:"value,decimal(6:18),delta"`
	Direction string `parquet:"direction,dict"`
}

// Level is a price level of a book.
type Level struct {
	Price int64 `parquet:"price,decimal(6:18),delta"`
	Size  int64 `parquet:"size,decimal(6:18),delta"`
}

// Snapshot is a row of orderbook_snapshots, by timestamp, which is a full second. Levels are best first, at full depth.
type Snapshot struct {
	Timestamp int64   `parquet:"timestamp,timestamp(millisecond),delta"`
	RecvTS    int64   `parquet:"recv_ts,timestamp(microsecond),delta"`
	MarketID  int32   `parquet:"market_id,delta"`
	Symbol    string  `parquet:"symbol,dict"`
	Nonce     int64   `parquet:"nonce,delta"`
	BestBid   int64   `parquet:"best_bid,optional,decimal(6:18),delta"`
	BestAsk   int64   `parquet:"best_ask,optional,decimal(6:18),delta"`
	MidPrice  int64   `parquet:"mid_price,optional,decimal(6:18),delta"`
	Spread    int64   `parquet:"spread,optional,decimal(6:18),delta"`
	Bids      []Level `parquet:"bids,list"`
	Asks      []Level `parquet:"asks,list"`
}

// BookUpdate is a row of book_updates, by recv_ts, then as it was received: one changed level. The rows of a snapshot are a
// whole book. Within one recv_ts the nonce may fall: of two connections, or where the receive times are of milliseconds.
type BookUpdate struct {
	Timestamp int64  `parquet:"timestamp,timestamp(millisecond),delta"`
	RecvTS    int64  `parquet:"recv_ts,timestamp(microsecond),delta"`
	MarketID  int32  `parquet:"market_id,delta"`
	Symbol    string `parquet:"symbol,dict"`
	Nonce     int64  `parquet:"nonce,delta"`
	Snapshot  bool   `parquet:"snapshot"`
	Side      string `parquet:"side,dict"`
	Price     int64  `parquet:"price,decimal(6:18),delta"`
	Size      int64  `parquet:"size,decimal(6:18),delta"` // 0 removes
}

// Gap is a row of gaps, by (from, market_id, kind): a time that was not recorded, cut at the bounds of its day.
type Gap struct {
	MarketID int32  `parquet:"market_id,delta"`
	Symbol   string `parquet:"symbol,dict"`
	Kind     string `parquet:"kind,dict"` // "trades", "book", "market_stats"
	From     int64  `parquet:"from,timestamp(millisecond),delta"`
	To       int64  `parquet:"to,timestamp(millisecond),delta"`
	Cause    string `parquet:"cause,dict"`
}

// Row is a row of one of the datasets.
type Row[T any] interface {
	Trade | Candle | FundingRate | Snapshot | BookUpdate | Gap
	// layout says how the rows of the dataset lie in a file.
	layout() layout
	// order returns what tells which of two rows of a file comes first. It is asked for once: a row is too large to be
	// a receiver of each comparison.
	order() func(a, b *T) int
	// keep returns what gives a copied row slices of its own; nil where a row has none.
	keep() func(*T)
}

// layout is what a file of a dataset is like.
type layout struct {
	dataset Dataset
	sorted  []string
	// group is the most rows of a row group: as many as its writer may keep in memory.
	group int
}

func (Trade) layout() layout { return layout{Trades, []string{"timestamp", "trade_id"}, MaxGroupRows} }

func (r *Trade) compare(o *Trade) int {
	return cmp.Or(cmp.Compare(r.Timestamp, o.Timestamp), cmp.Compare(r.TradeID, o.TradeID))
}

func (Trade) order() func(a, b *Trade) int { return (*Trade).compare }

func (Trade) keep() func(*Trade) { return nil }

func (Candle) layout() layout { return layout{Candles, []string{"timestamp"}, MaxGroupRows} }

func (r *Candle) compare(o *Candle) int { return cmp.Compare(r.Timestamp, o.Timestamp) }

func (Candle) order() func(a, b *Candle) int { return (*Candle).compare }

func (Candle) keep() func(*Candle) { return nil }

func (FundingRate) layout() layout {
	return layout{FundingRates, []string{"timestamp", "market_id"}, MaxGroupRows}
}

func (r *FundingRate) compare(o *FundingRate) int {
	return cmp.Or(cmp.Compare(r.Timestamp, o.Timestamp), cmp.Compare(r.MarketID, o.MarketID))
}

func (FundingRate) order() func(a, b *FundingRate) int { return (*FundingRate).compare }

func (FundingRate) keep() func(*FundingRate) { return nil }

// A whole book has thousands of levels.
func (Snapshot) layout() layout { return layout{Snapshots, []string{"timestamp"}, 512} }

func (Snapshot) keep() func(*Snapshot) {
	return func(r *Snapshot) { r.Bids, r.Asks = slices.Clone(r.Bids), slices.Clone(r.Asks) }
}

func (r *Snapshot) compare(o *Snapshot) int { return cmp.Compare(r.Timestamp, o.Timestamp) }

func (Snapshot) order() func(a, b *Snapshot) int { return (*Snapshot).compare }

func (BookUpdate) layout() layout {
	return layout{BookUpdates, []string{"recv_ts"}, MaxGroupRows}
}

func (r *BookUpdate) compare(o *BookUpdate) int { return cmp.Compare(r.RecvTS, o.RecvTS) }

func (BookUpdate) order() func(a, b *BookUpdate) int { return (*BookUpdate).compare }

func (BookUpdate) keep() func(*BookUpdate) { return nil }

func (Gap) layout() layout { return layout{Gaps, []string{"from", "market_id", "kind"}, MaxGroupRows} }

func (r *Gap) compare(o *Gap) int {
	return cmp.Or(cmp.Compare(r.From, o.From), cmp.Compare(r.MarketID, o.MarketID), cmp.Compare(r.Kind, o.Kind))
}

func (Gap) order() func(a, b *Gap) int { return (*Gap).compare }

func (Gap) keep() func(*Gap) { return nil }
