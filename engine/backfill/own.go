package backfill

import (
	"context"
	"time"

	"hyperlight/engine/feed"
)

const (
	// slicePages is how many pages a walk of our own takes before the plan is made anew.
	slicePages = 20
	// firstPause and lastPause bound the pauses after errors of the venue or the store.
	firstPause = time.Second
	lastPause  = 5 * time.Minute
	// lastRound is the longest time until the plan is made again while nothing is missing.
	lastRound = 30 * time.Second
)

// fillOwn fills what nobody asked for, one hole at a time, until ctx ends.
func (s *Service) fillOwn(ctx context.Context) {
	rest, pause := firstPause, firstPause
	for ctx.Err() == nil {
		found, err := s.fillNext(ctx)
		var wait time.Duration
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			failures.Inc()
			wait, pause = pause, min(2*pause, lastPause)
			s.log.Warn("backfill waits", "pause", wait, "error", err)
		case found:
			rest, pause = firstPause, firstPause
			continue
		default:
			wait, rest = rest, min(2*rest, lastRound)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// fillNext fills some of the first hole of the plan; found is false where nothing is missing.
func (s *Service) fillNext(ctx context.Context) (found bool, err error) {
	plan, err := s.plan(ctx)
	if err != nil || len(plan) == 0 {
		return false, err
	}
	next := plan[0]
	if !s.enter(ctx, next.recordKey) {
		return false, nil
	}
	defer s.leave(next.recordKey)
	return true, s.fill(ctx, walk{
		m: next.m, kind: next.kind, hole: next.hole, priority: feed.Backfill, pace: s.own, pages: slicePages,
		aside: func() bool { return s.steppedAside(next.recordKey) },
	})
}
