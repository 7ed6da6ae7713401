package engine

import (
	"errors"

	"hyperlight/engine/archive"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

var errFits = errors.New("does not fit the decimals that its market has meanwhile")

// scale finds the market of a record's rows and brings their numbers to its decimals. Of a market that is known only
// digits that count begin a new scale epoch, of one that is not every written digit tells. Rows that fit nowhere are left
// out; the market is nil where nothing is left.
func (run *archiveRun) scale(p *archivePart) (*model.Market, []archive.Row) {
	m, known := run.resolver.Market(p.native)
	var price, size uint8
	for i := range p.rows {
		prices, sizes := numbersOf(&p.rows[i])
		for _, d := range prices {
			price = max(price, decimalsOf(*d, known))
		}
		for _, d := range sizes {
			size = max(size, decimalsOf(*d, known))
		}
	}
	if p.dataset == archive.Funding && known {
		return m, p.rows
	}
	m, ok := run.resolver.Observe(p.native, p.symbol, price, size)
	kept := p.rows[:0]
	for i := range p.rows {
		row := &p.rows[i]
		column, err := "market_id", errors.New("its market cannot be registered")
		if ok {
			column, err = fit(row, m)
		}
		if err != nil {
			p.whole.lose()
			run.count(&archive.RowError{File: run.name, Line: row.Line, Column: column, Reason: err.Error()})
			continue
		}
		kept = append(kept, *row)
	}
	if !ok {
		return nil, nil
	}
	run.symbols[m.Symbol] = m.Native
	return m, kept
}

// numbersOf returns the numbers of a row that its market's decimals decide.
func numbersOf(row *archive.Row) (prices, sizes []*num.Decimal) {
	switch row.Dataset {
	case archive.Trades:
		return []*num.Decimal{&row.Price}, []*num.Decimal{&row.Size, &row.TakerBefore, &row.MakerBefore}
	case archive.Candles:
		c := &row.Candle
		return []*num.Decimal{&c.Open, &c.High, &c.Low, &c.Close}, []*num.Decimal{&c.Volume}
	}
	return nil, nil
}

// decimalsOf returns how many decimals a number needs, or was written with.
func decimalsOf(d num.Decimal, needed bool) uint8 {
	if !needed {
		return d.Scale
	}
	for d.Scale > 0 && d.Mant%10 == 0 {
		d.Mant /= 10
		d.Scale--
	}
	return d.Scale
}

// fit brings a row to its market's decimals and names the column that does not fit.
func fit(row *archive.Row, m *model.Market) (column string, err error) {
	prices, sizes := numbersOf(row)
	for _, list := range []struct {
		numbers []*num.Decimal
		scale   uint8
		column  string
	}{{prices, m.PriceScale, "price"}, {sizes, m.SizeScale, "size"}} {
		for _, d := range list.numbers {
			v, err := num.Rescale(d.Mant, d.Scale, list.scale)
			if err != nil {
				return list.column, errFits
			}
			*d = num.Decimal{Mant: v, Scale: list.scale}
		}
	}
	if row.Dataset != archive.Trades {
		return "", nil
	}
	t := &row.Trade
	t.Epoch = m.Epoch
	t.Price, t.Size = num.Price(row.Price.Mant), num.Size(row.Size.Mant)
	t.TakerBefore.Size, t.MakerBefore.Size = num.Size(row.TakerBefore.Mant), num.Size(row.MakerBefore.Mant)
	if !row.HasUSD {
		if t.USD, err = num.MulUSD(t.Price, m.PriceScale, t.Size, m.SizeScale); err != nil {
			return "usd_amount", errFits
		}
	}
	return "", nil
}

// candleOf returns a row that fits its market as the store takes it.
func candleOf(row *archive.Row, m *model.Market) model.Candle {
	c := &row.Candle
	return model.Candle{
		Resolution: c.Resolution, Time: row.Time, Epoch: m.Epoch,
		Open: num.Price(c.Open.Mant), High: num.Price(c.High.Mant), Low: num.Price(c.Low.Mant), Close: num.Price(c.Close.Mant),
		Volume: num.Size(c.Volume.Mant), QuoteVolume: c.QuoteVolume, LastID: c.LastID, Trades: c.Trades,
	}
}
