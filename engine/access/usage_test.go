package access

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"hyperlight/engine/model"
	"hyperlight/kv"
	"hyperlight/kv/key"
	"hyperlight/kv/kvtest"
)

func call(t testing.TB, a *Access, p *Principal, route string, status int, cost int64, now model.Millis) {
	t.Helper()
	if _, err := a.Reserve(p, cost, now); err != nil {
		t.Fatal(err)
	}
	a.Settle(p, Use{Route: a.Route(route), Status: status, Cost: cost, Reserved: now}, now)
}

// The example of contract 2.9.5, member by member.
func TestUsageBody(t *testing.T) {
	clock := newClock(1_706_745_600_000 + 5)
	a := openAccess(t, kvtest.Open(t), clock)
	p := keyOf(t, a, "free", 1, 1)
	for i := range 118 {
		status := 200
		if i < 2 {
			status = 404 + 96*i
		}
		call(t, a, p, "GET /api/v1/orderbook/:market_id", status, 1, clock.millis())
		if i == 50 {
			if err := a.flush(clock.millis()); err != nil {
				t.Fatal(err)
			}
		}
	}
	call(t, a, p, "POST /api/v1/accounts/batch", 200, 25, clock.millis())
	call(t, a, p, "POST /api/v1/accounts/batch", 200, 25, clock.millis())
	for range 2 { // before and after all of it is in the store
		u, err := a.usageBody(p, p.Key, clock.millis()-model.Millis(3_600_000), clock.millis()+1)
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(u)
		if err != nil {
			t.Fatal(err)
		}
		want := `{"key_id":"` + p.Key.String() + `","usage":[{"timestamp":1706745600000,"requests":120,"credits":166,"errors":2,"rate_limited":0,` +
			`"endpoints":{"GET /api/v1/orderbook/:market_id":118,"POST /api/v1/accounts/batch":2}}],` +
			`"totals":{"requests":120,"credits":166,"errors":2,"rate_limited":0},` +
			`"month":{"period":"2024-02","credits_used":166,"credits_limit":75000,"credits_remaining":74834,"overage_credits":0,"overage_usd":"0"}}`
		if string(got) != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		if err := a.flush(clock.millis()); err != nil {
			t.Fatal(err)
		}
	}
}

// Nobody's usage is somebody else's: keys, tokens and the local caller have rows of their own; messages cost credits
// and are no request; refused calls are no request either; empty hours are left out.
func TestUsageCallers(t *testing.T) {
	clock := newClock(utc("2024-02-10T12:59:00Z"))
	a := openAccess(t, kvtest.Open(t), clock)
	one, two := keyOf(t, a, "starter", 1, 1), keyOf(t, a, "starter", 1, 2)
	token := *one
	token.Key, token.Token = uuid.Nil, true
	local := localCaller(a, "enterprise")
	call(t, a, one, "GET /a", 200, 1, clock.millis())
	call(t, a, two, "GET /b", 302, 0, clock.millis())
	call(t, a, &token, "GET /c", 500, 1, clock.millis())
	call(t, a, local, "GET /d", 200, 1, clock.millis())
	a.Settle(one, Use{Route: a.Route("GET /a"), Status: 429}, clock.millis())
	if !a.Spend(one, 7, clock.millis()) {
		t.Fatal("messages were refused")
	}
	clock.advance(3 * 3_600_000)
	call(t, a, one, "GET /a", 200, 50, clock.millis())
	if err := a.flush(clock.millis()); err != nil {
		t.Fatal(err)
	}
	from, to := utc("2024-02-09T00:00:00Z"), utc("2024-02-12T00:00:00Z")
	for _, c := range []struct {
		id   uuid.UUID
		want []UsageHour
	}{
		{one.Key, []UsageHour{
			{utc("2024-02-10T12:00:00Z"), Counts{1, 8, 0, 1}, map[string]int64{"GET /a": 1}},
			{utc("2024-02-10T15:00:00Z"), Counts{1, 50, 0, 0}, map[string]int64{"GET /a": 1}}}},
		{two.Key, []UsageHour{{utc("2024-02-10T12:00:00Z"), Counts{1, 0, 0, 0}, map[string]int64{"GET /b": 1}}}},
		{one.User, []UsageHour{{utc("2024-02-10T12:00:00Z"), Counts{1, 0, 1, 0}, map[string]int64{"GET /c": 1}}}},
		{uuid.Nil, []UsageHour{{utc("2024-02-10T12:00:00Z"), Counts{1, 1, 0, 0}, map[string]int64{"GET /d": 1}}}},
		{uuid.UUID{9}, []UsageHour{}},
	} {
		got, _, err := a.UsageOf(c.id, from, to)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v; want %+v", c.id, got, err, c.want)
		}
	}
	if m := a.Month(one.Account, one.Plan, clock.millis()); m.Used != 58 {
		t.Errorf("the account's keys share %d credits, want 58", m.Used)
	}
	if m := a.Month(LocalAccount, local.Plan, clock.millis()); m.Used != 1 || m.Limit != -1 {
		t.Errorf("local: %+v", m)
	}
	got, _, err := a.UsageOf(one.Key, utc("2024-02-10T13:00:00Z"), utc("2024-02-10T15:00:00Z"))
	if err != nil || len(got) != 0 {
		t.Errorf("hours outside of the range: %v, %v", got, err)
	}
}

