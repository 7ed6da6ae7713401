package iceberg

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hyperlight/engine/lake"
	"hyperlight/engine/model"
	"hyperlight/export"
)

const first model.Millis = 1_767_225_600_000 // 2026-01-01

// lakeDir is a lake of made-up files.
type lakeDir struct {
	t     testing.TB
	path  string
	files map[lake.ID]lake.File
	now   time.Time
}

func newLake(t testing.TB, path string) *lakeDir {
	return &lakeDir{t: t, path: path, files: make(map[lake.ID]lake.File), now: time.UnixMilli(int64(first)).AddDate(0, 3, 0)}
}

func (l *lakeDir) list() []lake.File {
	var out []lake.File
	for _, f := range l.files {
		out = append(out, f)
	}
	return out
}

func (l *lakeDir) tables(o Options) *Tables {
	o.Data, o.Now = l.path, func() time.Time { return l.now }
	t, err := New(o)
	if err != nil {
		l.t.Fatal(err)
	}
	return t
}

// put makes a file of rows, in the place of what is there.
func put[T export.Row[T]](l *lakeDir, id lake.ID, rows []T) {
	l.place(id, len(rows), parquetOf(l, rows))
}

func parquetOf[T export.Row[T]](l *lakeDir, rows []T) []byte {
	var out bytes.Buffer
	w := export.NewWriter[T](&out, export.Footer{Venue: "lighter"})
	if err := w.Write(rows); err != nil {
		l.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		l.t.Fatal(err)
	}
	return out.Bytes()
}

func (l *lakeDir) place(id lake.ID, rows int, body []byte) {
	name := filepath.Join(l.path, filepath.FromSlash(id.Key()))
	if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(name, body, 0o600); err != nil {
		l.t.Fatal(err)
	}
	l.files[id] = lake.File{ID: id, Rows: int64(rows), Bytes: int64(len(body)), SHA256: sha256.Sum256(body)}
}

func trades(id lake.ID, n int) []export.Trade {
	rows := make([]export.Trade, n)
	for i := range rows {
		rows[i] = export.Trade{
			Timestamp: int64(id.Day) + int64(i)*1000, RecvTS: int64(id.Day)*1000 + 7, MarketID: int32(id.Market), Symbol: "ETH", TradeID: int64(i + 1),
			Type: "trade", Side: "sell", Price: 3200_000000 + int64(i), Size: 5, USDAmount: 16, TxHash: strings.Repeat("ab", 40),
		}
		if i%2 == 0 {
			rows[i].RecvTS, rows[i].TxHash = 0, ""
		}
	}
	return rows
}

func tradesID(market int64, day int) lake.ID {
	return lake.ID{Dataset: lake.Trades, Market: market, Day: first + model.Millis(day)*lake.DayMillis}
}

