package engine_test

import (
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hyperlight/engine"
	"hyperlight/engine/book"
	"hyperlight/engine/feed/feedtest"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

func importFile(t testing.TB, dir string, files ...string) *engine.ImportReport {
	t.Helper()
	report, err := engine.Import(context.Background(), engine.ImportOptions{Store: storeOptions(dir), Files: files})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func storeOptions(dir string) kv.Options { return kv.Options{Dir: dir, MinFree: -1} }

// openReader opens a store for reading, with the markets that it knows.
func openReader(t testing.TB, dir string) (*history.Reader, *kv.Store) {
	t.Helper()
	reader, store, _ := readStore(t, dir)
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return reader, store
}

// readStore opens a store, which the caller closes, and returns what it knows of its markets.
func readStore(t testing.TB, dir string) (*history.Reader, *kv.Store, func(model.MarketID) (*model.Market, bool)) {
	t.Helper()
	store, err := kv.Open(storeOptions(dir))
	if err != nil {
		t.Fatal(err)
	}
	known, err := history.Markets(context.Background(), store)
	if err != nil {
		t.Fatal(err)
	}
	markets := map[model.MarketID]*model.Market{}
	for _, m := range known {
		markets[m.ID] = m
	}
	get := func(id model.MarketID) (*model.Market, bool) { m, ok := markets[id]; return m, ok }
	return history.NewReader(store, get), store, get
}

// The recorded half minute of two markets goes through the importer and comes back out of the store: after every
// frame, at every full second, and trade by trade it must be what a map-based reference says.
func TestImportEqualsReference(t *testing.T) {
	path := feedtest.Recording(t, btcEth)
	frames := readReference(t, path)
	dir := t.TempDir()
	report := importFile(t, dir, path)
	// 4,663 frames: 3,757 book updates and 2 whole books; the file's README counts them.
	if report.Frames != 4663 || report.Updates != 3759 || report.Rejected != 0 || report.Gaps != 0 || report.KnownUpdates != 0 {
		t.Errorf("report is %+v", *report)
	}
	reader, _ := openReader(t, dir)
	for _, m := range []int{0, 1} {
		t.Run(fmt.Sprintf("market %d", m), func(t *testing.T) {
			checkUpdates(t, reader, frames, m)
			checkSnapshots(t, reader, frames, m)
			checkTrades(t, reader, frames, m)
		})
	}
}

func checkUpdates(t *testing.T, reader *history.Reader, frames []refFrame, m int) {
	t.Helper()
	var ref refBook
	b := book.New()
	next, seen := 0, 0
	for row, err := range reader.Updates(context.Background(), model.MarketID(m), 0, 1<<60) {
		if err != nil {
			t.Fatal(err)
		}
		for next < len(frames) && (!strings.HasPrefix(frames[next].Channel, "order_book:") || frames[next].market(t) != m) {
			next++
		}
		if next == len(frames) {
			t.Fatalf("row %d is not in the recording", seen)
		}
		f := &frames[next]
		next++
		seen++
		ref.apply(t, f)
		if err := b.Apply(&row.Update, row.Time, row.Recv); err != nil {
			t.Fatalf("row %d: %v", seen, err)
		}
		if int64(row.Recv) != f.recv || int64(row.Time) != f.Timestamp || row.Update.Offset != f.Book.Offset {
			t.Fatalf("row %d is of %d, %d, offset %d; want %d, %d, offset %d",
				seen, row.Recv, row.Time, row.Update.Offset, f.recv, f.Timestamp, f.Book.Offset)
		}
		ref.equal(t, fmt.Sprintf("after frame %d", seen), b.View())
	}
	want := 0
	for i := range frames {
		if strings.HasPrefix(frames[i].Channel, "order_book:") && frames[i].market(t) == m {
			want++
		}
	}
	if seen != want {
		t.Errorf("%d book frames stored, want %d", seen, want)
	}
}

func checkSnapshots(t *testing.T, reader *history.Reader, frames []refFrame, m int) {
	t.Helper()
	ctx := context.Background()
	first, last := frames[0].recv, frames[len(frames)-1].recv
	sp := history.Span{From: model.Millis(first/1e6) * 1000, To: model.Millis(last/1e6)*1000 + 1}
	walked := map[model.Millis]*book.View{}
	for s, err := range reader.Books(ctx, model.MarketID(m), sp, 1e9) {
		if err != nil {
			t.Fatal(err)
		}
		walked[s.At] = s.View
	}
	var ref refBook
	next, checked := 0, 0
	for at := first/1e6*1e6 + 1e6; at <= last; at += 1e6 {
		for ; next < len(frames) && frames[next].recv < at; next++ {
			if f := &frames[next]; strings.HasPrefix(f.Channel, "order_book:") && f.market(t) == m {
				ref.apply(t, f)
			}
		}
		where := fmt.Sprintf("at second %d", at/1e6)
		v, err := reader.BookAt(ctx, model.MarketID(m), model.Micros(at))
		if ref.bids == nil {
			if err == nil {
				t.Fatalf("%s: a book before the first snapshot", where)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		ref.equal(t, where, v)
		ref.equal(t, where+", walked", walked[model.Millis(at/1000)])
		checked++
	}
	if checked < 25 || len(walked) != checked {
		t.Errorf("%d seconds checked, %d walked; the recording has 29", checked, len(walked))
	}
}

// sizeBefore writes a position's size as the venue does, which leaves out what it does not tell.
func sizeBefore(p model.PositionBefore, scale int) json.Number {
	if !p.Known {
		return ""
	}
	return json.Number(num.Append(nil, int64(p.Size), uint8(scale)))
}

func checkTrades(t *testing.T, reader *history.Reader, frames []refFrame, m int) {
	t.Helper()
	want := refTrades(t, frames, m)
	slices.SortStableFunc(want, func(a, b refTrade) int { return cmp.Compare(a.Timestamp, b.Timestamp) })
	s := refScales[m]
	n := 0
	for tr, err := range reader.Trades(context.Background(), model.MarketID(m), history.Span{To: 1 << 50}, history.TradeQuery{Columns: record.All}) {
		if err != nil {
			t.Fatal(err)
		}
		if n == len(want) {
			t.Fatalf("trade %d is one too many", tr.ID)
		}
		got := refTrade{
			TradeID: tr.ID, TxHash: tr.TxHash, Type: tr.Kind.String(),
			Price: string(num.Append(nil, int64(tr.Price), uint8(s[0]))), Size: string(num.Append(nil, int64(tr.Size), uint8(s[1]))),
			USD: string(num.Append(nil, int64(tr.USD), num.USDScale)), AskID: tr.AskOrder, BidID: tr.BidOrder,
			AskAccount: uint64(tr.AskAccount), BidAccount: uint64(tr.BidAccount), MakerAsk: tr.MakerAsk, Block: tr.Block,
			Timestamp: int64(tr.Time), TakerBefore: sizeBefore(tr.TakerBefore, s[1]), MakerBefore: sizeBefore(tr.MakerBefore, s[1]),
		}
		if got != want[n] {
			t.Fatalf("trade %d is\n%+v, want\n%+v", n, got, want[n])
		}
		n++
	}
	if n != len(want) {
		t.Errorf("%d trades stored, want %d", n, len(want))
	}
}

// Every row of the store, hashed: what a second import may not change.
func storeDigest(t testing.TB, dir string) (digest [32]byte, rows int) {
	t.Helper()
	store, err := kv.Open(storeOptions(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	h := sha256.New()
	for _, f := range []key.Family{key.Trades, key.Keyframes, key.Books, key.Candles, key.Funding, key.Liquidations, key.Stats, key.Gaps, key.Index, key.Coverage, key.Markets} {
		for kv, err := range store.Scan(context.Background(), key.All(f)) {
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(h, "%d:%d:", len(kv.Key), len(kv.Value))
			h.Write(kv.Key)
			h.Write(kv.Value)
			rows++
		}
	}
	return [32]byte(h.Sum(nil)), rows
}

func TestImportTwiceAddsNothing(t *testing.T) {
	path := feedtest.Recording(t, btcEth)
	dir := t.TempDir()
	first := importFile(t, dir, path)
	before, rows := storeDigest(t, dir)
	again := importFile(t, dir, path)
	after, rowsAfter := storeDigest(t, dir)
	if before != after {
		t.Errorf("the second import changed the store: %d rows before, %d after", rows, rowsAfter)
	}
	if again.Updates != 0 || again.Trades != 0 {
		t.Errorf("the second import stored %d updates and %d trades", again.Updates, again.Trades)
	}
	if again.KnownUpdates != first.Updates || again.KnownTrades < first.Trades {
		t.Errorf("the second import knew %d updates and %d trades, want %d and %d", again.KnownUpdates, again.KnownTrades, first.Updates, first.Trades)
	}
}

// Bare frames, wrapped frames and a clock without a zone give the same record.
func TestImportForms(t *testing.T) {
	frame := func(offset int, at int64, bid string) string {
		kind := "update"
		if offset == 1 {
			kind = "subscribed"
		}
		return fmt.Sprintf(`{"channel":"order_book:7","offset":%d,"order_book":{"code":0,"asks":[{"price":"10.10","size":"1.0"}],"bids":[{"price":"10.00","size":%q}],"offset":%d},"timestamp":%d,"type":"%s/order_book"}`,
			offset, bid, offset, at, kind)
	}
	const t0 = 1_760_041_996_000
	forms := map[string]func(i int, f string) string{
		"bare": func(i int, f string) string { return f },
		"wrapped": func(i int, f string) string {
			return fmt.Sprintf(`{"seq":%d,"recv_us":%d,"msg":%s}`, i, (t0+int64(i)*100)*1000, f)
		},
		"captured": func(i int, f string) string { // 22:33 local time of a venue time of 20:33 UTC
			return fmt.Sprintf(`{"captured_at":"2025-10-09T22:33:%02d.%01d00000","frame":%s}`, 16+i/10, i%10, f)
		},
	}
	for name, wrap := range forms {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var lines []string
			for i := range 30 {
				lines = append(lines, wrap(i, frame(i+1, t0+int64(i)*100, fmt.Sprintf("%d.5", i+1))))
			}
			file := filepath.Join(dir, "in.ndjson")
			if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			report := importFile(t, filepath.Join(dir, "store"), file)
			if report.Updates != 30 || report.Rejected != 0 || report.From != t0 || report.To != t0+2900 {
				t.Fatalf("report is %+v", *report)
			}
			reader, _ := openReader(t, filepath.Join(dir, "store"))
			v, err := reader.BookAt(context.Background(), 7, (t0+2000)*1000)
			if err != nil {
				t.Fatal(err)
			}
			if best, _ := v.Best(model.Bid); best != (model.Level{Price: 1000, Size: 205}) {
				t.Errorf("best bid at two seconds is %+v, want 10.00 x 20.5", best)
			}
		})
	}
}

// A damaged line is counted with its reason, and everything around it is kept.
func TestImportDamagedLines(t *testing.T) {
	path := feedtest.Recording(t, btcEth)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	raw := new(strings.Builder)
	buf := make([]byte, 1<<20)
	for {
		n, err := z.Read(buf)
		raw.Write(buf[:n])
		if err != nil {
			break
		}
	}
	lines := strings.Split(strings.TrimSpace(raw.String()), "\n")
	damaged := slices.Clone(lines)
	damaged = slices.Insert(damaged, 1000, "not json at all", `{"seq":1,"recv_us":"x","msg":{}}`, lines[1000][:100], `{"recv_us":1760041999000000,"msg":[1]}`)
	dir := t.TempDir()
	file := filepath.Join(dir, "damaged.ndjson")
	if err := os.WriteFile(file, []byte(strings.Join(damaged, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	report := importFile(t, filepath.Join(dir, "store"), file)
	if report.Rejected != 4 || report.Frames != 4663 || report.Updates != 3759 {
		t.Errorf("report is %+v", *report)
	}
	var sum uint64
	for _, n := range report.Reasons {
		sum += n
	}
	if sum != report.Rejected {
		t.Errorf("the reasons %v do not add up to %d", report.Reasons, report.Rejected)
	}
}

// Trades tell when a recording was made: a clock without a zone is set by them, and bare trade frames count as received
// with their newest trade.
func TestImportTradesOnly(t *testing.T) {
	const t0 = 1_760_041_996_000
	frame := func(i int) string {
		return fmt.Sprintf(`{"channel":"trade:7","liquidation_trades":null,"trades":[{"trade_id":%d,"type":"trade","market_id":7,"size":"1.0","price":"10.00","usd_amount":"10.000000","ask_id":1,"bid_id":2,"ask_account_id":3,"bid_account_id":4,"is_maker_ask":true,"block_height":5,"timestamp":%d}],"type":"update/trade"}`, 100+i, t0+i*100)
	}
	for name, wrap := range map[string]func(int) string{
		"bare": frame,
		"captured": func(i int) string {
			return fmt.Sprintf(`{"captured_at":"2025-10-09T22:33:%02d.%01d00000","frame":%s}`, 16+i/10, i%10, frame(i))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var lines []string
			for i := range 20 {
				lines = append(lines, wrap(i))
			}
			file := filepath.Join(dir, "in.ndjson")
			if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			report := importFile(t, filepath.Join(dir, "store"), file)
			if report.Trades != 20 || report.Rejected != 0 || report.From != t0 || report.To != t0+1900 {
				t.Fatalf("report is %+v", *report)
			}
		})
	}
}