// usageModel is what must be read whatever was flushed, restarted or failed on the way.
type usageModel map[uuid.UUID]map[model.Millis]*UsageHour

func (m usageModel) add(caller uuid.UUID, route string, status int, credits int64, now model.Millis) {
	hour := now - now%hourMillis
	if m[caller] == nil {
		m[caller] = map[model.Millis]*UsageHour{}
	}
	h := m[caller][hour]
	if h == nil {
		h = &UsageHour{Timestamp: hour, Endpoints: map[string]int64{}}
		m[caller][hour] = h
	}
	h.Credits += credits
	if status == 429 {
		h.RateLimited++
		return
	}
	h.Requests++
	h.Endpoints[route]++
	if status >= 400 {
		h.Errors++
	}
}

func (m usageModel) hours(caller uuid.UUID) []UsageHour {
	rows := []UsageHour{}
	for _, h := range m[caller] {
		rows = append(rows, *h)
	}
	slices.SortFunc(rows, func(a, b UsageHour) int { return int(a.Timestamp - b.Timestamp) })
	return rows
}

// Usage, months and windows are those of naive models through flushes, flushes that fail, and restarts.
func TestLimitsSurvive(t *testing.T) {
	failed := false
	rapid.Check(t, func(rt *rapid.T) {
		disk := kvtest.NewDisk()
		disk.SetFree(1 << 30)
		start := time.Now()
		store, err := disk.TryOpen(kv.Options{MinFree: 1 << 20, Now: func() time.Time {
			start = start.Add(2 * time.Second) // free space is asked for once a second
			return start
		}})
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { _ = store.Close() }()
		clock := newClock(utc("2024-02-29T20:00:00Z"))
		a := openAccess(t, store, clock)
		want, months := usageModel{}, map[string]map[uuid.UUID]int64{}
		routes := []string{"GET /a", "POST /b", "GET /c/:id"}
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			clock.advance(rapid.SampledFrom([]int64{0, 1, 4_000, 3_000_000, 5_000_000}).Draw(rt, "later"))
			now := clock.millis()
			switch rapid.IntRange(0, 9).Draw(rt, "action") {
			case 0:
				if err := a.flush(now); err != nil {
					rt.Fatal(err)
				}
			case 1:
				disk.SetFree(1)
				err := a.flush(now)
				disk.SetFree(1 << 30)
				if err != nil && !errors.Is(err, kv.ErrReadOnly) {
					rt.Fatal(err)
				}
				failed = failed || err != nil
			case 2:
				if err := a.flush(now); err != nil {
					rt.Fatal(err)
				}
				a = openAccess(t, store, clock)
			default:
				p := keyOf(t, a, "starter", rapid.ByteMax(1).Draw(rt, "user"), rapid.ByteMax(1).Draw(rt, "key"))
				route, status := rapid.SampledFrom(routes).Draw(rt, "route"), rapid.SampledFrom([]int{200, 304, 404, 429, 503}).Draw(rt, "status")
				cost := rapid.SampledFrom([]int64{0, 1, 25}).Draw(rt, "cost")
				call(t, a, p, route, status, cost, now)
				if status >= 400 {
					cost = 0
				}
				want.add(p.Key, route, status, cost, now)
				period := periodOf(now).String()
				if months[period] == nil {
					months[period] = map[uuid.UUID]int64{}
				}
				months[period][p.User] += cost
			}
		}
		now := clock.millis()
		for user := range byte(2) {
			for k := range byte(2) {
				p := keyOf(t, a, "starter", user, k)
				got, _, err := a.UsageOf(p.Key, utc("2024-02-29T00:00:00Z"), now+1)
				if err != nil || !reflect.DeepEqual(got, want.hours(p.Key)) {
					rt.Fatalf("key %s: %+v, %v; want %+v", p.Key, got, err, want.hours(p.Key))
				}
				if m := a.Month(p.Account, p.Plan, now); m.Used != months[m.Period][p.User] {
					rt.Fatalf("month %+v, want %d used", m, months[m.Period][p.User])
				}
			}
		}
	})
	if !failed {
		t.Error("no flush failed")
	}
}

