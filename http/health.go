package http

import (
	"crypto/subtle"
	"strconv"
	"strings"

	"github.com/VictoriaMetrics/metrics"
	"github.com/valyala/fasthttp"

	"hyperlight/engine/model"
)

// getHealth answers /health, which is not enveloped.
func getHealth(c *call) {
	h := c.server.health()
	status := fasthttp.StatusOK
	if h.Status == "error" {
		status = fasthttp.StatusServiceUnavailable
	}
	var dst []byte
	dst = append(dst, `{"status":`...)
	dst = model.AppendString(dst, h.Status)
	dst = append(dst, `,"version":`...)
	dst = model.AppendString(dst, h.Version)
	dst = append(dst, `,"uptime_seconds":`...)
	dst = strconv.AppendInt(dst, h.UptimeSeconds, 10)
	dst = append(dst, `,"checks":{"storage":`...)
	dst = model.AppendString(dst, h.Storage)
	dst = append(dst, `,"lighter_api":`...)
	dst = model.AppendString(dst, h.LighterAPI)
	c.bytes(status, contentJSON, append(dst, "}}"...))
}

// getAlive answers /healthz: the process runs. It never touches the disk.
func getAlive(c *call) { c.bytes(fasthttp.StatusOK, contentJSON, []byte(`{"status":"ok"}`)) }

// getReady answers /readyz: the store works, a market is in sync (or had a minute to be), and we are not going away.
func getReady(c *call) {
	s := c.server
	reason := ""
	switch {
	case s.closing.Load():
		reason = "shutting down"
	case s.health().Storage != "ok":
		reason = "storage is failing"
	case s.status().Synced < 1 && s.now().Sub(s.started) < readyAfter:
		reason = "no market is synchronised yet"
	}
	if reason == "" {
		c.bytes(fasthttp.StatusOK, contentJSON, []byte(`{"status":"ok"}`))
		return
	}
	c.bytes(fasthttp.StatusServiceUnavailable, contentJSON, []byte(`{"status":"unavailable","reason":"`+reason+`"}`))
}

// getStatus answers /status with the state of both links to the venue. It says down with a 200.
func getStatus(c *call, dst []byte) ([]byte, meta, error) {
	s := c.server.status()
	dst = append(dst, `{"status":`...)
	dst = model.AppendString(dst, s.Status)
	dst = append(dst, `,"rest":`...)
	dst = model.AppendString(dst, s.REST)
	dst = append(dst, `,"websocket":`...)
	dst = model.AppendString(dst, s.WebSocket)
	dst = append(dst, `,"network_id":`...)
	dst = appendIfKnown(dst, s.NetworkID, s.NetworkID != 0)
	dst = append(dst, `,"lighter_timestamp":`...)
	dst = appendMillisOrNull(dst, s.LighterTimestamp)
	dst = append(dst, `,"block_height":`...)
	dst = appendIfKnown(dst, int64(s.BlockHeight), s.BlockHeight != 0)
	dst = append(dst, `,"latency_ms":`...)
	dst = appendIfKnown(dst, s.LatencyMS, s.REST == "ok")
	dst = append(dst, `,"active_markets":`...)
	dst = strconv.AppendInt(dst, int64(s.ActiveMarkets), 10)
	dst = append(dst, `,"subscribed_channels":`...)
	dst = strconv.AppendInt(dst, int64(s.Subscribed), 10)
	dst = append(dst, `,"wanted_channels":`...)
	dst = strconv.AppendInt(dst, int64(s.Wanted), 10)
	dst = append(dst, `,"synced_markets":`...)
	dst = strconv.AppendInt(dst, int64(s.Synced), 10)
	dst = append(dst, `,"last_message_at":`...)
	dst = appendMillisOrNull(dst, s.LastMessageAt)
	dst = append(dst, `,"checked_at":`...)
	dst = appendMillisOrNull(dst, s.CheckedAt)
	if len(s.Backfill) > 0 {
		dst = appendBackfill(append(dst, `,"backfill":`...), s.Backfill)
	}
	if s.Accounts != nil {
		dst = appendAccountStatus(append(dst, `,"accounts":`...), s.Accounts)
	}
	return append(dst, '}'), meta{}, nil
}

// appendIfKnown writes a number, null where it is not known.
func appendIfKnown(dst []byte, n int64, known bool) []byte {
	if !known {
		return append(dst, "null"...)
	}
	return strconv.AppendInt(dst, n, 10)
}

// getMetrics answers /metrics in the Prometheus text form, for whoever shows the token where one is set.
func getMetrics(c *call) {
	if want := c.server.metricsToken; want != "" &&
		subtle.ConstantTimeCompare([]byte(want), bearer(c.head.authorization)) != 1 {
		c.fail(errMetricsToken)
		return
	}
	c.server.journal.flush() // the durations so far belong into the answer
	var b strings.Builder
	metrics.WritePrometheus(&b, true)
	c.bytes(fasthttp.StatusOK, "text/plain; version=0.0.4; charset=utf-8", []byte(b.String()))
}

var errMetricsToken = &model.Error{Code: model.CodeUnauthorized, Message: "missing or invalid metrics token"}