// paths returns the files of the current snapshot of a table, as a reader finds them: by the hint.
func paths(t interface{ Fatal(...any) }, tables *Tables, d lake.Dataset) map[string]entry {
	dir := tables.metadata(d)
	_, named, err := dir.versions()
	if err != nil {
		t.Fatal(err)
	}
	read, err := dir.table(named)
	if err != nil {
		t.Fatal(err)
	}
	out, err := snapshotFiles(dir, read.current())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func snapshotFiles(dir directory, n *snapshot) (map[string]entry, error) {
	raw, err := dir.read(n.ManifestList)
	if err != nil {
		return nil, err
	}
	list, _, err := decode[listed](raw)
	if err != nil {
		return nil, err
	}
	out := make(map[string]entry)
	for _, l := range list {
		raw, err := dir.read(l.Path)
		if err != nil {
			return nil, err
		}
		if int64(len(raw)) != l.Bytes {
			return nil, fmt.Errorf("manifest of %d bytes is listed with %d", len(raw), l.Bytes)
		}
		rows, _, err := decode[entry](raw)
		if err != nil {
			return nil, err
		}
		var counts [3]int32
		for _, e := range rows {
			counts[e.Status]++
			if e.Status == existing && (e.Sequence == nil || e.FileSequence == nil) {
				return nil, errors.New("an older file without a sequence number")
			}
			if e.Status != deleted {
				if _, ok := out[e.File.Path]; ok {
					return nil, fmt.Errorf("%s is listed twice", e.File.Path)
				}
				out[e.File.Path] = e
			}
		}
		if counts != [3]int32{l.Existing, l.Added, l.Deleted} {
			return nil, fmt.Errorf("counts %v of %+v", counts, l)
		}
	}
	return out, nil
}

// Whatever files come, change and go: the table has just those that are listed, and every snapshot that it still offers has
// files as they were.
func TestTableFollowsTheFiles(t *testing.T) {
	t.Parallel()
	type madeOf struct {
		id   lake.ID
		rows int
	}
	bodies := make(map[madeOf][]byte) // a file takes longer to make than to list
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "lake")
		if err != nil {
			t.Fatal(err)
		}
		l := newLake(t, dir)
		tables := l.tables(Options{Snapshots: 4, Grace: time.Hour})
		versions := 0
		then := make(map[int64]map[string][32]byte) // snapshot, URL, digest
		for range rapid.IntRange(1, 4).Draw(rt, "rounds") {
			for range rapid.IntRange(0, 3).Draw(rt, "changes") {
				id := tradesID(rapid.Int64Range(0, 2).Draw(rt, "market"), rapid.SampledFrom([]int{0, 1, 40, 70}).Draw(rt, "day"))
				if _, ok := l.files[id]; ok && rapid.Bool().Draw(rt, "gone") {
					delete(l.files, id)
					continue
				}
				n := rapid.IntRange(1, 3).Draw(rt, "rows")
				body := madeOf{id, n}
				if bodies[body] == nil {
					bodies[body] = parquetOf(l, trades(id, n))
				}
				l.place(id, n, bodies[body])
			}
			l.now = l.now.Add(time.Minute)
			before, _, _ := tables.metadata(lake.Trades).versions()
			if err := tables.Update(t.Context(), l.list()); err != nil {
				rt.Fatal(err)
			}
			last, named, _ := tables.metadata(lake.Trades).versions()
			if last == 0 {
				continue // no file yet
			}
			if last != named || last > before+1 {
				rt.Fatalf("version %d, of which %d is named, after %d", last, named, before)
			}
			versions = last
			read, err := tables.metadata(lake.Trades).table(last)
			if err != nil {
				rt.Fatal(err)
			}
			have := paths(rt, tables, lake.Trades)
			rows := int64(0)
			for _, f := range l.files {
				e, ok := have[tables.o.Location+"/"+f.ID.Key()]
				if !ok || e.File.Rows != f.Rows || e.File.Bytes != f.Bytes || int64(*e.File.Partition.Market) != f.ID.Market ||
					model.Millis(*e.File.Partition.Day)*lake.DayMillis != f.ID.Day {
					rt.Fatalf("%s is listed as %+v", f.ID, e.File)
				}
				rows += f.Rows
			}
			if len(have) != len(l.files) || read.current().Summary["total-records"] != fmt.Sprint(rows) ||
				read.current().Summary["total-data-files"] != fmt.Sprint(len(have)) {
				rt.Fatalf("%d files, %d of them listed, summary %v", len(have), len(l.files), read.current().Summary)
			}
			now := make(map[string][32]byte)
			for path := range have {
				now[path] = l.sum(path, tables)
			}
			then[read.current().ID] = now
			if len(read.Snapshots) > 4 || len(read.MetadataLog) > 4 {
				rt.Fatalf("%d snapshots, %d versions", len(read.Snapshots), len(read.MetadataLog))
			}
			for _, n := range read.Snapshots {
				files, err := snapshotFiles(tables.metadata(lake.Trades), &n)
				if err != nil || len(files) != len(then[n.ID]) {
					rt.Fatalf("snapshot %d has %d files: %v", n.ID, len(files), err)
				}
				for path := range files {
					if l.sum(path, tables) != then[n.ID][path] {
						rt.Fatalf("snapshot %d has %s, which is not what it was", n.ID, path)
					}
				}
			}
		}
		// What nobody goes by any more is gone when its time is over.
		if versions > 0 {
			id := tradesID(0, 80)
			put(l, id, trades(id, 3))
			old := time.Now().Add(-2 * time.Hour)
			names, _ := os.ReadDir(tables.metadata(lake.Trades).path)
			for _, n := range names {
				_ = os.Chtimes(filepath.Join(tables.metadata(lake.Trades).path, n.Name()), old, old)
			}
			l.now = time.Now()
			if err := tables.Update(t.Context(), l.list()); err != nil {
				rt.Fatal(err)
			}
			names, _ = os.ReadDir(tables.metadata(lake.Trades).path)
			count := 0
			for _, n := range names {
				if versionOf(n.Name()) > 0 {
					count++
				}
			}
			if want := min(versions+1, 5); count != want {
				rt.Fatalf("%d versions are left of %d, want %d", count, versions+1, want)
			}
			paths(rt, tables, lake.Trades)
		}
	})
}

