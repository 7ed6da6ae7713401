package http

import (
	"bytes"
	"strconv"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"pgregory.net/rapid"

	"hyperlight/engine/model"
)

// Checklist 36: every form of a time.
func TestParseTime(t *testing.T) {
	const want = model.Millis(1767225600000)
	for _, text := range []string{"2026-01-01T00:00:00Z", "2026-01-01", "1767225600000", "1767225600", "2026-01-01T02:00:00+02:00", "2026-01-01T02:00:00 02:00",
		"2025-12-31T19:00:00-05:00", "2026-01-01T00:00:00.000Z", "2026-01-01T00:00:00.000999999Z"} {
		if got, ok := parseTime([]byte(text)); !ok || got != want {
			t.Errorf("%s: got %d %t", text, got, ok)
		}
	}
	if got, _ := parseTime([]byte("99999999999")); got != 99_999_999_999_000 {
		t.Errorf("just below the border: got %d", got)
	}
	if got, _ := parseTime([]byte("100000000000")); got != 100_000_000_000 {
		t.Errorf("the border: got %d", got)
	}
	for _, text := range []string{"", "x", "-1", "1.5", "2026-01-01T00:00:00", "2026-1-1", "2026-02-30", "1969-12-31", "253402300800000", "2026-01-01T00:00:00Z ", "+1767225600", "1e12"} {
		if got, ok := parseTime([]byte(text)); ok {
			t.Errorf("%q: got %d, want a refusal", text, got)
		}
	}
}

// What RFC 3339 can write is read back to the millisecond.
func TestParseTimeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := rapid.Int64Range(0, maxMillis).Draw(t, "ms")
		zone := time.FixedZone("", rapid.IntRange(-12, 14).Draw(t, "hours")*3600)
		at := time.UnixMilli(ms).In(zone)
		if at.Year() > 9999 || at.Year() < 1970 {
			t.Skip("the zone leaves the range")
		}
		if got, ok := parseTime([]byte(at.Format(time.RFC3339Nano))); !ok || int64(got) != ms {
			t.Fatalf("got %d %t, want %d", got, ok, ms)
		}
	})
}

func TestParseInt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.StringMatching(`-?[0-9]{0,19}`), rapid.StringMatching(`[ +x.]?[0-9]{1,4}[ e.]?`)).Draw(t, "text")
		want, err := strconv.ParseInt(text, 10, 64)
		digits := len(bytes.TrimPrefix([]byte(text), []byte("-")))
		if text != "" && text[0] == '+' || digits > 18 {
			err = strconv.ErrSyntax
		}
		if got, ok := parseInt([]byte(text)); ok != (err == nil) || ok && got != want {
			t.Fatalf("%q: got %d %t, want %d %v", text, got, ok, want, err)
		}
	})
}

func TestCursorRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 1, 64).Draw(t, "key")
		p := position{Time: rapid.Int64().Draw(t, "time"), Market: model.MarketID(rapid.Uint32().Draw(t, "market")), ID: rapid.Uint64().Draw(t, "id")}
		start := model.Millis(rapid.Int64Min(0).Draw(t, "start"))
		var filter filterHash
		copy(filter[:], rapid.SliceOfN(rapid.Byte(), cursorHash, cursorHash).Draw(t, "filter"))
		text := encodeCursor(key, p, start, filter)
		got, err := decodeCursor(key, []byte(text))
		if err != nil || got.Position != p || got.Start != start || got.Filter != filter {
			t.Fatalf("got %+v %v", got, err)
		}
		if _, err := decodeCursor(append(key, 1), []byte(text)); err == nil {
			t.Fatal("another key must not open it")
		}
	})
}

func FuzzCursor(f *testing.F) {
	key := []byte("key")
	f.Add([]byte(encodeCursor(key, position{1, 2, 3}, 4, filterHash{5})))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := decodeCursor(key, text)
		if err != nil {
			return
		}
		if again := encodeCursor(key, d.Position, d.Start, d.Filter); again != string(text) {
			t.Fatalf("%q decodes to what is written %q", text, again)
		}
	})
}

