package http

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// restlessOrders are other ones at nearly each call.
type restlessOrders struct{}

func (restlessOrders) AppendOrders(dst []model.OpenOrder, id model.AccountID) []model.OpenOrder {
	for range rand.IntN(3) {
		dst = append(dst, model.OpenOrder{At: model.Millis(rand.IntN(3)), RestingOrder: model.RestingOrder{Account: id, ID: uint64(id), Price: 5, Size: 7}})
	}
	return dst
}

// ofOneVersion tells what of an object is not of the same poll and the same marks as the rest: n millionths of collateral, polled
// at n + 1, and 1 + n % 7 of ETH at one price throughout.
func ofOneVersion(text []byte) error {
	var o struct {
		Collateral string
		AsOf       int64 `json:"as_of"`
		Positions  []struct {
			Position string
			Mark     string `json:"mark_price"`
			Value    string `json:"position_value"`
			Profit   string `json:"unrealized_pnl"`
		}
	}
	if err := json.Unmarshal(text, &o); err != nil {
		return err
	}
	n := o.AsOf - 1
	if o.Collateral != fmt.Sprintf("0.%06d", n) || len(o.Positions) != 2 || o.Positions[0].Position != fmt.Sprintf("%d.0000", 1+n%7) {
		return fmt.Errorf("two versions of the row")
	}
	mark, err := strconv.ParseInt(o.Positions[0].Mark, 10, 64)
	if value := mark * (1 + n%7); err != nil || o.Positions[0].Value != fmt.Sprintf("%d.000000", value) || o.Positions[0].Profit != fmt.Sprintf("%d.000000", value-3000) {
		return fmt.Errorf("two marks")
	}
	return nil
}

// Many calls at once about the same accounts, while these, their orders and the marks change and bodies are dropped: every
// object is whole, and of its account.
func TestReadyBodiesAtOnce(t *testing.T) {
	t.Parallel()
	const accounts, callers, calls = 300, 4, 30
	v := newVenueAccounts(t, testMarkets())
	poll := func(id model.AccountID, n int) {
		v.tracker.Polled(&model.Account{ID: id, Index: int64(id), Polled: model.Millis(n + 1), Collateral: num.USD(n),
			Positions: []model.Position{openPosition(0, fmt.Sprint(1+n%7), "3000", 500), openPosition(1, "-2", "90000", 500)}})
	}
	var ids []model.AccountID
	for id := range model.AccountID(accounts) {
		ids = append(ids, id)
		poll(id, 1)
	}
	d := newAccountDesk(AccountOptions{Accounts: v.tracker, Orders: restlessOrders{}, Stats: v.stats, ReadyBodies: 500_000})
	markets, whales := testMarkets(), &whaleRules{notional: defaultWhale}
	var wait sync.WaitGroup
	for caller := range callers {
		wait.Go(func() {
			b := &batch{activeOnly: true}
			var text []byte
			for n := range calls {
				poll(model.AccountID(rand.IntN(accounts)), n)
				v.setMark(0, strconv.Itoa(3000+rand.IntN(50)))
				m := d.makeMarks(markets, testNow)
				m.number = uint64(n / 3)
				parts := elementParts{positions: true, orders: true, owned: n%5 > 0, last: (n+caller)%2 > 0, whales: whales}
				for from := 0; from < len(ids); from += lookAhead {
					some := ids[from:min(from+lookAhead, len(ids))]
					b.look(d, some, m, &parts)
					for i, id := range some {
						var stood standing
						var whole, known bool
						text, stood, whole, known = b.appendKnown(d, text[:0], i, id, m, &parts)
						if !whole {
							text = appendStood(text, &stood)
						}
						text = appendStale(text, false)
						if !known || !json.Valid(text) || !bytes.HasPrefix(text, fmt.Appendf(nil, `{"account_index":%d,`, id)) {
							t.Errorf("account %d: %v %s", id, known, text)
							return
						}
						if err := ofOneVersion(text); err != nil {
							t.Errorf("account %d: %v in %s", id, err, text)
							return
						}
					}
				}
			}
		})
	}
	wait.Wait()
}
