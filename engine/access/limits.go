package access

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"hyperlight/engine/model"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// limits is what Access counts: rate windows, credits, usage and kept answers. All of it is in memory first.
type limits struct {
	store *kv.Store // nil: nothing survives the process
	now   func() time.Time

	limiter   *limiter // of principals, stored
	addresses *limiter // of addresses, not stored
	meter     *meter
	usage     *usage
	kept      *keptAnswers
	routes    routeNames
	sockets   RouteID // what credits for messages are counted under

	flushing  sync.Mutex // one flush at a time
	lastFlush model.Millis
	swept     model.Millis
	dropped   model.Millis
}

// socketRoute is the name of what sockets spend.
const socketRoute = "WS messages"

// How often a flush looks after what has become old.
const (
	sweepEvery = 30_000
	dropEvery  = hourMillis
)

// Days, and for windows minutes, that rows are kept.
const (
	usageDays     = 400
	answerDays    = 2
	windowMinutes = 60
)

func (l *limits) millis() model.Millis { return model.Millis(l.now().UnixMilli()) }

// openLimits makes the counters and restores what the store holds of them. New calls it once, before any other method
// of this file.
func (a *Access) openLimits(o Options) error {
	l := &a.limits
	l.store, l.now = o.Store, o.Now
	if l.now == nil {
		l.now = time.Now
	}
	log := o.Logger
	if log == nil {
		log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	l.limiter, l.addresses = newLimiter(0, true), newLimiter(addressesPerShard, false)
	l.meter, l.usage, l.kept = newMeter(), newUsage(), newKeptAnswers(l.store, log)
	l.sockets = l.routes.id(socketRoute)
	if l.store == nil {
		return nil
	}
	now := l.millis()
	l.lastFlush, l.swept = now, now
	return errors.Join(l.restoreWindows(now), l.restoreMonths(now), l.restoreAnswers(now))
}

// restoreWindows reads the last two minutes, and what a clock that was set back has left: rows of later than a day are of
// one that had run far ahead, and would count as made just now at every start. A second counts at its last millisecond:
// nobody gets more than the limit.
func (l *limits) restoreWindows(now model.Millis) error {
	r, err := key.WindowRange(int64(now) - windowMillis)
	if err != nil {
		return fmt.Errorf("restore rate windows: %w", err)
	}
	return l.restore("rate windows", r, func(row kv.KV) error {
		at, err := key.ParseRateWindow(row.Key)
		if err != nil {
			return err
		}
		counts, err := readSeconds(row.Value)
		if err != nil || at.Minute > int64(now)+key.DayMillis {
			return err
		}
		id := BucketID(at.Bucket)
		for s, n := range counts {
			if n > 0 {
				l.limiter.restore(&id, at.Minute/1000+int64(s), n)
			}
		}
		return nil
	})
}

// restoreMonths reads this month and the one before.
func (l *limits) restoreMonths(now model.Millis) error {
	r, err := key.MonthRange(uint32(periodOf(now).before()))
	if err != nil {
		return fmt.Errorf("restore months: %w", err)
	}
	return l.restore("months", r, func(row kv.KV) error {
		at, err := key.ParseMonthTotal(row.Key)
		if err != nil {
			return err
		}
		used, err := readTotal(row.Value)
		if err != nil {
			return err
		}
		l.meter.restore(at.Account, period(at.Period), used)
		return nil
	})
}

// restoreAnswers counts the answers of today, or of the day that a clock which was set back had begun.
func (l *limits) restoreAnswers(now model.Millis) error {
	today := key.Day(int64(now))
	r, err := key.AnswerRange(today)
	if err != nil {
		return fmt.Errorf("restore kept answers: %w", err)
	}
	return l.restore("kept answers", r, func(row kv.KV) error {
		at, err := key.ParseKeptAnswer(row.Key)
		if err == nil && at.Day <= today+1 { // those of a clock that ran ahead are of no day yet
			l.kept.restore(at.Account, at.Day)
		}
		return err
	})
}

func (l *limits) restore(what string, r key.Range, fn func(kv.KV) error) error {
	for row, err := range l.store.Scan(context.Background(), r) {
		if err == nil {
			err = fn(row)
		}
		if err != nil {
			return fmt.Errorf("restore %s: %w", what, err)
		}
	}
	return nil
}

// accountID turns a Principal's account into the id that rows have. The local account, and any that is no id, is zero.
func accountID(account string) uuid.UUID {
	if account == LocalAccount {
		return uuid.Nil
	}
	id, err := uuid.Parse(account)
	if err != nil {
		return uuid.Nil
	}
	return id
}

// Take asks the caller's rate window for one request, under the limit of the plan that it has now. It does not allocate
// for a bucket that was seen in the last minutes.
func (a *Access) Take(p *Principal, now model.Millis) Decision {
	d := a.limits.limiter.take(&p.Bucket, p.Plan.RequestsPerMinute, now)
	if !d.OK {
		countLimited(p.Plan)
	}
	return d
}

// Reserve takes a call's credits from the account's month before the call runs. Where a hard cap refuses it returns
// quota_exceeded with details.retry_after, the seconds to the next month; the credits are right then too. Every Reserve
// is followed by one Settle.
func (a *Access) Reserve(p *Principal, cost int64, now model.Millis) (Credits, error) {
	used, ok := a.limits.meter.reserve(p.User, p.Plan, cost, now)
	c := Credits{Cost: cost, Used: used, Limit: p.Plan.CreditsPerMonth}
	if ok {
		return c, nil
	}
	c.Cost = 0
	wait := max((int64(periodOf(now).end()-now)+999)/1000, 1)
	return c, &model.Error{Code: model.CodeQuota, Message: "monthly credit quota exceeded", Details: map[string]any{"retry_after": wait}}
}

// Settle counts an answered call, and gives its credits back where it failed. Calls that a rate window refused are
// settled too, with no cost.
func (a *Access) Settle(p *Principal, u Use, now model.Millis) {
	l := &a.limits
	c := routeCount{}
	c.answers[classOf(u.Status)] = 1
	if u.Cost > 0 {
		reserved := u.Reserved
		if reserved == 0 {
			reserved = now
		}
		spent := u.Status < 400
		l.meter.settle(p.User, u.Cost, spent, reserved)
		if spent {
			c.credits = u.Cost
			countCredits(u.Cost)
		}
	}
	l.usage.count(callerOf(p), u.Route, now, c)
}

// Spend takes the credits of messages on a socket. It takes nothing and returns false where a hard cap is reached.
func (a *Access) Spend(p *Principal, credits int64, now model.Millis) bool {
	if credits <= 0 {
		return true
	}
	l := &a.limits
	if !l.meter.spend(p.User, p.Plan, credits, now) {
		return false
	}
	creditsStreaming.AddInt64(credits)
	l.usage.count(callerOf(p), l.sockets, now, routeCount{credits: credits})
	return true
}

// Route returns the id of a route's name, such as "GET /api/v1/orderbook/:market_id". It is meant for start-up.
func (a *Access) Route(name string) RouteID { return a.limits.routes.id(name) }

// Month returns what an account (Principal.Account) has used of a plan's allowance in the month of now.
func (a *Access) Month(account string, plan *Plan, now model.Millis) Month {
	p, used := a.limits.meter.used(accountID(account), now)
	return monthOf(p, used, plan)
}
