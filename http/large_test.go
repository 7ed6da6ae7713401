package http

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/valyala/fasthttp"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// A connection does not keep the room of the largest answer that it ever sent: a thousand of them would take what a
// thousand such answers take at once. What comes next is the same, whatever room it has.
func TestConnectionsKeepNoLargeAnswers(t *testing.T) {
	f, v := newAccountsFixture(t, testOptions{})
	list := []byte(`{"accounts":[`)
	for id := model.AccountID(1000); id < 4000; id++ {
		v.tracker.Polled(&model.Account{ID: id, Index: int64(id), Polled: testNow, Collateral: num.USD(id)})
		list = fmt.Appendf(list, "%d,", id)
	}
	list = append(list, "42]}"...)
	kept := 0
	serve := f.Server.http.Handler
	f.Server.http.Handler = func(ctx *fasthttp.RequestCtx) {
		room := ctx.Response.SwapBody(nil)
		kept = max(kept, cap(room))
		ctx.Response.SwapBody(room)
		serve(ctx)
	}
	var first []byte
	for n := range 6 {
		r := f.send(t, "POST", "/api/v1/accounts/batch", string(list), "X-Request-Id", testRequestID)
		if first == nil {
			first = bytes.Clone(r.Body)
		}
		if len(r.Body) <= keptBody || !bytes.Equal(r.Body, first) {
			t.Fatalf("call %d: %d bytes, the first had %d", n, len(r.Body), len(first))
		}
		if status, e := f.batch(t, "", `{"accounts":[42]}`); status != 200 || len(e.list("accounts")) != 1 {
			t.Errorf("call %d: a small one behind: %d", n, status)
		}
	}
	if kept > keptBody {
		t.Errorf("a connection keeps room for %d bytes", kept)
	}
}
