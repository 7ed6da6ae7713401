package desk

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"hyperlight/engine/book"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
	"hyperlight/kv/kvtest"
)

// A channel that its owner takes away while deliveries wait is no receiver that failed: the signal is not suspended.
func TestWithdrawnChannelSuspendsNothing(t *testing.T) {
	t.Parallel()
	to := newReceiver(t)
	d := open(t, kvtest.Open(t), to)
	me := uuid.New()
	s := create(t, d, me, restless(to))
	const n = MaxFailures + 5
	for i := range int64(n) {
		trade(d, uint64(i), 4001_00, 1_000_000+1000*i)
	}
	d.write(d.gather(<-d.fired))
	if waits, _ := d.queue.Waiting(); waits != n {
		t.Fatalf("%d deliveries wait, want %d", waits, n)
	}
	other := &[]ChannelDraft{{"webhook", to.URL + "/other", secret}}
	if _, err := d.Patch(context.Background(), me, s.ID, Draft{Channels: other}); err != nil {
		t.Fatal(err)
	}
	stop := run(d)
	defer stop()
	wait(t, "the queue to be empty", func() bool { waits, _ := d.queue.Waiting(); return waits == 0 })
	if got, _ := d.Get(me, s.ID); got.Suspended {
		t.Error("the signal is suspended because its owner changed a channel")
	}
	if _, calls := to.count(); calls != 0 {
		t.Errorf("%d calls to a channel that was taken away", calls)
	}
	trade(d, n, 4001_00, 2_000_000)
	wait(t, "the new channel", func() bool { _, calls := to.count(); return calls == 1 })
}

// A user who is disabled has nothing sent any more, neither what waits nor what triggers; enabled again, the signals go on.
func TestDisabledOwner(t *testing.T) {
	t.Parallel()
	to := newReceiver(t)
	admitted := atomic.Bool{}
	admitted.Store(true)
	d := openWith(t, kvtest.Open(t), to, func(o *Options) { o.Admits = func(uuid.UUID) bool { return admitted.Load() } })
	me := uuid.New()
	s := create(t, d, me, restless(to))
	trade(d, 1, 4001_00, 1_000_000)
	d.write(d.gather(<-d.fired))
	admitted.Store(false)
	stop := run(d)
	defer stop()
	wait(t, "the delivery that waited", func() bool { waits, _ := d.queue.Waiting(); return waits == 0 })
	trade(d, 2, 4001_00, 1_001_000)
	wait(t, "the writer", func() bool { return len(d.fired) == 0 })
	d.changing.Lock() // the writer is done
	admitted.Store(true)
	d.changing.Unlock()
	trade(d, 3, 4001_00, 1_002_000)
	wait(t, "the signal of a user who is enabled again", func() bool { _, calls := to.count(); return calls > 0 })
	got, _ := d.Get(me, s.ID)
	if ids, _ := to.count(); ids > 2 || got.Suspended || got.Triggers > 3 {
		t.Errorf("%d deliveries of %+v", ids, got)
	}
}

// A patch whose addresses take long to look up holds up nobody else's.
func TestSlowNamesHoldUpNobody(t *testing.T) {
	t.Parallel()
	to := newReceiver(t)
	asked := make(chan struct{}, 100)
	d := openWith(t, kvtest.Open(t), to, func(o *Options) {
		o.Delivery.Policy.Ports = append(o.Delivery.Policy.Ports, 443)
		o.Delivery.Resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			asked <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		}}
	})
	slow, quick := uuid.New(), uuid.New()
	a, b := create(t, d, slow, draft(to)), create(t, d, quick, draft(to))
	var names []ChannelDraft // one after the other they take ten seconds
	for i := range MaxChannels {
		names = append(names, ChannelDraft{"webhook", fmt.Sprintf("https://slow%d.example.com/", i), secret})
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := d.Patch(ctx, slow, a.ID, Draft{Channels: &names})
		done <- err
	}()
	<-asked
	if _, err := d.Patch(context.Background(), quick, b.ID, Draft{Name: ptr("quick")}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-done:
		t.Error("a patch waited for another owner's names")
	default:
	}
	cancel() // a name that cannot be looked up is taken all the same
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A state without what the evaluator knew, or with bytes that it cannot read, costs the cooldown and not the start.
func TestUnreadableStateOpens(t *testing.T) {
	t.Parallel()
	to, store := newReceiver(t), kvtest.Open(t)
	d := open(t, store, to)
	s := create(t, d, uuid.New(), draft(to))
	for _, evaluator := range [][]byte{nil, {99}} {
		b := store.NewBatch()
		b.Set(key.SignalState(nil, s.ID), record.AppendSignalState(nil, &record.SignalState{Evaluator: evaluator, Triggers: 7}))
		if err := store.Commit(b, kv.Sync); err != nil {
			t.Fatal(err)
		}
		again := open(t, store, to)
		if got, err := again.Get(Anyone, s.ID); err != nil || got.Triggers != 7 {
			t.Errorf("state %x: got %+v, %v", evaluator, got, err)
		}
		if trade(again, 1, 4001_00, 1_000_000); len(again.fired) != 1 {
			t.Errorf("state %x: the signal does not trigger", evaluator)
		}
	}
}