// sum returns the digest of a file, zeros for one that is not there.
func (l *lakeDir) sum(url string, tables *Tables) [32]byte {
	raw, err := os.ReadFile(filepath.Join(l.path, strings.TrimPrefix(url, tables.o.Location+"/")))
	if err != nil {
		return [32]byte{}
	}
	return sha256.Sum256(raw)
}

// Each dataset has a table whose bounds are those of its rows.
func TestTableOfEachDataset(t *testing.T) {
	l := newLake(t, t.TempDir())
	day := int64(first)
	put(l, tradesID(3, 0), trades(tradesID(3, 0), 1000))
	put(l, lake.ID{Dataset: lake.Candles, Market: 3, Day: first}, []export.Candle{{Timestamp: day, MarketID: 3, Resolution: "1m", Open: 5, High: 5, Low: 5, Close: 5}})
	put(l, lake.ID{Dataset: lake.FundingRates, Market: lake.AllMarkets, Day: first}, []export.FundingRate{
		{Timestamp: day, MarketID: 0, Rate: -5, Direction: "short"}, {Timestamp: day, MarketID: 1, Rate: 1 << 40, Direction: "long"}})
	put(l, lake.ID{Dataset: lake.Gaps, Market: lake.AllMarkets, Day: first}, []export.Gap{{From: day, To: day + int64(lake.DayMillis), Kind: "trades", Cause: "not_recorded"}})
	put(l, lake.ID{Dataset: lake.Snapshots, Market: 3, Day: first}, []export.Snapshot{{Timestamp: day, RecvTS: 1, Bids: []export.Level{{Price: 1, Size: 1}}, Asks: []export.Level{}}})
	put(l, lake.ID{Dataset: lake.BookUpdates, Market: 3, Day: first}, []export.BookUpdate{{Timestamp: day - 5, RecvTS: day * 1000, Side: "bid", Price: 1, Size: 1}})
	tables := l.tables(Options{})
	if err := tables.Update(t.Context(), l.list()); err != nil {
		t.Fatal(err)
	}
	for _, d := range lake.Datasets {
		if n := len(paths(t, tables, d)); n != 1 {
			t.Errorf("table %s has %d files", d, n)
		}
	}
	read, err := tables.metadata(lake.Trades).table(1)
	if err != nil {
		t.Fatal(err)
	}
	e := paths(t, tables, lake.Trades)[tables.o.Location+"/"+tradesID(3, 0).Key()]
	bound := func(of *[]idBytes, name string) []byte {
		id := find(read.Schemas[0].Fields, name).ID
		i := slices.IndexFunc(*of, func(b idBytes) bool { return int(b.ID) == id })
		if i < 0 {
			return nil
		}
		return (*of)[i].Value
	}
	for _, c := range []struct {
		name      string
		low, high []byte
	}{
		{"timestamp", long(day * 1000), long((day + 999_000) * 1000)},
		{"recv_ts", long(day*1000 + 7), long(day*1000 + 7)},
		{"market_id", long(3)[:4], long(3)[:4]},
		{"symbol", []byte("ETH"), []byte("ETH")},
		{"trade_id", long(1), long(1000)},
		{"price", big.NewInt(3200_000000).Bytes(), big.NewInt(3200_000999).Bytes()},
		{"tx_hash", []byte("abababababababab"), nil},
		{"is_maker_ask", []byte{0}, []byte{0}},
	} {
		low, high := bound(e.File.Lower, c.name), bound(e.File.Upper, c.name)
		want := [2][]byte{bytes.TrimLeft(c.low, "\x00"), c.high}
		if c.name != "price" {
			want[0] = c.low
		} else {
			want = [2][]byte{append([]byte{0}, c.low...), append([]byte{0}, c.high...)}
		}
		if !bytes.Equal(low, want[0]) || !bytes.Equal(high, want[1]) {
			t.Errorf("bounds of %s are %x and %x, want %x and %x", c.name, low, high, want[0], want[1])
		}
	}
	nulls := slices.IndexFunc(*e.File.Nulls, func(n idLong) bool { return int(n.ID) == find(read.Schemas[0].Fields, "tx_hash").ID })
	if (*e.File.Nulls)[nulls].Value != 500 {
		t.Errorf("nulls of tx_hash: %+v", (*e.File.Nulls)[nulls])
	}
}

