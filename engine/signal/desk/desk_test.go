package desk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"hyperlight/engine/book"
	"hyperlight/engine/history"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/replay"
	"hyperlight/engine/seal"
	"hyperlight/engine/signal/delivery"
	"hyperlight/kv"
	"hyperlight/kv/key"
	"hyperlight/kv/kvtest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/VictoriaMetrics/metrics.summariesSwapCron"))
}

const secret = "0123456789abcdef"

var eth = &model.Market{ID: 0, Native: 0, Symbol: "ETH", PriceScale: 2, SizeScale: 4, Scales: []model.Scale{{Price: 2, Size: 4}}}

var btc = &model.Market{ID: 1, Native: 1, Symbol: "BTC", PriceScale: 1, SizeScale: 5, Scales: []model.Scale{{Price: 1, Size: 5}}}

type fakeMarkets struct{}

func (fakeMarkets) Get(id model.MarketID) (*model.Market, bool) {
	if id == btc.ID {
		return btc, true
	}
	return eth, id == eth.ID
}

// receiver is a webhook receiver that answers with one status and remembers what came.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	bodies map[string]string // by delivery id
	calls  int
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{status: 200, bodies: map[string]string{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		b, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.calls++
		r.bodies[req.Header.Get("webhook-id")] = string(b)
		w.WriteHeader(r.status)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

func (r *receiver) count() (ids, calls int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.bodies), r.calls
}

func (r *receiver) has(id uuid.UUID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bodies[id.String()] != ""
}

// Under another key file a secret cannot be opened, which its owner is told; one that is given anew for the same address signs.
func TestSecretsOfAnotherKeyFile(t *testing.T) {
	t.Parallel()
	to := newReceiver(t)
	store := kvtest.Open(t)
	me := uuid.New()
	d := open(t, store, to)
	dr := draft(to)
	s := create(t, d, me, dr)
	channel := (*dr.Channels)[0].URL
	other, err := seal.New(seal.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	d = openWith(t, store, to, func(o *Options) { o.Box = other })
	if _, err := d.secrets(s.ID, channel); !errors.Is(err, delivery.ErrSealed) {
		t.Errorf("got %v", err)
	}
	if _, err := d.secrets(s.ID, channel+"x"); !errors.Is(err, delivery.ErrGone) {
		t.Errorf("another address: %v", err)
	}
	if _, err := d.Patch(context.Background(), me, s.ID, Draft{Channels: &[]ChannelDraft{{"webhook", channel, "another secret of mine"}}}); err != nil {
		t.Fatal(err)
	}
	if got, err := d.secrets(s.ID, channel); err != nil || fmt.Sprintf("%s", got) != "[another secret of mine]" {
		t.Errorf("given anew: %s, %v", got, err)
	}
}

var boxKey = seal.NewKey()

// open opens a desk on a store that may call a receiver.
func open(t testing.TB, store *kv.Store, to *receiver) *Desk {
	t.Helper()
	return openWith(t, store, to, func(o *Options) { o.Delivery.Schedule = []time.Duration{time.Millisecond} })
}

// openWith opens a desk whose options a test changes.
func openWith(t testing.TB, store *kv.Store, to *receiver, change func(*Options)) *Desk {
	t.Helper()
	box, err := seal.New(boxKey)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Store: store, Markets: fakeMarkets{}, Box: box, Delivery: delivery.Options{
		Policy: delivery.Policy{AllowHTTP: true, AllowPrivate: true, Ports: []uint16{portOf(to)}}, Version: "test",
	}}
	change(&o)
	d, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func portOf(to *receiver) uint16 { return uint16(to.Listener.Addr().(*net.TCPAddr).Port) }

// run runs a desk until the returned function is called.
func run(d *Desk) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = d.Run(ctx) }()
	return func() { cancel(); <-done }
}

const above = `{"conditions":[{"field":"trade_price","op":"gt","value":4000}],"logic":"AND"}`

func draft(to *receiver) Draft {
	name, id := "ETH price alert", eth.ID
	return Draft{Name: &name, Market: &id, Rule: []byte(above), Channels: &[]ChannelDraft{{Type: "webhook", URL: to.URL + "/hook", Secret: secret}}}
}

func ptr[T any](v T) *T { return &v }