// A clock that is set back silences no signal until it comes there again, whether the server runs meanwhile or starts after it.
func TestDeskClockSetBack(t *testing.T) {
	t.Parallel()
	to, store := newReceiver(t), kvtest.Open(t)
	d := open(t, store, to)
	dr := draft(to)
	dr.Rule = []byte(`{"conditions":[{"field":"bid_depth","op":"gt","value":0}]}`)
	create(t, d, uuid.New(), dr)
	v := book.NewView(book.Meta{}, []model.Level{{Price: 4000_00, Size: 5}}, []model.Level{{Price: 4001_00, Size: 5}})
	tick := func(d *Desk, second model.Micros) {
		d.OnTick(second*1_000_000, []market.Held{{Market: eth, View: v}})
	}
	const ahead, right = 4_000_000_000, 1_750_000_000
	tick(d, ahead)
	d.write(d.gather(<-d.fired))
	again := open(t, store, to) // with a clock that is right
	if tick(again, right+100_000_000); len(again.fired) != 1 {
		t.Error("after a restart the signal is silent for decades")
	}
	tick(d, right)
	if len(d.fired) != 0 {
		t.Error("the cooldown is forgotten")
	}
	for s := model.Micros(1); s <= DefaultCooldown; s++ {
		tick(d, right+s)
	}
	if len(d.fired) != 1 {
		t.Errorf("%d triggers a cooldown after the clock was set back, want 1", len(d.fired))
	}
}

// While the shard repeats seconds, because the clock was set back, everything that is looked at once a second goes on: books,
// funding rates, which come with the receive time of the last tick then, and heatmaps. No cooldown is longer than it is.
func TestDeskRepeatedSeconds(t *testing.T) {
	t.Parallel()
	to := newReceiver(t)
	d := open(t, kvtest.Open(t), to)
	fields := map[uuid.UUID]string{}
	for _, field := range []string{"bid_depth", "funding_rate", "heatmap_long_at_risk"} {
		dr := draft(to)
		dr.Rule = []byte(`{"conditions":[{"field":"` + field + `","op":"gt","value":"0.00001"}]}`)
		fields[create(t, d, uuid.New(), dr).ID] = field
	}
	held := []market.Held{{Market: eth, View: book.NewView(book.Meta{}, []model.Level{{Price: 4000_00, Size: 5}}, []model.Level{{Price: 4001_00, Size: 5}})}}
	// pass plays a second that begins at a time by the clock, in which things are received, and returns what fired at its end.
	pass := func(clock, recv model.Micros, tick func(model.Micros, []market.Held)) (fired []string) {
		d.OnEvent(&model.Event{Market: eth.ID, Recv: recv * 1_000_000, Payload: &model.Stats{Has: model.HasCurrentFundingRate, CurrentFundingRate: 12_000_000}}, nil)
		d.OnHeatmaps([]model.Heatmap{{Market: eth.ID, Time: (clock * 1_000_000).Millis(), LongAtRisk: 5_000_000, ShortAtRisk: 5_000_000}})
		now := (clock + 1) * 1_000_000
		tick(now, held)
		for len(d.fired) > 0 {
			f := <-d.fired
			if f.at > now.Millis() || f.at < now.Millis()-1000 {
				t.Errorf("%s fired at %d, the clock said %d", fields[f.info.ID], f.at, now.Millis())
			}
			fired = append(fired, fields[f.info.ID])
		}
		slices.Sort(fired)
		return fired
	}
	all := []string{"bid_depth", "funding_rate", "heatmap_long_at_risk"}
	const right, ahead = 1_750_000_000, 1_750_003_600
	fired := append(pass(ahead, ahead, d.OnTick), pass(ahead+1, ahead+1, d.OnTick)...) // a heatmap stands two seconds later
	if !slices.Equal(fired, all) {
		t.Fatalf("%v fired before", fired)
	}
	fired = nil
	for s := range model.Micros(DefaultCooldown + 11) { // a funding rate comes once in ten seconds
		got := pass(right+s, ahead+2, d.OnRepeat)
		if s < DefaultCooldown && len(got) > 0 {
			t.Errorf("%v fired %d s into the cooldown", got, s)
		}
		fired = append(fired, got...)
	}
	if slices.Sort(fired); !slices.Equal(fired, all) {
		t.Errorf("%v fired after a cooldown", fired)
	}
}