func long(v int64) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(v)) }

// Mantissas are written as Java's BigInteger writes them: as short as can be, with a sign.
func TestUnscaled(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		v := rapid.Int64().Draw(rt, "mantissa")
		b := unscaled(v)
		got := new(big.Int).SetBytes(b)
		if b[0]&0x80 != 0 {
			got.Sub(got, new(big.Int).Lsh(big.NewInt(1), uint(len(b)*8)))
		}
		if got.Int64() != v || !got.IsInt64() {
			rt.Fatalf("%d is %x", v, b)
		}
		if len(b) > 1 && (b[0] == 0 && b[1]&0x80 == 0 || b[0] == 0xff && b[1]&0x80 != 0) {
			rt.Fatalf("%d is %x, which could be shorter", v, b)
		}
	})
}

// A file that is not what is listed stays out, and the others are in.
func TestFileThatIsNotListed(t *testing.T) {
	l := newLake(t, t.TempDir())
	tables := l.tables(Options{})
	good, short, missing, wrong := tradesID(0, 0), tradesID(1, 0), tradesID(2, 0), tradesID(3, 1)
	put(l, good, trades(good, 5))
	put(l, short, trades(short, 5))
	put(l, missing, trades(missing, 5))
	put(l, wrong, trades(tradesID(3, 0), 5)) // of the day before
	for id, change := range map[lake.ID]func(string) error{
		short: func(name string) error { return os.Truncate(name, 50) }, missing: os.Remove,
	} {
		if err := change(filepath.Join(l.path, filepath.FromSlash(id.Key()))); err != nil {
			t.Fatal(err)
		}
	}
	err := tables.Update(t.Context(), l.list())
	for _, id := range []lake.ID{short, missing, wrong} {
		if err == nil || !strings.Contains(err.Error(), id.String()) {
			t.Errorf("%s is not part of the error %v", id, err)
		}
	}
	if have := paths(t, tables, lake.Trades); len(have) != 1 {
		t.Errorf("%d files", len(have))
	}
	put(l, missing, trades(missing, 5)) // again the same bytes
	if err := tables.Update(t.Context(), l.list()); err == nil || strings.Contains(err.Error(), missing.String()) {
		t.Errorf("a file that is back: %v", err)
	}
	if have := paths(t, tables, lake.Trades); len(have) != 2 {
		t.Errorf("%d files", len(have))
	}
}

