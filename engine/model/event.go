package model

import (
	"slices"

	"hyperlight/engine/num"
)

// Event is what the engine passes on: one decoded frame of one market. It is immutable once delivered; a decoder's
// event is only lent and must be cloned before it is kept.
type Event struct {
	Market  MarketID
	Epoch   uint8  // scale epoch of every mantissa inside
	Time    Millis // the venue's time of the frame; 0 where it sent none
	Recv    Micros // our receive time, or the recording's
	Payload Payload
}

// Payload is one of *TradeBatch, *BookUpdate, *Stats, *Funding, *Height, *Gap and *AccountUpdate.
type Payload interface{ payload() }

func (*TradeBatch) payload()    {}
func (*BookUpdate) payload()    {}
func (*Stats) payload()         {}
func (*Funding) payload()       {}
func (*Height) payload()        {}
func (*Gap) payload()           {}
func (*AccountUpdate) payload() {}

// TradeKind is the venue's type of a trade.
type TradeKind uint8

// The known kinds; an unknown word of the venue becomes KindOther and is kept in Trade.Extra.
const (
	KindTrade TradeKind = iota
	KindLiquidation
	KindDeleverage
	KindSettlement
	KindOther
)

var tradeKinds = [...]string{"trade", "liquidation", "deleverage", "market-settlement", "other"}

// String returns the venue's word.
func (k TradeKind) String() string {
	if int(k) < len(tradeKinds) {
		return tradeKinds[k]
	}
	return "other"
}

// ParseTradeKind returns the kind of a venue's word, KindOther for an unknown one.
func ParseTradeKind[T ~string | ~[]byte](s T) TradeKind {
	for k, w := range tradeKinds {
		if string(s) == w {
			return TradeKind(k)
		}
	}
	return KindOther
}

// Trade is one fill of the venue. Core members first; the rest is kept for history and replay in native form.
type Trade struct {
	ID         uint64
	Time       Millis // the venue's
	Recv       Micros // ours; 0 for rows fetched later over REST
	Epoch      uint8  // scale epoch of Price and Size
	Kind       TradeKind
	MakerAsk   bool // the resting order was the ask: the taker bought
	Price      num.Price
	Size       num.Size
	USD        num.USD
	AskOrder   uint64
	BidOrder   uint64
	AskAccount AccountID
	BidAccount AccountID
	Block      uint64

	TxHash string // "" where unknown

	TransactionTime      Micros // the venue engine's time; 0 where unknown
	AskClient, BidClient uint64
	TakerFee, MakerFee   int32 // 1e-6 of the value
	TakerBefore          PositionBefore
	MakerBefore          PositionBefore
	TakerSignChanged     bool
	MakerSignChanged     bool
	HasClients           bool // the row carried client ids (absent in old recordings)
	// Extra holds the members that have no field above, as JSON text `"name":value,...` in the order received.
	Extra string
}

// PositionBefore is a side's position just before a trade, as the venue tells it.
type PositionBefore struct {
	Known         bool
	Size          num.Size // signed
	EntryQuote    num.USD
	InitialMargin int32 // 1/10,000
}

// TakerBuys tells whether the taker bought.
func (t *Trade) TakerBuys() bool { return t.MakerAsk }

// TradeBatch is the trades of one frame or one REST answer, normal and forced ones merged, ascending by ID.
type TradeBatch struct {
	Rows []Trade
	// History says that the rows repeat the recent past (the frame after a subscribe, or REST) instead of being new.
	History bool
	// REST says that the rows were fetched; their Recv is 0.
	REST bool
	// Recovered is set by the shard on rows of a History batch that nobody had seen: they follow the last one sent.
	Recovered bool
	// Nonce is the frame's, 0 where there is none.
	Nonce uint64
}

// BookUpdate is one book frame: a whole book or the changed levels. A venue without a chain sends Snapshot each time.
type BookUpdate struct {
	Snapshot   bool
	Bids, Asks []Level
	Prev, Seq  uint64 // the venue's chain: Prev must equal the Seq of the frame before
	Offset     uint64
	UpdatedAt  Micros // when the venue's engine last changed the book; 0 where unknown
	Chained    bool   // the chain is the venue's nonce; false: made from offset (frames older than nonces)
}

