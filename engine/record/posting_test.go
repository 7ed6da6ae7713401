package record

import (
	"math/rand/v2"
	"slices"
	"testing"

	"hyperlight/engine/model"
)

func randomPostings(rnd *rand.Rand, n int) (rows []Posting) {
	for range n {
		rows = append(rows, Posting{
			Account: model.AccountID(rnd.Uint64() >> (rnd.IntN(64))), Time: model.Millis(rnd.Int64N(1 << 45)), ID: rnd.Uint64() >> rnd.IntN(64),
			Market: model.MarketID(rnd.IntN(300)), Kind: model.TradeKind(rnd.IntN(5)), Maker: rnd.IntN(2) == 0, Buys: rnd.IntN(2) == 0,
		})
		if k := len(rows); k > 1 && rnd.IntN(3) > 0 {
			rows[k-1].Account = rows[k-2].Account
		}
	}
	slices.SortFunc(rows, func(a, b Posting) int { return a.Compare(&b) })
	return rows
}

func TestPostingsRoundTrip(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for n := range 120 {
		rows := randomPostings(rnd, n*n/8)
		for _, seal := range []bool{false, true} {
			b := AppendPostings(nil, rows, seal)
			if count, err := CountPostings(b); err != nil || count != len(rows) {
				t.Fatalf("%d postings counted, %v; want %d", count, err, len(rows))
			}
			got, err := DecodePostings(nil, b)
			if err != nil || !slices.Equal(got, rows) {
				t.Fatalf("%d rows, sealed %v: %v\n got %+v\nwant %+v", len(rows), seal, err, got, rows)
			}
			if len(rows) == 0 {
				continue
			}
			account := rows[rnd.IntN(len(rows))].Account
			want := slices.DeleteFunc(slices.Clone(rows), func(p Posting) bool { return p.Account != account })
			if got, err = DecodePostingsOf(nil, b, account); err != nil || !slices.Equal(got, want) {
				t.Fatalf("account %d: %v\n got %+v\nwant %+v", account, err, got, want)
			}
			if got, err = DecodePostingsOf(nil, b, account+1); err != nil || slices.ContainsFunc(got, func(p Posting) bool { return p.Account != account+1 }) {
				t.Fatalf("account %d: %v, %+v", account+1, err, got)
			}
		}
	}
}

func goldenPostings(n int) (rows []Posting) {
	for i := range n {
		rows = append(rows, Posting{Account: model.AccountID(53925 + i/20), Time: model.Millis(1760041995767 + i%20*250), ID: uint64(212746637 + 3*(i%20)),
			Market: model.MarketID(i % 2), Kind: model.TradeKind(i % 5), Maker: i%3 == 0, Buys: i%2 == 0})
	}
	return rows
}

func FuzzDecodePostings(f *testing.F) {
	rows := randomPostings(rand.New(rand.NewPCG(3, 4)), 50)
	f.Add(AppendPostings(nil, rows, false), uint64(rows[7].Account))
	f.Add(AppendPostings(nil, rows, true), uint64(rows[9].Account))
	f.Add(AppendPostings(nil, nil, true), uint64(0))
	f.Add([]byte{1, 0xff, 0x3f, 0, 0, 1, 0xff, 0x3f}, uint64(1))
	f.Fuzz(func(t *testing.T, b []byte, account uint64) {
		bounded(t, b, func() {
			got, err := DecodePostings(nil, b)
			one, oneErr := DecodePostingsOf(nil, b, model.AccountID(account))
			if err != nil {
				if len(got) != 0 || oneErr != nil && len(one) != 0 {
					t.Fatal("rows beside an error")
				}
				return
			}
			want := slices.DeleteFunc(slices.Clone(got), func(p Posting) bool { return uint64(p.Account) != account })
			if oneErr != nil || !slices.Equal(one, want) {
				t.Fatalf("of account %d: %+v, %v; want %+v", account, one, oneErr, want)
			}
			if !slices.IsSortedFunc(got, func(a, b Posting) int { return a.Compare(&b) }) {
				return // damaged bytes; nobody writes them
			}
			for _, seal := range []bool{false, true} {
				again, err := DecodePostings(nil, AppendPostings(nil, got, seal))
				if err != nil || !slices.Equal(got, again) {
					t.Fatalf("second round: %v\n got %+v\nwant %+v", err, again, got)
				}
			}
		})
	})
}
