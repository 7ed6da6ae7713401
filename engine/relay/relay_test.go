package relay

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"hyperlight/engine/model"
)

// contractReads and contractWrites are the 78 native operations of the contract (7.3).
const (
	contractReads = `/ /info account accountActiveOrders accountInactiveOrders accountLimits accountMetadata accountTxs
		accountsByL1Address announcement apikeys assetDetails block blockTxs blocks candles currentHeight deposit/history
		deposit/latest deposit/networks exchangeMetrics exchangeStats executeStats export fastbridge/info fastwithdraw/info
		funding-rates fundings getMakerOnlyApiKeys l1Metadata layer1BasicInfo leaseOptions leases liquidations nextNonce
		orderBookDetails orderBookOrders orderBooks partnerStats pnl positionFunding publicPoolsMetadata recentTrades
		referral/get referral/points referral/userReferrals rfq/get rfq/list syntheticSpotInfo systemConfig tokenlist tokens
		trades transfer/history transferFeeInfo tx txFromL1TxHash txs withdraw/history withdrawalDelay`
	contractWrites = `changeAccountTier createIntentAddress fastwithdraw litLease notification/ack referral/create
		referral/kickback/update referral/update referral/use rfq/create rfq/respond rfq/update sendTx sendTxBatch
		setAccountMetadata setMakerOnlyApiKeys tokens/create tokens/revoke`
)

func pathOf(name string) string {
	if name[0] == '/' {
		return name
	}
	return apiPrefix + name
}

// TestPassThrough sends every native operation with answers of every kind and wants them back byte for byte.
func TestPassThrough(t *testing.T) {
	answers := []struct {
		status    int
		typ, body string
	}{
		{status: 200, typ: jsonText, body: `{"code":200,"a":0.10,"b":"\u00e9 ` + "\xff\x00" + `"}` + "\n"},
		{status: 200, typ: "", body: "no type"},
		{status: 200, typ: "application/json", body: ""},
		{status: 400, typ: "application/json", body: `{"code":21100,"message":"account not found "}`},
		{status: 401, typ: "application/json", body: `{"code":20013,"message":"invalid auth"}`},
		{status: 403, typ: "text/html", body: "<html>\r\n<h1>403 Forbidden</h1></html>\r\n"},
		{status: 404, typ: "text/plain", body: "nothing"},
		{status: 500, typ: "application/json", body: `{"code":29500,"message":"internal"}`},
		{status: 503, typ: "text/html; charset=UTF-8", body: "<html></html>"},
		{status: 599, typ: "application/octet-stream", body: "\x00\x01\x02"},
	}
	turn := 0
	v := newFakeVenue(t, func(int, heard) string { a := answers[turn]; return reply(a.status, a.typ, a.body) })
	r := newTestRelay(t, Options{BaseURL: v.url(), CacheBytes: -1})
	reads, writes := strings.Fields(contractReads), strings.Fields(contractWrites)
	if len(reads)+len(writes) != 78 {
		t.Fatalf("%d operations, want 78", len(reads)+len(writes))
	}
	for i, name := range append(reads, writes...) {
		turn = i % len(answers)
		want := answers[turn]
		q := get(pathOf(name) + "?b=2&a=%31&a=x+y&empty=")
		if i >= len(reads) {
			q = post(pathOf(name)+"?b=2", "tx_type=14&tx_info=%7B%22a%22%3A1%7D\x00\xff")
		}
		a := r.must(t, q)
		if a.Status != want.status || string(a.ContentType) != want.typ || string(a.Body) != want.body {
			t.Errorf("%s: %d %q %q, want %d %q %q", name, a.Status, a.ContentType, a.Body, want.status, want.typ, want.body)
		}
		calls := v.calls()
		h := calls[len(calls)-1]
		if h.line != q.Method+" "+string(q.Path)+"?"+string(q.Query)+" HTTP/1.1" || h.body != string(q.Body) {
			t.Errorf("%s: heard %q %q", name, h.line, h.body)
		}
		if e := endpointOf(q.Method == "GET", q.Path); e.name != name {
			t.Errorf("%s is %q in the table", name, e.name)
		}
	}
}