// restless is a draft without a cooldown: each trade triggers it.
func restless(to *receiver) Draft {
	dr := draft(to)
	dr.Cooldown = ptr(int64(0))
	return dr
}

func create(t testing.TB, d *Desk, owner uuid.UUID, dr Draft) Signal {
	t.Helper()
	s, err := d.Create(context.Background(), owner, Unlimited, dr)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// trade tells the desk a trade at a price in cents and a time in ms.
func trade(d *Desk, id uint64, price int64, at int64) {
	d.OnEvent(&model.Event{Market: eth.ID, Time: model.Millis(at), Recv: model.Micros(at * 1000), Payload: &model.TradeBatch{Rows: []model.Trade{
		{ID: id, Time: model.Millis(at), Recv: model.Micros(at * 1000), Price: num.Price(price), Size: 25_000, USD: 10_001_250_000, MakerAsk: true},
	}}}, nil)
}

func wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long for %s", what)
		}
	}
}

func isError(t *testing.T, err error, code model.Code, field string) {
	t.Helper()
	var e *model.Error
	if !errors.As(err, &e) || e.Code != code || field != "" && e.Details["field"] != field {
		t.Errorf("got %v, want %s of %q", err, code, field)
	}
}

// What is wrong with a draft is told with its path, and nothing is made of it.
func TestDraftErrors(t *testing.T) {
	t.Parallel()
	to := newReceiver(t)
	d := open(t, kvtest.Open(t), to)
	channel := func(kind, url, secret string) *[]ChannelDraft { return &[]ChannelDraft{{kind, url, secret}} }
	for field, change := range map[string]func(*Draft){
		"name":                        func(d *Draft) { d.Name = ptr("") },
		"market_id":                   func(d *Draft) { d.Market = ptr(model.MarketID(9)) },
		"rule_definition":             func(d *Draft) { d.Rule = nil },
		"delivery_channels":           func(d *Draft) { d.Channels = &[]ChannelDraft{} },
		"cooldown_secs":               func(d *Draft) { d.Cooldown = ptr(int64(86_401)) },
		"delivery_channels[0].type":   func(d *Draft) { d.Channels = channel("email", to.URL, secret) },
		"delivery_channels[0].url":    func(d *Draft) { d.Channels = channel("webhook", "https://169.254.169.254:1/", secret) },
		"delivery_channels[0].secret": func(d *Draft) { d.Channels = channel("webhook", to.URL, "short") },
		"rule_definition.conditions[0].op": func(d *Draft) {
			d.Rule = []byte(`{"conditions":[{"field":"trade_price","op":"above","value":1}]}`)
		},
	} {
		dr := draft(to)
		change(&dr)
		_, err := d.Create(context.Background(), uuid.New(), Unlimited, dr)
		isError(t, err, model.CodeBadRequest, field)
	}
	// Characters are counted, not bytes, and what begins as a secret of Standard Webhooks must be one.
	for _, bad := range []string{secret[:15], strings.Repeat("\u00e9", 15), "whsec_" + secret} {
		dr := draft(to)
		dr.Channels = channel("webhook", to.URL, bad)
		_, err := d.Create(context.Background(), uuid.New(), Unlimited, dr)
		isError(t, err, model.CodeBadRequest, "delivery_channels[0].secret")
	}
	long := draft(to)
	long.Name = ptr(strings.Repeat("\u00e9", MaxName+1))
	_, err := d.Create(context.Background(), uuid.New(), Unlimited, long)
	isError(t, err, model.CodeBadRequest, "name")
	masked := draft(to)
	masked.Channels = channel("webhook", to.URL, Masked)
	_, err = d.Create(context.Background(), uuid.New(), Unlimited, masked)
	isError(t, err, model.CodeBadRequest, "delivery_channels[0].secret")
	if _, total := d.List(Anyone, Filter{}, 0, 0); total != 0 {
		t.Errorf("%d signals were made", total)
	}
}

