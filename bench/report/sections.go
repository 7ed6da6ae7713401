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

// pace is a row of processor time per delivery; its baseline is a rival rather than a bound.
func pace(what, name, aim string) row {
	return row{what, "a hub of goroutines and channels", "LivePace/" + name, "cpu-ns/delivery", "peer-cpu-ns/delivery", "cpu-ratio", "ns", aim}
}

// wait is a row of a benchmark that reports a time in milliseconds, shorter being better.
func wait(what, against, name, quantile, aim string) row {
	return row{what: what, against: against, name: name, ours: quantile, bare: "bare-" + quantile, unit: "ms", aim: aim}
}

// batch is a row of a batch call by processor time. Beside Redis and PostgreSQL they are measured by bench/accounts.
func batch(what, name string) row {
	return row{what: what, name: "Batch/" + name, ours: "batches/cpu-s", unit: "/s"}
}

// day is a row of a question to the recorded day.
func day(what, name, percentile, aim string) row {
	return row{what: what, name: "Day/queries/" + name, ours: percentile + "-ns", unit: "ns", aim: aim}
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
		title:  "Accounts in batches (100,000 known, connections aside)",
		groups: []group{{"./http", "^BenchmarkBatch$", 400 * time.Millisecond}},
		rows: []row{
			batch("1,000 accounts with positions and orders, encoded from rows", "1000/rows"),
			batch("the same, ready bodies", "1000/ready"),
			batch("and 20 fills each, encoded", "1000/fills"),
			batch("5,000 accounts, encoded from rows", "5000/rows"),
			batch("the same, ready bodies", "5000/ready"),
			batch("and 20 fills each, encoded", "5000/fills"),
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
			{"./ws", "^BenchmarkFanOut$", 500 * time.Millisecond},
			{"./ws", "^BenchmarkNativeFanOut$", 500 * time.Millisecond},
			{"./ws", "^BenchmarkLivePace$", 200 * time.Millisecond},
			{"./bench", "^BenchmarkLiveLatency$", time.Second},
		},
		rows: []row{
			rate("bursts of 100 frames to 1 client", "bare socket writer, one write per burst", "FanOut/1", "deliveries", ""),
			rate("to 100 clients", "the same", "FanOut/100", "deliveries", ""),
			rate("to 1,000 clients", "the same", "FanOut/1000", "deliveries", "3 M/s"),
			rate("to 1,000 clients", "a hub of goroutines and channels", "FanOut/1000/channels", "deliveries", ""),
			rate("`/stream`, book updates of 5 levels, to 1 client", "a socket writer, one write per burst", "NativeFanOut/1", "deliveries", ""),
			rate("to 100 clients", "the same", "NativeFanOut/100", "deliveries", ""),
			pace("at a market's pace, ten markets, 1 client: processor time per delivery", "1/10", ""),
			pace("100 clients", "100/10", ""),
			pace("1,000 clients", "1000/10", ""),
			pace("5,000 clients", "5000/10", "1.18"),
			pace("5,000 clients, one market", "5000/1", ""),
			{what: "memory of a client with ten subscriptions, of 100", name: "LivePace/100/10", ours: "B/client", unit: "B"},
			{what: "of 1,000 clients", name: "LivePace/1000/10", ours: "B/client", unit: "B"},
			{what: "of 5,000 clients", name: "LivePace/5000/10", ours: "B/client", unit: "B"},
			{"venue frame to client frame, 20,000 levels a second, 50 markets: p50", "the venue's frames sent on as they are", "LiveLatency", "p50-ns", "bare-p50-ns", "p50-ratio", "ns", ""},
			{"p99", "the same", "LiveLatency", "p99-ns", "bare-p99-ns", "p99-ratio", "ns", "2 ms more"},
		},
	},
	{
		title: "Replay at \"max\"",
		groups: []group{
			{"./engine/replay", "^BenchmarkReplayStore$", 500 * time.Millisecond},
			{"./bench", "^BenchmarkReplay$", time.Second},
			{"./bench", "^BenchmarkReplayFirst$", 500 * time.Millisecond},
			{"./engine/replay", "^BenchmarkLateness$", time.Second},
		},
		rows: []row{
			rate("in process, warm store: trades (hot)", "bare Pebble iterator, a row per event, decoded", "ReplayStore/hot/trades", "events", "2 M/s"),
			rate("trades and updates (hot)", "the same", "ReplayStore/hot/ticks", "events", "2 M/s"),
			rate("trades and one-second books (hot)", "the same, a whole book per second", "ReplayStore/hot/seconds", "events", ""),
			rate("trades (sealed)", "a row per event", "ReplayStore/sealed/trades", "events", "2 M/s"),
			rate("trades and updates (sealed)", "the same", "ReplayStore/sealed/ticks", "events", "2 M/s"),
			rate("trades and one-second books (sealed)", "the same, a whole book per second", "ReplayStore/sealed/seconds", "events", ""),
			rate("over one socket: trades", "bare socket, as many bytes", "Replay/socket/trades", "events", "500 k/s"),
			rate("over one socket: trades and one-second books of 20 levels", "the same", "Replay/socket/seconds", "events", "1.0 M/s"),
			rate("over one socket: trades and updates", "the same", "Replay/socket/ticks", "events", "500 k/s"),
			rate("over one socket: live frames", "the same", "Replay/socket/live", "events", "500 k/s"),
			rate("over one socket: native frames", "the same", "Replay/socket/native", "events", "1.2 M/s"),
			rate("four at once: trades and one-second books", "four bare sockets", "Replay/four/seconds", "events", ""),
			rate("four at once: native frames", "the same", "Replay/four/native", "events", ""),
			rate("into a file: trades and one-second books", "as many bytes into a file", "Replay/file/seconds", "events", ""),
			rate("into a file: native frames", "the same", "Replay/file/native", "events", ""),
			wait("first event of trades and one-second books, p50", "a refused message", "ReplayFirst/seconds", "p50-ms", ""),
			wait("the same, p99", "the same", "ReplayFirst/seconds", "p99-ms", "5 ms"),
			wait("first event with tick books, p99", "the same", "ReplayFirst/ticks", "p99-ms", "5 ms"),
			wait("first native frame, p99", "the same", "ReplayFirst/native", "p99-ms", "5 ms"),
			wait("lateness of 1,000 paced replays, p99", "as many goroutines with timers", "Lateness/timers", "p99-ms", "1.5 ms"),
			wait("the same with `replay.fine_pacing`, p99", "the same", "Lateness/pacer", "p99-ms", "0.25 ms"),
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
	{
		title: "A recorded day",
		groups: []group{
			{"./bench", "^BenchmarkDay$", 500 * time.Millisecond},
			{"./bench", "^BenchmarkSizes$", 100 * time.Millisecond},
		},
		rows: []row{
			{what: "import of a day of one market: frames", name: "Day/import", ours: "frames/s", unit: "/s"},
			{what: "level changes", name: "Day/import", ours: "levels/s", unit: "/s"},
			{what: "the whole of it on disk, compacted", name: "Day/size", ours: "B/day", unit: "B"},
			{what: "of which per trade, candles and index included", name: "Day/size", ours: "B/trade", unit: "B", aim: "12 B"},
			{what: "per level change, coverage and gaps included", name: "Day/size", ours: "B/level", unit: "B", aim: "5 B"},
			day("`/snapshots?at=` any instant", "snapshot", "p50", ""),
			day("slowest of a hundred", "snapshot", "p99", "5 ms"),
			day("slowest instant of a hundred, the best of three answers each", "snapshot", "best-p99", ""),
			day("`/trades/by-time?limit=1000` of an hour", "trades", "p50", ""),
			day("slowest of a hundred", "trades", "p99", ""),
			day("`/candles` of the day, 1,440 of a minute", "candles", "p50", ""),
			day("slowest of a hundred", "candles", "p99", ""),
			day("`/snapshots` of a minute, one a second", "minute", "p50", ""),
			day("slowest of a hundred", "minute", "p99", ""),
			day("a minute of book updates, read in process", "ticks", "p50", ""),
			{what: "a trade on the venue's tape, core", against: "PostgreSQL: 132 B", name: "Sizes/tape", ours: "core-B/trade", unit: "B", aim: "15 B"},
			{what: "with hash and every member", name: "Sizes/tape", ours: "B/trade", unit: "B", aim: "48 B"},
			{what: "a second of a book of 600 levels, thinned", against: "PostgreSQL: 12,552 B", name: "Sizes/tape", ours: "B/second", unit: "B", aim: "300 B"},
			{what: "Binance BTCUSDT: a trade", name: "Sizes/binance", ours: "B/trade", unit: "B", aim: "12 B"},
			{what: "a level change", name: "Sizes/binance", ours: "B/level", unit: "B", aim: "5 B"},
			{what: "a second of 600 levels, thinned; more of them change than on the tape", name: "Sizes/binance", ours: "B/second", unit: "B"},
		},
	},
	{
		title: "Signals (10,000 rules on one market)",
		groups: []group{
			{"./engine/signal", "^BenchmarkEvaluatorRatio$", 500 * time.Millisecond},
			{"./engine/signal/desk", "^BenchmarkEventToWebhook$", 20 * time.Second},
		},
		rows: []row{
			rate("evaluate an event of a market with 10,000 rules", "a loop over all rules, in machine numbers", "EvaluatorRatio/10000", "events", ""),
			rate("with 100 rules", "the same", "EvaluatorRatio/100", "events", ""),
			wait("1,000 events a second, 50 of which trigger: event to webhook, median", "a bare client's POST, no rules and no store", "EventToWebhook", "ms-p50", ""),
			wait("slowest of a hundred", "the same", "EventToWebhook", "ms-p99", "50 ms"),
			{what: "share of a core, with making the events and receiving the webhooks", against: "the same", name: "EventToWebhook", ours: "%core", bare: "bare-%core", unit: "%"},
		},
	},
}
