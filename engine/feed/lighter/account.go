package lighter

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"hyperlight/engine/feed"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// ErrNoAccount reports that the venue knows no such account or address.
var ErrNoAccount = errors.New("the venue knows no such account")

// Codes of refusals that mean an account is unknown: the first is recorded, the second documented.
const (
	codeNotFound        = 29404
	codeAccountNotFound = 21100
)

// accountPages bounds the pages of one address: an owner with more sub-accounts than fill them is served in part.
const accountPages = 8

// positionRow is a position as account calls and channels of accounts tell it.
type positionRow struct {
	MarketID         text `json:"market_id"`
	Symbol           text `json:"symbol"`
	InitialMargin    text `json:"initial_margin_fraction"` // percent
	OpenOrders       text `json:"open_order_count"`
	PendingOrders    text `json:"pending_order_count"`
	TiedOrders       text `json:"position_tied_order_count"`
	Sign             text `json:"sign"`
	Position         text `json:"position"` // without a sign
	AvgEntryPrice    text `json:"avg_entry_price"`
	PositionValue    text `json:"position_value"` // at the mark, without a sign
	UnrealizedPnL    text `json:"unrealized_pnl"`
	RealizedPnL      text `json:"realized_pnl"`
	LiquidationPrice text `json:"liquidation_price"`
	FundingPaid      text `json:"total_funding_paid_out"`
	MarginMode       text `json:"margin_mode"`
	AllocatedMargin  text `json:"allocated_margin"`
}

type accountRow struct {
	Type             text          `json:"account_type"`
	Mode             text          `json:"account_trading_mode"`
	Index            text          `json:"index"`
	AccountIndex     text          `json:"account_index"`
	L1Address        text          `json:"l1_address"`
	Status           text          `json:"status"`
	TotalOrders      text          `json:"total_order_count"`
	PendingOrders    text          `json:"pending_order_count"`
	AvailableBalance text          `json:"available_balance"`
	Collateral       text          `json:"collateral"`
	TotalAssetValue  text          `json:"total_asset_value"`
	CrossAssetValue  text          `json:"cross_asset_value"`
	Positions        []positionRow `json:"positions"`
}

// ParseAccounts reads an account answer, and the cursor of the next page, empty where there is none. Positions in markets
// that the resolver refuses are left out. Source, AsOf and Polled are not set.
func ParseAccounts(body []byte, r Resolver) ([]model.Account, string, error) {
	var answer struct {
		Accounts []accountRow `json:"accounts"`
		Next     text         `json:"next_cursor"`
	}
	if err := decodeJSON(body, &answer); err != nil {
		return nil, "", err
	}
	accounts := make([]model.Account, 0, len(answer.Accounts))
	for i := range answer.Accounts {
		a, err := answer.Accounts[i].account(r)
		if err != nil {
			return nil, "", &feed.UpstreamError{Reason: "damaged account", Err: err}
		}
		accounts = append(accounts, a)
	}
	return accounts, string(answer.Next), nil
}

func (r *accountRow) account(resolver Resolver) (model.Account, error) {
	var f fields
	index := f.index("account_index", cmp.Or(r.AccountIndex, r.Index))
	if cmp.Or(r.AccountIndex, r.Index) == "" {
		f.fail("account_index")
	}
	a := model.Account{
		ID: model.AccountID(index), Index: index, Address: f.address(r.L1Address),
		Type: f.small("account_type", r.Type), Status: f.small("status", r.Status), Mode: f.small("account_trading_mode", r.Mode),
		Collateral: f.money("collateral", r.Collateral), Available: f.money("available_balance", r.AvailableBalance),
		TotalValue: f.money("total_asset_value", r.TotalAssetValue), CrossValue: f.money("cross_asset_value", r.CrossAssetValue),
		TotalOrders: f.count("total_order_count", r.TotalOrders), PendingOrders: f.count("pending_order_count", r.PendingOrders),
	}
	if f.err != nil {
		return model.Account{}, f.err
	}
	var err error
	a.Positions, err = appendPositions(nil, r.Positions, resolver)
	return a, err
}

// appendPositions appends the positions of rows, ascending by market; of two in one market the later counts.
func appendPositions(dst []model.Position, rows []positionRow, resolver Resolver) ([]model.Position, error) {
	for i := range rows {
		p, ok, err := rows[i].position(resolver)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		at, found := slices.BinarySearchFunc(dst, p.Market, func(p model.Position, m model.MarketID) int { return cmp.Compare(p.Market, m) })
		if found {
			dst[at] = p
		} else {
			dst = slices.Insert(dst, at, p)
		}
	}
	return dst, nil
}

