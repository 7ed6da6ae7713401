package http

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/google/uuid"

	"hyperlight/engine/model"
)

// longestBacktest is how long any backtest may take, however long its range.
const longestBacktest = 10 * time.Minute

var (
	errOwnBacktest   = &model.Error{Code: model.CodeConflict, Message: "a backtest of yours is running, wait for its answer"}
	errOtherBacktest = &model.Error{Code: model.CodeServiceUnavailable, Message: "a long backtest is running, try again later or ask for a day at most"}
)

// backtests bounds the backtests that run at once: one for each user, and of those over more than a day, which take many
// times as long as any other call, so few that most processors and most places for reads of history are left to the others.
type backtests struct {
	mu      sync.Mutex
	running map[uuid.UUID]struct{}
	long    int
}

// longBacktests is how many backtests over more than a day may run at once.
func longBacktests() int { return max(runtime.GOMAXPROCS(0)/4, 1) }

// enter takes a place; leave, which is nil with an error, gives it back.
func (b *backtests) enter(user uuid.UUID, long bool) (leave func(), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, runs := b.running[user]; runs {
		return nil, errOwnBacktest
	}
	if long && b.long >= longBacktests() {
		return nil, errOtherBacktest
	}
	if b.running == nil {
		b.running = map[uuid.UUID]struct{}{}
	}
	b.running[user] = struct{}{}
	if long {
		b.long++
	}
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.running, user)
		if long {
			b.long--
		}
	}, nil
}

// enterBacktest passes both gates, of backtests and of history, and returns a context with as much time as the range needs:
// what a read of history may take for each day of it. leave must be called.
func (c *call) enterBacktest(s span) (ctx context.Context, leave func(), err error) {
	days := (s.To - s.From + day - 1) / day
	done, err := c.server.backtests.enter(c.principal.User, days > 1)
	if err != nil {
		return nil, nil, err
	}
	exit, err := c.server.engine.Enter(c.waiting())
	if err != nil {
		done()
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(c.waiting(), backtestDeadline(int64(days)))
	return ctx, func() { cancel(); exit(); done() }, nil
}

func backtestDeadline(days int64) time.Duration {
	return time.Duration(min(max(days, 1), int64(longestBacktest/historyDeadline))) * historyDeadline
}
