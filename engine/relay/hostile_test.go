package relay

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hyperlight/engine/feed"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

// Clients of the venue put its token into the header, or into a member that is called auth or, as its generated
// TypeScript client does, authorization. Wherever it stands the answer is its owner's alone.
func TestAuthorizationMemberIsNativeAuth(t *testing.T) {
	v := newFakeVenue(t, numbered)
	r := newTestRelay(t, Options{BaseURL: v.url()})
	const token = "1777000000:123:4:ABCdef0123"
	for i, query := range []string{
		"authorization=" + token, "Authorization=" + token, "%61uthorization=" + token, "by=index&authorization=" + token + "&value=1",
		"authorization%5B%5D=" + token, "a=1;authorization=" + token,
	} {
		first, again := r.must(t, get("/api/v1/account?"+query)), r.must(t, get("/api/v1/account?"+query))
		calls := v.calls()
		if len(calls) != 2*i+2 || string(first.Body) == string(again.Body) || first.Cache != None || again.Cache != None {
			t.Errorf("%s: shared or kept (%s, %s)", query, first.Cache, again.Cache)
		}
		if got := calls[len(calls)-1].target(); got != "/api/v1/account?"+query {
			t.Errorf("%s left as %s", query, got)
		}
	}
	if size, n := r.shelf.held(); n != 0 {
		t.Errorf("%d answers in %d bytes are kept", n, size)
	}
	for body, want := range map[string]bool{"authorization=" + token: true, "a=1&authorization=x": true, "auth=x": true, "xauthorization=x": false} {
		if _, got := formAuth([]byte("application/x-www-form-urlencoded"), []byte(body)); got != want {
			t.Errorf("form %s: signed %v", body, got)
		}
	}
}

// A token of ours stays here with the scheme's word in front of it too, and a key of ours leaves neither in a body, nor
// in a path, nor in a header that is passed on.
func TestCredentialsInOddPlaces(t *testing.T) {
	v := newFakeVenue(t, numbered)
	r := newTestRelay(t, Options{BaseURL: v.url()})
	for _, query := range []string{
		"authorization=Bearer+" + secretJWT, "authorization=Bearer%20" + secretJWT, "authorization=bearer%2520" + secretJWT, "auth=+" + secretJWT,
		"authorization=Bearer+" + secretKey, "authorization=" + secretJWT,
	} {
		r.must(t, get("/api/v1/nextNonce?"+query+"&a=1"))
		calls := v.calls()
		if got := calls[len(calls)-1].target(); got != "/api/v1/nextNonce?a=1" {
			t.Errorf("%s left as %s", query, got)
		}
	}
	before := len(v.calls())
	for _, q := range []*Request{
		post("/api/v1/sendTx", "tx_type=14&api_key="+secretKey), post("/api/v1/sendTx", `{"auth":"Bearer `+secretKey+`"}`),
		get("/api/v1/account/" + secretKey), get("/api/v1/" + escaped(secretKey, 1)),
	} {
		_, err := r.Do(t.Context(), q)
		wantCode(t, err, model.CodeBadRequest, "")
	}
	if n := len(v.calls()); n != before {
		t.Errorf("%d of them left", n-before)
	}
	q := post("/api/v1/sendTx", "a=1")
	q.Accept, q.ContentType = []byte(secretKey), []byte("text/plain; x="+secretKey)
	r.must(t, q)
	for _, h := range v.calls() {
		if raw := h.line + h.head + h.body; strings.Contains(raw, secretKey[4:]) || strings.Contains(raw, secretJWT) {
			t.Errorf("a credential left: %q", raw)
		}
	}
	// A body that only looks a little like it is the venue's business.
	r.must(t, post("/api/v1/sendTx", "memo=hlt_"+strings.Repeat("0", 47)))
}

// What a venue, or who stands in for it, says of the connection between it and us is not passed on: a client or a proxy
// in front would take 101 for a change of protocols, and wait for more after 100.
func TestOddStatuses(t *testing.T) {
	status := 0
	v := newFakeVenue(t, func(int, heard) string {
		return fmt.Sprintf("HTTP/1.1 %d Odd\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", status)
	})
	r := newTestRelay(t, Options{BaseURL: v.url(), Timeout: 200 * time.Millisecond}) // after 100 and the like more is waited for
	for _, status = range []int{101, 102, 199, 0, 1, 99, 600, 999, 1000} {
		got, err := r.Do(t.Context(), get("/api/v1/nextNonce"))
		if err == nil {
			t.Errorf("%d is passed on as %d", status, got.Status)
			continue
		}
		wantCode(t, err, model.CodeUpstream, "")
	}
	r = newTestRelay(t, Options{BaseURL: v.url()})
	for _, status = range []int{200, 204, 301, 304, 404, 418, 599} {
		if got, err := r.Do(t.Context(), get("/api/v1/nextNonce")); err != nil || got.Status != status {
			t.Errorf("%d: %v, %v", status, got, err)
		}
	}
}