// Signals are their owner's alone, as many as the plan allows, and never show a secret, neither outside nor in the store.
func TestOwnersAndMasking(t *testing.T) {
	t.Parallel()
	to := newReceiver(t)
	store := kvtest.Open(t)
	d := open(t, store, to)
	me, other := uuid.New(), uuid.New()
	s := create(t, d, me, draft(to))
	if s.Cooldown != DefaultCooldown*time.Second || !s.Enabled || s.Created == 0 || s.Created != s.Updated {
		t.Errorf("got %+v", s)
	}
	text := string(s.AppendJSON(nil))
	want := fmt.Sprintf(`{"id":"%s","name":"ETH price alert","market_id":0,"symbol":"ETH","rule_definition":%s,"delivery_channels":[{"type":"webhook","url":"%s/hook",`+
		`"secret":"********"}],"cooldown_secs":60,"enabled":true,"suspended":false,"trigger_count":0,"last_triggered_at":null,"created_at":%d,"updated_at":%d}`,
		s.ID, above, to.URL, s.Created, s.Updated)
	if text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	ctx := context.Background()
	_, err := d.Get(other, s.ID)
	isError(t, err, model.CodeNotFound, "")
	_, err = d.Patch(ctx, other, s.ID, Draft{Enabled: ptr(false)})
	isError(t, err, model.CodeNotFound, "")
	isError(t, d.Delete(other, s.ID), model.CodeNotFound, "")
	_, err = d.Recent(ctx, other, s.ID)
	isError(t, err, model.CodeNotFound, "")
	_, err = d.Resend(ctx, other, s.ID, uuid.New())
	isError(t, err, model.CodeNotFound, "")
	_, err = d.Backtest(ctx, other, s.ID, 0, 1)
	isError(t, err, model.CodeNotFound, "")
	_, err = d.Create(ctx, me, 1, draft(to))
	isError(t, err, model.CodeForbidden, "")
	if mine, total := d.List(me, Filter{Enabled: ptr(true)}, 0, 10); total != 1 || mine[0].ID != s.ID {
		t.Errorf("got %d", total)
	}
	if _, total := d.List(other, Filter{}, 0, 0); total != 0 {
		t.Errorf("got %d of another's", total)
	}
	for _, family := range []key.Family{key.Signals, key.SignalStates} {
		for row := range store.Scan(ctx, key.All(family)) {
			if strings.Contains(string(row.Value), secret) {
				t.Error("the store holds a secret in the clear")
			}
		}
	}
	if err := d.Delete(me, s.ID); err != nil {
		t.Fatal(err)
	}
	if _, total := open(t, store, to).List(Anyone, Filter{}, 0, 0); total != 0 {
		t.Error("a deleted signal came back")
	}
}

// A trigger reaches the receiver with the contract's payload; the cooldown silences the next ones, also after a restart.
func TestTriggerAndCooldown(t *testing.T) {
	t.Parallel()
	to := newReceiver(t)
	store := kvtest.Open(t)
	d := open(t, store, to)
	me := uuid.New()
	s := create(t, d, me, draft(to))
	stop := run(d)
	trade(d, 1, 3999_00, 1_000_000) // below
	trade(d, 2, 4000_50, 1_000_500)
	trade(d, 3, 4001_00, 1_001_000) // within the cooldown
	wait(t, "the delivery", func() bool { n, _ := to.count(); return n == 1 })
	wait(t, "the outcome", func() bool {
		r, err := d.Recent(context.Background(), me, s.ID)
		return err == nil && len(r) == 1 && r[0].Status == delivery.Delivered
	})
	stop()
	r, _ := d.Recent(context.Background(), me, s.ID)
	want := fmt.Sprintf(`{"event":"signal.triggered","delivery_id":"%s","signal_id":"%s","name":"ETH price alert","market_id":0,"symbol":"ETH","triggered_at":%d,`+
		`"event_ts":1000500,"rule_definition":%s,"matched_conditions":[{"field":"trade_price","op":"gt","value":"4000","actual":"4000.50"}],`+
		`"context":{"trade":{"trade_id":2,"price":"4000.50","size":"2.5000","usd_amount":"10001.250000","side":"buy"},`+
		`"best_bid":null,"best_ask":null,"spread":null,"funding_rate":null}}`, r[0].ID, s.ID, r[0].TriggeredAt, above)
	if got := to.bodies[r[0].ID.String()]; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	again := open(t, kvtest.CrashClone(t, store, 0), to)
	stop = run(again)
	trade(again, 4, 4002_00, 1_060_499) // still silent
	trade(again, 5, 4002_00, 1_060_500)
	wait(t, "the delivery after the cooldown", func() bool { n, _ := to.count(); return n == 2 })
	stop()
	if s, _ := again.Get(me, s.ID); s.Triggers != 2 || s.LastTriggered == 0 {
		t.Errorf("got %+v", s)
	}
	if r, err := again.Recent(context.Background(), me, s.ID); err != nil || len(r) != 2 || !strings.Contains(to.bodies[r[0].ID.String()], `"trade_id":5,`) {
		t.Errorf("after the restart another trade triggered than the first one behind the cooldown: %+v, %v", r, err)
	}
	if n, _ := to.count(); n != 2 {
		t.Errorf("%d deliveries", n)
	}
}

