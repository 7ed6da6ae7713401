package ws

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hyperlight/config"
	"hyperlight/engine/access"
	"hyperlight/engine/model"
)

// keyring is an Access whose keys a test changes. Each key is an account of its own with the plan of that moment.
type keyring struct {
	mu      sync.Mutex
	plans   map[string]*access.Plan
	refused map[string]*model.Error
	changed chan struct{}
	credits map[string]int64 // left; missing: any number
	spent   atomic.Int64
	failed  atomic.Int64 // refused credentials counted
	most    int64        // refused credentials let pass; 0: any number
}

func newKeyring(plans map[string]config.Plan) *keyring {
	k := &keyring{plans: map[string]*access.Plan{}, refused: map[string]*model.Error{}, changed: make(chan struct{}), credits: map[string]int64{}}
	for key, p := range plans {
		k.plans[key] = &access.Plan{Plan: p}
	}
	return k
}

func (k *keyring) Authenticate(r access.Request) (*access.Principal, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key, _ := r.Credential()
	p := k.plans[key]
	if p == nil || k.refused[key] != nil {
		return nil, &model.Error{Code: model.CodeUnauthorized, Message: "missing or invalid API key"}
	}
	return &access.Principal{Plan: p, Account: key}, nil
}

func (k *keyring) Recheck(p *access.Principal, _ netip.Addr) (*access.Principal, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.refused[p.Account]; err != nil {
		return nil, err
	}
	if now := k.plans[p.Account]; now != p.Plan {
		return &access.Principal{Plan: now, Account: p.Account}, nil
	}
	return p, nil
}

func (k *keyring) Changed() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.changed
}

// change does something and tells everybody.
func (k *keyring) change(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f()
	close(k.changed)
	k.changed = make(chan struct{})
}

func (k *keyring) Spend(p *access.Principal, n int64, _ model.Millis) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if left, capped := k.credits[p.Account]; capped {
		if left < n {
			return false
		}
		k.credits[p.Account] = left - n
	}
	k.spent.Add(n)
	return true
}

func (k *keyring) TakeIP(netip.Addr, access.IPClass, model.Millis) access.Decision {
	n := k.failed.Add(1)
	return access.Decision{OK: k.most == 0 || n <= k.most}
}

func (k *keyring) Plans() []*access.Plan { return testAccess{}.Plans() }

// anyPlan is a plan without limits, to be narrowed.
func anyPlan() config.Plan {
	p := config.DefaultPlans()[4]
	p.Slug = "any"
	return p
}

// A revoked key closes its sockets with 4012, a disabled one with 4003, well before the once-a-second look; others stay.
func TestRevokedWhileConnected(t *testing.T) {
	keys := newKeyring(map[string]config.Plan{"a": anyPlan(), "b": anyPlan(), "c": anyPlan()})
	h := serve(t, Options{Access: keys, Native: lighterNative(), History: sharedTape()})
	open := func(key string) map[string]*client {
		out := map[string]*client{}
		for _, path := range []string{pathLive, pathReplay} {
			out[path] = h.dial(path+"?api_key="+key, nil)
			out[path].expect("authenticated")
		}
		out[pathStream] = h.dial(pathStream+"?api_key="+key, nil)
		out[pathStream].expect("connected")
		out[pathStream].say(`{"type":"ping"}`)
		out[pathStream].expect("pong")
		return out
	}
	a, b, c := open("a"), open("b"), open("c")
	a[pathReplay].say(`{"type":"replay","market_id":0,"start":%d,"end":%d,"speed":1}`, tapeStart, int64(tapeStart)+60_000)
	a[pathReplay].expect("replay_started")
	began := time.Now()
	keys.change(func() {
		keys.refused["a"] = &model.Error{Code: model.CodeUnauthorized, Message: "revoked"}
		keys.refused["b"] = &model.Error{Code: model.CodeForbidden, Message: "disabled"}
	})
	for path := range a {
		a[path].expectClose(closeRevoked)
		b[path].expectClose(closeRefused)
	}
	t.Logf("it took %s on this machine", time.Since(began))
	for _, x := range c {
		x.say(`{"type":"ping"}`)
		x.expect("pong")
	}
}