// slowHistory is a record that is read for as long as it is let.
type slowHistory struct{ LocalHistory }

func (slowHistory) Covered(ctx context.Context, _ model.Kind, _ model.MarketID, _ history.Span) (start, end model.Millis, complete, held bool, err error) {
	<-ctx.Done()
	return 0, 0, false, false, ctx.Err()
}

func (slowHistory) Coverage(ctx context.Context, _ model.Kind, _ model.MarketID, _ history.Span) ([]history.Interval, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (slowHistory) Fundings(ctx context.Context, _ model.MarketID, _ history.Span) iter.Seq2[history.FundingRow, error] {
	return func(yield func(history.FundingRow, error) bool) {
		<-ctx.Done()
		yield(history.FundingRow{}, ctx.Err())
	}
}

// The relay's callers have no deadline of their own: reads of the record for whoever asks must end all the same, or a
// few of them would hold the gate that everybody's history reads pass.
func TestLocalReadsEnd(t *testing.T) {
	r := newLocalRig(t, 1)
	var entered atomic.Int64
	slow := NewLocal(LocalOptions{Markets: r.markets, History: slowHistory{}, Live: r.live, Polled: r.polled, Now: r.now,
		Enter: func(context.Context) (func(), error) {
			entered.Add(1)
			return func() { entered.Add(-1) }, nil
		}})
	r.clock.Store(int64(localBegin) + 10*3_600_000)
	span := fmt.Sprintf("market_id=0&resolution=1h&start_timestamp=%d&end_timestamp=%d&count_back=1", localBegin, localBegin+5*hour)
	done := make(chan bool, 3)
	for call, query := range map[string]string{"candles": span, "fundings": span, "recentTrades": "market_id=0&limit=100"} {
		go func() {
			_, ok := slow.Answer(context.Background(), call, ParseQuery([]byte(query)))
			done <- ok
		}()
	}
	for range 3 {
		select {
		case ok := <-done:
			if ok {
				t.Error("what nobody read was answered")
			}
		case <-time.After(time.Minute):
			t.Fatal("the record is read without end")
		}
	}
	if n := entered.Load(); n != 0 {
		t.Errorf("%d are still behind the gate", n)
	}
}

// What calls itself signed but is not takes from the budget of our address: the venue has no account to count it against,
// and a client that invents tokens must not get our address banned.
func TestInventedTokensTakeFromTheAddress(t *testing.T) {
	v := newFakeVenue(t, func(_ int, h heard) string {
		if strings.Contains(h.line, "dead") {
			return reply(400, jsonText, `{"code":20013,"message":"invalid auth"}`)
		}
		return reply(200, jsonText, `{"code":200}`)
	})
	for _, c := range []struct {
		q                *Request
		address, account int
	}{
		{get("/api/v1/account?auth=garbage"), 1, 0},
		{get("/api/v1/account?auth="), 1, 0},
		{get("/api/v1/tokens?auth=garbage"), 8, 0},
		{post("/api/v1/tokens/create", "auth=garbage"), 58, 0},
		{get("/api/v1/account?auth=1777000000:1:2:abcd"), 0, 1},
		{get("/api/v1/account?authorization=1777000000%3A1%3A2%3Aabcd"), 0, 1},
		{post("/api/v1/tokens/create", "auth=ro%3A5%3Aall%3A1777000000%3Aab"), 0, 1},
		{post("/api/v1/sendTx", "tx_type=1"), 0, 1},
		{get("/api/v1/tokens?auth=1777000000:1:2:dead"), 8, 1},
	} {
		address, account := feed.NewBudget(60, time.Now), feed.NewBudget(60, time.Now)
		r := newTestRelay(t, Options{BaseURL: v.url(), Budget: address, AccountBudget: account})
		r.must(t, c.q)
		if address.Used() != c.address || account.Used() != c.account {
			t.Errorf("%s %s %s: %d of the address and %d by account, want %d and %d", c.q.Path, c.q.Query, c.q.Body, address.Used(), account.Used(), c.address, c.account)
		}
	}
	b := feed.NewBudget(10, time.Now)
	b.Charge(7)
	if b.Charge(7); b.Used() != 10 {
		t.Errorf("charged beyond the allowance: %d", b.Used())
	}
}