func TestOtherMethods(t *testing.T) {
	v := newFakeVenue(t, numbered)
	r := newTestRelay(t, Options{BaseURL: v.url() + "/base"})
	for _, method := range []string{"PUT", "PATCH", "DELETE", "POST"} {
		for range 2 {
			q := post("/api/v1/anything?x=1", "abc")
			q.Method = method
			q.ContentType = nil
			if a := r.must(t, q); a.Cache.String() != "MISS" {
				t.Errorf("%s: %s", method, a.Cache)
			}
		}
	}
	if n := len(v.calls()); n != 8 {
		t.Errorf("%d calls, want 8", n)
	}
	for _, h := range v.calls() {
		if _, n := h.header("Content-Type"); n != 0 || h.target() != "/base/api/v1/anything?x=1" || h.body != "abc" {
			t.Errorf("heard %q %q", h.line, h.head)
		}
	}
	for _, method := range []string{"OPTIONS", "TRACE", "CONNECT", "get", "GET /x HTTP/1.1\r\nX: y\r\n\r\nGET", ""} {
		q := get("/api/v1/orderBooks")
		q.Method = method
		_, err := r.Do(t.Context(), q)
		wantCode(t, err, model.CodeMethodNotAllowed, "GET")
	}
	q := get("/api/v1/orderBooks")
	q.Body = []byte("fat")
	_, err := r.Do(t.Context(), q)
	wantCode(t, err, model.CodeBadRequest, "body")
}

// TestHeadersAreBuilt looks at everything that stands in the head of what leaves.
func TestHeadersAreBuilt(t *testing.T) {
	v := newFakeVenue(t, numbered)
	r := newTestRelay(t, Options{BaseURL: v.url()})
	q := get("/api/v1/orderBooks")
	q.Accept, q.ContentType = []byte("text/html"), []byte("text/css")
	r.must(t, q)
	p := post("/api/v1/sendTx", "a=1")
	p.Accept, p.Authorization = []byte("application/json"), []byte("1700000000:7:2:abcdef")
	r.must(t, p)
	evil := post("/api/v1/sendTx", "a=1")
	evil.Accept = []byte("x\r\nX-Injected: 1")
	evil.ContentType = []byte("x\r\nX-Injected: 1")
	evil.Authorization = []byte("1:2:3:4\r\nX-Injected: 1")
	r.must(t, evil)
	for i, want := range []map[string]string{
		{"Host": "", "User-Agent": "hyperlight/test", "Accept-Encoding": "gzip", "Accept": "*/*"},
		{"Host": "", "User-Agent": "hyperlight/test", "Accept-Encoding": "gzip", "Accept": "application/json",
			"Authorization": "1700000000:7:2:abcdef", "Content-Type": "application/x-www-form-urlencoded", "Content-Length": "3"},
		{"Host": "", "User-Agent": "hyperlight/test", "Accept-Encoding": "gzip", "Accept": "*/*", "Content-Length": "3"},
	} {
		h := v.calls()[i]
		if n := strings.Count(h.head, "\r\n"); n != len(want) {
			t.Errorf("call %d: %d headers, want %d: %q", i, n, len(want), h.head)
		}
		for name, value := range want {
			if got, n := h.header(name); n != 1 || value != "" && got != value {
				t.Errorf("call %d: %s %q (%d times), want %q", i, name, got, n, value)
			}
		}
	}
}

func TestUpstreamEncodings(t *testing.T) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write([]byte(`{"code":200,"packed":true}`)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var megabyte bytes.Buffer
	w = gzip.NewWriter(&megabyte)
	if _, err := w.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	bomb := strings.Repeat(megabyte.String(), 40) // members of one stream
	encoded := func(encoding, body string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s", encoding, len(body), body)
	}
	for name, c := range map[string]struct{ raw, body, fails string }{
		"gzip":    {raw: encoded("gzip", packed.String()), body: `{"code":200,"packed":true}`},
		"damaged": {raw: encoded("gzip", packed.String()[:20]), fails: "again"},
		"unknown": {raw: encoded("snappy", "x"), fails: "again"},
		"bomb":    {raw: encoded("gzip", bomb), fails: "32 MiB"},
		"chunked": {raw: "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"c\r\n6\r\node\":0\r\n1\r\n}\r\n0\r\n\r\n", body: `{"code":0}`},
		"cookie":  {raw: "HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", body: "{}"},
		"claims":  {raw: "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nx", fails: "32 MiB"},
		"garbage": {raw: "\x00\x01\x02\r\n\r\n", fails: "again"},
	} {
		t.Run(name, func(t *testing.T) {
			v := newFakeVenue(t, func(int, heard) string { return c.raw })
			r := newTestRelay(t, Options{BaseURL: v.url()})
			a, err := r.Do(t.Context(), get("/api/v1/nextNonce?a=1"))
			if c.body == "" {
				wantCode(t, err, model.CodeUpstream, c.fails)
				return
			}
			if err != nil || string(a.Body) != c.body {
				t.Errorf("%v, %v", a, err)
			}
		})
	}
}

