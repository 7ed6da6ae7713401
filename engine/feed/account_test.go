package feed_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"hyperlight/engine/feed"
	"hyperlight/engine/model"
)

// carried counts the channels of accounts that each connection of the venue carries.
func (v *venue) carried() (each []int, all int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, c := range v.conns {
		n := 0
		for channel := range c.held {
			if strings.HasPrefix(channel, "account_all:") {
				n++
			}
		}
		each, all = append(each, n), all+n
	}
	return each, all
}

func indices(from, to int64) []int64 {
	var list []int64
	for i := from; i < to; i++ {
		list = append(list, i)
	}
	return list
}

// TestAccountsComeAfterMarkets follows 60 accounts next to 40 markets: markets first, half of the allowance for
// accounts, no connection with more than it may carry, and accounts that are no longer wanted let go.
func TestAccountsComeAfterMarkets(t *testing.T) {
	var markets []model.Market
	for i := range int64(40) {
		markets = append(markets, market(i+1, i))
	}
	limits := feed.Limits{MaxAccountsPerConnection: 25, MaxConnections: 4, MessagesPerMinute: 200}
	run(t, limits, markets, func(t *testing.T, v *venue, s *feed.Supervisor, out *sink) {
		if n := s.SetAccounts(append(indices(1000, 1060), 1000)); n != 60 {
			t.Errorf("%d accounts followed", n)
		}
		settle(10 * time.Second)
		asked := v.asked()
		for i, m := range asked {
			if strings.Contains(m, "account_all") {
				for _, later := range asked[i:] {
					if strings.Contains(later, "order_book") || strings.Contains(later, "trade") {
						t.Fatalf("%s went out behind an account", later)
					}
				}
				break
			}
		}
		if len(asked) > 104 {
			t.Errorf("%d messages in ten seconds: accounts may not take more than half of the allowance", len(asked))
		}
		settle(5 * time.Minute)
		each, all := v.carried()
		if all != 60 || s.Status().Accounts != 60 || s.Status().Wanted != 81 || s.Status().Subscribed != 81 {
			t.Errorf("connections carry %v accounts, status %+v", each, s.Status())
		}
		for _, n := range each {
			if n > 25 {
				t.Errorf("connections carry %v accounts, at most 25 each", each)
			}
		}
		for _, i := range indices(1000, 1060) {
			if out.told[model.AccountID(i)] != 1 {
				t.Errorf("account %d was told %d times", i, out.told[model.AccountID(i)])
			}
		}
		s.SetAccounts(indices(1050, 1070))
		settle(5 * time.Minute)
		if _, all := v.carried(); all != 20 || s.Status().Accounts != 20 {
			t.Errorf("%d accounts held, status %+v", all, s.Status())
		}
		s.SetMarkets(markets[:1])
		settle(time.Minute)
		if _, all := v.carried(); all != 20 || s.Status().Wanted != 3 {
			t.Errorf("%d accounts held after the markets changed", all)
		}
	})
}

// TestAccountsGiveWay checks that accounts leave room for markets, and come back when a connection is lost.
func TestAccountsGiveWay(t *testing.T) {
	limits := feed.Limits{MaxSubscriptionsPerConnection: 11, MaxConnections: 1}
	run(t, limits, []model.Market{market(1, 1)}, func(t *testing.T, v *venue, s *feed.Supervisor, out *sink) {
		if n := s.SetAccounts(indices(100, 150)); n != 7 { // height, statistics, a book and trades take the rest
			t.Errorf("%d accounts followed", n)
		}
		settle(time.Minute)
		if _, all := v.carried(); all != 7 {
			t.Errorf("%d accounts held", all)
		}
		s.SetMarkets([]model.Market{market(1, 1), market(2, 1), market(3, 1)})
		settle(time.Minute)
		if st := s.Status(); st.Subscribed != 7 || st.Accounts != 3 {
			t.Errorf("status %+v", st)
		}
		v.latest().close()
		settle(2 * time.Minute)
		if st := s.Status(); st.Subscribed != 7 || st.Accounts != 3 {
			t.Errorf("status after a reconnect %+v", st)
		}
	})
}

// TestTooManyAccounts lets the venue take fewer accounts on a connection than it published.
func TestTooManyAccounts(t *testing.T) {
	limits := feed.Limits{MaxConnections: 3}
	run(t, limits, []model.Market{market(1, 1)}, func(t *testing.T, v *venue, s *feed.Supervisor, out *sink) {
		v.mu.Lock()
		held := map[int]map[string]bool{}
		v.refuse = func(conn int, m message) (int, string, bool) {
			if m.Type != "subscribe" || !strings.HasPrefix(m.Channel, "account_all") || held[conn][m.Channel] {
				return 0, "", false
			}
			if len(held[conn]) >= 4 {
				return 23002, "Too Many Different Accounts!", true
			}
			if held[conn] == nil {
				held[conn] = map[string]bool{}
			}
			held[conn][m.Channel] = true
			return 0, "", false
		}
		v.mu.Unlock()
		s.SetAccounts(indices(100, 110))
		settle(10 * time.Minute)
		if each, all := v.carried(); all != 10 {
			t.Errorf("connections carry %v, %s", each, fmt.Sprint(s.Status()))
		}
	})
}