// A crash loses what came after the last flush, whole, and counts nothing twice; a restart never opens a window.
func TestLimitsAfterCrash(t *testing.T) {
	clock := newClock(utc("2024-02-10T12:00:58.200Z"))
	store := kvtest.Open(t)
	a := openAccess(t, store, clock)
	p := keyOf(t, a, "free", 1, 1)
	use := func(a *Access, n int) {
		for range n {
			clock.advance(100)
			if !a.Take(p, clock.millis()).OK {
				t.Fatal("refused")
			}
			call(t, a, p, "GET /a", 200, 1, clock.millis())
		}
	}
	if _, err := a.Reserve(p, 50, clock.millis()); err != nil { // in flight at the crash
		t.Fatal(err)
	}
	use(a, 10)
	if err := a.flush(clock.millis()); err != nil {
		t.Fatal(err)
	}
	use(a, 15)
	if err := a.flush(clock.millis()); err != nil {
		t.Fatal(err)
	}
	use(a, 5)
	if a.Take(p, clock.millis()).OK {
		t.Fatal("the 31st request passed")
	}
	for _, percent := range []int{0, 50, 100} {
		b := openAccess(t, kvtest.CrashClone(t, store, percent), clock)
		hours, totals, err := b.UsageOf(p.Key, clock.millis()-hourMillis, clock.millis())
		if err != nil || len(hours) != 1 || totals != (Counts{Requests: 25, Credits: 25}) {
			t.Errorf("%d %%: %+v, %+v, %v", percent, hours, totals, err)
		}
		if m := b.Month(p.Account, p.Plan, clock.millis()); m.Used != 25 {
			t.Errorf("%d %%: month %+v", percent, m)
		}
		for i := range 5 {
			if d := b.Take(p, clock.millis()); !d.OK || d.Remaining != 4-i {
				t.Errorf("%d %%: request %d after the restart: %+v", percent, i+1, d)
			}
		}
		if d := b.Take(p, clock.millis()); d.OK || d.Reset != utc("2024-02-10T12:01:58.999Z") {
			t.Errorf("%d %%: the request after the limit: %+v", percent, d)
		}
	}
}

