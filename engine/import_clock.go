package engine

import (
	"bytes"
	"errors"
	"strconv"
	"time"

	"hyperlight/engine/model"
)

// A recording's clock moves everything: the shard never lets it run back, so that one line with a wrong receive time
// would carry every line behind it along. Each time is therefore judged before it is used.

const (
	// clockJump is how far a line may lie ahead of the one before without anything else that speaks for it.
	clockJump = model.Micros(time.Hour / time.Microsecond)
	// clockBack is how far the recorder's clock may have been set back: lines inside count as received at the latest
	// time before them.
	clockBack = model.Micros(10 * time.Minute / time.Microsecond)
	// clockWrong is how far a recorder's clock may be from the venue's.
	clockWrong = model.Micros(24 * time.Hour / time.Microsecond)
	// silence is how long a stream that lives is never without any line.
	silence = model.Micros(10 * time.Minute / time.Microsecond)
	// peekBytes and peekLines bound what is looked at of the lines that follow.
	peekBytes, peekLines = 512 << 10, 16
)

// earliest is before any recording of the venue: an earlier receive time is in other units than microseconds.
var earliest = model.Micros(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro())

var (
	errClockUnit   = errors.New("receive time is no time in microseconds since 1970")
	errClockFuture = errors.New("receive time lies in the future")
	errClockVenue  = errors.New("receive time lies more than a day from the venue's")
	errClockJump   = errors.New("receive time lies more than an hour ahead and nothing else does")
	errClockBack   = errors.New("receive time lies far before that of an earlier line")
	errTradeTime   = errors.New("time of a trade lies far from its receive time")
)

// judge tells whether a receive time can be true: it lies in the recorder's life, near the venue's time where the frame
// tells one (0: it does not), and goes on from the line before, or what comes next does so from it.
func (r *importRun) judge(recv model.Micros, venue model.Millis) error {
	off := recv - venue.Micros()
	switch {
	case recv < earliest:
		return errClockUnit
	case recv > model.Micros(r.im.o.Now().UnixMicro())+clockWrong:
		return errClockFuture
	case venue != 0 && (off > clockWrong || off < -clockWrong):
		return errClockVenue
	case r.last != 0 && recv < r.last-clockBack:
		return errClockBack
	case r.last != 0 && recv <= r.last+clockJump:
		return nil
	case r.recv != 0 && venue != 0 && off <= clockJump && off >= -clockJump:
		return nil
	}
	agree, differ := 0, 0
	for _, next := range r.nextTimes() {
		if next < recv-clockJump {
			differ++
		} else {
			agree++
		}
	}
	if differ > 0 && differ >= agree || agree+differ == 0 && r.last != 0 && r.recv != 0 {
		return errClockJump
	}
	return nil
}

// judgeTrades tells whether the times of trades can be true: history goes back without end, but not ahead.
func judgeTrades(recv model.Micros, b *model.TradeBatch) error {
	for i := range b.Rows {
		if at := b.Rows[i].Time.Micros(); at < earliest || at > recv+clockWrong {
			return errTradeTime
		}
	}
	return nil
}

// shownTime is the venue's time of an event that was sent at about that time, 0 where it shows none: the first frame of
// a trade channel repeats the past.
func shownTime(e *model.Event) model.Millis {
	if b, ok := e.Payload.(*model.TradeBatch); ok && b.History {
		return 0
	}
	return venueTime(e)
}

// nextTimes returns the receive times of the lines that follow, or their venue times, as far as they show any.
func (r *importRun) nextTimes() (times []model.Micros) {
	ahead, _ := r.file.lines.Peek(peekBytes) // fewer bytes at the end of the file
	for len(ahead) > 0 && len(times) < peekLines {
		var line []byte
		line, ahead, _ = bytes.Cut(ahead, []byte{'\n'})
		if t, ok := r.timeOf(line); ok {
			times = append(times, t)
		}
	}
	return times
}

// timeOf finds the time of a line of which the end may be missing.
func (r *importRun) timeOf(line []byte) (model.Micros, bool) {
	if _, rest, ok := bytes.Cut(line, []byte(`"recv_us":`)); ok {
		rest = bytes.TrimLeft(rest, " ")
		n := 0
		for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
			n++
		}
		t, err := strconv.ParseInt(string(rest[:n]), 10, 64)
		return model.Micros(t), err == nil
	}
	if _, rest, ok := bytes.Cut(line, []byte(`"captured_at":`)); ok {
		if text, _, ok := quoted(bytes.TrimLeft(rest, " "), 0); ok {
			t, local, err := parseCapturedAt(text)
			if local {
				t -= r.zone
			}
			return t, err == nil
		}
	}
	t, ok := frameTime(line)
	return t.Micros(), ok
}

// hear tells the shard of a hole in the recording: trades and statistics have no chain that would break, so that they
// would count as held all through it.
func (r *importRun) hear(recv model.Micros) {
	if r.heard != 0 && recv-r.heard > silence {
		for _, kind := range []model.Kind{model.KindTrades, model.KindStats} {
			r.target.Handle(&model.Event{
				Market: model.NoMarket, Recv: r.heard, Payload: &model.Gap{Kind: kind, From: r.heard, Cause: model.CauseStale},
			})
		}
	}
	r.heard = max(r.heard, recv)
}
