package main

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fasthttp/websocket"

	"hyperlight/config"
	"hyperlight/engine/feed/feedtest"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/sim"
	"hyperlight/kv"
)

// clientBook is a book as a client keeps it, with a digest of all its levels that costs as much as what changes.
type clientBook struct {
	sides  [2]map[string]string
	digest uint64
}

func (b *clientBook) reset() { *b = clientBook{sides: [2]map[string]string{{}, {}}} }

func (b *clientBook) set(side int, l bookLevel) {
	if old, ok := b.sides[side][l.Price]; ok {
		b.digest ^= levelDigest(side, l.Price, old)
		delete(b.sides[side], l.Price)
	}
	if strings.Trim(l.Size, "0.") != "" {
		b.sides[side][l.Price] = l.Size
		b.digest ^= levelDigest(side, l.Price, l.Size)
	}
}

func (b *clientBook) apply(bids, asks []bookLevel) {
	for _, l := range bids {
		b.set(0, l)
	}
	for _, l := range asks {
		b.set(1, l)
	}
}

func levelDigest(side int, price, size string) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s %s", side, price, size)
	return h.Sum64()
}

// venueWitness is a client of the venue itself, past all faults: it notes what each book was at each nonce, and every
// trade.
type venueWitness struct {
	mu      sync.Mutex
	digests map[string]uint64 // "market nonce"
	trades  map[string]int64  // "market id" to venue time
	conn    *websocket.Conn
	done    chan struct{}
}

