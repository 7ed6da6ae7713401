package lighter

import (
	"hyperlight/engine/feed"
	"hyperlight/engine/model"
)

// settle decides what the frame is and reads the bodies that were not read on the way.
func (d *Decoder) settle(recv model.Micros) error {
	f := &d.last
	f.First = d.typ == typeFirst
	if f.Channel.Family == feed.FamilyBook && d.bodyChannel != f.Channel && d.at(bodyBook) {
		// The channel stood behind the body, or twice.
		if d.bodyChannel = f.Channel; f.Channel.Native >= 0 && d.resolve() {
			d.readBook()
		}
	}
	data := (d.typ == typeFirst || d.typ == typeUpdate) && d.typFamily == f.Channel.Family
	switch {
	case d.typ == typeError || d.hasError():
		d.settleError()
	case d.typ == typeConnected:
		f.Kind = feed.FrameConnected
	case d.typ == typePing:
		f.Kind = feed.FramePing
	case d.typ == typePong:
		f.Kind = feed.FramePong
	case d.typ == typeUnsubscribed:
		f.Kind = feed.FrameUnsubscribed
	case !data:
	case f.Channel.Family == feed.FamilyBook:
		f.Kind = feed.FrameBook
		d.settleBook()
	case f.Channel.Family == feed.FamilyTrade:
		f.Kind = feed.FrameTrades
		d.settleTrades(recv)
	case f.Channel.Family == feed.FamilyStats || f.Channel.Family == feed.FamilySpotStats:
		f.Kind = feed.FrameStats
		d.settleStats()
	case f.Channel.Family == feed.FamilyTicker:
		f.Kind = feed.FrameTicker
		d.settleTicker()
	case f.Channel.Family == feed.FamilyHeight:
		f.Kind = feed.FrameHeight
	case ofAccount(f.Channel.Family):
		f.Kind = feed.FrameAccount
		d.settleAccount()
	}
	return d.s.err
}

// at puts the scanner onto a body, false where the frame has none or it is null.
func (d *Decoder) at(b body) bool {
	if d.bodies[b] == 0 {
		return false
	}
	d.s.pos = d.bodies[b]
	return !d.s.null()
}

// hasError tells whether the frame has an error; null and "" are none, whatever else the frame may hold.
func (d *Decoder) hasError() bool {
	return d.at(bodyError) && (d.s.data[d.s.pos] != '"' || len(d.s.text("error")) > 0)
}

func (d *Decoder) settleError() {
	f := &d.last
	f.Kind = feed.FrameError
	if d.at(bodyError) {
		if d.s.begin('{') {
			d.code, d.message = 0, ""
			for first := true; ; first = false {
				name, ok := d.s.member(first)
				if !ok {
					break
				}
				switch string(name) {
				case "code":
					d.code = d.integer("code")
				case "message":
					d.message = string(d.s.text("message"))
				default:
					d.s.skip(2)
				}
				if d.s.err != nil {
					return
				}
			}
		} else if t := d.s.text("error"); d.message == "" {
			d.message = string(t)
		}
	}
	f.Code, f.Text = int(d.code), d.message
}

// emit hands out what settle prepared.
func (d *Decoder) emit(recv model.Micros, emit func(*model.Event) error) error {
	e := &d.event
	*e = model.Event{Market: model.NoMarket, Time: model.Millis(d.time), Recv: recv}
	if d.market != nil {
		e.Market, e.Epoch = d.market.ID, d.market.Epoch
	}
	switch d.last.Kind {
	case feed.FrameBook:
		e.Payload = &d.book
	case feed.FrameTrades:
		if len(d.batch.Rows) == 0 && !d.batch.History {
			return nil
		}
		e.Payload = &d.batch
	case feed.FrameAccount:
		e.Payload = &d.account
	case feed.FrameHeight:
		if d.height == 0 {
			return nil
		}
		d.tip.Height = d.height
		e.Payload = &d.tip
	case feed.FrameStats:
		for i := range d.stats {
			r := &d.stats[i]
			e.Market, e.Epoch, e.Payload = r.market.ID, r.market.Epoch, &r.stats
			if err := emit(e); err != nil {
				return err
			}
		}
		return nil
	default:
		return nil
	}
	return emit(e)
}
