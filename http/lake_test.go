package http

import (
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hyperlight/config"
	"hyperlight/engine/access"
	"hyperlight/engine/lake"
)

const (
	exportsPath  = "/api/v1/data-lake/exports"
	downloadPath = "/api/v1/data-lake/download/"
	listingPath  = "/api/v1/data-lake/listing/"
	ethDay       = "trades-0-20240131"
)

// A file of the current day, which a wrong clock had taken for a finished one, is neither listed nor handed out.
func TestNoFileOfToday(t *testing.T) {
	f, l := newLakeFixture(t, testOptions{})
	id := lake.ID{Dataset: lake.Trades, Market: 0, Day: lakeDay + lake.DayMillis}
	l.put(id, "ETH", []byte("PAR1 too early PAR1"))
	for _, query := range []string{"?dataset=trades&market_id=0&limit=1", "?dataset=trades&market_id=0&limit=1&end=2030-01-01"} {
		if _, e := f.get(t, exportsPath+query); strings.Join(e.column("exports", "export_id"), " ") != ethDay || e.Meta.Total.String() != "3" {
			t.Errorf("%s: %v of %v", query, e.column("exports", "export_id"), e.Meta.Total)
		}
	}
	if status, _ := f.get(t, downloadPath+id.String()); status != 404 {
		t.Errorf("a link to a file of the current day: %d", status)
	}
	if _, e := f.get(t, exportsPath+"?start=2024-02-01"); e.Meta.Total.String() != "0" {
		t.Errorf("of the current day %v files are listed", e.Meta.Total)
	}
}

// Checklist 105: filters by dataset, market and dates; newest first; pages.
func TestExports(t *testing.T) {
	f, _ := newLakeFixture(t, testOptions{})
	all := "trades-0-20240129 trades-1-20240129 funding_rates-all-20240129 trades-0-20240130 trades-1-20240130 funding_rates-all-20240130 " +
		"trades-0-20240131 trades-1-20240131 funding_rates-all-20240131"
	backwards := strings.Fields(all)
	slices.Reverse(backwards)
	newest := strings.Join(backwards, " ")
	for _, tt := range []struct {
		query, want string
		total       int
	}{
		{"", newest, 9},
		{"?order=asc", all, 9},
		{"?dataset=funding_rates", "funding_rates-all-20240131 funding_rates-all-20240130 funding_rates-all-20240129", 3},
		{"?market_id=1", "trades-1-20240131 trades-1-20240130 trades-1-20240129", 3},
		{"?dataset=trades&market_id=0&order=asc", "trades-0-20240129 trades-0-20240130 trades-0-20240131", 3},
		{"?dataset=gaps", "", 0},
		{"?dataset=trades&market_id=0&start=2024-01-30", "trades-0-20240131 trades-0-20240130", 2},
		{"?dataset=trades&market_id=0&end=2024-01-30", "trades-0-20240129", 1},
		{"?dataset=trades&market_id=0&start=2024-01-30&end=2024-01-31", "trades-0-20240130", 1},
		{"?dataset=trades&market_id=0&start=2024-01-30T23:59:59Z&end=2024-01-31T00:00:00.001Z", "trades-0-20240131 trades-0-20240130", 2},
		{"?start=2025-01-01", "", 0},
		{"?limit=2", strings.Join(backwards[:2], " "), 9},
		{"?limit=2&offset=8", backwards[8], 9},
		{"?limit=5000&offset=20", "", 9},
	} {
		status, e := f.get(t, exportsPath+tt.query)
		if got := strings.Join(e.column("exports", "export_id"), " "); status != 200 || got != tt.want || e.Meta.Total.String() != strconv.Itoa(tt.total) {
			t.Errorf("%s: %d %v of %v", tt.query, status, got, e.Meta.Total)
		}
	}
	if _, e := f.get(t, exportsPath+"?limit=5000"); *e.Meta.Limit != 1000 || *e.Meta.Offset != 0 {
		t.Errorf("limit is %d, offset %d", *e.Meta.Limit, *e.Meta.Offset)
	}
	for query, field := range map[string]string{"dataset=trade": "dataset", "market_id=x": "market_id", "start=x": "start", "start=2024-01-02&end=2024-01-02": "start",
		"limit=0": "limit", "limit=x": "limit", "offset=-1": "offset", "offset=100001": "offset", "order=up": "order"} {
		status, e := f.get(t, exportsPath+"?"+query)
		details, _ := e.Data["details"].(map[string]any)
		if status != 400 || details["field"] != field {
			t.Errorf("%s: %d %v", query, status, e.Data)
		}
	}
	if status, _ := f.get(t, exportsPath+"?market_id=77"); status != 404 {
		t.Errorf("an unknown market: %d", status)
	}
}

