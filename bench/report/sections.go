package main

import "time"

// section is one table.
type section struct {
	title  string
	groups []group
	rows   []row
}

// group is one run of go test: benchmarks of a package that get the same time.
type group struct {
	pkg     string
	pattern string
	time    time.Duration
}

// row is one line: a benchmark's name and the units of its figures.
type row struct {
	what, against     string
	name              string
	ours, bare, ratio string
	unit              string // behind ours and bare
	aim               string
}

// latency is a row of a benchmark that bench.CompareLatency reported.
func latency(what, against, name, percentile, aim string) row {
	return row{what, against, name, percentile + "-ns", "bare-" + percentile + "-ns", percentile + "-ratio", "ns", aim}
}

// rate is a row of a benchmark that bench.Compare reported.
func rate(what, against, name, unit, aim string) row {
	return row{what, against, name, unit + "/s", "bare-" + unit + "/s", "ratio", "/s", aim}
}

var sections = []section{
	{
		title: "Frames and books (one core)",
		groups: []group{
			{"./engine/feed/lighter", "^BenchmarkDecodeRatio$", 500 * time.Millisecond},
			{"./engine/book", "^BenchmarkApplyRatio$", 500 * time.Millisecond},
			{"./ws", "^BenchmarkEncodeRatio$", 300 * time.Millisecond},
			{"./http", "^BenchmarkEncodeRatio$", 300 * time.Millisecond},
		},
		rows: []row{
			rate("decode a small book frame", "`encoding/json`, structs declared for it", "DecodeRatio", "frames", "1.5 M/s"),
			{what: "allocations per frame decoded", name: "DecodeRatio", ours: "allocs/frame", aim: "0"},
			rate("apply 4 levels near the touch, 3,000 a side", "sorted slice per side", "ApplyRatio/slice/touch", "updates", ""),
			rate("the same anywhere in the book", "sorted slice per side", "ApplyRatio/slice/anywhere", "updates", ""),
			rate("near the touch", "map per side, which has no order", "ApplyRatio/map/touch", "updates", ""),
			rate("near the touch, an immutable view each time", "copy of the sorted slices", "ApplyRatio/view/touch", "updates", ""),
			rate("encode an `order_book_update` of 6 levels", "`encoding/json`, structs filled before", "EncodeRatio/book/json", "frames", ""),
			rate("the same", "copy of the ready bytes", "EncodeRatio/book/copy", "frames", ""),
			rate("encode a `trade_update`", "`encoding/json`, structs filled before", "EncodeRatio/trade/json", "frames", ""),
			rate("the same", "copy of the ready bytes", "EncodeRatio/trade/copy", "frames", ""),
			rate("encode the REST body of a book", "`encoding/json`, structs filled before", "EncodeRatio/json", "bodies", ""),
			rate("the same", "copy of the ready bytes", "EncodeRatio/copy", "bodies", ""),
		},
	},
	{
		title:  "Current book over REST",
		groups: []group{{"./http", "^BenchmarkCurrentBook$", 1500 * time.Millisecond}},
		rows: []row{
			rate("`/orderbook/{m}` over loopback", "bare fasthttp handler, same bytes", "CurrentBook/loopback", "req", "0.9"),
			{"processor time per request, client included", "the same", "CurrentBook/loopback", "cpu-ns/req", "bare-cpu-ns/req", "cpu-ratio", "ns", ""},
			rate("over connections in memory", "the same", "CurrentBook/memory", "req", ""),
		},
	},
	{
		title: "Keys, limits and credits",
		groups: []group{
			{"./http", "^BenchmarkAccess$/^(loopback|memory|bare)$", 600 * time.Millisecond},
			{"./http", "^BenchmarkRateHeaders$", 200 * time.Millisecond},
			{"./engine/access", "^Benchmark(TakeRatio|AuthenticateRatio|AccessMemory)$", 200 * time.Millisecond},
		},
		rows: []row{
			{"processor time per request with a key, its window, credits and usage, over loopback", "the same server and route without them", "Access/loopback", "cpu-ns/req", "bare-cpu-ns/req", "cpu-ratio", "ns", "0.9"},
			rate("requests over loopback", "the same", "Access/loopback", "req", "0.9"),
			{"processor time per request, connections in memory", "the same", "Access/memory", "cpu-ns/req", "bare-cpu-ns/req", "cpu-ratio", "ns", ""},
			{"processor time per request over loopback", "bare fasthttp handler, same bytes", "Access/bare", "cpu-ns/req", "bare-cpu-ns/req", "cpu-ratio", "ns", ""},
			{what: "of which: writing the eight headers about it", name: "RateHeaders", ours: "ns/op", unit: "ns"},
			rate("know the caller by a key, 100,000 known", "SHA-256 and a look into one map", "AuthenticateRatio/key", "calls", "1 M/s"),
			rate("know the caller by a token seen before", "the same", "AuthenticateRatio/token", "calls", "1 M/s"),
			rate("ask a full window of 300 a minute", "a lock, a map and a ring of times", "TakeRatio/300", "takes", "1 M/s"),
			rate("of 3,000 a minute", "the same", "TakeRatio/3000", "takes", "1 M/s"),
			rate("of 30,000 a minute", "the same", "TakeRatio/30000", "takes", "1 M/s"),
			{"memory: 100,000 keys known, 5,000 calling, full windows of 300 a minute", "a map of hashes, a ring of times per caller", "AccessMemory/300", "B", "bare-B", "ratio", "B", "67.1 MB"},
			{"of 3,000 a minute each", "the same", "AccessMemory/3000", "B", "bare-B", "ratio", "B", "67.1 MB"},
			{"of 30,000 a minute each (2.5 M requests a second)", "the same", "AccessMemory/30000", "B", "bare-B", "ratio", "B", ""},
		},
	},
	{
		title: "Native calls (the simulated venue on loopback)",
		groups: []group{
			{".", "^BenchmarkRelay$", 150 * time.Millisecond},
			{"./engine/relay", "^BenchmarkLocal$/^(candles|fundings)$", 200 * time.Millisecond},
		},
		rows: []row{
			latency("forwarded GET, one client: median", "the venue asked directly", "Relay/get/one", "p50", ""),
			latency("slowest of a hundred", "the same", "Relay/get/one", "p99", ""),
			rate("16 clients", "the same", "Relay/get/many", "req", ""),
			latency("one client: median", "bare fasthttp reverse proxy", "Relay/get/proxy/one", "p50", ""),
			rate("16 clients", "the same", "Relay/get/proxy/many", "req", ""),
			latency("`sendTx`, one client: median", "the venue asked directly", "Relay/sendTx/one", "p50", ""),
			latency("slowest of a hundred", "the same", "Relay/sendTx/one", "p99", ""),
			rate("16 clients", "the same", "Relay/sendTx/many", "req", ""),
			latency("one client: median", "bare fasthttp reverse proxy", "Relay/sendTx/proxy/one", "p50", ""),
			rate("16 clients", "the same", "Relay/sendTx/proxy/many", "req", ""),
			latency("from the cache (HIT), one client: median", "the venue asked directly", "Relay/hit/one", "p50", ""),
			latency("slowest of a hundred", "the same", "Relay/hit/one", "p99", ""),
			rate("16 clients", "the same", "Relay/hit/many", "req", ""),
			latency("LOCAL: `orderBooks`, 100 markets", "the same", "Relay/local/orderBooks", "p50", ""),
			latency("LOCAL: `orderBookDetails`, 100 markets", "the same", "Relay/local/orderBookDetails", "p50", ""),
			latency("LOCAL: `orderBookDetails` of one", "the same", "Relay/local/orderBookDetails/market_id-1", "p50", ""),
			latency("LOCAL: `exchangeStats`, 100 markets", "the same", "Relay/local/exchangeStats", "p50", ""),
			latency("LOCAL: `currentHeight`", "the same", "Relay/local/currentHeight", "p50", ""),
			latency("LOCAL: `recentTrades`, 20 rows", "the same", "Relay/local/recentTrades/market_id-0/limit-20", "p50", ""),
			{what: "LOCAL: `candles`, 56 rows, in process", name: "Local/candles/56", ours: "ns/op", unit: "ns"},
			{what: "LOCAL: `fundings`, 99 rows, in process", name: "Local/fundings/99", ours: "ns/op", unit: "ns"},
		},
	},
	{
		title: "History",
		groups: []group{
			{"./engine/history", "^BenchmarkTradeScanRatio$", 500 * time.Millisecond},
			{"./engine/history", "^BenchmarkTradePage$", 300 * time.Millisecond},
			{"./engine/history", "^BenchmarkCommitRatio$", time.Second},
			{"./bench", "^BenchmarkIngest$", time.Second},
		},
		rows: []row{
			rate("scan trades of the last hours (hot)", "bare Pebble iterator, same bytes, nothing decoded", "TradeScanRatio/hot/same-bytes", "trades", ""),
			rate("the same", "bare Pebble iterator, a row per trade, decoded", "TradeScanRatio/hot/row-each", "trades", ""),
			rate("scan older trades (sealed)", "bare Pebble iterator, same bytes, nothing decoded", "TradeScanRatio/sealed/same-bytes", "trades", ""),
			rate("the same", "bare Pebble iterator, a row per trade, decoded", "TradeScanRatio/sealed/row-each", "trades", ""),
			{what: "page of 50 trades at a random moment (hot)", name: "TradePage/hot", ours: "ns/op", unit: "ns"},
			{what: "page of 50 trades at a random moment (sealed)", name: "TradePage/sealed", ours: "ns/op", unit: "ns"},
			rate("write level changes, synced commits", "bare Pebble batches of the rows made, as many commits", "CommitRatio/levels", "levels", ""),
			rate("write trades with candles and counts", "the same", "CommitRatio/trades", "trades", ""),
			rate("whole way of a frame: decode, shard, book, view, commit; level changes", "the same", "Ingest", "levels", "500 k/s"),
		},
	},
	{
		title: "Fan-out (clients in the same process)",
		groups: []group{
			{"./ws", "^BenchmarkFanOut$", time.Second},
			{"./ws", "^BenchmarkNativeFanOut$", 500 * time.Millisecond},
		},
		rows: []row{
			rate("to 1 client", "bare socket writer, one write per burst of 100 frames", "FanOut/1", "deliveries", ""),
			rate("to 100 clients", "the same", "FanOut/100", "deliveries", ""),
			rate("to 1,000 clients", "the same", "FanOut/1000", "deliveries", ""),
			rate("`/stream`, book updates of 5 levels, to 1 client", "the same", "NativeFanOut/1", "deliveries", ""),
			rate("to 100 clients", "the same", "NativeFanOut/100", "deliveries", ""),
		},
	},
	{
		title: "Replay at \"max\"",
		groups: []group{
			{"./engine/replay", "^BenchmarkReplayStore$", 500 * time.Millisecond},
			{"./ws", "^BenchmarkReplaySocket$", time.Second},
		},
		rows: []row{
			rate("in process, warm store: trades (hot)", "bare Pebble iterator, a row per event, decoded", "ReplayStore/hot/trades", "events", "2 M/s"),
			rate("trades and updates (hot)", "the same", "ReplayStore/hot/ticks", "events", "2 M/s"),
			rate("trades and one-second books (hot)", "the same, a whole book per second", "ReplayStore/hot/seconds", "events", ""),
			rate("trades (sealed)", "a row per event", "ReplayStore/sealed/trades", "events", "2 M/s"),
			rate("trades and updates (sealed)", "the same", "ReplayStore/sealed/ticks", "events", "2 M/s"),
			rate("trades and one-second books (sealed)", "the same, a whole book per second", "ReplayStore/sealed/seconds", "events", ""),
			rate("over one socket: trades", "bare socket writer, as many bytes", "ReplaySocket/event/trades", "events", "500 k/s"),
			rate("over one socket: trades and updates", "the same", "ReplaySocket/event/ticks", "events", "500 k/s"),
			rate("over one socket: live frames", "the same", "ReplaySocket/live", "events", "500 k/s"),
		},
	},
	{
		title: "Memory and disk",
		groups: []group{
			{"./bench", "^Benchmark(MarketMemory|Disk)$", 300 * time.Millisecond},
			{"./ws", "^BenchmarkClientMemory$", 500 * time.Millisecond},
		},
		rows: []row{
			{"market of 3,000 levels a side: book, view, history state", "the levels alone in two slices", "MarketMemory", "B/market", "bare-B/market", "ratio", "B", ""},
			{"idle WebSocket client, its own socket included", "bare socket with a goroutine that reads", "ClientMemory", "B/client", "bare-B/client", "ratio", "B", ""},
			{"real recording on disk: per book update", "the recorded JSON through gzip", "Disk", "disk-B/update", "gzip-B/update", "update-ratio", "B", ""},
			{"real recording on disk: per trade, candles included", "the recorded JSON through gzip", "Disk", "disk-B/trade", "gzip-B/trade", "trade-ratio", "B", ""},
		},
	},
}
