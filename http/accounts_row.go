package http

import (
	"strconv"
	"sync/atomic"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/risk"
)

// rowRoom is more than a row takes without its positions, positionRoom more than a position takes without its symbol.
const (
	rowRoom      = 512
	positionRoom = 640
)

// appendMoney writes money as the venue does; null where it is not known.
func appendMoney(dst []byte, v num.USD, known bool) []byte {
	if !known {
		return append(dst, "null"...)
	}
	return append(num.Append(append(dst, '"'), int64(v), num.USDScale), '"')
}

// appendComputed writes money that is a product of ours (contract 1.8).
func appendComputed(dst []byte, v num.USD) []byte {
	return append(num.AppendTrim(append(dst, '"'), int64(v), num.USDScale), '"')
}

// appendIdentity opens an object with whose it is.
func appendIdentity(dst []byte, a *model.Account) []byte {
	dst = num.AppendUint(append(dst, `{"account_index":`...), uint64(a.Index))
	return appendAddress(append(dst, `,"l1_address":`...), &a.Address)
}

// appendAccountHead opens an account's object with the members that the venue alone can tell, null before it was asked.
func appendAccountHead(dst []byte, a *model.Account) []byte {
	dst = appendIdentity(dst, a)
	if a.Polled == 0 {
		return append(dst, `,"account_type":null,"status":null,"collateral":null,"available_balance":null,"total_asset_value":null,`+
			`"cross_asset_value":null,"total_order_count":null,"pending_order_count":null`...)
	}
	dst = num.AppendUint(append(dst, `,"account_type":`...), uint64(a.Type))
	dst = num.AppendUint(append(dst, `,"status":`...), uint64(a.Status))
	dst = num.Append(append(dst, `,"collateral":"`...), int64(a.Collateral), num.USDScale)
	dst = num.Append(append(dst, `","available_balance":"`...), int64(a.Available), num.USDScale)
	dst = num.Append(append(dst, `","total_asset_value":"`...), int64(a.TotalValue), num.USDScale)
	dst = num.Append(append(dst, `","cross_asset_value":"`...), int64(a.CrossValue), num.USDScale)
	dst = num.AppendUint(append(dst, `","total_order_count":`...), uint64(a.TotalOrders))
	return num.AppendUint(append(dst, `,"pending_order_count":`...), uint64(a.PendingOrders))
}

// standing is what the end of an account's object is made from (contract 9.6).
type standing struct {
	updated, polled model.Millis
	source          model.AccountSource
}

func standingOf(a *model.Account) standing {
	return standing{updated: a.AsOf, polled: a.Polled, source: a.Source}
}

// appendStanding closes an account's object with where it stands.
func appendStanding(dst []byte, updated model.Millis, source model.AccountSource, stale bool) []byte {
	return appendStale(appendStood(dst, &standing{updated: updated, source: source}), stale)
}

// appendStood writes all of where an account stands that does not pass by itself.
func appendStood(dst []byte, s *standing) []byte {
	dst = appendMillisOrNull(append(dst, `,"updated_at":`...), s.updated)
	dst = append(append(dst, `,"source":"`...), s.source.String()...)
	return appendMillisOrNull(append(dst, `","as_of":`...), s.updated)
}

// appendStale closes an account's object.
func appendStale(dst []byte, stale bool) []byte {
	if stale {
		return append(dst, `,"stale":true}`...)
	}
	return append(dst, `,"stale":false}`...)
}

