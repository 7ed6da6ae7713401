package desk

import (
	"strconv"
	"time"

	"github.com/google/uuid"

	"hyperlight/engine/model"
)

// AppendJSON writes a signal as the API shows it; no secret is in it.
func (s *Signal) AppendJSON(dst []byte) []byte {
	dst = append(s.appendHead(append(dst, `{"id":"`...)), `,"rule_definition":`...)
	dst = append(s.Rule.AppendJSON(dst), `,"delivery_channels":[`...)
	for i, c := range s.Channels {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = model.AppendString(append(dst, `{"type":"webhook","url":`...), c.URL)
		dst = append(append(append(dst, `,"secret":"`...), Masked...), '"')
		if c.Disabled {
			dst = append(dst, `,"disabled":true`...)
		}
		dst = append(dst, '}')
	}
	dst = strconv.AppendInt(append(dst, `],"cooldown_secs":`...), int64(s.Cooldown/time.Second), 10)
	dst = strconv.AppendBool(append(dst, `,"enabled":`...), s.Enabled)
	dst = strconv.AppendBool(append(dst, `,"suspended":`...), s.Suspended)
	if s.Paused {
		dst = append(dst, `,"paused":"plan"`...)
	}
	dst = strconv.AppendUint(append(dst, `,"trigger_count":`...), s.Triggers, 10)
	dst = append(dst, `,"last_triggered_at":`...)
	if s.LastTriggered == 0 {
		dst = append(dst, "null"...)
	} else {
		dst = strconv.AppendInt(dst, int64(s.LastTriggered), 10)
	}
	dst = strconv.AppendInt(append(dst, `,"created_at":`...), int64(s.Created), 10)
	return append(strconv.AppendInt(append(dst, `,"updated_at":`...), int64(s.Updated), 10), '}')
}

// appendHead writes the id, which an open quotation mark stands before, and what the signal is called and watches.
func (s *Signal) appendHead(dst []byte) []byte {
	dst = append(append(dst, s.ID.String()...), `","name":`...)
	dst = model.AppendString(dst, s.Name)
	dst = strconv.AppendInt(append(dst, `,"market_id":`...), s.Native, 10)
	return model.AppendString(append(dst, `,"symbol":`...), s.Symbol)
}

// body is what a channel is sent, section 4.4 of the contract.
func (f *firing) body(id uuid.UUID, now model.Millis) []byte {
	dst := append(make([]byte, 0, 1024), `{"event":"signal.triggered","delivery_id":"`...)
	dst = append(append(dst, id.String()...), `","signal_id":"`...)
	dst = f.info.appendHead(dst)
	dst = strconv.AppendInt(append(dst, `,"triggered_at":`...), int64(now), 10)
	dst = strconv.AppendInt(append(dst, `,"event_ts":`...), int64(f.at), 10)
	dst = f.info.Rule.AppendJSON(append(dst, `,"rule_definition":`...))
	dst = append(append(dst, `,"matched_conditions":`...), f.matched...)
	return append(append(append(dst, `,"context":`...), f.context...), '}')
}