// FuzzQuery gives every handler arbitrary query strings: an answer is 200, or a refusal of the contract, and never a panic.
func FuzzQuery(f *testing.F) {
	for _, q := range []string{"market_id=0", "at=1706745590000&depth=3", "start=2024-01-31&end=2024-02-01T00:00:00Z&limit=5&order=desc", "tick_size=0.01&bps=1,2&levels=3",
		"resolution=1w&fill=true&market_id=0", "type=trade&side=buy&account_index=42&min_size=0.1&min_notional=1&whale_only=1", "cursor=AQ", "%00=%&&=&limit=%31", "kind=trade"} {
		f.Add(q)
	}
	fix := newFixture(f, testOptions{})
	paths := []string{"/api/v1/orderbook/0", "/api/v1/orderbook/0/depth", "/api/v1/orderbook/1/depth", "/api/v1/orderbook/0/snapshots", "/api/v1/trades/by-time",
		"/api/v1/candles", "/api/v1/data-quality/coverage", "/api/v1/data-quality/gaps"}
	f.Fuzz(func(t *testing.T, query string) {
		for _, path := range paths {
			var ctx fasthttp.RequestCtx
			var req fasthttp.Request
			req.SetRequestURI("http://localhost" + path)
			req.Header.SetHost("localhost")
			req.URI().SetQueryString(query)
			ctx.Init(&req, loopback, nil)
			fix.serve(&ctx, fix.mux)
			switch status := ctx.Response.StatusCode(); status {
			case 200, 400, 404:
			case 401:
				if len(ctx.QueryArgs().Peek("api_key")) == 0 {
					t.Fatalf("%s?%s: 401 without a credential", path, query)
				}
			default:
				t.Fatalf("%s?%s: got %d %s", path, query, status, ctx.Response.Body())
			}
		}
	})
}

// FuzzHead checks the pass over raw header lines against a plain reading of the rules.
func FuzzHead(f *testing.F) {
	for _, s := range []string{"Host: h\r\nX-Api-Key: k\r\n\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", "A: b\n c: d\n\n", "Connection: close, x\r\n\r\n",
		"x-forwarded-for: 1.2.3.4\r\nvia: x\r\nContent-Encoding: gzip\r\n\r\n", "X-Forwarded-: 1\r\n\r\n", "\r\n", ""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var h head
		kept := bytes.Clone(raw)
		err := h.readLines(raw)
		if !bytes.Equal(raw, kept) {
			t.Fatal("the head was changed")
		}
		if err != nil {
			return
		}
		var framing int
		for line := range bytes.Lines(raw) {
			line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
			if len(line) == 0 {
				break
			}
			name, _, ok := bytes.Cut(line, []byte(":"))
			if !ok || !isToken(name) {
				t.Fatalf("%q passed", line)
			}
			if n := string(bytes.ToLower(name)); n == "transfer-encoding" || n == "content-length" {
				framing++
			}
		}
		if framing > 1 {
			t.Fatalf("%q passed", raw)
		}
	})
}

// A limit above the maximum is lowered, however long it is.
func TestHugeLimits(t *testing.T) {
	f := newFixture(t, testOptions{})
	for _, limit := range []string{"1001", "999999999999999999", "1000000000000000000", "99999999999999999999999999"} {
		status, e := f.get(t, "/api/v1/trades/by-time?market_id=0&limit="+limit)
		if status != 200 || e.Meta.Limit == nil || *e.Meta.Limit != 1000 {
			t.Errorf("%s: got %d %v", limit, status, e.Meta)
		}
	}
	for _, limit := range []string{"-99999999999999999999", "9999999999999999999x", "+99999999999999999999"} {
		if got := f.failure(t, "/api/v1/trades/by-time?market_id=0&limit="+limit); got != "400 bad_request limit" {
			t.Errorf("%s: got %s", limit, got)
		}
	}
}
