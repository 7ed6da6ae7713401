package relay

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"hyperlight/engine/sim"
)

// TestAgainstSimulator asks the simulated venue for everything, directly and through the relay, and wants one answer.
func TestAgainstSimulator(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	at := time.Unix(1_700_000_000, 0)
	exchange := sim.New(sim.Options{Seed: 7, Markets: 3, Accounts: 20, Now: func() time.Time { return at }})
	ended := make(chan error, 1)
	go func() {
		ended <- sim.Serve(ctx, ln, exchange, sim.ServeOptions{Limits: sim.Limits{RESTPerMinute: 1_000_000}})
	}()
	defer func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}()
	r := newTestRelay(t, Options{BaseURL: "http://" + ln.Addr().String()})
	direct := &fasthttp.HostClient{Addr: ln.Addr().String(), Dial: func(a string) (net.Conn, error) { return net.DialTimeout("tcp", a, time.Second) }}
	defer direct.CloseIdleConnections()
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	good := 0
	for _, name := range append(strings.Fields(contractReads), strings.Fields(contractWrites)...) {
		for _, query := range []string{"", "?market_id=0&limit=5", "?by=index&value=1", "?market_id=0&resolution=1m&start_timestamp=1699990000&end_timestamp=1700000000&count_back=5",
			"?account_index=1&api_key_index=2", "?market_id=%30&limit=5&auth=1700000100:1:2:abcdef", "?market_id=x&limit=251"} {
			for _, method := range []string{"GET", "POST"} {
				q := get(pathOf(name) + query)
				if method == "POST" {
					q = post(pathOf(name)+query, "tx_type=14&tx_info=%7B%7D&account_index=1")
				}
				req.Reset()
				resp.Reset()
				req.SetRequestURI("http://" + ln.Addr().String() + pathOf(name) + query)
				req.Header.SetMethod(method)
				req.Header.SetContentTypeBytes(q.ContentType)
				req.SetBody(q.Body)
				if err := direct.DoTimeout(req, resp, 5*time.Second); err != nil {
					t.Fatal(err)
				}
				a := r.must(t, q)
				if a.Status != resp.StatusCode() || string(a.Body) != string(resp.Body()) || string(a.ContentType) != string(resp.Header.ContentType()) {
					t.Errorf("%s %s%s: %d %q %.200s, directly %d %q %.200s", method, name, query, a.Status, a.ContentType, a.Body,
						resp.StatusCode(), resp.Header.ContentType(), resp.Body())
				}
				if a.Status == 200 {
					good++
				}
			}
		}
	}
	if good < 50 {
		t.Errorf("only %d good answers: the comparison says little", good)
	}
}
