package sim

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
	"go.uber.org/goleak"
)

// TestMain looks for leaked goroutines. fasthttp's two house-keepers only sleep and end some seconds after Shutdown.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
}

// inSoak returns the long form of a test's length under HYPERLIGHT_SOAK, else the short one.
func inSoak(long, short time.Duration) time.Duration {
	if os.Getenv("HYPERLIGHT_SOAK") != "" {
		return long
	}
	return short
}

// serve runs a source on a free loopback port until the test ends and returns its address.
func serve(t testing.TB, src Source, o ServeOptions) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := Serve(ctx, ln, src, o); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return ln.Addr().String()
}

// client is a test's socket.
type testClient struct {
	t  testing.TB
	ws *websocket.Conn
}

func dial(t testing.TB, addr string) *testClient {
	t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial("ws://"+addr+"/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.Close() })
	return &testClient{t: t, ws: ws}
}

func (c *testClient) send(text string) {
	c.t.Helper()
	if err := c.ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *testClient) subscribe(channel string) {
	c.send(`{"type":"subscribe","channel":"` + channel + `"}`)
}

// read returns the next frame.
func (c *testClient) read() string {
	c.t.Helper()
	_ = c.ws.SetReadDeadline(time.Now().Add(time.Minute))
	_, msg, err := c.ws.ReadMessage()
	if err != nil {
		c.t.Fatal(err)
	}
	return string(msg)
}

// kind returns a frame's type, "error" for refusals.
func kind(frame string) string {
	var f struct {
		Type  string          `json:"type"`
		Error json.RawMessage `json:"error"`
	}
	if json.Unmarshal([]byte(frame), &f) != nil {
		return "broken"
	}
	if len(f.Error) > 0 {
		return "error"
	}
	return f.Type
}
