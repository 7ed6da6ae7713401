package record

import (
	"math/bits"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

const (
	statsVersion   = 1
	fundingVersion = 1
)

// AppendStats encodes a row of market statistics, whose time is in its key. Members without their Has bit are not
// written.
func AppendStats(dst []byte, epoch uint8, s *model.Stats) []byte {
	dst = append(dst, statsVersion, epoch)
	dst = appendUvarint(dst, uint64(s.Has))
	for has := s.Has; has != 0; has &= has - 1 {
		switch bit := has & -has; bit {
		case model.HasFundingRate:
			dst = appendVarint(dst, int64(s.FundingRate))
		case model.HasCurrentFundingRate:
			dst = appendVarint(dst, int64(s.CurrentFundingRate))
		case model.HasFundingTime:
			dst = appendVarint(dst, int64(s.FundingTime))
		default:
			if d := statsDecimal(s, bit); d != nil {
				dst = appendVarint(append(dst, d.Scale), d.Mant)
			}
		}
	}
	return appendString(dst, s.Symbol)
}

// DecodeStats decodes a row of market statistics.
func DecodeStats(b []byte) (model.Stats, error) {
	r, err := openValue(b, "statistics", statsVersion)
	if err != nil {
		return model.Stats{}, err
	}
	r.byte() // the scale epoch; the decimals carry their own
	has := r.uvarint()
	s := model.Stats{Has: model.StatsMask(has)}
	if bits.Len64(has) > statsMembers {
		return model.Stats{}, corrupt("statistics")
	}
	for has := s.Has; has != 0; has &= has - 1 {
		switch bit := has & -has; bit {
		case model.HasFundingRate:
			s.FundingRate = num.Rate(r.varint())
		case model.HasCurrentFundingRate:
			s.CurrentFundingRate = num.Rate(r.varint())
		case model.HasFundingTime:
			s.FundingTime = model.Millis(r.varint())
		default:
			*statsDecimal(&s, bit) = r.decimal()
		}
	}
	s.Symbol = r.string()
	return s, r.end("statistics")
}

// statsMembers is the number of members that version 1 has.
const statsMembers = 15

// statsDecimal returns the member of a bit, nil where the bit is none of a decimal.
func statsDecimal(s *model.Stats, bit model.StatsMask) *num.Decimal {
	switch bit {
	case model.HasMark:
		return &s.Mark
	case model.HasIndex:
		return &s.Index
	case model.HasMid:
		return &s.Mid
	case model.HasLastTrade:
		return &s.LastTrade
	case model.HasBestBid:
		return &s.BestBid
	case model.HasBestAsk:
		return &s.BestAsk
	case model.HasOpenInterest:
		return &s.OpenInterest
	case model.HasDailyBase:
		return &s.DailyBase
	case model.HasDailyQuote:
		return &s.DailyQuote
	case model.HasDailyLow:
		return &s.DailyLow
	case model.HasDailyHigh:
		return &s.DailyHigh
	case model.HasDailyChange:
		return &s.DailyChange
	}
	return nil
}

// decimal reads a scale and a mantissa; a scale without a power of ten is a fault.
func (r *reader) decimal() num.Decimal {
	d := num.Decimal{Scale: r.byte()}
	d.Mant = r.varint()
	if d.Scale > num.MaxScale {
		r.fail()
	}
	return d
}

// AppendFunding encodes a settled funding row, whose time is in its key.
func AppendFunding(dst []byte, epoch uint8, f *model.Funding) []byte {
	dst = append(dst, fundingVersion, epoch)
	dst = appendVarint(dst, int64(f.Rate))
	dst = appendVarint(append(dst, f.Value.Scale), f.Value.Mant)
	return appendBool(dst, f.LongPays)
}

// DecodeFunding decodes a settled funding row and leaves its Time 0.
func DecodeFunding(b []byte) (model.Funding, error) {
	r, err := openValue(b, "funding", fundingVersion)
	if err != nil {
		return model.Funding{}, err
	}
	r.byte() // the scale epoch; the decimal carries its own
	f := model.Funding{Rate: num.Rate(r.varint()), Value: r.decimal(), LongPays: r.bool()}
	return f, r.end("funding")
}
