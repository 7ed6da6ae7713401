package signal

import (
	"context"
	"iter"
	"time"

	"hyperlight/engine/model"
)

// MaxTriggers is how many triggers a backtest lists.
const MaxTriggers = 100

// Fired is a trigger of a backtest.
type Fired struct {
	At      model.Millis
	Matched []Match
}

// Result is the outcome of a backtest.
type Result struct {
	Triggers  int     // with the cooldown
	Matches   int     // events at which the rule held, whatever the cooldown
	Evaluated int     // events that set a field of the rule
	First     []Fired // the first MaxTriggers
	Truncated bool    // there were more
}

// Backtest runs the evaluator over events in their order.
func Backtest(ctx context.Context, rule Rule, cooldown time.Duration, events iter.Seq2[*Event, error]) (Result, error) {
	return Result{}, nil
}