// appendPositions writes the list of an account's positions as Position objects (contract 2.0), those of one market where
// market is not nil. s is what the account was assessed at with the same marks. Where parts is not nil, it is told what of
// the text came from the marks.
func appendPositions(dst []byte, a *model.Account, s *risk.Assessment, m *marks, market *model.Market, activeOnly bool, parts *markedParts) []byte {
	dst = append(dst, '[')
	exposures := s.Exposures
	first := true
	for i := range a.Positions {
		p := &a.Positions[i]
		var e *risk.Exposure
		if len(exposures) > 0 && exposures[0].Position == p {
			e, exposures = &exposures[0], exposures[1:]
		}
		k := m.of(p.Market)
		if k == nil || activeOnly && p.Size == 0 || market != nil && market.ID != p.Market {
			if k == nil && parts != nil {
				parts.add(markedPart{position: i})
			}
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendHeld(dst, p, k)
		from := len(dst)
		dst = appendMarked(dst, p, e, k, a.Polled != 0)
		if parts != nil {
			parts.add(markedPart{market: k.Info, position: i, from: from, to: len(dst)})
		}
		dst = appendTerms(dst, p)
	}
	return append(dst, ']')
}

// appendHeld opens a Position object with what is held.
func appendHeld(dst []byte, p *model.Position, k *mark) []byte {
	ps, ss := k.Info.ScaleAt(p.Epoch)
	dst = append(dst, k.head...)
	size := p.Size
	switch {
	case size > 0:
		dst = append(dst, `"long","sign":1,"position":"`...)
	case size < 0:
		dst = append(dst, `"short","sign":-1,"position":"`...)
		size = -size
	default:
		dst = append(dst, `null,"sign":1,"position":"`...)
	}
	dst = num.Append(dst, int64(size), ss)
	dst = append(dst, `","avg_entry_price":"`...)
	return append(num.Append(dst, averageEntry(p, ps, ss), ps), '"')
}

// appendMarked continues a Position object with the members that follow the mark price, and the one between them. e is nil
// where the position is flat or cannot be valued; funded tells that the account's collateral is known, without which there
// is no liquidation price.
func appendMarked(dst []byte, p *model.Position, e *risk.Exposure, k *mark, funded bool) []byte {
	dst = append(dst, k.price...)
	switch {
	case e != nil:
		dst = num.Append(append(dst, '"'), int64(e.Notional), num.USDScale)
		dst = num.Append(append(dst, `","unrealized_pnl":"`...), int64(e.Profit), num.USDScale)
		dst = append(dst, '"')
	case p.Size == 0:
		dst = append(dst, `"0.000000","unrealized_pnl":"0.000000"`...)
	default:
		dst = append(dst, `null,"unrealized_pnl":null`...)
	}
	dst = num.Append(append(dst, `,"realized_pnl":"`...), int64(p.Realized), num.USDScale)
	return appendLiquidationPrice(append(dst, `","liquidation_price":`...), e, funded)
}

// appendTerms closes a Position object with its margin, its orders and its funding.
func appendTerms(dst []byte, p *model.Position) []byte {
	dst = appendLeverage(dst, p.Initial)
	switch {
	case !p.Isolated && p.Allocated == 0: // nearly all
		dst = append(dst, `,"margin_mode":0,"allocated_margin":"0.000000","open_order_count":`...)
	case !p.Isolated:
		dst = num.Append(append(dst, `,"margin_mode":0,"allocated_margin":"`...), int64(p.Allocated), num.USDScale)
		dst = append(dst, `","open_order_count":`...)
	default:
		dst = num.Append(append(dst, `,"margin_mode":1,"allocated_margin":"`...), int64(p.Allocated), num.USDScale)
		dst = append(dst, `","open_order_count":`...)
	}
	dst = num.AppendUint(dst, uint64(p.OpenOrders))
	dst = num.AppendUint(append(dst, `,"pending_order_count":`...), uint64(p.Pending))
	dst = num.AppendUint(append(dst, `,"position_tied_order_count":`...), uint64(p.Tied))
	dst = num.Append(append(dst, `,"total_funding_paid_out":"`...), int64(p.FundingPaid), num.USDScale)
	return append(dst, `"}`...)
}

// appendLiquidationPrice writes where a position is closed by force; null where that is nowhere or not known.
func appendLiquidationPrice(dst []byte, e *risk.Exposure, funded bool) []byte {
	if e == nil || !funded && e.Position.Liquidation.Mant <= 0 {
		return append(dst, "null"...)
	}
	price, ok := e.Price()
	if !ok {
		return append(dst, "null"...)
	}
	return append(num.AppendTrim(append(dst, '"'), price.Mant, price.Scale), '"')
}

// averageEntry returns the average entry price at the market's price scale, half-even, as the venue has it; 0 for a flat
// position.
func averageEntry(p *model.Position, ps, ss uint8) int64 {
	size := int64(max(p.Size, -p.Size))
	if size == 0 {
		return 0
	}
	// entry / 10^6 / (size / 10^ss) = entry x 10^ss / size, with six decimals.
	var a num.Acc
	a.AddProduct(int64(p.Entry), num.Pow10(ss))
	v, err := a.DivRound(size, num.USDScale, ps)
	if err != nil {
		return 0
	}
	return v
}

// leverages are the texts of appendLeverage that were written before: all accounts have one of a few fractions.
var leverages [10_001]atomic.Pointer[[]byte]

// appendLeverage writes the initial margin fraction, which the venue tells as a percentage with two decimals, and the
// leverage that it allows.
func appendLeverage(dst []byte, initial int32) []byte {
	if initial <= 0 || int(initial) >= len(leverages) {
		return appendNewLeverage(dst, initial)
	}
	text := leverages[initial].Load()
	if text == nil {
		made := appendNewLeverage(nil, initial)
		text = &made
		leverages[initial].Store(text)
	}
	return append(dst, *text...)
}

func appendNewLeverage(dst []byte, initial int32) []byte {
	if initial <= 0 {
		return append(dst, `,"initial_margin_fraction":null,"leverage":null`...)
	}
	dst = num.Append(append(dst, `,"initial_margin_fraction":"`...), int64(initial), 2)
	dst = append(dst, `","leverage":"`...)
	var a num.Acc
	a.AddProduct(10_000, 1)
	v, err := a.DivRound(int64(initial), 0, quotientScale)
	if err != nil {
		v = 0
	}
	return append(num.AppendTrim(dst, v, quotientScale), '"')
}

// appendJSONInt writes an integer that may be negative.
func appendJSONInt(dst []byte, n int64) []byte { return strconv.AppendInt(dst, n, 10) }
