package desk

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/google/uuid"

	"hyperlight/engine/book"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/replay"
	"hyperlight/engine/signal"
	"hyperlight/engine/signal/delivery"
	"hyperlight/kv/key"
	"hyperlight/kv/kvtest"
)

// writeAll does what Run does with the triggers that wait, once.
func writeAll(d *Desk) {
	for len(d.fired) > 0 {
		d.write(d.gather(<-d.fired))
	}
}

// Failures are counted in a row: a success in between begins anew. A suspended signal is not evaluated, also after a restart;
// what it had triggered before is not delivered, and only a patch that enables it lifts the suspension.
func TestFailuresInARow(t *testing.T) {
	t.Parallel()
	to, store := newReceiver(t), kvtest.Open(t)
	d := open(t, store, to)
	me := uuid.New()
	s := create(t, d, me, restless(to))
	came := func(n int, status delivery.Status) {
		for range n {
			d.finished(delivery.Outcome{Delivery: delivery.Delivery{Signal: s.ID, Status: status}})
		}
	}
	suspended := func(what string, want bool) {
		t.Helper()
		if s, err := d.Get(me, s.ID); err != nil || s.Suspended != want {
			t.Errorf("%s: suspended is %v, %v", what, s.Suspended, err)
		}
	}
	came(19, delivery.Failed)
	came(1, delivery.Delivered)
	came(19, delivery.Failed)
	suspended("nineteen failures, a success, nineteen failures", false)
	trade(d, 1, 4001_00, 1_000_000)
	came(1, delivery.Failed)
	suspended("twenty failures", true)
	writeAll(d)
	if n, _ := d.queue.Waiting(); n != 0 {
		t.Errorf("%d deliveries of a suspended signal", n)
	}
	d.save(false)
	d = open(t, store, to)
	if trade(d, 2, 4001_00, 1_010_000); len(d.fired) != 0 {
		t.Error("a suspended signal is evaluated")
	}
	for _, dr := range []Draft{{Name: ptr("renamed")}, {Enabled: ptr(false)}} {
		if _, err := d.Patch(context.Background(), me, s.ID, dr); err != nil {
			t.Fatal(err)
		}
		suspended("another patch", true)
	}
	if _, err := d.Patch(context.Background(), me, s.ID, Draft{Enabled: ptr(true)}); err != nil {
		t.Fatal(err)
	}
	suspended("enabled", false)
	came(19, delivery.Failed)
	suspended("nineteen failures since it was enabled", false)
	if trade(d, 3, 4001_00, 1_020_000); len(d.fired) != 1 {
		t.Error("a signal that was enabled again does not fire")
	}
}

// A disabled signal is not evaluated, and what it triggered just before is not delivered.
func TestDisabledIsSilent(t *testing.T) {
	t.Parallel()
	to := newReceiver(t)
	d := open(t, kvtest.Open(t), to)
	me := uuid.New()
	s := create(t, d, me, draft(to))
	trade(d, 1, 4001_00, 1_000_000)
	if _, err := d.Patch(context.Background(), me, s.ID, Draft{Enabled: ptr(false)}); err != nil {
		t.Fatal(err)
	}
	writeAll(d)
	if n, _ := d.queue.Waiting(); n != 0 {
		t.Errorf("%d deliveries of a disabled signal", n)
	}
	if trade(d, 2, 4001_00, 2_000_000); len(d.fired) != 0 {
		t.Error("a disabled signal is evaluated")
	}
}

// A patch during the cooldown does not end it, whatever it changes.
func TestPatchKeepsCooldown(t *testing.T) {
	t.Parallel()
	to := newReceiver(t)
	d := open(t, kvtest.Open(t), to)
	me := uuid.New()
	s := create(t, d, me, draft(to))
	trade(d, 1, 4001_00, 1_000_000)
	for _, dr := range []Draft{{Name: ptr("renamed")}, {Rule: []byte(`{"conditions":[{"field":"trade_price","op":"gte","value":4000}]}`)}} {
		if _, err := d.Patch(context.Background(), me, s.ID, dr); err != nil {
			t.Fatal(err)
		}
		if trade(d, 2, 4001_00, 1_059_999); len(d.fired) != 1 {
			t.Errorf("%d triggers within the cooldown", len(d.fired))
		}
	}
	if trade(d, 3, 4001_00, 1_060_000); len(d.fired) != 2 {
		t.Error("the cooldown does not end")
	}
}

