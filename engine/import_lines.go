package engine

import (
	"errors"

	"hyperlight/engine/feed"
	"hyperlight/engine/feed/lighter"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
)

// importRun is the state of one file's decoding.
type importRun struct {
	im      *importer
	file    *recordingFile
	target  *market.Importer
	decoder *lighter.Decoder

	recv    model.Micros // of the line at hand, 0 where it has none
	judged  bool         // the time of the line at hand was found good
	last    model.Micros // the last receive time handed on
	heard   model.Micros // the last receive time of any line, of frames that are not recorded too
	zone    model.Micros
	zoneSet bool
}

func (r *importRun) line(line []byte, name string, emit func(*model.Event) error) {
	l, err := parseRecordedLine(line)
	if err != nil {
		r.im.reject(err.Error())
		return
	}
	if l.localTime {
		if !r.zoneSet {
			r.zone, r.zoneSet = recordingZone(name), true
		}
		l.recv -= r.zone
	}
	r.recv, r.judged = l.recv, false
	if err := r.decoder.Decode(l.frame, l.recv, emit); err != nil {
		r.im.reject(reason(err))
		return
	}
	if r.decoder.Last().Kind == feed.FrameUnknown {
		r.im.report.Ignored++
	}
	r.im.report.Frames++
	if before := max(r.last, r.heard); !r.judged && l.recv > before && l.recv-before <= clockJump {
		r.hear(l.recv)
	}
}

// emit hands an event to the shard. A frame without a receive time counts as received at its venue time, or with the
// frame before it.
func (r *importRun) emit(e *model.Event) error {
	recv := r.recv
	if recv == 0 {
		recv = max(venueTime(e).Micros(), r.last)
		if recv == 0 {
			return errNoTime
		}
	}
	if !r.judged {
		if err := r.judge(recv, shownTime(e)); err != nil {
			return err
		}
	}
	if b, ok := e.Payload.(*model.TradeBatch); ok {
		if err := judgeTrades(recv, b); err != nil {
			return err
		}
	}
	if !r.judged && r.recv != 0 { // trades of a recording without receive times may be rare
		r.hear(recv)
	}
	r.judged, r.last = true, max(recv, r.last)
	e.Recv = recv
	if b, ok := e.Payload.(*model.TradeBatch); ok {
		for i := range b.Rows {
			b.Rows[i].Recv = recv
		}
	}
	r.target.Handle(e)
	return nil
}

// venueTime is the time by which a frame without a receive time counts. Trade frames carry none of their own: theirs is
// that of their newest trade.
func venueTime(e *model.Event) model.Millis {
	t := e.Time
	if b, ok := e.Payload.(*model.TradeBatch); ok && t == 0 {
		for i := range b.Rows {
			t = max(t, b.Rows[i].Time)
		}
	}
	return t
}

// reason shortens a decoder's error to what counts lines of one kind together.
func reason(err error) string {
	for _, known := range []error{lighter.ErrMalformed, lighter.ErrUnknownMarket, lighter.ErrDigits, lighter.ErrValue, errNoTime,
		errClockUnit, errClockFuture, errClockVenue, errClockJump, errClockBack, errTradeTime} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "other: " + err.Error()
}