// The rows have the contract's members (2.7.1), and state tells what a long export is at.
func TestExportRow(t *testing.T) {
	f, l := newLakeFixture(t, testOptions{})
	_, e := f.get(t, exportsPath+"?dataset=trades&market_id=0&limit=1")
	sum := sha256.Sum256([]byte("PAR1 trades of ETH 0 PAR1"))
	want := fmt.Sprintf(`{"export_id":"trades-0-20240131","dataset":"trades","market_id":0,"symbol":"ETH","date":"2024-01-31","period_start":1706659200000,`+
		`"period_end":1706745600000,"format":"parquet","compression":"zstd","schema_version":1,"rows":250,"size_bytes":25,"sha256":"%x","status":"ready",`+
		`"created_at":1706746200000}`, sum)
	sameJSON(t, e.list("exports")[0], want)
	_, e = f.get(t, exportsPath+"?dataset=funding_rates&limit=1")
	if row := e.list("exports")[0]; row["market_id"] != nil || row["symbol"] != nil {
		t.Errorf("a file of all markets: %v", row)
	}
	sameJSON(t, e.Data["state"], `{"status":"idle","files_done":0,"files_total":0,"current":null,"started_at":null,"finished_at":null,"next_at":null}`)
	l.mu.Lock()
	l.state = LakeState{Running: true, Done: 3, Total: 20, Current: lake.ID{Dataset: lake.Trades, Day: lakeDay}, Started: testNow - 500, Next: testNow + 600_000}
	l.mu.Unlock()
	_, e = f.get(t, exportsPath)
	sameJSON(t, e.Data["state"], `{"status":"running","files_done":3,"files_total":20,"current":"trades-0-20240131","started_at":1706745599500,"finished_at":null,"next_at":1706746200000}`)
}

func sameJSON(t *testing.T, got any, want string) {
	t.Helper()
	a, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal([]byte(want), &v); err != nil {
		t.Fatal(err)
	}
	if b, _ := json.Marshal(v); string(a) != string(b) {
		t.Errorf("got\n%s, want\n%s", a, b)
	}
}

// Checklist 104 and 41: whose plan has no data lake is told the lowest one that has it, whatever the plans are called.
func TestLakePlans(t *testing.T) {
	l := newFakeLake()
	with := func(o *Options) { o.Lake = l.options(t, o.Now) }
	paths := []string{exportsPath, downloadPath + ethDay, listingPath + "trades", lakeFilesPath + "trades/metadata/v1.metadata.json",
		lakeFilesPath + "trades/market_id=0/date=2024-01-31/part-0000.parquet", lakeFilesPath + "funding_rates/date=2024-01-31/part-0000.parquet"}
	named := func(slug string, lake bool) config.Plan {
		p := config.DefaultPlans()[4]
		p.Slug, p.DataLake = slug, lake
		return p
	}
	for _, tt := range []struct {
		plans    []config.Plan
		required any
		passes   []string
		refused  []string
	}{
		{nil, "starter", []string{"starter", "growth", "scale", "enterprise"}, []string{"free"}},
		{[]config.Plan{named("tin", false), named("iron", false), named("gold", true)}, "gold", []string{"gold"}, []string{"tin", "iron"}},
		{[]config.Plan{named("tin", false), named("iron", false)}, nil, nil, []string{"tin", "iron"}},
	} {
		local := "free"
		if tt.plans != nil {
			local = "none"
		}
		a := newAccounts(t, accountsOptions{plans: tt.plans, testOptions: testOptions{plan: local, edit: with}})
		check := func(who string, refused bool, headers ...string) {
			for _, path := range paths {
				r := a.do(t, "GET", path, headers...)
				if !refused {
					if r.Status != 200 {
						t.Errorf("%s %s: %d %s", who, path, r.Status, r.Body)
					}
					continue
				}
				e := r.envelope(t)
				details, _ := e.Data["details"].(map[string]any)
				if r.Status != 403 || e.Data["code"] != "forbidden" || details["required_tier"] != tt.required {
					t.Errorf("%s %s: %d %s", who, path, r.Status, r.Body)
				}
			}
		}
		if local != "none" {
			check("the local caller", true)
		}
		for _, slug := range slices.Concat(tt.passes, tt.refused) {
			_, key := a.user(t, slug+"@example.com", slug)
			check(slug, slices.Contains(tt.refused, slug), "X-Api-Key", key)
		}
		if r := a.do(t, "GET", exportsPath, "X-Forwarded-For", "192.0.2.1"); r.Status != 401 {
			t.Errorf("nobody: %d", r.Status)
		}
	}
}

