package http

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"hyperlight/engine/model"
)

// Checklist 48 and 52: whoever asks for the record of accounts is told which of them nobody knows, and which the venue could
// not be asked about, by index and by address. An account that came with the call is answered.
func TestRecordOfMissingAccounts(t *testing.T) {
	nobody := "0x" + strings.Repeat("ab", 20)
	addresses := fmt.Sprintf(`{"by":"l1_address","accounts":["%s","%s","0x%x"]}`, nobody, ownerText, unreachableAddress)
	for _, path := range []string{"/fills", "/liquidations"} {
		f, v := newAccountsFixture(t, testOptions{})
		v.venue.accounts[77] = &model.Account{ID: 77, Index: 77, Polled: testNow}
		for body, want := range map[string]string{
			`{"accounts":[3,42,4,77,5,99]}`: "200 [42 77 99] [3 5] [4]",
			`{"accounts":[3]}`:              "200 [] [3] []",
			`{"accounts":[99,42]}`:          "200 [99 42] [] []",
			addresses:                       fmt.Sprintf("200 [42 %d] [%s] [0x%x]", subAccount, nobody, unreachableAddress),
		} {
			status, e := f.batch(t, path, body)
			if got := fmt.Sprint(status, e.column("accounts", "account_index"), e.Data["not_found"], e.column("errors", "account")); got != want {
				t.Errorf("%s %s: got %s, want %s", path, body, got, want)
			}
		}
	}
}

// Checklist 53: stale rows are queued for the venue, and those alone, also where every account of the call is known and
// where the answer comes from ready bodies.
func TestStaleAccountsAreQueued(t *testing.T) {
	f, v := newAccountsFixture(t, testOptions{})
	asked := func() []model.AccountID {
		v.venue.mu.Lock()
		defer v.venue.mu.Unlock()
		out := v.venue.asked
		v.venue.asked = nil
		slices.Sort(out)
		return out
	}
	for _, path := range []string{"", "/positions"} {
		for i := range 4 { // from rows, then from ready bodies
			status, e := f.batch(t, path, `{"accounts":[42,99,8]}`)
			if got := asked(); status != 200 || !slices.Equal(got, []model.AccountID{8, 99}) {
				t.Errorf("batch%s, call %d: %d %v, asked for %v", path, i, status, e.Data, got)
			}
			if _, e = f.batch(t, path, `{"accounts":[42]}`); e.list("accounts")[0]["stale"] != false || len(asked()) != 0 {
				t.Errorf("batch%s, call %d: a fresh row is asked for: %v", path, i, e.Data)
			}
		}
	}
	for path, want := range map[string][]model.AccountID{"8/positions": {8}, "8/liquidation-risk": {8}, "42/positions": nil, "42/liquidation-risk": nil} {
		if status, e := f.get(t, "/api/v1/accounts/"+path); status != 200 || !slices.Equal(asked(), want) {
			t.Errorf("%s: %d %v", path, status, e.Data)
		}
	}
}
