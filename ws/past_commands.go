package ws

import (
	"context"
	"strconv"
	"strings"

	"hyperlight/engine/model"
)

// pastCommand is a client's subscribe or unsubscribe.
type pastCommand struct {
	subscribe bool
	name      string // with a slash
}

// push hands a command over; false where too many wait. It is called by the reader.
func (t *timeline) push(c pastCommand) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.commands) >= maxCommands {
		return false
	}
	t.commands = append(t.commands, c)
	select {
	case t.wake <- struct{}{}:
	default:
	}
	return true
}

// apply carries the client's commands out.
func (t *timeline) apply(ctx context.Context) error {
	t.mu.Lock()
	commands := t.commands
	t.commands = nil
	t.mu.Unlock()
	for _, c := range commands {
		var err error
		if c.subscribe {
			err = t.subscribe(ctx, c.name)
		} else {
			t.unsubscribe(c.name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// find returns the channel of a name: its key with a colon, "" where there is none, and the markets that it tells of.
func (t *timeline) find(name string) (key string, family nativeFamily, markets []*model.Market, fault string) {
	switch name {
	case "height":
		return name, nativeHeight, t.all(), ""
	case "market_stats/all":
		return "market_stats:all", nativeStats, t.all(), ""
	}
	head, id, _ := strings.Cut(name, "/")
	for f := range nativeFamilies {
		if head != f.String() {
			continue
		}
		native, err := strconv.ParseInt(id, 10, 64)
		m, known := t.s.c.server.o.Markets.ByNative(venueLighter, native)
		if err != nil || !known || strconv.FormatInt(native, 10) != id || f == nativeStats && m.Type == typeSpot || !t.shows(m) {
			return "", 0, nil, "Invalid Channel:  (marketId)"
		}
		return head + ":" + id, f, []*model.Market{m}, ""
	}
	return "", 0, nil, "Invalid Channel"
}

// shows tells whether the session is of a market.
func (t *timeline) shows(m *model.Market) bool {
	if len(t.markets) == 0 {
		return true
	}
	for _, have := range t.markets {
		if have.ID == m.ID {
			return true
		}
	}
	return false
}

// all returns the markets of the session.
func (t *timeline) all() []*model.Market {
	if len(t.markets) > 0 {
		return t.markets
	}
	return t.s.c.server.o.Markets.All()
}

func (t *timeline) held(key string) int {
	for i, l := range t.lanes {
		if l.key == key {
			return i
		}
	}
	return -1
}

// subscribe opens a channel at the clock: its state as it was then, and what came after.
func (t *timeline) subscribe(ctx context.Context, name string) error {
	key, family, markets, fault := t.find(name)
	switch {
	case key == "":
		t.s.fail(nativeInvalidChannel, fault)
		return nil
	case t.held(key) >= 0:
		t.s.fail(nativeAlreadyHeld, "Already Subscribed to : "+key)
		return nil
	case !t.s.c.server.quota.take(t.s.slot, slotSubscription):
		t.s.fail(nativeTooManySubs, "Too Many Subscriptions!")
		return nil
	}
	l, opened := &heldLane{key: key, family: family, markets: markets}, false
	defer func() {
		if !opened { // after a panic too
			t.s.c.server.quota.give(t.s.slot, slotSubscription)
		}
	}()
	if err := t.open(ctx, l); err != nil {
		return err
	}
	opened = true
	nativeSubscriptions(family).Inc()
	t.lanes = append(t.lanes, l)
	now := t.now()
	if t.latest.IsZero() {
		t.latest = now.Add(startLatest)
	}
	if t.startAt = now.Add(startGrace); t.startAt.After(t.latest) {
		t.startAt = t.latest
	}
	return t.look(ctx, l)
}

// open makes a lane from the clock's millisecond on: what came in that millisecond before the clock follows at once.
func (t *timeline) open(ctx context.Context, l *heldLane) (err error) {
	h, n := t.s.c.server.o.History, &t.s.c.server.o.Native
	from := min(t.s.clock.at(t.now()).Millis(), t.to-1)
	switch l.family {
	case nativeBook:
		l.pastLane = newPastBook(h, n, l.markets[0], from, t.to)
	case nativeTrade:
		l.pastLane, err = newPastTrades(ctx, h, n, l.markets[0], from, t.to)
	case nativeStats:
		l.pastLane, err = newPastStats(ctx, h, n, l.markets, strings.HasSuffix(l.key, ":all"), from, t.to)
	default:
		l.pastLane = newPastHeight(h, n, l.markets, from, t.to)
	}
	return err
}

func (t *timeline) unsubscribe(name string) {
	key, _, _, fault := t.find(name)
	i := t.held(key)
	switch {
	case key == "":
		t.s.fail(nativeInvalidChannel, fault)
	case i < 0:
		t.s.fail(nativeNotSubscribed, "Not Subscribed to : "+key)
	default:
		t.drop(t.lanes[i])
		t.lanes = append(t.lanes[:i], t.lanes[i+1:]...)
		t.s.c.pipe.send(newFrame(t.s.c.server.o.Native.Unsubscribed(nil, key)))
	}
}