// What is past its retention goes: usage after 400 days, windows after an hour, answers after two days.
func TestLimitsRetention(t *testing.T) {
	clock := newClock(utc("2024-02-10T12:00:00Z"))
	store := kvtest.Open(t)
	a := openAccess(t, store, clock)
	p := keyOf(t, a, "free", 1, 1)
	a.Take(p, clock.millis())
	call(t, a, p, "GET /a", 200, 1, clock.millis())
	_, done, err := a.Begin(p.Account, "POST /keys", "k", [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	done(201, []byte("{}"))
	rows := func() (n [3]int) {
		if err := a.flush(clock.millis()); err != nil {
			t.Fatal(err)
		}
		for i, f := range []key.Family{key.Usage, key.RateWindows, key.Idempotency} {
			for _, err := range store.Scan(t.Context(), key.All(f)) {
				if err != nil {
					t.Fatal(err)
				}
				n[i]++
			}
		}
		return n
	}
	for _, c := range []struct {
		after int64 // ms
		want  [3]int
	}{
		{0, [3]int{1, 1, 1}}, {3_600_000, [3]int{1, 1, 1}}, {7_200_000, [3]int{1, 0, 1}},
		{2 * key.DayMillis, [3]int{1, 0, 1}}, {3 * key.DayMillis, [3]int{1, 0, 0}},
		{400 * key.DayMillis, [3]int{1, 0, 0}}, {401 * key.DayMillis, [3]int{0, 0, 0}},
	} {
		clock.set(utc("2024-02-10T12:00:00Z") + model.Millis(c.after))
		if got := rows(); got != c.want {
			t.Errorf("after %d h: %v rows, want %v", c.after/3_600_000, got, c.want)
		}
	}
}

func FuzzLimitValues(f *testing.F) {
	f.Add(appendUsage(nil, map[string]*routeCount{"GET /a": {answers: [5]int64{1, 2, 3, 4, 5}, credits: 6}, "": {}}))
	f.Add(appendSeconds(nil, &[60]int{0: 1, 59: 30_000}))
	f.Add(appendTotal(nil, 75_000))
	f.Add(appendAnswer(nil, answerRow{created: 5, body: [32]byte{1}, answer: Answer{201, []byte(`{"id":1}`)}}))
	f.Fuzz(func(t *testing.T, v []byte) {
		routes := map[string]*routeCount{}
		if err := addUsage(routes, v); err == nil && !bytes.Equal(appendUsage(nil, routes), v) {
			t.Errorf("usage %x is read as %v", v, routes)
		}
		if counts, err := readSeconds(v); err == nil && !bytes.Equal(appendSeconds(nil, &counts), v) {
			t.Errorf("window %x is read as %v", v, counts)
		}
		if used, err := readTotal(v); err == nil && v[len(v)-1] == 0 && !bytes.Equal(appendTotal(nil, used), v) {
			t.Errorf("total %x is read as %d", v, used)
		}
		if row, err := readAnswer(v); err == nil && !bytes.Equal(appendAnswer(nil, row), v) {
			t.Errorf("answer %x is read as %+v", v, row)
		}
	})
}

// What a flush could not write, the next one writes: usage, months and windows.
func TestFailedFlush(t *testing.T) {
	disk := kvtest.NewDisk()
	disk.SetFree(1 << 30)
	at := time.Unix(0, 0)
	store := disk.Open(t, kv.Options{MinFree: 1 << 20, Now: func() time.Time {
		at = at.Add(2 * time.Second) // free space is asked for once a second
		return at
	}})
	clock := newClock(utc("2024-02-10T12:00:10Z"))
	a := openAccess(t, store, clock)
	p := keyOf(t, a, "free", 1, 1)
	if !a.Take(p, clock.millis()).OK {
		t.Fatal("refused")
	}
	call(t, a, p, "GET /a", 200, 25, clock.millis())
	disk.SetFree(1)
	if err := a.flush(clock.millis()); !errors.Is(err, kv.ErrReadOnly) {
		t.Fatal(err)
	}
	disk.SetFree(1 << 30)
	if err := a.flush(clock.millis()); err != nil {
		t.Fatal(err)
	}
	b := openAccess(t, kvtest.CrashClone(t, store, 0), clock)
	if d := b.Take(p, clock.millis()); d.Remaining != 28 {
		t.Errorf("window: %+v", d)
	}
	if m := b.Month(p.Account, p.Plan, clock.millis()); m.Used != 25 {
		t.Errorf("month: %+v", m)
	}
	if _, totals, err := b.UsageOf(p.Key, clock.millis()-1, clock.millis()); err != nil || totals != (Counts{Requests: 1, Credits: 25}) {
		t.Errorf("usage: %+v, %v", totals, err)
	}
}
