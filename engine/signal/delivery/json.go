package delivery

import (
	"strconv"

	"hyperlight/engine/model"
)

// AppendJSON writes an entry of recent_deliveries.
func (d *Delivery) AppendJSON(dst []byte) []byte {
	dst = append(append(dst, `{"delivery_id":"`...), d.ID.String()...)
	dst = model.AppendString(append(dst, `","url":`...), d.URL)
	dst = append(append(dst, `,"status":"`...), d.Status.String()...)
	dst = strconv.AppendInt(append(dst, `","attempts":`...), int64(d.Attempts), 10)
	dst = appendOrNull(append(dst, `,"last_status_code":`...), int64(d.LastStatus))
	dst = append(dst, `,"last_error":`...)
	if d.LastError == "" {
		dst = append(dst, "null"...)
	} else {
		dst = model.AppendString(dst, d.LastError)
	}
	dst = strconv.AppendInt(append(dst, `,"triggered_at":`...), int64(d.TriggeredAt), 10)
	return append(appendOrNull(append(dst, `,"delivered_at":`...), int64(d.DeliveredAt)), '}')
}

func appendOrNull(dst []byte, v int64) []byte {
	if v == 0 {
		return append(dst, "null"...)
	}
	return strconv.AppendInt(dst, v, 10)
}
