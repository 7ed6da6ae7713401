package desk

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/signal/delivery"
	"hyperlight/kv"
	"hyperlight/kv/key"
	"hyperlight/kv/kvtest"
)

// What deliveries come to while a patch is being written is not forgotten over it.
func TestPatchKeepsOutcomes(t *testing.T) {
	t.Parallel()
	to, disk := newReceiver(t), kvtest.NewDisk()
	d := open(t, disk.Open(t, kv.Options{}), to)
	me := uuid.New()
	s := create(t, d, me, draft(to))
	var once atomic.Bool
	disk.OnWrite(func(string) error {
		if once.CompareAndSwap(false, true) {
			d.finished(delivery.Outcome{Gone: true, Delivery: delivery.Delivery{Signal: s.ID, Status: delivery.Failed, URL: to.URL + "/hook"}})
		}
		return nil
	})
	got, err := d.Patch(context.Background(), me, s.ID, Draft{Name: ptr("renamed")})
	disk.OnWrite(nil)
	if err != nil || !once.Load() {
		t.Fatalf("%v, an outcome came: %t", err, once.Load())
	}
	if h := d.signals[s.ID]; h.failures != 1 || !got.Channels[0].Disabled {
		t.Errorf("%d failures, channels %+v", h.failures, got.Channels)
	}
	if got, _ := d.Patch(context.Background(), me, s.ID, Draft{Enabled: ptr(true)}); d.signals[s.ID].failures != 0 || got.Channels[0].Disabled {
		t.Errorf("enabling lifts nothing: %+v", got)
	}
}

// Enabling what is enabled already, as a client does that writes the whole signal back, forgets no crossing; enabling what
// was disabled does.
func TestEnablingTheEnabledForgetsNothing(t *testing.T) {
	t.Parallel()
	to := newReceiver(t)
	d := open(t, kvtest.Open(t), to)
	me := uuid.New()
	dr := draft(to)
	dr.Rule = []byte(`{"conditions":[{"field":"trade_price","op":"crosses_above","value":4000}]}`)
	dr.Cooldown = ptr(int64(0))
	s := create(t, d, me, dr)
	patch := func(dr Draft) {
		t.Helper()
		if _, err := d.Patch(context.Background(), me, s.ID, dr); err != nil {
			t.Fatal(err)
		}
	}
	trade(d, 1, 3999_00, 1_000_000)
	whole := dr
	whole.Enabled = ptr(true)
	patch(whole)
	if trade(d, 2, 4001_00, 1_002_000); len(d.fired) != 1 {
		t.Error("what was seen before the patch is forgotten")
	}
	trade(d, 3, 3999_00, 1_004_000)
	patch(Draft{Enabled: ptr(false)})
	patch(Draft{Enabled: ptr(true)})
	if trade(d, 4, 4001_00, 1_006_000); len(d.fired) != 1 {
		t.Error("a signal that is enabled again knows what it saw before")
	}
}

// A deleted signal leaves no rows behind, its deliveries with their addresses and bodies included.
func TestDeleteLeavesNothing(t *testing.T) {
	t.Parallel()
	to, store := newReceiver(t), kvtest.Open(t)
	d := open(t, store, to)
	me := uuid.New()
	s := create(t, d, me, draft(to))
	stop := run(d)
	trade(d, 1, 4001_00, 1_000_000)
	wait(t, "the delivery", func() bool {
		r, err := d.Recent(context.Background(), me, s.ID)
		return err == nil && len(r) == 1 && r[0].Status == delivery.Delivered
	})
	stop()
	if err := d.Delete(me, s.ID); err != nil {
		t.Fatal(err)
	}
	for _, family := range []key.Family{key.Signals, key.SignalStates, key.DeliveryLog, key.DeliveryQueue} {
		for row := range store.Scan(context.Background(), key.All(family)) {
			t.Errorf("row %x is left", row.Key)
		}
	}
}

// The first trigger after a start tells the best prices of the book as it came, before the first full second.
func TestContextBeforeTheFirstSecond(t *testing.T) {
	t.Parallel()
	to := newReceiver(t)
	d := open(t, kvtest.Open(t), to)
	create(t, d, uuid.New(), draft(to))
	v := book.NewView(book.Meta{}, []model.Level{{Price: 4000_00, Size: 5}}, []model.Level{{Price: 4000_50, Size: 5}})
	d.OnEvent(&model.Event{Market: eth.ID, Recv: 999_000_000, Payload: &model.BookUpdate{Snapshot: true}}, v)
	trade(d, 1, 4001_00, 999_500)
	if len(d.fired) != 1 {
		t.Fatalf("%d signals fired", len(d.fired))
	}
	if got := string((<-d.fired).context); !strings.Contains(got, `"best_bid":"4000.00","best_ask":"4000.50","spread":"0.50"`) {
		t.Errorf("got %s", got)
	}
}

// A policy that is changed holds for the next call, connections that were made under the one before included.
func TestPolicyChanges(t *testing.T) {
	t.Parallel()
	to := newReceiver(t)
	d := open(t, kvtest.Open(t), to)
	me := uuid.New()
	s := create(t, d, me, restless(to))
	stop := run(d)
	defer stop()
	fire := func(at int64, want delivery.Status) {
		t.Helper()
		trade(d, uint64(at), 4001_00, at)
		wait(t, want.String(), func() bool {
			r, err := d.Recent(context.Background(), me, s.ID)
			return err == nil && len(r) == int(at/1_000_000) && r[0].Status == want
		})
	}
	fire(1_000_000, delivery.Delivered)
	d.SetPolicy(delivery.Policy{AllowHTTP: true, Ports: []uint16{portOf(to)}})
	_, err := d.Create(context.Background(), me, Unlimited, draft(to))
	isError(t, err, model.CodeBadRequest, "delivery_channels[0].url")
	fire(2_000_000, delivery.Failed)
	d.SetPolicy(delivery.Policy{AllowHTTP: true, AllowPrivate: true, Ports: []uint16{portOf(to)}})
	fire(3_000_000, delivery.Delivered)
	if _, calls := to.count(); calls != 2 {
		t.Errorf("%d calls, want 2", calls)
	}
}
