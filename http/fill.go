package http

import (
	"context"
	"strconv"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

// FillFunc asks for a range that is not held. It returns at once where all of it is held, else when it is filled or cannot
// be, or when the budget of time of the call is over. It is never an error: coverage tells.
type FillFunc func(ctx context.Context, kind model.Kind, markets []model.MarketID, sp history.Span)

// fill has a range fetched before it is read, where the server has a venue to fetch it from. It must be called before
// enterHistory, so that a call that waits for the venue does not hold a place among the readers. As of a past moment nothing
// is fetched: what was not held then is not there.
func (c *call) fill(kind model.Kind, markets []model.MarketID, sp span) {
	if c.server.fill != nil && c.past == nil {
		c.server.fill(c.waiting(), kind, markets, history.Span{From: sp.From, To: sp.To})
	}
}

// BackfillProgress tells how far the fetching of one kind of record is.
type BackfillProgress struct {
	Kind                string
	Markets, Incomplete int          // markets that are filled, and those of them with holes
	LeftSeconds         int64        // of all holes together
	Newest              model.Millis // the end of the newest hole; 0: there is none
}

func appendBackfill(dst []byte, kinds []BackfillProgress) []byte {
	dst = append(dst, '[')
	for i := range kinds {
		k := &kinds[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = model.AppendString(append(dst, `{"kind":`...), k.Kind)
		dst = strconv.AppendInt(append(dst, `,"markets":`...), int64(k.Markets), 10)
		dst = strconv.AppendInt(append(dst, `,"incomplete_markets":`...), int64(k.Incomplete), 10)
		dst = strconv.AppendInt(append(dst, `,"left_seconds":`...), k.LeftSeconds, 10)
		dst = append(appendMillisOrNull(append(dst, `,"newest_hole_end":`...), k.Newest), '}')
	}
	return append(dst, ']')
}