// Twenty failed deliveries in a row suspend a signal, for good until it is enabled again; 410 disables a channel at once.
func TestSuspension(t *testing.T) {
	t.Parallel()
	to := newReceiver(t)
	to.answer(400)
	store := kvtest.Open(t)
	d := open(t, store, to)
	me := uuid.New()
	s := create(t, d, me, restless(to))
	stop := run(d)
	at := int64(1_000_000)
	fire := func(n int) {
		t.Helper()
		for range n {
			at += 1000
			_, before := to.count()
			trade(d, uint64(at), 4001_00, at)
			wait(t, "a call", func() bool { _, calls := to.count(); return calls > before })
		}
	}
	fire(MaxFailures - 1)
	stop()
	d = open(t, store, to) // the count survives
	stop = run(d)
	if s, _ := d.Get(me, s.ID); s.Suspended {
		t.Fatal("suspended too early")
	}
	fire(1)
	wait(t, "the suspension", func() bool { s, _ := d.Get(me, s.ID); return s.Suspended })
	stop()
	d = open(t, store, to)
	stop = run(d)
	_, calls := to.count()
	trade(d, 1, 4001_00, at+5000)
	if s, _ := d.Get(me, s.ID); !s.Suspended {
		t.Error("a restart lifts the suspension")
	}
	to.answer(200)
	got, err := d.Patch(context.Background(), me, s.ID, Draft{Enabled: ptr(true)})
	if err != nil || got.Suspended {
		t.Fatalf("got %+v, %v", got, err)
	}
	at += 10_000
	fire(1)
	if _, now := to.count(); now != calls+1 {
		t.Errorf("%d calls while suspended", now-calls-1)
	}
	to.answer(410)
	fire(1)
	wait(t, "the channel to be disabled", func() bool { s, _ := d.Get(me, s.ID); return s.Channels[0].Disabled })
	to.answer(200)
	_, calls = to.count()
	trade(d, 2, 4001_00, at+5000)
	wait(t, "the trigger", func() bool { s, _ := d.Get(me, s.ID); return s.Triggers == MaxFailures+3 })
	if _, err := d.Patch(context.Background(), me, s.ID, Draft{Enabled: ptr(false)}); err != nil {
		t.Fatal(err)
	}
	trade(d, 3, 4001_00, at+9000) // disabled signals do not fire
	stop()
	if _, now := to.count(); now != calls {
		t.Error("a disabled channel was called")
	}
	if s, _ := d.Get(me, s.ID); s.Triggers != MaxFailures+3 {
		t.Errorf("a disabled signal fired: %d", s.Triggers)
	}
}

