package ws

import (
	"encoding/json"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"hyperlight/engine/model"
)

// stepClock is a system clock that can be set: the wall clock moves and the monotonic one does not. Package time has no
// way to make such a time, because only a kernel can, and in a bubble it knows none: its representation is written here.
type stepClock struct {
	began time.Time
	ahead atomic.Int64
}

func newStepClock() *stepClock { return &stepClock{began: time.Now()} }

func (k *stepClock) set(d time.Duration) { k.ahead.Store(int64(d)) }

func (k *stepClock) Now() time.Time {
	const hasMonotonic, secondsShift, from = 1 << 63, 30, 2682288000 // seconds from 1885 to 1970
	now := time.Now()
	t := now.Add(time.Duration(k.ahead.Load()))
	words := (*struct { // of time.Time
		wall uint64
		ext  int64
		loc  *time.Location
	})(unsafe.Pointer(&t))
	words.wall = hasMonotonic | uint64(t.Unix()+from)<<secondsShift | uint64(t.Nanosecond())
	words.ext = int64(now.Sub(k.began))
	return t
}

func TestStepClock(t *testing.T) {
	k := newStepClock()
	before := k.Now()
	for _, d := range []time.Duration{time.Hour, -time.Hour} {
		k.set(d)
		at := k.Now()
		wall := at.Round(0).Sub(before.Round(0))
		if ran := at.Sub(before); ran < 0 || ran > time.Minute || (wall-d-ran).Abs() > time.Second {
			t.Errorf("set by %v: %v later by the monotonic clock, %v by the wall", d, ran, wall)
		}
	}
}

// TestIdleTimeoutsOfASteppedClock sets the system clock while connections are silent: none is closed before its time, and
// none is kept beyond it.
func TestIdleTimeoutsOfASteppedClock(t *testing.T) {
	for _, step := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(step.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newStepClock()
				s := &Server{limits: Limits{}.withDefaults(), o: Options{Now: k.Now}}
				c := idleConn(t, s, anyPlan(), true)
				defer c.idle.end()
				time.Sleep(time.Minute)
				c.idle.hear(k.Now())
				k.set(step)
				time.Sleep(s.limits.NativeIdle - time.Millisecond)
				if synctest.Wait(); c.closing.Load() {
					t.Fatal("closed before its time")
				}
				time.Sleep(time.Millisecond)
				if synctest.Wait(); !c.closing.Load() {
					t.Error("not closed in time")
				}
			})
		})
	}
}

// TestHeartbeatOfASteppedClock sets the system clock while a channel is silent: the age of what was heard last is the time
// that has passed.
func TestHeartbeatOfASteppedClock(t *testing.T) {
	for _, step := range []time.Duration{time.Hour, -time.Hour} {
		k := newStepClock()
		h := newHub(testMarkets{}, &Native{}, k.Now, Limits{}.withDefaults())
		f := h.feed(testMarketList[0])
		channels := append([]*channel{f.owned}, f.channels[:]...)
		for _, fam := range families[hubFamilies:heatmapFamily.index] {
			channels = append(channels, f.desk.add(fam, testMarketList[0], options{threshold: 1}))
		}
		m := newMaker(h, 0)
		m.snapshot(model.Level{Price: 10_000, Size: 10_000})
		m.trades(1, model.TradeBatch{})
		k.set(step)
		for _, c := range channels {
			text := c.heartbeat(k.Now())
			text = text[len(text)-payloadLen(text):]
			var beat frame
			if err := json.Unmarshal(text, &beat); err != nil {
				t.Fatal(err)
			}
			if beat.Age == nil || *beat.Age < 0 || *beat.Age > 60_000 {
				t.Errorf("the clock set by %v: %s", step, text)
			}
		}
	}
}

// TestPingAndPongBothGo: a client that pings while the writer is busy gets its pong, and our ping too, without which it
// would be hung up on.
func TestPingAndPongBothGo(t *testing.T) {
	for _, order := range [][2]byte{{opPing, opPong}, {opPong, opPing}} {
		q := newQueue(8, 1<<20)
		for _, opcode := range order {
			q.pushUrgent(controlFrame(opcode, []byte{'x'}))
		}
		_, urgent, _ := q.take(make([]item, 0, 4), 1000)
		sent := map[byte]int{}
		for len(urgent) > 0 {
			sent[urgent[0]&0xf]++
			urgent = urgent[frameLen(urgent):]
		}
		if sent[opPing] != 1 || sent[opPong] != 1 {
			t.Errorf("%d pings and %d pongs were sent, want one of each", sent[opPing], sent[opPong])
		}
	}
}
