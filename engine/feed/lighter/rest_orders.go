package lighter

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"hyperlight/engine/feed"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// ordersLimit is the most rows of a side that an orderBookOrders answer may hold.
const ordersLimit = 250

// OrderList is a market's best resting orders.
type OrderList struct {
	Orders [2][]model.RestingOrder // by side: best price first, within a price as in the queue
	// Complete tells of a side that holds fewer rows than were asked for: there are no others.
	Complete       [2]bool
	Asked, Replied time.Time // when the call went out, and when its answer was there
}

// Orders returns the best 250 orders of each side, with their owners.
func (r *REST) Orders(ctx context.Context, m *model.Market) (*OrderList, error) {
	query := fmt.Sprintf("?market_id=%d&limit=%d", m.Native, ordersLimit)
	body, latency, err := r.body(ctx, "/api/v1/orderBookOrders", query, feed.Attribution, weightRead)
	l := &OrderList{Replied: r.o.Now()}
	l.Asked = l.Replied.Add(-latency)
	var listed [2]int
	if err == nil {
		l.Orders, listed, err = ParseOrderRows(body, m)
	}
	if err != nil {
		return nil, fmt.Errorf("fetch resting orders: %w", err)
	}
	for s := range l.Orders {
		l.Complete[s] = listed[s] < ordersLimit
	}
	return l, nil
}

// ParseOrderRows reads an orderBookOrders answer: each side best price first, the rows of a price in the venue's order,
// which is that of the queue. Rows of size 0 are left out; listed counts them too. The sizes of a price never add up to
// more than 64 bits hold.
func ParseOrderRows(body []byte, m *model.Market) (sides [2][]model.RestingOrder, listed [2]int, err error) {
	type order struct {
		Index     text `json:"order_index"`
		Owner     text `json:"owner_account_index"`
		Initial   text `json:"initial_base_amount"`
		Remaining text `json:"remaining_base_amount"`
		Price     text `json:"price"`
		Expiry    text `json:"order_expiry"`
	}
	var answer struct{ Bids, Asks []order }
	if err := decodeJSON(body, &answer); err != nil {
		return sides, listed, err
	}
	for s, rows := range [2][]order{model.Bid: answer.Bids, model.Ask: answer.Asks} {
		out := make([]model.RestingOrder, 0, len(rows))
		for _, o := range rows {
			id, ok := unsigned([]byte(o.Index))
			owner, ok2 := unsigned([]byte(o.Owner))
			expiry, ok3 := signed([]byte(o.Expiry))
			price, err := exact(bytes.TrimSpace([]byte(o.Price)), m.PriceScale)
			size, err2 := exact(bytes.TrimSpace([]byte(o.Remaining)), m.SizeScale)
			initial, err3 := exact(bytes.TrimSpace([]byte(cmp.Or(o.Initial, "0"))), m.SizeScale)
			if !ok || !ok2 || !ok3 || err != nil || err2 != nil || err3 != nil || price < 0 || size < 0 || initial < 0 {
				return sides, listed, unexpected("order")
			}
			if size > 0 {
				out = append(out, model.RestingOrder{Account: model.AccountID(owner), ID: id, Price: num.Price(price),
					Size: num.Size(size), Initial: num.Size(initial), Expiry: model.Millis(expiry)})
			}
		}
		better := 1
		if model.Side(s) == model.Bid {
			better = -1
		}
		slices.SortStableFunc(out, func(a, b model.RestingOrder) int { return better * cmp.Compare(a.Price, b.Price) })
		var sum num.Size
		for i := range out {
			if i == 0 || out[i].Price != out[i-1].Price {
				sum = 0
			}
			if out[i].Size > math.MaxInt64-sum {
				return sides, listed, unexpected("order")
			}
			sum += out[i].Size
		}
		sides[s], listed[s] = out, len(rows)
	}
	return sides, listed, nil
}