// The metadata is a copy: where it is damaged, or of another location, a new table takes its place under the next version.
func TestDamagedMetadata(t *testing.T) {
	for name, damage := range map[string]func(dir string) error{
		"table": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "v1.metadata.json"), []byte(`{"format-version":2}`), 0o600)
		},
		"no JSON":  func(dir string) error { return os.Truncate(filepath.Join(dir, "v1.metadata.json"), 100) },
		"list":     func(dir string) error { return removeLike(dir, "snap-*") },
		"manifest": func(dir string) error { return removeLike(dir, "files-*") },
		"hint":     func(dir string) error { return os.Remove(filepath.Join(dir, hintName)) },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLake(t, t.TempDir())
			tables := l.tables(Options{})
			id := tradesID(0, 0)
			put(l, id, trades(id, 5))
			if err := tables.Update(t.Context(), l.list()); err != nil {
				t.Fatal(err)
			}
			if err := damage(tables.metadata(lake.Trades).path); err != nil {
				t.Fatal(err)
			}
			if err := tables.Update(t.Context(), l.list()); err != nil {
				t.Fatal(err)
			}
			if have := paths(t, tables, lake.Trades); len(have) != 1 {
				t.Errorf("%d files", len(have))
			}
		})
	}
	l := newLake(t, t.TempDir())
	id := tradesID(0, 0)
	put(l, id, trades(id, 5))
	for _, location := range []string{"", "s3://bucket/lighter/"} {
		tables := l.tables(Options{Location: location})
		if err := tables.Update(t.Context(), l.list()); err != nil {
			t.Fatal(err)
		}
		for path := range paths(t, tables, lake.Trades) {
			if !strings.HasPrefix(path, strings.TrimSuffix(tables.o.Location, "/")+"/trades/market_id=0/") {
				t.Errorf("file %s", path)
			}
		}
	}
}

func removeLike(dir, pattern string) error {
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	for _, n := range names {
		err = errors.Join(err, os.Remove(n))
	}
	return err
}

// At whichever upload the store fails or the process dies: what its hint names is whole there, and the next update finishes.
func TestUploadFails(t *testing.T) {
	l := newLake(t, t.TempDir())
	store := make(map[string][]byte)
	left := 0
	broken := errors.New("store is away")
	tables := l.tables(Options{
		Dir: t.TempDir(), Location: "s3://bucket/x",
		Upload: func(_ context.Context, key, path string) error {
			if left--; left < 0 {
				return broken
			}
			raw, err := os.ReadFile(path)
			store[key] = raw
			return err
		},
		Remove: func(_ context.Context, key string) error { delete(store, key); return nil },
	})
	whole := func() int {
		hint, ok := store["trades/metadata/"+hintName]
		if !ok {
			return 0
		}
		raw, ok := store["trades/metadata/v"+string(hint)+".metadata.json"]
		var read table
		if !ok || json.Unmarshal(raw, &read) != nil {
			t.Fatalf("version %s is not there", hint)
		}
		list, _, err := decode[listed](store[strings.TrimPrefix(read.current().ManifestList, "s3://bucket/x/")])
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, m := range list {
			rows, _, err := decode[entry](store[strings.TrimPrefix(m.Path, "s3://bucket/x/")])
			if err != nil {
				t.Fatal(err)
			}
			n += len(rows)
		}
		return n
	}
	for round := range 8 {
		id := tradesID(int64(round), 0)
		put(l, id, trades(id, 5))
		// In every second round it is the last upload, that of the hint, that fails first.
		for fail := round % 2 * 3; ; fail++ {
			left = fail
			err := tables.Update(t.Context(), l.list())
			if n := whole(); err == nil && n != round+1 || n > round+1 || n < round {
				t.Fatalf("%d files are in the store in round %d", n, round)
			}
			if err == nil {
				break
			}
			if !errors.Is(err, broken) || fail > 10 {
				t.Fatal(err)
			}
		}
	}
}

