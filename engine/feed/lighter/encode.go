package lighter

import "hyperlight/engine/model"

// AppendBookFrame appends an order_book frame.
func AppendBookFrame(dst []byte, m *model.Market, epoch uint8, u *model.BookUpdate, t model.Millis) []byte {
	return dst
}

// AppendTradeFrame appends a trade frame.
func AppendTradeFrame(dst []byte, m *model.Market, b *model.TradeBatch) []byte { return dst }

// AppendTrade appends one trade row.
func AppendTrade(dst []byte, m *model.Market, t *model.Trade) []byte { return dst }

// StatsExtra holds members of a statistics row that model.Stats has no place for; empty ones are left out.
type StatsExtra struct {
	OpenInterestLimit, FundingClampSmall, FundingClampBig, BaseInterestRate string
}

// StatsRow is one market's row of a market_stats frame.
type StatsRow struct {
	Market *model.Market
	Stats  *model.Stats
	Extra  StatsExtra
}

// AppendStatsFrame appends the market_stats frame of one market.
func AppendStatsFrame(dst []byte, r StatsRow, t model.Millis, first bool) []byte { return dst }

// AppendStatsAllFrame appends the market_stats:all frame.
func AppendStatsAllFrame(dst []byte, rows []StatsRow, t model.Millis, first bool) []byte { return dst }

// AppendHeightFrame appends a height frame.
func AppendHeightFrame(dst []byte, height uint64, t model.Millis, first bool) []byte { return dst }

// AppendConnectedFrame appends the greeting.
func AppendConnectedFrame(dst []byte, session string) []byte { return dst }

// AppendErrorFrame appends an error frame.
func AppendErrorFrame(dst []byte, code int, message string) []byte { return dst }

// AppendUnsubscribedFrame appends the answer to an unsubscribe; channel as the venue writes it ("order_book:0").
func AppendUnsubscribedFrame(dst []byte, channel string) []byte { return dst }