// The last twenty deliveries are shown, the newest first.
func TestRecentAreTwenty(t *testing.T) {
	t.Parallel()
	to := newReceiver(t)
	d := open(t, kvtest.Open(t), to)
	me := uuid.New()
	s := create(t, d, me, restless(to))
	now := time.Now()
	d.o.Now = func() time.Time { return now }
	for i := range int64(25) {
		now = now.Add(time.Millisecond)
		trade(d, uint64(i), 4001_00, 1_000_000+1000*i)
		writeAll(d)
	}
	r, err := d.Recent(context.Background(), me, s.ID)
	if err != nil || len(r) != 20 {
		t.Fatalf("%d deliveries, %v", len(r), err)
	}
	for i := range r {
		if want := model.Millis(now.UnixMilli() - int64(i)); r[i].TriggeredAt != want {
			t.Errorf("delivery %d is of %d, want %d", i, r[i].TriggeredAt, want)
		}
	}
}

// A delivery tells which conditions held, and of the market what is known: the funding rate, the book, and a trade only where
// one triggered.
func TestContextOfABook(t *testing.T) {
	t.Parallel()
	to := newReceiver(t)
	d := open(t, kvtest.Open(t), to)
	dr := draft(to)
	dr.Rule = []byte(`{"conditions":[{"field":"trade_price","op":"gt","value":1},{"field":"ask_depth","op":"eq","value":0.0007},{"field":"bid_depth","op":"gt","value":9}],"logic":"OR"}`)
	dr.Cooldown = ptr(int64(0))
	create(t, d, uuid.New(), dr)
	d.OnEvent(&model.Event{Market: eth.ID, Recv: 999_500_000, Payload: &model.Stats{Has: model.HasCurrentFundingRate, CurrentFundingRate: 12_000_000}}, nil)
	v := book.NewView(book.Meta{}, []model.Level{{Price: 4000_00, Size: 5}}, []model.Level{{Price: 4001_00, Size: 7}})
	d.OnTick(1_000_000_000, []market.Held{{Market: eth, View: v}})
	if len(d.fired) != 1 {
		t.Fatalf("%d triggers", len(d.fired))
	}
	f := <-d.fired
	if got, want := string(f.matched), `[{"field":"ask_depth","op":"eq","value":"0.0007","actual":"0.0007"}]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := string(f.context), `{"trade":null,"best_bid":"4000.00","best_ask":"4001.00","spread":"1.00","funding_rate":"0.000012"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A trigger, its cooldown and its deliveries are on disk before anything is sent: of a crash at that moment all are known after
// it, and the call is made under the same id.
func TestCrashBeforeTheCall(t *testing.T) {
	t.Parallel()
	to, store := newReceiver(t), kvtest.Open(t)
	d := open(t, store, to)
	me := uuid.New()
	s := create(t, d, me, draft(to))
	trade(d, 1, 4001_00, 1_000_000)
	writeAll(d)
	before, err := d.Recent(context.Background(), me, s.ID)
	if err != nil || len(before) != 1 {
		t.Fatalf("got %+v, %v", before, err)
	}
	d = open(t, kvtest.CrashClone(t, store, 0), to)
	if s, err := d.Get(me, s.ID); err != nil || s.Triggers != 1 {
		t.Errorf("after the crash there are %d triggers, %v", s.Triggers, err)
	}
	if trade(d, 2, 4001_00, 1_001_000); len(d.fired) != 0 {
		t.Error("the cooldown is forgotten")
	}
	if n, _ := d.queue.Waiting(); n != 1 {
		t.Fatalf("%d deliveries wait", n)
	}
	stop := run(d)
	defer stop()
	wait(t, "the call", func() bool { return to.has(before[0].ID) })
}

// A signal that is moved to another market follows that one alone, and does not know what the market before told it.
func TestMovedSignal(t *testing.T) {
	t.Parallel()
	to := newReceiver(t)
	d := open(t, kvtest.Open(t), to)
	me := uuid.New()
	dr := draft(to)
	dr.Rule = []byte(`{"conditions":[{"field":"trade_price","op":"crosses_above","value":4000}]}`)
	s := create(t, d, me, dr)
	trade(d, 1, 3999_00, 1_000_000)
	moved, err := d.Patch(context.Background(), me, s.ID, Draft{Market: ptr(btc.ID)})
	if err != nil || moved.Native != 1 || moved.Symbol != "BTC" {
		t.Fatalf("got %+v, %v", moved, err)
	}
	if trade(d, 2, 4001_00, 2_000_000); len(d.fired) != 0 {
		t.Error("the market before triggers it")
	}
	for i, price := range []num.Price{40_010, 39_990, 40_010} {
		at := model.Millis(3_000_000 + 100_000*i)
		d.OnEvent(&model.Event{Market: btc.ID, Time: at, Recv: at.Micros(), Payload: &model.TradeBatch{Rows: []model.Trade{{ID: uint64(i), Time: at, Price: price, Size: 1}}}}, nil)
		if want := i / 2; len(d.fired) != want {
			t.Errorf("after trade %d of the new market there are %d triggers, want %d", i, len(d.fired), want)
		}
	}
}

// What waits of a signal that is deleted is dropped, in memory and in the store.
func TestDeleteDropsWhatWaits(t *testing.T) {
	t.Parallel()
	to, store := newReceiver(t), kvtest.Open(t)
	d := open(t, store, to)
	me := uuid.New()
	s := create(t, d, me, draft(to))
	trade(d, 1, 4001_00, 1_000_000)
	writeAll(d)
	if n, _ := d.queue.Waiting(); n != 1 {
		t.Fatalf("%d deliveries wait", n)
	}
	if err := d.Delete(me, s.ID); err != nil {
		t.Fatal(err)
	}
	if n, _ := d.queue.Waiting(); n != 0 {
		t.Errorf("%d deliveries of a deleted signal wait", n)
	}
	for _, family := range []key.Family{key.Signals, key.SignalStates, key.DeliveryLog, key.DeliveryQueue} {
		for row := range store.Scan(context.Background(), key.All(family)) {
			t.Errorf("row %x is left", row.Key)
		}
	}
	if trade(d, 2, 4001_00, 2_000_000); len(d.fired) != 0 {
		t.Error("a deleted signal is evaluated")
	}
}

// A backtest goes through start <= t < end, with the signal's own cooldown.
func TestBacktestSpan(t *testing.T) {
	t.Parallel()
	to := newReceiver(t)
	const start, end = model.Millis(100_000_000), model.Millis(100_120_000)
	d := openWith(t, kvtest.Open(t), to, func(o *Options) {
		o.Record.History = struct{ replay.HistoryReader }{} // of heatmaps alone nothing else is read
		o.Record.Heatmaps = func(context.Context, model.MarketID, Span) iter.Seq2[signal.HeatmapRow, error] {
			return func(yield func(signal.HeatmapRow, error) bool) {
				for second := start - 10_000; second <= end+10_000; second += 10_000 { // sums stand two seconds after they were computed
					if !yield(signal.HeatmapRow{Time: second - 2000, Long: num.Decimal{Mant: 7}}, nil) {
						return
					}
				}
			}
		}
	})
	me := uuid.New()
	dr := draft(to)
	dr.Rule = []byte(`{"conditions":[{"field":"heatmap_long_at_risk","op":"gt","value":5}]}`)
	s := create(t, d, me, dr)
	got, err := d.Backtest(context.Background(), me, s.ID, start, end)
	if err != nil || got.Evaluated != 12 || got.Matches != 12 || got.Triggers != 2 || len(got.First) != 2 || got.First[0].At != start || got.First[1].At != start+60_000 {
		t.Errorf("got %+v, %v", got.Result, err)
	}
	if n, _ := d.queue.Waiting(); n != 0 || len(d.fired) != 0 {
		t.Error("a backtest delivers")
	}
}
