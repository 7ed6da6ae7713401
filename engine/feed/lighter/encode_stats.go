package lighter

import (
	"iter"
	"strconv"

	"hyperlight/engine/model"
)

// AppendMarketStatsFrame appends the market_stats frame of one market with the row as the venue wrote it, or from its
// members where the text is not known. first makes it the answer to a subscribe.
func AppendMarketStatsFrame(dst []byte, m *model.Market, s *model.Stats, t model.Millis, first bool) []byte {
	dst = append(dst, `{"channel":"market_stats:`...)
	dst = strconv.AppendInt(dst, m.Native, 10)
	dst = append(dst, `","market_stats":`...)
	dst = appendStatsText(dst, m, s)
	return appendTail(dst, t, "market_stats", first)
}

// AppendMarketStatsAllFrame does the same for market_stats:all, whose body maps the market's id to its row.
func AppendMarketStatsAllFrame(dst []byte, rows iter.Seq2[*model.Market, *model.Stats], t model.Millis, first bool) []byte {
	dst = append(dst, `{"channel":"market_stats:all","market_stats":{`...)
	n := 0
	for m, s := range rows {
		if n++; n > 1 {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = strconv.AppendInt(dst, m.Native, 10)
		dst = append(dst, `":`...)
		dst = appendStatsText(dst, m, s)
	}
	dst = append(dst, '}')
	return appendTail(dst, t, "market_stats", first)
}

func appendStatsText(dst []byte, m *model.Market, s *model.Stats) []byte {
	if s.Text != "" {
		return append(dst, s.Text...)
	}
	return appendStats(dst, StatsRow{Market: m, Stats: s})
}