// The bound of 100 ms in the clock of a bubble, where the machine's load does not count.
func TestRevocationIsNotPolled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys := newKeyring(map[string]config.Plan{"a": anyPlan()})
		s, err := New(Options{Markets: testMarkets{}, Access: keys})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close(t.Context())
		c := &Conn{server: s, queue: newQueue(8, 1<<20)}
		p, _ := keys.Authenticate(access.Request{APIKey: "a"})
		c.owner.Store(p)
		s.mu.Lock()
		s.conns[c] = struct{}{}
		s.mu.Unlock()
		for range 3 { // changes that do not concern it, one behind the other
			keys.change(func() {})
			time.Sleep(30 * time.Millisecond)
		}
		keys.change(func() { keys.refused["a"] = &model.Error{Code: model.CodeUnauthorized} })
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if !c.closing.Load() || c.code != closeRevoked {
			t.Errorf("closing %v with %d 100 ms after the revocation", c.closing.Load(), c.code)
		}
		s.forget(c)
	})
}

// A key that was revoked between its authentication and the connection's entry is not forgotten.
func TestRevokedDuringAuthentication(t *testing.T) {
	keys := newKeyring(map[string]config.Plan{"a": anyPlan()})
	h := serve(t, Options{Access: &revoking{keys}})
	h.dial("/ws?api_key=a", nil).expectClose(closeRevoked)
}

// revoking revokes each key as soon as it has authenticated.
type revoking struct{ *keyring }

func (r *revoking) Authenticate(q access.Request) (*access.Principal, error) {
	p, err := r.keyring.Authenticate(q)
	r.change(func() { r.refused[p.Account] = &model.Error{Code: model.CodeUnauthorized} })
	return p, err
}

// A new plan holds from the next message on, what is held stays.
func TestChangedPlan(t *testing.T) {
	wide, narrow := anyPlan(), anyPlan()
	narrow.Subscriptions = 1
	keys := newKeyring(map[string]config.Plan{"a": wide})
	h := serve(t, Options{Access: keys})
	c := h.dial("/ws?api_key=a", nil)
	c.expect("authenticated")
	for i := range 3 {
		c.say(`{"type":"subscribe","channel":"trade/%d"}`, i)
		c.expect("subscribed")
	}
	keys.change(func() { keys.plans["a"] = &access.Plan{Plan: narrow} })
	h.eventually("the plan holds", func() bool {
		h.s.mu.Lock()
		defer h.s.mu.Unlock()
		for c := range h.s.conns {
			return c.owner.Load().Plan.Subscriptions == 1
		}
		return false
	})
	c.say(`{"type":"subscribe","channel":"trade/3"}`)
	c.expectError(codeSubscriptionLimit) // and no second authenticated message came before it
	newMaker(h.s.Hub(), 2).trades(1, model.TradeBatch{})
	c.expect("trade_update")
	for i := range 3 {
		c.say(`{"type":"unsubscribe","channel":"trade/%d"}`, i)
		c.expect("unsubscribed")
	}
	c.say(`{"type":"subscribe","channel":"trade/3"}`)
	c.expect("subscribed")
}

func TestRefusedCredentialsAreCounted(t *testing.T) {
	keys := newKeyring(map[string]config.Plan{"a": anyPlan()})
	keys.most = 2
	h := serve(t, Options{Access: keys})
	for range 2 {
		c := h.dial("/ws?api_key=wrong", nil)
		c.expectError(codeUnauthorized)
		c.expectClose(closeAuth)
	}
	c := h.dial("/ws?api_key=wrong", nil)
	c.expectError(codeRateLimit)
	c.expectClose(closeRate)
}

func TestPlanWithoutSockets(t *testing.T) {
	none := anyPlan()
	none.Connections = 0
	h := serve(t, Options{Access: newKeyring(map[string]config.Plan{"a": none}), Native: lighterNative()})
	c := h.dial("/ws?api_key=a", nil)
	c.expectError(codeConnectionLimit)
	c.expectClose(closeLimit)
	s := h.dial("/stream?api_key=a", nil)
	s.expect("connected")
	s.expectClose(closeLimit)
}

func TestSubscribeRate(t *testing.T) {
	slow := anyPlan()
	slow.SubscribeOpsPerSecond = 3
	now := time.Now()
	var at atomic.Int64
	clock := func() time.Time { return now.Add(time.Duration(at.Load())) }
	h := serve(t, Options{Access: newKeyring(map[string]config.Plan{"a": slow}), Now: clock, Native: lighterNative()})
	c := h.dial("/ws?api_key=a", nil)
	c.expect("authenticated")
	for round := range 3 {
		for i := range 3 {
			c.say(`{"type":"%ssubscribe","channel":"trade/%d"}`, []string{"", "un", ""}[round], i)
			c.expect([]string{"", "un", ""}[round] + "subscribed")
		}
		for range 5 { // more than three in a row: no violation of the message rate
			c.say(`{"type":"subscribe","channel":"trade/9"}`)
			if f := c.expectError(codeRateLimit); f.Channel != "trade/9" {
				t.Errorf("error names %q", f.Channel)
			}
		}
		c.say(`{"type":"ping"}`)
		c.expect("pong")
		at.Add(int64(time.Second))
	}
}