// Stats is a row of market statistics. A zero Decimal pointer-like member is told by its Has bit.
type Stats struct {
	Has                              StatsMask
	Mark, Index, Mid, LastTrade      num.Decimal
	BestBid, BestAsk                 num.Decimal
	OpenInterest                     num.Decimal // quote money, one-sided
	FundingRate, CurrentFundingRate  num.Rate    // hourly fractions
	FundingTime                      Millis
	DailyBase, DailyQuote            num.Decimal
	DailyLow, DailyHigh, DailyChange num.Decimal // change in percent
	Symbol                           string
	// Text is the row as the venue wrote it, with the members that have no field above; "" for rows from the store.
	Text string
}

// StatsMask tells which members of Stats the venue sent.
type StatsMask uint32

// One bit per member of Stats.
const (
	HasMark StatsMask = 1 << iota
	HasIndex
	HasMid
	HasLastTrade
	HasBestBid
	HasBestAsk
	HasOpenInterest
	HasFundingRate
	HasCurrentFundingRate
	HasFundingTime
	HasDailyBase
	HasDailyQuote
	HasDailyLow
	HasDailyHigh
	HasDailyChange
)

// Funding is one settled hourly funding row.
type Funding struct {
	Time     Millis
	Rate     num.Rate    // hourly fraction, positive when longs pay
	Value    num.Decimal // quote money per unit of base
	LongPays bool
}

// Height is the venue's block height.
type Height struct{ Height uint64 }

// Kind says which record a gap or a held interval belongs to.
type Kind uint8

// The kinds of record.
const (
	KindBook Kind = iota
	KindTrades
	KindStats
	// The kinds below have coverage only: what the venue or an archive gave. Nothing follows them live.
	KindCandles     // given candles of one minute
	KindFunding     // settled funding rows
	KindHourCandles // given candles of one hour
	KindDayCandles  // given candles of one day
)

var kinds = [...]string{"order_book", "trade", "market_stats", "candles", "funding", "candles_1h", "candles_1d"}

// String returns the name that the API uses.
func (k Kind) String() string {
	if int(k) < len(kinds) {
		return kinds[k]
	}
	return "other"
}

// Cause says why a gap began.
type Cause uint8

// The causes of a gap.
const (
	CauseNone Cause = iota
	CauseDisconnect
	CauseNonce
	CauseParse
	CauseStale
	CauseCrossed
	CauseDowntime
)

var causes = [...]string{"none", "upstream_disconnect", "nonce_gap", "parse_error", "stale", "crossed", "downtime"}

// String returns the name that the API uses.
func (c Cause) String() string {
	if int(c) < len(causes) {
		return causes[c]
	}
	return "none"
}

// Gap is a hole in a record. It is delivered twice: when it opens (To is 0) and when it ends. Times of books and
// statistics lie on the receive clock, those of trades on the venue's.
type Gap struct {
	Kind     Kind
	From, To Micros
	Cause    Cause
	Filled   bool // the missing rows came later; the record is whole again
}

// Clone returns an event that shares no memory with the decoder that lent it.
func (e *Event) Clone() Event {
	c := *e
	switch p := e.Payload.(type) {
	case *BookUpdate:
		u := *p
		levels := make([]Level, 0, len(p.Bids)+len(p.Asks))
		levels = append(append(levels, p.Bids...), p.Asks...)
		u.Bids = levels[:len(p.Bids):len(p.Bids)]
		u.Asks = levels[len(p.Bids):]
		c.Payload = &u
	case *TradeBatch:
		b := *p
		b.Rows = slices.Clone(p.Rows)
		c.Payload = &b
	case *Stats:
		s := *p
		c.Payload = &s
	case *Funding:
		f := *p
		c.Payload = &f
	case *Height:
		h := *p
		c.Payload = &h
	case *Gap:
		g := *p
		c.Payload = &g
	case *AccountUpdate:
		u := *p
		u.Positions = slices.Clone(p.Positions)
		c.Payload = &u
	}
	return c
}