func watchVenue(t *testing.T, v venue, markets int) *venueWitness {
	t.Helper()
	conn, resp, err := websocket.DefaultDialer.Dial(v.stream, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	w := &venueWitness{digests: map[string]uint64{}, trades: map[string]int64{}, conn: conn, done: make(chan struct{})}
	for m := range markets {
		send(t, conn, fmt.Sprintf(`{"type":"subscribe","channel":"order_book/%d"}`, m))
		send(t, conn, fmt.Sprintf(`{"type":"subscribe","channel":"trade/%d"}`, m))
	}
	go w.run()
	t.Cleanup(func() { conn.Close(); <-w.done })
	return w
}

func (w *venueWitness) run() {
	defer close(w.done)
	books := map[string]*clientBook{}
	for {
		_, raw, err := w.conn.ReadMessage()
		if err != nil {
			return
		}
		var f struct {
			frame
			Trades       []recordedTrade `json:"trades"`
			Liquidations []recordedTrade `json:"liquidation_trades"`
		}
		if json.Unmarshal(raw, &f) != nil {
			continue
		}
		family, market, _ := strings.Cut(f.Channel, ":")
		w.mu.Lock()
		switch family {
		case "order_book":
			b := books[market]
			if b == nil {
				b = &clientBook{}
				b.reset()
				books[market] = b
			}
			b.apply(f.Book.Bids, f.Book.Asks)
			nonce := f.Book.Nonce
			if nonce == 0 { // older than nonces: the appliance serves the offset as one
				nonce = f.Book.Offset
			}
			w.digests[market+" "+strconv.FormatUint(nonce, 10)] = b.digest
		case "trade":
			for _, tr := range append(f.Trades, f.Liquidations...) {
				w.trades[fmt.Sprintf("%s %d", market, tr.TradeID)] = tr.Timestamp
			}
		}
		w.mu.Unlock()
	}
}

// streamClient follows channels of the appliance and notes every break of the contract.
type streamClient struct {
	conn     *websocket.Conn
	markets  int
	channels map[string]*channelState
	faults   []string
	gaps     map[string]string // "market kind from to" to its reason
	states   []bookState
	frames   int
	ending   atomic.Bool   // the test closes it
	read     chan struct{} // closed when a ping is answered: all that was sent before it is read
	done     chan struct{}
}

// drain waits until a client has read all that was sent to it so far.
func (c *streamClient) drain(t *testing.T) {
	t.Helper()
	send(t, c.conn, `{"type":"ping"}`)
	select {
	case <-c.read:
	case <-c.done:
	case <-time.After(time.Minute):
		t.Fatal("a client does not read on")
	}
}

type channelState struct {
	seq, nonce uint64
	synced     bool // a snapshot came, and no gap since
	told       bool // a gap was told, so a snapshot may come
	book       clientBook
}

type bookState struct {
	key    string // "market nonce"
	digest uint64
	where  string
}

func follow(t *testing.T, a *appliance, markets int) *streamClient {
	t.Helper()
	c := &streamClient{
		conn: a.dial("/ws"), markets: markets, channels: map[string]*channelState{}, gaps: map[string]string{}, read: make(chan struct{}), done: make(chan struct{}),
	}
	next(t, c.conn, "authenticated")
	if err := c.conn.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	for m := range markets {
		send(t, c.conn, fmt.Sprintf(`{"type":"subscribe","channel":"order_book/%d"}`, m))
		send(t, c.conn, fmt.Sprintf(`{"type":"subscribe","channel":"trade/%d"}`, m))
	}
	go c.run()
	return c
}

func (c *streamClient) run() {
	defer close(c.done)
	for {
		_, raw, err := c.conn.ReadMessage()
		if err != nil {
			if !c.ending.Load() {
				c.fault("the connection ended: %v", err)
			}
			return
		}
		var f frame
		if err := json.Unmarshal(raw, &f); err != nil {
			c.fault("not JSON: %.100q", raw)
			return
		}
		c.frames++
		c.take(&f, raw)
	}
}

func (c *streamClient) fault(format string, args ...any) {
	if len(c.faults) < 20 {
		c.faults = append(c.faults, fmt.Sprintf(format, args...))
	}
}

func (c *streamClient) take(f *frame, raw []byte) {
	if f.Type == "pong" {
		close(c.read)
		return
	}
	if f.Type == "subscribed" {
		c.channels[f.Channel] = &channelState{seq: f.Seq, told: true}
		return
	}
	s := c.channels[f.Channel]
	if s == nil {
		c.fault("frame before subscribed: %.200s", raw)
		return
	}
	if f.Seq != s.seq+1 {
		c.fault("%s: seq %d after %d", f.Channel, f.Seq, s.seq)
	}
	s.seq = f.Seq
	family, market, _ := strings.Cut(f.Channel, "/")
	switch f.Type {
	case "gap":
		s.synced, s.told = false, true
		kind := family
		c.gaps[fmt.Sprintf("%s %s %d %d", market, kind, f.From, f.To)] = f.Reason
	case "order_book_update":
		b := &f.Book
		switch {
		case f.Snapshot && !s.told && !(s.synced && b.Nonce == s.nonce): // the same book once more is no hole
			c.fault("%s: a new snapshot although nothing told of a hole", f.Channel)
		case !f.Snapshot && !s.synced:
			c.fault("%s: an update before a snapshot", f.Channel)
		case !f.Snapshot && b.BeginNonce != s.nonce:
			c.fault("%s: an update begins at %d, the book is at %d", f.Channel, b.BeginNonce, s.nonce)
		}
		if f.Snapshot {
			s.book.reset()
			s.synced, s.told = true, false
		}
		s.nonce = b.Nonce
		s.book.apply(b.Bids, b.Asks)
		c.states = append(c.states, bookState{market + " " + strconv.FormatUint(b.Nonce, 10), s.book.digest, fmt.Sprintf("%s at seq %d", f.Channel, f.Seq)})
	case "trade_update":
	default:
		c.fault("unexpected frame %.200s", raw)
	}
}

type gapRow struct {
	MarketID int64  `json:"market_id"`
	Kind     string `json:"kind"`
	From     int64  `json:"from"`
	To       *int64 `json:"to"`
	Cause    string `json:"cause"`
	Filled   bool   `json:"filled"`
}

func (a *appliance) gaps() []gapRow {
	a.t.Helper()
	var out []gapRow
	// A recording that is played fast runs ahead of the clock: its times reach into the future.
	end, cursor := time.Now().Add(time.Hour).UnixMilli(), ""
	for {
		var page struct {
			Gaps []gapRow `json:"gaps"`
		}
		got := a.get(fmt.Sprintf("/api/v1/data-quality/gaps?limit=1000&end=%d%s", end, cursor), &page)
		out = append(out, page.Gaps...)
		if got.Meta.NextCursor == "" {
			return out
		}
		cursor = "&cursor=" + got.Meta.NextCursor
	}
}

// With every fault between the venue and the appliance, each frame that a client gets shows the venue's own book at that
// nonce, each hole is told before the stream goes on, each told hole is a recorded gap, and no trade is lost outside one.
func TestFaults(t *testing.T) {
	length := 12 * time.Second
	if os.Getenv("HYPERLIGHT_SOAK") != "" {
		length = 5 * time.Minute
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	// Both wait far more than they work.
	t.Run("exchange", func(t *testing.T) {
		t.Parallel()
		src := sim.New(sim.Options{Seed: int64(seed >> 1), Markets: 4, Accounts: 300, Rate: 800})
		checkFaults(t, seed, src, 4, length)
	})
	t.Run("recording", func(t *testing.T) {
		t.Parallel()
		// Both the witness and the appliance hold two channels of two markets before the playing begins.
		src, err := sim.NewCapture(sim.CaptureOptions{File: feedtest.Recording(t, btcEth), Speed: 2.5, WaitSubscriptions: 8})
		if err != nil {
			t.Fatal(err)
		}
		checkFaults(t, seed, src, 2, 11*time.Second)
	})
}

func checkFaults(t *testing.T, seed uint64, src sim.Source, markets int, length time.Duration) {
	v := startVenue(t, src, sim.ServeOptions{})
	proxy, err := feedtest.NewProxy(v.stream, v.rest, feedtest.Faults{}, seed)
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	witness := watchVenue(t, v, markets)
	cfg := applianceConfig(t.TempDir(), venue{rest: proxy.RESTURL(), stream: proxy.StreamURL()})
	cfg.Venues.Lighter.StaleAfter = config.Duration(3 * time.Second)
	for m := range markets {
		cfg.Venues.Lighter.Markets = append(cfg.Venues.Lighter.Markets, int64(m))
	}
	began := time.Now()
	a := startAppliance(t, cfg)
	a.waitBooks(markets)
	clients := []*streamClient{follow(t, a, markets), follow(t, a, markets)}

	proxy.SetFaults(feedtest.Faults{
		Drop: .01, Duplicate: .02, Reorder: .01, Corrupt: .01, Stall: .0008, Disconnect: .0008, HalfOpen: .0003, SlowAck: .2,
		StallFor: 400 * time.Millisecond, SlowAckFor: 200 * time.Millisecond, HTML: .1, // a 429 would end all REST repair for a minute
	})
	time.Sleep(length)
	proxy.SetFaults(feedtest.Faults{})
	proxy.DisconnectAll() // ends what a half-open fault muted
	a.waitBooks(markets)
	time.Sleep(1500 * time.Millisecond) // some frames of the mended stream, and the last commits
	var rows []gapRow
	waitFor(t, time.Minute, func() bool {
		rows = a.gaps()
		return !slices.ContainsFunc(rows, func(g gapRow) bool { return g.To == nil })
	}, func() string { return fmt.Sprintf("some gap is still open: %+v", rows) })
	asked := time.Now() // the witness hears trades after it too
	trades := storedTrades(a, began)
	for ; len(witness.untold(trades, rows, began, asked)) > 0 && time.Since(asked) < time.Minute; time.Sleep(500 * time.Millisecond) {
		trades = storedTrades(a, began) // the record is a moment behind
	}
	for _, c := range clients {
		c.drain(t)
		c.ending.Store(true)
		c.conn.Close()
		<-c.done
	}
	t.Logf("faults %v; %d frames to a client; %d gap rows", proxy.Counts(), clients[0].frames, len(rows))
	for _, kind := range []feedtest.Kind{feedtest.Drop, feedtest.Duplicate, feedtest.Reorder, feedtest.Corrupt} {
		if proxy.Counts()[kind] == 0 {
			t.Errorf("no %s happened: the test proved nothing of it", kind)
		}
	}

	known := map[string]gapRow{}
	for _, g := range rows {
		known[fmt.Sprintf("%d %s %d %d", g.MarketID, g.Kind, g.From, *g.To)] = g
	}
	if missing := witness.untold(trades, rows, began, asked); len(missing) > 0 {
		t.Errorf("%d of %d trades are missing outside of any told gap: %s", len(missing), len(witness.trades), strings.Join(missing[:min(len(missing), 5)], "; "))
	}
	if len(trades) == 0 {
		t.Error("no trade was stored")
	}
	witness.mu.Lock()
	defer witness.mu.Unlock()
	for i, c := range clients {
		for _, f := range c.faults {
			t.Errorf("client %d: %s", i, f)
		}
		compared := 0
		for _, s := range c.states {
			want, ok := witness.digests[s.key]
			if !ok {
				continue // a snapshot taken between two of the witness's frames
			}
			if compared++; s.digest != want {
				t.Errorf("client %d: %s shows another book than the venue's at nonce %s", i, s.where, s.key)
				break
			}
		}
		if compared < len(c.states)*9/10 {
			t.Errorf("client %d: only %d of %d book states could be compared", i, compared, len(c.states))
		}
		for g, reason := range c.gaps {
			if row, ok := known[g]; ok && row.Cause == reason {
				continue
			}
			// A trade record that breaks again before a new trade came has one hole from the same trade on.
			var told gapRow
			var to int64
			fmt.Sscan(g, &told.MarketID, &told.Kind, &told.From, &to)
			if told.Kind == "order_book" || !slices.ContainsFunc(rows, func(r gapRow) bool {
				return r.MarketID == told.MarketID && r.Kind == told.Kind && r.From <= told.From && *r.To >= to
			}) {
				t.Errorf("client %d was told of gap %s (%s), which is not recorded", i, g, reason)
			}
		}
	}
	for _, g := range rows {
		if g.Kind == "order_book" && g.From > began.UnixMilli() {
			if _, ok := clients[0].gaps[fmt.Sprintf("%d %s %d %d", g.MarketID, g.Kind, g.From, *g.To)]; !ok {
				t.Errorf("gap %+v is recorded, but the client was not told", g)
			}
		}
	}
}

// storedTrades returns every trade that the appliance has stored since a moment.
func storedTrades(a *appliance, since time.Time) map[string]bool {
	a.t.Helper()
	out := map[string]bool{}
	cursor := ""
	for {
		var page struct {
			Trades []struct {
				MarketID int64  `json:"market_id"`
				TradeID  uint64 `json:"trade_id"`
			} `json:"trades"`
		}
		got := a.get(fmt.Sprintf("/api/v1/trades/by-time?limit=1000&start=%d&end=%d%s", since.UnixMilli(), since.Add(time.Hour).UnixMilli(), cursor), &page)
		for _, tr := range page.Trades {
			name := fmt.Sprintf("%d %d", tr.MarketID, tr.TradeID)
			if out[name] {
				a.t.Errorf("trade %s is stored twice", name)
			}
			out[name] = true
		}
		if got.Meta.NextCursor == "" {
			return out
		}
		cursor = "&cursor=" + got.Meta.NextCursor
	}
}

// untold compares the venue's tape with what was stored when it was asked for: what lacks must lie in a gap that is told
// as not filled. It returns what does not.
func (w *venueWitness) untold(stored map[string]bool, gaps []gapRow, began, asked time.Time) (missing []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, at := range w.trades {
		if stored[name] || at < began.UnixMilli() || at > asked.UnixMilli()-2500 {
			continue
		}
		told := false
		for _, g := range gaps {
			market, _, _ := strings.Cut(name, " ")
			told = told || g.Kind == "trade" && !g.Filled && strconv.FormatInt(g.MarketID, 10) == market && g.From <= at+1 && at <= *g.To
		}
		if !told {
			missing = append(missing, fmt.Sprintf("trade %s of %d, %d ms before the end", name, at, asked.UnixMilli()-at))
		}
	}
	return missing
}

// shows tells whether a market's best levels are those of a recording so far.
func (a *appliance) shows(c *sim.Capture, market int64) bool {
	a.t.Helper()
	var book struct{ Bids, Asks []bookLevel }
	a.get(fmt.Sprintf("/api/v1/orderbook/%d", market), &book)
	bids, asks, _ := c.Book(market)
	same := func(shown bookLevel, want model.Level) bool {
		digits := strings.NewReplacer(".", "")
		return strings.TrimLeft(digits.Replace(shown.Price), "0") == fmt.Sprint(want.Price) && strings.TrimLeft(digits.Replace(shown.Size), "0") == fmt.Sprint(want.Size)
	}
	return len(book.Bids) > 0 && len(book.Asks) > 0 && len(bids) >= len(book.Bids) && len(asks) >= len(book.Asks) &&
		slices.EqualFunc(book.Bids, bids[:len(book.Bids)], same) && slices.EqualFunc(book.Asks, asks[:len(book.Asks)], same)
}

// A recording that the simulator plays gives, followed live, the book that the recording ends with.
func TestCaptureFollowedLive(t *testing.T) {
	capture, err := sim.NewCapture(sim.CaptureOptions{File: feedtest.Recording(t, btcEth), Speed: 6, WaitSubscriptions: 4})
	if err != nil {
		t.Fatal(err)
	}
	v := startVenue(t, capture, sim.ServeOptions{})
	cfg := applianceConfig(t.TempDir(), v)
	cfg.Venues.Lighter.Markets = config.Markets{0, 1}
	a := startAppliance(t, cfg)
	select {
	case <-capture.Done():
	case <-time.After(3 * time.Minute):
		t.Fatal("the recording did not play to its end in three minutes")
	}
	waitFor(t, time.Minute, func() bool { return a.shows(capture, 0) && a.shows(capture, 1) }, func() string { return "the last frames do not come through" })
	time.Sleep(1100 * time.Millisecond)
	at := time.Now() // more than a second after them
	if gaps := a.gaps(); len(gaps) != 0 {
		t.Errorf("gaps in an unbroken recording: %+v", gaps)
	}
	a.stop()
	store, err := kv.Open(kv.Options{Dir: filepath.Join(cfg.Storage.Dir, "store"), MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	known, err := history.Recover(context.Background(), store)
	if err != nil {
		t.Fatal(err)
	}
	markets := map[model.MarketID]*model.Market{}
	for _, m := range known.Markets {
		markets[m.ID] = m
	}
	reader := history.NewReader(store, func(id model.MarketID) (*model.Market, bool) { m, ok := markets[id]; return m, ok })
	for _, id := range []model.MarketID{0, 1} {
		view, err := reader.BookAt(context.Background(), id, model.Micros(at.Add(-time.Second).UnixMicro()))
		if err != nil {
			t.Fatal(err)
		}
		bids, asks, ok := capture.Book(int64(id))
		if !ok {
			t.Fatal("the capture has no book")
		}
		for s, want := range map[model.Side][]model.Level{model.Bid: bids, model.Ask: asks} {
			got := view.Append(nil, s, 0)
			if len(got) != len(want) || len(want) < 1000 {
				t.Fatalf("market %d: %d %s levels, the recording ends with %d", id, len(got), s, len(want))
			}
			ps, ss := markets[id].ScaleAt(view.Epoch)
			for i := range got {
				if got[i] != want[i] {
					t.Fatalf("market %d: %s %d is %s x %s, want %v", id, s, i,
						num.Append(nil, int64(got[i].Price), ps), num.Append(nil, int64(got[i].Size), ss), want[i])
				}
			}
		}
	}
}
