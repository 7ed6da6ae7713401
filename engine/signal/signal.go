// Package signal owns the rules of signals: their language, the evaluator that tells which of a market's signals trigger on
// an event, and the backtest that runs the very same evaluator over the record. Rules, evaluator and backtest are pure: no
// I/O, no clock, no goroutine. What happens to a trigger is the business of engine/signal/desk and engine/signal/delivery.
//
// # Events
//
// A market's signals see four kinds of event, and live and backtest see the same ones, because each is made of rows that the
// record keeps and stands at a place that follows from those rows alone:
//
//   - A trade stands at its receive time, at the venue's time of it where it was fetched later and has none.
//   - The statistics row that the record keeps, the first of each ten seconds of the receive clock, sets the funding rate at
//     the first full second after it was received. That second is the event's time.
//   - The sums of the liquidation heatmap stand at the second full second after they were computed, so that the pass over the
//     accounts has time to end. That second is the event's time.
//   - The book of a full second, also where nothing changed in it, stands at that second.
//
// At one full second the funding rate comes first, then the heatmap, then the book; trades received before the second come
// before all of these, trades received at it or later behind. Trades of one receive time go by id.
//
// A trade is evaluated when it is new or recovered after an outage as one newer than the last; rows that fill older holes
// are not, since an alert would come out of order. A backtest, which reads the record as it is by then, sees those rows at
// their place, so that around an outage it may find what live evaluation could not. The reverse holds for the seconds
// between the last frame of a book and the moment its loss was noticed: they were evaluated, and the record does not hold them.
package signal

import (
	"slices"

	"hyperlight/engine/num"
)

// Field is what a condition looks at.
type Field uint8

// The fields of the contract, section 4.1.
const (
	TradePrice Field = iota
	TradeSize
	TradeNotional
	Spread
	BidDepth
	AskDepth
	FundingRate
	LongAtRisk
	ShortAtRisk

	fieldCount = int(ShortAtRisk) + 1
)

var fieldNames = [fieldCount]string{"trade_price", "trade_size", "trade_notional", "orderbook_spread", "bid_depth", "ask_depth",
	"funding_rate", "heatmap_long_at_risk", "heatmap_short_at_risk"}

// String returns the name that rules use.
func (f Field) String() string { return fieldNames[f] }

// ParseField returns the field of a name.
func ParseField(name string) (Field, bool) {
	i := slices.Index(fieldNames[:], name)
	return Field(max(i, 0)), i >= 0
}

// FieldSet is a set of fields.
type FieldSet uint16

// Has tells whether a field is in the set.
func (s FieldSet) Has(f Field) bool { return s>>f&1 != 0 }

func setOf(fields ...Field) (s FieldSet) {
	for _, f := range fields {
		s |= 1 << f
	}
	return s
}

// The fields that each kind of event sets.
var (
	tradeFields   = setOf(TradePrice, TradeSize, TradeNotional)
	bookFields    = setOf(Spread, BidDepth, AskDepth)
	fundingFields = setOf(FundingRate)
	heatmapFields = setOf(LongAtRisk, ShortAtRisk)
)

// Op is how a condition compares.
type Op uint8

// The operators of the contract, section 4.1.
const (
	Greater Op = iota
	Less
	GreaterEqual
	LessEqual
	Equal
	NotEqual
	CrossesAbove
	CrossesBelow

	opCount = int(CrossesBelow) + 1
)

var opNames = [opCount]string{"gt", "lt", "gte", "lte", "eq", "ne", "crosses_above", "crosses_below"}

// String returns the name that rules use.
func (o Op) String() string { return opNames[o] }

// ParseOp returns the operator of a name.
func ParseOp(name string) (Op, bool) {
	i := slices.Index(opNames[:], name)
	return Op(max(i, 0)), i >= 0
}

// crosses tells whether the operator compares two values that follow each other.
func (o Op) crosses() bool { return o >= CrossesAbove }

// Condition compares a field with a value.
type Condition struct {
	Field  Field
	Op     Op
	Value  num.Decimal
	Quoted bool // the value was given as a string and is written back as one
}

// MaxConditions is how many conditions a rule may have.
const MaxConditions = 10

// Rule is a rule_definition: 1 to MaxConditions conditions, all of which must hold, or any of them.
type Rule struct {
	Conditions []Condition
	Any        bool
}

// Fields returns the fields that the rule looks at.
func (r Rule) Fields() (s FieldSet) {
	for _, c := range r.Conditions {
		s |= 1 << c.Field
	}
	return s
}

// Same tells whether two rules mean the same in the same order, however their values were written.
func (r Rule) Same(o Rule) bool {
	return r.Any == o.Any && slices.EqualFunc(r.Conditions, o.Conditions, func(a, b Condition) bool {
		return a.Field == b.Field && a.Op == b.Op && a.Value.Cmp(b.Value) == 0
	})
}
