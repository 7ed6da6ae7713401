package relay

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"hyperlight/engine/feed"
	"hyperlight/engine/model"
)

// TestWeights: what a call takes is max(1, weight/400), rounded up; what the venue counts by account takes one.
func TestWeights(t *testing.T) {
	v := newFakeVenue(t, numbered)
	for target, want := range map[string]int{
		"/": 1, "/api/v1/account": 1, "/api/v1/recentTrades": 2, "/api/v1/trades": 2, "/api/v1/trades?auth=1:2:3:4": 1,
		"/api/v1/referral/get": 8, "/api/v1/transferFeeInfo": 2, "/api/v1/nextNonce": 1, "/api/v1/unheardOf": 1,
		"POST /api/v1/sendTx": 1, "POST /api/v1/sendTxBatch": 1, "POST /api/v1/createIntentAddress": 8, "POST /api/v1/tokens/create": 58,
		"POST /api/v1/unheardOf": 1,
	} {
		for _, anonymous := range []bool{false, true} {
			budget := feed.NewBudget(120, time.Now)
			r := newTestRelay(t, Options{BaseURL: v.url(), Budget: budget})
			q := get(target)
			if rest, ok := strings.CutPrefix(target, "POST "); ok {
				q = post(rest, "a=1")
			}
			q.Anonymous = anonymous
			r.must(t, q)
			if budget.Used() != want {
				t.Errorf("%s takes %d, want %d", target, budget.Used(), want)
			}
		}
	}
	budget := feed.NewBudget(120, time.Now)
	r := newTestRelay(t, Options{BaseURL: v.url(), Budget: budget})
	r.must(t, post("/api/v1/tokens/create", "name=x&auth=1:2:3:4"))
	if budget.Used() != 1 {
		t.Errorf("a form with a token takes %d, want 1", budget.Used())
	}
}

// TestAnonymousTakesHalf: the other half is there for those who signed in.
func TestAnonymousTakesHalf(t *testing.T) {
	v := newFakeVenue(t, numbered)
	budget := feed.NewBudget(6, time.Now)
	r := newTestRelay(t, Options{BaseURL: v.url(), Budget: budget})
	hasty := newTestRelay(t, Options{BaseURL: v.url(), Budget: budget, Timeout: 40 * time.Millisecond}) // for what the budget refuses
	for i := range 6 {
		q := get(fmt.Sprint("/api/v1/account?by=index&value=", i))
		q.Anonymous = true
		if i%2 == 1 {
			q.Authorization = []byte("1:2:3:4")
		}
		if i < 3 {
			r.must(t, q)
			continue
		}
		_, err := hasty.Do(context.Background(), q)
		wantCode(t, err, model.CodeUpstream, "budget")
	}
	for i := range 3 {
		r.must(t, get(fmt.Sprint("/api/v1/account?by=index&value=", 10+i)))
	}
	_, err := hasty.Do(context.Background(), get("/api/v1/account?by=index&value=20"))
	wantCode(t, err, model.CodeUpstream, "budget")
	if n := len(v.calls()); n != 6 {
		t.Errorf("%d calls, want 6", n)
	}
}

func TestAccountBudget(t *testing.T) {
	v := newFakeVenue(t, numbered)
	shared, own := feed.NewBudget(10, time.Now), feed.NewBudget(100, time.Now)
	r := newTestRelay(t, Options{BaseURL: v.url(), Budget: shared, AccountBudget: own})
	for i := range 20 {
		r.must(t, post("/api/v1/sendTx", fmt.Sprint("n=", i)))
	}
	q := post("/api/v1/sendTx", "n=21")
	q.Anonymous = true
	r.must(t, q)
	r.must(t, get("/api/v1/account"))
	if shared.Used() != 2 || own.Used() != 20 {
		t.Errorf("%d shared, %d own, want 2 and 20", shared.Used(), own.Used())
	}
}

// TestVenueSaysTooMany: a refusal for our address closes the budget; one for an account is that account's business.
func TestVenueSaysTooMany(t *testing.T) {
	v := newFakeVenue(t, func(int, heard) string { return reply(429, jsonText, `{"code":23000,"message":"Too Many Requests!"}`) })
	budget := feed.NewBudget(60, time.Now)
	r := newTestRelay(t, Options{BaseURL: v.url(), Budget: budget})
	if a := r.must(t, get("/api/v1/account?auth=1:2:3:4")); a.Status != 429 || budget.Left() != 59 {
		t.Errorf("%d, %d left", a.Status, budget.Left())
	}
	if a := r.must(t, get("/api/v1/account")); a.Status != 429 || budget.Left() != 0 {
		t.Errorf("%d, %d left", a.Status, budget.Left())
	}
}

