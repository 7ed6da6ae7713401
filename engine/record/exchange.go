package record

import (
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

const exchangeSumsVersion = 1

// ExchangeSums are the sums of an hour or a day over markets whose trades of that time are all held. Its time is in its
// key.
type ExchangeSums struct {
	Whole   bool // every market that was followed is there
	Markets []MarketSums
}

// MarketSums are the sums of one market.
type MarketSums struct {
	Market           model.MarketID
	Trades           uint64
	Quote            num.USD
	TakerFee         num.USD
	MakerFee         num.USD
	Liquidations     uint64 // forced trades: deleverage too
	LiquidationQuote num.USD
	OpenInterest     num.USD // at the end, one-sided; only where HasOpenInterest
	HasOpenInterest  bool
}

// AppendExchangeSums encodes sums.
func AppendExchangeSums(dst []byte, s *ExchangeSums) []byte {
	dst = appendBool(append(dst, exchangeSumsVersion), s.Whole)
	dst = appendUvarint(dst, uint64(len(s.Markets)))
	for i := range s.Markets {
		m := &s.Markets[i]
		dst = appendUvarint(dst, uint64(m.Market))
		dst = appendUvarint(dst, m.Trades)
		dst = appendVarint(dst, int64(m.Quote))
		dst = appendVarint(dst, int64(m.TakerFee))
		dst = appendVarint(dst, int64(m.MakerFee))
		dst = appendUvarint(dst, m.Liquidations)
		dst = appendVarint(dst, int64(m.LiquidationQuote))
		dst = appendVarint(dst, int64(m.OpenInterest))
		dst = appendBool(dst, m.HasOpenInterest)
	}
	return dst
}

// leastMarketSums is how many bytes the sums of a market take at least.
const leastMarketSums = 9

// DecodeExchangeSums decodes sums.
func DecodeExchangeSums(b []byte) (ExchangeSums, error) {
	r, err := openValue(b, "exchange sums", exchangeSumsVersion)
	if err != nil {
		return ExchangeSums{}, err
	}
	s := ExchangeSums{Whole: r.bool()}
	n := r.count(leastMarketSums)
	if n > 0 {
		s.Markets = make([]MarketSums, n)
	}
	for i := range s.Markets {
		s.Markets[i] = MarketSums{
			Market: model.MarketID(r.uvarint()), Trades: r.uvarint(), Quote: num.USD(r.varint()), TakerFee: num.USD(r.varint()),
			MakerFee: num.USD(r.varint()), Liquidations: r.uvarint(), LiquidationQuote: num.USD(r.varint()),
			OpenInterest: num.USD(r.varint()), HasOpenInterest: r.bool(),
		}
	}
	return s, r.end("exchange sums")
}

// Market returns the sums of a market, nil where it is not among them.
func (s *ExchangeSums) Market(id model.MarketID) *MarketSums {
	for i := range s.Markets {
		if s.Markets[i].Market == id {
			return &s.Markets[i]
		}
	}
	return nil
}
