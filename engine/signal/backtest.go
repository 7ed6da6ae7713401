package signal

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/google/uuid"

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

// Backtest runs the evaluator over events in their order. It stops at the first error of the events or when ctx ends, and
// returns that error.
func Backtest(ctx context.Context, rule Rule, cooldown time.Duration, events iter.Seq2[*Event, error]) (Result, error) {
	var out Result
	// The rule runs twice: once as live, once without any silence.
	live, always := uuid.UUID{1}, uuid.UUID{2}
	e := NewEvaluator()
	e.Set(live, rule, true, cooldown, State{})
	e.set(always, rule, true, -1, State{})
	count := func(t *Trigger) {
		if t.Signal == always {
			out.Matches++
			return
		}
		if out.Triggers++; out.Triggers <= MaxTriggers {
			out.First = append(out.First, Fired{At: t.At, Matched: slices.Clone(t.Matched)})
		}
	}
	fields := rule.Fields()
	for ev, err := range events {
		if err != nil {
			return Result{}, fmt.Errorf("read events of a backtest: %w", err)
		}
		if ev.Has&fields == 0 {
			continue
		}
		if out.Evaluated++; out.Evaluated%1024 == 0 && ctx.Err() != nil {
			return Result{}, ctx.Err()
		}
		e.OnEvent(ev, count)
	}
	out.Truncated = out.Triggers > MaxTriggers
	return out, ctx.Err()
}