// A plan that reaches back so far only shows and gives no older file.
func TestLakeReach(t *testing.T) {
	plan := config.DefaultPlans()[4]
	plan.Slug, plan.HistoryDepthDays = "short", 1
	l := newFakeLake()
	a := newAccounts(t, accountsOptions{plans: []config.Plan{plan}, testOptions: testOptions{plan: "none", edit: func(o *Options) { o.Lake = l.options(t, o.Now) }}})
	_, key := a.user(t, "a@example.com", "short")
	if _, e := a.get(t, exportsPath+"?market_id=0", "X-Api-Key", key); strings.Join(e.column("exports", "date"), " ") != "2024-01-31" {
		t.Errorf("listed: %v", e.column("exports", "date"))
	}
	for path, want := range map[string]int{downloadPath + ethDay: 200, downloadPath + "trades-0-20240130": 403, exportsPath + "?start=2024-01-30": 403,
		lakeFilesPath + "trades/market_id=0/date=2024-01-31/part-0000.parquet": 200, lakeFilesPath + "trades/market_id=0/date=2024-01-30/part-0000.parquet": 403} {
		if r := a.do(t, "GET", path, "X-Api-Key", key); r.Status != want {
			t.Errorf("%s: %d %s", path, r.Status, r.Body)
		}
	}
}

// Checklist 107, 109 and 113: a link is valid for 900 s, what it leads to is as listed; a redirect; no such export.
func TestDownload(t *testing.T) {
	f, _ := newLakeFixture(t, testOptions{})
	r := f.do(t, "GET", downloadPath+ethDay)
	e := r.envelope(t)
	d := e.Data
	if r.Status != 200 || fmt.Sprint(d["expires_in"]) != "900" || fmt.Sprint(d["expires_at"]) != "1706746500000" ||
		d["filename"] != ethDay+".parquet" || d["export_id"] != ethDay || fmt.Sprint(d["size_bytes"]) != "25" {
		t.Errorf("got %d %s", r.Status, r.Body)
	}
	url, _ := d["url"].(string)
	if !strings.HasPrefix(url, lakeBase+lakeFilesPath+ethDay+".parquet?expires=1706746500&signature=") {
		t.Fatalf("url is %s", url)
	}
	path := strings.TrimPrefix(url, lakeBase)
	file := f.do(t, "GET", path)
	sum := sha256.Sum256(file.Body)
	if file.Status != 200 || hex.EncodeToString(sum[:]) != d["sha256"] || len(file.Body) != 25 || file.Header["Etag"] != fmt.Sprintf("%q", d["sha256"]) ||
		file.Header["Content-Type"] != "application/vnd.apache.parquet" || file.Header["Content-Disposition"] != `attachment; filename="trades-0-20240131.parquet"` {
		t.Errorf("file: %d %v", file.Status, file.Header)
	}
	for redirect, want := range map[string]int{"true": 302, "1": 302, "false": 200} {
		r := f.do(t, "GET", downloadPath+ethDay+"?redirect="+redirect)
		if r.Status != want || (want == 302) != (r.Header["Location"] == url) {
			t.Errorf("redirect=%s: %d %v", redirect, r.Status, r.Header)
		}
	}
	for id, want := range map[string]int{ethDay + "?redirect=perhaps": 400, "trades-0-20240128": 404, "trades-7-20240131": 404, "trades-0-20240131.parquet": 404,
		"trades-00-20240131": 404, "nothing": 404, "funding_rates-0-20240131": 404, "funding_rates-all-20240131": 200} {
		if r := f.do(t, "GET", downloadPath+id); r.Status != want {
			t.Errorf("%s: %d %s", id, r.Status, r.Body)
		}
	}
	f.clock = func() time.Time { return time.UnixMilli(int64(testNow) + 899_999) }
	if r := f.do(t, "GET", path); r.Status != 200 {
		t.Errorf("a moment before its end: %d", r.Status)
	}
	f.clock = func() time.Time { return time.UnixMilli(int64(testNow) + 901_000) }
	if r := f.do(t, "GET", path); r.Status != 403 || r.envelope(t).Data["code"] != "forbidden" {
		t.Errorf("after its end: %d", r.Status)
	}
}

