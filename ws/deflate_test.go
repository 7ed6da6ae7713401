package ws

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
	"github.com/klauspost/compress/flate"
	"pgregory.net/rapid"

	"hyperlight/bench"
	"hyperlight/engine/model"
)

func TestDeflateOffers(t *testing.T) {
	for header, want := range map[string]string{
		"":                   "",
		"permessage-deflate": deflateAnswer,
		"permessage-deflate; client_max_window_bits":                                        deflateAnswer,
		"permessage-deflate;client_max_window_bits=9;server_no_context_takeover":            deflateAnswer,
		"permessage-deflate; server_max_window_bits=15":                                     deflateAnswer + "; server_max_window_bits=15",
		`permessage-deflate; server_max_window_bits="15"`:                                   deflateAnswer + "; server_max_window_bits=15",
		"permessage-deflate; server_max_window_bits=10":                                     "",
		"permessage-deflate; server_max_window_bits=10, permessage-deflate":                 deflateAnswer,
		"permessage-deflate; server_max_window_bits":                                        "",
		"permessage-deflate; client_max_window_bits=7":                                      "",
		"permessage-deflate; client_max_window_bits=16":                                     "",
		"permessage-deflate; server_no_context_takeover=1":                                  "",
		"permessage-deflate; server_no_context_takeover; server_no_context_takeover":        "",
		"permessage-deflate; unknown":                                                       "",
		"permessage-deflate-2":                                                              "",
		"x-webkit-deflate-frame, permessage-deflate; client_max_window_bits, something=1;x": deflateAnswer,
	} {
		if got := acceptDeflate(header); got != want {
			t.Errorf("%q is answered with %q, want %q", header, got, want)
		}
	}
}

// countingConn counts what a client reads.
type countingConn struct {
	net.Conn
	n atomic.Int64
}

func (c *countingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.n.Add(int64(n))
	return n, err
}

func (h *harness) packed(t testing.TB) (*client, *countingConn) {
	t.Helper()
	var counted *countingConn
	d := websocket.Dialer{EnableCompression: true, NetDial: func(network, addr string) (net.Conn, error) {
		c, err := net.Dial(network, addr)
		counted = &countingConn{Conn: c}
		return counted, err
	}}
	conn, resp, err := d.Dial("ws://"+h.addr+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if got := resp.Header.Get("Sec-WebSocket-Extensions"); got != deflateAnswer {
		t.Fatalf("the offer was answered with %q", got)
	}
	c := &client{t, conn}
	c.expect("authenticated")
	return c, counted
}

// Two clients get the same texts, whether compressed or not; in every format, also what is resumed.
func TestCompressedSaysTheSame(t *testing.T) {
	h := serve(t, Options{Compression: true})
	k := newMaker(h.s.Hub(), 0)
	var levels []model.Level
	for i := range 500 {
		levels = append(levels, level(5_000-i, 1+i*i))
	}
	k.snapshot(levels...)
	for _, as := range []string{"typed", "data"} {
		plain := h.local("/ws")
		packed, read := h.packed(t)
		var acks [2]frame
		for i, c := range []*client{plain, packed} {
			c.say(`{"type":"auth","format":%q}`, as)
			c.expect("authenticated")
			c.say(`{"type":"subscribe","channel":"order_book/0"}`)
			acks[i] = c.expect("subscribed")
		}
		before, long := read.n.Load(), 0
		for i := range 20 {
			p, q := plain.read(), packed.read()
			if p.raw != q.raw {
				t.Fatalf("the compressed one is\n%.200s\nthe plain one\n%.200s", q.raw, p.raw)
			}
			long += len(p.raw)
			k.update(levels[i*10 : i*20+1]...)
		}
		if got := int(read.n.Load() - before); got > long/2 {
			t.Errorf("%d bytes of text took %d on the wire", long, got)
		}
		packed.say(`{"type":"subscribe","channel":"order_book/0","since":{"epoch":%q,"seq":%d}}`, acks[1].Epoch, acks[1].Seq+1)
		for packed.read().Type != "subscribed" {
		}
		if f := packed.read(); f.Seq != acks[1].Seq+2 {
			t.Errorf("resumed with %.200s", f.raw)
		}
	}
}

func TestFramesAreCompressedOnce(t *testing.T) {
	big := newFrame([]byte(strings.Repeat(`{"a":1}`, 300)))
	small := newFrame([]byte(`{"type":"pong"}`))
	f := &Frame{typed: append(append([]byte(nil), big...), small...), more: 1}
	one, two := f.bytes(typed|deflated), f.bytes(wrapped|deflated)
	if &one[0] != &two[0] {
		t.Error("compressed twice")
	}
	if one[0]&deflatedBit == 0 || len(one) > len(big)/4 || !bytes.HasSuffix(one, small) {
		t.Errorf("%d bytes of %d, first byte %x", len(one), len(big), one[0])
	}
	if &f.bytes(typed)[0] != &f.typed[0] {
		t.Error("plain receivers get something else")
	}
	if s := (&Frame{typed: small}); &s.bytes(deflated)[0] != &small[0] {
		t.Error("a small message was compressed")
	}
}

func TestDeflateInflates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var plain []byte
		var texts []string
		for range rapid.IntRange(1, 4).Draw(t, "messages") {
			text := strings.Repeat(rapid.StringN(1, 20, -1).Draw(t, "text"), rapid.IntRange(1, 5000).Draw(t, "times"))
			texts = append(texts, text)
			plain = append(plain, newFrame([]byte(text))...)
		}
		out := deflate(plain)
		for _, want := range texts {
			n := frameLen(out)
			payload := out[n-payloadLen(out) : n]
			if out[0]&deflatedBit != 0 {
				r := flate.NewReader(io.MultiReader(bytes.NewReader(payload), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff")))
				var err error
				if payload, err = io.ReadAll(r); err != nil {
					t.Fatal(err)
				}
			} else if len(want) >= 10*deflateFrom {
				t.Fatalf("%d bytes that repeat themselves are plain", len(want))
			}
			if string(payload) != want {
				t.Fatalf("got %.100q, want %.100q", payload, want)
			}
			out = out[n:]
		}
	})
}

