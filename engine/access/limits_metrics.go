package access

import (
	"sync"

	"github.com/VictoriaMetrics/metrics"
)

var (
	limitedAddress = metrics.NewCounter(`hyperlight_rate_limited_total{tier="anonymous"}`)

	creditsStandard   = metrics.NewCounter(`hyperlight_credits_total{class="standard"}`)
	creditsBatch      = metrics.NewCounter(`hyperlight_credits_total{class="batch"}`)
	creditsHeavyBatch = metrics.NewCounter(`hyperlight_credits_total{class="heavy_batch"}`)
	creditsStreaming  = metrics.NewCounter(`hyperlight_credits_total{class="streaming"}`)

	usageLost = metrics.NewCounter(`hyperlight_usage_lost_total`)
)

// limited holds a counter for each plan: a refusal is what a flood is made of and must not build a name.
var limited sync.Map // slug -> *metrics.Counter

func countLimited(plan *Plan) {
	c, ok := limited.Load(plan.Slug)
	if !ok {
		c, _ = limited.LoadOrStore(plan.Slug, metrics.GetOrCreateCounter(`hyperlight_rate_limited_total{tier="`+plan.Slug+`"}`))
	}
	c.(*metrics.Counter).Inc()
}

// countCredits counts what a call cost, by the class that the contract (1.10) gives its price.
func countCredits(cost int64) {
	switch cost {
	case 50:
		creditsHeavyBatch.AddInt64(cost)
	case 25:
		creditsBatch.AddInt64(cost)
	default:
		creditsStandard.AddInt64(cost)
	}
}
