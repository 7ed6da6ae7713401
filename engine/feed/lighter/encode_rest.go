package lighter

import (
	"strconv"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/record"
)

// The REST encoders write answers exactly as the venue does: member order and number forms as recorded.

// AppendRecentTrades appends a recentTrades answer; rows newest first.
func AppendRecentTrades(dst []byte, m *model.Market, rows []model.Trade) []byte {
	dst = append(dst, `{"code":200,"trades":[`...)
	for i := range rows {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendTrade(dst, m, &rows[i])
	}
	return append(dst, `]}`...)
}

// AppendHeight appends a currentHeight answer.
func AppendHeight(dst []byte, height uint64) []byte {
	dst = append(dst, `{"code":200,"height":`...)
	return append(strconv.AppendUint(dst, height, 10), '}')
}

// AppendCandles appends a candles answer; bars oldest first. Volumes and ids that are zero are left out.
func AppendCandles(dst []byte, m *model.Market, resolution string, bars []record.Candle) []byte {
	dst = append(dst, `{"code":200,"r":"`...)
	dst = append(dst, resolution...)
	dst = append(dst, `","c":[`...)
	for i := range bars {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendBar(dst, m, &bars[i])
	}
	return append(dst, `]}`...)
}

func appendBar(dst []byte, m *model.Market, c *record.Candle) []byte {
	price, size := m.ScaleAt(c.Epoch)
	dst = append(dst, `{"t":`...)
	dst = strconv.AppendInt(dst, int64(c.Time), 10)
	float := func(name string, mant int64, scale uint8) {
		if mant != 0 {
			dst = num.AppendTrim(append(dst, name...), mant, scale)
		}
	}
	float(`,"o":`, int64(c.Open), price)
	float(`,"h":`, int64(c.High), price)
	float(`,"l":`, int64(c.Low), price)
	float(`,"c":`, int64(c.Close), price)
	float(`,"v":`, int64(c.Volume), size)
	float(`,"V":`, int64(c.QuoteVolume), num.USDScale)
	if c.LastID != 0 {
		dst = strconv.AppendUint(append(dst, `,"i":`...), c.LastID, 10)
	}
	return append(dst, '}')
}

// AppendFundings appends a fundings answer; rows in the order given.
func AppendFundings(dst []byte, resolution string, rows []model.Funding) []byte {
	dst = append(dst, `{"code":200,"resolution":"`...)
	dst = append(dst, resolution...)
	dst = append(dst, `","fundings":[`...)
	for i := range rows {
		f := &rows[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"timestamp":`...)
		dst = strconv.AppendInt(dst, int64(f.Time)/1000, 10)
		dst = f.Value.Append(append(dst, `,"value":"`...))
		dst = appendPercent(append(dst, `","rate":"`...), max(f.Rate, -f.Rate))
		if f.LongPays {
			dst = append(dst, `","direction":"long"}`...)
		} else {
			dst = append(dst, `","direction":"short"}`...)
		}
	}
	return append(dst, `]}`...)
}