// The limit of a client's message counts what it inflates to.
func TestInflatedBytesAreLimited(t *testing.T) {
	// To deflate fifty megabytes takes a busy machine seconds: the server must not hang up on who is not done with it.
	h := serve(t, Options{Compression: true, Limits: Limits{CloseTimeout: time.Minute}})
	c, _ := h.packed(t)
	pad := 64<<10 - len(`{"type":"ping","pad":""}`)
	c.say(`{"type":"ping","pad":"%s"}`, strings.Repeat("x", pad))
	c.expect("pong")
	c.say(`{"type":"ping","pad":"%s"}`, strings.Repeat("x", pad+1))
	c.expectClose(closeTooBig)
	c, _ = h.packed(t)
	c.say("%s", strings.Repeat(" ", 50<<20)) // fifty megabytes in fifty kilobytes
	c.expectClose(closeTooBig)
	// What inflates to nothing is limited too: empty blocks without end.
	c, _ = h.packed(t)
	raw := c.conn.NetConn()
	piece := bytes.Repeat([]byte{0, 0, 0, 0xff, 0xff}, 10_000)
	go func() {
		head := []byte{deflatedBit | opText, 0x80 | payload16, byte(len(piece) >> 8), byte(len(piece)), 0, 0, 0, 0}
		for range 10 { // the server hangs up in between
			if _, err := raw.Write(append(head, piece...)); err != nil {
				return
			}
			head[0] = 0 // a continuation
		}
	}()
	for {
		if _, err := c.next(); err != nil {
			if websocket.IsCloseError(err, int(closeTooBig)) || !strings.Contains(err.Error(), "timeout") {
				return
			}
			t.Fatalf("ended with %v", err)
		}
	}
}

func TestBrokenCompressedDataCloses(t *testing.T) {
	h := serve(t, Options{Compression: true})
	for _, payload := range [][]byte{{0xff, 0xff, 0xff}, {0x06}} {
		c, _ := h.packed(t)
		if _, err := c.conn.NetConn().Write(append([]byte{finBit | deflatedBit | opText, 0x80 | byte(len(payload)), 0, 0, 0, 0}, payload...)); err != nil {
			t.Fatal(err)
		}
		c.expectClose(closeNotUTF8)
	}
}

func TestCompressionIsOffByDefault(t *testing.T) {
	off, on := serve(t, Options{}), serve(t, Options{Compression: true})
	for _, x := range []struct {
		h           *harness
		path, offer string
	}{{off, "/ws", "permessage-deflate"}, {on, "/ws", "permessage-deflate; server_max_window_bits=9"}, {on, "/ws/replay", "permessage-deflate"}} {
		conn, err := net.Dial("tcp4", x.h.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: %s\r\n\r\n", x.path, x.h.addr, x.offer)
		r := bufio.NewReader(conn)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.Header.Get("Sec-WebSocket-Extensions"); resp.StatusCode != http.StatusSwitchingProtocols || got != "" {
			t.Errorf("%s: %q is answered with %d and %q", x.path, x.offer, resp.StatusCode, got)
		}
		// A compressed message is then a breach of the protocol.
		if _, err := conn.Write([]byte{finBit | deflatedBit | opText, 0x81, 0, 0, 0, 0, 0}); err != nil {
			t.Fatal(err)
		}
		rest, _ := io.ReadAll(r) // ends with the socket, politely or not
		if !bytes.Contains(rest, []byte{finBit | opClose, 2 + byte(len("RSV1 set")), byte(closeProtocol >> 8), byte(closeProtocol & 0xff)}) {
			t.Errorf("%s: ended with %q", x.path, rest)
		}
	}
}

// BenchmarkDeflate is what compressing a book of 500 levels costs, and what sharing it saves: the second figure is each
// further receiver's.
func BenchmarkDeflate(b *testing.B) {
	var levels []byte
	for i := range 500 {
		levels = level(5_000+i, 10_000+i*i).AppendObject(levels, 2, 4)
	}
	plain := newFrame(levels)
	b.ReportMetric(float64(len(plain))/float64(len(deflate(plain))), "times-smaller")
	bench.Compare(b, "frames", bench.Times(16, func() { deflate(plain) }), func() int {
		f := &Frame{typed: plain}
		for range 100 {
			f.bytes(deflated)
		}
		return 100
	})
}