// Every data message costs, nothing else does, and the last credit is the last message.
func TestMeteredMessages(t *testing.T) {
	metered := anyPlan()
	metered.CreditPerMessage = 2
	keys := newKeyring(map[string]config.Plan{"a": metered, "n": metered, "r": metered, "free": anyPlan()})
	keys.credits["a"], keys.credits["r"] = 2*12+1, 2*20
	h := serve(t, Options{Access: keys, Native: lighterNative(), History: sharedTape()})
	k := newMaker(h.s.Hub(), 0)
	k.snapshot(level(100, 5))
	c, free := h.dial("/ws?api_key=a", nil), h.dial("/ws?api_key=free", nil)
	for _, x := range []*client{c, free} {
		x.expect("authenticated")
		x.say(`{"type":"subscribe","channel":"order_book/0"}`)
		x.expect("subscribed")
		x.expect("order_book_update") // 1
		x.say(`{"type":"ping"}`)
		x.expect("pong")
	}
	k.hole(level(100, 6)) // a gap, which is told for nothing, and a book: 2
	for range 10 {        // 12
		k.update(level(100, 7))
	}
	c.expect("gap")
	for range 11 {
		c.expect("order_book_update")
	}
	if got := keys.spent.Load(); got != 24 {
		t.Errorf("%d credits spent, want 24", got)
	}
	k.update(level(100, 8))
	c.expectError(codeQuota)
	c.expectClose(closeRefused)
	if got := keys.spent.Load(); got != 24 {
		t.Errorf("%d credits spent at the end, want 24", got)
	}
	free.expect("gap")
	for range 12 {
		free.expect("order_book_update")
	}

	n := h.dial("/stream?api_key=n", nil)
	n.expect("connected")
	n.say(`{"type":"subscribe","channel":"order_book/0"}`)
	n.expect("subscribed/order_book")
	k.update(level(100, 9))
	n.expect("update/order_book")
	if got := keys.spent.Load(); got != 28 {
		t.Errorf("%d credits spent, want 28", got)
	}

	r := h.dial("/ws/replay?api_key=r", nil)
	r.expect("authenticated")
	r.say(`{"type":"replay","market_id":0,"start":%d,"end":%d,"speed":"max","include":["order_book"]}`, tapeStart, int64(tapeStart)+60_000)
	r.expect("replay_started")
	for events := 0; ; events++ {
		f := r.read()
		if f.Type == "error" {
			if f.Code != codeQuota || events != 20 {
				t.Errorf("%s after %d events, want %s after 20", f.Code, events, codeQuota)
			}
			break
		}
	}
	r.expectClose(closeRefused)
}

func TestReplayReach(t *testing.T) {
	p := anyPlan()
	p.HistoryDepthDays, p.MaxRangeDays = 10, 2
	now := tapeStart.Micros().Millis() + 20*day
	h := serve(t, Options{Access: newKeyring(map[string]config.Plan{"a": p}), History: sharedTape(), Now: func() time.Time { return time.UnixMilli(int64(now)) }})
	for _, x := range []struct {
		from, to model.Millis
		code     string
	}{
		{now - 11*day, now - 10*day, codeReplayWindow},
		{now - 5*day, now - 2*day, codeReplayWindow},
		{now - 5*day, now - 3*day, codeNoData}, // let through
		{now - 10*day, now - 9*day, codeNoData},
	} {
		c := &Conn{server: h.s}
		m, err := parseMessage(fmt.Appendf(nil, `{"type":"replay","market_id":0,"start":%d,"end":%d}`, x.from, x.to))
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.server.parseReplay(m, &access.Plan{Plan: p})
		if refused, _ := err.(*refusal); (refused == nil) != (x.code == codeNoData) || refused != nil && refused.code != x.code {
			t.Errorf("%d to %d days back: %v, want %s", (now-x.from)/day, (now-x.to)/day, err, x.code)
		}
	}
}