// A PATCH with the mask keeps the secret, another secret signs beside the old one for a day, another rule forgets crossings.
func TestPatch(t *testing.T) {
	t.Parallel()
	to := newReceiver(t)
	d := open(t, kvtest.Open(t), to)
	me := uuid.New()
	dr := draft(to)
	dr.Rule = []byte(`{"conditions":[{"field":"trade_price","op":"crosses_above","value":4000}]}`)
	dr.Cooldown = ptr(int64(0))
	s := create(t, d, me, dr)
	channel := (*dr.Channels)[0].URL
	patch := func(dr Draft) {
		t.Helper()
		if _, err := d.Patch(context.Background(), me, s.ID, dr); err != nil {
			t.Fatal(err)
		}
	}
	secrets := func(want ...string) {
		t.Helper()
		got, err := d.secrets(s.ID, channel)
		if err != nil || fmt.Sprintf("%s", got) != fmt.Sprint(want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	patch(Draft{Channels: &[]ChannelDraft{{"webhook", channel, Masked}}})
	secrets(secret)
	patch(Draft{Channels: &[]ChannelDraft{{"webhook", channel, "another secret of mine"}}})
	secrets("another secret of mine", secret)
	d.o.Now = func() time.Time { return time.Now().Add(Rotation + time.Second) }
	secrets("another secret of mine")
	d.o.Now = time.Now
	trade(d, 1, 3999_00, 1_000_000)
	patch(Draft{Name: ptr("renamed")}) // keeps what was seen
	trade(d, 2, 4001_00, 1_002_000)
	if len(d.fired) != 1 {
		t.Errorf("renaming forgets crossings: %d", len(d.fired))
	}
	trade(d, 3, 3999_00, 1_004_000)
	patch(Draft{Rule: []byte(`{"conditions":[{"field":"trade_price","op":"crosses_above","value":4000.5}]}`)})
	trade(d, 4, 4001_00, 1_006_000) // the first value that the new rule sees
	if len(d.fired) != 1 {
		t.Error("the new rule knows what the old one saw")
	}
	trade(d, 5, 3999_00, 1_008_000)
	trade(d, 6, 4001_00, 1_010_000)
	if len(d.fired) != 2 {
		t.Error("the new rule does not cross")
	}
}

// Books, statistics and heatmaps reach the evaluators too.
func TestOtherEvents(t *testing.T) {
	t.Parallel()
	to := newReceiver(t)
	d := open(t, kvtest.Open(t), to)
	fields := map[string]string{"orderbook_spread": "1", "bid_depth": "0.0005", "ask_depth": "0.0007", "funding_rate": "0.000012",
		"heatmap_long_at_risk": "5", "heatmap_short_at_risk": "6"}
	for field, value := range fields {
		dr := draft(to)
		dr.Rule = []byte(`{"conditions":[{"field":"` + field + `","op":"eq","value":"` + value + `"}]}`)
		create(t, d, uuid.New(), dr)
	}
	v := book.NewView(book.Meta{}, []model.Level{{Price: 4000_00, Size: 5}}, []model.Level{{Price: 4001_00, Size: 7}})
	d.OnEvent(&model.Event{Market: eth.ID, Recv: 999_500_000, Payload: &model.Stats{Has: model.HasCurrentFundingRate, CurrentFundingRate: 12_000_000}}, nil)
	d.OnHeatmaps([]model.Heatmap{{Market: eth.ID, Time: 998_000, LongAtRisk: 5_000_000, ShortAtRisk: 6_000_000}})
	for second := model.Micros(1_000_000_000); second < 1_005_000_000; second += 1_000_000 {
		d.OnTick(second, []market.Held{{Market: eth, View: v}})
	}
	if len(d.fired) != len(fields) {
		t.Errorf("%d signals fired, want %d", len(d.fired), len(fields))
	}
}

// A disk that takes no writes costs triggers, which are counted, and never holds up a shard.
func TestFullDisk(t *testing.T) {
	to := newReceiver(t)
	disk := kvtest.NewDisk()
	disk.SetFree(1 << 40)
	var skew sync.Map
	now := func() time.Time {
		if v, ok := skew.Load("by"); ok {
			return time.Now().Add(v.(time.Duration))
		}
		return time.Now()
	}
	store := disk.Open(t, kv.Options{MinFree: 1 << 30, Now: now})
	d := open(t, store, to)
	s := create(t, d, uuid.New(), restless(to))
	disk.SetFree(1 << 20)
	skew.Store("by", 2*time.Second) // the store asks once a second
	before := triggersLost.Get()
	stop := run(d)
	trade(d, 1, 4001_00, 1_000_000)
	wait(t, "the loss", func() bool { return triggersLost.Get() == before+1 })
	for i := range int64(maxFired + 1000) { // far more than the writer can take meanwhile
		trade(d, uint64(i), 4001_00, 2_000_000+1000*i)
	}
	stop()
	if n, _ := to.count(); n != 0 {
		t.Errorf("%d deliveries of triggers that are not stored", n)
	}
	if got, _ := d.Get(Anyone, s.ID); got.Triggers != 0 {
		t.Errorf("%d triggers are counted that are not stored", got.Triggers)
	}
}

// Thirty crashes during triggers and deliveries: whatever the store then knows of is delivered at least once, under one id
// with the same bytes, or marked failed, and each trigger that the signal counts has its deliveries.
func TestCrashes(t *testing.T) {
	t.Parallel()
	triggered := 0
	for point := range 30 {
		to := newReceiver(t)
		store := kvtest.Open(t)
		d := open(t, store, to)
		me := uuid.New()
		dr := draft(to)
		dr.Cooldown = ptr(int64(0))
		dr.Channels = &[]ChannelDraft{{"webhook", to.URL + "/a", secret}, {"webhook", to.URL + "/b", secret}}
		s := create(t, d, me, dr)
		if point%3 == 0 {
			to.answer(503)
		}
		stop := run(d)
		const n = 10
		for i := range int64(n) {
			trade(d, uint64(i), 4001_00, 1_000_000+1000*i)
			if i == n/2 {
				time.Sleep(time.Duration(point) * 200 * time.Microsecond)
			}
		}
		to.mu.Lock()
		sent := slices.Collect(maps.Keys(to.bodies)) // before the crash
		to.mu.Unlock()
		clone := kvtest.CrashClone(t, store, []int{0, 50, 100}[point%3])
		stop()
		to.answer(200)
		seen := map[string]string{}
		to.mu.Lock()
		for id, body := range to.bodies {
			seen[id] = body
		}
		to.mu.Unlock()
		after := open(t, clone, to)
		stop = run(after)
		wait(t, "the queue to be empty", func() bool { n, _ := after.queue.Waiting(); return n == 0 })
		stop()
		got, err := after.Get(me, s.ID)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := after.Recent(context.Background(), me, s.ID)
		if err != nil || len(rows) != 2*int(got.Triggers) {
			t.Errorf("point %d: %d deliveries of %d triggers, %v", point, len(rows), got.Triggers, err)
		}
		for _, r := range rows {
			if r.Status == delivery.Pending || r.Status == delivery.Delivered && !to.has(r.ID) {
				t.Errorf("point %d: got %+v", point, r)
			}
			if was, ok := seen[r.ID.String()]; ok && was != to.bodies[r.ID.String()] {
				t.Errorf("point %d: %s was sent with other bytes", point, r.ID)
			}
		}
		for _, id := range sent {
			if !slices.ContainsFunc(rows, func(r delivery.Delivery) bool { return r.ID.String() == id }) {
				t.Errorf("point %d: %s was sent and the store does not know of it", point, id)
			}
		}
		triggered += int(got.Triggers)
	}
	if triggered == 0 {
		t.Error("every crash came before the first trigger")
	}
}

// removedRecord is a record that retention drops while it is read.
type removedRecord struct {
	replay.HistoryReader
	asked int
}

func (r *removedRecord) Dropped(model.Kind) ([]history.Span, error) {
	r.asked++
	if r.asked <= 2 { // when the backtest begins: of trades, and of funding
		return nil, nil
	}
	return []history.Span{{From: 0, To: 2}}, nil
}

func (r *removedRecord) Gaps(context.Context, []model.Kind, []model.MarketID, history.Span) ([]history.GapRow, error) {
	return nil, nil
}

func (r *removedRecord) Coverage(context.Context, model.Kind, model.MarketID, history.Span) ([]history.Interval, error) {
	return nil, nil
}

func (r *removedRecord) Trades(context.Context, model.MarketID, history.Span, history.TradeQuery) iter.Seq2[*model.Trade, error] {
	return func(func(*model.Trade, error) bool) {}
}

// A backtest whose range retention drops meanwhile is to be asked for again: its result would be of less than the range.
func TestBacktestOfARemovedRange(t *testing.T) {
	t.Parallel()
	to := newReceiver(t)
	d := open(t, kvtest.Open(t), to)
	d.o.Record.History = &removedRecord{}
	me := uuid.New()
	s := create(t, d, me, draft(to))
	_, err := d.Backtest(t.Context(), me, s.ID, 0, 1)
	isError(t, err, model.CodeServiceUnavailable, "")
}