func TestLargeAnswer(t *testing.T) {
	large := `{"code":200,"x":"` + strings.Repeat("y", 31<<20) + `"}`
	v := newFakeVenue(t, func(int, heard) string { return reply(200, jsonText, large) })
	r := newTestRelay(t, Options{BaseURL: v.url()})
	for range 2 {
		if a := r.must(t, get("/api/v1/orderBooks")); string(a.Body) != large || a.Cache != Miss {
			t.Errorf("%d bytes, %s: more than an eighth of the cache must not be kept", len(a.Body), a.Cache)
		}
	}
}

// TestRedirectsAreNotFollowed: what another host would answer is not the venue's, and it would see the token.
func TestRedirectsAreNotFollowed(t *testing.T) {
	other := newFakeVenue(t, numbered)
	v := newFakeVenue(t, func(int, heard) string {
		return "HTTP/1.1 302 Found\r\nLocation: " + other.url() + "/api/v1/orderBooks\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nmoved"
	})
	r := newTestRelay(t, Options{BaseURL: v.url()})
	q := get("/api/v1/orderBooks")
	q.Authorization = []byte("1:2:3:4")
	if a := r.must(t, q); a.Status != 302 || string(a.Body) != "moved" {
		t.Errorf("%d %q", a.Status, a.Body)
	}
	if len(other.calls()) != 0 {
		t.Error("followed")
	}
}

func TestTimeouts(t *testing.T) {
	hold := make(chan struct{})
	defer close(hold)
	v := newFakeVenue(t, func(int, heard) string { <-hold; return "" })
	r := newTestRelay(t, Options{BaseURL: v.url(), Timeout: 500 * time.Millisecond})
	_, err := r.Do(context.Background(), get("/api/v1/orderBooks"))
	wantCode(t, err, model.CodeUpstream, "in time")
	_, err = r.Do(context.Background(), post("/api/v1/sendTx", "x=1"))
	wantCode(t, err, model.CodeUpstream, "may have been carried out")
	if n := len(v.calls()); n > 2 {
		t.Errorf("%d calls, want 2", n)
	}
}

// TestDrip: an answer that comes byte by byte must not hold a call beyond its time.
func TestDrip(t *testing.T) {
	stop := make(chan struct{})
	ln := newFakeVenue(t, func(int, heard) string { return "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx" })
	defer close(stop)
	r := newTestRelay(t, Options{BaseURL: ln.url(), Timeout: 80 * time.Millisecond})
	drip := time.NewTicker(20 * time.Millisecond)
	defer drip.Stop()
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-drip.C:
				ln.mu.Lock()
				for c := range ln.conns {
					_, _ = c.Write([]byte("x"))
				}
				ln.mu.Unlock()
			}
		}
	}()
	began := time.Now()
	_, err := r.Do(context.Background(), get("/api/v1/orderBooks"))
	wantCode(t, err, model.CodeUpstream, "in time")
	if took := time.Since(began); took > 15*time.Second { // the whole answer takes 20 s
		t.Errorf("took %v", took)
	}
}

func TestOptions(t *testing.T) {
	for _, base := range []string{"", "mainnet.example", "ftp://x", "http://", "http://u:p@x", "http://x?y=z", "http://x#y", "://"} {
		if r, err := New(Options{BaseURL: base}); err == nil {
			r.Close()
			t.Errorf("base URL %q accepted", base)
		}
	}
}
