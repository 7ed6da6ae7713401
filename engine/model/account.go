package model

import "hyperlight/engine/num"

// Address is an owner's address on the chain below the venue; the zero value means unknown.
type Address [20]byte

// AccountSource says what an account row rests on.
type AccountSource uint8

// The sources of an account row.
const (
	SourceNone   AccountSource = iota // known by its index only
	SourceStream                      // the trade stream
	SourcePoll                        // the venue's account call or channel
	SourceBoth                        // polled, and traded since
)

// String returns the name that the API uses.
func (s AccountSource) String() string {
	switch s {
	case SourceStream:
		return "stream"
	case SourcePoll:
		return "poll"
	case SourceBoth:
		return "both"
	}
	return "none"
}

// Account is what is known of one account at a moment.
type Account struct {
	ID      AccountID
	Index   int64 // the venue's own
	Address Address
	Source  AccountSource
	// AsOf is when anything of the row changed or was confirmed last, by the venue's clock for trades and by ours for polls.
	AsOf Millis
	// Polled is when the members that only the venue can tell were read last: everything below but Positions. 0: never.
	Polled Millis

	Type, Status, Mode uint8 // the venue's account_type, status and account_trading_mode
	Collateral         num.USD
	Available          num.USD
	TotalValue         num.USD // total_asset_value
	CrossValue         num.USD // cross_asset_value
	TotalOrders        uint32
	PendingOrders      uint32

	Positions []Position // ascending by market; flat ones that were polled stay
}

// Position is what is known of an account's holding in one market.
type Position struct {
	Market    MarketID
	Epoch     uint8    // scale epoch of Size
	Size      num.Size // signed: negative when short, 0 when flat
	Entry     num.USD  // value at entry, never negative
	Initial   int32    // the account's own initial margin fraction, 1/10,000; 0 where unknown
	Isolated  bool
	Allocated num.USD // margin of an isolated position, as polled last
	// Realized is what the venue told at the last poll plus what trades have realised since; without a poll, since we know
	// the account.
	Realized    num.USD
	FundingPaid num.USD     // paid out, negative when received, as polled last
	Liquidation num.Decimal // the venue's own liquidation price, as polled last and unchanged since; 0 where there is none
	OpenOrders  uint32      // as polled last, as the two below
	Pending     uint32
	Tied        uint32
	AsOf        Millis // of the last trade or poll that told it
	Trade       uint64 // id of the last trade that changed it; 0: none seen
}

// AccountUpdate is what an account's channel told of its positions. It never passes a market's shard: the epoch of each
// size is in the position.
type AccountUpdate struct {
	Account   AccountID
	Whole     bool       // all positions that the venue lists, not only what changed
	Positions []Position // ascending by market; AsOf is not set
}