// position turns a row into a position; false where its market is unknown and the resolver refuses it.
func (r *positionRow) position(resolver Resolver) (model.Position, bool, error) {
	var f fields
	native := f.index("market_id", r.MarketID)
	if r.MarketID == "" {
		f.fail("market_id")
	}
	if f.err != nil {
		return model.Position{}, false, f.err
	}
	size, magnitude := decimals([]byte(r.Position)), bytes.TrimPrefix([]byte(r.Position), []byte("-"))
	m, ok := resolver.Market(native)
	narrow := false
	if ok && m.SizeScale < size {
		_, err := exact(magnitude, m.SizeScale)
		narrow = errors.Is(err, num.ErrScale)
	}
	if !ok || narrow {
		if size > num.MaxScale {
			return model.Position{}, false, valueError("position")
		}
		if m, ok = resolver.Observe(native, string(r.Symbol), 0, size); !ok && narrow {
			return model.Position{}, false, &FrameError{Kind: ErrDigits, What: "position"}
		}
		if !ok {
			return model.Position{}, false, nil
		}
	}
	p := model.Position{
		Market: m.ID, Epoch: m.Epoch, Initial: f.percent("initial_margin_fraction", r.InitialMargin),
		Isolated: r.MarginMode == "1", Allocated: f.money("allocated_margin", r.AllocatedMargin),
		Realized: f.money("realized_pnl", r.RealizedPnL), FundingPaid: f.money("total_funding_paid_out", r.FundingPaid),
		Liquidation: f.price("liquidation_price", r.LiquidationPrice),
		OpenOrders:  f.count("open_order_count", r.OpenOrders), Pending: f.count("pending_order_count", r.PendingOrders),
		Tied: f.count("position_tied_order_count", r.TiedOrders),
	}
	p.Size = f.size("position", magnitude, m.SizeScale)
	short := r.Sign == "-1" || r.Sign == "" && len(magnitude) < len(r.Position)
	if p.Size != 0 {
		p.Entry = f.entry(r, p.Size, m.SizeScale, short)
	}
	if short {
		p.Size = -p.Size
	}
	return p, true, f.err
}

// settleAccount reads the positions of an account's channel.
func (d *Decoder) settleAccount() {
	d.account = model.AccountUpdate{
		Account: model.AccountID(d.last.Channel.Native), Whole: d.last.First, Positions: d.account.Positions[:0],
	}
	if d.last.Channel.Native < 0 || !d.at(bodyPositions) {
		return
	}
	rows, err := positionRows(d.s.data[d.s.pos:])
	if err == nil {
		d.account.Positions, err = appendPositions(d.account.Positions, rows, d.resolver)
	}
	if err != nil {
		d.s.fail(ErrValue, "positions")
	}
}

// Account asks for an account by the venue's index. Polled of the answer is when the venue was asked. ErrNoAccount where
// the venue does not know it.
func (r *REST) Account(ctx context.Context, p feed.Priority, index int64, resolver Resolver) (model.Account, error) {
	accounts, _, err := r.accounts(ctx, p, fmt.Sprintf("?by=index&value=%d", index), resolver)
	if err != nil {
		return model.Account{}, fmt.Errorf("fetch account: %w", err)
	}
	for i := range accounts {
		if accounts[i].Index == index {
			return accounts[i], nil
		}
	}
	if len(accounts) > 0 {
		return model.Account{}, fmt.Errorf("fetch account: %w", unexpected("account"))
	}
	return model.Account{}, fmt.Errorf("fetch account: %w", ErrNoAccount)
}

// AccountsOf asks for the accounts of an owner. It takes one call for each page of the answer.
func (r *REST) AccountsOf(ctx context.Context, p feed.Priority, owner model.Address, resolver Resolver) ([]model.Account, error) {
	query := "?by=l1_address&value=0x" + hex.EncodeToString(owner[:])
	all, next, err := r.accounts(ctx, p, query, resolver)
	for page := 1; err == nil && next != "" && page < accountPages; page++ {
		var more []model.Account
		var cursor string
		more, cursor, err = r.accounts(ctx, p, query+"&cursor="+escape(next), resolver)
		if len(more) == 0 || cursor == next {
			break
		}
		all, next = append(all, more...), cursor
	}
	if err != nil {
		return nil, fmt.Errorf("fetch accounts of an address: %w", err)
	}
	return all, nil
}

func (r *REST) accounts(ctx context.Context, p feed.Priority, query string, resolver Resolver) ([]model.Account, string, error) {
	body, latency, err := r.body(ctx, "/api/v1/account", query, p, weightRead)
	asked := model.Millis(r.o.Now().Add(-latency).UnixMilli())
	if ue := (*feed.UpstreamError)(nil); errors.As(err, &ue) && (ue.Code == codeNotFound || ue.Code == codeAccountNotFound) {
		return nil, "", ErrNoAccount
	}
	if err != nil {
		return nil, "", err
	}
	accounts, next, err := ParseAccounts(body, resolver)
	for i := range accounts {
		accounts[i].Polled = asked
	}
	return accounts, next, err
}