// With an object store the link is the store's own, of the files that it has; a store that gives none costs nobody a download.
func TestDownloadFromTheStore(t *testing.T) {
	f, l := newLakeFixture(t, testOptions{})
	id, _ := lake.ParseID(ethDay)
	var fault error
	l.remote = func(f lake.File) (string, time.Time, error) {
		return "https://store.example.org/" + f.ID.Key() + "?X-Amz-Signature=0", time.UnixMilli(int64(testNow) + 60_000), fault
	}
	link := func() string { _, e := f.get(t, downloadPath+ethDay); return e.Data["url"].(string) }
	if got := link(); !strings.HasPrefix(got, lakeBase) {
		t.Errorf("not uploaded: %s", got)
	}
	file := l.files[id]
	file.Remote = true
	l.files[id] = file
	if got := link(); got != "https://store.example.org/trades/market_id=0/date=2024-01-31/part-0000.parquet?X-Amz-Signature=0" {
		t.Errorf("uploaded: %s", got)
	}
	if r := f.do(t, "GET", listingPath+"trades?market_id=0"); strings.Count(string(r.Body), "https://store.example.org/") != 1 || strings.Count(string(r.Body), lakeBase) != 2 {
		t.Errorf("listing: %s", r.Body)
	}
	fault = errors.New("no")
	if got := link(); !strings.HasPrefix(got, lakeBase) {
		t.Errorf("the store fails: %s", got)
	}
}

// A listing stays the same document within a minute also where the object store makes another link each time.
func TestListingFromTheStore(t *testing.T) {
	f, l := newLakeFixture(t, testOptions{})
	id, _ := lake.ParseID(ethDay)
	file := l.files[id]
	file.Remote = true
	l.files[id] = file
	links, lifetime := 0, time.Hour
	l.remote = func(lake.File) (string, time.Time, error) {
		links++
		return fmt.Sprintf("https://store.example.org/?made=%d", links), f.clock().Add(lifetime), nil
	}
	ask := func(after time.Duration) string {
		f.clock = func() time.Time { return time.UnixMilli(int64(testNow)).Add(after) }
		return string(f.do(t, "GET", listingPath+"trades").Body)
	}
	first := ask(0)
	if !strings.Contains(first, "?made=1,") || ask(59*time.Second) != first || strings.Contains(ask(time.Minute), "?made=1,") {
		t.Errorf("%d links were made, the listing was %s", links, first)
	}
	ask(3 * time.Minute)
	if l.put(id, "ETH", []byte("PAR1 made again PAR1")); strings.Contains(ask(3*time.Minute), "https://store.example.org/") {
		t.Error("a link leads to the older version of a file")
	}
	l.files[id] = file
	lifetime = time.Minute
	if first := ask(4 * time.Minute); first == ask(4*time.Minute+time.Second) {
		t.Error("a link that lasts a minute is given for a minute")
	}
}

// Without a lake the calls say so.
func TestNoLake(t *testing.T) {
	f, _ := newLakeFixture(t, testOptions{edit: func(o *Options) { o.Lake = LakeOptions{} }})
	for path, want := range map[string]int{exportsPath: 503, downloadPath + ethDay: 503, listingPath + "trades": 503,
		lakeFilesPath + ethDay + ".parquet?expires=1&signature=0": 503, lakeFilesPath + "trades/metadata/v1.metadata.json": 503} {
		if r := f.do(t, "GET", path); r.Status != want {
			t.Errorf("%s: %d", path, r.Status)
		}
	}
}

