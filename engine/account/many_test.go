package account

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/kv/kvtest"
)

// spread returns a table of n accounts with up to five positions each.
func spread(t testing.TB, n int) *Tracker {
	tr, err := New(Options{Store: kvtest.Open(t), Markets: func(model.MarketID) (*model.Market, bool) { return nil, false }})
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for id := range model.AccountID(n) {
		a := &model.Account{ID: id, Index: int64(id), Polled: 1, Collateral: num.USD(id)}
		for m := range r.IntN(6) {
			a.Positions = append(a.Positions, model.Position{Market: model.MarketID(m * 3), Size: num.Size(1 + r.Int64N(1e6)), Entry: num.USD(r.Int64N(1e9))})
		}
		tr.Polled(a)
	}
	return tr
}

// Many rows at once are those that are read one by one: known and unknown ones, in any order, repeated ones too.
func TestGetAllEqualsGet(t *testing.T) {
	const known = 2000
	tr := spread(t, known)
	r := rand.New(rand.NewPCG(3, 4))
	var positions []model.Position
	for _, n := range []int{0, 1, 2, together - 1, together, together + 1, 1000} {
		ids := make([]model.AccountID, n)
		for i := range ids {
			ids[i] = model.AccountID(r.IntN(known + known/4))
		}
		rows := make([]model.Account, n)
		positions = tr.GetAll(ids, rows, positions[:0])
		var one model.Account
		for i, id := range ids {
			if !tr.Get(id, &one) {
				if rows[i].Index != Unknown || rows[i].ID != id || len(rows[i].Positions) != 0 {
					t.Fatalf("unknown account %d: %+v", id, rows[i])
				}
				continue
			}
			if got := rows[i]; len(got.Positions) != cap(got.Positions) || len(got.Positions) != len(one.Positions) ||
				len(one.Positions) > 0 && !reflect.DeepEqual(got, one) || got.Index != one.Index {
				t.Fatalf("account %d: got\n%+v\nwant\n%+v", id, got, one)
			}
		}
	}
}

// BenchmarkGet reads 1,000 random accounts of many.
func BenchmarkGet(b *testing.B) {
	const known, asked = 200_000, 1000
	tr := spread(b, known)
	r := rand.New(rand.NewPCG(5, 6))
	lists := make([][]model.AccountID, 200)
	for i := range lists {
		for range asked {
			lists[i] = append(lists[i], model.AccountID(r.IntN(known)))
		}
	}
	b.Run("one by one", func(b *testing.B) {
		var row model.Account
		for n := 0; b.Loop(); n++ {
			for _, id := range lists[n%len(lists)] {
				tr.Get(id, &row)
			}
		}
	})
	b.Run("together", func(b *testing.B) {
		rows := make([]model.Account, asked)
		var positions []model.Position
		for n := 0; b.Loop(); n++ {
			positions = tr.GetAll(lists[n%len(lists)], rows, positions[:0])
		}
	})
}
