package sim

import (
	"strconv"
	"strings"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// find looks accounts up by index or L1 address.
func (x *Exchange) find(q query) ([]*account, *venueError) {
	value := q.text("value")
	switch q.text("by") {
	case "index":
		i, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return nil, errInvalidParam
		}
		if a := x.byIndex[i]; a != nil {
			return []*account{a}, nil
		}
		return nil, errNotFound
	case "l1_address":
		if list := x.byL1[strings.ToLower(value)]; len(list) > 0 {
			return list, nil
		}
		return nil, errNotFound
	}
	return nil, errInvalidParam
}

// answerAccount serves the public account read: positions, collateral and margin of any account.
func (x *Exchange) answerAccount(b []byte, q query, metadata bool) ([]byte, *venueError) {
	list, e := x.find(q)
	if e != nil {
		return nil, e
	}
	if metadata {
		b = append(b, `{"code":200,"account_metadatas":[`...)
	} else {
		b = appendInt(b, `{"code":200,"total":`, int64(len(list)))
		b = append(b, `,"accounts":[`...)
	}
	active := q.text("active_only") == "true"
	for i, a := range list {
		if i > 0 {
			b = append(b, ',')
		}
		if metadata {
			b = a.appendMetadata(appendInt(b, `{"account_index":`, a.index))
			b = append(b, '}')
		} else {
			b = x.appendAccount(b, a, active)
		}
	}
	return append(b, `]}`...), nil
}

// appendSummary writes the members that every account row begins with.
func (a *account) appendSummary(b []byte) []byte {
	isolated := int64(0)
	for _, p := range a.positions {
		if p.isolated {
			isolated += p.orders
		}
	}
	b = appendInt(b, `{"code":0,"account_type":`, a.kind)
	b = appendInt(b, `,"index":`, a.index)
	b = model.AppendString(append(b, `,"l1_address":`...), a.l1)
	b = appendInt(b, `,"cancel_all_time":0,"total_order_count":`, int64(len(a.orders)))
	b = appendInt(b, `,"total_isolated_order_count":`, isolated)
	b = appendUSD(append(b, `,"pending_order_count":0,"available_balance":"`...), max(0, a.free()))
	b = appendUSD(append(b, `","status":1,"collateral":"`...), a.collateral)
	b = appendInt(b, `","transaction_time":`, a.changed)
	return append(b, `,"account_trading_mode":0`...)
}

func (a *account) appendMetadata(b []byte) []byte {
	b = model.AppendString(append(b, `,"name":`...), a.name)
	return append(b, `,"description":"","can_invite":true,"referral_points_percentage":"","can_rfq":false,"can_rfq_market_ids":[],"created_at":0,"metadata":{"color":""}`...)
}

func (x *Exchange) appendAccount(b []byte, a *account, active bool) []byte {
	b = a.appendSummary(b)
	b = a.appendMetadata(appendInt(b, `,"account_index":`, a.index))
	b = append(b, `,"positions":[`...)
	first := true
	for _, p := range a.positions {
		if active && p.size == 0 {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = p.append(b)
	}
	value, h := a.total()
	b = num.AppendTrim(append(b, `],"assets":[],"total_asset_value":"`...), int64(value), num.USDScale)
	b = num.AppendTrim(append(b, `","cross_asset_value":"`...), int64(h.value), num.USDScale)
	b = appendUSD(append(b, `","cross_initial_margin_requirement":"`...), h.initial)
	b = appendUSD(append(b, `","cross_maintenance_margin_requirement":"`...), h.maintenance)
	return append(b, `","shares":[],"pending_unlocks":[]}`...)
}

func (x *Exchange) answerByAddress(b []byte, q query) ([]byte, *venueError) {
	l1 := strings.ToLower(q.text("l1_address"))
	list := x.byL1[l1]
	if len(list) == 0 {
		return nil, refuse(21100, "account not found")
	}
	b = model.AppendString(append(b, `{"code":200,"l1_address":`...), l1)
	b = append(b, `,"sub_accounts":[`...)
	for i, a := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(a.appendSummary(b), '}')
	}
	return append(b, `]}`...), nil
}

// account reads a required account_index.
func (x *Exchange) account(q query) (*account, *venueError) {
	i, ok := q.int("account_index", -1)
	if !ok || i < 0 {
		return nil, errInvalidParam
	}
	if a := x.byIndex[i]; a != nil {
		return a, nil
	}
	return nil, refuse(21100, "account not found")
}

func (x *Exchange) answerActiveOrders(b []byte, q query) ([]byte, *venueError) {
	a, e := x.account(q)
	if e != nil {
		return nil, e
	}
	id, ok := q.int("market_id", 255)
	if !ok {
		return nil, errInvalidParam
	}
	b = append(b, `{"code":200,"orders":[`...)
	first := true
	for _, o := range a.orders {
		if id != 255 && o.market.id != id {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = x.appendOrder(b, o, "")
	}
	return append(b, `]}`...), nil
}

func (x *Exchange) answerPositionFunding(b []byte, q query) ([]byte, *venueError) {
	a, e := x.account(q)
	if e != nil {
		return nil, e
	}
	limit, ok := q.limit(100)
	if !ok {
		return nil, errInvalidParam
	}
	b = append(b, `{"code":200,"position_fundings":[`...)
	for i := range min(limit, len(a.funding)) {
		f := &a.funding[len(a.funding)-1-i]
		if i > 0 {
			b = append(b, ',')
		}
		b = appendInt(b, `{"timestamp":`, f.second)
		b = appendInt(b, `,"market_id":`, f.market.id)
		b = appendInt(b, `,"funding_id":`, f.id)
		b = appendUSD(append(b, `,"change":"`...), f.change)
		b = appendPercent(append(b, `","discount":"0.000000","rate":"`...), f.rate)
		b = f.market.appendSize(append(b, `","position_size":"`...), abs(f.size))
		if f.size < 0 {
			b = append(b, `","position_side":"short"}`...)
		} else {
			b = append(b, `","position_side":"long"}`...)
		}
	}
	return append(b, `]}`...), nil
}

func (x *Exchange) answerKeys(b []byte, q query) ([]byte, *venueError) {
	a, e := x.account(q)
	if e != nil {
		return nil, e
	}
	b = appendInt(b, `{"code":200,"api_keys":[{"account_index":`, a.index)
	return append(b, `,"api_key_index":2,"nonce":1,"public_key":"0000000000000000000000000000000000000000000000000000000000000000000000000000000","transaction_time":0}]}`...), nil
}