// A listing names every file of a dataset with a link that works; within a minute it is one and the same document.
func TestListing(t *testing.T) {
	f, l := newLakeFixture(t, testOptions{})
	l.put(lake.ID{Dataset: lake.Trades, Market: 1, Day: lakeDay}, `B"T,C`, []byte("PAR1 odd name PAR1"))
	r := f.do(t, "GET", listingPath+"trades")
	rows, err := csv.NewReader(strings.NewReader(string(r.Body))).ReadAll()
	if err != nil || r.Status != 200 || len(rows) != 7 || r.Header["Content-Type"] != "text/csv; charset=utf-8" || r.Header["Accept-Ranges"] != "bytes" {
		t.Fatalf("%v: %d %v %s", err, r.Status, r.Header, r.Body)
	}
	column := func(row []string, name string) string { return row[slices.Index(rows[0], name)] }
	for i, row := range rows[1:] {
		want := []string{"trades-0-20240129", "trades-1-20240129", "trades-0-20240130", "trades-1-20240130", "trades-0-20240131", "trades-1-20240131"}[i]
		file := f.do(t, "GET", strings.TrimPrefix(column(row, "url"), lakeBase))
		if column(row, "export_id") != want || file.Status != 200 || fmt.Sprintf("%x", sha256.Sum256(file.Body)) != column(row, "sha256") ||
			strconv.Itoa(len(file.Body)) != column(row, "size_bytes") || column(row, "expires_at") != "1706746560000" {
			t.Errorf("%v: %d", row, file.Status)
		}
	}
	if got := column(rows[6], "symbol"); got != `B"T,C` {
		t.Errorf("symbol is %s", got)
	}
	f.clock = func() time.Time { return time.UnixMilli(int64(testNow) + 100) }
	first := f.do(t, "GET", listingPath+"trades")
	f.clock = func() time.Time { return time.UnixMilli(int64(testNow) + 59_900) }
	head := f.do(t, "HEAD", listingPath+"trades")
	part := f.do(t, "GET", listingPath+"trades", "Range", "bytes=10-99", "If-Range", first.Header["Etag"])
	if head.Header["Content-Length"] != strconv.Itoa(len(first.Body)) || part.Status != 206 || string(part.Body) != string(first.Body[10:100]) {
		t.Errorf("within a minute: %v, %d %v", head.Header, part.Status, part.Header)
	}
	if r := f.do(t, "GET", listingPath+"trades?market_id=0&start=2024-01-30&end=2024-01-31"); strings.Count(string(r.Body), "\n") != 2 {
		t.Errorf("filtered: %s", r.Body)
	}
	if r := f.do(t, "GET", listingPath+"gaps"); r.Status != 200 || string(r.Body) != listingHead ||
		r.Header["Last-Modified"] != time.UnixMilli(int64(testNow)).UTC().Format(http.TimeFormat) {
		t.Errorf("empty: %d %v %s", r.Status, r.Header, r.Body)
	}
	// Links end later each minute, so a client that goes by dates alone must not keep the old ones.
	for wait, want := range map[time.Duration]int{0: 200, 59 * time.Second: 304, 60 * time.Second: 200} {
		hence := time.UnixMilli(int64(testNow)).Add(time.Hour)
		f.clock = func() time.Time { return hence.Add(wait) }
		since := hence.UTC()
		if wait == 0 {
			since = since.Add(-time.Second)
		}
		if r := f.do(t, "GET", listingPath+"trades", "If-Modified-Since", since.Format(http.TimeFormat)); r.Status != want {
			t.Errorf("after %v: %d", wait, r.Status)
		}
	}
	for path, want := range map[string]int{"nothing": 404, "trades?start=x": 400, "trades?market_id=x": 400} {
		if r := f.do(t, "GET", listingPath+path); r.Status != want {
			t.Errorf("%s: %d", path, r.Status)
		}
	}
	for i := range mostListed {
		l.put(lake.ID{Dataset: lake.Candles, Market: int64(i), Day: lakeDay}, "X", nil)
	}
	l.put(lake.ID{Dataset: lake.Candles, Market: 0, Day: lakeDay - lake.DayMillis}, "X", nil)
	if r := f.do(t, "GET", listingPath+"candles"); r.Status != 400 || r.envelope(t).Data["details"].(map[string]any)["limit"] == nil {
		t.Errorf("too many: %d %.200s", r.Status, r.Body)
	}
}

