package model

import "hyperlight/engine/num"

// Fill is a trade seen from one of its accounts. A self-trade is two of them, that of the taker first.
type Fill struct {
	Market       MarketID
	ID           uint64 // of the trade
	Time         Millis // the venue's
	Recv         Micros // ours; 0 for rows fetched later over REST
	Epoch        uint8  // scale epoch of Price and Size
	Kind         TradeKind
	Maker        bool // the account's role; else it was the taker
	Buys         bool // the account's side; else it sold
	Price        num.Price
	Size         num.Size
	USD          num.USD
	FeeRate      int32  // 1e-6 of the value
	Order        uint64 // the account's
	Counterparty AccountID
	Block        uint64
	TxHash       string // "" where unknown
}

// Fill returns the trade seen from its maker or its taker.
func (t *Trade) Fill(m MarketID, maker bool) Fill {
	f := Fill{
		Market: m, ID: t.ID, Time: t.Time, Recv: t.Recv, Epoch: t.Epoch, Kind: t.Kind, Maker: maker, Buys: t.TakerBuys() != maker,
		Price: t.Price, Size: t.Size, USD: t.USD, FeeRate: t.TakerFee, Block: t.Block, TxHash: t.TxHash,
	}
	if maker {
		f.FeeRate = t.MakerFee
	}
	f.Order, f.Counterparty = t.AskOrder, t.BidAccount
	if f.Buys {
		f.Order, f.Counterparty = t.BidOrder, t.AskAccount
	}
	return f
}

// feeScale is the number of decimals of a fee: six of the value and six of the rate.
const feeScale = num.USDScale + 6

// AppendFee writes what the fill cost the account in quote money, exact and without trailing zeros; negative for a rebate.
func (f *Fill) AppendFee(dst []byte) []byte {
	var a num.Acc
	a.AddProduct(int64(f.USD), int64(f.FeeRate))
	if mant, err := a.Int64(); err == nil {
		return num.AppendTrim(dst, mant, feeScale)
	}
	mant, err := a.Round(feeScale, num.USDScale) // a value of a trillion and more
	if err != nil {
		mant = 0
	}
	return num.AppendTrim(dst, mant, num.USDScale)
}

// AppendFill writes the contract's Fill object (section 2.0).
func (f *Fill) AppendFill(dst []byte, m *Market) []byte {
	ps, ss := m.ScaleAt(f.Epoch)
	dst = append(dst, `{"trade_id":`...)
	dst = num.AppendUint(dst, f.ID)
	dst = append(dst, `,"market_id":`...)
	dst = num.Append(dst, m.Native, 0)
	dst = append(dst, `,"symbol":`...)
	dst = AppendString(dst, m.Symbol)
	dst = append(dst, `,"type":"`...)
	dst = append(dst, f.Kind.String()...)
	if f.Buys {
		dst = append(dst, `","side":"buy`...)
	} else {
		dst = append(dst, `","side":"sell`...)
	}
	if f.Maker {
		dst = append(dst, `","role":"maker`...)
	} else {
		dst = append(dst, `","role":"taker`...)
	}
	dst = append(dst, `","price":"`...)
	dst = num.Append(dst, int64(f.Price), ps)
	dst = append(dst, `","size":"`...)
	dst = num.Append(dst, int64(f.Size), ss)
	dst = append(dst, `","usd_amount":"`...)
	dst = num.Append(dst, int64(f.USD), num.USDScale)
	dst = append(dst, `","fee":"`...)
	dst = f.AppendFee(dst)
	dst = append(dst, `","order_id":"`...)
	dst = num.AppendUint(dst, f.Order)
	dst = append(dst, `","counterparty_account_index":`...)
	dst = num.AppendUint(dst, uint64(f.Counterparty))
	dst = append(dst, `,"tx_hash":`...)
	if f.TxHash == "" {
		dst = append(dst, "null"...)
	} else {
		dst = AppendString(dst, f.TxHash)
	}
	dst = append(dst, `,"block_height":`...)
	dst = num.AppendUint(dst, f.Block)
	dst = append(dst, `,"timestamp":`...)
	dst = num.Append(dst, int64(f.Time), 0)
	dst = append(dst, `,"recv_ts":`...)
	if f.Recv == 0 {
		return append(dst, "null}"...)
	}
	return append(num.Append(dst, int64(f.Recv), 0), '}')
}

// AppendLiquidation writes the contract's Liquidation object (section 2.0) of a fill in which the given account was the
// closed one: the taker of a forced trade.
func (f *Fill) AppendLiquidation(dst []byte, account AccountID, m *Market) []byte {
	t := Trade{ID: f.ID, Time: f.Time, Recv: f.Recv, Epoch: f.Epoch, Kind: f.Kind, MakerAsk: f.Buys, Price: f.Price, Size: f.Size, USD: f.USD}
	t.AskAccount, t.BidAccount = account, f.Counterparty
	if f.Buys {
		t.AskAccount, t.BidAccount = f.Counterparty, account
	}
	return t.AppendLiquidation(dst, m)
}

// AccountSnapshot is what an account was worth at a moment: a row of its PnL history.
type AccountSnapshot struct {
	Account    AccountID
	Time       Millis
	Value      num.USD // total account value
	Collateral num.USD
	Unrealized num.USD
	Realized   num.USD
	Funding    num.USD // paid out, negative when received
	Notional   num.USD // of all positions
	Positions  uint32  // open ones
}
