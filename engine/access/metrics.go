package access

import "github.com/VictoriaMetrics/metrics"

// What operators watch of sign-in: a queue that is never empty, and refusals that come in thousands.
var (
	hashesQueued  = metrics.NewGauge("hyperlight_argon2_queue", nil) // running and waiting
	hashesRefused = metrics.NewCounter("hyperlight_argon2_refused_total")

	signIns        = metrics.NewCounter(`hyperlight_sign_ins_total{result="ok"}`)
	signInsRefused = metrics.NewCounter(`hyperlight_sign_ins_total{result="refused"}`)

	refusedUnknown = metrics.NewCounter(`hyperlight_auth_refused_total{reason="unauthorized"}`)
	refusedByKey   = metrics.NewCounter(`hyperlight_auth_refused_total{reason="forbidden"}`)
)
