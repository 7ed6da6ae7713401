package feedtest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/VictoriaMetrics/metrics.summariesSwapCron"))
}

// startVenue serves n numbered book updates to each connection, then hangs up, or repeats what it hears; its REST answers {}.
func startVenue(t *testing.T, n int, hangUp bool) (streamURL, restURL string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	mux := http.NewServeMux()
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		conns.Add(1)
		defer conns.Done()
		c, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		for i := range n {
			_ = c.WriteMessage(websocket.TextMessage, []byte(fmt.Sprintf(`{"n":%d,"type":"update/order_book"}`, i)))
		}
		for !hangUp {
			_, msg, err := c.ReadMessage()
			if err != nil {
				return
			}
			_ = c.WriteMessage(websocket.TextMessage, msg)
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "{}") })
	server := &http.Server{Handler: mux}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(ln) }()
	t.Cleanup(func() { _ = server.Close(); <-done; conns.Wait() })
	return "ws://" + ln.Addr().String() + "/stream", "http://" + ln.Addr().String()
}

// collect reads frames from the proxy until there are so many, the socket ends, or nothing comes for a while.
func collect(t *testing.T, p *Proxy, most int, quiet time.Duration) (frames []string, err error) {
	c, _, err := websocket.DefaultDialer.Dial(p.StreamURL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for len(frames) < most {
		_ = c.SetReadDeadline(time.Now().Add(quiet))
		_, msg, err := c.ReadMessage()
		if err != nil {
			return frames, err
		}
		frames = append(frames, string(msg))
	}
	return frames, nil
}

func start(t *testing.T, n int, hangUp bool, f Faults, seed uint64) *Proxy {
	stream, rest := startVenue(t, n, hangUp)
	p, err := NewProxy(stream, rest, f, seed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func TestProxyPasses(t *testing.T) {
	p := start(t, 50, true, Faults{}, 1)
	frames, _ := collect(t, p, 100, time.Minute)
	if len(frames) != 50 || !slices.IsSorted(frames[:10]) || len(p.Log()) != 0 {
		t.Errorf("%d frames, log %v", len(frames), p.Log())
	}
}

func TestProxyFaults(t *testing.T) {
	const n = 400
	count := func(p *Proxy, frames []string) (whole, cut, repeated, disorder int) {
		last, seen := -1, map[string]bool{}
		for _, f := range frames {
			var i int
			if !strings.HasSuffix(f, "}") {
				cut++
				continue
			}
			_, _ = fmt.Sscanf(f, `{"n":%d,`, &i)
			if seen[f] {
				repeated++
				continue
			}
			seen[f] = true
			whole++
			if i < last {
				disorder++
			}
			last = max(last, i)
		}
		return whole, cut, repeated, disorder
	}
	f := Faults{Drop: 0.05, Duplicate: 0.05, Reorder: 0.05, Corrupt: 0.05}
	p := start(t, n, true, f, 7)
	frames, _ := collect(t, p, 2*n, time.Minute)
	whole, cut, repeated, disorder := count(p, frames)
	c := p.Counts()
	if c[Drop] == 0 || c[Duplicate] == 0 || c[Reorder] == 0 || c[Corrupt] == 0 {
		t.Fatalf("faults %v", c)
	}
	// A frame held back at the very end never comes.
	if missing := n - c[Drop] - c[Corrupt] - whole; missing < 0 || missing > 1 || cut != c[Corrupt] || repeated != c[Duplicate] || disorder == 0 {
		t.Errorf("whole %d, cut %d, repeated %d, disorder %d, faults %v", whole, cut, repeated, disorder, c)
	}
	again, _ := collect(t, start(t, n, true, f, 7), 2*n, time.Minute)
	if !slices.Equal(frames, again) {
		t.Error("the same seed does something else")
	}
}

func TestProxyBreaks(t *testing.T) {
	p := start(t, 3, false, Faults{Disconnect: 1}, 3)
	if frames, err := collect(t, p, 3, time.Minute); len(frames) > 0 || err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("%d frames, %v", len(frames), err)
	}
	p.SetFaults(Faults{HalfOpen: 1})
	if frames, err := collect(t, p, 3, 300*time.Millisecond); len(frames) > 0 || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("%d frames, %v", len(frames), err)
	}
	p.SetFaults(Faults{Stall: 1, StallFor: 200 * time.Millisecond})
	began := time.Now()
	if frames, _ := collect(t, p, 3, time.Minute); len(frames) != 3 || time.Since(began) < 400*time.Millisecond {
		t.Errorf("%d frames in %v", len(frames), time.Since(began))
	}
	if c := p.Counts(); c[Disconnect] == 0 || c[HalfOpen] != 1 || c[Stall] == 0 {
		t.Errorf("faults %v", c)
	}
}

func TestProxyREST(t *testing.T) {
	p := start(t, 0, false, Faults{}, 1)
	get := func() (int, string) {
		req, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, p.RESTURL()+"/api/v1/orderBooks", nil)
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b)
	}
	if code, body := get(); code != 200 || body != "{}" {
		t.Errorf("%d %s", code, body)
	}
	p.SetFaults(Faults{TooMany: 1})
	if code, body := get(); code != 429 || !strings.Contains(body, "23000") {
		t.Errorf("%d %s", code, body)
	}
	p.SetFaults(Faults{HTML: 1})
	if code, body := get(); code != 403 || !strings.HasPrefix(body, "<html>") {
		t.Errorf("%d %s", code, body)
	}
	if c := p.Counts(); c[TooMany] != 1 || c[HTML] != 1 {
		t.Errorf("faults %v", c)
	}
}
