package account

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/kv/kvtest"
)

// told is something that reaches the tracker at a moment.
type told struct {
	at   model.Millis
	tell func(*Tracker)
}

// world is a venue with its ledger, and what it tells of itself: each trade a little after it was made, accounts as they
// stood some time after they were asked for, later still.
type world struct {
	rng    *rand.Rand
	now    model.Millis
	trades uint64
	rows   map[model.AccountID]*model.Position
	queue  []told
}

// trade makes a trade; those of an outage come all at once behind it.
func (w *world) trade(outage model.Millis) {
	w.trades++
	buyer, seller := model.AccountID(1+w.rng.IntN(5)), model.AccountID(1+w.rng.IntN(5))
	row := &model.Trade{ID: w.trades, Time: w.now, Price: num.Price(1 + w.rng.Int64N(5_000_00)), Size: num.Size(1 + w.rng.Int64N(1_000_0000)),
		BidAccount: buyer, AskAccount: seller, MakerAsk: w.rng.IntN(2) == 0, Kind: []model.TradeKind{model.KindTrade, model.KindLiquidation, model.KindDeleverage}[w.rng.IntN(3)]}
	bought, sold := w.before(buyer), w.before(seller)
	if buyer != seller {
		w.book(buyer, row.Size, row.Price)
		w.book(seller, -row.Size, row.Price)
	}
	row.TakerBefore, row.MakerBefore = bought, sold
	if !row.TakerBuys() {
		row.TakerBefore, row.MakerBefore = sold, bought
	}
	times := 1 + w.rng.IntN(8)/7
	for range times {
		w.queue = append(w.queue, told{max(w.now+20, outage), func(tr *Tracker) { tr.Trade(0, row, false) }})
	}
}

func (w *world) before(id model.AccountID) model.PositionBefore {
	p := w.rows[id]
	return model.PositionBefore{Known: true, Size: p.Size, EntryQuote: p.Entry}
}

// book is the naive book-keeper: first what closes, then what opens.
func (w *world) book(id model.AccountID, by num.Size, price num.Price) {
	p := w.rows[id]
	if p.Size > 0 && by < 0 || p.Size < 0 && by > 0 {
		held, part := max(p.Size, -p.Size), min(max(p.Size, -p.Size), max(by, -by))
		kept := num.USD(0)
		if part < held {
			kept = keep(p.Entry, held-part, held)
		}
		earned := num.USD(int64(part)*int64(price)) - (p.Entry - kept)
		if p.Size < 0 {
			p.Realized, p.Size, by = p.Realized-earned, p.Size+part, by-part
		} else {
			p.Realized, p.Size, by = p.Realized+earned, p.Size-part, by+part
		}
		p.Entry = kept
	}
	p.Size += by
	p.Entry += num.USD(int64(max(by, -by)) * int64(price))
}

// poll asks for an account now; the answer is of a while later and comes later still.
func (w *world) poll() {
	id, asked := model.AccountID(1+w.rng.IntN(5)), w.now
	made := asked + model.Millis(w.rng.IntN(150))
	answer := made + model.Millis(w.rng.IntN(150))
	row := &model.Account{ID: id, Index: int64(id), Polled: asked}
	w.queue = append(w.queue,
		told{made, func(*Tracker) { row.Positions = []model.Position{*w.rows[id]} }},
		told{answer, func(tr *Tracker) { tr.Polled(row) }})
}

// step lets time pass up to a moment: what is due is told, in its order.
func (w *world) step(tr *Tracker, to model.Millis) {
	slices.SortStableFunc(w.queue, func(a, b told) int { return cmp.Compare(a.at, b.at) })
	n := 0
	for ; n < len(w.queue) && w.queue[n].at <= to; n++ {
		w.queue[n].tell(tr)
	}
	w.queue = w.queue[n:]
	w.now = to
}

// However trades and answers overtake one another, through outages whose trades come behind the answers that contain them,
// every account ends with the ledger's size, entry value and realised profit.
func TestRealizedEqualsLedger(t *testing.T) {
	for seed := range uint64(20) {
		w := &world{rng: rand.New(rand.NewPCG(seed, 1)), now: 1_000_000, rows: map[model.AccountID]*model.Position{}}
		for id := range model.AccountID(6) {
			w.rows[id] = &model.Position{}
		}
		tr := newTracker(t, kvtest.Open(t))
		outage := model.Millis(0)
		for range 300 {
			w.step(tr, w.now+model.Millis(w.rng.IntN(60)))
			switch w.rng.IntN(12) {
			case 0, 1, 2:
				w.poll()
			case 3:
				if w.rng.IntN(8) == 0 {
					outage = w.now + 2000
				}
			default:
				w.trade(outage)
			}
		}
		w.step(tr, w.now+10_000)
		for id := model.AccountID(1); id <= 5; id++ {
			var a model.Account
			tr.Get(id, &a)
			if len(a.Positions) == 0 {
				continue
			}
			if p, want := a.Positions[0], w.rows[id]; p.Size != want.Size || p.Entry != want.Entry || p.Realized != want.Realized {
				t.Errorf("seed %d, account %d: size %d entry %d realised %d, the ledger has %d, %d and %d", seed, id, p.Size, p.Entry, p.Realized,
					want.Size, want.Entry, want.Realized)
			}
		}
	}
}
