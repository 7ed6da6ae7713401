package engine_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"hyperlight/config"
	"hyperlight/engine"
	"hyperlight/engine/model"
)

// stuckVenue lists one market and then answers nothing; its stream refuses connections.
func stuckVenue(t *testing.T) (rest, stream string, asked chan struct{}) {
	t.Helper()
	asked = make(chan struct{}, 16)
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/orderBooks") || strings.HasSuffix(r.URL.Path, "/orderBookDetails"):
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"code":200,"order_books":[{"symbol":"ETH","market_id":0,"status":"active","supported_size_decimals":4,"supported_price_decimals":2,"supported_quote_decimals":6}],` +
				`"order_book_details":[{"symbol":"ETH","market_id":0,"status":"active","size_decimals":4,"price_decimals":2,"supported_size_decimals":4,"supported_price_decimals":2,"supported_quote_decimals":6}]}`))
		case strings.HasSuffix(r.URL.Path, "/orderBookOrders"):
			select {
			case asked <- struct{}{}:
			default:
			}
			<-release
		default:
			<-release
		}
	}))
	t.Cleanup(srv.Close)
	t.Cleanup(func() { close(release) })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() // nobody listens there from now on
	return srv.URL, "ws://" + ln.Addr().String() + "/stream", asked
}

func openEngine(t *testing.T, rest, stream string) *engine.Engine {
	t.Helper()
	cfg := config.Default()
	cfg.Venues.Lighter.RESTURL, cfg.Venues.Lighter.StreamURL = rest, stream
	cfg.Venues.Lighter.Enabled = true
	cfg.Venues.Lighter.Timeout = config.Duration(time.Hour) // whoever waits for an answer is found out
	e, err := engine.Open(engine.Options{Store: storeOptions(t.TempDir()), Lighter: cfg.Venues.Lighter, History: cfg.History, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// An engine whose venue is stuck stops at once: no call that a request has started outlives Close.
func TestCloseWhileTheVenueIsStuck(t *testing.T) {
	rest, stream, asked := stuckVenue(t)
	e := openEngine(t, rest, stream)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	var m *model.Market
	for until := time.Now().Add(time.Minute); m == nil; time.Sleep(5 * time.Millisecond) {
		if m, _ = e.Market(0); time.Now().After(until) {
			t.Fatal("the market was not listed")
		}
	}
	answered := make(chan error, 1)
	go func() {
		_, err := e.Book(context.Background(), m)
		answered <- err
	}()
	<-asked
	cancel()
	stuck := time.AfterFunc(time.Minute, func() { panic("the engine waits for a venue that does not answer") })
	if err := <-ended; err != nil {
		t.Errorf("run: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	stuck.Stop()
	if err := <-answered; err == nil {
		t.Error("a book came from nowhere")
	}
	buf := make([]byte, 1<<20)
	if stacks := string(buf[:runtime.Stack(buf, true)]); strings.Contains(stacks, "fetchBookNow") {
		t.Error("a call to the venue outlives the engine")
	}
	if _, err := e.Book(context.Background(), m); err == nil {
		t.Error("a closed engine gives a book")
	}
}

// The gate refuses a read that found no place in two seconds, gives places back, and does not hold callers that left.
func TestGate(t *testing.T) {
	e := openEngine(t, "http://127.0.0.1:1", "ws://127.0.0.1:1/stream")
	defer e.Close()
	var leave []func()
	for range 2 * runtime.GOMAXPROCS(0) {
		l, err := e.Enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		leave = append(leave, l)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Enter(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that left got %v", err)
	}
	began := time.Now()
	_, err := e.Enter(t.Context())
	var refused *model.Error
	if !errors.Is(err, engine.ErrBusy) || !errors.As(err, &refused) || refused.Code != model.CodeServiceUnavailable {
		t.Errorf("a full gate gives %v", err)
	}
	if d := time.Since(began); d < 1900*time.Millisecond || d > 30*time.Second {
		t.Errorf("the refusal took %v", d)
	}
	waiting := make(chan error, 1)
	go func() {
		l, err := e.Enter(context.Background())
		if err == nil {
			l()
		}
		waiting <- err
	}()
	for _, l := range leave {
		l()
	}
	if err := <-waiting; err != nil {
		t.Errorf("a place became free: %v", err)
	}
}