// A key may stand in the query, for programs that can send no header.
func TestListingWithAKey(t *testing.T) {
	l := newFakeLake()
	a := newAccounts(t, accountsOptions{testOptions: testOptions{plan: "none", edit: func(o *Options) { o.Lake = l.options(t, o.Now) }}})
	_, key := a.user(t, "a@example.com", "starter", access.KeySpec{})
	r := a.do(t, "GET", listingPath+"trades?api_key="+key)
	if r.Status != 200 || r.Header["X-Credits-Cost"] != "1" {
		t.Errorf("%d %v", r.Status, r.Header)
	}
	if strings.Contains(string(r.Body), key) || strings.Contains(a.logs.String(), key) {
		t.Error("the key went on")
	}
	if r := a.do(t, "GET", listingPath+"trades"); r.Status != 401 {
		t.Errorf("nobody: %d", r.Status)
	}
}

// Table metadata and the files that it names are read with a credential, by names only that there can be.
func TestLakeTree(t *testing.T) {
	f, l := newLakeFixture(t, testOptions{})
	l.metadata["trades/.secret.json"], l.metadata["trades/key.pem"] = []byte("no"), []byte("no")
	l.metadata["trades/snap-1.avro"] = []byte("Obj\x01")
	for path, want := range map[string]string{
		"trades/metadata/v1.metadata.json":                            "200 application/json",
		"trades/metadata/version-hint.text":                           "200 text/plain; charset=utf-8",
		"trades/metadata/snap-1.avro":                                 "200 application/avro",
		"trades/metadata/v2.metadata.json":                            "404",
		"trades/metadata/.secret.json":                                "404",
		"trades/metadata/key.pem":                                     "404",
		"trade/metadata/v1.metadata.json":                             "404",
		"trades/metadata/..%5cv1.metadata.json":                       "400",
		"trades/metadata/a%2fb.json":                                  "400",
		"trades/market_id=0/date=2024-01-31/part-0000.parquet":        "200 " + mediaParquet,
		"trades/market_id=0/date=2024-01-31/part-0001.parquet":        "404",
		"trades/market_id=00/date=2024-01-31/part-0000.parquet":       "404",
		"trades/market_id=7/date=2024-01-31/part-0000.parquet":        "404",
		"trades/date=2024-01-31/part-0000.parquet":                    "404",
		"funding_rates/date=2024-01-31/part-0000.parquet":             "200 " + mediaParquet,
		"funding_rates/market_id=0/date=2024-01-31/part-0000.parquet": "404",
		"trades/market_id%3D0/date%3D2024-01-31/part-0000.parquet":    "200 " + mediaParquet,
	} {
		r := f.do(t, "GET", lakeFilesPath+path)
		got := strconv.Itoa(r.Status)
		if r.Status == 200 {
			got += " " + r.Header["Content-Type"]
			head, part := f.do(t, "HEAD", lakeFilesPath+path), f.do(t, "GET", lakeFilesPath+path, "Range", "bytes=-1")
			if head.Header["Content-Length"] != strconv.Itoa(len(r.Body)) || part.Status != 206 || string(part.Body) != string(r.Body[len(r.Body)-1:]) {
				t.Errorf("%s: HEAD %v, last byte %d", path, head.Header, part.Status)
			}
		}
		if got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	stranger, _ := newLakeFixture(t, testOptions{plan: "none"})
	for _, path := range []string{"trades/metadata/v1.metadata.json", "trades/market_id=0/date=2024-01-31/part-0000.parquet"} {
		if r := stranger.do(t, "GET", lakeFilesPath+path); r.Status != 401 {
			t.Errorf("%s without a credential: %d", path, r.Status)
		}
	}
}