// Bytes of a manifest that is anything but one end with an error.
func FuzzDecode(f *testing.F) {
	raw, err := encode(entrySchema(true), map[string][]byte{"x": []byte("y")}, []entry{{File: dataFile{Path: "p"}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, _, err := decode[entry](raw); errors.Is(err, io.EOF) && len(raw) > len("Obj")+1 {
			t.Skip()
		}
	})
}

// Tables over another object store of the same location are new ones there, later than any that were there before.
func TestTablesOfAnotherStore(t *testing.T) {
	l, dir := newLake(t, t.TempDir()), t.TempDir()
	stores := map[string]map[string]bool{"": {}, "a": {}, "b": {}}
	update := func(name string) {
		tables := l.tables(Options{Dir: dir, Location: "s3://bucket", Store: name,
			Upload: func(_ context.Context, key, _ string) error { stores[name][key] = true; return nil }})
		if err := tables.Update(t.Context(), l.list()); err != nil {
			t.Fatal(err)
		}
	}
	put(l, tradesID(0, 0), trades(tradesID(0, 0), 5))
	update("") // by a version that did not note the store
	put(l, tradesID(0, 1), trades(tradesID(0, 1), 5))
	update("a")
	if len(stores["a"]) == 0 {
		t.Fatal("nothing was copied")
	}
	for i, name := range []string{"b", "a"} {
		clear(stores[name])
		update(name)
		want := fmt.Sprintf("trades/metadata/v%d.metadata.json", i+3)
		if !stores[name][want] || !stores[name]["trades/metadata/"+hintName] || stores[name]["trades/metadata/v2.metadata.json"] {
			t.Errorf("store %s has %v, want %s", name, stores[name], want)
		}
		snapshots, manifests := 0, 0
		for key := range stores[name] {
			if strings.Contains(key, "/snap-") {
				snapshots++
			} else if strings.Contains(key, "/files-") {
				manifests++
			}
		}
		if snapshots != 1 || manifests == 0 {
			t.Errorf("store %s lacks what its table needs: %v", name, stores[name])
		}
	}
}

// A file that only the object store has, because the directory was lost, is no fault of the tables; one that nobody has is.
func TestFileOfTheStoreAlone(t *testing.T) {
	l := newLake(t, t.TempDir())
	for market := range int64(2) {
		put(l, tradesID(market, 0), trades(tradesID(market, 0), 5))
	}
	lost := l.files[tradesID(1, 0)]
	if err := os.Remove(filepath.Join(l.path, filepath.FromSlash(lost.ID.Key()))); err != nil {
		t.Fatal(err)
	}
	tables := l.tables(Options{})
	if err := tables.Update(t.Context(), l.list()); !errors.Is(err, errGone) {
		t.Errorf("a file that is gone: %v", err)
	}
	lost.Remote = true
	l.files[lost.ID] = lost
	if err := tables.Update(t.Context(), l.list()); err != nil || len(paths(t, tables, lake.Trades)) != 1 {
		t.Errorf("%d files are in the table: %v", len(paths(t, tables, lake.Trades)), err)
	}
}

// A bound of a text is a text, however it was shortened.
func TestBoundOfText(t *testing.T) {
	l := newLake(t, t.TempDir())
	id := tradesID(0, 0)
	rows := trades(id, 3)
	for i := range rows {
		rows[i].Symbol = strings.Repeat("币", 8)
	}
	put(l, id, rows)
	tables := l.tables(Options{})
	if err := tables.Update(t.Context(), l.list()); err != nil {
		t.Fatal(err)
	}
	for _, e := range paths(t, tables, lake.Trades) {
		whole := false
		for _, b := range *e.File.Lower {
			whole = whole || string(b.Value) == strings.Repeat("币", 5)
		}
		if !whole {
			t.Errorf("the lower bounds are %v", *e.File.Lower)
		}
	}
}
