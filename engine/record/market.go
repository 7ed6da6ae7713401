package record

import (
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

const marketVersion = 1

// minScale is the least that a scale takes.
const minScale = 3

// AppendMarket encodes a market's metadata with every scale it ever had. The current scale is the one of its epoch, so
// PriceScale and SizeScale are not written.
func AppendMarket(dst []byte, m *model.Market) []byte {
	dst = append(dst, marketVersion, m.Epoch)
	dst = appendUvarint(dst, uint64(m.ID))
	dst = appendVarint(dst, m.Native)
	dst = appendString(dst, m.Symbol)
	dst = appendString(dst, m.Type)
	dst = appendBool(dst, m.Active)
	scales := m.Scales
	if len(scales) == 0 { // of a market made by hand
		scales = []model.Scale{{Price: m.PriceScale, Size: m.SizeScale}}
	}
	dst = appendUvarint(dst, uint64(len(scales)))
	for _, s := range scales {
		dst = appendVarint(append(dst, s.Price, s.Size), int64(s.From))
	}
	for _, v := range [...]int32{m.DefaultInitialMargin, m.MinInitialMargin, m.MaintenanceMargin, m.CloseOutMargin} {
		dst = appendVarint(dst, int64(v))
	}
	for _, s := range [...]string{m.TakerFee, m.MakerFee, m.LiquidationFee, m.MinBaseAmount, m.MinQuoteAmount} {
		dst = appendString(dst, s)
	}
	return appendVarint(dst, int64(m.DailyQuoteVolume))
}

// DecodeMarket decodes a market's metadata.
func DecodeMarket(b []byte) (*model.Market, error) {
	r, err := openValue(b, "market", marketVersion)
	if err != nil {
		return nil, err
	}
	m := &model.Market{Epoch: r.byte()}
	id := r.uvarint()
	m.ID = model.MarketID(id)
	m.Native = r.varint()
	m.Symbol = r.string()
	m.Type = r.string()
	m.Active = r.bool()
	if n := r.count(minScale); n > 0 {
		m.Scales = make([]model.Scale, n)
	}
	for i := range m.Scales {
		m.Scales[i] = model.Scale{Price: r.byte(), Size: r.byte(), From: model.Millis(r.varint())}
		// Powers of ten beyond this do not exist: a damaged scale must not get as far as the arithmetic.
		r.bad = r.bad || m.Scales[i].Price > num.MaxScale || m.Scales[i].Size > num.MaxScale
	}
	for _, v := range [...]*int32{&m.DefaultInitialMargin, &m.MinInitialMargin, &m.MaintenanceMargin, &m.CloseOutMargin} {
		*v = int32(r.varint())
	}
	for _, s := range [...]*string{&m.TakerFee, &m.MakerFee, &m.LiquidationFee, &m.MinBaseAmount, &m.MinQuoteAmount} {
		*s = r.string()
	}
	m.DailyQuoteVolume = num.USD(r.varint())
	if r.bad || uint64(m.ID) != id || int(m.Epoch) >= len(m.Scales) {
		return nil, corrupt("market")
	}
	m.PriceScale, m.SizeScale = m.ScaleAt(m.Epoch)
	if err := r.end("market"); err != nil {
		return nil, err
	}
	return m, nil
}