// TestNeverRepeated: a call that may change something is sent once, whatever becomes of its connection; a read on a kept
// connection that turns out to be closed is sent once more.
func TestNeverRepeated(t *testing.T) {
	for _, how := range []string{"kills at once", "kills the kept one"} {
		v := newFakeVenue(t, func(n int, h heard) string {
			if how == "kills at once" || strings.Contains(h.line, "sendTx") || n == 2 {
				return ""
			}
			return numbered(n, h)
		})
		r := newTestRelay(t, Options{BaseURL: v.url(), Now: newClock().now, CacheBytes: -1})
		if how == "kills the kept one" {
			r.must(t, get("/api/v1/account")) // leaves a connection
			if a := r.must(t, get("/api/v1/account")); string(a.Body) != `{"code":200,"call":3}` {
				t.Errorf("a read was not repeated: %s", a.Body)
			}
		} else if _, err := r.Do(t.Context(), get("/api/v1/account")); err == nil || len(v.calls()) != 2 {
			t.Errorf("%v after %d calls, want an error after 2", err, len(v.calls()))
		}
		for i, path := range []string{"sendTx", "sendTxBatch", "sendTx", "changeAccountTier"} {
			q := post("/api/v1/"+path, fmt.Sprint("n=", i))
			if path == "changeAccountTier" {
				q.Path = []byte("/api/v1/sendTx")
				q.Method = "PUT"
			}
			before := len(v.calls())
			_, err := r.Do(t.Context(), q)
			wantCode(t, err, model.CodeUpstream, "look before you repeat it")
			if n := len(v.calls()) - before; n != 1 {
				t.Errorf("%s, %s %s: sent %d times", how, q.Method, path, n)
			}
		}
	}
}

type fakeLocal struct{ asked []string }

func (l *fakeLocal) Answer(_ context.Context, path string, q *Query) ([]byte, bool) {
	id, _ := q.Get("market_id")
	l.asked = append(l.asked, path+" "+id)
	return []byte(`{"code":200,"local":true}`), path == "orderBooks" && q.Only("market_id", "filter")
}

// TestLocal: what we hold is served before anything else, but only for a plain read of a known operation.
func TestLocal(t *testing.T) {
	v := newFakeVenue(t, numbered)
	budget := feed.NewBudget(60, time.Now)
	l := &fakeLocal{}
	r := newTestRelay(t, Options{BaseURL: v.url(), Budget: budget, Local: l})
	for range 3 {
		a := r.must(t, get("/api/v1/orderBooks?market_id=%31&api_key=x"))
		if a.Cache.String() != "LOCAL" || a.Status != 200 || string(a.ContentType) != jsonText || string(a.Body) != `{"code":200,"local":true}` {
			t.Errorf("%s %d %s %s", a.Cache, a.Status, a.ContentType, a.Body)
		}
	}
	if budget.Used() != 0 || len(v.calls()) != 0 || l.asked[0] != "orderBooks 1" {
		t.Errorf("used %d, %d calls, asked %v", budget.Used(), len(v.calls()), l.asked)
	}
	l.asked = nil
	for _, target := range []string{
		"/api/v1/orderBooks?market_id=1&market_id=2", "/api/v1/orderBooks?market_id=1&Market_id=2", "/api/v1/orderBooks?market_id=%zz",
		"/api/v1/orderBooks?market_id=1;x=2", "/api/v1/orderBooks?%6darket_id=1", "/api/v1/orderBooks?auth=1:2:3:4", "/api/v1/unheardOf",
		"/api/v1/nextNonce", "/", "/info", "/api/v1/order%42ooks",
	} {
		if a := r.must(t, get(target)); a.Cache == LocalAnswer {
			t.Errorf("%s was answered locally", target)
		}
	}
	if a := r.must(t, post("/api/v1/orderBooks", "")); a.Cache == LocalAnswer || len(l.asked) != 0 {
		t.Errorf("%s, asked %v", a.Cache, l.asked)
	}
}

// TestMetrics: whatever is asked, the labels come from the table.
func TestMetrics(t *testing.T) {
	v := newFakeVenue(t, func(_ int, h heard) string {
		if strings.Contains(h.line, "secretName") {
			return reply(777, jsonText, "{}")
		}
		return reply(404, jsonText, "{}")
	})
	r := newTestRelay(t, Options{BaseURL: v.url()})
	for _, target := range []string{"/", "/info", "/api/v1/deposit/latest", "/api/v1/secretName", "/api/v1/secret%4eame"} {
		if _, err := r.Do(t.Context(), get(target)); err != nil && !strings.Contains(target, "ecret") {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	metrics.WritePrometheus(&b, false)
	for _, want := range []string{`endpoint="root",status="404"`, `endpoint="info",status="404"`, `endpoint="deposit/latest",status="404"`,
		`endpoint="other",status="other"`, `hyperlight_cache_misses_total{cache="relay"}`, `hyperlight_cache_bytes{cache="relay"}`} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(b.String(), "ecret") {
		t.Error("a path that the table does not know became a label")
	}
}
