package account

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hyperlight/engine/feed/feedtest"
	"hyperlight/engine/feed/lighter"
	"hyperlight/engine/model"
	"hyperlight/kv/kvtest"
)

// recorded are the markets of the recordings, by the venue's ids.
type recorded map[int64]*model.Market

func (r recorded) Market(native int64) (*model.Market, bool) {
	if r[native] == nil {
		r[native] = &model.Market{ID: model.MarketID(native), Native: native, PriceScale: 6, SizeScale: 6, Scales: []model.Scale{{Price: 6, Size: 6}}}
	}
	return r[native], true
}

func (r recorded) Observe(native int64, _ string, _, _ uint8) (*model.Market, bool) {
	return r.Market(native)
}

// tapeCheck compares what the tracker holds with what the next trade tells.
type tapeCheck struct {
	t       *testing.T
	file    string
	tracker *Tracker
	// since is each market's first trade from which on the recording misses none: the frame after a subscribe repeats the
	// last 50 trades and the last 50 forced ones, which are older.
	since map[model.MarketID]uint64
	cut   bool // rows were left out of the recording: none of it is whole

	checked, agreed int // of all positions that a trade tells and that we held already
	whole, exact    int // of those between which the recording misses nothing
}

func (c *tapeCheck) take(e *model.Event) error {
	b, ok := e.Payload.(*model.TradeBatch)
	if !ok {
		return nil
	}
	if _, ok := c.since[e.Market]; !ok && c.cut {
		c.since[e.Market] = math.MaxUint64
	} else if !ok {
		first := uint64(math.MaxUint64)
		for i := range b.Rows {
			if b.Rows[i].Kind == model.KindTrade {
				first = min(first, b.Rows[i].ID)
			}
		}
		c.since[e.Market] = first
	}
	for i := range b.Rows {
		row := &b.Rows[i]
		buyer, seller := row.TakerBefore, row.MakerBefore
		if !row.TakerBuys() {
			buyer, seller = seller, buyer
		}
		c.compare(e.Market, row, row.BidAccount, buyer)
		c.compare(e.Market, row, row.AskAccount, seller)
		c.tracker.Trade(e.Market, row, false)
	}
	return nil
}

func (c *tapeCheck) compare(m model.MarketID, row *model.Trade, id model.AccountID, before model.PositionBefore) {
	var a model.Account
	if !before.Known || !c.tracker.Get(id, &a) {
		return
	}
	i, ok := positionOf(a.Positions, m)
	if !ok || a.Positions[i].Trade == 0 || a.Positions[i].Trade >= row.ID {
		return // seen for the first time, or told again
	}
	p := a.Positions[i]
	same := p.Size == before.Size && p.Entry == before.EntryQuote
	c.checked++
	if same {
		c.agreed++
	}
	if p.Trade < c.since[m] {
		return
	}
	c.whole++
	if same {
		c.exact++
		return
	}
	c.t.Errorf("%s: market %d, trade %d of account %d: held %d worth %d since trade %d, the venue tells %d worth %d",
		c.file, m, row.ID, id, p.Size, p.Entry, p.Trade, before.Size, before.EntryQuote)
}

// The positions after each recorded trade are the ones that the next trade of the account tells, size and entry value,
// to the last digit, wherever the recording misses nothing between the two. Where it misses trades, as among the old
// liquidations of the frame after a subscribe, most agree.
func TestRecordedTape(t *testing.T) {
	dir := feedtest.Recording(t, "")
	var files []string
	for _, pattern := range []string{"captures/lighter/ws-*.gz", "lighter/ws/*.jsonl"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	var checked, agreed, whole, exact int
	for _, file := range files {
		markets := recorded{}
		tracker, err := New(Options{Store: kvtest.Open(t), Markets: func(id model.MarketID) (*model.Market, bool) { return markets.Market(int64(id)) }})
		if err != nil {
			t.Fatal(err)
		}
		c := &tapeCheck{t: t, file: filepath.Base(file), tracker: tracker, since: map[model.MarketID]uint64{},
			cut: filepath.Base(file) == "mainnet-BTC-trade-2026-04-20.jsonl"}
		decoder := lighter.NewDecoder(markets)
		for _, frame := range tapeFrames(t, file) {
			if strings.Contains(string(frame), `/trade"`) && !strings.Contains(string(frame), `"account`) || strings.Contains(string(frame), `"trade:`) {
				if err := decoder.Decode(frame, 1, c.take); err != nil {
					t.Fatalf("%s: %v", file, err)
				}
			}
		}
		if c.checked > 0 {
			t.Logf("%s: %d of %d positions agree, %d of %d where nothing is missing between", c.file, c.agreed, c.checked, c.exact, c.whole)
		}
		checked, agreed, whole, exact = checked+c.checked, agreed+c.agreed, whole+c.whole, exact+c.exact
	}
	t.Logf("all: %d of %d (%.2f %%), %d of %d where nothing is missing between", agreed, checked, 100*float64(agreed)/float64(checked), exact, whole)
	if whole < 2000 || exact != whole || agreed*100 < checked*95 {
		t.Errorf("too few agree, or too few could be checked")
	}
}

// A fetched list of trades tells the margin of an isolated position as well: the one after each trade is the one before the next.
func TestRecordedIsolatedMargin(t *testing.T) {
	text, err := os.ReadFile(feedtest.Recording(t, "lighter/rest/recentTrades-BTC-2026-07-26.json"))
	if err != nil {
		t.Fatal(err)
	}
	market := &model.Market{ID: 1, Native: 1, Symbol: "BTC", PriceScale: 1, SizeScale: 5, Scales: []model.Scale{{Price: 1, Size: 5}}}
	batch, err := lighter.ParseTrades(text, market)
	if err != nil {
		t.Fatal(err)
	}
	tr, err := New(Options{Store: kvtest.Open(t), Markets: func(model.MarketID) (*model.Market, bool) { return market, true }})
	if err != nil {
		t.Fatal(err)
	}
	const pool = 281474976516060
	for i := range batch.Rows {
		if row := &batch.Rows[i]; row.BidAccount == pool {
			if before, told := whole(row.Extra, roleTaker, marginBefore); told {
				var a model.Account
				if tr.Get(pool, &a) && (!a.Positions[0].Isolated || int64(a.Positions[0].Allocated) != before) {
					t.Errorf("trade %d: margin %d before, held %+v", row.ID, before, a.Positions[0])
				}
			}
		}
		tr.Trade(1, &batch.Rows[i], true)
	}
	if p := state(t, tr, pool); !p.Isolated || p.Allocated != 169149269 || p.Size != 13030 || p.Entry != 8395482050 {
		t.Errorf("%+v", p)
	}
}

// tapeFrames reads the frames of a recording, with whatever wraps them taken off; what a client sent is left out.
func tapeFrames(t *testing.T, file string) [][]byte {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(file, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	var frames [][]byte
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var wrap struct {
			Dir        string
			Raw        *string
			Frame, Msg json.RawMessage
		}
		if err := json.Unmarshal(lines.Bytes(), &wrap); err != nil {
			t.Fatal(err)
		}
		switch {
		case wrap.Dir == "out":
		case wrap.Raw != nil:
			frames = append(frames, []byte(*wrap.Raw))
		case wrap.Frame != nil:
			frames = append(frames, wrap.Frame)
		case wrap.Msg != nil:
			frames = append(frames, wrap.Msg)
		default:
			frames = append(frames, []byte(lines.Text()))
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return frames
}
