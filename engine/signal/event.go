package signal

import (
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// Kind says what made an event.
type Kind uint8

// The kinds of event, in the order in which those of one full second stand.
const (
	FundingEvent Kind = iota
	HeatmapEvent
	BookEvent
	TradeEvent

	kindCount = int(TradeEvent) + 1
)

// Depth is how many levels a side bid_depth and ask_depth sum.
const Depth = 20

// Event is one observation of a market. Has says which of Values it sets; fields outside of the set keep their last value,
// but those of trades hold for their own event only.
type Event struct {
	Kind   Kind
	Time   model.Millis
	Has    FieldSet
	Values [fieldCount]num.Decimal

	// Of a TradeEvent:
	TradeID   uint64
	TakerBuys bool
	// Of a BookEvent:
	BestBid, BestAsk num.Decimal
	HasBid, HasAsk   bool // the side has a level
}

// Trade makes e the event of a trade; m knows the scale of the trade's epoch.
func (e *Event) Trade(t *model.Trade, m *model.Market) {
	ps, ss := m.ScaleAt(t.Epoch)
	*e = Event{Kind: TradeEvent, Time: t.Time, Has: tradeFields, TradeID: t.ID, TakerBuys: t.TakerBuys()}
	e.Values[TradePrice] = num.Decimal{Mant: int64(t.Price), Scale: ps}
	e.Values[TradeSize] = num.Decimal{Mant: int64(t.Size), Scale: ss}
	e.Values[TradeNotional] = num.Decimal{Mant: int64(t.USD), Scale: num.USDScale}
}

// Book makes e the event of a full second's book, given by its best levels, best first; more than Depth a side are ignored.
// A book with an empty side sets no spread.
func (e *Event) Book(second model.Millis, bids, asks []model.Level, priceScale, sizeScale uint8) {
	*e = Event{Kind: BookEvent, Time: second}
	if e.HasBid = len(bids) > 0; e.HasBid {
		e.BestBid = num.Decimal{Mant: int64(bids[0].Price), Scale: priceScale}
	}
	if e.HasAsk = len(asks) > 0; e.HasAsk {
		e.BestAsk = num.Decimal{Mant: int64(asks[0].Price), Scale: priceScale}
	}
	if e.HasBid && e.HasAsk {
		e.set(Spread, num.Decimal{Mant: e.BestAsk.Mant - e.BestBid.Mant, Scale: priceScale})
	}
	e.setDepth(BidDepth, bids, sizeScale)
	e.setDepth(AskDepth, asks, sizeScale)
}

// setDepth sets the sum of the best levels, unless it is beyond what a size can be.
func (e *Event) setDepth(f Field, levels []model.Level, scale uint8) {
	var sum num.Acc
	for _, l := range levels[:min(len(levels), Depth)] {
		sum.AddProduct(int64(l.Size), 1)
	}
	if mant, err := sum.Int64(); err == nil {
		e.set(f, num.Decimal{Mant: mant, Scale: scale})
	}
}

// Funding makes e the event of a funding rate at a full second.
func (e *Event) Funding(second model.Millis, rate num.Rate) {
	*e = Event{Kind: FundingEvent, Time: second}
	e.set(FundingRate, trimmed(num.Decimal{Mant: int64(rate), Scale: num.RateScale}))
}

// Heatmap makes e the event of a heatmap's sums at a full second.
func (e *Event) Heatmap(second model.Millis, long, short num.Decimal) {
	*e = Event{Kind: HeatmapEvent, Time: second}
	e.set(LongAtRisk, long)
	e.set(ShortAtRisk, short)
}

func (e *Event) set(f Field, v num.Decimal) {
	e.Values[f] = v
	e.Has |= 1 << f
}

// trimmed cuts trailing zeros behind the point.
func trimmed(d num.Decimal) num.Decimal {
	for d.Scale > 0 && d.Mant%10 == 0 {
		d.Mant /= 10
		d.Scale--
	}
	return d
}

// fundingSecond is the full second at which statistics received at a time set the funding rate.
func fundingSecond(received model.Millis) model.Millis { return received - received%1000 + 1000 }

// heatmapSecond is the full second at which sums computed at a time stand.
func heatmapSecond(computed model.Millis) model.Millis { return computed - computed%1000 + 2000 }
